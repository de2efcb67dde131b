//! Votes in a group of members: quorums, ballots over crashes, splits.

use std::collections::BTreeMap;

use quorate_core::message::Message;
use quorate_core::{MemberId, Role, Term};
use quorate_sim::{Dice, Place};

use crate::case::{Failure, Verdict, check};
use crate::stage::{MICRO, Options, Passing, Stage};
use crate::subject::Feature;
use crate::trial::Trial;

/// A vote that was granted: who gave it, in which term, and to whom.
type Grant = (MemberId, Term, MemberId);

/// The grant in a datagram, if it is one.
fn grant(passing: &Passing<'_>) -> Option<Grant> {
    match (passing.from, passing.message()) {
        (Place::Member(from), Some(Message::Ballot { term, candidate, granted: true, .. })) => {
            Some((from, *term, *candidate))
        }
        _ => None,
    }
}

/// Who asks member 3 for its vote in a datagram, and in which term.
fn request(passing: &Passing<'_>) -> Option<(MemberId, Term)> {
    match (passing.from, passing.message()) {
        (Place::Member(from), Some(Message::RequestVote { term, .. }))
            if passing.to == Place::Member(MemberId(3)) =>
        {
            Some((from, *term))
        }
        _ => None,
    }
}

pub(super) fn el_01(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(1));
    for life in 0..2 {
        stage.start(1)?;
        let within = stage.election_timeout();
        stage.until("member 1 serves", within, |stage| stage.view(1).serving)?;
        let client = stage.client();
        stage.request(client, b"alone")?;
        let sent = stage.sightings().iter().filter(|sent| sent.from == sent.to).count();
        stage.check(sent == 0, || format!("it sent itself {sent} datagrams in life {life}"))?;
        stage.power_off(1);
    }
    Ok(())
}

pub(super) fn el_02(trial: &mut Trial<'_>) -> Verdict {
    for members in 1..=7_u16 {
        for size in 0..=members / 2 {
            let sides = (0..1_u16 << members).filter(|side| side.count_ones() == u32::from(size));
            let sides: Vec<u16> = sides.collect();
            let first = trial.seed() as usize % sides.len();
            let chosen = sides.iter().cycle().skip(first).take(sides.len());
            for side in chosen.take(trial.times(1, 3, 64) as usize) {
                split(trial, members, *side)?;
                trial.count("splits", 1);
            }
        }
    }
    Ok(())
}

/// The members whose bit is set in `side` are cut from the others before anybody starts.
fn split(trial: &Trial<'_>, members: u16, side: u16) -> Verdict {
    let mut stage = trial.stage(Options::members(members.into()));
    let (one, other): (Vec<u16>, Vec<u16>) =
        (1..=members).partition(|member| side & (1 << (member - 1)) != 0);
    stage.part(&one, &other);
    for member in 1..=members {
        stage.start(member)?;
    }
    let enough = |side: &[u16]| side.len() > usize::from(members / 2);
    let time = 6 * stage.election_timeout();
    stage.always("only a side with a quorum elects", time, |stage| {
        [&one, &other]
            .into_iter()
            .all(|side| enough(side) || side.iter().all(|m| stage.view(*m).role != Role::Leader))
    })?;
    for side in [&one, &other] {
        let settled = !enough(side) || stage.is_settled_among(side);
        stage.check(settled, || format!("{side:?} of {members} have no leader"))?;
    }
    Ok(())
}

pub(super) fn el_03(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    let repetitions = trial.times(8, 60, 600);
    let (mut crashes, mut contested) = (0, 0);
    for repetition in 0..repetitions {
        let seed = trial.seed() + repetition;
        let mut stage = trial.stage_of(Options::members(3), seed);
        let (grants, asked) = (stage.overhear(grant), stage.overhear(request));
        // Two that cannot hear each other canvass at once, and the third lets both of them stand.
        stage.part(&[1], &[2]);
        for candidate in [1, 2] {
            stage.start(candidate)?;
            stage.pause(candidate);
        }
        stage.run(stage.election_timeout())?;
        stage.hold(3, "vote");
        stage.start(3)?;
        stage.resume(1);
        stage.resume(2);
        let mut dice = Dice::new(seed, "crashes");
        for _ in 0..24 {
            stage.run(stage.heartbeat() / 2 + dice.below(stage.heartbeat()))?;
            crashes += crash_at_votes(&mut stage, &mut dice)?;
        }
        let mut given: BTreeMap<(MemberId, Term), MemberId> = BTreeMap::new();
        for (voter, term, candidate) in grants.notes() {
            let first = *given.entry((voter, term)).or_insert(candidate);
            stage.check(first == candidate, || {
                format!("member {voter} granted {term} to member {first} and to {candidate}")
            })?;
        }
        let asked = asked.notes();
        let both = |&(from, term): &(MemberId, Term)| {
            from == MemberId(1) && asked.contains(&(MemberId(2), term))
        };
        contested += asked.iter().filter(|asked| both(asked)).count().min(1) as u64;
        for member in stage.numbers() {
            stage.release(member, "vote");
        }
        stage.heal_all();
        stage.settle()?;
    }
    trial.count("crashes at a vote", crashes);
    trial.count("contested votes", contested);
    check(2 * crashes.min(contested) >= repetitions, || {
        format!("only {crashes} crashes and {contested} contests in {repetitions} runs")
    })
}

/// Of the members whose vote is on its way to the disk, some crash before it is there, some just
/// after it, and some go on; who crashed comes back at once. Returns how many crashed.
fn crash_at_votes(stage: &mut Stage<'_>, dice: &mut Dice) -> Result<u64, Failure> {
    let mut crashes = 0;
    for member in stage.numbers() {
        if stage.held(member, "vote").is_empty() {
            continue;
        }
        let fate = dice.below(6);
        if fate > 1 {
            stage.release(member, "vote");
            stage.run(0)?;
        }
        match fate {
            0 | 2 => stage.power_off(member),
            1 | 3 => stage.kill(member),
            4 => {
                stage.run(2 * MICRO)?;
                stage.power_off(member);
            }
            _ => {}
        }
        crashes += u64::from(fate < 5);
        stage.hold(member, "vote");
        stage.start(member)?;
    }
    Ok(crashes)
}

pub(super) fn el_04(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    for repetition in 0..trial.times(3, 20, 100) {
        let mut stage = trial.stage_of(Options::members(3), trial.seed() + repetition);
        let grants = stage.overhear(grant);
        stage.start(1)?;
        stage.run(2 * stage.election_timeout())?;
        // Member 1 canvasses all the time: its first answer makes it a candidate.
        stage.hold(2, "vote");
        stage.start(2)?;
        let within = 2 * stage.heartbeat();
        stage.until("the vote is on its way", within, |s| !s.held(2, "vote").is_empty())?;
        stage.run(5 * stage.heartbeat())?;
        let early = grants.count();
        stage.check(early == 0, || format!("{early} grants left before the disk had the vote"))?;
        stage.release(2, "vote");
        stage.run(0)?;
        let term = stage.view(2).term;
        let exact = grants.notes() == [(MemberId(2), term, MemberId(1))];
        stage.check(exact, || format!("one grant should have left, not {:?}", grants.notes()))?;
        stage.until("member 1 leads", within, |stage| stage.view(1).role == Role::Leader)?;
    }
    Ok(())
}

/// Rounds of ballots in which a group that began with a split has to have a leader.
const ROUNDS_MAX: u64 = 6;

pub(super) fn el_14(trial: &mut Trial<'_>) -> Verdict {
    let seeds = trial.times(30, 300, 10_000);
    let (mut late, mut split) = (Vec::new(), 0_u64);
    for seed in trial.seed()..trial.seed() + seeds {
        let members = if seed % 2 == 0 { 3 } else { 5 };
        let mut stage = trial.stage_of(Options::members(members), seed);
        for member in stage.numbers() {
            stage.start(member)?;
            stage.pause(member);
        }
        // All time-outs are over when they go on, at the same moment.
        stage.run(stage.election_timeout())?;
        for member in stage.numbers() {
            stage.resume(member);
        }
        let within = ROUNDS_MAX * stage.election_timeout();
        match stage.until("a leader", within, |stage| stage.leader().is_some()) {
            Err(Failure::Broken { observer: None, .. }) => late.push(seed),
            other => other?,
        }
        split += u64::from(stage.elections() == 1 && leading_term(&stage) > 1);
    }
    trial.count("split first rounds", split);
    check(late.len() as u64 <= seeds / 1_000, || {
        format!(
            "{} of {seeds} seeds have no leader within {ROUNDS_MAX} rounds: {late:?}",
            late.len()
        )
    })?;
    check(split > seeds / 10, || format!("only {split} of {seeds} first rounds were split"))
}

fn leading_term(stage: &Stage<'_>) -> u64 {
    stage.leader().map_or(0, |leader| stage.view(leader).term.0)
}
