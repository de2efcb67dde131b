//! Stored snapshots for others, who lack what this member has purged, too.
//!
//! ```text
//!  SnapshotRequest ─► what does it consist of? ─► SnapshotOffer
//!  Nak of its stream ─► read, within the budget ─► slices; or Unavailable
//! ```
//!
//! Nothing is promised by an offer. What is asked for is pinned, so that newer snapshots do not
//! push it out while somebody is at it.

use alloc::vec::Vec;
use smallvec::SmallVec;

use super::repair::Purpose;
use super::table::Table;
use super::{Handled, Member};
use crate::action::{Action, Actions, Destination, Source};
use crate::event::OperationId;
use crate::identity::MemberId;
use crate::message::{EpochRange, Message, NAK_RANGES_MAX, NakRanges, Stream};
use crate::mutant;
use crate::position::{Position, PositionRange};
use crate::snapshot::{SnapshotManifest, SnapshotPoint};
use crate::time::{Duration, Instant};

/// So many heartbeat intervals stays a snapshot pinned behind the last request for it.
const PIN_HEARTBEATS: u64 = 500;

/// Snapshots that are remembered as damaged, at most: as many as are remembered at all.
const DAMAGED_MAX: usize = 8;

/// What a member knows of its own snapshots as others want them.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Serving {
    /// What the one consists of that was asked for last.
    known: Option<SnapshotManifest>,
    /// Who waits for that, and beyond which position it has to stand.
    waiting: Table<MemberId, Position>,
    /// What each asked for last, and when.
    asked: Table<MemberId, (Position, Instant)>,
    /// Those that the host could not read, oldest first.
    damaged: Vec<Position>,
}

impl Serving {
    /// The snapshot that somebody is fetching; of several the one that was asked for last: the
    /// others may have been given up.
    fn pinned(&self, now: Instant, span: Duration) -> Option<Position> {
        let recent = self.asked.values().filter(|(_, at)| now.since(*at) < span);
        recent.max_by_key(|(_, at)| *at).map(|(position, _)| *position)
    }

    fn note_damaged(&mut self, at: Position) {
        self.known = self.known.filter(|known| known.point.position != at);
        if !self.damaged.contains(&at) {
            if self.damaged.len() == DAMAGED_MAX {
                self.damaged.remove(0);
            }
            self.damaged.push(at);
        }
    }
}

impl Member {
    /// The stored snapshot that is not to be removed when the next one is taken.
    pub(super) fn pinned_snapshot(&self) -> Option<Position> {
        if mutant::is(mutant::SERVED_SNAPSHOTS_ARE_NOT_PINNED) {
            return None;
        }
        let span = self.config.timing.heartbeat_interval.times(PIN_HEARTBEATS);
        self.state.serving.pinned(self.state.now, span)
    }

    /// Says which snapshot there is, once the host has said what it consists of.
    pub(super) fn handle_snapshot_request(
        &mut self,
        from: MemberId,
        above: Position,
        actions: &mut Actions,
    ) -> Handled {
        let serving = &self.state.serving;
        let is_sound = |at: &Position| !serving.damaged.contains(at) && !self.is_own_disputed(*at);
        let newest = self.state.snapshots.at_hand().find(is_sound).filter(|at| *at > above);
        let Some(at) = newest else {
            self.offer_snapshot(from, SnapshotManifest::default(), actions);
            return Ok(());
        };
        if let Some(known) = serving.known.filter(|known| known.point.position == at) {
            self.offer_snapshot(from, known, actions);
            return Ok(());
        }
        if self.state.reads.is_asking_for(at) {
            self.state.serving.waiting.insert(from, above);
        } else if self.state.reads.has_room() {
            self.state.serving.waiting.insert(from, above);
            self.ask_for_manifest(at, actions)?;
        } else {
            // It asks again.
            self.counters.repairs_refused += 1;
        }
        Ok(())
    }

    fn offer_snapshot(&mut self, to: MemberId, offer: SnapshotManifest, actions: &mut Actions) {
        let SnapshotManifest { point, core_bytes, service_bytes, digest } = offer;
        if point.position > Position::ZERO {
            self.state.serving.asked.insert(to, (point.position, self.state.now));
        }
        let term = self.state.term;
        let message = Message::SnapshotOffer { term, point, core_bytes, service_bytes, digest };
        self.send(to, message, actions);
    }

    /// Others ask for bytes of a snapshot's stream.
    pub(super) fn handle_snapshot_nak(
        &mut self,
        from: MemberId,
        ranges: &NakRanges,
        actions: &mut Actions,
    ) -> Handled {
        self.counters.naks_received += 1;
        for asked in ranges.iter().take(NAK_RANGES_MAX) {
            if !asked.range.is_aligned() || asked.range.is_empty() {
                self.counters.datagrams_ignored += 1;
                continue;
            }
            self.answer_snapshot_hole(from, *asked, actions)?;
        }
        Ok(())
    }

    fn answer_snapshot_hole(
        &mut self,
        to: MemberId,
        asked: EpochRange,
        actions: &mut Actions,
    ) -> Handled {
        let (at, range) = (Position(asked.epoch), asked.range);
        // One that does not count yet may still be void. Of all others the host knows best.
        let may_be_void = at == Position::ZERO || at > self.state.snapshots.position;
        if may_be_void || self.is_own_disputed(at) {
            self.refuse_snapshot(to, at, range, actions);
            return Ok(());
        }
        self.state.serving.asked.insert(to, (at, self.state.now));
        let (now, timing, destination) =
            (self.state.now, self.repair_timing(), Destination::Member(to));
        if !self.state.reads.has_room() {
            self.counters.repairs_refused += 1;
            self.state.repairs.note_wish(now, timing, destination, range.len());
            return Ok(());
        }
        let admitted = self.state.repairs.admit_of(now, timing, destination, (at, range));
        self.counters.repairs_refused += u64::from(admitted.short_bytes > 0);
        let read_bytes_max = self.config.limits.read_bytes_max;
        for part in admitted.parts.iter().flat_map(|part| part.runs(read_bytes_max)) {
            if !self.state.reads.has_room() {
                self.counters.repairs_refused += 1;
                return Ok(());
            }
            self.read_snapshot(at, part, Purpose::Snapshot { to, at }, actions)?;
        }
        Ok(())
    }

    /// Asks the host what the snapshot at `at` consists of.
    pub(super) fn ask_for_manifest(&mut self, at: Position, actions: &mut Actions) -> Handled {
        self.read_snapshot(at, PositionRange::default(), Purpose::Manifest { at }, actions)
    }

    fn read_snapshot(
        &mut self,
        position: Position,
        range: PositionRange,
        purpose: Purpose,
        actions: &mut Actions,
    ) -> Handled {
        let operation = self.begin_read(range, purpose)?;
        actions.push(Action::ReadSnapshot { operation, position, range });
        Ok(())
    }

    fn refuse_snapshot(
        &mut self,
        to: MemberId,
        at: Position,
        range: PositionRange,
        actions: &mut Actions,
    ) {
        self.counters.repairs_refused += 1;
        crate::mark::reached(crate::mark::SNAPSHOT_UNAVAILABLE);
        let (stream, oldest) = (Stream::Snapshot, range.end);
        let range = EpochRange { epoch: at.0, range };
        self.send(to, Message::Unavailable { stream, range, oldest }, actions);
    }

    pub(super) fn handle_snapshot_read(
        &mut self,
        operation: OperationId,
        manifest: Option<SnapshotManifest>,
        bytes: &[u8],
        actions: &mut Actions,
    ) -> Handled {
        let Some((purpose, range)) = self.state.reads.take_of_snapshot(operation) else {
            self.counters.completions_ignored += 1;
            return Ok(());
        };
        let sound = |at| manifest.filter(|manifest| manifest.point.position == at);
        match purpose {
            Purpose::Manifest { at } => self.conclude_offers(at, sound(at), actions),
            Purpose::Snapshot { to, at } => {
                let length = (bytes.len() as u64).min(range.len()) & !7;
                let sent = PositionRange::at(range.start, length);
                match sound(at) {
                    Some(_) if !sent.is_empty() => self.send_snapshot(to, at, sent, actions),
                    Some(_) => self.refuse_snapshot(to, at, range, actions),
                    None => {
                        self.state.serving.note_damaged(at);
                        self.refuse_snapshot(to, at, range, actions);
                    }
                }
                Ok(())
            }
            Purpose::Repair { .. } | Purpose::Apply => Ok(()),
        }
    }

    /// The host has said what the snapshot at `at` consists of, or that it cannot be read.
    fn conclude_offers(
        &mut self,
        at: Position,
        manifest: Option<SnapshotManifest>,
        actions: &mut Actions,
    ) -> Handled {
        let waiting = core::mem::take(&mut self.state.serving.waiting);
        match manifest {
            Some(_) if waiting.is_empty() => {}
            Some(manifest) => self.state.serving.known = Some(manifest),
            None => self.state.serving.note_damaged(at),
        }
        for (to, above) in waiting.iter() {
            // Where it is damaged the one before it may do.
            self.handle_snapshot_request(to, *above, actions)?;
        }
        self.note_own_manifest(at, manifest, actions)
    }

    fn send_snapshot(
        &mut self,
        to: MemberId,
        at: Position,
        range: PositionRange,
        actions: &mut Actions,
    ) {
        let slice = u64::from(self.config.limits.slice_bytes);
        self.counters.repairs_sent += range.len().div_ceil(slice);
        self.counters.snapshot_bytes_sent += range.len();
        let runs: SmallVec<[PositionRange; 8]> =
            range.runs(self.config.limits.run_bytes_max).collect();
        for run in runs {
            actions.push(Action::SendData {
                to: Destination::Member(to),
                stream: Stream::Snapshot,
                epoch: at.0,
                range: run,
                source: Source::Read(range.start),
                live: None,
            });
        }
    }

    /// How many wait for an offer; at most all others.
    pub(super) fn waiting_for_offers(&self) -> usize {
        self.state.serving.waiting.len()
    }
}

/// What an offer says, as a manifest; `None` if it says that there is none.
pub(super) fn offered(message: &Message) -> Option<SnapshotManifest> {
    let &Message::SnapshotOffer { point, core_bytes, service_bytes, digest, .. } = message else {
        return None;
    };
    let SnapshotPoint { position, .. } = point;
    let manifest = SnapshotManifest { point, core_bytes, service_bytes, digest };
    (position > Position::ZERO && manifest.is_plausible()).then_some(manifest)
}
