//! Frames that are whole or not there, what a leader does with its log, and what it counts.

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use quorate_codecs::{DATAGRAM_BYTES_MAX, Header, encode_control};
use quorate_core::client::{Client, ClientActions, ClientConfig, ClientEvent, ClientLimits};
use quorate_core::frame::Body;
use quorate_core::message::{EpochRange, Live, Message, Sender, Stream};
use quorate_core::{
    Action, Actions, BootEpoch, ClientKey, Event, FailStop, Incarnation, Incoming, Instant, Life,
    LogTime, Member, MemberId, Position, PositionRange, Recovered, RecoveryEpoch, Role, SessionId,
    Term, TermHistory, Vote,
};
use quorate_sim::{Dice, Place};

use super::divergence::{Log, follower, small};
use crate::case::{Failure, Verdict, check};
use crate::desk::{Desk, DeskOptions, LogPiece, config, heartbeat, history, line, place};
use crate::stage::{Effect, MILLI, Options, SECOND, Stage, TAG, written_bytes};
use crate::trial::Trial;

/// Slices of the message that [`ls_10`] cuts.
const SLICES: u64 = 13;

pub(super) fn ls_10(trial: &mut Trial<'_>) -> Verdict {
    let step = trial.times(5, 2, 1);
    for passed in (0..=SLICES).step_by(step as usize) {
        cut_message(trial, passed)?;
    }
    Ok(())
}

/// The leader dies when each follower has so many slices of a message.
fn cut_message(trial: &Trial<'_>, passed: u64) -> Verdict {
    let mut stage = trial.stage_of(Options::members(3), trial.seed().wrapping_add(passed));
    let leader = stage.settle()?;
    let client = stage.client();
    stage.request(client, b"whole")?;
    stage.until_level(SECOND)?;
    let start = stage.view(leader).verified;
    let mut seen: BTreeMap<Place, u64> = BTreeMap::new();
    stage.rule("the message stops half-way", Effect::Lose, move |passing| {
        if passing.from != Stage::place_of(leader) || !passing.is_log_data() {
            return false;
        }
        let seen = seen.entry(passing.to).or_insert(0);
        *seen += 1;
        *seen > passed
    });
    let payload = vec![0xc5; SLICES as usize * 1_216 - 100];
    let taken = stage.submit(client, &payload).is_ok();
    stage.check(taken, || "the client refuses a message".to_owned())?;
    stage.run(5 * MILLI)?;
    let end = stage.view(leader).verified;
    let is_cut = passed < SLICES;
    stage.check(end > start && stage.replies(client).len() == 1, || {
        format!("after {passed} slices: not half-way")
    })?;
    if passed.is_multiple_of(2) {
        stage.kill(leader)
    } else {
        stage.power_off(leader)
    }
    stage.heal_all();
    let within = 12 * stage.election_timeout();
    stage.until("the others elect", within, Stage::is_settled)?;
    let other = stage.other_than(leader);
    let frames = stage.log_frames(other);
    let at_start = frames.iter().find(|frame| frame.start == start).map(|frame| frame.body);
    let opens = matches!(at_start, Some(Body::TermOpen(_)));
    stage.check(opens == is_cut, || format!("after {passed} slices: {at_start:?} is there"))?;
    stage.start(leader)?;
    let answered = |stage: &Stage<'_>| stage.replies(client).len() == 2;
    stage.until("the message is answered in the end", SECOND, answered)?;
    stage.until_level(within)?;
    let frames = stage.log_frames(leader);
    let copies = frames.iter().filter(|frame| frame.payload == payload).count();
    stage.check(copies == 1, || format!("after {passed} slices: it is there {copies} times"))
}

/// A member that was there before and recovers this.
fn recovered(change: impl FnOnce(&mut Recovered)) -> Result<Member, Failure> {
    let life =
        Life { member: MemberId(1), incarnation: Incarnation(1), boot_epoch: BootEpoch(u64::MAX) };
    let mut recovered = Recovered::empty(life);
    change(&mut recovered);
    let options = DeskOptions { limits: small(), ..DeskOptions::member_of(1) };
    Member::new(config(&options), recovered, Instant(1))
        .map_err(|error| Failure::broken(format!("it does not start: {error}")))
}

/// What a member alone does in a second, its writes completing at once.
fn second_of(member: &mut Member) -> Vec<Action> {
    let (mut all, mut actions, mut done) = (Vec::new(), Actions::new(), Vec::new());
    for step in 1..1_000_u64 {
        let event = match done.pop() {
            Some(operation) => Event::Durable { operation },
            None if step % 2 == 0 => Event::Flush,
            None => Event::Timer,
        };
        member.step(Instant(step * MILLI), event, &mut actions);
        for action in actions.drain() {
            match &action {
                Action::Sync { operation }
                | Action::PersistVote { operation, .. }
                | Action::PersistHistory { operation, .. }
                | Action::PersistPeers { operation, .. } => done.insert(0, *operation),
                _ => {}
            }
            all.push(action);
        }
    }
    all
}

pub(super) fn ls_12(_: &mut Trial<'_>) -> Verdict {
    // The last term there is: nobody can stand for another.
    let vote = Vote { term: Term(u64::MAX), granted_to: None };
    let mut member = recovered(|recovered| recovered.vote = vote)?;
    second_of(&mut member);
    let view = member.view();
    let stopped = view.fail_stop == Some(FailStop::Exhausted) && view.term == Term(u64::MAX);
    check(stopped, || format!("behind the last term: {view:?}"))?;
    // One before it can be led once.
    let vote = Vote { term: Term(u64::MAX - 1), granted_to: None };
    let mut member = recovered(|recovered| recovered.vote = vote)?;
    second_of(&mut member);
    let view = member.view();
    check(view.role == Role::Leader && view.term == Term(u64::MAX), || format!("{view:?}"))?;
    let ending = |end: Position| {
        recovered(|recovered| {
            let line = line(1, 1, Position::ZERO, quorate_core::Chain::default());
            recovered.history = TermHistory::new(vec![line]).unwrap_or_default();
            recovered.log_end = end;
        })
    };
    for left in (0..=256).step_by(8) {
        let end = Position((Position::MAX.0 & !7) - left);
        let mut member = ending(end)?;
        for action in second_of(&mut member) {
            if let Action::Append { range } = action {
                let sound = range.start >= end && range.end <= Position::MAX && !range.is_empty();
                check(sound, || format!("{left} bytes before the last position: {range}"))?;
            }
        }
        let view = member.view();
        let whole = view.verified >= end && view.verified <= Position::MAX;
        check(whole, || format!("{left} bytes before the last position: {view:?}"))?;
    }
    let beyond = ending(Position(Position::MAX.0 + 1));
    check(beyond.is_err(), || "a log beyond the last position is taken")?;
    check_message_numbers()
}

/// A message with the last number there is, and one behind it, are not appended in place of others.
fn check_message_numbers() -> Verdict {
    let mut desk = serving_alone()?;
    let mut client = desk_client(1)?;
    connect(&mut desk, &mut client)?;
    let before = desk.view().verified;
    let session = client.session();
    for sequence in [u64::MAX, u64::MAX - 1, 0, 2] {
        let body = Body::Message { session: SessionId::NONE, sequence, time: LogTime(0) };
        let epoch = quorate_core::stream::session_epoch(1, session);
        let tag = quorate_core::stream::ingress_tag(TAG, KEY);
        let bytes = ingress(tag, &body, b"numbered");
        let (stream, live) = (Stream::Ingress(KEY), None);
        let (position, slice) = (Position::ZERO, bytes.as_slice());
        let content = Incoming::Data { stream, epoch, position, live, slice };
        client_says(&mut desk, content);
        desk.complete_all();
        desk.check(desk.view().verified == before, &format!("message {sequence} is appended"))?;
        desk.check(desk.stopped.is_none(), &format!("message {sequence} stops it"))?;
        // Who breaks the rules has to connect anew.
        client = desk_client(1)?;
        connect(&mut desk, &mut client)?;
    }
    Ok(())
}

const KEY: ClientKey = ClientKey(77);

fn ingress(tag: quorate_core::GroupTag, body: &Body, payload: &[u8]) -> Vec<u8> {
    use quorate_core::frame::{FrameFront, FrameSeed};
    let seed = FrameSeed::new(tag, Term(0), Position::ZERO);
    let mut bytes = FrameFront::new(seed, body, (payload, &[])).bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn serving_alone() -> Result<Desk, Failure> {
    let options = DeskOptions { limits: small(), ..DeskOptions::member_of(1) };
    let mut desk = Desk::new(options)?;
    desk.lead()?;
    desk.complete_all();
    desk.check(desk.view().serving, "alone it does not serve")?;
    Ok(desk)
}

/// A client for one member alone.
fn desk_client(seed: u64) -> Result<Client, Failure> {
    let limits = small();
    let config = ClientConfig {
        group: crate::stage::GROUP,
        recovery_epoch: RecoveryEpoch(0),
        key: KEY,
        members: [(MemberId(1), place(1))].into(),
        seed,
        timing: quorate_core::client::ClientTiming::default(),
        limits: ClientLimits {
            message_bytes_max: limits.message_bytes_max,
            session_window_bytes: limits.session_window_bytes,
            ..ClientLimits::default()
        },
    };
    Client::new(config, Instant(1)).map_err(|error| Failure::Harness(error.to_string()))
}

fn client_says(desk: &mut Desk, content: Incoming<'_>) {
    let source = Place::Client(1).endpoint();
    desk.step(Event::Received { sender: Sender::Client { key: KEY }, source, content });
    let answers = desk.actions.clone();
    desk.step(Event::Flush);
    desk.actions.splice(0..0, answers);
}

/// Lets a client open its session, or go on with it.
fn connect(desk: &mut Desk, client: &mut Client) -> Verdict {
    for _ in 0..8 {
        let mut actions = ClientActions::new();
        client.step(desk.now, ClientEvent::Timer, &mut actions);
        for action in actions.drain() {
            let quorate_core::client::ClientAction::Send { message, .. } = action else { continue };
            client_says(desk, Incoming::Control(message));
            let mut answers = desk.actions.clone();
            answers.append(&mut desk.complete_all());
            answer(desk, client, &answers);
        }
        if client.is_served() {
            return Ok(());
        }
        desk.pass(quorate_core::Duration::from_millis(60));
    }
    desk.check(false, "a client is not served")
}

fn answer(desk: &Desk, client: &mut Client, actions: &[Action]) {
    let to = quorate_core::Destination::Client(Place::Client(1).endpoint());
    for message in crate::desk::sent(actions, to) {
        let (sender, source) = (crate::desk::member_sender(1, desk.life()), place(1));
        let content = Incoming::Control(message.clone());
        let event = ClientEvent::Received { sender, source, content };
        client.step(desk.now, event, &mut ClientActions::new());
    }
}

pub(super) fn ls_13(_: &mut Trial<'_>) -> Verdict {
    let log = Log::of(&[1, 1, 1, 1, 1]);
    let bytes: Vec<u8> = log.pieces.iter().flat_map(|piece| piece.bytes.clone()).collect();
    let ends: Vec<u64> = log.pieces.iter().map(|piece| piece.end.0).collect();
    for torn in 0..=bytes.len() {
        let mut disk = Log { pieces: Vec::new(), ..log.clone() }.on_disk(&small());
        disk.append(&bytes[..torn], &[]);
        // Behind the torn end lies what was there before.
        let rest = vec![0xa5; (bytes.len() - torn).min(64)];
        disk.append(&rest, &[]);
        let options = DeskOptions { limits: small(), ..DeskOptions::member_of(1) };
        let mut desk = Desk::on_disk(options, disk, Instant(1))?;
        let whole = ends.iter().rev().find(|end| **end <= torn as u64).copied().unwrap_or(0);
        let found = desk.view().verified.0;
        desk.check(found == whole, &format!("of {torn} bytes it finds {found} whole"))?;
        let kept = written_bytes(&desk.disk, PositionRange::new(Position::ZERO, Position(whole)));
        desk.check(kept == bytes[..whole as usize], "it changes what was there")?;
        desk.lead()?;
        desk.complete_all();
        let view = desk.view();
        let all = view.applied == view.verified && view.verified.0 > whole;
        desk.check(all, &format!("behind {whole} bytes it does not go on"))?;
    }
    Ok(())
}

pub(super) fn ls_14(trial: &mut Trial<'_>) -> Verdict {
    for run in 0..trial.times(10, 100, 1_000) {
        let mut dice = Dice::new(trial.seed().wrapping_add(run), "at a leader");
        let mut desk = follower(&Log::of(&[1, 1, 3, 3]))?;
        let term = desk.lead()?;
        let base = Log::of(&[1, 1, 3, 3]).end();
        let acknowledged = acknowledge(term, 1, desk.view().verified);
        desk.receive(2, acknowledged);
        for step in 0..100 {
            let before = (desk.disk.frames().to_vec(), desk.disk.written_end());
            let actions = something(&mut desk, term, step, &mut dice);
            let view = desk.view();
            if view.role != Role::Leader || view.term != term {
                break;
            }
            let mut end = before.1;
            for action in &actions {
                match action {
                    Action::Append { range } => {
                        desk.check(range.start == end, &format!("it writes {range} at {end}"))?;
                        end = range.end;
                    }
                    Action::PersistHistory { cut, .. } => {
                        desk.check(false, &format!("it cuts at {cut}"))?;
                    }
                    _ => {}
                }
            }
            let frames = desk.disk.frames();
            desk.check(frames.starts_with(&before.0), "it rewrites what it had")?;
            let own = frames.iter().filter(|frame| frame.start >= base);
            desk.check(own.clone().all(|frame| frame.term == term), "frames of another term")?;
            trial.count("frames", own.count() as u64);
        }
    }
    Ok(())
}

/// Something happens to a leader: late, foreign or ordinary.
fn something(desk: &mut Desk, term: Term, step: u64, dice: &mut Dice) -> Vec<Action> {
    let (from, older) = (dice.pick(&[2, 3]), dice.between(0, term.0 - 1));
    let end = desk.view().verified;
    match dice.below(7) {
        0 => {
            let other = Log::of(&[1, 1, 3, 3, 3]);
            let frame = dice.below(5) as usize;
            let piece = LogPiece { ..other.pieces[frame].clone() };
            desk.receive_log(from, older.max(1), &piece, None);
        }
        1 => {
            desk.receive(from, heartbeat(older, step));
        }
        2 => {
            let lines = Log::of(&[1, 1, 2, 2]).lines;
            for message in history(older, Position::ZERO, &lines) {
                desk.receive(from, message);
            }
        }
        3 => {
            let durable = Position(dice.below(end.0 / 8 + 1) * 8);
            desk.receive(from, acknowledge(Term(dice.between(older, term.0)), step, durable));
        }
        4 => {
            let (epoch, at) = (older, Position(dice.below(end.0 / 8 + 1) * 8));
            let range = PositionRange::at(at, 64);
            let ranges = [EpochRange { epoch, range }].into_iter().collect();
            desk.receive(from, Message::Nak { stream: Stream::Log, ranges });
        }
        5 => {
            let own = LogPiece {
                start: end,
                end: end.plus(8),
                bytes: vec![1; 8],
                chain: quorate_core::Chain(1),
            };
            desk.receive_log(from, term.0, &own, Some(Live { newest: end.plus(8), commit: end }));
        }
        _ => {
            let (key, source) = (ClientKey(step + 1), Place::Client(1).endpoint());
            let message = Message::Connect {
                connection: 1,
                session: SessionId::NONE,
                ingress_start: Position::ZERO,
                unanswered: 1,
            };
            let content = Incoming::Control(message);
            desk.step(Event::Received { sender: Sender::Client { key }, source, content });
        }
    }
    let mut all = desk.actions.clone();
    desk.step(Event::Flush);
    all.extend(desk.actions.clone());
    all.append(&mut desk.complete_all());
    all
}

const fn acknowledge(term: Term, sequence: u64, durable: Position) -> Message {
    let (round, received, commit) = (0, durable, Position::ZERO);
    let limit = Position(durable.0 + (1 << 14));
    Message::Acknowledge { term, sequence, round, durable, received, limit, commit }
}

type Repairs = Rc<RefCell<Vec<(u64, Position, Vec<u8>)>>>;

pub(super) fn ls_15(trial: &mut Trial<'_>) -> Verdict {
    let options = Options::members(3).limits(|limits| {
        *limits = small();
        limits.run_bytes_max = 4 * u64::from(limits.slice_bytes);
    });
    let mut stage = trial.stage(options);
    let first = stage.settle()?;
    let client = stage.client();
    let mut dice = Dice::new(trial.seed(), "ranges");
    for _ in 0..40 {
        stage.request(client, &vec![0x5a; dice.between(1, 4_000) as usize])?;
    }
    // Two terms in the log, and its beginning outside of every window.
    stage.kill(first);
    stage.request(client, b"of the second term")?;
    stage.start(first)?;
    stage.until_level(12 * stage.election_timeout())?;
    let asked = stage.leader().unwrap_or_default();
    let asker = stage.other_than(asked);
    let end = stage.view(asked).verified;
    stage.check(end.0 > small().window_bytes, || format!("a log of {end} bytes only"))?;
    let (repairs, unavailable) = listen(&mut stage, asked, asker);
    for _ in 0..trial.times(20, 100, 1_000) {
        let start = dice.below(end.0 / 8) * 8;
        let length = (dice.between(1, 1_000) * 8).min(end.0 - start);
        let range = PositionRange::at(Position(start), length);
        for (epoch, part) in by_term(&stage, asked, range) {
            repairs.borrow_mut().clear();
            ask(&mut stage, (asker, asked), epoch, part);
            stage.run(60 * MILLI)?;
            let mut bytes = vec![None; part.len() as usize];
            for (of, position, slice) in repairs.borrow().iter() {
                if *of == epoch && part.contains(PositionRange::at(*position, slice.len() as u64)) {
                    let at = position.since(part.start) as usize;
                    bytes[at..at + slice.len()]
                        .copy_from_slice(&slice.iter().copied().map(Some).collect::<Vec<_>>());
                }
            }
            let bytes: Option<Vec<u8>> = bytes.into_iter().collect();
            let same = bytes == Some(stage.log_bytes(asked, part));
            stage.check(same, || format!("{part} of term {epoch} does not come as it is"))?;
        }
    }
    for (epoch, start) in [(stage.view(asked).term.0, end.0), (999, 0)] {
        unavailable.borrow_mut().clear();
        let range = PositionRange::at(Position(start), 64);
        ask(&mut stage, (asker, asked), epoch, range);
        stage.run(60 * MILLI)?;
        let told = unavailable.borrow().first() == Some(&EpochRange { epoch, range });
        stage.check(told, || format!("nobody says that {range} of {epoch} is not there"))?;
    }
    Ok(())
}

/// Notes what `asked` sends to `asker`: repairs, and what it does not have.
fn listen(
    stage: &mut Stage<'_>,
    asked: u16,
    asker: u16,
) -> (Repairs, Rc<RefCell<Vec<EpochRange>>>) {
    let (repairs, unavailable) = (Repairs::default(), Rc::<RefCell<Vec<EpochRange>>>::default());
    let (heard, missing) = (Rc::clone(&repairs), Rc::clone(&unavailable));
    let link = (Stage::place_of(asked), Stage::place_of(asker));
    stage.rule("listens", Effect::Pass, move |passing| {
        if (passing.from, passing.to) == link {
            match &passing.content {
                Some((_, Incoming::Data { epoch, position, live: None, slice, .. })) => {
                    heard.borrow_mut().push((*epoch, *position, slice.to_vec()));
                }
                Some((_, Incoming::Control(Message::Unavailable { range, .. }))) => {
                    missing.borrow_mut().push(*range);
                }
                _ => {}
            }
        }
        false
    });
    (repairs, unavailable)
}

/// The parts of a range by the term that owns them.
fn by_term(stage: &Stage<'_>, member: u16, range: PositionRange) -> Vec<(u64, PositionRange)> {
    stage.disk(member, |disk| {
        let history = disk.history();
        let mut parts = Vec::new();
        let mut start = range.start;
        while start < range.end {
            let Some(owner) = history.owner(start) else { break };
            let end = history.owner_end(start).map_or(range.end, |end| end.min(range.end));
            parts.push((owner.term.0, PositionRange::new(start, end)));
            start = end;
        }
        parts
    })
}

/// Asks `to` for a range as `from` would.
fn ask(stage: &mut Stage<'_>, (from, to): (u16, u16), epoch: u64, range: PositionRange) {
    let life = stage.view(from).life;
    let (member, incarnation, boot_epoch) = (life.member, life.incarnation, life.boot_epoch);
    let sender = Sender::Member { member, incarnation, boot_epoch };
    let ranges = [EpochRange { epoch, range }].into_iter().collect();
    let message = Message::Nak { stream: Stream::Log, ranges };
    let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
    let length = encode_control(&Header { tag: TAG, sender }, &message, &mut bytes);
    bytes.truncate(length.unwrap_or(0));
    stage.inject(Stage::place_of(from), to, bytes);
}

/// What a brute-force count knows of a follower.
#[derive(Clone, Copy, Default)]
struct Counted {
    sequence: u64,
    durable: Position,
}

pub(super) fn ls_17(trial: &mut Trial<'_>) -> Verdict {
    for run in 0..trial.times(20, 300, 3_000) {
        let mut dice = Dice::new(trial.seed().wrapping_add(run), "acknowledgements");
        let members = dice.pick(&[3_u16, 5]);
        let options = DeskOptions { limits: small(), ..DeskOptions::member_of(members) };
        let mut desk = Desk::new(options)?;
        let term = desk.lead()?;
        let ends = grow(&mut desk, term, members)?;
        let mut counted: BTreeMap<u16, Counted> = BTreeMap::new();
        let mut commit = desk.view().commit;
        for _ in 0..60 {
            let from = dice.between(2, u64::from(members)) as u16;
            let durable = dice.pick(&ends);
            let sequence = dice.between(3, 30);
            // Some of the term before; they count for nothing.
            let of = if dice.below(4) == 0 { Term(term.0 - 1) } else { term };
            desk.receive(from, acknowledge(of, sequence, durable));
            let known = counted.entry(from).or_default();
            if of == term && sequence > known.sequence {
                known.sequence = sequence;
                known.durable = known.durable.max(durable);
            }
            let mut durables: Vec<Position> = counted.values().map(|one| one.durable).collect();
            durables.push(desk.view().durable);
            durables.resize(usize::from(members), Position::ZERO);
            durables.sort_unstable_by(|a, b| b.cmp(a));
            commit = commit.max(durables[usize::from(members) / 2]);
            let found = desk.view().commit;
            desk.check(found == commit, &format!("run {run}: {found} counted, not {commit}"))?;
            desk.complete_all();
        }
    }
    former_lives()
}

/// Lets a leader's log grow by a few frames that only its own disk has; where they end.
fn grow(desk: &mut Desk, term: Term, members: u16) -> Result<Vec<Position>, Failure> {
    let opened = desk.view().verified;
    for other in 2..=members {
        desk.receive(other, acknowledge(term, 1, opened));
    }
    desk.check(desk.view().serving, "it does not serve")?;
    let mut ends = vec![opened];
    for key in 1..=6 {
        let source = Place::Client(key).endpoint();
        let message = Message::Connect {
            connection: 1,
            session: SessionId::NONE,
            ingress_start: Position::ZERO,
            unanswered: 1,
        };
        let (sender, content) =
            (Sender::Client { key: ClientKey(key.into()) }, Incoming::Control(message));
        desk.step(Event::Received { sender, source, content });
        ends.push(desk.view().verified);
    }
    desk.step(Event::Flush);
    desk.complete_all();
    let grown = desk.view().durable == *ends.last().unwrap_or(&opened);
    desk.check(grown && desk.view().commit == opened, "its log does not grow alone")?;
    Ok(ends)
}

/// What a former life of a follower acknowledged is void once a newer one was heard.
fn former_lives() -> Verdict {
    let options = DeskOptions { limits: small(), ..DeskOptions::member_of(3) };
    let mut desk = Desk::new(options)?;
    let term = desk.lead()?;
    let ends = grow(&mut desk, term, 3)?;
    let (opened, newest) = (ends[0], ends[6]);
    let (source, content) = (place(2), Incoming::Control(acknowledge(term, 1, opened)));
    let sender = crate::desk::member_sender(2, 2);
    desk.step(Event::Received { sender, source, content });
    // The former life held more, and says so late.
    desk.receive(2, acknowledge(term, 99, newest));
    desk.check(desk.view().commit == opened, "a former life counts")?;
    desk.receive(3, acknowledge(term, 2, newest));
    desk.check(desk.view().commit == newest, "a living one does not count")
}
