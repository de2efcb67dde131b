//! A map for few keys, or for keys that seldom come and go.

use alloc::vec::Vec;

/// So many are looked at one after the other: most tables have one or two.
const FEW: usize = 8;

/// Values by rising key, in one piece of memory: a member finds the few others, and its clients,
/// at every event, and adds and removes them seldom. Large values belong in a box, since an
/// insertion moves all that lie behind it.
#[derive(Clone, Debug, Hash)]
pub(super) struct Table<K, V> {
    entries: Vec<(K, V)>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<K: Copy + Ord, V> Table<K, V> {
    pub(super) const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// The value of `key`.
    #[inline]
    pub(super) fn get(&self, key: K) -> Option<&V> {
        self.find(key).ok().map(|at| &self.entries[at].1)
    }

    /// The value of `key`.
    #[inline]
    pub(super) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.find(key).ok().map(|at| &mut self.entries[at].1)
    }

    /// The value of `key`, which is `value` if it had none.
    pub(super) fn get_or_insert(&mut self, key: K, value: V) -> &mut V {
        let at = self.find(key).unwrap_or_else(|at| {
            self.entries.insert(at, (key, value));
            at
        });
        &mut self.entries[at].1
    }

    /// Gives `key` a value, in place of the one that it has.
    #[inline]
    pub(super) fn insert(&mut self, key: K, value: V) {
        match self.find(key) {
            Ok(at) => self.entries[at].1 = value,
            Err(at) => self.entries.insert(at, (key, value)),
        }
    }

    /// Takes the value of `key` out.
    pub(super) fn remove(&mut self, key: K) -> Option<V> {
        self.find(key).ok().map(|at| self.entries.remove(at).1)
    }

    /// Takes out all values that do not `keep`.
    pub(super) fn retain(&mut self, keep: impl Fn(K, &V) -> bool) {
        self.entries.retain(|(key, value)| keep(*key, value));
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The keys, rising.
    pub(super) fn keys(&self) -> impl Iterator<Item = K> {
        self.entries.iter().map(|&(key, _)| key)
    }

    /// The values, by rising key.
    #[inline]
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.iter().map(|(_, value)| value)
    }

    /// The values, by rising key.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    /// Keys and values, by rising key.
    pub(super) fn iter(&self) -> impl Iterator<Item = (K, &V)> + Clone {
        self.entries.iter().map(|(key, value)| (*key, value))
    }

    /// Keys and values, by rising key.
    #[inline]
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut V)> {
        self.entries.iter_mut().map(|(key, value)| (*key, value))
    }

    /// Where `key` is, or would be.
    #[inline]
    fn find(&self, key: K) -> Result<usize, usize> {
        match self.entries.first() {
            Some(&(first, _)) if first == key => Ok(0),
            _ => self.search(key),
        }
    }

    /// As [`Table::find`], behind the first. A function of its own: it is inlined nowhere, so that
    /// what a message goes through stays in the processor's cache of instructions.
    #[inline(never)]
    fn search(&self, key: K) -> Result<usize, usize> {
        if self.entries.len() > FEW {
            return self.entries.binary_search_by_key(&key, |&(known, _)| known);
        }
        let at = self.entries.iter().position(|&(known, _)| known >= key);
        match at {
            Some(at) if self.entries[at].0 == key => Ok(at),
            Some(at) => Err(at),
            None => Err(self.entries.len()),
        }
    }
}

impl<K: Copy + Ord, V> FromIterator<(K, V)> for Table<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut table = Self::new();
        for (key, value) in entries {
            table.insert(key, value);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use quickcheck::quickcheck;

    quickcheck! {
        fn it_holds_what_a_map_of_the_standard_library_holds(steps: Vec<(u8, u8, u16)>) -> bool {
            let (mut table, mut map) = (Table::new(), BTreeMap::new());
            steps.into_iter().all(|(kind, key, value)| {
                let same = match kind % 3 {
                    0 => table.remove(key) == map.remove(&key),
                    1 => table.get_or_insert(key, value) == map.entry(key).or_insert(value),
                    _ => {
                        table.insert(key, value);
                        map.insert(key, value);
                        table.get_mut(key) == map.get_mut(&key)
                    }
                };
                same && table.get(key) == map.get(&key)
                    && table.len() == map.len()
                    && table.is_empty() == map.is_empty()
                    && table.keys().eq(map.keys().copied())
                    && table.values().eq(map.values())
            })
        }
    }
}
