//! One member on its machine: the real core, a disk, and a clock that goes on only when it is told
//! to.

use core::hash::{Hash, Hasher};
use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use quorate_core::hash::StateHasher;
use quorate_core::{
    Action, Actions, ClientKey, Delivery, Destination, Event, GroupTag, Instant, Limits, Member,
    MemberConfig, MemberId, MembershipChange, Message, OperationId, Outputs, Position,
    PositionRange, RecoveryEpoch, Role, Sender, Source, Stream, TimerKind, Timing,
};
use quorate_core::{BootEpoch, Durability, Duration, message};

use super::letters::{Body, Letter};
use super::rules::{self, Violation};
use crate::disk::{Completion, SimDisk, Work};
use crate::network::Place;
use crate::world::GROUP;

/// Members of the group.
pub(super) const MEMBERS: usize = 3;

const INTERVAL: Duration = Duration::from_millis(50);
const TIMEOUT_MIN: Duration = Duration::from_millis(150);
const TIMEOUT_MAX: Duration = Duration::from_millis(300);

/// What one member does next, apart from what that costs.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Step {
    /// It takes in a datagram.
    Take(u32),
    /// It has slept for an election time-out, and looks at its timers.
    TimeOut,
    /// So much time passes that it takes its leader for lost, and it does nothing yet.
    Lapse,
    /// Its next timer comes due.
    Tick,
    /// An operator asks it to make this member an observer.
    Demote(u16),
    /// Of the operations of its disk the one at this place is done.
    Done(u8),
    /// Its power fails when these operations of its disk were done.
    Crash(u32),
    /// It comes up.
    Start,
    /// It does nothing: something happens to what is on its way to it.
    Pass,
}

/// A member's machine.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) id: MemberId,
    pub(super) disk: SimDisk,
    pub(super) member: Option<Member>,
    now: Instant,
    /// The clock when the member was last asked for anything.
    stepped_at: Instant,
    pub(super) service: Service,
}

/// What the service has taken in, in this life.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Service {
    pub(super) through: Position,
    pub(super) digest: u64,
    opened: Vec<ClientKey>,
}

/// What comes of one step.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub(super) machine: Machine,
    pub(super) sent: Vec<(MemberId, Letter)>,
    /// The operations that were done when the power failed in its middle, if it did.
    pub(super) crashed: Option<u32>,
    pub(super) violation: Option<Violation>,
}

fn timing() -> Timing {
    let never = Duration::from_millis(3_600_000);
    Timing {
        heartbeat_interval: INTERVAL,
        heartbeat_first: INTERVAL,
        election_timeout_min: TIMEOUT_MIN,
        election_timeout_max: TIMEOUT_MAX,
        progress_timeout: never,
        session_timeout: never,
        peer_record_interval: never,
        stall_timeout: never,
        ..Timing::default()
    }
}

fn limits() -> Limits {
    Limits {
        window_bytes: 8 << 10,
        message_bytes_max: 64,
        uncommitted_bytes_max: 4 << 10,
        unapplied_bytes_max: 4 << 10,
        coverage_ranges_max: 8,
        sessions_max: 4,
        session_window_bytes: 1 << 10,
        in_flight_max: 2,
        reply_bytes_max: 64,
        ..Limits::default()
    }
}

impl Machine {
    /// A machine with an empty disk, whose member is not up.
    pub(super) fn new(id: MemberId) -> Self {
        let tag = GroupTag::new(GROUP, RecoveryEpoch(0));
        let mut disk = SimDisk::new(tag, limits().frame_bytes_max());
        disk.assign(id);
        let (now, service) = (Instant(0), Service::default());
        Self { id, disk, member: None, now, stepped_at: now, service }
    }

    /// A hash of all that decides what comes of any step.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = StateHasher::default();
        (self.id, self.disk.fingerprint()).hash(&mut hasher);
        if let Some(member) = &self.member {
            (member.state_hash(), self.now, self.stepped_at, &self.service).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Whether its leader can be taken for lost without that anything else happens.
    pub(super) fn can_lapse(&self) -> bool {
        let Some(member) = &self.member else { return false };
        let follows = member.view().leader.is_some_and(|leader| leader != self.id);
        follows && self.now == self.stepped_at
    }

    /// When it looks at its timers next, if it does before an election time-out has passed.
    pub(super) fn tick_at(&self) -> Option<Instant> {
        let member = self.member.as_ref()?;
        let (at, kind) = member.next_timer()?;
        match member.view().role {
            Role::Leader | Role::Canvasser | Role::Candidate => Some(self.now + INTERVAL),
            Role::Follower if kind == TimerKind::Holes => Some(at.max(self.now)),
            Role::Follower | Role::Nominee | Role::Stopped => None,
        }
    }

    /// Performs `step`, in all ways that it can go: first that in which the power does not fail,
    /// then, if it `may_crash`, those in which it fails before the disk has done what was asked.
    /// Where disks are slow, the power fails in steps of its own.
    pub(super) fn go(
        &self,
        step: Step,
        letter: Option<&Letter>,
        (slow, may_crash): (bool, bool),
    ) -> Vec<Turn> {
        let mut running = Running::of(self.clone());
        let mut crashed = Vec::new();
        let gone = catch_unwind(AssertUnwindSafe(|| {
            running.begin(step, letter);
            while !slow && running.violation.is_none() {
                let under_way = running.machine.disk.under_way().count() as u32;
                if under_way == 0 || running.machine.member.is_none() {
                    break;
                }
                if may_crash {
                    crashed.extend((0..1 << under_way).map(|done| running.crash(done)));
                }
                running.finish(0);
            }
        }));
        if let Err(panic) = gone {
            running.violation = Some(rules::panicked(&*panic));
        }
        let Running { machine, sent, violation, .. } = running;
        let mut turns = vec![Turn { machine, sent, crashed: None, violation }];
        turns.extend(crashed);
        turns
    }
}

/// A step under way.
#[derive(Debug)]
struct Running {
    machine: Machine,
    sent: Vec<(MemberId, Letter)>,
    violation: Option<Violation>,
    actions: Actions,
    /// The end of what the service was handed and has not reported.
    applying: Option<Position>,
    outputs: Outputs,
}

impl Running {
    fn of(machine: Machine) -> Self {
        Self {
            machine,
            sent: Vec::new(),
            violation: None,
            actions: Actions::new(),
            applying: None,
            outputs: Outputs::new(),
        }
    }

    fn begin(&mut self, step: Step, letter: Option<&Letter>) {
        match step {
            Step::Take(_) => {
                if let Some(Letter { sender, body }) = letter {
                    let (sender, source) = (*sender, place_of(*sender).endpoint());
                    self.turn(Event::Received { sender, source, content: body.incoming() }, &[]);
                }
            }
            Step::TimeOut => {
                self.machine.now += TIMEOUT_MAX;
                self.turn(Event::Timer, &[]);
            }
            Step::Lapse => self.machine.now += TIMEOUT_MIN,
            Step::Tick => {
                self.machine.now = self.machine.tick_at().unwrap_or(self.machine.now);
                self.turn(Event::Timer, &[]);
            }
            Step::Demote(member) => {
                let change = MembershipChange::Demote { member: MemberId(member) };
                self.turn(Event::ChangeMembership { request: 1, change }, &[]);
            }
            Step::Done(at) => self.finish(usize::from(at)),
            Step::Crash(done) => self.lose_power(done),
            Step::Start => self.start(),
            Step::Pass => {}
        }
    }

    /// What is left when the power fails now.
    fn crash(&self, done: u32) -> Turn {
        let mut fallen = Self::of(self.machine.clone());
        fallen.lose_power(done);
        let (sent, crashed) = (self.sent.clone(), Some(done));
        Turn { machine: fallen.machine, sent, crashed, violation: None }
    }

    fn lose_power(&mut self, done: u32) {
        let machine = &mut self.machine;
        machine.disk.lose_power_when(done);
        machine.member = None;
        machine.service = Service::default();
        (machine.now, machine.stepped_at) = (Instant(0), Instant(0));
    }

    fn start(&mut self) {
        let machine = &mut self.machine;
        let recovered = machine.disk.recover(machine.id);
        let BootEpoch(boot) = recovered.life.boot_epoch;
        let voters = (1..=MEMBERS as u16).map(MemberId);
        let config = MemberConfig {
            group: GROUP,
            recovery_epoch: RecoveryEpoch(0),
            member: machine.id,
            voters: voters.map(|id| (id, Place::Member(id).endpoint())).collect(),
            joins: false,
            // Of another life another one; of all members alike, so that they are interchangeable.
            seed: boot,
            timing: timing(),
            limits: limits(),
            durability: Durability::Durable,
        };
        match Member::new(config, recovered, machine.now) {
            Ok(member) => machine.member = Some(member),
            Err(error) => return self.found("start", format!("{error}")),
        }
        self.turn(Event::Timer, &[]);
    }

    /// An event, all that the service says to it, and the flush behind it.
    fn turn(&mut self, event: Event<'_>, read: &[u8]) {
        self.event(event, read);
        self.event(Event::Flush, &[]);
    }

    fn event(&mut self, event: Event<'_>, read: &[u8]) {
        self.step(event, read);
        while let Some(through) = self.applying.take() {
            let mut outputs = core::mem::take(&mut self.outputs);
            self.step(Event::Applied { through, outputs: &outputs }, &[]);
            outputs.clear();
            self.outputs = outputs;
        }
    }

    fn step(&mut self, event: Event<'_>, read: &[u8]) {
        let machine = &mut self.machine;
        let Some(member) = &mut machine.member else { return };
        let before = member.view();
        machine.stepped_at = machine.now;
        member.step(machine.now, event, &mut self.actions);
        let mut actions = core::mem::take(&mut self.actions);
        for action in actions.drain() {
            self.perform(action, read);
        }
        self.actions = actions;
        if let Some(member) = &self.machine.member {
            member.check_invariants();
            if let Some(violation) = rules::falls(&before, &member.view()) {
                self.violation.get_or_insert(violation);
            }
        }
    }

    fn found(&mut self, rule: &'static str, text: String) {
        self.violation.get_or_insert(Violation { rule, text });
    }

    fn perform(&mut self, action: Action, read: &[u8]) {
        let disk = &mut self.machine.disk;
        match action {
            Action::Send { to: Destination::Member(to), message } => {
                if let Some(violation) = rules::promise(self.machine.id, disk, &message) {
                    self.violation.get_or_insert(violation);
                }
                if self.is_for_a_witness(to, &message) {
                    return;
                }
                self.post(to, Body::Control(message));
            }
            Action::SendData {
                to: Destination::Member(to),
                stream,
                epoch,
                range,
                source,
                live,
            } => {
                let bytes = self.bytes(stream, range, source, read);
                self.post_slices(to, (stream, epoch, range.start, live), &bytes);
            }
            Action::Append { range } => self.append(range),
            Action::Sync { operation } => {
                let covers = disk.written_end().0;
                disk.issue(operation, Work::Sync { covers });
            }
            Action::PersistVote { operation, vote } => {
                if let Some(violation) = rules::vote(disk.vote(), vote) {
                    self.violation.get_or_insert(violation);
                }
                self.machine.disk.issue(operation, Work::Vote(vote));
            }
            Action::PersistHistory { operation, history, cut } => {
                disk.issue(operation, Work::History { history, cut });
            }
            Action::PersistPeers { operation, peers } => {
                disk.issue(operation, Work::Peers(peers.into_vec()));
            }
            Action::ReadLog { operation, range } => disk.issue(operation, Work::Read(range)),
            Action::Apply(apply) => self.apply(&apply),
            Action::FailStop(reason) => self.found("fail-stop", format!("{reason}")),
            // Nobody hears what clients are told, and nobody reads.
            Action::Send { .. } | Action::SendData { .. } | Action::Notify(_) => {}
            other => self.found("explore", format!("nothing of this world asks for {other:?}")),
        }
    }

    /// Whether it is an acknowledgement to somebody else than the leader: it is remembered there in
    /// case that a disk is restored to an older state, which no disk of this world is. It is lost.
    fn is_for_a_witness(&self, to: MemberId, message: &Message) -> bool {
        let leader = self.machine.member.as_ref().and_then(|member| member.view().leader);
        matches!(message, Message::Acknowledge { .. }) && leader != Some(to)
    }

    fn apply(&mut self, apply: &quorate_core::Apply) {
        let service = &mut self.machine.service;
        service.through = apply.end;
        let mut hasher = StateHasher::default();
        (service.digest, apply.position, apply.end, apply.time).hash(&mut hasher);
        match apply.delivery {
            Delivery::SessionOpened { session, client } => {
                (session, client).hash(&mut hasher);
                if service.opened.contains(&client) {
                    self.violation.get_or_insert_with(|| rules::twice(client));
                }
                service.opened.push(client);
            }
            Delivery::Message { session, sequence, .. } => {
                (session, sequence).hash(&mut hasher);
                self.outputs.reply(session, sequence, &[]);
            }
            Delivery::SessionClosed { .. } | Delivery::Timer { .. } => {}
        }
        service.digest = hasher.finish();
        self.applying = Some(apply.end);
    }

    fn append(&mut self, range: PositionRange) {
        let Machine { member: Some(member), disk, .. } = &mut self.machine else { return };
        let (first, second) = member.bytes(Stream::Log, range);
        if let Some(at) = disk.append(first, second).1 {
            self.found("S36", format!("at {at} something is written that is no frame there"));
        }
    }

    fn bytes(&self, stream: Stream, range: PositionRange, source: Source, read: &[u8]) -> Vec<u8> {
        match (source, &self.machine.member) {
            (Source::Member, Some(member)) => {
                let (first, second) = member.bytes(stream, range);
                [first, second].concat()
            }
            (Source::Read(begin), _) => {
                let start = range.start.since(begin) as usize;
                read.get(start..start + range.len() as usize).unwrap_or_default().to_vec()
            }
            (Source::Member, None) => Vec::new(),
        }
    }

    fn post_slices(
        &mut self,
        to: MemberId,
        (stream, epoch, start, live): (Stream, u64, Position, Option<message::Live>),
        bytes: &[u8],
    ) {
        let mut position = start;
        for slice in bytes.chunks(limits().slice_bytes as usize) {
            let bytes = slice.to_vec();
            self.post(to, Body::Data { stream, epoch, position, live, bytes });
            position = position.plus(slice.len() as u64);
        }
    }

    fn post(&mut self, to: MemberId, body: Body) {
        let Some(member) = &self.machine.member else { return };
        let life = member.view().life;
        let (incarnation, boot_epoch) = (life.incarnation, life.boot_epoch);
        let sender = Sender::Member { member: life.member, incarnation, boot_epoch };
        self.sent.push((to, Letter { sender, body }));
    }

    /// Of the operations under way the one at `index` is done, and the member is told.
    fn finish(&mut self, index: usize) {
        let operation: Option<OperationId> = self.machine.disk.under_way().nth(index);
        let Some(operation) = operation else { return };
        match self.machine.disk.complete(operation) {
            Some(Completion::Read(bytes)) => {
                self.turn(Event::LogRead { operation, bytes: &bytes }, &bytes);
            }
            Some(_) => self.turn(Event::Durable { operation }, &[]),
            None => {}
        }
    }
}

fn place_of(sender: Sender) -> Place {
    match sender {
        Sender::Member { member, .. } => Place::Member(member),
        Sender::Client { key } => Place::Client(key.0 as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::{Apply, LogTime, SessionId};

    fn opened(client: u64, end: u64) -> Apply {
        let (position, end, time) = (Position(end - 8), Position(end), LogTime(1));
        let (session, client) = (SessionId(end.0), ClientKey(client));
        let delivery = Delivery::SessionOpened { session, client };
        Apply { position, end, time, delivery }
    }

    #[test]
    fn a_second_session_of_a_client_is_noticed() {
        let mut running = Running::of(Machine::new(MemberId(1)));
        running.apply(&opened(1, 8));
        running.apply(&opened(2, 16));
        assert_eq!(running.violation, None);
        running.apply(&opened(1, 24));
        assert_eq!(running.violation.map(|violation| violation.rule), Some("S15"));
    }
}
