//! Frames of the log for the cases: bytes of each kind at one place.

use quorate_core::frame::{
    Body, Checksum, FrameFront, FrameSeed, LOG_VERSION, Level, MembershipPhase, SessionCloseReason,
    SnapshotCause, TermOpen,
};
use quorate_core::{Chain, ClientKey, LogTime, Position, RecoveryEpoch, SessionId, Term};

use crate::desk::life;
use crate::stage::TAG;

/// The largest frame.
pub(super) const FRAME_BYTES_MAX: u64 = 64 << 10;
/// Where all frames here lie.
pub(super) const SEED: FrameSeed = seed_at(Position(4_096));

/// The seed of a frame of term 3.
pub(super) const fn seed_at(position: Position) -> FrameSeed {
    FrameSeed::new(TAG, Term(3), position)
}

/// The frame with this body, at [`SEED`].
pub(super) fn framed(body: &Body, payload: &[u8]) -> Vec<u8> {
    framed_at(SEED, body, payload)
}

pub(super) fn framed_at(seed: FrameSeed, body: &Body, payload: &[u8]) -> Vec<u8> {
    let front = FrameFront::new(seed, body, (payload, &[]));
    let mut bytes = [front.bytes(), payload].concat();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// Makes the checksum of a frame right; its length is that of all its bytes.
pub(super) fn reseal(seed: FrameSeed, bytes: &mut [u8]) {
    let length = bytes.len() as u32;
    bytes[0..4].copy_from_slice(&length.to_le_bytes());
    let checksum = Checksum::continued(seed.initial(length)).add(&bytes[8..]).value();
    bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
}

/// A body of each kind, with a payload where there may be one.
pub(super) fn bodies() -> Vec<(Body, &'static [u8])> {
    let (session, sequence, time) = (SessionId(8), 7, LogTime(99));
    let open = TermOpen {
        term: Term(3),
        previous_term: Term(2),
        chain: Chain(0x0102),
        time,
        leader: life(2),
        recovery_epoch: RecoveryEpoch(0),
        log_version: LOG_VERSION,
        level: Level::Durable,
    };
    vec![
        (Body::TermOpen(open), &[]),
        (Body::SessionOpen { time, client: ClientKey(5) }, &[]),
        (Body::SessionClose { session, time, reason: SessionCloseReason::TimedOut }, &[]),
        (Body::Message { session, sequence, time }, b"a payload of 19 byt"),
        (Body::SafeMessage { session, sequence, time }, b"a payload"),
        (Body::Timer { time, timer: 4, deadline: LogTime(98) }, &[]),
        (Body::SnapshotMark { time, cause: SnapshotCause::Command }, &[]),
        (Body::Readmission { time, life: life(3) }, &[]),
        (Body::Membership { time, phase: MembershipPhase::Joint }, b"a list"),
        (Body::Reply { session, sequence, position: Position(64) }, b"a reply"),
    ]
}
