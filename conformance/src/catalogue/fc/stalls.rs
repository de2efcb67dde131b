//! The case about what an operator is told when somebody holds a member back.

use quorate_core::{Action, Duration, Event, Instant, Notice, Position, Stall, Term};

use crate::case::Verdict;
use crate::desk::{Desk, DeskOptions};
use crate::desk_client::acknowledge;
use crate::scripted_log::{ScriptedLog, small_desk};
use crate::stage::{MILLI, SECOND};
use crate::trial::Trial;

/// For how long nothing may move before it is told.
const PATIENCE: u64 = 200 * MILLI;

fn patient_desk() -> DeskOptions {
    let mut options = small_desk(3);
    options.timing.stall_timeout = Duration(PATIENCE);
    // It stays in office, though little is committed.
    options.timing.progress_timeout = Duration(3_600 * SECOND);
    options
}

/// What a member told of stalls, and when.
#[derive(Default)]
struct Told(Vec<(Instant, Notice)>);

impl Told {
    fn hear(&mut self, now: Instant, actions: &[Action]) {
        for action in actions {
            if let Action::Notify(notice @ (Notice::Stalled { .. } | Notice::StallEnded { .. })) =
                action
            {
                self.0.push((now, *notice));
            }
        }
    }

    /// Nothing but these notices came, in this order, the first of them not before and not long
    /// after `due`.
    fn expect(&mut self, desk: &Desk, what: &str, due: u64, notices: &[Notice]) -> Verdict {
        let told = core::mem::take(&mut self.0);
        let same = told.iter().map(|(_, notice)| notice).eq(notices);
        desk.check(same, &format!("{what}: told were {told:?}, not {notices:?}"))?;
        let late = due + 4 * small_desk(3).timing.heartbeat_interval.0;
        let in_time = told.iter().all(|(at, _)| (due..=late).contains(&at.0));
        desk.check(in_time, &format!("{what}: {told:?}, but due at {due}"))
    }
}

pub(super) fn fc_12(trial: &mut Trial<'_>) -> Verdict {
    followers(trial)?;
    disk_and_service()
}

/// A leader of three: member 2 has no more room, and member 3 says nothing.
fn followers(trial: &Trial<'_>) -> Verdict {
    let log = ScriptedLog::new(2, 2, 60, 1_000);
    let mut desk = log.holder(patient_desk())?;
    let term = desk.lead()?;
    let (begun, head) = (desk.now.0, desk.view().verified);
    let mut told = Told::default();
    let mut group = Group { term, sequence: 0, told: &mut told };
    let full = Position(8_192);
    group.turns(&mut desk, PATIENCE + 5 * interval(), (Position::ZERO, full));
    let window = Stall::Window { member: quorate_core::MemberId(2) };
    let silence = Stall::Acknowledgement { member: quorate_core::MemberId(3) };
    let stalled = |cause| Notice::Stalled { cause };
    told.expect(
        &desk,
        "a full window and a silent member",
        begun + PATIENCE,
        &[stalled(window), stalled(silence)],
    )?;

    // They are named once, however long it lasts; and what moves, however slowly, is no stall.
    let mut group = Group { term, sequence: 1_000, told: &mut told };
    let mut held = Position::ZERO;
    let moved_at = desk.now.0;
    for _ in 0..trial.times(6, 20, 200) {
        held = held.plus(8).min(head);
        group.turns(&mut desk, PATIENCE / 2, (held, full));
    }
    let ended = |cause| Notice::StallEnded { cause };
    told.expect(&desk, "member 2 moves on", moved_at, &[ended(window)])?;

    let mut group = Group { term, sequence: 2_000_000, told: &mut told };
    let wide = Position(1 << 40);
    let back_at = desk.now.0;
    group.turns(&mut desk, 2 * interval(), (head, wide));
    desk.receive(3, acknowledge(term, 1, head, wide));
    let mut group = Group { term, sequence: 3_000_000, told: &mut told };
    group.turns(&mut desk, 2 * PATIENCE, (head, wide));
    told.expect(&desk, "all are level", back_at, &[ended(silence)])
}

/// A follower whose disk, and then whose service, does not get done.
fn disk_and_service() -> Verdict {
    let log = ScriptedLog::new(2, 2, 60, 1_000);
    let mut desk = log.follower(patient_desk())?;
    let mut told = Told::default();
    let mut round = 1;
    let mut beats = |desk: &mut Desk, told: &mut Told, duration: u64, commit| {
        let end = desk.now.0 + duration;
        while desk.now.0 < end {
            let passed = desk.pass(Duration(interval()));
            told.hear(desk.now, &passed);
            round += 1;
            desk.receive(2, log.heartbeat(round, log.end(), commit));
            told.hear(desk.now, &desk.actions);
        }
    };
    beats(&mut desk, &mut told, 2 * PATIENCE, Position::ZERO);
    desk.complete_all();
    beats(&mut desk, &mut told, 2 * interval(), Position::ZERO);
    told.expect(&desk, "nothing waits for anybody", desk.now.0, &[])?;
    log.frames.iter().for_each(|frame| log.feed(&mut desk, frame));
    let begun = desk.now.0;
    beats(&mut desk, &mut told, 3 * PATIENCE, Position::ZERO);
    let cause = Stall::Disk;
    told.expect(&desk, "its disk hangs", begun + PATIENCE, &[Notice::Stalled { cause }])?;
    let done_at = desk.now.0;
    desk.complete_all();
    beats(&mut desk, &mut told, PATIENCE / 2, Position::ZERO);
    told.expect(&desk, "its disk is done", done_at, &[Notice::StallEnded { cause }])?;

    desk.is_service_slow = true;
    let begun = desk.now.0;
    beats(&mut desk, &mut told, 3 * PATIENCE, log.end());
    let cause = Stall::Service;
    told.expect(&desk, "its service hangs", begun + PATIENCE, &[Notice::Stalled { cause }])?;
    let done_at = desk.now.0;
    desk.is_service_slow = false;
    desk.serve();
    beats(&mut desk, &mut told, PATIENCE / 2, log.end());
    told.expect(&desk, "its service is done", done_at, &[Notice::StallEnded { cause }])?;
    desk.step(Event::Flush);
    desk.check(desk.view().applied == log.end(), "not all was applied")
}

fn interval() -> u64 {
    small_desk(3).timing.heartbeat_interval.0
}

/// The rest of the group of a leader on a desk: member 2 says where it is at each interval.
struct Group<'a> {
    term: Term,
    sequence: u64,
    told: &'a mut Told,
}

impl Group<'_> {
    fn turns(&mut self, desk: &mut Desk, duration: u64, (held, limit): (Position, Position)) {
        let end = desk.now.0 + duration;
        while desk.now.0 < end {
            self.sequence += 1;
            desk.receive(2, acknowledge(self.term, self.sequence, held, limit));
            self.told.hear(desk.now, &desk.actions);
            let mut done = desk.complete_all();
            done.append(&mut desk.pass(Duration(interval())));
            self.told.hear(desk.now, &done);
        }
    }
}
