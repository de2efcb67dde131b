use super::*;
use crate::swarm::SECOND;

/// Three members and one client, and 1 s to settle.
fn all_well() -> Availability {
    all_well_with(0)
}

fn all_well_with(candidacy_delay: u64) -> Availability {
    let mut record = Availability::new(3, 1, Some(Promise { settling: SECOND, candidacy_delay }));
    for member in 0..3 {
        record.member(member, true, 0);
        (0..member).for_each(|other| record.link(member, other, true, 0));
    }
    record.client(0, true, 0);
    record
}

/// Lets a request be asked each 50 ms from `from` to `to`, each answered after `latency`, and
/// returns the windows that were judged in that time.
fn served(record: &mut Availability, (from, to): (u64, u64), latency: u64) -> Vec<Window> {
    let mut windows = Vec::new();
    for now in (from / MILLI..to / MILLI).map(|millis| millis * MILLI) {
        if now % (50 * MILLI) == 0 {
            record.asked(0, now);
        }
        if latency < SECOND && now % (50 * MILLI) == latency % (50 * MILLI) && now >= latency {
            record.answered(0, now);
        }
        if record.is_due(now) {
            windows.extend(record.look(now));
        }
    }
    windows
}

#[test]
fn a_group_that_answers_is_available_and_one_that_does_not_is_not() {
    let mut record = all_well();
    let windows = served(&mut record, (0, 5 * SECOND), MILLI);
    assert!(windows.len() > 15 && windows.iter().all(|window| window.is_available()));
    let windows = served(&mut record, (5 * SECOND, 8 * SECOND), 9 * SECOND);
    assert!(windows.iter().any(|window| !window.is_available()), "{windows:?}");
}

#[test]
fn nothing_is_asked_of_a_group_that_was_not_well_for_long_enough() {
    let mut record = all_well();
    let windows = served(&mut record, (0, 3 * SECOND), 9 * SECOND);
    assert!(windows.is_empty(), "the window and the time before it take three seconds");
    record.member(0, false, 0);
    record.member(1, false, 0);
    assert!(served(&mut record, (3 * SECOND, 9 * SECOND), 9 * SECOND).is_empty());
    record.member(0, true, 9 * SECOND);
    assert!(served(&mut record, (9 * SECOND, 12 * SECOND), 9 * SECOND).is_empty());
    assert!(!served(&mut record, (12 * SECOND, 13 * SECOND), 9 * SECOND).is_empty());
}

#[test]
fn a_quorum_counts_only_if_each_of_it_reaches_each_other() {
    let mut record = all_well();
    assert!(record.has_quorum_since(0, 0));
    record.link(0, 1, false, 0);
    assert!(record.has_quorum_since(0, 0), "0 and 2 are left");
    record.link(2, 1, false, 0);
    record.link(0, 2, false, 0);
    assert!(!record.has_quorum_since(0, 0));
    record.link(0, 2, true, 7);
    assert!(record.has_quorum_since(7, 0) && !record.has_quorum_since(6, 0));
    record.member(2, false, 0);
    assert!(!record.has_quorum_since(7, 0));
}

#[test]
fn whoever_leads_has_to_be_of_the_quorum() {
    let mut record = all_well();
    record.member(1, false, 0);
    record.leads(0, 3);
    assert!(record.has_quorum_since(0, 2));
    record.leads(1, 4);
    assert!(!record.has_quorum_since(0, 4), "the others are two of three, and do not lead");
    assert!(record.has_quorum_since(0, 5), "it leads no more");
    record.leads(2, 6);
    record.link(0, 2, false, 0);
    assert!(!record.has_quorum_since(0, 5));
}

#[test]
fn a_client_that_is_cut_off_or_new_proves_nothing() {
    let mut record = all_well();
    record.client(0, false, 0);
    assert!(served(&mut record, (0, 5 * SECOND), 9 * SECOND).is_empty());
    let mut record = all_well();
    served(&mut record, (0, 4 * SECOND), MILLI);
    record.replaced(0);
    let windows = served(&mut record, (4 * SECOND, 6 * SECOND), 9 * SECOND);
    assert!(windows.iter().all(|window| window.failed == 0));
}

#[test]
fn what_waits_behind_other_requests_is_counted_from_its_turn() {
    let mut record = all_well();
    // All at once, and one answer each half of a second.
    (0..20).for_each(|_| record.asked(0, 2 * SECOND));
    let mut windows = Vec::new();
    for step in 20..100 {
        let now = step * STEP;
        if step % 5 == 0 && step > 20 {
            record.answered(0, now);
        }
        windows.extend(record.look(now));
    }
    assert!(!windows.is_empty() && windows.iter().all(|window| window.is_available()));
}

#[test]
fn a_request_that_cannot_be_submitted_was_wanted_all_the_same() {
    let mut record = all_well();
    record.wants(0, 2 * SECOND);
    let windows: Vec<Window> = (20..40).filter_map(|step| record.look(step * STEP)).collect();
    assert!(windows.iter().any(|window| !window.is_available()), "{windows:?}");
    record.asked(0, 5 * SECOND);
    record.answered(0, 5 * SECOND);
    assert_eq!(record.clients[0].turn, None);
}

#[test]
fn one_of_a_hundred_may_fail() {
    assert!(Window { answered: 198, failed: 2 }.is_available());
    assert!(!Window { answered: 197, failed: 2 }.is_available());
    assert!(Window { answered: 99, failed: 1 }.is_available());
    assert!(!Window { answered: 98, failed: 1 }.is_available());
}

#[test]
fn members_that_let_others_go_first_are_waited_for() {
    let late = 1_400 * MILLI;
    for (delay, is_available) in [(0, false), (300 * MILLI, false), (350 * MILLI, true)] {
        let mut record = all_well_with(delay);
        record.wants(0, 2 * SECOND);
        let mut windows = Vec::new();
        for step in 20..80 {
            let now = step * STEP;
            if now == 2 * SECOND + late {
                record.asked(0, now);
                record.answered(0, now);
            }
            windows.extend(record.look(now));
        }
        assert!(!windows.is_empty());
        assert_eq!(windows.iter().all(|window| window.is_available()), is_available, "{delay}");
    }
}

#[test]
fn a_pair_has_one_place_whichever_comes_first() {
    let places: Vec<usize> =
        (0..7).flat_map(|high| (0..high).map(move |low| pair(low, high))).collect();
    assert_eq!(places, (0..21).collect::<Vec<_>>());
    assert_eq!(pair(5, 2), pair(2, 5));
}
