//! Parts of somebody else.

use crate::case::{Failure, Script, Verdict};
use crate::runner::{Outcome, run_case};
use crate::subjects::Text;
use crate::trial::{Profile, Trial};

/// Cases that play with a group, on members whose codec is not this project's: one of each group of
/// the catalogue, and all of them in the strict profile.
pub(super) fn ad_34(trial: &mut Trial<'_>) -> Verdict {
    let whole = trial.profile() == Profile::Strict;
    let mut last = "";
    for case in crate::catalogue::all() {
        let plays = matches!(case.script, Script::Cluster(_));
        if !plays || (!whole && (!case.quick || case.group() == last)) {
            continue;
        }
        last = case.group();
        let report = run_case(&Text, case, trial.seed(), Profile::Quick);
        match report.outcome {
            Outcome::Pass => trial.count("cases on text", 1),
            Outcome::NotApplicable | Outcome::NonStrict => {}
            _ => {
                let reason = report.reason.unwrap_or_default();
                return Err(Failure::broken(format!("{} on text: {reason}", case.id)));
            }
        }
    }
    Ok(())
}
