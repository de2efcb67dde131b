//! Bytes that rot on a member's disk come back from the others.

use std::os::unix::fs::FileExt;

use quorate_core::Duration;
use quorate_driver::{MemberStatus, RunError, Scrubbing};

use super::snapshots::stop;
use super::{Group, Member, in_time, in_time_or_tell, send, serving, until_level};

/// Where the log begins in its first file.
pub(super) const LOG_AT: u64 = 16 << 10;

fn status(member: &Member) -> MemberStatus {
    in_time("status", member.status()).unwrap()
}

/// Turns a bit over in the log of a member; returns what was there.
fn flip(group: &Group<'_>, index: usize, at: u64) -> u8 {
    let file = std::fs::File::options().read(true).write(true).open(group.segment(index)).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, LOG_AT + at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], LOG_AT + at).unwrap();
    byte[0]
}

fn byte(group: &Group<'_>, index: usize, at: u64) -> u8 {
    let mut byte = [0];
    let file = std::fs::File::open(group.segment(index)).unwrap();
    file.read_exact_at(&mut byte, LOG_AT + at).unwrap();
    byte[0]
}

/// Waits until each of these members was mended so often in its process, and takes part again.
fn until_mended(members: &[Member], times: &[u64]) {
    in_time_or_tell("mended logs", || {
        let all: Vec<_> = members.iter().map(|member| status(member).scrub).collect();
        let mended = all
            .iter()
            .zip(times)
            .all(|(scrub, times)| scrub.mendings == *times && scrub.mending_at.is_none());
        if mended { Ok(()) } else { Err(format!("{all:?}")) }
    });
}

/// A member reads its log again while it runs. What has rotted ends its life, and a leader's
/// leadership; the others mend it, also if all of them need that themselves, and at once; it begins
/// anew in the same process. What nobody has whole nobody starts with.
pub(crate) fn what_has_rotted_is_mended_by_the_others(group: &mut Group<'_>) {
    group.scrubbing = Scrubbing { bytes_per_second: 64 << 20, interval: Duration::from_millis(20) };
    let members: Vec<_> = (0..3).map(|index| group.start(index)).collect();
    let client = group.client();
    send(&client, 0..400);
    until_level(&members, 400);
    let leader = serving(&members);
    let before = status(&members[leader]);
    let good = flip(group, leader, 9_000);
    let mut times = [0; 3];
    times[leader] = 1;
    until_mended(&members, &times);
    let after = status(&members[leader]);
    assert_eq!(byte(group, leader, 9_000), good);
    assert!(after.view.life > before.view.life, "a new life: {after:?}");
    assert!(after.scrub.passes > 0 && after.scrub.log_damages == 1, "{after:?}");
    assert!((1..9_000).contains(&after.scrub.mended_bytes), "{after:?}");
    send(&client, 400..500);
    until_level(&members, 500);
    let after = status(&members[leader]);
    assert!(after.view.term > before.view.term, "it has not led on: {after:?}");

    // Different places on all of them at once.
    let places = [5_000, 10_000, 15_000];
    let good = [0, 1, 2].map(|index| flip(group, index, places[index]));
    let times = times.map(|times| times + 1);
    until_mended(&members, &times);
    assert_eq!([0, 1, 2].map(|index| byte(group, index, places[index])), good);
    send(&client, 500..600);
    until_level(&members, 600);
    stop(members);

    // The same, while none of them runs: none has a life that could serve the others.
    let good = [0, 1, 2].map(|index| flip(group, index, places[index]));
    let members: Vec<_> = (0..3).map(|index| group.start(index)).collect();
    until_mended(&members, &[1; 3]);
    assert_eq!([0, 1, 2].map(|index| byte(group, index, places[index])), good);
    send(&client, 600..700);
    until_level(&members, 700);
    stop(members);

    // One place on all of them: nobody guesses.
    let good = [0, 1, 2].map(|index| flip(group, index, 5_000));
    let members: Vec<_> = (0..3).map(|index| group.start(index)).collect();
    for mut member in members {
        let ended = in_time("end", member.finished()).unwrap_err();
        assert!(matches!(ended, RunError::Unmended(_)), "{ended}");
        assert!(ended.to_string().contains("no other member has these bytes whole"), "{ended}");
    }
    assert!((0..3).all(|index| byte(group, index, 5_000) != good[index]));
    // One copy is enough.
    flip(group, 1, 5_000);
    let members: Vec<_> = (0..3).map(|index| group.start(index)).collect();
    until_mended(&members, &[1, 0, 1]);
    assert_eq!([0, 1, 2].map(|index| byte(group, index, 5_000)), good);
    send(&client, 700..750);
    until_level(&members, 750);
    in_time("close", client.close()).unwrap();
    stop(members);
}
