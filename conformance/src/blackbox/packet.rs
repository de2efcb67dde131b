//! IPv4 packets with UDP in them, as they come out of a tunnel.

use core::net::Ipv4Addr;

/// Bytes of an IPv4 header without options.
const IP_BYTES: usize = 20;
/// Bytes of a UDP header.
const UDP_BYTES: usize = 8;
/// The number of UDP among the protocols of IP.
const UDP: u8 = 17;

/// A packet with one whole UDP datagram.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    pub(super) from: Ipv4Addr,
    pub(super) to: Ipv4Addr,
    pub(super) payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Takes a packet apart; `None` for anything but one unfragmented UDP datagram (RFC 791, 768).
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.get(..IP_BYTES)?;
        let header_bytes = usize::from(header[0] & 15) * 4;
        let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
        if header[0] >> 4 != 4 || header[9] != UDP || fragment != 0 || header_bytes < IP_BYTES {
            return None;
        }
        let payload = bytes.get(header_bytes + UDP_BYTES..total)?;
        let address =
            |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
        Some(Self { from: address(12), to: address(16), payload })
    }
}

/// The packet with this bit of its payload flipped, and without a checksum of its own: a receiver's
/// kernel has to let it pass (RFC 768: zero says that there is none).
pub(super) fn with_payload(bytes: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let header_bytes = usize::from(bytes.first().copied().unwrap_or(0) & 15) * 4;
    let begin = header_bytes + UDP_BYTES;
    if let Some(place) = changed.get_mut(begin..begin + payload.len()) {
        place.copy_from_slice(payload);
        changed[begin - 2..begin].fill(0);
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, UDP, 0, 0];
        bytes.extend([10, 88, 0, 1, 10, 88, 0, 2]);
        bytes.extend([0, 1, 0, 2, 0, 12, 0xab, 0xcd, 1, 2, 3, 4]);
        bytes
    }

    #[test]
    fn a_datagram_is_taken_out() {
        let bytes = packet();
        let parsed = Packet::parse(&bytes).unwrap();
        assert_eq!(
            (parsed.from, parsed.to),
            (Ipv4Addr::new(10, 88, 0, 1), Ipv4Addr::new(10, 88, 0, 2))
        );
        assert_eq!(parsed.payload, [1, 2, 3, 4]);
    }

    #[test]
    fn anything_else_is_none() {
        let bytes = packet();
        for length in 0..bytes.len() {
            assert!(Packet::parse(&bytes[..length]).is_none(), "{length} bytes");
        }
        for (at, value) in [(0, 0x65), (0, 0x41), (9, 6), (6, 0x20), (7, 1)] {
            let mut changed = bytes.clone();
            changed[at] = value;
            assert!(Packet::parse(&changed).is_none(), "byte {at}");
        }
    }

    #[test]
    fn a_changed_payload_has_no_checksum() {
        let changed = with_payload(&packet(), &[9, 2, 3, 4]);
        assert_eq!(changed[26..], [0, 0, 9, 2, 3, 4]);
    }
}
