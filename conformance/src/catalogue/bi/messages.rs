//! Messages that can be read, and should not have been sent.

use quorate_core::message::{ConnectOutcome, EpochRange, Incoming, Live};
use quorate_core::{
    Chain, ClientKey, Endpoint, Event, FailStop, Limits, MemberId, Message, OperationId, Outputs,
    Position, PositionRange, Role, Sender, SessionId, Stream, Term, View, VoteKey,
};
use quorate_sim::{Dice, Work};

use crate::case::{Failure, Verdict, check};
use crate::desk::{
    Desk, DeskOptions, LogPiece, heartbeat, history, line, member_sender, opening, piece, place,
};
use crate::trial::Trial;

pub(super) fn bi_02(trial: &mut Trial<'_>) -> Verdict {
    let mut dice = Dice::new(trial.seed(), "steps");
    for _ in 0..trial.times(25, 250, 4_000) {
        let length = 50 + dice.below(1_500);
        let bytes: Vec<u8> = (0..length).map(|_| dice.bits() as u8).collect();
        // Panics when a member does, breaks an invariant, or stops without a reason.
        quorate_fuzz::step(&bytes);
    }
    Ok(())
}

/// Where a member is when something happens to it.
#[derive(Clone, Copy, Debug)]
enum Beginning {
    Fresh,
    Follower,
    Canvasser,
    /// It leads, and its opening frame is not committed yet.
    Elected,
    Leader,
}

const BEGINNINGS: [Beginning; 5] = [
    Beginning::Fresh,
    Beginning::Follower,
    Beginning::Canvasser,
    Beginning::Elected,
    Beginning::Leader,
];

/// Member 1 of three, in its place, with something committed where there is a log.
fn desk(beginning: Beginning) -> Result<Desk, Failure> {
    // Small windows: there are thousands of desks.
    let limits = Limits {
        window_bytes: 64 << 10,
        uncommitted_bytes_max: 32 << 10,
        unapplied_bytes_max: 32 << 10,
        session_window_bytes: 16 << 10,
        message_bytes_max: 1 << 10,
        reply_bytes_max: 64,
        ..Limits::default()
    };
    let mut desk = Desk::new(DeskOptions { limits, ..DeskOptions::member_of(3) })?;
    match beginning {
        Beginning::Fresh => {}
        Beginning::Follower => {
            let line = line(4, 2, Position::ZERO, Chain::default());
            desk.follow(2, 4, &[line]);
            let first = opening(&line, Term(0));
            let message = message_piece(&first);
            let live = Live { newest: message.end, commit: first.end };
            desk.receive_log(2, 4, &first, Some(live));
            desk.receive_log(2, 4, &message, Some(live));
            desk.complete_all();
        }
        Beginning::Canvasser => {
            for _ in 0..40 {
                if desk.view().role == Role::Canvasser {
                    break;
                }
                let step = quorate_core::Duration::from_millis(10);
                desk.pass(step);
                desk.complete_all();
            }
        }
        Beginning::Elected => {
            desk.lead()?;
        }
        Beginning::Leader => {
            desk.lead()?;
            let view = desk.view();
            let acknowledge = acknowledge(view.term, view.durable);
            desk.receive(2, acknowledge);
            desk.complete_all();
        }
    }
    Ok(desk)
}

/// A message behind an opening frame of term 4.
fn message_piece(first: &LogPiece) -> LogPiece {
    let body = quorate_core::frame::Body::Message {
        session: SessionId(0),
        sequence: 1,
        time: quorate_core::LogTime(1),
    };
    piece(4, first.end, first.chain, &body, &[7; 24])
}

fn acknowledge(term: Term, durable: Position) -> Message {
    let (received, limit) = (durable, durable.plus(1 << 20));
    Message::Acknowledge { term, sequence: 1, round: 1, durable, received, limit, commit: durable }
}

/// Numbers at the edges, and around one that means something.
fn around(number: u64) -> [u64; 7] {
    [0, 1, number.saturating_sub(1), number, number + 1, u64::MAX - 1, u64::MAX]
}

/// Positions at the edges and around those of a member.
fn positions(view: &View) -> Vec<Position> {
    let near = [view.commit, view.verified, view.durable].into_iter();
    let near = near.flat_map(|at| [at.0.saturating_sub(8), at.0, at.0 + 8, at.0 + 3]);
    near.chain([0, Position::MAX.0 - 7, Position::MAX.0]).map(Position).collect()
}

/// Every message of members with each of its fields at each of its edges, the others plausible.
fn edges(view: &View) -> Vec<Message> {
    let mut all = Vec::new();
    let key = VoteKey { term: view.key.term, position: view.key.position };
    for term in around(view.term.0).map(Term) {
        all.push(Message::Canvass { term, round: 1, key });
        all.push(Message::CanvassReply { term, round: 1, granted: true, key });
        all.push(Message::RequestVote { term, key });
        all.push(Message::Ballot { term, candidate: MemberId(1), granted: true });
        all.push(Message::Abdicate { term });
        all.push(Message::HistoryRequest { term, commit: view.commit });
        all.push(heartbeat(term.0, 1));
        all.push(acknowledge(term, view.durable));
        let line = line(term.0, 2, view.verified, view.verified_chain);
        all.extend(history(term.0, view.commit, &[line]));
        let odd = VoteKey { term, position: view.key.position };
        all.push(Message::Canvass { term: view.term, round: 1, key: odd });
        all.push(Message::RequestVote { term: Term(view.term.0 + 1), key: odd });
        all.push(nak(Stream::Log, term.0, PositionRange::new(Position::ZERO, view.verified)));
    }
    for round in around(1) {
        all.push(Message::Canvass { term: view.term, round, key });
        all.push(Message::CanvassReply { term: view.term, round, granted: true, key });
        all.push(heartbeat(view.term.0, round));
    }
    for at in positions(view) {
        all.extend(edges_of_position(view, at));
    }
    for candidate in [0, 1, 2, 9, u16::MAX].map(MemberId) {
        all.push(Message::Ballot { term: view.term, candidate, granted: true });
    }
    for (part, parts) in [(0, 1), (1, 2), (0, u16::MAX), (u16::MAX, 0), (3, 2)] {
        let (above, lines) = (view.commit, Default::default());
        let term = view.term;
        all.push(Message::History { term, above, part, parts, checksum: 0, lines });
    }
    all
}

fn nak(stream: Stream, epoch: u64, range: PositionRange) -> Message {
    Message::Nak { stream, ranges: [EpochRange { epoch, range }].into_iter().collect() }
}

fn edges_of_position(view: &View, at: Position) -> Vec<Message> {
    let term = view.term;
    let key = VoteKey { term: view.key.term, position: at };
    let range = PositionRange::new(at.min(view.verified), at.max(view.verified));
    let mut all = vec![
        Message::Canvass { term, round: 1, key },
        Message::RequestVote { term: Term(term.0 + 1), key },
        Message::HistoryRequest { term, commit: at },
        acknowledge(term, at),
        nak(Stream::Log, term.0, range),
        Message::Unavailable {
            stream: Stream::Log,
            range: EpochRange { epoch: term.0, range },
            oldest: at,
        },
    ];
    for (newest, commit, chain_at) in
        [(at, Position::ZERO, Position::ZERO), (at, at, Position::ZERO), (at, at, at)]
    {
        let (round, chain) = (2, view.verified_chain);
        all.push(Message::Heartbeat { term, round, newest, commit, chain_at, chain });
    }
    let line = line(term.0 + 1, 2, at, view.verified_chain);
    all.extend(history(term.0 + 1, view.commit, &[line]));
    all
}

/// Whether a member may go inert for this when another one lies.
const fn is_listed(reason: FailStop) -> bool {
    matches!(
        reason,
        FailStop::CutBelowCommit { .. }
            | FailStop::TwoLeaders { .. }
            | FailStop::ChainMismatch { .. }
            | FailStop::TermOpening { .. }
            | FailStop::NewerLog { .. }
            | FailStop::Unreadable { .. }
            | FailStop::Exhausted
            | FailStop::Twin
    )
}

/// What a desk may look like after a lie: what was committed stays, and nothing is committed that
/// it does not hold.
fn check_sound(desk: &Desk, before: &View, committed: &[quorate_sim::FrameMark]) -> Verdict {
    let view = desk.view();
    if let Some(reason) = desk.stopped {
        check(is_listed(reason), || format!("it stops for {reason}"))?;
        return check(desk.disk.frames().starts_with(committed), || "it cut what is committed");
    }
    desk.check(view.term >= before.term, "its term fell")?;
    desk.check(view.commit >= before.commit, "its commit position fell")?;
    desk.check(view.commit <= view.verified, "it commits what it has not verified")?;
    desk.check(view.applied <= view.commit, "it applies what is not committed")?;
    desk.check(desk.disk.frames().starts_with(committed), "it cut what is committed")
}

pub(super) fn bi_03(trial: &mut Trial<'_>) -> Verdict {
    for beginning in BEGINNINGS {
        let view = desk(beginning)?.view();
        for message in edges(&view) {
            let mut desk = desk(beginning)?;
            let before = desk.view();
            let frames = desk.disk.frames().to_vec();
            let whole = frames.partition_point(|frame| frame.end <= before.commit);
            let committed = &frames[..whole];
            let context = format!("a {beginning:?} hears {message:?}");
            let in_context = |verdict: Verdict| {
                verdict.map_err(|failure| Failure::broken(format!("{context}: {failure}")))
            };
            desk.receive(2, message.clone());
            in_context(check_sound(&desk, &before, committed))?;
            desk.complete_all();
            desk.receive(3, message.clone());
            desk.complete_all();
            desk.pass(quorate_core::Duration::from_millis(400));
            desk.complete_all();
            in_context(check_sound(&desk, &before, committed))?;
            trial.count("messages", 1);
        }
    }
    Ok(())
}

pub(super) fn bi_06(trial: &mut Trial<'_>) -> Verdict {
    // A member of the group in a life that cannot be, a stranger, and this member itself.
    let other = |member: u16, incarnation: u32, boot_epoch: u64| Sender::Member {
        member: MemberId(member),
        incarnation: quorate_core::Incarnation(incarnation),
        boot_epoch: quorate_core::BootEpoch(boot_epoch),
    };
    let senders = [
        ("itself", other(1, 1, 1)),
        ("a former life of itself", other(1, 1, 0)),
        ("a stranger", other(9, 1, 1)),
        ("member 0", other(0, 1, 1)),
        ("member 65535", other(u16::MAX, 1, 1)),
        ("another incarnation of a member", other(2, 2, 1)),
        ("a former life of a member", other(2, 1, 1)),
    ];
    for beginning in BEGINNINGS {
        for (who, sender) in senders {
            let mut desk = desk(beginning)?;
            let ahead = Term(desk.view().term.0 + 1);
            // Member 2 is heard in its second life first.
            let content = Incoming::Control(Message::Abdicate { term: Term(0) });
            let event = Event::Received { sender: member_sender(2, 2), source: place(2), content };
            desk.step(event);
            desk.complete_all();
            let before = desk.view();
            for message in edges(&before).into_iter().chain([heartbeat(ahead.0, 1)]) {
                let ignored = desk.member.counters().datagrams_ignored;
                let content = Incoming::Control(message.clone());
                desk.step(Event::Received { sender, source: place(2), content });
                let counted = desk.member.counters().datagrams_ignored == ignored + 1;
                let context = || format!("a {beginning:?} hears {message:?} of {who}");
                check(counted, || format!("{}: it is not counted as ignored", context()))?;
                let same = desk.view() == before && desk.actions.is_empty();
                check(same, || format!("{}: it does {:?}", context(), desk.actions))?;
                trial.count("messages", 1);
            }
        }
        of_a_client(beginning)?;
    }
    // A newer life of this very member is no stranger: one of the two has to end.
    let mut desk = desk(Beginning::Follower)?;
    let content = Incoming::Control(heartbeat(4, 2));
    desk.step(Event::Received { sender: other(1, 1, 2), source: place(1), content });
    check(desk.stopped == Some(FailStop::Twin), || format!("it goes on: {:?}", desk.stopped))
}

/// A client says what only members may say, and a member what only clients may.
fn of_a_client(beginning: Beginning) -> Verdict {
    let mut desk = desk(beginning)?;
    let before = desk.view();
    let client = Sender::Client { key: ClientKey(77) };
    for message in edges(&before) {
        if matches!(message, Message::Nak { .. } | Message::Unavailable { .. }) {
            continue;
        }
        desk.step(Event::Received {
            sender: client,
            source: Endpoint::default(),
            content: Incoming::Control(message.clone()),
        });
        let same = desk.view() == before && desk.actions.is_empty();
        check(same, || format!("a {beginning:?} obeys a client's {message:?}"))?;
    }
    let (connection, session) = (1, SessionId(8));
    let outcome = ConnectOutcome::SessionLost { session };
    for message in [
        Message::Connect { connection, session, ingress_start: Position::ZERO, unanswered: 1 },
        Message::ConnectReply { connection, outcome },
        Message::Close { connection, session },
        Message::Closed { connection, session },
    ] {
        desk.receive(2, message.clone());
        let same = desk.view() == before && desk.actions.is_empty();
        check(same, || format!("a {beginning:?} takes a member's {message:?} for a client's"))?;
    }
    Ok(())
}

pub(super) fn bi_07(_: &mut Trial<'_>) -> Verdict {
    // Acknowledgements of bytes that were never sent commit nothing.
    let mut leader = desk(Beginning::Elected)?;
    let before = leader.view();
    for ahead in [8, 64, 1 << 20] {
        for from in [2, 3] {
            let mut acknowledge = acknowledge(before.term, before.verified.plus(ahead));
            if let Message::Acknowledge { sequence, .. } = &mut acknowledge {
                *sequence = 10 + ahead;
            }
            leader.receive(from, acknowledge);
        }
    }
    leader.check(leader.view().commit == before.commit, "it commits what it never sent")?;
    // A commit position far ahead commits what is held and verified, and nothing else.
    let mut follower = desk(Beginning::Follower)?;
    let before = follower.view();
    let far = Message::Heartbeat {
        term: before.term,
        round: 9,
        newest: Position(1 << 30),
        commit: Position(1 << 30),
        chain_at: Position::ZERO,
        chain: Chain::default(),
    };
    follower.receive(2, far);
    follower.complete_all();
    follower.check(follower.view().commit <= before.verified, "it commits what it has not")?;
    // A history that disowns what is committed, and another one of the same term.
    for (term, base, reason) in [(5, 0, "cut_below_commit"), (4, 8, "two_leaders")] {
        let mut follower = desk(Beginning::Follower)?;
        let committed = follower.view().commit;
        let odd = line(term, 2, Position(base), Chain(0));
        for message in history(term, Position::ZERO, &[odd]) {
            follower.receive(2, message);
        }
        follower.complete_all();
        let named = follower.stopped.map(|reason| reason.name());
        let kept = follower.disk.frames().iter().any(|frame| frame.end == committed);
        follower.check(kept, "what is committed is gone")?;
        let commit = follower.view().commit;
        follower.check(commit == committed, "its commit position moved")?;
        check(named.is_none_or(|name| name == reason), || format!("it stops for {named:?}"))?;
    }
    // Votes and answers that nobody asked for.
    for beginning in BEGINNINGS {
        let mut desk = desk(beginning)?;
        let before = desk.view();
        for term in [before.term, Term(before.term.0.saturating_sub(1))] {
            for from in [2, 3] {
                let key = before.key;
                desk.receive(from, Message::Ballot { term, candidate: MemberId(1), granted: true });
                desk.receive(from, Message::CanvassReply { term, round: 99, granted: true, key });
            }
        }
        let view = desk.view();
        desk.check(view.role == before.role && view.term == before.term, "it is elected unasked")?;
    }
    Ok(())
}

pub(super) fn bi_12(_: &mut Trial<'_>) -> Verdict {
    for beginning in BEGINNINGS {
        let mut desk = desk(beginning)?;
        let before = desk.view();
        let operation = |boot_epoch: u64, sequence: u64| OperationId {
            boot_epoch: quorate_core::BootEpoch(boot_epoch),
            sequence,
        };
        // Of no operation, of another life, and of operations that have completed before.
        let unknown = [operation(1, 9_999), operation(0, 1), operation(2, 1), operation(1, 1)];
        for operation in unknown {
            let ignored = desk.member.counters().completions_ignored;
            desk.step(Event::Durable { operation });
            desk.step(Event::LogRead { operation, bytes: &[1; 64] });
            let counted = desk.member.counters().completions_ignored - ignored;
            check(counted == 2, || format!("{counted} of 2 completions are counted as ignored"))?;
            desk.check(desk.view() == before && desk.actions.is_empty(), "it is moved by one")?;
        }
        // Timers that nobody set, and reports of what was never handed over.
        desk.step(Event::Timer);
        desk.step(Event::Applied { through: Position(1 << 40), outputs: &Outputs::new() });
        let applied = desk.view().applied;
        desk.check(applied == before.applied, "it takes a report of nothing for its own")?;
    }
    wrong_kind()
}

/// A sync that is under way is reported as a read, and then twice as done.
fn wrong_kind() -> Verdict {
    let mut desk = desk(Beginning::Follower)?;
    let view = desk.view();
    let next = LogPiece {
        start: view.verified,
        ..message_piece(&LogPiece {
            start: Position::ZERO,
            end: view.verified,
            bytes: Vec::new(),
            chain: view.verified_chain,
        })
    };
    desk.receive_log(2, 4, &next, None);
    let sync = desk.pending.iter().find(|(_, work)| matches!(work, Work::Sync { .. }));
    let operation = sync.map(|(operation, _)| *operation);
    let Some(operation) = operation else {
        return Err(Failure::broken("a whole frame is not synced"));
    };
    desk.step(Event::LogRead { operation, bytes: &[0; 8] });
    let durable = desk.view().durable;
    desk.check(durable == view.durable, "a read completes a sync")?;
    let (boot_epoch, sequence) = (operation.boot_epoch, operation.sequence);
    let former = quorate_core::BootEpoch(boot_epoch.0 - 1);
    for other in [
        OperationId { boot_epoch: former, sequence },
        OperationId { boot_epoch, sequence: sequence - 1 },
        OperationId { boot_epoch, sequence: sequence + 1 },
    ] {
        desk.step(Event::Durable { operation: other });
        let durable = desk.view().durable;
        desk.check(durable == view.durable, "another operation completes a sync")?;
    }
    desk.complete_all();
    let after = desk.view();
    desk.check(after.durable == next.end, "the sync is not taken any more")?;
    let ignored = desk.member.counters().completions_ignored;
    desk.step(Event::Durable { operation });
    let counted = desk.member.counters().completions_ignored == ignored + 1;
    desk.check(counted && desk.view() == after, "the second completion counts")
}
