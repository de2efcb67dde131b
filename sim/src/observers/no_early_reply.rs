//! S14: a reply leaves only a leader, and only for a message that it has committed and applied; and
//! only a leader whose opening frame is applied has anything to say of sessions (E98, E112).

use quorate_core::frame::{Body, FrameHeader, HEADER_BYTES, parse_body};
use quorate_core::message::ConnectOutcome;
use quorate_core::{Action, ClientKey, Destination, Message, Position, Role};

use super::rising::{ByMember, Rising};
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

/// Follows the egress streams of each member frame by frame.
#[derive(Default)]
pub(super) struct NoEarlyReply {
    streams: ByMember<Rising<(ClientKey, u64), Tail>>,
}

/// The bytes behind the last whole frame that left.
#[derive(Default)]
pub(super) struct Tail {
    start: Position,
    bytes: Vec<u8>,
}

impl Tail {
    /// A stream of which nothing was seen before `start`.
    pub(super) const fn from(start: Position) -> Self {
        Self { start, bytes: Vec::new() }
    }

    /// Adds what is new of `bytes`, and calls `reply` with number and position of each message that
    /// is replied to.
    pub(super) fn feed(
        &mut self,
        start: Position,
        bytes: &[u8],
        mut reply: impl FnMut(u64, Position),
    ) {
        let known = self.start.plus(self.bytes.len() as u64);
        let skip = known.since(start) as usize;
        if start > known || skip >= bytes.len() {
            return;
        }
        let new = &bytes[skip..];
        if self.bytes.is_empty() {
            let read = replies_of(new, &mut reply);
            self.bytes.extend_from_slice(&new[read..]);
            self.start = self.start.plus(read as u64);
            return;
        }
        self.bytes.extend_from_slice(new);
        let read = replies_of(&self.bytes, &mut reply);
        self.bytes.drain(..read);
        self.start = self.start.plus(read as u64);
    }
}

/// Calls `reply` for each reply among the whole frames of `bytes`; returns how long those are.
fn replies_of(bytes: &[u8], reply: &mut impl FnMut(u64, Position)) -> usize {
    let mut read = 0;
    while let Some((body, length)) = first_frame(&bytes[read..]) {
        if let Body::Reply { sequence, position, .. } = body {
            reply(sequence, position);
        }
        read += length;
    }
    read
}

fn first_frame(bytes: &[u8]) -> Option<(Body, usize)> {
    let header = FrameHeader::parse(bytes.first_chunk::<HEADER_BYTES>()?, 1 << 24).ok()?;
    let length = header.aligned_length() as usize;
    let whole = bytes.get(..length)?;
    Some((parse_body(&header, whole).ok()?, length))
}

/// Why a member may not say anything of sessions, if so.
fn may_not_serve(scene: &Scene<'_>) -> Option<String> {
    let (before, view) = (scene.before, scene.view);
    let leads = view.role == Role::Leader || before.role == Role::Leader;
    let base = scene.history.last().map_or(Position::ZERO, |line| line.base);
    if !leads {
        return Some("does not lead".to_owned());
    }
    (view.applied <= base).then(|| format!("has applied {} of a term from {base} on", view.applied))
}

/// Whether a message to a client says something of a session.
const fn is_of_a_session(message: &Message) -> bool {
    matches!(
        message,
        Message::ConnectReply {
            outcome: ConnectOutcome::Open { .. }
                | ConnectOutcome::SessionLost { .. }
                | ConnectOutcome::SessionsExhausted,
            ..
        } | Message::Closed { .. }
            | Message::StreamStatus { .. }
            | Message::StreamNewest { .. }
            | Message::SyncReply { .. }
    )
}

impl Observer for NoEarlyReply {
    fn ids(&self) -> &'static [&'static str] {
        &["S14"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES.and(Kinds::STREAMS).and(Kinds::SENDS_OTHER)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        match *observed {
            Observed::Started => *self.streams.entry(scene.member) = Rising::default(),
            Observed::Egress { key, epoch, start, bytes } => {
                // It may have lost its leadership in this very event, behind the send.
                if scene.view.role != Role::Leader && scene.before.role != Role::Leader {
                    let text = format!("member {} replies and does not lead", scene.member);
                    violations.add("S14", text);
                }
                let streams = self.streams.entry(scene.member);
                let tail = streams.get_or_insert_with((key, epoch), || Tail::from(start));
                tail.feed(start, bytes, |_, position| {
                    let (applied, commit) = (scene.view.applied, scene.view.commit);
                    if position >= applied || position >= commit {
                        let text = format!(
                            "member {} replies to {position}, applied {applied}, commit {commit}",
                            scene.member
                        );
                        violations.add("S14", text);
                    }
                });
            }
            Observed::Acting(Action::Send { to: Destination::Client(_), message }) => {
                if let Some(problem) = may_not_serve(scene).filter(|_| is_of_a_session(message)) {
                    let text = format!("member {} {problem}, and says {message:?}", scene.member);
                    violations.add("S14", text);
                }
                if let Message::ConnectReply {
                    outcome: ConnectOutcome::Open { session, .. }, ..
                } = message
                    && Position(session.0) >= scene.view.commit
                {
                    let text = format!("member {} opens {session:?} early", scene.member);
                    violations.add("S14", text);
                }
            }
            _ => {}
        }
    }
}
