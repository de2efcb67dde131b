//! The golden datagrams: what each kind of message is on the wire, minimal, typical and maximal.

use quorate_core::GroupTag;
use quorate_core::frame::Checksum;

/// The group of all vectors.
pub(crate) const VECTOR_TAG: GroupTag = GroupTag(0x0123_4567_89ab_cdef);

const GOLDEN: &str = include_str!("../../codecs/tests/wire/golden.txt");

/// One datagram with what it says.
#[derive(Clone, Debug)]
pub(crate) struct Vector {
    /// Its kind and how full it is: `Ballot typical`.
    pub(crate) name: &'static str,
    /// Sender and content as they are printed.
    pub(crate) printed: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// All vectors.
pub(crate) fn vectors() -> Vec<Vector> {
    let entries = GOLDEN.split("\n# ").skip(1);
    entries
        .map(|entry| {
            let (name, rest) = entry.split_once('\n').unwrap_or_default();
            let (printed, digits) = rest.split_once('\n').unwrap_or_default();
            let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
            Vector { name, printed, bytes: digits.chunks(2).filter_map(byte).collect() }
        })
        .collect()
}

fn byte(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
}

/// Makes the checksum of a datagram right.
pub(crate) fn seal(datagram: &mut [u8]) {
    if datagram.len() >= 8 {
        datagram[4..8].fill(0);
        let checksum = Checksum::default().add(datagram).value();
        datagram[4..8].copy_from_slice(&checksum.to_le_bytes());
    }
}
