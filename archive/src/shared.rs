//! What the threads of one archive share.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use quorate_core::{SnapshotPoint, TermHistory, mutant};

use crate::disk::Disk;
use crate::error::ArchiveError;
use crate::lock::Lock;
use crate::log::Log;

/// The parts' common ground: the segments, where the written log ends, and whether all is well.
#[derive(Debug)]
pub(crate) struct Shared<D: Disk> {
    pub(crate) disk: D,
    pub(crate) log: Log<D>,
    /// Where the log begins.
    origin: AtomicU64,
    /// What the log is read by.
    ground: Mutex<Ground>,
    /// The end of what was appended and not cut.
    written: AtomicU64,
    /// The end of what was ever written and not wiped: at or above `written`.
    touched: AtomicU64,
    /// Cuts that were begun and are not durable.
    cuts: AtomicU64,
    /// The next segment could not be reserved.
    space_short: AtomicBool,
    /// The log begins elsewhere, and the archive is to be opened again.
    installed: AtomicBool,
    /// The first failure, once there was one (E43).
    poison: OnceLock<String>,
    /// Keeps the directory locked for as long as any part lives.
    _lock: Lock<D>,
}

/// What frames are verified by: where the log begins, and who owns which of its bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ground {
    pub(crate) origin: SnapshotPoint,
    pub(crate) history: Arc<TermHistory>,
}

impl<D: Disk> Shared<D> {
    pub(crate) fn new(disk: D, log: Log<D>, lock: Lock<D>, ground: Ground, end: u64) -> Self {
        Self {
            disk,
            log,
            origin: AtomicU64::new(ground.origin.position.0),
            ground: Mutex::new(ground),
            written: AtomicU64::new(end),
            touched: AtomicU64::new(end),
            cuts: AtomicU64::new(0),
            space_short: AtomicBool::new(false),
            installed: AtomicBool::new(false),
            poison: OnceLock::new(),
            _lock: lock,
        }
    }

    /// Refuses once there was a failure, or a snapshot was installed.
    pub(crate) fn check(&self) -> Result<(), ArchiveError> {
        self.check_whole()?;
        match self.installed.load(Ordering::Acquire) {
            true => Err(ArchiveError::Installed),
            false => Ok(()),
        }
    }

    /// Refuses once there was a failure.
    pub(crate) fn check_whole(&self) -> Result<(), ArchiveError> {
        match self.poison.get() {
            Some(cause) => Err(ArchiveError::Poisoned { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    /// Says that the log begins elsewhere on the disk than here.
    pub(crate) fn set_installed(&self) {
        self.installed.store(true, Ordering::Release);
    }

    /// Takes note of a failure: all is final but a write or a reservation that found no space (E43,
    /// E48); a sync never fails with [`ArchiveError::Full`].
    pub(crate) fn guard<T>(&self, result: Result<T, ArchiveError>) -> Result<T, ArchiveError> {
        result.inspect_err(|error| {
            let is_final = !matches!(error, ArchiveError::Full { .. });
            if is_final && !mutant::is(mutant::FAILED_SYNC_IS_REPEATED) {
                self.poison(error.to_string());
            }
        })
    }

    /// Ends all further work.
    pub(crate) fn poison(&self, cause: String) {
        // Only the first failure is kept.
        let _ = self.poison.set(cause);
    }

    pub(crate) fn origin(&self) -> u64 {
        self.origin.load(Ordering::Acquire)
    }

    pub(crate) fn set_origin(&self, origin: SnapshotPoint) {
        self.ground.lock().unwrap_or_else(PoisonError::into_inner).origin = origin;
        self.origin.store(origin.position.0, Ordering::Release);
    }

    /// Says under which history the log is read from now on; it is durable.
    pub(crate) fn set_history(&self, history: TermHistory) {
        let history = Arc::new(history);
        self.ground.lock().unwrap_or_else(PoisonError::into_inner).history = history;
    }

    /// What the log is read by, at the moment.
    pub(crate) fn ground(&self) -> Ground {
        self.ground.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    pub(crate) fn set_written(&self, end: u64) {
        self.written.store(end, Ordering::Release);
    }

    pub(crate) fn touched(&self) -> u64 {
        self.touched.load(Ordering::Acquire)
    }

    pub(crate) fn touch(&self, end: u64) {
        self.touched.fetch_max(end, Ordering::AcqRel);
    }

    /// Says that nothing is written behind `end` any more.
    pub(crate) fn wiped(&self, end: u64) {
        self.touched.fetch_min(end, Ordering::AcqRel);
    }

    pub(crate) fn is_cutting(&self) -> bool {
        self.cuts.load(Ordering::Acquire) > 0
    }

    pub(crate) fn cut_begun(&self) {
        self.cuts.fetch_add(1, Ordering::AcqRel);
    }

    /// Says that the oldest cut is durable. Others may have begun meanwhile.
    pub(crate) fn cut_done(&self) {
        self.cuts.fetch_sub(1, Ordering::AcqRel);
    }

    pub(crate) fn is_space_short(&self) -> bool {
        self.space_short.load(Ordering::Acquire)
    }

    pub(crate) fn set_space_short(&self, short: bool) {
        self.space_short.store(short, Ordering::Release);
    }
}
