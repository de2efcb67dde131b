//! Golden bytes of every frame kind: what is written to disks must not change unnoticed.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{
    Body, FrameFront, FrameHeader, FrameSeed, HEADER_BYTES, SessionCloseReason, SnapshotCause,
    TermOpen, frame_bytes, parse_body, verify,
};
use crate::identity::{
    BootEpoch, ClientKey, GroupTag, Incarnation, Life, MemberId, RecoveryEpoch, SessionId,
};
use crate::position::Position;
use crate::term::{Chain, Term};
use crate::time::LogTime;

const SEED: FrameSeed = FrameSeed::new(GroupTag(0x0123_4567_89ab_cdef), Term(7), Position(4_096));

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn frame(body: &Body, payload: &[u8]) -> Vec<u8> {
    let mut bytes = FrameFront::new(SEED, body, (payload, &[])).bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes.resize(frame_bytes(body, payload.len()) as usize, 0);
    bytes
}

fn check(body: Body, payload: &[u8], golden: &[&str]) {
    let bytes = frame(&body, payload);
    assert_eq!(hex(&bytes), golden.concat(), "{body:?}");
    let header = verify(SEED, &bytes, &[], 1 << 20).unwrap();
    assert_eq!(parse_body(&header, &bytes), Ok(body));
    assert_eq!(header.aligned_length() as usize, bytes.len());
}

fn term_open() -> Body {
    Body::TermOpen(TermOpen {
        term: Term(7),
        previous_term: Term(5),
        chain: Chain(0x1112_1314_1516_1718),
        time: LogTime(0x2122_2324_2526_2728),
        leader: Life {
            member: MemberId(3),
            incarnation: Incarnation(0x3132_3334),
            boot_epoch: BootEpoch(0x4142_4344_4546_4748),
        },
        recovery_epoch: RecoveryEpoch(2),
        log_version: 1,
        level: super::Level::Durable,
    })
}

#[test]
fn frames_of_terms_and_sessions() {
    check(
        term_open(),
        b"",
        &[
            "48000000ed8a7082380001005251010007000000000000000500000000000000",
            "1817161514131211282726252423222148474645444342413433323103000100",
            "0200000000000000",
        ],
    );
    check(
        Body::SessionOpen { time: LogTime(9), client: ClientKey(0x5152_5354_5556_5758) },
        b"",
        &["2000000038495805100002005251010009000000000000005857565554535251"],
    );
    for (reason, checksum, code) in [
        (SessionCloseReason::Client, "49649ab9", "00"),
        (SessionCloseReason::TimedOut, "6e19a6f0", "01"),
        (SessionCloseReason::Unknown(200), "c53da0d5", "c8"),
    ] {
        check(
            Body::SessionClose { session: SessionId(64), time: LogTime(10), reason },
            b"",
            &[
                "28000000",
                checksum,
                "180003005251010040000000000000000a00000000000000",
                code,
                "00000000000000",
            ],
        );
    }
}

#[test]
fn frames_with_payloads_and_timers() {
    let message = Body::Message { session: SessionId(64), sequence: 3, time: LogTime(11) };
    check(
        message,
        b"payload",
        &[
            "2f000000f0223a75180004005251010040000000000000000300000000000000",
            "0b000000000000007061796c6f616400",
        ],
    );
    let safe = Body::SafeMessage { session: SessionId(64), sequence: 3, time: LogTime(11) };
    check(
        safe,
        b"payload",
        &[
            "2f000000237852ee18000a005251010040000000000000000300000000000000",
            "0b000000000000007061796c6f616400",
        ],
    );
    let timer = Body::Timer { time: LogTime(12), timer: 0x6162, deadline: LogTime(8) };
    check(
        timer,
        b"",
        &["28000000d547cf7d18000500525101000c000000000000006261000000000000", "0800000000000000"],
    );
    for (cause, checksum, code) in [
        (SnapshotCause::Command, "fdd6302a", "00"),
        (SnapshotCause::Policy, "daab0c63", "01"),
        (SnapshotCause::Unknown(9), "00af3721", "09"),
    ] {
        let mark = Body::SnapshotMark { time: LogTime(13), cause };
        let golden =
            ["20000000", checksum, "10000700525101000d00000000000000", code, "00000000000000"];
        check(mark, b"", &golden);
    }
    let reply = Body::Reply { session: SessionId(64), sequence: 3, position: Position(4_096) };
    check(
        reply,
        b"yes",
        &[
            "2b0000005aeae847180006005251010040000000000000000300000000000000",
            "00100000000000007965730000000000",
        ],
    );
}

#[test]
fn every_shorter_block_is_refused_and_a_longer_one_is_read() {
    let bytes = frame(&term_open(), b"");
    let header = |block_length: u16| FrameHeader {
        length: bytes.len() as u32,
        checksum: 0,
        block_length,
        template: 1,
        version: 1,
    };
    for block_length in 0..53 {
        assert!(parse_body(&header(block_length), &bytes).is_err(), "{block_length} bytes");
    }
    assert_eq!(parse_body(&header(53), &bytes), Ok(term_open()));
    // A newer version's block: what is known of it is at hand, the rest need not be.
    assert_eq!(parse_body(&header(u16::MAX), &bytes), Ok(term_open()));
    assert!(parse_body(&header(56), &bytes[..HEADER_BYTES + 55]).is_err());
    let unknown = FrameHeader { template: 99, ..header(56) };
    assert!(parse_body(&unknown, &bytes).is_err());
}
