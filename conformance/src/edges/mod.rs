//! The edges of one machine: its socket, clock, disk and service, all virtual and in the suite's
//! hands. They outlive a life of the member; what a crash takes is taken by [`Edges::end_life`].

mod ledger;
mod ports;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use quorate_core::{
    Apply, Endpoint, Instant, LogTime, MemberId, MembershipChange, OperationId, Position,
    Recovered, SnapshotPoint,
};
use quorate_driver::{Completion, ServiceError};
use quorate_sim::{Dice, SimDisk, Tally, Work};

pub use ledger::{ACCOUNTS, Command, FIRST_BALANCE, LedgerReply, ServiceMistake};
pub use ports::{EdgeClock, EdgeCut, EdgeLog, EdgeService, EdgeSocket, EdgeStorage};

use self::ledger::Ledger;

/// Something that reached a member's edges and is to be taken in, in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Input {
    /// A datagram.
    Datagram {
        /// Where it came from.
        source: Endpoint,
        /// All of its bytes.
        bytes: Vec<u8>,
    },
    /// An operation of the storage has completed, or the storage has failed.
    Storage(Completion),
    /// The operator asks the member to hand its leadership over.
    Transfer {
        /// The number of the request: [`crate::HandedOver`] names it.
        request: u64,
        /// To whom; without one, to whoever is most complete.
        target: Option<MemberId>,
    },
    /// The operator wants the members to be others.
    ChangeMembership {
        /// The number of the request: [`crate::Changed`] names it.
        request: u64,
        /// What is to be changed.
        change: MembershipChange,
    },
    /// The operator asks the member to stop.
    Shutdown,
}

/// Something that a member did at its edges, in order.
#[derive(Clone, Debug)]
pub enum Deed {
    /// It sent a datagram.
    Sent {
        /// Where to.
        to: Endpoint,
        /// All of its bytes.
        bytes: Vec<u8>,
    },
    /// It wrote bytes to its log.
    Appended {
        /// Which whole frames the log had before.
        frames_before: usize,
        /// Where the written bytes are no frame under the durable history, if so.
        bad: Option<Position>,
    },
    /// It asked for something that completes later.
    Asked {
        /// The operation.
        operation: OperationId,
        /// What it asked for.
        work: Work,
    },
    /// It lets its log begin elsewhere.
    Purged {
        /// Where.
        origin: SnapshotPoint,
    },
    /// It forgets what it has of a snapshot that it fetched.
    DroppedSnapshot,
    /// It discards stored snapshots: its state deviates.
    DiscardedSnapshots {
        /// From where on.
        from: Position,
    },
    /// Its service took in a committed frame.
    Applied {
        /// The frame.
        apply: Apply,
        /// The message, if it was one.
        payload: Vec<u8>,
        /// What the service replied.
        reply: Vec<u8>,
    },
    /// Its service asked for a timer, or for none any more.
    Timer {
        /// The timer's number.
        timer: u64,
        /// When it is due; `None` if it is cancelled.
        deadline: Option<LogTime>,
    },
}

/// How a service is to misbehave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ServiceFault {
    /// It returns an error at the next message.
    Error,
    /// It panics at the next message.
    Panic,
}

/// The edges of one machine. A handle: copies are the same edges, and any thread may have one.
#[derive(Clone, Debug)]
pub struct Edges(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    member: MemberId,
    /// Which life of the member these edges serve; ports of a former one are dead.
    life: u64,
    now: Instant,
    inputs: VecDeque<Input>,
    deeds: Vec<Deed>,
    disk: SimDisk,
    recovered: Option<Recovered>,
    full: bool,
    broken: Option<String>,
    closed: bool,
    unwilling: bool,
    socket_errors: VecDeque<io::ErrorKind>,
    coalescing: bool,
    service: Ledger,
    service_fault: Option<ServiceFault>,
}

impl Edges {
    /// The edges of a machine whose member has never run.
    #[must_use]
    pub fn new(member: MemberId, mut disk: SimDisk) -> Self {
        disk.assign(member);
        Self(Arc::new(Mutex::new(State {
            member,
            life: 0,
            now: Instant(0),
            inputs: VecDeque::new(),
            deeds: Vec::new(),
            disk,
            recovered: None,
            full: false,
            broken: None,
            closed: false,
            unwilling: false,
            socket_errors: VecDeque::new(),
            coalescing: false,
            service: Ledger::default(),
            service_fault: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic of one case must not take the next with it; edges are never shared between them.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The time on this machine's monotonic clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.state().now
    }

    /// What the archive of this life found. Made once a life, by [`Edges::begin_life`].
    #[must_use]
    pub fn recovered(&self) -> Option<Recovered> {
        self.state().recovered.clone()
    }

    /// Takes the next input.
    #[must_use]
    pub fn next_input(&self) -> Option<Input> {
        self.state().inputs.pop_front()
    }

    /// Takes all inputs that are no datagrams; those stay for [`EdgeSocket`] to receive.
    #[must_use]
    pub fn take_others(&self) -> Vec<Input> {
        let mut state = self.state();
        let inputs = core::mem::take(&mut state.inputs);
        let is_datagram = |input: &Input| matches!(input, Input::Datagram { .. });
        let (datagrams, others): (VecDeque<_>, VecDeque<_>) =
            inputs.into_iter().partition(is_datagram);
        state.inputs = datagrams;
        others.into()
    }

    /// Whether inputs lie at the edges.
    #[must_use]
    pub fn has_inputs(&self) -> bool {
        !self.state().inputs.is_empty()
    }

    /// Whether the member has closed its storage in this life: it asks nothing more of it.
    #[must_use]
    pub fn is_storage_closed(&self) -> bool {
        self.state().closed
    }

    /// The next input if it is a datagram.
    #[must_use]
    pub fn next_datagram(&self) -> Option<(Endpoint, Vec<u8>)> {
        self.state().next_datagram()
    }

    /// The service that the member replicates, as a port.
    #[must_use]
    pub fn service(&self) -> EdgeService {
        EdgeService(self.clone())
    }

    /// The digest of the service's state.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.state().service.digest()
    }
}

/// The suite's side: what a script does to a machine.
impl Edges {
    /// Sets the machine's clock.
    pub fn set_now(&self, now: Instant) {
        self.state().now = now;
    }

    /// Puts an input behind the others.
    pub fn push(&self, input: Input) {
        self.state().inputs.push_back(input);
    }

    /// Takes what the member did since the last call.
    #[must_use]
    pub fn take_deeds(&self) -> Vec<Deed> {
        core::mem::take(&mut self.state().deeds)
    }

    /// Recovers the disk for a new life and gives it an empty service.
    pub fn begin_life(&self) -> Recovered {
        let mut state = self.state();
        let member = state.member;
        let recovered = state.disk.recover(member);
        state.life += 1;
        state.recovered = Some(recovered.clone());
        state.service = Ledger::default();
        let stored = state.disk.newest_snapshot().map(|stored| stored.service.clone());
        if let Some(stored) = stored.filter(|_| recovered.snapshot.is_some()) {
            let restored = state.service.restore(&stored);
            assert!(restored.is_ok(), "the suite's service reads what it wrote: {restored:?}");
        }
        state.broken = None;
        state.closed = false;
        state.inputs.clear();
        state.deeds.clear();
        recovered
    }

    /// The member was killed: ports of its life are dead. With `power` gone too, the disk keeps
    /// what is durable and some of what is not.
    pub fn end_life(&self, power: Option<&mut Dice>) {
        let mut state = self.state();
        state.life += 1;
        state.inputs.clear();
        if let Some(dice) = power {
            state.disk.crash(dice, &mut Tally::default());
        }
    }

    /// Completes an operation of the disk and tells the member; what became durable.
    pub fn complete(&self, operation: OperationId) -> Option<Work> {
        let mut state = self.state();
        if state.broken.is_some() {
            return None;
        }
        let (completion, work) = match state.disk.complete(operation)? {
            quorate_sim::Completion::Durable(
                work @ (Work::Snapshot { .. } | Work::Part { .. } | Work::Install { .. }),
            ) => (Completion::SnapshotStored { operation }, Some(work)),
            quorate_sim::Completion::Durable(work) => {
                (Completion::Durable { operation }, Some(work))
            }
            quorate_sim::Completion::Read(bytes) => (Completion::Read { operation, bytes }, None),
            quorate_sim::Completion::SnapshotRead(manifest, bytes) => {
                (Completion::SnapshotRead { operation, manifest, bytes }, None)
            }
            quorate_sim::Completion::SnapshotWhole(core) => {
                (Completion::SnapshotWhole { operation, core }, None)
            }
            quorate_sim::Completion::SnapshotFailed => {
                let reason = "it is not what was announced".to_owned();
                (Completion::SnapshotFailed { operation, reason }, None)
            }
        };
        state.inputs.push_back(Input::Storage(completion));
        work
    }

    /// A snapshot cannot be stored, for this reason: nothing of it is there, and the member is
    /// told. Whether this life has asked for it.
    pub fn refuse_snapshot(&self, operation: OperationId, reason: &str) -> bool {
        let mut state = self.state();
        let refused = state.broken.is_none() && state.disk.forget(operation);
        if refused {
            let reason = reason.to_owned();
            let failed = Completion::SnapshotFailed { operation, reason };
            state.inputs.push_back(Input::Storage(failed));
        }
        refused
    }

    /// What the member asked to be made durable since the last [`Edges::take_deeds`].
    #[must_use]
    pub fn asked_to_persist(&self) -> Vec<OperationId> {
        let state = self.state();
        let asked = state.deeds.iter().filter_map(|deed| match deed {
            Deed::Asked {
                operation,
                work: Work::Sync { .. } | Work::Vote(_) | Work::History { .. } | Work::Peers(_),
            } => Some(*operation),
            _ => None,
        });
        asked.collect()
    }

    /// Changes what lies at the edges, for loops that get something wrong.
    pub fn change_inputs(&self, change: impl FnOnce(&mut VecDeque<Input>)) {
        change(&mut self.state().inputs);
    }

    /// Changes what the member did since the last [`Edges::take_deeds`], for loops that get
    /// something wrong.
    pub fn change_deeds(&self, change: impl FnOnce(&mut Vec<Deed>)) {
        change(&mut self.state().deeds);
    }

    /// Changes what the archive of this life found, for loops that get something wrong.
    pub fn change_recovered(&self, change: impl FnOnce(&mut Recovered)) {
        if let Some(recovered) = &mut self.state().recovered {
            change(recovered);
        }
    }

    /// The service of this life makes a mistake, for loops that get something wrong.
    pub fn mistake_service(&self, mistake: ServiceMistake) {
        self.state().service.err(mistake);
    }

    /// Looks at the disk.
    pub fn with_disk<T>(&self, look: impl FnOnce(&SimDisk) -> T) -> T {
        look(&self.state().disk)
    }

    /// Changes the disk behind the member's back.
    pub fn damage_disk<T>(&self, damage: impl FnOnce(&mut SimDisk) -> T) -> T {
        damage(&mut self.state().disk)
    }

    /// Whether appends are refused for want of space.
    pub fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// Whether the socket takes no datagrams.
    pub fn set_unwilling(&self, unwilling: bool) {
        self.state().unwilling = unwilling;
    }

    /// The next calls of the socket fail like this, each once.
    pub fn fail_socket(&self, errors: &[io::ErrorKind]) {
        self.state().socket_errors.extend(errors);
    }

    /// From now on the socket hands over datagrams of one source and size together.
    pub fn coalesce(&self) {
        self.state().coalescing = true;
    }

    /// The storage fails for good, at the next append and for all that is under way.
    pub fn break_storage(&self, reason: &str) {
        let mut state = self.state();
        state.broken = Some(reason.to_owned());
        let failed = Completion::Failed { reason: reason.to_owned() };
        state.inputs.push_back(Input::Storage(failed));
    }

    /// The service has come to a state that is not in the log: its snapshots tell.
    pub fn deviate(&self, deviation: u64) {
        self.state().service.deviation = Some(deviation);
    }

    /// The service misbehaves at the next message.
    pub fn break_service(&self, fault: ServiceFault) {
        self.state().service_fault = Some(fault);
    }
}

impl State {
    fn next_datagram(&mut self) -> Option<(Endpoint, Vec<u8>)> {
        match self.inputs.pop_front() {
            Some(Input::Datagram { source, bytes }) => Some((source, bytes)),
            Some(other) => {
                self.inputs.push_front(other);
                None
            }
            None => None,
        }
    }

    /// The next datagram if it is of this source, and not longer than `length` or the room.
    fn next_of(&mut self, wanted: Endpoint, length: usize, room: usize) -> Option<Vec<u8>> {
        match self.inputs.front() {
            Some(Input::Datagram { source, bytes })
                if *source == wanted
                    && !bytes.is_empty()
                    && bytes.len() <= length
                    && bytes.len() <= room =>
            {
                self.next_datagram().map(|(_, bytes)| bytes)
            }
            _ => None,
        }
    }

    fn fault(&mut self) -> Result<(), ServiceError> {
        match self.service_fault.take() {
            Some(ServiceFault::Error) => Err(ServiceError("the suite asked for an error".into())),
            Some(ServiceFault::Panic) => panic!("the suite asked for a panic"),
            None => Ok(()),
        }
    }
}
