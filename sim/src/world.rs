//! The world: what happens, to whom, in virtual time, from one seed.

use std::rc::Rc;

use quorate_core::{
    Actions, ClientKey, Event, GroupId, Incoming, Instant, MemberConfig, MemberId, Message,
    OperationId, RecoveryEpoch, Role, Stream,
};

use crate::clients::ClientHost;
use crate::dice::{ALWAYS, Dice};
use crate::disk::{Completion, SimDisk};
use crate::faults::Fault;
use crate::ledger::{Ledger, Service};
use crate::network::{Arrival, Datagram, Network, Place};
use crate::node::{Clock, Node};
use crate::observers::{Observed, Observers, Phase, Rules, Scene, Violations};
use crate::report::{Finding, Mark, Outcome, Tally};
use crate::swarm::{MICRO, MILLI, SECOND, Swarm};

/// What happens at some time.
pub(crate) enum Occurrence {
    Arrive(Place, Rc<Datagram>),
    MemberTimer { node: usize, life: u64, at: u64 },
    DiskDone { node: usize, operation: OperationId },
    StaleDone { node: usize, operation: OperationId },
    ServiceDone { node: usize, life: u64 },
    ClientTimer { client: usize, at: u64 },
    Submit { client: usize },
    Restart { node: usize },
    NextFault,
    Fault(Fault),
}

/// The dice of each subsystem but the network's.
pub(crate) struct WorldDice {
    pub(crate) disk: Dice,
    pub(crate) process: Dice,
    pub(crate) fault: Dice,
    pub(crate) workload: Dice,
}

/// The observers with what they are told and what they found.
pub(crate) struct Watch {
    pub(crate) observers: Observers,
    pub(crate) violations: Violations,
    rules: Rules,
}

impl Watch {
    /// Shows the observers what happened to the member at `index`.
    pub(crate) fn show(&mut self, nodes: &[Node], now: u64, index: usize, observed: Observed<'_>) {
        let node = &nodes[index];
        let mut disks = [&node.disk; quorate_core::config::VOTERS_MAX];
        for (slot, other) in disks.iter_mut().zip(nodes) {
            *slot = &other.disk;
        }
        let history =
            node.member.as_ref().map_or_else(|| node.disk.history(), |member| member.history());
        let scene = Scene {
            now,
            member: node.id,
            before: &node.before,
            view: &node.view,
            history,
            core: node.member.as_ref(),
            disk: &node.disk,
            disks: &disks[..nodes.len()],
            rules: &self.rules,
        };
        self.observers.observe(&scene, observed, &mut self.violations);
    }
}

/// Makes the service of one member.
pub type ServiceFactory = Box<dyn Fn(&Swarm) -> Box<dyn Service>>;

/// A deterministic world: members with disks and services, clients, and a network between them.
pub struct World {
    pub(crate) seed: u64,
    pub(crate) swarm: Swarm,
    pub(crate) now: u64,
    pub(crate) steps: u64,
    pub(crate) first_leader: Option<u64>,
    first_led_at: Option<u64>,
    pub(crate) last_leader: Option<MemberId>,
    pub(crate) queue: crate::scheduler::Scheduler<Occurrence>,
    pub(crate) network: Network,
    pub(crate) nodes: Vec<Node>,
    pub(crate) clients: Vec<ClientHost>,
    pub(crate) keys_made: u64,
    pub(crate) watch: Watch,
    pub(crate) tally: Tally,
    pub(crate) finding: Option<Finding>,
    pub(crate) dice: WorldDice,
    pub(crate) calm: bool,
    pub(crate) draining: bool,
    pub(crate) trace: Option<Vec<String>>,
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) buffer: Vec<u8>,
    pub(crate) datagram: Vec<u8>,
    actions: Actions,
    trace_hash: u64,
    services: ServiceFactory,
    steps_under_faults: u64,
}

/// The group of all worlds.
pub(crate) const GROUP: GroupId = GroupId(0x5157);
/// How long the fault phase may go on, in virtual time.
const FAULTS_MAX: u64 = 3_600 * SECOND;

impl World {
    /// The world of `seed`, with the ledger as its service.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut world = Self::with(
            seed,
            Swarm::draw(seed),
            Box::new(|swarm| Box::new(Ledger::new(swarm.limits.reply_bytes_max as usize))),
        );
        world.watch.rules.is_ledger = true;
        world
    }

    /// A world with these options, whose members replicate a service of `services`.
    #[must_use]
    pub fn with(seed: u64, swarm: Swarm, services: ServiceFactory) -> Self {
        let mut process = Dice::new(seed, "process");
        let tag = quorate_core::GroupTag::new(GROUP, RecoveryEpoch(0));
        let nodes = (1..=swarm.members as u16).map(|id| {
            let disk = SimDisk::new(tag, swarm.limits.frame_bytes_max());
            let error = process.between(0, 2 * swarm.clock_error) as i64 - swarm.clock_error as i64;
            Node::new(MemberId(id), disk, Clock { error }, services(&swarm))
        });
        let nodes = nodes.collect();
        Self {
            seed,
            now: 0,
            steps: 0,
            first_leader: None,
            first_led_at: None,
            last_leader: None,
            queue: crate::scheduler::Scheduler::default(),
            network: Network::new(seed, swarm.network.clone()),
            nodes,
            clients: Vec::new(),
            keys_made: 0,
            watch: Watch {
                observers: Observers::default(),
                violations: Violations::default(),
                rules: Rules::of(&swarm),
            },
            tally: Tally::default(),
            finding: None,
            dice: WorldDice {
                disk: Dice::new(seed, "disk"),
                process,
                fault: Dice::new(seed, "fault"),
                workload: Dice::new(seed, "workload"),
            },
            calm: false,
            draining: false,
            trace: None,
            arrivals: Vec::new(),
            buffer: Vec::new(),
            datagram: Vec::new(),
            actions: Actions::new(),
            trace_hash: 0,
            services,
            steps_under_faults: 0,
            swarm,
        }
    }

    /// Records a readable line of each event from now on.
    pub fn record_trace(&mut self) {
        self.trace = Some(Vec::new());
    }

    /// Takes the lines that were recorded.
    pub fn take_trace(&mut self) -> Vec<String> {
        self.trace.as_mut().map(core::mem::take).unwrap_or_default()
    }

    /// Runs the world: faults for `steps` steps behind the first leader, then calm. Stops at the
    /// first finding.
    pub fn run(&mut self, steps: u64) {
        for node in 0..self.nodes.len() {
            let at = self.dice.process.between(0, 5 * MILLI);
            self.queue.push(at, Occurrence::Restart { node });
        }
        for _ in 0..self.swarm.clients {
            self.add_client();
        }
        if self.swarm.faults.from_start {
            self.queue.push(MILLI, Occurrence::NextFault);
        }
        let time_min = self.swarm.faults.time_min;
        let enough = |world: &Self| {
            let led = world.first_leader.zip(world.first_led_at);
            led.is_some_and(|(first, at)| {
                world.steps >= first + steps && world.now >= at + time_min
            })
        };
        self.run_until(FAULTS_MAX, enough);
        self.steps_under_faults = self.steps - self.first_leader.unwrap_or(self.steps);
        if self.finding.is_none() {
            self.run_calm();
        }
        for node in 0..self.nodes.len() {
            if let Some(member) = &self.nodes[node].member {
                let counters = *member.counters();
                self.count(&counters);
            }
        }
    }

    /// What came of it, so far.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        Outcome {
            steps: self.steps,
            steps_under_faults: self.steps_under_faults,
            elapsed: self.now,
            trace_hash: self.trace_hash,
            tally: self.tally.clone(),
            finding: self.finding.clone(),
        }
    }

    /// Lets things happen until `done`, a finding, or the time `deadline`; says whether it is done.
    pub(crate) fn run_until(&mut self, deadline: u64, done: impl Fn(&Self) -> bool) -> bool {
        while self.finding.is_none() {
            if done(self) {
                return true;
            }
            let Some((at, occurrence)) = self.queue.pop() else { return false };
            if at > deadline {
                self.queue.push(at, occurrence);
                return false;
            }
            self.now = self.now.max(at);
            self.happen(occurrence);
            if let Some(violation) = self.watch.violations.first() {
                self.found(violation.id, violation.message);
            }
        }
        false
    }

    /// Reports what must not happen; only the first report counts.
    pub(crate) fn found(&mut self, id: &'static str, message: String) {
        let (seed, step, at) = (self.seed, self.steps, self.now);
        self.finding.get_or_insert(Finding { seed, step, at, id, message });
    }

    /// Tells the observers how far the run has come.
    pub(crate) fn enter(&mut self, phase: Phase) {
        for node in 0..self.nodes.len() {
            self.watch.show(&self.nodes, self.now, node, Observed::Phase(phase));
        }
        if let Some(violation) = self.watch.violations.first() {
            self.found(violation.id, violation.message);
        }
    }

    /// Adds a line to the trace, if there is one.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>12} us  {}", self.now / MICRO, line()));
        }
    }

    fn happen(&mut self, occurrence: Occurrence) {
        if let Some(until) = self.paused(&occurrence) {
            return self.queue.push(until, occurrence);
        }
        match occurrence {
            Occurrence::Arrive(Place::Member(member), datagram) => {
                let node = usize::from(member.0) - 1;
                if node < self.nodes.len() {
                    self.receive(node, &datagram);
                }
            }
            Occurrence::Arrive(Place::Client(number), datagram) => {
                self.client_receives(number, &datagram);
            }
            Occurrence::MemberTimer { node, life, at } => self.member_timer(node, life, at),
            Occurrence::DiskDone { node, operation } => self.disk_done(node, operation),
            Occurrence::StaleDone { node, operation } => {
                if self.nodes[node].member.is_some() {
                    self.tally.saw(Mark::StaleCompletion);
                    self.step_member(node, Event::Durable { operation });
                }
            }
            Occurrence::ServiceDone { node, life } => self.service_done(node, life),
            Occurrence::ClientTimer { client, at } => self.client_timer(client, at),
            Occurrence::Submit { client } => self.client_submits(client),
            Occurrence::Restart { node } => self.start(node),
            Occurrence::NextFault => self.next_fault(),
            Occurrence::Fault(fault) => self.fault(fault),
        }
    }

    /// Until when the host that it happens to stands still, if it does.
    fn paused(&self, occurrence: &Occurrence) -> Option<u64> {
        let node = match occurrence {
            Occurrence::Arrive(Place::Member(member), _) => usize::from(member.0) - 1,
            Occurrence::MemberTimer { node, .. }
            | Occurrence::DiskDone { node, .. }
            | Occurrence::StaleDone { node, .. }
            | Occurrence::ServiceDone { node, .. } => *node,
            _ => return None,
        };
        self.nodes.get(node).map(|node| node.paused_until).filter(|until| *until > self.now)
    }

    fn receive(&mut self, node: usize, datagram: &Datagram) {
        if self.nodes[node].member.is_none() {
            return;
        }
        let Some((sender, content)) = self.read(datagram) else { return };
        match &content {
            Incoming::Control(message) => {
                let received = Observed::Received { sender, message };
                self.watch.show(&self.nodes, self.now, node, received);
            }
            Incoming::Data { stream: Stream::Log, position, live, slice, .. } => {
                let end = position.plus(slice.len() as u64);
                let heard = live.map_or(end, |live| live.newest.max(end));
                self.watch.show(&self.nodes, self.now, node, Observed::Heard(heard));
            }
            Incoming::Data { .. } => {}
        }
        let source = datagram.source;
        self.note(|| format!("member {} receives {content:?} of {sender:?}", node + 1));
        self.step_member(node, Event::Received { sender, source, content });
    }

    fn disk_done(&mut self, node: usize, operation: OperationId) {
        match self.nodes[node].disk.complete(operation) {
            Some(Completion::Durable(work)) => {
                self.watch.show(&self.nodes, self.now, node, Observed::Durable(&work));
                self.note(|| format!("member {}: durable {work:?}", node + 1));
                self.step_member(node, Event::Durable { operation });
            }
            Some(Completion::Read(bytes)) => {
                self.step_member(node, Event::LogRead { operation, bytes: &bytes });
            }
            None => {}
        }
    }

    fn service_done(&mut self, node: usize, life: u64) {
        if self.nodes[node].member.is_none() || self.nodes[node].life() != life {
            return;
        }
        if let Some((_, through, outputs)) = self.nodes[node].late.pop_front() {
            self.step_member(node, Event::Applied { through, outputs: &outputs });
        }
    }

    fn member_timer(&mut self, node: usize, life: u64, at: u64) {
        let host = &mut self.nodes[node];
        if host.timer_at != Some(at) || host.life() != life {
            return;
        }
        host.timer_at = None;
        let local = host.clock.at(self.now);
        let due = host.member.as_ref().and_then(|member| member.next_deadline());
        if due.is_none_or(|due| due > local) {
            return self.arm_timer(node);
        }
        self.step_member(node, Event::Timer);
    }

    /// Lets the member at `node` take in `event`, with all that follows from it at once.
    pub(crate) fn step_member(&mut self, node: usize, event: Event<'_>) {
        self.step_through(node, event);
        if self.dice.process.chance(self.swarm.flush) && self.nodes[node].member.is_some() {
            self.step_through(node, Event::Flush);
        }
        self.arm_timer(node);
    }

    /// One event, and those that its own actions bring about before anything else can happen.
    fn step_through(&mut self, node: usize, event: Event<'_>) {
        self.step_once(node, event);
        loop {
            let host = &mut self.nodes[node];
            if let Some(position) = host.refused.take() {
                self.step_once(node, Event::StorageFull { position });
            } else if let Some(through) = host.applying.take() {
                let outputs = core::mem::take(&mut host.outputs);
                self.report_applied(node, through, outputs);
            } else {
                return;
            }
        }
    }

    fn report_applied(
        &mut self,
        node: usize,
        through: quorate_core::Position,
        outputs: quorate_core::Outputs,
    ) {
        let late = !self.nodes[node].late.is_empty()
            || (!self.calm && self.dice.process.chance(self.swarm.slow_service));
        if late {
            let after = self.nodes[node].late.back().map_or(self.now, |(at, ..)| *at);
            let at = after + self.dice.process.between(10 * MICRO, 5 * MILLI);
            let life = self.nodes[node].life();
            self.nodes[node].late.push_back((at, through, outputs));
            self.tally.saw(Mark::SlowService);
            return self.queue.push(at, Occurrence::ServiceDone { node, life });
        }
        self.step_once(node, Event::Applied { through, outputs: &outputs });
    }

    fn step_once(&mut self, node: usize, event: Event<'_>) {
        let local = self.nodes[node].clock.at(self.now);
        let stepping = Observed::Stepping { local, event: &event };
        self.watch.show(&self.nodes, self.now, node, stepping);
        let host = &mut self.nodes[node];
        let Some(member) = host.member.as_mut() else { return };
        let mut actions = core::mem::take(&mut self.actions);
        let (read, applied) = match &event {
            Event::LogRead { bytes, .. } => (*bytes, false),
            Event::Applied { .. } => (&[][..], true),
            _ => (&[][..], false),
        };
        host.before = host.view;
        member.step(local, event, &mut actions);
        host.view = member.view();
        self.steps += 1;
        self.hash_step(node, actions.len());
        let stepped = Observed::Stepped { actions: &actions };
        self.watch.show(&self.nodes, self.now, node, stepped);
        if let Some(member) = &self.nodes[node].member {
            member.check_invariants();
        }
        self.note_role(node);
        self.perform_all(node, &mut actions, read);
        actions.clear();
        self.actions = actions;
        if applied {
            self.show_state(node);
        }
    }

    fn show_state(&mut self, node: usize) {
        let host = &self.nodes[node];
        let Some(member) = &host.member else { return };
        if host.late.is_empty() && host.applying.is_none() {
            // The hash over all sessions and their replies is dear: at one position in 32, the
            // same ones on all members; the calm phase compares it once more.
            let sampled = quorate_core::hash::mix(0, host.view.applied.0).is_multiple_of(32);
            let replicated = if sampled { member.replicated_hash() } else { 0 };
            let service = host.service.digest();
            let state = Observed::State { service, replicated };
            self.watch.show(&self.nodes, self.now, node, state);
        }
    }

    fn hash_step(&mut self, node: usize, actions: usize) {
        let view = &self.nodes[node].view;
        let words = [
            self.now,
            (node as u64) << 32 | actions as u64,
            view.term.0 << 8 | view.role as u64,
            view.received.0 ^ view.verified.0.rotate_left(32),
            view.commit.0 ^ view.applied.0.rotate_left(32),
        ];
        let mix = quorate_core::hash::mix;
        self.trace_hash = words.iter().fold(self.trace_hash, |hash, word| mix(hash, *word));
    }

    fn note_role(&mut self, node: usize) {
        let host = &self.nodes[node];
        let (before, view) = (host.before, host.view);
        if before.role == view.role && before.term == view.term {
            return;
        }
        self.note(|| {
            format!("member {}: {} of term {}", view.life.member, view.role.name(), view.term)
        });
        if view.role != Role::Leader || before.role == Role::Leader {
            return;
        }
        self.tally.saw(Mark::Election);
        if self.last_leader.is_some_and(|last| last != view.life.member) {
            self.tally.saw(Mark::LeaderChange);
        }
        self.last_leader = Some(view.life.member);
        if self.first_leader.is_none() {
            self.first_leader = Some(self.steps);
            self.first_led_at = Some(self.now);
            if !self.swarm.faults.from_start {
                self.queue.push(self.now + MILLI, Occurrence::NextFault);
            }
        }
    }

    pub(crate) fn arm_timer(&mut self, node: usize) {
        let late = if self.calm || self.swarm.wake_late_max == 0 {
            0
        } else {
            self.dice.process.below(self.swarm.wake_late_max)
        };
        let host = &mut self.nodes[node];
        let Some(due) = host.member.as_ref().and_then(|member| member.next_deadline()) else {
            return;
        };
        let at = host.clock.when(due).max(self.now).saturating_add(late);
        if host.timer_at.is_none_or(|armed| at < armed) {
            host.timer_at = Some(at);
            let life = host.life();
            self.queue.push(at, Occurrence::MemberTimer { node, life, at });
        }
    }

    /// Starts a new life of the member at `node`, if none runs.
    fn start(&mut self, node: usize) {
        if self.nodes[node].member.is_some() {
            return;
        }
        let service = (self.services)(&self.swarm);
        let seed = self.dice.process.bits();
        let voters = (1..=self.nodes.len() as u16).map(MemberId);
        let voters = voters.map(|id| (id, Place::Member(id).endpoint())).collect();
        let host = &mut self.nodes[node];
        let recovered = host.disk.recover(host.id);
        if recovered.life.boot_epoch.0 > 1 {
            self.tally.saw(Mark::Restart);
        }
        if recovered.log_end.0 > 0 {
            self.tally.saw(Mark::RestartWithLog);
        }
        let config = MemberConfig {
            group: GROUP,
            recovery_epoch: RecoveryEpoch(0),
            member: host.id,
            voters,
            seed,
            timing: self.swarm.timing.clone(),
            limits: self.swarm.limits.clone(),
        };
        let now: Instant = host.clock.at(self.now);
        match quorate_core::Member::new(config, recovered, now) {
            Ok(member) => {
                host.view = member.view();
                host.before = host.view;
                host.member = Some(member);
                host.service = service;
            }
            Err(error) => return self.found("start", format!("member {}: {error}", node + 1)),
        }
        self.note(|| format!("member {} starts", node + 1));
        self.watch.show(&self.nodes, self.now, node, Observed::Started);
        self.stale_completions(node);
        self.arm_timer(node);
        // A host looks at once whether there is anything to do.
        self.step_member(node, Event::Timer);
    }

    /// Completions of the former life come in late (E40).
    fn stale_completions(&mut self, node: usize) {
        let issued = core::mem::take(&mut self.nodes[node].issued);
        for operation in issued {
            if !self.calm && self.dice.process.chance(ALWAYS / 2) {
                let at = self.now + self.dice.process.exponential(5 * MILLI);
                self.queue.push(at, Occurrence::StaleDone { node, operation });
            }
        }
    }

    /// A key that no client has had.
    pub(crate) fn next_key(&mut self) -> ClientKey {
        self.keys_made += 1;
        ClientKey(quorate_core::hash::mix(self.seed, self.keys_made) | 1)
    }

    /// Counts a message that a client was sent.
    pub(crate) fn count_message(&mut self, message: &Message) {
        if let Message::ConnectReply {
            outcome: quorate_core::message::ConnectOutcome::Redirect { .. },
            ..
        } = message
        {
            self.tally.saw(Mark::Redirect);
        }
    }
}
