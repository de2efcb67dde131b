//! Members and clients of Quorate on threads of their own, with mio: the waiting between the turns
//! of [`quorate_driver`]'s hosts, and nothing else.
//!
//! Each member and each client is one thread, which blocks, or polls without ever waiting, as its
//! [`ThreadOptions`] say. Their handles work from any thread and in any asynchronous runtime; no
//! such runtime is needed.
//!
//! ```no_run
//! # use quorate_driver::{Configuration, Service};
//! # use quorate_runtime_mio::{Idle, MemberOptions, ThreadOptions, spawn_member};
//! # fn run<S: Service + Send + 'static>(service: S) -> Result<(), Box<dyn std::error::Error>> {
//! let configuration = Configuration::load("quorate.toml".as_ref())?;
//! let thread = ThreadOptions { idle: Idle::Spin, cpu: Some(2), ..ThreadOptions::default() };
//! let member = spawn_member(MemberOptions::new(configuration), service, thread)?;
//! println!("{:?}", member.blocking_status()?.view);
//! member.blocking_shutdown()?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod idle;
mod thread;

pub use quorate_driver::{
    ClientHandle, ClientOptions, ClientStatus, MemberGone, MemberHandle, MemberOptions,
    PendingReply, Reply, RunError, StartClientError, StartMemberError, StorageMode, SubmitError,
    SyncError,
};
use quorate_driver::{ClientHost, Host, MemberHost, RuntimeError, Service, Wake};

pub use crate::idle::Idle;
use crate::thread::Thread;
pub use crate::thread::ThreadOptions;

/// Opens the member's data, recovers, binds its socket and starts its thread. Returns when it takes
/// datagrams; whether it leads or follows is yet to be seen.
///
/// # Errors
/// [`StartMemberError`]: nothing is running then.
pub fn spawn_member<S>(
    options: MemberOptions,
    service: S,
    thread: ThreadOptions,
) -> Result<MemberHandle<S>, StartMemberError>
where
    S: Service + Send + 'static,
{
    let name = format!("member-{}", options.configuration.member);
    let thread = thread.or_named(&name);
    spawn_host(thread, |wake| MemberHost::start(options, service, wake))
}

/// Binds a socket and starts the client's thread. It connects by itself; messages may be sent at
/// once.
///
/// # Errors
/// [`StartClientError`]: nothing is running then.
pub fn spawn_client(
    options: ClientOptions,
    thread: ThreadOptions,
) -> Result<ClientHandle, StartClientError> {
    spawn_host(thread.or_named("client"), |wake| ClientHost::start(options, wake))
}

/// Starts any host on a thread: `start` is given the wake function, and returns the host and its
/// handle.
///
/// # Errors
/// What `start` says, or why the host cannot be driven: nothing is running then.
pub fn spawn_host<H, T, E>(
    thread: ThreadOptions,
    start: impl FnOnce(Wake) -> Result<(H, T), E>,
) -> Result<T, E>
where
    H: Host + Send + 'static,
    E: From<RuntimeError>,
{
    // First the thread, for it may be refused; nothing is open until then.
    let thread = Thread::begin(thread)?;
    let (host, handle) = start(thread.wake())?;
    thread.drive(host)?;
    Ok(handle)
}
