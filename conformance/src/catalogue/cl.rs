//! Clients, sessions, redirects, failover, exactly once.

use crate::case::Case;

pub(super) const CASES: &[Case] = &[];
