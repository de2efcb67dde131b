//! What the bytes make happen in a world.

use arbitrary::Unstructured;
use quorate_core::client::ClientEvent;
use quorate_core::{
    BootEpoch, Duration, Event, MemberId, OperationId, Outputs, Position, PositionRange, ReadLevel,
    SnapshotManifest,
};

use super::disk::{Read, Write};
use super::host::endpoint;
use super::world::World;
use crate::draw::{Draw, Near};

/// How far time moves, in microseconds.
const JUMPS: [u64; 8] = [1, 100, 1_000, 10_000, 50_000, 200_000, 1_000_000, 11_000_000];
/// Rounds in which everything that is under way arrives and completes.
const ROUNDS_MAX: usize = 24;
/// After so many services at one instant a timer that is still due never ends.
const SERVICES_MAX: usize = 16;

impl World {
    /// Lets the next thing happen that `bytes` name.
    pub(super) fn occur(&mut self, bytes: &mut Unstructured<'_>) {
        let mut draw = Draw::any(bytes);
        let (kind, who) = (draw.byte(), draw.byte());
        let index = usize::from(who) % self.hosts.len();
        match kind % 32 {
            0..=3 => self.deliver_one(usize::from(who), false),
            4 => self.deliver_one(usize::from(who), true),
            5 => drop(self.take_datagram(usize::from(who))),
            6..=8 => self.complete_write(index, usize::from(who) / 4),
            9 => self.complete_read(index, &mut draw),
            10 => self.report_applied(index),
            11 => self.step_member(index, Event::Flush),
            12 => self.step_client(ClientEvent::Flush),
            13 => self.advance(Duration::from_micros(JUMPS[usize::from(who) % JUMPS.len()])),
            14..=15 => self.tick(),
            16..=17 => self.settle(1 + usize::from(who) % ROUNDS_MAX),
            18 => self.submit(&mut draw),
            19..=20 => self.forge_as_client(index, &mut draw),
            21..=23 => self.forge_as_member(index, &mut draw),
            24 => self.forge_for_client(&mut draw),
            25 => self.forge_slice(index, &mut draw),
            26 => self.forge_bytes(index, &mut draw),
            27 => self.complete_unknown(index, &mut draw),
            28 => self.hosts[index].is_full = true,
            29 => self.fail(index, &mut draw),
            30 => self.hosts[index].restart(self.now),
            _ => self.end_something(index, who),
        }
    }

    /// Where numbers of the member at `index` are.
    pub(super) fn near(&self, index: usize) -> Near {
        let member = &self.hosts[index].member;
        Near {
            view: member.view(),
            bases: member.history().lines().iter().map(|line| line.base).collect(),
            connections: self.connections.clone(),
        }
    }

    fn take_datagram(&mut self, pick: usize) -> Option<super::world::Datagram> {
        let count = self.under_way.len();
        if count == 0 { None } else { self.under_way.remove(pick % count) }
    }

    fn deliver_one(&mut self, pick: usize, again: bool) {
        let Some(datagram) = self.take_datagram(pick) else { return };
        self.deliver(&datagram);
        if again {
            self.send(datagram);
        }
    }

    fn complete_write(&mut self, index: usize, pick: usize) {
        let disk = &mut self.hosts[index].disk;
        if disk.writes.is_empty() {
            return;
        }
        let (operation, write) = disk.writes.remove(pick % disk.writes.len());
        disk.complete(write);
        self.step_member(index, Event::Durable { operation });
    }

    fn complete_read(&mut self, index: usize, draw: &mut Draw<'_, '_>) {
        let disk = &mut self.hosts[index].disk;
        if disk.reads.is_empty() {
            return;
        }
        let (operation, read) = disk.reads.remove(0);
        let mut bytes = match read {
            Read::Log(range) => disk.read(range),
            Read::Snapshot(position, range) => {
                return self.answer_a_read(index, operation, (position, range), draw);
            }
            Read::Check(manifest) => return self.answer_a_check(index, operation, &manifest),
        };
        let lie = draw.byte();
        if self.liars_allowed.reads && lie > 127 && !bytes.is_empty() {
            self.liars.reads = true;
            match lie % 4 {
                0 => bytes.clear(),
                1 => bytes.truncate(usize::from(draw.short()) % bytes.len()),
                _ => {
                    let at = usize::from(draw.short()) % bytes.len();
                    bytes[at] ^= draw.byte();
                }
            }
        }
        self.step_member(index, Event::LogRead { operation, bytes: &bytes });
    }

    /// What was asked for of a snapshot, or now and then that it is not there.
    fn answer_a_read(
        &mut self,
        index: usize,
        operation: OperationId,
        (position, range): (Position, PositionRange),
        draw: &mut Draw<'_, '_>,
    ) {
        let read = self.hosts[index].disk.read_snapshot(position, range);
        let read = read.filter(|_| draw.byte() < 240);
        let manifest = read.as_ref().map(|(manifest, _)| *manifest);
        let bytes = read.map_or_else(Vec::new, |(_, bytes)| bytes);
        self.step_member(index, Event::SnapshotRead { operation, manifest, bytes: &bytes });
    }

    fn answer_a_check(
        &mut self,
        index: usize,
        operation: OperationId,
        manifest: &SnapshotManifest,
    ) {
        match self.hosts[index].disk.check(manifest) {
            Some(core) => {
                self.step_member(index, Event::SnapshotWhole { operation, core: &core });
            }
            None => self.step_member(index, Event::SnapshotFailed { operation }),
        }
    }

    /// Completions of operations that nobody asked for, of this life or another.
    fn complete_unknown(&mut self, index: usize, draw: &mut Draw<'_, '_>) {
        let boot_epoch = BootEpoch(u64::from(draw.byte() % 4));
        let operation = OperationId { boot_epoch, sequence: draw.word() };
        let writes = self.hosts[index].disk.writes.iter().any(|(known, _)| *known == operation);
        let reads = self.hosts[index].disk.reads.iter().any(|(known, _)| *known == operation);
        let (kind, word) = (draw.below(3), draw.word());
        match kind {
            0 if !writes => self.step_member(index, Event::Durable { operation }),
            1 if !reads => {
                let bytes = draw.slice(512);
                self.step_member(index, Event::LogRead { operation, bytes });
            }
            2 if self.hosts[index].applying != Some(Position(word)) => {
                let outputs = Outputs::new();
                self.step_member(
                    index,
                    Event::Applied { through: Position(word), outputs: &outputs },
                );
            }
            _ => {}
        }
    }

    fn report_applied(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        let Some(through) = host.applying.take() else { return };
        let mut outputs = core::mem::take(&mut host.outputs);
        self.step_member(index, Event::Applied { through, outputs: &outputs });
        // What was handed over meanwhile has its outputs in a list of its own.
        let host = &mut self.hosts[index];
        if host.applying.is_none() {
            outputs.clear();
            host.outputs = outputs;
        }
    }

    fn submit(&mut self, draw: &mut Draw<'_, '_>) {
        let payload = draw.slice(300);
        self.step_client(ClientEvent::Submit { payload });
    }

    fn fail(&mut self, index: usize, draw: &mut Draw<'_, '_>) {
        match draw.below(6) {
            0 if self.liars_allowed.storage => {
                self.liars.storage = true;
                self.step_member(index, Event::StorageFailed);
            }
            1 if self.liars_allowed.service => {
                self.liars.service = true;
                self.step_member(index, Event::ServiceFailed);
            }
            2 if self.liars_allowed.storage => self.refuse_what_was_not_asked(index, draw),
            3 if self.liars_allowed.service => self.misbehave(index, draw),
            4 => self.step_member(index, Event::TakeSnapshot),
            5 => self.fail_a_snapshot(index),
            _ => {}
        }
    }

    /// An append is refused that was never wanted, or is durable already.
    fn refuse_what_was_not_asked(&mut self, index: usize, draw: &mut Draw<'_, '_>) {
        draw.near = Some(self.near(index));
        let (view, position) = (self.hosts[index].member.view(), draw.position());
        if position < view.durable || position > view.written {
            self.liars.storage = true;
            self.step_member(index, Event::StorageFull { position });
        }
    }

    /// A snapshot that is being stored, kept or installed cannot be.
    fn fail_a_snapshot(&mut self, index: usize) {
        let writes = &mut self.hosts[index].disk.writes;
        let can_fail = |write: &Write| {
            matches!(write, Write::Snapshot(_) | Write::Part(..) | Write::Install(_))
        };
        let at = writes.iter().position(|(_, write)| can_fail(write));
        if let Some(at) = at {
            let (operation, _) = writes.remove(at);
            self.step_member(index, Event::SnapshotFailed { operation });
        }
    }

    /// The service replies to what it was not asked, too long, or wants too many timers.
    fn misbehave(&mut self, index: usize, draw: &mut Draw<'_, '_>) {
        if self.hosts[index].applying.is_none() {
            return;
        }
        self.liars.service = true;
        draw.near = Some(self.near(index));
        let (session, sequence, timers) = (draw.session(), draw.number(), draw.below(5));
        let payload = draw.slice(400);
        let outputs = &mut self.hosts[index].outputs;
        outputs.reply(session, sequence, payload);
        for timer in 0..timers as u64 {
            outputs.schedule_timer(timer, quorate_core::LogTime(timer));
        }
    }

    fn end_something(&mut self, index: usize, who: u8) {
        match who / 4 % 4 {
            0 if who >= 64 => {
                let target = (who >= 128).then_some(MemberId(u16::from(who % 8)));
                self.step_member(index, Event::Transfer { request: u64::from(who), target });
            }
            0 => self.step_member(index, Event::Shutdown),
            1 => self.step_client(ClientEvent::Close),
            2 if who >= 192 => {
                let level = match who % 4 {
                    0 => ReadLevel::Linearizable,
                    1 => ReadLevel::Session { least: Position::ZERO },
                    2 => ReadLevel::Lease,
                    _ => ReadLevel::Stale { bound: Duration(u64::from(who) << 22) },
                };
                let token = u64::from(who);
                self.step_member(index, Event::Read { token, level, payload: &[who] });
                self.step_client(ClientEvent::Read { level, payload: &[who] });
            }
            2 => self.restart_client(),
            _ => self.under_way.clear(),
        }
    }

    fn advance(&mut self, span: Duration) {
        self.now += span;
        self.serve_timers();
    }

    /// Moves time to the next deadline of anybody.
    pub(super) fn tick(&mut self) {
        let members = self.hosts.iter().filter_map(|host| host.member.next_deadline());
        let next = members.chain(self.client.next_deadline()).min();
        self.now = self.now.max(next.unwrap_or(self.now));
        self.serve_timers();
    }

    /// Whoever is due is served until it is not: a timer that is always due would spin.
    fn serve_timers(&mut self) {
        for index in 0..self.hosts.len() {
            let mut services = 0;
            while self.hosts[index].member.next_deadline().is_some_and(|at| at <= self.now) {
                let timer = self.hosts[index].member.next_timer();
                assert!(services < SERVICES_MAX, "member {}: {timer:?} spins", index + 1);
                services += 1;
                self.step_member(index, Event::Timer);
            }
        }
        let mut services = 0;
        while self.client.next_deadline().is_some_and(|at| at <= self.now) {
            assert!(services < SERVICES_MAX, "the client's timer spins");
            services += 1;
            self.step_client(ClientEvent::Timer);
        }
    }

    /// Everything that is under way arrives and completes, without a move of time, as long as there
    /// is something, or for some rounds.
    pub(super) fn settle(&mut self, rounds: usize) {
        for _ in 0..rounds {
            for _ in 0..self.under_way.len() {
                self.deliver_one(0, false);
            }
            for index in 0..self.hosts.len() {
                self.serve_host(index);
            }
            self.step_client(ClientEvent::Flush);
            if self.under_way.is_empty() {
                return;
            }
        }
    }

    fn serve_host(&mut self, index: usize) {
        for _ in 0..self.hosts[index].disk.writes.len() {
            self.complete_write(index, 0);
        }
        for _ in 0..self.hosts[index].disk.reads.len() {
            let mut nothing = Unstructured::new(&[]);
            self.complete_read(index, &mut Draw::any(&mut nothing));
        }
        for _ in 0..4 {
            self.report_applied(index);
        }
        self.step_member(index, Event::Flush);
    }

    /// Runs without faults until the client is served.
    pub(super) fn run_until_served(&mut self) {
        for _ in 0..10_000 {
            if self.client.is_served() {
                return;
            }
            self.tick();
            self.settle(ROUNDS_MAX);
        }
        panic!("nobody serves the client");
    }

    /// Exchanges so many messages of some sizes.
    pub(super) fn exchange(&mut self, messages: usize) {
        let mut left = messages;
        for _ in 0..10_000 {
            while left > 0 && self.client.can_submit(200) {
                let text = [left as u8; 200];
                self.step_client(ClientEvent::Submit { payload: &text[..left * 37 % 200] });
                left -= 1;
            }
            if left == 0 && self.client.unanswered() == 0 {
                return;
            }
            self.settle(ROUNDS_MAX);
            self.tick();
        }
        panic!("{left} messages are not answered");
    }

    /// Exchanges messages of which a follower hears nothing.
    pub(super) fn run_with_one_behind(&mut self, messages: usize) {
        let followers = self.hosts.iter().filter(|host| !host.member.view().serving);
        let Some(behind) = followers.map(|host| host.id()).next_back() else { return };
        self.cut_off = Some(endpoint(behind.0));
        self.exchange(messages);
        self.cut_off = None;
    }
}
