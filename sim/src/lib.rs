//! A deterministic world around the core: virtual time, a network, disks and clients, all from one
//! seed, with observers that check after every event what must never happen.
//!
//! ```text
//!            seed ──► swarm (sizes, limits, fault rates) and the dice of each subsystem
//!                                       │
//!   clients ◄──► network ◄──► members ──┼── disks (written / durable)
//!                                │      │
//!                             service   └── observers S1–S19, S36; then calm: L1–L3
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
//! A service of your own takes the ledger's place with [`World::with`].
#![forbid(unsafe_code)]

mod calm;
mod clients;
mod dice;
mod disk;
mod faults;
mod ledger;
pub mod linearizability;
pub mod mutants;
mod network;
mod node;
pub mod observers;
mod perform;
mod report;
mod scheduler;
mod swarm;
pub mod sweep;
mod wire;
mod world;

pub use dice::{ALWAYS, Dice};
pub use disk::{Completion, FrameMark, SimDisk, Work};
pub use ledger::{Answer, Delivered, Ledger, Moment, Service};
pub use network::{Arrival, Content, Datagram, Network, Place};
pub use report::{Finding, Mark, Outcome, Tally};
pub use scheduler::Scheduler;
pub use swarm::{
    DiskOptions, FAULT_KINDS, FaultKind, FaultOptions, MICRO, MILLI, NetworkOptions, SECOND, Swarm,
    Workload,
};
pub use world::{ServiceFactory, World};
