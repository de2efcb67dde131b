//! How long the machine itself stood still while a case ran. A bound in real time says something
//! about a product only while the machine lets it run: so threads of the suite measure how late
//! they come themselves, how long members wait for a processor, and how long the disk takes.

use core::time::Duration;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// How often the pulse wakes up, and looks how long members waited for a processor.
const PULSE_INTERVAL: Duration = Duration::from_millis(10);
/// How often a few bytes go to the disk, to see how long it takes.
const DISK_INTERVAL: Duration = Duration::from_millis(50);
/// Less than this is no standstill, and not added up.
const NOTABLE: Duration = Duration::from_millis(15);

/// Who or what stood still.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Spot {
    /// A thread that does nothing but wake up.
    Pulse,
    /// The thread of the network.
    Switch,
    /// A thread of a member that could run, and got no processor.
    Member,
    /// The disk below the members' directories.
    Disk,
}

impl Spot {
    const fn name(self) -> &'static str {
        match self {
            Self::Pulse => "the machine stood still",
            Self::Switch => "the thread of the network stood still",
            Self::Member => "a member waited for a processor",
            Self::Disk => "the disk took",
        }
    }
}

/// What a spot has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// The longest standstill.
    pub(super) longest: Duration,
    /// All that were notable, added up.
    pub(super) total: Duration,
}

/// What was seen in one attempt at a case.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    spots: BTreeMap<Spot, Seen>,
    /// Datagrams that the machine lost where the script had none lost.
    pub(super) lost: u64,
    /// What the script waited for longest, and how long.
    pub(super) waited: (String, Duration),
}

impl Record {
    /// Notes how long a spot stood still.
    pub(super) fn note(&mut self, spot: Spot, standstill: Duration) {
        let seen = self.spots.entry(spot).or_default();
        seen.longest = seen.longest.max(standstill);
        if standstill >= NOTABLE {
            seen.total += standstill;
        }
    }

    /// The spot that stood still longest.
    pub(super) fn worst(&self) -> Option<(Spot, Seen)> {
        let spots = self.spots.iter().map(|(spot, seen)| (*spot, *seen));
        spots.max_by_key(|(_, seen)| seen.longest)
    }

    /// Why a bound in time that was missed proves nothing, if the machine did more than the bound
    /// bears: one standstill of more than `longest`, and more than `total` of them in one spot.
    pub(super) fn excuse(&self, longest: Duration, total: Duration) -> Option<String> {
        if total.is_zero() && self.lost > 0 {
            return Some(format!("the machine lost {} datagrams by itself", self.lost));
        }
        let disturbed = self.spots.iter().filter(|(_, s)| s.longest > longest && s.total > total);
        let (spot, seen) = disturbed.max_by_key(|(_, seen)| seen.longest)?;
        let text = format!("{} for {} ms", spot.name(), seen.longest.as_millis());
        let text = text.replace("took for", "took");
        Some(if total.is_zero() {
            text
        } else {
            format!("{text}, in all {} ms", seen.total.as_millis())
        })
    }
}

/// The threads that measure. Dropped, they end.
#[derive(Debug)]
pub(super) struct Standstills {
    shared: Arc<Mutex<Shared>>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: bool,
    record: Record,
    /// How long each thread of these processes has waited for a processor so far.
    processes: BTreeMap<u32, BTreeMap<u64, Duration>>,
}

/// What notes for one spot.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    shared: Arc<Mutex<Shared>>,
    spot: Spot,
}

impl Meter {
    pub(super) fn note(&self, standstill: Duration) {
        if standstill >= NOTABLE {
            lock(&self.shared).record.note(self.spot, standstill);
        }
    }
}

impl Standstills {
    /// Begins to measure; the disk is that of `folder`.
    pub(super) fn start(folder: &Path) -> std::io::Result<Self> {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let mut standstills = Self { shared: Arc::clone(&shared), threads: Vec::new() };
        let mut probe = File::create(folder.join("probe"))?;
        let pulse = move |meter: &Meter, late: Duration| {
            meter.note(late);
            let mut shared = lock(&meter.shared);
            for waited in shared.waited() {
                shared.record.note(Spot::Member, waited);
            }
        };
        standstills.every(PULSE_INTERVAL, Spot::Pulse, pulse)?;
        standstills.every(DISK_INTERVAL, Spot::Disk, move |meter, _| {
            let begun = Instant::now();
            let written = probe
                .seek(SeekFrom::Start(0))
                .and_then(|_| probe.write_all(&[0; 512]))
                .and_then(|()| probe.sync_data());
            // A disk that fails is the members' to tell.
            if written.is_ok() {
                meter.note(begun.elapsed());
            }
        })?;
        Ok(standstills)
    }

    /// A thread that does `work` at this interval, and is told by how much it came too late.
    fn every(
        &mut self,
        interval: Duration,
        spot: Spot,
        mut work: impl FnMut(&Meter, Duration) + Send + 'static,
    ) -> std::io::Result<()> {
        let meter = self.meter(spot);
        let thread = thread::Builder::new().name("standstill".into()).spawn(move || {
            while !lock(&meter.shared).stopped {
                let begun = Instant::now();
                thread::sleep(interval);
                work(&meter, begun.elapsed().saturating_sub(interval));
            }
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// What notes for a spot.
    pub(super) fn meter(&self, spot: Spot) -> Meter {
        Meter { shared: Arc::clone(&self.shared), spot }
    }

    /// From now on, looks how long the threads of this process wait for a processor.
    pub(super) fn watch(&self, process: u32) {
        lock(&self.shared).processes.insert(process, BTreeMap::new());
    }

    /// Adds datagrams that the machine lost by itself.
    pub(super) fn lost(&self, datagrams: u64) {
        lock(&self.shared).record.lost += datagrams;
    }

    /// The script has waited so long for this.
    pub(super) fn waited(&self, what: &str, wait: Duration) {
        let waited = &mut lock(&self.shared).record.waited;
        if wait > waited.1 {
            *waited = (what.to_owned(), wait);
        }
    }

    /// What was seen until now.
    pub(super) fn record(&self) -> Record {
        lock(&self.shared).record.clone()
    }
}

impl Drop for Standstills {
    fn drop(&mut self) {
        lock(&self.shared).stopped = true;
        for thread in self.threads.drain(..) {
            // A thread that panicked has told so already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// How long threads of members have waited since the last look. Processes that are gone, and a
    /// kernel that does not count it, give nothing.
    fn waited(&mut self) -> Vec<Duration> {
        let mut all = Vec::new();
        self.processes.retain(|process, threads| {
            let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return false };
            for task in tasks.filter_map(Result::ok) {
                let name = task.file_name();
                let number = name.to_str().and_then(|name| name.parse().ok());
                let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
                // Time on a processor, time waited for one, both in nanoseconds; time slices.
                let waited = text.split_whitespace().nth(1).and_then(|word| word.parse().ok());
                if let (Some(number), Some(waited)) = (number, waited) {
                    let now = Duration::from_nanos(waited);
                    let before = threads.insert(number, now).unwrap_or(now);
                    all.push(now.saturating_sub(before));
                }
            }
            true
        });
        all
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn only_what_the_bound_does_not_bear_excuses() {
        let mut record = Record::default();
        assert_eq!(record.excuse(75 * MILLI, Duration::ZERO), None);
        record.note(Spot::Pulse, 70 * MILLI);
        record.note(Spot::Disk, 75 * MILLI);
        assert_eq!(record.excuse(75 * MILLI, Duration::ZERO), None);
        record.note(Spot::Pulse, 340 * MILLI);
        let text = record.excuse(75 * MILLI, Duration::ZERO);
        assert_eq!(text.as_deref(), Some("the machine stood still for 340 ms"));
    }

    #[test]
    fn patience_ends_unless_much_of_it_was_standstill() {
        let mut record = Record::default();
        record.note(Spot::Disk, 340 * MILLI);
        assert_eq!(record.excuse(75 * MILLI, 1_000 * MILLI), None);
        for _ in 0..3 {
            record.note(Spot::Disk, 300 * MILLI);
        }
        let text = record.excuse(75 * MILLI, 1_000 * MILLI);
        assert_eq!(text.as_deref(), Some("the disk took 340 ms, in all 1240 ms"));
        // Many small ones never do.
        let mut record = Record::default();
        (0..1_000).for_each(|_| record.note(Spot::Pulse, 20 * MILLI));
        assert_eq!(record.excuse(75 * MILLI, 1_000 * MILLI), None);
    }

    #[test]
    fn losses_of_the_machine_excuse_what_bears_nothing() {
        let record = Record { lost: 3, ..Record::default() };
        assert!(record.excuse(75 * MILLI, Duration::ZERO).is_some());
        assert_eq!(record.excuse(75 * MILLI, MILLI), None);
    }

    #[test]
    fn the_threads_measure() {
        let folder = tempfile::tempdir().unwrap();
        let standstills = Standstills::start(folder.path()).unwrap();
        standstills.watch(std::process::id());
        standstills.meter(Spot::Switch).note(200 * MILLI);
        let (spot, seen) = standstills.record().worst().unwrap();
        assert!(seen.longest >= 200 * MILLI, "{spot:?}");
        standstills.lost(2);
        assert_eq!(standstills.record().lost, 2);
    }
}
