//! Scripts about disks that hang, refuse to be written, or are as they were before.

use core::time::Duration;
use std::fs;
use std::path::{Path, PathBuf};

use super::RealTrial;
use super::cases::{answered_in_turn, counts_up, files_of, write};
use super::ends::{is_needed, send_large};
use super::grounds::{Grounds, PATIENCE};
use super::shapes::only_elects;
use crate::case::{Failure, Verdict, check};
use crate::stage::Effect;

/// Election time-outs within which somebody leads, if anybody may.
const SETTLED: u32 = 8;
/// Large messages behind which a disk that has less than it claims is full; so many are under way.
const THIN_MESSAGES_MAX: usize = 600;
const THIN_UNDER_WAY: usize = 4;
const LOOK: Duration = Duration::from_millis(1);
/// Messages behind which a disk that takes no writes has been written to.
const MESSAGES_MAX: usize = 200;

/// The file system of a leader freezes: another one leads, and the frozen one comes back.
pub(super) fn frozen_leader(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds_with_image(3, 1)?;
    only_elects(&mut grounds, 1);
    let leader = grounds.settle()?;
    check(leader == 1, || format!("member {leader} leads, and nobody heard it campaign"))?;
    grounds.heal_all();
    let mut client = grounds.client()?;
    for _ in 0..trial.times(1, 2, 5) {
        answered_in_turn(&mut grounds, &mut client, 5)?;
        let Some(leader) = grounds.leader().filter(|leader| *leader == 1) else { break };
        grounds.freeze(leader)?;
        client.send("while the disk hangs").map_err(Failure::broken)?;
        grounds.until("a leader with a disk that works", PATIENCE, |grounds| {
            grounds.leader().is_some_and(|now| now != leader)
        })?;
        let sent = client.sent();
        grounds.answered(&mut client, sent, PATIENCE)?;
        answered_in_turn(&mut grounds, &mut client, 20)?;
        grounds.thaw(leader);
    }
    check(!grounds.has_ended(1), || "the member ended when its disk hung")?;
    is_needed(&mut grounds, &mut client, 1)?;
    counts_up(&mut client)
}

/// What a member's file system lies on is full, and nobody knows before a sync fails. The pages
/// count as written then, and the next sync succeeds: what was answered has to be there when the
/// system has forgotten them. With a journal the only member has all of it. Without one the file
/// system loses bytes that it had reported as durable: the member notices, and others have them.
pub(super) fn thin_image(trial: &RealTrial<'_>) -> Verdict {
    for (members, journal) in [(1, true), (3, false)] {
        let mut grounds = trial.grounds_with_thin_image(members, 1, journal)?;
        match members {
            // It says nothing to anybody by which it would be seen to lead.
            1 => grounds.start(1)?,
            _ => _ = grounds.settle()?,
        }
        let mut client = grounds.client()?;
        while !grounds.has_ended(1) {
            let many = client.sent() > THIN_MESSAGES_MAX;
            check(!many, || "its disk takes nothing any more, and the member goes on")?;
            if client.sent() < client.replies().len() + THIN_UNDER_WAY {
                send_large(&mut client)?;
            }
            grounds.run(LOOK)?;
        }
        let code = grounds.ended_with(1, PATIENCE)?;
        let said = grounds.log_of(1);
        check(code != 0 && !said.contains("panicked"), || format!("it ends with {code}: {said}"))?;
        counts_up(&mut client)?;
        grounds.kill(1);
        grounds.mend_disk(1)?;
        grounds.start(1)?;
        let sent = client.sent();
        grounds.answered(&mut client, sent, PATIENCE)?;
        if members > 1 {
            is_needed(&mut grounds, &mut client, 1)?;
        }
        answered_in_turn(&mut grounds, &mut client, 3)?;
        counts_up(&mut client)?;
    }
    Ok(())
}

/// The file system of a follower takes no writes any more.
pub(super) fn df_15(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds_with_image(3, 1)?;
    grounds.settle()?;
    let mut client = grounds.client()?;
    answered_in_turn(&mut grounds, &mut client, 20)?;
    grounds.make_read_only(1)?;
    let before = client.sent();
    while !grounds.has_ended(1) {
        let many = client.sent() - before > MESSAGES_MAX;
        check(!many, || "nothing more can be written, and the member went on")?;
        answered_in_turn(&mut grounds, &mut client, 1)?;
    }
    let code = grounds.ended_with(1, PATIENCE)?;
    check(code != 0, || "a member that cannot write ends as if all were well")?;
    let reason = grounds.refuses_to_start(1)?;
    let says = ["os error 30", "os error 5", "Read-only", "read-only"];
    check(says.iter().any(|says| reason.contains(says)) && !reason.contains("panicked"), || {
        format!("it does not say why it does not start: {reason}")
    })?;
    answered_in_turn(&mut grounds, &mut client, 1)?;
    grounds.mend_disk(1)?;
    grounds.start(1)?;
    is_needed(&mut grounds, &mut client, 1)?;
    counts_up(&mut client)
}

/// A member comes back with a copy of its files that was made before much was acknowledged by it.
pub(super) fn df_14(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let leader = grounds.settle()?;
    let old = grounds.other_than(leader);
    let mut client = grounds.client()?;
    answered_in_turn(&mut grounds, &mut client, 10)?;
    grounds.kill(old);
    let copy = files_of(&grounds.data_of(old))?;
    grounds.start(old)?;
    for _ in 0..trial.times(1, 3, 10) {
        // Somebody else leads. If it does already, the copy is that of the life before, so the
        // next life begins from what this one did.
        if grounds.leader() == Some(old) {
            grounds.kill(old);
            grounds.until("another leader", PATIENCE, |grounds| {
                grounds.leader().is_some_and(|leader| leader != old)
            })?;
            grounds.start(old)?;
        }
        let leader = grounds.leader().filter(|leader| *leader != old).unwrap_or(leader);
        let third = grounds.numbers().find(|id| *id != leader && *id != old).unwrap_or(old);
        // What follows is on the disks of these two, and the third only hears of it.
        grounds.rule(Effect::Lose, move |passing| {
            passing.is_log_data() && passing.to == Grounds::place_of(third)
        });
        answered_in_turn(&mut grounds, &mut client, 40)?;
        grounds.run(SETTLED * grounds.times().election_max())?;
        let term = grounds.term();
        grounds.kill(old);
        put_back(&grounds.data_of(old), &copy)?;
        grounds.is_as_before(old);
        // Without the leader the two others are a majority, and have less than was answered.
        grounds.pause(leader);
        grounds.start(old)?;
        grounds.run(SETTLED * grounds.times().election_max())?;
        let led = grounds.term();
        check(led == term, || format!("without what was answered, somebody leads term {led}"))?;
        grounds.heal_all();
        grounds.resume(leader);
        answered_in_turn(&mut grounds, &mut client, 5)?;
        counts_up(&mut client)?;
    }
    is_needed(&mut grounds, &mut client, old)?;
    counts_up(&mut client)
}

/// Puts the files of a member back as they were.
fn put_back(data: &Path, copy: &[(PathBuf, Vec<u8>)]) -> Verdict {
    let harness = |error: std::io::Error| Failure::Harness(error.to_string());
    fs::remove_dir_all(data).map_err(harness)?;
    copy.iter().try_for_each(|(path, content)| {
        let folder = path.parent().unwrap_or(data);
        fs::create_dir_all(folder).map_err(harness)?;
        write(path, content)
    })
}
