//! Cases about who is asked for bytes of the log: what it sends again, how often, and to whom.

use quorate_core::message::{EpochRange, Stream};
use quorate_core::{
    Action, Chain, ClientKey, Destination, Duration, Event, Incoming, MemberId, Message, Position,
    PositionRange, Sender, Term,
};

use crate::case::Verdict;
use crate::desk::{Desk, member_sender, place};
use crate::scripted_log::{ScriptedLog, nak, range, runs, small_desk};
use crate::trial::Trial;

/// What a member on a desk sends to member `to` when that asks for `ranges`.
fn repaired(
    desk: &mut Desk,
    log: &ScriptedLog,
    to: u16,
    ranges: &[PositionRange],
) -> Vec<(u64, u64)> {
    desk.receive(to, log.nak(ranges));
    let mut sent: Vec<(u64, u64)> = Vec::new();
    for (member, run, _) in runs(&desk.actions) {
        let joins = sent.last().is_some_and(|last| last.1 == run.start.0);
        match sent.last_mut() {
            Some(last) if joins => last.1 = run.end.0,
            _ => sent.push((run.start.0, run.end.0)),
        }
        if member != Destination::Member(MemberId(to)) {
            return vec![(u64::MAX, u64::MAX)];
        }
    }
    sent
}

pub(super) fn nk_10(_: &mut Trial<'_>) -> Verdict {
    let options = small_desk(3);
    let log = ScriptedLog::new(2, 2, 20, 200);
    let mut desk = log.holder(options.clone())?;
    let expect = |desk: &mut Desk, what: &str, to, asked: (u64, u64), sent: &[(u64, u64)]| {
        let got = repaired(desk, &log, to, &[range(asked.0, asked.1)]);
        desk.check(got == sent, &format!("{what} {asked:?}: sent {got:?}, not {sent:?}"))?;
        desk.pass(Duration(1));
        Ok(())
    };
    expect(&mut desk, "the first request", 3, (512, 1_024), &[(512, 1_024)])?;
    expect(&mut desk, "a repeated request", 3, (512, 1_024), &[])?;
    expect(&mut desk, "a contained request", 3, (640, 768), &[])?;
    expect(&mut desk, "an overlapping request", 3, (768, 1_280), &[(1_024, 1_280)])?;
    expect(&mut desk, "an enclosing request", 3, (256, 1_536), &[(256, 512), (1_280, 1_536)])?;
    expect(&mut desk, "an adjacent request", 3, (1_536, 2_048), &[(1_536, 2_048)])?;
    expect(&mut desk, "another's request", 2, (512, 1_024), &[(512, 1_024)])?;
    desk.pass(options.timing.repair_linger);
    expect(&mut desk, "a request behind the linger time", 3, (512, 1_024), &[(512, 1_024)])
}

pub(super) fn nk_11(_: &mut Trial<'_>) -> Verdict {
    let options = small_desk(7);
    let log = ScriptedLog::new(2, 2, 20, 200);
    let mut desk = log.holder(options)?;
    let asked = [(256, 1_024), (512, 1_536), (0, 512), (768, 1_024)];
    let union = range(0, 1_536);
    for turn in 0..asked.len() {
        for asker in 3..=7_u16 {
            // Each asks for the same ranges, in an order of its own.
            let (first, end) = asked[(turn + usize::from(asker)) % asked.len()];
            let sent = repaired(&mut desk, &log, asker, &[range(first, end)]);
            desk.check(sent.iter().all(|sent| sent.1 <= union.end.0), "sent what was not asked")?;
            desk.pass(Duration(1));
        }
    }
    let sent = desk.member.counters().repair_bytes_sent;
    let wanted = 5 * union.len();
    desk.check(sent == wanted, &format!("sent {sent} bytes for {wanted} that 5 members lack"))
}

/// A service that is busy with what was read for it leaves others their reads (E123).
pub(super) fn a_busy_service_leaves_others_their_reads() -> Verdict {
    let mut options = small_desk(3);
    options.limits.reads_max = 1;
    let log = ScriptedLog::new(2, 2, 20, 200);
    let mut desk = log.holder(options)?.restart()?;
    desk.complete_all();
    let (end, zero) = (desk.view().verified, Position::ZERO);
    let (newest, commit, chain) = (end, end, Chain::default());
    let term = Term(log.term());
    desk.receive(2, Message::Heartbeat { term, round: 1, newest, commit, chain_at: zero, chain });
    let read = |desk: &Desk| {
        let of = |action: &Action| match action {
            Action::ReadLog { range, .. } => Some(*range),
            _ => None,
        };
        desk.actions.iter().find_map(of)
    };
    let own = read(&desk);
    desk.check(own.is_some(), "it should read what it has to apply")?;
    desk.receive(3, log.nak(&[range(0, 512)]));
    let other = read(&desk);
    desk.check(other == Some(range(0, 512)), "it should read for another meanwhile")?;
    desk.receive(3, log.nak(&[range(512, 1_024)]));
    let more = read(&desk);
    desk.check(more.is_none(), "one at a time is what it may read for others")
}

/// What the budget cuts off is no less than a datagram's worth (E124).
pub(super) fn a_budget_leaves_no_crumbs() -> Verdict {
    let mut options = small_desk(3);
    let slice = u64::from(options.limits.slice_bytes);
    options.limits.repair_budget_bytes = (slice + slice / 2) & !7;
    let log = ScriptedLog::new(2, 2, 40, 200);
    let mut desk = log.holder(options)?;
    let sent = repaired(&mut desk, &log, 3, &[range(0, slice)]);
    desk.check(sent == [(0, slice)], &format!("sent {sent:?} of one slice"))?;
    desk.pass(Duration(1));
    let sent = repaired(&mut desk, &log, 3, &[range(slice, 3 * slice)]);
    desk.check(sent.is_empty(), &format!("sent the crumb {sent:?} of two slices"))?;
    desk.pass(Duration(1));
    let whole = range(slice, slice + 64);
    let sent = repaired(&mut desk, &log, 3, &[whole]);
    desk.check(sent == [(slice, slice + 64)], &format!("sent {sent:?} of all that was asked for"))
}

/// A request that no member has reason to send.
struct Absurd {
    what: &'static str,
    from: Sender,
    term: u64,
    range: PositionRange,
    /// Bytes that it is sent, at most.
    bytes_max: u64,
}

pub(super) fn nk_18(_: &mut Trial<'_>) -> Verdict {
    let mut options = small_desk(3);
    options.limits.repair_budget_bytes = 2_432;
    let log = ScriptedLog::new(2, 2, 40, 200);
    let (end, budget) = (log.end().0, options.limits.repair_budget_bytes);
    let peer = member_sender(3, 1);
    let absurd = |what, from, term, range, bytes_max| Absurd { what, from, term, range, bytes_max };
    let client = Sender::Client { key: ClientKey(9) };
    let requests = [
        absurd("above the end", peer, 2, range(end, end + 64), 0),
        absurd("far above", peer, 2, range(Position::MAX.0 - 64, Position::MAX.0), 0),
        absurd("empty", peer, 2, range(64, 64), 0),
        absurd("backwards", peer, 2, range(128, 64), 0),
        absurd("between words", peer, 2, range(12, 100), 0),
        absurd("of another term", peer, 1, range(0, 64), 0),
        absurd("of a later term", peer, 9, range(0, 64), 0),
        absurd("of a stranger", member_sender(9, 1), 2, range(0, 64), 0),
        absurd("of itself", member_sender(1, 1), 2, range(0, 64), 0),
        absurd("of a client", client, 2, range(0, 64), 0),
        absurd("huge", peer, 2, range(0, Position::MAX.0 & !7), budget),
    ];
    for request in requests {
        let mut desk = log.holder(options.clone())?;
        let before = *desk.member.counters();
        let content = Incoming::Control(nak(request.term, &[request.range]));
        let (sender, source) = (request.from, place(3));
        desk.step(Event::Received { sender, source, content });
        let sent: u64 = runs(&desk.actions).iter().map(|(_, run, _)| run.len()).sum();
        let bytes_max = request.bytes_max;
        let text = format!("{}: sent {sent} bytes, at most {bytes_max} allowed", request.what);
        desk.check(sent <= bytes_max, &text)?;
        let after = desk.member.counters();
        let counted = after.datagrams_ignored + after.repairs_refused
            > before.datagrams_ignored + before.repairs_refused;
        let text = format!("{}: not counted", request.what);
        desk.check(counted || bytes_max > 0, &text)?;
        desk.check(desk.stopped.is_none(), &format!("{}: it stopped", request.what))?;
    }
    a_refusal_names_what_is_not_there()
}

/// Where a member's answer of that kind says that it has nothing.
fn unavailable(actions: &[Action]) -> Option<EpochRange> {
    actions.iter().find_map(|action| match action {
        Action::Send {
            message: Message::Unavailable { stream: Stream::Log, range, .. }, ..
        } => Some(*range),
        _ => None,
    })
}

/// Who holds only half and is asked for the other half says so, and sends nothing.
fn a_refusal_names_what_is_not_there() -> Verdict {
    let log = ScriptedLog::new(2, 2, 20, 200);
    let mut desk = log.follower(small_desk(3))?;
    log.feed(&mut desk, &log.slice(range(0, 1_024)));
    let lacking = range(1_024, 2_048);
    desk.receive(3, log.nak(&[lacking]));
    let told = unavailable(&desk.actions).map(|told| told.range);
    desk.check(told == Some(lacking), "it does not say that it lacks the bytes")?;
    desk.check(runs(&desk.actions).is_empty(), "it sends bytes that it lacks")
}
