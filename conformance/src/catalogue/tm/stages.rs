//! What `volume` asks of a member on a desk about its deadlines, with members of any subject.

use crate::case::Verdict;
use crate::edges::Command;
use crate::stage::{MILLI, Options, SECOND, Stage};
use crate::trial::Trial;

/// Wakes for one deadline, at most.
const WAKES_MAX: u64 = 2;
/// Wakes for what comes seldom: records of other members, clients, what was not to be foreseen.
const SELDOM: u64 = 20;

pub(in crate::catalogue) fn tm_08(trial: &Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let leader = stage.settle()?;
    let seconds = trial.times(2, 10, 100);
    stage.run(SECOND)?;
    let idle = woken(&mut stage, seconds)?;
    let interval = stage.heartbeat();
    let shortest = stage.timing().election_timeout_min.0;
    for (member, wakes) in stage.numbers().zip(idle) {
        let each = if member == leader { interval } else { shortest };
        let most = WAKES_MAX * seconds * SECOND / each + SELDOM * seconds;
        stage.check(wakes <= most, || {
            format!("idle, member {member} wakes {wakes} times in {seconds} s, not {most}")
        })?;
    }
    // With timers it wakes for each of them, too.
    let client = stage.client();
    stage.until("it is connected", SECOND, |stage| stage.connections(client) > 0)?;
    for timer in 0..20 {
        let delay = (50 + 7 * timer) * MILLI;
        stage.request(client, &Command::Schedule { timer, delay }.to_bytes())?;
    }
    let before = stage.wakes(leader);
    let begun = stage.now();
    stage.until_fired(20, SECOND)?;
    let wakes = stage.wakes(leader) - before;
    // Behind each commit heartbeats come soon and then ever more seldom: some ten for each.
    let passed = stage.now() - begun;
    let most = WAKES_MAX * (20 * 10 + passed / interval) + SELDOM;
    stage.check(wakes <= most, || format!("the leader of 20 timers wakes {wakes} times"))?;
    stage.check_fired_once(&[1, 2, 3], &(0..20).collect::<Vec<_>>())
}

/// How often each member wakes in so many seconds.
fn woken(stage: &mut Stage<'_>, seconds: u64) -> Result<Vec<u64>, crate::case::Failure> {
    let before: Vec<u64> = stage.numbers().map(|member| stage.wakes(member)).collect();
    stage.run(seconds * SECOND)?;
    let wakes = stage.numbers().zip(before).map(|(member, before)| stage.wakes(member) - before);
    Ok(wakes.collect())
}
