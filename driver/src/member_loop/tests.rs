use core::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use quorate_codecs::encode_control;
use quorate_core::{
    Apply, BootEpoch, Delivery, Durability, Duration, GroupId, Incarnation, Life, Limits, LogTime,
    MemberConfig, MemberId, Message, OperationId, Position, Recovered, RecoveryEpoch, SessionId,
    Snapshot, SnapshotManifest, SnapshotPoint, Term, Timing, Vote, VoteKey,
};

use super::*;
use crate::frozen::Frozen;
use crate::port::Received;
use crate::service::{Context, ServiceError};

/// What the ports and the service were asked to do, in order.
type Journal = Rc<RefCell<Vec<String>>>;

struct Ports {
    journal: Journal,
    incoming: VecDeque<Vec<u8>>,
}

impl DatagramPort for Ports {
    fn send(&mut self, _to: Endpoint, run: &[u8], datagram_bytes: usize) -> io::Result<usize> {
        let count = run.len().div_ceil(datagram_bytes);
        self.journal.borrow_mut().push(format!("send {count}"));
        Ok(count)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let Some(datagram) = self.incoming.pop_front() else { return Ok(None) };
        buffer[..datagram.len()].copy_from_slice(&datagram);
        Ok(Some(Received::single(Endpoint::default(), datagram.len())))
    }
}

struct Log(Journal, Option<AppendError>);

impl LogPort for Log {
    type Cut = Position;

    fn append(&mut self, position: Position, _bytes: (&[u8], &[u8])) -> Result<(), AppendError> {
        self.0.borrow_mut().push(format!("append {position}"));
        self.1.take().map_or(Ok(()), Err)
    }

    fn cut(&mut self, at: Position) -> Position {
        self.0.borrow_mut().push(format!("cut {at}"));
        at
    }
}

struct Storage(Journal);

impl StoragePort<Position> for Storage {
    fn submit(&mut self, request: StorageRequest<Position>) {
        let name = match request {
            StorageRequest::Sync { .. } => "sync",
            StorageRequest::PersistVote { .. } => "vote",
            StorageRequest::PersistHistory { .. } => "history",
            StorageRequest::PersistPeers { .. } => "peers",
            StorageRequest::Purge { .. } => "purge",
            StorageRequest::Read { .. } => "read",
            StorageRequest::StoreSnapshot { .. } => "snapshot",
            StorageRequest::ReadSnapshot { .. } => "read snapshot",
            StorageRequest::KeepSnapshotPart { .. } => "keep",
            StorageRequest::CheckSnapshot { .. } => "check",
            StorageRequest::DropSnapshot => "drop",
            StorageRequest::InstallSnapshot { .. } => "install",
        };
        self.0.borrow_mut().push(name.into());
    }
}

struct Recorder(Journal);

impl Service for Recorder {
    fn message(
        &mut self,
        _context: &mut Context<'_>,
        payload: &[u8],
        _reply: &mut Vec<u8>,
    ) -> Result<(), ServiceError> {
        self.0.borrow_mut().push(format!("message {}", String::from_utf8_lossy(payload)));
        if payload == b"bad" { Err(ServiceError("it is bad".into())) } else { Ok(()) }
    }

    fn snapshot(&self) -> Frozen {
        let is_bad = self.0.borrow().iter().any(|line| line == "message bad");
        assert!(!is_bad, "a deliberate panic");
        self.0.borrow_mut().push("state".into());
        Frozen::laid_out(Vec::new())
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), ServiceError> {
        self.0.borrow_mut().push(format!("restore {}", String::from_utf8_lossy(bytes)));
        if bytes == b"bad" { Err(ServiceError("it is bad".into())) } else { Ok(()) }
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Instant {
        Instant(1)
    }
}

type Loop = MemberLoop<Ports, Log, Storage, Recorder>;

fn member() -> Member {
    let voters = (1..=3).map(|id| (MemberId(id), Endpoint([id as u8; 18]))).collect();
    let config = MemberConfig {
        group: GroupId(9),
        recovery_epoch: RecoveryEpoch(0),
        durability: Durability::default(),
        member: MemberId(1),
        voters,
        joins: false,
        seed: 1,
        timing: Timing::default(),
        limits: Limits::default(),
    };
    let life = Life { member: MemberId(1), incarnation: Incarnation(1), boot_epoch: BootEpoch(1) };
    Member::new(config, Recovered::empty(life), Instant(0)).unwrap()
}

fn member_loop(refuses: Option<AppendError>, incoming: Vec<Vec<u8>>) -> (Loop, Journal) {
    let journal = Journal::default();
    let ports = Ports { journal: Rc::clone(&journal), incoming: incoming.into() };
    let log = Log(Rc::clone(&journal), refuses);
    let storage = Storage(Rc::clone(&journal));
    let host = ServiceHost::new(Recorder(Rc::clone(&journal)));
    let port = FaultyPort::new(ports, None);
    (MemberLoop::new(member(), port, log, storage, host), journal)
}

fn operation() -> OperationId {
    OperationId { boot_epoch: BootEpoch(1), sequence: u64::MAX >> 8 }
}

fn request_vote() -> Message {
    let key = VoteKey { term: Term(0), position: Position(0) };
    Message::RequestVote { term: Term(1), key }
}

fn message(at: u64, payload: PositionRange) -> Action {
    let source = Source::Read(Position(100));
    let delivery = Delivery::Message { session: SessionId(8), sequence: 1, payload, source };
    let (position, end) = (Position(at), Position(at + 8));
    Action::Apply(Apply { position, end, time: LogTime(0), delivery })
}

#[test]
fn actions_are_performed_in_order_sends_first() {
    let (mut running, journal) = member_loop(None, Vec::new());
    let range = PositionRange::new(Position(0), Position(64));
    running.actions.push(Action::Append { range });
    running.actions.push(Action::Sync { operation: operation() });
    let vote = Vote::default();
    running.actions.push(Action::PersistVote { operation: operation(), vote });
    let to = Destination::Member(MemberId(2));
    running.actions.push(Action::Send { to, message: request_vote() });
    let history = running.member.history().clone();
    let cut = Position(64);
    running.actions.push(Action::PersistHistory { operation: operation(), history, cut });
    running.actions.push(message(100, PositionRange::new(Position(102), Position(105))));
    running.perform_all(Some(b"..abc.."));
    let expected = ["send 1", "append 0", "sync", "vote", "cut 64", "history", "message abc"];
    assert_eq!(*journal.borrow(), expected);
    assert_eq!(running.outstanding(), 3);
}

fn take_snapshot() -> Action {
    let snapshot = Box::new(Snapshot { point: SnapshotPoint::default(), core: Vec::new() });
    Action::TakeSnapshot { operation: operation(), snapshot, pinned: None }
}

#[test]
fn e73_a_snapshot_holds_the_service_before_the_frames_of_the_same_event() {
    let (mut running, journal) = member_loop(None, Vec::new());
    running.actions.push(message(100, PositionRange::new(Position(102), Position(105))));
    running.actions.push(take_snapshot());
    running.perform_all(Some(b"..abc.."));
    assert_eq!(*journal.borrow(), ["state", "snapshot", "message abc"]);
    assert_eq!(running.outstanding(), 0, "a member that stops does not wait for it");
}

#[test]
fn a_service_that_panics_over_its_snapshot_goes_on_without_it() {
    let (mut running, journal) = member_loop(None, Vec::new());
    journal.borrow_mut().push("message bad".into());
    running.actions.push(take_snapshot());
    running.perform_all(None);
    assert_eq!(journal.borrow().len(), 1, "nothing is stored");
    assert_eq!(running.unsaved, Some(operation()));
    assert!(running.follow_up(Instant(1)) && !running.follow_up(Instant(1)));
    running.timer(Instant(1)).unwrap();
    let reason = "no space".into();
    let failed = Completion::SnapshotFailed { operation: operation(), reason };
    running.complete(Instant(1), failed).unwrap();
    running.complete(Instant(1), Completion::SnapshotStored { operation: operation() }).unwrap();
    assert_eq!(running.member().view().snapshot, Position(0));
}

#[test]
fn what_concerns_a_fetched_snapshot_goes_to_the_storage_in_order() {
    let (mut running, journal) = member_loop(None, Vec::new());
    let (operation, manifest) = (operation(), SnapshotManifest::default());
    let range = PositionRange::at(Position(0), 8);
    running.actions.push(Action::KeepSnapshotPart { operation, manifest, range });
    running.actions.push(Action::CheckSnapshot { operation, manifest });
    running.actions.push(Action::DropSnapshot);
    running.actions.push(Action::ReadSnapshot { operation, position: Position(8), range });
    running.actions.push(Action::InstallSnapshot { operation, manifest });
    running.perform_all(None);
    assert_eq!(*journal.borrow(), ["keep", "check", "drop", "read snapshot", "install"]);
    assert_eq!(running.outstanding(), 0);
    // What a read of it brings is sent from where it lies.
    running.actions.push(Action::SendData {
        to: Destination::Client(Endpoint::default()),
        stream: Stream::Snapshot,
        epoch: 8,
        range: PositionRange::at(Position(1_216), 1_216 * 2),
        source: Source::Read(Position(0)),
        live: None,
    });
    let bytes = vec![7; 1_216 * 3];
    let event = Event::SnapshotRead { operation, manifest: None, bytes: &bytes };
    running.perform_all(read_in(&event));
    assert_eq!(journal.borrow().last().map(String::as_str), Some("send 2"));
    // Whatever they say, nobody has asked for it.
    for completion in [
        Completion::SnapshotRead { operation, manifest: Some(manifest), bytes },
        Completion::SnapshotWhole { operation, core: Vec::new() },
    ] {
        running.complete(Instant(1), completion).unwrap();
    }
    assert_eq!(running.member().counters().completions_ignored, 2);
}

#[test]
fn e73_a_life_that_has_ended_is_followed_by_one_that_begins_with_the_snapshot() {
    let (mut running, journal) = member_loop(Some(AppendError::Full), Vec::new());
    assert!(!running.restarts());
    running.actions.push(Action::Append { range: PositionRange::at(Position(0), 64) });
    running.actions.push(Action::Sync { operation: operation() });
    running.actions.push(message(100, PositionRange::new(Position(102), Position(105))));
    running.perform_all(Some(b"..abc.."));
    running.perform(Action::Restart, None);
    assert!(running.restarts());
    let life = Life { member: MemberId(1), incarnation: Incarnation(1), boot_epoch: BootEpoch(2) };
    let (log, storage) = (Log(Rc::clone(&journal), None), Storage(Rc::clone(&journal)));
    let next = |life| Member::new(member().config().clone(), Recovered::empty(life), Instant(0));
    let member = next(life).unwrap();
    journal.borrow_mut().clear();
    running.begin_again(member, log, storage, b"state").unwrap();
    assert_eq!(*journal.borrow(), ["restore state"]);
    assert!(!running.restarts());
    assert_eq!((running.outstanding(), running.refused), (0, None));
    assert!(running.host.unreported().is_none(), "what the last life applied is no matter of it");
    assert_eq!(running.member().view().life, life);
    running.timer(Instant(1)).unwrap();
    // A service that is not restored is not called any more.
    let (log, storage) = (Log(Rc::clone(&journal), None), Storage(Rc::clone(&journal)));
    let error = running.begin_again(next(life).unwrap(), log, storage, b"bad").unwrap_err();
    assert_eq!(error.to_string(), "it is bad");
    running.actions.push(message(100, PositionRange::new(Position(102), Position(105))));
    running.perform_all(Some(b"..abc.."));
    assert!(journal.borrow().iter().all(|entry| !entry.starts_with("message")));
}

#[test]
fn who_does_not_lead_says_so_to_whoever_wants_a_snapshot() {
    let (mut running, _journal) = member_loop(None, Vec::new());
    let refusal = SnapshotRefusal::NotLeader { leader: None };
    assert_eq!(running.take_snapshot(Instant(1)), Ok(Err(refusal)));
    assert!(refusal.to_string().ends_with("ask again when the group has a leader"));
}

#[test]
fn a_run_is_cut_into_equal_slices_that_go_out_together() {
    let (mut running, journal) = member_loop(None, Vec::new());
    let bytes = vec![7; 1_216 * 3 + 8];
    running.actions.push(Action::SendData {
        to: Destination::Client(Endpoint::default()),
        stream: Stream::Log,
        epoch: 1,
        range: PositionRange::at(Position(96), bytes.len() as u64),
        source: Source::Read(Position(96)),
        live: None,
    });
    running.perform_all(Some(&bytes));
    assert_eq!(*journal.borrow(), ["send 4"]);
    assert_eq!(running.sender.counters.sent, 4);
}

#[test]
fn e48_appends_behind_a_refused_one_are_not_tried_and_the_core_is_told() {
    let (mut running, journal) = member_loop(Some(AppendError::Full), Vec::new());
    for start in [0, 64] {
        let range = PositionRange::at(Position(start), 64);
        running.actions.push(Action::Append { range });
    }
    running.perform_all(None);
    assert_eq!(*journal.borrow(), ["append 0"]);
    assert_eq!(running.refused, Some(Position(0)));
    assert!(running.follow_up(Instant(1)));
    assert_eq!(running.refused, None);
}

#[test]
fn e43_a_broken_log_stops_the_member_with_what_broke() {
    let broken = AppendError::Broken("the disk is gone".into());
    let (mut running, _journal) = member_loop(Some(broken), Vec::new());
    running.actions.push(Action::Append { range: PositionRange::at(Position(0), 64) });
    running.perform_all(None);
    let stopped = running.step(Instant(1), Event::Timer).unwrap_err();
    assert_eq!(stopped.reason, FailStop::StorageFailed);
    assert!(stopped.to_string().ends_with("the storage failed: the disk is gone"), "{stopped}");
}

#[test]
fn a_service_that_breaks_stops_the_member_and_says_where() {
    let (mut running, _journal) = member_loop(None, Vec::new());
    running.actions.push(message(100, PositionRange::new(Position(100), Position(103))));
    running.perform_all(Some(b"bad"));
    let stopped = running.step(Instant(1), Event::Timer).unwrap_err();
    assert_eq!(stopped.reason, FailStop::ServiceFailed);
    assert_eq!(stopped.detail.as_deref(), Some("at position 100: it is bad"));
}

#[test]
fn a_payload_that_is_not_all_there_is_not_applied_and_stops_the_member() {
    let (mut running, journal) = member_loop(None, Vec::new());
    running.actions.push(message(100, PositionRange::new(Position(102), Position(105))));
    running.actions.push(message(108, PositionRange::new(Position(100), Position(102))));
    running.perform_all(Some(b"..a"));
    let stopped = running.step(Instant(1), Event::Timer).unwrap_err();
    assert_eq!(stopped.reason, FailStop::StorageFailed);
    let expected = "the log has 1 of 3 bytes to apply at 100";
    assert_eq!(stopped.detail.as_deref(), Some(expected));
    assert!(journal.borrow().iter().all(|entry| !entry.starts_with("message")));
}

#[test]
fn a_member_that_stops_waits_for_what_becomes_durable_and_not_for_reads() {
    let (mut running, journal) = member_loop(None, Vec::new());
    let range = PositionRange::new(Position(0), Position(64));
    running.actions.push(Action::ReadLog { operation: operation(), range });
    running.actions.push(Action::Sync { operation: operation() });
    running.perform_all(None);
    assert_eq!(running.outstanding(), 1);
    running.shutdown(Instant(1)).unwrap();
    let outstanding = running.outstanding();
    journal.borrow_mut().clear();
    // Were there a step, it would perform this.
    running.actions.push(message(100, PositionRange::new(Position(100), Position(103))));
    let read = Completion::Read { operation: operation(), bytes: b"abc".to_vec() };
    running.complete(Instant(1), read).unwrap();
    assert_eq!((running.outstanding(), journal.borrow().len()), (outstanding, 0));
}

#[test]
fn a_failed_store_stops_the_member() {
    let (mut running, _journal) = member_loop(None, Vec::new());
    let failed = Completion::Failed { reason: "cannot sync".into() };
    let stopped = running.complete(Instant(1), failed).unwrap_err();
    assert_eq!(stopped.reason, FailStop::StorageFailed);
    assert_eq!(stopped.detail.as_deref(), Some("cannot sync"));
}

#[test]
fn datagrams_are_taken_one_by_one_within_the_budget_and_bad_ones_counted() {
    let tag = member().config().tag();
    let life = (MemberId(2), Incarnation(1), BootEpoch(1));
    let sender = Origin::Member { member: life.0, incarnation: life.1, boot_epoch: life.2 };
    let mut datagram = vec![0; 1_408];
    let length = encode_control(&Header { tag, sender }, &request_vote(), &mut datagram).unwrap();
    datagram.truncate(length);
    let mut incoming = vec![vec![0; 3]; 9];
    incoming.push(datagram);
    let (mut running, _journal) = member_loop(None, incoming);
    assert_eq!(running.receive(&Still, 4), Ok(4));
    assert_eq!(running.sender.counters.received, 4);
    assert_eq!(running.receive(&Still, 100), Ok(6));
    let counters = running.status().datagrams;
    assert_eq!(counters.received, 10);
    assert_eq!(counters.undecodable.values().sum::<u64>(), 9);
}

#[test]
fn a_status_calls_no_service() {
    let (running, journal) = member_loop(None, Vec::new());
    assert_eq!(running.status().snapshot_progress, None);
    assert!(journal.borrow().is_empty(), "nothing is laid out for it: {journal:?}");
    running.service().digest();
    assert_eq!(journal.borrow()[..], ["state"], "that is what a digest costs");
}

#[test]
fn a_member_alone_in_time_asks_for_an_election_by_itself() {
    let (mut running, journal) = member_loop(None, Vec::new());
    running.timer(Instant(1)).unwrap();
    let deadline = running.next_deadline().unwrap();
    assert!(deadline.since(Instant(0)) <= Duration::from_millis(300));
    let mut now = deadline;
    while !journal.borrow().iter().any(|entry| entry.starts_with("send")) {
        running.timer(now).unwrap();
        now = running.next_deadline().unwrap();
    }
    assert!(now.since(Instant(0)) <= Duration::from_millis(2_000));
}
