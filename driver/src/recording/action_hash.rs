//! One number over all that a member does.

use core::hash::{Hash, Hasher};

use quorate_codecs::{encode_control, encode_data};
use quorate_core::hash::StateHasher;
use quorate_core::{
    Action, Apply, Delivery, Destination, Endpoint, Member, Position, PositionRange, Source, Stream,
};

use crate::member_loop::{bytes_of, header_of};
use crate::port::StorageRequest;
use crate::sender::{DATAGRAM_BYTES_MAX, part};

const DATAGRAM: u8 = 1;
const APPEND: u8 = 2;
const CUT: u8 = 3;
const SYNC: u8 = 4;
const VOTE: u8 = 5;
const HISTORY: u8 = 6;
const PEERS: u8 = 7;
const READ: u8 = 8;
const APPLY: u8 = 9;
const PAYLOAD: u8 = 10;
const NOTICE: u8 = 11;
const FAIL_STOP: u8 = 12;
const SNAPSHOT: u8 = 13;
const PURGE: u8 = 14;
const READ_SNAPSHOT: u8 = 15;
const KEEP_PART: u8 = 16;
const CHECK_SNAPSHOT: u8 = 17;
const DROP_SNAPSHOT: u8 = 18;
const INSTALL: u8 = 19;
const RESTART: u8 = 20;
const SERVE_READ: u8 = 31;
const ANSWER_READ: u8 = 32;
const DISCARD: u8 = 21;

/// A running hash of actions, in order, with all bytes that they name: each datagram as it is
/// encoded and to which address it goes, what is appended and where, what is made durable, every
/// payload that is applied, notices and the fail-stop. Equal hashes mean byte-identical actions.
///
/// It is fed on either of two ways. [`ActionHash::action`] encodes an action by itself: what a
/// recording and a replay through the core do. Virtual ports under a `MemberLoop` feed what reaches
/// them, and [`ActionHash::beyond_ports`] what reaches no port; the sum is the same.
///
/// All values go through [`StateHasher`], so neither the size of a pointer nor the byte order nor
/// the profile shows.
#[derive(Debug, Default)]
pub(crate) struct ActionHash {
    hasher: StateHasher,
    actions: u64,
    scratch: Vec<u8>,
}

impl ActionHash {
    /// The hash of everything so far.
    pub(crate) fn value(&self) -> u64 {
        self.hasher.finish()
    }

    /// How many actions there were.
    pub(crate) const fn actions(&self) -> u64 {
        self.actions
    }

    /// An action of `member`, as it has to be performed.
    pub(crate) fn action(&mut self, action: &Action, member: &Member, read: Option<&[u8]>) {
        self.beyond_ports(action);
        match action {
            Action::Send { to, message } => {
                let Some(to) = endpoint(member, *to) else { return };
                let mut scratch = core::mem::take(&mut self.scratch);
                scratch.resize(DATAGRAM_BYTES_MAX, 0);
                if let Ok(length) = encode_control(&header_of(member), message, &mut scratch) {
                    self.datagram(to, &scratch[..length]);
                }
                self.scratch = scratch;
            }
            Action::SendData { to, stream, epoch, range, source, live } => {
                let Some(to) = endpoint(member, *to) else { return };
                let bytes = bytes_of(member, *stream, *range, *source, read);
                let slice_bytes = member.config().limits.slice_bytes as usize;
                let header = header_of(member);
                let mut scratch = core::mem::take(&mut self.scratch);
                scratch.resize(DATAGRAM_BYTES_MAX, 0);
                let total = bytes.0.len() + bytes.1.len();
                for start in (0..total).step_by(slice_bytes.max(1)) {
                    let slice = part(bytes, start, slice_bytes.min(total - start));
                    let (at, live) = (range.start.plus(start as u64), *live);
                    let encoded =
                        encode_data(&header, *stream, *epoch, at, live, slice, &mut scratch);
                    let Ok(length) = encoded else { break };
                    self.datagram(to, &scratch[..length]);
                }
                self.scratch = scratch;
            }
            Action::Append { range } => {
                self.append(range.start, member.bytes(Stream::Log, *range));
            }
            Action::PersistHistory { operation, history, cut } => {
                self.cut(*cut);
                (HISTORY, operation, history).hash(&mut self.hasher);
            }
            Action::Sync { .. } | Action::PersistVote { .. } | Action::PersistPeers { .. } => {
                self.of_records(action);
            }
            Action::TakeSnapshot { .. }
            | Action::ReadSnapshot { .. }
            | Action::KeepSnapshotPart { .. }
            | Action::CheckSnapshot { .. }
            | Action::DropSnapshot
            | Action::DiscardSnapshots { .. }
            | Action::InstallSnapshot { .. }
            | Action::Purge { .. } => self.of_snapshots(action, member),
            Action::ReadLog { operation, range } => {
                (READ, operation, range).hash(&mut self.hasher);
            }
            Action::Apply(Apply {
                delivery: Delivery::Message { payload, source, .. }, ..
            }) => self.message(member, *payload, *source, read),
            // Beyond all ports: hashed above.
            _ => {}
        }
    }

    /// What is to become durable beside the log's bytes and the history.
    fn of_records(&mut self, action: &Action) {
        match action {
            Action::Sync { operation } => (SYNC, operation).hash(&mut self.hasher),
            Action::PersistVote { operation, vote } => {
                (VOTE, operation, vote).hash(&mut self.hasher);
            }
            Action::PersistPeers { operation, peers } => {
                (PEERS, operation, peers).hash(&mut self.hasher);
            }
            _ => {}
        }
    }

    /// An action that is about snapshots, and what they stand for.
    fn of_snapshots(&mut self, action: &Action, member: &Member) {
        match action {
            Action::TakeSnapshot { operation, snapshot, pinned } => {
                (SNAPSHOT, operation, snapshot, pinned).hash(&mut self.hasher);
            }
            Action::ReadSnapshot { operation, position, range } => {
                (READ_SNAPSHOT, operation, position, range).hash(&mut self.hasher);
            }
            Action::KeepSnapshotPart { operation, manifest, range } => {
                (KEEP_PART, operation, manifest, range.start).hash(&mut self.hasher);
                self.joined(member.bytes(Stream::Snapshot, *range));
            }
            Action::CheckSnapshot { operation, manifest } => {
                (CHECK_SNAPSHOT, operation, manifest).hash(&mut self.hasher);
            }
            Action::DropSnapshot => DROP_SNAPSHOT.hash(&mut self.hasher),
            Action::DiscardSnapshots { from } => (DISCARD, from).hash(&mut self.hasher),
            Action::InstallSnapshot { operation, manifest } => {
                (INSTALL, operation, manifest).hash(&mut self.hasher);
            }
            Action::Purge { origin } => (PURGE, origin).hash(&mut self.hasher),
            _ => {}
        }
    }

    /// That part of an action that no port gets to see.
    pub(crate) fn beyond_ports(&mut self, action: &Action) {
        self.actions += 1;
        match action {
            Action::Apply(apply) => (APPLY, apply).hash(&mut self.hasher),
            Action::Notify(notice) => (NOTICE, notice).hash(&mut self.hasher),
            Action::FailStop(reason) => (FAIL_STOP, reason).hash(&mut self.hasher),
            Action::Restart => RESTART.hash(&mut self.hasher),
            Action::ServeRead(query) => {
                (SERVE_READ, query.number, query.applied, &query.payload).hash(&mut self.hasher);
            }
            Action::AnswerRead { token, outcome } => {
                (ANSWER_READ, token, outcome).hash(&mut self.hasher);
            }
            _ => {}
        }
    }

    /// A datagram that is sent.
    pub(crate) fn datagram(&mut self, to: Endpoint, datagram: &[u8]) {
        (DATAGRAM, to, datagram).hash(&mut self.hasher);
    }

    /// Bytes that are appended, in two slices.
    pub(crate) fn append(&mut self, position: Position, bytes: (&[u8], &[u8])) {
        (APPEND, position).hash(&mut self.hasher);
        self.joined(bytes);
    }

    /// A cut of the log.
    pub(crate) fn cut(&mut self, at: Position) {
        (CUT, at).hash(&mut self.hasher);
    }

    /// Something that is asked of the storage.
    pub(crate) fn request<C>(&mut self, request: &StorageRequest<C>) {
        let hasher = &mut self.hasher;
        match request {
            StorageRequest::Sync { operation } => (SYNC, operation).hash(hasher),
            StorageRequest::PersistVote { operation, vote } => (VOTE, operation, vote).hash(hasher),
            StorageRequest::PersistHistory { operation, history, .. } => {
                (HISTORY, operation, history).hash(hasher);
            }
            StorageRequest::Purge { origin } => (PURGE, origin).hash(hasher),
            StorageRequest::PersistPeers { operation, peers } => {
                (PEERS, operation, peers).hash(hasher);
            }
            // The service's part is not the core's action, and there is no service in a replay.
            StorageRequest::StoreSnapshot { operation, snapshot, pinned, .. } => {
                (SNAPSHOT, operation, snapshot, pinned).hash(hasher);
            }
            StorageRequest::Read { operation, range } => (READ, operation, range).hash(hasher),
            StorageRequest::ReadSnapshot { operation, position, range } => {
                (READ_SNAPSHOT, operation, position, range).hash(hasher);
            }
            StorageRequest::KeepSnapshotPart { operation, manifest, start, bytes } => {
                (KEEP_PART, operation, manifest, start).hash(hasher);
                bytes.hash(hasher);
            }
            StorageRequest::CheckSnapshot { operation, manifest } => {
                (CHECK_SNAPSHOT, operation, manifest).hash(hasher);
            }
            StorageRequest::DropSnapshot => DROP_SNAPSHOT.hash(hasher),
            StorageRequest::DiscardSnapshots { from } => (DISCARD, from).hash(hasher),
            StorageRequest::InstallSnapshot { operation, manifest } => {
                (INSTALL, operation, manifest).hash(hasher);
            }
        }
    }

    /// The payload of a message that is applied.
    pub(crate) fn payload(&mut self, payload: &[u8]) {
        self.joined_payload((payload, &[]));
    }

    fn message(
        &mut self,
        member: &Member,
        range: PositionRange,
        source: Source,
        read: Option<&[u8]>,
    ) {
        let bytes = bytes_of(member, Stream::Log, range, source, read);
        // What is not all there is not applied; the storage is told to have failed.
        if (bytes.0.len() + bytes.1.len()) as u64 == range.len() {
            self.joined_payload(bytes);
        }
    }

    fn joined_payload(&mut self, bytes: (&[u8], &[u8])) {
        PAYLOAD.hash(&mut self.hasher);
        self.joined(bytes);
    }

    /// Where a ring wraps must not show.
    fn joined(&mut self, bytes: (&[u8], &[u8])) {
        if bytes.1.is_empty() {
            bytes.0.hash(&mut self.hasher);
        } else {
            self.scratch.clear();
            self.scratch.extend_from_slice(bytes.0);
            self.scratch.extend_from_slice(bytes.1);
            self.scratch.hash(&mut self.hasher);
        }
    }
}

/// Where an action's datagrams go; nowhere to a member that is not configured.
fn endpoint(member: &Member, to: Destination) -> Option<Endpoint> {
    match to {
        Destination::Client(endpoint) => Some(endpoint),
        Destination::Member(id) => member.endpoint_of(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(feed: impl FnOnce(&mut ActionHash)) -> u64 {
        let mut hash = ActionHash::default();
        feed(&mut hash);
        hash.value()
    }

    #[test]
    fn where_bytes_wrap_does_not_show() {
        let whole = hash_of(|hash| hash.append(Position(8), (b"abcdefghij", b"")));
        for split in 0..10 {
            let (first, second) = b"abcdefghij".split_at(split);
            assert_eq!(hash_of(|hash| hash.append(Position(8), (first, second))), whole);
        }
    }

    #[test]
    fn order_place_and_bytes_show() {
        let (to, other) = (Endpoint([1; 18]), Endpoint([2; 18]));
        let hashes = [
            hash_of(|_| {}),
            hash_of(|hash| hash.datagram(to, b"ab")),
            hash_of(|hash| hash.datagram(other, b"ab")),
            hash_of(|hash| hash.datagram(to, b"ac")),
            hash_of(|hash| ["a", "b"].iter().for_each(|one| hash.datagram(to, one.as_bytes()))),
            hash_of(|hash| ["b", "a"].iter().for_each(|one| hash.datagram(to, one.as_bytes()))),
            hash_of(|hash| hash.payload(b"ab")),
            hash_of(|hash| hash.append(Position(0), (b"ab", b""))),
            hash_of(|hash| hash.append(Position(8), (b"ab", b""))),
        ];
        for (index, hash) in hashes.iter().enumerate() {
            assert!(!hashes[..index].contains(hash), "{index}");
        }
    }
}
