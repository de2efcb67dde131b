//! The disk of a member: what was written, what of it is durable, and what is under way.

use quorate_core::frame::{self, FrameSeed, chain_after, parse_body};
use quorate_core::{
    GroupTag, Life, OperationId, PeerRecord, Position, PositionRange, Recovered, Snapshot,
    SnapshotPoint, TermHistory, Vote,
};

/// A write that completes later.
#[derive(Clone, Debug)]
pub(super) enum Write {
    Log(usize),
    Vote(Vote),
    History(TermHistory, Position),
    Peers(Vec<PeerRecord>),
    Snapshot(Box<Snapshot>),
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
    pub(super) boot_epoch: u64,
    pub(super) writes: Vec<(OperationId, Write)>,
    pub(super) reads: Vec<(OperationId, PositionRange)>,
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
        }
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
        self.log.truncate(self.synced);
        let SnapshotPoint { position: mut end, mut chain, time: mut log_time, .. } = self.origin;
        while let Some(line) = self.history.owner(end) {
            let bytes = &self.log[end.0 as usize..];
            let seed = FrameSeed::new(tag, line.term, end);
            let Ok(header) = frame::verify(seed, bytes, &[], frame_bytes_max) else { break };
            let Ok(body) = parse_body(&header, bytes) else { break };
            chain = chain_after(chain, line.term, end, header.checksum);
            log_time = body.time();
            end = end.plus(header.aligned_length());
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
            peers: self.peers.clone(),
            snapshot: self.snapshots.last().cloned().map(Box::new),
        }
    }
}
