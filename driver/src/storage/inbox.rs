//! What the thread of snapshots is asked for. The member puts it down, and never waits for that.

use std::collections::VecDeque;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use quorate_core::OperationId;

use super::Completion;
use super::snapshots::SnapshotProgress;
use crate::port::StorageRequest;

/// Requests that wait, at most, but for one more that forgets what is fetched. The core has one
/// snapshot under way that it stores, and one that it fetches, a part at a time: whatever is beyond
/// is refused, for the disk has stood still.
const WAITING_MAX: usize = 4;

/// The member's end. Dropped, it ends the thread.
pub(super) struct Inbox<T> {
    board: Arc<Board<T>>,
    complete: Box<dyn Fn(Completion) + Send>,
}

/// The thread's end. Dropped, nothing is taken any more.
pub(super) struct Requests<T>(Arc<Board<T>>);

struct Board<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    waiting: VecDeque<StorageRequest<T>>,
    progress: Option<SnapshotProgress>,
    member_is_gone: bool,
    thread_is_gone: bool,
}

/// Both ends. What is not performed is told to `complete`, on the member's thread.
pub(super) fn inbox<T>(complete: impl Fn(Completion) + Send + 'static) -> (Inbox<T>, Requests<T>) {
    let state = State {
        waiting: VecDeque::new(),
        progress: None,
        member_is_gone: false,
        thread_is_gone: false,
    };
    let board = Arc::new(Board { state: Mutex::new(state), changed: Condvar::new() });
    (Inbox { board: Arc::clone(&board), complete: Box::new(complete) }, Requests(board))
}

impl<T> Board<T> {
    /// Nothing of the service's or of the store's is called while it is held.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Inbox<T> {
    /// Puts a request down; whether somebody is there to take it. One that finds no room is told to
    /// have failed, and so are those whose snapshot this one forgets.
    pub(super) fn put(&self, request: StorageRequest<T>) -> bool {
        let mut state = self.board.lock();
        if state.thread_is_gone {
            return false;
        }
        let mut void = Vec::new();
        let forgets = matches!(request, StorageRequest::DropSnapshot);
        if forgets {
            let (kept, fetched) =
                state.waiting.drain(..).partition(|one| !is_about_a_fetched_one(one));
            state.waiting = kept;
            void = Vec::from(fetched);
        }
        let is_last = matches!(request, StorageRequest::DiscardSnapshots { .. });
        let refused = match forgets || is_last || state.waiting.len() < WAITING_MAX {
            true => {
                state.waiting.push_back(request);
                None
            }
            false => Some(request),
        };
        drop(state);
        self.board.changed.notify_one();
        self.fail(void, "the snapshot is not fetched any more");
        self.fail(refused, "too much waits for the thread that stores snapshots: its disk is slow");
        true
    }

    fn fail(&self, requests: impl IntoIterator<Item = StorageRequest<T>>, why: &str) {
        for operation in requests.into_iter().filter_map(|request| operation_of(&request)) {
            (self.complete)(Completion::SnapshotFailed { operation, reason: why.into() });
        }
    }

    /// What is being stored of this member's own.
    pub(super) fn progress(&self) -> Option<SnapshotProgress> {
        self.board.lock().progress
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        self.board.lock().member_is_gone = true;
        self.board.changed.notify_one();
    }
}

impl<T> Requests<T> {
    /// The next request, which is waited for; until `due`, if that is given.
    ///
    /// # Errors
    /// It is due, or nothing waits and the member is gone.
    pub(super) fn next(&self, due: Option<Instant>) -> Result<StorageRequest<T>, RecvTimeoutError> {
        let mut state = self.0.lock();
        loop {
            if let Some(request) = state.waiting.pop_front() {
                return Ok(request);
            }
            if state.member_is_gone {
                return Err(RecvTimeoutError::Disconnected);
            }
            let pause = due.map(|due| due.saturating_duration_since(Instant::now()));
            state = match pause {
                Some(pause) if pause.is_zero() => return Err(RecvTimeoutError::Timeout),
                Some(pause) => {
                    let woken = self.0.changed.wait_timeout(state, pause);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Says what is being stored.
    pub(super) fn set_progress(&self, progress: Option<SnapshotProgress>) {
        self.0.lock().progress = progress;
    }
}

impl<T> Drop for Requests<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.thread_is_gone = true;
        state.progress = None;
        let waiting = core::mem::take(&mut state.waiting);
        drop(state);
        // A state that is given up is code of the service's.
        drop(waiting);
    }
}

const fn is_about_a_fetched_one<T>(request: &StorageRequest<T>) -> bool {
    matches!(
        request,
        StorageRequest::KeepSnapshotPart { .. }
            | StorageRequest::CheckSnapshot { .. }
            | StorageRequest::DropSnapshot
    )
}

/// Whom it is told to whether a request of this thread's was performed.
const fn operation_of<T>(request: &StorageRequest<T>) -> Option<OperationId> {
    match request {
        StorageRequest::StoreSnapshot { operation, .. }
        | StorageRequest::KeepSnapshotPart { operation, .. }
        | StorageRequest::CheckSnapshot { operation, .. } => Some(*operation),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use quorate_core::{BootEpoch, Position, SnapshotManifest};

    use super::*;

    fn operation(sequence: u64) -> OperationId {
        OperationId { boot_epoch: BootEpoch(1), sequence }
    }

    fn part(sequence: u64) -> StorageRequest<()> {
        let (operation, manifest) = (operation(sequence), SnapshotManifest::default());
        StorageRequest::KeepSnapshotPart { operation, manifest, start: Position(0), bytes: vec![1] }
    }

    fn sequence(request: &StorageRequest<()>) -> Option<u64> {
        operation_of(request).map(|operation| operation.sequence)
    }

    #[test]
    fn nothing_that_is_put_down_is_waited_for_and_all_that_is_not_done_is_told() {
        let (told, failures) = channel();
        let (inbox, requests) = inbox(move |completion| match completion {
            Completion::SnapshotFailed { operation, reason } => {
                told.send((operation.sequence, reason)).unwrap();
            }
            other => panic!("{other:?}"),
        });
        // Nobody takes any of it: a disk that hangs.
        assert!((0..1_000).map(part).all(|request| inbox.put(request)));
        let failed: Vec<_> = failures.try_iter().collect();
        assert_eq!(failed.len(), 1_000 - WAITING_MAX);
        assert!(failed.iter().all(|(_, why)| why.contains("its disk is slow")), "{failed:?}");
        // Each time all that waits is of no use any more.
        for round in 0..1_000 {
            inbox.put(StorageRequest::DropSnapshot);
            inbox.put(part(round));
        }
        let failed = failures.try_iter().map(|(sequence, _)| sequence).collect::<Vec<_>>();
        assert_eq!(failed, (0..WAITING_MAX as u64).chain(0..999).collect::<Vec<_>>());
        drop(inbox);
        assert!(matches!(requests.next(None), Ok(StorageRequest::DropSnapshot)));
        assert_eq!(requests.next(None).ok().as_ref().and_then(sequence), Some(999));
        assert_eq!(requests.next(None).err(), Some(RecvTimeoutError::Disconnected));
        assert_eq!(failures.iter().count(), 0);
    }

    #[test]
    fn what_waits_comes_before_what_is_due_and_a_thread_that_ended_takes_nothing() {
        let (inbox, requests) = inbox(|completion| panic!("{completion:?}"));
        assert!(inbox.put(part(7)));
        let due = Some(Instant::now());
        assert_eq!(requests.next(due).ok().as_ref().and_then(sequence), Some(7));
        assert_eq!(requests.next(due).err(), Some(RecvTimeoutError::Timeout));
        drop(requests);
        assert!(!inbox.put(part(8)));
        assert_eq!(inbox.progress(), None);
    }
}
