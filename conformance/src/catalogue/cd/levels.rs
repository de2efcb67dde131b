//! Volatile groups: what is answered out of memory, and who may lead behind an unclean restart.

use quorate_core::{BootEpoch, Message, Position, Role};

use crate::case::Verdict;
use crate::stage::{ClientNumber, Effect, MILLI, Options, SECOND, Stage};
use crate::subject::Feature;
use crate::trial::Trial;

/// Checkpoints are so far apart that none falls into a script.
fn rarely_synced(members: usize) -> Options {
    Options::members(members).volatile(3_600 * SECOND)
}

/// A group that is level, with its leader and a client.
fn set_up(stage: &mut Stage<'_>) -> Result<(u16, ClientNumber), crate::case::Failure> {
    let leader = stage.settle()?;
    let client = stage.connected_clients(1)?[0];
    stage.until_level(10 * SECOND)?;
    Ok((leader, client))
}

fn others(stage: &Stage<'_>, leader: u16) -> Vec<u16> {
    stage.numbers().filter(|member| *member != leader).collect()
}

/// Waits until a member that was impaired counts in full again.
fn until_healed(stage: &mut Stage<'_>, member: u16) -> Verdict {
    stage.until("it is healed", 10 * SECOND, |stage| !stage.view(member).impaired)
}

pub(super) fn cd_09(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    for members in [3, 5] {
        let mut stage = trial.stage(rarely_synced(members));
        let (leader, client) = set_up(&mut stage)?;
        for count in 0..8 {
            stage.request(client, &[count; 100])?;
        }
        let committed = stage.view(leader).commit;
        let on_disk = |stage: &Stage<'_>, member| stage.view(member).durable >= committed;
        let disks = stage.numbers().filter(|member| on_disk(&stage, *member)).count();
        stage.check(disks == 0, || format!("{disks} disks have what is answered"))?;
        let safe = stage.view(leader).safe;
        stage.check(safe < committed, || format!("{safe} is called safe, and no disk has it"))?;
        // The leader among those who lose it.
        let lost: Vec<u16> = stage.numbers().rev().filter(|it| *it != leader).collect();
        let lost: Vec<u16> = [leader].into_iter().chain(lost).take(members / 2).collect();
        lost.iter().for_each(|member| stage.power_off(*member));
        let left: Vec<u16> = stage.numbers().filter(|member| !lost.contains(member)).collect();
        let settled = |stage: &Stage<'_>| stage.is_settled_among(&left);
        stage.until("the others elect a leader", 10 * SECOND, settled)?;
        for member in &lost {
            stage.start(*member)?;
            stage.check(stage.view(*member).impaired, || {
                format!("member {member} does not know that it has lost something")
            })?;
        }
        for member in &lost {
            until_healed(&mut stage, *member)?;
        }
        stage.request(client, b"behind it")?;
        stage.until_level(10 * SECOND)?;
        for member in stage.numbers() {
            let commit = stage.view(member).commit;
            stage.check(commit > committed, || format!("member {member} has {commit}"))?;
        }
        trial.count("groups", 1);
    }
    Ok(())
}

pub(super) fn cd_11(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    nobody_leads_without_it(trial)?;
    heals_when_it_has_all(trial)?;
    for members in [2, 3] {
        goes_on_alone(trial, members)?;
    }
    nothing_is_held_unmarked(trial)
}

/// Of those who had it one lost it and the other is cut off; the third never had it.
fn nobody_leads_without_it(trial: &Trial<'_>) -> Verdict {
    let mut stage = trial.stage(rarely_synced(3));
    let (leader, client) = set_up(&mut stage)?;
    let [lost, behind] = others(&stage, leader)[..] else { return Ok(()) };
    stage.isolate(behind);
    stage.request(client, b"on two of three")?;
    let committed = stage.view(leader).commit;
    stage.power_off(lost);
    stage.heal_all();
    stage.isolate(leader);
    stage.start(lost)?;
    stage.always("nobody leads without it", 3 * SECOND, |stage| {
        [lost, behind].iter().all(|member| stage.view(*member).role != Role::Leader)
    })?;
    stage.heal_all();
    until_healed(&mut stage, lost)?;
    stage.until_level(10 * SECOND)?;
    let has = stage.view(lost).commit;
    stage.check(has >= committed, || format!("{has} of {committed} came back"))
}

/// It acknowledges nothing, and stays impaired, while it lacks a byte of what the leader had.
fn heals_when_it_has_all(trial: &Trial<'_>) -> Verdict {
    let mut stage = trial.stage(rarely_synced(3));
    let (leader, client) = set_up(&mut stage)?;
    let lost = others(&stage, leader)[0];
    for count in 0..8 {
        stage.request(client, &[count; 1_000])?;
    }
    stage.until_level(10 * SECOND)?;
    stage.power_off(lost);
    let newest = stage.view(leader).verified;
    let place = Stage::place_of(lost);
    let rule = stage.rule("bytes of the log are lost on their way to it", Effect::Lose, {
        move |passing| passing.to == place && passing.is_log_data()
    });
    let held = stage.overhear(move |passing| match passing.message() {
        Some(Message::Holding { held, .. }) if passing.from == place => Some(*held),
        _ => None,
    });
    stage.start(lost)?;
    stage.run(100 * MILLI)?;
    // What was meant for the life before comes late.
    let (term, own) = (stage.view(leader).term, stage.view(lost).life.boot_epoch);
    let late = Message::Registered { term, boot_epoch: BootEpoch(own.0 - 1), newest: Position(8) };
    stage.inject_message(leader, lost, &late);
    stage.always("it stays impaired", SECOND, |stage| {
        let view = stage.view(lost);
        view.impaired || view.verified >= newest
    })?;
    let said = held.count();
    stage.check(said == 0, || format!("it said {said} times what it holds"))?;
    stage.remove_rule(rule);
    until_healed(&mut stage, lost)?;
    let view = stage.view(lost).verified;
    stage.check(view >= newest, || format!("it is healed with {view} of {newest}"))
}

/// Who led goes on with one that came back without its bytes, when there is nobody else.
fn goes_on_alone(trial: &Trial<'_>, members: usize) -> Verdict {
    let mut stage = trial.stage(rarely_synced(members));
    let (leader, client) = set_up(&mut stage)?;
    let others = others(&stage, leader);
    others[1..].iter().for_each(|member| stage.power_off(*member));
    stage.request(client, b"held by two")?;
    stage.power_off(others[0]);
    stage.until("it gives up", 10 * SECOND, |stage| stage.view(leader).role != Role::Leader)?;
    stage.start(others[0])?;
    let pair = [leader, others[0]];
    stage.until("it leads again", 10 * SECOND, |stage| stage.is_settled_among(&pair))?;
    let leads = stage.view(leader).role == Role::Leader;
    stage.check(leads, || "the one leads that lost its bytes".to_owned())?;
    until_healed(&mut stage, others[0])?;
    stage.request(client, b"behind it")?;
    Ok(())
}

/// Before it is durable that a life holds more than its disk, it says only what its disk has.
fn nothing_is_held_unmarked(trial: &Trial<'_>) -> Verdict {
    let mut stage = trial.stage(rarely_synced(3));
    let (leader, client) = set_up(&mut stage)?;
    let marked = others(&stage, leader)[0];
    stage.shut_down(marked);
    stage.until("it is down", SECOND, |stage| !stage.is_up(marked))?;
    stage.hold(marked, "peers");
    let place = Stage::place_of(marked);
    let said = stage.overhear(move |passing| match passing.message() {
        Some(Message::Holding { held, durable, .. }) if passing.from == place => {
            Some((*held, *durable))
        }
        _ => None,
    });
    stage.start(marked)?;
    let impaired = stage.view(marked).impaired;
    stage.check(!impaired, || "it was stopped in good order, and is in doubt".to_owned())?;
    stage.request(client, b"held by the others")?;
    stage.run(200 * MILLI)?;
    let loose = said.notes().into_iter().find(|(held, durable)| held > durable);
    stage.check(loose.is_none(), || format!("it holds {loose:?} without a mark"))?;
    said.forget();
    stage.release(marked, "peers");
    stage.request(client, b"held by all")?;
    let newest = stage.view(leader).verified;
    let holds = move |(held, _): &(Position, Position)| *held >= newest;
    stage.run(200 * MILLI)?;
    let held = said.notes().iter().any(holds);
    stage.check(held, || "with the mark it holds what is in its memory".to_owned())
}
