//! What is committed, acknowledged and answered in a group of members, while disks and links are
//! slow, held or lost.

use quorate_core::client::ClientError;
use quorate_core::message::Message;
use quorate_core::{Duration, MemberId, Position, Role};
use quorate_sim::{Dice, Place};

use super::waits::waits_for_a_position;
use crate::case::{Verdict, check};
use crate::edges::{Command, LedgerReply};
use crate::stage::{ClientNumber, MICRO, MILLI, Options, Stage};
use crate::subject::Feature;
use crate::trial::Trial;

/// The highest position that so many disks have, counted by hand.
pub(super) fn held_by(stage: &Stage<'_>, disks: usize) -> Position {
    let durable = stage.numbers().map(|member| stage.disk(member, |disk| disk.durable_end()));
    let mut durable: Vec<Position> = durable.collect();
    durable.sort_unstable_by(|one, other| other.cmp(one));
    durable[disks - 1]
}

fn highest_commit(stage: &Stage<'_>) -> Position {
    stage.numbers().map(|member| stage.view(member).commit).max().unwrap_or_default()
}

pub(super) fn cd_01(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    for members in 1..=trial.times(4, 5, 7) as u16 {
        for held in 0..1_u16 << members {
            hold_disks(trial, members, held)?;
            trial.count("sets of held disks", 1);
        }
    }
    Ok(())
}

/// The disks of the members whose bit is set in `held` sync nothing.
fn hold_disks(trial: &Trial<'_>, members: u16, held: u16) -> Verdict {
    let mut stage = trial.stage(Options::members(members.into()));
    let (leader, client) = (stage.settle()?, stage.client());
    stage.request(client, b"on all disks")?;
    stage.run(stage.heartbeat())?;
    let before = stage.view(leader).commit;
    for member in stage.numbers().filter(|member| held & (1 << (member - 1)) != 0) {
        stage.hold(member, "sync");
    }
    for _ in 0..3 {
        let _ = stage.submit(client, b"on some disks");
    }
    let quorum = usize::from(members / 2 + 1);
    let time = 20 * stage.round_trip();
    stage.always("nobody commits what a quorum of disks does not have", time, |stage| {
        highest_commit(stage) <= held_by(stage, quorum)
    })?;
    let (head, commit) = (stage.view(leader).verified, stage.view(leader).commit);
    let enough = (members - held.count_ones() as u16) as usize >= quorum;
    let expected = if enough { head } else { before };
    stage.check(head > before && commit == expected, || {
        format!("of {members} disks {held:b} are held, and {commit} of {head} is committed")
    })?;
    let answered = stage.replies(client).len();
    stage.check(answered == if enough { 4 } else { 1 }, || format!("{answered} replies"))?;
    for member in stage.numbers() {
        stage.release(member, "sync");
    }
    stage.until("all is answered in the end", time, |stage| stage.replies(client).len() == 4)
}

pub(super) fn cd_04(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    for repetition in 0..trial.times(4, 20, 200) {
        let mut stage = trial.stage_of(Options::members(3), trial.seed() + repetition);
        let (leader, client) = (stage.settle()?, stage.client());
        stage.request(client, b"on all disks")?;
        stage.run(2 * stage.heartbeat())?;
        let slow = stage.other_than(leader);
        let before = stage.disk(slow, |disk| disk.durable_end());
        let stated = stage.overhear(move |passing| match passing.message() {
            Some(Message::Acknowledge { durable, .. })
                if passing.from == Place::Member(MemberId(slow)) =>
            {
                Some(*durable)
            }
            _ => None,
        });
        stage.hold(slow, "sync");
        stage.request(client, b"not on this disk")?;
        stage.run(4 * stage.heartbeat())?;
        let (notes, head) = (stated.notes(), stage.view(leader).verified);
        let honest = notes.len() >= 3 && notes.iter().all(|durable| *durable == before);
        stage.check(honest && stage.view(slow).verified == head, || {
            format!("of {head} its disk has {before}, and it acknowledged {notes:?}")
        })?;
        stated.forget();
        stage.release(slow, "sync");
        stage.run(0)?;
        let notes = stated.notes();
        stage.check(notes == [head], || format!("its disk has {head}, and it said {notes:?}"))?;
    }
    Ok(())
}

pub(super) fn cd_08(trial: &mut Trial<'_>) -> Verdict {
    for repetition in 0..trial.times(5, 40, 400) {
        let members = [2, 3, 5, 7][repetition as usize % 4];
        let mut stage = trial.stage_of(Options::members(members), trial.seed() + repetition);
        let (leader, client) = (stage.settle()?, stage.client());
        stage.request(client, b"first")?;
        stage.run(4 * stage.heartbeat())?;
        let before = stage.view(leader).commit;
        let _ = stage.submit(client, b"last");
        let within = 10 * stage.round_trip();
        stage.until("the leader commits", within, |s| s.view(leader).commit > before)?;
        let (last, within) = (stage.view(leader).commit, stage.heartbeat());
        stage.until("all know of the last commit", within, |stage| {
            stage.numbers().all(|member| stage.view(member).commit == last)
        })?;
    }
    Ok(())
}

/// Adds one to a register; the reply tells how often that was done before.
fn count(stage: &mut Stage<'_>, client: ClientNumber) -> Result<u64, crate::case::Failure> {
    let reply = stage.request(client, &Command::Add { key: 1, value: 1 }.to_bytes())?;
    let parsed = LedgerReply::parse(&reply.bytes);
    parsed.map(|reply| reply.value).ok_or_else(|| {
        crate::case::Failure::broken(format!("{} bytes are no reply", reply.bytes.len()))
    })
}

pub(super) fn cd_12(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    for repetition in 0..trial.times(4, 25, 250) {
        let members = [1, 2, 3, 5][repetition as usize % 4];
        let seed = trial.seed() + repetition;
        let mut stage = trial.stage_of(Options::members(members), seed);
        let mut dice = Dice::new(seed, "power");
        stage.settle()?;
        let client = stage.client();
        let quorum = members / 2 + 1;
        let mut answered = 0;
        for _ in 0..4 {
            for _ in 0..dice.below(4) {
                answered = count(&mut stage, client)? + 1;
            }
            let reply = stage.request(client, b"synced?")?;
            let synced = held_by(&stage, quorum) > reply.position;
            stage.check(synced, || format!("answered before {} is synced", reply.position))?;
            // Something is on its way when the power goes, everywhere.
            let _ = stage.submit(client, b"too late");
            stage.run(dice.below(stage.round_trip()))?;
            for member in stage.numbers() {
                stage.power_off(member);
            }
            stage.settle()?;
            let counted = count(&mut stage, client)?;
            stage.check(counted == answered, || {
                format!("{answered} additions were answered, and {counted} are there")
            })?;
            answered = counted + 1;
        }
    }
    for repetition in 0..trial.times(2, 8, 40) {
        waits_for_a_position(trial, repetition)?;
    }
    Ok(())
}

pub(super) fn cd_15(trial: &mut Trial<'_>) -> Verdict {
    for repetition in 0..trial.times(4, 24, 200) {
        for in_flight in [1, 3, 24] {
            lose_leader(trial, in_flight, repetition)?;
        }
        lose_session(trial, repetition)?;
    }
    Ok(())
}

/// The leader goes, or is cut off, with messages under way: each is answered exactly once.
fn lose_leader(trial: &Trial<'_>, in_flight: usize, repetition: u64) -> Verdict {
    let seed = trial.seed() + repetition;
    let mut stage = trial.stage_of(Options::members(3), seed);
    let mut dice = Dice::new(seed, "losses");
    let (leader, client) = (stage.settle()?, stage.client());
    stage.request(client, b"before")?;
    if repetition.is_multiple_of(2) {
        // Nothing of it leaves the leader.
        stage.isolate(leader);
    }
    for _ in 0..in_flight {
        let _ = stage.submit(client, &Command::Add { key: 1, value: 1 }.to_bytes());
    }
    stage.run(dice.below(2 * stage.round_trip()))?;
    if repetition % 2 == 1 {
        stage.kill(leader);
    }
    let (all, within) = (in_flight + 1, 12 * stage.election_timeout());
    stage.until("all are answered", within, |stage| {
        stage.ended(client).is_some() || stage.replies(client).len() >= all
    })?;
    let ended = stage.ended(client).cloned();
    stage.check(ended.is_none(), || format!("its session is there, and it ended: {ended:?}"))?;
    let replies = &stage.replies(client)[1..];
    let values = replies.iter().map(|reply| LedgerReply::parse(&reply.bytes).map(|r| r.value));
    let values: Vec<Option<u64>> = values.collect();
    let expected: Vec<Option<u64>> = (0..in_flight as u64).map(Some).collect();
    stage.check(values == expected, || format!("the additions were answered with {values:?}"))
}

/// The session itself goes with messages under way: what became of them is unknown, and said so.
fn lose_session(trial: &Trial<'_>, repetition: u64) -> Verdict {
    let options = Options::members(3).timing(|timing| {
        timing.session_timeout = Duration::from_millis(400);
    });
    let mut stage = trial.stage_of(options, trial.seed() + repetition);
    let (leader, client) = (stage.settle()?, stage.client());
    stage.request(client, b"before")?;
    let place = Stage::place_of_client(client);
    // Of the messages some reach the leader, and no answer comes back.
    for member in stage.numbers() {
        stage.cut_place(Stage::place_of(member), place);
    }
    for _ in 0..3 {
        let _ = stage.submit(client, b"under way");
    }
    stage.run(stage.round_trip())?;
    for member in stage.numbers() {
        stage.cut_place(place, Stage::place_of(member));
    }
    let applied = stage.view(leader).applied;
    stage.run(4 * stage.election_timeout())?;
    let closed = stage.view(leader).applied > applied;
    stage.check(closed, || "the session should have been closed".into())?;
    stage.heal_all();
    let within = 4 * stage.election_timeout();
    stage.until("the client is told", within, |stage| stage.ended(client).is_some())?;
    let ended = stage.ended(client).cloned();
    let unknown = matches!(ended, Some(Err(ClientError::SessionLost { unanswered: 2, .. })));
    stage.check(unknown, || format!("the outcome from message 2 on is unknown, not {ended:?}"))
}

pub(super) fn cd_16(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    for repetition in 0..trial.times(4, 25, 200) {
        let members = [3, 5][repetition as usize % 2];
        let options = Options::members(members).timing(|timing| {
            timing.progress_timeout = Duration(timing.election_timeout_max.0 * 3 / 2);
        });
        let mut stage = trial.stage_of(options, trial.seed() + repetition);
        let (leader, client) = (stage.settle()?, stage.client());
        stage.request(client, b"before")?;
        let te = stage.election_timeout();
        stage.hold(leader, "sync");
        let _ = stage.submit(client, b"its disk hangs");
        let gives_up = |stage: &Stage<'_>| stage.view(leader).role != Role::Leader;
        stage.until("a leader whose disk hangs gives up", 2 * te, gives_up)?;
        stage.until("another serves", 4 * te, |stage| {
            stage.leader().is_some_and(|new| new != leader && stage.view(new).serving)
        })?;
        stage.request(client, b"meanwhile")?;
        stage.release(leader, "sync");
        let all: Vec<u16> = stage.numbers().collect();
        stage.until("all are level", 12 * te, |stage| stage.is_level(&all))?;
    }
    Ok(())
}

pub(super) fn cd_17(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    for members in [1, 2, 3, 5] {
        let mut stage = trial.stage(Options::members(members));
        let mut dice = Dice::new(trial.seed(), "power");
        stage.settle()?;
        let client = stage.client();
        let terms = |stage: &Stage<'_>| -> Vec<u64> {
            stage.numbers().map(|member| stage.view(member).term.0).collect()
        };
        for turn in 0..trial.times(4, 15, 100) {
            let counted = count(&mut stage, client)?;
            stage
                .check(counted == turn, || format!("{turn} additions, and {counted} are there"))?;
            stage.load(client, MILLI, dice.below(20 * MILLI))?;
            let (before, commit) = (terms(&stage), highest_commit(&stage));
            for member in stage.numbers() {
                if dice.below(2) == 0 { stage.kill(member) } else { stage.power_off(member) }
            }
            stage.settle()?;
            let after = terms(&stage);
            let rose = before.iter().zip(&after).all(|(before, after)| before <= after);
            stage.check(rose, || format!("the terms were {before:?}, and are {after:?}"))?;
            let kept = highest_commit(&stage) > commit;
            stage.check(kept, || format!("{commit} was committed, and is not there"))?;
        }
    }
    Ok(())
}

pub(super) fn cd_19(trial: &mut Trial<'_>) -> Verdict {
    for (link, disk) in [(MILLI, 2 * MILLI), (100 * MICRO, 5 * MILLI), (2 * MILLI, 100 * MICRO)] {
        let options =
            Options { latency: (link, link), disk_latency: (disk, disk), ..Options::members(3) };
        let mut stage = trial.stage(options);
        let (leader, client) = (stage.settle()?, stage.client());
        stage.request(client, b"first")?;
        let mut took = Vec::new();
        for _ in 0..trial.times(11, 41, 201) {
            stage.run(stage.heartbeat())?;
            let before = stage.view(leader).verified;
            let _ = stage.submit(client, b"measured");
            let within = stage.election_timeout();
            stage.until("the message is appended", within, |stage| {
                stage.view(leader).verified > before
            })?;
            let (begun, end) = (stage.now(), stage.view(leader).verified);
            stage.until("it is committed", within, |stage| stage.view(leader).commit >= end)?;
            took.push(stage.now() - begun);
        }
        took.sort_unstable();
        let half = took[took.len() / 2];
        trial.count("half of the commits, in us", half / MICRO);
        // To a follower, onto its disk, and back, and nothing of the own disk on top of it.
        let parallel = link + disk + link;
        stage.check(half <= parallel + disk / 10 + link / 10, || {
            let (half, parallel) = (half / MICRO, parallel / MICRO);
            format!("half of the commits took over {half} us, and {parallel} us would do")
        })?;
    }
    Ok(())
}

pub(super) fn cd_21(trial: &mut Trial<'_>) -> Verdict {
    let mut replayed = 0;
    for repetition in 0..trial.times(3, 15, 150) {
        let seed = trial.seed() + repetition;
        let mut stage = trial.stage_of(Options::members(3), seed);
        let mut dice = Dice::new(seed, "crashes");
        stage.settle()?;
        let (client, te) = (stage.client(), stage.election_timeout());
        for _ in 0..6 {
            // Between any two writes of any member.
            stage.load(client, 500 * MICRO, 2 * MILLI + dice.below(6 * MILLI))?;
            stage.run(dice.below(400 * MICRO))?;
            let member = 1 + dice.below(3) as u16;
            if dice.below(2) == 0 {
                stage.kill(member)
            } else {
                stage.power_off(member)
            }
            stage.start(member)?;
            let anew = stage.view(member).applied == Position::ZERO;
            stage.check(anew, || format!("member {member} did not begin at the beginning"))?;
            stage.until("all are level", 12 * te, |stage| {
                stage.is_settled() && stage.is_level(&[1, 2, 3])
            })?;
            replayed += stage.view(member).applied.0;
        }
    }
    trial.count("bytes applied again", replayed);
    check(replayed > 0, || "nothing was applied again")
}
