//! Tables of the observers. What they look up is nearly always among the newest of what they have
//! put on record, or of one of a handful of members: these find both in a few comparisons, where a
//! tree would descend from its root.

use quorate_core::MemberId;

/// Values by rising keys. New ones mostly go to the end, and are looked for from there.
#[derive(Clone, Debug)]
pub(super) struct Rising<K, T> {
    entries: Vec<(K, T)>,
}

impl<K, T> Default for Rising<K, T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

/// Where the element with `key` is in `list`, or where it would be put. Elements rise by `key_of`.
#[inline]
pub(crate) fn find_from_end<E, K: Ord>(
    list: &[E],
    key: K,
    key_of: impl Fn(&E) -> K,
) -> Result<usize, usize> {
    // In doubling steps from the end, then by halves.
    let (mut high, mut step) = (list.len(), 1);
    let low = loop {
        let Some(low) = high.checked_sub(step) else { break 0 };
        match key_of(&list[low]).cmp(&key) {
            core::cmp::Ordering::Less => break low + 1,
            core::cmp::Ordering::Equal => return Ok(low),
            core::cmp::Ordering::Greater => (high, step) = (low, 2 * step),
        }
    };
    match list[low..high].binary_search_by_key(&key, key_of) {
        Ok(at) => Ok(low + at),
        Err(at) => Err(low + at),
    }
}

impl<K: Copy + Ord, T> Rising<K, T> {
    #[inline]
    fn find(&self, key: K) -> Result<usize, usize> {
        find_from_end(&self.entries, key, |entry| entry.0)
    }

    /// The value of `key`.
    #[inline]
    pub(super) fn get(&self, key: K) -> Option<&T> {
        self.find(key).ok().map(|at| &self.entries[at].1)
    }

    /// The value of `key`, to be changed.
    #[inline]
    pub(super) fn get_mut(&mut self, key: K) -> Option<&mut T> {
        self.find(key).ok().map(|at| &mut self.entries[at].1)
    }

    /// The value of `key`; `first` from now on if it had none.
    #[inline]
    pub(super) fn get_or_insert_with(&mut self, key: K, first: impl FnOnce() -> T) -> &mut T {
        let at = self.find(key).unwrap_or_else(|at| {
            self.entries.insert(at, (key, first()));
            at
        });
        &mut self.entries[at].1
    }

    /// The value of `key`; the default from now on if it had none.
    #[inline]
    pub(super) fn entry(&mut self, key: K) -> &mut T
    where
        T: Default,
    {
        self.get_or_insert_with(key, T::default)
    }

    /// Sets the value of `key`; returns the one before.
    #[inline]
    pub(super) fn insert(&mut self, key: K, value: T) -> Option<T> {
        match self.find(key) {
            Ok(at) => Some(core::mem::replace(&mut self.entries[at].1, value)),
            Err(at) => {
                self.entries.insert(at, (key, value));
                None
            }
        }
    }

    /// Forgets `key`.
    pub(super) fn remove(&mut self, key: K) {
        if let Ok(at) = self.find(key) {
            self.entries.remove(at);
        }
    }

    /// Whether there is nothing.
    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All values by rising keys, to be changed.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().map(|entry| &mut entry.1)
    }

    /// All entries by rising keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        self.entries.iter().map(|(key, value)| (*key, value))
    }
}

/// Values by member. In a world whose members are numbered from one the number is the place.
#[derive(Clone, Debug)]
pub(super) struct ByMember<T> {
    members: Rising<MemberId, T>,
}

impl<T> Default for ByMember<T> {
    fn default() -> Self {
        Self { members: Rising::default() }
    }
}

impl<T: Default> ByMember<T> {
    /// The value of `member`; the default from now on if it had none.
    #[inline]
    pub(super) fn entry(&mut self, member: MemberId) -> &mut T {
        let place = usize::from(member.0).wrapping_sub(1);
        if self.members.entries.get(place).is_none_or(|(known, _)| *known != member) {
            return self.members.entry(member);
        }
        &mut self.members.entries[place].1
    }

    /// The value of `member`, if it has one.
    #[inline]
    pub(super) fn get(&self, member: MemberId) -> Option<&T> {
        let place = usize::from(member.0).wrapping_sub(1);
        match self.members.entries.get(place) {
            Some((known, value)) if *known == member => Some(value),
            _ => self.members.get(member),
        }
    }

    /// All entries by rising members.
    pub(super) fn iter(&self) -> impl Iterator<Item = (MemberId, &T)> {
        self.members.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn it_is_a_map_whatever_the_order() {
        let (mut rising, mut map) = (Rising::default(), BTreeMap::new());
        let mut dice = crate::Dice::new(1, "rising");
        for turn in 0..2_000_u64 {
            let near_the_end = turn + dice.below(8);
            let key = if dice.below(8) == 0 { dice.below(2_000) } else { near_the_end };
            match dice.below(4) {
                0 => assert_eq!(rising.insert(key, turn), map.insert(key, turn)),
                1 => assert_eq!(
                    rising.get_or_insert_with(key, || turn),
                    map.entry(key).or_insert(turn)
                ),
                2 if turn % 16 == 0 => {
                    rising.remove(key);
                    map.remove(&key);
                }
                _ => assert_eq!(rising.get(key), map.get(&key)),
            }
            assert_eq!(rising.get_mut(key), map.get_mut(&key));
        }
        assert!(rising.iter().eq(map.iter().map(|(key, value)| (*key, value))));
    }

    #[test]
    fn members_are_found_by_number_and_otherwise_too() {
        let mut values = ByMember::<u16>::default();
        for member in [3, 60_000, 1, 2, 0, 7] {
            *values.entry(MemberId(member)) += member + 1;
        }
        for member in [0, 1, 2, 3, 7, 60_000] {
            assert_eq!(values.get(MemberId(member)), Some(&(member + 1)));
            assert_eq!(*values.entry(MemberId(member)), member + 1);
        }
        assert_eq!(values.get(MemberId(4)), None);
        assert!(values.iter().map(|(member, _)| member.0).eq([0, 1, 2, 3, 7, 60_000]));
    }
}
