//! One direction between two places: how long datagrams take, which are lost, and what is wrong
//! with it at the moment. What becomes of the nth datagram is drawn from the link and from n alone,
//! so that no other link and no other datagram shifts it.

use quorate_core::Position;
use quorate_core::hash::mix;

use super::datagram::Kind;
use crate::dice::{ALWAYS, Dice};
use crate::report::{Mark, Tally};
use crate::swarm::{FaultClass, FaultClasses, MICRO, MILLI, NetworkOptions};

/// How long datagrams take, in nanoseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Law {
    Constant(u64),
    Uniform(u64, u64),
    /// At least, and the mean of what comes on top.
    Exponential(u64, u64),
    /// Mostly one, now and then the other.
    TwoModes(u64, u64),
}

impl Law {
    fn draw(dice: &mut Dice, options: &NetworkOptions, own: bool) -> Self {
        let (least, mean) = (options.latency_min, options.law_mean);
        if !own {
            return Self::Uniform(least, options.latency_max);
        }
        match dice.below(4) {
            0 => Self::Constant(dice.between(least, 2 * mean)),
            1 => Self::Uniform(least, least + 2 * mean),
            2 => Self::Exponential(least, mean),
            _ => Self::TwoModes(least, dice.between(mean, 250 * MILLI)),
        }
    }

    fn latency(self, dice: &mut Dice) -> u64 {
        match self {
            Self::Constant(latency) => latency,
            Self::Uniform(least, most) => dice.between(least, most),
            Self::Exponential(least, mean) => least + dice.exponential(mean),
            Self::TwoModes(fast, slow) => {
                if dice.chance(ALWAYS / 20) {
                    slow
                } else {
                    fast
                }
            }
        }
    }
}

/// Which datagrams a filter takes out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Filter {
    /// All of a kind.
    OfKind(Kind),
    /// Each nth.
    Nth(u64),
    /// Slices whose position divided by the first number leaves nothing of the second.
    Position(u64, u64),
    /// All that carries data.
    Data,
    /// All that does not.
    Control,
}

/// What is wrong with a link until some time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// All datagrams wait, and arrive at the end.
    Clog,
    /// Datagrams with more bytes than this vanish.
    Mtu(usize),
    /// Bytes a second; what would wait longer than the queue holds is dropped.
    Bandwidth(u64),
    /// Some datagrams are taken out.
    Filter(Filter),
    /// This many of a million are lost.
    Loss(u32),
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fate {
    pub(super) lost: bool,
    pub(super) copies: u64,
    pub(super) corrupted: bool,
    /// What the faults draw further.
    pub(super) bits: u64,
}

/// One direction between two places.
#[derive(Debug)]
pub(super) struct Link {
    seed: u64,
    law: Law,
    sent: u64,
    pub(super) cuts: u32,
    in_burst: bool,
    newest_arrival: u64,
    queue_free_at: u64,
    troubles: Vec<(u64, Trouble)>,
    /// What is wrong stays so.
    is_frozen: bool,
}

/// How long a slow link's queue is, in time.
const QUEUE: u64 = 50 * MILLI;

impl Link {
    pub(super) fn new(seed: u64, options: &NetworkOptions, classes: FaultClasses) -> Self {
        let own = classes.has(FaultClass::Delay);
        Self {
            seed,
            law: Law::draw(&mut Dice::of_bits(seed), options, own),
            sent: 0,
            cuts: 0,
            in_burst: false,
            newest_arrival: 0,
            queue_free_at: 0,
            troubles: Vec::new(),
            is_frozen: false,
        }
    }

    /// The number and the dice of the next datagram.
    pub(super) const fn next(&mut self) -> (u64, Dice) {
        self.sent += 1;
        (self.sent, Dice::of_bits(mix(self.seed, self.sent)))
    }

    pub(super) fn trouble(&mut self, until: u64, trouble: Trouble) {
        self.troubles.push((until, trouble));
    }

    /// Whether it is cut, or something is wrong with it at `now`.
    pub(super) fn is_troubled(&self, now: u64) -> bool {
        self.cuts > 0 || self.troubles.iter().any(|(until, _)| *until > now)
    }

    /// Makes what is wrong now permanent.
    pub(super) fn freeze(&mut self) {
        self.is_frozen = true;
        self.troubles.iter_mut().for_each(|(until, _)| *until = u64::MAX);
    }

    /// Whether something is wrong at `now`, for which the datagram is lost.
    pub(super) fn stops(
        &mut self,
        now: u64,
        kind: impl Fn() -> (Kind, Option<Position>),
        bytes: usize,
        dice: &mut Dice,
        tally: &mut Tally,
    ) -> bool {
        if self.troubles.is_empty() {
            return false;
        }
        self.troubles.retain(|(until, _)| *until > now);
        let sent = self.sent;
        for (_, trouble) in &self.troubles {
            let (stopped, mark) = match *trouble {
                Trouble::Mtu(most) => (bytes > most, Mark::TooLarge),
                Trouble::Filter(filter) => (filter.takes(sent, &kind), Mark::Filtered),
                Trouble::Loss(odds) => (dice.chance(odds), Mark::LostByLaggard),
                Trouble::Bandwidth(_) => (self.queue_free_at > now + QUEUE, Mark::TailDrop),
                // What waits for ever is lost.
                Trouble::Clog => (self.is_frozen, Mark::Clogged),
            };
            if stopped {
                tally.saw(mark);
                return true;
            }
        }
        false
    }

    pub(super) fn fate(&mut self, options: &NetworkOptions, dice: &mut Dice) -> Fate {
        let mut fate = Fate { copies: 1, ..Fate::default() };
        if options.burst > 0 {
            let ends = ALWAYS / options.burst_length.max(1);
            self.in_burst =
                if self.in_burst { !dice.chance(ends) } else { dice.chance(options.burst) };
        }
        fate.lost = dice.chance(options.loss);
        fate.corrupted = dice.chance(options.corrupt);
        if dice.chance(options.duplicate) {
            fate.copies = dice.between(2, 5);
        }
        fate.bits = dice.bits();
        fate
    }

    pub(super) const fn is_in_burst(&self) -> bool {
        self.in_burst
    }

    /// When a datagram that is sent at `now` arrives.
    pub(super) fn arrival(
        &mut self,
        now: u64,
        bytes: usize,
        reorders: bool,
        dice: &mut Dice,
        tally: &mut Tally,
    ) -> u64 {
        let mut begin = now;
        for (until, trouble) in &self.troubles {
            match *trouble {
                Trouble::Clog => {
                    begin = begin.max(*until);
                    tally.saw(Mark::Clogged);
                }
                Trouble::Bandwidth(rate) => {
                    let takes = bytes as u64 * 1_000_000_000 / rate.max(1);
                    self.queue_free_at = self.queue_free_at.max(now) + takes;
                    begin = begin.max(self.queue_free_at);
                    tally.saw(Mark::Squeezed);
                }
                _ => {}
            }
        }
        let mut at = begin + self.law.latency(dice);
        if !reorders {
            at = at.max(self.newest_arrival);
        } else if dice.chance(ALWAYS / 20) {
            at += dice.exponential(4 * MILLI);
        }
        if at < self.newest_arrival {
            tally.saw(Mark::Reordered);
        }
        self.newest_arrival = self.newest_arrival.max(at);
        at
    }

    /// When a datagram of a calm network arrives.
    pub(super) const fn calm_arrival(now: u64, dice: &mut Dice) -> u64 {
        now + dice.between(50 * MICRO, CALM_LATENCY_MAX)
    }
}

/// How long a datagram takes in calm, at most, in nanoseconds.
pub(crate) const CALM_LATENCY_MAX: u64 = 200 * MICRO;

impl Filter {
    fn takes(self, nth: u64, kind: impl Fn() -> (Kind, Option<Position>)) -> bool {
        match self {
            Self::Nth(n) => nth.is_multiple_of(n.max(1)),
            Self::OfKind(taken) => kind().0 == taken,
            Self::Data => kind().0.is_data(),
            Self::Control => !kind().0.is_data(),
            Self::Position(divisor, remainder) => {
                kind().1.is_some_and(|position| position.0 / 64 % divisor.max(1) == remainder)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_law_keeps_its_bounds() {
        let dice = &mut Dice::new(1, "test");
        let draws = |law: Law, dice: &mut Dice| -> Vec<u64> {
            (0..2_000).map(|_| law.latency(dice)).collect()
        };
        assert!(draws(Law::Constant(5), dice).iter().all(|latency| *latency == 5));
        assert!(draws(Law::Uniform(5, 9), dice).iter().all(|l| (5..=9).contains(l)));
        let exponential = draws(Law::Exponential(100, 1_000), dice);
        let mean = exponential.iter().sum::<u64>() / 2_000;
        assert!((1_000..1_200).contains(&mean), "{mean}");
        let slow = draws(Law::TwoModes(1, 1_000), dice).iter().filter(|l| **l == 1_000).count();
        assert!((50..200).contains(&slow), "{slow}");
    }

    #[test]
    fn a_filter_takes_what_it_names() {
        let data = || (Kind::LogData, Some(Position(128)));
        assert!(Filter::Data.takes(1, data) && !Filter::Control.takes(1, data));
        assert!(Filter::OfKind(Kind::LogData).takes(1, data));
        assert!(Filter::Nth(3).takes(6, data) && !Filter::Nth(3).takes(7, data));
        assert!(Filter::Position(3, 2).takes(1, data) && !Filter::Position(3, 1).takes(1, data));
    }
}
