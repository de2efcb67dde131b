//! A client of the group: it finds the leader, places its orders, and prints the replies.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::UdpSocket;
use std::time;

use quorate_codecs::{DATAGRAM_BYTES_MAX, Header, decode, encode_control, encode_data};
use quorate_core::client::{
    ClientAction, ClientActions, ClientConfig, ClientEvent, ClientLimits, ClientTiming,
};
use quorate_core::{Client, ClientKey, Endpoint, Instant, MemberId, RecoveryEpoch, Sender, Stream};

use super::{GROUP, Outcome, TAG, address, endpoint};

/// Submits `orders`, and returns when all are answered and the session is closed.
pub(crate) fn run(
    socket: &UdpSocket,
    places: &BTreeMap<MemberId, Endpoint>,
    orders: &[&str],
) -> Outcome {
    let started = time::Instant::now();
    let now = || Instant(started.elapsed().as_nanos() as u64);
    // The key is the client's identity: random, so that no two clients have the same. Who keeps it
    // beyond a crash can go on with the session.
    let key = ClientKey(RandomState::new().build_hasher().finish());
    let config = ClientConfig {
        group: GROUP,
        recovery_epoch: RecoveryEpoch(0),
        key,
        members: places.clone(),
        seed: key.0,
        timing: ClientTiming::default(),
        limits: ClientLimits::default(),
    };
    let mut client = Client::new(config, now())?;
    let mut actions = ClientActions::new();
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];

    // All at once, and then nothing more: the client ends when the last is answered. An application
    // asks `Client::can_submit` first, and waits while it says no.
    let submits = orders.iter().map(|order| ClientEvent::Submit { payload: order.as_bytes() });
    for event in submits.chain([ClientEvent::Close, ClientEvent::Flush]) {
        client.step(now(), event, &mut actions);
        perform(socket, &client, key, &mut actions)?;
    }
    while let Some(deadline) = client.next_deadline() {
        let pause = time::Duration::from_nanos((deadline - now()).0.max(1_000));
        socket.set_read_timeout(Some(pause))?;
        // Errors of the socket are losses too: the client asks elsewhere, and gives up in the end.
        let received = socket.recv_from(&mut datagram).ok();
        let decoded = received.and_then(|(length, from)| {
            let (sender, content) = decode(&datagram[..length], TAG).ok()?;
            Some(ClientEvent::Received { sender, source: endpoint(from), content })
        });
        for event in decoded.into_iter().chain([ClientEvent::Timer]) {
            client.step(now(), event, &mut actions);
            perform(socket, &client, key, &mut actions)?;
        }
    }
    Ok(())
}

fn perform(
    socket: &UdpSocket,
    client: &Client,
    key: ClientKey,
    actions: &mut ClientActions,
) -> Outcome {
    let header = Header { tag: TAG, sender: Sender::Client { key } };
    let mut datagram = [0; 1_408];
    for action in actions.drain() {
        match action {
            ClientAction::Send { to, message } => {
                let length = encode_control(&header, &message, &mut datagram)?;
                let _ = socket.send_to(&datagram[..length], address(to));
            }
            ClientAction::SendData { to, stream, epoch, range } => {
                for slice in range.runs(u64::from(client.config().limits.slice_bytes)) {
                    let (at, bytes) = (slice.start, client.bytes(stream, slice));
                    let length =
                        encode_data(&header, stream, epoch, at, None, bytes, &mut datagram)?;
                    let _ = socket.send_to(&datagram[..length], address(to));
                }
            }
            ClientAction::Reply { payload, .. } => {
                let (first, second) = client.bytes(Stream::Egress(key), payload);
                println!("  {}", String::from_utf8_lossy(&[first, second].concat()));
            }
            ClientAction::Connected { leader, term, .. } => {
                println!("  member {leader} leads term {}", term.0);
            }
            ClientAction::Rejected { reason } => return Err(reason.into()),
            ClientAction::Ended(outcome) => outcome?,
            ClientAction::Accepted { .. }
            | ClientAction::Synced { .. }
            | ClientAction::Reading { .. }
            | ClientAction::Read { .. }
            | ClientAction::Disconnected => {}
        }
    }
    Ok(())
}
