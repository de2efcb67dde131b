//! For the tests of the groups: all of a group's cases against the core, in the quick profile.

use crate::case::{Case, Level};
use crate::runner::{Outcome, run_case};
use crate::subjects::Reference;
use crate::trial::Profile;

/// Runs them all; panics with the reasons of those that neither pass nor wait. What is for
/// information only is run for whoever asks for it.
pub(super) fn assert_all_pass(cases: &[Case]) {
    let binding = cases.iter().filter(|case| case.level != Level::Informational);
    let reports = binding.map(|case| run_case(&Reference, case, 1, Profile::Quick));
    let bad =
        reports.filter(|report| !matches!(report.outcome, Outcome::Pass | Outcome::NotApplicable));
    let reasons: Vec<String> = bad
        .map(|report| {
            let reason = report.reason.unwrap_or_default();
            format!("{} {:?}: {reason}", report.id, report.outcome)
        })
        .collect();
    assert!(reasons.is_empty(), "{}", reasons.join("\n"));
}
