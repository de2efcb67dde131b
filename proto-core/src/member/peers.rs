//! What a member remembers of the others, over their lives and its own (rule 9).

use crate::config::{PeerRecord, PeerRecords};
use crate::identity::{Life, MemberId};
use crate::mutant;
use crate::position::Position;
use crate::term::{Term, TermHistory, VoteKey};
use crate::time::{Duration, Instant};

use super::decisions::has_regressed;
use super::table::Table;

/// The other members.
#[derive(Clone, Debug, Hash)]
pub(super) struct Peers {
    peers: Table<MemberId, Peer>,
    /// Something is remembered that is not durable yet.
    is_dirty: bool,
    /// When that is made durable, if there is something.
    due_at: Instant,
}

#[derive(Clone, Copy, Debug, Hash)]
struct Peer {
    record: PeerRecord,
    /// It came back with less than it had acknowledged: it counts for nothing until it has that
    /// again.
    has_regressed: bool,
}

impl Peer {
    /// Whether it has not acknowledged anything yet since it started anew.
    fn is_in_new_life(&self) -> bool {
        self.record.life.boot_epoch > self.record.acknowledged_in
    }
}

impl Peers {
    /// `interval` is the shortest time from one time that records are taken to the next.
    pub(super) fn new(
        others: impl Iterator<Item = MemberId>,
        recovered: &[PeerRecord],
        interval: Duration,
    ) -> Self {
        let peer = |id: MemberId| {
            let record = recovered.iter().find(|record| record.life.member == id).copied();
            let life = Life { member: id, ..Life::default() };
            let unknown = PeerRecord { life, ..PeerRecord::default() };
            (id, Peer { record: record.unwrap_or(unknown), has_regressed: false })
        };
        Self { peers: others.map(peer).collect(), is_dirty: false, due_at: Instant(0) + interval }
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = MemberId> {
        self.peers.keys()
    }

    pub(super) fn at(&self, index: usize) -> Option<MemberId> {
        self.peers.keys().nth(index)
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Notes a datagram of `life`; `false` if it is of a stranger or of a former life (E93).
    pub(super) fn hear(&mut self, life: Life) -> bool {
        let Some(peer) = self.peers.get_mut(life.member) else { return false };
        let known = peer.record.life;
        if known.boot_epoch.0 != 0
            && life.incarnation != known.incarnation
            && !mutant::is(mutant::OTHER_INCARNATIONS_ARE_HEARD)
        {
            // A member comes back under a new incarnation only by being readmitted.
            return false;
        }
        if life.boot_epoch < known.boot_epoch {
            crate::mark::reached(crate::mark::FORMER_LIFE);
            return mutant::is(mutant::FORMER_LIVES_ARE_HEARD);
        }
        if life != known {
            peer.record.life = life;
            self.is_dirty = true;
        }
        true
    }

    /// Notes an acknowledgement in `term`; `false` if the member has lost what it had
    /// acknowledged before, and does not count.
    pub(super) fn acknowledge(
        &mut self,
        member: MemberId,
        term: Term,
        durable: Position,
        history: &TermHistory,
    ) -> bool {
        let Some(peer) = self.peers.get_mut(member) else { return false };
        let counts_anyway = mutant::is(mutant::REGRESSED_MEMBER_COUNTS);
        // Within one life a fall is always a cut, whoever ordered it.
        if peer.is_in_new_life() && has_regressed(&peer.record, history, durable) && !counts_anyway
        {
            peer.has_regressed = true;
            return false;
        }
        peer.has_regressed = false;
        let record = &mut peer.record;
        // One that was overtaken by a newer one says nothing new.
        let is_older = (term, durable) < (record.term, record.acknowledged);
        if is_older && record.acknowledged_in == record.life.boot_epoch {
            return true;
        }
        record.acknowledged_in = record.life.boot_epoch;
        let always = mutant::is(mutant::RECORDS_ARE_ALWAYS_DIRTY);
        if always || (term, durable) != (record.term, record.acknowledged) {
            record.term = term;
            record.acknowledged = durable;
            self.is_dirty = true;
        }
        true
    }

    /// Takes in how complete a member says that its log is, with a vote or when it asks for one;
    /// `false` if it has lost what it had acknowledged before, and neither counts nor is elected
    /// (rule 9, E47, DF-14): a restored older image, whose promises nobody may rely on.
    ///
    /// A key of a newer line than that of the acknowledgement says that its log was cut since, by
    /// a leader that this member may not have heard of: no fall can be told from it.
    pub(super) fn examine(
        &mut self,
        member: MemberId,
        key: VoteKey,
        history: &TermHistory,
    ) -> bool {
        let Some(peer) = self.peers.get_mut(member) else { return false };
        if peer.is_in_new_life() && !mutant::is(mutant::REGRESSED_MEMBER_VOTES) {
            peer.has_regressed =
                key.term <= peer.record.term && has_regressed(&peer.record, history, key.position);
        }
        !peer.has_regressed
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
    pub(super) fn take_records(&mut self, now: Instant, interval: Duration) -> PeerRecords {
        self.is_dirty = false;
        self.due_at = now + interval;
        let heard = self.peers.values().filter(|peer| peer.record.life.boot_epoch.0 != 0);
        heard.map(|peer| peer.record).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{BootEpoch, Incarnation};

    fn life(member: u16, incarnation: u32, boot_epoch: u64) -> Life {
        Life {
            member: MemberId(member),
            incarnation: Incarnation(incarnation),
            boot_epoch: BootEpoch(boot_epoch),
        }
    }

    #[test]
    fn e93_former_lives_and_strangers_are_not_heard() {
        let mut peers = Peers::new([MemberId(2)].into_iter(), &[], Duration(1));
        assert!(peers.hear(life(2, 1, 3)));
        assert!(peers.hear(life(2, 1, 3)));
        assert!(!peers.hear(life(2, 1, 2)));
        assert!(!peers.hear(life(2, 2, 4)));
        assert!(!peers.hear(life(3, 1, 1)));
        assert!(peers.hear(life(2, 1, 4)));
    }

    #[test]
    fn df14_a_restored_old_image_does_not_count() {
        let mut peers = Peers::new([MemberId(2)].into_iter(), &[], Duration(1));
        let history = TermHistory::default();
        peers.hear(life(2, 1, 1));
        assert!(peers.acknowledge(MemberId(2), Term(1), Position(80), &history));
        assert!(peers.counts(MemberId(2)));
        peers.hear(life(2, 1, 2));
        assert!(!peers.acknowledge(MemberId(2), Term(1), Position(72), &history));
        assert!(!peers.counts(MemberId(2)));
    }
}
