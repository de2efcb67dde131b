//! Subjects by name.

use quorate_conformance::shim::{Shim, ShimOptions};
use quorate_conformance::{Lists, Subject, subjects};

use super::arguments::RunArguments;

/// The subject that the arguments name.
///
/// # Errors
/// There is none, or it does not start.
pub(super) fn of(arguments: &RunArguments, lists: &Lists) -> Result<Box<dyn Subject>, String> {
    let told = |error: quorate_conformance::SpawnError| error.to_string();
    let Some(mut options) = ShimOptions::named(&arguments.subject) else {
        return subjects::named(&arguments.subject).map_err(told);
    };
    options.mirror.clone_from(&arguments.mirror);
    options.names.clone_from(lists.names());
    if arguments.no_idle_limit {
        options.idle_limit = None;
    }
    let shim = Shim::start_with(options).map_err(told)?;
    Ok(Box::new(shim))
}
