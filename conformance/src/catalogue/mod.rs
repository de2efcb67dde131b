//! All cases, by group.

mod ad;
mod bi;
mod cd;
mod cl;
mod cu;
mod cv;
mod df;
mod el;
mod fc;
mod ls;
mod mb;
mod nk;
#[cfg(test)]
mod proof;
mod rb;
mod rd;
mod sn;
mod sn_fetches;
mod sn_members;
mod tm;
mod tn;

use crate::case::{Case, Verdict};
use crate::trial::Trial;

/// The groups in the order of the catalogue, each with its cases in the order of their numbers.
const GROUPS: &[&[Case]] = &[
    el::CASES,
    ls::CASES,
    cd::CASES,
    nk::CASES,
    fc::CASES,
    sn::CASES,
    mb::CASES,
    cu::CASES,
    tn::CASES,
    cl::CASES,
    rd::CASES,
    tm::CASES,
    cv::CASES,
    bi::CASES,
    rb::CASES,
    ad::CASES,
    df::CASES,
];

/// A script that plays with a group of members.
type WithMembers = fn(&Trial<'_>) -> Verdict;

/// Cases that call the core directly and can be shown with members of any other subject as well.
const WITH_MEMBERS: [(&str, WithMembers); 15] = [
    ("CD-05", cd::stages::cd_05),
    ("CD-06", cd::stages::cd_06),
    ("CD-07", cd::stages::cd_07),
    ("NK-28", nk::stages::nk_28),
    ("SN-01", sn_members::sn_01),
    ("SN-03", sn_members::sn_03),
    ("SN-06", sn_members::sn_06),
    ("SN-11", sn_members::sn_11),
    ("SN-12", sn_members::sn_12),
    ("SN-14", sn_members::sn_14),
    ("SN-16", sn_members::sn_16),
    ("TM-08", tm::stages::tm_08),
    ("AD-25", ad::stages::ad_25),
    ("AD-31", ad::stages::ad_31),
    ("DF-15", df::members::df_15),
];

/// What shows, with members of any subject but the core itself, what a case shows that calls the
/// core directly; `None` if nothing does.
#[must_use]
pub fn with_members(case: &Case) -> Option<WithMembers> {
    WITH_MEMBERS.iter().find(|(id, _)| *id == case.id).map(|(_, script)| *script)
}

/// The names of all groups, such as `EL`, in the order of the catalogue.
pub fn groups() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().filter_map(|cases| cases.first()).map(Case::group)
}

/// All cases.
pub fn all() -> impl Iterator<Item = &'static Case> {
    GROUPS.iter().copied().flatten()
}

/// The case with this id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Case> {
    all().find(|case| case.id.eq_ignore_ascii_case(id))
}

/// Whether a case matches a pattern over its id or its title: `*` stands for anything, and a
/// pattern without it for a part of the title.
#[must_use]
pub fn matches(case: &Case, pattern: &str) -> bool {
    let pattern = pattern.to_lowercase();
    let (id, title) = (case.id.to_lowercase(), case.title.to_lowercase());
    if !pattern.contains('*') {
        return id == pattern || title.contains(&pattern);
    }
    glob(&pattern, &id) || glob(&pattern, &title)
}

fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(head) else { return false };
    (0..=text.len()).any(|skipped| text.get(skipped..).is_some_and(|tail| glob(rest, tail)))
}

/// Runs these cases quickly against the core: each passes, or has nothing to prove yet.
#[cfg(test)]
fn hold_for_the_core(cases: &[Case]) {
    use crate::{Outcome, Profile, run_case};
    for case in cases {
        let report = run_case(&crate::subjects::Reference, case, 1, Profile::Quick);
        let content = matches!(report.outcome, Outcome::Pass | Outcome::NotApplicable);
        assert!(content, "{}: {:?}, {:?}", report.id, report.outcome, report.reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::{Outcome, run_case};
    use crate::subjects::Reference;
    use crate::trial::Profile;
    use std::collections::BTreeSet;

    /// Runs these cases against the core and fails on any outcome that is neither a pass nor a
    /// wait.
    pub(super) fn all_pass(cases: &[Case]) {
        let reports = cases.iter().map(|case| run_case(&Reference, case, 1, Profile::Quick));
        let failed = reports.filter_map(|report| match report.outcome {
            Outcome::Pass | Outcome::NotApplicable => None,
            other => Some(format!("{}: {other:?}: {:?}", report.id, report.reason)),
        });
        let failed: Vec<String> = failed.collect();
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    }

    #[test]
    fn what_is_shown_with_members_too_calls_the_core_in_its_case() {
        for (id, _) in WITH_MEMBERS {
            let case = find(id).unwrap_or_else(|| panic!("there is no {id}"));
            assert!(matches!(case.script, crate::case::Script::Core(_)), "{id}");
            assert!(with_members(case).is_some());
        }
    }

    #[test]
    fn ids_are_unique_and_in_order() {
        let mut seen = BTreeSet::new();
        for group in GROUPS {
            let name = group.first().map(Case::group);
            assert!(group.is_sorted_by_key(|case| case.id), "{name:?}");
            assert!(group.iter().all(|case| Some(case.group()) == name));
            for case in *group {
                assert!(seen.insert(case.id), "{} is there twice", case.id);
                assert!(
                    case.rule.ends_with('.') && case.rule.len() > 20,
                    "the rule of {}",
                    case.id
                );
            }
        }
    }

    #[test]
    fn patterns_are_globs_over_ids_and_parts_of_titles() {
        let case = find("el-09").expect("EL-09 is there");
        assert!(matches(case, "EL-*") && matches(case, "*09") && matches(case, "*absence*"));
        assert!(matches(case, "long absence") && !matches(case, "EL-1*") && !matches(case, "el"));
    }
}
