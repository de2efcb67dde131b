//! The header of datagrams: whose they are, and whether they are whole.

use quorate_core::frame::{Checksum, LOG_VERSION};
use quorate_core::{BootEpoch, ClientKey, GroupTag, Incarnation, MemberId, Sender, mutant};

use crate::generated::{DatagramHeader, MessageHeader, SCHEMA_ID, SCHEMA_VERSION, SenderKind};
use crate::{DATAGRAM_BYTES_MAX, DecodeError, HEADER_BYTES, MAGIC, WIRE_VERSION};

/// Of which group a datagram is, and who sends it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Header {
    /// The group and its recovery epoch.
    pub tag: GroupTag,
    /// The sender.
    pub sender: Sender,
}

/// Where the checksum lies in a datagram.
const CHECKSUM: core::ops::Range<usize> = 4..8;

impl Header {
    /// Writes the headers into the first [`HEADER_BYTES`] of `datagram`, whose rest is written.
    pub(crate) fn write(&self, template_id: u16, block_length: usize, datagram: &mut [u8]) {
        let (sender, sender_kind, incarnation, boot_epoch) = match self.sender {
            Sender::Member { member, incarnation, boot_epoch } => {
                (u64::from(member.0), SenderKind::Member, incarnation.0, boot_epoch.0)
            }
            Sender::Client { key } => (key.0, SenderKind::Client, 0, 0),
        };
        let header = DatagramHeader {
            magic: MAGIC,
            wire_version: WIRE_VERSION,
            log_version: LOG_VERSION as u8,
            checksum: 0,
            group_tag: self.tag.0,
            sender,
            boot_epoch,
            incarnation,
            sender_kind,
        };
        let message = MessageHeader {
            block_length: block_length as u16,
            template_id,
            schema_id: SCHEMA_ID,
            version: SCHEMA_VERSION,
        };
        datagram[..DatagramHeader::BYTES].copy_from_slice(&header.encode());
        datagram[DatagramHeader::BYTES..HEADER_BYTES].copy_from_slice(&message.encode());
        let checksum = checksum(datagram);
        datagram[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    }
}

// The header has one byte for it.
const _: () = assert!(LOG_VERSION <= u8::MAX as u16);

/// CRC32C over `datagram` with the checksum field zero. It has at least the headers.
fn checksum(datagram: &[u8]) -> u32 {
    // With what lies before the field as one word: whole words are summed fastest.
    let mut first = [0; CHECKSUM.end];
    first[..CHECKSUM.start].copy_from_slice(&datagram[..CHECKSUM.start]);
    Checksum::default().add(&first).add(&datagram[CHECKSUM.end..]).value()
}

/// Reads the headers of `datagram` and checks them, cheapest first. Returns the sender, the message
/// header, and what follows it.
pub(crate) fn read(
    datagram: &[u8],
    expected: GroupTag,
) -> Result<(Sender, MessageHeader, &[u8]), DecodeError> {
    let (bytes, rest) =
        datagram.split_first_chunk::<{ DatagramHeader::BYTES }>().ok_or(DecodeError::Truncated)?;
    let (message, body) =
        rest.split_first_chunk::<{ MessageHeader::BYTES }>().ok_or(DecodeError::Truncated)?;
    let header = DatagramHeader::decode(bytes);
    if datagram.len() > DATAGRAM_BYTES_MAX {
        return Err(DecodeError::Oversized);
    }
    if header.magic != MAGIC {
        return Err(DecodeError::Magic);
    }
    if header.wire_version != WIRE_VERSION {
        return Err(DecodeError::WireVersion);
    }
    let log_version = u16::from(header.log_version);
    if log_version == 0 || log_version > LOG_VERSION {
        return Err(DecodeError::LogVersion);
    }
    let is_foreign = header.group_tag != expected.0;
    if is_foreign && !mutant::is(mutant::FOREIGN_DATAGRAMS_ARE_READ) {
        return Err(DecodeError::ForeignGroup);
    }
    let is_damaged = header.checksum != checksum(datagram);
    if is_damaged && !mutant::is(mutant::DAMAGED_DATAGRAMS_ARE_READ) {
        return Err(DecodeError::Checksum);
    }
    let message = MessageHeader::decode(message);
    if message.schema_id != SCHEMA_ID {
        return Err(DecodeError::Schema);
    }
    Ok((sender(&header)?, message, body))
}

fn sender(header: &DatagramHeader) -> Result<Sender, DecodeError> {
    match header.sender_kind {
        SenderKind::Member => Ok(Sender::Member {
            member: MemberId(u16::try_from(header.sender).map_err(|_| DecodeError::Sender)?),
            incarnation: Incarnation(header.incarnation),
            boot_epoch: BootEpoch(header.boot_epoch),
        }),
        SenderKind::Client => Ok(Sender::Client { key: ClientKey(header.sender) }),
        SenderKind::Unknown(_) => Err(DecodeError::Sender),
    }
}
