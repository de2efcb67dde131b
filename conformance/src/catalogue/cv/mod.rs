//! Codec vectors and evolution.

mod differential;
mod evolution;
mod foreign;
mod frames;
mod groups;
mod mixed;
mod schemas;
mod vectors;

use quorate_codecs::{HEADER_BYTES, decode};
use quorate_core::Sender;
use quorate_core::message::Incoming;

use crate::case::{Case, Failure};
use crate::golden::{VECTOR_TAG, seal};
use differential::cv_24;
use evolution::{cv_12, cv_13};
use foreign::cv_23;
use groups::{cv_08, cv_09, cv_10, cv_11, cv_14, cv_16, cv_17};
use mixed::cv_22;
use schemas::{cv_03, cv_05, cv_21, cv_25};
use vectors::{cv_01, cv_02, cv_04, cv_06, cv_07, cv_15, cv_18, cv_19, cv_20, cv_26};

/// The schema of everything on the wire and in the log.
const SCHEMA: &str = include_str!("../../../../schema/quorate.xml");
/// Where the block of a datagram begins.
const BLOCK: usize = HEADER_BYTES;

/// What a vector says.
fn said<'a>(name: &str, bytes: &'a [u8]) -> Result<(Sender, Incoming<'a>), Failure> {
    decode(bytes, VECTOR_TAG).map_err(|error| Failure::broken(format!("{name}: {error}")))
}

/// A vector as a writer of the next version sends it: `block` more bytes in the block, `entry`
/// more in each entry of its group if it has one, and `tail` behind everything.
fn by_newer(datagram: &[u8], block: usize, entry: usize, tail: &[u8]) -> Vec<u8> {
    let u16_at = |bytes: &[u8], at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let length = u16_at(datagram, 40);
    let (front, rest) = datagram.split_at(HEADER_BYTES + usize::from(length));
    let mut bytes = front.to_vec();
    bytes.extend(core::iter::repeat_n(0xa5, block));
    bytes[40..42].copy_from_slice(&(length + block as u16).to_le_bytes());
    bytes[46..48].copy_from_slice(&2_u16.to_le_bytes());
    let is_data = [16, 17].contains(&u16_at(datagram, 42));
    if rest.len() >= 4 && !is_data {
        let entry_length = usize::from(u16_at(rest, 0));
        bytes.extend_from_slice(&((entry_length + entry) as u16).to_le_bytes());
        bytes.extend_from_slice(&rest[2..4]);
        for old in rest[4..].chunks(entry_length) {
            bytes.extend_from_slice(old);
            bytes.extend(core::iter::repeat_n(0x5a, entry));
        }
    } else {
        bytes.extend_from_slice(rest);
    }
    bytes.extend_from_slice(tail);
    seal(&mut bytes);
    bytes
}

pub(super) const CASES: &[Case] = &[
    Case::core(
        "CV-01",
        "golden bytes",
        "Every kind of datagram is written as its golden bytes and read from them, minimal, typical \
         and maximal, and there is no kind without.",
        cv_01,
    )
    .quick(),
    Case::core(
        "CV-02",
        "primitives",
        "Numbers are written and read whole at their edges, a position above the largest or null is \
         refused both ways, and null in an optional field is absence.",
        cv_02,
    )
    .edges(&["E96"]),
    Case::core(
        "CV-03",
        "floats",
        "There are no floating-point numbers on the wire, and the generator refuses them by name.",
        cv_03,
    ),
    Case::core(
        "CV-04",
        "arrays of octets",
        "An array on the wire is exactly its octets, whatever they are: there is no padding, no end \
         and no other length.",
        cv_04,
    ),
    Case::core(
        "CV-05",
        "constants",
        "There are no constants in the schema, and the generator refuses them by name.",
        cv_05,
    ),
    Case::core(
        "CV-06",
        "padding",
        "Every byte that no reader looks at is written as zero, and says nothing when it is not.",
        cv_06,
    ),
    Case::core(
        "CV-07",
        "enumerations",
        "A value that an enumeration does not know is refused by name in a datagram, and kept in \
         the log.",
        cv_07,
    ),
    Case::core(
        "CV-08",
        "groups",
        "A group with none, one and as many entries as may be has its dimension and all of them, \
         one more is refused both ways, and a group within a group is refused by the generator.",
        cv_08,
    ),
    Case::core(
        "CV-09",
        "length of entries",
        "Entries that are longer on the wire are read as far as they are known, shorter ones are \
         refused, and the length of no entries says nothing.",
        cv_09,
    ),
    Case::core(
        "CV-10",
        "slices and payloads",
        "Slices of streams and payloads of frames of any length up to the limit are exact, longer \
         ones and lengths beyond the bytes are refused and never cut (variable data within a \
         message is refused by the generator).",
        cv_10,
    ),
    Case::core(
        "CV-11",
        "length of a block",
        "What a longer block has behind the known fields is skipped, and a block that is too short \
         for a field is refused.",
        cv_11,
    ),
    Case::core(
        "CV-12",
        "an older writer",
        "What a writer one or two versions back did not have is absent for a newer reader: fields, \
         entries' fields, enumerations and groups.",
        cv_12,
    )
    .quick()
    .edges(&["E119"]),
    Case::core(
        "CV-13",
        "a newer writer",
        "What a newer writer adds to blocks, entries and ends of messages and frames is skipped, \
         and nothing behind it is misread.",
        cv_13,
    )
    .quick()
    .edges(&["E119"]),
    Case::core(
        "CV-14",
        "one after the other",
        "A datagram has one message, and frames of unknown kinds between known ones in the log are \
         stepped over without losing one.",
        cv_14,
    ),
    Case::core(
        "CV-15",
        "truncation",
        "No prefix of any datagram or frame is read as something, with or without a right checksum, \
         but for a data datagram, whose rest is its slice.",
        cv_15,
    )
    .quick()
    .edges(&["E94"]),
    Case::core(
        "CV-16",
        "arithmetic",
        "Products of lengths and counts and sums of positions and lengths at the ends of their types \
         are refused, and wrap nowhere.",
        cv_16,
    )
    .edges(&["E96"]),
    Case::core(
        "CV-17",
        "order of access",
        "A block cannot be written to once its group is begun, a group has as many entries as were \
         announced, and what was not set is zero.",
        cv_17,
    ),
    Case::core(
        "CV-18",
        "hosts",
        "On the host on which the suite runs, numbers in the golden bytes lie in little-endian order \
         (run it on a big-endian and a 32-bit host for those).",
        cv_18,
    ),
    Case::core(
        "CV-19",
        "round trip",
        "Any message, slice and frame that can be written reads the same, and does not when it is \
         cut or damaged.",
        cv_19,
    ),
    Case::core(
        "CV-20",
        "checksums",
        "One or two flipped bits anywhere in a datagram, and one in a frame, are noticed.",
        cv_20,
    ),
    Case::core(
        "CV-21",
        "rules of schemas",
        "Every kind of invalid schema is reported under its own name, with the place and what to do.",
        cv_21,
    ),
    Case::cluster(
        "CV-22",
        "a group of several versions",
        "In a group whose members write the wire of neighbouring versions, and are replaced one by one \
         in both directions, nothing is lost, and who writes a log too early leads nobody.",
        cv_22,
    )
    .without("a feature that a group agrees to switch on: there is none; and another version's files: there is one version")
    .edges(&["E119"]),
    Case::core(
        "CV-23",
        "foreign vectors",
        "Messages that another encoder of the standard wrote are read as documented.",
        cv_23,
    )
    .should(),
    Case::core(
        "CV-24",
        "against a second decoder",
        "For random schemas and messages two decoders agree on what is said, or both refuse, and so \
         do the generated code and a decoder that knows only the schema.",
        cv_24,
    )
    .should(),
    Case::core(
        "CV-25",
        "stability",
        "Ids and names of messages are unique, the generated code is of the schema's version, and no \
         layout changes without a new one.",
        cv_25,
    ),
    Case::core(
        "CV-26",
        "no copies",
        "The largest datagram and the largest frame are read without taking anything from the heap, \
         and a slice is handed out where it lies.",
        cv_26,
    ),
];

#[cfg(test)]
mod tests {
    use crate::catalogue::proof::assert_all_pass;

    #[test]
    fn all_cases_pass() {
        assert_all_pass(super::CASES);
    }
}
