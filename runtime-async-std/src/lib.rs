//! The text below is the package's README.
//!
#![doc = include_str!("../README.md")]
//!
//! ```no_run
//! # use quorate_driver::{Configuration, Service};
//! # use quorate_runtime_async_std::{MemberOptions, spawn_member};
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

use async_std::channel::bounded;
use quorate_driver::{ClientHost, Host, MemberHost, RuntimeError, Service, Wake};

pub use quorate_driver::{
    ClientHandle, ClientOptions, ClientStatus, MemberGone, MemberHandle, MemberOptions,
    PendingReply, Reply, RunError, StartClientError, StartMemberError, StorageMode, SubmitError,
    SyncError,
};

use crate::task::Task;

/// Opens the member's data, recovers, binds its socket and starts it as a task. Returns when it
/// takes datagrams; whether it leads or follows is yet to be seen.
///
/// # Errors
/// [`StartMemberError`]: nothing is running then.
pub fn spawn_member<S>(
    options: MemberOptions,
    service: S,
) -> Result<MemberHandle<S>, StartMemberError>
where
    S: Service + Send + 'static,
{
    spawn_host(|wake| MemberHost::start(options, service, wake))
}

/// Binds a socket and starts the client as a task. It connects by itself; messages may be sent at
/// once.
///
/// # Errors
/// [`StartClientError`]: nothing is running then.
pub fn spawn_client(options: ClientOptions) -> Result<ClientHandle, StartClientError> {
    spawn_host(|wake| ClientHost::start(options, wake))
}

/// Starts any host as a task, with the wake function that `start` is given; returns what came with
/// the host.
///
/// # Errors
/// What `start` returns, or that the host's socket cannot be watched: nothing is running then.
pub fn spawn_host<H, T, E>(start: impl FnOnce(Wake) -> Result<(H, T), E>) -> Result<T, E>
where
    H: Host + Send + 'static,
    E: From<RuntimeError>,
{
    // One call is kept until it is heard; it stands for all that come meanwhile.
    let (ring, woken) = bounded(1);
    let wake: Wake = Box::new(move || {
        let _ = ring.try_send(());
    });
    let (host, handle) = start(wake)?;
    async_std::task::spawn(Task::new(host, woken)?.run());
    Ok(handle)
}
