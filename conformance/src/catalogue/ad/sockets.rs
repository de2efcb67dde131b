//! Sockets and sources of work: errors, floods, full queues, foreign addresses.

use std::io::ErrorKind;

use quorate_codecs::{Header, encode_control};
use quorate_core::{BootEpoch, Incarnation, MemberId, Message, Sender};
use quorate_sim::Place;

use super::{answered, flood, settled_with_client};
use crate::case::Verdict;
use crate::stage::{MICRO, MILLI, Options, SECOND, Stage, TAG};
use crate::subject::Feature;
use crate::trial::Trial;

/// Bytes of a control message of a member's life.
fn datagram(from: u16, boot_epoch: u64, message: &Message) -> Vec<u8> {
    let (member, incarnation) = (MemberId(from), Incarnation(1));
    let sender = Sender::Member { member, incarnation, boot_epoch: BootEpoch(boot_epoch) };
    let mut bytes = vec![0; quorate_codecs::DATAGRAM_BYTES_MAX];
    let length = encode_control(&Header { tag: TAG, sender }, message, &mut bytes);
    bytes.truncate(length.unwrap_or_default());
    bytes
}

pub(super) fn ad_12(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let (leader, client) = settled_with_client(&mut stage)?;
    let clients = [client, stage.client(), stage.client(), stage.client()];
    let (term, begun) = (stage.view(leader).term, stage.now());
    let follower = stage.other_than(leader);
    let junk = vec![0x5a; 1_200];
    let stale = datagram(
        leader,
        1,
        &Message::HistoryRequest { term, commit: quorate_core::Position::ZERO },
    );
    for round in 0..trial.times(100, 400, 2_000) {
        // Nothing of it is of any use, and it comes faster than everything that is.
        for _ in 0..20 {
            for member in [leader, follower] {
                stage.inject(Place::Client(1_000), member, junk.clone());
                stage.inject(Stage::place_of(leader), member, stale.clone());
            }
        }
        for client in clients {
            flood(&mut stage, client, 2, 900);
        }
        if round == 40 {
            stage.hold(follower, "sync");
        }
        stage.run(MILLI)?;
    }
    stage.release(follower, "sync");
    let done = |stage: &Stage<'_>| clients.iter().all(|client| answered(stage, *client));
    stage.until("all clients are answered", 2 * SECOND, done)?;
    let same = stage.leader() == Some(leader) && stage.view(leader).term == term;
    stage.check(same, || format!("member {leader} led {term} before"))?;
    // Each follower was owed a sign of life every heartbeat interval, live data included.
    let (limit, quiet) =
        (stage.heartbeat() + stage.heartbeat() / 4, longest_quiet(&stage, leader, begun));
    stage.check(quiet <= limit, || format!("a follower heard nothing for {} us", quiet / MICRO))
}

/// The longest time in which a leader sent one of the others nothing, since `begun`.
fn longest_quiet(stage: &Stage<'_>, leader: u16, begun: u64) -> u64 {
    let others = stage.numbers().filter(|other| *other != leader);
    let gaps = others.map(|other| {
        let sent = stage.sightings().iter().filter(|sent| {
            let link = (Stage::place_of(leader), Stage::place_of(other));
            (sent.from, sent.to) == link
                && sent.at >= begun
                && matches!(sent.kind, "heartbeat" | "live")
        });
        let mut times: Vec<u64> = sent.map(|sent| sent.at).collect();
        times.push(stage.now());
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    });
    gaps.max().unwrap_or_default()
}

pub(super) fn ad_13(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::Sockets)?;
    let mut stage = trial.stage(Options::members(3));
    let (leader, client) = settled_with_client(&mut stage)?;
    let errors = [
        ErrorKind::ConnectionRefused,
        ErrorKind::HostUnreachable,
        ErrorKind::NetworkUnreachable,
        ErrorKind::NetworkDown,
        ErrorKind::Interrupted,
        ErrorKind::OutOfMemory,
        ErrorKind::PermissionDenied,
        ErrorKind::AddrNotAvailable,
        ErrorKind::InvalidInput,
    ];
    for error in errors {
        for member in stage.numbers() {
            stage.fail_socket(member, &[error; 12]);
        }
        flood(&mut stage, client, 4, 3_000);
        let done = |stage: &Stage<'_>| answered(stage, client) && stage.is_level(&[1, 2, 3]);
        stage.until(&format!("all goes on after {error:?}"), 4 * SECOND, done)?;
        for member in stage.numbers() {
            let up = stage.is_up(member);
            stage.check(up, || format!("member {member} does not live through {error:?}"))?;
        }
    }
    let led = stage.leader() == Some(leader);
    stage.check(led, || "a few errors of its socket cost a leader its leadership".into())
}

pub(super) fn ad_14(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let (leader, client) = settled_with_client(&mut stage)?;
    let follower = stage.other_than(leader);
    let term = stage.view(leader).term;
    let newer = quorate_core::Term(term.0 + 100);
    let abdicate = datagram(leader, 1, &Message::Abdicate { term: newer });
    // It begins with a datagram that would be taken in, and is longer than any may be.
    for length in [65_536, 66_000, 100_000] {
        let mut bytes = abdicate.clone();
        bytes.resize(length, 0);
        for member in stage.numbers() {
            stage.inject(Stage::place_of(leader), member, bytes.clone());
        }
        stage.run(10 * MILLI)?;
        let after = stage.view(follower).term;
        stage.check(after == term, || format!("{length} bytes were delivered short: {after}"))?;
    }
    stage.inject(Stage::place_of(leader), follower, abdicate);
    stage.run(10 * MILLI)?;
    let after = stage.view(follower).term;
    stage.check(after == newer, || format!("and alone it is of no effect: {after}"))?;
    flood(&mut stage, client, 2, 100);
    stage.until("all goes on", 8 * SECOND, |stage| answered(stage, client))
}

pub(super) fn ad_16(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let (leader, client) = settled_with_client(&mut stage)?;
    let follower = stage.other_than(leader);
    // A follower first: nobody else is disturbed. Then the leader: the others go on without it.
    for member in [follower, leader] {
        stage.set_unwilling(member, true);
        flood(&mut stage, client, 8, 3_000);
        let at = stage.now();
        stage.run(SECOND)?;
        let sent = stage.sightings().iter();
        let sent = sent.filter(|sent| sent.from == Stage::place_of(member) && sent.at > at).count();
        stage.check(sent == 0, || format!("{sent} datagrams got through"))?;
        let turned = stage.is_up(member);
        stage.check(turned, || format!("member {member} did not live through it"))?;
        stage.set_unwilling(member, false);
        let done = |stage: &Stage<'_>| answered(stage, client) && stage.is_level(&[1, 2, 3]);
        stage.until("all goes on", 8 * SECOND, done)?;
    }
    Ok(())
}

pub(super) fn ad_17(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let (leader, client) = settled_with_client(&mut stage)?;
    let view = *stage.view(leader);
    // Its own echo, as a group's loopback brings it.
    let own = view.life.boot_epoch.0;
    for message in [
        Message::Abdicate { term: view.term },
        Message::Campaign { term: view.term, round: 1 << 40 },
        Message::Canvass { term: view.term, round: 1, key: view.key },
        Message::RequestVote { term: quorate_core::Term(view.term.0 + 1), key: view.key },
    ] {
        stage.inject(Stage::place_of(leader), leader, datagram(leader, own, &message));
        stage.run(MILLI)?;
    }
    let after = *stage.view(leader);
    let same = (after.role, after.term, after.serving) == (view.role, view.term, true);
    stage.check(same, || format!("its own echo changed it: {after:?}"))?;
    // The same client from another place: replies go where its datagrams come from.
    let key = stage.key(client);
    stage.crash_client(client);
    stage.run(10 * MILLI)?;
    let moved = stage.client_with_key(key);
    stage.request(moved, b"from another place")?;
    let at = stage.now();
    stage.request(moved, b"and again")?;
    let old = Stage::place_of_client(client);
    let lost = stage.sightings().iter().filter(|sent| sent.to == old && sent.at >= at).count();
    stage.check(lost == 0, || format!("{lost} datagrams went to where it was before"))
}

pub(super) fn ad_18(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3).limits(|limits| {
        limits.uncommitted_bytes_max = 32 << 10;
    }));
    let (leader, client) = settled_with_client(&mut stage)?;
    let clients = [client, stage.client(), stage.client()];
    stage.run(100 * MILLI)?;
    let term = stage.view(leader).term;
    for member in stage.numbers() {
        stage.hold(member, "sync");
    }
    for client in clients {
        flood(&mut stage, client, 60, 2_000);
    }
    stage.run(100 * MILLI)?;
    let at = stage.now();
    stage.always("its intake stops at its limit", 400 * MILLI, |stage| {
        let view = stage.view(leader);
        view.verified.since(view.commit) <= (32 << 10)
    })?;
    let stopped = stage.counters(leader).back_pressure;
    stage.check(stopped > 0, || "it never stopped its intake".into())?;
    let members = ["heartbeat", "acknowledge"].map(|kind| stage.sent_since(at, kind));
    stage.check(members.iter().all(|sent| *sent >= 20), || format!("members sent {members:?}"))?;
    for member in stage.numbers() {
        stage.release(member, "sync");
    }
    let done = |stage: &Stage<'_>| clients.iter().all(|client| answered(stage, *client));
    stage.until("all clients are answered", 8 * SECOND, done)?;
    let same = stage.leader() == Some(leader) && stage.view(leader).term == term;
    stage.check(same, || format!("member {leader} led {term} before"))
}
