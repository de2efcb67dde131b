//! Small explorations, and rules that speak.

use super::machine::MEMBERS;
use super::rules::{Ghost, Mark, Summary, falls, look, vote};
use super::*;
use quorate_core::{BootEpoch, Chain, Life, MemberId, Position, Role, Term, View, Vote};

#[test]
fn two_terms_in_any_order_break_no_rule() {
    let explored = explore(Bounds::ANY_ORDER, |_| {});
    assert_eq!(explored.violation, None);
    assert!(explored.complete);
    let coverage = &explored.coverage;
    assert_eq!((coverage.led_max, coverage.committed_max), (2, 2));
    assert!(explored.states > 100_000, "only {} states", explored.states);
    for what in ["vote granted", "canvass refused", "history", "acknowledgement", "live data"] {
        assert!(coverage.taken.contains_key(what), "nobody takes in: {what}");
    }
}

#[test]
fn a_crash_anywhere_in_two_terms_breaks_no_rule() {
    let explored = explore(Bounds::ONE_CRASH, |_| {});
    assert_eq!(explored.violation, None);
    assert!(explored.complete);
    let coverage = &explored.coverage;
    assert_eq!(coverage.led_max, 2);
    assert!(coverage.committed_max >= 3, "entries of both terms are committed");
    assert!(coverage.cuts > 0 && coverage.crashes_within > 0 && coverage.taken["start"] > 0);
}

#[test]
fn losses_repeats_and_holds_happen_where_they_may() {
    let once = Bounds { terms: 1, crashes: 0, timeouts: 1, ..Bounds::ONE_CRASH };
    for (bounds, what) in [
        (Bounds { losses: Some(1), ..once }, "loss"),
        (Bounds { late: 1, ..once }, "late or repeated"),
        (Bounds { holds: Some(1), ..once }, "hold of ways"),
        (Bounds { losses: Some(1), holds: None, entries: 0, ..once }, "loss"),
        (Bounds { changes: 1, ..once }, "demotion"),
    ] {
        let explored = explore(bounds, |_| {});
        assert_eq!(explored.violation, None, "{bounds:?}");
        assert!(explored.complete && explored.coverage.taken.contains_key(what), "{what}");
    }
}

#[test]
fn the_same_bounds_give_the_same_exploration_and_one_that_is_cut_short_says_so() {
    let short = Bounds { states_max: 2_000, ..Bounds::ONE_CRASH };
    let [one, other] = [short, short].map(|bounds| explore(bounds, |_| {}));
    assert!(!one.complete && one.violation.is_none());
    assert_eq!((one.states, one.transitions), (other.states, other.transitions));
    assert_eq!(one.coverage, other.coverage);
}

fn mark(end: u64, term: u64, chain: u64) -> Mark {
    Mark { end: Position(end), term: Term(term), chain: Chain(chain) }
}

/// A member that has this log durably, and knows it to be committed up to `commit`.
fn member(id: u16, frames: &[Mark], commit: u64) -> Summary {
    Summary {
        is_up: true,
        life: Life { member: MemberId(id), boot_epoch: BootEpoch(1), ..Life::default() },
        role: Role::Follower,
        term: Term(1),
        serving: false,
        commit: Position(commit),
        applied: (Position::ZERO, 0),
        frames: frames.to_vec(),
        durable: frames.last().map_or(Position::ZERO, |last| last.end),
        can_lapse: false,
        can_tick: false,
        under_way: 0,
    }
}

fn rule(ghost: &mut Ghost, all: [&Summary; MEMBERS], changed: usize) -> Option<&'static str> {
    look(ghost, all, changed, false).map(|violation| violation.rule)
}

#[test]
fn each_rule_speaks() {
    let log = [mark(8, 1, 5), mark(16, 1, 6)];
    let [a, b, c] = [1, 2, 3].map(|id| member(id, &log, 16));
    let mut ghost = Ghost::default();
    assert_eq!(rule(&mut ghost, [&a, &b, &c], 0), None);
    assert_eq!(ghost.committed.len(), 2);

    let other = member(1, &[mark(8, 2, 9)], 8);
    assert_eq!(rule(&mut ghost.clone(), [&other, &b, &c], 0), Some("S7"));
    let other = member(1, &[log[0], mark(16, 1, 9)], 0);
    assert_eq!(rule(&mut ghost.clone(), [&other, &b, &c], 0), Some("S5"));
    let short = |id| member(id, &log[..1], 0);
    assert_eq!(rule(&mut ghost.clone(), [&short(1), &b, &short(3)], 0), Some("S8"));
    let leader = Summary { role: Role::Leader, term: Term(2), ..short(1) };
    assert_eq!(rule(&mut ghost.clone(), [&leader, &b, &c], 0), Some("S9"));
    let applied = |digest| Summary { applied: (Position(16), digest), ..b.clone() };
    assert_eq!(rule(&mut ghost.clone(), [&applied(1), &applied(2), &c], 0), Some("S16"));
    let leads = |one: &Summary| Summary { role: Role::Leader, ..one.clone() };
    assert_eq!(rule(&mut ghost, [&leads(&a), &b, &c], 0), None);
    assert_eq!(rule(&mut ghost, [&a, &leads(&b), &c], 1), Some("S1"));
}

#[test]
fn a_vote_is_never_replaced_in_its_term() {
    let [one, two] = [1, 2].map(|id| Vote { term: Term(3), granted_to: Some(MemberId(id)) });
    assert_eq!(vote(one, two).map(|violation| violation.rule), Some("S2"));
    assert_eq!(vote(one, Vote { term: Term(4), ..two }), None);
    assert_eq!(vote(Vote { granted_to: None, ..one }, one), None);
    assert_eq!(vote(one, Vote { term: Term(2), ..one }).map(|it| it.rule), Some("S2"));
}

#[test]
fn within_a_life_nothing_falls() {
    let view = |term, commit, applied| View {
        term: Term(term),
        commit: Position(commit),
        applied: Position(applied),
        ..View::default()
    };
    let before = view(2, 16, 8);
    assert_eq!(falls(&before, &view(2, 16, 8)), None);
    assert_eq!(falls(&before, &view(3, 24, 16)), None);
    for after in [view(1, 16, 8), view(2, 8, 8), view(2, 16, 0)] {
        assert_eq!(falls(&before, &after).map(|violation| violation.rule), Some("S10"));
    }
}
