//! S14: a reply leaves only a leader, and only for a message that it has committed and applied.

use std::collections::BTreeMap;

use quorate_core::frame::{Body, FrameHeader, HEADER_BYTES, parse_body};
use quorate_core::{Action, ClientKey, MemberId, Message, Position, Role};

use super::{Ghost, Observed, Observer, Scene, Violations};

/// Follows the egress streams of each member frame by frame.
#[derive(Default)]
pub(super) struct NoEarlyReply {
    streams: BTreeMap<(MemberId, ClientKey, u64), Tail>,
}

/// The bytes behind the last whole frame that left.
#[derive(Default)]
struct Tail {
    start: Position,
    bytes: Vec<u8>,
}

impl Tail {
    /// Adds what is new of `bytes`, and returns the positions of the messages that are replied to.
    fn feed(&mut self, start: Position, bytes: &[u8]) -> Vec<Position> {
        let known = self.start.plus(self.bytes.len() as u64);
        let skip = known.since(start) as usize;
        if start > known || skip >= bytes.len() {
            return Vec::new();
        }
        self.bytes.extend_from_slice(&bytes[skip..]);
        let mut replied = Vec::new();
        while let Some((body, length)) = self.first_frame() {
            if let Body::Reply { position, .. } = body {
                replied.push(position);
            }
            self.bytes.drain(..length);
            self.start = self.start.plus(length as u64);
        }
        replied
    }

    fn first_frame(&self) -> Option<(Body, usize)> {
        let header = FrameHeader::parse(self.bytes.first_chunk::<HEADER_BYTES>()?, 1 << 24).ok()?;
        let length = header.aligned_length() as usize;
        let whole = self.bytes.get(..length)?;
        Some((parse_body(&header, whole).ok()?, length))
    }
}

impl Observer for NoEarlyReply {
    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: Observed<'_>,
        violations: &mut Violations,
    ) {
        match observed {
            Observed::Started => self.streams.retain(|(member, ..), _| *member != scene.member),
            Observed::Egress { key, epoch, start, bytes } => {
                // It may have lost its leadership in this very event, behind the send.
                if scene.view.role != Role::Leader && scene.before.role != Role::Leader {
                    let text = format!("member {} replies and does not lead", scene.member);
                    violations.add("S14", text);
                }
                let stream = self.streams.entry((scene.member, key, epoch));
                let tail = stream.or_insert_with(|| Tail { start, bytes: Vec::new() });
                for position in tail.feed(start, bytes) {
                    let (applied, commit) = (scene.view.applied, scene.view.commit);
                    if position >= applied || position >= commit {
                        let text = format!(
                            "member {} replies to {position}, applied {applied}, commit {commit}",
                            scene.member
                        );
                        violations.add("S14", text);
                    }
                }
            }
            Observed::Acting(Action::Send {
                message:
                    Message::ConnectReply {
                        outcome: quorate_core::message::ConnectOutcome::Open { session, .. },
                        ..
                    },
                ..
            }) if Position(session.0) >= scene.view.commit => {
                let text = format!("member {} opens {session:?} early", scene.member);
                violations.add("S14", text);
            }
            _ => {}
        }
    }
}
