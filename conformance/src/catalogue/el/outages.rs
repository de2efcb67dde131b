//! Leaders and followers that go, come back, or are hindered.

use quorate_core::{Position, Role};
use quorate_sim::Place;

use crate::case::Verdict;
use crate::stage::{Effect, MILLI, Options, Stage};
use crate::subject::Feature;
use crate::trial::Trial;

/// The term of the newest leader, and where its own bytes begin, as the disks say.
fn newest_line(stage: &Stage<'_>) -> (u64, Position) {
    let lines = stage.numbers().filter_map(|member| {
        stage.disk(member, |disk| disk.history().last().map(|line| (line.term.0, line.base)))
    });
    lines.max_by_key(|(term, _)| *term).unwrap_or_default()
}

pub(super) fn el_20(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    stage.settle()?;
    let client = stage.client();
    let te = stage.election_timeout();
    let mut pauses = Vec::new();
    for _ in 0..trial.times(10, 60, 1_000) {
        stage.load(client, 4 * MILLI, te / 4)?;
        let leader = stage.leader().unwrap_or_default();
        let (killed_at, commit) = (stage.now(), stage.view(leader).commit);
        stage.kill(leader);
        let _ = stage.submit(client, b"on the way");
        stage.until("new commits", 12 * te, |stage| {
            stage
                .leader()
                .is_some_and(|new| stage.view(new).serving && stage.view(new).commit > commit)
        })?;
        pauses.push(stage.now() - killed_at);
        stage.start(leader)?;
        stage.until("all are level", 4 * te, Stage::is_settled)?;
    }
    pauses.sort_unstable();
    let (half, most) = (pauses[pauses.len() / 2], pauses[(pauses.len() * 99 - 1) / 100]);
    trial.count("half of the pauses, in us", half / 1_000);
    trial.count("99 of 100 pauses, in us", most / 1_000);
    stage.check(2 * half <= 3 * te, || {
        format!("half of the pauses took over {} ms", half / MILLI)
    })?;
    stage.check(most <= 3 * te, || format!("one in a hundred took over {} ms", most / MILLI))
}

pub(super) fn el_22(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    let mut stage = trial.stage(Options::members(3));
    let hindered = stage.settle()?;
    let (client, te) = (stage.client(), stage.election_timeout());
    stage.request(client, b"before")?;
    stage.set_full(hindered, true);
    let _ = stage.submit(client, &[5; 500]);
    let leads = |stage: &Stage<'_>, member: u16| stage.view(member).role == Role::Leader;
    stage.until("who has no space hands over", te, |stage| !leads(stage, hindered))?;
    stage.until("another leads", 4 * te, |s| s.leader().is_some_and(|new| s.view(new).serving))?;
    let canvasses = stage.counters(hindered).canvasses;
    stage.isolate(hindered);
    stage.run(8 * te)?;
    stage.heal_all();
    for _ in 0..trial.times(4, 10, 40) {
        // Its rivals go, one after the other.
        let leader = stage.leader().unwrap_or_default();
        stage.kill(leader);
        stage.always("who has no space does not lead", 2 * te, |s| !leads(s, hindered))?;
        stage.start(leader)?;
        stage.until("another leads", 12 * te, |stage| {
            stage.leader().is_some_and(|new| new != hindered && stage.view(new).serving)
        })?;
    }
    let asked = stage.counters(hindered).canvasses - canvasses;
    stage.check(asked == 0, || format!("without space it canvassed {asked} times"))?;
    stage.request(client, b"meanwhile")?;
    stage.set_full(hindered, false);
    stage.until("it is level again", 12 * te, |stage| stage.is_level(&[1, 2, 3]))?;

    let broken = stage.leader().unwrap_or_default();
    stage.break_storage(broken, "the disk is gone");
    stage.until("it says why and stops", te, |stage| stage.stopped(broken).is_some())?;
    stage.until("another leads", 4 * te, |s| s.leader().is_some_and(|new| s.view(new).serving))?;
    stage.request(client, b"after")?;
    who_cannot_read_its_log_lets_go(trial)
}

/// The member that would lead first cannot read its log: it stops with the reason, and the others
/// elect one of them.
fn who_cannot_read_its_log_lets_go(trial: &Trial<'_>) -> Verdict {
    let mut options = Options::members(3);
    let te = options.timing.election_timeout_max.0;
    options.candidacy_delays = vec![0, 4 * te, 4 * te];
    let mut stage = trial.stage_of(options, trial.seed().wrapping_add(1));
    stage.settle()?;
    let client = stage.client();
    for number in 0..40 {
        stage.request(client, &[number; 500])?;
    }
    stage.until_level(12 * te)?;
    stage.numbers().for_each(|member| stage.kill(member));
    let hindered = 1;
    stage.spoil(hindered, Position::ZERO);
    for member in stage.numbers() {
        stage.start(member)?;
    }
    stage.until("it says why and stops", 12 * te, |stage| {
        stage.stopped(hindered).is_some_and(|reason| reason.contains("cannot be read"))
    })?;
    stage.until("another leads", 12 * te, |stage| {
        stage.leader().is_some_and(|new| new != hindered && stage.view(new).serving)
    })?;
    stage.request(client, b"with two")?;
    Ok(())
}

pub(super) fn el_23(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let leader = stage.settle()?;
    let (client, te) = (stage.client(), stage.election_timeout());
    let (elections, term) = (stage.elections(), stage.view(leader).term);
    for turn in 0..trial.times(10, 100, 300) {
        let follower = stage.numbers().filter(|member| *member != leader).nth(turn as usize % 2);
        let follower = follower.unwrap_or_default();
        if turn % 3 == 0 {
            stage.power_off(follower)
        } else {
            stage.kill(follower)
        }
        stage.load(client, 5 * MILLI, (turn % 5) * te / 4)?;
        stage.start(follower)?;
        stage.until("the follower is back", 4 * te, Stage::is_settled)?;
    }
    let same = stage.elections() == elections && stage.view(leader).term == term;
    let now = stage.elections();
    stage.check(same, || format!("{} elections happened", now - elections))
}

pub(super) fn el_27(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::GracefulStop)?;
    let mut pauses = Vec::new();
    let mut te = 0;
    for repetition in 0..trial.times(10, 60, 400) {
        let members = if repetition % 2 == 0 { 3 } else { 5 };
        let mut stage = trial.stage_of(Options::members(members), trial.seed() + repetition);
        let leader = stage.settle()?;
        let client = stage.client();
        stage.request(client, b"before")?;
        // What was submitted and has reached it is not lost by its going.
        for _ in 0..4 {
            let _ = stage.submit(client, b"just before");
        }
        stage.run(stage.round_trip())?;
        let begun = stage.now();
        stage.shut_down(leader);
        te = stage.election_timeout();
        stage.until("a successor serves", 4 * te, |stage| {
            stage.leader().is_some_and(|new| new != leader && stage.view(new).serving)
        })?;
        pauses.push(stage.now() - begun);
        stage.always("who stops does not lead again", 2 * te, |stage| {
            stage.view(leader).role != Role::Leader
        })?;
        stage.until("all messages are answered", 4 * te, |s| s.replies(client).len() == 5)?;
    }
    pauses.sort_unstable();
    let nine_of_ten = pauses[(pauses.len() * 9 - 1) / 10];
    trial.count("nine of ten pauses, in us", nine_of_ten / 1_000);
    let options = Options::members(3);
    let bound = 2 * options.timing.heartbeat_interval.0
        + 8 * options.latency.1
        + 4 * options.disk_latency.1;
    crate::case::check(nine_of_ten <= bound, || {
        format!(
            "nine of ten successors should serve within {} us of {} us, and took {} us",
            bound / 1_000,
            te / 1_000,
            nine_of_ten / 1_000
        )
    })
}

pub(super) fn el_28(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    stage.settle()?;
    let (client, te) = (stage.client(), stage.election_timeout());
    for turn in 0..trial.times(2, 14, 200) {
        stage.load(client, 3 * MILLI, te / 4)?;
        let leader = stage.leader().unwrap_or_default();
        let old = stage.view(leader).term.0;
        if turn % 2 == 0 {
            stage.kill(leader)
        } else {
            stage.isolate(leader)
        }
        // Acknowledgements and replies that were sent before are still on their way.
        stage.run(stage.round_trip())?;
        let commits = stage.numbers().map(|member| stage.view(member).commit);
        let lost = commits.max().unwrap_or_default();
        let replies = stage.replies(client).len();
        stage.load_while(client, 2 * MILLI, 4 * te, |stage, pause| {
            stage.always("nothing is executed before a new opening frame", pause, |stage| {
                let (term, base) = newest_line(stage);
                let opened = stage
                    .numbers()
                    .any(|m| m != leader && term > old && stage.view(m).commit > base);
                let quiet = stage.numbers().all(|member| stage.view(member).commit <= lost);
                opened || (quiet && stage.replies(client).len() == replies)
            })
        })?;
        stage.heal_all();
        stage.start(leader)?;
        stage.until("all are level", 12 * te, Stage::is_settled)?;
    }
    Ok(())
}

/// Datagrams of an election of three and of what follows at once, about.
const ELECTION: u64 = 40;
/// Kinds of operations of a disk that an election and the synchronisation behind it consist of.
const WRITES: [&str; 4] = ["vote", "history", "sync", "peers"];

pub(super) fn el_30(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    let te = Options::members(3).timing.election_timeout_max.0;
    let datagrams = synchronise(trial, None)?;
    let step = trial.times(1 + datagrams / 12, 1 + datagrams / 60, 1);
    // All of the first election, and a choice of the others.
    for lost in (0..ELECTION).chain((ELECTION..datagrams).step_by(step as usize)) {
        synchronise(trial, Some(lost))?;
        trial.count("lost datagrams", 1);
    }
    for member in 1..=3 {
        for write in WRITES {
            crash_at(trial, member, write, te)?;
            trial.count("crashes at a write", 1);
        }
    }
    Ok(())
}

/// Elects a leader and levels a member that was away, with the datagram of this number lost.
/// Returns how many datagrams it took.
fn synchronise(trial: &Trial<'_>, lost: Option<u64>) -> Result<u64, crate::case::Failure> {
    let mut stage = trial.stage(Options::members(3));
    let mut number = 0;
    stage.rule("one datagram is lost", Effect::Lose, move |passing| {
        number += u64::from(passing.is_between_members());
        passing.is_between_members() && Some(number - 1) == lost
    });
    let leader = stage.settle()?;
    let client = stage.client();
    let away = stage.other_than(leader);
    stage.kill(away);
    stage.request(client, &[3; 3_000])?;
    stage.start(away)?;
    let within = 4 * stage.election_timeout();
    stage.until("who was away is level", within, |stage| stage.is_level(&[1, 2, 3]))?;
    let between = |place: Place| matches!(place, Place::Member(_));
    let sent = stage.sightings().iter().filter(|sent| between(sent.from) && between(sent.to));
    Ok(sent.count() as u64)
}

/// A member loses its power at its first write of this kind, and comes back.
fn crash_at(trial: &Trial<'_>, member: u16, write: &'static str, te: u64) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    stage.hold(member, write);
    for member in stage.numbers() {
        stage.start(member)?;
    }
    let client = stage.client();
    for _ in 0..12 {
        let _ = stage.submit(client, b"meanwhile");
        stage.run(te / 4)?;
        if !stage.held(member, write).is_empty() {
            break;
        }
    }
    let held = !stage.held(member, write).is_empty();
    // A member writes votes and lines only if it takes part in an election; all sync.
    stage.check(held || write == "peers", || format!("member {member} never wrote a {write}"))?;
    stage.power_off(member);
    stage.start(member)?;
    stage.until("live again", 12 * te, Stage::is_settled)?;
    stage.request(client, b"after")?;
    stage.until("all are level", 4 * te, |stage| stage.is_level(&[1, 2, 3]))
}
