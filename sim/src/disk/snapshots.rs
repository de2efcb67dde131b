//! The snapshots on a disk: those that are stored, and the one of another member that is fetched.

use core::hash::Hasher;

use quorate_core::frame::ALIGNMENT;
use quorate_core::hash::StateHasher;
use quorate_core::{Position, PositionRange, Snapshot, SnapshotManifest};

use super::{Completion, FrameMark, SimDisk};
use crate::dice::{ALWAYS, Dice};
use crate::report::{Mark, Tally};

/// Snapshots that are kept, besides one that is served.
const SNAPSHOTS_KEPT: usize = 2;

/// A snapshot with both its parts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stored {
    /// The core's part.
    pub snapshot: Snapshot,
    /// The service's state.
    pub service: Vec<u8>,
    digest: u64,
    /// Where a bit of its stream has flipped: whoever reads that part is told so by its checksum.
    rotten: Option<u64>,
}

/// The bytes of a snapshot that is being fetched, as far as they were handed over.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    manifest: SnapshotManifest,
    bytes: Vec<u8>,
}

impl Stored {
    /// A snapshot of these parts.
    #[must_use]
    pub fn new(snapshot: Snapshot, service: Vec<u8>) -> Self {
        let digest = digest(&snapshot.core, &service);
        Self { snapshot, service, digest, rotten: None }
    }

    /// What it consists of.
    #[must_use]
    pub const fn manifest(&self) -> SnapshotManifest {
        SnapshotManifest {
            point: self.snapshot.point,
            core_bytes: self.snapshot.core.len() as u64,
            service_bytes: self.service.len() as u64,
            digest: self.digest,
        }
    }

    /// The bytes of `range` of its stream, the core's part first, with zeros behind its end;
    /// `None` when what they lie in does not verify.
    fn read(&self, range: PositionRange) -> Option<Vec<u8>> {
        let chunk = |at: u64| at / CHUNK_BYTES;
        let is_rotten = |at: u64| chunk(range.start.0) <= chunk(at) && at < range.end.0;
        if self.rotten.is_some_and(|at| !range.is_empty() && is_rotten(at)) {
            return None;
        }
        let all = self.snapshot.core.len() as u64 + self.service.len() as u64;
        let end = range.end.0.min(all.next_multiple_of(ALIGNMENT));
        let byte = |at: u64| {
            let core = self.snapshot.core.get(at as usize);
            let service = || self.service.get(at as usize - self.snapshot.core.len());
            core.or_else(service).copied().unwrap_or(0)
        };
        Some((range.start.0.min(end)..end).map(byte).collect())
    }
}

/// What has one checksum in a stored snapshot.
const CHUNK_BYTES: u64 = 4_096;

fn digest(core: &[u8], service: &[u8]) -> u64 {
    let mut hasher = StateHasher::default();
    hasher.write(core);
    hasher.write(service);
    hasher.finish()
}

impl SimDisk {
    /// Whether there is a snapshot at `position`; at the beginning of the log none is needed.
    #[must_use]
    pub fn has_snapshot(&self, position: Position) -> bool {
        position == Position::ZERO || self.snapshot_at(position).is_some()
    }

    /// The snapshot at `position`.
    #[must_use]
    pub fn snapshot_at(&self, position: Position) -> Option<&Stored> {
        self.snapshots.iter().find(|stored| stored.snapshot.point.position == position)
    }

    /// The newest snapshot that is whole and stands in the log that is written: a start begins with
    /// it.
    #[must_use]
    pub fn newest_snapshot(&self) -> Option<&Stored> {
        let stands = |stored: &&Stored| {
            let point = stored.snapshot.point;
            let frame = self.frame_ending_at(point.position);
            stored.rotten.is_none()
                && point.position >= self.origin.position
                && frame.is_some_and(|frame| frame.chain == point.chain)
        };
        self.snapshots.iter().rfind(stands)
    }

    /// The newest snapshot does not verify any more; `false` when there is none, or it is the last
    /// that stands for what is purged of the log.
    pub fn break_snapshot(&mut self) -> bool {
        let Some(newest) = self.snapshots.pop() else { return false };
        let is_needed = self.origin.position > Position::ZERO && self.newest_snapshot().is_none();
        if is_needed {
            self.snapshots.push(newest);
        }
        !is_needed
    }

    /// A bit of the newest snapshot flips, and nobody notices before that part of it is read;
    /// `false` where it is the last that a start could begin with, or there is none.
    pub(super) fn rot_snapshot(&mut self, dice: &mut Dice) -> bool {
        let Some(mut newest) = self.snapshots.pop() else { return false };
        let is_spare = self.origin.position == Position::ZERO || self.newest_snapshot().is_some();
        let manifest = newest.manifest();
        if is_spare && newest.rotten.is_none() {
            newest.rotten = Some(dice.below(manifest.core_bytes + manifest.service_bytes));
        }
        self.snapshots.push(newest);
        is_spare
    }

    /// Whether all stored snapshots verify.
    pub(super) fn has_whole_snapshots(&self) -> bool {
        self.snapshots.iter().all(|stored| stored.rotten.is_none())
    }

    /// A start reads the snapshots: what does not verify is no snapshot.
    pub(super) fn drop_rotten_snapshots(&mut self) {
        self.snapshots.retain(|stored| stored.rotten.is_none());
    }

    /// The newest snapshots that a start could begin with, oldest first: they stand in what is
    /// durable of the log.
    pub fn usable_snapshots(&self) -> impl Iterator<Item = Position> {
        let points = self.snapshots.iter().map(|stored| stored.snapshot.point);
        let held = points.filter(|point| self.holds_durably(point.position, point.chain));
        held.map(|point| point.position)
    }

    /// Stores a snapshot; of those before it few are left, and the one at `pinned`.
    pub(super) fn store(&mut self, stored: Stored, pinned: Option<Position>) {
        let position = stored.snapshot.point.position;
        self.snapshots.retain(|old| old.snapshot.point.position < position);
        self.snapshots.push(stored);
        let mut excess = self.snapshots.len().saturating_sub(SNAPSHOTS_KEPT);
        self.snapshots.retain(|old| {
            let is_excess = excess > 0;
            excess = excess.saturating_sub(1);
            !is_excess || pinned == Some(old.snapshot.point.position)
        });
    }

    /// Whether the service's part of any of them is as `is_so` says.
    pub fn has_snapshot_with(&self, is_so: impl Fn(&[u8]) -> bool) -> bool {
        self.snapshots.iter().any(|stored| is_so(&stored.service))
    }

    /// Removes those that stand at `from` or behind it.
    pub fn discard_snapshots(&mut self, from: Position) {
        self.snapshots.retain(|stored| stored.snapshot.point.position < from);
    }

    /// Bytes of the stream of the snapshot at `position`, and what that is.
    pub(super) fn read_snapshot(&self, position: Position, range: PositionRange) -> Completion {
        let read = self.snapshot_at(position).and_then(|stored| {
            let bytes = stored.read(range)?;
            Some((stored.manifest(), bytes))
        });
        match read {
            Some((manifest, bytes)) => Completion::SnapshotRead(Some(manifest), bytes),
            None => Completion::SnapshotRead(None, Vec::new()),
        }
    }

    /// Keeps bytes of a snapshot that is fetched; those at its beginning replace what there was.
    pub(super) fn keep_part(&mut self, manifest: SnapshotManifest, start: Position, part: &[u8]) {
        if start == Position::ZERO {
            self.draft = Some(Draft { manifest, bytes: Vec::new() });
        }
        if let Some(draft) = &mut self.draft {
            draft.bytes.resize(start.0 as usize, 0);
            draft.bytes.extend_from_slice(part);
        }
    }

    /// Whether the bytes that were kept are those that `manifest` names.
    pub(super) fn check_draft(&self, manifest: &SnapshotManifest) -> Completion {
        let parts = self.draft.as_ref().and_then(|draft| draft.parts(manifest));
        match parts {
            Some((core, service)) if digest(core, service) == manifest.digest => {
                Completion::SnapshotWhole(core.to_vec())
            }
            _ => Completion::SnapshotFailed,
        }
    }

    /// Forgets the bytes that were kept.
    pub fn drop_draft(&mut self) {
        self.draft = None;
    }

    /// A bit of what was kept flips; `false` if there is nothing.
    pub(crate) fn spoil_draft(&mut self, dice: &mut Dice) -> bool {
        let Some(draft) = self.draft.as_mut().filter(|draft| !draft.bytes.is_empty()) else {
            return false;
        };
        let at = dice.below(draft.bytes.len() as u64) as usize;
        draft.bytes[at] ^= 1 << dice.below(8);
        true
    }

    /// Where the snapshot that is being fetched stands, and how many bytes of it are kept.
    #[must_use]
    pub fn draft(&self) -> Option<(SnapshotManifest, u64)> {
        self.draft.as_ref().map(|draft| (draft.manifest, draft.bytes.len() as u64))
    }

    /// Makes what was kept a stored snapshot; the log stays as it is.
    fn publish(&mut self, manifest: &SnapshotManifest) {
        let Some(draft) = self.draft.take() else { return };
        let (core, service) = draft.parts(manifest).unwrap_or((&draft.bytes, &[]));
        let snapshot = Snapshot { point: manifest.point, core: core.to_vec() };
        self.store(Stored::new(snapshot, service.to_vec()), self.snapshot_in_use());
    }

    /// Where the snapshot stands that a start would begin with now.
    fn snapshot_in_use(&self) -> Option<Position> {
        self.newest_snapshot().map(|stored| stored.snapshot.point.position)
    }

    /// Makes what was kept a stored snapshot, and lets the log begin there, empty. `frames` are
    /// those before it: nobody has their bytes here, and what they said is in the snapshot.
    pub(super) fn install(&mut self, manifest: &SnapshotManifest, frames: &[FrameMark]) {
        self.publish(manifest);
        let begin = manifest.point.position.0;
        self.image.begin_at(begin as usize);
        self.frames = frames.to_vec();
        (self.origin, self.purging) = (manifest.point, None);
        (self.durable_end, self.marked, self.mark) = (begin, begin, begin);
        self.losses.clear();
        self.damaged_copies[super::ORIGIN] = 0;
    }

    /// What a crash leaves of an install: the old log, with the new snapshot beside it or not, or
    /// the new beginning.
    pub(super) fn crash_install(
        &mut self,
        manifest: &SnapshotManifest,
        frames: &[FrameMark],
        dice: &mut Dice,
        tally: &mut Tally,
    ) {
        if dice.chance(ALWAYS / 2) {
            self.install(manifest, frames);
            return tally.saw(Mark::InstallKept);
        }
        tally.saw(Mark::InstallUndone);
        if dice.chance(ALWAYS / 2) {
            self.publish(manifest);
        }
    }
}

impl Draft {
    /// Both parts, if there are so many bytes.
    fn parts(&self, manifest: &SnapshotManifest) -> Option<(&[u8], &[u8])> {
        let (core, service) = (manifest.core_bytes as usize, manifest.service_bytes as usize);
        let bytes = self.bytes.get(..core.checked_add(service)?)?;
        (self.manifest == *manifest).then(|| bytes.split_at(core))
    }
}
