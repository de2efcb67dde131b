//! The contract of a run loop.

use crate::case::Case;

pub(super) const CASES: &[Case] = &[];
