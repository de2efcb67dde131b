//! Records the events of a member, and replays them: one recorded trace, one action hash.
//!
//! ```text
//!  member --record FILE            FILE                            tool replay FILE
//!
//!  events ──► MemberLoop ──►  beginning: configuration, recovered, first now
//!               │   hash      step: now, hash so far, event  ──┬──► core ───────────► hash
//!               ▼             step ...                         └──► runtime's loop,
//!            actions          end: hash, actions, state             virtual ports ──► hash
//! ```
//!
//! A step is one event of the core: a received datagram as its bytes; what followed from performing
//! actions (applied with its outputs, durable, a read with its bytes, a refusal, a failure) as it
//! was. So a replay needs neither service nor disk. Each step carries the hash of all actions
//! before it, so that the first step that differs is named, and a file whose end is missing is of
//! use up to its last whole record.
//!
//! The hash covers every action in order and all bytes that it names, as they go out: equal hashes
//! mean byte-identical actions, whichever runtime drove the loop, in a debug or a release build.

mod action_hash;
mod beginning;
mod changes;
mod fields;
mod frames;
mod ports;
mod reader;
mod reads;
mod recorder;
mod replay;
mod replay_host;
mod replay_loop;
mod step;
mod tap;

use std::io;

use quorate_codecs::DecodeError;
use quorate_core::ConfigError;

pub use beginning::Beginning;
pub use reader::{Ending, Record, RecordingReader};
pub use recorder::Recording;
pub use replay::{Replayed, replay};
pub use replay_host::{ReplayHandle, ReplayHost};
pub use step::{Input, Step};

pub(crate) use tap::Tap;

use crate::turn::RuntimeError;

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file cannot be read.
    #[error("cannot read the recording: {0}")]
    Read(#[from] io::Error),
    /// It is something else.
    #[error("this is no recording; name a file that `quorate member --record` wrote")]
    Foreign,
    /// It was written by another version.
    #[error(
        "the recording has version {found} of the format, this program reads version {}",
        frames::VERSION
    )]
    Version {
        /// Its version.
        found: u32,
    },
    /// It ends within its beginning: the member was killed at once.
    #[error("the recording ends before its first step; nothing can be replayed")]
    Empty,
    /// A check does not fit.
    #[error("the recording is damaged at byte {offset}; take another copy, or record again")]
    Damaged {
        /// Where the damaged record begins.
        offset: u64,
    },
    /// A record is whole and says nothing that is known.
    #[error(
        "the record at byte {offset} cannot be understood; replay it with the version that wrote it"
    )]
    Malformed {
        /// Where the record begins.
        offset: u64,
    },
    /// A datagram was decoded when it was recorded, and cannot be now.
    #[error(
        "the datagram of step {step} cannot be decoded: {reason}; replay it with the version that \
         wrote it"
    )]
    Undecodable {
        /// The step.
        step: u64,
        /// Why not.
        reason: DecodeError,
    },
    /// The core refuses what the recording begins with.
    #[error("the recorded member cannot come up: {0}")]
    Refused(#[from] ConfigError),
    /// A runtime has nothing to replay it with.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A runtime went away in the middle of a replay.
    #[error("the runtime ended before the replay did")]
    Abandoned,
    /// A runtime waited on although it was woken: a bug of its.
    #[error("the runtime overlooked a wake-up; this is a bug of the runtime")]
    Overlooked,
}

#[cfg(test)]
mod tests;
