//! The runtimes of this project, each driving members on the suite's edges with its own loop.

use quorate_driver::RuntimeError;
use quorate_runtime_mio::ThreadOptions;

use super::hosted::spawn;
use crate::catalogue;
use crate::edges::Edges;
use crate::subject::{Description, Feature, Node, NodeSpec, SpawnError, Subject};

/// The subject `tokio`: tasks of one runtime.
#[derive(Debug)]
pub struct Tokio(tokio::runtime::Runtime);

impl Tokio {
    /// A runtime with threads of its own.
    ///
    /// # Errors
    /// The system gives it no threads or descriptors.
    pub fn new() -> Result<Self, RuntimeError> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).enable_io().build();
        runtime.map(Self).map_err(|source| RuntimeError::new("start tokio", source))
    }
}

impl Subject for Tokio {
    fn describe(&self) -> Description {
        describe("tokio", "members as tasks of tokio")
    }

    fn spawn(&self, spec: &NodeSpec, edges: Edges) -> Result<Box<dyn Node>, SpawnError> {
        let _within = self.0.enter();
        spawn(spec, edges, quorate_runtime_tokio::spawn_host)
    }
}

/// The subject `mio`: a thread for each member.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mio;

impl Subject for Mio {
    fn describe(&self) -> Description {
        describe("mio", "members on threads of their own, with mio")
    }

    fn spawn(&self, spec: &NodeSpec, edges: Edges) -> Result<Box<dyn Node>, SpawnError> {
        let thread = ThreadOptions::default();
        spawn(spec, edges, |begin| quorate_runtime_mio::spawn_host(thread, begin))
    }
}

/// The subject `async-std`: tasks of its global runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsyncStd;

impl Subject for AsyncStd {
    fn describe(&self) -> Description {
        describe("async-std", "members as tasks of async-std")
    }

    fn spawn(&self, spec: &NodeSpec, edges: Edges) -> Result<Box<dyn Node>, SpawnError> {
        spawn(spec, edges, quorate_runtime_async_std::spawn_host)
    }
}

fn describe(name: &str, about: &str) -> Description {
    Description {
        name: name.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        about: about.into(),
        features: vec![
            Feature::VirtualDisk,
            Feature::Sockets,
            Feature::GracefulStop,
            Feature::Transfer,
            Feature::Members,
            Feature::Snapshots,
            Feature::Purging,
            Feature::OwnThread,
        ],
        claims: catalogue::groups().map(str::to_owned).collect(),
    }
}
