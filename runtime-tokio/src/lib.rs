//! Members and clients of Quorate on tokio: sockets, timers and channels around the loops of
//! [`quorate_driver`], and nothing else.
//!
//! A member is one task; it writes its log from that task (into the page cache) and waits for the
//! disk on two threads of its own. It runs in a current-thread runtime as well as in a
//! multi-threaded one. Give it a runtime of its own where other tasks may block.
//!
//! ```no_run
//! # use quorate_driver::{Configuration, Service};
//! # use quorate_runtime_tokio::{MemberHandle, MemberOptions};
//! # async fn run<S: Service + Send + 'static>(
//! #     service: S,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! let configuration = Configuration::load("quorate.toml".as_ref())?;
//! let member = MemberHandle::spawn(MemberOptions::new(configuration), service)?;
//! println!("{:?}", member.status().await?.view);
//! member.shutdown().await?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod client;
mod member;
mod socket;
mod wait;

pub use client::{
    ClientHandle, ClientOptions, ClientStatus, PendingReply, Reply, StartClientError, SubmitError,
};
pub use member::{MemberGone, MemberHandle, MemberOptions, RunError, StartMemberError};
pub use socket::{SocketError, TokioPort};
