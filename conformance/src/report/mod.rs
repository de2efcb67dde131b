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

/// What a failure is told in: the rule, the story, and the command that repeats it.
#[must_use]
pub fn three_lines(case: &CaseReport) -> [String; 3] {
    let observer = case.observer.as_ref().map_or_else(String::new, |id| format!(", {id}"));
    let reason = case.reason.as_deref().unwrap_or("no reason was given");
    let steps = case.story.as_ref().map(crate::Story::steps).unwrap_or_default();
    let story = if steps.is_empty() {
        reason.to_owned()
    } else {
        format!("{}; then: {reason}", steps.join("; "))
    };
    [
        format!("rule    {}{observer}: {}", case.id, case.rule),
        format!("story   {story}"),
        format!("repeat  {}", case.repeat),
    ]
}
