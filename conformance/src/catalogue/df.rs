//! Recovery after disk faults.

use crate::case::Case;

pub(super) const CASES: &[Case] = &[];
