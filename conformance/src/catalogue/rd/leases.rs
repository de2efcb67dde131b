//! How a lease ends.

use quorate_core::config::Lease;
use quorate_core::{
    Duration, Event, MemberId, Message, Position, ReadLevel, ReadRefusal, Role, Term, VoteKey,
};

use super::rounds::{echo, leader, outcomes, read, rounds, served};
use crate::case::{Failure, Verdict};
use crate::desk::{Desk, DeskOptions};
use crate::trial::Trial;

const LEASE: Lease = Lease { drift_per_mille: 100 };

fn options() -> DeskOptions {
    let mut options = DeskOptions::member_of(3);
    options.timing.lease = Some(LEASE);
    options
}

/// How long a lease lasts.
fn lease() -> Duration {
    LEASE.duration(&options().timing)
}

/// A leader with a lease that has just begun.
fn leased() -> Result<Desk, Failure> {
    let mut desk = leader(options(), true)?;
    let end = desk.view().verified;
    let actions = desk.pass(options().timing.heartbeat_interval);
    let newest = rounds(&actions).last().copied().unwrap_or_default();
    desk.check(newest > 0, "it should say that it is there")?;
    echo(&mut desk, (2, 50), newest, end);
    read(&mut desk, 1, ReadLevel::Lease);
    desk.check(served(&desk).len() == 1, "by a lease it should serve at once")?;
    Ok(desk)
}

pub(super) fn rd_05(_: &mut Trial<'_>) -> Verdict {
    let mut desk = leased()?;
    let number = served(&desk)[0];
    desk.pass(lease());
    desk.check(desk.view().role == Role::Leader, "it still leads, as far as it knows")?;
    // The service, or the process, has taken its time.
    desk.step(Event::ReadServed { number, answer: Ok(b"!") });
    let late = [(1, Err(ReadRefusal::Unconfirmed))];
    desk.check(outcomes(&desk.actions) == late, "an answer leaves behind the lease")?;
    read(&mut desk, 2, ReadLevel::Lease);
    desk.check(served(&desk).is_empty(), "it serves behind its lease")
}

pub(super) fn rd_06(_: &mut Trial<'_>) -> Verdict {
    let mut desk = leased()?;
    desk.step(Event::Transfer { request: 1, target: Some(MemberId(2)) });
    let told = desk.sent_to(2).iter().any(|message| matches!(message, Message::Campaign { .. }));
    desk.check(told, "who has all should be told to campaign")?;
    read(&mut desk, 2, ReadLevel::Lease);
    desk.check(served(&desk).is_empty(), "it uses its lease behind that")?;
    let mut desk = Desk::new(options())?.restart()?;
    for (passed, granted) in [(Duration(1), false), (options().timing.election_timeout_min, true)] {
        desk.pass(passed);
        let (term, key) = (Term(9), VoteKey { term: Term(0), position: Position::ZERO });
        desk.receive(3, Message::Canvass { term, round: 1, key });
        let found = desk
            .sent_to(3)
            .iter()
            .any(|message| matches!(message, Message::CanvassReply { granted: true, .. }));
        desk.check(found == granted, &format!("{passed:?} behind its start it grants: {found}"))?;
    }
    Ok(())
}
