//! Messages that are whole or not there, and ranges of the log that are asked for.

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use quorate_codecs::{DATAGRAM_BYTES_MAX, Header, encode_control};
use quorate_core::frame::Body;
use quorate_core::message::{EpochRange, Message, Sender, Stream};
use quorate_core::{Incoming, Instant, Position, PositionRange};
use quorate_sim::{Dice, Place};

use super::logs::{Log, follower, small};
use crate::case::Verdict;
use crate::desk::{Desk, DeskOptions, LogPiece};
use crate::stage::{Effect, MILLI, Options, SECOND, Stage, TAG, written_bytes};
use crate::trial::Trial;

/// Slices of the message that [`ls_10`] cuts.
const SLICES: u64 = 13;

pub(super) fn ls_10(trial: &mut Trial<'_>) -> Verdict {
    let step = trial.times(5, 2, 1);
    for passed in (0..=SLICES).step_by(step as usize) {
        cut_message(trial, passed)?;
    }
    Ok(())
}

/// The leader dies when each follower has so many slices of a message.
fn cut_message(trial: &Trial<'_>, passed: u64) -> Verdict {
    let mut stage = trial.stage_of(Options::members(3), trial.seed().wrapping_add(passed));
    let leader = stage.settle()?;
    let client = stage.client();
    stage.request(client, b"whole")?;
    stage.until_level(SECOND)?;
    let start = stage.view(leader).verified;
    let mut seen: BTreeMap<Place, u64> = BTreeMap::new();
    stage.rule("the message stops half-way", Effect::Lose, move |passing| {
        if passing.from != Stage::place_of(leader) || !passing.is_log_data() {
            return false;
        }
        let seen = seen.entry(passing.to).or_insert(0);
        *seen += 1;
        *seen > passed
    });
    let payload = vec![0xc5; SLICES as usize * 1_216 - 100];
    let taken = stage.submit(client, &payload).is_ok();
    stage.check(taken, || "the client refuses a message".to_owned())?;
    stage.run(5 * MILLI)?;
    let end = stage.view(leader).verified;
    let is_cut = passed < SLICES;
    let has_reply = stage.replies(client).len() > 1;
    stage.check(end > start && has_reply != is_cut, || {
        format!("after {passed} slices: not half-way")
    })?;
    if passed.is_multiple_of(2) {
        stage.kill(leader)
    } else {
        stage.power_off(leader)
    }
    stage.heal_all();
    let within = 12 * stage.election_timeout();
    stage.until("the others elect", within, Stage::is_settled)?;
    let other = stage.other_than(leader);
    let frames = stage.log_frames(other);
    let at_start = frames.iter().find(|frame| frame.start == start).map(|frame| frame.body);
    let opens = matches!(at_start, Some(Body::TermOpen(_)));
    stage.check(opens == is_cut, || format!("after {passed} slices: {at_start:?} is there"))?;
    stage.start(leader)?;
    let answered = |stage: &Stage<'_>| stage.replies(client).len() == 2;
    stage.until("the message is answered in the end", SECOND, answered)?;
    stage.until_level(within)?;
    let frames = stage.log_frames(leader);
    let copies = frames.iter().filter(|frame| frame.payload == payload).count();
    stage.check(copies == 1, || format!("after {passed} slices: it is there {copies} times"))
}

pub(super) fn ls_13(_: &mut Trial<'_>) -> Verdict {
    let log = Log::of(&[1, 1, 1, 1, 1]);
    let bytes: Vec<u8> = log.pieces.iter().flat_map(|piece| piece.bytes.clone()).collect();
    let ends: Vec<u64> = log.pieces.iter().map(|piece| piece.end.0).collect();
    for torn in 0..=bytes.len() {
        let mut disk = Log { pieces: Vec::new(), ..log.clone() }.on_disk(&small());
        disk.append(&bytes[..torn], &[]);
        // Behind the torn end lies what was there before.
        let rest = vec![0xa5; (bytes.len() - torn).min(64)];
        disk.append(&rest, &[]);
        let options = DeskOptions { limits: small(), ..DeskOptions::member_of(1) };
        let mut desk = Desk::on_disk(options, disk, Instant(1))?;
        let whole = ends.iter().rev().find(|end| **end <= torn as u64).copied().unwrap_or(0);
        let found = desk.view().verified.0;
        desk.check(found == whole, &format!("of {torn} bytes it finds {found} whole"))?;
        let kept = written_bytes(&desk.disk, PositionRange::new(Position::ZERO, Position(whole)));
        desk.check(kept == bytes[..whole as usize], "it changes what was there")?;
        desk.lead()?;
        desk.complete_all();
        let view = desk.view();
        let all = view.applied == view.verified && view.verified.0 > whole;
        desk.check(all, &format!("behind {whole} bytes it does not go on"))?;
    }
    torn_on_the_way(&log, &bytes)
}

/// The same of what a follower receives: it counts, and writes, whole frames only.
fn torn_on_the_way(log: &Log, bytes: &[u8]) -> Verdict {
    for torn in (0..=bytes.len()).step_by(8) {
        let mut desk = follower(&Log::of(&[]))?;
        let leader = log.lines[0].leader.member.0;
        desk.follow(leader, 1, &log.lines);
        let part = LogPiece {
            start: Position::ZERO,
            end: Position(torn as u64),
            bytes: bytes[..torn].to_vec(),
            chain: log.pieces[0].chain,
        };
        desk.receive_log(leader, 1, &part, None);
        desk.complete_all();
        let whole = log.pieces.iter().rfind(|piece| piece.end.0 <= torn as u64);
        let whole = whole.map_or(Position::ZERO, |piece| piece.end);
        let view = desk.view();
        let sound = (view.verified, view.durable, desk.disk.written_end()) == (whole, whole, whole);
        desk.check(sound, &format!("of {torn} bytes it counts others than {whole}"))?;
    }
    Ok(())
}

type Repairs = Rc<RefCell<Vec<(u64, Position, Vec<u8>)>>>;

pub(super) fn ls_15(trial: &mut Trial<'_>) -> Verdict {
    let options = Options::members(3).limits(|limits| {
        *limits = small();
        limits.run_bytes_max = 4 * u64::from(limits.slice_bytes);
    });
    let mut stage = trial.stage(options);
    let first = stage.settle()?;
    let client = stage.client();
    let mut dice = Dice::new(trial.seed(), "ranges");
    for _ in 0..40 {
        stage.request(client, &vec![0x5a; dice.between(1, 4_000) as usize])?;
    }
    // Two terms in the log, and its beginning outside of every window.
    stage.kill(first);
    stage.request(client, b"of the second term")?;
    stage.start(first)?;
    stage.until_level(12 * stage.election_timeout())?;
    let asked = stage.leader().unwrap_or_default();
    let asker = stage.other_than(asked);
    let end = stage.view(asked).verified;
    stage.check(end.0 > small().window_bytes, || format!("a log of {end} bytes only"))?;
    let (repairs, unavailable) = listen(&mut stage, asked, asker);
    for _ in 0..trial.times(20, 100, 1_000) {
        let start = dice.below(end.0 / 8) * 8;
        let length = (dice.between(1, 1_000) * 8).min(end.0 - start);
        let range = PositionRange::at(Position(start), length);
        for (epoch, part) in by_term(&stage, asked, range) {
            repairs.borrow_mut().clear();
            ask(&mut stage, (asker, asked), epoch, part);
            stage.run(60 * MILLI)?;
            let mut bytes = vec![None; part.len() as usize];
            for (of, position, slice) in repairs.borrow().iter() {
                if *of == epoch && part.contains(PositionRange::at(*position, slice.len() as u64)) {
                    let at = position.since(part.start) as usize;
                    bytes[at..at + slice.len()]
                        .copy_from_slice(&slice.iter().copied().map(Some).collect::<Vec<_>>());
                }
            }
            let bytes: Option<Vec<u8>> = bytes.into_iter().collect();
            let same = bytes == Some(stage.log_bytes(asked, part));
            stage.check(same, || format!("{part} of term {epoch} does not come as it is"))?;
        }
    }
    for (epoch, start) in [(stage.view(asked).term.0, end.0), (999, 0)] {
        unavailable.borrow_mut().clear();
        let range = PositionRange::at(Position(start), 64);
        ask(&mut stage, (asker, asked), epoch, range);
        stage.run(60 * MILLI)?;
        let told = unavailable.borrow().first() == Some(&EpochRange { epoch, range });
        stage.check(told, || format!("nobody says that {range} of {epoch} is not there"))?;
    }
    Ok(())
}

/// Notes what `asked` sends to `asker`: repairs, and what it does not have.
fn listen(
    stage: &mut Stage<'_>,
    asked: u16,
    asker: u16,
) -> (Repairs, Rc<RefCell<Vec<EpochRange>>>) {
    let (repairs, unavailable) = (Repairs::default(), Rc::<RefCell<Vec<EpochRange>>>::default());
    let (heard, missing) = (Rc::clone(&repairs), Rc::clone(&unavailable));
    let link = (Stage::place_of(asked), Stage::place_of(asker));
    stage.rule("listens", Effect::Pass, move |passing| {
        if (passing.from, passing.to) == link {
            match &passing.content {
                Some((_, Incoming::Data { epoch, position, live: None, slice, .. })) => {
                    heard.borrow_mut().push((*epoch, *position, slice.to_vec()));
                }
                Some((_, Incoming::Control(Message::Unavailable { range, .. }))) => {
                    missing.borrow_mut().push(*range);
                }
                _ => {}
            }
        }
        false
    });
    (repairs, unavailable)
}

/// The parts of a range by the term that owns them.
fn by_term(stage: &Stage<'_>, member: u16, range: PositionRange) -> Vec<(u64, PositionRange)> {
    stage.disk(member, |disk| {
        let history = disk.history();
        let mut parts = Vec::new();
        let mut start = range.start;
        while start < range.end {
            let Some(owner) = history.owner(start) else { break };
            let end = history.owner_end(start).map_or(range.end, |end| end.min(range.end));
            parts.push((owner.term.0, PositionRange::new(start, end)));
            start = end;
        }
        parts
    })
}

/// Asks `to` for a range as `from` would.
fn ask(stage: &mut Stage<'_>, (from, to): (u16, u16), epoch: u64, range: PositionRange) {
    let life = stage.view(from).life;
    let (member, incarnation, boot_epoch) = (life.member, life.incarnation, life.boot_epoch);
    let sender = Sender::Member { member, incarnation, boot_epoch };
    let ranges = [EpochRange { epoch, range }].into_iter().collect();
    let message = Message::Nak { stream: Stream::Log, ranges };
    let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
    let length = encode_control(&Header { tag: TAG, sender }, &message, &mut bytes);
    bytes.truncate(length.unwrap_or(0));
    stage.inject(Stage::place_of(from), to, bytes);
}
