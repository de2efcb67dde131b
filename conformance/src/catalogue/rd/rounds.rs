//! What confirms a read.

use quorate_core::{
    Action, Destination, Duration, Event, MemberId, Message, Position, ReadLevel, ReadOutcome,
    ReadRefusal,
};

use crate::case::{Failure, Verdict};
use crate::desk::{Desk, DeskOptions, sent};
use crate::trial::Trial;

/// A leader of so many, whose term is committed unless its disk is the only one.
pub(super) fn leader(options: DeskOptions, commits: bool) -> Result<Desk, Failure> {
    let members = options.members;
    let mut desk = Desk::new(options)?;
    desk.lead()?;
    if commits {
        for from in 2..=members {
            let end = desk.view().verified;
            echo(&mut desk, (from, 1), 0, end);
        }
        desk.check(desk.view().commit == desk.view().verified, "its term should be committed")?;
    }
    Ok(desk)
}

/// A follower has heard this round, and has all before `end`.
pub(super) fn echo(desk: &mut Desk, (from, sequence): (u16, u64), round: u64, end: Position) {
    let (term, commit) = (desk.view().term, desk.view().commit.min(end));
    let limit = Position(end.0 + (1 << 20));
    desk.receive(
        from,
        Message::Acknowledge { term, sequence, round, durable: end, received: end, limit, commit },
    );
}

pub(in crate::catalogue) fn read(desk: &mut Desk, token: u64, level: ReadLevel) {
    desk.step(Event::Read { token, level, payload: b"?" });
}

/// The reads that the last actions hand to the service.
pub(in crate::catalogue) fn served(desk: &Desk) -> Vec<u64> {
    let queries = desk.actions.iter().filter_map(|action| match action {
        Action::ServeRead(query) => Some(query.number),
        _ => None,
    });
    queries.collect()
}

/// What came of reads in these actions.
pub(in crate::catalogue) fn outcomes(actions: &[Action]) -> Vec<(u64, ReadOutcome)> {
    let outcomes = actions.iter().filter_map(|action| match action {
        Action::AnswerRead { token, outcome } => Some((*token, outcome.clone())),
        _ => None,
    });
    outcomes.collect()
}

/// The rounds of the heartbeats in these actions that go to member 2.
pub(super) fn rounds(actions: &[Action]) -> Vec<u64> {
    let rounds = sent(actions, Destination::Member(MemberId(2))).into_iter();
    let rounds = rounds.filter_map(|message| match message {
        Message::Heartbeat { round, .. } => Some(*round),
        _ => None,
    });
    rounds.collect()
}

/// The round of the heartbeat that a flush sends for the reads that wait.
pub(super) fn round_for_reads(desk: &mut Desk) -> Result<u64, Failure> {
    desk.step(Event::Flush);
    let rounds = rounds(&desk.actions);
    desk.check(rounds.len() == 1, "it should send one round for all")?;
    Ok(rounds[0])
}

pub(super) fn rd_02(_: &mut Trial<'_>) -> Verdict {
    let options = DeskOptions::member_of(3);
    let hold = options.timing.election_timeout_max;
    let mut desk = leader(options, false)?;
    read(&mut desk, 7, ReadLevel::Linearizable);
    let mut refused = Vec::new();
    for step in 0..7 {
        desk.check(served(&desk).is_empty(), "it serves before its term is committed")?;
        // Both hear it, and have nothing of its term.
        for from in [2, 3] {
            echo(&mut desk, (from, 1 + step), 1 + step, Position::ZERO);
            desk.check(served(&desk).is_empty(), "an echo serves before the commit")?;
        }
        refused.append(&mut outcomes(&desk.pass(Duration(hold.0 / 6))));
    }
    let expected = [(7, Err(ReadRefusal::Unconfirmed))];
    desk.check(refused == expected, &format!("it should be refused once, and was {refused:?}"))?;
    read(&mut desk, 8, ReadLevel::Linearizable);
    let end = desk.view().verified;
    echo(&mut desk, (2, 100), 1, end);
    let round = round_for_reads(&mut desk)?;
    echo(&mut desk, (2, 101), round, end);
    desk.check(served(&desk).len() == 1, "committed and confirmed, it should serve")
}

pub(super) fn rd_04(trial: &mut Trial<'_>) -> Verdict {
    for members in 2..=5_u16 {
        let mut desk = leader(DeskOptions::member_of(members), true)?;
        let end = desk.view().verified;
        read(&mut desk, 1, ReadLevel::Linearizable);
        desk.check(served(&desk).is_empty(), "it asks nobody whether it leads")?;
        let round = round_for_reads(&mut desk)?;
        let needed = usize::from(members / 2);
        for from in 2..=members {
            echo(&mut desk, (from, 10), round - 1, end);
            desk.check(served(&desk).is_empty(), "an echo of a former round counts")?;
        }
        for count in 1..=needed {
            let from = 1 + count as u16;
            for sequence in 20..22 {
                desk.check(served(&desk).is_empty(), "less than a quorum confirms")?;
                echo(&mut desk, (from, sequence), round, end);
                if count == needed {
                    break;
                }
            }
        }
        desk.check(served(&desk).len() == 1, "a quorum has echoed its round")?;
        trial.count("sizes of groups", 1);
    }
    Ok(())
}

pub(super) fn rd_10(_: &mut Trial<'_>) -> Verdict {
    let mut options = DeskOptions::member_of(3);
    options.limits.queries_max = 50;
    let mut desk = leader(options, true)?;
    let end = desk.view().verified;
    for token in 0..50 {
        read(&mut desk, token, ReadLevel::Linearizable);
        desk.check(outcomes(&desk.actions).is_empty(), "there is room for all of them")?;
    }
    read(&mut desk, 50, ReadLevel::Linearizable);
    let busy = [(50, Err(ReadRefusal::Busy))];
    desk.check(outcomes(&desk.actions) == busy, "one more should be refused at once")?;
    let round = round_for_reads(&mut desk)?;
    echo(&mut desk, (3, 10), round, end);
    let numbers = served(&desk);
    desk.check(numbers.len() == 50, "one round should serve all")?;
    for number in numbers {
        desk.step(Event::ReadServed { number, answer: Ok(b"!") });
        desk.check(outcomes(&desk.actions).len() == 1, "each is answered")?;
    }
    desk.check(desk.view().verified == end, "reads appended something")
}
