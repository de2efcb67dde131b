//! Who is cut off from whom in a test.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::cluster::{CLIENT, Cluster, Datagram, endpoint};
use crate::identity::{Endpoint, RecoveryEpoch};
use crate::message::{Incoming, Stream};

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
    pub(super) fn line(&self, from: Endpoint, to: u16, content: &Incoming<'_>) -> String {
        let name = |number| match number {
            CLIENT => String::from("client"),
            member => format!("member {member}"),
        };
        let from = name(u16::from_be_bytes([from.0[16], from.0[17]]));
        let what = match content {
            Incoming::Control(message) => format!("{message:?}"),
            Incoming::Data { stream, epoch, position, live, slice } => {
                let end = position.0 + slice.len() as u64;
                format!("Data {stream:?} epoch {epoch} [{position}, {end}) {live:?}")
            }
        };
        format!("{:>9} us  {from} -> {}  {what}\n", self.now.0 / 1_000, name(to))
    }

    pub(super) fn running(&self) -> Vec<u16> {
        let up = self.nodes.iter().filter(|(_, node)| node.member.is_some());
        up.map(|(id, _)| id.0).collect()
    }

    /// The recovery epoch of whoever is at an endpoint; datagrams of another are none to it.
    pub(super) fn epoch_of(&self, at: Endpoint) -> RecoveryEpoch {
        let node = self.nodes.iter().find(|(id, _)| endpoint(id.0) == at);
        let forced = node.map(|(_, node)| node.disk.forced.unwrap_or_default().epoch);
        forced.unwrap_or(self.epoch)
    }
}
