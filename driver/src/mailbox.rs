//! The way from a handle to its loop.

use core::fmt;

use async_channel::{Receiver, Sender, TrySendError, bounded};

use crate::doorbell::Doorbell;

/// The loop has ended, and takes nothing more.
#[derive(Debug)]
pub(crate) struct Ended;

/// Puts requests down for a loop: a bounded number, beyond which it waits. Dropped, it is closed:
/// the loop sees that nobody asks for anything any more.
pub(crate) struct Mailbox<T> {
    requests: Sender<T>,
    doorbell: Doorbell,
}

impl<T> fmt::Debug for Mailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("requests", &self.requests.len()).finish_non_exhaustive()
    }
}

impl<T> Mailbox<T> {
    /// A mailbox for up to `capacity` requests, and the loop's end of it.
    pub(crate) fn new(capacity: usize, doorbell: Doorbell) -> (Self, Receiver<T>) {
        let (requests, taken) = bounded(capacity.max(1));
        (Self { requests, doorbell }, taken)
    }

    /// Puts `request` down, as soon as there is room. Cancelled, it was not.
    pub(crate) async fn put(&self, request: T) -> Result<(), Ended> {
        match self.requests.try_send(request) {
            Ok(()) => {}
            Err(TrySendError::Full(request)) => {
                self.requests.send(request).await.map_err(|_| Ended)?;
            }
            Err(TrySendError::Closed(_)) => return Err(Ended),
        }
        self.doorbell.ring();
        Ok(())
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        self.requests.close();
        self.doorbell.ring();
    }
}
