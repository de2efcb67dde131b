//! Scripts about disks that lose their power, lie, and fail: what was answered has to be there.

use core::time::Duration;
use std::collections::BTreeMap;
use std::time::Instant;

use quorate_faultfs::{Call, Command, Effect, Fault};
use quorate_sim::Dice;

use super::RealTrial;
use super::cases::{answered_in_turn, counts_up, send};
use super::client::RealClient;
use super::ends::{is_needed, large};
use super::grounds::{Grounds, PATIENCE};
use super::rot::{byte_of, find, log_of};
use super::volatile;
use crate::case::{Failure, Verdict, check};

/// How long a sync takes, so that something is not synced whenever the power fails.
const SLOW_SYNC: Duration = Duration::from_millis(4);
/// Messages that are under way when the power fails.
const UNDER_WAY: usize = 20;
/// Messages behind which a disk that fails at some call has failed, each with calls of its own.
const MESSAGES_MAX: usize = 300;
/// Large messages that are more than a segment of the log.
const MORE_THAN_A_SEGMENT: usize = (17 << 20) / 60_000;
/// How long a member is watched that may end of a fault.
const WATCHED: Duration = Duration::from_secs(2);

/// The system's number of an input or output error.
const EIO: i32 = 5;
/// Bytes of a log that each life of a group fills, from its first frame on.
const FRAMES_BYTES: u64 = 200;

/// What power losses have made of what was not synced, in all.
pub(super) type Fates = BTreeMap<String, u64>;

/// Disks that lose their power, and fail as they are told.
impl Grounds {
    /// From now on, a fault waits for calls to a member's disk.
    fn fault(&mut self, id: u16, fault: Fault) -> Result<u64, Failure> {
        let told = self.ask(id, &Command::Fault(fault))?;
        Ok(told.get("number").copied().unwrap_or_default())
    }

    /// How many calls a fault has met.
    fn hits(&mut self, id: u16, number: u64) -> Result<u64, Failure> {
        Ok(self.ask(id, &Command::Hits(number))?.get("hits").copied().unwrap_or_default())
    }

    /// A disk whose member does not run loses its power, and has it again.
    fn lose_power(&mut self, id: u16, seed: u64, fates: &mut Fates) -> Verdict {
        for (name, number) in self.ask(id, &Command::Crash(seed))? {
            *fates.entry(name).or_default() += number;
        }
        Ok(())
    }

    fn ask(&mut self, id: u16, command: &Command) -> Result<Fates, Failure> {
        let disk = self.member(id).faulty_disk();
        disk.and_then(|disk| disk.ask(command)).map_err(Failure::Harness)
    }

    /// All members and their disks lose their power as one, and have it again.
    pub(super) fn lose_all_power(&mut self, dice: &mut Dice, fates: &mut Fates) -> Verdict {
        self.kill_all();
        self.numbers().try_for_each(|id| self.lose_power(id, dice.bits(), fates))
    }
}

/// A fault of each such call to a member's disk, on whatever file.
const fn each(call: Call, effect: Effect) -> Fault {
    Fault { call, path: String::new(), skip: 0, times: None, effect }
}

/// One of each kind of loss, and how often.
pub(super) fn lost(fates: &Fates) -> u64 {
    ["pages_lost", "pages_torn", "lengths_lost", "names_lost"]
        .into_iter()
        .filter_map(|name| fates.get(name))
        .sum()
}

/// All members lose their power at once, under load, again and again.
pub(super) fn df_17(trial: &RealTrial<'_>) -> Verdict {
    durable(trial)?;
    volatile::loses_what_is_told(trial)
}

/// Durable members: nothing is lost.
fn durable(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds_with_fault_disks(3, &[1, 2, 3])?;
    let mut dice = Dice::new(trial.seed(), "power");
    let mut fates = Fates::new();
    for id in grounds.numbers() {
        grounds.fault(id, each(Call::Sync, Effect::Delay(SLOW_SYNC)))?;
    }
    let mut client = grounds.client()?;
    let mut term = 0;
    for _ in 0..trial.times(3, 8, 60) {
        grounds.settle()?;
        check(grounds.term() >= term, || "a term fell over a loss of power")?;
        term = grounds.term();
        let answered = client.sent() + 1 + dice.below(UNDER_WAY as u64) as usize;
        send(&mut client, 2 * UNDER_WAY)?;
        grounds.answered(&mut client, answered, PATIENCE)?;
        grounds.lose_all_power(&mut dice, &mut fates)?;
        counts_up(&mut client)?;
    }
    grounds.settle()?;
    let sent = client.sent();
    grounds.answered(&mut client, sent, PATIENCE)?;
    counts_up(&mut client)?;
    check(lost(&fates) > 0, || "all was synced whenever the power failed: nothing was tried")
}

/// Two members lose their power at once, again and again: each answered message is on both disks.
pub(super) fn tn_01(trial: &RealTrial<'_>) -> Verdict {
    let log = log_of(trial)?;
    let mut grounds = trial.grounds_with_fault_disks(2, &[1, 2])?;
    let mut dice = Dice::new(trial.seed(), "power");
    let mut fates = Fates::new();
    for id in grounds.numbers() {
        grounds.fault(id, each(Call::Sync, Effect::Delay(SLOW_SYNC)))?;
    }
    let mut client = grounds.client()?;
    for _ in 0..trial.times(2, 6, 40) {
        grounds.settle()?;
        let answered = client.sent() + 1 + dice.below(UNDER_WAY as u64) as usize;
        send(&mut client, 2 * UNDER_WAY)?;
        grounds.answered(&mut client, answered, PATIENCE)?;
        grounds.lose_all_power(&mut dice, &mut fates)?;
        let newest = format!("message {}", client.replies().len());
        for id in grounds.numbers() {
            let path = find(&grounds.seen_by(id), log)?;
            let bytes = std::fs::read(&path)
                .map_err(|error| Failure::Harness(format!("{}: {error}", path.display())))?;
            let has = bytes.windows(newest.len()).any(|part| part == newest.as_bytes());
            check(has, || format!("{newest} was answered, and member {id} does not have it"))?;
        }
    }
    grounds.settle()?;
    let sent = client.sent();
    grounds.answered(&mut client, sent, PATIENCE)?;
    counts_up(&mut client)?;
    check(lost(&fates) > 0, || "all was synced whenever the power failed: nothing was tried")
}

/// The only member loses its power: what it has answered is on its disk or nowhere, also that for
/// which it began a file.
pub(super) fn ad_04(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds_with_fault_disks(1, &[1])?;
    let mut dice = Dice::new(trial.seed(), "power");
    let mut fates = Fates::new();
    let mut client = grounds.client()?;
    for round in 0..trial.times(2, 6, 40) {
        grounds.start(1)?;
        grounds.fault(1, each(Call::Sync, Effect::Delay(Duration::from_millis(1))))?;
        // A write may take less than it was given.
        let short = each(Call::Write, Effect::Short(1_000));
        grounds.fault(1, Fault { skip: dice.below(30), times: Some(10), ..short })?;
        // Every second life begins a segment, and ends soon behind that.
        let most = if round % 2 == 0 { MORE_THAN_A_SEGMENT } else { UNDER_WAY };
        for _ in 0..most {
            large(&mut grounds, &mut client)?;
        }
        grounds.lose_all_power(&mut dice, &mut fates)?;
        grounds.ask(1, &Command::Heal)?;
        counts_up(&mut client)?;
    }
    grounds.start(1)?;
    let sent = client.sent();
    grounds.answered(&mut client, sent, PATIENCE)?;
    counts_up(&mut client)?;
    check(lost(&fates) > 0, || "all was synced whenever the power failed: nothing was tried")
}

/// The power fails before this call and before that one: when a member makes its files, and when
/// it has them.
pub(super) fn ad_09(trial: &RealTrial<'_>) -> Verdict {
    const MAKING: [Call; 4] = [Call::Rename, Call::SyncFolder, Call::Create, Call::Resize];
    const HAVING: [Call; 2] = [Call::Sync, Call::Write];
    let mut dice = Dice::new(trial.seed(), "calls");
    let (mut made, mut had) = (0, 0);
    for round in 0..trial.times(4, 8, 120) {
        let mut grounds = trial.grounds_with_fault_disks(1, &[1])?;
        let mut client = grounds.client()?;
        let call = MAKING[(round % 4) as usize];
        // A member that starts for the first time makes one file, and syncs names several times.
        let skip = if call == Call::SyncFolder { dice.below(3) } else { 0 };
        made += cut_before(&mut grounds, &mut client, &mut dice, (call, skip))?;
        let (call, skip) = (HAVING[(round % 2) as usize], dice.below(24));
        had += cut_before(&mut grounds, &mut client, &mut dice, (call, skip))?;
    }
    check(made > 0 && had > 0, || format!("only {made} and {had} of the calls were reached"))
}

/// The power of the only member fails before a call; how often that was reached. It starts again,
/// and has what it answered.
fn cut_before(
    grounds: &mut Grounds,
    client: &mut RealClient,
    dice: &mut Dice,
    (call, skip): (Call, u64),
) -> Result<u64, Failure> {
    let fault = Fault { skip, times: Some(1), ..each(call, Effect::PowerOff) };
    let number = grounds.fault(1, fault)?;
    match grounds.start(1) {
        Ok(()) => watched(grounds, client)?,
        // It does not get so far.
        Err(Failure::Broken { .. }) => {}
        Err(other) => return Err(other),
    }
    let hits = grounds.hits(1, number)?;
    grounds.ask(1, &Command::Heal)?;
    grounds.lose_all_power(dice, &mut Fates::new())?;
    grounds.start(1)?;
    answered_in_turn(grounds, client, 1)?;
    counts_up(client)?;
    grounds.kill(1);
    Ok(hits)
}

/// Sends until a member ends of its fault, or for a while.
fn watched(grounds: &mut Grounds, client: &mut RealClient) -> Verdict {
    let limit = Instant::now() + WATCHED;
    while !grounds.has_ended(1) && Instant::now() < limit {
        if client.sent() < client.replies().len() + UNDER_WAY {
            send(client, 1)?;
        }
        grounds.run(Duration::from_millis(2))?;
    }
    Ok(())
}

/// A sync of the only member fails once, and what it was to cover is never written; each sync
/// behind it succeeds.
pub(super) fn forgetting_syncs(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds_with_fault_disks(1, &[1])?;
    let mut dice = Dice::new(trial.seed(), "syncs");
    let mut fates = Fates::new();
    let mut client = grounds.client()?;
    for _ in 0..trial.times(2, 4, 20) {
        grounds.start(1)?;
        let skip = 1 + dice.below(20);
        grounds.fault(1, Fault { skip, times: Some(1), ..each(Call::Sync, Effect::Forget) })?;
        let before = client.sent();
        while !grounds.has_ended(1) {
            let many = client.sent() - before > MESSAGES_MAX;
            check(!many, || "a sync failed, and the member went on")?;
            watched(&mut grounds, &mut client)?;
        }
        grounds.lose_all_power(&mut dice, &mut fates)?;
        grounds.ask(1, &Command::Heal)?;
        grounds.start(1)?;
        let sent = client.sent();
        grounds.answered(&mut client, sent, PATIENCE)?;
        counts_up(&mut client)?;
        grounds.kill(1);
    }
    Ok(())
}

/// Calls of one of three to its disk fail, of one kind after the other: it ends with a reason, and
/// takes part again when its disk works.
pub(super) fn failing_calls(trial: &RealTrial<'_>) -> Verdict {
    const CALLS: [Call; 5] = [Call::Read, Call::Write, Call::Sync, Call::SyncFolder, Call::Open];
    let mut grounds = trial.grounds_with_fault_disks(3, &[1])?;
    grounds.settle()?;
    let mut client = grounds.client()?;
    answered_in_turn(&mut grounds, &mut client, 5)?;
    for call in CALLS {
        grounds.kill(1);
        grounds.fault(1, each(call, Effect::Error(EIO)))?;
        ends_by_error(&mut grounds, call.name())?;
        grounds.start(1)?;
        answered_in_turn(&mut grounds, &mut client, 3)?;
    }
    if let Ok(log) = log_of(trial) {
        // A range of its log that has gone bad.
        grounds.kill(1);
        grounds.ask(1, &Command::Unreadable(log.file.clone(), log.begin, 1))?;
        ends_by_error(&mut grounds, "sector")?;
        grounds.start(1)?;
    }
    is_needed(&mut grounds, &mut client, 1)?;
    counts_up(&mut client)
}

/// A member is started on a disk that fails, and says why it does not run; then the disk is healed.
fn ends_by_error(grounds: &mut Grounds, what: &str) -> Verdict {
    let said = grounds.refuses_to_start(1)?;
    let names = said.contains("os error 5") || said.contains("Input/output");
    check(names && !said.contains("panicked"), || {
        format!("a {what} fails, and it does not say why it ends: {said}")
    })?;
    grounds.ask(1, &Command::Heal)?;
    Ok(())
}

/// A bit of the log turns over, in the file of a member that does not run: it names the file and
/// does not start, or has the bit back from the others, and takes part again.
pub(super) fn df_03(trial: &RealTrial<'_>) -> Verdict {
    let log = log_of(trial)?;
    let mut grounds = trial.grounds_with_fault_disks(3, &[1])?;
    let mut dice = Dice::new(trial.seed(), "rot");
    let leader = grounds.settle()?;
    let mut client = grounds.client()?;
    // What is answered without another follower, it has.
    let other = grounds.numbers().find(|id| *id != leader && *id != 1).unwrap_or(leader);
    grounds.kill(other);
    answered_in_turn(&mut grounds, &mut client, 20)?;
    grounds.start(other)?;
    for _ in 0..trial.times(2, 6, 40) {
        answered_in_turn(&mut grounds, &mut client, 5)?;
        grounds.kill(1);
        let offset = log.begin + dice.below(FRAMES_BYTES);
        let rot = Command::Rot(log.file.clone(), offset, dice.below(8) as u8);
        let path = find(&grounds.seen_by(1), log)?;
        let read = |error| Failure::Harness(format!("{}: {error}", path.display()));
        let good = byte_of(&path, offset).map_err(read)?;
        grounds.ask(1, &rot)?;
        let said = match grounds.start(1) {
            Ok(()) => {
                let begun = Instant::now();
                while !byte_of(&path, offset).is_ok_and(|byte| byte == good) {
                    check(begun.elapsed() < PATIENCE, || {
                        format!("it runs with another byte at {offset} of {}", path.display())
                    })?;
                    answered_in_turn(&mut grounds, &mut client, 1)?;
                }
                continue;
            }
            Err(Failure::Broken { what, .. }) => what,
            Err(other) => return Err(other),
        };
        check(said.contains(&log.file) && !said.contains("panicked"), || {
            format!("it does not name the file that is damaged: {said}")
        })?;
        answered_in_turn(&mut grounds, &mut client, 2)?;
        // Turned back, all is as it was: the file was left alone.
        grounds.ask(1, &rot)?;
        grounds.start(1)?;
    }
    is_needed(&mut grounds, &mut client, 1)?;
    counts_up(&mut client)
}

/// A range of the log of a member that runs cannot be read any more: its scrub finds that, and what
/// the others have is written anew, in the same process.
pub(super) fn df_08(trial: &RealTrial<'_>) -> Verdict {
    let log = log_of(trial)?;
    let mut grounds = trial.grounds_that_scrub_on_fault_disks(3, &[1])?;
    grounds.settle()?;
    let mut client = grounds.client()?;
    answered_in_turn(&mut grounds, &mut client, 60)?;
    for _ in 0..trial.times(1, 3, 20) {
        let path = find(&grounds.seen_by(1), log)?;
        grounds.ask(1, &Command::Unreadable(log.file.clone(), log.begin, 1))?;
        grounds.until("what could not be read is written anew", PATIENCE, |grounds| {
            grounds.has_ended(1) || byte_of(&path, log.begin).is_ok()
        })?;
        check(!grounds.has_ended(1), || {
            format!("it ends of what the others have: {}", grounds.log_of(1))
        })?;
        answered_in_turn(&mut grounds, &mut client, 5)?;
    }
    is_needed(&mut grounds, &mut client, 1)?;
    counts_up(&mut client)
}

/// Writes of one of three are lost, or land elsewhere, or the names of its files are not written:
/// it never takes what is there for its log, and the others go on.
pub(super) fn df_09(trial: &RealTrial<'_>) -> Verdict {
    let mut dice = Dice::new(trial.seed(), "writes");
    let ways = [
        (Call::Write, Effect::Lie),
        (Call::Write, Effect::Shift(4_096)),
        (Call::SyncFolder, Effect::Lie),
    ];
    for round in 0..trial.times(3, 3, 60) as usize {
        let (call, effect) = ways[round % ways.len()];
        let mut grounds = trial.grounds_with_fault_disks(3, &[1])?;
        let data = grounds.data_of(1).display().to_string();
        let names = call == Call::SyncFolder;
        let (skip, times) = if names { (0, None) } else { (20 + dice.below(30), Some(2)) };
        let number = grounds.fault(1, Fault { skip, times, ..each(call, effect) })?;
        grounds.settle()?;
        let mut client = grounds.client()?;
        answered_in_turn(&mut grounds, &mut client, 40)?;
        // It may be behind the others.
        while grounds.hits(1, number)? == 0 {
            check(client.sent() < MESSAGES_MAX, || "no call was met: nothing was tried")?;
            answered_in_turn(&mut grounds, &mut client, 5)?;
        }
        grounds.ask(1, &Command::Heal)?;
        grounds.kill(1);
        if names {
            grounds.lose_power(1, dice.bits(), &mut Fates::new())?;
        }
        match grounds.start(1) {
            // Whatever was lost, it has again.
            Ok(()) => is_needed(&mut grounds, &mut client, 1)?,
            Err(Failure::Broken { what, .. }) => {
                check(what.contains(&data) && !what.contains("panicked"), || {
                    format!("it does not name the file that is damaged: {what}")
                })?;
                answered_in_turn(&mut grounds, &mut client, 5)?;
            }
            Err(other) => return Err(other),
        }
        counts_up(&mut client)?;
    }
    Ok(())
}
