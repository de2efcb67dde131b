//! L6: in the calm, without traffic of clients, only heartbeats, acknowledgements and statuses flow:
//! nobody asks for bytes or for votes, and nothing is made durable but what the log still says.

use std::collections::BTreeMap;

use quorate_core::{Action, MemberId, Message, PeerRecords, Stream};

use super::{Ghost, Kinds, Observed, Observer, Phase, Scene, Violations};

#[derive(Default)]
pub(super) struct Silence {
    silent: bool,
    /// What each member made durable last of what it remembers of the others.
    records: BTreeMap<MemberId, PeerRecords>,
}

impl Silence {
    fn is_noise(&mut self, scene: &Scene<'_>, action: &Action) -> bool {
        match action {
            Action::Send { message, .. } => matches!(
                message,
                // A client that has gone may be asked for the rest until its session times out.
                Message::Nak { stream: Stream::Log, .. }
                    | Message::Unavailable { .. }
                    | Message::Canvass { .. }
                    | Message::RequestVote { .. }
                    | Message::Ballot { .. }
                    | Message::Abdicate { .. }
            ),
            Action::PersistVote { .. } | Action::PersistHistory { .. } => true,
            Action::PersistPeers { peers, .. } => {
                // They change when sessions time out or timers fire, which the log says.
                self.records.insert(scene.member, peers.clone()).is_some_and(|old| old == *peers)
            }
            _ => false,
        }
    }
}

impl Observer for Silence {
    fn ids(&self) -> &'static [&'static str] {
        &["L6"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::ACTING.and(Kinds::PHASE)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: Observed<'_>,
        violations: &mut Violations,
    ) {
        match observed {
            Observed::Phase(phase) => self.silent = phase == Phase::Silent,
            Observed::Acting(action) if self.silent && self.is_noise(scene, action) => {
                let text = format!("member {} is at rest, and does {action:?}", scene.member);
                violations.add("L6", text);
            }
            _ => {}
        }
    }
}
