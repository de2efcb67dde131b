use super::*;
use crate::dice::Dice;

type SwapOperation = Operation<u64, u64>;

const STEPS_MAX: u64 = 1_000_000;

fn swap(session: u64, times: (u64, u64), input: u64, output: u64) -> SwapOperation {
    let (invoked, returned) = times;
    Operation { session, invoked, returned: Some(returned), input, output: Some(output) }
}

/// A history of `count` swaps by `sessions` sessions that a register of each of `keys` keys did.
fn honest(seed: u64, count: u64, sessions: u64, keys: u64) -> Vec<SwapOperation> {
    let dice = &mut Dice::new(seed, "history");
    let mut registers = vec![0; keys as usize];
    let mut free_at = vec![0; sessions as usize];
    let mut history: Vec<SwapOperation> = (1..=count)
        .map(|at| {
            // It is done at `1_000 * at`, somewhere between invocation and return.
            let session = dice.below(sessions);
            let done = 1_000 * at;
            let free = &mut free_at[session as usize];
            let invoked = (done - dice.below(done.min(4_000 * sessions))).max(*free);
            let returned = done + dice.below(4_000 * sessions);
            *free = done + 1;
            let key = dice.below(keys);
            let input = at * keys + key;
            let register = &mut registers[key as usize];
            let output = core::mem::replace(register, input);
            swap(session, (invoked, returned), input, output)
        })
        .collect();
    for operation in &mut history {
        match dice.below(20) {
            0 => operation.output = None,
            1 => (operation.returned, operation.output) = (None, None),
            _ => {}
        }
    }
    history
}

fn verdict(history: &[SwapOperation], keys: u64) -> Verdict {
    check_by_key(&Swap { initial: 0 }, history, |input| input % keys, STEPS_MAX)
}

#[test]
fn one_at_a_time_is_valid_and_a_value_from_the_past_is_not() {
    let mut history = vec![swap(1, (0, 1), 10, 0), swap(2, (2, 3), 20, 10)];
    assert_eq!(check(&Swap::default(), &history, STEPS_MAX), Verdict::Valid);
    history.push(swap(1, (4, 5), 30, 10));
    assert_eq!(
        check(&Swap::default(), &history, STEPS_MAX),
        Verdict::Invalid { operation: 2 },
        "20 was lost"
    );
}

#[test]
fn operations_that_overlap_may_take_either_order_and_others_may_not() {
    let history = |second| vec![swap(1, (0, 10), 10, 20), swap(2, second, 20, 0)];
    assert_eq!(check(&Swap::default(), &history((5, 15)), STEPS_MAX), Verdict::Valid);
    let after = check(&Swap::default(), &history((11, 15)), STEPS_MAX);
    assert!(matches!(after, Verdict::Invalid { .. }), "{after:?}");
}

#[test]
fn a_session_keeps_its_order_even_where_its_operations_overlap() {
    let history = |session| vec![swap(1, (0, 10), 10, 20), swap(session, (5, 15), 20, 0)];
    assert_eq!(check(&Swap::default(), &history(2), STEPS_MAX), Verdict::Valid);
    let same = check(&Swap::default(), &history(1), STEPS_MAX);
    assert!(matches!(same, Verdict::Invalid { .. }), "{same:?}");
}

#[test]
fn what_never_returned_may_have_been_done_at_any_time_or_never() {
    let lost = Operation { session: 1, invoked: 0, returned: None, input: 10, output: None };
    for output in [0, 10] {
        let history = [lost, swap(2, (5, 6), 20, output)];
        assert_eq!(check(&Swap::default(), &history, STEPS_MAX), Verdict::Valid);
    }
    let history = [swap(2, (5, 6), 20, 10), Operation { invoked: 7, ..lost }];
    assert!(matches!(check(&Swap::default(), &history, STEPS_MAX), Verdict::Invalid { .. }));
}

#[test]
fn a_register_is_read_written_and_compared() {
    use RegisterCall::{CompareAndSet, Read, Write};
    let call = |session, times: (u64, u64), input, output| {
        let (invoked, returned) = (times.0, Some(times.1));
        Operation { session, invoked, returned, input, output: Some(output) }
    };
    let history = [
        call(1, (0, 9), Write(1), 1),
        call(2, (1, 8), CompareAndSet(1, 2), 1),
        call(3, (2, 3), Read, 0),
        call(3, (10, 11), Read, 2),
    ];
    assert_eq!(check(&Register::default(), &history, STEPS_MAX), Verdict::Valid);
    let mut stale = history;
    stale[3].output = Some(1);
    let verdict = check(&Register::default(), &stale, STEPS_MAX);
    assert_eq!(verdict, Verdict::Invalid { operation: 3 });
}

#[test]
fn honest_histories_pass_whatever_the_seed() {
    for seed in 0..200 {
        let keys = 1 + seed % 3;
        let history = honest(seed, 60, 1 + seed % 6, keys);
        assert_eq!(verdict(&history, keys), Verdict::Valid, "seed {seed}");
    }
}

#[test]
fn ten_thousand_operations_are_judged_soon() {
    for (sessions, keys) in [(4, 1), (8, 16)] {
        let mut history = honest(7, 10_000, sessions, keys);
        assert_eq!(verdict(&history, keys), Verdict::Valid, "{sessions} sessions, {keys} keys");
        let late = history.iter().rposition(|operation| operation.output.is_some());
        history[late.unwrap()].output = Some(1);
        assert!(matches!(verdict(&history, keys), Verdict::Invalid { .. }));
    }
}

/// Ways to spoil a history: each makes it wrong whatever the rest of it is.
fn spoil(history: &mut Vec<SwapOperation>, dice: &mut Dice, way: u64) -> bool {
    let known: Vec<usize> = (0..history.len())
        .filter(|index| history[*index].output.is_some() && history[*index].returned.is_some())
        .collect();
    let one = dice.pick(&known);
    match way {
        // A value that nobody ever put in.
        0 => history[one].output = Some(u64::MAX),
        // Done twice: two see the same value before them.
        1 => {
            let end = 10_000_000;
            let again = Operation { invoked: end, returned: Some(end + 1), ..history[one] };
            let again = Operation { session: u64::MAX, input: u64::MAX, ..again };
            history.push(again);
        }
        // Its own value before itself.
        2 => history[one].output = Some(history[one].input),
        // It saw what was only put in after it had returned.
        _ => {
            let returned = history[one].returned.unwrap_or(u64::MAX);
            let Some(later) = history.iter().find(|later| later.invoked > returned) else {
                return false;
            };
            history[one].output = Some(later.input);
        }
    }
    true
}

#[test]
fn spoilt_histories_fail_whatever_the_seed() {
    let mut judged = 0;
    for seed in 0..400 {
        let dice = &mut Dice::new(seed, "spoil");
        let mut history = honest(seed, 40, 1 + seed % 5, 1);
        if spoil(&mut history, dice, seed % 4) {
            judged += 1;
            let verdict = verdict(&history, 1);
            assert!(matches!(verdict, Verdict::Invalid { .. }), "seed {seed}: {verdict:?}");
        }
    }
    assert!(judged > 300, "{judged}");
}

/// Every order of a small history, tried one after the other.
fn brute_force(history: &[SwapOperation]) -> bool {
    fn place(history: &[SwapOperation], done: &mut Vec<usize>, state: u64) -> bool {
        let left = |index: &usize| !done.contains(index);
        let left: Vec<usize> = (0..history.len()).filter(left).collect();
        if left.iter().all(|index| history[*index].returned.is_none()) {
            return true;
        }
        left.iter().any(|&next| {
            let chosen = &history[next];
            let comes_before = |other: &usize| {
                let other = &history[*other];
                other.returned.is_some_and(|returned| returned < chosen.invoked)
            };
            let overtakes =
                |other: &usize| *other < next && history[*other].session == chosen.session;
            if left.iter().any(|other| *other != next && (comes_before(other) || overtakes(other)))
                || chosen.output.is_some_and(|output| output != state)
            {
                return false;
            }
            done.push(next);
            let found = place(history, done, chosen.input);
            done.pop();
            found
        })
    }
    place(history, &mut Vec::new(), 0)
}

#[test]
fn small_histories_are_judged_as_by_trying_all_orders() {
    let (mut valid, mut invalid) = (0, 0);
    for seed in 0..3_000 {
        let dice = &mut Dice::new(seed, "small");
        let count = dice.between(2, 6);
        let history: Vec<SwapOperation> = (1..=count)
            .map(|input| {
                let invoked = dice.below(12);
                let mut one = swap(dice.below(3), (invoked, invoked + dice.below(8)), input, 0);
                one.output = (!dice.chance(100_000)).then(|| dice.below(count));
                if dice.chance(100_000) {
                    (one.returned, one.output) = (None, None);
                }
                one
            })
            .collect();
        // A session's operations stand in the order of their invocations.
        let mut history = history;
        history.sort_by_key(|operation| operation.invoked);
        let expected = brute_force(&history);
        let found = check(&Swap::default(), &history, STEPS_MAX);
        assert_eq!(found == Verdict::Valid, expected, "seed {seed}: {history:?}");
        if expected { valid += 1 } else { invalid += 1 }
    }
    assert!(valid > 100 && invalid > 100, "{valid} and {invalid}");
}

#[test]
fn a_limit_of_steps_ends_with_no_verdict() {
    let history = honest(3, 50, 4, 1);
    assert_eq!(check(&Swap::default(), &history, 5), Verdict::Unknown);
}
