//! Cases about windows: how far a sender may go, who says so, and what becomes of that.

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use quorate_core::message::{ConnectOutcome, Incoming};
use quorate_core::{Destination, Duration, Event, MemberId, Message, Position, Stream, Term};
use quorate_sim::{Dice, Place};

use crate::case::{Failure, Verdict};
use crate::desk::{Desk, member_sender, place};
use crate::desk_client::{DeskClient, acknowledge};
use crate::scripted_log::{ScriptedLog, naks, range, runs, small_desk};
use crate::stage::{Effect, MILLI, Options, Passing, SECOND, Stage};
use crate::trial::Trial;

/// What receivers said of their windows, and who went beyond.
#[derive(Default)]
struct Windows {
    /// How far the sender may go to the receiver, by stream.
    limits: BTreeMap<(Place, Place, &'static str), Position>,
    /// Data that was looked at.
    looked_at: u64,
    breach: Option<String>,
}

impl Windows {
    fn see(&mut self, passing: &Passing<'_>) {
        let Some((_, content)) = &passing.content else { return };
        match content {
            Incoming::Control(Message::Acknowledge { limit, .. }) => {
                self.allow(passing, "log", *limit);
            }
            Incoming::Control(Message::StreamStatus {
                stream: Stream::Ingress(_), limit, ..
            })
            | Incoming::Control(Message::ConnectReply {
                outcome: ConnectOutcome::Open { limit, .. },
                ..
            }) => self.allow(passing, "ingress", *limit),
            Incoming::Data { stream: Stream::Log, live: Some(_), position, slice, .. } => {
                self.go(passing, "log", position.plus(slice.len() as u64));
            }
            Incoming::Data { stream: Stream::Ingress(_), position, slice, .. } => {
                self.go(passing, "ingress", position.plus(slice.len() as u64));
            }
            _ => {}
        }
    }

    /// The receiver allows the sender to go up to `limit`.
    fn allow(&mut self, passing: &Passing<'_>, stream: &'static str, limit: Position) {
        let known = self.limits.entry((passing.to, passing.from, stream)).or_default();
        *known = limit.max(*known);
    }

    fn go(&mut self, passing: &Passing<'_>, stream: &'static str, end: Position) {
        let (from, to) = (passing.from, passing.to);
        let limit = self.limits.get(&(from, to, stream)).copied().unwrap_or_default();
        self.looked_at += 1;
        if end > limit && self.breach.is_none() {
            let text = format!("{from:?} sends {to:?} the {stream} up to {end}, beyond {limit}");
            self.breach = Some(text);
        }
    }

    /// Has all datagrams of a stage looked at from now on.
    fn watch(stage: &mut Stage<'_>) -> Rc<RefCell<Self>> {
        let windows = Rc::new(RefCell::new(Self::default()));
        let watching = Rc::clone(&windows);
        stage.rule("windows are watched", Effect::Pass, move |passing| {
            watching.borrow_mut().see(passing);
            false
        });
        windows
    }
}

pub(super) fn fc_01(trial: &mut Trial<'_>) -> Verdict {
    let mut dice = Dice::new(trial.seed(), "fc_01");
    for seed in 0..trial.times(2, 12, 200) {
        let mut options = Options::members(3).limits(|limits| {
            limits.window_bytes = dice.pick(&[32 << 10, 64 << 10, 128 << 10]);
            limits.uncommitted_bytes_max = limits.window_bytes / 2;
            limits.session_window_bytes = dice.pick(&[16 << 10, 32 << 10, 64 << 10]);
            (limits.message_bytes_max, limits.reply_bytes_max) = (2 << 10, 1 << 10);
            limits.slice_bytes = dice.pick(&[256, 608, 1_216]);
        });
        options.disk_latency = (50_000, dice.pick(&[200_000, 5_000_000]));
        let mut stage = trial.stage_of(options, trial.seed() + seed);
        let windows = Windows::watch(&mut stage);
        stage.rule("10 % is lost", Effect::LoseSometimes(100_000), |_| true);
        let leader = stage.settle()?;
        let follower = stage.other_than(leader);
        let clients = stage.connected_clients(3)?;
        stage.pour(&clients, 30, 1_500, 60 * SECOND)?;
        // A follower without space takes nothing more: its window closes, and opens again.
        stage.set_full(follower, true);
        stage.pour(&clients, 60, 1_500, 60 * SECOND)?;
        let key = (Stage::place_of(leader), Stage::place_of(follower), "log");
        let limit = windows.borrow().limits.get(&key).copied().unwrap_or_default();
        let closed = stage.view(leader).verified > limit;
        stage.check(closed, || format!("the window of member {follower} did not close"))?;
        stage.set_full(follower, false);
        stage.heal_all();
        let members = [leader, follower];
        stage.until("all is level", 10 * SECOND, move |stage| stage.is_level(&members))?;
        let windows = windows.borrow();
        stage.check(windows.looked_at > 300, || "hardly any data was sent".into())?;
        stage.check(windows.breach.is_none(), || windows.breach.clone().unwrap_or_default())?;
    }
    Ok(())
}

/// Windows that a few messages fill.
fn narrow(members: usize) -> Options {
    Options::members(members).limits(|limits| {
        (limits.window_bytes, limits.uncommitted_bytes_max) = (64 << 10, 32 << 10);
        (limits.session_window_bytes, limits.in_flight_max) = (32 << 10, 256);
        (limits.message_bytes_max, limits.reply_bytes_max) = (2 << 10, 512);
    })
}

pub(super) fn fc_02(trial: &mut Trial<'_>) -> Verdict {
    let mut options = narrow(3);
    // Who hears its leader so seldom shall not connect anew all the time.
    options.client_timing.server_timeout = Duration::from_millis(2_000);
    let mut stage = trial.stage(options);
    let leader = stage.settle()?;
    let follower = stage.other_than(leader);
    let clients = stage.connected_clients(1)?;
    let mut dice = Dice::new(trial.seed(), "fc_02");
    let is_update = move |passing: &Passing<'_>| match passing.kind() {
        "acknowledge" => passing.from == Stage::place_of(follower),
        "stream_status" => passing.from == Stage::place_of(leader),
        _ => false,
    };
    let rule = stage.rule("no update of a window arrives", Effect::Lose, is_update);
    let duration = trial.times(500 * MILLI, 5 * SECOND, 5 * SECOND);
    let offered = stage.offer(&clients, 1_500, MILLI, duration)?;
    stage.check(offered.refused > 0, || "the client's window did not close".into())?;
    stage.remove_rule(rule);
    let rare = stage.rule("one update in ten arrives", Effect::Lose, move |passing| {
        is_update(passing) && dice.below(10) > 0
    });
    let begun = stage.now();
    stage.pour(&clients, trial.times(60, 200, 2_000), 1_500, 60 * SECOND)?;
    let live = stage.sightings().iter().filter(|sent| {
        sent.at >= begun && sent.kind == "live" && sent.to == Stage::place_of(follower)
    });
    let live = live.count();
    stage.check(live > 0, || format!("no new data goes to member {follower} any more"))?;
    stage.remove_rule(rare);
    let answered = stage.is_answered(&clients);
    stage.check(answered, || "not every message was answered".into())?;
    stage.even_out()
}

pub(super) fn fc_03(trial: &mut Trial<'_>) -> Verdict {
    let options = narrow(3);
    let disk = options.disk_latency.1;
    let mut stage = trial.stage(options);
    let leader = stage.settle()?;
    let clients = stage.connected_clients(1)?;
    let followers: Vec<u16> = stage.numbers().filter(|member| *member != leader).collect();
    for round in 0..trial.times(2, 5, 50) {
        // Without a quorum of disks nothing is committed, and the leader takes in no more.
        followers.iter().for_each(|member| stage.hold(*member, "sync"));
        let offered = stage.offer(&clients, 1_500, MILLI, 150 * MILLI)?;
        stage.check(offered.refused > 0, || format!("round {round}: the window stays open"))?;
        let closed = stage.now();
        stage.run(100 * MILLI)?;
        let sent = stage.sent_since(closed, "ingress");
        stage.check(sent == 0, || format!("{sent} datagrams went into a closed window"))?;
        followers.iter().for_each(|member| stage.release(*member, "sync"));
        let opened = stage.now();
        let within = stage.heartbeat() + stage.round_trip() + 2 * disk;
        let pause = stage.round_trip();
        stage.offer(&clients, 1_500, pause, within)?;
        let sent = stage.sent_since(opened, "ingress");
        stage.check(sent > 0, || format!("nothing was sent {within} ns after it opened"))?;
        let all = clients.clone();
        stage.until("all is answered", 5 * SECOND, move |stage| stage.is_answered(&all))?;
    }
    let elections = stage.elections();
    stage.check(elections == 1, || format!("{elections} elections"))
}

pub(super) fn fc_08(trial: &mut Trial<'_>) -> Verdict {
    // A follower has room for the front of what comes behind a hole.
    let mut options = small_desk(3);
    options.limits.window_bytes = 32 << 10;
    (options.limits.uncommitted_bytes_max, options.limits.read_bytes_max) = (16 << 10, 8 << 10);
    let log = ScriptedLog::new(2, 2, 100, 1_000);
    let limit = options.limits.window_bytes;
    let mut desk = log.follower(options.clone())?;
    let hole = 512;
    log.feed_live(&mut desk, &log.slice(range(hole, log.end().0)));
    let seen = desk.view();
    desk.check(seen.received == Position::ZERO, "there is no hole")?;
    log.feed(&mut desk, &log.slice(range(0, hole)));
    let view = desk.view();
    let text = format!("of {} bytes the {limit} for which there is room were not taken", log.end());
    desk.check(view.received == Position(limit), &text)?;
    desk.complete_all();
    desk.receive(2, log.heartbeat(2, log.end(), Position::ZERO));
    desk.step(Event::Flush);
    let acknowledged = desk.sent_to(2).into_iter().find_map(|message| match message {
        Message::Acknowledge { received, durable, .. } => Some((*received, *durable)),
        _ => None,
    });
    let wanted = Some((view.received, view.verified));
    let text = format!("it acknowledges {acknowledged:?}, not {wanted:?}");
    desk.check(acknowledged == wanted && view.verified.0 > limit / 2, &text)?;
    let more = desk.pass(options.timing.nak_delay.times(4));
    let asked = naks(&more).into_iter().flat_map(|(_, ranges)| ranges).next();
    let rest = asked.is_some_and(|asked| asked.start == view.received);
    desk.check(rest, &format!("it does not ask for the rest, but for {asked:?}"))?;
    a_leader_takes_the_front_of_a_batch(trial.times(40, 40, 40))
}

/// A leader that may have so much uncommitted takes in the front of what a client sends, and the
/// rest when that is committed.
fn a_leader_takes_the_front_of_a_batch(messages: u64) -> Verdict {
    let mut options = small_desk(3);
    options.limits.uncommitted_bytes_max = 16 << 10;
    let limits = options.limits.clone();
    let mut desk = Desk::new(options)?;
    let term = desk.lead()?;
    let mut client = DeskClient::new(&desk, &limits)?;
    let mut sequence = 0;
    let mut commit_all = |desk: &mut Desk, client: &mut DeskClient| {
        sequence += 1;
        let (held, limit) = (desk.view().durable, Position(1 << 30));
        desk.receive(2, acknowledge(term, sequence, held, limit));
        let mut done = desk.actions.clone();
        done.append(&mut desk.complete_all());
        desk.step(Event::Flush);
        done.extend_from_slice(&desk.actions);
        done.append(&mut desk.complete_all());
        client.hear(desk, &done);
    };
    // The opening frame is committed, then the client's session.
    for _ in 0..4 {
        commit_all(&mut desk, &mut client);
        client.wake(&mut desk);
        desk.complete_all();
    }
    for _ in 0..messages {
        client.submit(&mut desk, &[5; 1_000]);
    }
    let appended = desk.member.counters().messages_appended;
    let uncommitted = desk.view().verified.since(desk.view().commit);
    let part = appended > 0 && appended < client.accepted;
    desk.check(part, &format!("{appended} of {} messages were taken in", client.accepted))?;
    let bound = limits.uncommitted_bytes_max;
    desk.check(uncommitted <= bound, &format!("{uncommitted} bytes are uncommitted"))?;
    for _ in 0..2 * messages {
        desk.complete_all();
        commit_all(&mut desk, &mut client);
    }
    let (all, answered) = (client.accepted, client.answered);
    let text = format!("{answered} of {all} messages were answered once there was room");
    desk.check(all == messages && answered == all, &text)
}

/// A leader of two terms on a desk, which inherited all of `log` and sends what it is allowed to.
fn leader_of(log: &ScriptedLog) -> Result<(Desk, Term), Failure> {
    let mut options = small_desk(3);
    options.limits.repair_budget_bytes = 8 << 10;
    let mut desk = log.holder(options)?;
    let term = desk.lead()?;
    desk.complete_all();
    Ok((desk, term))
}

/// What goes to member 2 as new data once the member has flushed; where it ends.
fn sent_up_to(desk: &mut Desk, mut end: Position) -> Position {
    let to = Destination::Member(MemberId(2));
    desk.step(Event::Flush);
    loop {
        let more = runs(&desk.actions).into_iter().filter(|run| run.0 == to);
        let furthest = more.map(|run| run.1.end).max();
        let Some(furthest) = furthest.filter(|furthest| *furthest > end) else { return end };
        end = furthest;
        desk.step(Event::Flush);
    }
}

pub(super) fn fc_10(_: &mut Trial<'_>) -> Verdict {
    let log = ScriptedLog::new(2, 2, 60, 1_000);
    let (mut desk, term) = leader_of(&log)?;
    let says = |desk: &mut Desk, sender, term, sequence, limit| {
        let content =
            Incoming::Control(acknowledge(term, sequence, Position::ZERO, Position(limit)));
        let before = desk.member.counters().datagrams_ignored;
        desk.step(Event::Received { sender, source: place(2), content });
        desk.member.counters().datagrams_ignored - before
    };
    let peer = member_sender(2, 1);
    says(&mut desk, peer, term, 5, 8_192);
    let end = sent_up_to(&mut desk, Position::ZERO);
    desk.check(end == Position(8_192), &format!("it sends up to {end}, not to the limit"))?;
    let stale = [
        ("an older, larger window", peer, term, 3, 32_768),
        ("the same again, larger", peer, term, 5, 32_768),
        ("one of a former term", peer, Term(term.0 - 1), 9, 32_768),
        ("one of a stranger", member_sender(9, 1), term, 9, 32_768),
        ("an older, smaller window", peer, term, 4, 64),
    ];
    for (what, sender, term, sequence, limit) in stale {
        let ignored = says(&mut desk, sender, term, sequence, limit);
        let now = sent_up_to(&mut desk, end);
        desk.check(now == end, &format!("{what}: it sends up to {now}"))?;
        desk.check(ignored == 1, &format!("{what}: not counted as ignored"))?;
    }
    says(&mut desk, peer, term, 6, 16_384);
    let end = sent_up_to(&mut desk, end);
    desk.check(end == Position(16_384), &format!("then it sends up to {end}, not to the limit"))?;
    // The follower has less room than it said, and says so: nothing more until it has again.
    says(&mut desk, peer, term, 7, 12_288);
    let now = sent_up_to(&mut desk, end);
    desk.check(now == end, &format!("into a smaller window it sends up to {now}"))?;
    // Of a former life nothing counts, and what a new one says counts from its first word on.
    says(&mut desk, member_sender(2, 2), term, 1, 20_480);
    let end = sent_up_to(&mut desk, Position::ZERO);
    desk.check(end == Position(20_480), &format!("to a new life it sends up to {end}"))?;
    says(&mut desk, peer, term, 9, 32_768);
    let now = sent_up_to(&mut desk, end);
    desk.check(now == end, &format!("the former life makes it send up to {now}"))
}

pub(super) fn fc_11(_: &mut Trial<'_>) -> Verdict {
    let log = ScriptedLog::new(2, 2, 60, 1_000);
    let (mut desk, term) = leader_of(&log)?;
    let (budget, interval) = (8_u64 << 10, small_desk(3).timing.heartbeat_interval);
    let linger = small_desk(3).timing.repair_linger;
    let (mut limit, mut sequence, mut repaired_before) = (0_u64, 0, 0);
    for round in 1..=4 {
        limit += 8_192;
        let mut done = Vec::new();
        for (member, limit) in [(2, Position(limit)), (3, Position::ZERO)] {
            sequence += 1;
            desk.receive(member, acknowledge(term, sequence, Position::ZERO, limit));
            done.extend_from_slice(&desk.actions);
        }
        // Member 3 asks for more than the budget, again and again; member 2 has room for new data.
        for _ in 0..4 {
            for (start, end) in [(0, 24 << 10), (24 << 10, 48 << 10)] {
                desk.receive(3, log.nak(&[range(start, end)]));
                done.extend_from_slice(&desk.actions);
            }
            done.append(&mut desk.pass(Duration(linger.0.min(interval.0 / 8))));
        }
        let repaired = desk.member.counters().repair_bytes_sent - repaired_before;
        repaired_before += repaired;
        let text = format!("round {round}: repairs of {repaired} bytes, the budget is {budget}");
        desk.check(repaired <= budget && repaired > budget / 2, &text)?;
        // New data does not wait for repairs, and does not go beyond its window either.
        let to = Destination::Member(MemberId(2));
        let new = runs(&done).into_iter().filter(|run| run.0 == to).map(|run| run.1.end).max();
        let text = format!("round {round}: new data up to {new:?}, the window to {limit}");
        desk.check(new == Some(Position(limit)), &text)?;
        desk.pass(interval);
    }
    Ok(())
}
