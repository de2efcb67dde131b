//! Logs that have rotted, and others that have what has rotted of them: the archive and the mender
//! called directly, in virtual time, over a network that loses some of what they say.

use std::path::Path;

use quorate_archive::memory::{Fate, MemoryDisk};
use quorate_archive::{ArchiveError, Mending};
use quorate_core::message::EpochRange;
use quorate_core::{Incoming, Instant, MemberId, Message, Position, PositionRange, Stream};
use quorate_driver::mender::Outgoing;
use quorate_driver::{Configuration, MendError, Mender};
use quorate_sim::Dice;

use super::disks::refusal;
use crate::case::{Failure, Verdict, check};
use crate::files::{DIRECTORY, LOG_AT, Log, OPTIONS, Open, filled, segment, sound};
use crate::trial::Trial;

/// From one look at the menders to the next, in nanoseconds.
const STEP: u64 = 1_000_000;
/// Looks within which a log is whole again, or is told to be lost: a minute.
const SOON: u64 = 60_000;
/// Looks for which somebody is silent who may have what is needed.
const LONG: u64 = 20_000;
/// Bytes of the log in one datagram.
const SLICE_BYTES: usize = 1_216;
/// Bytes of the log in one segment.
const SEGMENT_BYTES: u64 = 4 << 10;

/// What somebody is to those who mend.
enum Peer {
    Mends(Box<Mender<MemoryDisk>>),
    /// It runs, and has the log from here on.
    Has(Log, Position),
    /// It runs, and what it sends is never what was there.
    Lies(Log),
    Silent,
}

impl Peer {
    /// One that has all of it.
    const fn whole(log: Log) -> Self {
        Self::Has(log, Position::ZERO)
    }
}

/// A group of which some mend, numbered from 1 on.
struct Group {
    peers: Vec<Peer>,
    now: Instant,
    dice: Dice,
    /// Datagrams of a hundred that are lost.
    loss: u64,
}

impl Group {
    fn new(peers: Vec<Peer>, seed: u64, loss: u64) -> Self {
        Self { peers, now: Instant(STEP), dice: Dice::new(seed, "mending"), loss }
    }

    /// Lets them talk, for so many looks at most; ends when nobody mends any more. Returns who
    /// was told that nobody has what is missing; from then on that one is silent.
    fn talk(&mut self, looks: u64) -> Result<Vec<(u16, MendError)>, Failure> {
        let mut lost = Vec::new();
        for _ in 0..looks {
            let mut sent = Vec::new();
            for (id, peer) in (1..).zip(&mut self.peers) {
                let Peer::Mends(mender) = peer else { continue };
                mender.timer(self.now);
                while let Some(outgoing) = mender.take_outgoing() {
                    sent.push((id, outgoing));
                }
                if let Err(error) = mender.check() {
                    lost.push((id, error));
                    *peer = Peer::Silent;
                }
            }
            for (from, outgoing) in sent {
                self.deliver(from, outgoing)?;
            }
            if !self.mends() {
                break;
            }
            self.now.0 += STEP;
        }
        Ok(lost)
    }

    /// Whether somebody still lacks something.
    fn mends(&self) -> bool {
        let lacks = |peer: &Peer| matches!(peer, Peer::Mends(mender) if mender.hole().is_some());
        self.peers.iter().any(lacks)
    }

    fn passes(&mut self) -> bool {
        self.dice.below(100) >= self.loss
    }

    fn deliver(&mut self, from: u16, outgoing: Outgoing) -> Verdict {
        match outgoing {
            Outgoing::Control(to, message) if self.passes() => {
                let asked = match &message {
                    Message::Nak { ranges, .. } => ranges.to_vec(),
                    _ => Vec::new(),
                };
                self.hear(from, to, &Incoming::Control(message))?;
                asked.into_iter().try_for_each(|range| self.answer(to, MemberId(from), range))
            }
            Outgoing::Control(..) => Ok(()),
            Outgoing::Data(to, term, range, bytes) => {
                self.send(from, to, (term.0, range.start), &bytes)
            }
        }
    }

    fn send(
        &mut self,
        from: u16,
        to: MemberId,
        (epoch, start): (u64, Position),
        bytes: &[u8],
    ) -> Verdict {
        for (at, slice) in (0..).step_by(SLICE_BYTES).zip(bytes.chunks(SLICE_BYTES)) {
            if self.passes() {
                let (stream, position, live) = (Stream::Log, start.plus(at), None);
                self.hear(from, to, &Incoming::Data { stream, epoch, position, live, slice })?;
            }
        }
        Ok(())
    }

    fn hear(&mut self, from: u16, to: MemberId, content: &Incoming<'_>) -> Verdict {
        let now = self.now;
        match self.peers.get_mut(usize::from(to.0) - 1) {
            Some(Peer::Mends(mender)) => {
                sound("what another says", mender.received(now, MemberId(from), content))
            }
            _ => Ok(()),
        }
    }

    /// What one that runs answers who lacks a range.
    fn answer(&mut self, own: MemberId, to: MemberId, asked: EpochRange) -> Verdict {
        let PositionRange { start, end } = asked.range;
        let (log, oldest, lies) = match &self.peers[usize::from(own.0) - 1] {
            Peer::Has(log, oldest) => (log, *oldest, false),
            Peer::Lies(log) => (log, Position::ZERO, true),
            Peer::Mends(_) | Peer::Silent => return Ok(()),
        };
        let end = end.min(log.end());
        if start < oldest || end <= start {
            let (stream, range) = (Stream::Log, asked);
            let message = Message::Unavailable { stream, range, oldest };
            return self.hear(own.0, to, &Incoming::Control(message));
        }
        let mut bytes = log.bytes[start.0 as usize..end.0 as usize].to_vec();
        if lies {
            // Whole frames, of another place; and a bit.
            bytes = log.bytes[..bytes.len()].to_vec();
            bytes[0] ^= u8::from(start == Position::ZERO);
        }
        self.send(own.0, to, (asked.epoch, start), &bytes)
    }
}

/// Two terms in several segments.
pub(super) fn two_terms() -> Log {
    let mut log = Log::of(18, 330);
    log.open_term(3);
    (0..14).for_each(|number| log.message(40 + 90 * (number % 7)));
    log
}

/// A bit at a position of the log turns over.
pub(super) fn flip(disk: &MemoryDisk, at: u64, bit: u64) {
    let offset = LOG_AT + (at % SEGMENT_BYTES) as usize;
    disk.edit(&segment(at / SEGMENT_BYTES), |bytes| bytes[offset] ^= 1 << bit);
}

fn configuration(member: usize, members: usize) -> Result<Configuration, Failure> {
    let list: Vec<String> = (1..=members)
        .map(|id| format!("{{ id = {id}, address = \"127.0.0.1:{}\" }}", 9_000 + id))
        .collect();
    let text = format!(
        "group = 1\nmember = {member}\ndata = \"x\"\nsecurity = \"checksum-only\"\n\
         members = [{}]\n",
        list.join(", ")
    );
    sound("a configuration", Configuration::parse(&text))
}

/// A member that mends what lies on `disk`, with nothing of it open beside.
fn mender(disk: &MemoryDisk, member: usize, members: usize) -> Result<Peer, Failure> {
    let error = refusal(disk, "a log that has rotted")?;
    check(error.is_mendable(), || format!("nobody can mend this: {error}"))?;
    let mending = Mending::open_on(disk.clone(), Path::new(DIRECTORY), &OPTIONS);
    let mending = sound("mending", mending)?;
    let beside = refusal(disk, "a log that is mended")?;
    check(matches!(beside, ArchiveError::Locked { .. }), || format!("beside: {beside}"))?;
    let configuration = configuration(member, members)?;
    Ok(Peer::Mends(Box::new(Mender::new(mending, &configuration, Instant(STEP)))))
}

/// What lies on `disk` is `log`, to the last byte, and opens.
pub(super) fn is_whole(disk: &MemoryDisk, log: &Log) -> Verdict {
    let open = sound("what was mended", Open::on(disk))?;
    let same = open.recovered.log_end == log.end() && open.recovered.history == log.history;
    check(same, || format!("it begins with {:?}", open.recovered))?;
    let bytes = sound("read", open.bytes())?;
    check(bytes == log.bytes, || "what was mended has other bytes")
}

/// Each frame is lost to some of the members, never to all, and each member loses some.
pub(super) fn df_04(trial: &mut Trial<'_>) -> Verdict {
    let log = two_terms();
    let whole = filled(&log, &[log.end().0])?;
    for round in 0..trial.times(1, 6, 60) {
        for members in [2, 3, 5] {
            let seed = trial.seed().wrapping_add(round);
            let disks = disjoint_rot(&log, &whole, members, seed);
            let peers = disks.iter().zip(1..).map(|(disk, id)| mender(disk, id, members));
            let peers = peers.collect::<Result<Vec<_>, _>>()?;
            let mut group = Group::new(peers, seed, 10 * (round % 3));
            let lost = group.talk(SOON)?;
            check(lost.is_empty() && !group.mends(), || {
                format!("of {members} members, with seed {seed}, some are not mended: {lost:?}")
            })?;
            drop(group);
            // And they stay so, though the power goes at once.
            disks.iter().try_for_each(|disk| is_whole(&disk.crashed(Fate::Lost), &log))?;
            trial.count("mended_logs", members as u64);
        }
    }
    Ok(())
}

fn disjoint_rot(log: &Log, whole: &MemoryDisk, members: usize, seed: u64) -> Vec<MemoryDisk> {
    let mut dice = Dice::new(seed, "rot");
    let disks: Vec<_> = (0..members).map(|_| whole.crashed(Fate::Kept)).collect();
    for number in 0..log.ends.len() {
        let range = log.frame(number);
        let length = range.len() as u64;
        let keeps = dice.below(members as u64) as usize;
        for (index, disk) in disks.iter().enumerate() {
            // One frame of each is always lost to all but one: as much as there may be.
            let is_lost = number / members == 2 || dice.below(3) == 0;
            let keeps = if number / members == 2 { number % members } else { keeps };
            if index != keeps && is_lost {
                flip(disk, range.start as u64 + dice.below(length), dice.below(8));
            }
        }
    }
    disks
}

/// The same frame is lost to all but one, and to all.
pub(super) fn one_copy_or_none(trial: &Trial<'_>) -> Verdict {
    let log = two_terms();
    let whole = filled(&log, &[log.end().0])?;
    for number in (0..log.ends.len()).step_by(trial.times(7, 3, 1) as usize) {
        let range = log.frame(number);
        let at = range.start as u64 + range.len() as u64 / 2;
        let disks: Vec<_> = (0..3).map(|_| whole.crashed(Fate::Kept)).collect();
        disks.iter().for_each(|disk| flip(disk, at, 5));
        let rotten: Vec<_> = disks.iter().map(|disk| disk.content(&segment_of(at))).collect();
        let members = || disks.iter().zip(1..).map(|(disk, id)| mender(disk, id, 3));
        for lies in [false, true] {
            let mut all = members().collect::<Result<Vec<_>, _>>()?;
            if lies {
                all[2] = Peer::Lies(log.clone());
            }
            let lost = Group::new(all, trial.seed(), 10).talk(SOON)?;
            let told = lost.iter().filter(|(_, error)| {
                let segment = segment_of(at).display().to_string();
                let MendError::Lost { at, path, .. } = error else { return false };
                (at.0, path) == (range.start as u64, &segment)
            });
            check(told.count() == if lies { 2 } else { 3 }, || {
                format!("frame {number} is lost to all, and told is {lost:?}")
            })?;
            let after: Vec<_> = disks.iter().map(|disk| disk.content(&segment_of(at))).collect();
            check(rotten == after, || format!("something was written in place of frame {number}"))?;
        }
        // Any of them that has it is enough, whoever else sends what is false.
        for keeper in 1..=3 {
            let mut peers = members().collect::<Result<Vec<_>, _>>()?;
            peers[keeper - 1] = Peer::whole(log.clone());
            peers[keeper % 3] = Peer::Lies(log.clone());
            let mut group = Group::new(peers, trial.seed(), 10);
            let lost = group.talk(SOON)?;
            check(lost.is_empty() && !group.mends(), || {
                format!("member {keeper} has frame {number}, and the third has {lost:?}")
            })?;
            drop(group);
            let mended = &disks[(keeper + 1) % 3];
            is_whole(mended, &log)?;
            flip(mended, at, 5);
        }
        trial.count("frames_lost_to_all", 1);
    }
    Ok(())
}

pub(super) fn segment_of(at: u64) -> std::path::PathBuf {
    segment(at / SEGMENT_BYTES)
}

/// What follows a log that a start refuses: the others have its bytes, and no byte of anything else
/// comes in their place.
pub(super) fn rot_is_mended(trial: &Trial<'_>, log: &Log, disk: &MemoryDisk) -> Verdict {
    let mut peers = vec![mender(disk, 1, 3)?, Peer::Lies(log.clone()), Peer::whole(log.clone())];
    if trial.seed().is_multiple_of(2) {
        peers.swap(1, 2);
    }
    let mut group = Group::new(peers, trial.seed(), 5);
    let lost = group.talk(SOON)?;
    check(lost.is_empty() && !group.mends(), || {
        format!("two have it, and it is not mended: {lost:?}")
    })
}

/// Of a frame that a member has promised, and that does not verify, it says neither that it has it
/// nor that there is none, before all the others have said what they know.
pub(super) fn undecided(trial: &Trial<'_>) -> Verdict {
    let log = two_terms();
    let whole = filled(&log, &[log.end().0])?;
    let last = log.frame(log.ends.len() - 1);
    for at in last.clone().step_by(trial.times(97, 31, 3) as usize) {
        let disks: Vec<_> = (0..2).map(|_| whole.crashed(Fate::Kept)).collect();
        disks.iter().for_each(|disk| flip(disk, at as u64, 3));
        // The second never had the frame: its log ends before it.
        let mut behind = log.clone();
        behind.bytes.truncate(last.start);
        let peers = vec![mender(&disks[0], 1, 3)?, Peer::whole(behind), Peer::Silent];
        let mut group = Group::new(peers, trial.seed(), 5);
        let lost = group.talk(LONG)?;
        check(lost.is_empty() && group.mends(), || {
            format!("who may have the frame has not been heard, and told is {lost:?}")
        })?;
        group.peers[2] = Peer::whole(log.clone());
        let lost = group.talk(SOON)?;
        check(lost.is_empty() && !group.mends(), || {
            format!("it came, and was not asked: {lost:?}")
        })?;
        drop(group);
        is_whole(&disks[0], &log)?;
        // Two who lack it do not take each other's word for that of the third either.
        let peers = vec![mender(&disks[1], 1, 3)?, Peer::Has(log.clone(), log.end()), Peer::Silent];
        let mut group = Group::new(peers, trial.seed(), 5);
        let lost = group.talk(LONG)?;
        check(lost.is_empty(), || format!("one of two was heard, and told is {lost:?}"))?;
        trial.count("undecided_places", 1);
    }
    Ok(())
}

/// What was acknowledged, and what tells so, may both be gone behind a crash: then the log ends
/// before that, and never in the middle of what does not verify.
pub(super) fn tail_without_a_mark(trial: &Trial<'_>) -> Verdict {
    let log = two_terms();
    let before = log.ends[log.ends.len() - 4];
    let disk = filled(&log, &[before, log.end().0])?;
    for (fate, at) in [Fate::Kept, Fate::Lost].into_iter().flat_map(|fate| {
        (before..log.end().0).step_by(trial.times(31, 11, 3) as usize).map(move |at| (fate, at))
    }) {
        let rotten = disk.crashed(fate);
        flip(&rotten, at, 2);
        let frame = log.whole_below(at);
        match Open::on(&rotten) {
            Ok(open) => {
                let end = open.recovered.log_end.0;
                let cannot_know = matches!(fate, Fate::Lost);
                check(cannot_know && end == frame, || {
                    format!("rot at {at}, {fate:?}: the log ends at {end}, and {frame} is whole")
                })?;
            }
            Err(ArchiveError::Damaged { at: named, .. }) => {
                check(named.0 == frame, || format!("rot at {at}, and {named} is named"))?;
            }
            Err(error) => return Err(Failure::broken(format!("rot at {at}: {error}"))),
        }
    }
    Ok(())
}

/// A sector of the log cannot be read: what it was written with again can be.
pub(super) fn a_sector_is_written_anew(trial: &Trial<'_>) -> Verdict {
    let log = two_terms();
    let disk = filled(&log, &[log.end().0])?;
    for sector in (0..log.end().0 / 512).step_by(trial.times(5, 2, 1) as usize) {
        let at = sector * 512;
        let bad = disk.crashed(Fate::Kept);
        let offset = LOG_AT as u64 + at % SEGMENT_BYTES;
        bad.world().unreadable = Some((segment_of(at), offset..offset + 512));
        let peers = vec![mender(&bad, 1, 3)?, Peer::Silent, Peer::whole(log.clone())];
        let mut group = Group::new(peers, trial.seed(), 5);
        let lost = group.talk(SOON)?;
        check(lost.is_empty() && !group.mends(), || format!("sector {sector}: {lost:?}"))?;
        drop(group);
        is_whole(&bad, &log)?;
        trial.count("sectors", 1);
    }
    Ok(())
}
