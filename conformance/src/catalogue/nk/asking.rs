//! Cases about who lacks bytes of the log: when it asks, whom, and for what.

use quorate_core::{
    Action, Destination, Duration, Instant, MemberId, Position, PositionRange, Timing,
};
use quorate_sim::Dice;

use crate::case::{Verdict, check};
use crate::desk::{Desk, DeskOptions};
use crate::scripted_log::{ScriptedLog, naks, range, small_desk};
use crate::trial::Trial;

/// A request for holes that left a desk.
#[derive(Clone, Debug)]
struct Asked {
    at: Instant,
    to: Destination,
    ranges: Vec<PositionRange>,
}

/// Plays a log's leader for a member on a desk, which never loses sight of it, and notes what the
/// member asks for.
struct Listener<'l> {
    log: &'l ScriptedLog,
    timing: Timing,
    round: u64,
    newest: Position,
    asked: Vec<Asked>,
}

impl<'l> Listener<'l> {
    fn new(log: &'l ScriptedLog, options: &DeskOptions) -> Self {
        let (timing, newest) = (options.timing.clone(), Position::ZERO);
        Self { log, timing, round: 1, newest, asked: Vec::new() }
    }

    /// The leader says that it wrote up to `newest`.
    fn hear(&mut self, desk: &mut Desk, newest: Position) {
        self.newest = newest;
        self.round += 1;
        let heartbeat = self.log.heartbeat(self.round, newest, Position::ZERO);
        desk.receive(self.log.line.leader.member.0, heartbeat);
        self.note(desk.now, &desk.actions);
    }

    fn note(&mut self, at: Instant, actions: &[Action]) {
        let naks = naks(actions).into_iter().map(|(to, ranges)| Asked { at, to, ranges });
        self.asked.extend(naks);
    }

    /// Time passes; each range that is asked for goes to `answer`.
    fn pass(
        &mut self,
        desk: &mut Desk,
        duration: Duration,
        mut answer: impl FnMut(&ScriptedLog, &mut Desk, PositionRange),
    ) {
        let end = desk.now + duration;
        let mut beat = desk.now + self.timing.heartbeat_interval;
        let mut at_once = 0;
        loop {
            let due = desk.member.next_deadline().unwrap_or(end).max(desk.now).min(beat);
            if due > end {
                desk.now = end;
                return;
            }
            at_once = if due > desk.now { 0 } else { at_once + 1 };
            assert!(at_once < 1_000, "time stands still: the member's deadline does not move");
            desk.now = due;
            let answered = self.asked.len();
            if due == beat {
                beat += self.timing.heartbeat_interval;
                self.hear(desk, self.newest);
            } else {
                desk.step(quorate_core::Event::Timer);
                self.note(due, &desk.actions);
            }
            let done = desk.complete_all();
            self.note(due, &done);
            for asked in &self.asked[answered..] {
                asked.ranges.iter().for_each(|range| answer(self.log, desk, *range));
            }
        }
    }

    /// Time passes and nobody answers; all ranges that are asked for in it, in their order.
    fn pass_unanswered(&mut self, desk: &mut Desk, duration: Duration) -> Vec<PositionRange> {
        let before = self.asked.len();
        self.pass(desk, duration, |_, _, _| {});
        let mut ranges: Vec<PositionRange> =
            self.asked[before..].iter().flat_map(|asked| asked.ranges.clone()).collect();
        ranges.sort_unstable_by_key(|range| range.start);
        ranges
    }
}

/// A log of member 2 with so many messages, and a follower of it that has none of its bytes.
fn follower(messages: u64) -> Result<(ScriptedLog, Desk, DeskOptions), crate::case::Failure> {
    let options = small_desk(3);
    let log = ScriptedLog::new(2, 2, messages, 200);
    let desk = log.follower(options.clone())?;
    Ok((log, desk, options))
}

/// Nearly a delay: a hole of this age may still be reordering.
const fn nearly(delay: Duration) -> Duration {
    Duration(delay.0.saturating_sub(1))
}

const fn sum(one: Duration, other: Duration) -> Duration {
    Duration(one.0 + other.0)
}

pub(super) fn nk_03(trial: &mut Trial<'_>) -> Verdict {
    let mut dice = Dice::new(trial.seed(), "nk_03");
    for _ in 0..trial.times(50, 500, 5_000) {
        let (log, mut desk, options) = follower(12)?;
        let mut slices = log.slices(8 * dice.between(8, 64));
        // Each slice is overtaken by two others at most: by three, and it would not wait.
        for three in slices.chunks_mut(3) {
            for last in (1..three.len()).rev() {
                three.swap(last, dice.below(last as u64 + 1) as usize);
            }
        }
        let pause = Duration(nearly(options.timing.nak_delay).0 / slices.len() as u64);
        for slice in &slices {
            log.feed_live(&mut desk, slice);
            desk.pass(pause);
        }
        desk.pass(options.timing.nak_delay.times(4));
        let (view, counters) = (desk.view(), *desk.member.counters());
        desk.check(view.verified == log.end(), "the slices did not make the whole log")?;
        let asked = counters.naks_sent;
        desk.check(asked == 0, &format!("it asked {asked} times for what was merely reordered"))?;
    }
    Ok(())
}

pub(super) fn nk_05(_: &mut Trial<'_>) -> Verdict {
    let (log, mut desk, options) = follower(4)?;
    let (delay, retry) = (options.timing.nak_delay, options.timing.nak_retry);
    let mut leader = Listener::new(&log, &options);
    leader.hear(&mut desk, log.end());
    let heard = desk.now;
    leader.pass(&mut desk, retry.times(200), |_, _, _| {});

    let whole = range(0, log.end().0);
    let asks_all = leader.asked.iter().all(|asked| asked.ranges == [whole]);
    desk.check(asks_all, &format!("not always the whole hole: {:?}", leader.asked.last()))?;
    let first = leader.asked.first().map_or(Duration(u64::MAX), |asked| asked.at.since(heard));
    desk.check(first >= delay, "the first request came before the delay")?;
    let after = |from: &Asked, to: &Asked| to.at.since(from.at);
    for pair in leader.asked.windows(2) {
        let pause = after(&pair[0], &pair[1]);
        let kept = pause >= retry && pause <= sum(retry, delay.times(2));
        desk.check(kept, &format!("{pause:?} between two requests, the interval is {retry:?}"))?;
    }
    let last = leader.asked.last().map_or(Duration(u64::MAX), |asked| desk.now.since(asked.at));
    desk.check(last <= sum(retry, delay.times(2)), "it gave up asking")?;
    for (member, asked) in [(2, &leader.asked[..2]), (3, &leader.asked[..])] {
        let to = Destination::Member(MemberId(member));
        let is_asked = asked.iter().any(|asked| asked.to == to);
        desk.check(is_asked, &format!("member {member} was not asked in its turn"))?;
    }

    log.feed(&mut desk, &log.slice(whole));
    let more = leader.pass_unanswered(&mut desk, retry.times(4));
    desk.check(more.is_empty(), &format!("it asks for what it has: {more:?}"))
}

/// What happens to a hole before it is asked for, and what is to be asked for then.
struct Change {
    what: &'static str,
    /// Held at first, with holes between.
    held: &'static [(u64, u64)],
    /// The newest position that is heard at first.
    newest: u64,
    /// What comes nearly a delay later.
    comes: &'static [(u64, u64)],
    /// The newest position that is heard then.
    newest_then: u64,
    asked: &'static [(u64, u64)],
}

const CHANGES: [Change; 5] = [
    Change {
        what: "it shrinks",
        held: &[(512, 768)],
        newest: 768,
        comes: &[(0, 256)],
        newest_then: 768,
        asked: &[(256, 512)],
    },
    Change {
        what: "it splits",
        held: &[(768, 1024)],
        newest: 1024,
        comes: &[(256, 512)],
        newest_then: 1024,
        asked: &[(0, 256), (512, 768)],
    },
    Change {
        what: "another is found",
        held: &[(256, 512)],
        newest: 512,
        comes: &[],
        newest_then: 1024,
        asked: &[(0, 256), (512, 1024)],
    },
    Change {
        what: "it moves",
        held: &[(256, 512)],
        newest: 512,
        comes: &[(0, 256), (768, 1024)],
        newest_then: 1024,
        asked: &[(512, 768)],
    },
    Change {
        what: "it is filled",
        held: &[(256, 512)],
        newest: 512,
        comes: &[(0, 256)],
        newest_then: 512,
        asked: &[],
    },
];

pub(super) fn nk_06(_: &mut Trial<'_>) -> Verdict {
    for change in &CHANGES {
        let (log, mut desk, options) = follower(8)?;
        let (delay, retry) = (options.timing.nak_delay, options.timing.nak_retry);
        let mut leader = Listener::new(&log, &options);
        let feed = |desk: &mut Desk, ranges: &[(u64, u64)]| {
            for (start, end) in ranges {
                log.feed(desk, &log.slice(range(*start, *end)));
            }
        };
        feed(&mut desk, change.held);
        leader.hear(&mut desk, Position(change.newest));
        let early = leader.pass_unanswered(&mut desk, nearly(delay));
        desk.check(early.is_empty(), &format!("{}: asked too early", change.what))?;
        feed(&mut desk, change.comes);
        leader.hear(&mut desk, Position(change.newest_then));
        let wanted: Vec<_> = change.asked.iter().map(|(start, end)| range(*start, *end)).collect();
        // What is found late has its own delay, or three if nothing lies behind it; nothing is
        // asked for twice meanwhile.
        let asked = leader.pass_unanswered(&mut desk, delay.times(4).min(nearly(retry)));
        let text = format!("{}: asked for {asked:?}, not for {wanted:?}", change.what);
        desk.check(asked == wanted, &text)?;
        // The next request describes what is still missing then.
        feed(&mut desk, &change.asked[..change.asked.len().min(1)]);
        let rest: Vec<_> = wanted.iter().copied().skip(1).collect();
        let asked = leader.pass_unanswered(&mut desk, sum(retry, delay));
        let text = format!("{}: asked again for {asked:?}, not for {rest:?}", change.what);
        desk.check(asked == rest, &text)?;
    }
    Ok(())
}

pub(super) fn nk_09(_: &mut Trial<'_>) -> Verdict {
    let (log, mut desk, options) = follower(8)?;
    let (delay, retry) = (options.timing.nak_delay, options.timing.nak_retry);
    let mut leader = Listener::new(&log, &options);
    leader.hear(&mut desk, log.end());
    let asked = leader.pass_unanswered(&mut desk, delay.times(3));
    desk.check(asked == [range(0, log.end().0)], &format!("asked for {asked:?} at first"))?;
    let mut end = 0;
    while end + 128 < log.end().0 {
        // A repair just before the request would be repeated: it is left alone once more.
        let more = leader.pass_unanswered(&mut desk, nearly(retry));
        let text = format!("asked for {more:?} while the answer to it was coming");
        desk.check(more.is_empty(), &text)?;
        log.feed(&mut desk, &log.slice(range(end, end + 128)));
        end += 128;
    }
    let rest = leader.pass_unanswered(&mut desk, sum(retry, delay.times(3)));
    let wanted = [range(end, log.end().0)];
    desk.check(rest == wanted, &format!("then asked for {rest:?}, not for {wanted:?}"))
}

pub(super) fn nk_21(_: &mut Trial<'_>) -> Verdict {
    let (log, mut desk, options) = follower(8)?;
    let delay = options.timing.nak_delay;
    let mut leader = Listener::new(&log, &options);
    log.feed(&mut desk, &log.slice(range(512, log.end().0)));
    let armed = desk.member.next_deadline();
    let due = desk.now + delay;
    desk.check(armed.is_some_and(|at| at <= due), "no request is being prepared")?;
    desk.now = due;
    // At the very moment at which the request would leave, most of it comes.
    log.feed(&mut desk, &log.slice(range(0, 384)));
    leader.note(desk.now, &desk.actions);
    let asked = leader.pass_unanswered(&mut desk, delay);
    let asked: Vec<_> =
        leader.asked.iter().flat_map(|asked| asked.ranges.clone()).chain(asked).collect();
    let only_rest = asked.iter().all(|asked| *asked == range(384, 512));
    desk.check(only_rest && !asked.is_empty(), &format!("asked for {asked:?} of [384, 512)"))?;

    let (log, mut desk, options) = follower(8)?;
    let mut leader = Listener::new(&log, &options);
    log.feed(&mut desk, &log.slice(range(512, log.end().0)));
    desk.now = due;
    log.feed(&mut desk, &log.slice(range(0, 512)));
    leader.note(desk.now, &desk.actions);
    leader.pass(&mut desk, options.timing.nak_retry.times(4), |_, _, _| {});
    let asked = desk.member.counters().naks_sent;
    desk.check(asked == 0, &format!("{asked} requests left although all had come"))
}

pub(super) fn nk_30(trial: &mut Trial<'_>) -> Verdict {
    let mut options = small_desk(3);
    let limits = &mut options.limits;
    (limits.window_bytes, limits.uncommitted_bytes_max) = (32 << 10, 16 << 10);
    (limits.message_bytes_max, limits.coverage_ranges_max) = (1_024, 16);
    let log = ScriptedLog::new(2, 2, 300, 500);
    let mut desk = log.follower(options.clone())?;
    let mut leader = Listener::new(&log, &options);

    let limit = options.limits.window_bytes;
    let far = log.slices(512);
    let far: Vec<_> = far.into_iter().filter(|slice| slice.start.0 >= limit).collect();
    for slice in &far {
        log.feed(&mut desk, slice);
    }
    let dropped = desk.member.counters().slices_dropped;
    let text = format!("{dropped} of {} slices counted as dropped", far.len());
    desk.check(dropped == far.len() as u64, &text)?;
    let view = desk.view();
    desk.check(view.seen.0 <= limit, "it holds what it has no room for")?;

    // Within the window more pieces than it can note; `Desk::step` checks the bound on them.
    let mut dice = Dice::new(trial.seed(), "nk_30");
    for _ in 0..trial.times(200, 1_000, 5_000) {
        let start = 8 * dice.between(1, limit / 8 - 2);
        log.feed(&mut desk, &log.slice(range(start, start + 8)));
    }
    leader.hear(&mut desk, log.end());
    let within = options.timing.nak_retry.times(1_000);
    leader.pass(&mut desk, within, |log, desk, range| log.feed(desk, &log.slice(range)));
    desk.check(desk.view().verified == log.end(), "what was dropped was never asked for again")?;
    check(desk.stopped.is_none(), || format!("it stopped: {:?}", desk.stopped))
}
