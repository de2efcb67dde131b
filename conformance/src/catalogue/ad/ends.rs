//! Lives and their ends: graceful, abrupt, inert; and what each begins with.

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use quorate_core::{FailStop, Sender};
use quorate_sim::Dice;

use super::{answered, flood, settled_with_client};
use crate::case::Verdict;
use crate::edges::ServiceFault;
use crate::stage::{MILLI, Options, SECOND, Stage};
use crate::subject::Feature;
use crate::trial::Trial;

/// Datagrams that a member sent since a time.
fn sent_by(stage: &Stage<'_>, member: u16, since: u64) -> usize {
    let place = Stage::place_of(member);
    stage.sightings().iter().filter(|sent| sent.from == place && sent.at > since).count()
}

pub(super) fn ad_19(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::GracefulStop)?;
    let mut stage = trial.stage(Options::members(3));
    let (leader, client) = settled_with_client(&mut stage)?;
    flood(&mut stage, client, 30, 500);
    stage.run(MILLI / 2)?;
    stage.hold(leader, "sync");
    flood(&mut stage, client, 10, 500);
    stage.run(5 * MILLI)?;
    let asked = stage.now();
    stage.shut_down(leader);
    stage.run(0)?;
    let left = stage.sent_since(asked, "abdicate");
    stage.check(left > 0, || "it did not give up its leadership".into())?;
    stage.always("it waits for its disk", 100 * MILLI, |stage| stage.is_up(leader))?;
    stage.release(leader, "sync");
    stage.until("it is down", 100 * MILLI, |stage| !stage.is_up(leader))?;
    let ended = stage.now();
    stage.until("all is answered by the others", 8 * SECOND, |stage| answered(stage, client))?;
    let later = sent_by(&stage, leader, ended);
    stage.check(later == 0, || format!("it sent {later} datagrams after its end"))?;
    // It is not held up for ever by a disk that never answers.
    let follower = stage.leader().map_or(1, |other| stage.other_than(other));
    stage.hold(follower, "sync");
    flood(&mut stage, client, 4, 500);
    stage.run(5 * MILLI)?;
    stage.shut_down(follower);
    stage.until("it is down without its disk", 5 * SECOND, |stage| !stage.is_up(follower))?;
    stage.settle()?;
    stage.until("all are level", 8 * SECOND, |stage| {
        answered(stage, client) && stage.is_level(&[1, 2, 3])
    })
}

pub(super) fn ad_20(trial: &mut Trial<'_>) -> Verdict {
    for round in 0..trial.times(3, 12, 60) {
        let seed = quorate_core::hash::mix(trial.seed(), round);
        let mut dice = Dice::new(seed, "ends");
        let mut stage = trial.stage_of(Options::members(3), seed);
        let (_, client) = settled_with_client(&mut stage)?;
        for _ in 0..8 {
            flood(&mut stage, client, 6, 900);
            stage.run(dice.between(0, 3 * MILLI))?;
            let member = dice.between(1, 3) as u16;
            if dice.chance(500_000) {
                stage.kill(member)
            } else {
                stage.power_off(member)
            }
            // Perhaps at once, perhaps when another one leads.
            stage.run(dice.pick(&[0, 20 * MILLI, SECOND]))?;
            stage.start(member)?;
        }
        let done = |stage: &Stage<'_>| answered(stage, client) && stage.is_level(&[1, 2, 3]);
        stage.until("all is answered and everywhere", 20 * SECOND, done)?;
    }
    Ok(())
}

pub(super) fn ad_21(trial: &mut Trial<'_>) -> Verdict {
    for leads in [true, false] {
        let mut stage = trial.stage(Options::members(3));
        let (leader, client) = settled_with_client(&mut stage)?;
        let member = if leads { leader } else { stage.other_than(leader) };
        flood(&mut stage, client, 10, 500);
        stage.run(MILLI / 4)?;
        let at = stage.now();
        stage.break_storage(member, "the controller is gone");
        stage.run(3 * SECOND)?;
        let reason = stage.stopped(member).map(ToOwned::to_owned);
        let named = reason.as_deref().is_some_and(|reason| reason.contains("storage"));
        stage.check(named, || format!("the reason that it gives is {reason:?}"))?;
        let later = sent_by(&stage, member, at);
        stage.check(later == 0, || format!("it sent {later} datagrams afterwards"))?;
        stage.until("the others answer", 8 * SECOND, |stage| answered(stage, client))?;
    }
    Ok(())
}

pub(super) fn ad_24(trial: &mut Trial<'_>) -> Verdict {
    for fault in [ServiceFault::Error, ServiceFault::Panic] {
        for leads in [true, false] {
            let mut stage = trial.stage(Options::members(3));
            let (leader, client) = settled_with_client(&mut stage)?;
            let member = if leads { leader } else { stage.other_than(leader) };
            flood(&mut stage, client, 3, 200);
            stage.until("all are level", 2 * SECOND, |stage| {
                answered(stage, client) && stage.is_level(&[1, 2, 3])
            })?;
            let (digest, applied) = (stage.digest(member), stage.view(member).applied);
            stage.break_service(member, fault);
            flood(&mut stage, client, 3, 200);
            stage.until("it is inert", 4 * SECOND, |stage| stage.stopped(member).is_some())?;
            let view = *stage.view(member);
            let right = view.fail_stop == Some(FailStop::ServiceFailed) && view.applied == applied;
            stage.check(right, || format!("after {fault:?} it is {view:?}"))?;
            let kept = stage.digest(member) == digest;
            stage.check(kept, || "messages behind the failed one were applied".into())?;
            stage.until("the others answer", 8 * SECOND, |stage| answered(stage, client))?;
            stage.kill(member);
            stage.start(member)?;
            stage.until("all are level", 8 * SECOND, |stage| stage.is_level(&[1, 2, 3]))?;
        }
    }
    Ok(())
}

pub(super) fn ad_32(trial: &mut Trial<'_>) -> Verdict {
    for round in 0..trial.times(1, 5, 30) {
        let seed = quorate_core::hash::mix(trial.seed(), round);
        let mut dice = Dice::new(seed, "lives");
        let mut stage = trial.stage_of(Options::members(3), seed);
        let newest = Rc::new(RefCell::new(BTreeMap::new()));
        let lives = Rc::clone(&newest);
        stage.listen(move |passing| {
            if let Some((Sender::Member { member, boot_epoch, .. }, _)) = &passing.content {
                lives.borrow_mut().insert(member.0, boot_epoch.0);
            }
        });
        stage.settle()?;
        for life in 1..=12 {
            let member = dice.between(1, 3) as u16;
            let before = newest.borrow().get(&member).copied().unwrap_or_default();
            stage.power_off(member);
            stage.start(member)?;
            let view = *stage.view(member);
            let epoch = view.life.boot_epoch.0;
            stage
                .check(epoch > before, || format!("epoch {epoch} after {before}, start {life}"))?;
            // Perhaps its next end comes before its first datagram.
            stage.run(dice.pick(&[0, MILLI, 400 * MILLI]))?;
            let sent = newest.borrow().get(&member).copied().unwrap_or_default();
            let own = sent == epoch || sent == before;
            stage.check(own, || format!("it sends as epoch {sent} in epoch {epoch}"))?;
        }
        stage.settle()?;
    }
    Ok(())
}
