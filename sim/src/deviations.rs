//! Services that look at something that is not in the log (E113): from then on their snapshots are
//! not those of the others, and nothing else of them is noticed from outside.

use quorate_core::{Event, MemberId, Role};

use crate::dice::ALWAYS;
use crate::node::Node;
use crate::report::Mark;
use crate::swarm::{MICRO, SECOND};
use crate::world::{Occurrence, World};

/// What stands before the deviation, behind the service's state in a snapshot.
const SIGN: &[u8; 8] = b"deviates";

/// Virtual time until who deviates has stopped, behind the marker of a snapshot that all take.
const FOUND_WITHIN: u64 = 40 * SECOND;

/// Puts a deviation behind a service's state.
#[must_use]
pub fn join(mut state: Vec<u8>, deviation: Option<u64>) -> Vec<u8> {
    if let Some(deviation) = deviation {
        state.extend_from_slice(SIGN);
        state.extend_from_slice(&deviation.to_le_bytes());
    }
    state
}

/// Takes the deviation from behind a service's state, if there is one.
#[must_use]
pub fn split(bytes: &[u8]) -> (&[u8], Option<u64>) {
    let parts = bytes.split_last_chunk::<8>();
    let signed = parts.and_then(|(rest, last)| Some((rest.strip_suffix(SIGN)?, last)));
    match signed {
        Some((state, deviation)) => (state, Some(u64::from_le_bytes(*deviation))),
        None => (bytes, None),
    }
}

/// Whether a deviation stands behind a service's state.
#[must_use]
pub fn deviates(bytes: &[u8]) -> bool {
    split(bytes).1.is_some()
}

/// Whether the member deviates, or would behind its next start.
fn is_off(host: &Node) -> bool {
    host.deviation.is_some() || host.disk.has_snapshot_with(deviates)
}

impl World {
    /// Somebody's service begins to deviate, while most do not.
    pub(crate) fn deviate(&mut self) {
        let interval = self.swarm.snapshots.deviation;
        if interval == 0 || self.calm {
            return;
        }
        let pause = self.dice.snapshots.exponential(interval).max(MICRO);
        self.queue.push(self.now + pause, Occurrence::Deviate);
        let count = self.nodes.len();
        let mut node = self.dice.snapshots.below(count as u64) as usize;
        if self.dice.snapshots.chance(ALWAYS / 2) {
            node = self.leading_node().unwrap_or(node);
        }
        let others = self.nodes.iter().enumerate().filter(|(at, _)| *at != node);
        let off = others.filter(|(_, host)| is_off(host)).count();
        if self.nodes[node].member.is_some() && off < (count - 1) / 2 {
            let deviation = self.dice.snapshots.bits();
            self.nodes[node].deviation = Some(deviation);
            self.tally.saw(Mark::Deviated);
            self.note(|| format!("the service of member {} deviates", node + 1));
        }
    }

    /// In a group of which most are there and alike, who deviates has stopped when all have taken
    /// one more snapshot; also when all are told so at first in vain.
    pub(crate) fn find_deviations(&mut self) {
        let is_there = |node: &&usize| self.nodes[**node].deviation.is_none();
        let alike = self.core.iter().filter(is_there).count();
        let decides = alike > self.nodes.len() / 2;
        if self.swarm.snapshots.deviation == 0 || self.finding.is_some() || !decides {
            return;
        }
        let deadline = self.now + FOUND_WITHIN;
        let mut asked_of: Option<MemberId> = None;
        while self.finding.is_none() && self.core.iter().any(|node| is_off(&self.nodes[*node])) {
            if self.now >= deadline {
                let roles = self.roles();
                return self.found("E113", format!("a member deviates and goes on: {roles}"));
            }
            let leads = |node: &usize| {
                let host = &self.nodes[*node];
                host.member.is_some() && host.view.role == Role::Leader && host.view.serving
            };
            let leader = self.core.iter().copied().find(leads);
            if let Some(leader) = leader {
                self.step_member(leader, Event::TakeSnapshot);
                asked_of = Some(self.nodes[leader].id);
            }
            self.run_until(self.now + SECOND, |_| false);
        }
        self.note(|| format!("nobody deviates any more; {asked_of:?} was asked last"));
        let deadline = self.now + FOUND_WITHIN;
        if !self.run_until(deadline, Self::is_level) && self.finding.is_none() {
            self.found("E113", format!("not level behind a deviation: {}", self.roles()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deviation_is_taken_off_as_it_was_put_on() {
        for state in [Vec::new(), b"state".to_vec(), vec![7; 100]] {
            assert_eq!(split(&join(state.clone(), None)), (state.as_slice(), None));
            assert_eq!(split(&join(state.clone(), Some(9))), (state.as_slice(), Some(9)));
        }
    }
}
