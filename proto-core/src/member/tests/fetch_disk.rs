//! What the disks of a room complete, and what they do with snapshots of others.

use alloc::vec;
use alloc::vec::Vec;

use super::cluster::{Cluster, Disk, Node, Read, Write, id};
use crate::event::{Event, OperationId};
use crate::position::{Position, PositionRange};
use crate::snapshot::{Snapshot, SnapshotManifest, SnapshotPoint};

fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(1, |sum, byte| crate::hash::mix(sum, u64::from(*byte)))
}

/// The service's part: each message behind its length.
fn service_part(applied: &[Vec<u8>]) -> Vec<u8> {
    let one = |message: &Vec<u8>| [&(message.len() as u64).to_le_bytes(), &message[..]].concat();
    applied.iter().flat_map(one).collect()
}

fn service_of(mut part: &[u8]) -> Vec<Vec<u8>> {
    let mut applied = Vec::new();
    while let Some((length, rest)) = part.split_first_chunk() {
        let (message, rest) = rest.split_at(u64::from_le_bytes(*length) as usize);
        applied.push(message.to_vec());
        part = rest;
    }
    applied
}

/// The stream of a stored snapshot, and what it consists of.
pub(super) fn stream_of(
    (snapshot, applied): &(Snapshot, Vec<Vec<u8>>),
) -> (SnapshotManifest, Vec<u8>) {
    let service = service_part(applied);
    let mut stream = [&snapshot.core[..], &service].concat();
    let manifest = SnapshotManifest {
        point: snapshot.point,
        core_bytes: snapshot.core.len() as u64,
        service_bytes: service.len() as u64,
        digest: digest(&stream),
    };
    stream.resize(manifest.stream_end().0 as usize, 0);
    (manifest, stream)
}

impl Node {
    pub(super) fn read_snapshot(
        &self,
        operation: OperationId,
        position: Position,
        range: PositionRange,
    ) -> Read {
        let mut snapshots = self.disk.snapshots.iter();
        let found = snapshots.find(|(snapshot, _)| snapshot.point.position == position);
        let Some((manifest, stream)) = found.map(stream_of) else {
            return Read { operation, bytes: Vec::new(), of: Some(None) };
        };
        let end = stream.len().min(range.end.0 as usize);
        let mut bytes = stream[end.min(range.start.0 as usize)..end].to_vec();
        if let Some(first) = bytes.first_mut().filter(|_| self.flips) {
            *first ^= 1;
        }
        Read { operation, bytes, of: Some(Some(manifest)) }
    }

    pub(super) fn keep(&mut self, operation: OperationId, range: PositionRange, bytes: Vec<u8>) {
        let waiting = self.pending.iter().filter(|(_, write)| matches!(write, Write::Part(_)));
        assert_eq!(waiting.count(), 0, "one part at a time");
        if range.start == Position::ZERO {
            self.disk.kept.clear();
        }
        assert_eq!(range.start.0, self.disk.kept.len() as u64, "in order, without a hole");
        self.pending.push_back((operation, Write::Part(bytes)));
    }
}

impl Disk {
    /// The core's part of what was kept, if all of it is what was announced.
    pub(super) fn check(&self, manifest: &SnapshotManifest) -> Option<Vec<u8>> {
        assert_eq!(self.kept.len() as u64, manifest.stream_end().0, "all of it was kept");
        let sound = digest(&self.kept[..manifest.bytes() as usize]) == manifest.digest;
        sound.then(|| self.kept[..manifest.core_bytes as usize].to_vec())
    }

    pub(super) fn install(&mut self, manifest: &SnapshotManifest) {
        let (core, rest) = self.kept.split_at(manifest.core_bytes as usize);
        let point = SnapshotPoint::read(core).unwrap();
        assert_eq!(point, manifest.point);
        let applied = service_of(&rest[..manifest.service_bytes as usize]);
        self.snapshots = vec![(Snapshot { point, core: core.to_vec() }, applied)];
        self.log = vec![0; point.position.0 as usize];
        (self.synced, self.origin) = (self.log.len(), point);
        self.kept.clear();
    }
}

impl Cluster {
    /// Completes the oldest operation of a member's disk; `false` if there is none.
    pub(super) fn complete_one(&mut self, member: u16) -> bool {
        let node = self.nodes.get_mut(&id(member)).unwrap();
        let mut next = node.pending.pop_front();
        if next.is_none() && !node.holds_snapshots {
            next = node.taken.pop_front();
        }
        let Some((operation, write)) = next else { return false };
        match write {
            Write::Sync(length) => node.disk.synced = length.min(node.disk.log.len()),
            Write::Vote(vote) => node.disk.vote = vote,
            Write::History(history) => node.disk.history = history,
            Write::Peers(peers) => node.disk.peers = peers,
            Write::Snapshot(snapshot, applied) => node.disk.snapshots.push((snapshot, applied)),
            Write::Part(bytes) => node.disk.kept.extend(bytes),
            Write::Install(manifest) => node.disk.install(&manifest),
            Write::Check(manifest) => {
                let core = node.disk.check(&manifest);
                self.step(member, checked(operation, core.as_deref()));
                return true;
            }
        }
        self.step(member, Event::Durable { operation });
        true
    }
}

/// What came of a digest.
fn checked(operation: OperationId, core: Option<&[u8]>) -> Event<'_> {
    match core {
        Some(core) => Event::SnapshotWhole { operation, core },
        None => Event::SnapshotFailed { operation },
    }
}
