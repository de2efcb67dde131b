//! The way from a handle to its loop.

use core::fmt;

use async_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};

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
    pub(crate) fn new(capacity: usize, doorbell: Doorbell) -> (Self, Requests<T>) {
        let (requests, taken) = bounded(capacity.max(1));
        (Self { requests, doorbell }, Requests(taken))
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

/// The loop's end of a mailbox. Dropped, it refuses what comes and drops what was put down: whoever
/// waits for an answer learns that there will be none, for the channel alone would keep it for as
/// long as there is a handle.
pub(crate) struct Requests<T>(Receiver<T>);

impl<T> fmt::Debug for Requests<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Requests").field(&self.0.len()).finish()
    }
}

impl<T> Requests<T> {
    /// The next request, if there is one.
    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        self.0.try_recv()
    }

    /// Nothing more is taken than what was put down.
    pub(crate) fn close(&self) {
        self.0.close();
    }
}

impl<T> Drop for Requests<T> {
    fn drop(&mut self) {
        self.close();
        while self.try_recv().is_ok() {}
    }
}
