//! What `types` asks of parts of a host, with members of any subject.

use quorate_core::Position;

use super::{answered, flood, settled_with_client};
use crate::case::{Failure, Verdict};
use crate::edges::LedgerReply;
use crate::stage::story::Told;
use crate::stage::{ClientNumber, MILLI, Options, SECOND, Stage};
use crate::subject::Feature;
use crate::trial::Trial;

pub(in crate::catalogue) fn ad_25(trial: &Trial<'_>) -> Verdict {
    // Little is handed over at a time, so that each end is reported in time or all stands still;
    // and snapshots are taken meanwhile, by whom can.
    let takes_snapshots = trial.needs(Feature::Snapshots).is_ok();
    let options = Options::members(3).limits(|limits| {
        (limits.apply_batch_max, limits.unapplied_bytes_max) = (2, 32 << 10);
        if takes_snapshots {
            limits.snapshot_interval_bytes = 4_000;
        }
    });
    let mut stage = trial.stage(options);
    let (leader, client) = settled_with_client(&mut stage)?;
    for round in 0..trial.times(3, 10, 100) {
        let member = if round % 2 == 0 { leader } else { stage.other_than(leader) };
        flood(&mut stage, client, 40, 900);
        applies_in_order(&mut stage, 40)?;
        stage.kill(member);
        flood(&mut stage, client, 20, 900);
        applies_in_order(&mut stage, 40)?;
        stage.start(member)?;
        applies_in_order(&mut stage, 40)?;
    }
    let done = |stage: &Stage<'_>| answered(stage, client) && stage.is_level(&[1, 2, 3]);
    stage.until("all is answered and everywhere", 8 * SECOND, done)?;
    // The first reply to a message stands behind all that was applied before it, once each.
    let replies: Vec<LedgerReply> =
        stage.replies(client).iter().filter_map(|reply| LedgerReply::parse(&reply.bytes)).collect();
    let numbers: Vec<u64> = replies.iter().map(|reply| reply.applied).collect();
    let wanted: Vec<u64> = (1..=stage.submitted(client).len() as u64).collect();
    stage.check(numbers == wanted, || format!("messages were applied as {numbers:?}"))?;
    let snapshots = stage.numbers().filter(|id| stage.view(*id).snapshot > Position::ZERO).count();
    stage.check(!takes_snapshots || snapshots == 3, || format!("{snapshots} of 3 took snapshots"))
}

/// For so many milliseconds, what each life has applied only grows, and never beyond what is
/// committed.
fn applies_in_order(stage: &mut Stage<'_>, millis: u64) -> Verdict {
    for _ in 0..millis {
        let before: Vec<_> = stage.numbers().map(|member| *stage.view(member)).collect();
        stage.run(MILLI)?;
        for (member, before) in stage.numbers().zip(before) {
            let after = *stage.view(member);
            let grows = after.life != before.life || after.applied >= before.applied;
            stage.check(grows && after.applied <= after.commit, || {
                format!("member {member} had applied {}, and now {after:?}", before.applied)
            })?;
        }
    }
    Ok(())
}

/// A short play, a step at a time.
type Step = fn(&mut Stage<'_>, ClientNumber) -> Verdict;

const STEPS: [Step; 5] = [
    |stage, client| {
        flood(stage, client, 6, 900);
        stage.run(30 * MILLI)
    },
    |stage, _| {
        let follower = stage.other_than(stage.leader().unwrap_or_default());
        stage.kill(follower);
        stage.run(300 * MILLI)
    },
    |stage, client| {
        flood(stage, client, 6, 2_000);
        stage.run(30 * MILLI)
    },
    |stage, _| {
        let down = stage.numbers().find(|member| !stage.is_up(*member));
        stage.start(down.unwrap_or(1))?;
        stage.run(500 * MILLI)
    },
    |stage, client| {
        flood(stage, client, 6, 400);
        stage.run(300 * MILLI)
    },
];

/// What happened on a stage, without the script.
fn course(stage: &Stage<'_>) -> Vec<String> {
    let scenes = stage.story().scenes.iter().filter(|scene| {
        // What a script says may name what is of this run only.
        !matches!(scene.told, Told::Script { .. })
    });
    scenes.map(ToString::to_string).collect()
}

pub(in crate::catalogue) fn ad_31(trial: &Trial<'_>) -> Verdict {
    let begin = |seed: u64| -> Result<_, Failure> {
        let mut stage = trial.stage_of(Options::members(3), seed);
        let (_, client) = settled_with_client(&mut stage)?;
        Ok((stage, client))
    };
    for round in 0..trial.times(1, 3, 20) {
        let seed = quorate_core::hash::mix(trial.seed(), round);
        let (mut alone, client) = begin(seed)?;
        STEPS.iter().try_for_each(|step| step(&mut alone, client))?;
        // The same twice, in turn, beside a group of another seed.
        let mut groups = [begin(seed)?, begin(seed ^ 1)?, begin(seed)?];
        for step in STEPS {
            for (stage, client) in &mut groups {
                step(stage, *client)?;
            }
        }
        let wanted = course(&alone);
        for (stage, _) in groups.iter_mut().step_by(2) {
            let found = course(stage);
            let same = wanted == found;
            stage.check(same, || {
                let differs = wanted.iter().zip(&found).find(|(wanted, found)| wanted != found);
                format!("beside others in one process the group does otherwise: {differs:?}")
            })?;
        }
    }
    Ok(())
}
