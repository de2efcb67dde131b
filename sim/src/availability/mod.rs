//! L15: while faults go on, a group serves as long as a quorum of it is well. In each two seconds
//! behind a time in which one quorum was up and mutually connected, on sound disks and with clocks
//! in bound, 99 of 100 requests are answered within a second each. Where members let others go
//! first at an election, both times are longer by that. Whoever leads then has to be of that
//! quorum: for what a leader suffers that is shorter than an election time-out nobody deposes it.
//!
//! This is the record that the rule is judged by, and the judgement: it is told who is well and
//! what clients see, and looks at nothing by itself. `health.rs` tells it, from the true state of
//! hosts and links and from nothing that a member believes.
//!
//! A request counts from when it is the oldest one of its client that is not answered: what waits
//! behind others, since its client submits faster than replies come, is no want of availability.
//! One that fails counts anew each second, until it is answered.

mod health;

use std::collections::VecDeque;

use crate::swarm::MILLI;

/// How often it is looked, in nanoseconds: windows begin at its multiples.
const STEP: u64 = 100 * MILLI;
/// The time within which a request is answered, in nanoseconds, if nobody waits before it stands
/// for election. A window is twice as long: requests of its first half have the other half to be
/// answered in.
const WITHIN: u64 = 1_000 * MILLI;
/// Election time-outs that all have to have been well for, before a window begins.
pub(crate) const WELL_TIMEOUTS: u64 = 4;
/// Of so many requests one may fail.
const REQUESTS_FOR_A_FAILURE: u64 = 100;

/// Since when something is well, if it is; what has to catch up first, is so in the future.
type Well = Option<u64>;

/// Who was well since when, and what became of the newest requests.
#[derive(Debug, Default)]
pub(crate) struct Availability {
    /// `None` if this world promises nothing.
    promise: Option<Promise>,
    members: Vec<Well>,
    /// When each was last seen to lead; `None` if never.
    led: Vec<Option<u64>>,
    /// Both directions between a member and one of a lower index: those of the first, then of the
    /// second.
    links: Vec<Well>,
    clients: Vec<Line>,
    counts: VecDeque<Count>,
    looked: u64,
}

/// What a world promises, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    /// For how long all have to have been well before a window.
    pub(crate) settling: u64,
    /// For how long a member of the quorum may let others go first, when a leader fell that is not
    /// of it (E19): requests wait for so much longer.
    pub(crate) candidacy_delay: u64,
}

impl Promise {
    /// The time within which a request is answered, in whole steps.
    const fn within_steps(self) -> u64 {
        (WITHIN + self.candidacy_delay).div_ceil(STEP)
    }

    /// Whether a request counts: its client was well for long enough before, and is.
    fn counts_from(self, well: Well, turn: u64) -> bool {
        well.is_some_and(|since| since + self.settling <= turn)
    }
}

/// A client, and the oldest of its requests that is not answered.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    well: Well,
    unanswered: u64,
    /// When it became the oldest, or when the client came to want something, and could not submit
    /// it yet.
    turn: Option<u64>,
}

/// What became of the requests whose turn came in one step.
#[derive(Clone, Copy, Debug)]
struct Count {
    step: u64,
    answered: u64,
    failed: u64,
}

/// What was found of a window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Window {
    /// Requests that were answered in time.
    pub(crate) answered: u64,
    /// Those that were not.
    pub(crate) failed: u64,
}

impl Window {
    /// Whether it is what the rule asks for.
    pub(crate) const fn is_available(self) -> bool {
        self.failed * REQUESTS_FOR_A_FAILURE <= self.answered + self.failed
    }
}

/// The place of the links between two members.
const fn pair(one: usize, other: usize) -> usize {
    let (low, high) = if one < other { (one, other) } else { (other, one) };
    high * (high - 1) / 2 + low
}

const fn note(well: &mut Well, is_well: bool, since: u64) {
    if !is_well {
        *well = None;
    } else if well.is_none() {
        *well = Some(since);
    }
}

impl Availability {
    /// A record of a group in which nobody is known to be well yet.
    pub(crate) fn new(members: usize, clients: usize, promise: Option<Promise>) -> Self {
        Self {
            promise,
            members: vec![None; members],
            led: vec![None; members],
            links: vec![None; members * members.saturating_sub(1) / 2],
            clients: vec![Line::default(); clients],
            counts: VecDeque::new(),
            looked: 0,
        }
    }

    /// Whether anything is promised at all.
    pub(crate) const fn is_on(&self) -> bool {
        self.promise.is_some()
    }

    /// Whether it is time to look again.
    pub(crate) const fn is_due(&self, now: u64) -> bool {
        self.is_on() && now / STEP > self.looked
    }

    /// A member is well from `since` on, or is not.
    pub(crate) fn member(&mut self, member: usize, is_well: bool, since: u64) {
        note(&mut self.members[member], is_well, since);
    }

    /// A member leads in the newest term.
    pub(crate) fn leads(&mut self, member: usize, now: u64) {
        self.led[member] = Some(now);
    }

    /// Both directions between two members are well from `since` on, or one of them is not.
    pub(crate) fn link(&mut self, one: usize, other: usize, is_well: bool, since: u64) {
        note(&mut self.links[pair(one, other)], is_well, since);
    }

    /// A client and its links to all members are well, or are not.
    pub(crate) fn client(&mut self, client: usize, is_well: bool, now: u64) {
        note(&mut self.clients[client].well, is_well, now);
    }

    /// A client ends, or another is in its place.
    pub(crate) fn replaced(&mut self, client: usize) {
        if let Some(line) = self.clients.get_mut(client) {
            *line = Line::default();
        }
    }

    /// A client has a request, whether it can submit it or not.
    pub(crate) fn wants(&mut self, client: usize, now: u64) {
        if let Some(line) = self.clients.get_mut(client) {
            line.turn.get_or_insert(now);
        }
    }

    /// A client submitted a request.
    pub(crate) fn asked(&mut self, client: usize, now: u64) {
        let Some(line) = self.clients.get_mut(client) else { return };
        line.unanswered += 1;
        line.turn.get_or_insert(now);
    }

    /// A client was answered.
    pub(crate) fn answered(&mut self, client: usize, now: u64) {
        let Some(line) = self.clients.get_mut(client) else { return };
        line.unanswered = line.unanswered.saturating_sub(1);
        let turn = if line.unanswered > 0 { line.turn.replace(now) } else { line.turn.take() };
        let well = line.well;
        let Some(promise) = self.promise else { return };
        if let Some(turn) = turn.filter(|turn| promise.counts_from(well, *turn)) {
            self.count(turn, now - turn <= promise.within_steps() * STEP);
        }
    }

    /// Ends a step: counts who waits for too long, and says what a window that ends now came to, if
    /// a quorum was well throughout and before, and anybody asked for anything.
    pub(crate) fn look(&mut self, now: u64) -> Option<Window> {
        self.looked = now / STEP;
        let promise = self.promise?;
        let (within, window) = (promise.within_steps(), 2 * promise.within_steps());
        for client in 0..self.clients.len() {
            let line = self.clients[client];
            let Some(turn) = line.turn.filter(|turn| now - turn > within * STEP) else { continue };
            // It fails, and is tried once more.
            self.clients[client].turn = Some(turn + within * STEP);
            if promise.counts_from(line.well, turn) {
                self.count(turn, false);
            }
        }
        let begin = self.looked.checked_sub(window)?;
        while self.counts.front().is_some_and(|count| count.step < begin) {
            self.counts.pop_front();
        }
        let well_from = (begin * STEP).checked_sub(promise.settling)?;
        let ends = begin + window - within;
        let counts = self.counts.iter().filter(|count| count.step < ends);
        let sum = counts.fold(Window { answered: 0, failed: 0 }, |sum, count| Window {
            answered: sum.answered + count.answered,
            failed: sum.failed + count.failed,
        });
        let has_requests = sum.answered + sum.failed > 0;
        (has_requests && self.has_quorum_since(well_from, begin * STEP)).then_some(sum)
    }

    /// Whether one quorum was well, and connected, from `begin` until now, and whoever was seen to
    /// lead from `led_from` on is of it. What a leader suffers for shorter times than its followers
    /// wait, nobody may depose it for.
    fn has_quorum_since(&self, begin: u64, led_from: u64) -> bool {
        let was_well = |well: &Well| well.is_some_and(|since| since <= begin);
        let count = self.members.len();
        let members = (0..count).filter(|member| was_well(&self.members[*member]));
        let members: Vec<usize> = members.collect();
        let connected = |one: usize, other: usize| was_well(&self.links[pair(one, other)]);
        let leads = |member: usize| self.led[member].is_some_and(|at| at >= led_from);
        let leaders = (0..count).filter(|member| leads(*member)).count();
        // All sets of those that were well: of seven members at most.
        (0_u32..1 << members.len()).any(|set| {
            let chosen = || members.iter().enumerate().filter(move |(at, _)| set >> at & 1 == 1);
            set.count_ones() as usize > count / 2
                && chosen().filter(|(_, member)| leads(**member)).count() == leaders
                && chosen().all(|(_, one)| {
                    chosen().all(|(_, other)| one == other || connected(*one, *other))
                })
        })
    }

    fn count(&mut self, turn: u64, in_time: bool) {
        let step = turn / STEP;
        let at = self.counts.partition_point(|count| count.step < step);
        if self.counts.get(at).is_none_or(|count| count.step != step) {
            self.counts.insert(at, Count { step, answered: 0, failed: 0 });
        }
        let count = &mut self.counts[at];
        *(if in_time { &mut count.answered } else { &mut count.failed }) += 1;
    }
}

#[cfg(test)]
mod tests;
