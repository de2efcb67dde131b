//! Datagrams of liars: whole, well-formed, and of numbers that meet the state.

use quorate_codecs::{CONTROL_BYTES_MAX, Header, encode_control, encode_data};
use quorate_core::frame::{FrameFront, FrameSeed, aligned};
use quorate_core::stream::ingress_tag;
use quorate_core::{
    BootEpoch, ClientKey, Incarnation, MemberId, Message, Position, Sender, Stream, Term,
};

use super::host::{MEMBERS, endpoint};
use super::world::{CLIENT, Datagram, KEY, World};
use crate::draw::Draw;
use crate::round_trip::any_body;
use crate::{TAG, seal};

impl World {
    /// A client says something to the member at `index`: the real one's key, or another's.
    pub(super) fn forge_as_client(&mut self, index: usize, draw: &mut Draw<'_, '_>) {
        draw.near = Some(self.near(index));
        let key = draw.client();
        let sender = Sender::Client { key };
        if draw.flag() {
            let message = draw.message();
            self.deliver_control(index, sender, &message);
            return;
        }
        let (stream, epoch, position) =
            (Stream::Ingress(key), draw.session_epoch(), draw.position());
        let bytes = if draw.flag() {
            let seed = FrameSeed::new(ingress_tag(TAG, key), Term(0), position);
            framed(seed, draw)
        } else {
            draw.slice(300).to_vec()
        };
        let slice = Slice { stream, epoch, position, bytes };
        self.deliver_slice(index, sender, &slice, draw);
    }

    /// A member says something to the member at `index`, or that member's own name does.
    pub(super) fn forge_as_member(&mut self, index: usize, draw: &mut Draw<'_, '_>) {
        if !self.liars_allowed.members {
            return;
        }
        self.liars.members = true;
        draw.near = Some(self.near(index));
        let sender = self.forged_member(index, draw);
        let message =
            if draw.byte() < 220 { draw.consensus_message() } else { draw.stream_message() };
        self.deliver_control(index, sender, &message);
    }

    /// Bytes of the log: of another member's, or frames that nobody wrote under right checksums.
    pub(super) fn forge_slice(&mut self, index: usize, draw: &mut Draw<'_, '_>) {
        if !self.liars_allowed.members {
            return;
        }
        self.liars.members = true;
        draw.near = Some(self.near(index));
        let sender = self.forged_member(index, draw);
        let (position, term) = (draw.position(), draw.term());
        let position = Position(position.0 & !7);
        let mut bytes = match draw.below(4) {
            0 | 1 => {
                let from = &self.hosts[draw.below(self.hosts.len())].disk.log;
                let length = (draw.below(40) + 1) * 8;
                let start = (position.0 as usize).min(from.len());
                from[start..from.len().min(start + length)].to_vec()
            }
            2 => framed(FrameSeed::new(TAG, term, position), draw),
            _ => draw.slice(256).to_vec(),
        };
        bytes.truncate(bytes.len() & !7);
        let slice = Slice { stream: Stream::Log, epoch: term.0, position, bytes };
        self.deliver_slice(index, sender, &slice, draw);
    }

    /// Somebody says something to the client.
    pub(super) fn forge_for_client(&mut self, draw: &mut Draw<'_, '_>) {
        draw.near = Some(self.near(0));
        let sender = self.forged_member(0, draw);
        if draw.flag() {
            let message = draw.stream_message();
            if let Some(bytes) = encoded(sender, &message) {
                self.deliver(&Datagram { to: CLIENT, from: endpoint(1), bytes });
            }
            return;
        }
        let (epoch, position, slice) = (draw.session_epoch(), draw.position(), draw.slice(200));
        let mut buffer = [0; CONTROL_BYTES_MAX];
        let header = Header { tag: TAG, sender };
        let (stream, slice) = (Stream::Egress(KEY), (slice, &[][..]));
        if let Ok(length) = encode_data(&header, stream, epoch, position, None, slice, &mut buffer)
        {
            let bytes = buffer[..length].to_vec();
            self.deliver(&Datagram { to: CLIENT, from: endpoint(1), bytes });
        }
    }

    /// Raw bytes behind sound headers: what a newer version, or nobody, would send.
    pub(super) fn forge_bytes(&mut self, index: usize, draw: &mut Draw<'_, '_>) {
        let sender = Sender::Client { key: ClientKey(2) };
        let message = Message::Abdicate { term: Term(1) };
        let Some(mut bytes) = encoded(sender, &message) else { return };
        bytes.truncate(quorate_codecs::HEADER_BYTES);
        bytes[40..42].copy_from_slice(&u16::from(draw.byte() % 80).to_le_bytes());
        bytes[42..44].copy_from_slice(&(16 + u16::from(draw.byte() % 24)).to_le_bytes());
        bytes.extend_from_slice(draw.slice(300));
        seal(&mut bytes);
        self.deliver(&Datagram { to: endpoint(index as u16 + 1), from: CLIENT, bytes });
    }

    /// Who a liar says it is: mostly another member in the life that runs.
    fn forged_member(&self, index: usize, draw: &mut Draw<'_, '_>) -> Sender {
        let pick = draw.byte();
        if pick < 24 {
            let (member, boot) = (draw.member(), draw.number());
            let incarnation = Incarnation(1 + u32::from(draw.byte() % 2));
            return Sender::Member { member, incarnation, boot_epoch: BootEpoch(boot % 5) };
        }
        let other = (index + 1 + usize::from(pick) % (usize::from(MEMBERS) - 1)) % self.hosts.len();
        self.hosts[other].sender()
    }

    fn deliver_control(&mut self, index: usize, sender: Sender, message: &Message) {
        if let Some(bytes) = encoded(sender, message) {
            let from = source_of(sender);
            self.deliver(&Datagram { to: endpoint(index as u16 + 1), from, bytes });
        }
    }

    fn deliver_slice(
        &mut self,
        index: usize,
        sender: Sender,
        slice: &Slice,
        draw: &mut Draw<'_, '_>,
    ) {
        let Slice { stream, epoch, position, bytes } = slice;
        let live = draw.live().filter(|_| *stream == Stream::Log);
        let mut buffer = [0; CONTROL_BYTES_MAX];
        let header = Header { tag: TAG, sender };
        let parts = (&bytes[..], &[][..]);
        let length = encode_data(&header, *stream, *epoch, *position, live, parts, &mut buffer);
        if let Ok(length) = length {
            let (to, from) = (endpoint(index as u16 + 1), source_of(sender));
            self.deliver(&Datagram { to, from, bytes: buffer[..length].to_vec() });
        }
    }
}

/// A slice of a stream that nobody sent.
struct Slice {
    stream: Stream,
    epoch: u64,
    position: Position,
    bytes: Vec<u8>,
}

/// A whole frame under a right checksum.
fn framed(seed: FrameSeed, draw: &mut Draw<'_, '_>) -> Vec<u8> {
    let body = any_body(draw);
    let payload = draw.slice(200);
    let mut bytes = [FrameFront::new(seed, &body, (payload, &[])).bytes(), payload].concat();
    bytes.resize(aligned(bytes.len() as u64) as usize, 0);
    bytes
}

/// A datagram, unless the rules of the wire forbid it.
fn encoded(sender: Sender, message: &Message) -> Option<Vec<u8>> {
    let mut buffer = [0; CONTROL_BYTES_MAX];
    let length = encode_control(&Header { tag: TAG, sender }, message, &mut buffer).ok()?;
    Some(buffer[..length].to_vec())
}

fn source_of(sender: Sender) -> quorate_core::Endpoint {
    match sender {
        Sender::Member { member: MemberId(number), .. } => endpoint(number),
        Sender::Client { key: KEY } => CLIENT,
        Sender::Client { key } => endpoint(200 + key.0 as u16),
    }
}
