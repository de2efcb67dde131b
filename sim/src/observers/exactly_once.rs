//! S15: a message has one effect, the same on every member, and all its replies are equal.

use core::hash::Hasher;
use quorate_core::hash::{StateHasher, mix};
use quorate_core::{ClientKey, Delivery, MemberId, Position, SessionId};

use super::rising::{ByMember, Rising};
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Effect {
    position: Position,
    payload: u64,
    reply: u64,
}

/// A session, as members apply it.
#[derive(Default)]
struct Session {
    client: Option<ClientKey>,
    /// What each message did, over all members.
    effects: Rising<u64, Effect>,
    /// The last message that each life applied.
    last: ByMember<u64>,
    is_closed: bool,
}

#[derive(Default)]
pub(super) struct ExactlyOnce {
    sessions: Rising<SessionId, Session>,
    /// The reply of each message of a client.
    replies: Rising<ClientKey, Rising<u64, Effect>>,
}

impl ExactlyOnce {
    fn applied(
        &mut self,
        member: MemberId,
        (id, sequence): (SessionId, u64),
        effect: Effect,
        violations: &mut Violations,
    ) {
        let session = self.sessions.entry(id);
        let last = session.last.entry(member);
        if sequence != *last + 1 {
            let text = format!("member {member} applies {sequence} of {id:?} after {last}");
            violations.add("S15", text);
        }
        *last = sequence;
        let first = *session.effects.get_or_insert_with(sequence, || effect);
        if first != effect {
            let text = format!("{sequence} of {id:?} did {first:?}, and {effect:?} at {member}");
            violations.add("S15", text);
        }
        if let Some(key) = session.client {
            let first = *self.replies.entry(key).get_or_insert_with(sequence, || effect);
            if first.position != effect.position {
                let text = format!("message {sequence} of {key:?} did {first:?}, and {effect:?}");
                violations.add("S15", text);
            }
        }
    }
}

/// A hash of a reply: of four words at a time, since each member's reply is hashed.
fn hash(bytes: &[u8]) -> u64 {
    let mut lanes = [1, 2, 3, 4];
    let mut blocks = bytes.chunks_exact(32);
    for block in &mut blocks {
        for (lane, word) in lanes.iter_mut().zip(block.chunks_exact(8)) {
            let word = word.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
            *lane = mix(*lane, word);
        }
    }
    let mut hasher = StateHasher::default();
    lanes.into_iter().for_each(|lane| hasher.write_u64(lane));
    hasher.write_u64(bytes.len() as u64);
    hasher.write(blocks.remainder());
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
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        match *observed {
            Observed::Started => {
                // A life begins at its snapshot, and else at the beginning of the log.
                let begin = scene.view.applied;
                for session in self.sessions.values_mut() {
                    let before = session.effects.iter();
                    let before = before.take_while(|(_, effect)| effect.position < begin);
                    *session.last.entry(scene.member) = before.last().map_or(0, |(last, _)| last);
                }
            }
            Observed::Applied { apply, payload, reply } => match apply.delivery {
                Delivery::SessionOpened { session, client } => {
                    self.sessions.entry(session).client = Some(client);
                }
                Delivery::SessionClosed { session, .. } => {
                    self.sessions.entry(session).is_closed = true;
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
            Observed::SessionLost { session }
                if !self.sessions.get(session).is_some_and(|session| session.is_closed) =>
            {
                violations.add("S15", format!("{session:?} is lost, and was never closed"));
            }
            _ => {}
        }
    }
}
