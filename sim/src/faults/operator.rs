//! The operator of the world: demands that leadership be handed over, at any moment.

use quorate_core::{Event, MemberId, TransferOutcome};

use super::Plan;
use crate::dice::{ALWAYS, Dice};
use crate::report::Mark;
use crate::swarm::MILLI;
use crate::world::{Occurrence, World};

impl World {
    /// Asks the leader, or anybody, once or twice; for a member, for nobody in particular, or for
    /// one that there is not.
    pub(super) fn demand_transfers(&mut self, plan: Plan, mut dice: Dice) {
        let leader = self.leading_node().filter(|_| dice.chance(ALWAYS / 8 * 7));
        let node = leader.unwrap_or(plan.victim);
        let count = if dice.chance(ALWAYS / 4) { 2 } else { 1 };
        for _ in 0..count {
            let any = MemberId(dice.between(1, self.nodes.len() as u64 + 1) as u16);
            let target = Some(any).filter(|_| dice.chance(ALWAYS / 4 * 3));
            let after = dice.below(20 * MILLI);
            self.demand(self.now + after, node, target);
        }
    }

    /// At `at` a member is asked to hand over; returns the number of the request.
    pub(crate) fn demand(&mut self, at: u64, node: usize, target: Option<MemberId>) -> u64 {
        self.demanded += 1;
        let (request, life) = (self.demanded, self.nodes[node].life());
        self.queue.push(at, Occurrence::Transfer { node, life, request, target });
        request
    }

    /// A member is asked to hand over, unless it died meanwhile.
    pub(crate) fn transfer(
        &mut self,
        node: usize,
        life: u64,
        request: u64,
        target: Option<MemberId>,
    ) {
        if self.nodes[node].member.is_none() || self.nodes[node].life() != life {
            return;
        }
        self.tally.saw(Mark::TransferDemanded);
        self.note(|| format!("member {} is to hand over to {target:?}", node + 1));
        self.step_member(node, Event::Transfer { request, target });
    }

    /// Takes note of what came of a demand.
    pub(crate) fn note_transfer(&mut self, request: u64, outcome: TransferOutcome) {
        match outcome {
            TransferOutcome::Done { .. } => {
                self.transferred.insert(request);
                self.tally.saw(Mark::TransferDone);
            }
            TransferOutcome::Refused(refusal) => {
                self.tally.saw(Mark::TransferRefused);
                self.note(|| format!("request {request} is refused: {refusal}"));
            }
        }
    }
}
