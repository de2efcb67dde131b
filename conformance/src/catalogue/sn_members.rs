//! Cases of group SN with members of any subject, whose log has a marker every few thousand bytes.
//! What they ask of the core itself is in `sn`.

use std::collections::BTreeMap;

use quorate_core::{Limits, Position, Recovered, TermHistory};
use quorate_sim::{ALWAYS, Dice, Stored};

use crate::case::{Failure, Verdict};
use crate::edges::Command;
use crate::stage::{ClientNumber, MILLI, Options, SECOND, Stage, quantile};
use crate::subject::Feature;
use crate::trial::Trial;

/// Bytes of the log between two markers.
const INTERVAL: u64 = 4_000;

/// Three members that take snapshots, one that leads, and a client.
fn served<'a>(trial: &Trial<'a>) -> Result<(Stage<'a>, u16, ClientNumber), Failure> {
    trial.needs(Feature::Snapshots)?;
    trial.needs(Feature::VirtualDisk)?;
    let options = Options::members(3).limits(|limits| limits.snapshot_interval_bytes = INTERVAL);
    let mut stage = trial.stage(options);
    let leader = stage.settle()?;
    let client = stage.client();
    Ok((stage, leader, client))
}

/// A log of a few markers, with sessions, kept replies and timers, on level members.
fn fill(stage: &mut Stage<'_>, client: ClientNumber) -> Verdict {
    for timer in 0..4 {
        let delay = (1 + timer) * 20 * MILLI;
        stage.request(client, &Command::Schedule { timer, delay }.to_bytes())?;
    }
    for _ in 0..4 {
        stage.pour(&[client], 15, 300, 10 * SECOND)?;
        stage.until_level(10 * SECOND)?;
        // The disk has stored what was taken.
        stage.run(5 * MILLI)?;
    }
    Ok(())
}

fn newest(stage: &Stage<'_>, member: u16) -> Option<Stored> {
    stage.disk(member, |disk| disk.newest_snapshot().cloned())
}

fn newest_position(stage: &Stage<'_>, member: u16) -> Position {
    newest(stage, member).map_or(Position::ZERO, |stored| stored.snapshot.point.position)
}

/// Starts a member, which begins with its newest snapshot, or with nothing.
fn begins_with_its_newest(stage: &mut Stage<'_>, member: u16) -> Verdict {
    let position = newest_position(stage, member);
    stage.start(member)?;
    let applied = stage.view(member).applied;
    stage.check(applied == position, || {
        format!("member {member} begins at {applied}, and its newest snapshot is at {position}")
    })
}

pub(super) fn sn_01(trial: &Trial<'_>) -> Verdict {
    let (mut stage, _, client) = served(trial)?;
    for _ in 0..trial.times(1, 3, 20) {
        fill(&mut stage, client)?;
        for member in stage.numbers() {
            stage.power_off(member);
            // The others go on, so that there is a log behind the snapshot.
            stage.pour(&[client], 5, 300, 10 * SECOND)?;
            begins_with_its_newest(&mut stage, member)?;
            let has = newest_position(&stage, member) > Position::ZERO;
            stage.check(has, || format!("member {member} has no snapshot"))?;
            stage.until_level(10 * SECOND)?;
        }
    }
    let answered = stage.is_answered(&[client]);
    stage.check(answered, || "a message was not answered once and in order".into())
}

pub(super) fn sn_03(trial: &Trial<'_>) -> Verdict {
    let (mut stage, _, client) = served(trial)?;
    let mut stored: BTreeMap<Position, (u16, Stored)> = BTreeMap::new();
    let mut compared = 0;
    for round in 0..trial.times(30, 100, 1_000) {
        stage.offer(&[client], 400, 2 * MILLI, 20 * MILLI)?;
        for member in stage.numbers() {
            let Some(found) = newest(&stage, member) else { continue };
            let at = found.snapshot.point.position;
            let (first, known) =
                stored.entry(at).or_insert_with(|| (member, found.clone())).clone();
            let (core, service) =
                (known.snapshot.core == found.snapshot.core, known.service == found.service);
            stage.check(core && service, || {
                format!("members {first} and {member} stored different bytes at {at}")
            })?;
            compared += usize::from(first != member);
        }
        if round % 10 == 9
            && let Some(leader) = stage.leader()
        {
            stage.kill(leader);
            stage.run(SECOND)?;
            stage.start(leader)?;
        }
    }
    let positions = stored.len();
    stage.check(positions > 5 && compared > 10, || {
        format!("only {positions} positions and {compared} comparisons")
    })?;
    stage.until_level(10 * SECOND)
}

pub(super) fn sn_06(trial: &Trial<'_>) -> Verdict {
    let (mut stage, leader, client) = served(trial)?;
    fill(&mut stage, client)?;
    let member = stage.other_than(leader);
    type Change = fn(&mut Recovered);
    let other_chain: Change = |recovered| {
        if let Some(snapshot) = &recovered.snapshot {
            let point = snapshot.point;
            (recovered.log_end, recovered.log_time) = (point.position, point.time);
            recovered.chain.0 = point.chain.0 ^ 1;
        }
    };
    let short_log: Change = |recovered| {
        let at = recovered.snapshot.as_ref().map(|snapshot| snapshot.point.position);
        recovered.log_end = Position(at.map_or(0, |at| at.0 - 64));
    };
    let other_leader: Change = |recovered| {
        let mut lines = recovered.history.lines().to_vec();
        lines.iter_mut().for_each(|line| line.leader.incarnation.0 += 1);
        recovered.history = TermHistory::new(lines).unwrap_or_default();
    };
    for (what, change) in [
        ("a log of another chain value where the snapshot stands", other_chain),
        ("a log that ends before the snapshot", short_log),
        ("a term of another leader", other_leader),
    ] {
        stage.kill(member);
        stage.start_with(member, what, change)?;
        let refused = stage.refused(member).is_some();
        stage.check(refused, || format!("member {member} starts with {what}"))?;
    }
    begins_with_its_newest(&mut stage, member)?;
    stage.until_level(10 * SECOND)
}

pub(super) fn sn_11(trial: &Trial<'_>) -> Verdict {
    trial.needs(Feature::Snapshots)?;
    trial.needs(Feature::Purging)?;
    trial.needs(Feature::VirtualDisk)?;
    let mut stage = trial.stage(Options::members(3).limits(|limits| {
        (limits.snapshot_interval_bytes, limits.purge_keep_bytes) = (INTERVAL, INTERVAL);
    }));
    stage.settle()?;
    let client = stage.client();
    let mut dice = Dice::new(trial.seed(), "sn_11");
    let (mut purged, mut stored) = (0, 0);
    for round in 0..trial.times(12, 36, 360) {
        let member = 1 + (round % 3) as u16;
        // A third of them die while a snapshot is being stored, a third just when it is, and so
        // about when the log is purged, and the others whenever it comes.
        let moment = round / 3 % 3;
        if moment < 2 {
            stage.hold(member, "snapshot");
        }
        stage.offer(&[client], 400, MILLI, 30 * MILLI)?;
        if moment < 2 {
            stored += stage.held(member, "snapshot").len();
        }
        if moment == 1 {
            stage.release(member, "snapshot");
        }
        stage.run(dice.below(2 * MILLI))?;
        let before = stage.view(member).origin;
        if dice.chance(ALWAYS / 2) {
            stage.kill(member);
        } else {
            stage.power_off(member);
        }
        stage.release(member, "snapshot");
        let begins = stage.disk(member, |disk| disk.origin().position);
        purged += u64::from(begins > before);
        let newest = newest_position(&stage, member);
        stage.check(newest >= begins, || {
            format!("the log of member {member} begins at {begins}, its snapshot is at {newest}")
        })?;
        begins_with_its_newest(&mut stage, member)?;
        let origin = stage.view(member).origin;
        stage.check(origin == begins, || format!("its log began at {begins}, now at {origin}"))?;
        stage.until_level(10 * SECOND)?;
    }
    let begins: Vec<_> = stage.numbers().map(|member| stage.view(member).origin).collect();
    stage.check(stored > 0 && begins.iter().all(|at| *at > Position::ZERO), || {
        format!("{stored} snapshots were under way, and the logs begin at {begins:?}")
    })?;
    trial.count("purges_at_a_death", purged);
    Ok(())
}

pub(super) fn sn_12(trial: &Trial<'_>) -> Verdict {
    let (mut stage, leader, client) = served(trial)?;
    fill(&mut stage, client)?;
    let member = stage.other_than(leader);
    let whole = newest_position(&stage, member);
    stage.kill(member);
    stage.damage(member, |disk| disk.break_snapshot());
    let older = newest_position(&stage, member);
    stage.check(Position::ZERO < older && older < whole, || {
        format!("behind the snapshot at {whole} there is one at {older}")
    })?;
    begins_with_its_newest(&mut stage, member)?;
    stage.until_level(10 * SECOND)?;
    stage.kill(member);
    stage.damage(member, |disk| while disk.break_snapshot() {});
    begins_with_its_newest(&mut stage, member)?;
    stage.until_level(10 * SECOND)
}

pub(super) fn sn_13(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::Snapshots)?;
    trial.needs(Feature::VirtualDisk)?;
    let window_bytes = 64 << 10;
    let cap = 4 * window_bytes;
    let mut stage = trial.stage(Options::members(3).limits(|limits| {
        *limits = Limits {
            window_bytes,
            uncommitted_bytes_max: window_bytes / 2,
            unapplied_bytes_max: window_bytes / 2,
            message_bytes_max: 4 << 10,
            log_bytes_max: cap,
            ..limits.clone()
        };
    }));
    let leader = stage.settle()?;
    let client = stage.client();
    let gone = stage.other_than(leader);
    stage.pour(&[client], 5, 300, 10 * SECOND)?;
    stage.until_level(10 * SECOND)?;
    let held = stage.view(gone).verified;
    stage.kill(gone);
    let others: Vec<u16> = stage.numbers().filter(|member| *member != gone).collect();
    let mut longest = 0;
    while stage.view(leader).commit.0 < 3 * cap {
        stage.pour(&[client], 40, 1_000, 10 * SECOND)?;
        for member in &others {
            let view = stage.view(*member);
            longest = longest.max(view.durable.since(view.origin));
        }
    }
    let begins = others.iter().map(|member| stage.view(*member).origin).min();
    stage.check(begins > Some(held), || {
        format!("the log begins at {begins:?}, and member {gone} was at {held}")
    })?;
    // What comes while a snapshot is stored is on top.
    stage.check(longest <= cap + cap / 4, || format!("{longest} bytes are kept, of {cap}"))?;
    let elections = stage.elections();
    stage.check(elections == 1, || format!("{elections} elections"))?;
    for member in others {
        stage.kill(member);
        begins_with_its_newest(&mut stage, member)?;
    }
    stage.until_level(10 * SECOND)?;
    // What it lacks is nowhere any more. Of a subject that does not purge it is.
    match trial.needs(Feature::Purging) {
        Ok(()) => super::sn_fetches::returns(&mut stage, gone),
        Err(_) => Ok(()),
    }
}

pub(super) fn sn_14(trial: &Trial<'_>) -> Verdict {
    let (mut stage, leader, client) = served(trial)?;
    let member = stage.other_than(leader);
    stage.hold(member, "snapshot");
    fill(&mut stage, client)?;
    let refused = stage.refuse_snapshots(member, "there is no room");
    stage.check(refused == 1, || format!("{refused} snapshots were under way"))?;
    stage.run(MILLI)?;
    let (failed, at) = (stage.counters(member).snapshots_failed, stage.view(member).snapshot);
    stage.check(failed == 1 && at == Position::ZERO, || {
        format!("{failed} snapshots failed, and one counts at {at}")
    })?;
    stage.pour(&[client], 60, 300, 10 * SECOND)?;
    stage.until("the next one is taken", SECOND, move |stage| {
        stage.view(member).snapshot > Position::ZERO
    })?;
    stage.until_level(10 * SECOND)?;
    let elections = stage.elections();
    stage.check(elections == 1, || format!("{elections} elections"))
}

pub(super) fn sn_16(trial: &Trial<'_>) -> Verdict {
    let (mut stage, leader, client) = served(trial)?;
    let mut clients = vec![client];
    let others: Vec<u16> = stage.numbers().filter(|member| *member != leader).collect();
    let mut excluded = 0;
    for _ in 0..trial.times(3, 10, 100) {
        // Nothing is committed, so that sessions lie behind a marker when it is.
        others.iter().for_each(|member| stage.hold(*member, "sync"));
        for _ in 0..20 {
            // What there is no room for is not needed.
            let _ = stage.submit(client, &[7; 300]);
        }
        stage.run(10 * MILLI)?;
        clients.push(stage.client());
        stage.run(10 * MILLI)?;
        others.iter().for_each(|member| stage.release(*member, "sync"));
        stage.until_level(10 * SECOND)?;
        stage.run(10 * MILLI)?;
        for member in stage.numbers() {
            let Some(Stored { snapshot, .. }) = newest(&stage, member) else { continue };
            let words: Vec<u64> =
                snapshot.core.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
            let at = snapshot.point.position;
            for client in &clients {
                let (session, key) = (stage.client_state(*client).session(), stage.key(*client));
                // A session has the number of the position of its opening.
                let (before, holds) = (session.0 < at.0, words.contains(&key.0));
                excluded += usize::from(!before);
                stage.check(before == holds, || {
                    format!("member {member}: session {} and the snapshot at {at}", session.0)
                })?;
            }
        }
    }
    stage.check(excluded > 0, || "no session lay behind a snapshot".into())
}

/// The disks of all members are at a snapshot for seconds, and messages come all the time.
pub(super) fn sn_15(trial: &mut Trial<'_>) -> Verdict {
    let (mut stage, leader, client) = served(trial)?;
    fill(&mut stage, client)?;
    let tail = |stage: &mut Stage<'_>| -> Result<u64, Failure> {
        let begin = stage.now();
        stage.offer(&[client], 300, 2 * MILLI, SECOND)?;
        stage.until_level(10 * SECOND)?;
        Ok(quantile(&stage.waits_of(&[client], begin), 990))
    };
    for _ in 0..trial.times(1, 3, 20) {
        let usual = tail(&mut stage)?;
        let elections = stage.elections();
        let members: Vec<u16> = stage.numbers().collect();
        let begin = stage.view(leader).commit;
        members.iter().for_each(|member| stage.hold(*member, "snapshot"));
        let meanwhile = tail(&mut stage)?;
        stage.check(meanwhile <= 2 * usual, || {
            format!(
                "99 of 100 replies take {meanwhile} ns while a snapshot is written, else {usual}"
            )
        })?;
        let elected = stage.elections() - elections;
        stage.check(elected == 0, || format!("{elected} elections meanwhile"))?;
        // One is under way all the time, whatever the log grows by.
        let grown = stage.view(leader).commit.since(begin);
        stage.check(grown > 5 * INTERVAL, || format!("the log has grown by {grown} bytes only"))?;
        for member in &members {
            let held = stage.held(*member, "snapshot").len();
            stage.check(held == 1, || format!("member {member} is at {held} snapshots"))?;
        }
        members.iter().for_each(|member| stage.release(*member, "snapshot"));
        stage.run(5 * MILLI)?;
        let stored: Vec<Option<Stored>> =
            members.iter().map(|member| newest(&stage, *member)).collect();
        let same = stored.iter().all(|one| {
            let one = one.as_ref().map(|one| (&one.snapshot.core, &one.service));
            one.is_some() && one == stored[0].as_ref().map(|one| (&one.snapshot.core, &one.service))
        });
        stage.check(same, || "members stored different snapshots, or none".into())?;
        // What is applied by now is behind it, and it is of use.
        for member in members {
            stage.power_off(member);
            begins_with_its_newest(&mut stage, member)?;
            stage.until_level(10 * SECOND)?;
        }
    }
    Ok(())
}
