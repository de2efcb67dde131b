//! Durability levels: what a member holds, when it syncs, and how it heals when it may have lost
//! what it held (rules 5 and 12).
//!
//! ```text
//!  comes up, its mark says so ─► impaired: grants with a reserve, acknowledges nothing
//!     leader registers this life, and says what it has ─► all of that is verified ─► healed
//!     or it is elected itself ─────────────────────────────────────────────────────► healed
//! ```
//!
//! In a volatile group a member states what is in its memory. Before it does so for the first time
//! it is durable that a life of it did (the mark): whoever comes up with the mark has perhaps lost
//! what it had stated. The mark goes only with a stop in good order, behind a last sync; or, in a
//! group that is configured to be durable again, when the member has healed on its disk.
//!
//! What it stated can only have helped to commit what a leader of its term had, or one before that.
//! So a log that has all that a leader of its term, or of a later one, had when it heard of the new
//! life, has all of that.

use super::{Handled, Member, State};
use crate::action::{Action, Actions};
use crate::config::Recovered;
use crate::event::OperationId;
use crate::identity::MemberId;
use crate::message::Message;
use crate::mutant;
use crate::notice::{FailStop, Notice};
use crate::position::Position;
use crate::term::Term;
use crate::time::Instant;

use super::readmission::Standing;
use super::storage::{Space, Write};

/// Bytes of the log that wait for a sync in a volatile group, at most, however long the interval:
/// so much is lost with a member's memory, and synced when it stops.
pub(super) const UNSYNCED_BYTES_MAX: u64 = 8 << 20;

/// Whether this member may have lost what a former life of it held.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Doubt {
    is_impaired: bool,
    /// Up to where it has to heal, as the leader of that term said.
    heals_at: Option<(Term, Position)>,
    /// The host stops, in a volatile group: nothing is acknowledged any more.
    is_closing: bool,
    /// The host has been told.
    is_told: bool,
}

impl Doubt {
    pub(super) fn new(recovered: &Recovered) -> Self {
        let own = recovered.life.member;
        let is_own = |id: MemberId| id == own;
        let mut records = recovered.peers.iter();
        let is_impaired = records.any(|it| is_own(it.life.member) && it.tells_of_a_fall());
        let trusts = mutant::is(mutant::MARK_IS_NOT_READ);
        let is_impaired = is_impaired && !trusts;
        Self { is_impaired, heals_at: None, is_closing: false, is_told: !is_impaired }
    }

    pub(super) const fn close(&mut self) {
        self.is_closing = true;
    }

    pub(super) const fn is_impaired(&self) -> bool {
        self.is_impaired
    }

    /// Whether something follows from what is durable.
    pub(super) const fn awaits_disk(&self) -> bool {
        self.is_impaired || self.is_closing
    }

    pub(super) const fn is_closing(&self) -> bool {
        self.is_closing
    }
}

impl Member {
    /// Whether this member may have lost bytes that it held, and has not healed yet.
    #[inline]
    pub(super) const fn is_impaired(&self) -> bool {
        self.state.doubt.is_impaired
    }

    /// Whether what this member has promised may exceed its disk: if it ended now, its next life
    /// would be impaired. A member of a durable group never owes anything; one that is impaired
    /// promises nothing.
    #[must_use]
    pub fn is_in_debt(&self) -> bool {
        let is_volatile = self.config.durability.is_volatile();
        is_volatile && !self.is_impaired() && self.state.peers.doubt_may_be_found()
    }

    /// Whether the disk had no space for what this member wants to append, as far as is known.
    #[must_use]
    pub const fn awaits_space(&self) -> bool {
        self.state.space.is_full()
    }

    /// The end of what this member holds, as it counts for commit: in a volatile group what it has
    /// in memory and handed to the archive, once the mark is durable. Bytes that wait for records
    /// or for a line are not handed over before those are durable: membership and terms are strict.
    /// Nor are those held that a full disk refused, before it has taken them (seed 229).
    #[inline]
    pub(super) fn held(&self) -> Position {
        let log = &self.state.log;
        let is_marked = self.state.peers.doubt_is_saved() || mutant::is(mutant::HOLDS_UNMARKED);
        match self.config.durability.is_volatile() && is_marked {
            true => self.state.space.taken(log.written),
            false => log.durable,
        }
    }

    /// This member counts in full from now on, or may when it has healed: in a volatile group the
    /// mark comes before all that it promises.
    pub(super) fn note_full_standing(&mut self) {
        if self.config.durability.is_volatile() && self.state.standing == Standing::Full {
            self.state.peers.set_doubt(true, self.state.now);
        }
    }

    /// Whether bytes that were handed to the archive are to be synced now.
    pub(super) fn is_to_be_synced(&self) -> bool {
        let state = &self.state;
        !self.config.durability.is_volatile()
            || state.doubt.is_closing
            || state.storage.checkpoint_at <= state.now
            || state.log.written.since(state.log.durable) >= UNSYNCED_BYTES_MAX
            // Only a sync tells that there is space again.
            || state.space != Space::Enough
    }

    pub(super) fn sync_log(&mut self, actions: &mut Actions) -> Handled {
        let state = &mut self.state;
        let operation: OperationId =
            state.storage.begin(state.now, Write::Log(state.log.written))?;
        if let Some(interval) = self.config.durability.checkpoint_interval() {
            state.storage.checkpoint_at = state.now + interval;
        }
        actions.push(Action::Sync { operation });
        Ok(())
    }

    /// Since when this member's disk keeps it from leading as it should. In a volatile group nobody
    /// waits for a checkpoint, however long it takes, nor for what is remembered of the others, as
    /// a rule, which is queued behind it: only for a vote, a line, the mark, and the records of a
    /// readmission.
    pub(super) fn disk_awaited_since(&self) -> Option<Instant> {
        let State { storage, peers, .. } = &self.state;
        let is_strict = !self.config.durability.is_volatile();
        storage.oldest(|write| match write {
            Write::Vote(_) | Write::History(_) => true,
            Write::Log(_) => is_strict,
            Write::Peers => is_strict || peers.are_awaited(),
        })
    }

    /// When the log is to be synced, in a volatile group.
    pub(super) fn checkpoint_deadline(&self) -> Option<Instant> {
        if !self.config.durability.is_volatile() {
            return None;
        }
        let state = &self.state;
        let waits = state.storage.log_is_pending()
            || state.storage.line_is_pending()
            || state.space.is_full()
            || state.log.durable == state.log.written;
        (!waits).then_some(state.storage.checkpoint_at)
    }

    /// The leader of the current term must take the same for committed as this member does (rule
    /// 12); what earlier leaders did is over.
    pub(super) fn check_level(&self) -> Handled {
        let state = &self.state;
        match state.log.opened {
            Some((term, level))
                if term == state.term
                    && state.leader.is_some()
                    && level != self.config.durability.level() =>
            {
                Err(FailStop::OtherLevel { term })
            }
            _ => Ok(()),
        }
    }

    /// What impaired members say, and what is said to them.
    pub(super) fn handle_doubtful(
        &mut self,
        from: MemberId,
        message: &Message,
        actions: &mut Actions,
    ) -> Handled {
        match message {
            Message::Impaired { .. } => self.handle_impaired(from, message, actions),
            Message::LevelGrant { .. } => self.handle_level_grant(from, message, actions),
            _ => self.handle_registered(from, message),
        }
    }

    /// What an impaired member says instead of acknowledging.
    pub(super) fn ask_to_be_registered(&mut self, actions: &mut Actions) {
        let Some(leader) = self.state.leader else { return };
        self.state.following.acknowledgements += 1;
        let message = Message::Impaired {
            term: self.state.term,
            sequence: self.state.following.acknowledgements,
            round: self.state.following.round(),
            received: self.state.log.image.received(),
            limit: self.state.log.limit(),
        };
        self.send(leader, message, actions);
    }

    /// The leader tells this life of an impaired member what it had when it first heard of it.
    fn handle_registered(&mut self, from: MemberId, message: &Message) -> Handled {
        let &Message::Registered { term, boot_epoch, newest } = message else { return Ok(()) };
        let state = &self.state;
        let is_of_leader = term == state.term && state.leader == Some(from);
        let any_life = mutant::is(mutant::REGISTERED_IN_ANY_LIFE);
        let is_own = boot_epoch == state.life.boot_epoch || any_life;
        if !self.is_impaired() || !is_of_leader || !is_own || !self.has_adopted() {
            self.counters.datagrams_ignored += 1;
            return Ok(());
        }
        self.state.doubt.heals_at = Some((term, newest));
        Ok(())
    }

    /// Who is elected has all that was ever committed: so much was asked of those who voted.
    pub(super) fn heal_by_election(&mut self, base: Position, actions: &mut Actions) {
        if self.is_impaired() {
            self.state.doubt.heals_at = Some((self.state.term, base));
            self.settle_doubt(actions);
        }
    }

    /// Ends the impairment when all is here that may have been lost, and clears the mark when the
    /// disk has all that was promised.
    #[inline]
    pub(super) fn settle_doubt(&mut self, actions: &mut Actions) {
        if self.state.doubt.awaits_disk() {
            self.settle_doubted(actions);
        }
    }

    #[cold]
    fn settle_doubted(&mut self, actions: &mut Actions) {
        let (is_volatile, state) = (self.config.durability.is_volatile(), &mut self.state);
        if !state.doubt.is_told {
            state.doubt.is_told = true;
            let position = state.log.verified;
            actions.push(Action::Notify(Notice::Impaired { position }));
        }
        if state.doubt.is_impaired {
            let early = mutant::is(mutant::HEALS_AT_ONCE);
            let heals_at = state.doubt.heals_at.filter(|(term, _)| *term == state.term);
            let Some((_, position)) = heals_at else { return };
            if is_volatile && (state.log.verified >= position || early) {
                self.heal(position, actions);
            } else if !is_volatile && state.log.durable >= position {
                state.peers.set_doubt(false, state.now);
            }
        } else if state.log.durable == state.log.verified {
            // Nothing is acknowledged any more, and all that was is on the disk.
            state.peers.set_doubt(false, state.now);
        }
    }

    /// The mark, or that there is none, is durable.
    pub(super) fn note_doubt_durable(&mut self, actions: &mut Actions) {
        if self.is_impaired() && self.state.peers.doubt_is_over() {
            let position = self.state.log.durable;
            self.heal(position, actions);
        } else if self.state.peers.doubt_is_saved() {
            self.want_acknowledgement();
        }
    }

    fn heal(&mut self, position: Position, actions: &mut Actions) {
        crate::mark::reached(crate::mark::HEALED);
        self.state.doubt.is_impaired = false;
        self.state.doubt.heals_at = None;
        self.want_acknowledgement();
        actions.push(Action::Notify(Notice::Healed { position }));
    }
}
