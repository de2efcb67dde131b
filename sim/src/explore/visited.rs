//! Which states were seen: a fingerprint of 64 bits of each, and from which one it was reached
//! first.

/// Entries of one chunk: what grows is never copied.
const CHUNK: usize = 1 << 20;

/// A vector that grows without being copied.
#[derive(Debug, Default)]
struct Chunks<T> {
    chunks: Vec<Vec<T>>,
}

impl<T: Copy> Chunks<T> {
    fn push(&mut self, value: T) {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(value);
        }
    }

    fn get(&self, at: u32) -> T {
        self.chunks[at as usize / CHUNK][at as usize % CHUNK]
    }
}

/// The states that were seen, by number. Two that have one fingerprint are taken for one: among `n`
/// states that is expected to happen `n² / 2⁶⁵` times.
#[derive(Debug)]
pub(super) struct Visited {
    /// Numbers, at a place that follows from the fingerprint; `EMPTY` for none.
    slots: Vec<u32>,
    fingerprints: Chunks<u64>,
    parents: Chunks<u32>,
    len: u32,
}

const EMPTY: u32 = u32::MAX;

impl Visited {
    pub(super) fn new() -> Self {
        Self {
            slots: vec![EMPTY; 1 << 16],
            fingerprints: Chunks { chunks: Vec::new() },
            parents: Chunks { chunks: Vec::new() },
            len: 0,
        }
    }

    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// Notes a state that was reached from `parent`: its number, if it is new.
    pub(super) fn note(&mut self, fingerprint: u64, parent: u32) -> Option<u32> {
        let place = self.place(fingerprint);
        if self.slots[place] != EMPTY {
            return None;
        }
        let number = self.len;
        self.slots[place] = number;
        self.fingerprints.push(fingerprint);
        self.parents.push(parent);
        self.len += 1;
        if self.len as usize > self.slots.len() / 4 * 3 {
            self.grow();
        }
        Some(number)
    }

    /// Where the fingerprint is, or would be.
    fn place(&self, fingerprint: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut place = fingerprint as usize & mask;
        while self.slots[place] != EMPTY && self.fingerprints.get(self.slots[place]) != fingerprint
        {
            place = (place + 1) & mask;
        }
        place
    }

    fn grow(&mut self) {
        let slots = self.slots.len() * 2;
        self.slots = Vec::new();
        self.slots.resize(slots, EMPTY);
        for number in 0..self.len {
            let place = self.place(self.fingerprints.get(number));
            self.slots[place] = number;
        }
    }

    /// The fingerprints on the way from the first state to this one, that one included.
    pub(super) fn way_to(&self, number: u32) -> Vec<u64> {
        let mut way = vec![self.fingerprints.get(number)];
        let mut at = number;
        while at != 0 {
            at = self.parents.get(at);
            way.push(self.fingerprints.get(at));
        }
        way.reverse();
        way
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::hash::mix;

    #[test]
    fn each_state_is_new_once_and_the_way_to_it_is_known() {
        let mut visited = Visited::new();
        let count = 100_000;
        for number in 0..count {
            let parent = u32::saturating_sub(number, 1) / 2;
            assert_eq!(visited.note(mix(1, u64::from(number)), parent), Some(number));
        }
        assert!((0..count).all(|number| visited.note(mix(1, u64::from(number)), 0).is_none()));
        assert_eq!(visited.len(), count);
        let way = [0, 1, 3, 8].map(|number| mix(1, number));
        assert_eq!(visited.way_to(8), way);
    }
}
