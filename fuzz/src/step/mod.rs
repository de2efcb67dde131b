//! Whatever happens to a member or a client, in whatever order: it does not panic, keeps its
//! invariants, asks for a bounded number of things, and stops only for a reason that was given.
//!
//! ```text
//!   bytes ──► occurrences ──► World: three members, their disks, a client, a network
//!                               │ forged datagrams, completions, faults
//!                               └► after each step: check_invariants, bounds, reasons
//! ```
//!
//! The first byte says where the world begins and which of its parts may lie.

mod disk;
mod forge;
mod host;
mod occurrence;
mod reasons;
mod world;

use std::sync::OnceLock;

use arbitrary::Unstructured;

use reasons::Liars;
use world::World;

/// Occurrences of one run, at most.
const OCCURRENCES_MAX: usize = 300;

/// Lets a world run through the occurrences that `bytes` name.
///
/// # Panics
/// If something does not hold.
pub fn step(bytes: &[u8]) {
    let Some((&mode, bytes)) = bytes.split_first() else { return };
    let mut bytes = Unstructured::new(bytes);
    let mut world = beginning(mode & 3).clone();
    world.liars_allowed = Liars {
        members: mode & 4 != 0,
        reads: mode & 8 != 0,
        storage: mode & 16 != 0,
        service: mode & 32 != 0,
    };
    for _ in 0..OCCURRENCES_MAX {
        if bytes.is_empty() {
            break;
        }
        world.occur(&mut bytes);
    }
    world.check_agreement();
}

/// A world at its beginning, or some way into it.
fn beginning(which: u8) -> &'static World {
    static WORLDS: [OnceLock<World>; 4] = [const { OnceLock::new() }; 4];
    WORLDS[usize::from(which)].get_or_init(|| {
        let mut world = World::new();
        if which > 0 {
            world.run_until_served();
        }
        if which > 1 {
            world.exchange(40);
        }
        if which > 2 {
            // A follower lags behind the window, and has to be served from a disk.
            world.run_with_one_behind(40);
        }
        world
    })
}
