//! The calm phase: all faults end, and the group must come to rest within bounds (L1 to L3).

use quorate_core::{MemberId, Role, Term};

use crate::dice::Dice;
use crate::observers::Phase;
use crate::swarm::{MILLI, SECOND};
use crate::world::{Occurrence, World};

/// L1: election time-outs until there is one leader that all know.
const LEADER_TIMEOUTS_MAX: u64 = 10;
/// L1: election time-outs for which it stays.
const STAYS_TIMEOUTS: u64 = 10;
/// L2: virtual time until all requests are answered.
const ANSWERED_WITHIN: u64 = 30 * SECOND;
/// L3: virtual time until all members are level.
const LEVEL_WITHIN: u64 = 20 * SECOND;

impl World {
    /// Ends all faults and checks that the group comes to rest.
    pub(crate) fn run_calm(&mut self) {
        let stalled_until = self.heal();
        self.enter(Phase::Calm);
        let timeout = self.swarm.timing.election_timeout_max.0;
        // A leader that makes no progress has until then to find out (rule 8).
        let patience = self.swarm.timing.progress_timeout.0;
        let deadline = self.now + LEADER_TIMEOUTS_MAX * timeout + patience + 100 * MILLI;
        if !self.run_until(deadline, |world| world.leader().is_some()) {
            let text = format!("no leader that all know: {}", self.roles());
            return self.found("L1", text);
        }
        self.enter(Phase::Led);
        self.draining = true;
        let deadline = self.now + ANSWERED_WITHIN;
        if !self.run_until(deadline, Self::all_answered) {
            return self.found("L2", format!("outstanding requests: {}", self.unanswered()));
        }
        self.clients.iter_mut().for_each(|host| host.owed = 1);
        let deadline = self.now + ANSWERED_WITHIN;
        if !self.run_until(deadline, Self::all_answered) {
            return self.found("L2", format!("fresh requests: {}", self.unanswered()));
        }
        let deadline = self.now + LEVEL_WITHIN;
        if !self.run_until(deadline, Self::is_level) {
            return self.found("L3", format!("not level: {}", self.roles()));
        }
        // What a stalled disk began is over then, and what a leader concluded from it.
        self.run_until(stalled_until + patience, |_| false);
        let leader = self.leader();
        self.enter(Phase::Silent);
        self.run_until(self.now + STAYS_TIMEOUTS * timeout, |_| false);
        if self.leader() != leader {
            let text = format!("{leader:?} did not stay: {}", self.roles());
            self.found("L1", text);
        }
        if self.finding.is_none() {
            self.enter(Phase::Over);
        }
    }

    /// Ends all faults; returns when the last operation of a stalled disk or of
    /// a paused member completes.
    fn heal(&mut self) -> u64 {
        // What completes during a pause was put off to its end, and stays there.
        let ends = self
            .nodes
            .iter()
            .flat_map(|host| host.disk_ready.into_iter().chain([host.paused_until]));
        let ready = ends.max();
        self.note(|| "calm".to_owned());
        self.calm = true;
        self.network.calm();
        for node in 0..self.nodes.len() {
            let host = &mut self.nodes[node];
            host.paused_until = host.paused_until.min(self.now);
            host.stalled_until = self.now;
            host.disk_ready = host.disk_ready.map(|ready| ready.min(self.now));
            host.disk_full = false;
            host.crash_after = None;
            // A timer that was put off to the end of a pause is due now.
            host.timer_at = None;
            self.arm_timer(node);
            let mut dice = Dice::new(self.seed, "calm");
            let at = self.now + dice.between(0, 20 * MILLI);
            self.queue.push(at, Occurrence::Restart { node });
        }
        ready.unwrap_or(self.now)
    }

    /// The one leader that all members know, with its term.
    fn leader(&self) -> Option<(MemberId, Term)> {
        let leader = self.nodes.iter().find(|node| node.view.role == Role::Leader)?;
        let (id, term) = (leader.id, leader.view.term);
        let all_know = self.nodes.iter().all(|node| {
            node.member.is_some()
                && node.view.term == term
                && node.view.leader == Some(id)
                && (node.id == id) == (node.view.role == Role::Leader)
        });
        all_know.then_some((id, term))
    }

    fn all_answered(&self) -> bool {
        self.clients.iter().all(|host| host.owed == 0 && host.client.unanswered() == 0)
    }

    fn is_level(&self) -> bool {
        let Some(first) = self.nodes.first().filter(|node| node.member.is_some()) else {
            return false;
        };
        let Some(one) = &first.member else { return false };
        let leader = self.leader();
        leader.is_some()
            && first.view.commit == first.view.verified
            && self.nodes.iter().all(|node| {
                let Some(member) = &node.member else { return false };
                let positions = |view: &quorate_core::View| {
                    (view.verified, view.durable, view.commit, view.applied, view.applied_chain)
                };
                positions(&node.view) == positions(&first.view)
                    && node.view.applied == node.view.commit
                    && node.late.is_empty()
                    && member.history().last() == one.history().last()
                    && node.service.digest() == first.service.digest()
                    && member.replicated_hash() == one.replicated_hash()
            })
    }

    fn roles(&self) -> String {
        let each = self.nodes.iter().map(|node| {
            let view = &node.view;
            format!(
                "{} {}{} of {} (leader {:?}, verified {}, durable {}, commit {}, applied {})",
                node.id,
                if node.member.is_some() { "" } else { "down " },
                view.role.name(),
                view.term,
                view.leader.map(|leader| leader.0),
                view.verified,
                view.durable,
                view.commit,
                view.applied
            )
        });
        each.collect::<Vec<_>>().join("; ")
    }

    fn unanswered(&self) -> String {
        let waiting =
            self.clients.iter().filter(|host| host.owed > 0 || host.client.unanswered() > 0);
        let each = waiting.map(|host| {
            let (number, unanswered) = (host.number, host.client.unanswered());
            format!("client {number} waits for {unanswered} behind {}", host.replied)
        });
        format!("{}; {}", each.collect::<Vec<_>>().join(", "), self.roles())
    }
}
