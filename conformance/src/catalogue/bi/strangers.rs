//! Messages and completions of those who should not have sent them.

use quorate_core::message::{ConnectOutcome, Incoming};
use quorate_core::{
    Chain, ClientKey, Endpoint, Event, FailStop, MemberId, Message, OperationId, Outputs, Position,
    Sender, SessionId, Term,
};
use quorate_sim::Work;

use super::messages::{BEGINNINGS, Beginning, acknowledge, desk, edges, message_piece};
use crate::case::{Failure, Verdict, check};
use crate::desk::{LogPiece, heartbeat, history, line, member_sender, place};
use crate::trial::Trial;

pub(super) fn bi_06(trial: &mut Trial<'_>) -> Verdict {
    // A member of the group in a life that cannot be, a stranger, and this member itself.
    let other = |member: u16, incarnation: u32, boot_epoch: u64| Sender::Member {
        member: MemberId(member),
        incarnation: quorate_core::Incarnation(incarnation),
        boot_epoch: quorate_core::BootEpoch(boot_epoch),
    };
    let senders = [
        ("itself", other(1, 1, 1)),
        ("a former life of itself", other(1, 1, 0)),
        ("a stranger", other(9, 1, 1)),
        ("member 0", other(0, 1, 1)),
        ("member 65535", other(u16::MAX, 1, 1)),
        ("a former incarnation of a member", other(2, 0, 1)),
        ("a later life of a former incarnation", other(2, 0, 3)),
        ("another incarnation of a member", other(2, 2, 1)),
        ("a later life of another incarnation", other(2, 2, 3)),
        ("a former life of a member", other(2, 1, 1)),
    ];
    for beginning in BEGINNINGS {
        for (who, sender) in senders {
            let mut desk = desk(beginning)?;
            let ahead = Term(desk.view().term.0 + 1);
            // Member 2 is heard in its second life first.
            let content = Incoming::Control(Message::Abdicate { term: Term(0) });
            let event = Event::Received { sender: member_sender(2, 2), source: place(2), content };
            desk.step(event);
            desk.complete_all();
            let before = desk.view();
            let all = edges(&before).into_iter().chain([heartbeat(ahead.0, 1)]);
            for message in all.filter(|message| !is_for_newcomers(sender, message)) {
                let ignored = desk.member.counters().datagrams_ignored;
                let content = Incoming::Control(message.clone());
                desk.step(Event::Received { sender, source: place(2), content });
                let counted = desk.member.counters().datagrams_ignored == ignored + 1;
                let context = || format!("a {beginning:?} hears {message:?} of {who}");
                check(counted, || format!("{}: it is not counted as ignored", context()))?;
                let same = desk.view() == before && desk.actions.is_empty();
                check(same, || format!("{}: it does {:?}", context(), desk.actions))?;
                trial.count("messages", 1);
            }
        }
        of_a_client(beginning)?;
    }
    // A newer life of this very member is no stranger: one of the two has to end.
    let mut desk = desk(Beginning::Follower)?;
    let content = Incoming::Control(heartbeat(4, 2));
    desk.step(Event::Received { sender: other(1, 1, 2), source: place(1), content });
    check(desk.stopped == Some(FailStop::Twin), || format!("it goes on: {:?}", desk.stopped))
}

/// Whether `sender` is of a newer directory than is known, and `message` no promise: whoever leads
/// is readmitted, and who is not yet has to catch up (E47).
fn is_for_newcomers(sender: Sender, message: &Message) -> bool {
    let is_newer = matches!(sender, Sender::Member { incarnation, .. } if incarnation.0 > 1);
    let is_heard = matches!(
        message,
        Message::Heartbeat { .. }
            | Message::Abdicate { .. }
            | Message::History { .. }
            | Message::HistoryRequest { .. }
            | Message::Application { .. }
            | Message::Nak { .. }
            | Message::Unavailable { .. }
            | Message::SnapshotRequest { .. }
            | Message::SnapshotOffer { .. }
    );
    is_newer && is_heard
}

/// A client says what only members may say, and a member what only clients may.
fn of_a_client(beginning: Beginning) -> Verdict {
    let mut desk = desk(beginning)?;
    let before = desk.view();
    let client = Sender::Client { key: ClientKey(77) };
    for message in edges(&before) {
        if matches!(message, Message::Nak { .. } | Message::Unavailable { .. }) {
            continue;
        }
        desk.step(Event::Received {
            sender: client,
            source: Endpoint::default(),
            content: Incoming::Control(message.clone()),
        });
        let same = desk.view() == before && desk.actions.is_empty();
        check(same, || format!("a {beginning:?} obeys a client's {message:?}"))?;
    }
    let (connection, session) = (1, SessionId(8));
    let outcome = ConnectOutcome::SessionLost { session };
    for message in [
        Message::Connect { connection, session, ingress_start: Position::ZERO, unanswered: 1 },
        Message::ConnectReply { connection, outcome },
        Message::Close { connection, session },
        Message::Closed { connection, session },
    ] {
        desk.receive(2, message.clone());
        let same = desk.view() == before && desk.actions.is_empty();
        check(same, || format!("a {beginning:?} takes a member's {message:?} for a client's"))?;
    }
    Ok(())
}

pub(super) fn bi_07(_: &mut Trial<'_>) -> Verdict {
    // Acknowledgements of bytes that were never sent commit nothing.
    let mut leader = desk(Beginning::Elected)?;
    let before = leader.view();
    for ahead in [8, 64, 1 << 20] {
        for from in [2, 3] {
            let mut acknowledge = acknowledge(before.term, before.verified.plus(ahead));
            if let Message::Acknowledge { sequence, .. } = &mut acknowledge {
                *sequence = 10 + ahead;
            }
            leader.receive(from, acknowledge);
        }
    }
    leader.check(leader.view().commit == before.commit, "it commits what it never sent")?;
    // A commit position far ahead commits what is held and verified, and nothing else.
    let mut follower = desk(Beginning::Follower)?;
    let before = follower.view();
    let far = Message::Heartbeat {
        term: before.term,
        round: 9,
        newest: Position(1 << 30),
        commit: Position(1 << 30),
        chain_at: Position::ZERO,
        chain: Chain::default(),
    };
    follower.receive(2, far);
    follower.complete_all();
    follower.check(follower.view().commit <= before.verified, "it commits what it has not")?;
    // A history that disowns what is committed, and another one of the same term.
    for (term, base, reason) in [(5, 0, "cut_below_commit"), (4, 8, "two_leaders")] {
        let mut follower = desk(Beginning::Follower)?;
        let committed = follower.view().commit;
        let odd = line(term, 2, Position(base), Chain(0));
        for message in history(term, Position::ZERO, &[odd]) {
            follower.receive(2, message);
        }
        follower.complete_all();
        let named = follower.stopped.map(|reason| reason.name());
        let kept = follower.disk.frames().iter().any(|frame| frame.end == committed);
        follower.check(kept, "what is committed is gone")?;
        let commit = follower.view().commit;
        follower.check(commit == committed, "its commit position moved")?;
        check(named.is_none_or(|name| name == reason), || format!("it stops for {named:?}"))?;
    }
    unasked_answers()
}

/// Votes and answers that nobody asked for.
fn unasked_answers() -> Verdict {
    for beginning in BEGINNINGS {
        let mut desk = desk(beginning)?;
        let before = desk.view();
        for term in [before.term, Term(before.term.0.saturating_sub(1))] {
            for from in [2, 3] {
                let key = before.key;
                let candidate = MemberId(1);
                desk.receive(from, Message::Ballot { term, candidate, granted: true, key });
                desk.receive(from, Message::CanvassReply { term, round: 99, granted: true, key });
            }
        }
        let view = desk.view();
        desk.check(view.role == before.role && view.term == before.term, "it is elected unasked")?;
    }
    Ok(())
}

pub(super) fn bi_12(_: &mut Trial<'_>) -> Verdict {
    for beginning in BEGINNINGS {
        let mut desk = desk(beginning)?;
        let before = desk.view();
        let operation = |boot_epoch: u64, sequence: u64| OperationId {
            boot_epoch: quorate_core::BootEpoch(boot_epoch),
            sequence,
        };
        // Of no operation, of another life, and of operations that have completed before.
        let unknown = [operation(1, 9_999), operation(0, 1), operation(2, 1), operation(1, 1)];
        for operation in unknown {
            let ignored = desk.member.counters().completions_ignored;
            desk.step(Event::Durable { operation });
            desk.step(Event::LogRead { operation, bytes: &[1; 64] });
            let counted = desk.member.counters().completions_ignored - ignored;
            check(counted == 2, || format!("{counted} of 2 completions are counted as ignored"))?;
            desk.check(desk.view() == before && desk.actions.is_empty(), "it is moved by one")?;
        }
        // Timers that nobody set, and reports of what was never handed over.
        desk.step(Event::Timer);
        desk.step(Event::Applied { through: Position(1 << 40), outputs: &Outputs::new() });
        let applied = desk.view().applied;
        desk.check(applied == before.applied, "it takes a report of nothing for its own")?;
    }
    wrong_kind()
}

/// A sync that is under way is reported as a read, and then twice as done.
fn wrong_kind() -> Verdict {
    let mut desk = desk(Beginning::Follower)?;
    let view = desk.view();
    let next = LogPiece {
        start: view.verified,
        ..message_piece(&LogPiece {
            start: Position::ZERO,
            end: view.verified,
            bytes: Vec::new(),
            chain: view.verified_chain,
        })
    };
    desk.receive_log(2, 4, &next, None);
    let sync = desk.pending.iter().find(|(_, work)| matches!(work, Work::Sync { .. }));
    let operation = sync.map(|(operation, _)| *operation);
    let Some(operation) = operation else {
        return Err(Failure::broken("a whole frame is not synced"));
    };
    desk.step(Event::LogRead { operation, bytes: &[0; 8] });
    let durable = desk.view().durable;
    desk.check(durable == view.durable, "a read completes a sync")?;
    let (boot_epoch, sequence) = (operation.boot_epoch, operation.sequence);
    let former = quorate_core::BootEpoch(boot_epoch.0 - 1);
    for other in [
        OperationId { boot_epoch: former, sequence },
        OperationId { boot_epoch, sequence: sequence - 1 },
        OperationId { boot_epoch, sequence: sequence + 1 },
    ] {
        desk.step(Event::Durable { operation: other });
        let durable = desk.view().durable;
        desk.check(durable == view.durable, "another operation completes a sync")?;
    }
    desk.complete_all();
    let after = desk.view();
    desk.check(after.durable == next.end, "the sync is not taken any more")?;
    let ignored = desk.member.counters().completions_ignored;
    desk.step(Event::Durable { operation });
    let counted = desk.member.counters().completions_ignored == ignored + 1;
    desk.check(counted && desk.view() == after, "the second completion counts")
}
