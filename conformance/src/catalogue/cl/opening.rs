//! Finding the leader, and being served by it.

use core::cell::RefCell;
use std::rc::Rc;

use quorate_codecs::{DATAGRAM_BYTES_MAX, Header, encode_control, encode_data};
use quorate_core::client::ClientTiming;
use quorate_core::frame::Body;
use quorate_core::message::{ConnectOutcome, Message, Sender, Stream};
use quorate_core::{ClientKey, MemberId, Position, Role, SessionId};
use quorate_sim::Place;

use super::answers::{add, answered, check_sum, send};
use crate::case::{Verdict, check};
use crate::desk::place;
use crate::stage::{ClientNumber, Effect, MILLI, Options, SECOND, Stage, TAG};
use crate::trial::Trial;

pub(super) fn cl_01(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    stage.settle()?;
    let mut clients = Vec::new();
    for (number, asked) in (1..).zip(stage.numbers()) {
        let (place, asked) = (Place::Client(number), Stage::place_of(asked));
        let mut has_asked = false;
        let rule = stage.rule("asks this member first", Effect::Lose, move |passing| {
            has_asked |= (passing.from, passing.to) == (place, asked);
            passing.from == place && !has_asked
        });
        let client = stage.client();
        stage.until("the client is served", 2 * SECOND, |stage| stage.connections(client) == 1)?;
        stage.remove_rule(rule);
        let reached = stage.sightings().iter().find(|sent| sent.from == place && sent.to == asked);
        stage.check(reached.is_some(), || format!("client {number} did not ask {asked:?}"))?;
        clients.push(client);
    }
    stage.until_level(SECOND)?;
    for client in clients {
        let (session, key) = (stage.client_state(client).session(), stage.key(client));
        for member in stage.numbers() {
            let frames = stage.log_frames(member);
            let opens = frames.iter().find(|frame| frame.start.0 == session.0);
            let opens = opens.map(|frame| frame.body);
            let same = matches!(opens, Some(Body::SessionOpen { client, .. }) if client == key);
            stage.check(same, || format!("member {member}: {opens:?} at {session:?}"))?;
            let sessions = stage.view(member).sessions;
            stage.check(sessions == 3, || format!("member {member} has {sessions} sessions"))?;
        }
    }
    Ok(())
}

pub(super) fn cl_02(trial: &mut Trial<'_>) -> Verdict {
    let mut redirects = 0;
    for run in 0..trial.times(3, 8, 40) {
        let mut stage = trial.stage_of(Options::members(5), trial.seed().wrapping_add(run));
        let told = Rc::new(RefCell::new(Vec::new()));
        let heard = Rc::clone(&told);
        stage.rule("listens", Effect::Pass, move |passing| {
            if let Some(Message::ConnectReply {
                outcome: ConnectOutcome::Redirect { leader, term, endpoint },
                ..
            }) = passing.message()
            {
                heard.borrow_mut().push((*leader, *term, *endpoint));
            }
            false
        });
        let first = stage.settle()?;
        let old = stage.client();
        stage.request(old, b"with the first leader")?;
        let led = (MemberId(first), stage.view(first).term);
        stage.kill(first);
        stage.until("the others elect", 12 * stage.election_timeout(), Stage::is_settled)?;
        let second = stage.leader().unwrap_or_default();
        let leaders = [led, (MemberId(second), stage.view(second).term)];
        let fresh = stage.client();
        for client in [old, fresh] {
            stage.request(client, b"with the second")?;
            let followed = stage.client_state(client).counters().redirects_followed;
            stage.check(followed <= 5, || format!("{followed} redirects to find a leader"))?;
        }
        for (leader, term, endpoint) in told.borrow().iter().copied() {
            let sound = leaders.contains(&(leader, term)) && endpoint == place(leader.0);
            stage.check(sound, || format!("a redirect to {leader} of {term} at {endpoint:?}"))?;
        }
        redirects += told.borrow().len();
    }
    trial.count("redirects", redirects as u64);
    check(redirects > 0, || "no client was ever redirected")
}

pub(super) fn cl_14(trial: &mut Trial<'_>) -> Verdict {
    for run in 0..trial.times(2, 10, 50) {
        let mut stage = trial.stage_of(Options::members(3), trial.seed().wrapping_add(run));
        let leader = stage.settle()?;
        let clients: Vec<_> = (0..8).map(|_| stage.client()).collect();
        let all = |stage: &Stage<'_>, times: u64| {
            clients.iter().all(|client| stage.connections(*client) >= times)
        };
        stage.until("all are served", SECOND, |stage| all(stage, 1))?;
        stage.power_off(leader);
        let within = 12 * stage.election_timeout();
        stage.until("the others elect", within, |stage| {
            stage.leader().is_some_and(|leader| stage.view(leader).serving)
        })?;
        let timing = ClientTiming::default();
        // Two tries at each of three members, each with its jitter.
        let round = 6 * (timing.connect_retry.0 + timing.connect_retry.0 / 8);
        let bound = timing.server_timeout.0 + round + stage.round_trip();
        stage.until("all are served again", bound, |stage| all(stage, 2))?;
        for &client in &clients {
            stage.request(client, b"to the new leader")?;
        }
    }
    Ok(())
}

pub(super) fn cl_15(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let leader = stage.settle()?;
    let client = stage.client();
    stage.request(client, &add(1))?;
    let session = stage.client_state(client).session();
    let (place, server) = (Stage::place_of_client(client), Stage::place_of(leader));
    let since = stage.sightings().len();
    stage.cut_place(place, server);
    stage.cut_place(server, place);
    send(&mut stage, client, &add(2))?;
    stage.run(500 * MILLI)?;
    stage.heal_place(place, server);
    stage.heal_place(server, place);
    answered(&mut stage, client, 2, 2 * SECOND)?;
    let sent = &stage.sightings()[since..];
    let first = sent.iter().find(|sent| sent.from == place && sent.kind == "connect");
    let first = first.map(|sent| sent.to);
    stage.check(first == Some(server), || format!("it asks {first:?} first"))?;
    let same = stage.client_state(client).session() == session;
    stage.check(same && stage.leader() == Some(leader), || "its session is another".to_owned())?;
    stage.check_written_in_order(leader, &[client])?;
    check_sum(&mut stage, client, 3)
}

pub(super) fn cl_17(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    for member in stage.numbers() {
        stage.hold(member, "sync");
        stage.start(member)?;
    }
    let leads = |stage: &Stage<'_>| {
        stage.leader().is_some_and(|leader| stage.view(leader).verified > Position::ZERO)
    };
    stage.until("a leader that cannot commit", 12 * stage.election_timeout(), leads)?;
    let clients: Vec<_> = (0..10).map(|_| stage.client()).collect();
    let since = stage.now();
    let nobody = clients.clone();
    stage.always("nobody is served", 500 * MILLI, move |stage| {
        nobody.iter().all(|client| stage.connections(*client) == 0)
    })?;
    let asked = stage.sent_since(since, "connect");
    // A leader says "again in a heartbeat interval"; on the way to it there are redirects.
    let most = clients.len() * (500 * MILLI / stage.heartbeat() + 15) as usize;
    stage.check(asked <= most, || format!("they ask {asked} times, {most} are many"))?;
    for member in stage.numbers() {
        stage.release(member, "sync");
    }
    let all = |stage: &Stage<'_>| clients.iter().all(|client| stage.connections(*client) == 1);
    let bound = 2 * ClientTiming::default().connect_retry.0;
    stage.until("all are served", bound, all)?;
    stage.until_level(SECOND)?;
    let frames = stage.log_frames(stage.leader().unwrap_or(1));
    let opens = frames.iter().filter(|frame| matches!(frame.body, Body::SessionOpen { .. }));
    let opens = opens.count();
    stage.check(opens == clients.len(), || format!("{opens} sessions for ten clients"))
}

const STRANGER: ClientKey = ClientKey(0x5712);

/// What a client would send to any member: a connect, data, a close.
fn forged() -> Vec<Vec<u8>> {
    let header = Header { tag: TAG, sender: Sender::Client { key: STRANGER } };
    let connect = Message::Connect {
        connection: 1,
        session: SessionId::NONE,
        ingress_start: Position::ZERO,
        unanswered: 1,
    };
    let close = Message::Close { connection: 1, session: SessionId(8) };
    let stream = Stream::Ingress(STRANGER);
    let newest = Message::StreamNewest { stream, epoch: 1, newest: Position(640) };
    let mut all: Vec<Vec<u8>> = Vec::new();
    for message in [connect, close, newest] {
        let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
        let length = encode_control(&header, &message, &mut bytes).unwrap_or(0);
        bytes.truncate(length);
        all.push(bytes);
    }
    let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
    let slice = (&[7; 64][..], &[][..]);
    let length = encode_data(&header, stream, 1, Position::ZERO, None, slice, &mut bytes);
    bytes.truncate(length.unwrap_or(0));
    all.push(bytes);
    all
}

pub(super) fn cl_26(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let leader = stage.settle()?;
    let client: ClientNumber = stage.client();
    stage.request(client, &add(1))?;
    stage.close(client);
    stage.until("the client has ended", SECOND, |stage| stage.ended(client).is_some())?;
    stage.run(SECOND / 2)?;
    let followers: Vec<u16> = stage.numbers().filter(|member| *member != leader).collect();
    for &follower in &followers {
        let expected = ConnectOutcome::Redirect {
            leader: MemberId(leader),
            term: stage.view(leader).term,
            endpoint: place(leader),
        };
        check_refused(&mut stage, follower, |outcome| *outcome == expected)?;
    }
    // Nobody leads, and each of them canvasses.
    stage.kill(leader);
    stage.part(&[followers[0]], &[followers[1]]);
    stage.run(3 * stage.election_timeout())?;
    let canvasses = stage.view(followers[0]).role == Role::Canvasser;
    stage.check(canvasses, || "who is alone does not canvass".to_owned())?;
    let alone = |outcome: &ConnectOutcome| matches!(outcome, ConnectOutcome::NoQuorum { .. });
    check_refused(&mut stage, followers[0], alone)?;
    // A leader that cannot commit its opening frame.
    for &follower in &followers {
        stage.hold(follower, "sync");
    }
    stage.heal_all();
    let before = stage.view(followers[0]).verified;
    let leads = |stage: &Stage<'_>| {
        stage.leader().is_some_and(|leader| stage.view(leader).verified > before)
    };
    stage.until("a leader that cannot commit", 12 * stage.election_timeout(), leads)?;
    stage.run(20 * MILLI)?;
    let waiting = stage.leader().unwrap_or_default();
    let retry = |outcome: &ConnectOutcome| matches!(outcome, ConnectOutcome::RetryAfter { .. });
    check_refused(&mut stage, waiting, retry)
}

/// Fails unless a member refuses whatever a client sends, each with such an outcome or not at all,
/// and nothing changes anywhere.
fn check_refused(
    stage: &mut Stage<'_>,
    member: u16,
    expected: impl Fn(&ConnectOutcome) -> bool,
) -> Verdict {
    let state = |stage: &Stage<'_>| {
        let each = stage.numbers().map(|member| {
            let view = stage.view(member);
            (view.verified, view.commit, view.applied, view.sessions, stage.digest(member))
        });
        each.collect::<Vec<_>>()
    };
    let before = state(stage);
    let outcomes = Rc::new(RefCell::new(Vec::new()));
    let heard = Rc::clone(&outcomes);
    let stranger = Place::Client(99);
    let rule = stage.rule("listens", Effect::Pass, move |passing| {
        if passing.to == stranger {
            let outcome = match passing.message() {
                Some(Message::ConnectReply { outcome, .. }) => Some(*outcome),
                _ => None,
            };
            heard.borrow_mut().push(outcome);
        }
        false
    });
    for bytes in forged() {
        stage.inject(stranger, member, bytes);
    }
    stage.run(10 * MILLI)?;
    stage.remove_rule(rule);
    let told = outcomes.borrow().clone();
    let refused =
        !told.is_empty() && told.iter().all(|outcome| outcome.as_ref().is_some_and(&expected));
    stage.check(refused, || format!("member {member} answers {told:?}"))?;
    let after = state(stage);
    stage.check(before == after, || format!("at member {member}: {before:?}, then {after:?}"))
}
