//! S17: a client gets one reply to each message, in order, and what is applied is what it sent.

use quorate_core::{ClientKey, Delivery, SessionId};

use super::rising::Rising;
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

#[derive(Default)]
pub(super) struct ExactDelivery {
    clients: Rising<ClientKey, Client>,
    sessions: Rising<SessionId, ClientKey>,
}

#[derive(Default)]
struct Client {
    /// The hash of each accepted message.
    accepted: Rising<u64, u64>,
    last_accepted: u64,
    last_replied: u64,
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
                let client = self.clients.entry(key);
                client.accepted.insert(sequence, payload);
                follows(&mut client.last_accepted, key, sequence, "is accepted", violations);
            }
            Observed::Replied { key, sequence, .. } => {
                let client = self.clients.entry(key);
                follows(&mut client.last_replied, key, sequence, "is answered", violations);
            }
            Observed::Applied { apply, payload, .. } => match apply.delivery {
                Delivery::SessionOpened { session, client } => {
                    self.sessions.insert(session, client);
                }
                Delivery::Message { session, sequence, .. } => {
                    let key = self.sessions.get(session).copied();
                    let sent = key.and_then(|key| self.clients.get(key)?.accepted.get(sequence));
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

fn follows(last: &mut u64, key: ClientKey, sequence: u64, what: &str, violations: &mut Violations) {
    if sequence != *last + 1 {
        violations.add("S17", format!("message {sequence} of {key:?} {what} after {last}"));
    }
    *last = sequence;
}
