//! A snapshot of other members, for one that lacks what all of them have purged (E29, E71–E77).
//!
//! ```text
//!  what comes next is purged everywhere ─► SnapshotRequest to all ─► SnapshotOffer
//!     ─► one of them is fetched, from all who offered just that ─► checked ─► installed
//!     ─► the life ends, and the next one begins there (see `installing`)
//! ```
//!
//! As long as somebody has the bytes of the log, they are preferred. A transfer is no matter of
//! terms: it is named by its manifest, goes on from any source at any byte, and outlives elections.
//! The one under way stays until it is done, or nobody has it any more, or the log is past it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use smallvec::SmallVec;

use super::fetch::{Fetch, Stage};
use super::serving_snapshots::offered;
use super::snapshot_state::check_history;
use super::sources::Sources;
use super::table::Table;
use super::{Handled, Member, State};
use crate::action::{Action, Actions};
use crate::event::OperationId;
use crate::identity::MemberId;
use crate::message::{EpochRange, Message, Stream};
use crate::mutant;
use crate::notice::Notice;
use crate::position::Position;
use crate::snapshot::{SnapshotError, SnapshotManifest};
use crate::time::{Duration, Instant};

/// So many heartbeat intervals does what comes next stand still before those who say nothing of it
/// are taken to lack it, too; and so many a transfer before others are asked.
const PATIENCE_HEARTBEATS: u64 = 50;

/// The interval of requests, and the rest of a source whose snapshot cannot be used, double with
/// each time, so many times at most.
const DOUBLINGS_MAX: u32 = 5;

/// Snapshots that are remembered as of no use, at most.
const UNUSABLE_MAX: usize = 8;

/// What a member knows of the snapshots of others, and the one that it fetches.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Fetching {
    pub(super) fetch: Option<Box<Fetch>>,
    /// The life is over, or as good as: nothing is taken in but what is said of the installation.
    pub(super) is_frozen: bool,
    /// What comes next in the log, since it is known that somebody has purged that.
    stuck: Option<(Position, Instant)>,
    /// Where the logs of the others begin, if that is behind it.
    begins: Table<MemberId, Position>,
    /// When the log may be asked for again, although nobody has what comes next.
    log_asks_at: Instant,
    /// What the others offered since they were asked; `None` if it was nothing of use.
    answers: Table<MemberId, Option<SnapshotManifest>>,
    /// Until when answers are waited for, if they are.
    asked_until: Option<Instant>,
    /// Requests without an offer of use, in a row.
    tries: u32,
    /// Nobody is asked before.
    rests_until: Instant,
    /// Whose snapshots could not be used: how often, and until when nothing is asked of them.
    barred: Table<MemberId, (u32, Instant)>,
    /// What was fetched for nothing in this life, oldest first: its bytes are as they were
    /// announced, so that the next time would end like the first.
    unusable: Vec<SnapshotManifest>,
    /// Transfers of more than one source whose digest was another: from then on one at a time.
    pub(super) mismatches: usize,
}

impl Fetching {
    /// Whether nothing is fetched, and nothing needs to be.
    #[inline]
    pub(super) const fn is_idle(&self) -> bool {
        self.fetch.is_none() && self.stuck.is_none()
    }

    /// What the host is to report of the installation for which the member stands still.
    pub(super) fn installs(&self) -> Option<OperationId> {
        match self.fetch.as_deref()?.stage {
            Stage::Installing(operation) | Stage::Clearing(operation) => Some(operation),
            _ => None,
        }
    }

    /// `from` says that what comes next, at `at`, is purged: its log begins at `oldest`.
    pub(super) fn note_begins(
        &mut self,
        from: MemberId,
        at: Position,
        oldest: Position,
        now: Instant,
    ) {
        if mutant::is(mutant::PURGED_HOLES_STAY) {
            return;
        }
        self.move_to(at, now, false);
        self.begins.insert(from, oldest);
        self.stuck = self.stuck.or(Some((at, now)));
    }

    /// What comes next is at `received`. Whose log begins behind that is not forgotten with what
    /// came meanwhile: it is not asked for its log again (seed 420).
    fn move_to(&mut self, received: Position, now: Instant, leads: bool) {
        if leads {
            self.begins = Table::new();
        } else if self.stuck.is_none_or(|(at, _)| at == received) {
            return;
        }
        self.begins.retain(|_, oldest| *oldest > received);
        self.stuck = (!self.begins.is_empty()).then_some((received, now));
        self.tries = 0;
    }

    /// Whether each of the `others` has said that it purged what comes next.
    fn is_purged_everywhere(&self, others: usize) -> bool {
        self.stuck.is_some() && self.begins.len() >= others
    }

    fn is_barred(&self, id: MemberId, now: Instant) -> bool {
        self.barred.get(id).is_some_and(|(_, until)| now < *until)
    }

    /// The snapshots of `id` cannot be used: it is left alone for a while, and for longer the next
    /// time.
    pub(super) fn bar(&mut self, id: MemberId, now: Instant, rest: Duration) {
        let (times, until) = self.barred.get_or_insert(id, (0, now));
        *until = now + rest.times(1 << (*times).min(DOUBLINGS_MAX));
        *times = times.saturating_add(1);
    }

    /// The snapshot, from whomever, is not fetched again in this life.
    pub(super) fn note_unusable(&mut self, manifest: SnapshotManifest) {
        if self.unusable.len() == UNUSABLE_MAX {
            self.unusable.remove(0);
        }
        self.unusable.push(manifest);
    }

    /// Nobody is asked for anything before `until`.
    pub(super) fn rest(&mut self, until: Instant) {
        (self.rests_until, self.asked_until, self.tries) = (until, None, 0);
    }

    /// The best of what was offered, and who offered it: the newest, and of those that stand at one
    /// place the one that most have. A source that fails rests for `rest` at least.
    fn best(&self, rest: Duration) -> Option<(SnapshotManifest, Sources, MemberId)> {
        let offers = || self.answers.iter().filter_map(|(id, offer)| offer.map(|it| (id, it)));
        let rank = |offer: &SnapshotManifest| {
            let same = offers().filter(|(_, other)| other == offer).count();
            (offer.point.position, same, *offer)
        };
        let best = offers().map(|(_, offer)| offer).max_by_key(rank)?;
        let ids = offers().filter(|(_, offer)| *offer == best).map(|(id, _)| id);
        let ids: SmallVec<[MemberId; 8]> = ids.collect();
        let mut sources = Sources::new(core::iter::empty(), rest);
        match self.mismatches.checked_sub(1) {
            None => ids.iter().for_each(|id| sources.add(*id)),
            Some(turn) => sources.add(ids[turn % ids.len()]),
        }
        Some((best, sources, ids[0]))
    }
}

impl Member {
    /// Whether this member stands still for a snapshot that its host installs.
    #[must_use]
    pub fn is_installing(&self) -> bool {
        self.state.fetching.installs().is_some()
    }

    /// Goes on with what is to be fetched; does nothing nearly always.
    #[inline(always)]
    pub(super) fn settle_fetching(&mut self, actions: &mut Actions) -> Handled {
        if self.state.fetching.is_idle() { Ok(()) } else { self.fetch_snapshot(actions) }
    }

    #[inline(never)]
    fn fetch_snapshot(&mut self, actions: &mut Actions) -> Handled {
        self.look_whether_it_is_needed(actions);
        let now = self.state.now;
        match self.state.fetching.asked_until {
            _ if !self.wants_offers() => self.state.fetching.asked_until = None,
            Some(until) if until > now => {}
            Some(_) => self.choose_snapshot(actions),
            None if self.state.fetching.rests_until > now => {}
            None => self.ask_for_snapshots(actions),
        }
        self.continue_fetch(actions)
    }

    /// What the log has by now needs no snapshot (E71); who leads lacks nothing.
    fn look_whether_it_is_needed(&mut self, actions: &mut Actions) {
        let State { fetching, log, leading, now, .. } = &mut self.state;
        fetching.move_to(log.image.received(), *now, leading.is_some());
        let is_kept = mutant::is(mutant::FETCHES_BEHIND_ITS_LOG);
        let outrun = |fetch: &Fetch| !is_kept && fetch.manifest.point.position <= log.verified;
        if fetching.fetch.as_deref().is_some_and(|fetch| leading.is_some() || outrun(fetch)) {
            crate::mark::reached(crate::mark::SNAPSHOT_OUTRUN);
            self.drop_fetch(actions);
        }
    }

    /// Whether the log is not to be asked for at the moment: what comes next is purged everywhere,
    /// and nothing comes back. Now and then it is asked for all the same.
    pub(super) fn spares_requests(&mut self) -> bool {
        let others = self.state.peers.len();
        let (now, fetching) = (self.state.now, &mut self.state.fetching);
        if !fetching.is_purged_everywhere(others) {
            return false;
        }
        let spares = now < fetching.log_asks_at;
        if !spares {
            fetching.log_asks_at = now + self.config.timing.heartbeat_interval;
        }
        spares
    }

    /// When the log may be asked for again, if it is not to be asked for before.
    pub(super) fn spares_requests_until(&self) -> Option<Instant> {
        let fetching = &self.state.fetching;
        let spares = fetching.is_purged_everywhere(self.state.peers.len());
        spares.then_some(fetching.log_asks_at)
    }

    pub(super) fn drop_fetch(&mut self, actions: &mut Actions) {
        if self.state.fetching.fetch.take().is_some() {
            actions.push(Action::DropSnapshot);
        }
    }

    /// What is fetched of `position` may be a state that deviates: others have another one there.
    pub(super) fn drop_disputed_fetch(&mut self, position: Position, actions: &mut Actions) {
        let fetched = self.state.fetching.fetch.as_deref().map(|fetch| fetch.manifest);
        let of_it = fetched.filter(|manifest| manifest.point.position == position);
        if of_it.is_some_and(|manifest| self.is_disputed(position, manifest.digest)) {
            self.drop_fetch(actions);
        }
    }

    /// Whether offers are wanted: there is nothing to fetch and nobody has the log, or what is
    /// fetched does not come.
    fn wants_offers(&self) -> bool {
        let fetching = &self.state.fetching;
        match fetching.fetch.as_deref() {
            Some(fetch) => {
                fetch.is_receiving() && (fetch.sources.is_empty() || self.fetch_stands_still())
            }
            None => fetching.stuck.is_some_and(|(_, since)| {
                fetching.is_purged_everywhere(self.state.peers.len())
                    || self.state.now.since(since) >= self.fetch_patience()
            }),
        }
    }

    fn fetch_patience(&self) -> Duration {
        self.config.timing.heartbeat_interval.times(PATIENCE_HEARTBEATS)
    }

    fn fetch_stands_still(&self) -> bool {
        let waits_since = self.state.fetching.fetch.as_deref().and_then(Fetch::waits_since);
        waits_since.is_some_and(|at| self.state.now.since(at) >= self.fetch_patience())
    }

    /// Asks all others which snapshot they have.
    fn ask_for_snapshots(&mut self, actions: &mut Actions) {
        crate::mark::reached(crate::mark::SNAPSHOT_ASKED_FOR);
        let now = self.state.now;
        let above = match mutant::is(mutant::FETCHES_BEHIND_ITS_LOG) {
            true => Position::ZERO,
            false => self.state.log.verified,
        };
        let term = self.state.term;
        for id in self.state.peers.ids() {
            if !self.state.fetching.is_barred(id, now) {
                self.send(id, Message::SnapshotRequest { term, above }, actions);
            }
        }
        let fetching = &mut self.state.fetching;
        let doublings = fetching.tries.min(DOUBLINGS_MAX);
        fetching.tries = fetching.tries.saturating_add(1);
        fetching.answers = Table::new();
        let interval = self.config.timing.heartbeat_interval.times(1 << doublings);
        // Whatever comes of it, nobody is asked again before.
        (fetching.asked_until, fetching.rests_until) = (Some(now + interval), now + interval);
    }

    pub(super) fn handle_snapshot_offer(
        &mut self,
        from: MemberId,
        message: &Message,
        actions: &mut Actions,
    ) -> Handled {
        let now = self.state.now;
        let fetching = &self.state.fetching;
        if fetching.asked_until.is_none() || fetching.is_barred(from, now) {
            self.counters.datagrams_ignored += 1;
            return Ok(());
        }
        // One that is no newer than the log is of no use (E71).
        let above = self.state.log.verified;
        let offer = offered(message).filter(|offer| offer.point.position > above);
        let offer = offer.filter(|offer| !fetching.unusable.contains(offer));
        let offer = offer.filter(|it| !self.is_disputed(it.point.position, it.digest));
        let offer = match offer.map(|offer| self.is_offer_of_this_log(&offer).map(|()| offer)) {
            Some(Err(reason)) => {
                self.reject_offer(from, offer, reason, actions);
                None
            }
            Some(Ok(offer)) => Some(offer),
            None => None,
        };
        let fetching = &mut self.state.fetching;
        fetching.answers.insert(from, offer);
        let waits =
            |id: MemberId| !fetching.is_barred(id, now) && fetching.answers.get(id).is_none();
        // If there is nothing of use, the next requests keep their interval.
        let is_of_use = fetching.answers.values().any(Option::is_some);
        if is_of_use && !self.state.peers.ids().any(waits) {
            self.choose_snapshot(actions);
        }
        Ok(())
    }

    /// What can be told before a byte of it is there. A term that is not known yet may come.
    fn is_offer_of_this_log(&self, offer: &SnapshotManifest) -> Result<(), SnapshotError> {
        let history = &self.state.history;
        match offer.point.term <= history.last_term() {
            true => check_history(&offer.point, history),
            false => Ok(()),
        }
    }

    fn reject_offer(
        &mut self,
        from: MemberId,
        offer: Option<SnapshotManifest>,
        reason: SnapshotError,
        actions: &mut Actions,
    ) {
        let position = offer.map_or(Position::ZERO, |offer| offer.point.position);
        let rest = self.config.timing.progress_timeout;
        self.state.fetching.bar(from, self.state.now, rest);
        self.counters.snapshots_rejected += 1;
        actions.push(Action::Notify(Notice::SnapshotRejected { position, reason }));
    }

    /// The answers are in, or have had their time.
    fn choose_snapshot(&mut self, actions: &mut Actions) {
        let stands_still = self.fetch_stands_still();
        let State { fetching, now, .. } = &mut self.state;
        let one_at_a_time = fetching.mismatches > 0;
        let rest = self.config.timing.heartbeat_interval;
        let best = fetching.best(rest);
        if let Some(fetch) = fetching.fetch.as_deref_mut() {
            let same = |offer: &Option<SnapshotManifest>| *offer == Some(fetch.manifest);
            let mut have = fetching.answers.iter().filter(|(_, offer)| same(offer));
            if let Some((first, _)) = have.next() {
                // The one under way goes on (E75): of those who have it now, if it stood still.
                if stands_still || one_at_a_time {
                    fetch.sources = Sources::new(core::iter::once(first), rest);
                }
                fetch.sources.add(first);
                have.filter(|_| !one_at_a_time).for_each(|(id, _)| fetch.sources.add(id));
                (fetch.moved_at, fetching.asked_until, fetching.tries) = (*now, None, 0);
                return;
            }
        }
        match best {
            Some((manifest, sources, from)) => self.begin_fetch(manifest, sources, from, actions),
            None if self.state.fetching.rests_until > self.state.now => {
                self.state.fetching.asked_until = None;
            }
            None => self.ask_for_snapshots(actions),
        }
    }

    fn begin_fetch(
        &mut self,
        manifest: SnapshotManifest,
        sources: Sources,
        from: MemberId,
        actions: &mut Actions,
    ) {
        self.drop_fetch(actions);
        let fetch = Fetch::new(manifest, sources, &self.config.limits, self.state.now);
        let fetching = &mut self.state.fetching;
        fetching.fetch = Some(Box::new(fetch));
        (fetching.asked_until, fetching.tries) = (None, 0);
        self.counters.snapshot_fetches += 1;
        let (position, bytes) = (manifest.point.position, manifest.bytes());
        actions.push(Action::Notify(Notice::SnapshotFetchBegun { position, bytes, from }));
    }

    /// A slice of a snapshot: taken in if it is of the one that is fetched, and of one who offered
    /// just that. Nobody else's bytes are mixed with theirs.
    pub(super) fn handle_snapshot_slice(
        &mut self,
        from: MemberId,
        epoch: u64,
        (position, slice): (Position, &[u8]),
    ) {
        let State { fetching, now, .. } = &mut self.state;
        let wanted = |fetch: &&mut Fetch| {
            fetch.manifest.point.position.0 == epoch && fetch.sources.contains(from)
        };
        let Some(fetch) = fetching.fetch.as_deref_mut().filter(wanted) else {
            self.counters.datagrams_ignored += 1;
            return;
        };
        self.counters.snapshot_bytes_received += fetch.receive(*now, position, slice);
    }

    /// A source does not have it any more: the others go on, at the same byte.
    pub(super) fn handle_snapshot_unavailable(&mut self, from: MemberId, range: EpochRange) {
        let fetching = &mut self.state.fetching;
        let dropped = fetching.fetch.as_deref_mut().is_some_and(|fetch| {
            fetch.manifest.point.position.0 == range.epoch && fetch.drop_source(from)
        });
        if dropped {
            crate::mark::reached(crate::mark::SNAPSHOT_SOURCE_LOST);
        } else {
            self.counters.datagrams_ignored += 1;
        }
    }

    /// Asks for what is missing, and has kept what is there.
    pub(super) fn receive_snapshot(&mut self, actions: &mut Actions) -> Handled {
        let timing = self.fetch_timing();
        let State { fetching, now, leader, storage, .. } = &mut self.state;
        let Some((fetch, timing)) = fetching.fetch.as_deref_mut().zip(timing) else {
            return Ok(());
        };
        if let Some(range) = fetch.part_to_keep() {
            let (operation, manifest) = (storage.next_operation()?, fetch.manifest);
            fetch.stage = Stage::Receiving { keeping: Some((operation, range.end)) };
            actions.push(Action::KeepSnapshotPart { operation, manifest, range });
        }
        for (to, ranges) in fetch.poll(*now, timing, *leader).iter() {
            let message = Message::Nak { stream: Stream::Snapshot, ranges: ranges.clone() };
            self.send(to, message, actions);
        }
        Ok(())
    }

    fn fetch_timing(&self) -> Option<crate::stream::NakTiming> {
        let fetch = self.state.fetching.fetch.as_deref()?;
        let beat = self.config.timing.heartbeat_interval;
        Some(fetch.timing(self.nak_timing(), &self.config.limits, beat))
    }

    /// Where the snapshot stands that is fetched, and how much of it is here.
    pub(super) fn fetching_progress(&self) -> Option<(Position, u64)> {
        let fetch = self.state.fetching.fetch.as_deref()?;
        Some((fetch.manifest.point.position, fetch.received().0))
    }

    /// When to look at it again if nothing comes.
    pub(super) fn fetching_deadline(&self) -> Option<Instant> {
        let fetching = &self.state.fetching;
        if fetching.is_idle() || self.state.leading.is_some() {
            return None;
        }
        let patience = self.fetch_patience();
        let offers = match (fetching.asked_until, fetching.fetch.as_deref()) {
            (Some(until), _) => Some(until),
            _ if self.wants_offers() => Some(fetching.rests_until),
            (None, Some(fetch)) => fetch.waits_since().map(|since| since + patience),
            (None, None) => fetching.stuck.map(|(_, since)| since + patience),
        };
        let holes = fetching.fetch.as_deref().zip(self.fetch_timing());
        let holes = holes.and_then(|(fetch, timing)| fetch.deadline(timing));
        [offers, holes].into_iter().flatten().min()
    }
}
