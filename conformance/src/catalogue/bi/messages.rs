//! Messages that can be read, and should not have been sent.

use quorate_core::message::{EpochRange, Live};
use quorate_core::{
    Chain, FailStop, Limits, LogTime, MemberId, Message, Position, PositionRange, Role, SessionId,
    SnapshotPoint, Stream, Term, View, VoteKey,
};
use quorate_sim::Dice;

use crate::case::{Failure, Verdict, check};
use crate::desk::{Desk, DeskOptions, LogPiece, heartbeat, history, line, opening, piece};
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
pub(super) enum Beginning {
    Fresh,
    Follower,
    Canvasser,
    /// It leads, and its opening frame is not committed yet.
    Elected,
    Leader,
}

pub(super) const BEGINNINGS: [Beginning; 5] = [
    Beginning::Fresh,
    Beginning::Follower,
    Beginning::Canvasser,
    Beginning::Elected,
    Beginning::Leader,
];

/// Member 1 of three, in its place, with something committed where there is a log.
pub(super) fn desk(beginning: Beginning) -> Result<Desk, Failure> {
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
pub(super) fn message_piece(first: &LogPiece) -> LogPiece {
    let body =
        quorate_core::frame::Body::Message { session: SessionId(0), sequence: 1, time: LogTime(1) };
    piece(4, first.end, first.chain, &body, &[7; 24])
}

pub(super) fn acknowledge(term: Term, durable: Position) -> Message {
    let (received, limit) = (durable, durable.plus(1 << 20));
    Message::Acknowledge { term, sequence: 1, round: 1, durable, received, limit, commit: durable }
}

fn application(term: Term, received: Position) -> Message {
    let limit = received.plus(1 << 20);
    Message::Application { term, sequence: 1, received, limit }
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
pub(super) fn edges(view: &View) -> Vec<Message> {
    let mut all = Vec::new();
    let key = VoteKey { term: view.key.term, position: view.key.position };
    for term in around(view.term.0).map(Term) {
        all.push(Message::Canvass { term, round: 1, key });
        all.push(Message::CanvassReply { term, round: 1, granted: true, key });
        all.push(Message::RequestVote { term, key });
        all.push(Message::Ballot { term, candidate: MemberId(1), granted: true, key });
        all.push(Message::Abdicate { term });
        all.push(Message::Campaign { term, round: 1 });
        all.push(Message::RequestSuccession { term, key, predecessor: MemberId(2) });
        all.push(Message::HistoryRequest { term, commit: view.commit });
        all.push(heartbeat(term.0, 1));
        all.push(acknowledge(term, view.durable));
        all.push(application(term, view.durable));
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
        all.push(Message::Campaign { term: view.term, round });
    }
    for at in positions(view) {
        all.extend(edges_of_position(view, at));
    }
    for candidate in [0, 1, 2, 9, u16::MAX].map(MemberId) {
        all.push(Message::Ballot { term: view.term, candidate, granted: true, key });
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
        Message::RequestSuccession { term: Term(term.0 + 1), key, predecessor: MemberId(2) },
        Message::HistoryRequest { term, commit: at },
        acknowledge(term, at),
        nak(Stream::Log, term.0, range),
        Message::Unavailable {
            stream: Stream::Log,
            range: EpochRange { epoch: term.0, range },
            oldest: at,
        },
    ];
    all.extend(edges_of_snapshots(view, at));
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

/// What is said of a snapshot that stands at `at`.
fn edges_of_snapshots(view: &View, at: Position) -> Vec<Message> {
    let (term, chain, time) = (view.term, view.verified_chain, LogTime(1));
    let point = SnapshotPoint { position: at, term, chain, time };
    let range = PositionRange::new(Position::ZERO, at.min(Position(1 << 20)));
    let offer = |core_bytes, service_bytes| Message::SnapshotOffer {
        term,
        point,
        core_bytes,
        service_bytes,
        digest: 1,
    };
    vec![
        Message::SnapshotRequest { term, above: at },
        digest(view, at, 0),
        digest(view, at, u16::MAX),
        offer(0, 0),
        offer(64, 64),
        offer(u64::MAX, u64::MAX),
        offer(at.0, 0),
        nak(Stream::Snapshot, at.0, range),
        Message::Unavailable {
            stream: Stream::Snapshot,
            range: EpochRange { epoch: at.0, range },
            oldest: at,
        },
    ]
}

fn digest(view: &View, position: Position, layout: u16) -> Message {
    let (term, digest) = (view.term, u64::MAX);
    Message::SnapshotDigest { term, position, layout, digest, vouches: true, asks: true }
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
