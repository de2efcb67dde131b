//! The thread that reads again what is stored, at a limited rate.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;

use quorate_archive::{Disk, Scrub, Scrubbed};
use quorate_core::Position;

use super::Completion;

/// Steps in a second: short reads between pauses, so that no sync waits behind a long one.
const STEPS_PER_SECOND: u64 = 8;
/// Bytes of a step, at least and at most.
const STEP_BYTES_MIN: u64 = 4 << 10;
const STEP_BYTES_MAX: u64 = 1 << 20;
/// How long the member has, at the beginning of a pass, to say how far the log is settled.
const ANSWER_TIME: Duration = Duration::from_millis(10);

/// How what is stored is read again while a member runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scrubbing {
    /// So many bytes in a second, at most; 0 for never.
    pub bytes_per_second: u64,
    /// Between the end of one pass and the beginning of the next; the first begins so long after
    /// the start, which has read everything.
    pub interval: quorate_core::Duration,
}

impl Default for Scrubbing {
    /// Four MiB in a second, and a pass an hour after the last one.
    fn default() -> Self {
        let interval = quorate_core::Duration::from_millis(3_600_000);
        Self { bytes_per_second: 4 << 20, interval }
    }
}

/// A thread that scrubs until this is dropped. It ends by itself, soon; nobody waits for it.
#[derive(Debug)]
pub struct ScrubThread {
    end: Arc<AtomicU64>,
    _stop: Sender<()>,
}

impl ScrubThread {
    /// Starts it. Each step is told to `complete`, which is dropped last of all.
    ///
    /// # Errors
    /// The thread could not be started.
    pub(crate) fn start<D: Disk>(
        scrub: Scrub<D>,
        scrubbing: Scrubbing,
        complete: impl Fn(Completion) + Send + 'static,
    ) -> std::io::Result<Option<Self>> {
        if scrubbing.bytes_per_second == 0 {
            return Ok(None);
        }
        let end = Arc::new(AtomicU64::new(0));
        let known = Arc::clone(&end);
        let (stop, stopped) = channel();
        thread::Builder::new().name("quorate-scrub".into()).spawn(move || {
            let wait = |pause| stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout);
            work(scrub, scrubbing, &known, wait, &complete);
        })?;
        Ok(Some(Self { end, _stop: stop }))
    }

    /// The log is committed and durable up to `end`, where a frame ends: so far it is read.
    pub(crate) fn set_end(&self, end: Position) {
        self.end.store(end.0, Ordering::Relaxed);
    }
}

/// Scrubs until `wait`, which waits, says that it is over, or the log is found damaged.
fn work<D: Disk>(
    mut scrub: Scrub<D>,
    scrubbing: Scrubbing,
    end: &AtomicU64,
    wait: impl Fn(Duration) -> bool,
    complete: impl Fn(Completion),
) {
    let rate = scrubbing.bytes_per_second;
    let step = (rate / STEPS_PER_SECOND).clamp(STEP_BYTES_MIN, STEP_BYTES_MAX);
    let interval = Duration::from_nanos(scrubbing.interval.0);
    let (mut pause, mut begins) = (interval, true);
    while wait(pause) {
        if begins {
            // It is told how far the log is settled by now.
            complete(Completion::Scrubbed(Scrubbed { bytes: 0, damage: None, pass_ended: false }));
            (pause, begins) = (ANSWER_TIME, false);
            continue;
        }
        let scrubbed = match scrub.step(Position(end.load(Ordering::Relaxed)), step) {
            Ok(scrubbed) => scrubbed,
            Err(error) => {
                tracing::debug!(%error, "nothing more is scrubbed");
                return;
            }
        };
        pause = match scrubbed.pass_ended {
            true => interval,
            false => Duration::from_nanos(
                u64::try_from(u128::from(scrubbed.bytes) * 1_000_000_000 / u128::from(rate))
                    .unwrap_or(u64::MAX),
            ),
        };
        begins = scrubbed.pass_ended;
        let is_over = scrubbed.damage.as_ref().is_some_and(|damage| damage.is_log);
        complete(Completion::Scrubbed(scrubbed));
        if is_over {
            // The life ends for it; the next one begins on what is mended.
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use core::cell::{Cell, RefCell};

    use quorate_archive::{Archive, Identity, Options, RealDisk, init};
    use quorate_core::{GroupId, Incarnation, MemberId, RecoveryEpoch};

    use super::*;

    #[test]
    fn the_rate_is_kept_and_passes_are_so_far_apart() {
        let directory = tempfile::tempdir().unwrap();
        let identity = Identity {
            group: GroupId(7),
            recovery_epoch: RecoveryEpoch(0),
            member: MemberId(1),
            incarnation: Incarnation(1),
            voters: vec![MemberId(1)],
            segment_bytes: 64 << 10,
        };
        init(directory.path(), &identity).unwrap();
        let (archive, _) =
            Archive::<RealDisk>::open(directory.path(), &Options::default()).unwrap();
        let mut store = archive.snapshots();
        let point = quorate_core::SnapshotPoint { position: Position(64), ..Default::default() };
        let snapshot = quorate_core::Snapshot { point, core: Vec::new() };
        store.store(&snapshot, &[1; 1_000_000], None).unwrap();
        let interval = quorate_core::Duration::from_millis(5_000);
        let scrubbing = Scrubbing { bytes_per_second: 1_000_000, interval };
        let (waited, passes, bytes) = (RefCell::new(Vec::new()), Cell::new(0), Cell::new(0));
        let wait = |pause| {
            waited.borrow_mut().push(pause);
            passes.get() < 2
        };
        work(archive.scrub(), scrubbing, &AtomicU64::new(0), wait, |completion| {
            let Completion::Scrubbed(scrubbed) = completion else { panic!("{completion:?}") };
            assert_eq!(scrubbed.damage, None);
            assert!(scrubbed.bytes <= 200_000, "a step");
            passes.set(passes.get() + u32::from(scrubbed.pass_ended));
            bytes.set(bytes.get() + scrubbed.bytes);
        });
        assert_eq!(bytes.get(), 2_000_000);
        let waited = waited.into_inner();
        let total: Duration = waited.iter().sum();
        let seconds = Duration::from_secs(2 + 3 * 5);
        assert_eq!(total, seconds + 2 * ANSWER_TIME, "{waited:?}");
    }
}
