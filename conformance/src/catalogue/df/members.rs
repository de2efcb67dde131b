//! What a group makes of the faults of one member's disk, or of all.

use quorate_core::{Action, Duration, Event, Incoming, Message, Position, Role, VoteKey};

use crate::case::{Failure, Verdict, check};
use crate::desk::{Desk, DeskOptions, member_sender, place};
use crate::stage::{ClientNumber, Effect, MILLI, Options, SECOND, Stage};
use crate::subject::Feature;
use crate::trial::Trial;

/// All kinds of operations of a disk.
const OPERATIONS: [&str; 5] = ["sync", "vote", "history", "peers", "read"];

/// A stage whose windows are small: what is older than 128 KiB comes from disks.
fn small_windows() -> Options {
    Options::members(3).limits(|limits| {
        limits.window_bytes = 128 << 10;
        limits.uncommitted_bytes_max = 64 << 10;
        limits.unapplied_bytes_max = 64 << 10;
        limits.session_window_bytes = 64 << 10;
        limits.message_bytes_max = 4 << 10;
        limits.reply_bytes_max = 64;
    })
}

/// Submits `count` messages of `length` bytes, some at a time, and waits for all replies.
fn exchange(stage: &mut Stage<'_>, client: ClientNumber, count: usize, length: usize) -> Verdict {
    let goal = stage.submitted(client).len() + count;
    while stage.submitted(client).len() < goal {
        let number = stage.submitted(client).len();
        let payload: Vec<u8> = (0..length).map(|at| (at + number) as u8).collect();
        if stage.submit(client, &payload).is_err() {
            // Its window is full: as many replies make room.
            let answered = stage.replies(client).len();
            stage.until("another reply", 10 * SECOND, |stage| {
                stage.replies(client).len() > answered
            })?;
        }
    }
    stage.until("all replies", 20 * SECOND, |stage| stage.replies(client).len() == goal)
}

fn all_level(stage: &mut Stage<'_>, within: u64) -> Verdict {
    let members: Vec<u16> = stage.numbers().collect();
    stage.until("all members are level", within, |stage| {
        stage.is_settled() && stage.is_level(&members)
    })
}

pub(super) fn df_01(trial: &mut Trial<'_>) -> Verdict {
    for leads in [true, false] {
        let seed = trial.seed().wrapping_add(u64::from(leads));
        let mut stage = trial.stage_of(Options::members(3), seed);
        let leader = stage.settle()?;
        let victim = if leads { leader } else { stage.other_than(leader) };
        let client = stage.client();
        stage.request(client, b"before")?;
        stage.run(stage.round_trip() + MILLI)?;
        stage.hold(victim, "sync");
        let promised = stage.view(victim).durable;
        stage.submit(client, b"under way").map_err(|reject| Failure::broken(reject.to_string()))?;
        stage.until("its disk is to sync", stage.election_timeout(), |stage| {
            !stage.held(victim, "sync").is_empty()
        })?;
        stage.break_storage(victim, "a sync failed");
        stage.run(0)?;
        let (broken_at, written) = (stage.now(), stage.disk(victim, |disk| disk.written_end()));
        // The disk is well again, and another sync would seem to succeed.
        stage.release(victim, "sync");
        stage.check(stage.stopped(victim).is_some(), || "the member goes on".to_owned())?;
        let within = 6 * stage.election_timeout();
        stage.until("the others answer", within, |stage| stage.replies(client).len() == 2)?;
        stage.run(2 * stage.election_timeout())?;
        let place = Stage::place_of(victim);
        let sent = stage.sightings().iter().filter(|seen| seen.from == place);
        let late = sent.filter(|seen| seen.at > broken_at).count();
        stage.check(late == 0, || format!("it sent {late} datagrams after its disk had failed"))?;
        let durable = stage.view(victim).durable;
        stage.check(durable == promised, || {
            format!("it states {durable} as durable, and had {promised}")
        })?;
        let end = stage.disk(victim, |disk| disk.written_end());
        stage.check(end == written, || format!("it wrote on, from {written} to {end}"))?;
        stage.power_off(victim);
        stage.start(victim)?;
        all_level(&mut stage, within)?;
        stage.request(client, b"after")?;
    }
    Ok(())
}

pub(super) fn df_07(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let full = stage.settle()?;
    let client = stage.client();
    stage.request(client, b"before")?;
    let timeout = stage.election_timeout();
    stage.set_full(full, true);
    stage.submit(client, b"for another").map_err(|reject| Failure::broken(reject.to_string()))?;
    stage.until("another member leads and answers", 4 * timeout, |stage| {
        stage.replies(client).len() == 2 && stage.leader().is_some_and(|leader| leader != full)
    })?;
    let (whole, end) =
        stage.disk(full, |disk| (disk.frames().last().map(|frame| frame.end), disk.written_end()));
    stage.check(whole == Some(end), || format!("half a frame ends at {end}, not {whole:?}"))?;
    // Its vote does not need the log: with one more member gone it is needed, and is had.
    let successor = stage.leader().unwrap_or_default();
    let third = stage.numbers().find(|member| ![full, successor].contains(member)).unwrap_or(1);
    stage.run(timeout)?;
    stage.power_off(successor);
    stage.until("the third leads with its vote", 8 * timeout, |stage| {
        stage.view(third).role == Role::Leader
    })?;
    let granted = stage.disk(full, |disk| disk.vote().granted_to.map(|member| member.0));
    stage.check(granted == Some(third), || format!("its vote is for {granted:?}"))?;
    stage.set_full(full, false);
    stage.request(client, b"with space")?;
    stage.start(successor)?;
    all_level(&mut stage, 8 * timeout)
}

pub(super) fn df_08(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(small_windows());
    let leader = stage.settle()?;
    let away = stage.other_than(leader);
    let client = stage.client();
    stage.request(client, b"before")?;
    stage.power_off(away);
    exchange(&mut stage, client, 160, 3 << 10)?;
    // Of what is far behind the leader is asked last.
    let third = stage.numbers().find(|other| ![leader, away].contains(other)).unwrap_or(1);
    stage.hold(third, "read");
    stage.start(away)?;
    all_level(&mut stage, 10 * SECOND)?;
    let asked = !stage.held(third, "read").is_empty();
    stage.check(asked, || "the disk that gives nothing back was never asked".to_owned())?;
    stage.check(stage.leader() == Some(leader), || "the leader has changed".to_owned())?;
    stage.release(third, "read");
    stage.request(client, b"after")?;
    all_level(&mut stage, SECOND)?;
    sectors_that_do_not_read(trial)?;
    super::mending::a_sector_is_written_anew(trial)?;
    if trial.needs(Feature::Snapshots).is_ok() {
        return a_snapshot_that_does_not_verify(trial);
    }
    Ok(())
}

/// Sectors of the log of the member that is asked first do not read, while it serves and when it
/// starts again.
fn sectors_that_do_not_read(trial: &Trial<'_>) -> Verdict {
    let mut stage = trial.stage_of(small_windows(), trial.seed().wrapping_add(1));
    let leader = stage.settle()?;
    let away = stage.other_than(leader);
    let third = stage.numbers().find(|other| ![leader, away].contains(other)).unwrap_or(1);
    let client = stage.client();
    stage.request(client, b"before")?;
    stage.power_off(away);
    let from = stage.disk(away, |disk| disk.durable_end());
    exchange(&mut stage, client, 160, 3 << 10)?;
    stage.spoil(third, from);
    let reads =
        |stage: &Stage<'_>| stage.asked(third).iter().filter(|(_, kind)| *kind == "read").count();
    let before = reads(&stage);
    stage.start(away)?;
    all_level(&mut stage, 10 * SECOND)?;
    let asked = reads(&stage) > before;
    stage.check(asked, || "the disk that gives nothing back was never asked".to_owned())?;
    stage.check(stage.stopped(third).is_none(), || {
        "a member stopped for bytes that only others asked for".to_owned()
    })?;
    // Its next life has to apply them again.
    stage.kill(third);
    stage.start(third)?;
    stage.until("it says what does not read, and stops", 10 * SECOND, |stage| {
        stage.stopped(third).is_some_and(|reason| reason.contains("cannot be read"))
    })?;
    stage.request(client, b"after")?;
    stage.until_level(10 * SECOND)
}

/// The newest snapshot of a member does not verify when it starts.
fn a_snapshot_that_does_not_verify(trial: &Trial<'_>) -> Verdict {
    let options = Options::members(3).limits(|limits| limits.snapshot_interval_bytes = 4_000);
    let mut stage = trial.stage_of(options, trial.seed().wrapping_add(2));
    let leader = stage.settle()?;
    let (client, member) = (stage.client(), stage.other_than(leader));
    for _ in 0..4 {
        stage.pour(&[client], 15, 300, 10 * SECOND)?;
        stage.until_level(10 * SECOND)?;
        // The disk has stored what was taken.
        stage.run(5 * MILLI)?;
    }
    stage.kill(member);
    let newest = |stage: &Stage<'_>| {
        stage.disk(member, |disk| {
            disk.newest_snapshot().map_or(Position::ZERO, |stored| stored.snapshot.point.position)
        })
    };
    let whole = newest(&stage);
    stage.damage(member, |disk| disk.break_snapshot());
    let older = newest(&stage);
    stage.start(member)?;
    let applied = stage.view(member).applied;
    stage.check(Position::ZERO < older && older < whole && applied == older, || {
        format!("without its snapshot at {whole} it begins at {applied}; there is one at {older}")
    })?;
    all_level(&mut stage, 10 * SECOND)
}

/// The file system of the leader takes no writes any more, and then does again.
pub(in crate::catalogue) fn df_15(trial: &Trial<'_>) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    let mut stage = trial.stage(Options::members(3));
    let victim = stage.settle()?;
    let (client, te) = (stage.client(), stage.election_timeout());
    stage.request(client, b"before")?;
    stage.break_storage(victim, "the file system is read-only");
    stage.submit(client, b"under way").map_err(|reject| Failure::broken(reject.to_string()))?;
    stage.until("it stops, and another member leads and answers", 6 * te, |stage| {
        stage.stopped(victim).is_some() && stage.replies(client).len() == 2
    })?;
    let (whole, end) = stage
        .disk(victim, |disk| (disk.frames().last().map(|frame| frame.end), disk.written_end()));
    stage.check(whole == Some(end), || format!("half a frame ends at {end}, not {whole:?}"))?;
    stage.request(client, b"meanwhile")?;
    stage.kill(victim);
    stage.start(victim)?;
    all_level(&mut stage, 8 * te)?;
    stage.request(client, b"after")?;
    Ok(())
}

pub(super) fn df_10(trial: &mut Trial<'_>) -> Verdict {
    let timing = |timing: &mut quorate_core::Timing| {
        timing.progress_timeout.0 = timing.election_timeout_max.0 + 10 * MILLI;
    };
    let mut stage = trial.stage(Options::members(3).timing(timing));
    let leader = stage.settle()?;
    let timeout = stage.election_timeout();
    let client = stage.client();
    stage.request(client, b"before")?;
    OPERATIONS.iter().for_each(|kind| stage.hold(leader, kind));
    stage
        .submit(client, b"on a hung disk")
        .map_err(|reject| Failure::broken(reject.to_string()))?;
    stage.until("another member leads", 2 * timeout + 10 * MILLI, |stage| {
        stage.leader().is_some_and(|other| other != leader)
    })?;
    stage.request(client, b"meanwhile")?;
    OPERATIONS.iter().for_each(|kind| stage.release(leader, kind));
    all_level(&mut stage, 8 * timeout)?;
    // A follower whose disk hangs is no part of a quorum.
    let leader = stage.leader().unwrap_or_default();
    let hung = stage.other_than(leader);
    let third = stage.numbers().find(|member| ![leader, hung].contains(member)).unwrap_or(1);
    OPERATIONS.iter().for_each(|kind| stage.hold(hung, kind));
    stage.isolate(third);
    let (commit, answered) = (stage.view(leader).commit, stage.replies(client).len());
    stage.submit(client, b"on two disks").map_err(|reject| Failure::broken(reject.to_string()))?;
    stage.always("nothing is committed with one disk of three", timeout / 2, |stage| {
        stage.view(leader).commit == commit && stage.replies(client).len() == answered
    })?;
    OPERATIONS.iter().for_each(|kind| stage.release(hung, kind));
    stage.until("it counts again", 8 * timeout, |stage| stage.replies(client).len() > answered)?;
    stage.heal_all();
    all_level(&mut stage, 8 * timeout)
}

/// How long 99 of 100 messages took at most, sent one after the other.
fn slowest_but_one_in_a_hundred(
    stage: &mut Stage<'_>,
    client: ClientNumber,
    count: u64,
) -> Result<u64, Failure> {
    let mut times = Vec::new();
    for _ in 0..count {
        let begun = stage.now();
        let reply = stage.request(client, &[7; 64])?;
        times.push(reply.at - begun);
    }
    times.sort_unstable();
    Ok(times[times.len() * 99 / 100])
}

pub(super) fn df_11(trial: &mut Trial<'_>) -> Verdict {
    let count = trial.times(50, 200, 1_000);
    let mut stage = trial.stage(Options::members(3));
    let leader = stage.settle()?;
    let client = stage.client();
    stage.request(client, b"first")?;
    let usual = slowest_but_one_in_a_hundred(&mut stage, client, count)?;
    for slow in [stage.other_than(leader), leader] {
        stage.slow_disk(slow, 100);
        let found = slowest_but_one_in_a_hundred(&mut stage, client, count)?;
        trial.count("p99_us", found / 1_000);
        stage.check(found <= 2 * usual, || {
            let role = if slow == leader { "leader" } else { "follower" };
            format!("with the disk of the {role} slow {found} ns instead of {usual} ns")
        })?;
        stage.slow_disk(slow, 1);
        // What it was asked for while it was slow is done first.
        stage.run(100 * MILLI)?;
        all_level(&mut stage, 4 * SECOND)?;
    }
    check(stage.elections() == 1, || "there were elections".to_owned())
}

pub(super) fn df_14(trial: &mut Trial<'_>) -> Verdict {
    a_restored_image_elects_nobody(trial)?;
    a_restored_image_acknowledges_nothing(trial)
}

/// Committed by the leader and the victim; the third has none of it, but has heard that the victim
/// acknowledged it. With the leader gone, third and image are a majority without the message.
pub(super) fn a_restored_image_elects_nobody(trial: &Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let leader = stage.settle()?;
    let victim = stage.other_than(leader);
    let witness = stage.numbers().find(|member| ![leader, victim].contains(member)).unwrap_or(1);
    let client = stage.client();
    stage.request(client, b"in the image")?;
    all_level(&mut stage, 4 * SECOND)?;
    let image = stage.disk(victim, Clone::clone);
    let place = Stage::place_of(witness);
    let starved = stage.rule("no log for the witness", Effect::Lose, move |passing| {
        passing.to == place && passing.is_log_data()
    });
    stage.request(client, b"on two of three")?;
    // What others acknowledge is heard of at an interval.
    stage.run(3 * SECOND)?;
    stage.power_off(leader);
    stage.power_off(victim);
    stage.damage(victim, |disk| *disk = image);
    stage.start(victim)?;
    stage.remove_rule(starved);
    stage.always("nobody leads without the message", 3 * SECOND, |stage| {
        [victim, witness].iter().all(|member| stage.view(*member).role != Role::Leader)
    })?;
    stage.start(leader)?;
    stage.request(client, b"all three")?;
    all_level(&mut stage, 4 * SECOND)
}

/// What the victim acknowledged before it lost it does not count towards a commit.
fn a_restored_image_acknowledges_nothing(trial: &Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(5));
    let leader = stage.settle()?;
    let others: Vec<u16> = stage.numbers().filter(|member| *member != leader).collect();
    let [victim, slow, ..] = others[..] else { return Err(Failure::Harness("no others".into())) };
    let client = stage.client();
    stage.request(client, b"in the image")?;
    stage.run(stage.heartbeat())?;
    let image = stage.disk(victim, Clone::clone);
    // The victim and one slow member are left, and the leader needs both.
    stage.part(&others[2..], &[leader, victim, slow]);
    stage.hold(slow, "sync");
    let commit = stage.view(leader).commit;
    stage.submit(client, &[1; 200]).map_err(|reject| Failure::broken(reject.to_string()))?;
    stage.run(10 * MILLI)?;
    let acknowledged = stage.view(victim).durable;
    stage.check(acknowledged > commit, || "the victim acknowledged nothing".to_owned())?;
    stage.power_off(victim);
    stage.damage(victim, |disk| *disk = image);
    let place = Stage::place_of(victim);
    let starved = stage.rule("no log for the victim", Effect::Lose, move |passing| {
        passing.to == place && passing.is_log_data()
    });
    stage.start(victim)?;
    stage.run(2 * stage.heartbeat())?;
    let old = stage.view(victim).durable;
    stage.check(old < acknowledged, || format!("the image is not old: it has {old}"))?;
    // With what it acknowledged in its former life there would be three of five.
    stage.release(slow, "sync");
    stage.always("what the victim has lost does not count", 100 * MILLI, |stage| {
        stage.view(leader).commit == commit && stage.replies(client).len() == 1
    })?;
    let answers = stage.view(leader).role == Role::Leader;
    stage.check(answers, || "there was no leader that could have counted".to_owned())?;
    stage.remove_rule(starved);
    stage.until("it counts once it has all of it again", 2 * SECOND, |stage| {
        stage.replies(client).len() == 2
    })?;
    let durable = stage.view(victim).durable;
    stage.check(durable >= acknowledged, || format!("it counts with {durable} only"))?;
    stage.heal_all();
    let within = 8 * stage.election_timeout();
    all_level(&mut stage, within)?;
    its_vote_does_not_count()
}

/// A leader of three hears that member 2 has lost what it had acknowledged, and has to stand again:
/// the word of member 2 makes no quorum, that of member 3 does.
fn its_vote_does_not_count() -> Verdict {
    let options = DeskOptions::small(3);
    let patience = Duration(10 * options.timing.progress_timeout.0);
    let mut desk = Desk::new(options)?;
    let term = desk.lead()?;
    for (boot_epoch, durable) in [(1, desk.view().durable), (2, Position::ZERO)] {
        let (received, limit, commit) = (durable, durable.plus(8 << 10), Position::ZERO);
        let (sequence, round) = (1, 1);
        let message =
            Message::Acknowledge { term, sequence, round, durable, received, limit, commit };
        let content = Incoming::Control(message);
        let (sender, source) = (member_sender(2, boot_epoch), place(2));
        desk.step(Event::Received { sender, source, content });
    }
    let asked = desk.pass(patience).into_iter().rev().find_map(|action| match action {
        Action::Send { message: Message::Canvass { term, round, .. }, .. } => Some((term, round)),
        _ => None,
    });
    let (term, round) = asked.ok_or_else(|| Failure::broken("alone, it leads on"))?;
    let answer = Message::CanvassReply { term, round, granted: true, key: VoteKey::default() };
    let content = Incoming::Control(answer.clone());
    desk.step(Event::Received { sender: member_sender(2, 2), source: place(2), content });
    desk.check(desk.view().role == Role::Canvasser, "the word of who lost bytes counts")?;
    desk.receive(3, answer);
    desk.check(desk.view().role != Role::Canvasser, "the word of who lost nothing does not count")
}

pub(super) fn df_17(trial: &mut Trial<'_>) -> Verdict {
    for round in 0..trial.times(3, 12, 150) {
        let seed = trial.seed().wrapping_mul(1_009).wrapping_add(round);
        let mut stage = trial.stage_of(Options::members(3), seed);
        stage.settle()?;
        let clients = [stage.client(), stage.client()];
        for outage in 0..3 {
            for message in 0..12_u8 {
                for client in clients {
                    // A client whose window is full just submits less.
                    let _ = stage.submit(client, &[message; 300]);
                }
                stage.run(200_000 * (1 + (seed + outage) % 4))?;
            }
            stage.numbers().for_each(|member| stage.power_off(member));
            stage.run(20 * MILLI)?;
            for member in stage.numbers() {
                stage.start(member)?;
            }
        }
        for client in clients {
            let wanted = stage.submitted(client).len();
            stage.until("every message is answered once", 20 * SECOND, |stage| {
                stage.replies(client).len() == wanted
            })?;
            let ended = stage.ended(client).is_some();
            stage.check(!ended, || format!("client {} lost its session", client.0))?;
        }
        all_level(&mut stage, 4 * SECOND)?;
        trial.count("outages", 3);
    }
    Ok(())
}

pub(super) fn df_19(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(small_windows());
    let leader = stage.settle()?;
    let away = stage.other_than(leader);
    let client = stage.client();
    exchange(&mut stage, client, 20, 3 << 10)?;
    stage.power_off(away);
    exchange(&mut stage, client, 60, 3 << 10)?;
    // The others elect anew: the leader restarts.
    stage.power_off(leader);
    stage.run(stage.heartbeat())?;
    stage.start(leader)?;
    exchange(&mut stage, client, 60, 3 << 10)?;
    let behind = stage.view(stage.leader().unwrap_or(leader)).commit;
    stage.start(away)?;
    all_level(&mut stage, 10 * SECOND)?;
    stage.check(stage.view(away).applied >= behind, || "it applied less".to_owned())?;
    exchange(&mut stage, client, 5, 1 << 10)?;
    all_level(&mut stage, SECOND)
}
