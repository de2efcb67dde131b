//! What a script sees of timers: which ones fired where, and how often a member woke.

use quorate_core::{Apply, Delivery, LogTime, Position};

use super::Stage;
use crate::case::Verdict;

/// A timer that a member's service was told of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fired {
    /// Its number.
    pub timer: u64,
    /// Where its frame lies in the log.
    pub position: Position,
    /// The log time of that.
    pub time: LogTime,
    /// When that was first so, in nanoseconds of virtual time.
    pub at: u64,
}

impl Stage<'_> {
    pub(super) fn note_fired(&mut self, node: usize, apply: &Apply) {
        if let Delivery::Timer { timer } = apply.delivery {
            let (position, time, at) = (apply.position, apply.time, self.now);
            let fired = Fired { timer, position, time, at };
            self.machines[node].fired.entry(position).or_insert(fired);
        }
    }

    /// The timers that a member's service was told of, in any of its lives, by their positions.
    /// What several lives applied is there once.
    #[must_use]
    pub fn fired(&self, member: u16) -> Vec<Fired> {
        self.machines[self.index(member)].fired.values().copied().collect()
    }

    /// How often a member took a turn for no other reason than that it had asked to be woken.
    #[must_use]
    pub fn wakes(&self, member: u16) -> u64 {
        self.machines[self.index(member)].wakes
    }

    /// Lets time pass until all members that run were told of so many timers, and are level.
    ///
    /// # Errors
    /// They are not within this many nanoseconds, or an observer saw a rule broken.
    pub fn until_fired(&mut self, timers: usize, within: u64) -> Verdict {
        let text = format!("{timers} timers have fired everywhere");
        self.until(&text, within, |stage| {
            let told = |member: &u16| stage.machines[usize::from(*member) - 1].fired.len();
            let all = stage.numbers().filter(|member| stage.is_up(*member));
            all.into_iter().all(|member| told(&member) >= timers)
        })?;
        self.until_level(within)
    }

    /// Fails unless each of these timers fired once at each of these members, at the same position
    /// and log time everywhere, and nothing else did.
    ///
    /// # Errors
    /// They did not.
    pub fn check_fired_once(&mut self, members: &[u16], timers: &[u64]) -> Verdict {
        let mut wanted = timers.to_vec();
        wanted.sort_unstable();
        let places = |stage: &Self, member| {
            let fired = stage.fired(member).into_iter();
            fired.map(|it| (it.timer, it.position, it.time)).collect::<Vec<_>>()
        };
        let Some(first) = members.first().map(|member| places(self, *member)) else {
            return Ok(());
        };
        let mut numbers: Vec<u64> = first.iter().map(|(timer, ..)| *timer).collect();
        numbers.sort_unstable();
        self.check(numbers == wanted, || {
            let lost = wanted.iter().find(|timer| numbers.binary_search(timer).is_err());
            let twice = numbers.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
            let counts = (numbers.len(), wanted.len());
            format!("{} of {} timers fired; lost: {lost:?}, twice: {twice:?}", counts.0, counts.1)
        })?;
        for &member in members {
            let differs = places(self, member) != first;
            self.check(!differs, || format!("member {member} has timers fire elsewhere"))?;
        }
        Ok(())
    }
}
