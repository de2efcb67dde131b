//! S17: a client gets one reply to each message, in order, and what is applied is what it sent.

use quorate_core::{ClientKey, Delivery, SessionId};

use super::rising::Rising;
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

#[derive(Default)]
pub(super) struct ExactDelivery {
    accepted: Rising<ClientKey, Rising<u64, u64>>,
    last_accepted: Rising<ClientKey, u64>,
    last_replied: Rising<ClientKey, u64>,
    sessions: Rising<SessionId, ClientKey>,
}

impl Observer for ExactDelivery {
    fn ids(&self) -> &'static [&'static str] {
        &["S17"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::CLIENTS.and(Kinds::APPLIED)
    }

    fn observe(
        &mut self,
        _scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        match *observed {
            Observed::Accepted { key, sequence, payload } => {
                self.accepted.entry(key).insert(sequence, payload);
                follows(&mut self.last_accepted, key, sequence, "is accepted", violations);
            }
            Observed::Replied { key, sequence, .. } => {
                follows(&mut self.last_replied, key, sequence, "is answered", violations);
            }
            Observed::Applied { apply, payload, .. } => match apply.delivery {
                Delivery::SessionOpened { session, client } => {
                    self.sessions.insert(session, client);
                }
                Delivery::Message { session, sequence, .. } => {
                    let key = self.sessions.get(session).copied();
                    let sent = key.and_then(|key| self.accepted.get(key)?.get(sequence));
                    if sent != Some(&payload) {
                        let text = format!("{sequence} of {session:?} ({key:?}) was never sent so");
                        violations.add("S17", text);
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }
}

fn follows(
    last: &mut Rising<ClientKey, u64>,
    key: ClientKey,
    sequence: u64,
    what: &str,
    violations: &mut Violations,
) {
    let last = last.entry(key);
    if sequence != *last + 1 {
        violations.add("S17", format!("message {sequence} of {key:?} {what} after {last}"));
    }
    *last = sequence;
}
