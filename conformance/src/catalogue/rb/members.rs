//! What a group does at its limits.

use quorate_core::client::{ClientError, TriedOutcome};
use quorate_core::{Duration, Limits, Position};

use crate::case::{Failure, Verdict, check};
use crate::edges::Command;
use crate::stage::{ClientNumber, MILLI, Options, SECOND, Stage};
use crate::subject::Feature;
use crate::trial::Trial;

pub(super) fn rb_03(trial: &mut Trial<'_>) -> Verdict {
    let options = Options::members(3).limits(|limits| limits.uncommitted_bytes_max = 64 << 10);
    let cap = options.limits.uncommitted_bytes_max;
    let frame = options.limits.frame_bytes_max();
    let mut stage = trial.stage(options);
    let leader = stage.settle()?;
    let clients = [stage.client(), stage.client(), stage.client()];
    for client in clients {
        stage.request(client, b"before")?;
    }
    // Its followers' disks hang: they answer, and nothing more becomes durable on two disks.
    let others: Vec<u16> = stage.numbers().filter(|member| *member != leader).collect();
    others.iter().for_each(|other| stage.hold(*other, "sync"));
    let mut worst = 0;
    for round in 0..trial.times(60, 120, 400) {
        for client in clients {
            // What a client refuses is back-pressure too.
            let _ = stage.submit(client, &[round as u8; 8 << 10]);
        }
        stage.run(5 * MILLI)?;
        let written = stage.disk(leader, |disk| disk.written_end());
        let uncommitted = written.since(stage.view(leader).commit);
        worst = worst.max(uncommitted);
        stage.check(uncommitted <= cap + frame, || {
            format!("{uncommitted} bytes are not committed, and {cap} may be")
        })?;
    }
    trial.count("uncommitted_bytes_max", worst);
    stage.check(worst > cap / 2, || format!("only {worst} bytes waited: there was no load"))?;
    let refused = clients.iter().all(|client| stage.submit(*client, &[0; 8 << 10]).is_err());
    stage.check(refused, || "a client takes messages without end".to_owned())?;
    others.iter().for_each(|other| stage.release(*other, "sync"));
    for client in clients {
        let wanted = stage.submitted(client).len();
        stage.until("all that was taken is answered", 10 * SECOND, |stage| {
            stage.replies(client).len() == wanted
        })?;
    }
    Ok(())
}

pub(super) fn rb_05(trial: &mut Trial<'_>) -> Verdict {
    let mut options = Options::members(3).limits(|limits| {
        limits.sessions_max = 2;
        limits.timers_max = 4;
    });
    options.client_timing.give_up_after = Duration::from_millis(1_000);
    let mut stage = trial.stage(options);
    stage.settle()?;
    let (one, two) = (stage.client(), stage.client());
    stage.request(one, b"one")?;
    stage.request(two, b"two")?;
    let third = stage.client();
    stage.until("the third client ends", 3 * SECOND, |stage| stage.ended(third).is_some())?;
    let told = matches!(stage.ended(third), Some(Err(ClientError::NotServed { tried }))
        if tried.iter().any(|tried| tried.outcome == TriedOutcome::SessionsExhausted));
    stage.check(told, || "it is not told that there is no room for a session".to_owned())?;
    // A place that becomes free is given away.
    stage.close(one);
    stage.until("a session ends", SECOND, |stage| stage.ended(one).is_some())?;
    let fourth = stage.client();
    stage.request(fourth, b"four")?;
    stage.request(two, b"the others go on")?;
    // One timer over: every member refuses it under the same name, at the same frame.
    for timer in 0..4 {
        let command = Command::Schedule { timer, delay: 3_600 * SECOND };
        stage.request(two, &command.to_bytes())?;
    }
    let fifth = Command::Schedule { timer: 4, delay: 3_600 * SECOND };
    stage.submit(two, &fifth.to_bytes()).map_err(|reject| Failure::broken(reject.to_string()))?;
    let members: Vec<u16> = stage.numbers().collect();
    stage.until("the first member refuses it", SECOND, |stage| {
        members.iter().any(|member| stage.stopped(*member).is_some())
    })?;
    stage.run(20 * stage.heartbeat())?;
    let reasons: Vec<_> = members.iter().filter_map(|member| stage.stopped(*member)).collect();
    let same = reasons.iter().all(|reason| reason.contains("too many timers"));
    let (count, text) = (reasons.len(), format!("{reasons:?}"));
    stage.check(same, || format!("{count} members stop for {text}"))
}

pub(super) fn rb_10(trial: &mut Trial<'_>) -> Verdict {
    let seconds = trial.times(10, 40, 1_800);
    let mut stage = trial.stage(Options::members(3));
    let leader = stage.settle()?;
    let client = stage.client();
    stage.request(client, b"first")?;
    let (term, begun) = (stage.view(leader).term, stage.now());
    let mut ends = vec![stage.view(leader).commit];
    for second in 0..seconds {
        stage.run(SECOND)?;
        if second % 5 == 0 {
            stage.request(client, &second.to_le_bytes())?;
            ends.push(stage.view(leader).commit);
        }
    }
    let since = stage.now() - begun;
    let steady = stage.elections() == 1 && stage.view(leader).term == term;
    stage.check(steady, || "leader or term changed in calm".to_owned())?;
    let naks = stage.sent_since(begun, "nak");
    stage.check(naks == 0, || format!("{naks} requests for holes that there were not"))?;
    // Two followers are told twice as often as the interval asks, at most.
    let heartbeats = stage.sent_since(begun, "heartbeat") as u64;
    let most = 2 * 2 * (since / stage.heartbeat() + 20 * ends.len() as u64);
    stage.check(heartbeats <= most, || format!("{heartbeats} heartbeats, {most} are enough"))?;
    // Each message takes the same room in the log: nothing grows with time.
    let room: Vec<u64> = ends.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    let flat = room.iter().all(|bytes| *bytes == room[0] && *bytes > 0);
    stage.check(flat, || format!("messages of 8 bytes take {room:?}"))?;
    let written = stage.disk(leader, |disk| disk.written_end());
    let grown = ends.last().copied().unwrap_or(Position::ZERO);
    stage.check(written == grown, || format!("{written} is written, {grown} committed"))?;
    trial.count("virtual_seconds", since / SECOND);
    Ok(())
}

/// Snapshots that a member's disk keeps, at most: the newest two, and one that comes.
const SNAPSHOTS_MAX: usize = 3;

/// Bytes of the window, of which a capped log is four at least.
const WINDOW: u64 = 64 << 10;
/// The cap of a log, in bytes.
const CAP: u64 = 4 * WINDOW;

pub(super) fn rb_07(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::Snapshots)?;
    trial.needs(Feature::Purging)?;
    trial.needs(Feature::VirtualDisk)?;
    // As much as the cap lets be kept behind the newest snapshot, and next to nothing.
    for keep in [u64::MAX, 1] {
        let longest = longest_log(trial, keep)?;
        trial.count("log_bytes_max", longest);
        check(longest > CAP / 4 && longest <= CAP + CAP / 4, || {
            format!("{longest} bytes are kept, of {CAP}")
        })?;
    }
    Ok(())
}

fn log_bytes(stage: &Stage<'_>, member: u16) -> u64 {
    let view = stage.view(member);
    view.durable.since(view.origin)
}

/// How long the log of a leader becomes that keeps so much behind its newest snapshot.
fn longest_log(trial: &Trial<'_>, keep: u64) -> Result<u64, Failure> {
    let mut stage = trial.stage(Options::members(3).limits(|limits| {
        *limits = Limits {
            window_bytes: WINDOW,
            uncommitted_bytes_max: WINDOW / 2,
            unapplied_bytes_max: WINDOW / 2,
            message_bytes_max: 4 << 10,
            log_bytes_max: CAP,
            purge_keep_bytes: keep,
            ..limits.clone()
        };
    }));
    let leader = stage.settle()?;
    let client = stage.client();
    let gone = stage.other_than(leader);
    stage.kill(gone);
    let weak = stage.other_than(leader);
    let (mut longest, mut failed) = (0, 0);
    for _ in 0..trial.times(2, 4, 20) {
        // Of one member a snapshot fails: its log grows by what the next one comes behind.
        stage.hold(weak, "snapshot");
        let goal = stage.view(leader).commit.0 + CAP / 4 + WINDOW;
        longest = longest.max(grows_to(&mut stage, client, leader, goal)?);
        failed += stage.refuse_snapshots(weak, "there is no room");
        let goal = stage.view(leader).commit.0 + CAP;
        longest = longest.max(grows_to(&mut stage, client, leader, goal)?);
        stage.run(5 * MILLI)?;
        let left = log_bytes(&stage, weak);
        stage.check(left <= CAP + CAP / 4, || {
            format!("behind a snapshot that failed {left} bytes are kept, of {CAP}")
        })?;
    }
    stage.check(failed > 0, || "no snapshot failed".to_owned())?;
    Ok(longest)
}

/// Lets a leader commit up to `goal`; how long its log was at most.
fn grows_to(
    stage: &mut Stage<'_>,
    client: ClientNumber,
    leader: u16,
    goal: u64,
) -> Result<u64, Failure> {
    let mut longest = 0;
    while stage.view(leader).commit.0 < goal {
        stage.pour(&[client], 20, 1_000, 10 * SECOND)?;
        longest = longest.max(log_bytes(stage, leader));
        let begins = stage.view(leader).origin;
        let (kept, standing) = stage.disk(leader, |disk| {
            let kept = disk.usable_snapshots();
            (kept.count(), disk.usable_snapshots().filter(|at| *at >= begins).count())
        });
        stage.check(kept <= SNAPSHOTS_MAX, || format!("{kept} snapshots are kept"))?;
        stage.check(begins == Position::ZERO || standing >= 2, || {
            format!("a log begins at {begins}, and {standing} snapshots stand behind that")
        })?;
    }
    Ok(longest)
}
