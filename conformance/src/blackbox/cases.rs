//! The scripts of cases that run on real processes. Their rules stand in the catalogue.

use core::time::Duration;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::RealTrial;
use super::client::RealClient;
#[cfg(feature = "fault-disks")]
use super::disks::can_lose_power;
use super::disks::can_mount_images;
use super::grounds::can_inject;
use super::grounds::{Grounds, PATIENCE};
#[cfg(feature = "fault-disks")]
use super::power;
use super::shapes::only_elects;
use super::{crowds, ends, images, outside, resources, rot, shapes};
use crate::case::{Failure, Verdict, check};
use crate::stage::{Effect, MILLION};

/// A script that plays with real processes.
pub type RealCase = fn(&RealTrial<'_>) -> Verdict;

/// Election time-outs until a leader that cannot lead is replaced, at most: it has to notice, and
/// its successor may need several elections.
pub(super) const ELECTED: u32 = 12;
/// Election time-outs until a message is answered whose leader was killed, at most. The client has
/// to notice, too.
const FAILED_OVER: u32 = 7;
/// Heartbeats until a lost tail is there, at most.
const TAIL_THERE: u32 = 50;
/// Messages behind which a disk that fails at some sync has failed, each with a sync of its own.
const MESSAGES_MAX: usize = 1_000;
const SECOND: Duration = Duration::from_secs(1);

/// The script of a case, if it has one for real processes.
#[must_use]
pub fn find(id: &str) -> Option<RealCase> {
    SCRIPTS.iter().find(|(known, _)| *known == id).map(|(_, script)| *script)
}

const SCRIPTS: &[(&str, RealCase)] = &[
    ("EL-01", el_01),
    ("EL-09", el_09),
    ("EL-15", shapes::el_15),
    ("EL-17", shapes::el_17),
    ("EL-18", el_18),
    ("EL-19", shapes::el_19),
    ("EL-20", el_20),
    ("EL-21", shapes::el_21),
    ("EL-23", el_23),
    ("EL-27", ends::el_27),
    ("LS-01", ls_01),
    ("LS-11", crowds::ls_11),
    ("CD-16", cd_16),
    ("CD-17", cd_17),
    ("NK-01", nk_01),
    ("NK-02", nk_02),
    ("NK-14", shapes::nk_14),
    ("NK-16", nk_16),
    ("NK-25", nk_25),
    ("NK-32", resources::nk_32),
    ("FC-02", shapes::fc_02),
    ("FC-06", crowds::fc_06),
    #[cfg(feature = "fault-disks")]
    ("TN-01", power::tn_01),
    ("TN-02", ends::tn_02),
    ("CL-01", cl_01),
    ("CL-02", crowds::cl_02),
    ("CL-04", cl_04),
    ("CL-05", shapes::cl_05),
    ("CL-26", crowds::cl_26),
    ("BI-08", outside::bi_08),
    ("BI-09", outside::bi_09),
    ("BI-11", outside::bi_11),
    ("RB-06", resources::rb_06),
    ("RB-11", resources::rb_11),
    #[cfg(feature = "fault-disks")]
    ("AD-04", power::ad_04),
    ("AD-06", ad_06),
    #[cfg(feature = "fault-disks")]
    ("AD-09", power::ad_09),
    ("AD-11", shapes::ad_11),
    ("AD-13", resources::ad_13),
    ("AD-19", ad_19),
    ("AD-20", ends::ad_20),
    ("AD-21", ends::ad_21),
    ("AD-26", shapes::ad_26),
    ("AD-27", ad_27),
    ("AD-30", outside::ad_30),
    ("AD-31", ad_31),
    ("DF-01", df_01),
    ("DF-02", outside::df_02),
    #[cfg(feature = "fault-disks")]
    ("DF-03", power::df_03),
    ("DF-04", rot::df_04),
    ("DF-05", rot::df_05),
    ("DF-06", rot::df_06),
    ("DF-07", ends::df_07),
    #[cfg(feature = "fault-disks")]
    ("DF-08", power::df_08),
    #[cfg(feature = "fault-disks")]
    ("DF-09", power::df_09),
    ("DF-10", ends::df_10),
    ("DF-12", df_12),
    ("DF-14", images::df_14),
    ("DF-15", images::df_15),
    #[cfg(feature = "fault-disks")]
    ("DF-17", power::df_17),
    ("DF-18", rot::df_18),
    ("DF-19", ends::df_19),
];

/// Sends so many lines, a few at a time.
pub(super) fn send(client: &mut RealClient, count: usize) -> Verdict {
    for _ in 0..count {
        let line = format!("message {}", client.sent() + 1);
        client.send(&line).map_err(Failure::broken)?;
    }
    Ok(())
}

/// Sends so many lines, each when the one before is answered.
pub(super) fn answered_in_turn(
    grounds: &mut Grounds,
    client: &mut RealClient,
    count: usize,
) -> Verdict {
    for _ in 0..count {
        send(client, 1)?;
        let sent = client.sent();
        grounds.answered(client, sent, PATIENCE)?;
    }
    Ok(())
}

/// The number that each reply begins with is that of its message in the log of the group: with one
/// client they are 1, 2, 3 and so on, whatever happened in between.
pub(super) fn counts_up(client: &mut RealClient) -> Verdict {
    for (wanted, (_, reply)) in (1..).zip(client.replies()) {
        let number: Option<usize> =
            reply.split_whitespace().next().and_then(|word| word.parse().ok());
        check(number == Some(wanted), || format!("reply {wanted} is {reply:?}"))?;
    }
    Ok(())
}

/// A message and its reply, to see that the group serves.
pub(super) fn serves(grounds: &mut Grounds) -> Verdict {
    let mut client = grounds.client()?;
    send(&mut client, 1)?;
    grounds.answered(&mut client, 1, PATIENCE)
}

fn el_01(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(1)?;
    for _ in 0..2 {
        grounds.start(1)?;
        serves(&mut grounds)?;
        grounds.kill(1);
    }
    check(grounds.sent("heartbeat") == 0, || "it sends heartbeats to somebody")
}

fn el_09(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let leader = grounds.settle()?;
    let term = grounds.term();
    let away = grounds.other_than(leader);
    grounds.isolate(away);
    grounds.run(3 * SECOND)?;
    grounds.heal_all();
    grounds.run(SECOND)?;
    let same = grounds.leader() == Some(leader) && grounds.term() == term;
    grounds.timely(same, || {
        format!(
            "member {leader} led {term} before; now {:?} leads {}",
            grounds.leader(),
            grounds.term()
        )
    })
}

fn el_18(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let leader = grounds.settle()?;
    // It hears nobody any more, and everybody hears it.
    for other in grounds.numbers().filter(|other| *other != leader) {
        grounds.cut(other, leader);
    }
    let within = ELECTED * grounds.times().election_max();
    grounds.until("another leader", within, |grounds| {
        grounds.leader().is_some_and(|now| now != leader)
    })?;
    serves(&mut grounds)
}

fn el_20(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    grounds.settle()?;
    let mut client = grounds.client()?;
    let mut slowest = Duration::ZERO;
    for _ in 0..trial.times(2, 5, 20) {
        let before = client.sent() + 20;
        send(&mut client, 20)?;
        grounds.answered(&mut client, before, PATIENCE)?;
        grounds.until("a leader", PATIENCE, |grounds| grounds.leader().is_some())?;
        let Some(leader) = grounds.leader() else { continue };
        grounds.kill(leader);
        let killed = Instant::now();
        send(&mut client, 1)?;
        grounds.answered(&mut client, before + 1, PATIENCE)?;
        slowest = slowest.max(killed.elapsed());
        grounds.start(leader)?;
    }
    counts_up(&mut client)?;
    let most = FAILED_OVER * grounds.times().election_max();
    grounds.timely(slowest < most, || format!("the slowest fail-over took {slowest:?}"))
}

fn el_23(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let leader = grounds.settle()?;
    let term = grounds.term();
    for _ in 0..trial.times(2, 5, 20) {
        let follower = grounds.other_than(leader);
        grounds.kill(follower);
        serves(&mut grounds)?;
        grounds.start(follower)?;
        serves(&mut grounds)?;
    }
    grounds.timely(grounds.term() == term, || {
        format!("the term was {term}, and is {}", grounds.term())
    })
}

fn ls_01(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    grounds.settle()?;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(grounds.client()?);
    }
    let each = trial.times(50, 200, 1_000) as usize;
    for client in &mut clients {
        send(client, each)?;
    }
    let mut numbers = Vec::new();
    for client in &mut clients {
        grounds.answered(client, each, 2 * PATIENCE)?;
        let mut own: Vec<u64> = Vec::new();
        for (_, reply) in client.replies() {
            let number = reply.split_whitespace().next().and_then(|word| word.parse().ok());
            own.push(number.ok_or_else(|| Failure::broken(format!("a reply is {reply:?}")))?);
        }
        check(own.is_sorted(), || "a client's messages are out of order")?;
        numbers.extend(own);
    }
    numbers.sort_unstable();
    let wanted: Vec<u64> = (1..=numbers.len() as u64).collect();
    check(numbers == wanted, || "some message has no place of its own in the order")
}

/// Plays in each way that this machine can, at least in one.
fn each_way(trial: &RealTrial<'_>, ways: &[(Result<(), String>, RealCase)]) -> Verdict {
    let missing: Vec<&str> =
        ways.iter().filter_map(|(can, _)| can.as_ref().err().map(String::as_str)).collect();
    if missing.len() == ways.len() {
        return Err(Failure::NotApplicable(missing.join("; ")));
    }
    ways.iter().filter(|(can, _)| can.is_ok()).try_for_each(|(_, play)| play(trial))
}

fn cd_16(trial: &RealTrial<'_>) -> Verdict {
    each_way(trial, &[(can_inject(), slow_syncs), (can_mount_images(), images::frozen_leader)])
}

fn ad_06(trial: &RealTrial<'_>) -> Verdict {
    each_way(
        trial,
        &[
            (can_inject(), ends::ad_06),
            #[cfg(feature = "fault-disks")]
            (can_lose_power(), power::failing_calls),
        ],
    )
}

fn df_01(trial: &RealTrial<'_>) -> Verdict {
    each_way(
        trial,
        &[
            (can_inject(), failing_syncs),
            (can_mount_images(), images::thin_image),
            #[cfg(feature = "fault-disks")]
            (can_lose_power(), power::forgetting_syncs),
        ],
    )
}

/// The syncs of a leader take long.
fn slow_syncs(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    // After a while each sync of member 1 takes three seconds.
    grounds.start_with_faulty_calls(1, "fdatasync,fsync:delay_enter=3000000:when=200+")?;
    only_elects(&mut grounds, 1);
    let leader = grounds.settle()?;
    check(leader == 1, || format!("member {leader} leads, and nobody heard it campaign"))?;
    grounds.heal_all();
    let mut client = grounds.client()?;
    grounds.until("a leader with a disk that works", PATIENCE, |grounds| {
        // One sync for each, until they hang.
        let sends = client.replies().len() == client.sent() && client.send("sync").is_err();
        !sends && grounds.leader().is_some_and(|leader| leader != 1)
    })?;
    let sent = client.sent();
    grounds.answered(&mut client, sent, PATIENCE)?;
    counts_up(&mut client)
}

fn cd_17(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let mut sent = 0;
    let mut term = 0;
    for _ in 0..trial.times(2, 4, 20) {
        grounds.settle()?;
        check(grounds.term() >= term, || "a term fell over a cold start")?;
        term = grounds.term();
        let mut client = grounds.client()?;
        send(&mut client, 20)?;
        grounds.answered(&mut client, 20, PATIENCE)?;
        let first = client.replies().first().map(|(_, reply)| reply.clone()).unwrap_or_default();
        let wanted = (sent + 1).to_string();
        check(first.starts_with(&wanted), || {
            format!("{sent} were applied, and the next is {first:?}")
        })?;
        sent += 20;
        drop(client);
        grounds.kill_all();
    }
    Ok(())
}

fn nk_01(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    grounds.settle()?;
    grounds.rule(Effect::LoseSometimes(MILLION / 10 * 3), |passing| {
        passing.is_between_members() && passing.is_log_data()
    });
    let mut client = grounds.client()?;
    let count = trial.times(200, 1_000, 5_000) as usize;
    send(&mut client, count)?;
    grounds.answered(&mut client, count, 2 * PATIENCE)?;
    counts_up(&mut client)?;
    let (naks, repairs) = (grounds.sent("nak"), grounds.sent("repair"));
    check(naks > 0 && repairs > 0, || format!("{naks} NAKs and {repairs} repairs healed nothing"))
}

fn nk_02(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    grounds.settle()?;
    grounds.run(SECOND)?;
    let before = grounds.sent("nak");
    let mut client = grounds.client()?;
    for round in 1..=trial.times(20, 100, 400) as usize {
        send(&mut client, 5)?;
        grounds.answered(&mut client, 5 * round, PATIENCE)?;
    }
    let naks = grounds.sent("nak") - before;
    grounds.blame_losses();
    grounds.timely(naks == 0, || format!("{naks} NAKs, and nothing was lost"))
}

fn nk_16(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    grounds.settle()?;
    let mut client = grounds.client()?;
    send(&mut client, 1)?;
    grounds.answered(&mut client, 1, PATIENCE)?;
    // The next live datagram to each follower is lost, and nothing comes behind it.
    let mut lost = 0;
    grounds.rule(Effect::Lose, move |passing| {
        lost += u32::from(passing.is_live());
        passing.is_live() && lost <= 2
    });
    let begun = Instant::now();
    send(&mut client, 1)?;
    grounds.answered(&mut client, 2, PATIENCE)?;
    let took = begun.elapsed();
    let most = TAIL_THERE * grounds.times().heartbeat();
    grounds.timely(took < most, || format!("the lost tail took {took:?}"))
}

fn nk_25(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let leader = grounds.settle()?;
    let term = grounds.term();
    // One in ten runs of fifty datagrams is lost as a whole.
    let mut passed = 0_u64;
    grounds.rule(Effect::Lose, move |passing| {
        passed += u64::from(passing.is_between_members());
        passing.is_between_members() && passing.is_log_data() && (passed / 50).is_multiple_of(10)
    });
    let mut client = grounds.client()?;
    let count = trial.times(500, 3_000, 10_000) as usize;
    send(&mut client, count)?;
    grounds.answered(&mut client, count, 2 * PATIENCE)?;
    counts_up(&mut client)?;
    let same = grounds.term() == term && grounds.leader() == Some(leader);
    grounds.timely(same, || format!("there was an election: term {} behind {term}", grounds.term()))
}

fn cl_01(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    grounds.settle()?;
    for _ in 0..trial.times(2, 5, 20) {
        serves(&mut grounds)?;
    }
    Ok(())
}

fn cl_04(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let leader = grounds.settle()?;
    let mut client = grounds.client()?;
    send(&mut client, 10)?;
    grounds.answered(&mut client, 10, PATIENCE)?;
    // Replies are lost; what they answer is committed, and then the leader dies.
    grounds.rule(Effect::Lose, |passing| passing.kind() == "egress");
    send(&mut client, 10)?;
    grounds.run(SECOND / 2)?;
    grounds.kill(leader);
    grounds.heal_all();
    grounds.answered(&mut client, 20, PATIENCE)?;
    counts_up(&mut client)
}

fn ad_19(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let leader = grounds.settle()?;
    let mut client = grounds.client()?;
    send(&mut client, 50)?;
    let code = grounds.stop(leader, PATIENCE)?;
    check(code == 0, || format!("the leader ends with {code}"))?;
    let within = ELECTED * grounds.times().election_max();
    grounds.until("a successor", within, |grounds| {
        grounds.leader().is_some_and(|now| now != leader)
    })?;
    grounds.answered(&mut client, 50, PATIENCE)?;
    counts_up(&mut client)
}

fn ad_27(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let leader = grounds.settle()?;
    // By its control group, if that can be had: then no signal tells it.
    let by_group = super::can_halt().is_ok();
    match by_group {
        true => grounds.halt(leader)?,
        false => grounds.pause(leader),
    }
    let within = ELECTED * grounds.times().election_max();
    grounds.until("a successor", within, |grounds| {
        grounds.leader().is_some_and(|now| now != leader)
    })?;
    serves(&mut grounds)?;
    grounds.run(Duration::from_secs(trial.times(1, 3, 30)))?;
    let term = grounds.term();
    match by_group {
        true => drop(grounds.set_free(leader)),
        false => grounds.resume(leader),
    }
    grounds.run(SECOND)?;
    serves(&mut grounds)?;
    grounds.timely(grounds.term() == term, || {
        format!("its return raised the term from {term} to {}", grounds.term())
    })?;
    if super::can_starve().is_ok() {
        shapes::starved_leader(trial)?;
    }
    Ok(())
}

fn ad_31(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let leader = grounds.settle()?;
    let follower = grounds.other_than(leader);
    let code = grounds.second_process(follower, PATIENCE)?;
    check(code.is_some_and(|code| code != 0), || {
        format!("a second process on the same directory ends with {code:?}")
    })?;
    check(!grounds.has_ended(follower), || "the first process ended of it")?;
    serves(&mut grounds)
}

/// From some sync on, each one of a member fails.
fn failing_syncs(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    grounds.start_with_faulty_calls(1, "fdatasync,fsync:error=EIO:when=12+")?;
    grounds.start(2)?;
    grounds.start(3)?;
    let mut client = grounds.client()?;
    while !grounds.has_ended(1) {
        let sent = client.sent() + 1;
        check(sent <= MESSAGES_MAX, || format!("{MESSAGES_MAX} messages, and no sync failed"))?;
        send(&mut client, 1)?;
        grounds.answered(&mut client, sent, PATIENCE)?;
    }
    counts_up(&mut client)?;
    serves(&mut grounds)?;
    // Started again on what is really there, it takes part again.
    grounds.kill(1);
    grounds.start(1)?;
    serves(&mut grounds)
}

fn df_12(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    grounds.settle()?;
    serves(&mut grounds)?;
    grounds.kill_all();
    let data = grounds.data_of(2);
    let files = files_of(&data)?;
    check(!files.is_empty(), || "the member has written no file")?;
    for (damaged, content) in &files {
        write(damaged, &vec![0xa5; content.len()])?;
        if let Ok(reason) = grounds.refuses_to_start(2) {
            check(!reason.contains("panicked"), || format!("{}: {reason}", damaged.display()))?;
        }
        grounds.kill(2);
        // It may have gone on with what was left: all of it is put back.
        for (path, _) in files_of(&data)? {
            fs::remove_file(&path).map_err(|error| Failure::Harness(error.to_string()))?;
        }
        for (path, content) in &files {
            write(path, content)?;
        }
    }
    grounds.settle()?;
    serves(&mut grounds)
}

pub(super) type Files = Vec<(PathBuf, Vec<u8>)>;

/// The files of a folder, with what is in them.
pub(super) fn files_of(folder: &Path) -> Result<Files, Failure> {
    let harness =
        |error: std::io::Error| Failure::Harness(format!("{}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(harness)? {
        let path = entry.map_err(harness)?.path();
        if path.is_dir() {
            files.extend(files_of(&path)?);
        } else if path.is_file() {
            // A socket is none: it says nothing of before.
            let content = fs::read(&path).map_err(harness)?;
            files.push((path, content));
        }
    }
    files.sort();
    Ok(files)
}

pub(super) fn write(path: &Path, content: &[u8]) -> Verdict {
    fs::write(path, content)
        .map_err(|error| Failure::Harness(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Script;
    use crate::catalogue;

    #[test]
    fn each_script_belongs_to_a_case_and_each_real_case_has_a_script() {
        for (id, _) in SCRIPTS {
            let case = catalogue::find(id).unwrap_or_else(|| panic!("there is no case {id}"));
            assert!(!matches!(case.script, Script::Waits(_)), "{id} has a script, and waits");
        }
        for case in catalogue::all().filter(|case| matches!(case.script, Script::Real)) {
            assert!(find(case.id).is_some(), "{} has no script", case.id);
        }
    }
}
