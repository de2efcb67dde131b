//! S21: nothing is sent beyond the receiver's limit, and a limit never moves back while the epoch
//! of the stream lasts (E116).

use std::collections::BTreeMap;

use quorate_core::message::ConnectOutcome;
use quorate_core::stream::session_epoch;
use quorate_core::{
    Action, ClientKey, Destination, Event, Life, MemberId, Message, Position, Sender, Stream, Term,
};

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

/// Where a limit holds: for what a life says or hears, of whom, in which epoch.
type Stated = BTreeMap<(Life, Key), Position>;

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Key {
    /// Of the log at a follower, as its leader heard it.
    Follower(MemberId, Term),
    /// Of the log, as a follower states it.
    Log(Term),
    /// Of a client's replies, as its leader heard it.
    Replies(ClientKey, u64),
    /// Of what a client sends, as its leader states it.
    Messages(Term, u64),
}

#[derive(Default)]
pub(super) struct Window {
    stated: Stated,
    /// The farthest that any member ever let a client send in an epoch.
    clients: BTreeMap<u64, Position>,
}

impl Window {
    fn raise(&mut self, life: Life, key: Key, limit: Position) {
        let known = self.stated.entry((life, key)).or_insert(limit);
        *known = limit.max(*known);
    }

    /// A member states a limit of its own.
    fn state(&mut self, scene: &Scene<'_>, key: Key, limit: Position, to: &mut Violations) {
        let life = scene.view.life;
        if let Some(known) = self.stated.get(&(life, key))
            && limit < *known
        {
            let text = format!("member {} takes {known} back to {limit}: {key:?}", scene.member);
            to.add("S21", text);
        }
        self.raise(life, key, limit);
    }

    fn send(&self, scene: &Scene<'_>, key: Key, end: Position, first: Position) -> Option<String> {
        let heard = self.stated.get(&(scene.view.life, key)).copied().unwrap_or(first);
        (end > heard.max(first))
            .then(|| format!("member {} sends up to {end} of {heard}: {key:?}", scene.member))
    }

    fn acts(&mut self, scene: &Scene<'_>, action: &Action, violations: &mut Violations) {
        let term = scene.view.term;
        match action {
            Action::Send { message: Message::Acknowledge { term, limit, .. }, .. } => {
                self.state(scene, Key::Log(*term), *limit, violations);
            }
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
                let key = Key::Follower(*to, term);
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
        let known = self.clients.entry(epoch).or_insert(limit);
        *known = limit.max(*known);
    }
}

impl Observer for Window {
    fn ids(&self) -> &'static [&'static str] {
        &["S21"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES
            .and(Kinds::STEPPING)
            .and(Kinds::RECEIVED)
            .and(Kinds::ACTING)
            .and(Kinds::STREAMS)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: Observed<'_>,
        violations: &mut Violations,
    ) {
        let life = scene.view.life;
        match observed {
            Observed::Started => {
                self.stated.retain(|(old, _), _| old.member != scene.member);
            }
            // What was handed over and refused is not written: there is less room than was said.
            Observed::Stepping { event: Event::StorageFull { .. }, .. } => {
                self.stated.remove(&(life, Key::Log(scene.view.term)));
            }
            Observed::Received {
                sender: Sender::Member { member, .. },
                message: Message::Acknowledge { term, limit, .. },
            } => self.raise(life, Key::Follower(member, *term), *limit),
            Observed::Received {
                sender: Sender::Client { key },
                message: Message::StreamStatus { stream: Stream::Egress(_), epoch, limit, .. },
            } => self.raise(life, Key::Replies(key, *epoch), *limit),
            Observed::Acting(action) => self.acts(scene, action, violations),
            Observed::Ingress { key, epoch, range } => {
                let limit = self.clients.get(&epoch).copied().unwrap_or(Position::ZERO);
                if range.end > limit {
                    let text = format!("client {key:?} sends {range} beyond {limit} in {epoch:x}");
                    violations.add("S21", text);
                }
            }
            _ => {}
        }
    }
}
