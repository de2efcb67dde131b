//! Cases about bytes that are not what was asked for: of a former term, twice, or damaged.

use quorate_codecs::{DATAGRAM_BYTES_MAX, Header, decode, encode_control, encode_data};
use quorate_core::frame::Body;
use quorate_core::message::{ConnectOutcome, EpochRange, Live, Stream};
use quorate_core::{
    Chain, ClientKey, Endpoint, LogTime, MemberId, Message, Position, SessionId, Term, VoteKey,
};
use quorate_sim::Dice;

use crate::case::{Failure, Verdict, check};
use crate::desk::{Desk, LogPiece, history, line, member_sender, opening, piece};
use crate::scripted_log::{ScriptedLog, nak, range, small_desk};
use crate::stage::{TAG, kind_of};
use crate::trial::Trial;

pub(super) fn nk_19(_: &mut Trial<'_>) -> Verdict {
    let log = ScriptedLog::new(1, 2, 12, 100);
    // Member 3 leads term 2 from the middle of what member 2 wrote in term 1.
    let base = log.frames[6].end;
    let line = line(2, 3, base, log.frames[6].chain);
    let mut desk = log.follower(small_desk(3))?;
    for frame in &log.frames[..9] {
        log.feed(&mut desk, frame);
    }
    desk.complete_all();
    desk.follow(3, 2, &[log.line, line]);
    let cut = desk.view();
    let text = format!("the cut is at {}, the new term begins at {base}", cut.received);
    desk.check(cut.received == base && cut.durable == base, &text)?;

    // The deposed leader, and others that still have its bytes, go on to repair.
    let late = [range(base.0, base.0 + 64), range(base.0 - 64, base.0 + 64), {
        let last = &log.frames[11];
        range(last.start.0, last.end.0)
    }];
    let before = desk.member.counters().slices_dropped;
    for late in late {
        for from in [2, 3] {
            desk.receive_log(from, 1, &log.slice(late), None);
            desk.receive_log(from, 1, &log.slice(late), Some(Live::default()));
        }
    }
    let dropped = desk.member.counters().slices_dropped - before;
    let text = format!("{dropped} of 12 slices of the former term were dropped");
    desk.check(dropped == 12 && desk.view().received == base, &text)?;

    // Bytes of the former term under the name of the new one are no frames of it.
    desk.receive_log(3, 2, &log.frames[7], None);
    let rejected = desk.member.counters().frames_rejected;
    desk.check(rejected > 0 && desk.view().verified == base, "old bytes pass for new ones")?;

    let opening = opening(&line, Term(1));
    desk.receive_log(3, 2, &opening, None);
    desk.complete_all();
    let view = desk.view();
    let same = (view.durable, view.verified_chain) == (opening.end, opening.chain);
    desk.check(same, "the new term's opening frame does not follow the cut")?;
    let written = desk.disk.frames().last().map(|frame| (frame.term, frame.end));
    desk.check(written == Some((Term(2), opening.end)), &format!("the disk ends with {written:?}"))
}

pub(super) fn nk_20(trial: &mut Trial<'_>) -> Verdict {
    let mut dice = Dice::new(trial.seed(), "nk_20");
    for _ in 0..trial.times(20, 150, 2_000) {
        let log = ScriptedLog::new(2, 2, 16, 8 * dice.between(1, 60) as usize);
        let slices = log.slices(8 * dice.between(8, 80));
        let mut one = log.follower(small_desk(3))?;
        slices.iter().for_each(|slice| log.feed(&mut one, slice));
        let mut other = log.follower(small_desk(3))?;
        for slice in shuffled_copies(&slices, &mut dice) {
            log.feed(&mut other, &slice);
            if dice.chance(200_000) {
                other.complete_all();
            }
        }
        let ends = [&mut one, &mut other].map(|desk| {
            desk.complete_all();
            commit(desk, &log);
            (desk.view(), desk.member.replicated_hash(), desk.applied.clone())
        });
        let same = ends[0] == ends[1] && one.disk.frames() == other.disk.frames();
        other.check(same, &format!("in order it would be {:?}", ends[0].0))?;
        let whole = ends[0].0.durable == log.end() && ends[0].2 == log.payloads;
        one.check(whole, "not all messages were applied once and in order")?;
    }
    Ok(())
}

/// The leader says that all is committed; the member applies it.
fn commit(desk: &mut Desk, log: &ScriptedLog) {
    desk.receive(2, log.heartbeat(100, log.end(), log.end()));
    desk.complete_all();
}

/// Each slice one to five times, in any order.
fn shuffled_copies(slices: &[LogPiece], dice: &mut Dice) -> Vec<LogPiece> {
    let mut copies = Vec::new();
    for slice in slices {
        for _ in 0..dice.between(1, 5) {
            copies.push(slice.clone());
        }
    }
    for last in (1..copies.len()).rev() {
        copies.swap(last, dice.below(last as u64 + 1) as usize);
    }
    copies
}

pub(super) fn nk_28(trial: &mut Trial<'_>) -> Verdict {
    let mut refused = 0;
    for (kind, bytes) in samples()? {
        check(decode(&bytes, TAG).is_ok(), || format!("{kind}: refused as it is"))?;
        for bit in 0..bytes.len() * 8 {
            let flipped = flip(&bytes, bit);
            let read = decode(&flipped, TAG);
            check(read.is_err(), || format!("{kind} with bit {bit} flipped is read as {read:?}"))?;
            refused += 1;
        }
    }
    trial.count("flipped datagrams refused", refused);

    // What is damaged before a checksum was put on the datagram is found by that of the frame.
    let log = ScriptedLog::new(2, 2, 12, 61);
    let victim = log.frames[4].clone();
    let mut bits = 0;
    for bit in (0..victim.bytes.len() * 8).step_by(trial.times(7, 1, 1) as usize) {
        damaged_frame(&log, &victim, bit)?;
        bits += 1;
    }
    trial.count("flipped frames repaired", bits);
    Ok(())
}

/// A frame comes with one bit flipped, all others come whole: it is never verified so, and it is
/// once it comes whole.
fn damaged_frame(log: &ScriptedLog, victim: &LogPiece, bit: usize) -> Verdict {
    let mut options = small_desk(3);
    // A length beyond what is there by far is wrong at once, another once that much is there.
    options.limits.message_bytes_max = 64;
    options.limits.window_bytes = 16 << 10;
    (options.limits.uncommitted_bytes_max, options.limits.session_window_bytes) =
        (8 << 10, 8 << 10);
    let mut desk = log.follower(options)?;
    let damaged = LogPiece { bytes: flip(&victim.bytes, bit), ..victim.clone() };
    for frame in &log.frames {
        log.feed(&mut desk, if frame.start == victim.start { &damaged } else { frame });
    }
    let text = format!("it takes frame {} with bit {bit} flipped for whole", victim.start);
    desk.check(desk.view().verified == victim.start, &text)?;
    let rejected = desk.member.counters().frames_rejected;
    desk.check(rejected > 0, &format!("bit {bit}: the frame was not counted as rejected"))?;
    // It asks for all that it forgot, and is given it.
    log.feed(&mut desk, &log.slice(range(victim.start.0, log.end().0)));
    desk.complete_all();
    commit(&mut desk, log);
    let text = format!("bit {bit}: not repaired by the whole frame");
    desk.check(desk.view().durable == log.end() && desk.applied == log.payloads, &text)
}

fn flip(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

/// One datagram of each kind, with the name of its kind.
fn samples() -> Result<Vec<(&'static str, Vec<u8>)>, Failure> {
    let header = Header { tag: TAG, sender: member_sender(2, 3) };
    let broken = |error| Failure::Harness(format!("a sample cannot be encoded: {error:?}"));
    let mut samples = Vec::new();
    for message in messages() {
        let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
        let length = encode_control(&header, &message, &mut bytes).map_err(broken)?;
        bytes.truncate(length);
        samples.push((kind_of(&message), bytes));
    }
    let body = Body::Message { session: SessionId(8), sequence: 1, time: LogTime(5) };
    let frame = piece(2, Position(64), Chain(4), &body, b"payload");
    let live = Some(Live { newest: Position(640), commit: Position(64) });
    let key = ClientKey(7);
    let streams = [
        ("live", Stream::Log, live),
        ("repair", Stream::Log, None),
        ("ingress", Stream::Ingress(key), None),
        ("egress", Stream::Egress(key), None),
    ];
    for (kind, stream, live) in streams {
        let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
        let slice = (frame.bytes.as_slice(), &[][..]);
        let encoded = encode_data(&header, stream, 2, frame.start, live, slice, &mut bytes);
        bytes.truncate(encoded.map_err(broken)?);
        samples.push((kind, bytes));
    }
    Ok(samples)
}

/// One control message of each kind.
fn messages() -> Vec<Message> {
    let (term, round, limit) = (Term(5), 9, Position(4_096));
    let key = VoteKey { term: Term(4), position: Position(640) };
    let (stream, session) = (Stream::Ingress(ClientKey(7)), SessionId(64));
    let lines = [line(4, 2, Position(0), Chain(1)), line(5, 3, Position(640), Chain(2))];
    let mut messages = vec![
        Message::Canvass { term, round, key },
        Message::CanvassReply { term, round, granted: false, key },
        Message::RequestVote { term, key },
        Message::Ballot { term, candidate: MemberId(3), granted: true, key },
        Message::Abdicate { term },
        Message::Campaign { term, round },
        Message::RequestSuccession { term, key, predecessor: MemberId(2) },
        Message::HistoryRequest { term, commit: Position(64) },
        ScriptedLog::new(5, 2, 1, 8).heartbeat(round, Position(640), Position(64)),
        Message::Acknowledge {
            term,
            sequence: 3,
            round,
            durable: Position(64),
            received: Position(128),
            limit,
            commit: Position(64),
        },
        Message::Application { term, sequence: 4, received: Position(128), limit },
        nak(5, &[range(64, 128), range(192, 640)]),
        Message::Unavailable {
            stream: Stream::Log,
            range: EpochRange { epoch: 5, range: range(64, 128) },
            oldest: Position::ZERO,
        },
        Message::Connect { connection: 2, session, ingress_start: Position(64), unanswered: 4 },
        Message::StreamStatus { stream, epoch: 6, consumed: Position(64), limit },
        Message::StreamNewest { stream, epoch: 6, newest: Position(640) },
        Message::Close { connection: 2, session },
        Message::Closed { connection: 2, session },
    ];
    messages.extend(history(5, Position(64), &lines));
    let (leader, endpoint) = (MemberId(2), Endpoint::default());
    let outcomes = [
        ConnectOutcome::Open { session, leader, term, limit },
        ConnectOutcome::Redirect { leader, term, endpoint },
        ConnectOutcome::RetryAfter { nanos: 1_000 },
        ConnectOutcome::SessionsExhausted,
        ConnectOutcome::MessageTooLarge { limit: 64 },
        ConnectOutcome::SessionLost { session },
    ];
    let reply = |outcome| Message::ConnectReply { connection: 2, outcome };
    messages.extend(outcomes.map(reply));
    messages
}
