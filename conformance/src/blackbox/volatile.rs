//! Volatile members that lose their power as one: what they had answered and had not on their disks
//! is lost, and a tool of the product's tells what that is before the group goes on without it.

use core::time::Duration;
use std::process::Command;

use quorate_sim::Dice;

use super::RealTrial;
use super::cases::{counts_up, send};
use super::client::RealClient;
use super::description::{Volatile, fill};
use super::grounds::{Grounds, PATIENCE};
use super::power::{self, Fates};
use crate::case::{Failure, Verdict, check};

/// Messages between two looks at the members, and looks before the power fails.
const MESSAGES: usize = 6;
const LOOKS: u64 = 8;
/// At most so long before the power fails again.
const WAIT: Duration = Duration::from_millis(150);

/// What a member said that it had applied: up to where, and how many messages that were.
#[derive(Clone, Copy, Debug)]
struct Applied {
    end: u64,
    entries: u64,
}

/// What is known of a group whose power has failed.
#[derive(Debug, Default)]
struct Before {
    looks: Vec<Applied>,
    /// The end of what was on the disks of a quorum, as a leader said.
    safe: u64,
    /// Messages that were answered.
    answered: u64,
}

/// What the tool tells.
#[derive(Debug, Eq, PartialEq)]
struct Told {
    kept: u64,
    promised: u64,
    word: String,
}

/// Groups of three lose their power under load, each once; nothing that was safe is lost, nothing
/// that the tool says is kept, and all that is lost lies where it says.
pub(super) fn loses_what_is_told(trial: &RealTrial<'_>) -> Verdict {
    let Some(volatile) = trial.product.member.volatile.clone() else { return Ok(()) };
    let target = trial.product.target().display().to_string();
    let words = |words: &[String]| -> Vec<String> {
        words.iter().map(|word| fill(word, &[("target", target.clone())])).collect()
    };
    let volatile = Volatile { recover: words(&volatile.recover), ..volatile };
    let mut dice = Dice::new(trial.seed(), "volatile");
    let (mut lost, mut fates) = (0, Fates::new());
    for _ in 0..trial.times(2, 4, 30) {
        lost += round(trial, &volatile, &mut dice, &mut fates)?;
    }
    check(lost > 0, || "nothing that was answered was lost: nothing was tried")?;
    check(power::lost(&fates) > 0, || "all was synced whenever the power failed")
}

/// A group of its own; how many messages that were answered it has lost.
fn round(
    trial: &RealTrial<'_>,
    volatile: &Volatile,
    dice: &mut Dice,
    fates: &mut Fates,
) -> Result<u64, Failure> {
    let mut grounds = trial.grounds_of_a_volatile_group(3)?;
    grounds.settle()?;
    let mut client = grounds.client()?;
    let mut before = Before::default();
    for _ in 0..LOOKS {
        fill_up(&mut grounds, &mut client)?;
        for id in grounds.numbers() {
            before.look(&mut grounds, trial, volatile, id)?;
        }
        grounds.run(WAIT.mul_f64(dice.below(100) as f64 / 100.0))?;
    }
    fill_up(&mut grounds, &mut client)?;
    grounds.lose_all_power(dice, fates)?;
    counts_up(&mut client)?;
    before.answered = client.replies().len() as u64;

    let told = plan(&mut grounds, volatile, &[])?;
    check(plan(&mut grounds, volatile, &[])? == told, || "a plan changes something".to_owned())?;
    before.check(&told)?;
    let word = [("word", told.word.clone())];
    let confirm: Vec<String> = volatile.confirm.iter().map(|text| fill(text, &word)).collect();
    plan(&mut grounds, volatile, &confirm)?;

    for id in grounds.numbers() {
        grounds.start(id)?;
    }
    let mut client = grounds.client_with(&volatile.client)?;
    send(&mut client, 1)?;
    grounds.answered(&mut client, 1, PATIENCE)?;
    let reply = client.replies()[0].1.clone();
    let number = reply.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
    let number = number.ok_or_else(|| Failure::broken(format!("it replies {reply:?}")))?;
    before.compare(&told, number - 1)
}

/// So many messages more, all of them answered.
fn fill_up(grounds: &mut Grounds, client: &mut RealClient) -> Verdict {
    send(client, MESSAGES)?;
    let sent = client.sent();
    grounds.answered(client, sent, PATIENCE)
}

impl Before {
    fn look(
        &mut self,
        grounds: &mut Grounds,
        trial: &RealTrial<'_>,
        volatile: &Volatile,
        id: u16,
    ) -> Verdict {
        let signal = trial.product.member.status_signal.as_deref().ok_or_else(|| {
            Failure::NotApplicable("the product's description has no `status_signal`".into())
        })?;
        let said = grounds.member(id).status(signal, &volatile.applied);
        let said = said.ok_or_else(|| Failure::broken(format!("member {id} tells no status")))?;
        let known = |before: &str| {
            let found = number(&said, before);
            found.ok_or_else(|| Failure::broken(format!("no {before} is in {said:?}")))
        };
        let (end, entries) = (known(&volatile.applied)?, known(&volatile.entries)?);
        self.looks.push(Applied { end, entries });
        // Only who leads knows.
        self.safe = self.safe.max(number(&said, &volatile.safe).unwrap_or(0));
        Ok(())
    }

    /// Nothing that was safe is told to be lost.
    fn check(&self, told: &Told) -> Verdict {
        let Self { safe, .. } = self;
        check(*safe > 0, || "no leader ever said that something is safe".to_owned())?;
        check(told.kept >= *safe, || format!("up to {safe} all was safe, and it says {told:?}"))?;
        check(told.promised >= told.kept, || format!("it contradicts itself: {told:?}"))
    }

    /// The group goes on behind so many messages: those before what is kept are there, and what is
    /// not there is told to be lost. How many that are.
    fn compare(&self, told: &Told, entries: u64) -> Result<u64, Failure> {
        for look in &self.looks {
            let is_there = look.entries <= entries;
            let is_told = look.end > told.kept;
            check(is_there || is_told, || {
                format!("it has {entries} messages, and says {told:?}: it had {look:?} before")
            })?;
        }
        Ok(self.answered.saturating_sub(entries))
    }
}

/// Has the tool say what it would do, or do it.
fn plan(grounds: &mut Grounds, volatile: &Volatile, more: &[String]) -> Result<Told, Failure> {
    let directories: Vec<String> =
        grounds.numbers().map(|id| grounds.seen_by(id).display().to_string()).collect();
    let words = [&volatile.recover, directories.as_slice(), more].concat();
    let output = Command::new(&words[0]).args(&words[1..]).output();
    let output = output.map_err(|error| Failure::Harness(format!("{words:?}: {error}")))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    check(output.status.success(), || format!("{words:?} fails: {}", complaint.trim()))?;
    let word = said.split_once(&volatile.word).and_then(|(_, behind)| behind.split_once('"'));
    let numbers = number(&said, &volatile.kept).zip(number(&said, &volatile.promised));
    match (numbers, word) {
        (Some((kept, promised)), Some((word, _))) => {
            Ok(Told { kept, promised, word: word.to_owned() })
        }
        _ => Err(Failure::broken(format!("it does not tell what is lost: {said}"))),
    }
}

/// The number behind what stands `before` it.
fn number(text: &str, before: &str) -> Option<u64> {
    let behind = text.split_once(before)?.1.trim_start();
    let end = behind.find(|next: char| !next.is_ascii_digit()).unwrap_or(behind.len());
    behind[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_behind_what_stands_before_them() {
        let text = r#"status {"id":1,"safe":null,"applied": 48,"entries":7}"#;
        let found = [r#""id":"#, r#""safe":"#, r#""applied":"#, r#""entries":"#, r#""none":"#];
        let numbers = found.map(|before| number(text, before));
        assert_eq!(numbers, [Some(1), None, Some(48), Some(7), None]);
    }

    #[test]
    fn what_is_lost_and_was_not_told_is_found() {
        let looks = vec![Applied { end: 100, entries: 5 }, Applied { end: 200, entries: 9 }];
        let before = Before { looks, safe: 90, answered: 12 };
        let told = |kept| Told { kept, promised: 300, word: String::new() };
        assert_eq!(before.check(&told(90)), Ok(()));
        assert!(before.check(&told(89)).is_err(), "what was safe is lost");
        assert_eq!(before.compare(&told(150), 5), Ok(7));
        assert!(before.compare(&told(200), 8).is_err(), "message 9 was applied before 200");
        assert!(before.compare(&told(100), 4).is_err(), "message 5 was applied before 100");
        assert_eq!(before.compare(&told(99), 4), Ok(8));
    }
}
