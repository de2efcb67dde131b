//! Deliberate faults at the datagram port of a receiver: only from an explicit `faults` section.

use std::collections::VecDeque;
use std::io;

use quorate_core::Endpoint;
use quorate_core::random::Random;

use crate::port::{DatagramPort, Received};

/// Which share of the received datagrams meets which fault. Nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Per cent that are dropped.
    pub loss_percent: f64,
    /// Per cent that are delivered twice.
    pub duplicate_percent: f64,
    /// Per cent that are held back until a later one was delivered, or none is at hand.
    pub reorder_percent: f64,
    /// Seeds the choice: the same datagrams meet the same faults.
    pub seed: u64,
}

/// What the fault layer did, counted apart from real loss.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FaultCounters {
    /// Datagrams dropped.
    pub dropped: u64,
    /// Datagrams delivered twice.
    pub duplicated: u64,
    /// Datagrams held back.
    pub reordered: u64,
}

/// Datagrams held back or to be delivered again, at most: from [`HELD_ENOUGH`] on some are let go
/// first, and then there is room for all of a coalesced run.
const HELD_MAX: usize = 128;
/// So many are held that the next ones have to wait.
const HELD_ENOUGH: usize = 64;

/// A datagram port whose receiver suffers faults; sends pass untouched.
#[derive(Debug)]
pub struct FaultyPort<P> {
    inner: P,
    faults: Option<Faults>,
    random: Random,
    held: VecDeque<(Vec<u8>, Endpoint)>,
    counters: FaultCounters,
}

impl<P> FaultyPort<P> {
    /// `inner` under `faults`; without any, a plain passage.
    #[must_use]
    pub fn new(inner: P, faults: Option<Faults>) -> Self {
        let random = Random::new(faults.map_or(0, |faults| faults.seed));
        let counters = FaultCounters::default();
        Self { inner, faults, random, held: VecDeque::new(), counters }
    }

    /// What was done so far.
    #[must_use]
    pub const fn counters(&self) -> FaultCounters {
        self.counters
    }

    /// The port underneath.
    #[must_use]
    pub const fn inner(&self) -> &P {
        &self.inner
    }

    /// The port underneath.
    #[must_use]
    pub const fn inner_mut(&mut self) -> &mut P {
        &mut self.inner
    }

    fn happens(&mut self, percent: f64) -> bool {
        // Parts of a million; the draw is made in any case, so that rates do not shift the seed's
        // choices for the datagrams behind.
        let draw = self.random.next_u64() % 1_000_000;
        (draw as f64) < percent * 10_000.0
    }

    /// Whether a datagram is delivered now; what is to be delivered later is held.
    fn passes(&mut self, faults: &Faults, datagram: &[u8], source: Endpoint) -> bool {
        let lost = self.happens(faults.loss_percent);
        let duplicated = self.happens(faults.duplicate_percent);
        let reordered = self.happens(faults.reorder_percent);
        if lost {
            self.counters.dropped += 1;
            return false;
        }
        if reordered && self.hold(datagram, source) {
            self.counters.reordered += 1;
            return false;
        }
        if duplicated && self.hold(datagram, source) {
            self.counters.duplicated += 1;
        }
        true
    }

    /// The next datagram that was held; one that does not fit any more is gone.
    fn release(&mut self, buffer: &mut [u8]) -> Option<Received> {
        let (datagram, source) = self.held.pop_front()?;
        let Some(room) = buffer.get_mut(..datagram.len()) else {
            return Some(Received::single(source, 0));
        };
        room.copy_from_slice(&datagram);
        Some(Received::single(source, datagram.len()))
    }

    fn hold(&mut self, datagram: &[u8], source: Endpoint) -> bool {
        let room = self.held.len() < HELD_MAX;
        if room {
            self.held.push_back((datagram.to_vec(), source));
        }
        room
    }
}

impl<P: DatagramPort> DatagramPort for FaultyPort<P> {
    fn send(&mut self, to: Endpoint, run: &[u8], datagram_bytes: usize) -> io::Result<usize> {
        self.inner.send(to, run, datagram_bytes)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let Some(faults) = self.faults else { return self.inner.receive(buffer) };
        // A source that never pauses must not keep what is held for ever, nor use up its room.
        let enough = self.held.len() >= HELD_ENOUGH;
        let received = if enough { None } else { self.inner.receive(buffer)? };
        let Some(received) = received else {
            return Ok(self.release(buffer));
        };
        // What passes moves up, so that the others leave no hole; only the last may be shorter.
        let (mut at, mut kept) = (0, 0);
        while at < received.bytes {
            let end = (at + received.datagram_bytes.max(1)).min(received.bytes);
            if self.passes(&faults, &buffer[at..end], received.source) {
                buffer.copy_within(at..end, kept);
                kept += end - at;
            }
            at = end;
        }
        // Work even when nothing is left: `None` would say that the port underneath has no more.
        Ok(Some(Received { bytes: kept, ..received }))
    }

    fn overflows(&self) -> Option<u64> {
        self.inner.overflows()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand numbers, in runs of seven datagrams; of each run the last is shorter.
    struct Numbered(u32);

    const RUN: u32 = 7;

    impl DatagramPort for Numbered {
        fn send(&mut self, _to: Endpoint, run: &[u8], bytes: usize) -> io::Result<usize> {
            Ok(run.len().div_ceil(bytes))
        }

        fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
            let numbers = self.0 + 1..=(self.0 + RUN).min(1_000);
            if numbers.is_empty() {
                return Ok(None);
            }
            let mut bytes = 0;
            for number in numbers {
                let last = number % RUN == 0 || number == 1_000;
                let length = if last { 4 } else { 6 };
                buffer[bytes..bytes + 4].copy_from_slice(&number.to_le_bytes());
                buffer[bytes + 4..bytes + length].fill(0);
                bytes += length;
                self.0 = number;
            }
            Ok(Some(Received { source: Endpoint::default(), bytes, datagram_bytes: 6 }))
        }
    }

    fn received(faults: Option<Faults>) -> (Vec<u32>, FaultCounters) {
        let mut port = FaultyPort::new(Numbered(0), faults);
        let (mut buffer, mut numbers) = ([0; 64], Vec::new());
        while let Some(received) = port.receive(&mut buffer).unwrap() {
            for datagram in received.datagrams(&buffer) {
                let number = u32::from_le_bytes(datagram[..4].try_into().unwrap());
                let last = number % RUN == 0 || number == 1_000;
                assert_eq!(datagram.len(), if last { 4 } else { 6 });
                numbers.push(number);
            }
        }
        assert_eq!(port.inner().0, 1_000, "`None` means that there is no more");
        assert!(port.held.is_empty());
        (numbers, port.counters())
    }

    #[test]
    fn without_a_section_all_pass_in_order() {
        let (numbers, counters) = received(None);
        assert_eq!(numbers, (1..=1_000).collect::<Vec<_>>());
        assert_eq!(counters, FaultCounters::default());
    }

    #[test]
    fn the_same_seed_gives_the_same_faults_and_another_seed_others() {
        let faults = Faults { loss_percent: 20.0, duplicate_percent: 5.0, ..Faults::default() };
        assert_eq!(received(Some(faults)), received(Some(faults)));
        let other = Faults { seed: 9, ..faults };
        assert_ne!(received(Some(faults)).0, received(Some(other)).0);
    }

    #[test]
    fn what_is_counted_is_what_is_missing_and_what_comes_twice() {
        let faults =
            Faults { loss_percent: 20.0, duplicate_percent: 10.0, reorder_percent: 10.0, seed: 3 };
        let (numbers, counters) = received(Some(faults));
        let mut distinct = numbers.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!((100..300).contains(&counters.dropped), "{counters:?}");
        assert!(counters.duplicated > 0 && counters.reordered > 0, "{counters:?}");
        assert_eq!(distinct.len() as u64, 1_000 - counters.dropped);
        assert_eq!(numbers.len() as u64, 1_000 - counters.dropped + counters.duplicated);
        assert!(!numbers.is_sorted());
    }

    #[test]
    fn a_source_that_never_pauses_meets_as_many_faults_at_the_end_as_at_the_beginning() {
        let faults =
            Faults { duplicate_percent: 30.0, reorder_percent: 30.0, seed: 5, ..Faults::default() };
        let mut port = FaultyPort::new(Numbered(0), Some(faults));
        let (mut buffer, mut halfway) = ([0; 64], FaultCounters::default());
        // It has more until the thousandth.
        while port.inner().0 < 994 {
            assert!(port.receive(&mut buffer).unwrap().is_some());
            if port.inner().0 <= 500 {
                halfway = port.counters();
            }
        }
        let all = port.counters();
        assert!(halfway.reordered > 100 && all.reordered > 200, "{halfway:?} of {all:?}");
        assert!(halfway.duplicated > 60 && all.duplicated > 120, "{halfway:?} of {all:?}");
    }

    #[test]
    fn full_loss_drops_everything() {
        let faults = Faults { loss_percent: 100.0, ..Faults::default() };
        assert_eq!(received(Some(faults)).1.dropped, 1_000);
    }
}
