//! From bytes to frames.

use super::generated::{
    MessageDecoder, MessageEncoder, ReplyDecoder, ReplyEncoder, SafeMessageDecoder,
};
use super::{
    BLOCK_BYTES_MAX, Body, FrameError, FrameHeader, FrameOwner, FrameSeed, HEADER_BYTES, SCHEMA_ID,
    SEALED_FROM, aligned,
};
use crate::identity::SessionId;
use crate::position::{Position, PositionRange};

/// A frame that was found sound, in one piece or two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) header: FrameHeader,
    /// Its bytes and perhaps more.
    first: &'a [u8],
    second: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Session, sequence, and a message's time or a reply's position, of one of those; `None` when
    /// its block is too short for that.
    fn short_fields(&self) -> Option<(SessionId, u64, u64)> {
        match self.body().ok()? {
            Body::Message { session, sequence, time }
            | Body::SafeMessage { session, sequence, time } => Some((session, sequence, time.0)),
            Body::Reply { session, sequence, position } => Some((session, sequence, position.0)),
            _ => None,
        }
    }

    /// What it says.
    ///
    /// # Errors
    /// [`FrameError::Template`].
    pub(crate) fn body(&self) -> Result<Body, FrameError> {
        body_of(&self.header, self.first, self.second)
    }

    /// The payload, in up to two pieces.
    fn payload(&self) -> (&'a [u8], &'a [u8]) {
        let start = HEADER_BYTES + usize::from(self.header.block_length);
        let end = self.header.length as usize;
        match self.first.get(start..end) {
            Some(payload) => (payload, &[]),
            None => split(self.first, self.second, start, end),
        }
    }

    /// Bytes that it takes, padding included.
    #[inline(always)]
    pub(crate) const fn len(&self) -> usize {
        self.header.aligned_length() as usize
    }
}

/// Bytes of the blocks that there are most of: those of messages and of replies.
const SHORT_BLOCK: usize = MessageEncoder::BLOCK_LENGTH;
const _: () = assert!(ReplyEncoder::BLOCK_LENGTH == SHORT_BLOCK);
/// Bytes of header and block of such a frame.
const SHORT_FRONT: usize = HEADER_BYTES + SHORT_BLOCK;

/// A message or a reply, as this version writes it, in one piece. Nearly all frames are: what reads
/// many of them reads these in a loop of its own, and leaves it for all others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain<'a> {
    length: u32,
    pub(crate) checksum: u32,
    /// All of it, padding included.
    bytes: &'a [u8],
    block: &'a [u8; SHORT_BLOCK],
}

impl<'a> Plain<'a> {
    /// The message that `bytes` begin with, if there is a whole one of `length_max` bytes at most.
    #[inline(always)]
    pub(crate) fn message(bytes: &'a [u8], length_max: u64) -> Option<Self> {
        Self::of(MessageDecoder::TEMPLATE_ID, bytes, length_max)
    }

    #[inline(always)]
    fn of(template: u16, bytes: &'a [u8], length_max: u64) -> Option<Self> {
        let (words, _) = bytes.first_chunk::<SHORT_FRONT>()?.as_chunks::<8>();
        let (sizes, kind) = (u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1]));
        let expected = SHORT_BLOCK as u64 | (template as u64) << 16 | (SCHEMA_ID as u64) << 32;
        // The rest is the version, which may be any: its writer has not put anything behind.
        let is_short = kind & 0xffff_ffff_ffff == expected;
        let length = sizes as u32;
        if !is_short || (length as usize) < SHORT_FRONT || u64::from(length) > length_max {
            return None;
        }
        let bytes = bytes.get(..aligned(u64::from(length)) as usize)?;
        let block = bytes[HEADER_BYTES..].first_chunk()?;
        Some(Self { length, checksum: (sizes >> 32) as u32, bytes, block })
    }

    /// Whether its checksum is what it says, under `seed`.
    #[inline(always)]
    pub(crate) fn is_sealed(&self, seed: FrameSeed) -> bool {
        seed.checksum(self.length, &self.bytes[SEALED_FROM..], &[]) == self.checksum
    }

    /// What it says: see [`Short::fields`].
    #[inline(always)]
    pub(crate) fn fields(&self) -> (SessionId, u64, u64) {
        let (words, _) = self.block.as_chunks::<8>();
        let [session, sequence, third] = [words[0], words[1], words[2]].map(u64::from_le_bytes);
        (SessionId(session), sequence, third)
    }

    /// Where its payload lies when it begins at `position`.
    #[inline(always)]
    pub(crate) const fn payload_at(&self, position: Position) -> PositionRange {
        let start = position.plus(SHORT_FRONT as u64);
        PositionRange::new(start, position.plus(self.length as u64))
    }

    /// Bytes that it takes, padding included.
    #[inline(always)]
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// A message or a reply that was found sound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Short<'a> {
    /// Session, sequence, and a message's time or a reply's position.
    pub(crate) fields: (SessionId, u64, u64),
    /// In up to two pieces.
    pub(crate) payload: (&'a [u8], &'a [u8]),
    /// Where that lies in its stream.
    pub(crate) payload_at: PositionRange,
    /// It is a message whose reply waits until it is safe.
    pub(crate) awaits_safe: bool,
}

/// The bytes `start..end` of `first` followed by `second`.
fn split<'a>(first: &'a [u8], second: &'a [u8], start: usize, end: usize) -> (&'a [u8], &'a [u8]) {
    let before = first.len();
    let one = &first[start.min(before)..end.min(before)];
    let other = start.saturating_sub(before)..end.saturating_sub(before);
    (one, second.get(other).unwrap_or_default())
}

/// What comes next is a bad frame, or of another kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotShort;

/// Reads frames of one owner one after the other, and checks each.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    first: &'a [u8],
    second: &'a [u8],
    owner: FrameOwner,
    position: Position,
    length_max: u64,
}

impl<'a> Reader<'a> {
    /// A reader of the bytes of `owner` that begin at `position`.
    #[inline]
    pub(crate) const fn new(
        owner: FrameOwner,
        position: Position,
        bytes: (&'a [u8], &'a [u8]),
        length_max: u64,
    ) -> Self {
        Self { first: bytes.0, second: bytes.1, owner, position, length_max }
    }

    /// Where the next frame begins.
    #[inline(always)]
    pub(crate) const fn position(&self) -> Position {
        self.position
    }

    /// The next frame, which has to be a message; `None` when it is not whole. `Err` is a bad frame
    /// or another, and the reader is of no use then.
    #[inline(always)]
    pub(crate) fn next_message(&mut self) -> Result<Option<Short<'a>>, NotShort> {
        self.next_short(MessageDecoder::TEMPLATE_ID)
    }

    /// The same for replies.
    #[inline(always)]
    pub(crate) fn next_reply(&mut self) -> Result<Option<Short<'a>>, NotShort> {
        self.next_short(ReplyDecoder::TEMPLATE_ID)
    }

    #[inline(always)]
    fn next_short(&mut self, template: u16) -> Result<Option<Short<'a>>, NotShort> {
        if let Some(plain) = Plain::of(template, self.first, self.length_max)
            && plain.is_sealed(self.owner.at(self.position))
        {
            let payload_at = plain.payload_at(self.position);
            let payload = &plain.bytes[SHORT_FRONT..plain.length as usize];
            self.first = &self.first[plain.len()..];
            self.position = self.position.plus(plain.len() as u64);
            let (fields, payload) = (plain.fields(), (payload, &[][..]));
            return Ok(Some(Short { fields, payload, payload_at, awaits_safe: false }));
        }
        if self.first.is_empty() && self.second.is_empty() {
            return Ok(None);
        }
        // By value, and put together anew: else all would go through memory for these.
        let (reader, found) = self.clone().next_seldom(template);
        *self = reader;
        match found {
            Ok(Some(Short { fields, payload, payload_at, awaits_safe })) => {
                Ok(Some(Short { fields, payload, payload_at, awaits_safe }))
            }
            Ok(None) => Ok(None),
            Err(NotShort) => Err(NotShort),
        }
    }

    /// The next message or reply, in two pieces, of another version, or whose reply waits.
    #[cold]
    #[inline(never)]
    fn next_seldom(mut self, template: u16) -> (Self, Result<Option<Short<'a>>, NotShort>) {
        let position = self.position;
        let is_message = template == MessageDecoder::TEMPLATE_ID;
        let awaits_safe = |found: u16| is_message && found == SafeMessageDecoder::TEMPLATE_ID;
        let is_wanted = |found: u16| found == template || awaits_safe(found);
        let found = match self.next() {
            Ok(Some(frame)) if is_wanted(frame.header.template) => {
                let payload_at = frame.header.payload(position);
                let (payload, awaits_safe) = (frame.payload(), awaits_safe(frame.header.template));
                let fields = frame.short_fields().ok_or(NotShort);
                fields.map(|fields| Some(Short { fields, payload, payload_at, awaits_safe }))
            }
            Ok(None) => Ok(None),
            Ok(Some(_)) | Err(_) => Err(NotShort),
        };
        (self, found)
    }

    /// The next frame; `None` when it is not whole. After an error the reader stays where it is.
    ///
    /// # Errors
    /// Any [`FrameError`] but `Truncated`.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Frame<'a>>, FrameError> {
        if self.first.is_empty() && self.second.is_empty() {
            return Ok(None);
        }
        self.next_of_two()
    }

    /// The next frame, in whichever pieces it lies.
    #[inline(never)]
    fn next_of_two(&mut self) -> Result<Option<Frame<'a>>, FrameError> {
        if self.first.is_empty() && !self.second.is_empty() {
            self.first = core::mem::take(&mut self.second);
        }
        let seed = self.owner.at(self.position);
        let header = match verify(seed, self.first, self.second, self.length_max) {
            Ok(header) => header,
            Err(FrameError::Truncated) => return Ok(None),
            Err(error) => return Err(error),
        };
        let frame = Frame { header, first: self.first, second: self.second };
        (self.first, self.second) =
            split(self.first, self.second, frame.len(), self.first.len() + self.second.len());
        if self.first.is_empty() {
            self.first = core::mem::take(&mut self.second);
        }
        self.position = self.position.plus(frame.len() as u64);
        Ok(Some(frame))
    }
}

/// Checks that the whole frame at the beginning of `first` followed by `second` is sound under
/// `seed`: the length, the schema and the checksum.
///
/// # Errors
/// Any [`FrameError`]; [`FrameError::Truncated`] says that more bytes may make it whole.
pub fn verify(
    seed: FrameSeed,
    first: &[u8],
    second: &[u8],
    length_max: u64,
) -> Result<FrameHeader, FrameError> {
    let mut front = [0; HEADER_BYTES];
    if copy_front(&mut front, first, second) < HEADER_BYTES {
        return Err(FrameError::Truncated);
    }
    let header = FrameHeader::parse(&front, length_max)?;
    let end = header.aligned_length() as usize;
    if first.len() + second.len() < end {
        return Err(FrameError::Truncated);
    }
    let (first_end, second_end) = (end.min(first.len()), end.saturating_sub(first.len()));
    // A frame that wraps within its first 8 bytes cannot be, since frames are aligned and rings are
    // a multiple of the alignment.
    let sealed = &first[SEALED_FROM.min(first_end)..first_end];
    if seed.checksum(header.length, sealed, &second[..second_end]) == header.checksum {
        Ok(header)
    } else {
        Err(FrameError::Checksum)
    }
}

/// Reads the body of the frame that `front` begins with: `front` holds the header and at least the
/// block, or as much of it as [`BLOCK_BYTES_MAX`].
///
/// # Errors
/// [`FrameError::Template`] or [`FrameError::Truncated`].
#[inline]
pub fn parse_body(header: &FrameHeader, front: &[u8]) -> Result<Body, FrameError> {
    let block_end = HEADER_BYTES + usize::from(header.block_length).min(BLOCK_BYTES_MAX);
    let block = front.get(HEADER_BYTES..block_end).ok_or(FrameError::Truncated)?;
    Body::read(header.template, block, header.version)
}

/// Reads the body of the frame with `header` that `first` followed by `second` begins with.
///
/// # Errors
/// [`FrameError::Template`] or [`FrameError::Truncated`].
#[inline]
pub(crate) fn body_of(
    header: &FrameHeader,
    first: &[u8],
    second: &[u8],
) -> Result<Body, FrameError> {
    let mut joined = [0; HEADER_BYTES + BLOCK_BYTES_MAX];
    if first.len() >= joined.len() || second.is_empty() {
        return parse_body(header, first);
    }
    let length = copy_front(&mut joined, first, second);
    parse_body(header, &joined[..length])
}

/// Copies the beginning of `first` followed by `second` into `front`; returns how many bytes there
/// were.
pub fn copy_front(front: &mut [u8], first: &[u8], second: &[u8]) -> usize {
    let from_first = first.len().min(front.len());
    front[..from_first].copy_from_slice(&first[..from_first]);
    let from_second = second.len().min(front.len() - from_first);
    front[from_first..from_first + from_second].copy_from_slice(&second[..from_second]);
    from_first + from_second
}
