//! A deterministic world around the core: virtual time, a network, disks and clients, all from one
//! seed, with observers that check after every event what must never happen.
//!
//! ```text
//!            seed ──► swarm (sizes, limits, fault classes) and the dice of each subsystem
//!                                       │
//!   clients ◄──► network ◄──► members ──┼── disks (written / dirty / on the medium)
//!   stranger ──────┘             │      │
//!                             service   └── observers; then calm, and what it has to bring
//! ```
//!
//! The same seed gives the same run, on every platform:
//!
//! ```
//! use quorate_sim::World;
//!
//! let run = |seed| {
//!     let mut world = World::new(seed);
//!     world.run(10);
//!     world.outcome().trace_hash
//! };
//! assert_eq!(run(7), run(7));
//! ```
//!
//! A service of your own takes the ledger's place with [`World::with`]; `examples/own_service.rs`
//! shows it.
#![forbid(unsafe_code)]

mod availability;
mod calm;
mod clients;
mod clock;
mod deviations;
mod dice;
mod disk;
pub mod explore;
mod faults;
mod fetches;
pub mod findings;
mod ledger;
pub mod linearizability;
mod lives;
mod members;
mod membership;
pub mod mutants;
mod network;
mod node;
pub mod observers;
mod perform;
mod reads;
mod report;
mod scenes;
mod scheduler;
pub mod shrink;
pub mod speed;
pub mod story;
mod strangers;
mod swarm;
pub mod sweep;
mod watch;
mod wire;
mod world;

pub use deviations::{deviates, join as join_deviation, split as split_deviation};
pub use dice::{ALWAYS, Dice};
pub use disk::{Completion, Damage, FrameMark, Refusal, SimDisk, Stored, Work};
pub use faults::Plan;
pub use ledger::{Answer, Delivered, Ledger, Moment, Service};
pub use network::{
    Arrival, Content, Datagram, DatagramNumber, Filter, Kind, LinkCode, Network, Place, Trouble,
};
pub use report::{Finding, Mark, Outcome, Tally};
pub use scheduler::Scheduler;
pub use swarm::{
    DiskOptions, FaultClass, FaultClasses, FaultOptions, MICRO, MILLI, MembershipOptions,
    NamedSchedule, NetworkOptions, ProcessOptions, SCHEDULES, SECOND, SnapshotOptions, Swarm,
    Workload,
};
pub use world::{Replicated, ServiceFactory, World};
