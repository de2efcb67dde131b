//! What a leader does with its log, and what it counts.

use std::collections::BTreeMap;

use quorate_core::message::{EpochRange, Live, Message, Sender, Stream};
use quorate_core::{
    Action, ClientKey, Event, Incoming, Position, PositionRange, Role, SessionId, Term,
};
use quorate_sim::{Dice, Place};

use super::logs::{Log, follower, small};
use crate::case::{Failure, Verdict};
use crate::desk::{Desk, DeskOptions, LogPiece, heartbeat, history, place};
use crate::trial::Trial;

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
