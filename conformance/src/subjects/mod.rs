//! What this project itself puts on the suite's edges.

mod broken;
pub(crate) mod demands;
pub mod hosted;
mod reference;
#[cfg(feature = "runtimes")]
mod runtimes;
mod text;

pub use broken::{Broken, Mistake};
pub use reference::Reference;
#[cfg(feature = "runtimes")]
pub use runtimes::{AsyncStd, Mio, Tokio};
pub use text::Text;

use crate::shim::{Shim, ShimOptions};
use crate::subject::{SpawnError, Subject};

/// The names that [`named`] knows, beside those of the [`Mistake`]s, `shim:COMMAND` and
/// `shim-port:COMMAND`.
pub const NAMES: &[&str] = &[
    "core",
    "text",
    #[cfg(feature = "runtimes")]
    "tokio",
    #[cfg(feature = "runtimes")]
    "mio",
    #[cfg(feature = "runtimes")]
    "async-std",
];

/// The subject of this name, as `--subject` takes it: one of [`NAMES`], of the loops with a
/// [`Mistake`], or what [`ShimOptions::named`] knows.
///
/// # Errors
/// There is no such subject, or it does not start.
pub fn named(name: &str) -> Result<Box<dyn Subject>, SpawnError> {
    if let Some(options) = ShimOptions::named(name) {
        return Ok(Box::new(Shim::start_with(options)?));
    }
    if let Some(mistake) = Mistake::ALL.iter().find(|mistake| mistake.name() == name) {
        return Ok(Box::new(Broken(*mistake)));
    }
    match name {
        "core" => Ok(Box::new(Reference)),
        "text" => Ok(Box::new(Text)),
        #[cfg(feature = "runtimes")]
        "tokio" => match Tokio::new() {
            Ok(tokio) => Ok(Box::new(tokio)),
            Err(error) => Err(SpawnError::Refused(error.to_string())),
        },
        #[cfg(feature = "runtimes")]
        "mio" => Ok(Box::new(Mio)),
        #[cfg(feature = "runtimes")]
        "async-std" => Ok(Box::new(AsyncStd)),
        _ => {
            let broken = Mistake::ALL.iter().map(|mistake| mistake.name());
            let known: Vec<&str> = NAMES.iter().copied().chain(broken).collect();
            let known = known.join(", ");
            let text = format!("there is no subject {name}; say one of {known}, or shim:COMMAND");
            Err(SpawnError::Refused(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_that_of_its_subject() {
        let broken = Mistake::ALL.iter().map(|mistake| mistake.name());
        for name in NAMES.iter().copied().chain(broken) {
            let subject = named(name).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(subject.describe().name, name);
        }
        let error = named("glommio").err().expect("there is none").to_string();
        assert!(error.starts_with("there is no subject glommio; say one of core, "), "{error}");
        assert!(named("shim:/no/such/program").is_err());
    }
}
