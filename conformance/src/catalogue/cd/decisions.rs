//! Decisions of one member about what is committed and what is durable, each event by hand.

use quorate_core::message::{EpochRange, Live, Message, Stream};
use quorate_core::{
    Action, BootEpoch, Chain, ConfigError, Duration, Event, FailStop, Instant, Member, MemberId,
    OperationId, Position, PositionRange, Recovered, Role, Term, TermHistory, TermLine, Vote,
};
use quorate_sim::{SimDisk, Work};

use crate::case::{Failure, Verdict, check};
use crate::desk::{self, Desk, DeskOptions, frames, heartbeat, history, life, line, opening};
use crate::stage::TAG;
use crate::trial::Trial;

/// The term in which member 2 leads on the desks here; member 3 leads in the next.
const TERM: u64 = 4;
/// A position that no log here reaches.
const FAR: Position = Position(1 << 20);

const fn first_line() -> TermLine {
    line(TERM, 2, Position::ZERO, Chain(0))
}

/// Member 1 of a group, that follows member 2 and holds `count` durable frames of its term. None
/// of them is committed.
fn follower(members: u16, count: usize) -> Result<Desk, Failure> {
    follower_with(DeskOptions::small(members), count)
}

fn follower_with(options: DeskOptions, count: usize) -> Result<Desk, Failure> {
    let mut desk = Desk::new(options)?;
    desk.follow(2, TERM, &[first_line()]);
    for piece in frames(&first_line(), count) {
        desk.receive_log(2, TERM, &piece, None);
    }
    desk.complete_all();
    Ok(desk)
}

/// Where the frames of the first line end: of none, of one, and so on.
fn ends(count: usize) -> Vec<Position> {
    let ends = frames(&first_line(), count).into_iter().map(|piece| piece.end);
    core::iter::once(Position::ZERO).chain(ends).collect()
}

/// A heartbeat of a leader that has committed so far.
fn committed(term: u64, round: u64, to: Position) -> Message {
    match heartbeat(term, round) {
        Message::Heartbeat { term, round, chain_at, chain, .. } => {
            Message::Heartbeat { term, round, newest: FAR, commit: to, chain_at, chain }
        }
        other => other,
    }
}

fn acknowledge(term: u64, sequence: u64, durable: Position) -> Message {
    let (round, commit) = (0, Position::ZERO);
    let (term, received) = (Term(term), durable);
    Message::Acknowledge { term, sequence, round, durable, received, limit: FAR, commit }
}

/// The positions that acknowledgements among these actions state as durable.
fn acknowledged(actions: &[Action]) -> Vec<Position> {
    let stated = actions.iter().filter_map(|action| match action {
        Action::Send { message: Message::Acknowledge { durable, .. }, .. } => Some(*durable),
        _ => None,
    });
    stated.collect()
}

fn short() -> Duration {
    Duration::from_millis(1)
}

pub(super) fn cd_02(trial: &mut Trial<'_>) -> Verdict {
    for members in 2..=7 {
        let others = members / 2;
        for held in 1..=3 {
            let mut desk = inherited(members, held)?;
            let base = ends(held)[held];
            let (term, head) = (desk.view().term.0, desk.view().verified);
            desk.check(base < head, "it should have opened its term behind what it inherited")?;
            for other in 2..=members {
                desk.receive(other, acknowledge(term, 1, base));
            }
            let none = desk.view().commit == Position::ZERO;
            desk.check(none, "all disks hold bytes of an old term, and they were counted")?;
            for other in 2..2 + others {
                desk.check(desk.view().commit == Position::ZERO, "too few hold the own bytes")?;
                desk.receive(other, acknowledge(term, 2, head));
            }
            let all = desk.view().commit == head;
            desk.check(all, "a quorum holds bytes of its own term: all before them is committed")?;
            trial.count("groups and tails", 1);
        }
    }
    // What a quorum held of the old term was never final: another leader may disown it.
    let mut desk = inherited(3, 2)?;
    let (term, base) = (desk.view().term.0, ends(2)[2]);
    desk.receive(2, acknowledge(term, 1, base));
    let rival = line(term + 1, 3, Position::ZERO, Chain(0));
    desk.follow(3, term + 1, &[rival]);
    let cut = desk.stopped.is_none() && desk.view().verified == Position::ZERO;
    desk.check(cut, "a rival that never had them should have cut them off")
}

/// A leader with `held` frames of a past term that are not committed.
fn inherited(members: u16, held: usize) -> Result<Desk, Failure> {
    let mut desk = follower(members, held)?;
    desk.lead()?;
    Ok(desk)
}

pub(super) fn cd_03(trial: &mut Trial<'_>) -> Verdict {
    let ends = ends(4);
    for held in 0..=3 {
        for stated in [ends[0], ends[1], ends[2], ends[3], ends[4], FAR] {
            let mut desk = follower(3, held)?;
            // Of the next frame it has a part, which counts for nothing.
            let mut part = frames(&first_line(), held + 1).remove(held);
            part.bytes.truncate(16);
            desk.receive_log(2, TERM, &part, None);
            desk.receive(2, committed(TERM, 9, stated));
            let expected = stated.min(ends[held]);
            let text = format!("of {stated} it should believe {expected}");
            desk.check(desk.view().commit == expected, &text)?;
            // The same by live bytes: those that it has already.
            let mut desk = follower(3, held)?;
            let live = Live { newest: FAR, commit: stated };
            if let Some(piece) = frames(&first_line(), held).last() {
                desk.receive_log(2, TERM, piece, Some(live));
                desk.check(desk.view().commit == expected, &text)?;
            }
            trial.count("positions", 1);
        }
    }
    under_another_leader()
}

/// What was verified under one leader's history is not verified under another's.
fn under_another_leader() -> Verdict {
    let mut desk = follower(3, 3)?;
    let kept = &frames(&first_line(), 1)[0];
    let next = line(TERM + 1, 3, kept.end, kept.chain);
    desk.receive(3, committed(TERM + 1, 1, FAR));
    desk.check(desk.view().commit == Position::ZERO, "it believed before it knew the history")?;
    for message in history(TERM + 1, Position::ZERO, &[first_line(), next]) {
        desk.receive(3, message);
    }
    desk.receive(3, committed(TERM + 1, 2, FAR));
    desk.check(desk.view().commit == Position::ZERO, "it believed before that was durable")?;
    desk.complete_all();
    desk.receive(3, committed(TERM + 1, 3, FAR));
    desk.check(desk.view().commit == kept.end, "it should commit what both leaders have")
}

pub(super) fn cd_05(trial: &mut Trial<'_>) -> Verdict {
    let orders = permutations(3);
    for order in &orders {
        aba(order)?;
        trial.count("orders", 1);
    }
    Ok(())
}

/// Bytes are written, cut off, and others come to the same place before the first are synced.
/// Then sync, history and vote complete in this order.
fn aba(order: &[usize]) -> Verdict {
    let mut desk = follower(3, 0)?;
    for piece in frames(&first_line(), 2) {
        desk.receive_log(2, TERM, &piece, None);
    }
    let rival = line(TERM + 1, 3, Position::ZERO, Chain(0));
    desk.receive(3, heartbeat(TERM + 1, 1));
    for message in history(TERM + 1, Position::ZERO, &[rival]) {
        desk.receive(3, message);
    }
    let other = opening(&rival, Term(0));
    desk.receive_log(3, TERM + 1, &other, None);
    let kinds: [fn(&Work) -> bool; 3] = [
        |work| matches!(work, Work::Sync { .. }),
        |work| matches!(work, Work::History { .. }),
        |work| matches!(work, Work::Vote(_)),
    ];
    desk.check(desk.pending.len() == 3, "three writes should be under way")?;
    let mut stated = Vec::new();
    for kind in order {
        desk.complete(kinds[*kind]);
        stated.extend(acknowledged(&desk.actions));
        let known = desk.view().durable == Position::ZERO;
        desk.check(known, &format!("in order {order:?} the late sync counted for other bytes"))?;
        stated.extend(acknowledged(&desk.pass(short())));
    }
    let early = stated.iter().any(|durable| *durable > Position::ZERO);
    desk.check(!early, &format!("in order {order:?} it acknowledged {stated:?}"))?;
    let mut rest = desk.complete_all();
    rest.append(&mut desk.pass(short()));
    let there = desk.view().durable == other.end && acknowledged(&rest).contains(&other.end);
    desk.check(there, "the new bytes are synced, and it should acknowledge them")
}

/// All orders of so many things.
pub(super) fn permutations(count: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for thing in 0..count {
        orders = orders
            .iter()
            .flat_map(|order: &Vec<usize>| {
                (0..=order.len()).map(move |at| {
                    let mut order = order.clone();
                    order.insert(at, thing);
                    order
                })
            })
            .collect();
    }
    orders
}

pub(super) fn cd_06(trial: &mut Trial<'_>) -> Verdict {
    let mut first = None;
    for order in permutations(5) {
        let end = all_at_once(&order)?;
        let expected = first.get_or_insert_with(|| end.clone());
        check(&end == expected, || format!("in order {order:?} it ends as {end}, not {expected}"))?;
        trial.count("orders", 1);
    }
    Ok(())
}

/// One write of each kind and a read are under way at once, and complete in this order. Returns
/// how the member and its disk end.
fn all_at_once(order: &[usize]) -> Result<String, Failure> {
    let mut options = DeskOptions::small(3);
    options.timing.peer_record_interval = short();
    let mut desk = follower_with(options, 3)?.restart()?;
    desk.receive(2, heartbeat(TERM, 1));
    desk.complete_all();
    let pieces = frames(&first_line(), 5);
    // A sync of new bytes, and a read of old ones that somebody misses.
    desk.receive_log(2, TERM, &pieces[3], None);
    let range = PositionRange::new(Position::ZERO, pieces[0].end);
    let range = EpochRange { epoch: TERM, range };
    let ranges = core::iter::once(range).collect();
    desk.receive(3, Message::Nak { stream: Stream::Log, ranges });
    // A new term, its history, and what is remembered of its leader.
    let next = line(TERM + 1, 3, pieces[3].end, pieces[3].chain);
    desk.receive(3, heartbeat(TERM + 1, 1));
    for message in history(TERM + 1, Position::ZERO, &[first_line(), next]) {
        desk.receive(3, message);
    }
    desk.pass(Duration(2 * short().0));
    let operations: Vec<OperationId> = desk.pending.iter().map(|(id, _)| *id).collect();
    let text = format!("five operations should be under way: {:?}", desk.pending);
    desk.check(operations.len() == 5, &text)?;
    let mut repairs = 0;
    for index in order {
        let wanted = operations[*index];
        let at = desk.pending.iter().position(|(id, _)| *id == wanted);
        // Move it to the front, so that it is the one to complete.
        let at = at.ok_or_else(|| Failure::broken("an operation vanished"))?;
        let moved = desk.pending.remove(at);
        desk.pending.insert(0, moved);
        desk.complete(|_| true);
        repairs += sent_data(&desk.actions);
    }
    let mut rest = desk.complete_all();
    rest.append(&mut desk.pass(short()));
    repairs += sent_data(&rest);
    rest.append(&mut desk.complete_all());
    let (view, disk) = (desk.view(), &desk.disk);
    let durable = (view.durable, disk.durable_end()) == (pieces[3].end, pieces[3].end);
    desk.check(durable && view.term == Term(TERM + 1), "something that completed is lost")?;
    desk.check(repairs == 1, &format!("{repairs} repairs were sent, and one was asked for"))?;
    Ok(format!("{view:?}, {:?}, {:?}, {:?}", disk.vote(), disk.history(), disk.written_end()))
}

fn sent_data(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::SendData { .. })).count()
}

pub(super) fn cd_07(_: &mut Trial<'_>) -> Verdict {
    let mut desk = follower(3, 1)?.restart()?;
    // Three writes of the second life are under way; the first life numbered its own alike.
    desk.receive(2, heartbeat(TERM, 1));
    let pieces = frames(&first_line(), 2);
    desk.receive_log(2, TERM, &pieces[1], None);
    desk.receive(3, heartbeat(TERM + 1, 1));
    desk.check(desk.pending.len() >= 2, "a sync and a vote should be under way")?;
    let (before, pending) = (desk.view(), desk.pending.clone());
    let ignored = desk.member.counters().completions_ignored;
    let mut ghosts = 0;
    for boot_epoch in [0, 1, 3] {
        for sequence in 0..64 {
            let operation = OperationId { boot_epoch: BootEpoch(boot_epoch), sequence };
            for event in [Event::Durable { operation }, Event::LogRead { operation, bytes: b"x" }] {
                ghosts += u64::from(matches!(event, Event::Durable { .. }));
                desk.step(event);
                let text = format!("{operation:?} of another life did {:?}", desk.actions);
                desk.check(desk.view() == before && desk.actions.is_empty(), &text)?;
            }
        }
    }
    let counted = desk.member.counters().completions_ignored - ignored;
    desk.check(counted >= ghosts, &format!("of {ghosts} ghosts it counted {counted}"))?;
    desk.check(desk.pending.len() == pending.len(), "a ghost began something")?;
    // Each of its own counts once, and no second time.
    for (operation, _) in pending {
        desk.complete(|_| true);
        let (after, counted) = (desk.view(), desk.member.counters().completions_ignored);
        desk.step(Event::Durable { operation });
        let inert =
            desk.view() == after && desk.member.counters().completions_ignored == counted + 1;
        desk.check(inert, &format!("{operation:?} counted twice"))?;
    }
    desk.check(desk.view().durable == pieces[1].end, "its own sync should count")
}

pub(super) fn cd_14(trial: &mut Trial<'_>) -> Verdict {
    let pieces = frames(&first_line(), 3);
    let ends = ends(3);
    for commit in &ends {
        let whole = ends.iter().map(|end| (*end, true));
        let inside = ends[1..].iter().map(|end| (Position(end.0 - 8), false));
        for (base, is_whole) in whole.chain(inside) {
            if base >= *commit && !is_whole {
                // No leader begins its term inside a frame, but who says so is not to be believed.
                continue;
            }
            let ended = pieces.iter().find(|piece| piece.end == base);
            cut_at(*commit, base, ended.map_or(Chain(0), |piece| piece.chain))?;
            trial.count("commits and cuts", 1);
        }
    }
    Ok(())
}

/// A follower with three frames and this commit position is told that the next term begins at
/// `base`.
fn cut_at(commit: Position, base: Position, chain: Chain) -> Verdict {
    let mut desk = follower(3, 3)?;
    desk.receive(2, committed(TERM, 9, commit));
    desk.check(desk.view().commit == commit, &format!("it should commit {commit}"))?;
    desk.receive(3, heartbeat(TERM + 1, 1));
    desk.complete_all();
    let (frames, end) = (desk.disk.frames().to_vec(), desk.disk.written_end());
    let next = line(TERM + 1, 3, base, chain);
    let mut lines = vec![first_line(), next];
    lines.retain(|line| line.term == next.term || line.base < base);
    for message in history(TERM + 1, Position::ZERO, &lines) {
        desk.receive(3, message);
    }
    if base < commit {
        let named = desk.stopped == Some(FailStop::CutBelowCommit { cut: base, commit });
        let text = format!("it should stop and name {base} and {commit}: {:?}", desk.stopped);
        desk.check(named && desk.view().role == Role::Stopped, &text)?;
        desk.check(desk.pending.is_empty(), "inert, it still writes")?;
        let same = desk.disk.frames() == frames && desk.disk.written_end() == end;
        return desk.check(same, "its log changed");
    }
    desk.complete_all();
    let cut = desk.stopped.is_none() && desk.view().verified == base.min(end);
    desk.check(cut && desk.view().commit == commit, &format!("it should end at {base} now"))
}

pub(super) fn cd_18(trial: &mut Trial<'_>) -> Verdict {
    let base = |term, base| line(term, 2, Position(base), Chain(0));
    let histories = [vec![], vec![base(1, 0)], vec![base(2, 8)], vec![base(1, 0), base(3, 72)]];
    let max = Position::MAX.0;
    for lines in histories {
        for end in [0, 1, 4, 8, 12, 72, 80, max & !7, (max & !7) + 8, !7] {
            for vote_term in 0..5 {
                let history = TermHistory::new(lines.clone());
                let history = history.map_err(|error| Failure::Harness(error.to_string()))?;
                let granted_to = Some(MemberId(2));
                let vote = Vote { term: Term(vote_term), granted_to };
                recover(&history, Position(end), vote)?;
                trial.count("recovered states", 1);
            }
        }
    }
    foreign_is_refused()?;
    // What is durable but not known to be committed is not applied before a leader says so.
    let mut desk = follower(3, 3)?;
    let end = desk.view().verified;
    desk.receive(2, committed(TERM, 9, end));
    let mut desk = desk.restart()?;
    desk.complete_all();
    let (view, zero) = (desk.view(), Position::ZERO);
    let anew = (view.commit, view.applied, view.durable) == (zero, zero, end);
    desk.check(anew, "it should begin with nothing committed")?;
    desk.receive(2, committed(TERM, 1, end));
    desk.complete_all();
    let learnt = desk.view().commit == end && desk.view().applied == end;
    desk.check(learnt, "it should apply all of it again")
}

/// A member comes up with this, or is refused, by a rule that needs nothing else.
fn recover(history: &TermHistory, end: Position, vote: Vote) -> Verdict {
    let config = desk::config(&DeskOptions::small(3));
    let recovered =
        Recovered { vote, history: history.clone(), log_end: end, ..Recovered::empty(life(1)) };
    let is_owned = history.lines().first().is_some_and(|line| line.base < end);
    let sound =
        end == Position::ZERO || (is_owned && end.0.is_multiple_of(8) && end <= Position::MAX);
    match Member::new(config, recovered, Instant(1)) {
        Err(error) => check(!sound && error == ConfigError::Log { end }, || {
            format!("{end} under {history:?} was refused: {error}")
        }),
        Ok(member) => {
            let view = member.view();
            let term = vote.term.max(history.last_term());
            let kept = if term == vote.term { vote.granted_to } else { None };
            let known = (view.commit, view.applied) == (Position::ZERO, Position::ZERO)
                && (view.verified, view.written, view.durable) == (end, end, end)
                && view.vote == Vote { term, granted_to: kept };
            check(sound && known, || format!("{end} under {history:?} with {vote:?}: {view:?}"))
        }
    }
}

fn foreign_is_refused() -> Verdict {
    let options = DeskOptions::small(3);
    let mut disk = SimDisk::new(TAG, options.limits.frame_bytes_max());
    let recovered = disk.recover(MemberId(2));
    let refused = Member::new(desk::config(&options), recovered, Instant(1)).err();
    let named = ConfigError::Foreign { found: MemberId(2), expected: MemberId(1) };
    check(refused == Some(named), || format!("another member's disk was answered {refused:?}"))
}
