//! Small explorations.
use super::*;

fn small() -> Bounds {
    Bounds { terms: 1, entries: 1, crashes: 0, timeouts: 1, ticks: 1, ..Bounds::default() }
}

#[test]
fn one_term_without_faults_is_led_and_commits() {
    let explored = explore(small(), |_| {});
    assert_eq!(explored.violation, None);
    assert!(explored.complete);
    println!("{explored:?}");
    assert_eq!((explored.coverage.led_max, explored.coverage.committed_max), (1, 2));
}
