//! What this project itself puts on the suite's edges.

mod broken;
pub mod hosted;
mod reference;
#[cfg(feature = "runtimes")]
mod runtimes;

pub use broken::{Broken, Mistake};
pub use reference::Reference;

use crate::subject::Subject;

/// The names of the subjects.
pub const NAMES: &[&str] = &["core", "broken:early-durable", "broken:deaf"];

/// The subject with this name.
#[must_use]
pub fn by_name(name: &str) -> Option<Box<dyn Subject>> {
    match name {
        "core" => Some(Box::new(Reference)),
        "broken:early-durable" => Some(Box::new(Broken(Mistake::EarlyDurable))),
        "broken:deaf" => Some(Box::new(Broken(Mistake::Deaf))),
        _ => None,
    }
}
#[cfg(feature = "runtimes")]
pub use runtimes::{AsyncStd, Mio, Tokio};
