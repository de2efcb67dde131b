//! Frames: a length, an opcode, a node, a body.

use std::io::{self, Read, Write};

/// The most bytes that a frame may have behind its length: more than a whole window of the log.
pub const FRAME_BYTES_MAX: u32 = 64 << 20;
/// Bytes of opcode and node.
const HEAD: u32 = 3;

/// One frame.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    /// What it is about: one of [`super::opcode`].
    pub opcode: u8,
    /// Which node it is about, 0 for none: a number that the suite gives to each life.
    pub node: u16,
    /// The rest.
    pub body: Vec<u8>,
}

/// Bytes are no frame, or do not come.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The pipe broke, or ended within a frame.
    #[error("the pipe broke: {0}")]
    Pipe(#[from] io::Error),
    /// No frame is so long or so short.
    #[error(
        "a frame of {0} bytes; write nothing else to standard output, logs go to standard error"
    )]
    Length(u32),
}

impl Frame {
    /// A frame.
    #[must_use]
    pub const fn new(opcode: u8, node: u16, body: Vec<u8>) -> Self {
        Self { opcode, node, body }
    }

    /// Reads a frame; `None` when the pipe has ended before it. Memory grows with what comes, not
    /// with what the length claims.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn read(input: &mut impl Read) -> Result<Option<Self>, FrameError> {
        let mut length = [0; 4];
        let mut have = 0;
        while have < length.len() {
            match input.read(&mut length[have..]) {
                Ok(0) if have == 0 => return Ok(None),
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(bytes) => have += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let length = u32::from_le_bytes(length);
        if !(HEAD..=FRAME_BYTES_MAX).contains(&length) {
            return Err(FrameError::Length(length));
        }
        let mut head = [0; HEAD as usize];
        input.read_exact(&mut head)?;
        let mut body = Vec::new();
        let wanted = u64::from(length - HEAD);
        if input.take(wanted).read_to_end(&mut body)? as u64 != wanted {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let [opcode, node @ ..] = head;
        Ok(Some(Self { opcode, node: u16::from_le_bytes(node), body }))
    }

    /// Writes the frame; flushing is the caller's.
    ///
    /// # Errors
    /// The body is too long, or the pipe broke.
    pub fn write(&self, output: &mut impl Write) -> Result<(), FrameError> {
        let length = u32::try_from(self.body.len()).unwrap_or(u32::MAX).saturating_add(HEAD);
        if length > FRAME_BYTES_MAX {
            return Err(FrameError::Length(length));
        }
        output.write_all(&length.to_le_bytes())?;
        output.write_all(&[self.opcode])?;
        output.write_all(&self.node.to_le_bytes())?;
        output.write_all(&self.body)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_sim::Dice;

    #[test]
    fn frames_come_back_as_they_were_written() {
        let frames = [Frame::new(b'D', 7, vec![1, 2, 3]), Frame::new(b'V', u16::MAX, Vec::new())];
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.write(&mut bytes).unwrap();
        }
        assert_eq!(&bytes[..7], [6, 0, 0, 0, b'D', 7, 0]);
        let mut input = bytes.as_slice();
        for frame in frames {
            assert_eq!(Frame::read(&mut input).unwrap(), Some(frame));
        }
        assert!(Frame::read(&mut input).unwrap().is_none());
    }

    #[test]
    fn a_length_that_lies_is_an_error_and_takes_no_memory() {
        for length in [0, 1, 2, FRAME_BYTES_MAX + 1, u32::MAX] {
            let bytes = length.to_le_bytes();
            assert!(matches!(
                Frame::read(&mut bytes.as_slice()),
                Err(FrameError::Length(found)) if found == length
            ));
        }
        let mut bytes = FRAME_BYTES_MAX.to_le_bytes().to_vec();
        bytes.extend_from_slice(b"Dxx and then nothing");
        assert!(matches!(Frame::read(&mut bytes.as_slice()), Err(FrameError::Pipe(_))));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut dice = Dice::new(1, "frames");
        for _ in 0..2_000 {
            let length = dice.below(40) as usize;
            let mut bytes: Vec<u8> = (0..length).map(|_| dice.bits() as u8).collect();
            if let Some(high) = bytes.get_mut(2..4).filter(|_| dice.chance(900_000)) {
                high.fill(0);
            }
            let mut input = bytes.as_slice();
            while let Ok(Some(_)) = Frame::read(&mut input) {}
        }
    }
}
