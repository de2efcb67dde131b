//! What this project itself puts on the suite's edges.

mod broken;
pub mod hosted;
mod reference;
#[cfg(feature = "runtimes")]
mod runtimes;

pub use broken::{Broken, Mistake};
pub use reference::Reference;
#[cfg(feature = "runtimes")]
pub use runtimes::{AsyncStd, Mio, Tokio};

use crate::shim::{Shim, ShimOptions};
use crate::subject::{SpawnError, Subject};

/// The names that [`named`] knows, beside `shim:COMMAND` and `shim-port:COMMAND`.
pub const NAMES: &[&str] = &[
    "core",
    #[cfg(feature = "runtimes")]
    "tokio",
    #[cfg(feature = "runtimes")]
    "mio",
    #[cfg(feature = "runtimes")]
    "async-std",
    "broken:early-durable",
    "broken:deaf",
];

/// The subject of this name, as `--subject` takes it: one of [`NAMES`], or what
/// [`ShimOptions::named`] knows.
///
/// # Errors
/// There is no such subject, or it does not start.
pub fn named(name: &str) -> Result<Box<dyn Subject>, SpawnError> {
    if let Some(options) = ShimOptions::named(name) {
        return Ok(Box::new(Shim::start_with(options)?));
    }
    match name {
        "core" => Ok(Box::new(Reference)),
        "broken:early-durable" => Ok(Box::new(Broken(Mistake::EarlyDurable))),
        "broken:deaf" => Ok(Box::new(Broken(Mistake::Deaf))),
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
            let known = NAMES.join(", ");
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
        for name in NAMES {
            let subject = named(name).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(subject.describe().name, **name);
        }
        let error = named("glommio").err().expect("there is none").to_string();
        assert!(error.starts_with("there is no subject glommio; say one of core, "), "{error}");
        assert!(named("shim:/no/such/program").is_err());
    }
}
