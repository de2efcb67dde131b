use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::identity::BootEpoch;
use crate::term::{Chain, TermLine};

/// A member's disk.
#[derive(Clone)]
struct Disk {
    member: u16,
    incarnation: u32,
    epoch: u32,
    history: TermHistory,
    log_end: u64,
    peers: Vec<PeerRecord>,
    recoveries: Vec<ForcedRecovery>,
}

impl Disk {
    fn survivor(&self) -> Survivor<'_> {
        Survivor {
            life: life(self.member, self.incarnation, 5),
            epoch: RecoveryEpoch(self.epoch),
            history: &self.history,
            log_end: Position(self.log_end),
            peers: &self.peers,
            recoveries: &self.recoveries,
        }
    }
}

fn life(member: u16, incarnation: u32, boot_epoch: u64) -> Life {
    Life {
        member: MemberId(member),
        incarnation: Incarnation(incarnation),
        boot_epoch: BootEpoch(boot_epoch),
    }
}

fn history(lines: &[(u32, u64, u64)]) -> TermHistory {
    let line = |&(epoch, term, base): &(u32, u64, u64)| TermLine {
        recovery_epoch: RecoveryEpoch(epoch),
        term: Term(term),
        base: Position(base),
        leader: Life::default(),
        chain: Chain(0),
    };
    TermHistory::new(lines.iter().map(line).collect()).unwrap()
}

/// The record by which a member says that it stated all before `at`.
fn mark(member: u16, at: u64) -> PeerRecord {
    PeerRecord {
        life: life(member, 1, 5),
        acknowledged_in: BootEpoch(0),
        term: Term(0),
        acknowledged: Position(at),
    }
}

/// What another notes of a member.
fn note(of: Life, term: u64, at: u64) -> PeerRecord {
    PeerRecord {
        life: of,
        acknowledged_in: of.boot_epoch,
        term: Term(term),
        acknowledged: Position(at),
    }
}

/// A member that was killed, with its log up to `log_end` on its disk.
fn killed(member: u16, log_end: u64) -> Disk {
    Disk {
        member,
        incarnation: 1,
        epoch: 0,
        history: history(&[(0, 3, 0)]),
        log_end,
        peers: vec![mark(member, 8)],
        recoveries: Vec::new(),
    }
}

fn plan(voters: u16, disks: &[Disk]) -> Result<ForcedRecovery, ForcedError> {
    let voters: Vec<MemberId> = (1..=voters).map(MemberId).collect();
    let survivors: Vec<Survivor<'_>> = disks.iter().map(Disk::survivor).collect();
    plan_forced_recovery(&voters, &survivors)
}

fn forced(epoch: u32, chosen: u16) -> ForcedRecovery {
    let (epoch, chosen) = (RecoveryEpoch(epoch), MemberId(chosen));
    ForcedRecovery { epoch, chosen, ..ForcedRecovery::default() }
}

#[test]
fn cd10_the_best_vote_key_of_a_majority_is_kept() {
    let disks = [killed(1, 64), killed(2, 96), killed(3, 80)];
    let expected = ForcedRecovery {
        epoch: RecoveryEpoch(1),
        term: Term(3),
        chosen: MemberId(2),
        kept: Position(96),
        promised: Position(96),
    };
    assert_eq!(plan(3, &disks), Ok(expected));
    let [one, two, three] = disks;
    assert_eq!(plan(3, &[three.clone(), two.clone(), one.clone()]), Ok(expected));
    // Nobody ever led: there is nothing to keep, and no older copy of anything.
    let blank = |member| Disk { history: TermHistory::default(), ..killed(member, 0) };
    let found = plan(3, &[blank(1), blank(3)]).unwrap();
    assert_eq!((found.chosen, found.kept, found.term), (MemberId(1), Position(0), Term(0)));
    // Without the best one more is lost; of those alike the first is taken.
    assert_eq!(plan(3, &[one.clone(), three]).unwrap().kept, Position(80));
    let alike = plan(3, &[killed(3, 64), one.clone()]).unwrap();
    assert_eq!((alike.chosen, alike.kept), (MemberId(1), Position(64)));
    // A later term that is reached outweighs bytes, and one that is not reached does not; but the
    // decree has to know of it.
    let newer = Disk { history: history(&[(0, 3, 0), (0, 5, 72)]), ..killed(1, 72) };
    let found = plan(3, &[newer, two.clone()]).unwrap();
    assert_eq!((found.chosen, found.kept, found.term), (MemberId(1), Position(72), Term(5)));
    let unreached = Disk { history: history(&[(0, 3, 0), (0, 5, 72)]), ..one };
    let found = plan(3, &[unreached, two]).unwrap();
    assert_eq!((found.chosen, found.kept, found.term), (MemberId(2), Position(96), Term(5)));
}

#[test]
fn cd10_what_is_known_to_be_promised_is_what_records_tell_and_the_kept_log_does_not_disown() {
    let promised = |peers: Vec<PeerRecord>| {
        let two = Disk { history: history(&[(0, 3, 0), (0, 6, 88)]), ..killed(2, 96) };
        let one = Disk { peers, ..killed(1, 64) };
        plan(3, &[one, two]).unwrap().promised.0
    };
    assert_eq!(promised(vec![mark(1, 8)]), 96, "at least what is kept");
    assert_eq!(promised(vec![mark(1, 4_000)]), 4_000);
    assert_eq!(promised(vec![mark(1, u64::MAX)]), 96, "an earlier version states everything");
    assert_eq!(promised(vec![mark(1, 8), note(life(3, 1, 5), 6, 4_096)]), 4_096);
    assert_eq!(promised(vec![mark(1, 8), note(life(3, 1, 5), 3, 4_096)]), 96, "cut by term 6");
}

#[test]
fn cd10_nothing_is_forced_that_goes_by_itself_or_was_done() {
    let clean = |member, log_end| Disk { peers: Vec::new(), ..killed(member, log_end) };
    let [one, two, three] = [killed(1, 64), killed(2, 96), killed(3, 80)];
    let both = [clean(1, 64), clean(3, 80), two.clone()];
    assert_eq!(plan(3, &both), Err(ForcedError::NotNeeded { unimpaired: 2 }));
    assert!(
        plan(3, &[clean(1, 64), two.clone(), three.clone()]).is_ok(),
        "one is too few of three"
    );
    assert_eq!(
        plan(2, &[clean(1, 64), two.clone()]),
        Err(ForcedError::NotNeeded { unimpaired: 1 })
    );
    let done = |disk: &Disk| Disk { epoch: 1, recoveries: vec![forced(1, 2)], ..disk.clone() };
    let all = [done(&one), done(&two), done(&three)];
    assert_eq!(plan(3, &all), Err(ForcedError::Done { epoch: RecoveryEpoch(1) }));
    // The chosen one is lost as well: once more, without it.
    let again = plan(3, &[done(&one), done(&three)]).unwrap();
    assert_eq!((again.epoch, again.chosen), (RecoveryEpoch(2), MemberId(3)));
    // It led since: what it led may be lost in its turn.
    let led = Disk { history: history(&[(0, 3, 0), (1, 4, 96)]), ..done(&two) };
    let again = plan(3, &[done(&one), led]).unwrap();
    assert_eq!((again.epoch, again.chosen, again.term), (RecoveryEpoch(2), MemberId(2), Term(4)));
}

#[test]
fn cd10_an_interrupted_recovery_is_planned_anew_and_never_shares_an_epoch() {
    let prepared = |disk: Disk| Disk { recoveries: vec![forced(1, 2)], ..disk };
    let raised = |disk: Disk| Disk { epoch: 1, ..prepared(disk) };
    let [one, two, three] = [killed(1, 64), killed(2, 96), killed(3, 80)];
    // In all directories it was prepared before the first was raised, and majorities meet.
    let half = [raised(one.clone()), prepared(two.clone()), prepared(three.clone())];
    assert_eq!(plan(3, &half).unwrap().epoch, RecoveryEpoch(2));
    let rest = [prepared(two.clone()), prepared(three.clone())];
    assert_eq!(plan(3, &rest).unwrap().epoch, RecoveryEpoch(2));
    // Nor is it one of the same number that another majority had begun to prepare.
    let other = Disk { recoveries: vec![forced(1, 3)], ..three.clone() };
    let left = ForcedError::LeftBehind {
        member: MemberId(3),
        epoch: RecoveryEpoch(0),
        newest: RecoveryEpoch(1),
    };
    assert_eq!(plan(3, &[raised(one.clone()), other]), Err(left));
    // Who had no part in it stays behind.
    let expected = ForcedError::LeftBehind {
        member: MemberId(3),
        epoch: RecoveryEpoch(0),
        newest: RecoveryEpoch(1),
    };
    assert_eq!(plan(3, &[raised(one), raised(two), three]), Err(expected));
}

#[test]
fn cd10_directories_that_are_not_a_majoritys_last_ones_are_refused() {
    let [one, two] = [killed(1, 64), killed(2, 96)];
    let few = ForcedError::TooFew { given: 1, needed: 2, voters: 3 };
    assert_eq!(plan(3, core::slice::from_ref(&one)), Err(few));
    let few = ForcedError::TooFew { given: 2, needed: 3, voters: 5 };
    assert_eq!(plan(5, &[one.clone(), two.clone()]), Err(few));
    assert_eq!(
        plan(3, &[one.clone(), killed(9, 8)]),
        Err(ForcedError::Stranger { member: MemberId(9) })
    );
    assert_eq!(
        plan(3, &[one.clone(), two.clone(), one.clone()]),
        Err(ForcedError::Twice { member: MemberId(1) })
    );
    let wiped = Disk { incarnation: 2, peers: Vec::new(), ..killed(1, 64) };
    assert_eq!(plan(3, &[wiped, two.clone()]), Err(ForcedError::Applicant { member: MemberId(1) }));
    let own = mark(2, 8);
    for (known, is_former) in [
        (note(life(1, 1, 5), 3, 64), false),
        (note(life(1, 1, 4), 3, 64), false),
        (note(life(1, 1, 6), 3, 64), true),
        (note(life(1, 2, 1), 3, 0), true),
        (note(life(1, 1, 5), 3, 72), true),
        // It lost something once, and nobody has said that it has it again.
        (PeerRecord { acknowledged_in: BootEpoch(0), ..note(life(1, 1, 5), 3, 8) }, true),
    ] {
        let two = Disk { peers: vec![own, known], ..two.clone() };
        let found = plan(3, &[one.clone(), two]);
        let former = ForcedError::Former { member: MemberId(1), by: MemberId(2) };
        assert_eq!(found.err(), is_former.then_some(former), "{known:?}");
    }
}
