//! The core with parts that are not of this project's crates: a codec of text, which is that of the
//! examples, on the suite's network, which is a list in memory.
//!
//! A datagram is a line that anybody can read, behind the group's tag and a checksum.

#[path = "../../../examples/text_transport/text.rs"]
mod words;

use quorate_codecs::{DATAGRAM_BYTES_MAX, Header, decode, encode_control, encode_data};
use quorate_core::frame::Checksum;
use quorate_core::{GroupTag, Incoming, Message, Sender};

use self::words::Content;
use super::reference::{Codec, Data, spawn_with};
use crate::catalogue;
use crate::edges::Edges;
use crate::subject::{Description, Feature, Node, NodeSpec, SpawnError, Subject, Wording};

/// The subject `text`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Text;

impl Subject for Text {
    fn describe(&self) -> Description {
        Description {
            name: "text".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            about: "the core in the smallest loop, whose datagrams are lines of text".into(),
            features: vec![
                Feature::VirtualDisk,
                Feature::GracefulStop,
                Feature::Members,
                Feature::Snapshots,
                Feature::Purging,
            ],
            claims: catalogue::groups().map(str::to_owned).collect(),
        }
    }

    fn spawn(&self, spec: &NodeSpec, edges: Edges) -> Result<Box<dyn Node>, SpawnError> {
        spawn_with(Box::new(Lines), spec, edges)
    }

    fn wording(&self) -> Option<Wording> {
        Some(Wording { write, read })
    }
}

/// The codec of text.
struct Lines;

impl Codec for Lines {
    fn control(&self, header: &Header, message: &Message) -> Option<Vec<u8>> {
        Some(line(header.tag, header.sender, &Content::Control(message.clone())))
    }

    fn data(&self, header: &Header, data: Data, slice: &[u8]) -> Option<Vec<u8>> {
        let Data { stream, epoch, position: at, live } = data;
        let content = Content::Data { stream, epoch, at, live, bytes: slice.to_vec() };
        Some(line(header.tag, header.sender, &content))
    }

    fn read(&self, bytes: &[u8], tag: GroupTag, hear: &mut dyn FnMut(Sender, Incoming<'_>)) {
        match read_line(bytes, tag) {
            Some((sender, Content::Control(message))) => hear(sender, Incoming::Control(message)),
            Some((sender, Content::Data { stream, epoch, at: position, live, bytes })) => {
                hear(sender, Incoming::Data { stream, epoch, position, live, slice: &bytes });
            }
            None => {}
        }
    }
}

/// Tag and checksum, then who says what.
fn line(tag: GroupTag, sender: Sender, content: &Content) -> Vec<u8> {
    let said = words::write(sender, content);
    format!("{:016x} {:08x} {said}", tag.0, sum(&said)).into_bytes()
}

fn read_line(bytes: &[u8], tag: GroupTag) -> Option<(Sender, Content)> {
    let line = core::str::from_utf8(bytes).ok()?;
    let (found, rest) = line.split_once(' ')?;
    let (checksum, said) = rest.split_once(' ')?;
    let is_ours = u64::from_str_radix(found, 16) == Ok(tag.0);
    let is_whole = u32::from_str_radix(checksum, 16) == Ok(sum(said));
    if is_ours && is_whole { words::read(said) } else { None }
}

fn sum(said: &str) -> u32 {
    Checksum::default().add(said.as_bytes()).value()
}

/// The line of a datagram.
fn write(datagram: &[u8], tag: GroupTag) -> Option<Vec<u8>> {
    let (sender, content) = decode(datagram, tag).ok()?;
    let content = match content {
        Incoming::Control(message) => Content::Control(message),
        Incoming::Data { stream, epoch, position: at, live, slice } => {
            Content::Data { stream, epoch, at, live, bytes: slice.to_vec() }
        }
    };
    Some(line(tag, sender, &content))
}

/// The datagram of a line.
fn read(line: &[u8], tag: GroupTag) -> Option<Vec<u8>> {
    let (sender, content) = read_line(line, tag)?;
    let (header, mut bytes) = (Header { tag, sender }, vec![0; DATAGRAM_BYTES_MAX]);
    let length = match content {
        Content::Control(message) => encode_control(&header, &message, &mut bytes),
        Content::Data { stream, epoch, at, live, bytes: slice } => {
            encode_data(&header, stream, epoch, at, live, (&slice, &[]), &mut bytes)
        }
    };
    bytes.truncate(length.ok()?);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{VECTOR_TAG, vectors};

    #[test]
    fn a_line_says_what_its_datagram_says_unless_it_is_damaged_or_of_another_group() {
        for vector in vectors() {
            let line = write(&vector.bytes, VECTOR_TAG).expect("each vector has a line");
            assert_eq!(read(&line, VECTOR_TAG).as_ref(), Some(&vector.bytes), "{}", vector.name);
            assert_eq!(read(&line, GroupTag(1)), None, "{}", vector.name);
            let mut damaged = line.clone();
            *damaged.last_mut().expect("it is not empty") ^= 1;
            assert_eq!(read(&damaged, VECTOR_TAG), None, "{}", vector.name);
        }
    }
}
