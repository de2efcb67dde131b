//! What a group at rest may still do: L5 (no old holes), L6 (silence), L10 (nothing grows).

use quorate_core::{Incoming, Message, Position, Role, Stream};

use crate::network::{Content, Kind, Place};
use crate::report::Mark;
use crate::world::World;

/// What was sent and written in the calm phase, by members of the core.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    is_on: bool,
    now: Counts,
    gaps: [Gap; quorate_core::config::VOTERS_MAX],
}

/// A hole that a member has, since when it has not moved.
#[derive(Clone, Copy, Debug, Default)]
struct Gap {
    received: Position,
    since: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    heartbeats: u64,
    naks: u64,
    elections: u64,
    log_data: u64,
    all: u64,
    records: u64,
    peers: u64,
    syncs: u64,
}

/// Datagrams and occurrences by which two windows may differ.
const SLACK: u64 = 64;

impl Traffic {
    /// Counts what is sent between members of the core, or to and from clients.
    pub(crate) fn count(&mut self, content: &Content) {
        if !self.is_on {
            return;
        }
        let counts = &mut self.now;
        counts.all += 1;
        let Some(incoming) = content.incoming() else { return };
        match Kind::of(&incoming) {
            // Requests are answered; what counts is who begins.
            Kind::Election if !is_answer(&incoming) => counts.elections += 1,
            Kind::Leadership => counts.heartbeats += 1,
            // A client that has gone may be asked for the rest until its session times out.
            Kind::Repair if asks_for_the_log(&incoming) => counts.naks += 1,
            Kind::LogData => counts.log_data += 1,
            _ => {}
        }
    }

    /// Counts an operation of a disk: 0 for a sync, 1 and 2 for vote and history, 3 for peers.
    pub(crate) const fn count_operation(&mut self, kind: usize) {
        match kind {
            0 => self.now.syncs += 1,
            1 | 2 => self.now.records += 1,
            3 => self.now.peers += 1,
            _ => {}
        }
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.is_on
    }
}

const fn is_answer(incoming: &Incoming<'_>) -> bool {
    matches!(incoming, Incoming::Control(Message::CanvassReply { .. } | Message::Ballot { .. }))
}

const fn asks_for_the_log(incoming: &Incoming<'_>) -> bool {
    matches!(incoming, Incoming::Control(Message::Nak { stream: Stream::Log, .. }))
}

impl World {
    /// L5: a hole that a member of the core has had for too long.
    pub(crate) fn watch_gap(&mut self, node: usize) {
        if !self.draining || self.now < self.settled_at || !self.core.contains(&node) {
            return;
        }
        let view = &self.nodes[node].view;
        let gap = &mut self.quiet.gaps[node];
        let is_open = view.role == Role::Follower && view.leader.is_some();
        if !is_open || view.received >= view.seen || view.received != gap.received {
            *gap = Gap { received: view.received, since: None };
        }
        if !is_open || view.received >= view.seen {
            return;
        }
        let since = *gap.since.get_or_insert(self.now);
        let age = self.now - since;
        if age > self.gap_age_max() {
            let text = format!(
                "member {} has a hole at {} for {age} ns; {}",
                node + 1,
                view.received,
                self.roles()
            );
            self.found("L5", text);
        }
    }

    /// Lets two windows of time pass, in which nobody asks for anything.
    pub(super) fn stay_quiet(&mut self, window: u64) {
        let leader = self.leader();
        let first = self.window(window);
        let second = self.window(window);
        if self.finding.is_some() {
            return;
        }
        if self.leader() != leader {
            let text = format!("{leader:?} did not stay: {}", self.roles());
            return self.found("L1", text);
        }
        self.tally.saw(Mark::Silence);
        self.check_silence(window, &first);
        self.check_silence(window, &second);
        self.check_growth(&first, &second);
    }

    fn window(&mut self, window: u64) -> Window {
        self.quiet.is_on = true;
        self.quiet.now = Counts::default();
        let log_end = self.log_end();
        self.run_until(self.now + window, |_| false);
        self.quiet.is_on = false;
        let grown = self.log_end().0 - log_end.0;
        Window { counts: self.quiet.now, grown, scheduled: self.queue.len() as u64 }
    }

    fn log_end(&self) -> Position {
        let ends = self.core.iter().map(|node| self.nodes[*node].view.written);
        ends.max().unwrap_or_default()
    }

    /// L6: only heartbeats and status flow, at the documented rate.
    fn check_silence(&mut self, window: u64, seen: &Window) {
        let counts = &seen.counts;
        // Frames that overtake each other on the network are asked for, but not again and again.
        let asked_max = if seen.grown > 0 { counts.log_data } else { 0 };
        if counts.naks > asked_max || counts.elections > 0 || counts.records > 0 {
            return self.found("L6", format!("not silent: {counts:?}"));
        }
        // Sessions that end and timers that are due are frames; what they bring is of no concern.
        if seen.grown > 0 {
            return;
        }
        let followers = self.core.len() as u64 - 1;
        let fastest = self.core.iter().map(|node| self.nodes[*node].clock.rate()).max();
        let ticks = window / 1_000 * fastest.unwrap_or(0) / 1_000;
        let rounds = ticks / self.swarm.timing.heartbeat_interval.0 + 16;
        // Members outside of the core are told as well; what reaches them is not counted.
        if counts.heartbeats > rounds * followers || counts.log_data > 0 || counts.syncs > 0 {
            let text = format!("{rounds} rounds of {followers} heartbeats expected: {counts:?}");
            return self.found("L6", text);
        }
        // What came last before the silence, and what it is told of an interval later: each member
        // writes that down once.
        if counts.peers > 2 * self.nodes.len() as u64 {
            self.found("L6", format!("records are written again and again: {counts:?}"));
        }
    }

    /// L10: nothing grows from one window to the next.
    fn check_growth(&mut self, first: &Window, second: &Window) {
        if first.grown + second.grown > 0 {
            return;
        }
        let more = |one: u64, other: u64| other > one + one / 20 + SLACK;
        let (one, other) = (&first.counts, &second.counts);
        if more(one.all, other.all) || more(first.scheduled, second.scheduled) {
            let text = format!(
                "{} datagrams and {} occurrences, then {} and {}",
                one.all, first.scheduled, other.all, second.scheduled
            );
            self.found("L10", text);
        }
    }

    /// Whether a datagram counts as traffic of the core.
    pub(crate) fn is_core_traffic(&self, from: Place, to: Place) -> bool {
        self.quiet.is_on() && self.is_core(from) && self.is_core(to)
    }
}

/// What happened in a window.
struct Window {
    counts: Counts,
    /// Bytes by which the log grew.
    grown: u64,
    /// Occurrences that were scheduled at its end.
    scheduled: u64,
}
