//! Reads at a member that catches up, by their level (decision 0030).

use quorate_core::message::Live;
use quorate_core::{
    Action, Chain, Duration, Event, Message, Position, ReadLevel, ReadOutcome, ReadRefusal, Term,
};

use super::super::rd::rounds::{outcomes, read, served};
use crate::case::{Failure, Verdict};
use crate::desk::{Desk, DeskOptions, LogPiece, frames, line};

const TERM: u64 = 4;
const LEADER: u16 = 2;
/// So new that a follower which hears its leader satisfies it, once it has what is committed.
const RECENT: Duration = Duration::from_millis(10_000);

/// A follower whose leader says that more is committed than it has.
struct Behind {
    desk: Desk,
    options: DeskOptions,
    /// What it lacks; the rest is applied.
    missing: LogPiece,
    applied: Position,
    round: u64,
}

impl Behind {
    fn new() -> Result<Self, Failure> {
        let options = DeskOptions::small(3);
        let mut desk = Desk::new(options.clone())?;
        let first = line(TERM, LEADER, Position::ZERO, Chain::default());
        desk.follow(LEADER, TERM, &[first]);
        let mut pieces = frames(&first, 3);
        let missing = pieces.remove(2);
        let applied = missing.start;
        let mut behind = Self { desk, options, missing, applied, round: 1 };
        for piece in &pieces {
            behind.receive(piece);
        }
        behind.hear();
        let view = behind.desk.view();
        let is_behind = view.applied == applied && view.commit == applied;
        behind.desk.check(is_behind, "it should have applied all but one frame")?;
        Ok(behind)
    }

    /// The leader is there: it says what is committed.
    fn hear(&mut self) {
        self.round += 1;
        let end = self.missing.end;
        let heartbeat = Message::Heartbeat {
            term: Term(TERM),
            round: self.round,
            newest: end,
            commit: end,
            chain_at: Position::ZERO,
            chain: Chain::default(),
        };
        self.desk.receive(LEADER, heartbeat);
    }

    /// A piece of the log arrives and is durable; what the member did.
    fn receive(&mut self, piece: &LogPiece) -> Vec<Action> {
        let live = Live { newest: self.missing.end, commit: self.missing.end };
        self.desk.receive_log(LEADER, TERM, piece, Some(live));
        let mut all = core::mem::take(&mut self.desk.actions);
        all.append(&mut self.desk.complete_all());
        all
    }

    fn catch_up(&mut self) -> Vec<Action> {
        let missing = self.missing.clone();
        self.receive(&missing)
    }

    /// The leader answers, confirmed, the request for an index that a flush sends.
    fn confirm(&mut self) -> Verdict {
        self.desk.step(Event::Flush);
        let asked: Vec<u64> = (self.desk.sent_to(LEADER).into_iter())
            .filter_map(|message| match message {
                Message::ReadIndexRequest { number } => Some(*number),
                _ => None,
            })
            .collect();
        let [number] = asked[..] else {
            return self.desk.check(false, "it should ask its leader once up to where to read");
        };
        self.desk.receive(LEADER, Message::ReadIndexReply { number, index: self.missing.end });
        Ok(())
    }
}

/// What can be answered is answered by what is applied; what cannot waits until that is.
fn answers_once_it_has_all() -> Verdict {
    let mut behind = Behind::new()?;
    let end = behind.missing.end;
    read(&mut behind.desk, 1, ReadLevel::Linearizable);
    behind.confirm()?;
    behind.desk.check(served(&behind.desk).is_empty(), "it serves what it has not applied")?;
    read(&mut behind.desk, 2, ReadLevel::Session { least: end });
    let waits = served(&behind.desk).is_empty() && outcomes(&behind.desk.actions).is_empty();
    behind.desk.check(waits, "it should wait for the position of the session")?;
    read(&mut behind.desk, 3, ReadLevel::Stale { bound: RECENT });
    let refused = outcomes(&behind.desk.actions);
    let too_old = matches!(refused[..], [(3, Err(ReadRefusal::TooOld { age }))] if age > RECENT);
    behind
        .desk
        .check(too_old, &format!("its state is of an unknown age, and it says {refused:?}"))?;
    let least = behind.applied;
    read(&mut behind.desk, 4, ReadLevel::Session { least });
    answer(&mut behind.desk, &[(4, least)])?;

    let mut queries = Vec::new();
    for action in behind.catch_up() {
        if let Action::ServeRead(query) = action {
            queries.push((query.number, query.applied));
        }
    }
    let all = queries.len() == 2 && queries.iter().all(|(_, applied)| *applied == end);
    behind.desk.check(all, &format!("both that wait should be served: {queries:?}"))?;
    for (token, (number, _)) in (1..).zip(queries) {
        behind.desk.step(Event::ReadServed { number, answer: Ok(b"!") });
        check_answer(&behind.desk, token, end)?;
    }
    read(&mut behind.desk, 5, ReadLevel::Stale { bound: RECENT });
    answer(&mut behind.desk, &[(5, end)])
}

/// The service answers the reads that were just handed to it; these were they, and so much was
/// applied.
fn answer(desk: &mut Desk, expected: &[(u64, Position)]) -> Verdict {
    let numbers = served(desk);
    desk.check(numbers.len() == expected.len(), "it should serve what it has applied")?;
    for (number, (token, applied)) in numbers.into_iter().zip(expected) {
        desk.step(Event::ReadServed { number, answer: Ok(b"!") });
        check_answer(desk, *token, *applied)?;
    }
    Ok(())
}

fn check_answer(desk: &Desk, token: u64, applied: Position) -> Verdict {
    let found = outcomes(&desk.actions);
    let is_it = matches!(
        &found[..],
        [(of, Ok(answer))] if *of == token && answer.applied == applied
    );
    desk.check(is_it, &format!("read {token} at {applied} came out as {found:?}"))
}

/// What waits for more than comes is refused by name, and in time.
fn refuses_while_it_stays_behind() -> Verdict {
    let mut behind = Behind::new()?;
    let least = behind.missing.end;
    read(&mut behind.desk, 1, ReadLevel::Linearizable);
    behind.confirm()?;
    read(&mut behind.desk, 2, ReadLevel::Session { least });
    let hold = behind.options.timing.election_timeout_max;
    let mut refused: Vec<(u64, ReadOutcome)> = Vec::new();
    for _ in 0..8 {
        let done = behind.desk.pass(Duration(hold.0 / 6));
        let serves = done.iter().any(|action| matches!(action, Action::ServeRead(_)));
        behind.desk.check(!serves, "it serves what it has not applied")?;
        refused.append(&mut outcomes(&done));
        behind.hear();
        refused.append(&mut outcomes(&behind.desk.actions));
    }
    let applied = behind.applied;
    let by_name = |token| (token, Err(ReadRefusal::Behind { applied }));
    let expected = [by_name(1), by_name(2)];
    behind.desk.check(refused == expected, &format!("both should be refused: {refused:?}"))?;
    // It heard its leader all the time: for want of one it would refuse as well.
    behind.desk.check(behind.desk.view().term == Term(TERM), "it should follow on")
}

/// The part of CU-15 about reads.
pub(super) fn are_answered_by_their_level() -> Verdict {
    answers_once_it_has_all()?;
    refuses_while_it_stays_behind()
}
