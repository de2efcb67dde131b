//! A group of two that is one for a while, or two that do not hear each other.

use std::collections::BTreeMap;

use quorate_core::client::{ClientError, TriedOutcome};
use quorate_core::message::{ConnectOutcome, Message};
use quorate_core::{Duration, Role};
use quorate_sim::Dice;

use crate::case::Verdict;
use crate::stage::{ClientNumber, MILLI, Options, Overheard, SECOND, Stage};
use crate::trial::Trial;

/// How long the clients of [`tn_02`] try to be served.
const GIVE_UP_AFTER: u64 = 3 * SECOND;
/// Election time-outs until a member that hears nobody has told a client so, at most: it loses its
/// leader, canvasses in vain, and is asked.
const TOLD_WITHIN: u64 = 4;

/// Who tells clients that there is no quorum, from now on.
fn refusals(stage: &mut Stage<'_>) -> Overheard<()> {
    stage.overhear(|passing| match passing.message() {
        Some(Message::ConnectReply { outcome: ConnectOutcome::NoQuorum { .. }, .. }) => Some(()),
        _ => None,
    })
}

pub(super) fn tn_02(trial: &mut Trial<'_>) -> Verdict {
    for repetition in 0..trial.times(4, 12, 100) {
        let mut options = Options::members(2);
        options.client_timing.give_up_after = Duration(GIVE_UP_AFTER);
        let mut stage = trial.stage_of(options, trial.seed() + repetition);
        let refusals = refusals(&mut stage);
        let (leader, client) = (stage.settle()?, stage.client());
        stage.request(client, b"with both")?;
        stage.run(4 * stage.heartbeat())?;
        stage.check(refusals.count() == 0, || "with both there is no quorum".into())?;
        let gone = if repetition % 2 == 0 { leader } else { stage.other_than(leader) };
        if repetition % 4 < 2 {
            stage.kill(gone)
        } else {
            stage.power_off(gone)
        }
        alone(&mut stage, client, 3 - gone, &refusals)?;
        stage.start(gone)?;
        let within = 12 * stage.election_timeout();
        stage.until("both serve again", within, Stage::is_settled)?;
        refusals.forget();
        let next = stage.client();
        stage.request(next, b"with both again")?;
        stage.until_level(SECOND)?;
        stage.check(refusals.count() == 0, || "with both again there is no quorum".into())?;
    }
    Ok(())
}

/// What must not happen while one of two is gone, and what its client is told.
fn alone(
    stage: &mut Stage<'_>,
    client: ClientNumber,
    left: u16,
    refusals: &Overheard<()>,
) -> Verdict {
    let (te, commit, term) =
        (stage.election_timeout(), stage.view(left).commit, stage.view(left).term);
    let _ = stage.submit(client, b"with one");
    stage.until("nobody leads", 2 * te, |stage| stage.view(left).role != Role::Leader)?;
    let told = refusals.clone();
    stage.until("the client is told", TOLD_WITHIN * te, move |_| told.count() > 0)?;
    stage.always("nothing is committed, nobody leads, no term rises", 4 * te, |stage| {
        let view = stage.view(left);
        view.commit == commit && view.role != Role::Leader && view.term == term
    })?;
    let ended = |stage: &Stage<'_>| stage.ended(client).is_some();
    stage.until("the client gives up", GIVE_UP_AFTER + SECOND, ended)?;
    let answered = stage.replies(client).len();
    let tried = match stage.ended(client) {
        Some(Err(ClientError::NoQuorum { tried })) => tried.clone(),
        other => {
            let text = format!("the client ends with {other:?}");
            return stage.check(false, || text);
        }
    };
    let says = tried.iter().find(|one| one.member.0 == left).map(|one| one.outcome);
    stage.check(says == Some(TriedOutcome::NoQuorum) && answered == 1, || {
        format!("with {answered} answers the client lists {tried:?}")
    })
}

pub(super) fn tn_03(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(2));
    let mut dice = Dice::new(trial.seed(), "cuts");
    stage.settle()?;
    let (client, te) = (stage.client(), stage.election_timeout());
    let mut leaders = BTreeMap::new();
    for _ in 0..trial.times(12, 100, 400) {
        match dice.below(4) {
            0 => stage.cut(1, 2),
            1 => stage.cut(2, 1),
            _ => stage.part(&[1], &[2]),
        }
        loaded(&mut stage, client, dice.between(te / 20, 3 * te), &mut leaders)?;
        stage.heal_all();
        stage.until("both are one group again", 12 * te, Stage::is_settled)?;
        loaded(&mut stage, client, te / 4, &mut leaders)?;
    }
    trial.count("terms with a leader", leaders.len() as u64);
    let all = |stage: &Stage<'_>| stage.replies(client).len() == stage.submitted(client).len();
    stage.until("all is answered", 10 * SECOND, all)?;
    stage.until_level(SECOND)?;
    stage.numbers().try_for_each(|member| stage.check_written_in_order(member, &[client]))
}

/// Puts a load on both for so long, and notes who leads which term.
fn loaded(
    stage: &mut Stage<'_>,
    client: ClientNumber,
    duration: u64,
    leaders: &mut BTreeMap<u64, u16>,
) -> Verdict {
    stage.load_while(client, 5 * MILLI, duration, |stage, pause| {
        stage.run(pause)?;
        for member in stage.numbers() {
            let view = stage.view(member);
            if view.role != Role::Leader {
                continue;
            }
            let term = view.term.0;
            let first = *leaders.entry(term).or_insert(member);
            stage.check(first == member, || format!("both have led term {term}"))?;
        }
        Ok(())
    })
}
