//! What a member and its client take from the heap.

use quorate_codecs::{Header, decode, encode_control, encode_data};
use quorate_core::hash::mix;
use quorate_core::message::{Incoming, Live};
use quorate_core::{
    Chain, ClientKey, Duration, Endpoint, Event, Message, Position, Sender, SessionId, Stream, Term,
};

use super::pair::Pair;
use crate::allocations::{self, Allocated};
use crate::case::{Verdict, check};
use crate::desk::{Desk, DeskOptions, heartbeat, line, member_sender, opening, piece};
use crate::stage::TAG;
use crate::trial::Trial;

pub(super) fn rb_02(trial: &mut Trial<'_>) -> Verdict {
    allocations::are_counted()?;
    let messages = trial.times(1_500, 20_000, 1_000_000);
    let mut pair = Pair::new(trial.seed())?;
    let length = |number: u64| (mix(0, number) % 600) as usize;
    pair.exchange(2_000, length)?;
    pair.desk.allocated = Allocated::default();
    pair.client_allocated = Allocated::default();
    pair.exchange(2_000 + messages, length)?;
    let (leader, client) = (pair.desk.allocated, pair.client_allocated);
    check(leader.count == 0, || format!("a leader allocates: {leader:?}"))?;
    check(client.count == 0, || format!("a client allocates: {client:?}"))?;
    follower(messages)?;
    datagrams()?;
    trial.count("messages", messages);
    Ok(())
}

/// A follower takes in frames, makes them durable, acknowledges and applies them.
fn follower(messages: u64) -> Verdict {
    let mut desk = Desk::new(DeskOptions::member_of(3))?;
    let line = line(4, 2, Position::ZERO, Chain::default());
    desk.follow(2, 4, &[line]);
    let mut last = opening(&line, Term(0));
    desk.receive_log(2, 4, &last, None);
    for number in 0..1_000 + messages {
        if number == 1_000 {
            desk.allocated = Allocated::default();
        }
        let body = quorate_core::frame::Body::Message {
            session: SessionId(0),
            sequence: number + 1,
            time: quorate_core::LogTime(number + 2),
        };
        let next = piece(4, last.end, last.chain, &body, &[7; 64]);
        let live = Live { newest: next.end, commit: last.end };
        desk.receive_log(2, 4, &next, Some(live));
        desk.step(Event::Flush);
        while desk.complete(|_| true) {}
        if number.is_multiple_of(64) {
            desk.receive(2, heartbeat(4, number + 2));
            desk.pass(Duration::from_millis(1));
        }
        last = next;
    }
    let found = desk.allocated;
    check(found.count == 0, || format!("a follower allocates: {found:?}"))?;
    desk.check(desk.view().verified == last.end, "it does not hold what it was sent")
}

/// A run loop's own work on a datagram: encoding into a buffer, and decoding out of one.
fn datagrams() -> Verdict {
    let header = Header { tag: TAG, sender: member_sender(2, 1) };
    let (mut buffer, payload) = ([0; 2_048], [3; 1_216]);
    let mut sound = true;
    let found = allocations::measure(|| {
        for round in 0..100 {
            let slices = (&payload[..], &[][..]);
            let at = Position(8 * round);
            let length = encode_data(&header, Stream::Log, 4, at, None, slices, &mut buffer);
            sound &= length.is_ok_and(|length| decode(&buffer[..length], TAG).is_ok());
            let message = heartbeat(4, round);
            let length = encode_control(&header, &message, &mut buffer);
            sound &= length.is_ok_and(|length| decode(&buffer[..length], TAG).is_ok());
        }
    });
    check(sound, || "a datagram cannot be read back")?;
    check(found.count == 0, || format!("datagrams allocate: {found:?}"))
}

/// Strangers connect, send slices behind holes, and are never heard of again.
fn storm(pair: &mut Pair, clients: u64) {
    for number in 0..clients {
        let (key, mut endpoint) = (ClientKey(1_000 + number), [1; 18]);
        endpoint[..8].copy_from_slice(&number.to_le_bytes());
        let (sender, source) = (Sender::Client { key }, Endpoint(endpoint));
        let connect = Message::Connect {
            connection: 1,
            session: SessionId(0),
            ingress_start: Position::ZERO,
            unanswered: 1,
        };
        let content = Incoming::Control(connect);
        pair.desk.step(Event::Received { sender, source, content });
        for hole in 0..40 {
            let (stream, epoch) = (Stream::Ingress(key), 1);
            let (position, slice) = (Position(64 * hole + 8), &[5; 16][..]);
            let content = Incoming::Data { stream, epoch, position, live: None, slice };
            pair.desk.step(Event::Received { sender, source, content });
        }
        pair.turn();
    }
}

pub(super) fn rb_09(trial: &mut Trial<'_>) -> Verdict {
    allocations::are_counted()?;
    let mut pair = Pair::new(trial.seed())?;
    pair.exchange(500, |_| 200)?;
    let rounds = trial.times(2, 3, 20);
    let mut held = Vec::new();
    for round in 0..rounds {
        let before = pair.desk.allocated;
        storm(&mut pair, 200);
        let during = pair.desk.allocated.held_bytes - before.held_bytes;
        check(during > 0 || round > 0, || "the storm took nothing: it was none")?;
        // Sessions of clients that are gone end after ten seconds.
        for _ in 0..1_500 {
            pair.turn_of(Duration::from_millis(8));
        }
        let sessions = pair.desk.view().sessions;
        check(sessions == 1, || format!("{sessions} sessions are left"))?;
        held.push(pair.desk.allocated.held_bytes);
    }
    let (first, last) = (held[0], held[held.len() - 1]);
    trial.count("held_bytes", last.unsigned_abs());
    // The windows alone are more than this; they were there from the construction on.
    let windows = 256 << 10;
    check((last - first).abs() * 20 <= windows, || {
        format!("behind each storm and its calm {held:?} bytes are held beyond the beginning")
    })
}
