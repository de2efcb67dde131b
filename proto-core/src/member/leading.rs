//! What a leader does: opens its term, sends what it appends, counts what a quorum holds, says that
//! it is there, and gives up when it cannot lead.

mod applicants;
mod counting;
mod progress;

pub use progress::Progress;

use alloc::vec::Vec;
use core::cmp::Reverse;

use super::table::Table;
use super::{Handled, Member, State};
use crate::action::{Action, Actions, Destination, Source};
use crate::config::Timing;
use crate::frame::{Body, TermOpen, frame_bytes};
use crate::identity::{Life, MemberId, SessionId};
use crate::membership::Membership;
use crate::message::{Live, Message, Stream};
use crate::mutant;
use crate::notice::{Abdication, Notice, Role};
use crate::position::{Position, PositionRange};
use crate::term::{Term, TermHistory, TermLine};
use crate::time::{Duration, Instant, LogTime};

/// Runs to one member in one flush, at most; more are sent with the next.
const RUNS_PER_FLUSH_MAX: usize = 16;

/// A leader's state.
#[derive(Clone, Debug, Hash)]
pub(super) struct Leading {
    /// The position of the term's opening frame.
    base: Position,
    /// Whether the line is durable and the opening frame appended.
    is_open: bool,
    followers: Table<MemberId, Follower>,
    /// Acknowledgements came in since commits were counted.
    has_acknowledgements: bool,
    /// What this member held when they were.
    counted: Position,
    /// The end of what is durable on a quorum, in a volatile group.
    safe: Position,
    round: u64,
    heartbeat_at: Instant,
    heartbeat_pause: Duration,
    last_heartbeat: Instant,
    /// The last rise of the commit position, or the last time that all was committed.
    progress_at: Instant,
    /// When it was last looked which sessions are silent.
    pub(super) silence_checked_at: Instant,
    won_at: Instant,
    clock: LeaderClock,
    /// The newest message of each session that was appended in this term or before.
    pub(super) appended: Table<SessionId, u64>,
    /// When each session's client was last heard.
    pub(super) heard: Table<SessionId, Instant>,
    /// Sessions that are being closed.
    pub(super) closing: Vec<SessionId>,
}

/// How log time goes on with a leader's own clock: from `time` on since `at`, by a bounded span. It
/// is wound up with each round of heartbeats, so a leader that is not served, or whose clock jumps,
/// takes nobody's log time ahead by more than that (rule 16).
#[derive(Clone, Copy, Debug, Hash)]
struct LeaderClock {
    at: Instant,
    time: LogTime,
}

/// What a leader knows of a follower in its term.
#[derive(Clone, Debug, Hash)]
struct Follower {
    life: Life,
    /// The newest acknowledgement, or application, of that life.
    sequence: u64,
    /// The life that this leader has readmitted it in.
    readmitted: Option<Life>,
    /// It applies for readmission: nothing of it counts.
    is_applicant: bool,
    /// Whether it acknowledged in this term: its history is adopted, and data may flow.
    is_level: bool,
    /// What counts for commit.
    held: Position,
    /// What counts as safe; the same in a durable group.
    durable: Position,
    /// In an impaired life, what this leader had when it first heard of it.
    registered: Option<Position>,
    /// It has room up to here.
    limit: Position,
    /// Live data was sent up to here.
    sent: Position,
    /// It asked for the lines above this commit position before they were durable.
    awaits_history: Option<Position>,
    heard_at: Instant,
    /// The newest heartbeat round that it has answered.
    round: u64,
}

/// What live data is sent with.
struct Sending<'a> {
    history: &'a TermHistory,
    term: Term,
    live: Live,
    run_bytes_max: u64,
}

impl Sending<'_> {
    /// The next bytes for a follower: of one term, and as long as a run may be.
    fn next_run(&self, follower: &Follower) -> Option<(PositionRange, Term)> {
        let (start, head) = (follower.sent, self.live.newest);
        let owner = self.history.owner_to(start);
        let (epoch, term_end) = owner.map_or((self.term, head), |(line, end)| (line.term, end));
        let limit = match mutant::is(mutant::FOLLOWER_LIMIT_IS_IGNORED) {
            true => head,
            false => follower.limit,
        };
        let end = head.min(limit).min(start.plus(self.run_bytes_max)).min(term_end);
        (start < end).then_some((PositionRange::new(start, end), epoch))
    }

    #[inline]
    fn send_run(&self, to: MemberId, (range, epoch): (PositionRange, Term), actions: &mut Actions) {
        actions.push(Action::SendData {
            to: Destination::Member(to),
            stream: Stream::Log,
            epoch: epoch.0,
            range,
            source: Source::Member,
            // Newest and commit ride on data of the current term only (rule 4).
            live: (epoch == self.term).then_some(self.live),
        });
    }
}

impl Follower {
    /// Nothing is known yet; to be sent what begins at `base`.
    fn unheard(base: Position, now: Instant) -> Self {
        Self {
            life: Life::default(),
            sequence: 0,
            readmitted: None,
            is_applicant: false,
            is_level: false,
            held: Position::ZERO,
            durable: Position::ZERO,
            registered: None,
            limit: Position::ZERO,
            sent: base,
            awaits_history: None,
            heard_at: now,
            round: 0,
        }
    }
}

impl Leading {
    /// Behind new data or a new commit position heartbeats start fast and decay (E32, E86).
    fn hasten_heartbeat(&mut self, now: Instant, timing: &Timing) {
        self.heartbeat_pause = timing.heartbeat_first;
        let latest = self.last_heartbeat + timing.heartbeat_interval;
        self.heartbeat_at = latest.min(now + timing.heartbeat_first);
    }

    /// What a follower holds, as it counts for commit, and up to where it has room.
    pub(super) fn held_and_limit(&self, member: MemberId) -> Option<(Position, Position)> {
        let counts = |it: &&Follower| !it.is_applicant;
        self.followers.get(member).filter(counts).map(|it| (it.held, it.limit))
    }

    /// What all followers hold, as far as is known; `None` if there are none.
    pub(super) fn held_by_all(&self) -> Option<Position> {
        self.followers.values().map(|it| it.held).min()
    }

    /// Whether the commit position lies in its own term: then it has all that was committed in
    /// former ones (E98).
    pub(super) fn has_committed(&self, commit: Position) -> bool {
        self.is_open && commit > self.base
    }

    /// The newest heartbeat round.
    pub(super) const fn round(&self) -> u64 {
        self.round
    }

    /// The follower that holds most, of those that were heard within `span`.
    /// Voters alone may lead.
    pub(super) fn most_complete(
        &self,
        membership: &Membership,
        now: Instant,
        span: Duration,
    ) -> Option<MemberId> {
        let may_lead = |id: MemberId| membership.is_voter(id);
        let level = self.followers.iter().filter(|(id, it)| {
            it.is_level && !it.is_applicant && now.since(it.heard_at) <= span && may_lead(*id)
        });
        let best = level.max_by_key(|(member, follower)| (follower.held, Reverse(*member)));
        best.map(|(member, _)| member)
    }

    /// The round of the next heartbeat.
    pub(super) const fn next_round(&self) -> u64 {
        self.round + 1
    }

    /// The newest heartbeat round that a quorum has answered, this member included.
    pub(super) fn answered_round(&self, membership: &Membership, own: MemberId) -> u64 {
        let round = |member: MemberId| match self.followers.get(member) {
            _ if member == own => u64::MAX,
            Some(follower) => follower.round,
            None => 0,
        };
        membership.held_by_quorum(round).unwrap_or_default()
    }

    /// The position of the term's opening frame.
    pub(super) const fn base(&self) -> Position {
        self.base
    }

    /// Whether the opening frame is appended.
    pub(super) const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Others are members now: who is new is sent what is appended from here on, and asks for the
    /// rest; who is none any more gets nothing (E70).
    pub(super) fn follow(
        &mut self,
        others: impl Iterator<Item = MemberId> + Clone,
        now: Instant,
        head: Position,
    ) {
        let is_other = |id: MemberId| others.clone().any(|other| other == id);
        self.followers.retain(|id, _| is_other(id));
        for id in others.clone() {
            if self.followers.get(id).is_none() {
                self.followers.insert(id, Follower::unheard(head, now));
            }
        }
        self.has_acknowledgements = true;
    }

    /// What `member` holds, if it was heard to follow within `span`.
    pub(super) fn held_within(
        &self,
        member: MemberId,
        now: Instant,
        span: Duration,
    ) -> Option<Position> {
        let follower = self.followers.get(member)?;
        let follows = follower.is_level && !follower.is_applicant;
        (follows && now.since(follower.heard_at) < span).then_some(follower.held)
    }
}

impl Member {
    /// Becomes the leader of the current term (rule 7: the line and the cut exist from now on).
    pub(super) fn lead(&mut self, actions: &mut Actions) -> Handled {
        let state = &mut self.state;
        let (now, base) = (state.now, state.log.verified);
        let line = TermLine {
            recovery_epoch: self.config.recovery_epoch,
            term: state.term,
            base,
            leader: state.life,
            chain: state.log.verified_chain,
        };
        let former_epoch = state.history.last_epoch();
        let opened = state.history.opened(line);
        state.peers.cut(state.history.divergence(&opened, Position::MAX));
        state.history = opened;
        state.log.image.cut(base);
        state.repairs.cut(base);
        state.assembly = None;
        let follower = Follower::unheard(base, now);
        state.leading = Some(Leading {
            base,
            is_open: false,
            followers: state.peers.ids().map(|id| (id, follower.clone())).collect(),
            has_acknowledgements: false,
            counted: Position::ZERO,
            safe: Position::ZERO,
            round: 0,
            heartbeat_at: now,
            heartbeat_pause: self.config.timing.heartbeat_first,
            last_heartbeat: now,
            progress_at: now,
            silence_checked_at: now,
            won_at: now,
            clock: LeaderClock { at: now, time: state.log.verified_time },
            appended: Table::new(),
            heard: Table::new(),
            closing: Vec::new(),
        });
        state.leader = Some(state.life.member);
        state.election.led = Some(state.term);
        self.counters.elections_won += 1;
        self.set_role(Role::Leader, actions);
        let (leader, term) = (self.state.leader, self.state.term);
        actions.push(Action::Notify(Notice::Leader { leader, term }));
        self.note_new_leader(self.state.life.member, term, actions);
        self.note_epoch(former_epoch, actions);
        self.persist_history(base, actions)?;
        self.heal_by_election(base, actions);
        self.send_heartbeats(actions);
        Ok(())
    }

    /// The line is durable: the opening frame is the first of the term (E33).
    pub(super) fn open_term(&mut self, actions: &mut Actions) -> Handled {
        let Some(leading) = &self.state.leading else { return Ok(()) };
        let base = leading.base;
        let open = TermOpen {
            term: self.state.term,
            previous_term: self.state.history.term_before(base),
            chain: self.state.log.verified_chain,
            time: self.cluster_time(),
            leader: self.state.life,
            recovery_epoch: self.config.recovery_epoch,
            log_version: self.config.durability.level().log_version(),
            level: self.config.durability.level(),
        };
        let body = Body::TermOpen(open);
        if self.state.log.room() < frame_bytes(&body, 0) {
            self.abdicate(Abdication::StorageFull, actions);
            return Ok(());
        }
        self.append_frame(&body, &[]);
        let Some(mut leading) = self.state.leading.take() else { return Ok(()) };
        leading.is_open = true;
        for (peer, follower) in leading.followers.iter_mut() {
            if let Some(commit) = follower.awaits_history.take() {
                self.send_history(peer, commit, actions);
            }
        }
        self.state.leading = Some(leading);
        self.send_heartbeats(actions);
        Ok(())
    }

    /// A follower answered: whoever it is level with or not, it is there (check-quorum).
    pub(super) fn note_heard(&mut self, from: MemberId) {
        let now = self.state.now;
        let leading = self.state.leading.as_mut();
        if let Some(follower) = leading.and_then(|leading| leading.followers.get_mut(from)) {
            follower.heard_at = now;
        }
    }

    /// A follower asked for a history that is not durable yet: it gets it as soon as it is.
    pub(super) fn note_history_request(&mut self, from: MemberId, commit: Position) {
        let leading = self.state.leading.as_mut();
        if let Some(follower) = leading.and_then(|leading| leading.followers.get_mut(from)) {
            follower.awaits_history = Some(commit);
        }
    }

    /// Whether this member leads, and everything that it inherited is committed and applied: only
    /// then does it serve clients (rule 17, E98).
    pub(super) fn is_serving(&self) -> bool {
        if mutant::is(mutant::SERVES_BEFORE_ITS_TERM) {
            return self.state.leading.as_ref().is_some_and(|leading| leading.is_open);
        }
        if mutant::is(mutant::SERVES_LATE) {
            let (now, late) = (self.state.now, Duration::from_millis(10_000));
            let leading = self.state.leading.as_ref();
            if leading.is_some_and(|leading| now.since(leading.won_at) < late) {
                return false;
            }
        }
        let applied = self.state.applier.applied;
        self.state.leading.as_ref().is_some_and(|leading| leading.is_open && applied > leading.base)
    }

    /// The time to stamp on frames: the last stamped time plus what has passed since (rule 16), or
    /// as much of it as counts.
    pub(super) fn cluster_time(&self) -> LogTime {
        let log_time = self.state.log.verified_time;
        let Some(leading) = &self.state.leading else { return log_time };
        if mutant::is(mutant::CLUSTER_TIME_FALLS) {
            return LogTime(self.state.now.since(leading.won_at).0);
        }
        let LeaderClock { at, time } = leading.clock;
        let mut passed = self.state.now.since(at);
        if !mutant::is(mutant::CLOCK_JUMPS_ARE_LOG_TIME) {
            passed = passed.min(self.config.timing.log_time_step_max());
        }
        LogTime(time.0.saturating_add(passed.0)).max(log_time)
    }

    /// Winds up the leader's clock, and tells of what of its time does not count.
    fn wind_up_clock(&mut self, actions: &mut Actions) {
        let (at, time) = (self.state.now, self.cluster_time());
        let Some(leading) = &mut self.state.leading else { return };
        let passed = at.since(leading.clock.at);
        let counted = Duration(time.0.saturating_sub(leading.clock.time.0));
        leading.clock = LeaderClock { at, time };
        if counted < passed && !mutant::is(mutant::CLOCK_JUMPS_ARE_NOT_TOLD) {
            crate::mark::reached(crate::mark::CLOCK_JUMPED);
            actions.push(Action::Notify(Notice::ClockJumped { passed, counted }));
        }
    }

    /// Appends a frame of the own term; the caller has checked that there is room.
    pub(super) fn append_frame(&mut self, body: &Body, payload: &[u8]) -> PositionRange {
        self.state.flush_wanted = true;
        self.make_room(self.state.log.verified.plus(frame_bytes(body, payload.len())));
        self.state.log.append(self.state.term, body, (payload, &[]))
    }

    /// Bytes that may be appended now: the window, what is not committed (E114), and what is not
    /// applied (E115) are bounded.
    pub(super) fn append_room(&self) -> u64 {
        if self.is_handing_over() {
            // What came now, the successor would not have (E16).
            return 0;
        }
        let (log, limits) = (&self.state.log, &self.config.limits);
        let mut uncommitted = log.verified.since(self.state.commit);
        let mut unapplied = log.verified.since(self.state.applier.applied);
        if mutant::is(mutant::UNCOMMITTED_IS_UNBOUNDED) {
            uncommitted = 0;
        }
        if mutant::is(mutant::UNAPPLIED_IS_UNBOUNDED) {
            unapplied = 0;
        }
        log.room()
            .min(limits.uncommitted_bytes_max.saturating_sub(uncommitted))
            .min(limits.unapplied_bytes_max.saturating_sub(unapplied))
            .min(Position::MAX.since(log.verified))
    }

    /// Sends new data to each follower that is level and has room. One that falls out of the
    /// window is left to repair itself; the others do not wait for it.
    pub(super) fn send_live(&mut self, actions: &mut Actions) {
        let State { leading, log, history, flush_wanted, now, term, commit, .. } = &mut self.state;
        let Some(leading) = leading else { return };
        let sending = Sending {
            history,
            term: *term,
            live: Live { newest: log.verified, commit: *commit },
            run_bytes_max: self.config.limits.run_bytes_max & !7,
        };
        let (head, mut has_sent) = (log.verified, false);
        for (peer, follower) in leading.followers.iter_mut() {
            if !follower.is_level || follower.sent >= head {
                continue;
            }
            if follower.sent < log.low {
                follower.sent = head;
            }
            for _ in 0..RUNS_PER_FLUSH_MAX {
                let Some(run) = sending.next_run(follower) else { break };
                follower.sent = run.0.end;
                sending.send_run(peer, run, actions);
                has_sent = true;
            }
            *flush_wanted |= follower.sent < head.min(follower.limit);
        }
        if has_sent {
            leading.hasten_heartbeat(*now, &self.config.timing);
        }
    }

    pub(super) fn send_heartbeats(&mut self, actions: &mut Actions) {
        let Some(leading) = &mut self.state.leading else { return };
        let interval = self.config.timing.heartbeat_interval;
        leading.round += 1;
        if mutant::is(mutant::ROUND_WRAPS) {
            leading.round %= 256;
        }
        self.state.queries.rounds.note(leading.round, self.state.now, self.state.commit);
        leading.last_heartbeat = self.state.now;
        leading.heartbeat_at = self.state.now + leading.heartbeat_pause;
        leading.heartbeat_pause = leading.heartbeat_pause.times(2).min(interval);
        let message = Message::Heartbeat {
            term: self.state.term,
            round: leading.round,
            newest: self.state.log.verified,
            commit: self.state.commit,
            chain_at: self.state.applier.applied,
            chain: self.state.applier.chain,
        };
        for peer in self.state.peers.ids() {
            self.send(peer, message.clone(), actions);
        }
        self.tell_own_position(actions);
        self.pursue_transfer(actions);
    }

    /// Whether this member may lead on is to be looked at now.
    pub(super) fn look_whether_to_lead(&mut self) {
        if let Some(leading) = &mut self.state.leading {
            leading.heartbeat_at = self.state.now;
        }
    }

    pub(super) fn hasten_heartbeat(&mut self) {
        if let Some(leading) = &mut self.state.leading {
            leading.hasten_heartbeat(self.state.now, &self.config.timing);
        }
    }

    /// A leader's disk is one voter's among others: what it holds is remembered like theirs.
    fn tell_own_position(&mut self, actions: &mut Actions) {
        let is_open = self.state.leading.as_ref().is_some_and(|leading| leading.is_open);
        if is_open && self.is_to_be_witnessed() {
            self.acknowledge_to_all_but(self.state.life.member, actions);
        }
    }

    pub(super) fn heartbeat_deadline(&self) -> Option<Instant> {
        self.state.leading.as_ref().map(|leading| leading.heartbeat_at)
    }

    pub(super) fn serve_leading(&mut self, actions: &mut Actions) -> Handled {
        if self.timer_deadline().is_some_and(|deadline| deadline <= self.state.now) {
            self.state.flush_wanted = true;
        }
        let Some(leading) = &self.state.leading else { return Ok(()) };
        if leading.heartbeat_at > self.state.now {
            return Ok(());
        }
        self.wind_up_clock(actions);
        if let Some(reason) = self.reason_to_abdicate() {
            self.abdicate(reason, actions);
            return Ok(());
        }
        self.watch_stalls(actions);
        self.watch_digests(actions)?;
        self.forgive_own_absence();
        self.close_silent_sessions();
        self.send_heartbeats(actions);
        Ok(())
    }

    /// A leader that was away itself (paused, starved) has not listened: what clients said
    /// meanwhile is still to be read, and they are given that time back.
    fn forgive_own_absence(&mut self) {
        let now = self.state.now;
        let Some(leading) = &mut self.state.leading else { return };
        let away = now.since(leading.last_heartbeat);
        let is_forgiven = !mutant::is(mutant::SILENCE_IS_THE_CLIENTS);
        if is_forgiven && away > self.config.timing.heartbeat_interval.times(2) {
            crate::mark::reached(crate::mark::OWN_ABSENCE);
            for heard in leading.heard.values_mut() {
                *heard = (*heard + away).min(now);
            }
        }
    }

    pub(super) fn reason_to_abdicate(&self) -> Option<Abdication> {
        let leading = self.state.leading.as_ref()?;
        let (now, timing) = (self.state.now, &self.config.timing);
        let within =
            |follower: &Follower| now.since(follower.heard_at) < timing.election_timeout_min;
        let own = self.state.life.member;
        let answers = |id: MemberId| id == own || leading.followers.get(id).is_some_and(within);
        if !self.membership().is_quorum(answers) {
            crate::mark::reached(crate::mark::QUORUM_LOST);
            return Some(Abdication::QuorumLost);
        }
        let stalled = |since: Instant| now.since(since) >= timing.progress_timeout;
        let nothing_committed =
            self.state.commit < self.state.log.verified && stalled(leading.progress_at);
        // Who cannot read what it has to apply does not come to serve.
        let reads_since = self.state.reads.to_apply().map(|(_, since)| since);
        let disk_stalled =
            [self.disk_awaited_since(), reads_since].into_iter().flatten().any(stalled);
        if nothing_committed || disk_stalled {
            crate::mark::reached(crate::mark::NO_PROGRESS);
            return Some(Abdication::NoProgress);
        }
        None
    }

    /// Gives up the leadership, and tells the others so that they need not wait (rule 8).
    pub(super) fn abdicate(&mut self, reason: Abdication, actions: &mut Actions) {
        let term = self.state.term;
        actions.push(Action::Notify(Notice::Abdicated { term, reason }));
        for peer in self.state.peers.ids() {
            self.send(peer, Message::Abdicate { term }, actions);
        }
        match reason {
            Abdication::QuorumLost => self.state.election.lacks_quorum = true,
            _ => self.state.election.abdications += 1,
        }
        self.step_down(actions);
    }
}
