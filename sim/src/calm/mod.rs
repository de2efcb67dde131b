//! The calm phase. A random core, a quorum at least, heals; every other failure becomes permanent;
//! then the core must come to rest within bounds (L1 to L3, L5, L6, L10), or it must be shown from
//! the disks that nobody could have (L13).
//!
//! Each rule has a file of its own, with a function over what it needs. Here is when each is asked,
//! and for how long it may take.

mod all_level;
mod answers;
mod gaps;
mod growth;
mod one_leader;
mod purged;
mod quiet;
mod recoverability;
mod silence;

pub(crate) use quiet::Traffic;

use quorate_core::{MemberId, Role, Term};

use crate::dice::ALWAYS;
use crate::faults::Fault;
use crate::network::Place;
use crate::node::Node;
use crate::observers::Phase;
use crate::report::Mark;
use crate::swarm::{MILLI, SECOND};
use crate::world::{Occurrence, World};

/// L1: election time-outs until there is one leader that all know.
const LEADER_TIMEOUTS_MAX: u64 = 10;
/// L1, L6, L10: election time-outs of each of the two windows for which it stays, and is quiet.
const WINDOW_TIMEOUTS: u64 = 25;
/// L2: virtual time until all requests are answered, behind what a member replays by itself.
const ANSWERED_WITHIN: u64 = 30 * SECOND;
/// L3: virtual time until all members are level, behind what a member replays by itself.
const LEVEL_WITHIN: u64 = 20 * SECOND;
/// Clients that pause longer do not make an idle leader find out about its disk.
const PAUSE_OF_BUSY_CLIENTS: u64 = SECOND;

/// What is wrong for ever with a member outside of the core.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Permanent {
    Down,
    Paused,
    Isolated,
    /// Hears no member.
    Deaf,
    /// Reaches no member.
    Mute,
    DiskStalled,
    DiskFull,
}

impl World {
    /// Ends the faults of a core and checks that it comes to rest.
    pub(crate) fn run_calm(&mut self) {
        if self.swarm.members_change() {
            self.core = (0..self.nodes.len()).filter(|node| self.is_invited(*node)).collect();
        } else if !self.choose_core() {
            self.excused = Some("fewer than a quorum of sound disks");
            return;
        }
        self.settled_at = self.heal();
        self.watch.rules.slowness = self.slowness();
        self.watch.rules.settled_at = self.settled_at;
        self.enter(Phase::Calm);
        self.come_to_rest();
        if self.finding.as_ref().is_some_and(|finding| finding.id.starts_with('L')) {
            let disks = self.core_nodes().map(|node| &node.disk);
            let chosen = self.watch.chosen_end();
            let members = if self.swarm.members_change() { 1 } else { self.nodes.len() };
            self.excused = recoverability::excuse(disks, members, chosen);
            if self.excused.is_some() {
                self.finding = None;
            }
        }
    }

    fn come_to_rest(&mut self) {
        let timeout = self.swarm.timing.election_timeout_max.0 * self.slowness();
        // A leader that makes no progress has until then to find out (rule 8).
        let patience = self.swarm.timing.progress_timeout.0 * self.slowness();
        // Who lets the others go first waits for so much longer (E19).
        let delays = self.swarm.candidacy_delays.iter().copied().max().unwrap_or_default();
        let patience = patience + delays * self.slowness();
        // A voter whose disk is still at what it began before cannot vote yet.
        let begin = self.now.max(self.settled_at);
        let deadline = begin + LEADER_TIMEOUTS_MAX * timeout + patience + 100 * MILLI;
        let Some(deadline) = self.settle_members(deadline) else { return };
        if !self.run_until(deadline, |world| world.leader().is_some()) {
            let text = format!("no leader that all know: {}", self.roles());
            return self.found("L1", text);
        }
        self.enter(Phase::Led);
        self.draining = true;
        let deadline = self.now + self.replay_time() + ANSWERED_WITHIN;
        if !self.run_until(deadline, Self::all_answered) {
            return self.found("L2", format!("outstanding requests: {}", self.unanswered()));
        }
        self.clients.iter_mut().for_each(|host| host.owed = 1);
        let deadline = self.now + self.replay_time() + ANSWERED_WITHIN;
        if !self.run_until(deadline, Self::all_answered) {
            return self.found("L2", format!("fresh requests: {}", self.unanswered()));
        }
        let deadline = self.now + self.replay_time() + LEVEL_WITHIN;
        if !self.run_until(deadline, Self::is_level) {
            return self.found("L3", format!("not level: {}", self.roles()));
        }
        // What a stalled disk began is over then, and what a leader concluded from it.
        self.run_until(self.settled_at + patience, |_| false);
        self.find_deviations();
        self.hand_over();
        self.enter(Phase::Silent);
        self.stay_quiet(WINDOW_TIMEOUTS * timeout);
        if self.finding.is_none() {
            self.enter(Phase::Over);
        }
    }

    /// Where members come and go: a change that is under way is completed, and those that are no
    /// members then are to disturb nobody. Returns until when there has to be a leader.
    fn settle_members(&mut self, deadline: u64) -> Option<u64> {
        if !self.swarm.members_change() {
            return Some(deadline);
        }
        let deadline = deadline + self.replay_time() + ANSWERED_WITHIN;
        if !self.run_until(deadline, |world| world.settled_members().is_some()) {
            let text = format!("a change of members is not completed: {}", self.roles());
            self.found("L11", text);
        }
        let members = self.settled_members()?;
        let is_member = |node: &usize| members.get(self.nodes[*node].id).is_some();
        self.core = (0..self.nodes.len()).filter(is_member).collect();
        self.tell_the_forgotten(&members);
        // Who lags has to hear first who is a member.
        Some(deadline + ANSWERED_WITHIN)
    }

    /// The operator demands that another member of the core lead, and it does (L7, E18).
    fn hand_over(&mut self) {
        let leads = |node: &usize| self.nodes[*node].view.role == Role::Leader;
        let Some(leader) = self.core.iter().copied().find(leads) else { return };
        let core = self.nodes[leader].member.as_ref();
        let votes = |id| core.is_some_and(|core| core.membership().is_voter(id));
        let may_lead = |node: &usize| *node != leader && votes(self.nodes[*node].id);
        let others: Vec<usize> = self.core.iter().copied().filter(may_lead).collect();
        if self.finding.is_some() || others.is_empty() || !self.dice.calm.chance(ALWAYS / 2) {
            return;
        }
        let target = self.nodes[self.dice.calm.pick(&others)].id;
        let request = self.demand(self.now, leader, Some(target));
        let timeout = self.swarm.timing.election_timeout_max.0 * self.slowness();
        let done = |world: &Self| {
            let leads = world.leader().is_some_and(|(leader, _)| leader == target);
            leads && world.transferred.contains(&request) && world.is_level()
        };
        if !self.run_until(self.now + 2 * timeout + LEVEL_WITHIN, done) {
            return self.found("L7", format!("not handed over to {target}: {}", self.roles()));
        }
        // All are told of acknowledgements in the new term, and write that down.
        let interval = self.swarm.timing.peer_record_interval.0 * self.slowness();
        self.run_until(self.now + 2 * interval + SECOND, |_| false);
    }

    /// How many times longer than configured the slowest clock of the core makes things.
    fn slowness(&self) -> u64 {
        let rates = self.core.iter().map(|node| self.nodes[*node].clock.rate());
        let slowest = rates.min().unwrap_or(1_000_000).max(1);
        1_000_000_u64.div_ceil(slowest)
    }

    /// How long the member of the core that has most to apply takes for it, in nanoseconds of true
    /// time. Each frame may take a read of its own: the window has moved on, where a batch is one
    /// frame, or a timer ends it. A member that began anew behind thousands of frames, on a slow
    /// disk, is busy for a minute with nothing wrong; one that goes more slowly than its disk is
    /// still found, and so is one that stands still.
    fn replay_time(&self) -> u64 {
        let core = || self.core.iter().map(|node| &self.nodes[*node]);
        let applied = core().map(|node| node.view.applied).min().unwrap_or_default();
        let left = core().map(|node| {
            let frames = node.disk.frames();
            frames.len() - frames.partition_point(|frame| frame.start < applied)
        });
        left.max().unwrap_or_default() as u64 * self.swarm.disk.latency_max
    }

    /// Draws the members of the core among those whose disks are sound; `false` if too few are.
    fn choose_core(&mut self) -> bool {
        if let Some((one, other)) = self.swapped {
            self.swap_back(one, other);
        }
        let count = self.nodes.len();
        let sound: Vec<usize> =
            (0..count).filter(|node| self.nodes[*node].disk.is_sound()).collect();
        let quorum = count / 2 + 1;
        if sound.len() < quorum {
            return false;
        }
        let size = if self.dice.calm.chance(ALWAYS / 2) {
            sound.len()
        } else {
            self.dice.calm.between(quorum as u64, sound.len() as u64) as usize
        };
        let mut core = sound.clone();
        while core.len() > size {
            core.remove(self.dice.calm.below(core.len() as u64) as usize);
        }
        // Who lost its directory elects nobody before the others have readmitted it.
        let is_full = |node: &&usize| self.nodes[**node].disk.is_of_a_full_member();
        if core.iter().filter(is_full).count() < quorum {
            core = sound;
        }
        // Nor does who may have lost what it held, before a leader has told it what that may be.
        if let Some(most) = self.swarm.doubtful_max() {
            let knows = |node: &&usize| {
                let host = &self.nodes[**node];
                host.member.is_some() && !host.view.impaired
            };
            if core.iter().filter(knows).count() + most < count {
                core = (0..count).filter(|node| self.nodes[*node].disk.is_sound()).collect();
            }
        }
        self.core = core;
        true
    }

    /// Heals the core and gives up the others; returns when the last operation of a stalled disk or
    /// of a paused member completes, and the last datagram of before has arrived.
    fn heal(&mut self) -> u64 {
        // What was put off to the end of a stall stays there.
        let ends = self.core.iter().flat_map(|node| {
            let host = &self.nodes[*node];
            host.disk_ready.into_iter().chain([host.paused_until])
        });
        // What a clog held back arrives late, and is answered.
        let settled_at = ends.chain([self.last_arrival]).max().unwrap_or(self.now);
        self.note(|| "CALM".to_owned());
        let rates: Vec<(usize, u64)> = (0..self.nodes.len())
            .filter(|node| self.nodes[*node].clock.rate() == 0)
            .map(|node| (node, crate::clock::TRUE_RATE))
            .collect();
        for (node, rate) in rates {
            self.fault(Fault::ClockRuns { node, rate, missed: 0 });
        }
        let outside: Vec<usize> =
            (0..self.nodes.len()).filter(|node| !self.core.contains(node)).collect();
        for node in outside {
            self.give_up(node);
        }
        self.calm = true;
        let core = self.core.clone();
        self.network.calm(core.iter().map(|node| self.nodes[*node].id).collect());
        for node in core {
            let host = &mut self.nodes[node];
            host.mend(self.now);
            host.disk.mend();
            // A timer that was put off to the end of a pause is due now.
            host.timer_at = None;
            self.arm_timer(node);
            self.queue.push(self.now, Occurrence::Wake { node });
            self.nodes[node].wake_at = Some(self.now);
            let at = self.now + self.dice.calm.between(0, 20 * MILLI);
            self.queue.push(at, Occurrence::Restart { node });
        }
        settled_at
    }

    /// Makes what is wrong with a member permanent, and sees that something is.
    fn give_up(&mut self, node: usize) {
        self.tally.saw(Mark::GivenUp);
        let busy = self.swarm.workload.pause <= PAUSE_OF_BUSY_CLIENTS;
        let kinds = [
            Permanent::Down,
            Permanent::Paused,
            Permanent::Isolated,
            Permanent::Deaf,
            Permanent::Mute,
            Permanent::DiskStalled,
            Permanent::DiskFull,
        ];
        let choices = if busy { &kinds[..] } else { &kinds[..5] };
        let permanent = self.dice.calm.pick(choices);
        self.note(|| format!("member {} is {permanent:?} for ever", node + 1));
        let place = self.member_place(node);
        let members = self.member_places();
        let others = members.iter().filter(|other| **other != place);
        let host = &mut self.nodes[node];
        match permanent {
            Permanent::Down => {
                host.is_given_up = true;
                self.lose_power(node);
            }
            Permanent::Paused => host.paused_until = u64::MAX,
            Permanent::Isolated => others.for_each(|other| {
                self.network.cut(place, *other);
                self.network.cut(*other, place);
            }),
            Permanent::Deaf => others.for_each(|other| self.network.cut(*other, place)),
            Permanent::Mute => others.for_each(|other| self.network.cut(place, *other)),
            Permanent::DiskStalled => host.stalled_until = u64::MAX,
            Permanent::DiskFull => host.disk_full = true,
        }
    }

    pub(crate) fn is_core(&self, place: Place) -> bool {
        match place {
            Place::Member(member) => self.core.contains(&(usize::from(member.0).wrapping_sub(1))),
            Place::Client(_) => true,
        }
    }

    /// The members of the core.
    fn core_nodes(&self) -> impl Iterator<Item = &Node> + Clone {
        self.core.iter().map(|node| &self.nodes[*node])
    }

    /// The one leader that the whole core knows, with its term.
    fn leader(&self) -> Option<(MemberId, Term)> {
        one_leader::leader(self.core_nodes())
    }

    fn all_answered(&self) -> bool {
        answers::waiting(&self.clients).next().is_none()
    }

    pub(crate) fn is_level(&self) -> bool {
        self.leader().is_some() && all_level::are_level(self.core_nodes())
    }

    pub(crate) fn roles(&self) -> String {
        let each = self.nodes.iter().enumerate().map(|(index, node)| {
            let view = &node.view;
            format!(
                "{}{} {}{} of {} (leader {:?}, verified {}, durable {}, commit {}, applied {})",
                if self.core.contains(&index) { "" } else { "outside " },
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
        let each = answers::waiting(&self.clients).map(|host| {
            let (number, unanswered) = (host.number, host.client.unanswered());
            format!("client {number} waits for {unanswered} behind {}", host.replied)
        });
        format!("{}; {}", each.collect::<Vec<_>>().join(", "), self.roles())
    }
}
