//! Clients and members that are slow: what is bounded, and that nothing is lost.

use core::cell::RefCell;
use std::rc::Rc;

use quorate_codecs::{DATAGRAM_BYTES_MAX, Header, encode_control};
use quorate_core::client::{ClientTiming, Reject};
use quorate_core::frame::{Body, SessionCloseReason};
use quorate_core::message::{ConnectOutcome, Message, Sender};
use quorate_core::{Duration, Position};

use super::answers::{add, answered, check_replies, check_sum, send};
use crate::case::{Failure, Verdict};
use crate::stage::{ClientNumber, Effect, MILLI, Options, SECOND, Stage, TAG};
use crate::trial::Trial;

pub(super) fn cl_08(trial: &mut Trial<'_>) -> Verdict {
    const KEPT: usize = 4;
    let mut stage = trial.stage(Options::members(3).limits(|limits| limits.in_flight_max = KEPT));
    let leader = stage.settle()?;
    let client = stage.client();
    stage.until("it is served", SECOND, |stage| stage.connections(client) == 1)?;
    let place = Stage::place_of_client(client);
    let rule = stage.rule("it does not say what it has", Effect::Lose, move |passing| {
        passing.from == place && passing.kind() == "stream_status"
    });
    // Each reply makes room at the client; the leader does not know of it.
    for _ in 0..10 {
        let _ = stage.submit(client, &add(1));
        stage.run(10 * MILLI)?;
        let replies = stage.replies(client).len();
        stage.check(replies <= KEPT, || format!("{replies} replies without a word"))?;
    }
    let sent = stage.submitted(client).len();
    stage.check(sent > KEPT, || format!("only {sent} messages were sent"))?;
    stage.remove_rule(rule);
    answered(&mut stage, client, sent, SECOND)?;
    check_replies(&mut stage, client)?;
    stage.until_level(SECOND)?;
    // The oldest replies have made room for newer ones: who needs them has lost its session.
    let outcome = resume_from_the_beginning(&mut stage, client, leader)?;
    let session = stage.client_state(client).session();
    let told = outcome == Some(ConnectOutcome::SessionLost { session });
    stage.check(told, || format!("who needs an old reply is told {outcome:?}"))?;
    check_sum(&mut stage, client, sent as u64)
}

/// Connects with a client's key and session as if no reply had ever arrived; the answer.
fn resume_from_the_beginning(
    stage: &mut Stage<'_>,
    client: ClientNumber,
    leader: u16,
) -> Result<Option<ConnectOutcome>, Failure> {
    let (key, session) = (stage.key(client), stage.client_state(client).session());
    let connection = 1_000;
    let (ingress_start, unanswered) = (Position::ZERO, 1);
    let connect = Message::Connect { connection, session, ingress_start, unanswered };
    let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
    let header = Header { tag: TAG, sender: Sender::Client { key } };
    let length = encode_control(&header, &connect, &mut bytes);
    bytes.truncate(length.unwrap_or(0));
    let told = Rc::new(RefCell::new(None));
    let heard = Rc::clone(&told);
    let rule = stage.rule("listens", Effect::Pass, move |passing| {
        if let Some(Message::ConnectReply { connection: 1_000, outcome }) = passing.message() {
            *heard.borrow_mut() = Some(*outcome);
        }
        false
    });
    stage.inject(Stage::place_of_client(client), leader, bytes);
    // It is told once a quorum has confirmed that the leader still leads.
    stage.run(2 * stage.heartbeat())?;
    stage.remove_rule(rule);
    let told = *told.borrow();
    Ok(told)
}

pub(super) fn cl_19(trial: &mut Trial<'_>) -> Verdict {
    let session_timeout = Duration(SECOND);
    let mut options = Options::members(3).timing(|timing| timing.session_timeout = session_timeout);
    let give_up_after = Duration::from_millis(2_000);
    options.client_timing = ClientTiming { give_up_after, ..ClientTiming::default() };
    let in_flight_max = options.limits.in_flight_max;
    let mut stage = trial.stage(options);
    let leader = stage.settle()?;
    let (deaf, others) = (stage.client(), [stage.client(), stage.client()]);
    for client in [deaf, others[0], others[1]] {
        stage.request(client, &add(1))?;
    }
    let place = Stage::place_of_client(deaf);
    stage.rule("it never reads", Effect::Lose, move |passing| passing.to == place);
    let (mut accepted, mut slowest) = (0, 0);
    for _ in 0..100 {
        accepted += usize::from(stage.submit(deaf, &[9; 500]).is_ok());
        for client in others {
            let begun = stage.now();
            let reply = stage.request(client, &add(1))?;
            slowest = slowest.max(reply.at - begun);
        }
    }
    stage.check(accepted == in_flight_max, || format!("it has {accepted} messages under way"))?;
    trial.count("slowest_us", slowest / 1_000);
    // To the leader, to a follower and its disk, and back.
    let bound = 4 * stage.round_trip() + MILLI;
    stage.check(slowest < bound, || format!("another client waits {slowest} ns"))?;
    stage.until("it gives up", 3 * SECOND, |stage| stage.ended(deaf).is_some())?;
    let gone = |stage: &Stage<'_>| stage.view(leader).sessions == 2;
    stage.until("its session ends", 2 * SECOND, gone)?;
    let session = stage.client_state(deaf).session();
    let frames = stage.log_frames(leader);
    let reason = frames.iter().find_map(|frame| match frame.body {
        Body::SessionClose { session: closed, reason, .. } if closed == session => Some(reason),
        _ => None,
    });
    let timed_out = reason == Some(SessionCloseReason::TimedOut);
    stage.check(timed_out, || format!("its session ends with {reason:?}"))?;
    check_sum(&mut stage, others[0], 203)
}

pub(super) fn cl_24(trial: &mut Trial<'_>) -> Verdict {
    let uncommitted = 128 << 10;
    let mut options = Options::members(3)
        .limits(|limits| limits.uncommitted_bytes_max = uncommitted)
        .timing(|timing| timing.progress_timeout = Duration(10 * SECOND));
    options.limits.in_flight_max = 40;
    let mut stage = trial.stage(options);
    let leader = stage.settle()?;
    let clients = [stage.client(), stage.client(), stage.client()];
    for client in clients {
        stage.request(client, b"first")?;
    }
    let followers: Vec<u16> = stage.numbers().filter(|member| *member != leader).collect();
    for &follower in &followers {
        stage.hold(follower, "sync");
    }
    let mut refused = 0;
    for round in 0..60 {
        for client in clients {
            match stage.submit(client, &vec![round; 3_000]) {
                Ok(_) => {}
                Err(Reject::BackPressure) => refused += 1,
                Err(other) => return Err(Failure::broken(format!("refused with {other}"))),
            }
        }
        stage.run(2 * MILLI)?;
        let view = stage.view(leader);
        let held = view.verified.since(view.commit);
        stage.check(held <= uncommitted, || format!("the leader holds {held} bytes"))?;
    }
    stage.check(refused > 0, || "a slow group never refuses a message".to_owned())?;
    let view = *stage.view(leader);
    let full = view.verified.since(view.commit) > uncommitted / 2 && stage.leader() == Some(leader);
    stage.check(full, || "the leader's bound was not reached".to_owned())?;
    for &follower in &followers {
        stage.release(follower, "sync");
    }
    for client in clients {
        let all = stage.submitted(client).len();
        answered(&mut stage, client, all, 5 * SECOND)?;
        check_replies(&mut stage, client)?;
        send(&mut stage, client, b"there is room again")?;
        answered(&mut stage, client, all + 1, SECOND)?;
    }
    stage.until_level(SECOND)?;
    stage.check_written_in_order(leader, &clients)
}
