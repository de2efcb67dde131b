//! Reports of runs: JSON for machines, JUnit for build servers, Markdown for pull requests, and one
//! HTML file for people.

mod html;
mod junit;
mod markdown;

pub use html::html;
pub use junit::junit;
pub use markdown::{count, markdown};

use crate::runner::{CaseReport, Outcome};

impl Outcome {
    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::NonStrict => "non-strict",
            Self::Fail => "FAIL",
            Self::ExpectedFail => "expected fail",
            Self::Skipped => "skipped",
            Self::NotApplicable => "n/a",
            Self::Unimplemented => "unimplemented",
            Self::Unknown => "unknown",
            Self::Error => "error",
        }
    }

    /// All outcomes, in the order in which they are counted out.
    pub const ALL: [Self; 9] = [
        Self::Pass,
        Self::NonStrict,
        Self::Fail,
        Self::ExpectedFail,
        Self::Skipped,
        Self::NotApplicable,
        Self::Unimplemented,
        Self::Unknown,
        Self::Error,
    ];
}

/// Bytes of the steps of a story that is told in a line, at most.
const STEPS_BYTES_MAX: usize = 240;
/// Characters of the reason in such a story, at most; reports have all of it.
const REASON_CHARACTERS_MAX: usize = 240;

/// What a failure is told in: the rule, the story, and the command that repeats it.
#[must_use]
pub fn three_lines(case: &CaseReport) -> [String; 3] {
    let observer = case.observer.as_ref().map_or_else(String::new, |id| format!(", {id}"));
    let reason = in_short(case.reason.as_deref().unwrap_or("no reason was given"));
    let steps = case.story.as_ref().map(crate::Story::steps).unwrap_or_default();
    let last = last_steps(&steps);
    let chosen = match case.counters.get(crate::ALIKE) {
        Some(alike) => format!("(the shortest of {alike} seeds that fail alike) "),
        None => String::new(),
    };
    let before = match steps.len() - last.len() {
        0 => String::new(),
        1 => "(a step before) ".to_owned(),
        more => format!("({more} steps before) "),
    };
    let story = if last.is_empty() {
        reason
    } else {
        format!("{chosen}{before}{}; then: {reason}", last.join("; "))
    };
    [
        format!("rule    {}{observer}: {}", case.id, case.rule),
        format!("story   {story}"),
        format!("repeat  {}", case.repeat),
    ]
}

/// The last steps that are short enough together to be read in a line, and at least one.
fn last_steps(steps: &[String]) -> &[String] {
    let mut bytes = 0;
    let fit = steps.iter().rev().take_while(|step| {
        bytes += step.len();
        bytes <= STEPS_BYTES_MAX
    });
    let count = fit.count().max(1).min(steps.len());
    &steps[steps.len() - count..]
}

/// A reason as part of a line: without its line ends, and without its end if it is long.
fn in_short(reason: &str) -> String {
    let line: Vec<&str> = reason.split_whitespace().collect();
    let line = line.join(" ");
    if line.chars().count() <= REASON_CHARACTERS_MAX {
        return line;
    }
    line.chars().take(REASON_CHARACTERS_MAX).chain(" …".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_in_a_line_has_its_last_steps_and_says_how_many_were_before() {
        let steps: Vec<String> =
            (0..30).map(|step| format!("does {step}{}", "!".repeat(50))).collect();
        let last = last_steps(&steps);
        assert!((1..=5).contains(&last.len()) && last.last() == steps.last(), "{last:?}");
        assert_eq!(last_steps(&["x".repeat(1_000)]).len(), 1);
        assert_eq!(last_steps(&steps[..2]).len(), 2);
        assert!(last_steps(&[]).is_empty());
    }

    #[test]
    fn a_reason_in_a_line_is_one_and_short() {
        assert_eq!(in_short("panic:\n  at  once\n"), "panic: at once");
        let short = in_short(&"word ".repeat(1_000));
        assert!(short.ends_with(" …") && short.chars().count() == REASON_CHARACTERS_MAX + 2);
    }
}
