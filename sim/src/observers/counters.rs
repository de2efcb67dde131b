//! S40: numbers that rise never fall, wrap, or come near their end (E30, E96): terms, positions,
//! operations, rounds, acknowledgements, connections.

use quorate_core::{Action, Life, Message, Position, Sender};

use super::rising::{ByMember, Rising};
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

#[derive(Default)]
pub(super) struct Counters {
    /// The newest value of each counter of a life.
    newest: ByMember<Rising<Counter, u64>>,
    lives: ByMember<Option<Life>>,
    clients: Rising<quorate_core::ClientKey, u64>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Counter {
    Operation,
    Acknowledgement,
    /// A canvass is asked again under its number.
    Canvass,
    /// Of one term: heartbeats of one round go to all.
    Heartbeat(u64),
}

/// What a counter that begins at zero reaches in no run, but for having wrapped below it.
const NEVER_REACHED: u64 = 1 << 60;

impl Counters {
    fn count(&mut self, scene: &Scene<'_>, counter: Counter, value: u64, to: &mut Violations) {
        let repeats = matches!(counter, Counter::Canvass | Counter::Heartbeat(_));
        let newest = self.newest.entry(scene.member).entry(counter);
        if value < *newest || (value == *newest && !repeats) || value > NEVER_REACHED {
            let text = format!("member {}: {counter:?} {value} after {newest}", scene.member);
            to.add("S40", text);
        }
        *newest = value.max(*newest);
    }

    fn acts(&mut self, scene: &Scene<'_>, action: &Action, violations: &mut Violations) {
        let operation = match action {
            Action::Send { message: Message::Heartbeat { term, round, .. }, .. } => {
                return self.count(scene, Counter::Heartbeat(term.0), *round, violations);
            }
            // Round zero is no round: who has no vote asks what others have.
            Action::Send { message: Message::Canvass { round: round @ 1.., .. }, .. } => {
                return self.count(scene, Counter::Canvass, *round, violations);
            }
            Action::Send {
                message:
                    Message::Acknowledge { sequence, .. }
                    | Message::Holding { sequence, .. }
                    | Message::Impaired { sequence, .. },
                ..
            } => {
                return self.count(scene, Counter::Acknowledgement, *sequence, violations);
            }
            Action::Sync { operation }
            | Action::PersistVote { operation, .. }
            | Action::PersistHistory { operation, .. }
            | Action::PersistPeers { operation, .. }
            | Action::TakeSnapshot { operation, .. }
            | Action::ReadSnapshot { operation, .. }
            | Action::KeepSnapshotPart { operation, .. }
            | Action::CheckSnapshot { operation, .. }
            | Action::InstallSnapshot { operation, .. }
            | Action::ReadLog { operation, .. } => operation,
            _ => return,
        };
        if operation.boot_epoch != scene.view.life.boot_epoch {
            let text = format!("member {} asks for {operation:?} of another life", scene.member);
            violations.add("S40", text);
        }
        self.count(scene, Counter::Operation, operation.sequence, violations);
    }

    fn started(&mut self, scene: &Scene<'_>, violations: &mut Violations) {
        let (member, life) = (scene.member, scene.view.life);
        *self.newest.entry(member) = Rising::default();
        if let Some(former) = self.lives.entry(member).replace(life)
            && former.boot_epoch >= life.boot_epoch
        {
            violations.add("S40", format!("{life:?} comes after {former:?}"));
        }
    }
}

impl Observer for Counters {
    fn ids(&self) -> &'static [&'static str] {
        &["S40"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES
            .and(Kinds::TERM_CHANGED)
            .and(Kinds::AT_THE_END)
            .and(Kinds::RECEIVED_OTHER)
            .and(Kinds::SENDS_ELECTION)
            .and(Kinds::SENDS_HEARTBEAT)
            .and(Kinds::SENDS_ACKNOWLEDGEMENT)
            .and(Kinds::OPERATIONS)
            .and(Kinds::CLIENTS)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        match *observed {
            Observed::Started => self.started(scene, violations),
            Observed::Stepped { .. } => {
                let view = scene.view;
                let end = view.seen.max(view.received).max(view.commit);
                if end >= Position::MAX || view.term.0 > NEVER_REACHED {
                    let (member, term) = (scene.member, view.term);
                    violations.add("S40", format!("member {member} is at {end} in term {term}"));
                }
            }
            Observed::Acting(action) => self.acts(scene, action, violations),
            Observed::ClientAt(key, _) => {
                self.clients.entry(key);
            }
            // Old copies come late: only what nobody can have reached is wrong.
            Observed::Received {
                sender: Sender::Client { key },
                message: Message::Connect { connection, .. },
            } => {
                // A stranger may claim any number.
                let Some(newest) = self.clients.get_mut(key) else { return };
                if *connection > NEVER_REACHED {
                    let text = format!("{key:?} connects as {connection} after {newest}");
                    violations.add("S40", text);
                }
                *newest = (*connection).max(*newest);
            }
            _ => {}
        }
    }
}
