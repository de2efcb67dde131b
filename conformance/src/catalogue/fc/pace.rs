//! Cases about pace: who sets it, who must not, and what becomes of more load than there is room.

use quorate_core::{Action, Destination, MemberId, Message, Position, Term};

use crate::case::{Failure, Verdict};
use crate::desk::Desk;
use crate::desk_client::{DeskClient, acknowledge};
use crate::scripted_log::small_desk;
use crate::stage::{ClientNumber, Effect, MILLI, Options, SECOND, Stage, quantile};
use crate::trial::Trial;

/// A group of five with four clients, and one that follows.
fn five<'a>(
    trial: &Trial<'a>,
    options: Options,
) -> Result<(Stage<'a>, u16, Vec<ClientNumber>), Failure> {
    let mut stage = trial.stage(options);
    let leader = stage.settle()?;
    let clients = stage.connected_clients(4)?;
    stage.even_out()?;
    Ok((stage, leader, clients))
}

fn one_election(stage: &mut Stage<'_>) -> Verdict {
    let elections = stage.elections();
    stage.check(elections == 1, || format!("{elections} elections"))
}

pub(super) fn fc_04(trial: &mut Trial<'_>) -> Verdict {
    let duration = trial.times(200 * MILLI, SECOND, 600 * SECOND);
    let (mut stage, _, clients) = five(trial, Options::members(5))?;
    let baseline = stage.offer(&clients, 1_000, MILLI, duration)?.answered;
    let (mut stage, leader, clients) = five(trial, Options::members(5))?;
    let slow = stage.other_than(leader);
    let place = Stage::place_of(slow);
    stage.rule("half of all to and from one member is lost", Effect::LoseSometimes(500_000), {
        move |passing| passing.from == place || passing.to == place
    });
    let answered = stage.offer(&clients, 1_000, MILLI, duration)?.answered;
    let enough = |stage: &mut Stage<'_>, what, answered: u64| {
        stage.check(answered * 100 >= baseline * 95, || {
            format!("{what}: {answered} answers, {baseline} without")
        })
    };
    enough(&mut stage, "a member with losses", answered)?;
    stage.heal_all();
    stage.even_out()?;

    // It runs for a tenth of the time.
    let (period, mut answered) = (50 * MILLI, 0);
    for _ in 0..duration / period {
        stage.pause(slow);
        answered += stage.offer(&clients, 1_000, MILLI, period * 9 / 10)?.answered;
        stage.resume(slow);
        answered += stage.offer(&clients, 1_000, MILLI, period / 10)?.answered;
    }
    enough(&mut stage, "a member that seldom runs", answered)?;
    stage.even_out()?;
    one_election(&mut stage)
}

/// A window that is soon used up.
fn small_window(members: usize) -> Options {
    Options::members(members).limits(|limits| {
        limits.window_bytes = 128 << 10;
        limits.uncommitted_bytes_max = 64 << 10;
        limits.unapplied_bytes_max = 64 << 10;
        limits.message_bytes_max = 2 << 10;
        limits.read_bytes_max = 64 << 10;
    })
}

pub(super) fn fc_05(trial: &mut Trial<'_>) -> Verdict {
    let messages = trial.times(150, 300, 3_000);
    let (mut stage, leader, clients) = five(trial, small_window(5))?;
    let begun = stage.now();
    stage.pour(&clients, messages, 1_000, 60 * SECOND)?;
    let baseline = stage.now() - begun;
    stage.even_out()?;

    let stalled: Vec<u16> = stage.numbers().filter(|member| *member != leader).take(2).collect();
    stalled.iter().for_each(|member| stage.pause(*member));
    let begun = stage.now();
    stage.pour(&clients, messages, 1_000, 60 * SECOND)?;
    let (took, slack) = (stage.now() - begun, stage.round_trip() + MILLI);
    let paced = took <= baseline * 3 / 2 + slack;
    stage.check(paced, || format!("{took} ns with two members stalled, {baseline} without"))?;
    // They are sent what they have room for, and then left to themselves.
    let window = stage.limits().window_bytes as usize;
    for member in &stalled {
        let live = stage.sightings().iter().filter(|sent| {
            sent.at >= begun && sent.kind == "live" && sent.to == Stage::place_of(*member)
        });
        let bytes: usize = live.map(|sent| sent.bytes).sum();
        // Headers count here: a twelfth at most beside slices of the default size.
        let bounded = bytes <= window * 13 / 12;
        stage.check(bounded, || format!("{bytes} bytes went to stalled member {member}"))?;
    }
    stalled.iter().for_each(|member| stage.resume(*member));
    stage.even_out()?;
    let back = stage.now();
    stage.pour(&clients, 4, 1_000, 10 * SECOND)?;
    for member in stalled {
        let live = stage.sightings().iter().any(|sent| {
            sent.at >= back && sent.kind == "live" && sent.to == Stage::place_of(member)
        });
        stage.check(live, || format!("member {member} is not sent new data again"))?;
    }
    one_election(&mut stage)
}

/// Room for little, and disks that take their time: a few thousand messages a second.
fn slow_and_narrow() -> Options {
    let mut options = Options::members(3).limits(|limits| {
        limits.uncommitted_bytes_max = 16 << 10;
        (limits.message_bytes_max, limits.session_window_bytes) = (2 << 10, 32 << 10);
    });
    options.disk_latency = (4 * MILLI, 8 * MILLI);
    options
}

pub(super) fn fc_06(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(slow_and_narrow());
    stage.settle()?;
    let clients = stage.connected_clients(8)?;
    // What the group can do, as fast as it goes.
    let begun = stage.now();
    stage.pour(&clients, 20, 1_000, 60 * SECOND)?;
    let each = (stage.now() - begun) / (20 * clients.len() as u64);
    let duration = trial.times(100 * MILLI, 500 * MILLI, 10 * SECOND);
    let offered = stage.offer(&clients, 1_000, each / 10, duration)?;
    let refused = offered.refused > offered.accepted;
    stage.check(refused, || format!("ten times the load was not too much: {offered:?}"))?;
    let all = clients.clone();
    stage.until("each accepted message is answered", 30 * SECOND, move |stage| {
        stage.is_answered(&all)
    })?;
    let ended = clients.iter().filter(|client| stage.ended(**client).is_some()).count();
    stage.check(ended == 0, || format!("{ended} clients gave up"))?;
    one_election(&mut stage)
}

pub(super) fn fc_07(trial: &mut Trial<'_>) -> Verdict {
    let mut options = small_desk(3);
    options.limits.unapplied_bytes_max = 24 << 10;
    options.limits.apply_batch_max = 4;
    let (limits, timing) = (options.limits.clone(), options.timing.clone());
    let mut desk = Desk::new(options)?;
    let term = desk.lead()?;
    let mut client = DeskClient::new(&desk, &limits)?;
    let mut group = Group { term, sequence: 0 };
    for _ in 0..4 {
        group.turn(&mut desk, &mut client, timing.heartbeat_interval);
        client.wake(&mut desk);
    }
    desk.check(desk.view().serving, "it does not serve")?;
    desk.is_service_slow = true;
    let (mut fewest, mut most) = (usize::MAX, 0);
    let messages = trial.times(60, 200, 1_000);
    for _ in 0..messages {
        // Several come for each that the service gets done, and a batch takes several intervals.
        for _ in 0..4 {
            client.submit(&mut desk, &[6; 1_000]);
        }
        let beats = group.turn(&mut desk, &mut client, timing.heartbeat_interval);
        fewest = fewest.min(beats);
        most = most.max(desk.view().verified.since(desk.view().applied));
        if group.sequence.is_multiple_of(5) {
            let done = desk.serve().to_vec();
            client.hear(&mut desk, &done);
        }
    }
    let bound = limits.unapplied_bytes_max;
    desk.check(most <= bound && most > bound / 2, &format!("{most} of {bound} bytes waited"))?;
    desk.check(fewest >= 1, "a heartbeat interval passed without a heartbeat")?;
    let held_back = desk.member.counters().back_pressure;
    desk.check(held_back > 0, "admission never stopped")?;
    let view = desk.view();
    desk.check(view.term == term && view.serving, "it gave up")?;

    desk.is_service_slow = false;
    let done = desk.serve().to_vec();
    client.hear(&mut desk, &done);
    for _ in 0..messages {
        group.turn(&mut desk, &mut client, timing.heartbeat_interval);
        client.wake(&mut desk);
    }
    let (all, answered) = (client.accepted, client.answered);
    desk.check(answered == all, &format!("{answered} of {all} messages were answered at last"))
}

/// The rest of the group of a leader on a desk: member 2 holds whatever the leader does.
struct Group {
    term: Term,
    sequence: u64,
}

impl Group {
    /// A heartbeat interval passes, all disks complete, and all that is there is committed; how
    /// many heartbeats went to member 2.
    fn turn(
        &mut self,
        desk: &mut Desk,
        client: &mut DeskClient,
        interval: quorate_core::Duration,
    ) -> usize {
        let mut done = desk.complete_all();
        done.append(&mut desk.pass(interval));
        self.sequence += 1;
        let (held, limit) = (desk.view().durable, Position(1 << 40));
        desk.receive(2, acknowledge(self.term, self.sequence, held, limit));
        done.extend_from_slice(&desk.actions);
        done.append(&mut desk.complete_all());
        client.hear(desk, &done);
        let to_two = Destination::Member(MemberId(2));
        let beats = done.iter().filter(|action| {
            matches!(action, Action::Send { to, message: Message::Heartbeat { .. } }
                if *to == to_two)
        });
        beats.count()
    }
}

pub(super) fn fc_09(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(slow_and_narrow());
    let leader = stage.settle()?;
    let clients = stage.connected_clients(8)?;
    let begun = stage.now();
    let duration = trial.times(300 * MILLI, SECOND, 30 * SECOND);
    let offered = stage.offer(&clients, 1_500, MILLI / 10, duration)?;
    stage.check(offered.refused > 0, || "the data path is not full".into())?;
    let half = stage.election_timeout() / 2;
    for member in stage.numbers().filter(|member| *member != leader) {
        let beats = stage.sightings().iter().filter(|sent| {
            sent.at >= begun && sent.kind == "heartbeat" && sent.to == Stage::place_of(member)
        });
        let beats: Vec<u64> = beats.map(|sent| sent.at).collect();
        let mut gaps: Vec<u64> = beats.windows(2).map(|pair| pair[1] - pair[0]).collect();
        gaps.sort_unstable();
        let (count, gap) = (gaps.len() as u64, quantile(&gaps, 999));
        let enough = count >= duration / stage.heartbeat() / 2;
        stage.check(enough, || format!("{count} heartbeats to member {member}"))?;
        stage.check(gap <= half, || format!("{gap} ns between heartbeats to member {member}"))?;
    }
    one_election(&mut stage)
}

pub(super) fn fc_13(trial: &mut Trial<'_>) -> Verdict {
    let duration = trial.times(200 * MILLI, 800 * MILLI, 60 * SECOND);
    let (mut stage, _, clients) = five(trial, small_window(5))?;
    let begun = stage.now();
    stage.offer(&clients, 1_000, MILLI / 2, duration)?;
    let baseline = quantile(&stage.waits_of(&clients, begun), 990);

    let (mut stage, leader, clients) = five(trial, small_window(5))?;
    let hung = stage.other_than(leader);
    stage.pause(hung);
    let begun = stage.now();
    let offered = stage.offer(&clients, 1_000, MILLI / 2, duration)?;
    let wait = quantile(&stage.waits_of(&clients, begun), 990);
    // Three of four are a little slower than three of five; nothing waits for the one that hangs.
    let slack = stage.round_trip();
    stage.check(wait <= baseline + slack, || {
        format!("99 of 100 answers came within {wait} ns, within {baseline} ns without")
    })?;
    stage.check(offered.refused == 0, || format!("{} messages were refused", offered.refused))?;
    stage.resume(hung);
    stage.even_out()?;
    one_election(&mut stage)
}
