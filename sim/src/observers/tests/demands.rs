//! What operators demand, and what hosts are told.

use super::*;
use crate::observers::{handovers::Handovers, told_once::ToldOnce};
use quorate_core::{
    BootEpoch, Event, Incarnation, Instant, Stall, TransferOutcome, TransferRefusal,
};

fn demand(stage: &mut Stage, local: u64, request: u64) -> Vec<&'static str> {
    let event = Event::Transfer { request, target: None };
    stage.show(0, Observed::Stepping { local: Instant(local), event: &event })
}

fn answer(stage: &mut Stage, request: u64) -> Vec<&'static str> {
    let outcome = TransferOutcome::Refused(TransferRefusal::UnderWay);
    stage.show(0, Observed::Acting(&Action::Notify(Notice::Transfer { request, outcome })))
}

fn served(stage: &mut Stage, local: u64) -> Vec<&'static str> {
    stage.show(0, Observed::ServedTimer { local: Instant(local) })
}

#[test]
fn l7_a_demand_is_answered_once_and_in_time() {
    let mut stage = Stage::with(Handovers::default());
    let within = 2 * stage.rules.timing.election_timeout_max.0;
    assert!(stage.show(0, Observed::Started).is_empty());
    assert!(demand(&mut stage, 5, 1).is_empty());
    assert!(served(&mut stage, 5 + within).is_empty());
    assert!(answer(&mut stage, 1).is_empty());
    assert_eq!(answer(&mut stage, 1), ["L7"], "a second answer");
    assert_eq!(answer(&mut stage, 2), ["L7"], "nobody asked");
    assert!(demand(&mut stage, 5 + within, 3).is_empty());
    assert_eq!(served(&mut stage, 6 + 2 * within), ["L7"]);
    // What it is told the time is may fall, and its deadlines are counted from no earlier time.
    assert!(answer(&mut stage, 3).is_empty());
    assert!(demand(&mut stage, 5, 4).is_empty());
    assert!(served(&mut stage, 6 + 3 * within).is_empty());
    assert_eq!(served(&mut stage, 7 + 3 * within), ["L7"]);
    // Who crashes owes nothing.
    assert!(stage.show(0, Observed::Crashed).is_empty());
    assert!(served(&mut stage, 7 + 3 * within).is_empty());
}

#[test]
fn e16_only_who_has_all_bytes_is_told_to_campaign() {
    let mut stage = Stage::with(Handovers::default());
    stage.view.verified = Position(640);
    let campaign = Message::Campaign { term: Term(3), round: 1 };
    let acknowledge = |term, durable| Message::Acknowledge {
        term: Term(term),
        sequence: 1,
        round: 1,
        durable: Position(durable),
        received: Position(durable),
        limit: Position(1 << 20),
        commit: Position(0),
    };
    let sender = Sender::Member {
        member: MemberId(2),
        incarnation: Incarnation(1),
        boot_epoch: BootEpoch(1),
    };
    assert_eq!(stage.sends(0, campaign.clone()), ["E16"]);
    for (term, durable) in [(2, 9_000), (3, 632)] {
        let message = &acknowledge(term, durable);
        assert!(stage.show(0, Observed::Received { sender, message }).is_empty());
        assert_eq!(stage.sends(0, campaign.clone()), ["E16"]);
    }
    let message = &acknowledge(3, 640);
    assert!(stage.show(0, Observed::Received { sender, message }).is_empty());
    assert!(stage.sends(0, campaign).is_empty());
}

#[test]
fn n1_a_stall_is_told_once_until_its_end() {
    let mut stage = Stage::with(ToldOnce::default());
    let mut tell = |notice| stage.show(0, Observed::Acting(&Action::Notify(notice)));
    let (disk, window) = (Stall::Disk, Stall::Window { member: MemberId(2) });
    let silent = Stall::Acknowledgement { member: MemberId(2) };
    assert!(tell(Notice::Stalled { cause: disk }).is_empty());
    assert!(tell(Notice::Stalled { cause: window }).is_empty());
    assert!(tell(Notice::StallEnded { cause: disk }).is_empty());
    assert!(tell(Notice::Stalled { cause: disk }).is_empty());
    assert_eq!(tell(Notice::Stalled { cause: disk }), ["N1"]);
    assert_eq!(tell(Notice::Stalled { cause: silent }), ["N1"], "the same member");
    assert_eq!(tell(Notice::StallEnded { cause: Stall::Service }), ["N1"]);
}
