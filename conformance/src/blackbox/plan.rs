//! What grounds are to be like.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::disks::Disk;

/// What grounds are to be like.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) members: u16,
    pub(super) seed: u64,
    /// Where everything is put; it is made.
    pub(super) folder: PathBuf,
    /// The members whose disk is not the machine's, and what it is.
    pub(super) disks: BTreeMap<u16, Disk>,
    /// What else its members are.
    pub(super) manner: Manner,
}

/// What members may be besides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Manner {
    Usual,
    /// They read again all the time what they have stored.
    Scrubbing,
    /// Their replies do not wait for their disks.
    Volatile,
}
