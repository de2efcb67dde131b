//! What a run leaves out, and which failures it expects: `conformance.toml`.
//!
//! ```toml
//! [[skip]]
//! cases = "NK-26"
//! reason = "an hour of virtual time; runs at night"
//! expires = "2027-06-30"
//!
//! [[expect]]
//! cases = "FC-12"
//! reason = "the event has no member yet"
//! issue = "https://example.org/issues/12"
//! profiles = ["standard", "strict"]   # all of them without it
//!
//! [names]                             # a shim's own, and what the protocol calls them
//! "primary" = "leader"
//! ```

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;

use crate::case::Case;
use crate::catalogue;
use crate::runner::{CaseReport, Outcome};

/// Skips and expected failures.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lists {
    #[serde(default)]
    skip: Vec<Entry>,
    #[serde(default)]
    expect: Vec<Entry>,
    /// Names of roles and reasons that a shim has of its own.
    #[serde(default)]
    names: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// A glob over ids and titles.
    cases: String,
    reason: String,
    issue: Option<String>,
    /// Year, month, day: the entry is refused from then on.
    expires: Option<String>,
    /// The profiles that it is for; all if there is none.
    #[serde(default)]
    profiles: Vec<String>,
}

/// The profiles that an entry may be for, by their names on the command line.
const PROFILES: [&str; 4] = ["quick", "standard", "strict", "real"];

impl Lists {
    /// Reads lists, as of `today`.
    ///
    /// # Errors
    /// The text is not TOML of this shape, a reason is empty, a pattern matches no case, a profile
    /// is none, or an entry has expired. All problems are told at once.
    pub fn parse(text: &str, today: Date) -> Result<Self, String> {
        let lists: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        let entries = lists.skip.iter().chain(&lists.expect);
        let problems: Vec<String> = entries.filter_map(|entry| entry.problem(today)).collect();
        if problems.is_empty() { Ok(lists) } else { Err(problems.join("\n")) }
    }

    /// What of the lists is for this profile.
    #[must_use]
    pub fn of_profile(mut self, profile: &str) -> Self {
        let is_for = |entry: &Entry| entry.is_for(profile);
        self.skip.retain(is_for);
        self.expect.retain(is_for);
        self
    }

    /// The entries that nothing came of in a run of these cases, in words: those that match none of
    /// them, and failures that are expected of cases that are skipped.
    #[must_use]
    pub fn unused(&self, cases: &[&Case]) -> Vec<String> {
        let matches = |entry: &Entry, case: &Case| catalogue::matches(case, &entry.cases);
        let skip = self.skip.iter().filter(|entry| !cases.iter().any(|case| matches(entry, case)));
        let skip = skip.map(|entry| format!("skip {:?}: no case of this run matches", entry.cases));
        let runs = |case: &Case| self.skipped(case).is_none();
        let expect = self
            .expect
            .iter()
            .filter(|entry| !cases.iter().any(|case| matches(entry, case) && runs(case)));
        let expect =
            expect.map(|entry| format!("expect {:?}: no case of this run matches", entry.cases));
        skip.chain(expect).collect()
    }

    /// Whether a failure of this case is expected.
    #[must_use]
    pub fn is_expected(&self, case: &Case) -> bool {
        self.expect.iter().any(|entry| catalogue::matches(case, &entry.cases))
    }

    /// Names of roles and reasons that a shim has of its own, each with the one of the protocol.
    #[must_use]
    pub const fn names(&self) -> &BTreeMap<String, String> {
        &self.names
    }

    /// Why a case is to be skipped, if it is.
    #[must_use]
    pub fn skipped(&self, case: &Case) -> Option<String> {
        self.skip.iter().find(|entry| catalogue::matches(case, &entry.cases)).map(Entry::told)
    }

    /// Judges the report of a case by the expected failures: one that is expected is none, and one
    /// that does not come is one.
    pub fn judge(&self, case: &Case, report: &mut CaseReport) {
        let Some(entry) = self.expect.iter().find(|entry| catalogue::matches(case, &entry.cases))
        else {
            return;
        };
        match report.outcome {
            Outcome::Fail | Outcome::NonStrict => {
                report.outcome = Outcome::ExpectedFail;
                let reason = report.reason.take().unwrap_or_default();
                report.reason = Some(format!("{}: {reason}", entry.told()));
            }
            Outcome::Pass => {
                report.outcome = Outcome::Fail;
                let told = entry.told();
                report.reason = Some(format!("it passes, and was expected to fail ({told})"));
            }
            _ => {}
        }
    }
}

impl Entry {
    fn is_for(&self, profile: &str) -> bool {
        self.profiles.is_empty() || self.profiles.iter().any(|name| name == profile)
    }

    fn told(&self) -> String {
        match &self.issue {
            Some(issue) => format!("{} ({issue})", self.reason),
            None => self.reason.clone(),
        }
    }

    fn problem(&self, today: Date) -> Option<String> {
        let cases = &self.cases;
        if self.reason.trim().is_empty() {
            return Some(format!("{cases}: a reason has to be given"));
        }
        if !catalogue::all().any(|case| catalogue::matches(case, cases)) {
            return Some(format!("{cases}: no case matches; remove the entry"));
        }
        let is_known = |name: &&String| PROFILES.contains(&name.as_str());
        if let Some(name) = self.profiles.iter().find(|name| !is_known(name)) {
            let known = PROFILES.join(", ");
            return Some(format!("{cases}: there is no profile {name:?}; say one of {known}"));
        }
        let expires = self.expires.as_ref()?;
        match expires.parse::<Date>() {
            Err(_) => Some(format!("{cases}: {expires:?} is no date such as 2027-06-30")),
            Ok(date) if date <= today => {
                Some(format!("{cases}: expired on {date}; remove the entry, or give it a new date"))
            }
            Ok(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn today() -> Date {
        "2026-03-01".parse().unwrap()
    }

    #[test]
    fn problems_are_told_at_once() {
        let text = "[[skip]]\ncases = \"EL-09\"\nreason = \" \"\n\
                    [[skip]]\ncases = \"ZZ-*\"\nreason = \"x\"\n\
                    [[skip]]\ncases = \"EL-02\"\nreason = \"x\"\nprofiles = [\"slow\"]\n\
                    [[expect]]\ncases = \"EL-01\"\nreason = \"x\"\nexpires = \"2026-03-01\"\n";
        let error = Lists::parse(text, today()).unwrap_err();
        assert_eq!(error.lines().count(), 4, "{error}");
        assert!(error.contains("there is no profile \"slow\"; say one of quick, "), "{error}");
        assert!(error.contains("expired on 2026-03-01"), "{error}");
        assert!(Lists::parse("[[skip]]\ncase = 1", today()).is_err());
    }

    #[test]
    fn a_skip_gives_its_reason() {
        let text = "[[skip]]\ncases = \"EL-*\"\nreason = \"slow\"\nissue = \"#4\"\n";
        let lists = Lists::parse(text, today()).unwrap();
        let case = catalogue::find("EL-09").unwrap();
        assert_eq!(lists.skipped(case).as_deref(), Some("slow (#4)"));
    }

    #[test]
    fn what_nothing_comes_of_is_told_and_what_is_for_other_profiles_is_not() {
        let text = "[[skip]]\ncases = \"EL-*\"\nreason = \"slow\"\n\
                    [[skip]]\ncases = \"CL-*\"\nreason = \"slow\"\n\
                    [[expect]]\ncases = \"EL-01\"\nreason = \"never\"\n\
                    [[expect]]\ncases = \"NK-*\"\nreason = \"wrong\"\n\
                    [[expect]]\ncases = \"FC-*\"\nreason = \"wrong\"\nprofiles = [\"strict\"]\n";
        let lists = Lists::parse(text, today()).unwrap();
        let find = |id| catalogue::find(id).unwrap();
        let cases = [find("EL-01"), find("NK-01")];
        let standard = lists.clone().of_profile("standard");
        let told = [
            "skip \"CL-*\": no case of this run matches",
            "expect \"EL-01\": no case of this run matches",
        ];
        assert_eq!(standard.unused(&cases), told);
        assert!(!standard.is_expected(find("FC-01")) && standard.is_expected(find("NK-01")));
        let strict = lists.of_profile("strict");
        assert_eq!(strict.unused(&cases).len(), 3);
        assert!(strict.is_expected(find("FC-01")));
    }
}
