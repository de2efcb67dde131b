//! What a run yields, and the medians of several.

use core::hint::black_box;
use core::time::Duration;
use std::collections::VecDeque;
use std::time::Instant as Clock;

use hdrhistogram::Histogram;

use crate::line::Line;

/// What one run yielded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Yield {
    /// Messages answered a second.
    pub(crate) per_s: f64,
    /// The median latency of a message, in microseconds.
    pub(crate) p50_us: f64,
    /// Its 99th percentile.
    pub(crate) p99_us: f64,
    /// Its 99.9th percentile.
    pub(crate) p999_us: f64,
}

impl Yield {
    /// Of `messages` answered within `elapsed`, with these latencies.
    pub(crate) fn new(messages: u64, elapsed: Duration, latencies: &Latencies) -> Self {
        Self {
            per_s: messages as f64 / elapsed.as_secs_f64(),
            p50_us: latencies.micros_at(0.5),
            p99_us: latencies.micros_at(0.99),
            p999_us: latencies.micros_at(0.999),
        }
    }

    /// The median of each number over several runs.
    pub(crate) fn median(yields: &[Self]) -> Self {
        let of = |number: fn(&Self) -> f64| median(yields.iter().map(number).collect());
        Self {
            per_s: of(|each| each.per_s),
            p50_us: of(|each| each.p50_us),
            p99_us: of(|each| each.p99_us),
            p999_us: of(|each| each.p999_us),
        }
    }

    /// Adds the four numbers to a line.
    pub(crate) fn add_to(&self, line: Line) -> Line {
        line.with("per_s", self.per_s.round())
            .with_rounded("p50_us", self.p50_us)
            .with_rounded("p99_us", self.p99_us)
            .with_rounded("p999_us", self.p999_us)
    }
}

/// Bytes of a MiB.
pub(crate) const MIB: u64 = 1 << 20;

/// How many MiB a second `bytes` in `seconds` are.
pub(crate) fn mib_per_s(bytes: u64, seconds: f64) -> f64 {
    bytes as f64 / MIB as f64 / seconds
}

/// The median; the mean of the middle two of an even number.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match (values.len() / 2, values.len() % 2) {
        (0, 0) => 0.0,
        (middle, 0) => f64::midpoint(values[middle - 1], values[middle]),
        (middle, _) => values[middle],
    }
}

/// Readings of the clock that are timed together.
const READINGS: u32 = 100_000;

/// How long the clock takes to be read, in nanoseconds.
pub(crate) fn clock_reading_ns() -> f64 {
    let begin = Clock::now();
    for _ in 0..READINGS {
        black_box(Clock::now());
    }
    begin.elapsed().as_nanos() as f64 / f64::from(READINGS)
}

/// Latencies of messages, in nanoseconds. So many at a time go into the histogram: what is measured
/// shares the processor's cache of instructions with what measures it.
#[derive(Clone, Debug)]
pub(crate) struct Latencies {
    histogram: Histogram<u64>,
    /// How long messages took, and how many, of those that are not in it yet.
    noted: Vec<(u64, u64)>,
}

/// So many are noted before they go into the histogram.
const NOTED_MAX: usize = 256;

/// The longest latency that is told apart: a minute.
const LONGEST_NS: u64 = 60_000_000_000;

impl Latencies {
    /// No latencies yet.
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, 3);
        let histogram = histogram.expect("constant bounds and digits are in range");
        Self { histogram, noted: Vec::with_capacity(NOTED_MAX) }
    }

    /// `count` messages took `nanos` each.
    #[inline]
    pub(crate) fn record(&mut self, nanos: u64, count: u64) {
        self.noted.push((nanos, count));
        if self.noted.len() == NOTED_MAX {
            self.settle();
        }
    }

    #[cold]
    #[inline(never)]
    fn settle(&mut self) {
        for (nanos, count) in self.noted.drain(..) {
            self.histogram.saturating_record_n(nanos.max(1), count);
        }
    }

    /// All of them.
    fn all(&self) -> Histogram<u64> {
        let mut all = self.clone();
        all.settle();
        all.histogram
    }

    /// How many there are within each step of so many nanoseconds: where it begins, and how many,
    /// from the first step that has any to the last.
    pub(crate) fn steps(&self, step_ns: u64) -> Vec<(u64, u64)> {
        let all = self.all();
        let mut steps: Vec<(u64, u64)> = Vec::new();
        for step in all.iter_linear(step_ns.max(1)) {
            let begins = (step.value_iterated_to() + 1).saturating_sub(step_ns);
            if step.count_since_last_iteration() > 0 || !steps.is_empty() {
                steps.push((begins, step.count_since_last_iteration()));
            }
        }
        steps
    }

    /// The latency at a quantile, in microseconds.
    pub(crate) fn micros_at(&self, quantile: f64) -> f64 {
        self.all().value_at_quantile(quantile) as f64 / 1_000.0
    }
}

/// When the unanswered messages of a closed loop were submitted, oldest first: one entry for all
/// that went out together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Submissions(VecDeque<(u64, u64)>);

impl Submissions {
    /// `count` messages were submitted at `now`, in nanoseconds.
    pub(crate) fn note(&mut self, now: u64, count: u64) {
        if count > 0 {
            self.0.push_back((now, count));
        }
    }

    /// The oldest `count` messages were answered at `now`.
    pub(crate) fn settle(&mut self, now: u64, mut count: u64, latencies: &mut Latencies) {
        while count > 0 {
            let Some((at, left)) = self.0.front_mut() else { return };
            let part = count.min(*left);
            latencies.record(now.saturating_sub(*at), part);
            *left -= part;
            count -= part;
            if *left == 0 {
                self.0.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_lie_in_the_middle() {
        assert_eq!(median(vec![]), 0.0);
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), 3.0);
    }

    #[test]
    fn answers_settle_the_oldest_submissions() {
        let (mut submissions, mut latencies) = (Submissions::default(), Latencies::new());
        submissions.note(1_000, 2);
        submissions.note(5_000, 1);
        submissions.settle(6_000, 3, &mut latencies);
        assert_eq!(latencies.all().len(), 3);
        assert_eq!(latencies.all().min(), 1_000);
        assert_eq!(latencies.all().value_at_quantile(0.5) / 10, 500);
        submissions.settle(7_000, 1, &mut latencies);
        assert_eq!(latencies.all().len(), 3);
    }
}
