//! Taking over a member's actions, in order, as the design law says.

use core::hash::Hasher;

use quorate_core::hash::StateHasher;
use quorate_core::message::Live;
use quorate_core::{
    Action, Actions, Apply, Counters, Delivery, Destination, Notice, OperationId, Position,
    PositionRange, Sender, Source, Stream,
};

use crate::disk::Work;
use crate::ledger::{Answer, Delivered, Moment, hash_joined};
use crate::network::{Content, Datagram, Place};
use crate::node::{Broken, Node};
use crate::observers::Observed;
use crate::report::Mark;
use crate::world::{Occurrence, World};

/// A run of a stream that is to be cut into datagrams.
struct Run {
    stream: Stream,
    epoch: u64,
    range: PositionRange,
    live: Option<Live>,
}

impl World {
    /// Performs the actions of one event; `read` holds the bytes of the read that was the event.
    pub(crate) fn perform_all(&mut self, node: usize, actions: &mut Actions, read: &[u8]) {
        for action in actions.drain() {
            let spared = !self.may_end(node);
            let host = &mut self.nodes[node];
            match &mut host.crash_after {
                Some(0) if spared => host.crash_after = None,
                Some(0) => {
                    self.tally.saw(Mark::CrashBetweenActions);
                    return self.lose_power(node);
                }
                Some(left) => *left -= 1,
                None => {}
            }
            self.watch.show(&self.nodes, self.now, node, Observed::Acting(&action));
            self.note(|| format!("member {}: {action:?}", node + 1));
            self.perform(node, action, read);
            if self.nodes[node].member.is_none() {
                return; // it has stopped
            }
        }
    }

    fn perform(&mut self, node: usize, action: Action, read: &[u8]) {
        match action {
            Action::Send { to, message } => {
                let sender = sender(&self.nodes[node]);
                self.send(sender, self.place(node), to_place(to), Content::Control(message));
            }
            Action::SendData { to, stream, epoch, range, source, live } => {
                self.send_data(node, to, Run { stream, epoch, range, live }, source, read);
            }
            Action::Append { range } => self.append(node, range),
            Action::Sync { operation } => {
                let covers = self.nodes[node].disk.written_end().0;
                self.issue(node, operation, 0, Work::Sync { covers });
            }
            Action::PersistVote { operation, vote } => {
                self.issue(node, operation, 1, Work::Vote(vote));
            }
            Action::PersistHistory { operation, history, cut } => {
                self.issue(node, operation, 2, Work::History { history, cut });
            }
            Action::PersistPeers { operation, peers } => {
                self.issue(node, operation, 3, Work::Peers(peers.into_vec()));
            }
            Action::TakeSnapshot { operation, snapshot, pinned } => {
                self.take_snapshot(node, operation, *snapshot, pinned);
            }
            Action::ReadSnapshot { .. }
            | Action::KeepSnapshotPart { .. }
            | Action::CheckSnapshot { .. }
            | Action::DropSnapshot
            | Action::DiscardSnapshots { .. }
            | Action::InstallSnapshot { .. } => self.perform_on_snapshots(node, &action),
            Action::Restart => self.restart_in_place(node),
            Action::ReadLog { operation, range } => {
                self.tally.saw(Mark::ReadLog);
                self.issue(node, operation, 4, Work::Read(range));
            }
            Action::Purge { origin } => {
                self.tally.saw(Mark::Purged);
                self.nodes[node].disk.purge(origin);
            }
            Action::Apply(apply) => self.apply(node, &apply, read),
            Action::ServeRead(query) => {
                let host = &mut self.nodes[node];
                let answer = host.service.query(&query.payload);
                host.served.push_back((query.number, answer));
            }
            // No host of this world reads.
            Action::AnswerRead { .. } => {}
            Action::Notify(notice) => self.hear(notice),
            Action::FailStop(reason) => self.stopped(node, reason),
        }
    }

    /// Does what concerns stored snapshots, and those of other members.
    fn perform_on_snapshots(&mut self, node: usize, action: &Action) {
        match *action {
            Action::ReadSnapshot { operation, position, range } => {
                self.read_snapshot(node, operation, position, range);
            }
            Action::KeepSnapshotPart { operation, manifest, range } => {
                self.keep_part(node, operation, manifest, range);
            }
            Action::CheckSnapshot { operation, manifest } => {
                self.check_snapshot(node, operation, manifest);
            }
            Action::DropSnapshot => self.nodes[node].disk.drop_draft(),
            Action::DiscardSnapshots { from } => {
                self.tally.saw(Mark::SnapshotsDiscarded);
                self.nodes[node].disk.discard_snapshots(from);
            }
            Action::InstallSnapshot { operation, manifest } => {
                self.install_snapshot(node, operation, manifest);
            }
            _ => {}
        }
    }

    fn hear(&mut self, notice: Notice) {
        match notice {
            Notice::SessionClosed { .. } => self.tally.saw(Mark::SessionClosed),
            Notice::Stalled { .. } => self.tally.saw(Mark::Stalled),
            Notice::Transfer { request, outcome } => self.note_transfer(request, outcome),
            Notice::ChangeMembership { request, outcome } => self.note_change(request, outcome),
            Notice::SnapshotFetchBegun { .. } => self.tally.saw(Mark::FetchBegun),
            Notice::SnapshotRejected { .. } => self.tally.saw(Mark::FetchRejected),
            Notice::SnapshotInstalled { .. } => self.tally.saw(Mark::FetchInstalled),
            _ => {}
        }
    }

    fn send_data(&mut self, node: usize, to: Destination, run: Run, source: Source, read: &[u8]) {
        let host = &self.nodes[node];
        let Some(member) = &host.member else { return };
        let mut bytes = core::mem::take(&mut self.buffer);
        bytes.clear();
        match source {
            Source::Member => {
                let (first, second) = member.bytes(run.stream, run.range);
                bytes.extend_from_slice(first);
                bytes.extend_from_slice(second);
            }
            Source::Read(begin) => {
                bytes.extend_from_slice(part_of(read, begin, run.range));
                self.tally.saw(Mark::ReadRepair);
            }
        }
        if bytes.len() as u64 != run.range.len() {
            let text = format!("member {} sends {} without its bytes", node + 1, run.range);
            self.found("S20", text);
        }
        if let Stream::Egress(key) = run.stream {
            let egress =
                Observed::Egress { key, epoch: run.epoch, start: run.range.start, bytes: &bytes };
            self.watch.show(&self.nodes, self.now, node, egress);
        }
        let sender = sender(&self.nodes[node]);
        let slice_bytes = self.swarm.limits.slice_bytes as usize;
        let places = (self.place(node), to_place(to));
        self.send_slices(sender, places, slice_bytes, &run, &bytes);
        self.buffer = bytes;
    }

    fn send_slices(
        &mut self,
        sender: Sender,
        (from, to): (Place, Option<Place>),
        slice_bytes: usize,
        run: &Run,
        bytes: &[u8],
    ) {
        let mut position = run.range.start;
        for slice in bytes.chunks(slice_bytes) {
            let content = Content::Data {
                stream: run.stream,
                epoch: run.epoch,
                position,
                live: run.live,
                bytes: slice.to_vec(),
            };
            self.send(sender, from, to, content);
            position = position.plus(slice.len() as u64);
        }
    }

    /// Sends a client's run of its ingress stream.
    pub(crate) fn send_ingress(
        &mut self,
        sender: Sender,
        places: (Place, Option<Place>),
        (stream, epoch, range): (Stream, u64, PositionRange),
        bytes: &[u8],
    ) {
        if let Stream::Ingress(key) = stream {
            let ingress = Observed::Ingress { key, epoch, range };
            self.watch.show(&self.nodes, self.now, 0, ingress);
        }
        let slice_bytes = self.swarm.client_limits.slice_bytes as usize;
        let run = Run { stream, epoch, range, live: None };
        self.send_slices(sender, places, slice_bytes, &run, bytes);
    }

    /// Hands a datagram to the network.
    pub(crate) fn send(
        &mut self,
        sender: Sender,
        from: Place,
        to: Option<Place>,
        content: Content,
    ) {
        let Some(to) = to else { return };
        if self.is_core_traffic(from, to) {
            self.quiet.count(&content);
        }
        let datagram = self.on_the_wire(Datagram { sender, source: from.endpoint(), content });
        let mut arrivals = core::mem::take(&mut self.arrivals);
        self.network.send(self.now, (from, to), datagram, &mut self.tally, &mut arrivals);
        for arrival in arrivals.drain(..) {
            self.last_arrival = self.last_arrival.max(arrival.at);
            self.queue.push(arrival.at, Occurrence::Arrive(arrival.to, arrival.datagram));
        }
        self.arrivals = arrivals;
        self.stranger_sends();
    }

    fn append(&mut self, node: usize, range: PositionRange) {
        let host = &mut self.nodes[node];
        let Node { member: Some(member), disk, disk_full, refused, failed, .. } = host else {
            return;
        };
        if failed.is_some() {
            return; // nothing behind a failed write is tried
        }
        if *disk_full || refused.is_some() {
            self.tally.saw(Mark::DiskFull);
            refused.get_or_insert(range.start);
            return;
        }
        let (first, second) = member.bytes(Stream::Log, range);
        if core::mem::take(&mut host.fails_write) && !self.calm {
            self.tally.saw(Mark::WriteError);
            let known = disk.frames().len();
            disk.append_part(first, second, &mut self.dice.disk);
            *failed = Some(Broken::Storage);
            let frames = &self.nodes[node].disk.frames()[known..];
            let written = Observed::Written { frames, bad: None };
            return self.watch.show(&self.nodes, self.now, node, written);
        }
        let known = disk.frames().len();
        let whole = (first.len() + second.len()) as u64 == range.len();
        let bad = disk.append(first, second).1;
        if !whole {
            self.found("S20", format!("member {} appends {range} without its bytes", node + 1));
        }
        let frames = &self.nodes[node].disk.frames()[known..];
        self.watch.show(&self.nodes, self.now, node, Observed::Written { frames, bad });
    }

    /// Has the disk do something that completes later; those of one `kind` complete in order.
    pub(crate) fn issue(&mut self, node: usize, operation: OperationId, kind: usize, work: Work) {
        if self.quiet.is_on() && self.core.contains(&node) {
            self.quiet.count_operation(kind);
        }
        let options = &self.swarm.disk;
        let mut latency = self.dice.disk.between(options.latency_min, options.latency_max);
        let host = &mut self.nodes[node];
        if matches!(work, Work::Snapshot { .. } | Work::Install { .. }) {
            latency = latency.saturating_mul(self.swarm.snapshots.slowness);
        }
        if host.slow_disk.0 > self.now {
            latency *= host.slow_disk.1;
        }
        let begin = self.now.max(host.stalled_until);
        let at = begin.saturating_add(latency).max(host.disk_ready[kind]);
        host.disk_ready[kind] = at;
        let fails = work.syncs() && !self.calm && host.fails_sync;
        host.fails_sync &= !fails;
        host.disk.issue(operation, work);
        host.issued.push_back(operation);
        if host.issued.len() > ISSUED_KEPT_MAX {
            host.issued.pop_front();
        }
        let done = if fails {
            Occurrence::DiskFailed { node, operation }
        } else {
            Occurrence::DiskDone { node, operation }
        };
        self.queue.push(at, done);
    }

    fn apply(&mut self, node: usize, apply: &Apply, read: &[u8]) {
        let Node { member: Some(member), service, outputs, applying, .. } = &mut self.nodes[node]
        else {
            return;
        };
        *applying = Some(apply.end);
        let mut replies_to = None;
        let mut message: (&[u8], &[u8]) = (&[], &[]);
        let delivered = match apply.delivery {
            Delivery::SessionOpened { session, client } => {
                Delivered::SessionOpened { session, client }
            }
            Delivery::SessionClosed { session, reason } => {
                Delivered::SessionClosed { session, reason }
            }
            Delivery::Timer { timer } => {
                self.tally.saw(Mark::ServiceTimer);
                Delivered::Timer { timer }
            }
            Delivery::Message { session, sequence, payload, source } => {
                replies_to = Some((session, sequence));
                let payload = match source {
                    Source::Member => member.bytes(Stream::Log, payload),
                    Source::Read(begin) => {
                        self.tally.saw(Mark::ReadApply);
                        (part_of(read, begin, payload), &[][..])
                    }
                };
                message = payload;
                Delivered::Message { session, sequence, payload }
            }
        };
        let at = Moment { position: apply.position, time: apply.time };
        let mut answer = Answer::new(outputs, replies_to);
        service.apply(at, delivered, &mut answer);
        let reply = answer.into_reply();
        let complaint = service.complaint().map(str::to_owned);
        if self.watch.is_open() {
            let payload = match apply.delivery {
                Delivery::Message { .. } => service.payload_hash(),
                _ => Some(0),
            };
            let payload = payload.unwrap_or_else(|| {
                let mut hasher = StateHasher::default();
                hash_joined(&mut hasher, message);
                hasher.finish()
            });
            let applied = Observed::Applied { apply, payload, reply: &reply };
            self.watch.show(&self.nodes, self.now, node, applied);
        }
        if let Some(complaint) = complaint {
            let text = format!("member {}: {complaint}", node + 1);
            self.watch.violations.add("service", text);
        }
    }

    /// Adds up what a member has counted in a life.
    pub(crate) fn count(&mut self, counters: &Counters) {
        self.tally.add(Mark::LogCut, counters.cuts);
        self.tally.add(Mark::Nak, counters.naks_sent);
        self.tally.add(Mark::Repair, counters.repairs_sent);
        self.tally.add(Mark::DuplicateSuppressed, counters.duplicates_suppressed);
        self.tally.add(Mark::ReplyResent, counters.replies_resent);
        self.tally.add(Mark::SnapshotStored, counters.snapshots_stored);
        self.tally.add(Mark::SnapshotSkipped, counters.snapshots_skipped);
        self.tally.add(Mark::SnapshotFailed, counters.snapshots_failed);
    }

    fn place(&self, node: usize) -> Place {
        Place::Member(self.nodes[node].id)
    }
}

/// Operations of a life that may complete in the next, at most.
const ISSUED_KEPT_MAX: usize = 16;

const fn sender(node: &Node) -> Sender {
    let life = node.view.life;
    Sender::Member { member: node.id, incarnation: life.incarnation, boot_epoch: life.boot_epoch }
}

fn to_place(to: Destination) -> Option<Place> {
    match to {
        Destination::Member(member) => Some(Place::Member(member)),
        Destination::Client(endpoint) => Place::at(endpoint),
    }
}

/// The bytes of `range` in `read`, which begins at `begin`.
fn part_of(read: &[u8], begin: Position, range: PositionRange) -> &[u8] {
    let start = range.start.since(begin) as usize;
    read.get(start..start + range.len() as usize).unwrap_or_default()
}
