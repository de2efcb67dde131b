//! Decisions of one member about votes and terms, each event by hand.

use quorate_core::message::{Live, Message};
use quorate_core::{
    Action, Chain, ConfigError, Destination, Duration, Event, FailStop, Instant, Member, MemberId,
    Position, Role, Term, VoteKey,
};
use quorate_sim::SimDisk;

use crate::case::{Failure, Verdict, check};
use crate::desk::{self, Desk, DeskOptions, frames, heartbeat, history, line, opening};
use crate::stage::TAG;
use crate::trial::Trial;

/// The term in which member 2 leads on the desks here.
const TERM: u64 = 4;
/// All roles in which a member takes part.
const ROLES: [Role; 5] =
    [Role::Follower, Role::Canvasser, Role::Nominee, Role::Candidate, Role::Leader];

fn options() -> DeskOptions {
    DeskOptions::small(3)
}

/// Longer than any election time-out of a desk.
fn timeout() -> Duration {
    options().timing.election_timeout_max
}

/// A member that holds this many durable frames of a term whose leader has fallen silent; without
/// a term it has nothing. Its own canvass is out.
fn voter(term: u64, count: usize) -> Result<Desk, Failure> {
    let mut desk = Desk::new(options())?;
    if term > 0 {
        let line = line(term, 2, Position::ZERO, Chain::default());
        desk.follow(2, term, &[line]);
        for piece in frames(&line, count) {
            desk.receive_log(2, term, &piece, None);
        }
        desk.complete_all();
    }
    desk.pass(timeout());
    Ok(desk)
}

/// A member of three in this role: it followed member 2 in [`TERM`] and holds its opening frame.
/// Also the round of its canvass, if it canvasses.
fn standing(role: Role) -> Result<(Desk, u64), Failure> {
    let mut desk = Desk::new(options())?;
    let line = line(TERM, 2, Position::ZERO, Chain::default());
    desk.follow(2, TERM, &[line]);
    desk.receive_log(2, TERM, &opening(&line, Term(0)), None);
    desk.complete_all();
    let mut round = 0;
    if role == Role::Leader {
        desk.lead()?;
    } else if role != Role::Follower {
        let actions = desk.pass(timeout());
        for message in desk::sent(&actions, Destination::Member(MemberId(3))) {
            if let Message::Canvass { round: asked, .. } = message {
                round = *asked;
            }
        }
        if role != Role::Canvasser {
            let (term, key) = (Term(TERM), VoteKey::default());
            desk.receive(3, Message::CanvassReply { term, round, granted: true, key });
        }
        if role == Role::Candidate {
            desk.complete_all();
        }
    }
    desk.check(desk.view().role == role, &format!("it should be {}", role.name()))?;
    Ok((desk, round))
}

/// One message of each kind that has a term.
fn each_kind(term: Term, round: u64) -> [Message; 12] {
    let (key, at) = (VoteKey::default(), Position::ZERO);
    let announced = line(term.0, 3, at, Chain::default());
    let mut lines = history(term.0, at, &[announced]);
    [
        Message::Canvass { term, round, key },
        Message::CanvassReply { term, round, granted: false, key },
        Message::RequestVote { term, key },
        Message::Ballot { term, candidate: MemberId(1), granted: false, key },
        heartbeat(term.0, 1_000),
        Message::Abdicate { term },
        Message::Campaign { term, round: 1_000 },
        Message::RequestSuccession { term, key, predecessor: MemberId(3) },
        Message::HistoryRequest { term, commit: at },
        lines.remove(0),
        Message::Application { term, sequence: 1_000, received: at, limit: at },
        Message::Acknowledge {
            term,
            sequence: 1_000,
            round: 1,
            durable: at,
            received: at,
            limit: at,
            commit: at,
        },
    ]
}

/// The term that a message states, if its kind does.
const fn term_of(message: &Message) -> Option<Term> {
    match message {
        Message::Canvass { term, .. }
        | Message::CanvassReply { term, .. }
        | Message::RequestVote { term, .. }
        | Message::RequestSuccession { term, .. }
        | Message::Campaign { term, .. }
        | Message::Ballot { term, .. }
        | Message::Heartbeat { term, .. }
        | Message::Abdicate { term }
        | Message::HistoryRequest { term, .. }
        | Message::History { term, .. }
        | Message::Acknowledge { term, .. }
        | Message::Application { term, .. } => Some(*term),
        _ => None,
    }
}

fn sends(actions: &[Action]) -> impl Iterator<Item = &Message> {
    actions.iter().filter_map(|action| match action {
        Action::Send { message, .. } => Some(message),
        _ => None,
    })
}

/// The ballots among the last actions of a desk: whether each was a grant.
fn ballots(desk: &Desk, to: u16) -> Vec<bool> {
    let messages = desk.sent_to(to).into_iter();
    let grants = messages.filter_map(|message| match message {
        Message::Ballot { granted, .. } => Some(*granted),
        _ => None,
    });
    grants.collect()
}

pub(super) fn el_05(trial: &mut Trial<'_>) -> Verdict {
    for (own_term, own_count) in (1..4).flat_map(|term| (0..4).map(move |count| (term, count))) {
        compare(trial, own_term, own_count)?;
    }
    compare(trial, 0, 0)
}

/// Asks a member with this log for its vote, and whether it would give it, by all others.
fn compare(trial: &Trial<'_>, own_term: u64, own_count: usize) -> Verdict {
    let ends: Vec<Position> = frames(&line(1, 2, Position::ZERO, Chain::default()), 3)
        .iter()
        .map(|piece| piece.end)
        .collect();
    let end = |count: usize| count.checked_sub(1).map_or(Position::ZERO, |last| ends[last]);
    for (term, count) in (0..4).flat_map(|term| (0..4).map(move |count| (term, count))) {
        let mut desk = voter(own_term, own_count)?;
        let own = desk.view().key;
        let expected = VoteKey { term: Term(own_term), position: end(own_count) };
        desk.check(own == expected, &format!("its key should be {expected:?}"))?;
        let asked = VoteKey { term: Term(term), position: end(count) };
        let suffices = (term, end(count)) >= (own_term, end(own_count));
        desk.receive(3, Message::Canvass { term: Term(9), round: 1, key: asked });
        let would = desk
            .sent_to(3)
            .iter()
            .any(|message| matches!(message, Message::CanvassReply { granted: true, .. }));
        desk.receive(3, Message::RequestVote { term: Term(9), key: asked });
        let mut grants = ballots(&desk, 3);
        while desk.complete(|_| true) {
            grants.extend(ballots(&desk, 3));
        }
        let given = grants.contains(&true);
        desk.check(
            (would, given) == (suffices, suffices),
            &format!("asked with {asked:?} it would grant: {would}, and grants: {given}"),
        )?;
        trial.count("pairs of keys", 1);
    }
    Ok(())
}

pub(super) fn el_06(_: &mut Trial<'_>) -> Verdict {
    let mut desk = Desk::new(options())?;
    let ask = Message::RequestVote { term: Term(TERM), key: VoteKey::default() };
    for copy in 0..5 {
        desk.receive(2, ask.clone());
        desk.check(ballots(&desk, 2).is_empty(), "a ballot leaves before the vote is durable")?;
        desk.check(desk.pending.len() == 1, &format!("copy {copy} asks for another write"))?;
    }
    desk.complete(|_| true);
    desk.check(ballots(&desk, 2) == [true], "the vote is durable, and one grant should leave")?;
    let vote = desk.disk.vote();
    for _ in 0..5 {
        desk.receive(2, ask.clone());
        desk.check(ballots(&desk, 2) == [true], "the same candidate should be granted again")?;
        desk.receive(3, ask.clone());
        desk.check(ballots(&desk, 3) == [false], "another candidate should be refused")?;
    }
    desk.check(desk.pending.is_empty() && desk.disk.vote() == vote, "answers wrote to the disk")?;
    counts_each_voter_once()
}

/// One of five is granted the same vote over and over: only another voter's makes a quorum.
fn counts_each_voter_once() -> Verdict {
    let mut desk = Desk::new(DeskOptions::small(5))?;
    let asked = desk.pass(timeout()).into_iter().find_map(|action| match action {
        Action::Send { message: Message::Canvass { term, round, .. }, .. } => Some((term, round)),
        _ => None,
    });
    let (term, round) = asked.ok_or_else(|| Failure::broken("it does not canvass"))?;
    let answer = Message::CanvassReply { term, round, granted: true, key: VoteKey::default() };
    for _ in 0..5 {
        desk.receive(2, answer.clone());
        desk.check(desk.view().role == Role::Canvasser, "one member's word counts twice")?;
    }
    desk.receive(3, answer);
    desk.complete_all();
    desk.check(desk.view().role == Role::Candidate, "with a quorum of answers it should stand")?;
    let (term, candidate, key) = (desk.view().term, MemberId(1), VoteKey::default());
    let ballot = Message::Ballot { term, candidate, granted: true, key };
    for _ in 0..5 {
        desk.receive(2, ballot.clone());
        desk.check(desk.view().role == Role::Candidate, "one member's vote counts twice")?;
    }
    desk.receive(3, ballot);
    desk.check(desk.view().role == Role::Leader, "with a quorum of votes it should lead")
}

pub(super) fn el_07(trial: &mut Trial<'_>) -> Verdict {
    for role in ROLES {
        for kind in 0..each_kind(Term(0), 0).len() {
            let (desk, round) = standing(role)?;
            let term = Term(desk.view().term.0 + 1);
            let message = each_kind(term, round)[kind].clone();
            let raises = match message {
                // A canvass asks and changes nothing; who hears a leader does not vote.
                Message::Canvass { .. } => false,
                Message::CanvassReply { .. } => role == Role::Canvasser,
                // That member 3 is told by nobody whom they follow.
                Message::RequestVote { .. } | Message::RequestSuccession { .. } => {
                    !matches!(role, Role::Follower | Role::Leader)
                }
                _ => true,
            };
            if raises {
                newer_term(desk, &message, term)?;
            } else {
                unmoved(desk, message)?;
            }
            trial.count("roles and kinds", 1);
        }
        let (mut desk, _) = standing(role)?;
        let before = desk.view();
        let next = line(before.term.0 + 1, 3, before.verified, before.verified_chain);
        let live = Live { newest: Position(1 << 20), commit: Position(1 << 20) };
        desk.receive_log(3, next.term.0, &opening(&next, Term(TERM)), Some(live));
        desk.check(desk.view() == before, "a slice of a newer term gave itself authority")?;
    }
    Ok(())
}

/// The message is of a newer term: all that the member was is over, and nothing that promises
/// anything in the new term leaves before that is durable.
fn newer_term(mut desk: Desk, message: &Message, term: Term) -> Verdict {
    desk.receive(3, message.clone());
    let kind = crate::stage::kind_of(message);
    let (role, vote) = (desk.view().role, desk.view().vote);
    let over = role == Role::Follower && vote.term == term && vote.granted_to.is_none();
    desk.check(over, &format!("a {kind} of {term} should end it"))?;
    desk.check(!desk.view().serving, "it goes on serving")?;
    loop {
        let promised = sends(&desk.actions).any(|message| match message {
            Message::Ballot { term: stated, granted, .. } => *granted && *stated == term,
            Message::Acknowledge { term: stated, .. } => *stated == term,
            _ => false,
        });
        let durable = desk.disk.vote().term >= term;
        desk.check(durable || !promised, &format!("it promises in {term} before that is durable"))?;
        if !desk.complete(|_| true) {
            break;
        }
    }
    let (role, vote) = (desk.view().role, desk.disk.vote());
    let kept = role == Role::Follower && vote.term == term && vote.granted_to.is_none();
    desk.check(kept, &format!("after a {kind} of {term} the disk has {vote:?}"))
}

/// The message changes nothing.
fn unmoved(mut desk: Desk, message: Message) -> Verdict {
    let (before, writes) = (desk.view(), desk.pending.len());
    let kind = crate::stage::kind_of(&message);
    desk.receive(3, message);
    let same = desk.view() == before && desk.pending.len() == writes;
    desk.check(same, &format!("a {kind} changed it; before it was {before:?}"))
}

pub(super) fn el_08(trial: &mut Trial<'_>) -> Verdict {
    for role in ROLES {
        for kind in 0..each_kind(Term(0), 0).len() {
            let (mut desk, round) = standing(role)?;
            let (before, current, writes) = (desk.view(), desk.view().term, desk.pending.len());
            let message = each_kind(Term(current.0 - 1), round)[kind].clone();
            let name = crate::stage::kind_of(&message);
            let asks = matches!(
                message,
                Message::Canvass { .. }
                    | Message::RequestVote { .. }
                    | Message::RequestSuccession { .. }
                    | Message::Heartbeat { .. }
                    | Message::HistoryRequest { .. }
            );
            desk.receive(3, message);
            let same = desk.view() == before && desk.pending.len() == writes;
            desk.check(same, &format!("a {name} of a past term changed {before:?}"))?;
            let terms: Vec<Term> = sends(&desk.actions).filter_map(term_of).collect();
            let told = terms.iter().all(|term| *term == current) && terms.is_empty() != asks;
            desk.check(told, &format!("a {name} of a past term was answered with {terms:?}"))?;
            trial.count("roles and kinds", 1);
        }
    }
    Ok(())
}

pub(super) fn el_11(_: &mut Trial<'_>) -> Verdict {
    for role in [Role::Canvasser, Role::Nominee, Role::Candidate] {
        let (mut desk, _) = standing(role)?;
        let before = desk.view();
        let term = before.term.0;
        if role != Role::Canvasser {
            // A slice of a term that the history does not have.
            let line = line(term, 3, before.verified, before.verified_chain);
            let live = Live { newest: Position(1 << 20), commit: Position::ZERO };
            desk.receive_log(3, term, &opening(&line, Term(TERM)), Some(live));
            desk.check(desk.view() == before, "a slice gave itself authority")?;
        }
        // In the canvasser's own term member 2 led; in the others a rival has won.
        let leader = if role == Role::Canvasser { 2 } else { 3 };
        desk.receive(leader, heartbeat(term, 1_000));
        let view = desk.view();
        let follows = view.role == Role::Follower && view.leader == Some(MemberId(leader));
        desk.check(follows && view.term == before.term, "it should follow at once")?;
        desk.complete_all();
        let still = desk.view().role == Role::Follower;
        desk.check(still, "its own vote became durable, and it went on as a candidate")?;
    }
    Ok(())
}

pub(super) fn el_12(_: &mut Trial<'_>) -> Verdict {
    let (leader, _) = standing(Role::Leader)?;
    let term = leader.view().term.0;
    inert_by(leader, 3, heartbeat(term, 1), term)?;
    let (follower, _) = standing(Role::Follower)?;
    inert_by(follower, 3, heartbeat(TERM, 1), TERM)?;
    let (follower, _) = standing(Role::Follower)?;
    let other = line(TERM, 3, Position::ZERO, Chain::default());
    let announced = history(TERM, Position::ZERO, &[other]).remove(0);
    inert_by(follower, 2, announced, TERM)
}

/// The message makes the member inert for want of a single leader of `term`, and nothing else.
fn inert_by(mut desk: Desk, from: u16, message: Message, term: u64) -> Verdict {
    let (end, writes) = (desk.disk.written_end(), desk.pending.len());
    desk.receive(from, message);
    let named = desk.stopped == Some(FailStop::TwoLeaders { term: Term(term) });
    desk.check(named, &format!("it should stop and name {term}, and has {:?}", desk.stopped))?;
    let only = |action: &Action| matches!(action, Action::Notify(_) | Action::FailStop(_));
    let quiet = desk.actions.iter().all(only) && desk.pending.len() == writes;
    desk.check(quiet, &format!("it still did {:?}", desk.actions))?;
    desk.check(desk.disk.written_end() == end, "its log changed")?;
    let later = desk.pass(timeout());
    desk.check(later.is_empty(), &format!("inert, it did {later:?}"))
}

pub(super) fn el_13(_: &mut Trial<'_>) -> Verdict {
    stranger_is_refused()?;
    let campaigns = |actions: &[Action]| {
        sends(actions).any(|m| matches!(m, Message::Canvass { .. } | Message::RequestVote { .. }))
    };
    for role in ROLES {
        let (mut desk, _) = standing(role)?;
        desk.step(Event::Shutdown);
        let mut later = desk.complete_all();
        later.append(&mut desk.pass(Duration(20 * timeout().0)));
        let name = role.name();
        desk.check(!campaigns(&later), &format!("asked to stop as {name}, it campaigns"))?;
    }
    // What strangers grant counts for nothing.
    let (mut desk, round) = standing(Role::Canvasser)?;
    for stranger in 4..8 {
        let (term, key) = (Term(TERM), VoteKey::default());
        desk.receive(stranger, Message::CanvassReply { term, round, granted: true, key });
        desk.check(desk.view().role == Role::Canvasser, "a stranger's yes counted")?;
    }
    let (mut desk, _) = standing(Role::Candidate)?;
    for stranger in 4..8 {
        let (term, key) = (desk.view().term, VoteKey::default());
        let candidate = MemberId(1);
        desk.receive(stranger, Message::Ballot { term, candidate, granted: true, key });
        desk.check(desk.view().role == Role::Candidate, "a stranger's ballot counted")?;
    }
    Ok(())
}

/// Who is not among the voters does not even run.
fn stranger_is_refused() -> Verdict {
    let options = DeskOptions { member: 4, ..options() };
    let config = desk::config(&options);
    let mut disk = SimDisk::new(TAG, options.limits.frame_bytes_max());
    let refused = Member::new(config, disk.recover(MemberId(4)), Instant(1)).err();
    let named = ConfigError::NotAVoter { member: MemberId(4) };
    check(refused.as_ref() == Some(&named), || {
        format!("member 4 of three should be refused, and was answered {refused:?}")
    })
}
