//! What has to be durable before something leaves: votes, lines of the history, bytes of a term.

use quorate_core::message::Message;
use quorate_core::{Action, Chain, Destination, Duration, MemberId, Position, Role, Term, VoteKey};
use quorate_sim::Work;

use crate::case::Verdict;
use crate::desk::{Desk, DeskOptions, heartbeat, history, line, opening, sent};
use crate::trial::Trial;

/// So little time that a member does not canvass twice in it.
const STEP: Duration = Duration::from_millis(1);

/// Whether one of the last actions is so.
fn did(desk: &Desk, wanted: impl Fn(&Action) -> bool) -> bool {
    desk.actions.iter().any(wanted)
}

fn sends(wanted: impl Fn(&Message) -> bool) -> impl Fn(&Action) -> bool {
    move |action| matches!(action, Action::Send { message, .. } if wanted(message))
}

fn is_vote(work: &Work) -> bool {
    matches!(work, Work::Vote(_))
}

fn is_history(work: &Work) -> bool {
    matches!(work, Work::History { .. })
}

pub(super) fn cd_13(trial: &mut Trial<'_>) -> Verdict {
    for members in 1..=7 {
        for small in [true, false] {
            let options =
                if small { DeskOptions::small(members) } else { DeskOptions::member_of(members) };
            leader_gates(&options)?;
            if members > 1 {
                voter_gates(&options)?;
                follower_gates(&options, true)?;
                follower_gates(&options, false)?;
            }
            trial.count("configurations", 1);
        }
    }
    Ok(())
}

/// Its own vote before it asks for others; the line of its term before it tells of it and before
/// the first byte.
fn leader_gates(options: &DeskOptions) -> Verdict {
    let mut desk = Desk::new(options.clone())?;
    let asks = sends(|message| matches!(message, Message::RequestVote { .. }));
    nominated(&mut desk, options)?;
    desk.check(!did(&desk, &asks), "it asks for votes before its own is durable")?;
    let later = desk.pass(options.timing.heartbeat_interval);
    desk.check(!later.iter().any(&asks), "it asks for votes before its own is durable")?;
    let round = desk.complete(is_vote) && desk.disk.vote().granted_to == Some(MemberId(1));
    desk.check(round, "its vote for itself should be durable")?;
    desk.check(options.members == 1 || did(&desk, &asks), "now it should ask for votes")?;
    let (term, candidate) = (desk.view().term, MemberId(1));
    for other in 2..=options.members {
        let key = VoteKey::default();
        desk.receive(other, Message::Ballot { term, candidate, granted: true, key });
        if desk.view().role == Role::Leader {
            break;
        }
    }
    desk.check(desk.view().role == Role::Leader, "it should lead")?;
    let writes = |action: &Action| matches!(action, Action::Append { .. });
    let tells = sends(|message| matches!(message, Message::History { .. }));
    desk.check(!did(&desk, writes), "it writes bytes of a term before its line is durable")?;
    let ask = Message::HistoryRequest { term, commit: Position::ZERO };
    if options.members > 1 {
        desk.receive(2, ask);
        desk.check(!did(&desk, &tells), "it tells of a line before it is durable")?;
    }
    let later = desk.pass(options.timing.heartbeat_interval);
    let early = later.iter().any(|action| writes(action) || tells(action));
    desk.check(!early, "it goes on before its line is durable")?;
    desk.complete(is_history);
    desk.check(did(&desk, writes), "its line is durable: the opening frame should follow")?;
    desk.check(options.members == 1 || did(&desk, &tells), "now it should tell of the line")
}

/// The member stands for election, and its vote is on its way to the disk.
fn nominated(desk: &mut Desk, options: &DeskOptions) -> Verdict {
    let mut canvass = Vec::new();
    for _ in 0..options.timing.election_timeout_max.0.div_ceil(STEP.0) {
        if desk.view().role == Role::Follower {
            canvass = desk.pass(STEP);
        }
    }
    let asked = sent(&canvass, Destination::Member(MemberId(2)));
    let round = asked.iter().find_map(|message| match message {
        Message::Canvass { round, .. } => Some(*round),
        _ => None,
    });
    for other in 2..=options.members {
        let (term, key) = (desk.view().term, VoteKey::default());
        let round = round.unwrap_or_default();
        desk.receive(other, Message::CanvassReply { term, round, granted: true, key });
        if desk.view().role == Role::Nominee {
            break;
        }
    }
    desk.check(desk.view().role == Role::Nominee, "it should stand for election")
}

/// A vote before it is told.
fn voter_gates(options: &DeskOptions) -> Verdict {
    let mut desk = Desk::new(options.clone())?;
    let ballot = sends(|message| matches!(message, Message::Ballot { granted: true, .. }));
    desk.receive(2, Message::RequestVote { term: Term(7), key: VoteKey::default() });
    desk.check(!did(&desk, &ballot), "it grants before its vote is durable")?;
    let later = desk.pass(options.timing.heartbeat_interval);
    desk.check(!later.iter().any(&ballot), "it grants before its vote is durable")?;
    desk.complete(is_vote);
    desk.check(did(&desk, &ballot), "its vote is durable: it should grant")
}

/// Term and history before it acknowledges, and the history before it writes bytes under it.
fn follower_gates(options: &DeskOptions, vote_first: bool) -> Verdict {
    let mut desk = Desk::new(options.clone())?;
    let next = line(7, 2, Position::ZERO, Chain(0));
    let acknowledges = sends(|message| matches!(message, Message::Acknowledge { .. }));
    let writes = |action: &Action| matches!(action, Action::Append { .. });
    let mut all = desk.receive(2, heartbeat(7, 1)).to_vec();
    for message in history(7, Position::ZERO, &[next]) {
        all.extend_from_slice(desk.receive(2, message));
    }
    all.extend_from_slice(desk.receive_log(2, 7, &opening(&next, Term(0)), None));
    all.append(&mut desk.pass(options.timing.heartbeat_interval));
    let early = all.iter().any(|action| acknowledges(action) || writes(action));
    desk.check(!early, "it writes or acknowledges before term and history are durable")?;
    let order: [fn(&Work) -> bool; 2] =
        if vote_first { [is_vote, is_history] } else { [is_history, is_vote] };
    desk.complete(order[0]);
    let mut half = core::mem::take(&mut desk.actions);
    half.append(&mut desk.pass(options.timing.heartbeat_interval));
    let early = half.iter().any(&acknowledges) || (vote_first && half.iter().any(writes));
    desk.check(!early, "it goes on when one of term and history is durable")?;
    desk.complete(order[1]);
    let mut rest = core::mem::take(&mut desk.actions);
    rest.append(&mut desk.pass(options.timing.heartbeat_interval));
    let on = rest.iter().any(&acknowledges) && (!vote_first || rest.iter().any(writes));
    desk.check(on, "term and history are durable: it should go on")
}
