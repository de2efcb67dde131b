//! S16: members that applied the same log are in the same state.

use quorate_core::{Chain, MemberId, Position};

use super::rising::Rising;
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

#[derive(Default)]
pub(super) struct SameState {
    states: Rising<Position, State>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct State {
    service: u64,
    replicated: u64,
    chain: Chain,
}

impl SameState {
    fn compare(&mut self, at: Position, member: MemberId, state: State, to: &mut Violations) {
        let first = *self.states.get_or_insert_with(at, || state);
        if first != state {
            to.add("S16", format!("at {at} member {member} is {state:?}, another was {first:?}"));
        }
    }
}

impl Observer for SameState {
    fn ids(&self) -> &'static [&'static str] {
        &["S16"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::STATE
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let Observed::State { service, replicated } = *observed else { return };
        let at = scene.view.applied;
        let state = State { service, replicated, chain: scene.view.applied_chain };
        self.compare(at, scene.member, state, violations);
        if let Some(chosen) = ghost.chosen_ending_at(at)
            && chosen.chain != state.chain
        {
            let text = format!("member {} applied {state:?} at {at}: {chosen:?}", scene.member);
            violations.add("S16", text);
        }
    }
}
