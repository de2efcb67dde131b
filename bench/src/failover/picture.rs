//! A histogram for a terminal.

use core::fmt::Write;

use crate::measure::Latencies;

/// Rows of a picture, at most, unless the outages differ by more than any step allows.
const ROWS_MAX: usize = 24;
/// Characters of the longest bar.
const BAR_WIDTH: u64 = 50;
/// Milliseconds of a row: the least that makes few enough rows.
const STEPS_MS: [u64; 9] = [1, 2, 5, 10, 20, 50, 100, 200, 500];
const NANOS_PER_MS: u64 = 1_000_000;

/// Rows that fit a terminal: how many milliseconds each stands for, and from when on how many.
pub(super) fn rows(outages: &Latencies) -> (u64, Vec<(u64, u64)>) {
    let mut chosen = (0, Vec::new());
    for step_ms in STEPS_MS {
        let steps = outages.steps(step_ms * NANOS_PER_MS);
        let in_ms = steps.iter().map(|(begins, count)| (begins / NANOS_PER_MS, *count));
        chosen = (step_ms, in_ms.collect());
        if chosen.1.len() <= ROWS_MAX {
            break;
        }
    }
    chosen
}

/// A line for each row, with a bar as long as there are many.
pub(super) fn drawn(step_ms: u64, rows: &[(u64, u64)]) -> String {
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or_default().max(1);
    let mut text = String::new();
    for (begins, count) in rows {
        let filled = (count * BAR_WIDTH).div_ceil(most) as usize;
        let (ends, bar) = (begins + step_ms, "█".repeat(filled));
        let drawn = writeln!(text, "{begins:>6} to {ends:>5} ms  {bar} {count}");
        debug_assert!(drawn.is_ok(), "a text takes all that is written");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_bar_for_each_step_between_the_least_and_the_most() {
        let mut outages = Latencies::new();
        for (millis, count) in [(201, 4), (204, 1), (262, 2)] {
            outages.record(millis * NANOS_PER_MS, count);
        }
        let (step, steps) = rows(&outages);
        assert_eq!(step, 5);
        assert_eq!((steps.len(), steps[0], steps[12]), (13, (200, 5), (260, 2)));
        let text = drawn(step, &steps);
        assert!(text.starts_with(&format!("   200 to   205 ms  {} 5\n", "█".repeat(50))), "{text}");
        assert!(text.contains("   205 to   210 ms   0\n"), "{text}");
        assert!(text.ends_with(&format!("   260 to   265 ms  {} 2\n", "█".repeat(20))), "{text}");
    }

    #[test]
    fn without_outages_there_is_nothing_to_draw() {
        let (step, steps) = rows(&Latencies::new());
        assert_eq!(drawn(step, &steps), "");
    }
}
