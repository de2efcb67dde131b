//! Whether the members are in the same state: they tell each other the digests of their snapshots.
//!
//! ```text
//!  a snapshot counts ─► what is its digest? ─► SnapshotDigest to all others ─► theirs
//!     ─► most voters agree on another one ─► this member stops, and its snapshot is discarded
//! ```
//!
//! Snapshots of one position are the same bytes on all members. Where one is not, a service has
//! looked at something that is not in the log (E113), or memory has rotted. Each member decides for
//! itself, by what the others told it themselves: whoever lies convinces nobody alone, not even as
//! leader. Where no majority agrees nobody stops, and all are told.

use alloc::vec::Vec;
use smallvec::SmallVec;

use super::table::Table;
use super::{Handled, Member};
use crate::action::{Action, Actions};
use crate::config::{Recovered, VOTERS_MAX};
use crate::identity::MemberId;
use crate::message::Message;
use crate::mutant;
use crate::notice::{FailStop, Notice};
use crate::position::Position;
use crate::snapshot::{Snapshot, SnapshotManifest};
use crate::time::Instant;

/// Snapshots whose digests are remembered, of each member, at most.
const REMEMBERED_MAX: usize = 8;

/// So many heartbeat intervals pass before those are asked again who have not answered; the pause
/// doubles with each time.
const ASK_HEARTBEATS: u64 = 10;

/// So many times it doubles, at most.
const DOUBLINGS_MAX: u32 = 6;

/// What a member says of its snapshot at a position.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Said {
    position: Position,
    /// The version of the layout of the core's part; zero: there is no snapshot. Other layouts have
    /// other bytes for the same state.
    layout: u16,
    digest: u64,
    /// The member took it itself: a copy of another's says nothing about who is right.
    vouches: bool,
}

impl Said {
    const fn agrees(&self, other: &Self) -> bool {
        self.layout == other.layout && self.layout != 0 && self.digest == other.digest
    }

    const fn contradicts(&self, other: &Self) -> bool {
        self.layout == other.layout && self.layout != 0 && self.digest != other.digest
    }
}

/// What another member said.
#[derive(Clone, Copy, Debug, Hash)]
struct Heard {
    said: Said,
    /// That it is another digest than the own one was told.
    is_noticed: bool,
}

/// The digests of the newest snapshots, the own ones and those of the others.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Digests {
    /// Oldest first.
    own: Vec<Said>,
    /// Where the snapshot stands that the life began with.
    began: Position,
    /// The newest own one that a majority vouches for.
    confirmed: Position,
    heard: Table<MemberId, Vec<Heard>>,
    /// The own snapshot whose digest the host is to be asked for.
    wanted: Option<Said>,
    /// When those are asked who have said nothing of the newest own one; `None`: nobody is.
    asks_at: Option<Instant>,
    /// How often they were, in a row.
    tries: u32,
}

impl Digests {
    /// Nothing is known yet. The snapshot that the life begins with is compared with those of the
    /// others, too; where the log begins right there it may have been fetched of one of them.
    pub(super) fn new(recovered: &Recovered) -> Self {
        let wanted = recovered.snapshot.as_deref().map(|snapshot| Said {
            position: snapshot.point.position,
            layout: layout_of(snapshot),
            digest: 0,
            vouches: snapshot.point.position > recovered.origin.position
                || mutant::is(mutant::COPIES_VOUCH),
        });
        let began = wanted.map_or(Position::ZERO, |wanted| wanted.position);
        Self { wanted, began, ..Self::default() }
    }

    fn own_at(&self, position: Position) -> Option<&Said> {
        self.own.iter().find(|said| said.position == position)
    }

    fn heard_at(&self, of: MemberId, position: Position) -> Option<&Said> {
        let heard = self.heard.get(of)?.iter().find(|heard| heard.said.position == position)?;
        Some(&heard.said)
    }

    /// The oldest snapshot of this life, or before it, that may hold the state that deviates at
    /// `position`: none that a majority vouches for does, nor one before that.
    fn first_in_doubt(&self, position: Position) -> Position {
        let own = self.own.iter().map(|said| said.position);
        let in_doubt = own.chain([self.began, position]).filter(|at| *at > self.confirmed);
        in_doubt.min().unwrap_or(position)
    }

    fn note_own(&mut self, said: Said, now: Instant) {
        if self.own.len() == REMEMBERED_MAX {
            self.own.remove(0);
        }
        self.own.push(said);
        (self.asks_at, self.tries) = (Some(now), 0);
    }

    /// What is said last of a position holds.
    fn note_heard(&mut self, of: MemberId, said: Said) {
        let all = self.heard.get_or_insert(of, Vec::new());
        let is_there = |heard: &&mut Heard| heard.said.position == said.position;
        if let Some(known) = all.iter_mut().find(is_there) {
            known.is_noticed &= known.said == said;
            known.said = said;
            return;
        }
        if all.len() == REMEMBERED_MAX {
            let oldest = (0..all.len()).min_by_key(|at| all[*at].said.position);
            oldest.map(|at| all.remove(at));
        }
        all.push(Heard { said, is_noticed: false });
    }

    /// A new life of `of` may have begun with another state: what the former one said is void, and
    /// it is asked.
    pub(super) fn forget(&mut self, of: MemberId, now: Instant) {
        self.heard.remove(of);
        if !self.own.is_empty() {
            (self.asks_at, self.tries) = (Some(now), 0);
        }
    }
}

/// The version that a snapshot's core part begins with.
pub(super) fn layout_of(snapshot: &Snapshot) -> u16 {
    snapshot.core.first_chunk().copied().map_or(0, u16::from_le_bytes)
}

impl Member {
    /// A snapshot of this member's own counts from now on.
    pub(super) fn want_digest(&mut self, position: Position, layout: u16) {
        if self.state.peers.len() > 0 {
            let said = Said { position, layout, digest: 0, vouches: true };
            self.state.digests.wanted = Some(said);
        }
    }

    /// Asks the host for a digest, or the others; with each heartbeat, and hardly ever anything.
    pub(super) fn watch_digests(&mut self, actions: &mut Actions) -> Handled {
        let digests = &self.state.digests;
        let asks = digests.asks_at.is_some_and(|at| at <= self.state.now);
        match digests.wanted {
            None if !asks => Ok(()),
            wanted => self.exchange_digests(wanted, asks, actions),
        }
    }

    #[cold]
    #[inline(never)]
    fn exchange_digests(
        &mut self,
        wanted: Option<Said>,
        asks: bool,
        actions: &mut Actions,
    ) -> Handled {
        if asks {
            self.ask_for_digests(false, actions);
        }
        let reads = &self.state.reads;
        match wanted {
            Some(Said { position, .. }) if !reads.is_asking_for(position) && reads.has_room() => {
                self.ask_for_manifest(position, actions)
            }
            _ => Ok(()),
        }
    }

    /// The host has said what the snapshot at `at` consists of, or that it cannot be read.
    pub(super) fn note_own_manifest(
        &mut self,
        at: Position,
        manifest: Option<SnapshotManifest>,
        actions: &mut Actions,
    ) -> Handled {
        let digests = &mut self.state.digests;
        let Some(wanted) = digests.wanted.take_if(|wanted| wanted.position == at) else {
            return Ok(());
        };
        let Some(SnapshotManifest { digest, .. }) = manifest else { return Ok(()) };
        digests.note_own(Said { digest, ..wanted }, self.state.now);
        self.ask_for_digests(true, actions);
        self.judge_digests(at, actions)
    }

    /// Tells the digest of the newest own snapshot: at first everybody, from then on those who have
    /// said nothing of theirs. They are asked for it.
    fn ask_for_digests(&mut self, tells_all: bool, actions: &mut Actions) {
        let digests = &self.state.digests;
        let Some(own) = digests.own.last().copied() else { return };
        let mut waits = false;
        for id in self.state.peers.ids() {
            let asks = digests.heard_at(id, own.position).is_none();
            waits |= asks;
            if asks || tells_all {
                self.tell_digest(id, own, asks, actions);
            }
        }
        let (now, digests) = (self.state.now, &mut self.state.digests);
        let pause = self.config.timing.heartbeat_interval.times(ASK_HEARTBEATS);
        let pause = pause.times(1 << digests.tries.min(DOUBLINGS_MAX));
        digests.tries = digests.tries.saturating_add(1);
        let again = waits && !mutant::is(mutant::DIGESTS_ARE_TOLD_ONCE);
        digests.asks_at = again.then_some(now + pause);
    }

    fn tell_digest(&self, to: MemberId, said: Said, asks: bool, actions: &mut Actions) {
        let Said { position, layout, digest, vouches } = said;
        let term = self.state.term;
        let message = Message::SnapshotDigest { term, position, layout, digest, vouches, asks };
        self.send(to, message, actions);
    }

    /// Another member tells the digest of its snapshot, and perhaps asks for the one here.
    pub(super) fn handle_snapshot_digest(
        &mut self,
        from: MemberId,
        message: &Message,
        actions: &mut Actions,
    ) -> Handled {
        let &Message::SnapshotDigest { position, layout, digest, vouches, asks, .. } = message
        else {
            return Ok(());
        };
        self.state.digests.note_heard(from, Said { position, layout, digest, vouches });
        if asks {
            self.answer_digest(from, position, actions);
        }
        self.drop_disputed_fetch(position, actions);
        self.judge_digests(position, actions)
    }

    fn answer_digest(&self, to: MemberId, position: Position, actions: &mut Actions) {
        let state = &self.state;
        let none = Said { position, layout: 0, digest: 0, vouches: false };
        let is_coming = state.snapshots.is_under_way_at(position)
            || state.digests.wanted.is_some_and(|wanted| wanted.position == position)
            || position > state.applier.applied;
        match state.digests.own_at(position) {
            Some(own) => self.tell_digest(to, *own, false, actions),
            // There will be none: nobody needs to ask again.
            None if !is_coming => self.tell_digest(to, none, false, actions),
            None => {}
        }
    }

    /// Compares the own digest of a position with those of the others.
    fn judge_digests(&mut self, position: Position, actions: &mut Actions) -> Handled {
        let Some(own) = self.state.digests.own_at(position).copied() else { return Ok(()) };
        let mut found = SmallVec::<[Said; VOTERS_MAX]>::new();
        for (member, all) in self.state.digests.heard.iter_mut() {
            let contradicts = |heard: &&mut Heard| {
                heard.said.position == position && heard.said.contradicts(&own)
            };
            let Some(heard) = all.iter_mut().find(contradicts) else { continue };
            found.push(heard.said);
            if !heard.is_noticed {
                heard.is_noticed = true;
                self.counters.snapshots_differing += 1;
                actions.push(Action::Notify(Notice::SnapshotDiffers { member, position }));
            }
        }
        if self.is_of_most(&own) {
            let confirmed = &mut self.state.digests.confirmed;
            *confirmed = position.max(*confirmed);
        }
        // What was another state once is the same again where a later one is.
        let is_over = position <= self.state.digests.confirmed;
        let is_outvoted = !is_over && found.iter().any(|said| self.is_of_most(said));
        if is_outvoted && !mutant::is(mutant::DEVIATION_IS_TOLD_ONLY) {
            crate::mark::reached(crate::mark::DEVIATED);
            return Err(FailStop::Diverged { position });
        }
        Ok(())
    }

    /// Whether a majority of the voters vouches for this very digest.
    fn is_of_most(&self, said: &Said) -> bool {
        let vouches = |id: MemberId| {
            self.digest_of(id, said.position).is_some_and(|of| of.vouches && of.agrees(said))
        };
        match mutant::is(mutant::ONE_OTHER_DIGEST_STOPS) {
            true => self.all_voters().any(vouches),
            false => self.membership().is_quorum(vouches),
        }
    }

    fn all_voters(&self) -> impl Iterator<Item = MemberId> {
        let records = self.membership().records().iter();
        records.filter(|record| record.outgoing || record.incoming).map(|record| record.member)
    }

    /// What a member says of its snapshot at `position`.
    fn digest_of(&self, member: MemberId, position: Position) -> Option<&Said> {
        let digests = &self.state.digests;
        match member == self.state.life.member {
            true => digests.own_at(position),
            false => digests.heard_at(member, position),
        }
    }

    /// Whether another than this digest is told of a position, and no majority vouches for this:
    /// such a snapshot is not handed on, nor taken.
    pub(super) fn is_disputed(&self, position: Position, digest: u64) -> bool {
        if mutant::is(mutant::DISPUTED_SNAPSHOTS_SPREAD) {
            return false;
        }
        let voters = || self.all_voters().filter_map(|id| self.digest_of(id, position));
        let Some(this) = voters().find(|said| said.layout != 0 && said.digest == digest) else {
            return false;
        };
        voters().any(|said| said.contradicts(this)) && !self.is_of_most(this)
    }

    /// Whether the own snapshot at `position` is in doubt: any that is behind the newest for which
    /// a majority vouches, once one of those is disputed. A state that deviates may have done so
    /// before anybody could compare it, and goes on to do so.
    pub(super) fn is_own_disputed(&self, position: Position) -> bool {
        let digests = &self.state.digests;
        let mut in_doubt = digests.own.iter().filter(|own| own.position > digests.confirmed);
        position > digests.confirmed
            && in_doubt.any(|own| self.is_disputed(own.position, own.digest))
    }

    /// What a member that deviates has stored is not to be begun with, as far as it may deviate.
    pub(super) fn discard_what_deviates(&self, reason: FailStop, actions: &mut Actions) {
        if let FailStop::Diverged { position } = reason
            && !mutant::is(mutant::DEVIATING_SNAPSHOT_STAYS)
        {
            let from = self.state.digests.first_in_doubt(position);
            actions.push(Action::DiscardSnapshots { from });
        }
    }
}
