//! A whole host of a member: one thread, one socket, one disk.
//!
//! The law: one event in, all its actions performed in order, then the next event. What an action
//! sets off is never an event at once; it waits in `completions` for its turn.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time;

use quorate_codecs::{DATAGRAM_BYTES_MAX, Header, decode, encode_control, encode_data};
use quorate_core::{
    Action, Actions, Apply, Delivery, Destination, Durability, Endpoint, Event, Instant, Limits,
    Member, MemberConfig, MemberId, Message, OperationId, Outputs, Position, PositionRange,
    ReadRefusal, RecoveryEpoch, Sender, Source, Stream, Timing, hash,
};

use super::disk::Disk;
use super::{GROUP, Outcome, TAG, address, endpoint};

struct Host<'a> {
    member: Member,
    socket: UdpSocket,
    disk: Disk,
    header: Header,
    /// What was set off and has completed: the next events.
    completions: VecDeque<Completion>,
    /// The service: it writes down what is ordered.
    orders: Vec<String>,
    tell: &'a mpsc::Sender<(MemberId, String)>,
}

enum Completion {
    Durable(OperationId),
    Read(OperationId, Vec<u8>),
    Applied(Position, Outputs),
    NoSnapshot(OperationId),
    NoAnswer(u64),
}

/// Runs a member until it is told to stop; returns what its service wrote down.
pub(crate) fn run(
    id: MemberId,
    socket: UdpSocket,
    folder: &Path,
    places: &BTreeMap<MemberId, Endpoint>,
    tell: &mpsc::Sender<(MemberId, String)>,
    stop: &AtomicBool,
) -> Outcome<Vec<String>> {
    let started = time::Instant::now();
    let now = || Instant(started.elapsed().as_nanos() as u64);
    let (disk, recovered) = Disk::open(folder, id)?;
    let life = recovered.life;
    let config = MemberConfig {
        group: GROUP,
        recovery_epoch: RecoveryEpoch(0),
        durability: Durability::default(),
        member: id,
        voters: places.clone(),
        joins: false,
        seed: hash::mix(u64::from(id.0), life.boot_epoch.0),
        timing: Timing::default(),
        limits: Limits::default(),
    };
    let member = Member::new(config, recovered, now())?;
    let sender =
        Sender::Member { member: id, incarnation: life.incarnation, boot_epoch: life.boot_epoch };
    let (header, completions) = (Header { tag: TAG, sender }, VecDeque::new());
    let mut host = Host { member, socket, disk, header, completions, orders: Vec::new(), tell };
    let mut actions = Actions::new();
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];

    while !stop.load(Ordering::Relaxed) {
        if let Some(completion) = host.completions.pop_front() {
            host.complete(now(), &completion, &mut actions)?;
            continue;
        }
        let deadline = host.member.next_deadline().ok_or("the member has stopped")?;
        if deadline <= now() {
            host.step(now(), Event::Timer, &[], &mut actions)?;
            continue;
        }
        // Nothing is at hand: what was collected for batching goes out. In production one would
        // first take whatever else the socket has, up to a budget.
        host.step(now(), Event::Flush, &[], &mut actions)?;
        if host.completions.is_empty() {
            host.receive(now, &mut datagram, &mut actions)?;
        }
    }
    // A leader that stops says so, and nobody has to wait for it.
    host.step(now(), Event::Shutdown, &[], &mut actions)?;
    Ok(host.orders)
}

/// No datagram until the deadline; or a former one came back since nobody listens there yet.
fn is_harmless(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock
            | ErrorKind::TimedOut
            | ErrorKind::Interrupted
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
    )
}

impl Host<'_> {
    /// Waits for a datagram until the member's next deadline, and takes it in.
    fn receive(
        &mut self,
        now: impl Fn() -> Instant,
        datagram: &mut [u8],
        actions: &mut Actions,
    ) -> Outcome {
        let deadline = self.member.next_deadline().ok_or("the member has stopped")?;
        let pause = time::Duration::from_nanos((deadline - now()).0.max(1_000));
        self.socket.set_read_timeout(Some(pause))?;
        match self.socket.recv_from(datagram) {
            // What is not a sound datagram of this group is dropped; in production also counted.
            Ok((length, from)) => {
                if let Ok((sender, content)) = decode(&datagram[..length], TAG) {
                    let event = Event::Received { sender, source: endpoint(from), content };
                    self.step(now(), event, &[], actions)?;
                }
                Ok(())
            }
            Err(error) if is_harmless(error.kind()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn complete(&mut self, now: Instant, done: &Completion, actions: &mut Actions) -> Outcome {
        match done {
            &Completion::Durable(operation) => {
                self.step(now, Event::Durable { operation }, &[], actions)
            }
            Completion::Read(operation, bytes) => {
                let event = Event::LogRead { operation: *operation, bytes };
                self.step(now, event, bytes, actions)
            }
            &Completion::NoSnapshot(operation) => {
                self.step(now, Event::SnapshotFailed { operation }, &[], actions)
            }
            &Completion::NoAnswer(number) => {
                let answer = Err(ReadRefusal::Unsupported);
                self.step(now, Event::ReadServed { number, answer }, &[], actions)
            }
            &Completion::Applied(through, ref outputs) => {
                self.step(now, Event::Applied { through, outputs }, &[], actions)
            }
        }
    }

    /// One event, all its actions. `read` is what the event read from the log, if it is that.
    fn step(
        &mut self,
        now: Instant,
        event: Event<'_>,
        read: &[u8],
        actions: &mut Actions,
    ) -> Outcome {
        self.member.step(now, event, actions);
        let (mut applied, mut outputs) = (None, Outputs::new());
        for action in actions.drain() {
            match action {
                Action::Apply(frame) => {
                    self.apply(&frame, read, &mut outputs);
                    applied = Some(frame.end);
                }
                other => self.perform(other, read)?,
            }
        }
        // The service is done with the whole batch: one report, behind the last frame.
        if let Some(through) = applied {
            self.completions.push_back(Completion::Applied(through, outputs));
        }
        Ok(())
    }

    fn perform(&mut self, action: Action, read: &[u8]) -> Outcome {
        match action {
            Action::Send { to, message } => self.send_control(to, &message)?,
            Action::SendData { to, stream, epoch, range, source, live } => {
                let slice_bytes = u64::from(self.member.config().limits.slice_bytes);
                let mut datagram =
                    vec![0; slice_bytes as usize + quorate_codecs::DATA_OVERHEAD_BYTES];
                for slice in range.runs(slice_bytes) {
                    let (at, bytes) = (slice.start, self.bytes(stream, slice, source, read));
                    let length =
                        encode_data(&self.header, stream, epoch, at, live, bytes, &mut datagram)?;
                    self.send(to, &datagram[..length]);
                }
            }
            // Into the file, but not through to the disk: the window may reuse the bytes now.
            Action::Append { range } => {
                let (first, second) = self.member.bytes(Stream::Log, range);
                self.disk.append(range.start, first, second)?;
            }
            // `Durable` is said after the sync, and only then. In production a thread does this,
            // so that the loop goes on; full disks are told as `Event::StorageFull`, and other
            // errors as `Event::StorageFailed`. Here an error ends the member: nothing is retried.
            Action::Sync { .. }
            | Action::PersistVote { .. }
            | Action::PersistHistory { .. }
            | Action::PersistPeers { .. } => self.make_durable(action)?,
            Action::ReadLog { operation, range } => {
                let bytes = self.disk.read(range)?;
                self.completions.push_back(Completion::Read(operation, bytes));
            }
            // In production: written beside, synced, renamed, as `quorate-archive` does it. Nobody
            // asks for one here; the member goes on without.
            Action::TakeSnapshot { operation, .. } => {
                self.completions.push_back(Completion::NoSnapshot(operation));
            }
            // In production: the log's beginning is removed. It may stay; no snapshot is kept here.
            Action::Purge { .. } => {}
            // In production: stored snapshots are read for others, and theirs are kept, checked and
            // installed, behind which a new life begins; `quorate-driver` does it. That is for
            // members that lack what all others have purged. Here nobody purges or has a snapshot.
            Action::ReadSnapshot { .. }
            | Action::KeepSnapshotPart { .. }
            | Action::CheckSnapshot { .. }
            | Action::DropSnapshot
            | Action::DiscardSnapshots { .. }
            | Action::InstallSnapshot { .. }
            | Action::Restart => unreachable!("no member has a snapshot"),
            // Where a service answers reads, it does so here, in the state in which it is now.
            Action::ServeRead(query) => {
                self.completions.push_back(Completion::NoAnswer(query.number))
            }
            // In production: logs and metrics. This host reads nothing itself.
            Action::Notify(_) | Action::AnswerRead { .. } => {}
            Action::FailStop(reason) => return Err(reason.into()),
            Action::Apply(_) => unreachable!("frames for the service are applied in a batch"),
        }
        Ok(())
    }

    fn make_durable(&mut self, action: Action) -> Outcome {
        let operation = match action {
            Action::Sync { operation } => {
                self.disk.sync()?;
                operation
            }
            Action::PersistVote { operation, vote } => {
                self.disk.keep_vote(vote)?;
                operation
            }
            Action::PersistHistory { operation, history, cut } => {
                self.disk.keep_history(history, cut)?;
                operation
            }
            Action::PersistPeers { operation, peers } => {
                self.disk.keep_peers(peers.into_iter().collect())?;
                operation
            }
            _ => return Ok(()),
        };
        self.completions.push_back(Completion::Durable(operation));
        Ok(())
    }

    /// The service. It must be deterministic: all members do the same with the same frames.
    fn apply(&mut self, frame: &Apply, read: &[u8], outputs: &mut Outputs) {
        if let Delivery::Message { session, sequence, payload, source } = frame.delivery {
            let (first, second) = self.bytes(Stream::Log, payload, source, read);
            let order = String::from_utf8_lossy(&[first, second].concat()).into_owned();
            let number = self.orders.len() + 1;
            outputs.reply(session, sequence, format!("order {number} is {order}").as_bytes());
            self.orders.push(order.clone());
            // Nobody may be listening any more.
            let _ = self.tell.send((self.member.config().member, order));
        }
    }

    fn bytes<'b>(
        &'b self,
        stream: Stream,
        range: PositionRange,
        source: Source,
        read: &'b [u8],
    ) -> (&'b [u8], &'b [u8]) {
        match source {
            Source::Member => self.member.bytes(stream, range),
            Source::Read(begin) => {
                let start = range.start.since(begin) as usize;
                (&read[start..start + range.len() as usize], &[])
            }
        }
    }

    /// A datagram may be lost, so an error is no more than a loss; in production it is counted.
    fn send_control(&self, to: Destination, message: &Message) -> Outcome {
        let mut datagram = [0; quorate_codecs::CONTROL_BYTES_MAX];
        let length = encode_control(&self.header, message, &mut datagram)?;
        self.send(to, &datagram[..length]);
        Ok(())
    }

    fn send(&self, to: Destination, datagram: &[u8]) {
        let to = match to {
            Destination::Member(id) => self.member.endpoint_of(id).unwrap_or_default(),
            Destination::Client(endpoint) => endpoint,
        };
        let _ = self.socket.send_to(datagram, address(to));
    }
}
