//! Members and clients of Quorate on tokio: the waiting between the turns of
//! [`quorate_driver`]'s hosts, and nothing else.
//!
//! A member is one task; it writes its log from that task (into the page cache) and waits for the
//! disk on three threads of its own. It runs in a current-thread runtime as well as in a
//! multi-threaded one; the runtime needs its I/O driver, not its timers. Give it a runtime of its
//! own where other tasks may block.
//!
//! ```no_run
//! # use quorate_driver::{Configuration, Service};
//! # use quorate_runtime_tokio::{MemberOptions, spawn_member};
//! # async fn run<S: Service + Send + 'static>(
//! #     service: S,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! let configuration = Configuration::load("quorate.toml".as_ref())?;
//! let member = spawn_member(MemberOptions::new(configuration), service)?;
//! println!("{:?}", member.status().await?.view);
//! member.shutdown().await?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod task;

use std::sync::Arc;

pub use quorate_driver::{
    ClientHandle, ClientOptions, ClientStatus, MemberGone, MemberHandle, MemberOptions,
    PendingReply, Reply, RunError, StartClientError, StartMemberError, StorageMode, SubmitError,
    SyncError,
};
use quorate_driver::{ClientHost, Host, MemberHost, RuntimeError, Service, Wake};
use tokio::sync::Notify;

use crate::task::Task;

/// Opens the member's data, recovers, binds its socket and starts it as a task of the current
/// runtime. Returns when it takes datagrams; whether it leads or follows is yet to be seen.
///
/// # Errors
/// [`StartMemberError`]: nothing is running then.
///
/// # Panics
/// Outside of a tokio runtime, or in one without I/O.
pub fn spawn_member<S>(
    options: MemberOptions,
    service: S,
) -> Result<MemberHandle<S>, StartMemberError>
where
    S: Service + Send + 'static,
{
    spawn_host(|wake| MemberHost::start(options, service, wake))
}

/// Binds a socket and starts the client as a task of the current runtime. It connects by itself;
/// messages may be sent at once.
///
/// # Errors
/// [`StartClientError`]: nothing is running then.
///
/// # Panics
/// Outside of a tokio runtime, or in one without I/O.
pub fn spawn_client(options: ClientOptions) -> Result<ClientHandle, StartClientError> {
    spawn_host(|wake| ClientHost::start(options, wake))
}

/// Starts any host as a task of the current runtime: `start` is given the wake function, and
/// returns the host and its handle.
///
/// # Errors
/// What `start` says, or why the host cannot be driven: nothing is running then.
///
/// # Panics
/// Outside of a tokio runtime, or in one without I/O.
pub fn spawn_host<H, T, E>(start: impl FnOnce(Wake) -> Result<(H, T), E>) -> Result<T, E>
where
    H: Host + Send + 'static,
    E: From<RuntimeError>,
{
    let woken = Arc::new(Notify::new());
    let notify = Arc::clone(&woken);
    // A call is kept until it is heard.
    let (host, handle) = start(Box::new(move || notify.notify_one()))?;
    tokio::spawn(Task::new(host, woken)?.run());
    Ok(handle)
}
