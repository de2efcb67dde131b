//! S21: nothing is sent beyond the receiver's limit, and a limit never moves back while the epoch
//! of the stream lasts (E116).

use quorate_core::message::ConnectOutcome;
use quorate_core::stream::session_epoch;
use quorate_core::{
    Action, ClientKey, Destination, Event, MemberId, Message, Position, Sender, Stream, Term,
};

use super::rising::{ByMember, Rising};
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Key {
    /// Of the log at a follower, as its leader heard it.
    Follower(Term, MemberId),
    /// Of the log, as a follower states it.
    Log(Term),
    /// Of a client's replies, as its leader heard it.
    Replies(ClientKey, u64),
    /// Of what a client sends, as its leader states it.
    Messages(Term, u64),
}

#[derive(Default)]
pub(super) struct Window {
    /// What each member said or heard in its life.
    stated: ByMember<Rising<Key, Position>>,
    /// The farthest that any member ever let a client send in an epoch.
    clients: Rising<u64, Position>,
}

impl Window {
    fn raise(&mut self, member: MemberId, key: Key, limit: Position) {
        let known = self.stated.entry(member).entry(key);
        *known = limit.max(*known);
    }

    /// A member states a limit of its own.
    fn state(&mut self, scene: &Scene<'_>, key: Key, limit: Position, to: &mut Violations) {
        let known = self.stated.entry(scene.member).entry(key);
        if limit < *known {
            let text = format!("member {} takes {known} back to {limit}: {key:?}", scene.member);
            to.add("S21", text);
        }
        *known = limit.max(*known);
    }

    fn send(&self, scene: &Scene<'_>, key: Key, end: Position, first: Position) -> Option<String> {
        let heard = self
            .stated
            .get(scene.member)
            .and_then(|stated| stated.get(key))
            .copied()
            .unwrap_or(first);
        (end > heard.max(first))
            .then(|| format!("member {} sends up to {end} of {heard}: {key:?}", scene.member))
    }

    fn acts(&mut self, scene: &Scene<'_>, action: &Action, violations: &mut Violations) {
        let term = scene.view.term;
        if let Action::Send { message, .. } = action
            && let Some((term, limit)) = room_of(message)
        {
            self.state(scene, Key::Log(term), limit, violations);
        }
        match action {
            Action::Send {
                message: Message::StreamStatus { stream: Stream::Ingress(_), epoch, limit, .. },
                ..
            } => self.allow(scene, *epoch, *limit, violations),
            Action::Send {
                message:
                    Message::ConnectReply {
                        connection,
                        outcome: ConnectOutcome::Open { session, limit, .. },
                    },
                ..
            } => self.allow(scene, session_epoch(*connection, *session), *limit, violations),
            Action::SendData {
                to: Destination::Member(to),
                stream: Stream::Log,
                range,
                live: Some(_),
                ..
            } => {
                let key = Key::Follower(term, *to);
                let problem = self.send(scene, key, range.end, Position::ZERO);
                problem.into_iter().for_each(|text| violations.add("S21", text));
            }
            Action::SendData { stream: Stream::Egress(client), epoch, range, .. } => {
                let key = Key::Replies(*client, *epoch);
                let first = Position(scene.rules.limits.session_window_bytes);
                let problem = self.send(scene, key, range.end, first);
                problem.into_iter().for_each(|text| violations.add("S21", text));
            }
            _ => {}
        }
    }

    fn allow(&mut self, scene: &Scene<'_>, epoch: u64, limit: Position, to: &mut Violations) {
        self.state(scene, Key::Messages(scene.view.term, epoch), limit, to);
        let known = self.clients.entry(epoch);
        *known = limit.max(*known);
    }
}

/// How far the leader of a term may send to whoever says this.
const fn room_of(message: &Message) -> Option<(Term, Position)> {
    match message {
        Message::Acknowledge { term, limit, .. }
        | Message::Holding { term, limit, .. }
        | Message::Impaired { term, limit, .. }
        | Message::Application { term, limit, .. } => Some((*term, *limit)),
        _ => None,
    }
}

impl Observer for Window {
    fn ids(&self) -> &'static [&'static str] {
        &["S21"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES
            .and(Kinds::REFUSING)
            .and(Kinds::RECEIVED_ACKNOWLEDGEMENT)
            .and(Kinds::RECEIVED_OTHER)
            .and(Kinds::SENDS_ACKNOWLEDGEMENT)
            .and(Kinds::SENDS_OTHER)
            .and(Kinds::SENDS_DATA)
            .and(Kinds::STREAMS)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let member = scene.member;
        match *observed {
            Observed::Started => {
                *self.stated.entry(member) = Rising::default();
            }
            // What was handed over and refused is not written: there is less room than was said.
            Observed::Stepping { event: Event::StorageFull { .. }, .. } => {
                self.stated.entry(member).remove(Key::Log(scene.view.term));
            }
            Observed::Received { sender: Sender::Member { member: follower, .. }, message } => {
                if let Some((term, limit)) = room_of(message) {
                    self.raise(member, Key::Follower(term, follower), limit);
                }
            }
            Observed::Received {
                sender: Sender::Client { key },
                message: Message::StreamStatus { stream: Stream::Egress(_), epoch, limit, .. },
            } => self.raise(member, Key::Replies(key, *epoch), *limit),
            Observed::Acting(action) => self.acts(scene, action, violations),
            Observed::Ingress { key, epoch, range } => {
                let limit = self.clients.get(epoch).copied().unwrap_or(Position::ZERO);
                if range.end > limit {
                    let text = format!("client {key:?} sends {range} beyond {limit} in {epoch:x}");
                    violations.add("S21", text);
                }
            }
            _ => {}
        }
    }
}
