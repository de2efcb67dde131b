//! The same range of the log is lost to a minority, to most members, and to all.

use quorate_core::{MemberId, Position};
use quorate_sim::{Damage, Dice, Refusal, SimDisk, Tally};

use super::members::a_restored_image_elects_nobody;
use super::mending::{one_copy_or_none, tail_without_a_mark, undecided};
use crate::case::Verdict;
use crate::stage::{Options, SECOND, Stage};
use crate::subject::Feature;
use crate::trial::Trial;

/// So often rot is tried until it hits the frame that it is meant for.
const TRIES_MAX: u64 = 4_096;

/// Members, and how many of them lose the range.
const GROUPS: [(usize, usize); 4] = [(5, 2), (3, 2), (5, 3), (3, 3)];

pub(super) fn df_05(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    one_copy_or_none(trial)?;
    for (index, (members, lost)) in GROUPS.into_iter().enumerate() {
        let seed = trial.seed().wrapping_add(index as u64);
        let stage = trial.stage_of(Options::members(members), seed);
        a_range_is_lost(stage, members, lost)?;
    }
    Ok(())
}

pub(super) fn df_06(trial: &mut Trial<'_>) -> Verdict {
    undecided(trial)?;
    tail_without_a_mark(trial)?;
    // A directory without its tail, and without what tells that it had one, is one of before.
    trial.needs(Feature::VirtualDisk)?;
    a_restored_image_elects_nobody(trial)
}

fn a_range_is_lost(mut stage: Stage<'_>, members: usize, lost: usize) -> Verdict {
    let leader = stage.settle()?;
    let client = stage.client();
    for number in 0..12 {
        stage.request(client, &[number; 300])?;
    }
    stage.until_level(4 * SECOND)?;
    let frames = stage.disk(leader, |disk| disk.frames().to_vec());
    let rotten = frames[frames.len() / 2];
    let all: Vec<u16> = stage.numbers().collect();
    all.iter().for_each(|member| stage.power_off(*member));
    // Its leader is among those who lose it.
    let mut victims = vec![leader];
    victims.extend(all.iter().copied().filter(|member| *member != leader).take(lost - 1));
    for member in &victims {
        let refused = stage.damage(*member, |disk| rot(disk, MemberId(*member), rotten.start));
        let is_named = matches!(refused, Some(Refusal::Damaged { at, .. }) if at == rotten.start);
        stage.check(is_named, || format!("member {member} begins with {refused:?}"))?;
        let saved = stage.damage(*member, SimDisk::salvage);
        let end = stage.disk(*member, SimDisk::durable_end);
        stage.check(saved && end <= rotten.start, || {
            format!("of the log of member {member} {end} is saved, and {} rotted", rotten.start)
        })?;
    }
    let kept: Vec<_> =
        all.iter().map(|member| (*member, stage.disk(*member, SimDisk::durable_end))).collect();
    for member in &all {
        stage.start(*member)?;
    }
    let answered = stage.replies(client).len();
    if lost * 2 < members {
        stage.request(client, b"after")?;
        stage.until_level(8 * SECOND)?;
        let whole = all
            .iter()
            .all(|member| stage.disk(*member, |disk| disk.holds_durably(rotten.end, rotten.chain)));
        return stage.check(whole, || format!("not all hold the frame at {}", rotten.start));
    }
    // What is asked for now nobody may answer: who would has lost what was answered before.
    let _ = stage.submit(client, b"after");
    stage.always("nobody leads or answers without the range", 5 * SECOND, |stage| {
        stage.leader().is_none() && stage.replies(client).len() == answered
    })?;
    for (member, before) in kept {
        let after = stage.disk(member, SimDisk::durable_end);
        stage.check(before == after, || {
            format!("the log of member {member} ended at {before}, and now at {after}")
        })?;
    }
    Ok(())
}

/// A bit of the frame at `start` rots. What a start makes of it.
fn rot(disk: &mut SimDisk, owner: MemberId, start: Position) -> Option<Refusal> {
    for seed in 0..TRIES_MAX {
        let mut rotten = disk.clone();
        let (dice, tally) = (&mut Dice::new(seed, "rot"), &mut Tally::default());
        rotten.damage(Damage::Rot, start, dice, tally);
        let refusal = rotten.start(owner).err();
        if matches!(refusal, Some(Refusal::Damaged { at, .. }) if at == start) {
            *disk = rotten;
            return refusal;
        }
    }
    None
}
