mod demands;
mod newer;
mod of_fetches;

use super::*;
use crate::disk::{FrameMark, SimDisk, Work};
use crate::swarm::Swarm;
use quorate_core::{
    Action, Actions, Chain, ClientKey, Destination, GroupTag, LogTime, MemberId, Message, Notice,
    OperationId, Position, Role, Sender, Term, TermHistory, View, Vote, VoteKey,
};

/// A member with a disk of its own, and observers that look at it.
struct Stage {
    observers: Observers,
    disk: SimDisk,
    history: TermHistory,
    before: View,
    view: View,
    rules: Rules,
}

impl Stage {
    fn new() -> Self {
        Self {
            observers: Observers::default(),
            disk: SimDisk::new(GroupTag(1), 4_096),
            history: TermHistory::default(),
            before: View::default(),
            view: View::default(),
            rules: rules(),
        }
    }

    /// A stage with one observer.
    fn with(observer: impl Observer + 'static) -> Self {
        Self { observers: Observers::new(vec![Box::new(observer)]), ..Self::new() }
    }

    /// The ids of what the observers say to it.
    fn show(&mut self, now: u64, observed: Observed<'_>) -> Vec<&'static str> {
        self.show_all(now, MemberId(1), None, observed)
    }

    /// The same of another member.
    fn show_of(&mut self, member: MemberId, observed: Observed<'_>) -> Vec<&'static str> {
        self.show_all(0, member, None, observed)
    }

    /// The same with the member itself at hand.
    fn show_core(
        &mut self,
        core: &quorate_core::Member,
        observed: Observed<'_>,
    ) -> Vec<&'static str> {
        self.show_all(0, MemberId(1), Some(core), observed)
    }

    fn show_all(
        &mut self,
        now: u64,
        member: MemberId,
        core: Option<&quorate_core::Member>,
        observed: Observed<'_>,
    ) -> Vec<&'static str> {
        let mut violations = Violations::default();
        let disks = [&self.disk];
        let scene = Scene {
            now,
            member,
            before: &self.before,
            view: &self.view,
            history: &self.history,
            core,
            members: core.map(Into::into),
            disk: &self.disk,
            disks: disks.as_slice().into(),
            rules: &self.rules,
        };
        self.observers.observe(&scene, observed, &mut violations);
        violations.found.iter().map(|violation| violation.id).collect()
    }

    fn stepped(&mut self) -> Vec<&'static str> {
        self.show(0, Observed::Stepped { actions: &Actions::new() })
    }

    fn sends(&mut self, now: u64, message: Message) -> Vec<&'static str> {
        let send = Action::Send { to: Destination::Member(MemberId(2)), message };
        self.show(now, Observed::Acting(&send))
    }
}

/// Of clocks without error, and round numbers.
fn rules() -> Rules {
    let mut rules = Rules::of(&Swarm::draw(1));
    rules.timing.nak_retry = quorate_core::Duration(1_000);
    rules.timing.repair_linger = quorate_core::Duration(1_000);
    rules.timing.heartbeat_interval = quorate_core::Duration(10_000);
    rules.limits.repair_budget_bytes = 1_024;
    rules.limits.session_window_bytes = 8_192;
    Rules { members: 3, clock_error: 0, actions_max: 10, ..rules }
}

fn mark(term: u64, checksum: u32) -> FrameMark {
    FrameMark {
        start: Position(0),
        end: Position(64),
        term: Term(term),
        checksum,
        chain: Chain(u64::from(checksum)),
        time: LogTime(0),
    }
}

#[test]
fn s1_two_leaders_of_one_term() {
    let mut stage = Stage::with(one_leader::OneLeader::default());
    stage.view.role = Role::Leader;
    stage.view.term = Term(3);
    assert!(stage.stepped().is_empty());
    stage.view.life.boot_epoch.0 = 9;
    assert_eq!(stage.stepped(), ["S1"]);
}

#[test]
fn s2_and_s3_votes() {
    let mut stage = Stage::new();
    stage.view.term = Term(3);
    let key = VoteKey::default();
    let grant = Message::Ballot { term: Term(3), candidate: MemberId(2), granted: true, key };
    assert_eq!(stage.sends(0, grant.clone()), ["S3", "S4"]);
    let vote = Vote { term: Term(3), granted_to: Some(MemberId(3)) };
    assert_eq!(stage.show(0, Observed::Durable(&Work::Vote(vote))), ["S2"]);
    let operation = OperationId::default();
    let granted_to = Some(MemberId(2));
    stage.disk.issue(operation, Work::Vote(Vote { term: Term(3), granted_to }));
    stage.disk.complete(operation);
    assert!(stage.sends(0, grant).is_empty());
}

#[test]
fn s5_one_term_and_position_with_two_frames() {
    let mut stage = Stage::new();
    assert!(stage.show(0, Observed::Written { frames: &[mark(1, 7)], bad: None }).is_empty());
    assert!(
        stage
            .show(0, Observed::Written { frames: &[mark(1, 7), mark(2, 8)], bad: None })
            .is_empty()
    );
    assert_eq!(stage.show(0, Observed::Written { frames: &[mark(1, 9)], bad: None }), ["S5"]);
    assert_eq!(stage.show(0, Observed::Written { frames: &[], bad: Some(Position(8)) }), ["S36"]);
}

#[test]
fn s7_and_s8_a_commit_of_what_nobody_has() {
    let mut stage = Stage::new();
    stage.before.role = Role::Leader;
    stage.view.role = Role::Leader;
    stage.view.received = Position(64);
    stage.view.verified = Position(64);
    stage.view.commit = Position(64);
    let found = stage.stepped();
    assert!(found.contains(&"S7") && found.contains(&"S8"), "{found:?}");
}

#[test]
fn s10_positions_out_of_order() {
    let mut stage = Stage::new();
    stage.view.applied = Position(8);
    assert_eq!(stage.stepped(), ["S10"]);
}

#[test]
fn s12_an_acknowledgement_without_a_disk() {
    let mut stage = Stage::new();
    let acknowledge = Message::Acknowledge {
        term: Term(0),
        sequence: 1,
        round: 1,
        durable: Position(64),
        received: Position(64),
        limit: Position(64),
        commit: Position(0),
    };
    assert!(stage.sends(0, acknowledge).contains(&"S12"));
}

#[test]
fn s16_two_states_at_one_position() {
    let mut stage = Stage::new();
    assert!(stage.show(0, Observed::State { service: 1, replicated: 2 }).is_empty());
    assert_eq!(stage.show(0, Observed::State { service: 1, replicated: 3 }), ["S16"]);
}

#[test]
fn s17_replies_out_of_order() {
    let mut stage = Stage::new();
    let replied =
        Observed::Replied { key: ClientKey(1), sequence: 2, position: Position(8), reply: &[] };
    assert_eq!(stage.show(0, replied), ["S15", "S17"]);
}

#[test]
fn s18_too_many_actions() {
    let mut actions = Actions::new();
    (0..11).for_each(|_| actions.push(Action::Notify(Notice::StorageFull)));
    assert_eq!(Stage::new().show(0, Observed::Stepped { actions: &actions }), ["S18"]);
}

#[test]
fn s19_asking_twice_too_soon_and_for_the_unheard_of() {
    use quorate_core::message::EpochRange;
    use quorate_core::{PositionRange, Stream};
    let mut stage = Stage::new();
    let nak = |start, end| Message::Nak {
        stream: Stream::Log,
        ranges: [EpochRange {
            epoch: 1,
            range: PositionRange::new(Position(start), Position(end)),
        }]
        .into_iter()
        .collect(),
    };
    assert_eq!(stage.sends(0, nak(0, 64)), ["S19"]);
    stage.show(0, Observed::Heard(Position(128)));
    assert!(stage.sends(0, nak(0, 64)).is_empty());
    assert_eq!(stage.sends(500, nak(0, 8)), ["S19"]);
    assert!(stage.sends(1_000, nak(0, 64)).is_empty());
    stage.view.received = Position(64);
    assert_eq!(stage.sends(3_000, nak(32, 128)), ["S19"]);
}
