//! A group of members on virtual edges, for a script to play with.
//!
//! ```text
//!   script ──► Stage ──► queue of happenings, by virtual time
//!                │            │
//!                │            ▼
//!                │      node.turn() ──► deeds at its edges ──► wire (cuts, rules) ──► arrivals
//!                │                                        ├──► disk (holds, latency) ──►
//! completions
//!                │                                        └──► observers, story
//!                └──► clients: the core's own, each with its replies
//! ```

mod clients;
mod disks;
mod load;
mod look;
mod machines;
mod members;
mod nemesis;
mod overhear;
mod play;
mod run;
pub mod story;
mod timers;
mod watch;
mod wire;
mod written;

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use quorate_core::client::ClientTiming;
use quorate_core::{
    Durability, Duration, GroupId, GroupTag, Limits, MemberConfig, MemberId, OperationId, Position,
    RecoveryEpoch, Timing,
};
use quorate_sim::observers::Rules;
use quorate_sim::{Dice, Place, Scheduler, SimDisk};

use crate::case::Failure;
use crate::edges::Edges;
use crate::subject::{Changed, HandedOver, Node, NodeSpec, NodeView, Subject};
use crate::trial::Remains;

pub use clients::{ClientNumber, ClientState, Replied};
pub use load::{Offered, quantile};
pub use look::Sighting;
pub use overhear::Overheard;
pub use timers::Fired;
pub use wire::{Effect, MILLION, Passing, kind_of};
pub use written::{WrittenFrame, written_bytes, written_frames};

use self::clients::StageClient;
use self::run::Happening;
use self::story::{Story, Told};
use self::watch::Watch;
use self::wire::Filter;
pub(crate) use self::wire::Wire;

/// The group of all stages.
pub const GROUP: GroupId = GroupId(0x5155_4f52);
/// The tag of its datagrams.
pub const TAG: GroupTag = GroupTag::new(GROUP, RecoveryEpoch(0));

/// One microsecond, in nanoseconds.
pub const MICRO: u64 = 1_000;
/// One millisecond.
pub const MILLI: u64 = 1_000 * MICRO;
/// One second.
pub const SECOND: u64 = 1_000 * MILLI;

/// How a stage is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Members, numbered from 1.
    pub members: usize,
    /// Machines behind them, which a script may start and make members: they know those of the
    /// formation, and are none themselves.
    pub newcomers: usize,
    /// Their time-outs and intervals.
    pub timing: Timing,
    /// Their limits.
    pub limits: Limits,
    /// The clients' time-outs; their limits follow from the members'.
    pub client_timing: ClientTiming,
    /// Nanoseconds that a datagram takes, least and most.
    pub latency: (u64, u64),
    /// Nanoseconds that an operation of a disk takes, least and most.
    pub disk_latency: (u64, u64),
    /// By how many millionths each member's clock is fast, member 1 first; others are right.
    pub clock_errors: Vec<i64>,
    /// How many nanoseconds each member lets the others go first, member 1 first; none for others.
    pub candidacy_delays: Vec<u64>,
    /// What the members take for committed.
    pub durability: Durability,
}

impl Options {
    /// A group of so many members with the default timing and small windows.
    #[must_use]
    pub fn members(members: usize) -> Self {
        Self {
            members,
            newcomers: 0,
            timing: Timing::default(),
            limits: Limits {
                window_bytes: 1 << 20,
                uncommitted_bytes_max: 512 << 10,
                unapplied_bytes_max: 512 << 10,
                session_window_bytes: 128 << 10,
                message_bytes_max: 16 << 10,
                reply_bytes_max: 1 << 10,
                in_flight_max: 64,
                ..Limits::default()
            },
            client_timing: ClientTiming::default(),
            latency: (50 * MICRO, 150 * MICRO),
            disk_latency: (50 * MICRO, 200 * MICRO),
            clock_errors: Vec::new(),
            candidacy_delays: Vec::new(),
            durability: Durability::Durable,
        }
    }

    /// The same, volatile, with checkpoints so many nanoseconds apart.
    #[must_use]
    pub const fn volatile(mut self, checkpoint_interval: u64) -> Self {
        let checkpoint_interval = Duration(checkpoint_interval);
        self.durability = Durability::Volatile { checkpoint_interval };
        self
    }

    /// The same, with so many machines that are no members yet.
    #[must_use]
    pub const fn newcomers(mut self, newcomers: usize) -> Self {
        self.newcomers = newcomers;
        self
    }

    /// The same with other timing.
    #[must_use]
    pub fn timing(mut self, change: impl FnOnce(&mut Timing)) -> Self {
        change(&mut self.timing);
        self
    }

    /// The same with other limits.
    #[must_use]
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }
}

/// One machine of a stage.
struct Machine {
    id: MemberId,
    edges: Edges,
    node: Option<Box<dyn Node>>,
    spec: NodeSpec,
    before: NodeView,
    seen: NodeView,
    wake_at: Option<u64>,
    life: u64,
    clock_error: i64,
    /// Nanoseconds by which its clock is ahead.
    clock_offset: i64,
    paused: bool,
    /// All that waited is taken in by the next turn.
    takes_many: bool,
    /// Inputs that came during a pause, with the times at which they came.
    backlog: Vec<crate::edges::Input>,
    disk_ready: u64,
    /// How many times slower than others its disk is.
    disk_factor: u64,
    held: BTreeMap<&'static str, Vec<OperationId>>,
    holding: Vec<&'static str>,
    stopped: Option<String>,
    refused: Option<String>,
    asked: Vec<(OperationId, &'static str)>,
    /// The timers that its service was told of, in any of its lives.
    fired: BTreeMap<Position, Fired>,
    /// Turns that it took only because it had asked for them.
    wakes: u64,
}

/// The datagrams that go instead of one.
type Translation = Box<dyn FnMut(&Passing<'_>) -> Vec<Vec<u8>>>;

/// A group of members on virtual edges.
pub struct Stage<'a> {
    subject: &'a dyn Subject,
    options: Options,
    seed: u64,
    now: u64,
    queue: Scheduler<Happening>,
    wire: Wire<Filter>,
    /// What each rule of the wire does, in the words of the script.
    rule_names: BTreeMap<u32, String>,
    /// What senders put on the wire instead of what the codec made.
    translation: Option<Translation>,
    dice: Dice,
    machines: Vec<Machine>,
    clients: Vec<StageClient>,
    watch: Watch,
    sightings: Vec<Sighting>,
    elections: u64,
    /// Lives that began where the one before ended, behind a snapshot of another member.
    renewals: u64,
    /// Requests to hand over so far, and what came of them.
    demanded: u64,
    handed_over: Vec<HandedOver>,
    changed: Vec<Changed>,
    unable: Option<Failure>,
    story: Story,
    remains: Rc<RefCell<Remains>>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(
        subject: &'a dyn Subject,
        options: Options,
        seed: u64,
        remains: Rc<RefCell<Remains>>,
    ) -> Self {
        let machines = options.members + options.newcomers;
        let story = Story { members: machines, ..Story::default() };
        let machines = (1..=machines as u16).map(|number| machine(&options, seed, number));
        Self {
            subject,
            seed,
            now: 0,
            queue: Scheduler::default(),
            wire: Wire::new(seed, options.latency),
            rule_names: BTreeMap::new(),
            translation: None,
            dice: Dice::new(seed, "stage"),
            machines: machines.collect(),
            clients: Vec::new(),
            watch: Watch::new(rules(&options)),
            sightings: Vec::new(),
            elections: 0,
            renewals: 0,
            demanded: 0,
            handed_over: Vec::new(),
            changed: Vec::new(),
            unable: None,
            story,
            remains,
            options,
        }
    }

    /// A stage of any subject, which leaves nothing for a report: to compare with another.
    #[must_use]
    pub fn apart(subject: &'a dyn Subject, options: Options, seed: u64) -> Self {
        Self::new(subject, options, seed, Rc::default())
    }

    fn index(&self, member: u16) -> usize {
        let index = usize::from(member).wrapping_sub(1);
        assert!(
            index < self.machines.len(),
            "the script names member {member}, which is not there"
        );
        index
    }

    fn tell(&mut self, told: Told) {
        self.story.tell(self.now, told);
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        let mut remains = self.remains.borrow_mut();
        remains.virtual_ns += self.now;
        self.story.clients = self.clients.len();
        // Of several stages the one on which a rule broke is told, whichever is taken down last.
        if !remains.story.as_ref().is_some_and(Story::is_broken) {
            remains.story = Some(core::mem::take(&mut self.story));
        }
        for sighting in &self.sightings {
            *remains.counters.entry(sighting.kind.to_owned()).or_default() += 1;
        }
        *remains.counters.entry("elections".to_owned()).or_default() += self.elections;
    }
}

fn machine(options: &Options, seed: u64, number: u16) -> Machine {
    let id = MemberId(number);
    let voters = (1..=options.members as u16).map(MemberId);
    let voters = voters.map(|id| (id, Place::Member(id).endpoint())).collect();
    let delays = &options.candidacy_delays;
    let delay = delays.get(usize::from(number) - 1).copied().unwrap_or(0);
    let config = MemberConfig {
        group: GROUP,
        recovery_epoch: RecoveryEpoch(0),
        durability: options.durability,
        member: id,
        voters,
        joins: usize::from(number) > options.members,
        seed: quorate_core::hash::mix(seed, u64::from(number)),
        timing: Timing { candidacy_delay: Duration(delay), ..options.timing.clone() },
        limits: options.limits.clone(),
    };
    let disk = SimDisk::new(TAG, options.limits.frame_bytes_max());
    Machine {
        id,
        edges: Edges::new(id, disk),
        node: None,
        spec: NodeSpec { config },
        before: NodeView::default(),
        seen: NodeView::default(),
        wake_at: None,
        life: 0,
        clock_error: options.clock_errors.get(usize::from(number) - 1).copied().unwrap_or(0),
        clock_offset: 0,
        paused: false,
        takes_many: false,
        backlog: Vec::new(),
        disk_ready: 0,
        disk_factor: 1,
        held: BTreeMap::new(),
        holding: Vec::new(),
        stopped: None,
        refused: None,
        asked: Vec::new(),
        fired: BTreeMap::new(),
        wakes: 0,
    }
}

fn rules(options: &Options) -> Rules {
    let clock_error =
        options.clock_errors.iter().map(|error| error.unsigned_abs()).max().unwrap_or(0);
    Rules {
        timing: options.timing.clone(),
        limits: options.limits.clone(),
        members: options.members,
        is_volatile: options.durability.is_volatile(),
        clock_error,
        slowness: 1,
        settled_at: 0,
        // What a turn does cannot be told apart by events from outside.
        actions_max: usize::MAX,
        is_ledger: false,
    }
}

/// The lane of a place in a story.
fn lane(place: Place) -> String {
    match place {
        Place::Member(member) => format!("m{}", member.0),
        Place::Client(number) => format!("c{number}"),
    }
}

/// A place in words.
fn named(place: Place) -> String {
    match place {
        Place::Member(member) => format!("member {}", member.0),
        Place::Client(number) => format!("client {number}"),
    }
}
