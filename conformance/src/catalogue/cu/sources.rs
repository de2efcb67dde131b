//! Cases about who sends what a member far behind lacks.

use std::collections::BTreeMap;

use quorate_codecs::{DATAGRAM_BYTES_MAX, Header, encode_data};
use quorate_core::{Incoming, MemberId, Stream};
use quorate_sim::Place;

use crate::case::{Failure, Verdict};
use crate::stage::{ClientNumber, Effect, MICRO, MILLI, Options, Passing, SECOND, Stage, TAG};
use crate::trial::Trial;

/// A group with small windows, so that a little is a lot.
pub(in crate::catalogue) fn small_windows(members: usize) -> Options {
    Options::members(members).limits(|limits| {
        limits.window_bytes = 128 << 10;
        limits.uncommitted_bytes_max = 64 << 10;
        limits.unapplied_bytes_max = 64 << 10;
        limits.message_bytes_max = 2 << 10;
        limits.read_bytes_max = 8 << 10;
    })
}

/// A member of a group that was cut off while more was written than a window holds.
pub(super) struct FarBehind<'a> {
    pub(super) stage: Stage<'a>,
    pub(super) clients: Vec<ClientNumber>,
    pub(super) leader: u16,
    pub(super) behind: u16,
}

impl<'a> FarBehind<'a> {
    /// One of so many members lacks `messages` of 1,500 bytes; it is cut off still. A window is as
    /// many as 87 of them.
    pub(super) fn new(
        trial: &Trial<'a>,
        members: usize,
        messages: u64,
        seed: u64,
    ) -> Result<Self, Failure> {
        let mut stage = trial.stage_of(small_windows(members), seed);
        let leader = stage.settle()?;
        let clients = stage.connected_clients(2)?;
        stage.even_out()?;
        let behind = stage.other_than(leader);
        stage.isolate(behind);
        stage.pour(&clients, messages / 2, 1_500, 60 * SECOND)?;
        let far = Self { stage, clients, leader, behind };
        Ok(far)
    }

    pub(super) fn lag(&self) -> u64 {
        self.stage.view(self.leader).verified.since(self.stage.view(self.behind).received)
    }

    /// Who neither leads nor is behind.
    pub(super) fn others(&self) -> Vec<u16> {
        let is_other = |member: &u16| ![self.leader, self.behind].contains(member);
        self.stage.numbers().filter(is_other).collect()
    }

    /// Until all have the same, under the leader that there was.
    pub(super) fn even_out(&mut self) -> Verdict {
        self.stage.even_out()?;
        let elections = self.stage.elections();
        self.stage.check(elections == 1, || format!("{elections} elections"))
    }

    /// The bytes of repairs since `begun`, by who sent them to the one behind.
    fn repaired(&self, begun: u64) -> BTreeMap<u16, u64> {
        let to = Stage::place_of(self.behind);
        let mut bytes = BTreeMap::new();
        for sent in self.stage.sightings().iter().filter(|sent| sent.at >= begun) {
            if let (Place::Member(MemberId(from)), "repair", true) =
                (sent.from, sent.kind, sent.to == to)
            {
                *bytes.entry(from).or_default() += sent.bytes as u64;
            }
        }
        bytes
    }
}

pub(super) fn cu_02(trial: &mut Trial<'_>) -> Verdict {
    for members in [3, 5].into_iter().take(trial.times(1, 2, 2) as usize) {
        let mut far = FarBehind::new(trial, members, trial.times(180, 400, 2_000), trial.seed())?;
        far.stage.heal_all();
        let (from, to) = (Stage::place_of(far.leader), Stage::place_of(far.behind));
        far.stage.rule("the leader's bytes are lost", Effect::Lose, move |passing| {
            passing.is_log_data() && (passing.from, passing.to) == (from, to)
        });
        far.even_out()?;
    }
    beside_one_that_lacks_the_same(trial)
}

/// Who lacks the same says so, and is believed for a while.
fn beside_one_that_lacks_the_same(trial: &Trial<'_>) -> Verdict {
    let mut far = FarBehind::new(trial, 5, 20, trial.seed())?;
    let poor = far.others()[0];
    far.stage.isolate(poor);
    let clients = far.clients.clone();
    far.stage.pour(&clients, 180, 1_500, 60 * SECOND)?;
    let begun = far.stage.now();
    far.stage.heal_all();
    // It stays as poor as it is.
    let place = Stage::place_of(poor);
    far.stage.rule("it gets no bytes", Effect::Lose, move |passing| {
        passing.is_log_data() && passing.to == place
    });
    let (leader, behind) = (far.leader, far.behind);
    far.stage.until("the other has all", SECOND, |stage| {
        stage.view(behind).verified == stage.view(leader).verified
    })?;
    let sightings = far.stage.sightings().iter().filter(|sent| sent.at >= begun);
    let refused = sightings.filter(|sent| sent.kind == "unavailable" && sent.from == place);
    let refused = refused.count();
    let believed = (1..=12).contains(&refused);
    far.stage.check(believed, || format!("who lacks the same refused {refused} parts"))?;
    far.stage.heal_all();
    far.even_out()
}

/// The datagram with the same header and other bytes of the log.
fn falsified(passing: &Passing<'_>) -> Option<Vec<u8>> {
    let (sender, content) = passing.content.clone()?;
    let Incoming::Data { stream: Stream::Log, epoch, position, live, slice } = content else {
        return None;
    };
    let false_bytes: Vec<u8> = slice.iter().map(|byte| byte ^ 0x20).collect();
    let header = Header { tag: TAG, sender };
    let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
    let slice = (&false_bytes[..], &[][..]);
    let length =
        encode_data(&header, Stream::Log, epoch, position, live, slice, &mut bytes).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

pub(super) fn cu_05(trial: &mut Trial<'_>) -> Verdict {
    let mut far = FarBehind::new(trial, 5, trial.times(180, 400, 2_000), trial.seed())?;
    let liar = Stage::place_of(far.others()[0]);
    far.stage.translate("one member sends false bytes of the log", move |passing| {
        let is_false = passing.from == liar && passing.is_repair();
        let falsified = if is_false { falsified(passing) } else { None };
        vec![falsified.unwrap_or_else(|| passing.bytes.to_vec())]
    });
    let before = far.stage.counters(far.behind).frames_rejected;
    far.stage.heal_all();
    far.even_out()?;
    let rejected = far.stage.counters(far.behind).frames_rejected - before;
    far.stage.check(rejected > 0, || "the false bytes were never met".into())
}

/// Bytes a second that each member can send.
const UPLINK: u64 = 12_500_000;

pub(super) fn cu_10(trial: &mut Trial<'_>) -> Verdict {
    let mut far = FarBehind::new(trial, 5, trial.times(400, 1_600, 20_000), trial.seed())?;
    far.stage.limit_uplinks(UPLINK);
    let (duration, pause) = (100 * MILLI, 500 * MICRO);
    let clients = far.clients.clone();
    // The leader sends each message to four others: nearly two thirds of what it can send.
    let alone = far.stage.offer(&clients, 1_000, pause, duration)?.answered;
    let (begun, lacks) = (far.stage.now(), far.lag());
    far.stage.heal_all();
    let beside = far.stage.offer(&clients, 1_000, pause, duration)?.answered;
    far.even_out()?;
    let sent = far.repaired(begun);
    let all: u64 = sent.values().sum();
    let by_leader = sent.get(&far.leader).copied().unwrap_or(0);
    let told = format!(
        "of {lacks} bytes and what was written meanwhile the leader sent {by_leader} of {all} \
         ({} %), all: {sent:?}; {beside} messages answered beside it, {alone} without ({} %)",
        100 * by_leader / all.max(1),
        100 * beside / alone.max(1),
    );
    trial.count("leader_share_percent", 100 * by_leader / all.max(1));
    trial.count("throughput_percent", 100 * beside / alone.max(1));
    let others = far.others();
    let is_spared = all >= lacks && by_leader * 5 <= all * 2;
    far.stage.check(is_spared, || told.clone())?;
    let is_even = others.iter().all(|other| {
        let part = sent.get(other).copied().unwrap_or(0);
        part * 5 >= all - by_leader && part * 2 <= all - by_leader
    });
    far.stage.check(is_even, || format!("not even: {told}"))?;
    // What is sent twice is what a link lost, and none does.
    far.stage.check(all * 10 <= lacks * 12, || format!("too much: {told}"))?;
    far.stage.check(beside * 100 >= alone * 95, || told)
}

pub(super) fn cu_17(trial: &mut Trial<'_>) -> Verdict {
    let mut far = FarBehind::new(trial, 5, trial.times(180, 400, 2_000), trial.seed())?;
    far.stage.heal_all();
    let leader = Stage::place_of(far.leader);
    far.stage.rule("nobody but the leader repairs", Effect::Lose, move |passing| {
        passing.is_repair() && passing.from != leader
    });
    far.even_out()
}
