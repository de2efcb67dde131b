//! What this project itself puts on the suite's edges.

mod reference;

pub use reference::Reference;
