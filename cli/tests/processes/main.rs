//! Groups of processes of which too few run, or whose disks lose something, or give back other
//! bytes than were written.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it is")]

mod backup;
mod group;
mod members;
mod quorum;
mod recover;
mod rot;
