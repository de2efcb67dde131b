//! The shortest story of a case that fails: a script is what it is, but what is random in it comes
//! from a seed.

use crate::case::Case;
use crate::runner::{CaseReport, run_case};
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

/// Runs a case with the seeds from `seed` on, `seeds` at most or until `is_over`, and keeps the
/// shortest story of those that fail as the first of them does. `None` if that one does not fail.
pub fn shortest(
    subject: &dyn Subject,
    case: &Case,
    seed: u64,
    seeds: u64,
    mut is_over: impl FnMut() -> bool,
) -> Option<Shortest> {
    let first = run_case(subject, case, seed, Profile::Quick);
    if !first.outcome.is_bad() {
        return None;
    }
    let (failure, scenes_before) = (failure(&first), scenes(&first));
    let mut best = Shortest { report: first, scenes_before, tries: 1, alike: 1 };
    for other in (1..seeds).map(|number| seed.wrapping_add(number)) {
        if is_over() {
            break;
        }
        let report = run_case(subject, case, other, Profile::Quick);
        best.tries += 1;
        if report.outcome.is_bad() && self::failure(&report) == failure {
            best.alike += 1;
            if scenes(&report) < scenes(&best.report) {
                best.report = report;
            }
        }
    }
    Some(best)
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
    use crate::catalogue;
    use crate::subjects::{Broken, Mistake, Reference};

    #[test]
    fn a_case_that_holds_has_no_story_of_a_failure() {
        let case = catalogue::find("EL-01").expect("EL-01 is there");
        assert!(shortest(&Reference, case, 1, 3, || false).is_none());
    }

    #[test]
    fn the_shortest_of_the_stories_that_end_alike_is_kept() {
        let case = catalogue::find("NK-01").expect("NK-01 is there");
        let deaf = Broken(Mistake::Deaf);
        let alone = shortest(&deaf, case, 1, 1, || false).expect("it fails");
        let small = shortest(&deaf, case, 1, 6, || false).expect("it fails");
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
        let small = shortest(&Broken(Mistake::Deaf), case, 1, u64::MAX, || true);
        assert_eq!(small.expect("it fails").tries, 1);
    }
}
