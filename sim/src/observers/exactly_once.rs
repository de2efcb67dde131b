//! S15: a message has one effect, the same on every member, and all its replies are equal.

use core::hash::Hasher;
use std::collections::BTreeSet;

use quorate_core::hash::StateHasher;
use quorate_core::{ClientKey, Delivery, MemberId, Position, SessionId};

use super::rising::{ByMember, Rising};
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Effect {
    position: Position,
    payload: u64,
    reply: u64,
}

#[derive(Default)]
pub(super) struct ExactlyOnce {
    /// What each message did, over all members.
    effects: Rising<SessionId, Rising<u64, Effect>>,
    /// The last message that each life applied of a session.
    last: ByMember<Rising<SessionId, u64>>,
    /// Whose a session is.
    sessions: Rising<SessionId, ClientKey>,
    /// The reply of each message of a client.
    replies: Rising<ClientKey, Rising<u64, Effect>>,
    closed: BTreeSet<SessionId>,
}

impl ExactlyOnce {
    fn applied(
        &mut self,
        member: MemberId,
        (session, sequence): (SessionId, u64),
        effect: Effect,
        violations: &mut Violations,
    ) {
        let last = self.last.entry(member).entry(session);
        if sequence != *last + 1 {
            let text = format!("member {member} applies {sequence} of {session:?} after {last}");
            violations.add("S15", text);
        }
        *last = sequence;
        let first = *self.effects.entry(session).get_or_insert_with(sequence, || effect);
        if first != effect {
            let text =
                format!("{sequence} of {session:?} did {first:?}, and {effect:?} at {member}");
            violations.add("S15", text);
        }
        if let Some(key) = self.sessions.get(session) {
            let first = *self.replies.entry(*key).get_or_insert_with(sequence, || effect);
            if first.position != effect.position {
                let text = format!("message {sequence} of {key:?} did {first:?}, and {effect:?}");
                violations.add("S15", text);
            }
        }
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = StateHasher::default();
    hasher.write(bytes);
    hasher.finish()
}

impl Observer for ExactlyOnce {
    fn ids(&self) -> &'static [&'static str] {
        &["S15"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES.and(Kinds::APPLIED).and(Kinds::CLIENTS)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: Observed<'_>,
        violations: &mut Violations,
    ) {
        match observed {
            Observed::Started => *self.last.entry(scene.member) = Rising::default(),
            Observed::Applied { apply, payload, reply } => match apply.delivery {
                Delivery::SessionOpened { session, client } => {
                    self.sessions.insert(session, client);
                }
                Delivery::SessionClosed { session, .. } => {
                    self.closed.insert(session);
                }
                Delivery::Message { session, sequence, .. } => {
                    let effect = Effect { position: apply.position, payload, reply: hash(reply) };
                    self.applied(scene.member, (session, sequence), effect, violations);
                }
                Delivery::Timer { .. } => {}
            },
            Observed::Replied { key, sequence, position, reply } => {
                let effect = self.replies.get(key).and_then(|replies| replies.get(sequence));
                if effect
                    .is_none_or(|effect| effect.position != position || effect.reply != hash(reply))
                {
                    let text = format!(
                        "the reply to {sequence} of {key:?} is of {position}; applied was {effect:?}"
                    );
                    violations.add("S15", text);
                }
            }
            Observed::SessionLost { session } if !self.closed.contains(&session) => {
                violations.add("S15", format!("{session:?} is lost, and was never closed"));
            }
            _ => {}
        }
    }
}
