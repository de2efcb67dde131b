//! Numbers near their end.

use quorate_core::client::{Client, ClientActions, ClientConfig, ClientEvent, ClientLimits};
use quorate_core::frame::Body;
use quorate_core::message::{Sender, Stream};
use quorate_core::{
    Action, Actions, BootEpoch, ClientKey, Event, FailStop, Incarnation, Incoming, Instant, Life,
    LogTime, Member, MemberId, Position, Recovered, RecoveryEpoch, Role, SessionId, Term,
    TermHistory, Vote,
};
use quorate_sim::Place;

use super::logs::small;
use crate::case::{Failure, Verdict, check};
use crate::desk::{Desk, DeskOptions, config, line, place};
use crate::stage::{MILLI, TAG};
use crate::trial::Trial;

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

/// A message with a number far beyond the next, or the last there is, is not appended (E110).
fn check_message_numbers() -> Verdict {
    let mut desk = serving_alone()?;
    let mut client = desk_client(1)?;
    connect(&mut desk, &mut client)?;
    let before = desk.view().verified;
    let session = client.session();
    for sequence in [2, 0, u64::MAX - 1, u64::MAX] {
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
