//! Virtual ports: all that reaches them goes into one hash, and nothing else becomes of it.

use std::io;

use quorate_core::{Endpoint, Position};

use super::tap::SharedHash;
use crate::frozen::Frozen;
use crate::port::{AppendError, DatagramPort, LogPort, Received, StoragePort, StorageRequest};
use crate::service::{Context, Service, ServiceError};

/// Takes every datagram, and hands out those that are put into it.
#[derive(Debug)]
pub(super) struct HashingPort {
    pub(super) hash: SharedHash,
    pub(super) incoming: Option<(Endpoint, Vec<u8>)>,
}

impl DatagramPort for HashingPort {
    fn send(&mut self, to: Endpoint, run: &[u8], datagram_bytes: usize) -> io::Result<usize> {
        let (mut hash, mut sent) = (self.hash.lock(), 0);
        for datagram in run.chunks(datagram_bytes.max(1)) {
            hash.datagram(to, datagram);
            sent += 1;
        }
        Ok(sent)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let Some((source, datagram)) = self.incoming.take() else { return Ok(None) };
        let room = buffer.get_mut(..datagram.len()).ok_or(io::ErrorKind::InvalidData)?;
        room.copy_from_slice(&datagram);
        Ok(Some(Received::single(source, datagram.len())))
    }
}

/// Takes every append: one that was refused when it was recorded is refused by the recording.
#[derive(Debug)]
pub(super) struct HashingLog(pub(super) SharedHash);

impl LogPort for HashingLog {
    type Cut = Position;

    fn append(&mut self, position: Position, bytes: (&[u8], &[u8])) -> Result<(), AppendError> {
        self.0.lock().append(position, bytes);
        Ok(())
    }

    fn cut(&mut self, at: Position) -> Position {
        self.0.lock().cut(at);
        at
    }
}

/// Takes every request, and completes none: completions are recorded.
#[derive(Debug)]
pub(super) struct HashingStorage(pub(super) SharedHash);

impl StoragePort<Position> for HashingStorage {
    fn submit(&mut self, request: StorageRequest<Position>) {
        self.0.lock().request(&request);
    }
}

/// Takes every message, and says nothing: what the service wanted is recorded.
#[derive(Debug)]
pub(super) struct HashingService(pub(super) SharedHash);

impl Service for HashingService {
    fn message(
        &mut self,
        _context: &mut Context<'_>,
        payload: &[u8],
        _reply: &mut Vec<u8>,
    ) -> Result<(), ServiceError> {
        self.0.lock().payload(payload);
        Ok(())
    }

    fn snapshot(&self) -> Frozen {
        Frozen::laid_out(Vec::new())
    }

    fn restore(&mut self, _bytes: &[u8]) -> Result<(), ServiceError> {
        Ok(())
    }

    fn digest(&self) -> u64 {
        self.0.lock().value()
    }
}
