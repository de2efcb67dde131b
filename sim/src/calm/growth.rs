//! L10: nothing grows from one window to the next: not what is sent, nor what is scheduled. The
//! queues and tables of members are watched by the observer `at_rest`.

use super::quiet::Window;

/// Datagrams and occurrences by which two windows may differ.
const SLACK: u64 = 64;

/// What grew, if something did and the log did not.
pub(super) fn between(first: &Window, second: &Window) -> Option<String> {
    if first.grown + second.grown > 0 {
        return None;
    }
    let more = |one: u64, other: u64| other > one + one / 20 + SLACK;
    let (one, other) = (&first.counts, &second.counts);
    let grows = more(one.all, other.all) || more(first.scheduled, second.scheduled);
    grows.then(|| {
        format!(
            "{} datagrams and {} occurrences, then {} and {}",
            one.all, first.scheduled, other.all, second.scheduled
        )
    })
}
