//! The disk of a member: what was written, what of it is durable, and what is under way.

use quorate_core::frame::{self, Body, FrameSeed, chain_after, parse_body};
use quorate_core::hash::mix;
use quorate_core::membership::keep_newest;
use quorate_core::{
    GroupTag, Life, OperationId, PeerRecord, Position, PositionRange, Recovered, Snapshot,
    SnapshotManifest, SnapshotPoint, TermHistory, Vote,
};

/// A write that completes later.
#[derive(Clone, Debug)]
pub(super) enum Write {
    Log(usize),
    Vote(Vote),
    History(TermHistory, Position),
    Peers(Vec<PeerRecord>),
    Snapshot(Box<Snapshot>),
    /// A part of a snapshot that is fetched, from an offset on.
    Part(usize, Vec<u8>),
    Install(SnapshotManifest),
}

/// A read that completes later.
#[derive(Clone, Copy, Debug)]
pub(super) enum Read {
    Log(PositionRange),
    Snapshot(Position, PositionRange),
    /// Compares what was kept with what it has to be.
    Check(SnapshotManifest),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    /// Zeros up to the origin.
    pub(super) log: Vec<u8>,
    pub(super) origin: SnapshotPoint,
    synced: usize,
    vote: Vote,
    history: TermHistory,
    peers: Vec<PeerRecord>,
    snapshots: Vec<Snapshot>,
    /// What is kept of a snapshot that is fetched.
    pub(super) draft: Vec<u8>,
    pub(super) boot_epoch: u64,
    pub(super) writes: Vec<(OperationId, Write)>,
    pub(super) reads: Vec<(OperationId, Read)>,
}

fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(bytes.len() as u64, |hash, byte| mix(hash, u64::from(*byte)))
}

impl Disk {
    /// Makes a write durable.
    pub(super) fn complete(&mut self, write: Write) {
        match write {
            Write::Log(end) => self.synced = self.synced.max(end.min(self.log.len())),
            Write::Vote(vote) => self.vote = vote,
            Write::History(history, cut) => {
                self.history = history;
                self.log.truncate(cut.0 as usize);
                self.synced = self.synced.min(self.log.len());
            }
            Write::Peers(peers) => self.peers = peers,
            Write::Snapshot(snapshot) => self.snapshots.push(*snapshot),
            Write::Part(start, bytes) => {
                self.draft.truncate(start);
                assert_eq!(self.draft.len(), start, "parts come in order");
                self.draft.extend_from_slice(&bytes);
            }
            Write::Install(manifest) => self.install(&manifest),
        }
    }

    /// Lets the log begin behind what was kept, empty.
    fn install(&mut self, manifest: &SnapshotManifest) {
        let Some(core) = self.check(manifest) else { panic!("{manifest:?} was not checked") };
        let (point, end) = (manifest.point, manifest.point.position.0 as usize);
        assert!(end > self.log.len(), "{point:?} is no newer than the log");
        self.snapshots = vec![Snapshot { point, core }];
        (self.log, self.synced, self.origin) = (vec![0; end], end, point);
    }

    /// The core's part of what was kept, if all is as `manifest` says.
    pub(super) fn check(&self, manifest: &SnapshotManifest) -> Option<Vec<u8>> {
        let core = self.draft.get(..manifest.core_bytes as usize)?;
        (manifest.service_bytes == 0 && digest(core) == manifest.digest).then(|| core.to_vec())
    }

    /// The bytes of `range` of the stream of the snapshot at `position`, and what it is. The
    /// service has no state of its own.
    pub(super) fn read_snapshot(
        &self,
        position: Position,
        range: PositionRange,
    ) -> Option<(SnapshotManifest, Vec<u8>)> {
        let is_it = |snapshot: &&Snapshot| snapshot.point.position == position;
        let Snapshot { point, core } = self.snapshots.iter().find(is_it)?;
        let (core_bytes, digest) = (core.len() as u64, digest(core));
        let manifest = SnapshotManifest { point: *point, core_bytes, service_bytes: 0, digest };
        let mut stream = core.clone();
        stream.resize(manifest.stream_end().0 as usize, 0);
        let end = stream.len().min(range.end.0 as usize);
        Some((manifest, stream.get(range.start.0 as usize..end).unwrap_or_default().to_vec()))
    }

    /// Lets the log begin at `origin`.
    pub(super) fn purge(&mut self, origin: SnapshotPoint) {
        let position = origin.position;
        assert!(position.0 <= self.synced as u64, "{position} is not durable");
        let stands = |snapshot: &Snapshot| snapshot.point.position >= position;
        assert!(self.snapshots.iter().any(stands), "no snapshot stands at or above {position}");
        self.log[..position.0 as usize].fill(0);
        self.origin = origin;
    }

    /// The bytes of `range`, as far as they are there.
    pub(super) fn read(&self, range: PositionRange) -> Vec<u8> {
        let end = self.log.len().min(range.end.0 as usize);
        self.log.get(range.start.0 as usize..end).unwrap_or_default().to_vec()
    }

    /// What a power failure leaves: what was synced, up to the first frame that does not verify.
    pub(super) fn recover(&mut self, tag: GroupTag, life: Life, frame_bytes_max: u64) -> Recovered {
        self.writes.clear();
        self.reads.clear();
        self.draft.clear();
        self.log.truncate(self.synced);
        let SnapshotPoint { position: mut end, mut chain, time: mut log_time, .. } = self.origin;
        let (mut opened, mut memberships) = (None, Vec::new());
        while let Some(line) = self.history.owner(end) {
            let bytes = &self.log[end.0 as usize..];
            let seed = FrameSeed::new(tag, line.term, end);
            let Ok(header) = frame::verify(seed, bytes, &[], frame_bytes_max) else { break };
            let Ok(body) = parse_body(&header, bytes) else { break };
            chain = chain_after(chain, line.term, end, header.checksum);
            if let Body::TermOpen(open) = body {
                opened = Some((open.term, open.level));
            }
            log_time = body.time();
            let start = end;
            end = end.plus(header.aligned_length());
            if let Body::Membership { .. } = body {
                let payload = header.payload(start);
                let payload = &self.log[payload.start.0 as usize..payload.end.0 as usize];
                let _ = keep_newest(&mut memberships, end, payload);
            }
        }
        self.log.truncate(end.0 as usize);
        self.synced = self.log.len();
        // One may stand where the log was not durable yet.
        self.snapshots.retain(|snapshot| snapshot.point.position <= end);
        Recovered {
            life,
            vote: self.vote,
            history: self.history.clone(),
            origin: self.origin,
            log_end: end,
            chain,
            log_time,
            opened,
            memberships,
            peers: self.peers.clone(),
            snapshot: self.snapshots.last().cloned().map(Box::new),
            forced: None,
        }
    }
}
