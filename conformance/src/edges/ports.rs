//! The edges as the ports that run loops are built on.

use std::io;

use quorate_core::{Apply, ClientKey, Delivery, Endpoint, Instant, Position};
use quorate_driver::{
    AppendError, Clock, Context, DatagramPort, Frozen, LogPort, Received, Service, ServiceError,
    StoragePort, StorageRequest,
};
use quorate_sim::{FrameMark, Stored, Work};

use super::{Command, Deed, Edges};

impl Edges {
    /// This life's socket.
    #[must_use]
    pub fn socket(&self) -> EdgeSocket {
        EdgeSocket { life: self.state().life, edges: self.clone() }
    }

    /// The machine's clock.
    #[must_use]
    pub fn clock(&self) -> EdgeClock {
        EdgeClock(self.clone())
    }

    /// This life's log.
    #[must_use]
    pub fn log(&self) -> EdgeLog {
        EdgeLog { life: self.state().life, edges: self.clone() }
    }

    /// This life's storage.
    #[must_use]
    pub fn storage(&self) -> EdgeStorage {
        EdgeStorage { life: self.state().life, edges: self.clone() }
    }

    fn record_applied(&self, apply: Apply, payload: &[u8], reply: &[u8]) {
        let (payload, reply) = (payload.to_vec(), reply.to_vec());
        self.state().deeds.push(Deed::Applied { apply, payload, reply });
    }
}

/// A socket on the suite's network.
#[derive(Clone, Debug)]
pub struct EdgeSocket {
    edges: Edges,
    life: u64,
}

impl DatagramPort for EdgeSocket {
    fn send(&mut self, to: Endpoint, run: &[u8], datagram_bytes: usize) -> io::Result<usize> {
        let mut state = self.edges.state();
        if state.life != self.life || state.unwilling {
            return Ok(0);
        }
        if let Some(error) = state.socket_errors.pop_front() {
            return Err(error.into());
        }
        let datagrams = run.chunks(datagram_bytes.max(1));
        let count = datagrams.len();
        state.deeds.extend(datagrams.map(|bytes| Deed::Sent { to, bytes: bytes.to_vec() }));
        Ok(count)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut state = self.edges.state();
        if state.life != self.life {
            return Ok(None);
        }
        if let Some(error) = state.socket_errors.pop_front() {
            return Err(error.into());
        }
        let Some((source, bytes)) = state.next_datagram() else { return Ok(None) };
        let Some(room) = buffer.get_mut(..bytes.len()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a datagram without room"));
        };
        room.copy_from_slice(&bytes);
        let mut received = Received::single(source, bytes.len());
        while state.coalescing && received.bytes.is_multiple_of(bytes.len().max(1)) {
            let Some(next) = state.next_of(source, bytes.len(), buffer.len() - received.bytes)
            else {
                break;
            };
            buffer[received.bytes..received.bytes + next.len()].copy_from_slice(&next);
            received.bytes += next.len();
        }
        Ok(Some(received))
    }
}

/// A machine's monotonic clock.
#[derive(Clone, Debug)]
pub struct EdgeClock(Edges);

impl Clock for EdgeClock {
    fn now(&self) -> Instant {
        self.0.now()
    }
}

/// A log on the suite's disk.
#[derive(Clone, Debug)]
pub struct EdgeLog {
    edges: Edges,
    life: u64,
}

/// A cut that was begun.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EdgeCut(pub Position);

impl LogPort for EdgeLog {
    type Cut = EdgeCut;

    fn append(&mut self, _: Position, bytes: (&[u8], &[u8])) -> Result<(), AppendError> {
        let mut state = self.edges.state();
        if state.life != self.life {
            return Err(AppendError::Broken("this life has ended".into()));
        }
        if let Some(reason) = &state.broken {
            return Err(AppendError::Broken(reason.clone()));
        }
        if state.full {
            return Err(AppendError::Full);
        }
        let frames_before = state.disk.frames().len();
        let bad = state.disk.append(bytes.0, bytes.1).1;
        state.deeds.push(Deed::Appended { frames_before, bad });
        Ok(())
    }

    fn cut(&mut self, at: Position) -> EdgeCut {
        EdgeCut(at)
    }
}

/// The suite's disk, as what takes requests that complete later.
#[derive(Clone, Debug)]
pub struct EdgeStorage {
    edges: Edges,
    life: u64,
}

impl StoragePort<EdgeCut> for EdgeStorage {
    fn submit(&mut self, request: StorageRequest<EdgeCut>) {
        let mut state = self.edges.state();
        if state.life != self.life || state.closed {
            return;
        }
        let (operation, work) = match request {
            StorageRequest::Purge { origin } => {
                state.disk.purge(origin);
                state.deeds.push(Deed::Purged { origin });
                return;
            }
            StorageRequest::Sync { operation } => {
                (operation, Work::Sync { covers: state.disk.written_end().0 })
            }
            StorageRequest::PersistVote { operation, vote } => (operation, Work::Vote(vote)),
            StorageRequest::PersistHistory { operation, history, cut } => {
                (operation, Work::History { history, cut: cut.0 })
            }
            StorageRequest::PersistPeers { operation, peers } => (operation, Work::Peers(peers)),
            StorageRequest::Read { operation, range } => (operation, Work::Read(range)),
            StorageRequest::StoreSnapshot { operation, snapshot, service, pinned } => {
                // It was laid out by the suite's own service, which is as long as it says.
                let service = service.into_bytes().unwrap_or_default();
                let stored = Box::new(Stored::new(*snapshot, service));
                (operation, Work::Snapshot { stored, pinned })
            }
            StorageRequest::ReadSnapshot { operation, position, range } => {
                (operation, Work::ReadSnapshot { position, range })
            }
            StorageRequest::KeepSnapshotPart { operation, manifest, start, bytes } => {
                (operation, Work::Part { manifest, start, bytes })
            }
            StorageRequest::CheckSnapshot { operation, manifest } => {
                (operation, Work::Check(manifest))
            }
            StorageRequest::DropSnapshot => {
                state.disk.drop_draft();
                state.deeds.push(Deed::DroppedSnapshot);
                return;
            }
            StorageRequest::DiscardSnapshots { from } => {
                state.disk.discard_snapshots(from);
                state.deeds.push(Deed::DiscardedSnapshots { from });
                return;
            }
            StorageRequest::InstallSnapshot { operation, manifest } => {
                let frames = vec![FrameMark::all_before(manifest.point)];
                (operation, Work::Install { manifest, frames })
            }
        };
        state.disk.issue(operation, work.clone());
        state.deeds.push(Deed::Asked { operation, work });
    }

    fn close(&mut self) {
        let mut state = self.edges.state();
        if state.life == self.life {
            state.closed = true;
        }
    }
}

/// The suite's service, on one machine: a ledger that also keeps registers.
#[derive(Clone, Debug)]
pub struct EdgeService(pub(super) Edges);

impl EdgeService {
    fn frame(context: &Context<'_>, delivery: Delivery) -> Apply {
        let (position, time) = (context.position(), context.time());
        // Where the frame ends is the member's business; observers go by where it begins.
        Apply { position, end: position, time, delivery }
    }
}

impl Service for EdgeService {
    fn session_opened(
        &mut self,
        context: &mut Context<'_>,
        client: ClientKey,
    ) -> Result<(), ServiceError> {
        let session = context.session();
        self.0.state().service.note(context.position(), context.time(), session.0, &[1]);
        let delivery = Delivery::SessionOpened { session, client };
        self.0.record_applied(Self::frame(context, delivery), &[], &[]);
        Ok(())
    }

    fn session_closed(
        &mut self,
        context: &mut Context<'_>,
        reason: quorate_core::frame::SessionCloseReason,
    ) -> Result<(), ServiceError> {
        let session = context.session();
        self.0.state().service.note(context.position(), context.time(), session.0, &[2]);
        let delivery = Delivery::SessionClosed { session, reason };
        self.0.record_applied(Self::frame(context, delivery), &[], &[]);
        Ok(())
    }

    fn message(
        &mut self,
        context: &mut Context<'_>,
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) -> Result<(), ServiceError> {
        {
            let mut state = self.0.state();
            state.fault()?;
            state.service.message(context, payload, reply);
        }
        let session = context.session();
        let delivery = Delivery::Message {
            session,
            sequence: context.sequence(),
            payload: quorate_core::PositionRange::default(),
            source: quorate_core::Source::Member,
        };
        self.0.record_applied(Self::frame(context, delivery), payload, reply);
        if let Some((timer, deadline)) = Command::timer(payload, context.time()) {
            self.0.state().deeds.push(Deed::Timer { timer, deadline });
        }
        Ok(())
    }

    fn timer(&mut self, context: &mut Context<'_>, timer: u64) -> Result<(), ServiceError> {
        self.0.state().service.timer(context, timer);
        let delivery = Delivery::Timer { timer };
        self.0.record_applied(Self::frame(context, delivery), &[], &[]);
        Ok(())
    }

    fn snapshot(&self) -> Frozen {
        Frozen::laid_out(self.0.state().service.snapshot())
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), ServiceError> {
        self.0.state().service.restore(bytes).map_err(ServiceError)
    }

    fn digest(&self) -> u64 {
        self.0.digest()
    }
}
