//! A file system in memory, mounted by FUSE, for proofs of programs that promise durability.
//!
//! ```text
//!   program ── system calls ── kernel ── mount ──► Station ──► Disk ──► Content (of each file)
//!                                                   │ faults     names       written | durable
//!   harness ── commands, a line each ──────────────►┘            journal     pages not synced
//! ```
//!
//! Each file and each directory has two views, and what leads from one to the other: what was
//! written is what programs read; what is durable is what a sync has made so; the journal between
//! them has each page, length and name that no sync has covered. A power loss ([`Disk::crash`])
//! makes of the journal what a disk may: any of the pages, any version of each, torn at sectors;
//! any of the names; a file's length apart from its content. A rename is whole or not there, and
//! is durable only with its directory.
//!
//! Nothing is cached by the kernel, so what a program reads is what this file system has. All of it
//! is in memory, within [`PAGES_MAX`].
#![forbid(unsafe_code)]

mod command;
mod content;
mod disk;
mod draws;
mod faults;
mod mount;
mod names;
mod serve;
mod station;

pub use command::{Answer, Command};
pub use content::{Fates, PAGE_BYTES, SECTOR_BYTES, VERSIONS_MAX};
pub use disk::{Attributes, Disk, Kind, NodeId, PAGES_MAX, ROOT, Refusal};
pub use draws::Draws;
pub use faults::{Call, Effect, FAULTS_MAX, Fault, Faults, Met};
pub use mount::{Mounted, mount};
pub use names::CHANGES_MAX;
pub use serve::serve;
pub use station::{LOG_BYTES_MAX, Station};
