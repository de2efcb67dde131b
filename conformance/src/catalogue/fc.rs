//! Flow control and slow members.

use crate::case::Case;

pub(super) const CASES: &[Case] = &[];
