//! What lies on the disks of a stage or a desk, frame by frame, and how scripts wait for it.

use std::collections::BTreeMap;

use quorate_core::frame::{Body, FrameSeed, parse_body, verify};
use quorate_core::{
    BootEpoch, Chain, LogTime, OperationId, Position, PositionRange, SessionId, Term,
};
use quorate_sim::{Completion, FrameMark, SimDisk, Work};

use super::{ClientNumber, Stage, TAG};
use crate::case::Verdict;

/// A whole frame of a log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WrittenFrame {
    /// Where it begins.
    pub start: Position,
    /// Where the next begins.
    pub end: Position,
    /// The term that owns it.
    pub term: Term,
    /// Its checksum.
    pub checksum: u32,
    /// The chain value behind it.
    pub chain: Chain,
    /// Its cluster time.
    pub time: LogTime,
    /// What it says.
    pub body: Body,
    /// The payload of a message.
    pub payload: Vec<u8>,
}

/// The written bytes of a disk in a range, as far as there are.
#[must_use]
pub fn written_bytes(disk: &SimDisk, range: PositionRange) -> Vec<u8> {
    // On a copy, since a disk is read through an operation.
    let mut copy = disk.clone();
    let operation = OperationId { boot_epoch: BootEpoch(0), sequence: u64::MAX };
    copy.issue(operation, Work::Read(range));
    match copy.complete(operation) {
        Some(Completion::Read(bytes)) => bytes,
        _ => Vec::new(),
    }
}

/// The whole frames that are written on a disk.
#[must_use]
pub fn written_frames(disk: &SimDisk) -> Vec<WrittenFrame> {
    let bytes = written_bytes(disk, PositionRange::new(Position::ZERO, disk.written_end()));
    let frames = disk.frames().iter().filter_map(|mark| {
        let slice = bytes.get(mark.start.0 as usize..mark.end.0 as usize)?;
        whole_frame(mark, slice)
    });
    frames.collect()
}

/// One of the whole frames of a disk.
pub(super) fn written_frame(disk: &SimDisk, mark: &FrameMark) -> Option<WrittenFrame> {
    whole_frame(mark, &written_bytes(disk, PositionRange::new(mark.start, mark.end)))
}

fn whole_frame(mark: &FrameMark, slice: &[u8]) -> Option<WrittenFrame> {
    let seed = FrameSeed::new(TAG, mark.term, mark.start);
    let header = verify(seed, slice, &[], slice.len() as u64).ok()?;
    let payload = header.payload(Position::ZERO);
    Some(WrittenFrame {
        start: mark.start,
        end: mark.end,
        term: mark.term,
        checksum: mark.checksum,
        chain: mark.chain,
        time: mark.time,
        body: parse_body(&header, slice).ok()?,
        payload: slice.get(payload.start.0 as usize..payload.end.0 as usize)?.to_vec(),
    })
}

impl Stage<'_> {
    /// The bytes that a member has written in a range of the log, as far as there are.
    #[must_use]
    pub fn log_bytes(&self, member: u16, range: PositionRange) -> Vec<u8> {
        self.disk(member, |disk| written_bytes(disk, range))
    }

    /// The whole frames that a member has written.
    #[must_use]
    pub fn log_frames(&self, member: u16) -> Vec<WrittenFrame> {
        self.disk(member, written_frames)
    }

    /// Lets time pass until all members that run are level with one another.
    ///
    /// # Errors
    /// They are not within this many nanoseconds, or an observer saw a rule broken.
    pub fn until_level(&mut self, within: u64) -> Verdict {
        self.until("all members that run are level", within, |stage| {
            let up: Vec<u16> = stage.numbers().filter(|member| stage.is_up(*member)).collect();
            stage.is_settled_among(&up) && stage.is_level(&up)
        })
    }

    /// Fails unless the messages of each of these clients stand in a member's log once each, in
    /// order, and as it sent them.
    ///
    /// # Errors
    /// They do not.
    pub fn check_written_in_order(&mut self, member: u16, clients: &[ClientNumber]) -> Verdict {
        let mut of_session: BTreeMap<SessionId, Vec<(u64, Vec<u8>)>> = BTreeMap::new();
        for frame in self.log_frames(member) {
            if let Body::Message { session, sequence, .. } = frame.body {
                of_session.entry(session).or_default().push((sequence, frame.payload));
            }
        }
        for client in clients {
            let session = self.client_state(*client).session();
            let submitted = self.submitted(*client).iter().map(|(_, bytes)| bytes.clone());
            let expected: Vec<_> = (1..).zip(submitted).collect();
            let written = of_session.get(&session).cloned().unwrap_or_default();
            self.check(written == expected, || {
                format!("client {}: the log has {} other messages", client.0, written.len())
            })?;
        }
        Ok(())
    }

    /// Lets a machine's monotonic clock jump by so many nanoseconds, back if it is negative.
    pub fn jump_clock(&mut self, member: u16, by: i64) {
        self.say(format!("lets the clock of member {member} jump by {} ms", by / 1_000_000));
        let index = self.index(member);
        self.machines[index].clock_offset += by;
    }
}
