//! Durability gates: which operations are under way, and what is durable once they complete.
//! Outputs that depend on a write wait inside the member until it is (design law, E02, E37).

use alloc::vec::Vec;

use super::{Handled, Member};
use crate::action::{Action, Actions};
use crate::event::OperationId;
use crate::identity::BootEpoch;
use crate::mutant;
use crate::notice::{Abdication, FailStop, Notice};
use crate::position::Position;
use crate::term::{Term, Vote};
use crate::time::Instant;

/// Operations under way: at most one of each kind.
#[derive(Clone, Debug, Hash)]
pub(super) struct Storage {
    boot_epoch: BootEpoch,
    sequence: u64,
    pending: Vec<Pending>,
    /// The vote that is known to be durable.
    pub(super) vote: Vote,
    /// The newest term of the history that is known to be durable.
    pub(super) history_term: Term,
    /// When the next sync of the log may begin, in a volatile group.
    pub(super) checkpoint_at: Instant,
}

/// An operation under way.
#[derive(Clone, Copy, Debug, Hash)]
struct Pending {
    operation: OperationId,
    since: Instant,
    write: Write,
}

/// What an operation makes durable.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Write {
    /// The log up to a position.
    Log(Position),
    /// A vote.
    Vote(Vote),
    /// The history that ends with this term.
    History(Term),
    /// What is remembered of the peers.
    Peers,
}

impl Write {
    const fn kind(self) -> u8 {
        match self {
            Self::Log(_) => 0,
            Self::Vote(_) => 1,
            Self::History(_) => 2,
            Self::Peers => 3,
        }
    }
}

impl Storage {
    pub(super) fn new(boot_epoch: BootEpoch, vote: Vote, history_term: Term) -> Self {
        let (pending, checkpoint_at) = (Vec::with_capacity(4), Instant(0));
        Self { boot_epoch, sequence: 0, pending, vote, history_term, checkpoint_at }
    }

    /// Numbers a new operation.
    pub(super) fn next_operation(&mut self) -> Result<OperationId, FailStop> {
        self.sequence = self.sequence.checked_add(1).ok_or(FailStop::Exhausted)?;
        Ok(OperationId { boot_epoch: self.boot_epoch, sequence: self.sequence })
    }

    /// Numbers a new operation that makes `write` durable. There is none of its kind under way.
    pub(super) fn begin(&mut self, now: Instant, write: Write) -> Result<OperationId, FailStop> {
        debug_assert!(!self.is_pending(write), "one operation of a kind at a time");
        let operation = self.next_operation()?;
        self.pending.push(Pending { operation, since: now, write });
        Ok(operation)
    }

    /// How many operations are under way.
    pub(super) fn under_way(&self) -> usize {
        self.pending.len()
    }

    /// Whether an operation of the kind of `write` is under way.
    pub(super) fn is_pending(&self, write: Write) -> bool {
        self.pending.iter().any(|pending| pending.write.kind() == write.kind())
    }

    pub(super) fn log_is_pending(&self) -> bool {
        self.is_pending(Write::Log(Position::ZERO))
    }

    pub(super) fn vote_is_pending(&self) -> bool {
        self.is_pending(Write::Vote(Vote::default()))
    }

    pub(super) fn history_is_pending(&self) -> bool {
        self.is_pending(Write::History(Term(0)))
    }

    /// Whether bytes of the newest term have to wait for its line (rule 1).
    pub(super) fn line_is_pending(&self) -> bool {
        self.history_is_pending() && !mutant::is(mutant::WRITES_BEFORE_THE_LINE)
    }

    /// Since when the oldest operation is under way of those that are `awaited`.
    pub(super) fn oldest(&self, awaited: impl Fn(Write) -> bool) -> Option<Instant> {
        let awaited = self.pending.iter().filter(|pending| awaited(pending.write));
        awaited.map(|pending| pending.since).min()
    }

    /// The number of the oldest operation under way.
    pub(super) fn oldest_sequence(&self) -> Option<u64> {
        self.pending.iter().map(|pending| pending.operation.sequence).min()
    }

    /// An operation completed; `None` if it is of another life or not known (E40).
    pub(super) fn complete(&mut self, operation: OperationId) -> Option<Write> {
        let ghosts = mutant::is(mutant::GHOST_COMPLETIONS);
        let known = |pending: &Pending| {
            pending.operation == operation
                || (ghosts && pending.operation.sequence == operation.sequence)
        };
        let Some(at) = self.pending.iter().position(known) else {
            crate::mark::reached(crate::mark::STALE_COMPLETION);
            return None;
        };
        let write = self.pending.swap_remove(at).write;
        match write {
            Write::Vote(vote) => self.vote = vote,
            Write::History(term) => self.history_term = term,
            Write::Log(_) | Write::Peers => {}
        }
        Some(write)
    }

    /// The log was cut: what is under way makes nothing durable at and above `end` (E38, rule 10).
    pub(super) fn cut(&mut self, end: Position) {
        if mutant::is(mutant::SYNC_OUTLIVES_CUT) {
            return;
        }
        for pending in &mut self.pending {
            if let Write::Log(through) = &mut pending.write {
                if *through > end {
                    crate::mark::reached(crate::mark::SYNC_MEETS_CUT);
                }
                *through = (*through).min(end);
            }
        }
    }
}

/// Whether the archive has space for the log.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Space {
    /// As far as is known.
    Enough,
    /// An append was refused; the next one is tried at the instant.
    Full { retry_at: Instant },
    /// Appends are tried again, from where they were refused, and none was synced yet.
    Retrying { from: Position },
}

impl Space {
    pub(super) const fn is_full(self) -> bool {
        matches!(self, Self::Full { .. })
    }

    pub(super) const fn retry_at(self) -> Option<Instant> {
        match self {
            Self::Full { retry_at } => Some(retry_at),
            Self::Enough | Self::Retrying { .. } => None,
        }
    }

    /// How far the archive has taken bytes that were handed to it up to `written`, as far as is
    /// known: it may refuse once more what is tried again.
    pub(super) fn taken(self, written: Position) -> Position {
        match self {
            Self::Retrying { from } => written.min(from),
            Self::Enough | Self::Full { .. } => written,
        }
    }
}

impl Member {
    pub(super) fn handle_durable(
        &mut self,
        operation: OperationId,
        actions: &mut Actions,
    ) -> Handled {
        if self.state.snapshots.stored(operation) {
            self.settle_snapshot(actions);
            return self.settle_all(actions);
        }
        if self.note_fetch_durable(operation) {
            return self.settle_all(actions);
        }
        let Some(write) = self.state.storage.complete(operation) else {
            self.counters.completions_ignored += 1;
            // What is due by now is done, as behind any other event that says nothing.
            self.forget_clients();
            return self.settle_all(actions);
        };
        match write {
            Write::Log(through) => {
                self.state.log.durable = self.state.log.durable.max(through);
                self.count_safe();
                self.want_acknowledgement();
                self.note_storage_freed(actions);
                self.settle_snapshot(actions);
                if !self.is_applicant() && !self.state.doubt.awaits_disk() {
                    self.settle_log(actions)?;
                    self.ask_for_holes(actions);
                    return Ok(());
                }
            }
            _ => self.handle_metadata_durable(write, actions)?,
        }
        self.settle_all(actions)
    }

    #[inline(never)]
    fn handle_metadata_durable(&mut self, write: Write, actions: &mut Actions) -> Handled {
        match write {
            Write::Log(_) => {}
            Write::Vote(vote) => self.handle_vote_durable(vote, actions)?,
            Write::History(term) => self.handle_history_durable(term, actions)?,
            Write::Peers => self.note_records_durable(actions),
        }
        Ok(())
    }

    pub(super) fn handle_storage_full(
        &mut self,
        position: Position,
        actions: &mut Actions,
    ) -> Handled {
        let state = &mut self.state;
        if position < state.log.low || position < state.log.durable || position > state.log.written
        {
            // It came too late, or names bytes that were never handed over.
            return Err(FailStop::StorageFailed);
        }
        state.log.refuse(position);
        state.storage.cut(position);
        if state.space == Space::Enough {
            actions.push(Action::Notify(Notice::StorageFull));
        }
        let retry_at = state.now + self.config.timing.progress_timeout;
        state.space = Space::Full { retry_at };
        if self.state.leading.is_some() {
            self.abdicate(Abdication::StorageFull, actions);
        }
        Ok(())
    }

    /// Tries to append again; a further refusal comes back as an event.
    pub(super) fn retry_full_storage(&mut self) {
        if let Space::Full { retry_at } = self.state.space
            && retry_at <= self.state.now
        {
            self.retry_full_storage_now();
        }
    }

    /// As [`Member::retry_full_storage`], whenever that was to be.
    pub(super) fn retry_full_storage_now(&mut self) {
        if self.state.space.is_full() {
            self.state.space = Space::Retrying { from: self.state.log.written };
            crate::mark::reached(crate::mark::STORAGE_RETRIED);
        }
    }

    #[inline]
    pub(super) fn note_storage_freed(&mut self, actions: &mut Actions) {
        if let Space::Retrying { .. } = self.state.space {
            self.tell_storage_freed(actions);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_storage_freed(&mut self, actions: &mut Actions) {
        self.state.space = Space::Enough;
        actions.push(Action::Notify(Notice::StorageFreed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e38_a_cut_lowers_the_sync_that_is_under_way() {
        let mut storage = Storage::new(BootEpoch(1), Vote::default(), Term(0));
        let operation = storage.begin(Instant(0), Write::Log(Position(64))).unwrap();
        storage.cut(Position(32));
        assert_eq!(storage.complete(operation), Some(Write::Log(Position(32))));
    }
}
