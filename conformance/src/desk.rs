//! One member on a desk: the core called directly, one event after the other, with a disk whose
//! operations complete when the script says so. For cases about a single decision.

use quorate_core::frame::Checksum;
use quorate_core::message::{HISTORY_LINES_MAX, Incoming, Live, Message, Sender, Stream};
use quorate_core::{
    Action, Actions, BootEpoch, Chain, Destination, Durability, Duration, Endpoint, Event,
    FailStop, Incarnation, Instant, Life, Limits, Member, MemberConfig, MemberId, OperationId,
    Outputs, Position, RecoveryEpoch, Role, Term, TermLine, Timing, View, VoteKey,
};
use quorate_sim::{FrameMark, Place, SimDisk, Stored, Work};

use crate::allocations::{self, Allocated};
use crate::case::{Failure, check};
use crate::stage::{GROUP, TAG};

mod pieces;

pub use pieces::{LogPiece, frames, opening, piece};

/// How a desk is set up.
#[derive(Clone, Debug)]
pub struct DeskOptions {
    /// The group's size; the member is number 1 unless `member` says otherwise.
    pub members: u16,
    /// The member's number.
    pub member: u16,
    /// Time-outs and intervals.
    pub timing: Timing,
    /// Limits.
    pub limits: Limits,
    /// The seed of its generator.
    pub seed: u64,
}

impl DeskOptions {
    /// Member 1 of a group of so many, with the defaults of the core.
    #[must_use]
    pub fn member_of(members: u16) -> Self {
        let (timing, limits) = (Timing::default(), Limits::default());
        Self { members, member: 1, timing, limits, seed: 1 }
    }

    /// The same with small windows: for scripts that set up many desks.
    #[must_use]
    pub fn small(members: u16) -> Self {
        let limits = Limits {
            window_bytes: 64 << 10,
            message_bytes_max: 4 << 10,
            uncommitted_bytes_max: 32 << 10,
            unapplied_bytes_max: 32 << 10,
            session_window_bytes: 32 << 10,
            reply_bytes_max: 1 << 10,
            ..Limits::default()
        };
        Self { limits, ..Self::member_of(members) }
    }
}

/// One member, its disk, and what it last did.
pub struct Desk {
    /// The member.
    pub member: Member,
    /// Its disk. Operations complete by [`Desk::complete`] and its kin.
    pub disk: SimDisk,
    /// The time on its clock.
    pub now: Instant,
    /// What it did in the last event, in order.
    pub actions: Vec<Action>,
    /// Operations that have not completed, in the order in which they were asked for.
    pub pending: Vec<(OperationId, Work)>,
    /// Messages that its service took in, in order.
    pub applied: Vec<Vec<u8>>,
    /// Why it went inert, if it did.
    pub stopped: Option<FailStop>,
    /// Whether it has ended its life, for another on the same directory.
    pub restarts: bool,
    /// Whether frames stay with its service until [`Desk::serve`] says that it is done.
    pub is_service_slow: bool,
    with_service: Option<(Position, Outputs)>,
    /// What its steps allocated, when allocations are counted.
    pub(crate) allocated: Allocated,
    /// Lists that are used again, as a run loop does.
    taken: Actions,
    more: Actions,
    options: DeskOptions,
    life: u64,
}

/// The line of a term that a member leads, in its first life.
#[must_use]
pub const fn line(term: u64, leader: u16, base: Position, chain: Chain) -> TermLine {
    let leader = life(leader);
    TermLine { recovery_epoch: RecoveryEpoch(0), term: Term(term), base, leader, chain }
}

/// The first life of a member.
#[must_use]
pub const fn life(member: u16) -> Life {
    Life { member: MemberId(member), incarnation: Incarnation(1), boot_epoch: BootEpoch(1) }
}

impl Desk {
    /// A member that has never run, freshly started.
    ///
    /// # Errors
    /// The options are refused.
    pub fn new(options: DeskOptions) -> Result<Self, Failure> {
        let disk = SimDisk::new(TAG, options.limits.frame_bytes_max());
        Self::on_disk(options, disk, Instant(1))
    }

    /// A member that starts on this disk.
    ///
    /// # Errors
    /// The core refuses to start.
    pub fn on_disk(options: DeskOptions, mut disk: SimDisk, now: Instant) -> Result<Self, Failure> {
        let config = config(&options);
        let recovered = disk.recover(config.member);
        let life = recovered.life.boot_epoch.0;
        let member = Member::new(config, recovered, now)
            .map_err(|error| Failure::broken(format!("the member does not start: {error}")))?;
        Ok(Self {
            member,
            disk,
            now,
            actions: Vec::new(),
            pending: Vec::new(),
            applied: Vec::new(),
            stopped: None,
            restarts: false,
            is_service_slow: false,
            with_service: None,
            allocated: Allocated::default(),
            taken: Actions::new(),
            more: Actions::new(),
            options,
            life,
        })
    }

    /// Kills the member and starts it again on the disk as it is; what is pending is lost.
    ///
    /// # Errors
    /// The core refuses to start.
    pub fn restart(self) -> Result<Self, Failure> {
        Self::on_disk(self.options, self.disk, self.now)
    }

    /// One event, and what performing its actions brings about at once.
    pub fn step(&mut self, event: Event<'_>) -> &[Action] {
        self.actions.clear();
        let mut actions = core::mem::take(&mut self.taken);
        self.count(event, &mut actions);
        self.member.check_invariants();
        self.perform(&mut actions);
        self.taken = actions;
        &self.actions
    }

    fn count(&mut self, event: Event<'_>, actions: &mut Actions) {
        let member = &mut self.member;
        let found = allocations::measure(|| member.step(self.now, event, actions));
        self.allocated.add(found);
    }

    fn perform(&mut self, actions: &mut Actions) {
        let mut through = None;
        let mut outputs = Outputs::new();
        for action in actions.drain() {
            match &action {
                Action::Append { range } => {
                    let (first, second) = self.member.bytes(Stream::Log, *range);
                    let _ = self.disk.append(first, second);
                }
                Action::Sync { operation } => {
                    let covers = self.disk.written_end().0;
                    self.issue(*operation, Work::Sync { covers });
                }
                Action::PersistVote { operation, vote } => {
                    self.issue(*operation, Work::Vote(*vote));
                }
                Action::PersistHistory { operation, history, cut } => {
                    self.issue(*operation, Work::History { history: history.clone(), cut: *cut });
                }
                Action::PersistPeers { operation, peers } => {
                    self.issue(*operation, Work::Peers(peers.to_vec()));
                }
                Action::TakeSnapshot { operation, snapshot, pinned } => {
                    let stored = Box::new(Stored::new((**snapshot).clone(), Vec::new()));
                    self.issue(*operation, Work::Snapshot { stored, pinned: *pinned });
                }
                Action::Restart => self.restarts = true,
                Action::Purge { origin } => self.disk.purge(*origin),
                Action::ReadLog { operation, range } => self.issue(*operation, Work::Read(*range)),
                Action::Apply(apply) => {
                    through = Some(apply.end);
                    self.apply(apply, &mut outputs);
                }
                Action::FailStop(reason) => self.stopped = Some(*reason),
                Action::Send { .. } | Action::SendData { .. } | Action::Notify(_) => {}
                _ => self.fetch(&action),
            }
            self.actions.push(action);
        }
        if let Some(through) = through {
            self.with_service = Some((through, outputs));
            if !self.is_service_slow {
                self.report_applied();
            }
        }
    }

    fn report_applied(&mut self) {
        let Some((through, outputs)) = self.with_service.take() else { return };
        let mut more = core::mem::take(&mut self.more);
        self.count(Event::Applied { through, outputs: &outputs }, &mut more);
        self.perform(&mut more);
        self.more = more;
    }

    /// A slow service is done with the frames that it has; what the member did.
    pub fn serve(&mut self) -> &[Action] {
        self.actions.clear();
        self.report_applied();
        &self.actions
    }

    fn apply(&mut self, apply: &quorate_core::Apply, outputs: &mut Outputs) {
        use quorate_core::{Delivery, Source};
        if let Delivery::Message { session, sequence, payload, source: Source::Member } =
            apply.delivery
        {
            let (first, second) = self.member.bytes(Stream::Log, payload);
            self.applied.push([first, second].concat());
            outputs.reply(session, sequence, b"ok");
        }
    }

    /// Does what concerns snapshots of other members.
    fn fetch(&mut self, action: &Action) {
        match *action {
            Action::ReadSnapshot { operation, position, range } => {
                self.issue(operation, Work::ReadSnapshot { position, range });
            }
            Action::KeepSnapshotPart { operation, manifest, range } => {
                let bytes = <[_; 2]>::from(self.member.bytes(Stream::Snapshot, range)).concat();
                self.issue(operation, Work::Part { manifest, start: range.start, bytes });
            }
            Action::CheckSnapshot { operation, manifest } => {
                self.issue(operation, Work::Check(manifest));
            }
            Action::DropSnapshot => self.disk.drop_draft(),
            Action::DiscardSnapshots { from } => self.disk.discard_snapshots(from),
            Action::InstallSnapshot { operation, manifest } => {
                let frames = vec![FrameMark::all_before(manifest.point)];
                self.issue(operation, Work::Install { manifest, frames });
            }
            _ => {}
        }
    }

    fn issue(&mut self, operation: OperationId, work: Work) {
        self.disk.issue(operation, work.clone());
        self.pending.push((operation, work));
    }

    /// A control message of a member arrives.
    pub fn receive(&mut self, from: u16, message: Message) -> &[Action] {
        let (sender, source) = (member_sender(from, 1), place(from));
        self.step(Event::Received { sender, source, content: Incoming::Control(message) })
    }

    /// Bytes of the log arrive from a member.
    pub fn receive_log(
        &mut self,
        from: u16,
        term: u64,
        piece: &LogPiece,
        live: Option<Live>,
    ) -> &[Action] {
        let (sender, source) = (member_sender(from, 1), place(from));
        let (epoch, position, slice) = (term, piece.start, piece.bytes.as_slice());
        let content = Incoming::Data { stream: Stream::Log, epoch, position, live, slice };
        self.step(Event::Received { sender, source, content })
    }

    /// The oldest pending operation of this sort completes; whether there was one.
    pub fn complete(&mut self, wanted: impl Fn(&Work) -> bool) -> bool {
        let Some(index) = self.pending.iter().position(|(_, work)| wanted(work)) else {
            return false;
        };
        let (operation, _) = self.pending.remove(index);
        match self.disk.complete(operation) {
            Some(quorate_sim::Completion::Durable(_)) => {
                self.step(Event::Durable { operation });
            }
            Some(quorate_sim::Completion::Read(bytes)) => {
                self.step(Event::LogRead { operation, bytes: &bytes });
            }
            Some(quorate_sim::Completion::SnapshotRead(manifest, bytes)) => {
                self.step(Event::SnapshotRead { operation, manifest, bytes: &bytes });
            }
            Some(quorate_sim::Completion::SnapshotWhole(core)) => {
                self.step(Event::SnapshotWhole { operation, core: &core });
            }
            Some(quorate_sim::Completion::SnapshotFailed) => {
                self.step(Event::SnapshotFailed { operation });
            }
            None => {}
        }
        true
    }

    /// All that is pending completes, and what follows of it too, in order; what the member did.
    pub fn complete_all(&mut self) -> Vec<Action> {
        let mut all = Vec::new();
        while self.complete(|_| true) {
            all.append(&mut self.actions);
        }
        all
    }

    /// Time passes, timers are served and flushes happen, until `duration` has passed.
    pub fn pass(&mut self, duration: Duration) -> Vec<Action> {
        let end = Instant(self.now.0 + duration.0);
        let mut all = Vec::new();
        while let Some(due) = self.member.next_deadline().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            self.step(Event::Timer);
            all.append(&mut self.actions);
        }
        self.now = end;
        self.step(Event::Flush);
        all.append(&mut self.actions);
        all
    }

    /// The member becomes leader: everybody else grants, and its disk completes.
    ///
    /// # Errors
    /// It does not become leader.
    pub fn lead(&mut self) -> Result<Term, Failure> {
        let mut done = Vec::new();
        for _ in 0..64 {
            if self.view().role == Role::Leader {
                self.complete_all();
                return Ok(self.view().term);
            }
            done = match asked(&done).last() {
                Some(message) => self.grant(message),
                None => self.pass(self.options.timing.election_timeout_max),
            };
            done.append(&mut self.complete_all());
        }
        Err(Failure::broken(format!("it does not become leader: {:?}", self.view())))
    }

    /// Everybody else grants what was asked for; what the member did.
    fn grant(&mut self, asked: &Message) -> Vec<Action> {
        let me = MemberId(self.options.member);
        let mut actions = Vec::new();
        for other in (1..=self.options.members).filter(|other| MemberId(*other) != me) {
            let answer = match asked {
                Message::Canvass { term, round, .. } => Message::CanvassReply {
                    term: *term,
                    round: *round,
                    granted: true,
                    key: VoteKey::default(),
                },
                Message::RequestVote { term, .. } => Message::Ballot {
                    term: *term,
                    candidate: me,
                    granted: true,
                    key: VoteKey::default(),
                },
                _ => break,
            };
            self.receive(other, answer);
            actions.append(&mut self.actions);
        }
        actions
    }

    /// The member follows `leader` in `term`: it hears a heartbeat, adopts a history of these
    /// lines, and its disk completes.
    pub fn follow(&mut self, leader: u16, term: u64, lines: &[TermLine]) {
        self.receive(leader, heartbeat(term, 1));
        self.complete_all();
        for message in history(term, self.view().commit, lines) {
            self.receive(leader, message);
        }
        self.complete_all();
    }

    /// The member as it is seen from outside.
    #[must_use]
    pub fn view(&self) -> View {
        self.member.view()
    }

    /// The control messages among the last actions that go to a member.
    #[must_use]
    pub fn sent_to(&self, member: u16) -> Vec<&Message> {
        let to = Destination::Member(MemberId(member));
        sent(&self.actions, to)
    }

    /// Fails unless `holds`, with the member's state behind the text.
    ///
    /// # Errors
    /// It does not hold.
    pub fn check(&self, holds: bool, otherwise: &str) -> crate::case::Verdict {
        check(holds, || format!("{otherwise}; the member is {:?}", self.view()))
    }

    /// The number of the member's life.
    #[must_use]
    pub const fn life(&self) -> u64 {
        self.life
    }
}

/// The canvasses and requests for votes among `actions`.
fn asked(actions: &[Action]) -> Vec<Message> {
    let messages = actions.iter().filter_map(|action| match action {
        Action::Send { message, .. } => Some(message),
        _ => None,
    });
    let asks = |message: &&Message| {
        matches!(message, Message::Canvass { .. } | Message::RequestVote { .. })
    };
    messages.filter(asks).cloned().collect()
}

/// The control messages among `actions` that go there.
#[must_use]
pub fn sent(actions: &[Action], wanted: Destination) -> Vec<&Message> {
    let messages = actions.iter().filter_map(|action| match action {
        Action::Send { to, message } if *to == wanted => Some(message),
        _ => None,
    });
    messages.collect()
}

/// A heartbeat of a leader that has nothing.
#[must_use]
pub fn heartbeat(term: u64, round: u64) -> Message {
    Message::Heartbeat {
        term: Term(term),
        round,
        newest: Position::ZERO,
        commit: Position::ZERO,
        chain_at: Position::ZERO,
        chain: Chain::default(),
    }
}

/// The messages that announce these lines above `above`, as many to a part as may be.
#[must_use]
pub fn history(term: u64, above: Position, lines: &[TermLine]) -> Vec<Message> {
    let checksum = lines_checksum(lines);
    let parts = lines.len().div_ceil(HISTORY_LINES_MAX).max(1);
    let part = |part: usize| {
        let lines = lines.iter().skip(part * HISTORY_LINES_MAX).take(HISTORY_LINES_MAX);
        Message::History {
            term: Term(term),
            above,
            part: part as u16,
            parts: parts as u16,
            checksum,
            lines: lines.copied().collect(),
        }
    };
    (0..parts).map(part).collect()
}

/// The checksum over the lines of an announced history, as PROTOCOL.md defines it.
fn lines_checksum(lines: &[TermLine]) -> u32 {
    let mut sum = Checksum::default();
    for line in lines {
        let life = line.leader;
        sum = sum.add(&line.recovery_epoch.0.to_le_bytes());
        sum = sum.add(&line.term.0.to_le_bytes()).add(&line.base.0.to_le_bytes());
        sum = sum.add(&life.member.0.to_le_bytes()).add(&life.incarnation.0.to_le_bytes());
        sum = sum.add(&life.boot_epoch.0.to_le_bytes()).add(&line.chain.0.to_le_bytes());
    }
    sum.value()
}

/// Where a member's datagrams come from.
#[must_use]
pub fn place(member: u16) -> Endpoint {
    Place::Member(MemberId(member)).endpoint()
}

/// A member in one of its lives, as a header says.
#[must_use]
pub const fn member_sender(member: u16, boot_epoch: u64) -> Sender {
    Sender::Member {
        member: MemberId(member),
        incarnation: Incarnation(1),
        boot_epoch: BootEpoch(boot_epoch),
    }
}

/// The configuration of a desk's member.
#[must_use]
pub fn config(options: &DeskOptions) -> MemberConfig {
    MemberConfig {
        group: GROUP,
        recovery_epoch: RecoveryEpoch(0),
        durability: Durability::default(),
        member: MemberId(options.member),
        voters: (1..=options.members).map(|id| (MemberId(id), place(id))).collect(),
        joins: false,
        seed: options.seed,
        timing: options.timing.clone(),
        limits: options.limits.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_on_a_desk_leads_and_another_follows() {
        let mut desk = Desk::new(DeskOptions::member_of(3)).unwrap();
        let term = desk.lead().unwrap();
        assert_eq!((term, desk.view().durable), (Term(1), desk.view().verified));

        let mut desk = Desk::new(DeskOptions::member_of(3)).unwrap();
        let line = line(4, 2, Position::ZERO, Chain::default());
        desk.follow(2, 4, &[line]);
        let opening = opening(&line, Term(0));
        desk.receive_log(2, 4, &opening, None);
        assert_eq!(desk.view().verified, opening.end);
        assert_eq!(desk.view().durable, Position::ZERO);
        desk.complete_all();
        assert_eq!(desk.view().durable, opening.end);
    }
}
