//! The loop of one member, without its waiting: performs the core's actions in order.

use core::mem;
use std::collections::VecDeque;

use quorate_archive::Damage;
use quorate_codecs::Header;
use quorate_core::{
    Action, Actions, Destination, Endpoint, Event, FailStop, Instant, Member, Notice, OperationId,
    Position, PositionRange, ReadOutcome, ReadRefusal, Sender as Origin, SnapshotRefusal, Source,
    Stream,
};

use self::demands::Demanded;
use crate::faults::FaultyPort;
use crate::host::ServiceHost;
use crate::metrics::{DatagramCounters, MemberStatus, ScrubStatus, StorageCounters};
use crate::port::{AppendError, Clock, DatagramPort, LogPort, StoragePort, StorageRequest};
use crate::recording::{Recording, Tap};
use crate::report::report;
use crate::sender::{Run, Sender, part};
use crate::service::Service;
use crate::storage::Completion;

/// Bytes that the largest datagram takes, or a coalesced run, and one more that shows a longer one.
pub(crate) const RECEIVE_BYTES: usize = 65_536;
/// Errors of the socket in a row of receives; one that fails always must not keep the loop.
pub(crate) const RECEIVE_ERRORS_MAX: usize = 8;

/// Why a member went inert. The process should end; a restart recovers from the disk.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the member went inert: {reason}{}", .detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}")))]
pub struct Stopped {
    /// The core's reason.
    pub reason: FailStop,
    /// What the storage or the service said, if it was one of them.
    pub detail: Option<String>,
}

/// A member with its ports: one event in, all its actions performed in order, then the next.
///
/// It never waits. A runtime calls [`MemberLoop::receive`] when datagrams may be there,
/// [`MemberLoop::complete`] for each completion, [`MemberLoop::timer`] at
/// [`MemberLoop::next_deadline`], and [`MemberLoop::flush`] when there is no more input at hand. It
/// asks [`MemberLoop::restarts`] after each, and begins another life when that is so.
#[derive(Debug)]
pub struct MemberLoop<P, L, Q, S> {
    member: Member,
    actions: Actions,
    datagrams: FaultyPort<P>,
    /// Nothing between two lives.
    log: Option<L>,
    storage: Q,
    host: ServiceHost<S>,
    sender: Sender,
    buffer: Vec<u8>,
    payload: Vec<u8>,
    storage_counters: StorageCounters,
    scrub: ScrubStatus,
    /// Damage of the log that was found in this life.
    damage: Option<Damage>,
    outstanding: usize,
    stopping: bool,
    refused: Option<Position>,
    broken: Option<(FailStop, String)>,
    /// A snapshot that the service did not give.
    unsaved: Option<OperationId>,
    /// What came of the host's request for a snapshot.
    marked: Option<Result<Position, SnapshotRefusal>>,
    detail: Option<String>,
    /// What came of what the host asked for, until it takes that.
    demanded: Demanded,
    /// What the service said to reads, until the member is told.
    served: VecDeque<(u64, Result<Vec<u8>, ReadRefusal>)>,
    /// What came of the host's reads, until it takes it.
    answered: VecDeque<(u64, ReadOutcome)>,
    stopped: Option<Stopped>,
    /// A snapshot of another member is installed: this life has ended.
    restarts: bool,
    tap: Option<Tap>,
}

impl<P: DatagramPort, L: LogPort, Q: StoragePort<L::Cut>, S: Service> MemberLoop<P, L, Q, S> {
    /// A loop around `member` and its ports. Nothing happens before the first event; begin with
    /// [`MemberLoop::timer`].
    #[must_use]
    pub fn new(
        member: Member,
        datagrams: FaultyPort<P>,
        log: L,
        storage: Q,
        host: ServiceHost<S>,
    ) -> Self {
        let mut new = Self::without_log(member, datagrams, storage, host);
        new.log = Some(log);
        new
    }

    /// A loop whose log is not open: nothing may happen before [`MemberLoop::begin_again`].
    pub(crate) fn without_log(
        member: Member,
        datagrams: FaultyPort<P>,
        storage: Q,
        host: ServiceHost<S>,
    ) -> Self {
        let sender = Sender::new(header_of(&member), member.config().limits.slice_bytes);
        Self {
            member,
            actions: Actions::new(),
            datagrams,
            log: None,
            storage,
            host,
            sender,
            buffer: vec![0; RECEIVE_BYTES],
            payload: Vec::new(),
            storage_counters: StorageCounters::default(),
            scrub: ScrubStatus::default(),
            damage: None,
            outstanding: 0,
            stopping: false,
            refused: None,
            broken: None,
            unsaved: None,
            marked: None,
            detail: None,
            demanded: Demanded::default(),
            served: VecDeque::new(),
            answered: VecDeque::new(),
            stopped: None,
            restarts: false,
            tap: None,
        }
    }

    /// Records everything that happens to the member from now on: nothing may have happened yet.
    pub fn record(&mut self, recording: Recording) {
        self.listen(Tap::Recording(Box::new(recording)));
    }

    pub(crate) fn listen(&mut self, tap: Tap) {
        self.tap = Some(tap);
    }

    /// The member.
    #[must_use]
    pub const fn member(&self) -> &Member {
        &self.member
    }

    /// Why the member went inert, if it did.
    #[must_use]
    pub const fn stopped(&self) -> Option<&Stopped> {
        self.stopped.as_ref()
    }

    /// The service.
    #[must_use]
    pub const fn service(&self) -> &S {
        self.host.service()
    }

    /// The datagram port.
    #[must_use]
    pub const fn port(&self) -> &P {
        self.datagrams.inner()
    }

    pub(crate) const fn port_mut(&mut self) -> &mut P {
        self.datagrams.inner_mut()
    }

    /// Operations that make something durable and have not completed yet. Reads do not count.
    #[must_use]
    pub const fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// The storage, for whoever closes it.
    pub const fn storage_mut(&mut self) -> &mut Q {
        &mut self.storage
    }

    /// When to call [`MemberLoop::timer`] if nothing else happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.member.next_deadline()
    }

    /// Everything that can be seen of the member now.
    #[must_use]
    pub fn status(&self) -> MemberStatus {
        MemberStatus {
            view: self.member.view(),
            members: self.demanded.members_of(&self.member),
            level: self.member.config().durability.level(),
            counters: *self.member.counters(),
            datagrams: DatagramCounters {
                overflows: self.datagrams.overflows(),
                ..self.sender.counters.clone()
            },
            faults: self.datagrams.counters(),
            storage: self.storage_counters,
            scrub: self.scrub,
            snapshot_progress: self.storage.snapshot_progress(),
        }
    }

    /// Takes in datagrams, each as one event, until none is at hand or at least `budget` were
    /// taken: those that the port has coalesced are taken together. Returns how many; fewer than
    /// `budget` means that none is left, or that the socket fails again and again.
    ///
    /// # Errors
    /// The member went inert.
    pub fn receive(&mut self, clock: &impl Clock, budget: usize) -> Result<usize, Stopped> {
        let mut buffer = mem::take(&mut self.buffer);
        let (mut taken, mut errors) = (0, 0);
        let mut outcome = Ok(());
        while taken < budget && errors < RECEIVE_ERRORS_MAX && outcome.is_ok() {
            match self.datagrams.receive(&mut buffer) {
                Ok(Some(received)) => {
                    let (now, source) = (clock.now(), received.source);
                    let mut datagrams = received.datagrams(&buffer);
                    taken += datagrams.len().max(1);
                    outcome =
                        datagrams.try_for_each(|datagram| self.received(now, source, datagram));
                }
                Ok(None) => break,
                // An ICMP error of an earlier send, as a rule: that peer is not there now.
                Err(_) => {
                    self.sender.counters.receive_errors += 1;
                    errors += 1;
                }
            }
        }
        self.buffer = buffer;
        outcome.map(|()| taken)
    }

    /// Throws away what was received, up to `budget` datagrams; returns whether there may be more.
    /// A member that stops listens no more, and a runtime that watches its socket must not be told
    /// of the same datagrams for ever.
    pub(crate) fn discard(&mut self, budget: usize) -> bool {
        let (mut taken, mut errors) = (0, 0);
        while taken < budget && errors < RECEIVE_ERRORS_MAX {
            match self.datagrams.receive(&mut self.buffer) {
                Ok(Some(received)) => taken += received.datagrams(&self.buffer).len().max(1),
                Ok(None) => return false,
                Err(_) => errors += 1,
            }
        }
        taken >= budget
    }

    fn received(&mut self, now: Instant, source: Endpoint, datagram: &[u8]) -> Result<(), Stopped> {
        let config = self.member.config();
        match self.sender.counters.decoded(datagram, (config.group, config.recovery_epoch)) {
            Some((sender, content)) => {
                if let Some(tap) = &mut self.tap {
                    tap.datagram(now, source, datagram);
                }
                self.step(now, Event::Received { sender, source, content })
            }
            None => Ok(()),
        }
    }

    /// Takes in a completion of the storage.
    ///
    /// # Errors
    /// The member went inert.
    pub fn complete(&mut self, now: Instant, completion: Completion) -> Result<(), Stopped> {
        match completion {
            Completion::Durable { operation } => {
                self.outstanding = self.outstanding.saturating_sub(1);
                self.step(now, Event::Durable { operation })
            }
            // A replay would go on from read to read; the next life begins it anew.
            Completion::Read { .. } | Completion::SnapshotRead { .. } if self.stopping => {
                self.stopped.clone().map_or(Ok(()), Err)
            }
            Completion::Read { operation, bytes } => {
                self.step(now, Event::LogRead { operation, bytes: &bytes })
            }
            Completion::SnapshotRead { operation, manifest, bytes } => {
                self.step(now, Event::SnapshotRead { operation, manifest, bytes: &bytes })
            }
            Completion::SnapshotWhole { operation, core } => {
                self.step(now, Event::SnapshotWhole { operation, core: &core })
            }
            Completion::SnapshotStored { operation } => {
                self.step(now, Event::Durable { operation })
            }
            Completion::SnapshotFailed { operation, reason } => {
                let member = self.member.config().member.0;
                tracing::warn!(member, reason, "a snapshot was refused by the storage");
                self.step(now, Event::SnapshotFailed { operation })
            }
            Completion::Scrubbed(scrubbed) => {
                self.scrubbed(scrubbed);
                self.stopped.clone().map_or(Ok(()), Err)
            }
            Completion::Failed { reason } => {
                self.detail = Some(reason);
                self.step(now, Event::StorageFailed)
            }
        }
    }

    /// A deadline passed.
    ///
    /// # Errors
    /// The member went inert.
    pub fn timer(&mut self, now: Instant) -> Result<(), Stopped> {
        self.step(now, Event::Timer)
    }

    /// There is no further input at hand: what was collected is sent.
    ///
    /// # Errors
    /// The member went inert.
    pub fn flush(&mut self, now: Instant) -> Result<(), Stopped> {
        self.step(now, Event::Flush)
    }

    /// The host wants to stop; a leader gives up its leadership. Go on until
    /// [`MemberLoop::outstanding`] is zero, then drop the loop. Reads of the log that complete from
    /// now on are dropped.
    ///
    /// # Errors
    /// The member went inert.
    pub fn shutdown(&mut self, now: Instant) -> Result<(), Stopped> {
        self.stopping = true;
        self.step(now, Event::Shutdown)
    }

    /// One event, all its actions, and then what came of them, as events of their own.
    fn step(&mut self, now: Instant, event: Event<'_>) -> Result<(), Stopped> {
        let read = read_in(&event);
        feed(&mut self.tap, &mut self.member, now, event, &mut self.actions);
        self.perform_all(read);
        while self.stopped.is_none() && self.follow_up(now) {}
        self.stopped.clone().map_or(Ok(()), Err)
    }

    /// One event of a recording that followed from performing actions, then. Now nothing follows.
    pub(crate) fn replay(&mut self, now: Instant, event: Event<'_>) {
        self.member.step(now, event, &mut self.actions);
        self.perform_all(None);
    }

    /// Reports one thing that performing actions brought about; whether there was any.
    fn follow_up(&mut self, now: Instant) -> bool {
        if matches!(self.tap, Some(Tap::Replaying(_))) {
            self.host.reported();
            self.served.clear();
            return false;
        }
        let (tap, member, actions) = (&mut self.tap, &mut self.member, &mut self.actions);
        if let Some((reason, detail)) = self.broken.take() {
            self.detail = Some(detail);
            let service = reason == FailStop::ServiceFailed;
            let event = if service { Event::ServiceFailed } else { Event::StorageFailed };
            feed(tap, member, now, event, actions);
        } else if let Some(position) = self.refused.take() {
            feed(tap, member, now, Event::StorageFull { position }, actions);
        } else if let Some(operation) = self.unsaved.take() {
            feed(tap, member, now, Event::SnapshotFailed { operation }, actions);
        } else if let Some((number, answer)) = self.served.pop_front() {
            let answer = answer.as_deref().map_err(|refusal| *refusal);
            feed(tap, member, now, Event::ReadServed { number, answer }, actions);
        } else if let Some((through, outputs)) = self.host.unreported() {
            feed(tap, member, now, Event::Applied { through, outputs }, actions);
            self.host.reported();
        } else {
            return false;
        }
        self.perform_all(None);
        true
    }

    fn perform_all(&mut self, read: Option<&[u8]>) {
        let mut actions = mem::take(&mut self.actions);
        for action in actions.drain() {
            if let Some(tap) = &mut self.tap {
                tap.action(&action, &self.member, read);
            }
            self.perform(action, read);
        }
        self.actions = actions;
    }

    pub(crate) fn perform(&mut self, action: Action, read: Option<&[u8]>) {
        match action {
            Action::Send { to, message } => {
                if let Some(to) = self.endpoint(to) {
                    self.sender.control(&mut self.datagrams, to, &message);
                }
            }
            Action::SendData { to, stream, epoch, range, source, live } => {
                let Some(to) = self.endpoint(to) else { return };
                let run = Run { to, stream, epoch, range, live };
                let bytes = bytes_of(&self.member, stream, range, source, read);
                self.sender.data(&mut self.datagrams, &run, bytes);
            }
            Action::Append { range } => self.append(range),
            Action::Sync { operation } => {
                self.storage_counters.syncs += 1;
                self.make_durable(StorageRequest::Sync { operation });
            }
            Action::PersistVote { operation, vote } => {
                self.persist(StorageRequest::PersistVote { operation, vote });
            }
            Action::PersistHistory { operation, history, cut } => {
                let Some(log) = &mut self.log else { return };
                let cut = log.cut(cut);
                self.persist(StorageRequest::PersistHistory { operation, history, cut });
            }
            Action::PersistPeers { operation, peers } => {
                let peers = peers.into_vec();
                self.persist(StorageRequest::PersistPeers { operation, peers });
            }
            Action::ReadLog { operation, range } => {
                self.storage_counters.reads += 1;
                self.storage.submit(StorageRequest::Read { operation, range });
            }
            Action::TakeSnapshot { .. }
            | Action::ReadSnapshot { .. }
            | Action::KeepSnapshotPart { .. }
            | Action::CheckSnapshot { .. }
            | Action::DropSnapshot
            | Action::DiscardSnapshots { .. }
            | Action::InstallSnapshot { .. }
            | Action::Purge { .. } => self.perform_on_snapshots(action),
            Action::Restart => self.restarts = true,
            Action::Apply(apply) => self.apply(&apply, read),
            Action::ServeRead(query) => self.serve_read(&query),
            Action::AnswerRead { token, outcome } => self.answered.push_back((token, outcome)),
            Action::Notify(notice) => self.note(notice),
            Action::FailStop(reason) => {
                self.stopped = Some(Stopped { reason, detail: self.detail.take() });
            }
        }
    }

    fn note(&mut self, notice: Notice) {
        report(self.member.config().member, &notice);
        match notice {
            Notice::SnapshotMarked { position, .. } => self.marked = Some(Ok(position)),
            Notice::SnapshotRefused { refusal } => self.marked = Some(Err(refusal)),
            _ => self.demanded.note(&notice, &self.member),
        }
    }

    fn endpoint(&mut self, to: Destination) -> Option<Endpoint> {
        let endpoint = match to {
            Destination::Client(endpoint) => Some(endpoint),
            Destination::Member(member) => self.member.endpoint_of(member),
        };
        if endpoint.is_none() {
            self.sender.counters.unsent += 1;
        }
        endpoint
    }

    fn append(&mut self, range: PositionRange) {
        if self.refused.is_some() || self.broken.is_some() {
            // It begins behind bytes that were not written.
            return;
        }
        let Some(log) = &mut self.log else { return };
        match log.append(range.start, self.member.bytes(Stream::Log, range)) {
            Ok(()) => {
                self.storage_counters.appends += 1;
                self.storage_counters.append_bytes += range.len();
            }
            Err(AppendError::Full) => {
                self.storage_counters.appends_refused += 1;
                self.refused = Some(range.start);
            }
            Err(AppendError::Broken(reason)) => {
                self.broken = Some((FailStop::StorageFailed, reason));
            }
        }
    }

    fn persist(&mut self, request: StorageRequest<L::Cut>) {
        self.storage_counters.persists += 1;
        self.make_durable(request);
    }

    fn make_durable(&mut self, request: StorageRequest<L::Cut>) {
        self.outstanding += 1;
        self.storage.submit(request);
    }
}

impl<P, L, Q, S> Drop for MemberLoop<P, L, Q, S> {
    fn drop(&mut self) {
        // A member that panicked is in no state to be compared: its recording has no end.
        if let Some(Tap::Recording(recording)) = self.tap.take()
            && !std::thread::panicking()
        {
            recording.end(&self.member);
        }
    }
}

/// What an event brings that actions may name: [`Source::Read`].
pub(crate) const fn read_in<'a>(event: &Event<'a>) -> Option<&'a [u8]> {
    match event {
        Event::LogRead { bytes, .. } | Event::SnapshotRead { bytes, .. } => Some(bytes),
        _ => None,
    }
}

/// What stands in front of everything that `member` sends.
pub(crate) fn header_of(member: &Member) -> Header {
    let life = member.view().life;
    let sender = Origin::Member {
        member: life.member,
        incarnation: life.incarnation,
        boot_epoch: life.boot_epoch,
    };
    Header { tag: member.config().tag(), sender }
}

/// Gives `member` an event; a tap hears it before.
fn feed(
    tap: &mut Option<Tap>,
    member: &mut Member,
    now: Instant,
    event: Event<'_>,
    actions: &mut Actions,
) {
    if let Some(tap) = tap {
        tap.event(now, &event);
    }
    member.step(now, event, actions);
}

/// The bytes of a range, from where the action says that they are.
pub(crate) fn bytes_of<'a>(
    member: &'a Member,
    stream: Stream,
    range: PositionRange,
    source: Source,
    read: Option<&'a [u8]>,
) -> (&'a [u8], &'a [u8]) {
    match (source, read) {
        (Source::Member, _) => member.bytes(stream, range),
        (Source::Read(start), Some(read)) => {
            let skipped = range.start.since(start).min(read.len() as u64) as usize;
            let length = range.len().min((read.len() - skipped) as u64) as usize;
            part((read, &[]), skipped, length)
        }
        (Source::Read(_), None) => (&[], &[]),
    }
}

mod demands;
mod mending;
mod serving;
mod snapshots;

#[cfg(test)]
mod tests;
