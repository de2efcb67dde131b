//! Tests of the whole archive: on real files, and on a disk in memory that fails and crashes.

mod backup;
mod builder;
mod crashes;
mod faults;
mod files;
mod forcing;
mod install;
mod processes;
mod purge;
mod races;
mod recovery;
mod salvage;
mod scrub;
mod snapshots;
