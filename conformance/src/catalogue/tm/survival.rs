//! Cases about what leaders, restarts and snapshots must not change of timers.

use quorate_core::LogTime;
use quorate_core::frame::Body;
use quorate_sim::Dice;

use crate::case::{Failure, Verdict};
use crate::edges::Command;
use crate::stage::{ClientNumber, MILLI, Options, SECOND, Stage};
use crate::subject::Feature;
use crate::trial::Trial;

/// Election time-outs until a group that something happened to has a leader again.
const ELECTIONS: u64 = 12;

/// Schedules a timer and waits for the reply; its deadline, by the time of the message's frame.
pub(super) fn schedule(
    stage: &mut Stage<'_>,
    client: ClientNumber,
    (timer, delay): (u64, u64),
) -> Result<LogTime, Failure> {
    let replied = stage.request(client, &Command::Schedule { timer, delay }.to_bytes())?;
    let leader = stage.leader().unwrap_or(1);
    let frames = stage.log_frames(leader);
    let frame = frames.iter().find(|frame| frame.start == replied.position);
    let time = frame.ok_or_else(|| Failure::broken("a replied message is not in the log"))?.time;
    Ok(LogTime(time.0 + delay))
}

pub(super) fn tm_01(trial: &mut Trial<'_>) -> Verdict {
    let timers = trial.times(80, 1_000, 10_000);
    let options = Options::members(3).limits(|limits| limits.timers_max = timers as usize);
    let mut stage = trial.stage(options);
    stage.settle()?;
    let mut dice = Dice::new(trial.seed(), "timers");
    let clients = stage.connected_clients(3)?;
    let mut given = 0;
    while given < timers {
        let client = dice.pick(&clients);
        let delay = dice.between(0, 600 * MILLI);
        // One that waits for too many replies refuses it.
        if stage.submit(client, &Command::Schedule { timer: given, delay }.to_bytes()).is_ok() {
            given += 1;
        }
        stage.run(dice.between(0, 4 * MILLI))?;
        if dice.below(12) == 0 {
            stage.misfortune(&mut dice)?;
            stage.run(dice.between(0, 100 * MILLI))?;
        }
        if dice.below(30) == 0 {
            // So that some of it comes to pass before all are scheduled.
            stage.mend()?;
            stage.run(dice.between(0, 800 * MILLI))?;
        }
    }
    stage.mend()?;
    let all = clients.clone();
    stage.until("all are scheduled", 60 * SECOND, move |stage| stage.is_answered(&all))?;
    stage.until_fired(timers as usize, 60 * SECOND)?;
    // Whatever could fire again does so now, under another leader.
    let leader = stage.leader().unwrap_or(1);
    stage.kill(leader);
    let another = move |stage: &Stage<'_>| stage.leader().is_some_and(|now| now != leader);
    stage.until("another leads", ELECTIONS * stage.election_timeout(), another)?;
    stage.run(SECOND)?;
    stage.start(leader)?;
    stage.until_level(10 * SECOND)?;
    let members: Vec<u16> = stage.numbers().collect();
    stage.check_fired_once(&members, &(0..timers).collect::<Vec<_>>())
}

/// Bytes of log behind which a snapshot is taken.
const INTERVAL: u64 = 6 << 10;

/// Timers from 20 ms to 1.8 s, scheduled at once in no order of theirs.
fn delays(timers: u64) -> Vec<(u64, u64)> {
    let mut dice = Dice::new(7, "delays");
    (0..timers).map(|timer| (timer, dice.between(20, 1_800) * MILLI)).collect()
}

fn with_timers<'a>(
    trial: &Trial<'a>,
    timers: u64,
    snapshots: bool,
) -> Result<(Stage<'a>, ClientNumber), Failure> {
    let interval = if snapshots { INTERVAL } else { 0 };
    let options = Options::members(3).limits(|limits| limits.snapshot_interval_bytes = interval);
    let mut stage = trial.stage(options);
    stage.settle()?;
    let client = stage.client();
    stage.until("it is connected", SECOND, |stage| stage.connections(client) > 0)?;
    for (timer, delay) in delays(timers) {
        stage
            .submit(client, &Command::Schedule { timer, delay }.to_bytes())
            .map_err(|reject| Failure::broken(format!("a client refuses a message: {reject}")))?;
    }
    stage.until("all are scheduled", SECOND, |stage| stage.is_answered(&[client]))?;
    Ok((stage, client))
}

fn order_of(stage: &Stage<'_>, member: u16) -> Vec<u64> {
    stage.fired(member).iter().map(|fired| fired.timer).collect()
}

pub(super) fn tm_03(trial: &mut Trial<'_>) -> Verdict {
    let timers = trial.times(24, 48, 48);
    let (mut stage, _) = with_timers(trial, timers, false)?;
    stage.until_fired(timers as usize, 10 * SECOND)?;
    let undisturbed = order_of(&stage, 1);
    let described =
        trial.needs(Feature::Snapshots).and_then(|()| trial.needs(Feature::VirtualDisk));
    let (mut stage, client) = with_timers(trial, timers, described.is_ok())?;
    for member in stage.numbers() {
        // There is a snapshot in which timers are, and log behind it.
        stage.pour(&[client], 20, 300, 10 * SECOND)?;
        stage.until_level(10 * SECOND)?;
        stage.run(5 * MILLI)?;
        let waiting = timers as usize - stage.fired(member).len();
        stage.check(waiting > 0, || "all have fired too soon".into())?;
        let had_led = stage.leader() == Some(member);
        stage.power_off(member);
        if had_led {
            let another = move |stage: &Stage<'_>| stage.leader().is_some_and(|now| now != member);
            stage.until("another leads", ELECTIONS * stage.election_timeout(), another)?;
        }
        stage.start(member)?;
        let begun = stage.view(member).applied;
        let from_snapshot = described.is_err() || begun.0 > 0;
        stage.check(from_snapshot, || format!("member {member} begins without a snapshot"))?;
        stage.until_level(10 * SECOND)?;
    }
    stage.until_fired(timers as usize, 20 * SECOND)?;
    let members: Vec<u16> = stage.numbers().collect();
    stage.check_fired_once(&members, &(0..timers).collect::<Vec<_>>())?;
    let order = order_of(&stage, 1);
    stage.check(order == undisturbed, || format!("fired {order:?}, undisturbed {undisturbed:?}"))
}

pub(super) fn tm_04(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let leader = stage.settle()?;
    let (client, other) = (stage.client(), stage.client());
    let connected = move |stage: &Stage<'_>| {
        [client, other].iter().all(|client| stage.connections(*client) > 0)
    };
    stage.until("both are connected", SECOND, connected)?;
    stage.until_level(SECOND)?;
    let committed = stage.view(leader).commit;
    // It reaches a leader that nobody else hears any more, and is rolled back.
    stage.isolate(leader);
    let message = Command::Schedule { timer: 1, delay: 10 * MILLI }.to_bytes();
    let taken = stage.submit(client, &message).is_ok();
    stage.check(taken, || "a client refuses a message".into())?;
    stage.run(2 * MILLI)?;
    stage.crash_client(client);
    let appended = stage.view(leader).verified > committed;
    stage.check(appended, || "the message did not come into the leader's log".into())?;
    let another = move |stage: &Stage<'_>| stage.leader().is_some_and(|now| now != leader);
    let within = ELECTIONS * stage.election_timeout();
    stage.until("another leads", within, another)?;
    stage.run(SECOND)?;
    stage.heal_all();
    schedule(&mut stage, other, (2, 10 * MILLI))?;
    stage.until_fired(1, 10 * SECOND)?;
    stage.run(SECOND)?;
    for member in stage.numbers() {
        let rolled_back = stage.log_frames(member).iter().all(|frame| frame.payload != message);
        stage.check(rolled_back, || format!("member {member} still has the message"))?;
    }
    let members: Vec<u16> = stage.numbers().collect();
    stage.check_fired_once(&members, &[2])
}

pub(super) fn tm_09(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let leader = stage.settle()?;
    let client = stage.client();
    let mut due = Vec::new();
    // Not by rising deadline, and some of one deadline as near as messages can be.
    for (timer, delay) in [(4, 250), (3, 150), (2, 50), (1, 350), (5, 50)] {
        let deadline = schedule(&mut stage, client, (timer, delay * MILLI))?;
        due.push((deadline, timer));
    }
    stage.until_level(SECOND)?;
    let before = stage.log_frames(leader).last().map_or(LogTime(0), |frame| frame.time);
    for member in stage.numbers() {
        stage.power_off(member);
    }
    stage.run(trial.times(5, 60, 3_600) * SECOND)?;
    for member in stage.numbers() {
        stage.start(member)?;
    }
    let begun = stage.now();
    stage.until("one leads", ELECTIONS * stage.election_timeout(), Stage::is_settled)?;
    stage.until_fired(due.len(), 10 * SECOND)?;
    let passed = stage.now() - begun;
    due.sort_unstable();
    let wanted: Vec<u64> = due.iter().map(|(_, timer)| *timer).collect();
    let members: Vec<u16> = stage.numbers().collect();
    stage.check_fired_once(&members, &wanted)?;
    let order = order_of(&stage, 1);
    stage.check(order == wanted, || format!("fired {order:?}, due {due:?}"))?;
    // Time that nobody led did not pass.
    let frames = stage.log_frames(1);
    let last = frames.last().map_or(before, |frame| frame.time);
    let counted = last.0.saturating_sub(before.0);
    let of_new = frames.iter().any(|frame| {
        matches!(frame.body, Body::TermOpen(open) if open.term.0 > 1 && open.time >= before)
    });
    stage.check(of_new, || "no new term begins where the last one ended".into())?;
    stage.check(counted <= passed, || {
        format!("{counted} ns of log time in the {passed} ns since the members are back")
    })
}
