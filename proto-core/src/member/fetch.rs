//! One snapshot on its way from other members: its stream as far as it is here, and who has it.

use core::hash::{Hash, Hasher};

use super::sources::Sources;
use super::table::Table;
use crate::config::Limits;
use crate::event::OperationId;
use crate::identity::MemberId;
use crate::message::{EpochRange, NAK_RANGES_MAX, NakRanges};
use crate::position::{Position, PositionRange};
use crate::snapshot::SnapshotManifest;
use crate::stream::{Image, NakTiming, Ring, Sharing};
use crate::term::Term;
use crate::time::{Duration, Instant};

/// So many parts are outstanding: enough for all sources to have some.
const PARTS: u64 = 8;

/// So many heartbeat intervals may a part take, however much of it comes.
const PART_HEARTBEATS: u64 = 50;

/// A snapshot that is fetched. Of its bytes only a ring's worth is in memory: what is there without
/// a hole goes to the host, in order, and makes room for more.
#[derive(Clone, Debug)]
pub(super) struct Fetch {
    pub(super) manifest: SnapshotManifest,
    /// Those who offered just this one.
    pub(super) sources: Sources,
    pub(super) stage: Stage,
    /// When a byte last came, or when it was begun.
    pub(super) moved_at: Instant,
    ring: Ring,
    image: Image,
    /// The host has all before it.
    kept: Position,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Stage {
    /// Bytes are missing, or not kept yet.
    Receiving {
        /// The part that the host is keeping.
        keeping: Option<(OperationId, Position)>,
    },
    /// The host has all of it, and nobody has looked whether it is sound.
    Whole,
    /// The host compares its digest.
    Checking(OperationId),
    /// It fits the history that ends with this term.
    Checked(Term),
    /// The host installs it: the member stands still.
    Installing(OperationId),
    /// It is installed, and the mark of doubt about this member's promises is being cleared.
    Clearing(OperationId),
    /// It is installed: the life is over.
    Ended,
}

impl Fetch {
    /// The ring is allocated here: the bytes that may be asked for at a time, rounded down to a
    /// power of two, and a window's at most.
    pub(super) fn new(
        manifest: SnapshotManifest,
        sources: Sources,
        limits: &Limits,
        now: Instant,
    ) -> Self {
        let bytes = ring_bytes(limits);
        let mut image = Image::new(Position::ZERO, limits.coverage_ranges_max);
        image.hear_newest(manifest.stream_end());
        Self {
            manifest,
            sources,
            stage: Stage::Receiving { keeping: None },
            moved_at: now,
            ring: Ring::new(bytes),
            image,
            kept: Position::ZERO,
        }
    }

    pub(super) const fn is_receiving(&self) -> bool {
        matches!(self.stage, Stage::Receiving { .. })
    }

    /// Since when it waits for bytes of others, if it does, and not for the own host.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        (self.stage == Stage::Receiving { keeping: None }).then_some(self.moved_at)
    }

    /// Bytes beyond it find no room.
    fn limit(&self) -> Position {
        self.kept.plus(self.ring.capacity()).min(self.manifest.stream_end())
    }

    /// Takes in the bytes of a slice that are missing and have room; returns how many were new.
    pub(super) fn receive(&mut self, now: Instant, position: Position, slice: &[u8]) -> u64 {
        let range = PositionRange::at(position, slice.len() as u64);
        if !range.is_aligned() || !self.is_receiving() {
            return 0;
        }
        let window = PositionRange::new(self.kept, self.limit());
        let ring = &mut self.ring;
        let new = self.image.take_in(now, range.intersection(window), |part| {
            let from = part.start.since(position) as usize;
            ring.write(part.start, &slice[from..from + part.len() as usize]);
        });
        if new > 0 {
            self.moved_at = now;
        }
        new
    }

    /// What is there without a hole and not kept yet, if nothing is being kept.
    pub(super) fn part_to_keep(&self) -> Option<PositionRange> {
        let part = PositionRange::new(self.kept, self.image.received());
        let is_free = self.stage == Stage::Receiving { keeping: None };
        (is_free && !part.is_empty()).then_some(part)
    }

    /// The host has kept the part of `operation`; whether it was asked to.
    pub(super) fn note_kept(&mut self, now: Instant, operation: OperationId) -> bool {
        let Stage::Receiving { keeping: Some((known, end)) } = self.stage else { return false };
        if known != operation {
            return false;
        }
        (self.kept, self.moved_at) = (end, now);
        self.stage = match end == self.manifest.stream_end() {
            true => Stage::Whole,
            false => Stage::Receiving { keeping: None },
        };
        true
    }

    /// The operation that the host is at, if it is.
    pub(super) const fn operation(&self) -> Option<OperationId> {
        match self.stage {
            Stage::Receiving { keeping: Some((operation, _)) }
            | Stage::Checking(operation)
            | Stage::Installing(operation)
            | Stage::Clearing(operation) => Some(operation),
            Stage::Receiving { keeping: None }
            | Stage::Whole
            | Stage::Checked(_)
            | Stage::Ended => None,
        }
    }

    /// `source` does not have it any more: what it was asked for is asked of others.
    pub(super) fn drop_source(&mut self, source: MemberId) -> bool {
        let all = PositionRange::new(Position::ZERO, self.manifest.stream_end());
        self.image.refuse_parts(source, all);
        self.sources.remove(source)
    }

    /// What to ask for now, and whom.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        timing: NakTiming,
        leader: Option<MemberId>,
    ) -> Table<MemberId, NakRanges> {
        let mut requests: Table<MemberId, NakRanges> = Table::new();
        if !self.is_receiving() || self.sources.is_empty() {
            return requests;
        }
        let limit = self.limit();
        let parts = self.image.poll(now, timing, limit);
        for (source, outcome) in self.image.take_outcomes() {
            self.sources.note_outcome(now, source, outcome);
        }
        let image = &self.image;
        self.sources.note_outstanding(|id| image.outstanding_of(id));
        for part in parts {
            let Some(to) = self.sources.choose(now, part, leader) else { continue };
            self.image.ask_of(part.start, to);
            let request = requests.get_or_insert(to, NakRanges::new());
            if request.len() < NAK_RANGES_MAX {
                request.push(EpochRange { epoch: self.manifest.point.position.0, range: part });
            }
        }
        requests
    }

    /// When holes of it are asked for: in parts, each of the source that suits best.
    pub(super) fn timing(&self, base: NakTiming, limits: &Limits, beat: Duration) -> NakTiming {
        let slice = u64::from(limits.slice_bytes);
        let bytes_max = base.bytes_max.min(self.ring.capacity());
        let part_bytes = (bytes_max / PARTS / slice * slice).max(slice.min(bytes_max));
        let sharing = Sharing {
            below: self.manifest.stream_end(),
            part_bytes,
            patience: beat.max(base.retry),
            part_time: beat.times(PART_HEARTBEATS),
        };
        NakTiming { bytes_max, sharing: Some(sharing), ..base }
    }

    /// When to call [`Fetch::poll`] if nothing comes.
    pub(super) fn deadline(&self, timing: NakTiming) -> Option<Instant> {
        let asks = self.is_receiving() && !self.sources.is_empty();
        asks.then(|| self.image.next_deadline(timing))?
    }

    /// The bytes of a part that the host is to keep.
    pub(super) fn slices(&self, range: PositionRange) -> (&[u8], &[u8]) {
        self.ring.slices(range)
    }

    /// Bytes in memory, and how many may be.
    pub(super) fn held(&self) -> (u64, u64) {
        let beyond = self.image.beyond().iter().map(|range| range.len()).sum::<u64>();
        (self.image.received().since(self.kept) + beyond, self.ring.capacity())
    }

    /// How many requests are remembered.
    pub(super) const fn requests(&self) -> usize {
        self.image.requests()
    }

    /// The end of what is here without a hole.
    pub(super) const fn received(&self) -> Position {
        self.image.received()
    }
}

/// The bytes of a fetched snapshot that are in memory, at most: a power of two.
pub(super) fn ring_bytes(limits: &Limits) -> u64 {
    let most = limits.repair_request_bytes_max.min(limits.window_bytes);
    1 << most.max(crate::frame::ALIGNMENT).ilog2()
}

impl Hash for Fetch {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.manifest, &self.sources, self.stage, self.moved_at).hash(state);
        (&self.image, self.kept).hash(state);
        let held = PositionRange::new(self.kept, self.image.received());
        for &range in core::iter::once(&held).chain(self.image.beyond()) {
            let (first, second) = self.ring.slices(range);
            // Byte by byte over both, so that the ring's end does not show.
            for byte in first.iter().chain(second) {
                state.write_u8(*byte);
            }
        }
    }
}
