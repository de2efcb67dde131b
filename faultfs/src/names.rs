//! Names in directories, and their changes that no sync of a directory has covered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;

use crate::content::Fates;
use crate::disk::NodeId;
use crate::draws::Draws;

/// Changes of names that are remembered. Of more, the oldest is durable without a sync, as it may
/// be.
pub const CHANGES_MAX: usize = 4_096;

/// The names in one directory.
pub(crate) type Names = BTreeMap<OsString, NodeId>;
/// Where a name is: the directory and the name.
pub(crate) type Place = (NodeId, OsString);

/// One change of names: whole, or not there.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Put(Place, NodeId),
    Remove(Place),
    Move(Place, Place, NodeId),
}

impl Change {
    fn touches(&self, folders: &BTreeSet<NodeId>) -> bool {
        self.folders().iter().any(|folder| folders.contains(folder))
    }

    const fn folders(&self) -> [NodeId; 2] {
        match self {
            Self::Put((folder, _), _) | Self::Remove((folder, _)) => [*folder, *folder],
            Self::Move((from, _), (to, _), _) => [*from, *to],
        }
    }

    fn apply(self, durable: &mut BTreeMap<NodeId, Names>) {
        match self {
            Self::Put((folder, name), node) => {
                durable.entry(folder).or_default().insert(name, node);
            }
            Self::Remove((folder, name)) => {
                durable.entry(folder).or_default().remove(&name);
            }
            Self::Move((from, old), (to, new), node) => {
                let names = durable.entry(from).or_default();
                // Another file may have that name by now.
                if names.get(&old) == Some(&node) {
                    names.remove(&old);
                }
                durable.entry(to).or_default().insert(new, node);
            }
        }
    }
}

/// The durable names of all directories, and the changes since.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    durable: BTreeMap<NodeId, Names>,
    changes: VecDeque<Change>,
}

impl Journal {
    pub(crate) fn note(&mut self, change: Change) {
        self.changes.push_back(change);
        if self.changes.len() > CHANGES_MAX
            && let Some(oldest) = self.changes.pop_front()
        {
            oldest.apply(&mut self.durable);
        }
    }

    /// Makes the names of a directory durable. A rename between two is one change, so what came
    /// before it in the other one is durable with it.
    pub(crate) fn sync(&mut self, folder: NodeId) {
        let mut folders = BTreeSet::from([folder]);
        let mut synced = vec![false; self.changes.len()];
        for (change, synced) in self.changes.iter().zip(&mut synced).rev() {
            if change.touches(&folders) {
                *synced = true;
                folders.extend(change.folders());
            }
        }
        for (change, synced) in core::mem::take(&mut self.changes).into_iter().zip(synced) {
            if synced {
                change.apply(&mut self.durable);
            } else {
                self.changes.push_back(change);
            }
        }
    }

    /// The power fails: each change is there or not. Returns the names of all directories.
    pub(crate) fn crash(
        &mut self,
        draws: &mut Draws,
        keep: u64,
        fates: &mut Fates,
    ) -> &BTreeMap<NodeId, Names> {
        for change in core::mem::take(&mut self.changes) {
            if draws.percent(keep) {
                fates.names_kept += 1;
                change.apply(&mut self.durable);
            } else {
                fates.names_lost += 1;
            }
        }
        &self.durable
    }

    /// Forgets the names of directories that are gone.
    pub(crate) fn retain(&mut self, is_there: impl Fn(NodeId) -> bool) {
        self.durable.retain(|folder, _| is_there(*folder));
    }

    /// Nodes that have a durable name, or may come to have one.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        let changed = self.changes.iter().filter_map(|change| match change {
            Change::Put(_, node) | Change::Move(_, _, node) => Some(*node),
            Change::Remove(_) => None,
        });
        self.durable.values().flat_map(BTreeMap::values).copied().chain(changed)
    }
}
