//! Decisions of one member about a snapshot, each event by hand.

use quorate_core::frame::{Body, SnapshotCause};
use quorate_core::{
    Action, Chain, ClientKey, ConfigError, Destination, Duration, Event, Instant, LogTime, Member,
    Message, Notice, Position, Recovered, Snapshot, SnapshotPoint, Stream, Term, TermHistory,
};
use quorate_sim::Work;

use crate::case::{Failure, Verdict, check};
use crate::desk::{self, Desk, DeskOptions, LogPiece, heartbeat, life, line, opening, piece};
use crate::trial::Trial;

const TERM: u64 = 4;

fn behind(last: &LogPiece, body: &Body) -> LogPiece {
    piece(TERM, last.end, last.chain, body, &[])
}

fn session(last: &LogPiece, key: u64) -> LogPiece {
    behind(last, &Body::SessionOpen { time: LogTime(2), client: ClientKey(key) })
}

fn mark(last: &LogPiece) -> LogPiece {
    behind(last, &Body::SnapshotMark { time: LogTime(3), cause: SnapshotCause::Command })
}

/// Member 1 follows member 2, has a session, and has applied a marker; another session behind it
/// is not committed. With the snapshot that it asked for.
fn marked() -> Result<(Desk, Snapshot, LogPiece), Failure> {
    let mut desk = Desk::new(DeskOptions::small(3))?;
    let first = line(TERM, 2, Position::ZERO, Chain(0));
    desk.follow(2, TERM, &[first]);
    let open = opening(&first, Term(0));
    let known = session(&open, 7);
    let marker = mark(&known);
    let unknown = session(&marker, 8);
    for one in [&open, &known, &marker, &unknown] {
        desk.receive_log(2, TERM, one, None);
    }
    desk.complete_all();
    let told = match heartbeat(TERM, 2) {
        Message::Heartbeat { term, round, chain_at, chain, .. } => {
            let (newest, commit) = (unknown.end, marker.end);
            Message::Heartbeat { term, round, newest, commit, chain_at, chain }
        }
        other => other,
    };
    let asked = desk.receive(2, told).iter().find_map(snapshot_of);
    let snapshot =
        asked.ok_or_else(|| Failure::broken("no snapshot is asked for at the marker"))?;
    Ok((desk, snapshot, marker))
}

fn snapshot_of(action: &Action) -> Option<Snapshot> {
    match action {
        Action::TakeSnapshot { snapshot, .. } => Some((**snapshot).clone()),
        _ => None,
    }
}

pub(super) fn sn_17(_: &mut Trial<'_>) -> Verdict {
    let (desk, snapshot, marker) = marked()?;
    let (origin, history) = (snapshot.point, desk.member.history().clone());
    let begin = |origin: SnapshotPoint, snapshot: Option<Snapshot>| {
        let recovered = Recovered {
            history: history.clone(),
            origin,
            log_end: marker.end,
            chain: marker.chain,
            snapshot: snapshot.map(Box::new),
            ..Recovered::empty(life(1))
        };
        Member::new(desk::config(&DeskOptions::small(3)), recovered, Instant(1))
    };
    let own = begin(origin, Some(snapshot.clone()));
    let view = own.map_err(|error| Failure::broken(error.to_string()))?.view();
    let begins = (view.origin, view.applied) == (origin.position, origin.position);
    check(begins, || format!("it should begin at its origin, and begins with {view:?}"))?;
    let elsewhere = SnapshotPoint { chain: Chain(1), ..origin };
    let unaligned = SnapshotPoint { position: Position(origin.position.0 - 1), ..origin };
    for (what, refused) in [
        ("without a snapshot", begin(origin, None)),
        ("with another chain", begin(elsewhere, Some(snapshot.clone()))),
        ("inside a frame's word", begin(unaligned, Some(snapshot))),
    ] {
        let named = matches!(refused, Err(ConfigError::Origin { .. }));
        check(named, || format!("a log that begins {what} is not refused by name"))?;
    }
    Ok(())
}

/// Lets the others refuse what the member asks them for, until it asks for a snapshot; returns
/// beyond which position that has to stand.
pub(in crate::catalogue) fn until_it_asks(
    desk: &mut Desk,
    oldest: Position,
) -> Result<Position, Failure> {
    for round in 3..40 {
        let mut done = desk.pass(Duration::from_millis(10));
        let beat = match heartbeat(TERM, round) {
            Message::Heartbeat { term, round, commit, chain_at, chain, .. } => {
                let newest = oldest.plus(64);
                Message::Heartbeat { term, round, newest, commit, chain_at, chain }
            }
            other => other,
        };
        done.extend_from_slice(desk.receive(2, beat));
        let asked = |action: &Action| match action {
            Action::Send { message: Message::SnapshotRequest { above, .. }, .. } => Some(*above),
            _ => None,
        };
        while !done.is_empty() {
            if let Some(above) = done.iter().find_map(asked) {
                return Ok(above);
            }
            let naks: Vec<_> = done.drain(..).filter_map(refusal(oldest)).collect();
            for (from, refusal) in naks {
                done.extend_from_slice(desk.receive(from, refusal));
            }
        }
    }
    Err(Failure::broken("it should ask for a snapshot"))
}

/// What a member says of whom this one asks for bytes that it has purged.
fn refusal(oldest: Position) -> impl Fn(Action) -> Option<(u16, Message)> {
    move |action| match action {
        Action::Send {
            to: Destination::Member(to),
            message: Message::Nak { stream: Stream::Log, ranges },
        } => {
            let range = *ranges.first()?;
            Some((to.0, Message::Unavailable { stream: Stream::Log, range, oldest }))
        }
        _ => None,
    }
}

pub(super) fn sn_05(_: &mut Trial<'_>) -> Verdict {
    let (mut desk, snapshot, _) = marked()?;
    desk.complete_all();
    let held = desk.view().verified;
    let oldest = held.plus(100_000);
    let above = until_it_asks(&mut desk, oldest)?;
    desk.check(above == held, "it should say what it has")?;
    let offer = |position: Position| Message::SnapshotOffer {
        term: Term(TERM),
        point: SnapshotPoint { position, ..snapshot.point },
        core_bytes: 64,
        service_bytes: 64,
        digest: 1,
    };
    // One that is older than the log, and one that ends where it does.
    let mut done = Vec::new();
    for (from, position) in [(2, snapshot.point.position), (3, held)] {
        done.extend_from_slice(desk.receive(from, offer(position)));
    }
    let takes = |action: &Action| {
        let is_asked_for = matches!(
            action,
            Action::Send { message: Message::Nak { stream: Stream::Snapshot, .. }, .. }
        );
        is_asked_for || matches!(action, Action::KeepSnapshotPart { .. })
    };
    let is_ignored = !done.iter().any(takes) && desk.view().fetching.is_none();
    desk.check(is_ignored, "an older snapshot should be ignored")?;
    let same = desk.view().verified == held;
    desk.check(same, "its log should stay as it is")?;
    // A newer one is not.
    until_it_asks(&mut desk, oldest)?;
    for from in [2, 3] {
        desk.receive(from, offer(oldest));
    }
    let fetches = desk.view().fetching == Some((oldest, 0));
    desk.check(fetches, "a newer snapshot should be fetched")
}

pub(super) fn sn_06(_: &mut Trial<'_>) -> Verdict {
    let (desk, snapshot, marker) = marked()?;
    let history = desk.member.history().clone();
    let begin = |history: &TermHistory, end: Position, chain: Chain, snapshot: Snapshot| {
        let recovered = Recovered {
            history: history.clone(),
            log_end: end,
            chain,
            snapshot: Some(Box::new(snapshot)),
            ..Recovered::empty(life(1))
        };
        Member::new(desk::config(&DeskOptions::small(3)), recovered, Instant(1))
    };
    let own = begin(&history, marker.end, marker.chain, snapshot.clone());
    let view = own.map_err(|error| Failure::broken(error.to_string()))?.view();
    let begins = (view.applied, view.commit, view.sessions) == (marker.end, marker.end, 1);
    check(begins, || format!("it should begin at its snapshot, and begins with {view:?}"))?;
    let mut lines = history.lines().to_vec();
    lines[0].leader = life(3);
    let other = TermHistory::new(lines).map_err(|error| Failure::broken(error.to_string()))?;
    let mut elsewhere = snapshot.clone();
    elsewhere.point.chain.0 ^= 1;
    let short = Position(marker.start.0);
    for (what, refused) in [
        ("another leader's term", begin(&other, marker.end, marker.chain, snapshot.clone())),
        ("another chain", begin(&history, marker.end, Chain(1), snapshot.clone())),
        ("a log that ends before it", begin(&history, short, marker.chain, snapshot)),
        ("other bytes than it is said to be", begin(&history, marker.end, marker.chain, elsewhere)),
    ] {
        let is_refused = matches!(refused, Err(ConfigError::Snapshot { .. }));
        check(is_refused, || format!("a snapshot under {what} is used"))?;
    }
    Ok(())
}

pub(super) fn sn_14(_: &mut Trial<'_>) -> Verdict {
    let (mut desk, _, marker) = marked()?;
    let asked = desk.pending.iter().find(|(_, work)| matches!(work, Work::Snapshot { .. }));
    let (operation, _) = asked.cloned().ok_or_else(|| Failure::broken("nothing is stored"))?;
    let before = desk.view();
    let position = marker.end;
    let said = desk.step(Event::SnapshotFailed { operation }).iter().any(|action| {
        matches!(action, Action::Notify(Notice::SnapshotFailed { position: at }) if *at == position)
    });
    desk.check(said, "it should say that there is no snapshot")?;
    let same = desk.view() == before;
    desk.check(same, "nothing else should change")?;
    // It comes after all: too late.
    desk.step(Event::Durable { operation });
    let none = desk.view().snapshot == Position::ZERO;
    desk.check(none, "a snapshot that failed should not count")
}

pub(super) fn sn_16(_: &mut Trial<'_>) -> Verdict {
    let (desk, snapshot, marker) = marked()?;
    let view = desk.view();
    let is_ahead = view.verified > marker.end && view.commit == marker.end;
    desk.check(is_ahead, "it should hold a session that is not committed")?;
    let Snapshot { point, core } = snapshot;
    desk.check(point.position == marker.end, "it should stand at the end of its marker")?;
    let keys: Vec<u64> = core.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    desk.check(keys.contains(&7) && !keys.contains(&8), "it should hold the first session only")
}
