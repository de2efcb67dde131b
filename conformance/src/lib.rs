//! The suite that proves a binding of Quorate: ours, or that of a stranger.
//!
//! ```text
//!   catalogue ──► Case (rule, script) ──► Trial ──► Stage: virtual network, clocks, disks,
//! clients,
//!                                                   │      observers, and the story of what
//! happened
//!                                                   │ turns
//!                                                   ▼
//!                                     Subject ──► Node (a member in its own run loop)
//!                                                   │ through Edges: socket, clock, log, storage,
//! service
//! ```
//!
//! A [`Case`] states one rule in one sentence and has one script. A script that calls the core
//! directly needs no subject; one that plays with a group of members runs on the [`Stage`], and the
//! members are whatever a [`Subject`] puts there. Time is virtual: a script never waits.
#![forbid(unsafe_code)]

mod allocations;
pub mod blackbox;
mod case;
pub mod catalogue;
mod client_node;
pub mod desk;
mod desk_client;
pub mod edges;
mod files;
mod golden;
pub mod kills;
pub mod laws;
mod lists;
mod names;
pub mod places;
pub mod report;
mod runner;
mod sbe;
mod scripted_log;
pub mod shim;
mod shortest;
pub mod stage;
mod subject;
pub mod subjects;
pub mod testing;
mod trial;
pub mod vectors;

pub use case::{Case, Failure, Level, Script, Verdict, check};
pub use client_node::{ClientInput, ClientNode, ClientTold, ClientTurned};
pub use lists::Lists;
pub use runner::{
    CaseReport, Outcome, REPORT_SCHEMA, RunReport, Totals, quoted, repeat, run_case, run_cases,
    run_of, skipped,
};
pub use shortest::{ALIKE, Shortest, shorter, shortest};
pub use stage::story::{Call, Fate, Scene, Story, Told};
pub use stage::{Effect, Options, Passing, Stage};
pub use subject::{
    Changed, Description, Feature, HandedOver, MembersView, Node, NodeSpec, NodeView, SpawnError,
    Subject, Turned, Wording,
};
pub use trial::{Profile, Trial};

/// The examples of the README compile and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
