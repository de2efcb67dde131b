//! From bytes to frames.

use super::generated::{MessageDecoder, MessageEncoder, ReplyDecoder};
use super::{
    BLOCK_BYTES_MAX, Body, FrameError, FrameHeader, FrameOwner, FrameSeed, HEADER_BYTES,
    SEALED_FROM,
};
use crate::position::Position;

/// A frame that was found sound, in one piece or two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) header: FrameHeader,
    /// Its bytes and perhaps more.
    first: &'a [u8],
    second: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame that `bytes` begin with, which were found sound before, if it is whole.
    #[inline(always)]
    pub(crate) fn trusted(bytes: &'a [u8]) -> Option<Self> {
        let header = FrameHeader::parse(bytes.first_chunk()?, bytes.len() as u64).ok()?;
        let first = bytes.get(..header.aligned_length() as usize)?;
        Some(Self { header, first, second: &[] })
    }

    /// What it says, if it is a client's message: as most frames are, this reads nothing that they
    /// do not need.
    #[inline(always)]
    pub(crate) fn message(&self) -> Option<Body> {
        let is_message = self.header.template == MessageDecoder::TEMPLATE_ID;
        is_message.then(|| self.short_body())?
    }

    /// What it says, if it is a reply.
    #[inline(always)]
    pub(crate) fn reply(&self) -> Option<Body> {
        let is_reply = self.header.template == ReplyDecoder::TEMPLATE_ID;
        is_reply.then(|| self.short_body())?
    }

    #[inline(always)]
    fn short_body(&self) -> Option<Body> {
        const BLOCK: usize = MessageEncoder::BLOCK_LENGTH;
        if usize::from(self.header.block_length) < BLOCK {
            return None;
        }
        match self.first.get(HEADER_BYTES..HEADER_BYTES + BLOCK) {
            Some(block) => Body::read(self.header.template, block, self.header.version).ok(),
            None => self.body().ok(),
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
    #[inline(always)]
    pub(crate) fn payload(&self) -> (&'a [u8], &'a [u8]) {
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

/// The bytes `start..end` of `first` followed by `second`.
fn split<'a>(first: &'a [u8], second: &'a [u8], start: usize, end: usize) -> (&'a [u8], &'a [u8]) {
    let before = first.len();
    let one = &first[start.min(before)..end.min(before)];
    let other = start.saturating_sub(before)..end.saturating_sub(before);
    (one, second.get(other).unwrap_or_default())
}

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

    /// The next frame; `None` when it is not whole. After an error the reader stays where it is.
    ///
    /// # Errors
    /// Any [`FrameError`] but `Truncated`.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<Frame<'a>>, FrameError> {
        let Some(front) = self.first.first_chunk() else { return self.next_beyond() };
        let header = FrameHeader::parse(front, self.length_max)?;
        let length = header.aligned_length() as usize;
        let Some((frame, rest)) = self.first.split_at_checked(length) else {
            return self.next_beyond();
        };
        let seed = self.owner.at(self.position);
        if seed.checksum(header.length, &frame[SEALED_FROM..], &[]) != header.checksum {
            return Err(FrameError::Checksum);
        }
        self.first = rest;
        self.position = self.position.plus(length as u64);
        Ok(Some(Frame { header, first: frame, second: &[] }))
    }

    /// The next frame, which does not lie in the first piece. Nearly always there is no other: all
    /// was read.
    #[inline(always)]
    fn next_beyond(&mut self) -> Result<Option<Frame<'a>>, FrameError> {
        if self.second.is_empty() { Ok(None) } else { self.next_of_two() }
    }

    /// The next frame, which begins in the first piece and ends in the second, or lies in that.
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
