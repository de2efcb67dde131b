//! Golden datagrams for authors of codecs in any language: bytes, and what they say.
//!
//! A decoder is any program that reads one JSON object a line (`{"group_tag": "…", "hex": "…"}`)
//! and answers each with one line: what the datagram says, or `{"error": "…"}`. Integers are
//! decimal strings, since many languages have no 64-bit integers in JSON; enumerated values are
//! names; absent values are null; bytes are hexadecimal.

mod check;
mod fields;
mod samples;

use quorate_codecs::{DATAGRAM_BYTES_MAX, EncodeError, Header, encode_control, encode_data};
use quorate_core::{GroupTag, Incoming, Sender};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use check::{Disagreement, check};

use self::fields::{fields_of, header_of};
use self::samples::samples;

/// The tag of the group of all vectors.
pub const TAG: GroupTag = GroupTag(0x0123_4567_89ab_cdef);

/// One golden datagram.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Vector {
    /// What it is, in a few words.
    pub name: String,
    /// The group whose datagrams the receiver takes.
    pub group_tag: String,
    /// The bytes.
    pub hex: String,
    /// What it says; absent when it must be refused.
    pub says: Option<Value>,
}

/// All vectors: each kind of message minimal, typical and maximal, and bytes that are to be
/// refused.
///
/// # Errors
/// A sample cannot be encoded: the codec is broken.
pub fn vectors() -> Result<Vec<Vector>, EncodeError> {
    let mut vectors = Vec::new();
    for sample in samples() {
        let bytes = encode(sample.sender, &sample.content())?;
        let says = said(sample.sender, &sample.content());
        vectors.push(Vector::new(sample.name, &bytes, Some(says)));
    }
    let typical = vectors.get(1).and_then(|vector| bytes_of(&vector.hex)).unwrap_or_default();
    vectors.extend(damaged(&typical));
    Ok(vectors)
}

/// What a datagram says, as vectors tell it.
pub(crate) fn said(sender: Sender, content: &Incoming<'_>) -> Value {
    let (template, fields) = fields_of(content);
    let mut says = json!({ "template": template, "header": header_of(sender), "fields": fields });
    if let Incoming::Data { slice, .. } = content {
        says["slice"] = json!(hex(slice));
    }
    says
}

/// Datagrams that have to be refused, made of a good one.
fn damaged(good: &[u8]) -> Vec<Vector> {
    let mut damaged = Vec::new();
    for bit in [0, 17, 40, 130, good.len() * 8 - 1] {
        let mut bytes = good.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        damaged.push(Vector::new(format!("bit {bit} is flipped"), &bytes, None));
    }
    for length in [0, 1, 39, 48, good.len() - 1] {
        damaged.push(Vector::new(format!("cut to {length} bytes"), &good[..length], None));
    }
    let other = Vector { group_tag: "1".into(), ..Vector::new("of another group", good, None) };
    damaged.push(other);
    damaged
}

impl Vector {
    fn new(name: impl Into<String>, bytes: &[u8], says: Option<Value>) -> Self {
        Self { name: name.into(), group_tag: TAG.0.to_string(), hex: hex(bytes), says }
    }
}

fn encode(sender: Sender, content: &Incoming<'_>) -> Result<Vec<u8>, EncodeError> {
    let (header, mut bytes) = (Header { tag: TAG, sender }, vec![0; DATAGRAM_BYTES_MAX]);
    let length = match content {
        Incoming::Control(message) => encode_control(&header, message, &mut bytes)?,
        Incoming::Data { stream, epoch, position, live, slice } => {
            let slices = (*slice, &[][..]);
            encode_data(&header, *stream, *epoch, *position, *live, slices, &mut bytes)?
        }
    };
    bytes.truncate(length);
    Ok(bytes)
}

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use core::fmt::Write;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The bytes of a hexadecimal text, if it is one.
#[must_use]
pub fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        hex.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.as_chunks().0.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_codecs::decode;

    #[test]
    fn good_vectors_are_taken_and_damaged_ones_are_refused() {
        let vectors = vectors().unwrap();
        assert!(vectors.iter().filter(|vector| vector.says.is_some()).count() >= 3 * 19);
        for vector in vectors {
            let bytes = bytes_of(&vector.hex).unwrap();
            let tag = GroupTag(vector.group_tag.parse().unwrap());
            let decoded = decode(&bytes, tag);
            assert_eq!(decoded.is_ok(), vector.says.is_some(), "{}", vector.name);
            if let Ok((sender, content)) = decoded {
                assert_eq!(encode(sender, &content).unwrap(), bytes, "{}", vector.name);
            }
        }
    }

    #[test]
    fn hexadecimal_goes_both_ways() {
        assert_eq!(bytes_of(&hex(&[0, 255, 16])), Some(vec![0, 255, 16]));
        assert_eq!((bytes_of("0"), bytes_of("zz")), (None, None));
    }
}
