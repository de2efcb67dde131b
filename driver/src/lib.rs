//! What the runtimes of Quorate share: the loops of a member and of a client without their waiting,
//! the service host, the storage threads, the fault layer, the configuration, and the ports that
//! lie under all of it.
//!
//! ```text
//!        datagrams          timers          completions
//!            |                 |                 |
//!            v                 v                 v          one event in, all its
//!   +--------------------------------------------------+    actions performed in
//!   |  MemberLoop:  Member::step(now, event, actions)  |    order, then the next
//!   +--------------------------------------------------+
//!       |             |             |             |
//!   DatagramPort   LogPort     StoragePort    ServiceHost
//!    send         append,      sync, vote,     your Service,
//!                 page cache   history, read   inline
//! ```
//!
//! [`MemberHost`] and [`ClientHost`] put a loop together with a UDP socket, the archive and the
//! mailbox of a handle: they have turns, and a runtime adds the waiting between them ([`Host`]).
//! Who writes a loop of his own uses [`MemberLoop`] over ports of his own. A service is written
//! against [`Service`]:
//!
//! ```
//! use quorate_driver::{Context, Frozen, Service, ServiceError};
//!
//! /// Counts messages.
//! #[derive(Default)]
//! struct Counter(u64);
//!
//! impl Service for Counter {
//!     fn message(
//!         &mut self,
//!         _context: &mut Context<'_>,
//!         _payload: &[u8],
//!         reply: &mut Vec<u8>,
//!     ) -> Result<(), ServiceError> {
//!         self.0 += 1;
//!         reply.extend_from_slice(&self.0.to_le_bytes());
//!         Ok(())
//!     }
//!
//!     fn snapshot(&self) -> Frozen {
//!         Frozen::laid_out(self.0.to_le_bytes().to_vec())
//!     }
//!
//!     fn restore(&mut self, bytes: &[u8]) -> Result<(), ServiceError> {
//!         let bytes = bytes.try_into().map_err(|_| ServiceError("eight bytes expected".into()))?;
//!         self.0 = u64::from_le_bytes(bytes);
//!         Ok(())
//!     }
//! }
//! ```
//!
//! A service with much state clones it cheaply, and goes on while that is written: see [`Frozen`]
//! and [`Pages`].
#![forbid(unsafe_code)]

mod alarm;
mod archive_ports;
mod archive_storage;
mod belonging;
mod client_handle;
mod client_host;
mod client_loop;
pub mod configuration;
mod doorbell;
mod endpoint;
mod faults;
mod frozen;
mod host;
mod mailbox;
mod member_handle;
mod member_host;
mod member_loop;
pub mod mender;
mod metrics;
mod pages;
mod port;
pub mod recording;
mod report;
mod sender;
mod service;
mod storage;
mod turn;
mod udp_port;

pub use alarm::Alarm;
pub use archive_ports::{
    ArchivePorts, ArchiveReader, ArchiveSnapshots, ArchiveStore, LogWriter, OpenError, RejoinError,
    first_identity, init_archive, next_incarnation, recovery_epoch_of, rejoin_archive,
    rejoin_archive_in, salvage_archive,
};
pub use archive_storage::{ArchiveStorage, StorageMode};
pub use belonging::join_archive;
pub use client_handle::{
    ClientHandle, ClientOptions, ClientReadError, ClientStatus, PendingReply, Reply,
    StartClientError, SubmitError, SyncError,
};
pub use client_host::ClientHost;
pub use client_loop::{ClientLoop, ClientOutcome};
pub use configuration::{Configuration, ConfigurationError, Problem};
pub use endpoint::{address_of, endpoint_of};
pub use faults::{FaultCounters, Faults, FaultyPort};
pub use frozen::Frozen;
pub use host::ServiceHost;
pub use member_handle::{
    ChangeMembershipError, MemberGone, MemberHandle, MemberOptions, MemberReadError, RunError,
    StartMemberError, TakeSnapshotError, TransferError,
};
pub use member_host::{Completions, MemberHost, STOP_TIMEOUT};
pub use member_loop::{MemberLoop, Stopped};
pub use mender::{MendError, Mender};
pub use metrics::{
    DatagramCounters, MemberProgress, MemberStatus, MembersStatus, ScrubStatus, StorageCounters,
};
pub use pages::Pages;
pub use port::{
    AppendError, Clock, DatagramPort, DurableStore, LogPort, LogReader, Received, SnapshotStore,
    StoragePort, StorageRequest, StoreError, SystemClock,
};
pub use sender::DATAGRAM_BYTES_MAX;
pub use service::{Context, QueryError, Service, ServiceError};
pub use storage::{
    Completion, InlineStorage, ScrubThread, Scrubbing, SnapshotProgress, SnapshotWriting,
    StorageThreads, perform_grouped,
};
pub use turn::{Host, RuntimeError, Turn, Wake};
pub use udp_port::{SocketError, UdpPort};
