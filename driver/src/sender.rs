//! Turns messages and runs of streams into datagrams.

use std::collections::BTreeSet;
use std::io;

use quorate_codecs::{Header, encode_control, encode_data};
use quorate_core::message::Live;
use quorate_core::{Endpoint, Message, PositionRange, Stream};

use crate::endpoint::address_of;
use crate::metrics::DatagramCounters;
use crate::port::DatagramPort;

/// The largest datagram, and the most that goes to a port at once: what UDP can carry.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;

/// Refusals of the socket that are remembered as told, at most: clients choose their addresses.
const REFUSALS_MAX: usize = 64;

/// Where the bytes of a run go, and what stands in the headers of its datagrams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) to: Endpoint,
    pub(crate) stream: Stream,
    pub(crate) epoch: u64,
    pub(crate) range: PositionRange,
    pub(crate) live: Option<Live>,
}

/// Encodes into one buffer and hands over to a port. Counts what it does.
#[derive(Debug)]
pub(crate) struct Sender {
    header: Header,
    slice_bytes: usize,
    buffer: Vec<u8>,
    /// Which refusals of the socket were told.
    refusals: BTreeSet<(Endpoint, io::ErrorKind)>,
    pub(crate) counters: DatagramCounters,
}

impl Sender {
    pub(crate) fn new(header: Header, slice_bytes: u32) -> Self {
        let buffer = vec![0; DATAGRAM_BYTES_MAX];
        let counters = DatagramCounters::default();
        let slice_bytes = slice_bytes as usize;
        Self { header, slice_bytes, buffer, refusals: BTreeSet::new(), counters }
    }

    /// Another life sends from now on.
    pub(crate) fn begin(&mut self, header: Header) {
        self.header = header;
    }

    /// Sends one control message.
    pub(crate) fn control(
        &mut self,
        port: &mut impl DatagramPort,
        to: Endpoint,
        message: &Message,
    ) {
        match encode_control(&self.header, message, &mut self.buffer) {
            Ok(length) => self.hand_over(port, to, length, length),
            Err(error) => {
                // Only a bug gets here: the core bounds its messages.
                tracing::error!(?error, ?message, "a message could not be encoded");
                self.counters.unsent += 1;
            }
        }
    }

    /// Sends `bytes`, joined, as datagrams with `slice_bytes` of them each, the last one shorter.
    pub(crate) fn data(&mut self, port: &mut impl DatagramPort, run: &Run, bytes: (&[u8], &[u8])) {
        let total = bytes.0.len() + bytes.1.len();
        let (mut at, mut used, mut datagram_bytes) = (0, 0, 0);
        while at < total {
            let length = self.slice_bytes.min(total - at);
            let slice = part(bytes, at, length);
            let position = run.range.start.plus(at as u64);
            let (header, live) = (&self.header, run.live);
            let room = &mut self.buffer[used..];
            match encode_data(header, run.stream, run.epoch, position, live, slice, room) {
                Ok(encoded) => {
                    datagram_bytes = datagram_bytes.max(encoded);
                    used += encoded;
                    at += length;
                }
                Err(_) if used > 0 => {
                    self.hand_over(port, run.to, used, datagram_bytes);
                    (used, datagram_bytes) = (0, 0);
                }
                Err(error) => {
                    tracing::error!(?error, ?run, "a slice could not be encoded");
                    self.counters.unsent += 1;
                    return;
                }
            }
        }
        if used > 0 {
            self.hand_over(port, run.to, used, datagram_bytes);
        }
    }

    fn hand_over(
        &mut self,
        port: &mut impl DatagramPort,
        to: Endpoint,
        used: usize,
        datagram_bytes: usize,
    ) {
        let datagrams = used.div_ceil(datagram_bytes) as u64;
        // What the socket refuses is lost like any datagram; whoever needs it asks again.
        let sent = match port.send(to, &self.buffer[..used], datagram_bytes) {
            Ok(sent) => sent as u64,
            Err(error) => {
                self.refused(to, &error);
                0
            }
        };
        self.counters.sent += sent;
        self.counters.sent_bytes += (sent * datagram_bytes as u64).min(used as u64);
        self.counters.unsent += datagrams.saturating_sub(sent);
    }
}

impl Sender {
    /// Tells of a refusal, once for each destination and kind: it may last, and then nothing ever
    /// gets there.
    fn refused(&mut self, to: Endpoint, error: &io::Error) {
        let told = self.refusals.contains(&(to, error.kind()));
        if !told && self.refusals.len() < REFUSALS_MAX {
            self.refusals.insert((to, error.kind()));
            let address = address_of(to);
            tracing::warn!(
                %address, %error,
                "the socket refuses to send; check the address, the route and the firewall"
            );
        }
    }
}

/// The `length` bytes from `start` on of two slices joined.
pub(crate) fn part<'a>(
    bytes: (&'a [u8], &'a [u8]),
    start: usize,
    length: usize,
) -> (&'a [u8], &'a [u8]) {
    let (first, second) = bytes;
    let end = start + length;
    let first_part = &first[start.min(first.len())..end.min(first.len())];
    let second_part = &second[start.saturating_sub(first.len())..end.saturating_sub(first.len())];
    (first_part, second_part)
}

#[cfg(test)]
mod tests {
    use quorate_core::{ClientKey, GroupId, GroupTag, RecoveryEpoch};

    use super::*;

    #[test]
    fn a_refusal_is_told_once_for_each_destination_and_kind() {
        let tag = GroupTag::new(GroupId(1), RecoveryEpoch(0));
        let origin = quorate_core::message::Sender::Client { key: ClientKey(1) };
        let mut sender = Sender::new(Header { tag, sender: origin }, 64);
        let (one, other) = (Endpoint([1; 18]), Endpoint([2; 18]));
        let unreachable = io::Error::from(io::ErrorKind::NetworkUnreachable);
        for to in [one, other, one] {
            sender.refused(to, &unreachable);
        }
        sender.refused(one, &io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(sender.refusals.len(), 3);
        for number in 0..=255 {
            sender.refused(Endpoint([number; 18]), &unreachable);
        }
        assert_eq!(sender.refusals.len(), REFUSALS_MAX);
    }

    #[test]
    fn parts_of_two_slices_are_parts_of_their_join() {
        let whole: Vec<u8> = (0..20).collect();
        for split in 0..=20 {
            let (first, second) = whole.split_at(split);
            for start in 0..=20 {
                for length in 0..=(20 - start) {
                    let (one, two) = part((first, second), start, length);
                    assert_eq!([one, two].concat(), whole[start..start + length]);
                }
            }
        }
    }
}
