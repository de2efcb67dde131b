//! Numbers and bytes in the body of a record: little-endian, one behind the other.

use quorate_core::{
    BootEpoch, Chain, Endpoint, Incarnation, Life, LogTime, MemberId, OperationId, Position,
    SnapshotPoint, Term,
};

/// Appends to a body.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    /// A count of things that are in memory: none comes near 32 bits.
    pub(super) fn count(&mut self, value: usize) {
        self.u32(u32::try_from(value).unwrap_or(u32::MAX));
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn life(&mut self, life: Life) {
        self.u16(life.member.0);
        self.u32(life.incarnation.0);
        self.u64(life.boot_epoch.0);
    }

    pub(super) fn operation(&mut self, operation: OperationId) {
        self.u64(operation.boot_epoch.0);
        self.u64(operation.sequence);
    }

    pub(super) fn point(&mut self, point: SnapshotPoint) {
        for word in [point.position.0, point.term.0, point.chain.0, point.time.0] {
            self.u64(word);
        }
    }
}

/// Takes from a body; `None` where it ends too early.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn position(&mut self) -> Option<Position> {
        self.u64().map(Position)
    }

    pub(super) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }

    pub(super) fn endpoint(&mut self) -> Option<Endpoint> {
        self.array().map(Endpoint)
    }

    pub(super) fn life(&mut self) -> Option<Life> {
        let (member, incarnation) = (MemberId(self.u16()?), Incarnation(self.u32()?));
        Some(Life { member, incarnation, boot_epoch: BootEpoch(self.u64()?) })
    }

    pub(super) fn operation(&mut self) -> Option<OperationId> {
        Some(OperationId { boot_epoch: BootEpoch(self.u64()?), sequence: self.u64()? })
    }

    pub(super) fn point(&mut self) -> Option<SnapshotPoint> {
        Some(SnapshotPoint {
            position: self.position()?,
            term: Term(self.u64()?),
            chain: Chain(self.u64()?),
            time: LogTime(self.u64()?),
        })
    }
}
