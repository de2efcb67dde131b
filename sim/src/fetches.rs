//! Snapshots of other members: parts that are served and kept, the check, the install, and the new
//! life behind it.

use quorate_core::{
    Event, OperationId, Position, PositionRange, Snapshot, SnapshotManifest, SnapshotPoint, Stream,
};

use crate::deviations;
use crate::dice::ALWAYS;
use crate::disk::{Damage, FrameMark, Stored, Work};
use crate::faults::Fault;
use crate::observers::Observed;
use crate::report::Mark;
use crate::swarm::{FaultClass, MILLI};
use crate::world::{Occurrence, World};

impl World {
    /// Stores a snapshot that the member lays out, with its service's state as it is now.
    pub(crate) fn take_snapshot(
        &mut self,
        node: usize,
        operation: OperationId,
        snapshot: Snapshot,
        pinned: Option<Position>,
    ) {
        let host = &mut self.nodes[node];
        match host.service.snapshot().filter(|_| !host.disk_full) {
            Some(service) => {
                if pinned.is_some() {
                    self.tally.saw(Mark::SnapshotPinned);
                }
                let service = deviations::join(service, host.deviation);
                let stored = Box::new(Stored::new(snapshot, service));
                self.issue(node, operation, 5, Work::Snapshot { stored, pinned });
            }
            None => host.unsaved.push_back(operation),
        }
    }

    /// Reads a part of a stored snapshot for another member.
    pub(crate) fn read_snapshot(
        &mut self,
        node: usize,
        operation: OperationId,
        position: Position,
        range: PositionRange,
    ) {
        if !range.is_empty() {
            self.tally.saw(Mark::SnapshotRead);
            self.rot_what_is_served(node);
        }
        self.issue(node, operation, 6, Work::ReadSnapshot { position, range });
    }

    /// Now and then what is asked for has rotted, on a disk that may be lost for good.
    fn rot_what_is_served(&mut self, node: usize) {
        let rots = self.swarm.faults.classes.has(FaultClass::Rot) && self.doomed.contains(&node);
        let dice = &mut self.dice.snapshots;
        if rots && !self.calm && dice.chance(ALWAYS / 8) {
            let disk = &mut self.nodes[node].disk;
            disk.damage(Damage::SnapshotRot, Position::ZERO, dice, &mut self.tally);
        }
    }

    /// Keeps a part of a snapshot that is fetched, unless the disk is full.
    pub(crate) fn keep_part(
        &mut self,
        node: usize,
        operation: OperationId,
        manifest: SnapshotManifest,
        range: PositionRange,
    ) {
        let host = &mut self.nodes[node];
        let Some(member) = &host.member else { return };
        if host.disk_full {
            host.unsaved.push_back(operation);
            return self.tally.saw(Mark::DiskFull);
        }
        let (first, second) = member.bytes(Stream::Snapshot, range);
        let bytes = [first, second].concat();
        if bytes.len() as u64 != range.len() {
            let text = format!("member {} keeps {range} of a snapshot without it", node + 1);
            self.found("S20", text);
        }
        self.tally.saw(Mark::SnapshotPart);
        self.issue(node, operation, 7, Work::Part { manifest, start: range.start, bytes });
    }

    /// Compares what was kept; now and then a bit of it has flipped on the medium.
    pub(crate) fn check_snapshot(
        &mut self,
        node: usize,
        operation: OperationId,
        manifest: SnapshotManifest,
    ) {
        let dice = &mut self.dice.snapshots;
        let is_spoilt = !self.calm && dice.chance(self.swarm.snapshots.spoilt);
        if is_spoilt && self.nodes[node].disk.spoil_draft(dice) {
            self.tally.saw(Mark::FetchSpoilt);
        }
        self.issue(node, operation, 7, Work::Check(manifest));
    }

    pub(crate) fn install_snapshot(
        &mut self,
        node: usize,
        operation: OperationId,
        manifest: SnapshotManifest,
    ) {
        let host = &mut self.nodes[node];
        if host.disk_full {
            host.unsaved.push_back(operation);
            return self.tally.saw(Mark::DiskFull);
        }
        let frames = self.frames_before(manifest.point);
        self.issue(node, operation, 7, Work::Install { manifest, frames });
        // It is over too soon for many faults to meet it by themselves.
        let faults = &self.swarm.faults;
        let dies = faults.classes.has(FaultClass::PowerCut) && !faults.spares_quorum;
        if dies && !self.calm && self.dice.snapshots.chance(ALWAYS / 4) {
            let ready = self.nodes[node].disk_ready[7];
            let at = self.dice.snapshots.between(self.now, ready.max(self.now) + MILLI);
            self.queue.push(at, Occurrence::Fault(Fault::Crash(node)));
        }
    }

    /// The frames of the log before `point`: whoever took the snapshot had them. Only the observers
    /// go by them.
    fn frames_before(&self, point: SnapshotPoint) -> Vec<FrameMark> {
        let before = |frames: &[FrameMark]| {
            let ends = frames.partition_point(|frame| frame.end <= point.position);
            let last = frames[..ends].last()?;
            ((last.end, last.chain) == (point.position, point.chain))
                .then(|| frames[..ends].to_vec())
        };
        let disks = || self.nodes.iter().map(|node| &node.disk);
        let known = disks().find_map(|disk| before(disk.frames()));
        // Where all who had them lost their directories since, one stands for all.
        known.unwrap_or_else(|| vec![FrameMark::all_before(point)])
    }

    /// The member has begun anew on its directory: the process goes on, and so does the disk.
    pub(crate) fn restart_in_place(&mut self, node: usize) {
        self.tally.saw(Mark::RestartInPlace);
        let Some(counters) = self.nodes[node].forget() else { return };
        self.count(&counters);
        self.nodes[node].disk.kill(&mut self.dice.disk, &mut self.tally);
        self.note(|| format!("member {} begins anew where it is", node + 1));
        self.watch.show(&self.nodes, self.now, node, Observed::Crashed);
        self.look_who_is_well();
        let after = self.dice.process.between(0, MILLI);
        self.queue.push(self.now + after, Occurrence::Restart { node });
    }

    /// A read of a snapshot completed.
    pub(crate) fn snapshot_was_read(
        &mut self,
        node: usize,
        operation: OperationId,
        manifest: Option<SnapshotManifest>,
        bytes: &[u8],
    ) {
        if manifest.is_none() {
            self.tally.saw(Mark::SnapshotUnread);
        }
        self.step_member(node, Event::SnapshotRead { operation, manifest, bytes });
    }
}
