//! Subjects by name.

use quorate_conformance::{Subject, subjects};

/// The subject with this name.
///
/// # Errors
/// There is none, or it does not start.
pub(super) fn by_name(name: &str) -> Result<Box<dyn Subject>, String> {
    subjects::named(name).map_err(|error| error.to_string())
}
