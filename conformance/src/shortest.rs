//! The shortest story of a case that fails: a script is what it is, but what is random in it comes
//! from a seed.

use crate::case::Case;
use crate::runner::{CaseReport, Outcome, run_case};
use crate::subject::Subject;
use crate::trial::Profile;

/// The shortest story that was found.
#[derive(Clone, Debug)]
pub struct Shortest {
    /// The run that tells it.
    pub report: CaseReport,
    /// Scenes of the story that was begun with.
    pub scenes_before: usize,
    /// How many seeds were tried.
    pub tries: u64,
    /// How many of them failed alike.
    pub alike: u64,
}

/// The counter of a report that is told with another seed's shorter story: how many seeds failed
/// alike, that of the run itself among them.
pub const ALIKE: &str = "seeds that fail alike";

/// Runs a case with the seeds from `seed` on, `seeds` at most or until `is_over`, and keeps the
/// shortest story of those that fail as the first of them does. `None` if that one does not fail.
pub fn shortest(
    subject: &dyn Subject,
    case: &Case,
    seed: u64,
    seeds: u64,
    profile: Profile,
    is_over: impl FnMut() -> bool,
) -> Option<Shortest> {
    let first = run_case(subject, case, seed, profile);
    fails(&first, profile).then(|| shorter(subject, case, first, seeds, profile, is_over))
}

/// The shortest story of those that fail as `first` does, with it and the seeds behind its own,
/// `seeds` at most or until `is_over`.
pub fn shorter(
    subject: &dyn Subject,
    case: &Case,
    first: CaseReport,
    seeds: u64,
    profile: Profile,
    mut is_over: impl FnMut() -> bool,
) -> Shortest {
    let (failure, scenes_before, seed) = (failure(&first), scenes(&first), first.seed);
    let mut best = Shortest { report: first, scenes_before, tries: 1, alike: 1 };
    for other in (1..seeds).map(|number| seed.wrapping_add(number)) {
        if is_over() {
            break;
        }
        let report = run_case(subject, case, other, profile);
        best.tries += 1;
        if fails(&report, profile) && self::failure(&report) == failure {
            best.alike += 1;
            if scenes(&report) < scenes(&best.report) {
                best.report = report;
            }
        }
    }
    best
}

/// Whether a run of this profile fails with such a report.
fn fails(report: &CaseReport, profile: Profile) -> bool {
    let is_strict = profile == Profile::Strict;
    report.outcome.is_bad() || is_strict && report.outcome == Outcome::NonStrict
}

/// How many scenes a story has, those that were left out too.
fn scenes(report: &CaseReport) -> usize {
    report.story.as_ref().map_or(0, |story| story.scenes.len() + story.left_out)
}

/// What failed: the observer, or else the reason without its numbers, which differ by the seed.
fn failure(report: &CaseReport) -> String {
    report.observer.clone().unwrap_or_else(|| {
        let reason = report.reason.as_deref().unwrap_or_default();
        reason.chars().filter(|character| !character.is_ascii_digit()).take(40).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Failure;
    use crate::catalogue;
    use crate::subjects::{Broken, Mistake, Reference};

    #[test]
    fn a_case_that_holds_has_no_story_of_a_failure() {
        let case = catalogue::find("EL-01").expect("EL-01 is there");
        assert!(shortest(&Reference, case, 1, 3, Profile::Quick, || false).is_none());
    }

    #[test]
    fn the_shortest_of_the_stories_that_end_alike_is_kept() {
        let case = catalogue::find("NK-01").expect("NK-01 is there");
        let deaf = Broken(Mistake::Deaf);
        let alone = shortest(&deaf, case, 1, 1, Profile::Quick, || false).expect("it fails");
        let small = shortest(&deaf, case, 1, 6, Profile::Quick, || false).expect("it fails");
        assert_eq!((alone.tries, small.tries), (1, 6));
        assert!(small.alike > 1 && small.alike <= small.tries, "{}", small.alike);
        assert_eq!(failure(&small.report), failure(&alone.report));
        assert!(scenes(&small.report) <= small.scenes_before);
        let again = run_case(&deaf, case, small.report.seed, Profile::Quick);
        assert_eq!(scenes(&again), scenes(&small.report));
    }

    #[test]
    fn it_ends_when_it_is_told_to() {
        let case = catalogue::find("NK-01").expect("NK-01 is there");
        let small = shortest(&Broken(Mistake::Deaf), case, 1, u64::MAX, Profile::Quick, || true);
        assert_eq!(small.expect("it fails").tries, 1);
    }

    #[test]
    fn a_should_that_is_missed_is_a_failure_of_a_strict_run_only() {
        const MISSED: Case = Case::cluster("ZZ-01", "missed", "It is always missed.", |_| {
            Err(Failure::broken("missed"))
        })
        .should();
        let one = |profile| shortest(&Reference, &MISSED, 1, 1, profile, || false);
        assert!(one(Profile::Quick).is_none() && one(Profile::Standard).is_none());
        assert_eq!(one(Profile::Strict).expect("it is missed").tries, 1);
    }
}
