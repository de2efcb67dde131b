//! Logs that have parted, and how a follower comes back to its leader's.

use quorate_codecs::{DATAGRAM_BYTES_MAX, Header, decode, encode_data};
use quorate_core::frame::{Body, SessionCloseReason};
use quorate_core::message::{Live, Message, Stream};
use quorate_core::{
    Action, Chain, Destination, Duration, FailStop, Instant, LogTime, MemberId, Position,
    SessionId, Term, TermLine,
};
use quorate_sim::Dice;

use super::logs::{Log, follower, leader_of, small};
use crate::case::{Failure, Verdict, check};
use crate::desk::{
    Desk, DeskOptions, LogPiece, heartbeat, history, line, member_sender, opening, piece,
};
use crate::stage::TAG;
use crate::trial::Trial;

/// The logs of figure 7 of the Raft paper, and the empty one.
const CLASSIC: [&[u64]; 7] = [
    &[1, 1, 1, 4, 4, 5, 5, 6, 6],
    &[1, 1, 1, 4],
    &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    &[1, 1, 1, 4, 4, 4, 4],
    &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    &[],
];

pub(super) fn ls_04(trial: &mut Trial<'_>) -> Verdict {
    let leader = Log::of(&[1, 1, 1, 4, 4, 5, 5, 6, 6, 6]);
    for terms in CLASSIC {
        let log = Log::of(terms);
        for committed in 0..=log.terms.len() {
            sync(&leader, &log, committed, 8)?;
        }
    }
    let longest = trial.times(3, 4, 4) as usize;
    let logs: Vec<Log> = all_logs(longest, 3).iter().map(|terms| Log::of(terms)).collect();
    let mut pairs = 0;
    for (leader, log) in logs.iter().flat_map(|one| logs.iter().map(move |two| (one, two))) {
        if !leader.fits(log) {
            continue;
        }
        pairs += 1;
        let common = leader.common(log);
        sync(leader, log, 0, 4)?;
        sync(leader, log, common, 4)?;
        sync(leader, log, log.terms.len(), 4)?;
    }
    trial.count("pairs", pairs);
    check(pairs > 100, || format!("only {pairs} pairs of logs"))
}

/// All logs of up to so many frames over so many terms.
fn all_logs(frames: usize, terms: u64) -> Vec<Vec<u64>> {
    let mut logs = vec![Vec::new()];
    let mut from = 0;
    for _ in 0..frames {
        let until = logs.len();
        for index in from..until {
            let log: Vec<u64> = logs[index].clone();
            for term in log.last().copied().unwrap_or(1)..=terms {
                logs.push([log.as_slice(), &[term]].concat());
            }
        }
        from = until;
    }
    logs
}

/// Lets a follower with `log`, of which so many frames are committed, follow the leader of a new
/// term that has `leader`.
fn sync(leader: &Log, log: &Log, committed: usize, term: u64) -> Verdict {
    let mut desk = follower(log)?;
    let commit = log.start_of(committed);
    if let Some(&last) = log.terms.last() {
        let Message::Heartbeat { term, round, newest, chain_at, chain, .. } = heartbeat(last, 1)
        else {
            return Err(Failure::Harness("a heartbeat is none".into()));
        };
        let said = Message::Heartbeat { term, round, newest, commit, chain_at, chain };
        desk.receive(leader_of(last), said);
        desk.complete_all();
    }
    let what = || format!("{:?}, {committed} committed, behind {:?}", log.terms, leader.terms);
    check(desk.view().commit == commit, || format!("{}: commit", what()))?;
    let mut whole = leader.clone();
    whole.add(term, &[]);
    let cut = log.start_of(leader.common(log));
    desk.follow(leader_of(term), term, &whole.lines);
    if cut < commit {
        let stopped = Some(FailStop::CutBelowCommit { cut, commit });
        let kept = desk.stopped == stopped && desk.disk.written_end() == log.end();
        return check(kept, || format!("{}: {:?} instead of {stopped:?}", what(), desk.stopped));
    }
    let exact = desk.disk.written_end() == cut && desk.view().verified == cut;
    check(exact, || format!("{}: cut at {} not {cut}", what(), desk.disk.written_end()))?;
    let newest = whole.end();
    for (piece, of) in whole.pieces.iter().zip(&whole.terms) {
        if piece.end > cut {
            let live = (*of == term).then_some(Live { newest, commit: newest });
            desk.receive_log(leader_of(term), *of, piece, live);
        }
    }
    desk.complete_all();
    let view = desk.view();
    let same =
        desk.disk.holds_durably(newest, whole.chain()) && view.verified_chain == whole.chain();
    check(same, || format!("{}: ends at {} of {newest}", what(), view.verified))?;
    let whole = view.commit == newest && view.applied == newest && desk.stopped.is_none();
    check(whole, || format!("{}: {view:?}", what()))
}

pub(super) fn ls_06(trial: &mut Trial<'_>) -> Verdict {
    let log = Log::of(&[1, 1, 1, 3, 3, 3, 3, 6, 6, 6]);
    let mut desk = follower(&Log::of(&[1, 1, 1, 3]))?;
    desk.follow(leader_of(6), 6, &log.lines);
    let live = Live { newest: log.end(), commit: log.pieces[4].end };
    for (piece, term) in log.pieces.iter().zip(&log.terms) {
        desk.receive_log(leader_of(6), *term, piece, (*term == 6).then_some(live));
    }
    desk.complete_all();
    desk.check(desk.view().durable == log.end(), "the log does not come over")?;
    let mut dice = Dice::new(trial.seed(), "stale");
    for _ in 0..trial.times(2_000, 20_000, 100_000) {
        let actions = stale(&mut desk, &log, &mut dice);
        let writes = actions
            .iter()
            .find(|action| matches!(action, Action::Append { .. } | Action::PersistHistory { .. }));
        desk.check(writes.is_none(), &format!("something old makes it do {writes:?}"))?;
        let view = desk.view();
        let kept = (view.verified, view.written, view.durable) == (log.end(), log.end(), log.end());
        desk.check(kept && view.verified_chain == log.chain(), "something old cuts the log")?;
        desk.complete_all();
    }
    desk.check(desk.stopped.is_none(), "something old stops it")
}

/// Something late arrives: a part of the log, a heartbeat or a history of then.
fn stale(desk: &mut Desk, log: &Log, dice: &mut Dice) -> Vec<Action> {
    let frame = dice.below(log.pieces.len() as u64) as usize;
    let (piece, term) = (&log.pieces[frame], log.terms[frame]);
    let from = leader_of(term);
    match dice.below(3) {
        0 => {
            let words = piece.bytes.len() as u64 / 8;
            let start = dice.below(words);
            let end = dice.between(start + 1, words);
            let bytes = piece.bytes[start as usize * 8..end as usize * 8].to_vec();
            let start = piece.start.plus(start * 8);
            let part = LogPiece { start, end: start.plus(bytes.len() as u64), bytes, ..*piece };
            let newest = log.pieces[dice.below(frame as u64 + 1) as usize].end;
            let live = (term == 6).then_some(Live { newest, commit: newest.min(part.start) });
            desk.receive_log(from, term, &part, live).to_vec()
        }
        1 => {
            // Before its term had a frame at all: it knows of less than the follower has.
            desk.receive(from, heartbeat(term, dice.below(3))).to_vec()
        }
        _ => {
            let lines: Vec<TermLine> =
                log.lines.iter().copied().filter(|line| line.term <= Term(term)).collect();
            let mut all = Vec::new();
            for message in history(term, Position::ZERO, &lines) {
                all.extend_from_slice(desk.receive(from, message));
            }
            all
        }
    }
}

pub(super) fn ls_07(_: &mut Trial<'_>) -> Verdict {
    let log = Log::of(&[1, 1, 1, 1]);
    check_datagrams(&log)?;
    let [open, first, second, third] = &log.pieces[..] else {
        return Err(Failure::Harness("a log of four frames has others".into()));
    };
    let join = |pieces: [&LogPiece; 2]| {
        let bytes = [pieces[0].bytes.as_slice(), &pieces[1].bytes].concat();
        let end = pieces[0].start.plus(bytes.len() as u64);
        LogPiece { end, bytes, ..*pieces[0] }
    };
    // With a hole inside, with a duplicate inside, and beginning with a frame of elsewhere.
    let elsewhere = LogPiece { start: first.start, ..second.clone() };
    let runs = [(join([first, third]), first.end), (join([first, first]), first.end)];
    for (bad, sound) in runs.into_iter().chain([(elsewhere, first.start)]) {
        let mut desk = follower(&Log::of(&[]))?;
        desk.follow(leader_of(1), 1, &log.lines);
        desk.receive_log(leader_of(1), 1, open, None);
        desk.receive_log(leader_of(1), 1, &bad, None);
        desk.complete_all();
        let (view, rejected) = (desk.view(), desk.member.counters().frames_rejected);
        desk.check(view.verified == sound && rejected == 1, "a bad run counts")?;
        desk.check(desk.disk.written_end() == sound, "bad bytes are on the disk")?;
        for piece in [first, second, third] {
            desk.receive_log(leader_of(1), 1, piece, None);
        }
        desk.complete_all();
        desk.check(desk.view().durable == log.end(), "good bytes do not take their place")?;
    }
    Ok(())
}

/// Datagrams that are not one slice between words are neither written nor read.
fn check_datagrams(log: &Log) -> Verdict {
    let header = Header { tag: TAG, sender: member_sender(2, 1) };
    let encode = |position: u64, slice: &[u8]| {
        let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
        let (position, both) = (Position(position), (slice, &[][..]));
        let length = encode_data(&header, Stream::Log, 1, position, None, both, &mut bytes).ok()?;
        bytes.truncate(length);
        Some(bytes)
    };
    let slice = &log.pieces[1].bytes;
    let whole = encode(64, slice).ok_or_else(|| Failure::broken("a sound slice is refused"))?;
    check(decode(&whole, TAG).is_ok(), || "a sound slice is not read")?;
    for by in 1..8 {
        check(encode(64 + by, slice).is_none(), || format!("position {by} behind a word is sent"))?;
        let cut = &slice[..slice.len() - by as usize];
        check(encode(64, cut).is_none(), || format!("{by} bytes less than words are sent"))?;
        let cut = &whole[..whole.len() - by as usize];
        check(decode(cut, TAG).is_err(), || format!("{by} bytes less than words are read"))?;
    }
    Ok(())
}

pub(super) fn ls_08(trial: &mut Trial<'_>) -> Verdict {
    for parted in [1, 2, 15, 16, 17, 40] {
        let longest = if parted == 17 { 1_000_000 } else { 30_000 };
        let frames = trial.times(2_000, 20_000, longest) as usize;
        // Common frames, and then `parted` terms of which the other has none.
        let each = (frames / 2 / (parted as usize)).max(1);
        let common = vec![1; frames / 2];
        let of = |odd: u64| (0..parted).flat_map(move |index| vec![2 + 2 * index + odd; each]);
        let leader: Vec<u64> = common.iter().copied().chain(of(0)).collect();
        let log: Vec<u64> = common.iter().copied().chain(of(1)).collect();
        let messages = converge(&Log::of(&leader), &Log::of(&log), common.len())?;
        trial.count(&format!("messages_for_{parted}_terms"), messages);
        check(messages <= 2 * parted + 2, || format!("{messages} messages for {parted} terms"))?;
    }
    Ok(())
}

/// Lets a follower with `log` find out where it parted from `leader`; how many messages it took.
fn converge(leader: &Log, log: &Log, common: usize) -> Result<u64, Failure> {
    let cut = log.start_of(common);
    let options = DeskOptions { limits: small(), member: 2, ..DeskOptions::member_of(3) };
    let disk = leader.on_disk(&options.limits);
    let mut lead = Desk::on_disk(options, disk, Instant(1))?;
    let mut desk = follower(log)?;
    // What the others of the leader's group saw of the follower's terms.
    let seen = log.terms.last().copied().unwrap_or_default() + 1;
    lead.receive(3, heartbeat(seen, 1));
    lead.complete_all();
    let term = lead.lead()?;
    let mut messages = 0;
    let mut beat = heartbeat(term.0, 1);
    for round in 2..12 {
        desk.receive(2, beat.clone());
        let mut done = desk.actions.clone();
        done.append(&mut desk.complete_all());
        let mut said: Vec<Message> = history_messages(&done, 2);
        while let Some(request) = said.pop() {
            messages += 1;
            lead.receive(1, request);
            let answers = history_messages(&lead.actions.clone(), 1);
            for answer in answers {
                messages += 1;
                desk.receive(2, answer);
                desk.complete_all();
            }
        }
        if desk.view().verified == cut && desk.disk.history().last_term() == term {
            return Ok(messages);
        }
        desk.pass(Duration::from_millis(20));
        beat = heartbeat(term.0, round);
    }
    let end = desk.disk.written_end();
    Err(Failure::broken(format!("after ten heartbeats the log ends at {end}, not at {cut}")))
}

/// The requests for histories, and histories, among `actions` for a member.
fn history_messages(actions: &[Action], member: u16) -> Vec<Message> {
    let wanted = Destination::Member(MemberId(member));
    let messages = actions.iter().filter_map(|action| match action {
        Action::Send { to, message } if *to == wanted => Some(message),
        _ => None,
    });
    let is_history = |message: &&Message| {
        matches!(message, Message::HistoryRequest { .. } | Message::History { .. })
    };
    messages.filter(is_history).cloned().collect()
}

pub(super) fn ls_09(_: &mut Trial<'_>) -> Verdict {
    let truth = Log::of(&[1, 1, 1]);
    let mut forged = Log::of(&[1, 1]);
    let body = Body::SessionClose {
        session: SessionId(8),
        time: LogTime(1),
        reason: SessionCloseReason::Client,
    };
    let (start, chain) = (forged.end(), forged.chain());
    forged.pieces.push(piece(1, start, chain, &body, &[]));
    forged.terms.push(1);
    // The leader compares by what it says it has applied; nothing else gives the forgery away.
    let mut desk = follower(&forged)?;
    let at = |log: &Log| Message::Heartbeat {
        term: Term(1),
        round: 1,
        newest: log.end(),
        commit: log.end(),
        chain_at: log.end(),
        chain: truth.chain(),
    };
    desk.receive(leader_of(1), at(&forged));
    desk.complete_all();
    let stopped = desk.stopped == Some(FailStop::ChainMismatch { at: forged.end() });
    desk.check(stopped, "it goes on with other bytes")?;
    let (written, life) = (desk.disk.frames().to_vec(), desk.life());
    desk.receive(leader_of(1), heartbeat(1, 2));
    desk.pass(Duration::from_millis(1_000));
    let inert = desk.actions.is_empty() && desk.disk.frames() == written && desk.life() == life;
    desk.check(inert, "it acts though it stopped")?;
    // The same with the truth goes on.
    let mut desk = follower(&truth)?;
    desk.receive(leader_of(1), at(&truth));
    desk.complete_all();
    desk.check(desk.stopped.is_none() && desk.view().applied == truth.end(), "the truth stops it")?;
    check_forged_opening(&truth)?;
    // Another line for the same term.
    let mut desk = follower(&truth)?;
    let other = line(1, leader_of(1), Position(0), Chain(7));
    desk.follow(leader_of(2), 2, &[other, line(2, leader_of(2), truth.end(), Chain(9))]);
    let stopped = desk.stopped == Some(FailStop::TwoLeaders { term: Term(1) });
    desk.check(stopped && desk.disk.written_end() == truth.end(), "it merges another line")
}

/// A term whose opening frame or line continues other bytes than the follower's.
fn check_forged_opening(truth: &Log) -> Verdict {
    let mut desk = follower(truth)?;
    let next = line(2, leader_of(2), truth.end(), Chain(9));
    let lines = [truth.lines.clone(), vec![next]].concat();
    desk.follow(leader_of(2), 2, &lines);
    desk.receive_log(leader_of(2), 2, &opening(&next, Term(1)), None);
    desk.check(desk.stopped.is_some(), "it continues other bytes than the leader's")?;
    desk.check(desk.disk.written_end() == truth.end(), "bytes of another log are on the disk")
}
