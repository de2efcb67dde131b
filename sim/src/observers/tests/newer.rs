use super::*;
use crate::ledger::swapped_in;
use crate::observers::{
    client_history::ClientHistory, completeness::Completeness, contested_term::ContestedTerm,
    counters::Counters, deadlines::Deadlines, level::Level, own_copy::OwnCopy,
    repair_discipline::RepairDiscipline, shadow::Shadow, stopped::Stopped,
    time_in_the_log::TimeInTheLog, two_members::TwoMembers,
    unknown_is_not_absent::UnknownIsNotAbsent, voters_only::VotersOnly, window::Window,
    worlds_apart::WorldsApart,
};
use quorate_core::message::{ConnectOutcome, EpochRange, NakRanges};
use quorate_core::{
    Apply, BootEpoch, Delivery, Durability, Endpoint, Event, FailStop, Incarnation, Incoming,
    Instant, Life, Member, MemberConfig, Outputs, PositionRange, Recovered, RecoveryEpoch,
    SessionId, Source, Stream, TermLine,
};

const NONE: [&str; 0] = [];

fn sender(member: u16) -> Sender {
    Sender::Member {
        member: MemberId(member),
        incarnation: Incarnation(1),
        boot_epoch: BootEpoch(1),
    }
}

fn range(start: u64, end: u64) -> PositionRange {
    PositionRange::new(Position(start), Position(end))
}

fn line(term: u64, base: u64) -> TermLine {
    TermLine {
        recovery_epoch: RecoveryEpoch(0),
        term: Term(term),
        base: Position(base),
        leader: Life::default(),
        chain: Chain(0),
    }
}

/// A stage whose member leads term 1 and holds 4,096 bytes of it.
fn leading(observer: impl Observer + 'static) -> Stage {
    let mut stage = Stage::with(observer);
    stage.history = TermHistory::new(vec![line(1, 0)]).unwrap();
    stage.view.role = Role::Leader;
    stage.view.term = Term(1);
    stage.view.received = Position(4_096);
    stage.view.verified = Position(4_096);
    stage.before = stage.view;
    stage
}

fn send_data(to: u16, epoch: u64, start: u64, end: u64) -> Action {
    let live = (epoch == 1).then(Default::default);
    let (range, source) = (range(start, end), Source::Member);
    let to = Destination::Member(MemberId(to));
    Action::SendData { to, stream: Stream::Log, epoch, range, source, live }
}

fn asks(stage: &mut Stage, now: u64, action: &Action) -> Vec<&'static str> {
    let ranges: NakRanges = [EpochRange { epoch: 1, range: range(0, 8) }].into_iter().collect();
    let message = &Message::Nak { stream: Stream::Log, ranges };
    assert_eq!(stage.show(now, Observed::Received { sender: sender(2), message }), NONE);
    assert_eq!(stage.show(now, Observed::Stepped { actions: &Actions::new() }), NONE);
    stage.show(now, Observed::Acting(action))
}

#[test]
fn s9_nobody_votes_for_who_is_behind() {
    let mut stage = Stage::with(Completeness::default());
    let core = member();
    stage.before.key = VoteKey { term: Term(2), position: Position(64) };
    stage.view.vote = Vote { term: Term(3), granted_to: Some(MemberId(2)) };
    let actions = &Actions::new();
    for (term, position, found) in [(2, 64, vec![]), (1, 128, vec!["S9"]), (2, 56, vec!["S9"])] {
        let key = VoteKey { term: Term(term), position: Position(position) };
        let message = &Message::RequestVote { term: Term(3), key };
        stage.show_core(&core, Observed::Received { sender: sender(2), message });
        assert_eq!(stage.show_core(&core, Observed::Stepped { actions }), found);
    }
}

#[test]
fn s13_and_s39_a_leader_that_counts_itself_early() {
    // Without a frame on record there is nothing to say; S8 speaks then.
    let mut stage = leading(OwnCopy);
    stage.view.commit = Position(64);
    assert_eq!(stage.stepped(), NONE);
    let mut stage = leading(OwnCopy);
    stage.disk.assign(MemberId(1));
    stage.show(0, Observed::Written { frames: &[mark(1, 7)], bad: None });
    stage.view.commit = Position(64);
    assert_eq!(stage.stepped(), ["S13"]);
    let mut stage = leading(TwoMembers);
    stage.show(0, Observed::Written { frames: &[mark(1, 7)], bad: None });
    stage.view.commit = Position(64);
    assert_eq!(stage.stepped(), NONE, "there is one disk only");
}

#[test]
fn s20_repairs_linger_have_a_budget_and_are_of_their_term() {
    let mut stage = leading(RepairDiscipline::default());
    assert_eq!(asks(&mut stage, 0, &send_data(2, 1, 0, 64)), NONE);
    assert_eq!(asks(&mut stage, 500, &send_data(2, 1, 32, 96)), ["S20"]);
    assert_eq!(asks(&mut stage, 2_000, &send_data(2, 1, 0, 64)), NONE);
    assert_eq!(asks(&mut stage, 4_000, &send_data(2, 1, 64, 2_064)), ["S20"], "budget");
    let beyond = send_data(2, 1, 4_000, 4_104);
    assert_eq!(stage.show(90_000, Observed::Acting(&beyond)), ["S20"], "not held");
    let other = send_data(2, 2, 0, 64);
    assert_eq!(stage.show(90_000, Observed::Acting(&other)), ["S20"], "of another term");
    // What is sent unasked is no repair.
    stage.stepped();
    for now in [100_000, 100_001] {
        assert_eq!(stage.show(now, Observed::Acting(&send_data(2, 1, 0, 64))), NONE);
    }
}

fn acknowledge(limit: u64) -> Message {
    Message::Acknowledge {
        term: Term(1),
        sequence: limit,
        round: 1,
        durable: Position(0),
        received: Position(0),
        limit: Position(limit),
        commit: Position(0),
    }
}

#[test]
fn s21_limits_bind_the_sender_and_never_move_back() {
    let mut stage = leading(Window::default());
    let data = send_data(2, 1, 0, 64);
    assert_eq!(stage.show(0, Observed::Acting(&data)), ["S21"]);
    let message = &acknowledge(64);
    stage.show(0, Observed::Received { sender: sender(2), message });
    assert_eq!(stage.show(0, Observed::Acting(&data)), NONE);
    assert_eq!(stage.show(0, Observed::Acting(&send_data(3, 1, 0, 64))), ["S21"]);
    assert_eq!(stage.sends(0, acknowledge(80)), NONE);
    assert_eq!(stage.sends(0, acknowledge(72)), ["S21"]);
    let outcome = ConnectOutcome::Open {
        session: SessionId(8),
        leader: MemberId(1),
        term: Term(1),
        limit: Position(96),
    };
    assert_eq!(stage.sends(0, Message::ConnectReply { connection: 4, outcome }), NONE);
    let epoch = quorate_core::stream::session_epoch(4, SessionId(8));
    let key = ClientKey(1);
    let ingress = |end| Observed::Ingress { key, epoch, range: range(0, end) };
    assert_eq!(stage.show(0, ingress(96)), NONE);
    assert_eq!(stage.show(0, ingress(104)), ["S21"]);
    let (to, stream) = (Destination::Client(Endpoint::default()), Stream::Egress(key));
    let (range, source) = (range(8_000, 8_200), Source::Member);
    let egress = Action::SendData { to, stream, epoch, range, source, live: None };
    assert_eq!(stage.show(0, Observed::Acting(&egress)), ["S21"]);
}

#[test]
fn s23_who_leads_has_a_quorum_of_durable_votes() {
    for (votes, found) in [(1, vec!["S23"]), (2, vec![])] {
        let mut stage = Stage::with(VotersOnly::default());
        stage.view.role = Role::Leader;
        stage.view.term = Term(1);
        for voter in 0..votes {
            // The stage has one member: the others' votes are put on record one by one.
            let vote = Vote { term: Term(1), granted_to: Some(MemberId(1)) };
            stage.show_of(MemberId(voter + 1), Observed::Durable(&Work::Vote(vote)));
        }
        assert_eq!(stage.stepped(), found);
    }
}

fn applies(stage: &mut Stage, at: u64, time: u64, timer: Option<u64>) -> Vec<&'static str> {
    let session = SessionId(8);
    let delivery = match timer {
        Some(timer) => Delivery::Timer { timer },
        None => Delivery::SessionOpened { session, client: ClientKey(1) },
    };
    let (position, end) = (Position(at), Position(at + 8));
    let apply = &Apply { position, end, time: LogTime(time), delivery };
    stage.show(0, Observed::Applied { apply, payload: 0, reply: &[] })
}

#[test]
fn s25_and_l8_log_time_and_timers() {
    let mut stage = Stage::with(TimeInTheLog::default());
    assert_eq!(applies(&mut stage, 0, 100, None), NONE);
    assert_eq!(applies(&mut stage, 8, 90, None), ["S25"]);
    let mut stage = Stage::with(TimeInTheLog::default());
    let mut outputs = Outputs::new();
    outputs.schedule_timer(1, LogTime(50));
    outputs.schedule_timer(2, LogTime(60));
    let (through, local) = (Position(8), Instant(0));
    let event = &Event::Applied { through, outputs: &outputs };
    stage.show(0, Observed::Stepping { local, event });
    assert_eq!(applies(&mut stage, 8, 40, Some(1)), ["S25"], "early");
    assert_eq!(applies(&mut stage, 16, 50, Some(1)), ["S25"], "twice");
    assert_eq!(applies(&mut stage, 24, 60, Some(3)), ["S25"], "never scheduled");
    stage.show(0, Observed::Phase(Phase::Calm));
    assert_eq!(stage.show(1_000, Observed::Phase(Phase::Over)), NONE);
    assert_eq!(stage.show(9_000_000_000, Observed::Phase(Phase::Over)), ["L8"]);
}

fn member() -> Member {
    let endpoint = Endpoint::default();
    let config = MemberConfig {
        group: quorate_core::GroupId(1),
        recovery_epoch: RecoveryEpoch(0),
        durability: Durability::default(),
        member: MemberId(1),
        voters: (1..=3).map(|id| (MemberId(id), endpoint)).collect(),
        joins: false,
        seed: 7,
        timing: quorate_core::Timing::default(),
        limits: Swarm::draw(2).limits,
    };
    let boot_epoch = BootEpoch(1);
    let life = Life { member: MemberId(1), incarnation: Incarnation(1), boot_epoch };
    Member::new(config, Recovered::empty(life), Instant(0)).unwrap()
}

#[test]
fn experiments_find_nothing_wrong_with_a_sound_member() {
    let content = Incoming::Control(Message::HistoryRequest { term: Term(4), commit: Position(0) });
    let source = Endpoint::default();
    let event = &Event::Received { sender: sender(2), source, content };
    let observers: [Box<dyn Observer>; 4] = [
        Box::new(ContestedTerm::eager()),
        Box::new(Stopped::eager()),
        Box::new(WorldsApart::eager()),
        Box::new(UnknownIsNotAbsent::eager()),
    ];
    for observer in observers {
        let mut stage = Stage::new();
        stage.observers = Observers::new(vec![observer]);
        let mut core = member();
        for local in [Instant(1), Instant(2)] {
            stage.view = core.view();
            assert_eq!(stage.show_core(&core, Observed::Stepping { local, event }), NONE);
            core.step(local, event.clone(), &mut Actions::new());
        }
    }
}

#[test]
fn s34_nothing_follows_a_stop() {
    let stop = Action::FailStop(FailStop::StorageFailed);
    let actions = |list: &[&Action]| {
        let mut actions = Actions::new();
        list.iter().for_each(|action| actions.push((*action).clone()));
        actions
    };
    let mut stage = Stage::with(Stopped::default());
    assert_eq!(stage.show(0, Observed::Acting(&stop)), ["S34"], "it says so and goes on");
    stage.view.fail_stop = Some(FailStop::StorageFailed);
    assert_eq!(stage.show(0, Observed::Acting(&stop)), NONE);
    let notice = Action::Notify(Notice::StorageFull);
    let step = actions(&[&notice, &stop]);
    assert_eq!(stage.show(0, Observed::Stepped { actions: &step }), NONE);
    let step = actions(&[&stop, &notice]);
    assert_eq!(stage.show(0, Observed::Stepped { actions: &step }), ["S34"], "behind it");
    stage.before = stage.view;
    assert_eq!(stage.stepped(), NONE);
    let step = actions(&[&notice]);
    assert_eq!(stage.show(0, Observed::Stepped { actions: &step }), ["S34"], "in a later step");
}

#[test]
fn s35_a_shadow_does_the_same() {
    let mut core = member();
    let mut stage = Stage::with(Shadow::eager());
    stage.view = core.view();
    assert_eq!(stage.show_core(&core, Observed::Started), NONE);
    let (local, event) = (Instant(400_000_000), &Event::Timer);
    assert_eq!(stage.show_core(&core, Observed::Stepping { local, event }), NONE);
    let mut actions = Actions::new();
    core.step(local, Event::Timer, &mut actions);
    assert!(!actions.is_empty(), "it canvasses");
    stage.view = core.view();
    assert_eq!(stage.show_core(&core, Observed::Stepped { actions: &actions }), NONE);
    stage.show_core(&core, Observed::Stepping { local, event });
    assert_eq!(stage.show_core(&core, Observed::Stepped { actions: &actions }), ["S35"]);
}

#[test]
fn s37_nobody_denies_what_it_holds() {
    let mut stage = leading(UnknownIsNotAbsent::default());
    let deny = |epoch, start, end| {
        let range = EpochRange { epoch, range: range(start, end) };
        Message::Unavailable { stream: Stream::Log, range, oldest: Position::ZERO }
    };
    assert_eq!(stage.sends(0, deny(1, 0, 64)), ["S37"]);
    assert_eq!(stage.sends(0, deny(2, 0, 64)), NONE);
    assert_eq!(stage.sends(0, deny(1, 4_096, 8_000)), NONE);
    stage.sends(0, {
        let mut message = acknowledge(64);
        if let Message::Acknowledge { durable, .. } = &mut message {
            *durable = Position(128);
        }
        message
    });
    let key = |position| VoteKey { term: Term(1), position: Position(position) };
    let canvass = |position| Message::Canvass { term: Term(1), round: 1, key: key(position) };
    assert_eq!(stage.sends(0, canvass(128)), NONE);
    assert_eq!(stage.sends(0, canvass(120)), ["S37"]);
}

#[test]
fn s40_numbers_rise() {
    let mut stage = Stage::with(Counters::default());
    let sequence = |sequence| acknowledge(sequence);
    assert_eq!(stage.sends(0, sequence(1)), NONE);
    assert_eq!(stage.sends(0, sequence(2)), NONE);
    assert_eq!(stage.sends(0, sequence(2)), ["S40"]);
    let sync = |sequence| {
        let operation = OperationId { boot_epoch: BootEpoch(0), sequence };
        Action::Sync { operation }
    };
    assert_eq!(stage.show(0, Observed::Acting(&sync(1))), NONE);
    assert_eq!(stage.show(0, Observed::Acting(&sync(1))), ["S40"]);
    stage.view.received = Position::MAX;
    assert_eq!(stage.stepped(), ["S40"]);
}

#[test]
fn e105_a_deadline_that_stays() {
    let core = member();
    let mut stage = Stage::with(Deadlines::default());
    let local = Instant(u64::MAX / 2);
    let mut found = Vec::new();
    for served in 1..=64 {
        assert!(found.is_empty() || served > 56, "after {served} of them");
        found = stage.show_core(&core, Observed::ServedTimer { local });
    }
    assert_eq!(found, ["E105"]);
    let mut stage = Stage::with(Deadlines::default());
    for now in 1..=1_000 {
        let observed = Observed::ServedTimer { local };
        assert_eq!(stage.show_all(now * 100_000_000, MemberId(1), Some(&core), observed), NONE);
    }
}

#[test]
fn h1_to_h3_histories_of_clients() {
    let reply = |number: u64, previous: u64| [number, 0, previous].map(u64::to_le_bytes).concat();
    let stage = || {
        let mut stage = Stage::with(ClientHistory::default());
        stage.rules.is_ledger = true;
        for (now, client, sequence) in [(0, 1, 1), (0, 1, 2), (0, 2, 1)] {
            let accepted = Observed::Accepted { key: ClientKey(client), sequence, payload: 0 };
            assert_eq!(stage.show(now, accepted), NONE);
        }
        stage
    };
    let replied = |stage: &mut Stage, client, sequence, reply: &[u8]| {
        let (key, position) = (ClientKey(client), Position(0));
        stage.show(5, Observed::Replied { key, sequence, position, reply })
    };
    let mut sound = stage();
    assert_eq!(replied(&mut sound, 1, 1, &reply(1, 0)), NONE);
    assert_eq!(replied(&mut sound, 1, 2, &[]), NONE, "an empty reply says nothing");
    assert_eq!(sound.show(9, Observed::Phase(Phase::Over)), NONE);
    let put_in = |client, sequence| swapped_in(ClientKey(client), sequence, 0);
    let mut wrong = stage();
    assert_eq!(replied(&mut wrong, 1, 1, &reply(7, 12)), ["H1"], "nobody put 12 in");
    let own = put_in(1, 2);
    assert_eq!(replied(&mut wrong, 1, 2, &reply(8, own)), ["H1"], "it found what it put in");
    let mut wrong = stage();
    let first = put_in(1, 1);
    assert_eq!(replied(&mut wrong, 1, 2, &reply(7, first)), NONE);
    assert_eq!(replied(&mut wrong, 1, 2, &reply(7, first)), ["H2"], "the same once more");
    assert_eq!(replied(&mut wrong, 2, 1, &reply(8, first)), ["H3"], "it was there once");
    let mut wrong = stage();
    assert_eq!(replied(&mut wrong, 1, 1, &reply(7, 0)), NONE);
    assert_eq!(replied(&mut wrong, 1, 2, &reply(6, 0)), ["H2"]);
    assert_eq!(replied(&mut wrong, 2, 1, &reply(7, 0)), ["H3"], "one frame answers one message");
    let (one, other) = (put_in(1, 1), put_in(2, 1));
    for phase in [Phase::Calm, Phase::Over] {
        let mut wrong = stage();
        assert_eq!(replied(&mut wrong, 1, 1, &reply(7, other)), NONE);
        assert_eq!(replied(&mut wrong, 2, 1, &reply(8, one)), NONE);
        assert_eq!(wrong.show(9, Observed::Phase(phase)), ["H1"], "each comes before the other");
        assert_eq!(wrong.show(9, Observed::Phase(phase)), NONE, "another member sees the phase");
    }
}

#[test]
fn l4_the_calm() {
    let mut stage = leading(Level::default());
    stage.show(0, Observed::Phase(Phase::Led));
    assert_eq!(stage.stepped(), NONE, "nothing is chosen, so nobody lags");
}

/// A volatile world of one disk, with one frame on it that is chosen and not synced.
fn unsynced() -> Stage {
    use quorate_core::frame::{Body, FrameFront, FrameSeed, frame_bytes};
    let mut stage = Stage::with(safe_replies::SafeReplies::default());
    stage.rules.is_volatile = true;
    stage.history = TermHistory::new(vec![line(1, 0)]).unwrap();
    let (history, cut) = (stage.history.clone(), Position::ZERO);
    let operation = OperationId::default();
    stage.disk.issue(operation, Work::History { history, cut });
    stage.disk.complete(operation).unwrap();
    let body = Body::Message { session: SessionId(8), sequence: 1, time: LogTime(3) };
    let seed = FrameSeed::new(GroupTag(1), Term(1), Position::ZERO);
    let mut bytes = FrameFront::new(seed, &body, (&[], &[])).bytes().to_vec();
    bytes.resize(frame_bytes(&body, 0) as usize, 0);
    let (frames, bad) = stage.disk.append(&bytes, &[]);
    let frames = frames.to_vec();
    assert_eq!(stage.show(0, Observed::Written { frames: &frames, bad }), NONE);
    stage.view.commit = frames[0].end;
    assert_eq!(stage.stepped(), NONE);
    stage
}

#[test]
fn s14_what_is_called_safe_is_on_a_quorum_of_disks_and_stays_there() {
    let position = Position::ZERO;
    let mut stage = unsynced();
    assert_eq!(stage.show(0, Observed::Crashed), NONE, "nothing was called safe");
    assert_eq!(stage.show(0, Observed::Synced { position }), ["S14"]);
    assert_eq!(stage.show(0, Observed::Crashed), ["S14"]);
    let operation = OperationId { sequence: 1, ..OperationId::default() };
    stage.disk.issue(operation, Work::Sync { covers: stage.disk.written_end().0 });
    stage.disk.complete(operation).unwrap();
    assert_eq!(stage.show(0, Observed::Synced { position }), NONE);
    assert_eq!(stage.show(0, Observed::Crashed), NONE);
    let beyond = stage.disk.written_end();
    assert_eq!(stage.show(0, Observed::Synced { position: beyond }), ["S14"], "nothing is there");
}

#[test]
fn s14_a_reply_that_was_to_wait_does() {
    use quorate_core::frame::{Body, FrameFront, FrameSeed, frame_bytes};
    let (key, sequence) = (ClientKey(5), 3);
    let body = Body::Reply { session: SessionId(8), sequence, position: Position::ZERO };
    let seed = FrameSeed::new(GroupTag(9), Term(0), Position::ZERO);
    let mut bytes = FrameFront::new(seed, &body, (&[], &[])).bytes().to_vec();
    bytes.resize(frame_bytes(&body, 0) as usize, 0);
    let egress = Observed::Egress { key, epoch: 1, start: Position::ZERO, bytes: &bytes };
    let mut stage = unsynced();
    assert_eq!(stage.show(0, egress), NONE, "it asked for nothing");
    let mut stage = unsynced();
    stage.show(0, Observed::AskedForSafe { key, sequence });
    assert_eq!(stage.show(0, egress), ["S14"]);
}
