//! Who is cut off from whom in a test.

use alloc::vec::Vec;

use super::cluster::{Cluster, Datagram, endpoint};
use crate::identity::{Endpoint, RecoveryEpoch};
use crate::message::Stream;

/// Members that hear nobody and are heard by nobody, and a count for losing one in so many.
#[derive(Clone, Debug, Default)]
pub(super) struct Cut {
    pub(super) isolated: Vec<Endpoint>,
    pub(super) one_in: u64,
    pub(super) count: core::cell::Cell<u64>,
}

pub(super) fn isolated(cut: &Cut, from: Endpoint, to: Endpoint, _: &Datagram) -> bool {
    cut.isolated.contains(&from) || cut.isolated.contains(&to)
}

pub(super) fn one_in_so_many(cut: &Cut, from: Endpoint, to: Endpoint, what: &Datagram) -> bool {
    cut.count.set(cut.count.get() + 1);
    let draw = crate::hash::mix(cut.one_in, cut.count.get());
    isolated(cut, from, to, what) || draw.is_multiple_of(cut.one_in)
}

/// Those who are cut off get no bytes of the log, and all else.
pub(super) fn no_log_data(cut: &Cut, _: Endpoint, to: Endpoint, what: &Datagram) -> bool {
    cut.isolated.contains(&to) && matches!(what, Datagram::Data { stream: Stream::Log, .. })
}

impl Cluster {
    /// The recovery epoch of whoever is at an endpoint; datagrams of another are none to it.
    pub(super) fn epoch_of(&self, at: Endpoint) -> RecoveryEpoch {
        let node = self.nodes.iter().find(|(id, _)| endpoint(id.0) == at);
        let forced = node.map(|(_, node)| node.disk.forced.unwrap_or_default().epoch);
        forced.unwrap_or(self.epoch)
    }
}
