//! Byte streams with gaps: what is held, what is missing, who asked again.
//!
//! ```text
//!   sender                                             receiver
//!   Outlet = Ring + what was sent + Repairs  ──data──► Inlet = Ring + Image
//!                                            ◄──NAK──          Image = Coverage + when to ask
//! ```
//!
//! The log has the same parts, put together differently, because its ring is shared by the roles
//! of a member: see `member`.

mod asked;
mod coverage;
mod image;
mod inlet;
mod outlet;
mod repairs;
mod ring;

pub use asked::{NakTiming, Outcome, Sharing};
pub use coverage::Coverage;
pub use image::{Image, REQUESTS_MAX};
pub use inlet::{Inlet, StreamFrame};
pub use outlet::Outlet;
pub use repairs::{ASKERS_MAX, Admitted, REPAIRS_MAX, RepairTiming, Repairs};
pub use ring::Ring;

use crate::hash::mix;
use crate::identity::{ClientKey, GroupTag, SessionId};

/// What seals the frames of a client's ingress stream, which goes on from connection to connection.
#[must_use]
pub const fn ingress_tag(tag: GroupTag, client: ClientKey) -> GroupTag {
    GroupTag(mix(mix(tag.0, 1), client.0))
}

/// What seals the frames of a client's egress stream, which begins anew with each connection.
#[must_use]
pub const fn egress_tag(tag: GroupTag, client: ClientKey, connection: u64) -> GroupTag {
    GroupTag(mix(mix(mix(tag.0, 2), client.0), connection))
}

/// The epoch of the streams of a connection: of its number and its session, so that an old
/// datagram of a session that has ended is none of a later session's (E93).
#[must_use]
pub const fn session_epoch(connection: u64, session: SessionId) -> u64 {
    mix(mix(session.0, 3), connection)
}
