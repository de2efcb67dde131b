//! A log that begins behind its first position, and a leader that does not know it.

use quorate_core::frame::{Body, SnapshotCause};
use quorate_core::message::{EpochRange, Live, Stream};
use quorate_core::{
    Action, Chain, ClientKey, LogTime, Message, Position, PositionRange, SnapshotPoint, Term,
};

use crate::case::{Failure, Verdict};
use crate::catalogue::sn::decisions::until_it_asks;
use crate::desk::{Desk, DeskOptions, LogPiece, heartbeat, line, opening, piece};
use crate::trial::Trial;

const TERM: u64 = 4;

/// Frames of a term: its opening, a session, a marker, and two sessions behind it.
fn log() -> Vec<LogPiece> {
    let first = line(TERM, 2, Position::ZERO, Chain(0));
    let session = |key| Body::SessionOpen { time: LogTime(2), client: ClientKey(key) };
    let marker = Body::SnapshotMark { time: LogTime(3), cause: SnapshotCause::Command };
    let mut pieces = vec![opening(&first, Term(0))];
    for body in [session(7), marker, session(8), session(9)] {
        let last = &pieces[pieces.len() - 1];
        let next = piece(TERM, last.end, last.chain, &body, &[]);
        pieces.push(next);
    }
    pieces
}

/// A heartbeat of member 2 that has so much, and committed so much of it.
fn told(newest: Position, commit: Position) -> Message {
    match heartbeat(TERM, 2) {
        Message::Heartbeat { term, round, chain_at, chain, .. } => {
            Message::Heartbeat { term, round, newest, commit, chain_at, chain }
        }
        other => other,
    }
}

/// Member 1 in its second life, on a log that begins at the end of the marker of `pieces`, and ends
/// one session behind it; all of the rest was committed, and all before the marker is purged.
fn purged(pieces: &[LogPiece]) -> Result<(Desk, SnapshotPoint), Failure> {
    let mut desk = Desk::new(DeskOptions::small(3))?;
    desk.follow(2, TERM, &[line(TERM, 2, Position::ZERO, Chain(0))]);
    for one in &pieces[..3] {
        desk.receive_log(2, TERM, one, None);
    }
    desk.complete_all();
    let asked =
        desk.receive(2, told(pieces[2].end, pieces[2].end)).iter().find_map(
            |action| match action {
                Action::TakeSnapshot { snapshot, .. } => Some(snapshot.point),
                _ => None,
            },
        );
    let origin = asked.ok_or_else(|| Failure::broken("no snapshot is asked for at the marker"))?;
    desk.complete_all();
    desk.disk.purge(origin);
    desk.receive_log(2, TERM, &pieces[3], None);
    desk.complete_all();
    let desk = desk.restart()?;
    let view = desk.view();
    let as_it_was = (view.origin, view.verified) == (origin.position, pieces[3].end);
    desk.check(as_it_was, "it should begin with its purged log")?;
    Ok((desk, origin))
}

fn asks(actions: &[Action]) -> bool {
    actions.iter().any(|action| {
        matches!(action, Action::Send { message: Message::Nak { stream: Stream::Log, .. }, .. })
    })
}

fn writes(actions: &[Action]) -> bool {
    actions
        .iter()
        .any(|action| matches!(action, Action::Append { .. } | Action::PersistHistory { .. }))
}

pub(super) fn ls_16(_: &mut Trial<'_>) -> Verdict {
    let pieces = log();
    what_is_purged_counts_as_a_match(&pieces)?;
    what_is_purged_is_refused_with_where_the_log_begins(&pieces)?;
    what_all_have_purged_comes_in_a_snapshot(&pieces)
}

/// All others begin their logs behind the end of this one's.
fn what_all_have_purged_comes_in_a_snapshot(pieces: &[LogPiece]) -> Verdict {
    let (mut desk, origin) = purged(pieces)?;
    desk.follow(2, TERM, &[line(TERM, 2, Position::ZERO, Chain(0))]);
    let held = pieces[3].end;
    let above = until_it_asks(&mut desk, held.plus(100_000))?;
    desk.check(above == held, "it should ask for a snapshot beyond what it has")?;
    let view = desk.view();
    let same = (view.origin, view.verified) == (origin.position, held);
    desk.check(same, "it should keep what it has until there is one")
}

fn what_is_purged_counts_as_a_match(pieces: &[LogPiece]) -> Verdict {
    let (mut desk, origin) = purged(pieces)?;
    let (held, end) = (pieces[3].end, pieces[4].end);
    // The history that it is shown begins below its log.
    desk.follow(2, TERM, &[line(TERM, 2, Position::ZERO, Chain(0))]);
    desk.receive(2, told(end, pieces[2].end));
    let view = desk.view();
    let same = (view.origin, view.verified) == (origin.position, held);
    desk.check(same && !asks(&desk.actions), "it should match, and ask for nothing purged")?;
    let live = Live { newest: end, commit: held };
    for one in &pieces[..3] {
        for live in [None, Some(live)] {
            let actions = desk.receive_log(2, TERM, one, live).to_vec();
            let text = format!("{}: it should leave what it has purged alone", one.start);
            desk.check(!writes(&actions), &text)?;
            let view = desk.view();
            let same = (view.origin, view.verified) == (origin.position, held);
            desk.check(same && desk.stopped.is_none(), &text)?;
        }
    }
    // No hole below its beginning is ever asked for, and what is behind is taken.
    let later = desk.pass(quorate_core::Duration::from_millis(20));
    let low = later.iter().any(|action| match action {
        Action::Send { message: Message::Nak { stream: Stream::Log, ranges }, .. } => {
            ranges.iter().any(|asked| asked.range.start < held)
        }
        _ => false,
    });
    desk.check(!low, "it should ask for nothing that it had")?;
    desk.receive_log(2, TERM, &pieces[4], None);
    desk.complete_all();
    let view = desk.view();
    let taken = (view.origin, view.durable) == (origin.position, end);
    desk.check(taken, "it should take what follows")
}

fn what_is_purged_is_refused_with_where_the_log_begins(pieces: &[LogPiece]) -> Verdict {
    let (mut desk, origin) = purged(pieces)?;
    desk.lead()?;
    let begins = origin.position;
    for (start, end) in [
        (Position::ZERO, pieces[0].end),
        (pieces[1].start, begins),
        (pieces[1].start, pieces[3].end),
    ] {
        let asked = EpochRange { epoch: TERM, range: PositionRange::new(start, end) };
        let ranges = [asked].into_iter().collect();
        desk.receive(3, Message::Nak { stream: Stream::Log, ranges });
        let gone = PositionRange::new(start, end.min(begins));
        let is_told = desk.sent_to(3).into_iter().any(|message| {
            matches!(message, Message::Unavailable { stream: Stream::Log, range, oldest }
                if *range == EpochRange { epoch: TERM, range: gone } && *oldest == begins)
        });
        desk.check(is_told, &format!("{gone} should be refused, with where the log begins"))?;
        let kept = desk.actions.iter().all(|action| match action {
            Action::SendData { range, .. } => range.start >= begins,
            _ => true,
        });
        desk.check(kept, "nothing purged should be sent")?;
    }
    Ok(())
}
