//! All that can happen to three members within bounds, not some of it: an exhaustive exploration of
//! the real core.
//!
//! ```text
//!   state = three machines (member, disk, clock) · six ways with datagrams · what was committed
//!           · what may happen yet (terms, entries, crashes, losses, late datagrams, time-outs, …)
//!
//!   breadth first:  each state ─► each thing that may happen ─► each way that it can go
//!                                                                 ├─ the rules (`rules`)
//!                                                                 └─ seen before? (`visited`)
//! ```
//!
//! The core is a pure state machine, so a machine is copied and stepped, and equal machines have
//! equal hashes. There are far fewer machines than states: what comes of a step of one is found out
//! once (`locals`), and a state is a handful of numbers. A state is known by 64 bits of it; the way
//! to one that breaks a rule is found again by going from the beginning, and is the shortest.
//!
//! Decision 0038 has what is left out.

mod coverage;
mod found;
mod letters;
mod locals;
mod machine;
mod options;
mod rules;
mod search;
mod state;
#[cfg(test)]
mod tests;
mod visited;

pub use coverage::{Coverage, Explored, Level};
pub use found::{FOUND, Found};
pub use options::Bounds;
pub use rules::Violation;
pub use search::explore;
