//! Scripts about disks that lose their power, lie, and fail: what was answered has to be there.

use core::time::Duration;
use std::collections::BTreeMap;

use quorate_faultfs::{Call, Command, Effect, Fault};
use quorate_sim::Dice;

use super::RealTrial;
use super::cases::{answered_in_turn, counts_up, send};
use super::client::RealClient;
use super::ends::{is_needed, large};
use super::grounds::{Grounds, PATIENCE};
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
const WATCHED: Duration = Duration::from_millis(500);

/// What power losses have made of what was not synced, in all.
type Fates = BTreeMap<String, u64>;

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
    fn lose_all_power(&mut self, dice: &mut Dice, fates: &mut Fates) -> Verdict {
        self.kill_all();
        self.numbers().try_for_each(|id| self.lose_power(id, dice.bits(), fates))
    }
}

/// A fault of each such call to a member's disk, on whatever file.
const fn each(call: Call, effect: Effect) -> Fault {
    Fault { call, path: String::new(), skip: 0, times: None, effect }
}

/// One of each kind of loss, and how often.
fn lost(fates: &Fates) -> u64 {
    ["pages_lost", "pages_torn", "lengths_lost", "names_lost"]
        .into_iter()
        .filter_map(|name| fates.get(name))
        .sum()
}

/// All members lose their power at once, under load, again and again.
pub(super) fn df_17(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds_with_fault_disks(3, &[1, 2, 3])?;
    let mut dice = Dice::new(trial.seed(), "power");
    let mut fates = Fates::new();
    for id in grounds.numbers() {
        grounds.fault(id, each(Call::Sync, Effect::Delay(SLOW_SYNC)))?;
    }
    let mut client = grounds.client()?;
    let mut term = 0;
    for _ in 0..trial.times(4, 10, 60) {
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

/// The power fails before this call and before that one, while a member starts and serves.
pub(super) fn ad_09(trial: &RealTrial<'_>) -> Verdict {
    const CALLS: [Call; 6] =
        [Call::Rename, Call::SyncFolder, Call::Sync, Call::Write, Call::Create, Call::Remove];
    let mut grounds = trial.grounds_with_fault_disks(1, &[1])?;
    let mut dice = Dice::new(trial.seed(), "calls");
    let mut fates = Fates::new();
    let mut client = grounds.client()?;
    grounds.start(1)?;
    answered_in_turn(&mut grounds, &mut client, 2)?;
    let mut met = 0;
    for round in 0..trial.times(6, 24, 200) {
        grounds.kill(1);
        let call = CALLS[round as usize % CALLS.len()];
        let skip = dice.below(if call == Call::Write || call == Call::Sync { 12 } else { 3 });
        let fault = Fault { skip, times: Some(1), ..each(call, Effect::PowerOff) };
        let number = grounds.fault(1, fault)?;
        match grounds.start(1) {
            Ok(()) => watched(&mut grounds, &mut client)?,
            // It does not get so far.
            Err(Failure::Broken { .. }) => {}
            Err(other) => return Err(other),
        }
        met += grounds.hits(1, number)?;
        grounds.ask(1, &Command::Heal)?;
        grounds.lose_all_power(&mut dice, &mut fates)?;
        grounds.start(1)?;
        let sent = client.sent();
        grounds.answered(&mut client, sent, PATIENCE)?;
        answered_in_turn(&mut grounds, &mut client, 1)?;
        counts_up(&mut client)?;
    }
    check(met > 0, || "no such call was ever reached")
}

/// Sends until a member ends of its fault, or for a while.
fn watched(grounds: &mut Grounds, client: &mut RealClient) -> Verdict {
    let limit = std::time::Instant::now() + WATCHED;
    while !grounds.has_ended(1) && std::time::Instant::now() < limit {
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

/// Calls of one of three to its disk fail, each at a place of its own: it ends with a reason, and
/// takes part again when its disk works.
pub(super) fn failing_calls(trial: &RealTrial<'_>) -> Verdict {
    const CALLS: [Call; 6] =
        [Call::Read, Call::Write, Call::Sync, Call::SyncFolder, Call::Rename, Call::Open];
    let mut grounds = trial.grounds_with_fault_disks(3, &[1])?;
    grounds.settle()?;
    let mut client = grounds.client()?;
    answered_in_turn(&mut grounds, &mut client, 5)?;
    for call in CALLS {
        grounds.kill(1);
        grounds.fault(1, each(call, Effect::Error(EIO)))?;
        let said = grounds.log_of(1).len();
        match grounds.start(1) {
            Ok(()) => {
                let before = client.sent();
                while !grounds.has_ended(1) {
                    let many = client.sent() - before > MESSAGES_MAX;
                    check(!many, || format!("each {} fails, and it goes on", call.name()))?;
                    answered_in_turn(&mut grounds, &mut client, 1)?;
                }
            }
            Err(Failure::Broken { .. }) => {}
            Err(other) => return Err(other),
        }
        let log = grounds.log_of(1).split_off(said);
        check(log.contains("os error 5") && !log.contains("panicked"), || {
            format!("each {} fails, and it does not say why it ends: {}", call.name(), log.trim())
        })?;
        grounds.kill(1);
        grounds.ask(1, &Command::Heal)?;
        grounds.start(1)?;
        answered_in_turn(&mut grounds, &mut client, 3)?;
    }
    is_needed(&mut grounds, &mut client, 1)?;
    counts_up(&mut client)
}

/// The system's number of an input or output error.
const EIO: i32 = 5;

/// Writes of one of three are lost, or land elsewhere: it never takes what is there for its log.
pub(super) fn df_09(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds_with_fault_disks(3, &[1])?;
    let mut dice = Dice::new(trial.seed(), "writes");
    grounds.settle()?;
    let mut client = grounds.client()?;
    answered_in_turn(&mut grounds, &mut client, 5)?;
    for effect in [Effect::Lie, Effect::Shift(4_096)] {
        let fault = Fault { skip: dice.below(8), times: Some(1), ..each(Call::Write, effect) };
        let number = grounds.fault(1, fault)?;
        answered_in_turn(&mut grounds, &mut client, 30)?;
        check(grounds.hits(1, number)? == 1, || "no write was met: nothing was tried")?;
        grounds.kill(1);
        match grounds.start(1) {
            Ok(()) => eprintln!("{effect}: starts"),
            Err(Failure::Broken { what, .. }) => eprintln!("{effect}: {what}"),
            Err(other) => return Err(other),
        }
        grounds.ask(1, &Command::Heal)?;
        answered_in_turn(&mut grounds, &mut client, 10)?;
    }
    counts_up(&mut client)
}
