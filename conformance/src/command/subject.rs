//! Subjects by name.

use quorate_conformance::Subject;
use quorate_conformance::subjects;

/// The subject with this name.
///
/// # Errors
/// There is none; says which there are.
pub(super) fn by_name(name: &str) -> Result<Box<dyn Subject>, String> {
    subjects::by_name(name).ok_or_else(|| {
        let names = subjects::NAMES.join(", ");
        format!("there is no subject {name:?}; there are: {names}")
    })
}
