//! S1, as an experiment: a leader that hears another leader of its own term stops, and does not
//! merge with it (E11).

use quorate_core::{
    Action, BootEpoch, Chain, Endpoint, Event, Incoming, Instant, Message, Position, Role, Sender,
};

use super::experiment::{feed, is_a_stop, is_due, steps_for};
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

pub(super) struct ContestedTerm {
    /// Once in so many steps.
    one_in: u64,
}

impl Default for ContestedTerm {
    fn default() -> Self {
        Self { one_in: 8_192 }
    }
}

impl ContestedTerm {
    #[cfg(test)]
    pub(super) const fn eager() -> Self {
        Self { one_in: 1 }
    }

    fn examine(scene: &Scene<'_>, local: Instant) -> Result<(), Vec<Action>> {
        let Some(core) = scene.core else { return Ok(()) };
        let others = core.membership().records().iter().map(|record| record.member);
        let Some(other) = others.into_iter().find(|other| *other != scene.member) else {
            return Ok(());
        };
        let sender = Sender::Member {
            member: other,
            incarnation: scene.incarnation_of(other),
            boot_epoch: BootEpoch(u64::MAX),
        };
        let message = Message::Heartbeat {
            term: scene.view.term,
            round: u64::MAX,
            newest: Position::ZERO,
            commit: Position::ZERO,
            chain_at: Position::ZERO,
            chain: Chain::default(),
        };
        let content = Incoming::Control(message);
        let event = Event::Received { sender, source: Endpoint::default(), content };
        let actions = feed(&mut core.clone(), local, &event);
        if is_a_stop(&actions) { Ok(()) } else { Err(actions) }
    }
}

impl Observer for ContestedTerm {
    fn ids(&self) -> &'static [&'static str] {
        &["S1"]
    }

    fn kinds(&self) -> Kinds {
        steps_for(self.one_in)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let Observed::Stepping { local, .. } = *observed else { return };
        let leads = scene.view.role == Role::Leader && scene.view.fail_stop.is_none();
        if !leads || !is_due(scene, 1, self.one_in) {
            return;
        }
        if let Err(actions) = Self::examine(scene, local) {
            let (leader, term) = (scene.member, scene.view.term);
            let text = format!("leader {leader} of {term} hears another one, and does {actions:?}");
            violations.add("S1", text);
        }
    }
}
