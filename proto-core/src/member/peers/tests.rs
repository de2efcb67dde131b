//! Whose datagrams are heard, and who is known to have lost something.

use super::*;
use crate::identity::RecoveryEpoch;
use crate::term::{Chain, TermLine};

fn life(member: u16, incarnation: u32, boot_epoch: u64) -> Life {
    Life {
        member: MemberId(member),
        incarnation: Incarnation(incarnation),
        boot_epoch: BootEpoch(boot_epoch),
    }
}

#[test]
fn e93_former_lives_and_strangers_are_not_heard() {
    let mut peers = peers(&[]);
    assert_eq!(peers.hear(life(2, 1, 3)), Hearing::New);
    assert_eq!(peers.hear(life(2, 1, 3)), Hearing::Known);
    assert_eq!(peers.hear(life(2, 1, 2)), Hearing::Unheard);
    assert_eq!(peers.hear(life(2, 0, 4)), Hearing::Unheard);
    assert_eq!(peers.hear(life(2, 2, 1)), Hearing::Newcomer);
    assert_eq!(peers.hear(life(3, 1, 1)), Hearing::Unheard);
    assert_eq!(peers.hear(life(2, 1, 4)), Hearing::New);
}

#[test]
fn what_is_remembered_of_a_stranger_is_not_taken_for_the_own_mark() {
    let fallen = |member| PeerRecord {
        life: life(member, 1, 3),
        acknowledged_in: FALLEN,
        acknowledged: Position(64),
        ..PeerRecord::default()
    };
    assert!(!peers(&[fallen(3)]).doubt_is_saved());
    assert!(peers(&[fallen(1)]).doubt_is_saved());
}

fn peers(recovered: &[PeerRecord]) -> Peers {
    Peers::new([TWO].into_iter(), &come_up(recovered, history(&[])), Duration(1))
}

fn come_up(peers: &[PeerRecord], history: TermHistory) -> Recovered {
    let empty = Recovered::empty(life(1, 1, 5));
    Recovered { peers: peers.to_vec(), history, ..empty }
}

fn history(lines: &[(u64, u64)]) -> TermHistory {
    let line = |&(term, base): &(u64, u64)| TermLine {
        recovery_epoch: RecoveryEpoch(0),
        term: Term(term),
        base: Position(base),
        leader: Life::default(),
        chain: Chain(0),
    };
    TermHistory::new(lines.iter().map(line).collect()).unwrap()
}

const TWO: MemberId = MemberId(2);

/// Member 2 acknowledged up to 80 in term 1, and starts anew.
fn started_anew() -> Peers {
    let mut peers = peers(&[]);
    peers.hear(life(2, 1, 1));
    assert!(peers.acknowledge(TWO, Term(1), Position(80), Position(80)));
    assert!(peers.counts(TWO));
    peers.hear(life(2, 1, 2));
    peers
}

#[test]
fn df14_a_restored_old_image_does_not_count() {
    let mut peers = started_anew();
    assert!(!peers.acknowledge(TWO, Term(1), Position(72), Position(96)));
    assert!(!peers.counts(TWO));
    // What is remembered may be less than what it had acknowledged: all that is known counts.
    assert!(!peers.acknowledge(TWO, Term(1), Position(80), Position(104)));
    peers.take_records(Instant(0), Duration(1), life(1, 1, 1));
    assert!(peers.acknowledge(TWO, Term(1), Position(96), Position(112)));
    assert!(peers.counts(TWO));
    // Though it holds what the record said already, the record is another.
    assert!(peers.deadline().is_some());
    let records = peers.take_records(Instant(1), Duration(1), life(1, 1, 1));
    assert!(self::peers(&records).counts(TWO));
}

#[test]
fn df14_bytes_alone_do_not_make_an_image_whole() {
    let mut peers = started_anew();
    let key = |position| VoteKey { term: Term(1), position: Position(position) };
    assert!(!peers.examine(TWO, key(72), &history(&[(1, 0)]), Position(80)));
    // It may have voted, and forgotten it with the bytes.
    assert!(!peers.examine(TWO, key(80), &history(&[(1, 0)]), Position(80)));
    assert!(peers.acknowledge(TWO, Term(2), Position(80), Position(80)));
    assert!(peers.examine(TWO, key(80), &history(&[(1, 0)]), Position(80)));
}

#[test]
fn df14_what_was_noticed_is_remembered_over_a_restart() {
    let mut first = started_anew();
    let key = VoteKey { term: Term(1), position: Position(72) };
    assert!(!first.examine(TWO, key, &history(&[(1, 0)]), Position(96)));
    let records = first.take_records(Instant(0), Duration(1), life(1, 1, 1));
    let mut second = peers(&records);
    assert!(!second.counts(TWO));
    let key = VoteKey { term: Term(1), position: Position(96) };
    assert!(!second.examine(TWO, key, &history(&[(1, 0)]), Position(96)));
}

#[test]
fn df14_a_longer_image_of_an_older_term_is_noticed() {
    let mut peers = peers(&[]);
    peers.hear(life(2, 1, 1));
    peers.acknowledge(TWO, Term(2), Position(80), Position(80));
    peers.hear(life(2, 1, 2));
    let key = VoteKey { term: Term(1), position: Position(96) };
    // Below the base of the newer term it had nothing of it.
    assert!(peers.examine(TWO, key, &history(&[(1, 0), (2, 88)]), Position(80)));
    assert!(!peers.examine(TWO, key, &history(&[(1, 0), (2, 40)]), Position(80)));
}

#[test]
fn df14_a_new_history_explains_a_fall_to_where_it_differs_and_no_further() {
    let mut peers = started_anew();
    peers.cut(Position(64));
    assert!(!peers.acknowledge(TWO, Term(2), Position(56), Position(64)));
    let mut peers = started_anew();
    peers.cut(Position(64));
    assert!(peers.acknowledge(TWO, Term(2), Position(64), Position(96)));
}

#[test]
fn a_record_that_is_older_than_the_history_is_lowered_to_it() {
    let record = PeerRecord {
        life: life(2, 1, 1),
        term: Term(1),
        acknowledged: Position(80),
        acknowledged_in: BootEpoch(1),
    };
    let newer = history(&[(1, 0), (2, 64)]);
    let mut peers = Peers::new([TWO].into_iter(), &come_up(&[record], newer.clone()), Duration(1));
    peers.hear(life(2, 1, 2));
    let key = VoteKey { term: Term(1), position: Position(64) };
    assert!(peers.examine(TWO, key, &newer, Position(64)));
}
