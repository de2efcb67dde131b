//! The member's state machine.
//!
//! ```text
//!                    ┌─ election ─ adoption ─ following ─┐
//!  Event ─► step ────┼─ leading ── connections ──────────┼──► Actions
//!                    └─ repair ─── apply ─── storage ────┘
//! ```
//!
//! One file per duty; each adds its handlers to [`Member`]. `decisions` holds the pure rules,
//! `log` the window, `sessions` the replicated state, `storage` the durability gates.

mod adoption;
mod apply;
mod beginning;
mod changing;
mod connections;
mod deadlines;
mod decisions;
mod digests;
mod egress;
mod election;
mod fetch;
mod fetching;
mod following;
mod forced;
mod ingress;
mod installing;
mod leading;
mod levels;
mod log;
mod members;
mod parting;
mod peers;
mod queries;
mod readmission;
mod referrals;
mod removed;
mod repair;
mod replies;
mod safe_replies;
mod serving_snapshots;
mod session_log;
mod sessions;
mod snapshot_members;
mod snapshot_state;
mod snapshots;
mod sources;
mod stalls;
mod step;
mod storage;
mod table;
#[cfg(test)]
mod tests;
mod timer_table;
mod timers;
mod transfer;
mod usage;
mod view;
mod window;

pub use forced::{ForcedError, Survivor, plan_forced_recovery};
pub use leading::Progress;
pub use snapshot_members::members_of_snapshot;
pub use usage::Usage;
pub use view::View;

use core::hash::{Hash, Hasher};

use crate::action::{Action, Actions, Destination};
use crate::config::{ConfigError, MemberConfig, Recovered};
use crate::hash::StateHasher;
use crate::identity::{Endpoint, GroupTag, Life, MemberId};
use crate::message::{Incoming, Message, Stream};
use crate::notice::{Counters, FailStop, Notice, Role, TimerKind};
use crate::position::{Position, PositionRange};
use crate::random::Random;
use crate::stream::{NakTiming, RepairTiming, Repairs};
use crate::term::{Term, TermHistory, Vote};
use crate::time::{Duration, Instant};

use self::adoption::Assembly;
use self::apply::Applier;
use self::connections::Connections;
use self::digests::Digests;
use self::election::Election;
use self::fetching::Fetching;
use self::following::Following;
use self::leading::Leading;
use self::levels::Doubt;
use self::log::Log;
use self::members::InEffect;
use self::parting::Parting;
use self::peers::{Hearing, Peers};
use self::queries::Queries;
use self::readmission::{Readmissions, Standing, is_heard_of_newcomers};
use self::repair::Reads;
use self::serving_snapshots::Serving;
use self::sessions::Sessions;
use self::snapshots::Snapshots;
use self::sources::Sources;
use self::stalls::Stalls;
use self::storage::{Space, Storage, Write};
use self::transfer::Transfer;

/// A member of a group. See the crate's documentation.
#[derive(Clone, Debug)]
pub struct Member {
    config: MemberConfig,
    counters: Counters,
    state: State,
}

/// All that [`Member::state_hash`] covers.
#[derive(Clone, Debug, Hash)]
struct State {
    tag: GroupTag,
    life: Life,
    standing: Standing,
    doubt: Doubt,
    now: Instant,
    random: Random,
    term: Term,
    /// Whom the vote of `term` went to, in memory; `storage.vote` is what is durable.
    granted_to: Option<MemberId>,
    history: TermHistory,
    role: Role,
    leader: Option<MemberId>,
    log: Log,
    commit: Position,
    storage: Storage,
    members: InEffect,
    peers: Peers,
    election: Election,
    following: Following,
    /// Present exactly while this member leads.
    leading: Option<Leading>,
    transfer: Option<Transfer>,
    assembly: Option<Assembly>,
    repairs: Repairs,
    sources: Sources,
    reads: Reads,
    applier: Applier,
    sessions: Sessions,
    readmissions: Readmissions,
    snapshots: Snapshots,
    digests: Digests,
    serving: Serving,
    fetching: Fetching,
    connections: Connections,
    queries: Queries,
    space: Space,
    stalls: Stalls,
    /// Something waits to be sent with the next flush.
    flush_wanted: bool,
    fail_stop: Option<FailStop>,
    /// It is going to be inert, when the disk has what was promised.
    parting: Option<Parting>,
}

/// What a handler returns: an invariant or the storage broke, or all is well.
type Handled = Result<(), FailStop>;

impl Member {
    /// A member that comes up with what it `recovered`. All its memory is allocated here, but for
    /// that of sessions, which is when they open.
    ///
    /// # Errors
    /// The first problem of `config`, or [`ConfigError::Foreign`], [`ConfigError::Log`] or
    /// [`ConfigError::Snapshot`] when `recovered` does not fit it.
    pub fn new(
        config: MemberConfig,
        recovered: Recovered,
        now: Instant,
    ) -> Result<Self, ConfigError> {
        if let Some(problem) = config.problems().into_iter().next() {
            return Err(problem);
        }
        recovered.check(config.member, config.recovery_epoch)?;
        let config = config.with_known_voters(&recovered);
        let state = State::beginning(&config, recovered, now)?;
        let mut member = Self { config, counters: Counters::default(), state };
        member.follow_heard(&mut Actions::new());
        member.recall_readmissions();
        member.note_full_standing();
        member.schedule_first_election();
        Ok(member)
    }

    // The one caller is `handle_received`.
    #[inline(always)]
    fn handle_member(
        &mut self,
        life: Life,
        source: Endpoint,
        content: &Incoming<'_>,
        actions: &mut Actions,
    ) -> Handled {
        if life.member == self.state.life.member {
            if (life.incarnation, life.boot_epoch)
                > (self.state.life.incarnation, self.state.life.boot_epoch)
            {
                return Err(FailStop::Twin);
            }
            self.counters.datagrams_ignored += 1;
            return Ok(());
        }
        let from = life.member;
        let hearing = self.state.peers.hear(life);
        match hearing {
            Hearing::Unheard => {
                self.tell_removed(life, source, content, actions);
                return Ok(());
            }
            Hearing::Newcomer if !is_heard_of_newcomers(content) => {
                self.counters.datagrams_ignored += 1;
                return Ok(());
            }
            Hearing::New => self.void_what_was_counted(from),
            Hearing::Known | Hearing::Newcomer => {}
        }
        match *content {
            Incoming::Data { stream: Stream::Log, epoch, position, live, slice } => {
                self.handle_slice(from, Term(epoch), (position, slice), live, actions)
            }
            Incoming::Control(
                ref message @ (Message::Acknowledge { .. } | Message::Holding { .. }),
            ) if !self.is_applicant() => self.handle_acknowledge(from, message, actions),
            _ => self.handle_seldom(life, hearing, content, actions),
        }
    }

    /// What members send each other besides the log and where they are in it.
    #[inline(never)]
    fn handle_seldom(
        &mut self,
        life: Life,
        hearing: Hearing,
        content: &Incoming<'_>,
        actions: &mut Actions,
    ) -> Handled {
        let from = life.member;
        match *content {
            Incoming::Data { stream: Stream::Snapshot, epoch, position, slice, .. } => {
                self.handle_snapshot_slice(from, epoch, (position, slice));
                Ok(())
            }
            Incoming::Control(ref message @ Message::Application { .. }) => {
                self.handle_application(life, message, actions)
            }
            Incoming::Control(Message::HistoryRequest { term, commit })
                if hearing == Hearing::Newcomer =>
            {
                self.handle_history_request(from, (term, commit), false, actions)
            }
            Incoming::Control(ref message) if !self.is_beyond_applicant(message) => {
                self.handle_control(from, message, actions)
            }
            Incoming::Control(_) | Incoming::Data { .. } => {
                self.counters.datagrams_ignored += 1;
                Ok(())
            }
        }
    }

    fn handle_control(
        &mut self,
        from: MemberId,
        message: &Message,
        actions: &mut Actions,
    ) -> Handled {
        match *message {
            Message::Canvass { .. }
            | Message::CanvassReply { .. }
            | Message::RequestVote { .. }
            | Message::RequestSuccession { .. }
            | Message::Ballot { .. } => self.handle_election(from, message, actions),
            Message::Heartbeat { .. } => self.handle_heartbeat(from, message, actions),
            Message::HistoryRequest { term, commit } => {
                let counts = !self.state.leading.as_ref().is_some_and(|it| it.is_applicant(from));
                self.handle_history_request(from, (term, commit), counts, actions)
            }
            Message::History { .. } => self.handle_history(from, message.clone(), actions),
            Message::Acknowledge { .. } | Message::Holding { .. } => {
                self.handle_acknowledge(from, message, actions)
            }
            Message::Impaired { .. } | Message::LevelGrant { .. } | Message::Registered { .. } => {
                self.handle_doubtful(from, message, actions)
            }
            Message::ReadIndexRequest { .. } | Message::ReadIndexReply { .. } => {
                self.handle_index_message(from, message, actions)
            }
            Message::Removed { position, incarnation, .. } => {
                self.handle_removed((position, incarnation), actions);
                Ok(())
            }
            Message::Abdicate { term } => self.handle_abdicate(from, term, actions),
            Message::Campaign { term, round } => self.handle_campaign(from, term, round, actions),
            Message::Nak { stream: Stream::Log, ref ranges } => {
                self.handle_nak(from, ranges, actions)
            }
            Message::Nak { stream: Stream::Snapshot, ref ranges } => {
                self.handle_snapshot_nak(from, ranges, actions)
            }
            Message::Unavailable { stream: Stream::Snapshot, range, .. } => {
                self.handle_snapshot_unavailable(from, range);
                Ok(())
            }
            Message::SnapshotRequest { above, .. } => {
                self.handle_snapshot_request(from, above, actions)
            }
            Message::SnapshotOffer { .. } => self.handle_snapshot_offer(from, message, actions),
            Message::SnapshotDigest { .. } => self.handle_snapshot_digest(from, message, actions),
            Message::Unavailable { stream: Stream::Log, range, oldest } => {
                self.handle_unavailable(from, range.range, oldest, actions);
                Ok(())
            }
            _ => {
                self.counters.datagrams_ignored += 1;
                Ok(())
            }
        }
    }

    /// Appends verified bytes to the archive, and has them synced: one sync at a time, which then
    /// covers all that was appended meanwhile.
    #[inline(always)]
    fn write_log(&mut self, actions: &mut Actions) -> Handled {
        let log = &self.state.log;
        if log.durable == log.verified { Ok(()) } else { self.write_verified(actions) }
    }

    #[inline(never)]
    fn write_verified(&mut self, actions: &mut Actions) -> Handled {
        // Rule 1: no byte of a term goes to the archive before the term's line is durable.
        let state = &mut self.state;
        if state.storage.line_is_pending() || state.space.is_full() {
            return Ok(());
        }
        let log = &mut state.log;
        // Nor does a readmission before the records know of it.
        let end = state.peers.log_waits_at().map_or(log.verified, |at| log.verified.min(at));
        if log.written < end {
            let range = PositionRange::new(log.written, end);
            log.written = end;
            actions.push(Action::Append { range });
            if self.config.durability.is_volatile() {
                self.want_acknowledgement();
            }
        }
        let state = &self.state;
        let is_pending = state.storage.log_is_pending();
        if state.log.durable < state.log.written && !is_pending && self.is_to_be_synced() {
            self.sync_log(actions)?;
        }
        Ok(())
    }

    /// Makes the vote and what is remembered of the peers durable when they changed.
    #[inline(always)]
    fn write_metadata(&mut self, actions: &mut Actions) -> Handled {
        let state = &self.state;
        let Vote { term, granted_to } = state.storage.vote;
        let is_written = term == state.term && granted_to == state.granted_to;
        if is_written && !state.peers.is_due(state.now) {
            return Ok(());
        }
        self.write_changed_metadata(actions)
    }

    #[inline(never)]
    fn write_changed_metadata(&mut self, actions: &mut Actions) -> Handled {
        let state = &mut self.state;
        let vote = Vote { term: state.term, granted_to: state.granted_to };
        if vote != state.storage.vote && !state.storage.vote_is_pending() {
            let operation = state.storage.begin(state.now, Write::Vote(vote))?;
            actions.push(Action::PersistVote { operation, vote });
        }
        if state.peers.is_due(state.now) && !state.storage.is_pending(Write::Peers) {
            let operation = state.storage.begin(state.now, Write::Peers)?;
            let interval = self.config.timing.peer_record_interval;
            state.peers.note_stated(state.log.written);
            let peers = state.peers.take_records(state.now, interval, state.life);
            actions.push(Action::PersistPeers { operation, peers });
        }
        Ok(())
    }

    #[cold]
    fn stop(&mut self, reason: FailStop, actions: &mut Actions) {
        let parts = self.is_to_part_in_order(reason, actions);
        self.state.role = Role::Stopped;
        self.state.leader = None;
        self.state.leading = None;
        self.state.transfer = None;
        // Stopped means stopped (S34): of this event only notices go out.
        actions.clear_all_but_notices();
        self.discard_what_deviates(reason, actions);
        let term = self.state.term;
        actions.push(Action::Notify(Notice::Role { role: Role::Stopped, term }));
        match parts {
            true => self.part(reason, actions),
            false => self.end(reason, actions),
        }
    }

    /// When to step with [`Event::Timer`](crate::Event::Timer) if nothing else happens; `None` once
    /// it is inert for good.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.next_timer().map(|(at, _)| at)
    }

    /// The earliest timer that stepping with [`Event::Timer`](crate::Event::Timer) would serve, and
    /// what it is for.
    #[must_use]
    pub fn next_timer(&self) -> Option<(Instant, TimerKind)> {
        let state = &self.state;
        if self.is_inert() {
            return self.inert_timer();
        }
        let records = state.peers.deadline();
        let timers = [
            (state.flush_wanted.then_some(state.now), TimerKind::Flush),
            (self.election_deadline(), TimerKind::Election),
            (self.heartbeat_deadline(), TimerKind::Heartbeat),
            (self.transfer_deadline(), TimerKind::Transfer),
            (self.timer_deadline(), TimerKind::Service),
            (self.connections_deadline(), TimerKind::Connections),
            (self.holes_deadline(), TimerKind::Holes),
            (records.filter(|_| !state.storage.is_pending(Write::Peers)), TimerKind::PeerRecords),
            (state.space.retry_at(), TimerKind::Storage),
            (self.checkpoint_deadline(), TimerKind::Checkpoint),
            (self.fetching_deadline(), TimerKind::Snapshot),
            (self.queries_deadline(), TimerKind::Reads),
        ];
        let set = timers.into_iter().filter_map(|(at, kind)| at.map(|at| (at, kind)));
        set.min_by_key(|(at, _)| *at)
    }

    /// What can be seen from outside.
    #[must_use]
    pub fn view(&self) -> View {
        let state = &self.state;
        View {
            life: state.life,
            role: state.role,
            term: state.term,
            leader: state.leader,
            vote: Vote { term: state.term, granted_to: state.granted_to },
            key: state.log.key(&state.history),
            origin: state.log.origin,
            seen: state.log.image.seen(),
            received: state.log.image.received(),
            verified: state.log.verified,
            written: state.log.written,
            durable: state.log.durable,
            commit: state.commit,
            applied: state.applier.applied,
            snapshot: state.snapshots.position,
            applied_chain: state.applier.chain,
            applying: state.applier.is_applying(),
            verified_chain: state.log.verified_chain,
            log_time: state.applier.time,
            serving: self.is_serving(),
            sessions: state.sessions.len(),
            applicant: state.standing != Standing::Full,
            impaired: self.is_impaired(),
            safe: self.safe(),
            fetching: self.fetching_progress(),
            recovered_at: self.state.history.recovered_at(),
            fail_stop: state.fail_stop,
        }
    }

    /// The adopted term history.
    #[must_use]
    pub const fn history(&self) -> &TermHistory {
        &self.state.history
    }

    /// What was counted since construction.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &MemberConfig {
        &self.config
    }

    /// A canonical hash of the whole state: equal states have equal hashes on every platform.
    #[must_use]
    pub fn state_hash(&self) -> u64 {
        let mut hasher = StateHasher::default();
        self.state.hash(&mut hasher);
        hasher.finish()
    }

    /// A hash of the replicated state at the applied position (sessions, reply windows, timers,
    /// readmitted lives): equal on all members at equal positions, but while frames are with the
    /// service (`View::applying`).
    #[must_use]
    pub fn replicated_hash(&self) -> u64 {
        let mut hasher = StateHasher::default();
        (&self.state.sessions, &self.state.readmissions).hash(&mut hasher);
        (self.state.applier.chain, self.state.applier.time).hash(&mut hasher);
        self.state.members.applied().hash(&mut hasher);
        hasher.finish()
    }

    /// Panics when an invariant does not hold. The simulator calls it after each step.
    pub fn check_invariants(&self) {
        let state = &self.state;
        state.log.check_invariants();
        assert!(state.log.origin <= state.snapshots.position, "purged beyond its snapshot");
        assert!(state.snapshots.position <= state.applier.applied, "a snapshot beyond applied");
        assert!(state.applier.applied <= state.commit, "applied beyond commit");
        assert!(state.commit <= state.log.verified, "committed beyond verified");
        assert_eq!(state.leading.is_some(), state.role == Role::Leader, "who leads has the state");
        assert!(state.storage.vote.term <= state.term, "the durable term is ahead");
        assert!(state.history.last_term() <= state.term, "the history is ahead of the term");
        let limits = &self.config.limits;
        assert!(state.sessions.len() <= limits.sessions_max, "too many sessions");
        assert!(state.connections.len() <= limits.sessions_max, "too many connections");
        assert!(state.reads.len() <= limits.reads_max + 1, "too many reads");
        assert!(state.queries.len() <= limits.queries_max, "too many queries");
        assert!(
            state.log.image.beyond().len() <= limits.coverage_ranges_max,
            "too many ranges behind holes"
        );
    }

    fn send(&self, to: MemberId, message: Message, actions: &mut Actions) {
        actions.push(Action::Send { to: Destination::Member(to), message });
    }

    fn nak_timing(&self) -> NakTiming {
        let timing = &self.config.timing;
        let eager = crate::mutant::is(crate::mutant::NAK_WITHOUT_PATIENCE);
        NakTiming {
            delay: timing.nak_delay,
            retry: if eager { Duration(1) } else { timing.nak_retry },
            bytes_max: match crate::mutant::is(crate::mutant::ASKS_IN_SIPS) {
                true => crate::frame::ALIGNMENT,
                false => self.config.limits.repair_request_bytes_max,
            },
            sharing: None,
        }
    }

    fn repair_timing(&self) -> RepairTiming {
        RepairTiming {
            linger: self.config.timing.repair_linger,
            interval: self.config.timing.heartbeat_interval,
            budget_bytes: self.config.limits.repair_budget_bytes,
            slice_bytes: u64::from(self.config.limits.slice_bytes),
        }
    }

    fn notify_role(&self, actions: &mut Actions) {
        let (role, term) = (self.state.role, self.state.term);
        actions.push(Action::Notify(Notice::Role { role, term }));
    }
}
