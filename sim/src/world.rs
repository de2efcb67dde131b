//! The world: what happens, to whom, in virtual time, from one seed.

use std::collections::BTreeSet;
use std::rc::Rc;

use quorate_core::{
    Actions, ClientKey, GroupId, GroupTag, MemberId, Message, OperationId, RecoveryEpoch,
};

use crate::clients::ClientHost;
use crate::clock::{Clock, TRUE_RATE};
use crate::dice::{ALWAYS, Dice};
use crate::disk::SimDisk;
use crate::faults::{Fault, Plan};
use crate::ledger::{Ledger, Service};
use crate::network::{Arrival, Datagram, Network, Place};
use crate::node::Node;
use crate::observers::{Observed, Phase, Rules};
use crate::report::{Finding, Mark, Outcome, Tally};
use crate::swarm::{FaultClass, MICRO, MILLI, SECOND, Swarm};
use crate::watch::Watch;

/// What happens at some time.
pub(crate) enum Occurrence {
    Arrive(Place, Rc<Datagram>),
    MemberTimer { node: usize, life: u64, at: u64 },
    DiskDone { node: usize, operation: OperationId },
    DiskFailed { node: usize, operation: OperationId },
    StaleDone { node: usize, operation: OperationId },
    ServiceDone { node: usize, life: u64 },
    Wake { node: usize },
    Transfer { node: usize, life: u64, request: u64, target: Option<MemberId> },
    ClientTimer { client: usize, at: u64 },
    Submit { client: usize },
    Restart { node: usize },
    AskForSnapshot,
    ChangeMembers,
    NextFault,
    Begin(Plan),
    Fault(Fault),
}

/// The dice of each subsystem but the network's.
pub(crate) struct WorldDice {
    pub(crate) disk: Dice,
    pub(crate) process: Dice,
    pub(crate) fault: Dice,
    pub(crate) workload: Dice,
    pub(crate) stranger: Dice,
    pub(crate) calm: Dice,
    pub(crate) snapshots: Dice,
    pub(crate) members: Dice,
    pub(crate) reads: Dice,
}

/// Makes the service of one member.
pub type ServiceFactory = Box<dyn Fn(&Swarm) -> Box<dyn Service>>;

/// The services that sweeps and stories can have their members replicate.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Replicated {
    /// The ledger.
    #[default]
    Ledger,
    /// A ledger with a mistake: it answers with what was just put in. It shows what a finding is
    /// like.
    MistakenLedger,
}

impl Replicated {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Ledger, Self::MistakenLedger];

    /// Its name, as commands and stories have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::MistakenLedger => "mistaken-ledger",
        }
    }

    /// That of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }
}

/// A deterministic world: members with disks and services, clients, and a network between them.
pub struct World {
    pub(crate) seed: u64,
    pub(crate) swarm: Swarm,
    pub(crate) now: u64,
    pub(crate) steps: u64,
    pub(crate) first_leader: Option<u64>,
    pub(crate) first_led_at: Option<u64>,
    pub(crate) last_leader: Option<MemberId>,
    pub(crate) queue: crate::scheduler::Scheduler<Occurrence>,
    pub(crate) network: Network,
    pub(crate) nodes: Vec<Node>,
    pub(crate) clients: Vec<ClientHost>,
    pub(crate) keys_made: u64,
    pub(crate) watch: Watch,
    pub(crate) tally: Tally,
    pub(crate) finding: Option<Finding>,
    pub(crate) excused: Option<&'static str>,
    pub(crate) dice: WorldDice,
    /// The members whose disks this world may take for good (the fault budget).
    pub(crate) doomed: Vec<usize>,
    /// Until when which members are hunted, where a quorum is spared.
    pub(crate) hunted: (u64, Vec<usize>),
    /// The members that have each other's disks.
    pub(crate) swapped: Option<(usize, usize)>,
    /// What the operator of a world whose members change knows and has done.
    pub(crate) operator: crate::membership::Operator,
    /// The faults that began so far.
    pub(crate) plans: Vec<Plan>,
    /// Demands of the operator so far, and those that came about.
    pub(crate) demanded: u64,
    pub(crate) transferred: BTreeSet<u64>,
    /// Whether the faults were listed, so that none is drawn.
    pub(crate) script: Option<Vec<Plan>>,
    pub(crate) calm: bool,
    /// In calm: the members that everything is well for.
    pub(crate) core: Vec<usize>,
    pub(crate) draining: bool,
    /// When the last datagram that was sent arrives.
    pub(crate) last_arrival: u64,
    /// In calm: when the last operation of a stalled disk or of a paused member completes, and the
    /// last datagram of the time before has arrived.
    pub(crate) settled_at: u64,
    pub(crate) quiet: crate::calm::Traffic,
    pub(crate) availability: crate::availability::Availability,
    pub(crate) trace: Option<Vec<String>>,
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) buffer: Vec<u8>,
    pub(crate) datagram: Vec<u8>,
    pub(crate) actions: Actions,
    pub(crate) trace_hash: u64,
    pub(crate) services: ServiceFactory,
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
        Self::of(seed, Swarm::draw(seed))
    }

    /// A world with these options, with the ledger as its service.
    #[must_use]
    pub fn of(seed: u64, swarm: Swarm) -> Self {
        Self::replicating(Replicated::Ledger, seed, swarm)
    }

    /// A world with these options and one of the services that have names.
    #[must_use]
    pub fn replicating(service: Replicated, seed: u64, swarm: Swarm) -> Self {
        let make = move |swarm: &Swarm| -> Box<dyn Service> {
            let ledger = Ledger::new(swarm.limits.reply_bytes_max as usize);
            Box::new(match service {
                Replicated::Ledger => ledger,
                Replicated::MistakenLedger => ledger.mistaken(),
            })
        };
        let mut world = Self::with(seed, swarm, Box::new(make));
        world.watch.rules.is_ledger = true;
        world
    }

    /// A world with these options, whose members replicate a service of `services`.
    #[must_use]
    pub fn with(seed: u64, swarm: Swarm, services: ServiceFactory) -> Self {
        let tag = GroupTag::new(GROUP, RecoveryEpoch(0));
        Self {
            seed,
            now: 0,
            steps: 0,
            first_leader: None,
            first_led_at: None,
            last_leader: None,
            queue: crate::scheduler::Scheduler::default(),
            network: Network::new(seed, tag, swarm.network.clone(), swarm.faults.classes),
            nodes: nodes_of(seed, tag, &swarm, &services),
            clients: Vec::new(),
            keys_made: 0,
            watch: Watch::new(rules_of(&swarm)),
            tally: Tally::default(),
            finding: None,
            excused: None,
            dice: WorldDice {
                disk: Dice::new(seed, "disk"),
                process: Dice::new(seed, "process"),
                fault: Dice::new(seed, "fault"),
                workload: Dice::new(seed, "workload"),
                stranger: Dice::new(seed, "stranger"),
                calm: Dice::new(seed, "calm"),
                snapshots: Dice::new(seed, "snapshots"),
                members: Dice::new(seed, "members"),
                reads: Dice::new(seed, "reads"),
            },
            doomed: draw_doomed(seed, swarm.members),
            hunted: (0, Vec::new()),
            swapped: None,
            operator: crate::membership::Operator::default(),
            plans: Vec::new(),
            demanded: 0,
            transferred: BTreeSet::new(),
            script: None,
            calm: false,
            core: Vec::new(),
            draining: false,
            last_arrival: 0,
            settled_at: 0,
            quiet: crate::calm::Traffic::default(),
            availability: crate::availability::Availability::of(&swarm),
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

    /// Lets nobody watch: to measure what watching costs.
    pub fn unwatched(&mut self) {
        self.watch.close_eyes();
    }

    /// Lets these faults happen, and no drawn ones.
    pub fn follow(&mut self, script: Vec<Plan>) {
        self.script = Some(script);
    }

    /// The options of this world.
    #[must_use]
    pub const fn swarm(&self) -> &Swarm {
        &self.swarm
    }

    /// The faults that have begun so far.
    #[must_use]
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// The network, to look at or to change before the world runs.
    pub const fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// Runs the world: faults for `steps` steps behind the first leader, then calm. Stops at the
    /// first finding.
    pub fn run(&mut self, steps: u64) {
        self.run_faults(steps);
        if self.finding.is_none() {
            self.run_calm();
        }
        for node in 0..self.nodes.len() {
            if let Some(member) = &self.nodes[node].member {
                let counters = *member.counters();
                self.count(&counters);
            }
            let [not_done, elsewhere] = self.nodes[node].disk.lies();
            self.tally.add(Mark::WriteNotDone, not_done);
            self.tally.add(Mark::Misdirected, elsewhere);
        }
    }

    /// Runs the phase of faults only.
    pub fn run_faults(&mut self, steps: u64) {
        for node in 0..self.swarm.formed() {
            let at = self.dice.process.between(0, 5 * MILLI);
            self.queue.push(at, Occurrence::Restart { node });
        }
        for _ in 0..self.swarm.clients {
            self.add_client();
        }
        for plan in self.script.clone().unwrap_or_default() {
            self.queue.push(plan.at, Occurrence::Begin(plan));
        }
        if self.swarm.snapshots.interval > 0 {
            self.queue.push(MILLI, Occurrence::AskForSnapshot);
        }
        if self.swarm.members_change() {
            self.queue.push(MILLI, Occurrence::ChangeMembers);
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
            classes: self.swarm.faults.classes,
            finding: self.finding.clone(),
            excused: self.excused,
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
            if self.availability.is_due(self.now) {
                self.look_at_availability();
            }
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

    /// Tells the observers how far the core has come.
    pub(crate) fn enter(&mut self, phase: Phase) {
        for node in self.core.clone() {
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
        if let Some(node) = self.host_of(&occurrence)
            && (self.nodes[node].still_until(self.now).is_some()
                || !self.nodes[node].inbox.is_empty())
        {
            return self.wait(node, occurrence);
        }
        self.happen_now(occurrence);
    }

    pub(crate) fn happen_now(&mut self, occurrence: Occurrence) {
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
            Occurrence::DiskFailed { node, operation } => self.disk_failed(node, operation),
            Occurrence::StaleDone { node, operation } => self.stale_done(node, operation),
            Occurrence::ServiceDone { node, life } => self.service_done(node, life),
            Occurrence::Wake { node } => self.wake(node),
            Occurrence::Transfer { node, life, request, target } => {
                self.transfer(node, life, request, target);
            }
            Occurrence::ClientTimer { client, at } => self.client_timer(client, at),
            Occurrence::Submit { client } => self.client_submits(client),
            Occurrence::Restart { node } => self.start(node),
            Occurrence::AskForSnapshot => self.ask_for_snapshot(),
            Occurrence::ChangeMembers => self.change_members(),
            Occurrence::NextFault => {
                self.next_fault();
                self.look_who_is_well();
            }
            Occurrence::Begin(plan) => {
                self.begin(plan);
                self.look_who_is_well();
            }
            Occurrence::Fault(fault) => {
                self.fault(fault);
                self.look_who_is_well();
            }
        }
    }

    /// The host that it happens to, if a member's.
    fn host_of(&self, occurrence: &Occurrence) -> Option<usize> {
        let node = match occurrence {
            Occurrence::Arrive(Place::Member(member), _) => usize::from(member.0).checked_sub(1)?,
            Occurrence::MemberTimer { node, .. }
            | Occurrence::DiskDone { node, .. }
            | Occurrence::DiskFailed { node, .. }
            | Occurrence::StaleDone { node, .. }
            | Occurrence::Transfer { node, .. }
            | Occurrence::ServiceDone { node, .. } => *node,
            _ => return None,
        };
        (node < self.nodes.len()).then_some(node)
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

/// The machines, each with an empty disk of its own.
fn nodes_of(seed: u64, tag: GroupTag, swarm: &Swarm, services: &ServiceFactory) -> Vec<Node> {
    let mut clocks = Dice::new(seed, "clocks");
    let nodes = (1..=swarm.members as u16).map(|id| {
        let frame_bytes_max = swarm.limits.frame_bytes_max();
        let mut disk = SimDisk::with_unit(tag, frame_bytes_max, swarm.medium_unit());
        disk.assign(MemberId(id));
        let clock = Clock::new(draw_rate(&mut clocks, swarm.clock_error));
        Node::new(MemberId(id), disk, clock, services(swarm))
    });
    nodes.collect()
}

/// A rate that is wrong by at most `error` millionths, but never below a half.
fn draw_rate(dice: &mut Dice, error: u64) -> u64 {
    if error >= u64::from(ALWAYS) {
        return dice.between(TRUE_RATE / 2, 2 * TRUE_RATE);
    }
    TRUE_RATE - error + dice.between(0, 2 * error)
}

/// So many members that a quorum is left, and any of them.
fn draw_doomed(seed: u64, members: usize) -> Vec<usize> {
    let dice = &mut Dice::new(seed, "atlas");
    let spare = members - (members / 2 + 1);
    let none = spare == 0 || dice.chance(ALWAYS / 4);
    let count = if none { 0 } else { dice.between(1, spare as u64) as usize };
    let first = dice.below(members as u64) as usize;
    (0..count).map(|step| (first + step) % members).collect()
}

/// What observers need to know of a world with these options.
fn rules_of(swarm: &Swarm) -> Rules {
    let mut rules = Rules::of(swarm);
    let odd = [FaultClass::ClockFreeze, FaultClass::ClockRate];
    let has_odd = odd.iter().any(|class| swarm.faults.classes.has(*class));
    if has_odd || swarm.process.clock_back > 0 {
        // What is too soon by the world's clock is not by such a one.
        rules.clock_error = u64::from(ALWAYS);
    }
    rules
}
