//! Scripts about bytes that rot on the disks of members: the others have them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use quorate_sim::Dice;

use super::RealTrial;
use super::cases::{answered_in_turn, counts_up};
use super::client::RealClient;
use super::description::LogFile;
use super::ends::is_needed;
use super::grounds::{Grounds, PATIENCE};
use crate::case::{Failure, Verdict, check};

/// Messages that are more of the log than is damaged here.
const MESSAGES: usize = 60;
/// So far apart are the places that rot on different members: more than a frame takes.
const APART: u64 = 600;
/// Election time-outs within which somebody leads, if anybody may.
const SETTLED: u32 = 10;

/// Where the product has the beginning of its log.
pub(super) fn log_of<'a>(trial: &RealTrial<'a>) -> Result<&'a LogFile, Failure> {
    trial.product.member.log.as_ref().ok_or_else(|| {
        Failure::NotApplicable("the product's description has no `log` of a member".into())
    })
}

fn harness(path: &Path) -> impl FnOnce(std::io::Error) -> Failure + '_ {
    move |error| Failure::Harness(format!("{}: {error}", path.display()))
}

/// The first file of the log below a folder.
pub(super) fn find(folder: &Path, log: &LogFile) -> Result<PathBuf, Failure> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(harness(&folder))? {
            let path = entry.map_err(harness(&folder))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.display().to_string().contains(&log.file) {
                return Ok(path);
            }
        }
    }
    Err(Failure::Harness(format!("no file below {} is {}", folder.display(), log.file)))
}

/// What a file has at `offset`.
///
/// # Errors
/// The system's.
pub(super) fn byte_of(path: &Path, offset: u64) -> std::io::Result<u8> {
    let mut byte = [0];
    File::open(path)?.read_exact_at(&mut byte, offset)?;
    Ok(byte[0])
}

/// Something of a log that has rotted.
struct Rotten {
    member: u16,
    path: PathBuf,
    offset: u64,
    good: u8,
}

impl Rotten {
    /// A bit of a member's log turns over, so many bytes from its beginning on.
    fn new(
        grounds: &mut Grounds,
        log: &LogFile,
        member: u16,
        (at, bit): (u64, u64),
    ) -> Result<Self, Failure> {
        let path = find(&grounds.data_of(member), log)?;
        let offset = log.begin + at;
        let good = byte_of(&path, offset).map_err(harness(&path))?;
        let rotten = Self { member, path, offset, good };
        rotten.write(good ^ (1 << bit))?;
        Ok(rotten)
    }

    fn write(&self, byte: u8) -> Verdict {
        let file = File::options().write(true).open(&self.path).map_err(harness(&self.path))?;
        file.write_all_at(&[byte], self.offset).map_err(harness(&self.path))
    }

    fn is_mended(&self) -> bool {
        byte_of(&self.path, self.offset).is_ok_and(|byte| byte == self.good)
    }
}

/// Waits until all of it is as it was, and no process has ended for it.
fn until_mended(grounds: &mut Grounds, rotten: &[Rotten]) -> Verdict {
    grounds.until("what has rotted is as it was", PATIENCE, |grounds| {
        let ended = rotten.iter().any(|rotten| grounds.has_ended(rotten.member));
        ended || rotten.iter().all(Rotten::is_mended)
    })?;
    for Rotten { member, .. } in rotten {
        check(!grounds.has_ended(*member), || {
            format!("member {member} ends of what the others have: {}", grounds.log_of(*member))
        })?;
    }
    Ok(())
}

/// Three members with a log that all of them have.
fn filled(grounds: &mut Grounds) -> Result<RealClient, Failure> {
    grounds.settle()?;
    let mut client = grounds.client()?;
    answered_in_turn(grounds, &mut client, MESSAGES)?;
    // Whoever was behind has it, too.
    grounds.run(SETTLED * grounds.times().election_max())?;
    Ok(client)
}

/// Different places rot on all members at once: while none of them runs, and, if they read again
/// what is stored, while all of them do.
pub(super) fn df_04(trial: &RealTrial<'_>) -> Verdict {
    let log = log_of(trial)?;
    let scrubs = trial.product.member.scrub.is_some();
    let mut grounds = if scrubs { trial.grounds_that_scrub(3)? } else { trial.grounds(3)? };
    let mut dice = Dice::new(trial.seed(), "rot");
    let mut client = filled(&mut grounds)?;
    for round in 0..trial.times(2, 6, 40) {
        let at_rest = !scrubs || round % 2 == 0;
        if at_rest {
            grounds.kill_all();
        }
        let rotten: Result<Vec<_>, _> = grounds
            .numbers()
            .map(|id| {
                let place = u64::from(id) * APART + dice.below(APART / 2);
                Rotten::new(&mut grounds, log, id, (place, dice.below(8)))
            })
            .collect();
        let rotten = rotten?;
        for id in grounds.numbers().filter(|_| at_rest) {
            grounds.start(id)?;
        }
        until_mended(&mut grounds, &rotten)?;
        answered_in_turn(&mut grounds, &mut client, 5)?;
    }
    is_needed(&mut grounds, &mut client, 1)?;
    counts_up(&mut client)
}

/// One place rots on two of three, and on all three.
pub(super) fn df_05(trial: &RealTrial<'_>) -> Verdict {
    let log = log_of(trial)?;
    let mut grounds = trial.grounds(3)?;
    let mut dice = Dice::new(trial.seed(), "rot");
    let mut client = filled(&mut grounds)?;
    for round in 0..trial.times(1, 3, 20) {
        let keeper = 1 + (round % 3) as u16;
        let place = (APART + dice.below(APART), dice.below(8));
        grounds.kill_all();
        let mut rotten = Vec::new();
        for id in grounds.numbers() {
            rotten.push(Rotten::new(&mut grounds, log, id, place)?);
        }
        for id in grounds.numbers() {
            match grounds.start(id) {
                Ok(()) | Err(Failure::Broken { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        for Rotten { member, path, .. } in &rotten {
            let code = grounds.ended_with(*member, PATIENCE)?;
            let said = grounds.log_of(*member);
            let names = said.contains(&path.display().to_string()) && !said.contains("panicked");
            check(code != 0 && names, || {
                format!("nobody has it, and member {member} ends with {code}, saying {said}")
            })?;
            grounds.kill(*member);
        }
        check(!rotten.iter().any(Rotten::is_mended), || "somebody guessed")?;
        // One of them has it again: the disk of another machine, or a backup.
        let (kept, lost): (Vec<_>, Vec<_>) =
            rotten.into_iter().partition(|rotten| rotten.member == keeper);
        kept.iter().try_for_each(|rotten| rotten.write(rotten.good))?;
        for id in grounds.numbers() {
            grounds.start(id)?;
        }
        until_mended(&mut grounds, &lost)?;
        answered_in_turn(&mut grounds, &mut client, 5)?;
    }
    counts_up(&mut client)
}

/// The end of the log rots on one of the two who answered for it. The other is away, and the third
/// has never had it: together they are a majority, and may not go on.
pub(super) fn df_06(trial: &RealTrial<'_>) -> Verdict {
    let log = log_of(trial)?;
    let mut grounds = trial.grounds(3)?;
    let mut dice = Dice::new(trial.seed(), "rot");
    let mut client = filled(&mut grounds)?;
    for _ in 0..trial.times(1, 3, 20) {
        grounds.until("a leader", PATIENCE, |grounds| grounds.leader().is_some())?;
        let leader = grounds.leader().unwrap_or(1);
        let victim = grounds.other_than(leader);
        let third = grounds.numbers().find(|id| *id != leader && *id != victim).unwrap_or(1);
        grounds.kill(third);
        answered_in_turn(&mut grounds, &mut client, 10)?;
        grounds.kill_all();
        let path = find(&grounds.data_of(victim), log)?;
        let bytes = std::fs::read(&path).map_err(harness(&path))?;
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or_default() as u64;
        let place = (end - log.begin - dice.below(16), dice.below(8));
        let rotten = Rotten::new(&mut grounds, log, victim, place)?;
        let term = grounds.term();
        match grounds.start(victim) {
            Ok(()) | Err(Failure::Broken { .. }) => {}
            Err(other) => return Err(other),
        }
        grounds.start(third)?;
        grounds.run(SETTLED * grounds.times().election_max())?;
        let led = grounds.term();
        check(led == term && !rotten.is_mended(), || {
            format!("without what was answered, somebody leads term {led}, behind {term}")
        })?;
        grounds.start(leader)?;
        grounds.start(victim)?;
        until_mended(&mut grounds, &[rotten])?;
        answered_in_turn(&mut grounds, &mut client, 5)?;
        counts_up(&mut client)?;
    }
    Ok(())
}

/// A bit of what nobody reads turns over under each member in turn, the leader among them.
pub(super) fn df_18(trial: &RealTrial<'_>) -> Verdict {
    let log = log_of(trial)?;
    let mut grounds = trial.grounds_that_scrub(3)?;
    let mut dice = Dice::new(trial.seed(), "rot");
    let mut client = filled(&mut grounds)?;
    for round in 0..trial.times(3, 9, 60) {
        let member = 1 + (round % 3) as u16;
        let place = (dice.below(4 * APART), dice.below(8));
        let rotten = Rotten::new(&mut grounds, log, member, place)?;
        until_mended(&mut grounds, &[rotten])?;
        answered_in_turn(&mut grounds, &mut client, 2)?;
        counts_up(&mut client)?;
    }
    is_needed(&mut grounds, &mut client, 2)?;
    counts_up(&mut client)
}
