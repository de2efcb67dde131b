//! The replicated service of the command: a ledger that entries are added to.

use quorate_core::hash::{StateHasher, mix};
use quorate_driver::{Context, Frozen, QueryError, Service, ServiceError};

use core::hash::Hasher;

/// Counts entries and keeps a hash over all of them with their numbers, so that a lost, doubled or
/// swapped entry shows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Ledger {
    entries: u64,
    digest: u64,
}

impl Ledger {
    /// Adds an entry.
    pub(crate) fn add(&mut self, entry: &[u8]) {
        self.entries += 1;
        let mut hasher = StateHasher::default();
        hasher.write_u64(self.entries);
        hasher.write(entry);
        self.digest = mix(self.digest, hasher.finish());
    }

    /// How many entries there are.
    pub(crate) const fn entries(&self) -> u64 {
        self.entries
    }

    /// What a member replies after an entry was added: the state then.
    pub(crate) fn receipt(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.entries.to_le_bytes());
        bytes[8..].copy_from_slice(&self.digest.to_le_bytes());
        bytes
    }

    /// The state that a receipt or a snapshot tells of.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (entries, digest) = bytes.split_first_chunk::<8>()?;
        let digest: [u8; 8] = digest.try_into().ok()?;
        let (entries, digest) = (u64::from_le_bytes(*entries), u64::from_le_bytes(digest));
        Some(Self { entries, digest })
    }
}

impl Service for Ledger {
    fn message(
        &mut self,
        _context: &mut Context<'_>,
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) -> Result<(), ServiceError> {
        self.add(payload);
        reply.extend_from_slice(&self.receipt());
        Ok(())
    }

    /// The state, whatever is asked.
    fn query(&self, _request: &[u8], reply: &mut Vec<u8>) -> Result<(), QueryError> {
        reply.extend_from_slice(&self.receipt());
        Ok(())
    }

    fn snapshot(&self) -> Frozen {
        Frozen::laid_out(self.receipt().to_vec())
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), ServiceError> {
        *self = Self::read(bytes).ok_or_else(|| ServiceError("no snapshot of a ledger".into()))?;
        Ok(())
    }

    fn digest(&self) -> u64 {
        self.digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entries: &[&str]) -> Ledger {
        let mut ledger = Ledger::default();
        entries.iter().for_each(|entry| ledger.add(entry.as_bytes()));
        ledger
    }

    #[test]
    fn a_lost_doubled_swapped_or_changed_entry_shows() {
        let right = of(&["a", "b", "c"]);
        assert_eq!(right, of(&["a", "b", "c"]));
        for wrong in [
            &["a", "c"][..],
            &["a", "b", "b", "c"],
            &["b", "a", "c"],
            &["a", "b", "C"],
            &["ab", "", "c"],
        ] {
            assert_ne!(right.digest, of(wrong).digest, "{wrong:?}");
        }
    }

    #[test]
    fn a_snapshot_is_the_whole_state() {
        let ledger = of(&["a", "b"]);
        let bytes = ledger.snapshot().into_bytes().unwrap();
        let mut other = Ledger::default();
        other.restore(&bytes).unwrap();
        assert_eq!(ledger, other);
        assert!(other.restore(&bytes[1..]).is_err());
    }
}
