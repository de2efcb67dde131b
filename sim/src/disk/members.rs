//! Who is a member, as the log on a disk says.

use quorate_core::frame::{Body, FrameHeader, parse_body};
use quorate_core::membership::keep_newest;
use quorate_core::{Membership, Position};

use super::SimDisk;

impl SimDisk {
    /// The newest memberships in the log that are on the disk, the newest last.
    pub(super) fn memberships(&self) -> Vec<(Position, Membership)> {
        let mut kept = Vec::new();
        for frame in self.frames.iter().filter(|frame| frame.start >= self.origin.position) {
            let bytes = &self.image.written()[frame.start.0 as usize..frame.end.0 as usize];
            let header = bytes.first_chunk();
            let header = header.and_then(|it| FrameHeader::parse(it, self.frame_bytes_max).ok());
            let Some(header) = header else { continue };
            if let Ok(Body::Membership { .. }) = parse_body(&header, bytes) {
                let payload = header.payload(Position::ZERO);
                let list = bytes.get(payload.start.0 as usize..payload.end.0 as usize);
                // A list that was written is one that is read.
                let _ = keep_newest(&mut kept, frame.end, list.unwrap_or_default());
            }
        }
        kept
    }
}
