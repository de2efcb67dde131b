//! The order of the log: positions, times, terms, and how frames get there.

use std::collections::BTreeMap;

use quorate_core::frame::Body;
use quorate_core::{Position, PositionRange, Term};
use quorate_sim::Dice;

use crate::case::{Failure, Verdict};
use crate::stage::story::Fate;
use crate::stage::{Effect, MICRO, MILLI, Options, SECOND, Stage};
use crate::trial::Trial;

const MESSAGES_EACH: usize = 8;

pub(super) fn ls_01(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let leader = stage.settle()?;
    let clients: Vec<_> = (0..trial.times(16, 64, 64)).map(|_| stage.client()).collect();
    let mut dice = Dice::new(trial.seed(), "interleaving");
    let mut left: Vec<_> = clients.iter().map(|client| (*client, 0)).collect();
    while !left.is_empty() {
        let index = dice.below(left.len() as u64) as usize;
        let (client, sent) = &mut left[index];
        let text = format!("{} of client {}", *sent, client.0);
        let taken = stage.submit(*client, text.as_bytes()).is_ok();
        stage.check(taken, || "a client refuses a message".to_owned())?;
        *sent += 1;
        if *sent == MESSAGES_EACH {
            left.swap_remove(index);
        }
        stage.run(dice.between(0, 100 * MICRO))?;
    }
    let all = |stage: &Stage<'_>| {
        clients.iter().all(|client| stage.replies(*client).len() == MESSAGES_EACH)
    };
    stage.until("all messages are answered", 10 * SECOND, all)?;
    stage.until_level(SECOND)?;
    let all = PositionRange::new(Position::ZERO, stage.view(leader).commit);
    let bytes = stage.log_bytes(leader, all);
    for member in stage.numbers() {
        let same = stage.log_bytes(member, all) == bytes;
        stage.check(same, || format!("member {member} has other bytes than the leader"))?;
    }
    stage.check_written_in_order(leader, &clients)
}

/// What was ever seen written: the checksum of the frame at each position of each term.
#[derive(Default)]
struct Assigned(BTreeMap<(Term, Position), u32>);

impl Assigned {
    fn look(&mut self, stage: &mut Stage<'_>) -> Verdict {
        for member in stage.numbers() {
            let marks = stage.disk(member, |disk| disk.frames().to_vec());
            let mut end = Position::ZERO;
            for mark in marks {
                let follows = mark.start == end && mark.start.0.is_multiple_of(8);
                stage
                    .check(follows, || format!("member {member}: a hole before {}", mark.start))?;
                end = mark.end;
                let first = *self.0.entry((mark.term, mark.start)).or_insert(mark.checksum);
                stage.check(first == mark.checksum, || {
                    format!("position {} of term {} was given away twice", mark.start, mark.term)
                })?;
            }
        }
        Ok(())
    }
}

pub(super) fn ls_02(trial: &mut Trial<'_>) -> Verdict {
    for run in 0..trial.times(2, 10, 100) {
        let seed = trial.seed().wrapping_add(run);
        let mut stage = trial.stage_of(Options::members(3), seed);
        let mut dice = Dice::new(seed, "crashes");
        let mut assigned = Assigned::default();
        stage.settle()?;
        let clients = [stage.client(), stage.client()];
        for _ in 0..3 {
            for message in 0..dice.between(1, 12) {
                let client = dice.pick(&clients);
                let bytes = vec![b'x'; dice.between(1, 3_000) as usize];
                // A client that waits for its replies may refuse one: then there is one fewer.
                let _ = stage.submit(client, &bytes);
                stage.run(dice.between(0, 300 * MICRO))?;
                if message % 4 == 0 {
                    assigned.look(&mut stage)?;
                }
            }
            let leader = stage.leader().unwrap_or(1);
            stage.power_off(leader);
            let te = stage.election_timeout();
            stage.until("the others elect", 12 * te, Stage::is_settled)?;
            assigned.look(&mut stage)?;
            stage.start(leader)?;
            stage.until_level(12 * te)?;
            assigned.look(&mut stage)?;
        }
        trial.count("positions", assigned.0.len() as u64);
    }
    Ok(())
}

pub(super) fn ls_03(trial: &mut Trial<'_>) -> Verdict {
    const HOUR: i64 = 3_600 * SECOND as i64;
    let mut stage = trial.stage(Options::members(3));
    for member in stage.numbers() {
        stage.jump_clock(member, 3 * HOUR);
    }
    let first = stage.settle()?;
    let client = stage.client();
    stage.request(client, b"before the step")?;
    stage.jump_clock(first, -HOUR);
    // For the one whose clock stepped back no time passes: the others have to notice.
    let te = stage.election_timeout();
    let another = move |stage: &Stage<'_>| stage.is_settled() && stage.leader() != Some(first);
    stage.until("another leads", 12 * te, another)?;
    stage.request(client, b"behind the step")?;
    let second = stage.leader().unwrap_or_default();
    let others: Vec<u16> = stage.numbers().filter(|member| *member != second).collect();
    for &member in &others {
        stage.kill(member);
        if member != first {
            stage.jump_clock(member, -HOUR);
        }
        stage.start(member)?;
        stage.until_level(12 * te)?;
    }
    stage.kill(second);
    stage.until("a leader an hour behind", 12 * te, Stage::is_settled)?;
    stage.request(client, b"an hour behind")?;
    stage.run(SECOND)?;
    stage.request(client, b"a second later")?;
    stage.start(second)?;
    stage.until_level(12 * te)?;
    for member in stage.numbers() {
        check_times(&mut stage, member)?;
    }
    Ok(())
}

fn check_times(stage: &mut Stage<'_>, member: u16) -> Verdict {
    let frames = stage.log_frames(member);
    let falls = frames.windows(2).find(|pair| pair[1].time < pair[0].time);
    stage.check(falls.is_none(), || format!("member {member}: time falls at {falls:?}"))?;
    let messages = frames.iter().filter(|frame| matches!(frame.body, Body::Message { .. }));
    let times: Vec<u64> = messages.map(|frame| frame.time.0).collect();
    let [.., before, after] = times[..] else {
        return Err(Failure::broken("the messages are not in the log"));
    };
    let passed = after - before;
    stage.check((SECOND..2 * SECOND).contains(&passed), || {
        format!("member {member}: {passed} ns of cluster time passed in a good second")
    })
}

pub(super) fn ls_05(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let first = stage.settle()?;
    let frames = stage.log_frames(first);
    let opened = frames.len() == 1 && matches!(frames[0].body, Body::TermOpen(_));
    stage.check(opened, || format!("without traffic the log has {} frames", frames.len()))?;
    // Bytes of the first term that no quorum of disks has yet.
    let client = stage.client();
    stage.request(client, b"committed")?;
    stage.until_level(SECOND)?;
    let followers: Vec<u16> = stage.numbers().filter(|member| *member != first).collect();
    for &follower in &followers {
        stage.hold(follower, "sync");
    }
    let committed = stage.view(first).commit;
    let taken = stage.submit(client, b"inherited").is_ok();
    stage.check(taken, || "the client refuses a message".to_owned())?;
    stage.run(5 * MILLI)?;
    let inherited = stage.view(first).verified;
    let waits = stage.view(first).commit == committed && inherited > committed;
    stage.check(waits, || "the message is committed by one disk".to_owned())?;
    stage.kill(first);
    for &follower in &followers {
        stage.release(follower, "sync");
    }
    let within = 12 * stage.election_timeout();
    let until =
        |stage: &Stage<'_>| followers.iter().all(|member| stage.view(*member).commit > inherited);
    let end = stage.now() + within;
    while !until(&stage) && stage.now() < end {
        let followers = followers.clone();
        // Never a part of what was inherited: it goes together with the opening frame.
        stage.always("old bytes commit with the opening frame", MILLI, move |stage| {
            followers.iter().all(|member| {
                let commit = stage.view(*member).commit;
                commit <= committed || commit > inherited
            })
        })?;
    }
    stage.check(until(&stage), || "what was inherited is never committed".to_owned())?;
    check_openings(&mut stage, followers[0])
}

/// Whether the first frame of each term opens it, and no other one does.
fn check_openings(stage: &mut Stage<'_>, member: u16) -> Verdict {
    let mut term = Term(0);
    for frame in stage.log_frames(member) {
        let opens = matches!(frame.body, Body::TermOpen(open) if open.term == frame.term);
        stage.check(opens == (frame.term > term), || {
            format!("member {member}: {:?} at {} of {term}", frame.body, frame.start)
        })?;
        term = frame.term;
    }
    stage.check(term > Term(1), || "there was no second term".to_owned())
}

pub(super) fn ls_11(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let leader = Stage::place_of(stage.settle()?);
    let clients: Vec<_> = (0..16).map(|_| stage.client()).collect();
    for client in &clients {
        stage.request(*client, b"first")?;
    }
    stage.run(SECOND / 10)?;
    let since = stage.sightings().len();
    stage.request(clients[0], b"single")?;
    let sent = &stage.sightings()[since..];
    let arrived = sent.iter().find(|one| one.kind == "ingress").map(|one| one.fate);
    let left = sent.iter().find(|one| one.kind == "live" && one.from == leader).map(|one| one.at);
    let at_once = matches!((arrived, left), (Some(Fate::Arrives { at }), Some(left)) if at == left);
    stage.check(at_once, || format!("a message that {arrived:?} leaves at {left:?}"))?;

    let since = stage.sightings().len();
    for client in &clients {
        for _ in 0..60 {
            let taken = stage.submit(*client, b"one of many").is_ok();
            stage.check(taken, || "a client refuses a message".to_owned())?;
        }
    }
    let all = |stage: &Stage<'_>| clients.iter().all(|client| stage.replies(*client).len() >= 61);
    stage.until("all messages are answered", SECOND, all)?;
    let live = stage.sightings()[since..].iter().filter(|one| one.kind == "live").count();
    // Each datagram goes to both followers.
    let (messages, datagrams) = (16 * 60, live / 2);
    trial.count("datagrams_under_load", datagrams as u64);
    stage.check(datagrams * 8 <= messages, || {
        format!("{datagrams} datagrams carried {messages} messages")
    })
}

/// Kinds of datagrams that only make things faster: what they say is found out without them.
const HINTS: [&str; 4] = ["live", "abdicate", "unavailable", "stream_newest"];

pub(super) fn ls_18(trial: &mut Trial<'_>) -> Verdict {
    let alone = HINTS.iter().map(|hint| vec![*hint]);
    for lost in alone.chain([HINTS.to_vec()]) {
        let mut stage = trial.stage(Options::members(3));
        let what = lost.join(", ");
        let kinds = lost.clone();
        stage.rule(&format!("no {what}"), Effect::Lose, move |passing| {
            kinds.contains(&passing.kind())
        });
        let client = stage.client();
        let leader = stage.settle()?;
        for _ in 0..5 {
            stage.request(client, &[7; 3_000])?;
        }
        stage.shut_down(leader);
        stage.run(5 * MILLI)?;
        stage.kill(leader);
        stage.request(client, b"to the next leader")?;
        stage.start(leader)?;
        stage.until_level(20 * stage.election_timeout())?;
        let answered = stage.replies(client).len();
        stage.check(answered == 6, || format!("{answered} replies without {what}"))?;
    }
    Ok(())
}
