//! Codec vectors and evolution.

use crate::case::Case;

pub(super) const CASES: &[Case] = &[];
