//! What a member remembers of the others, over their lives and its own (rule 9).

use core::cmp::Ordering;

use crate::config::{FIRST_BOOT, PeerRecord, PeerRecords, Recovered};
use crate::identity::{BootEpoch, Incarnation, Life, MemberId};
use crate::mutant;
use crate::position::Position;
use crate::term::{Term, TermHistory, VoteKey};
use crate::time::{Duration, Instant};

use super::decisions::has_regressed;
use super::table::Table;

/// Stands for the life in which a member acknowledged, from when it was found to have lost some of
/// that: no start has this number.
const FALLEN: BootEpoch = BootEpoch(0);

/// The other members.
#[derive(Clone, Debug, Hash)]
pub(super) struct Peers {
    peers: Table<MemberId, Peer>,
    /// That this member was readmitted, and in which life.
    own: Option<PeerRecord>,
    /// Whether the own mark is in no records, on its way, or durable.
    own_saved: Saved,
    /// Whether what this member promises may exceed its disk.
    doubt: OwnDoubt,
    /// The end of what this member has stated that it holds, as far as was noted: what the mark
    /// says besides, for whoever has to tell what was lost.
    stated: Position,
    /// Where the log must stop on its way to the disk until the records are durable.
    log_waits_at: Option<Position>,
    /// Something is remembered that is not durable yet.
    is_dirty: bool,
    /// When that is made durable, if there is something.
    due_at: Instant,
}

/// The dirty mark of rule 5: what it is to be, what is on its way, and what is durable.
#[derive(Clone, Copy, Debug, Default, Hash)]
struct OwnDoubt {
    wanted: bool,
    saving: bool,
    saved: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
enum Saved {
    #[default]
    No,
    UnderWay,
    Yes,
}

/// What the life of a datagram is to the receiver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Hearing {
    /// Of a stranger or of a former life: it is not heard (E93).
    Unheard,
    /// The life that is known.
    Known,
    /// A later start of the directory that is known.
    New,
    /// Of a newer directory than is known, which is perhaps readmitted and perhaps never will be.
    /// Only the log tells, so nothing is noted of it (rule 9).
    Newcomer,
}

#[derive(Clone, Copy, Debug, Hash)]
struct Peer {
    record: PeerRecord,
    /// It came back with less than it had acknowledged: it counts for nothing until it has that
    /// again.
    has_regressed: bool,
    /// The life that is durable in the records, and the one in those that are on their way.
    saved: Life,
    saving: Life,
    /// Where the log readmits it, first, in a life that is not durable in the records.
    unsaved: Option<(Position, Life)>,
    /// Whether it is a member. Others are heard, and not spoken to.
    is_member: bool,
}

impl Peer {
    /// Nothing is known of it.
    fn unknown(member: MemberId) -> Self {
        let life = Life { member, ..Life::default() };
        let record = PeerRecord { life, ..PeerRecord::default() };
        Self {
            record,
            has_regressed: false,
            saved: life,
            saving: life,
            unsaved: None,
            is_member: false,
        }
    }

    /// Whether it has not acknowledged anything yet since it started anew.
    fn is_in_new_life(&self) -> bool {
        self.record.life.boot_epoch > self.record.acknowledged_in
    }
}

impl Peer {
    /// It has lost something. How much it had acknowledged when that happened nobody knows: more
    /// than is remembered, perhaps, but no more than was written. So it does not count before it
    /// has all that is known to be written by now. Returns whether that is new.
    fn notice_regression(&mut self, term: Term, newest: Position) -> bool {
        if self.has_regressed {
            return false;
        }
        self.has_regressed = true;
        self.record.acknowledged_in = FALLEN;
        if newest > self.record.acknowledged {
            (self.record.term, self.record.acknowledged) = (term.max(self.record.term), newest);
        }
        true
    }
}

impl Peers {
    /// `interval` is the shortest time from one time that records are taken to the next.
    pub(super) fn new(
        others: impl Iterator<Item = MemberId>,
        recovered: &Recovered,
        interval: Duration,
    ) -> Self {
        let (history, own) = (&recovered.history, recovered.life.member);
        let recovered = &recovered.peers;
        let peer = |id: MemberId| {
            let record = recovered.iter().find(|record| record.life.member == id).copied();
            let life = Life { member: id, ..Life::default() };
            let unknown = PeerRecord { life, ..PeerRecord::default() };
            let mut record = record.unwrap_or(unknown);
            // The history may have been replaced, and the record not yet.
            let newer = history.lines().iter().filter(|line| line.term > record.term);
            let disowned = newer.map(|line| line.base).min().unwrap_or(record.acknowledged);
            record.acknowledged = record.acknowledged.min(disowned);
            let (saved, has_regressed) = (record.life, record.tells_of_a_fall());
            let is_member = true;
            (id, Peer { record, has_regressed, saved, saving: saved, unsaved: None, is_member })
        };
        let peers = others.map(peer).collect();
        let own = recovered.iter().find(|record| record.life.member == own).copied();
        let is_doubted = own.is_some_and(|own| own.tells_of_a_fall());
        Self {
            own: own.filter(|_| !is_doubted).or_else(|| own.and_then(readmission_mark)),
            own_saved: Saved::No,
            doubt: OwnDoubt { wanted: is_doubted, saving: is_doubted, saved: is_doubted },
            stated: own.filter(|_| is_doubted).map_or(Position::ZERO, |own| own.acknowledged),
            log_waits_at: None,
            is_dirty: false,
            due_at: Instant(0) + interval,
            peers,
        }
    }

    /// The other members.
    pub(super) fn ids(&self) -> impl Iterator<Item = MemberId> + Clone {
        let members = self.peers.iter().filter(|(_, peer)| peer.is_member);
        members.map(|(id, _)| id)
    }

    pub(super) fn at(&self, index: usize) -> Option<MemberId> {
        self.ids().nth(index)
    }

    /// How many others are members.
    pub(super) fn len(&self) -> usize {
        self.ids().count()
    }

    /// How many others are heard.
    pub(super) fn heard_count(&self) -> usize {
        self.peers.len()
    }

    /// These are heard from now on, each from an incarnation on, and no others.
    pub(super) fn follow(&mut self, heard: &[(MemberId, Incarnation, bool)]) {
        let is_heard = |id: MemberId| heard.iter().any(|(known, ..)| *known == id);
        self.peers.retain(|id, _| is_heard(id));
        for &(id, least, is_member) in heard {
            let peer = self.peers.get_or_insert(id, Peer::unknown(id));
            peer.is_member = is_member;
            if least > peer.record.life.incarnation.max(Incarnation::FIRST) {
                // What its former lives promised ended when it was removed.
                *peer = Peer { is_member, ..Peer::unknown(id) };
                peer.record.life.incarnation = least;
            }
        }
        self.find_where_the_log_waits();
    }

    /// Notes a datagram of `life`.
    #[inline]
    pub(super) fn hear(&mut self, life: Life) -> Hearing {
        let known = self.peers.get(life.member).map(|peer| peer.record.life);
        match known == Some(life) && life.boot_epoch >= FIRST_BOOT {
            true => Hearing::Known,
            false => self.hear_other(life),
        }
    }

    /// Of another life than the one that is known.
    #[inline(never)]
    fn hear_other(&mut self, life: Life) -> Hearing {
        let Some(peer) = self.peers.get_mut(life.member) else { return Hearing::Unheard };
        let known = peer.record.life;
        if life.boot_epoch < FIRST_BOOT {
            return Hearing::Unheard;
        }
        if life == known {
            return Hearing::Known;
        }
        let is_of_any = mutant::is(mutant::OTHER_INCARNATIONS_ARE_HEARD);
        match life.incarnation.cmp(&known.incarnation.max(Incarnation::FIRST)) {
            Ordering::Greater if !is_of_any => return Hearing::Newcomer,
            Ordering::Less if !is_of_any => return Hearing::Unheard,
            _ => {}
        }
        if life.boot_epoch < known.boot_epoch {
            crate::mark::reached(crate::mark::FORMER_LIFE);
            return match mutant::is(mutant::FORMER_LIVES_ARE_HEARD) {
                true => Hearing::Known,
                false => Hearing::Unheard,
            };
        }
        peer.record.life = life;
        self.is_dirty = true;
        Hearing::New
    }

    /// A member is readmitted in `life` by a frame at `position`: what its former lives
    /// acknowledged is none of this one's debts, and they are not heard any more. `false` if that
    /// was known, or a later life is.
    ///
    /// Whatever is known in memory: before the records that are durable know of it, the log goes to
    /// the disk up to `position` and no further.
    pub(super) fn readmit(&mut self, life: Life, position: Position, now: Instant) -> bool {
        let Some(peer) = self.peers.get_mut(life.member) else { return false };
        if mutant::is(mutant::READMISSION_EXCLUDES_NOBODY) {
            return false;
        }
        if life > peer.saved {
            let first = peer.unsaved.map_or(position, |(first, _)| first.min(position));
            let newest = peer.unsaved.map_or(life, |(_, newest)| newest.max(life));
            peer.unsaved = Some((first, newest));
            self.is_dirty = true;
            self.due_at = now;
        }
        let record = &mut peer.record;
        let is_known = life == record.life && record.acknowledged_in == life.boot_epoch;
        let is_new = life >= record.life && !is_known;
        if is_new {
            let acknowledged_in = life.boot_epoch;
            *record = PeerRecord { life, acknowledged_in, ..PeerRecord::default() };
            peer.has_regressed = false;
        }
        self.find_where_the_log_waits();
        is_new
    }

    /// Where the log must stop on its way to the disk until the records are durable.
    #[inline]
    pub(super) fn log_waits_at(&self) -> Option<Position> {
        self.log_waits_at
    }

    fn find_where_the_log_waits(&mut self) {
        let unsaved = self.peers.values().filter_map(|peer| peer.unsaved);
        self.log_waits_at = unsaved.map(|(first, _)| first).min();
    }

    /// This member is readmitted in `life`: to be written down at once.
    pub(super) fn mark_own(&mut self, life: Life, now: Instant) {
        if self.own.is_some_and(|own| own.life == life) {
            return;
        }
        let acknowledged_in = life.boot_epoch;
        self.own = Some(PeerRecord { life, acknowledged_in, ..PeerRecord::default() });
        self.is_dirty = true;
        self.due_at = now;
    }

    /// What this member promises from now on may exceed its disk, or does not any more: to be
    /// written down at once.
    pub(super) fn set_doubt(&mut self, wanted: bool, now: Instant) {
        if self.doubt.wanted != wanted {
            self.doubt.wanted = wanted;
            self.is_dirty = true;
            self.due_at = now;
        }
    }

    /// This member may have stated that it holds all before `held`. The records say so when they
    /// are written for another reason.
    pub(super) fn note_stated(&mut self, held: Position) {
        self.stated = self.stated.max(held);
    }

    /// Whether it is durable that what this member promises may exceed its disk.
    #[inline]
    pub(super) fn doubt_is_saved(&self) -> bool {
        self.doubt.wanted && self.doubt.saved
    }

    /// Whether it is durable that this member's disk has all that it promised.
    pub(super) fn doubt_is_over(&self) -> bool {
        !self.doubt.wanted && !self.doubt.saved
    }

    /// Whether the next life may find, on the disk as it is or as it may be by then, that this
    /// member has promised more than it has.
    pub(super) fn doubt_may_be_found(&self) -> bool {
        let OwnDoubt { wanted, saving, saved } = self.doubt;
        wanted || saving || saved
    }

    /// Whether something waits until the records are durable: the log, or what this member may
    /// promise.
    pub(super) fn are_awaited(&self) -> bool {
        self.log_waits_at.is_some() || self.doubt.wanted != self.doubt.saved
    }

    /// Whether it is durable that this member was readmitted.
    pub(super) fn own_is_saved(&self) -> bool {
        self.own_saved == Saved::Yes
    }

    /// The records that were taken last are durable.
    pub(super) fn note_saved(&mut self) {
        for peer in self.peers.values_mut() {
            peer.saved = peer.saving;
            peer.unsaved = peer.unsaved.filter(|(_, life)| *life > peer.saved);
        }
        self.doubt.saved = self.doubt.saving;
        self.find_where_the_log_waits();
        if self.own_saved == Saved::UnderWay {
            self.own_saved = Saved::Yes;
        }
    }

    /// Notes an acknowledgement in the current term, whose history is adopted; `false` if the
    /// member has lost what it had acknowledged before, and does not count. `newest` is known to
    /// be written.
    pub(super) fn acknowledge(
        &mut self,
        member: MemberId,
        term: Term,
        durable: Position,
        newest: Position,
    ) -> bool {
        let Some(peer) = self.peers.get_mut(member) else { return false };
        let counts_anyway = mutant::is(mutant::REGRESSED_MEMBER_COUNTS);
        // Within one life a fall is always a cut, whoever ordered it.
        if peer.is_in_new_life() && durable < peer.record.acknowledged && !counts_anyway {
            self.is_dirty |= peer.notice_regression(term, newest);
            return false;
        }
        peer.has_regressed = false;
        let record = &mut peer.record;
        // One that was overtaken by a newer one says nothing new.
        let is_older = (term, durable) < (record.term, record.acknowledged);
        if is_older && record.acknowledged_in == record.life.boot_epoch {
            return true;
        }
        // That it is whole again is to be remembered, whatever else is known already.
        let was_fallen = record.tells_of_a_fall();
        record.acknowledged_in = record.life.boot_epoch;
        let always = mutant::is(mutant::RECORDS_ARE_ALWAYS_DIRTY);
        if always || was_fallen || (term, durable) != (record.term, record.acknowledged) {
            record.term = term;
            record.acknowledged = durable;
            self.is_dirty = true;
        }
        true
    }

    /// Takes in how complete a member says that its log is, with a vote or when it asks for one;
    /// `false` if it has lost what it had acknowledged before, and neither counts nor is elected
    /// (rule 9, E47, DF-14): a restored older image, whose promises nobody may rely on. Its vote
    /// may be among them, so bytes alone do not make it whole: only a leader that was elected
    /// without it may count it again, by its acknowledgement (rule 5).
    pub(super) fn examine(
        &mut self,
        member: MemberId,
        key: VoteKey,
        history: &TermHistory,
        newest: Position,
    ) -> bool {
        let Some(peer) = self.peers.get_mut(member) else { return false };
        let is_examined = peer.is_in_new_life() && !mutant::is(mutant::REGRESSED_MEMBER_VOTES);
        if is_examined && has_regressed(&peer.record, history, key) {
            self.is_dirty |= peer.notice_regression(history.last_term(), newest);
        }
        !peer.has_regressed
    }

    /// The history of this member is another from `end` on: whoever adopts it may be cut to there,
    /// and no lower.
    pub(super) fn cut(&mut self, end: Position) {
        self.stated = self.stated.min(end);
        for peer in self.peers.values_mut() {
            peer.unsaved = peer.unsaved.filter(|(first, _)| *first < end);
            if peer.record.acknowledged > end {
                peer.record.acknowledged = end;
                self.is_dirty = true;
            }
        }
        self.find_where_the_log_waits();
    }

    /// Whether what the member says counts towards a quorum.
    pub(super) fn counts(&self, member: MemberId) -> bool {
        self.peers.get(member).is_some_and(|peer| !peer.has_regressed)
    }

    pub(super) fn life(&self, member: MemberId) -> Life {
        self.peers.get(member).map_or_else(Life::default, |peer| peer.record.life)
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.is_dirty && self.due_at <= now
    }

    /// When what is remembered is to be made durable.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.is_dirty.then_some(self.due_at)
    }

    /// Takes the records at `now`; the next are due after `interval` at the earliest.
    pub(super) fn take_records(
        &mut self,
        now: Instant,
        interval: Duration,
        life: Life,
    ) -> PeerRecords {
        self.doubt.saving = self.doubt.wanted;
        self.is_dirty = false;
        self.due_at = now + interval;
        for peer in self.peers.values_mut() {
            peer.saving = peer.record.life;
        }
        if self.own.is_some() && self.own_saved == Saved::No {
            self.own_saved = Saved::UnderWay;
        }
        let heard = self.peers.values().filter(|peer| peer.record.life.boot_epoch.0 != 0);
        let own = match self.doubt.wanted {
            true => Some(doubted(life, self.stated)),
            false => self.own,
        };
        heard.map(|peer| peer.record).chain(own).collect()
    }
}

/// The record of a member about itself, while what it promises may exceed its disk: as of one that
/// was found to have lost something. At least it has stated what it says; in a record of an earlier
/// version all positions there are stand for that.
fn doubted(life: Life, stated: Position) -> PeerRecord {
    // Zero would mean that nothing was stated.
    let acknowledged = stated.max(Position(crate::frame::ALIGNMENT));
    PeerRecord { life, acknowledged_in: FALLEN, term: Term(0), acknowledged }
}

/// What a doubted record says besides: in a later incarnation, that the member was readmitted.
fn readmission_mark(own: PeerRecord) -> Option<PeerRecord> {
    let life = own.life;
    let mark = PeerRecord { life, acknowledged_in: life.boot_epoch, ..PeerRecord::default() };
    (life.incarnation > Incarnation::FIRST).then_some(mark)
}

#[cfg(test)]
mod tests;
