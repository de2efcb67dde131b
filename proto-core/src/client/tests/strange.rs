//! Datagrams that are not of the client's connection, or that no member sends.

use alloc::vec;

use super::super::*;
use super::world::{KEY, SESSION, World, config, endpoint};
use super::{MS, leader};
use crate::identity::MemberId;
use crate::message::EpochRange;
use crate::position::{Position, PositionRange};
use crate::random::Random;
use crate::term::{Term, VoteKey};

#[test]
fn foreign_datagrams_are_ignored() {
    let mut world = World::new(config());
    world.run_for(10);
    world.step(ClientEvent::Flush);
    let before = world.client.state_hash();
    let ignored = world.client.counters().datagrams_ignored;
    let mut foreign = vec![
        Message::StreamNewest { stream: Stream::Egress(KEY), epoch: 99, newest: Position(64) },
        Message::Ballot {
            term: Term(1),
            candidate: MemberId(1),
            granted: true,
            key: VoteKey::default(),
        },
    ];
    for outcome in [
        ConnectOutcome::SessionLost { session: SESSION },
        ConnectOutcome::SessionsExhausted,
        ConnectOutcome::RetryAfter { nanos: 1 },
    ] {
        foreign.push(Message::ConnectReply { connection: 99, outcome });
    }
    let count = foreign.len() as u64;
    for message in foreign {
        let content = Incoming::Control(message);
        world.step(ClientEvent::Received { sender: leader(), source: endpoint(1), content });
    }
    assert_eq!(world.client.counters().datagrams_ignored, ignored + count);
    assert_eq!(world.client.state_hash(), before);
}

/// A datagram of the client's connection, most of the time, with any positions.
fn any_content<'a>(random: &mut Random, connection: u64, bytes: &'a [u8; 128]) -> Incoming<'a> {
    let number = connection + random.below(20) / 19;
    let epoch = session_epoch(number, SESSION);
    let mut position = || match random.below(4) {
        0 => Position(random.next_u64()),
        1 => Position(u64::MAX),
        _ => Position(random.below(9_000)),
    };
    let (start, end) = (position(), position());
    let of_range = EpochRange { epoch, range: PositionRange::new(start, end) };
    let streams = [Stream::Egress(KEY), Stream::Ingress(KEY), Stream::Log];
    let stream = streams[random.below(3) as usize];
    Incoming::Control(match random.below(8) {
        0 => Message::StreamNewest { stream, epoch, newest: end },
        1 => Message::StreamStatus { stream, epoch, consumed: start, limit: end },
        2 => Message::Nak { stream, ranges: [of_range].into_iter().collect() },
        3 => {
            let (leader, term) = (MemberId(1), Term(end.0));
            let outcome = ConnectOutcome::Open { session: SESSION, leader, term, limit: start };
            Message::ConnectReply { connection: number, outcome }
        }
        4 => Message::Unavailable { stream, range: of_range, oldest: end },
        5 => Message::Close { connection: number, session: SESSION },
        _ => {
            let slice = &bytes[..random.below(129) as usize];
            return Incoming::Data { stream, epoch, position: start, live: None, slice };
        }
    })
}

#[test]
fn any_datagram_is_survived() {
    let mut random = Random::new(3);
    let mut client = Client::new(config(), Instant(0)).unwrap();
    let (mut now, mut sent, mut opened) = (Instant(0), 0, 0);
    for _ in 0..20_000 {
        if client.has_ended() {
            client = Client::new(config(), now).unwrap();
        }
        // Now and then it is long enough for the server to be lost.
        let lull = 300 * MS * u64::from(random.below(100) == 0);
        now += Duration(lull + random.below(2 * MS));
        let mut actions = ClientActions::new();
        let bytes = [random.next_u64() as u8; 128];
        let content = any_content(&mut random, client.search.connection(), &bytes);
        let source = endpoint(1);
        let event = ClientEvent::Received { sender: leader(), source, content };
        client.step(now, event, &mut actions);
        client.step(now, ClientEvent::Flush, &mut actions);
        if client.can_submit(9) {
            client.step(now, ClientEvent::Submit { payload: &[7; 9] }, &mut actions);
        }
        let count = actions.iter().count();
        assert!(count < 200, "{count} actions of one datagram");
        for action in actions.drain() {
            if let ClientAction::SendData { stream, range, .. } = action {
                let (first, second) = client.bytes(stream, range);
                assert_eq!((first.len() + second.len()) as u64, range.len());
                sent += 1;
            }
            opened += u64::from(matches!(action, ClientAction::Connected { .. }));
        }
    }
    assert!(sent > 100 && opened > 50, "{sent} runs sent, {opened} connections opened");
}

#[test]
fn a_broken_stream_is_left_without_a_storm() {
    let mut world = World::new(config());
    world.run_for(10);
    for _ in 0..100 {
        let content = Incoming::Data {
            stream: Stream::Egress(KEY),
            epoch: session_epoch(world.client.search.connection(), SESSION),
            position: Position(0),
            live: None,
            slice: &[0xff; 64],
        };
        world.step(ClientEvent::Received { sender: leader(), source: endpoint(1), content });
        world.run_for(1);
    }
    let errors = world.client.counters().protocol_errors;
    assert!((1..=3).contains(&errors), "{errors}");
    assert!(world.connects.len() <= 5);
    world.run_for(300);
    world.submit(b"healed");
    world.run_for(10);
    world.assert_all_answered();
}
