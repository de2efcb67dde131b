//! Whether each message that was answered was applied once, on all members: the receipts tell at
//! which place of the ledger it stands, and what the state was behind it.

use quorate_core::MemberId;

use super::journal::{Journal, name};
use crate::cluster::Ledger;

/// What came of the audit.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Audit {
    /// Messages that were answered.
    pub(super) acknowledged: u64,
    /// Entries of the ledgers of all members, if they have equally many.
    pub(super) entries: u64,
    /// Messages that were answered and are not in the ledgers where their receipt says.
    pub(super) lost: u64,
    /// Entries of which no answered message is the one: one was applied again, or nobody sent it.
    pub(super) twice: u64,
    /// Receipts of another state than the entries up to them make.
    pub(super) astray: u64,
    /// Members whose ledger is not what all receipts make.
    pub(super) unequal: Vec<MemberId>,
}

impl Audit {
    /// Holds the receipts of all clients, whose messages have `payload` bytes, against the entries
    /// and digests that the members tell.
    pub(super) fn of(
        journals: &[Journal],
        payload: &[u8],
        members: &[(MemberId, [u64; 2])],
    ) -> Self {
        let mut receipts: Vec<(Ledger, usize, u64)> = Vec::new();
        for journal in journals {
            let numbered = journal.receipts.iter().zip(1..);
            receipts.extend(numbered.map(|(receipt, number)| (*receipt, journal.client, number)));
        }
        receipts.sort_by_key(|(receipt, ..)| receipt.entries());
        let entries = members.iter().map(|(_, [entries, _])| *entries).max().unwrap_or_default();
        let mut audit = Self { acknowledged: receipts.len() as u64, entries, ..Self::default() };
        let mut bytes = payload.to_vec();
        let mut expected = Ledger::default();
        for (receipt, client, number) in receipts {
            let place = receipt.entries();
            if place <= expected.entries() || place > entries {
                audit.lost += 1;
                continue;
            }
            while expected.entries() + 1 < place {
                // What stands there nobody knows: from here on no digest is right.
                audit.twice += 1;
                expected.add(&[]);
            }
            name(client, number, &mut bytes);
            expected.add(&bytes);
            audit.astray += u64::from(expected != receipt);
        }
        audit.twice += entries - expected.entries();
        let is_unequal =
            |told: &[u64; 2]| Ledger::read(&told.map(u64::to_le_bytes).concat()) != Some(expected);
        let unequal = members.iter().filter(|(_, told)| is_unequal(told));
        audit.unequal = unequal.map(|(member, _)| *member).collect();
        audit
    }

    /// Whether nothing is wrong.
    pub(super) fn is_sound(&self) -> bool {
        self.lost == 0 && self.twice == 0 && self.astray == 0 && self.unequal.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::journal::Watch;
    use super::*;

    const PAYLOAD: [u8; 24] = [0x5a; 24];

    /// The receipts of clients whose messages were applied in this order; each entry names its
    /// client.
    fn applied(order: &[usize]) -> (Vec<Journal>, Ledger) {
        let watch = Watch::new(2);
        let mut journals: Vec<Journal> =
            (0..2).map(|client| Journal::new(client, watch.clone())).collect();
        let (mut ledger, mut payload) = (Ledger::default(), PAYLOAD);
        for &client in order {
            let number = journals[client].receipts.len() as u64 + 1;
            name(client, number, &mut payload);
            ledger.add(&payload);
            journals[client].receipts.push(ledger);
        }
        (journals, ledger)
    }

    fn told(ledger: Ledger) -> [u64; 2] {
        let receipt = ledger.receipt();
        let (entries, digest) = receipt.split_at(8);
        [entries, digest].map(|half| u64::from_le_bytes(half.try_into().unwrap()))
    }

    fn audited(journals: &[Journal], ledgers: [Ledger; 2]) -> Audit {
        let members = [MemberId(1), MemberId(2)].into_iter().zip(ledgers.map(told));
        Audit::of(journals, &PAYLOAD, &members.collect::<Vec<_>>())
    }

    #[test]
    fn what_was_applied_once_in_one_order_everywhere_is_sound() {
        let (journals, ledger) = applied(&[0, 1, 1, 0, 1]);
        let audit = audited(&journals, [ledger; 2]);
        assert!(audit.is_sound(), "{audit:?}");
        assert_eq!((audit.acknowledged, audit.entries), (5, 5));
    }

    #[test]
    fn what_was_answered_and_is_not_there_is_lost() {
        let (journals, _) = applied(&[0, 1, 1, 0]);
        let (_, shorter) = applied(&[0, 1, 1]);
        assert_eq!(audited(&journals, [shorter; 2]).lost, 1);
        // Another stands in its place.
        let (mut journals, ledger) = applied(&[0, 1]);
        let receipt = journals[1].receipts[0];
        journals[0].receipts.push(receipt);
        let audit = audited(&journals, [ledger; 2]);
        assert_eq!((audit.lost, audit.is_sound()), (1, false));
    }

    #[test]
    fn what_is_there_twice_is_seen_at_its_place_and_at_the_end() {
        let (mut journals, mut ledger) = applied(&[0, 1]);
        name(1, 1, &mut PAYLOAD.clone());
        ledger.add(b"again");
        assert_eq!(audited(&journals, [ledger; 2]).twice, 1);
        let mut third = PAYLOAD;
        name(0, 2, &mut third);
        ledger.add(&third);
        journals[0].receipts.push(ledger);
        let audit = audited(&journals, [ledger; 2]);
        assert_eq!((audit.twice, audit.astray, audit.lost), (1, 1, 0));
    }

    #[test]
    fn a_member_with_another_state_is_named() {
        let (journals, ledger) = applied(&[0, 1, 1]);
        let (_, other) = applied(&[1, 0, 1]);
        assert_eq!(audited(&journals, [ledger, other]).unequal, [MemberId(2)]);
        assert_eq!(audited(&journals, [other, other]).unequal, [MemberId(1), MemberId(2)]);
    }
}
