//! What the core sends and writes in the calm, and the two windows that L6 and L10 judge.

use quorate_core::{Incoming, Message, Position, Stream};

use super::gaps::Gap;
use super::{LEVEL_WITHIN, growth, silence};

use crate::network::{CALM_LATENCY_MAX, Content, Kind, Place};
use crate::report::Mark;
use crate::world::World;

/// What was sent and written in the calm phase, by members of the core.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    is_on: bool,
    now: Counts,
    pub(super) gaps: [Gap; quorate_core::config::VOTERS_MAX],
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) heartbeats: u64,
    pub(super) naks: u64,
    pub(super) elections: u64,
    pub(super) log_data: u64,
    pub(super) all: u64,
    pub(super) records: u64,
    pub(super) peers: u64,
    pub(super) syncs: u64,
}

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
    matches!(
        incoming,
        Incoming::Control(
            Message::Nak { stream: Stream::Log | Stream::Snapshot, .. }
                | Message::SnapshotRequest { .. }
        )
    )
}

impl World {
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
        let expected = self.expected(window);
        for (id, problem) in [
            ("L6", silence::broken(&first, &expected)),
            ("L6", silence::broken(&second, &expected)),
            ("L10", growth::between(&first, &second)),
        ] {
            problem.into_iter().for_each(|text| self.found(id, text));
        }
    }

    fn window(&mut self, window: u64) -> Window {
        self.fall_silent();
        self.quiet.is_on = true;
        self.quiet.now = Counts::default();
        let log_end = self.log_end();
        self.run_until(self.now + window, |_| false);
        self.quiet.is_on = false;
        let grown = self.log_end().0 - log_end.0;
        Window { counts: self.quiet.now, grown, scheduled: self.queue.len() as u64 }
    }

    /// Lets all become level, and what is under way arrive and be answered: a session may just have
    /// ended, or a hole have closed that was asked for twice (seeds 1028, 6645).
    fn fall_silent(&mut self) {
        let under_way = 10 * CALM_LATENCY_MAX + 4 * self.swarm.disk.latency_max;
        let deadline = self.now + LEVEL_WITHIN;
        while self.finding.is_none() {
            if !self.run_until(deadline, Self::is_level) {
                return self.found("L3", format!("not level any more: {}", self.roles()));
            }
            let log_end = self.log_end();
            self.run_until(self.now + under_way, |_| false);
            if self.is_level() && self.log_end() == log_end {
                return;
            }
        }
    }

    fn expected(&self, window: u64) -> silence::Expected {
        let fastest = self.core_nodes().map(|node| node.clock.rate()).max();
        let ticks = window / 1_000 * fastest.unwrap_or(0) / 1_000;
        silence::Expected {
            followers: self.core.len() as u64 - 1,
            rounds: ticks / self.swarm.timing.heartbeat_interval.0 + 16,
            members: self.nodes.len() as u64,
            syncs: match self.swarm.durability.is_volatile() {
                true => self.nodes.len() as u64,
                false => 0,
            },
        }
    }

    fn log_end(&self) -> Position {
        let ends = self.core.iter().map(|node| self.nodes[*node].view.written);
        ends.max().unwrap_or_default()
    }

    /// Whether a datagram counts as traffic of the core.
    pub(crate) fn is_core_traffic(&self, from: Place, to: Place) -> bool {
        self.quiet.is_on() && self.is_core(from) && self.is_core(to)
    }
}

/// What happened in a window.
pub(super) struct Window {
    pub(super) counts: Counts,
    /// Bytes by which the log grew.
    pub(super) grown: u64,
    /// Occurrences that were scheduled at its end.
    pub(super) scheduled: u64,
}
