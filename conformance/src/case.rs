//! One case: a rule, and a script that fails when the rule is broken.

use core::time::Duration;

use crate::trial::Trial;

/// How binding a case is.
#[derive(
    Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Deserialize, serde::Serialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A subject that misses it does not conform.
    Must,
    /// Missed only in strict mode.
    Should,
    /// For information; never a failure.
    Informational,
}

/// How a case is run.
#[derive(Clone, Copy, Debug)]
pub enum Script {
    /// Calls the core, the codecs or the simulator directly; proves the build, whatever the
    /// subject.
    Core(fn(&mut Trial<'_>) -> Verdict),
    /// Plays with a group of members on the suite's edges; any subject can stand there.
    Cluster(fn(&mut Trial<'_>) -> Verdict),
    /// Only real processes can show it: its script is among those of
    /// [`blackbox`](crate::blackbox::find).
    Real,
    /// Its subject does not exist yet: the name of the work that brings it. Never passed.
    Waits(&'static str),
}

/// What came of a script.
pub type Verdict = Result<(), Failure>;

/// Why a script did not pass.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The rule is broken.
    #[error("{what}")]
    Broken {
        /// What happened instead.
        what: String,
        /// The invariant whose observer saw it, if it was one.
        observer: Option<&'static str>,
    },
    /// A bound in real time was missed. It says nothing of the subject if the machine itself stood
    /// still for longer than the bound bears.
    #[error("{what}")]
    Late {
        /// What happened instead.
        what: String,
        /// The longest standstill that the bound bears.
        longest: Duration,
        /// So much of standstill, added up, is not enough either to explain it.
        total: Duration,
    },
    /// The subject has no such feature.
    #[error("not applicable: {0}")]
    NotApplicable(String),
    /// The subject says that it does not do this yet.
    #[error("unimplemented: {0}")]
    Unimplemented(String),
    /// A checker ran out of its budget, or the machine stood still.
    #[error("undecided: {0}")]
    Unknown(String),
    /// The suite itself could not go on.
    #[error("the suite could not go on: {0}")]
    Harness(String),
}

impl Failure {
    /// The rule is broken: this happened instead.
    pub fn broken(what: impl Into<String>) -> Self {
        Self::Broken { what: what.into(), observer: None }
    }
}

/// Fails with a text unless the condition holds: `check(a == b, || format!(…))?`.
///
/// # Errors
/// The condition does not hold.
pub fn check<T: Into<String>>(holds: bool, otherwise: impl FnOnce() -> T) -> Verdict {
    if holds { Ok(()) } else { Err(Failure::broken(otherwise())) }
}

/// One case of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Group and number, such as `EL-09`; stable for ever.
    pub id: &'static str,
    /// A few words.
    pub title: &'static str,
    /// The rule in one sentence.
    pub rule: &'static str,
    /// How binding it is.
    pub level: Level,
    /// Whether the quick profile has it.
    pub quick: bool,
    /// The edge cases that it proves, by their numbers in EDGE_CASES.md.
    pub edges: &'static [&'static str],
    /// How it is run.
    pub script: Script,
    /// What else belongs to the case and waits for later work: a pass does not prove that.
    pub lacks: Option<&'static str>,
}

impl Case {
    /// A case whose script calls the core directly.
    #[must_use]
    pub const fn core(
        id: &'static str,
        title: &'static str,
        rule: &'static str,
        script: fn(&mut Trial<'_>) -> Verdict,
    ) -> Self {
        Self::new(id, title, rule, Script::Core(script))
    }

    /// A case whose script plays with a group of members.
    #[must_use]
    pub const fn cluster(
        id: &'static str,
        title: &'static str,
        rule: &'static str,
        script: fn(&mut Trial<'_>) -> Verdict,
    ) -> Self {
        Self::new(id, title, rule, Script::Cluster(script))
    }

    /// A case whose script plays with real processes, and that nothing else can show.
    #[must_use]
    pub const fn real(id: &'static str, title: &'static str, rule: &'static str) -> Self {
        Self::new(id, title, rule, Script::Real)
    }

    /// A case whose subject does not exist yet.
    #[must_use]
    pub const fn waits(
        id: &'static str,
        title: &'static str,
        rule: &'static str,
        work: &'static str,
    ) -> Self {
        Self::new(id, title, rule, Script::Waits(work))
    }

    const fn new(
        id: &'static str,
        title: &'static str,
        rule: &'static str,
        script: Script,
    ) -> Self {
        let (level, quick, edges, lacks) = (Level::Must, false, &[], None);
        Self { id, title, rule, level, quick, edges, script, lacks }
    }

    /// The same case, one that SHOULD hold.
    #[must_use]
    pub const fn should(self) -> Self {
        Self { level: Level::Should, ..self }
    }

    /// The same case, for information only.
    #[must_use]
    pub const fn informational(self) -> Self {
        Self { level: Level::Informational, ..self }
    }

    /// The same case, in the quick profile too.
    #[must_use]
    pub const fn quick(self) -> Self {
        Self { quick: true, ..self }
    }

    /// The same case, proving these edge cases.
    #[must_use]
    pub const fn edges(self, edges: &'static [&'static str]) -> Self {
        Self { edges, ..self }
    }

    /// The same case, of which this part waits for later work.
    #[must_use]
    pub const fn without(self, lacks: &'static str) -> Self {
        Self { lacks: Some(lacks), ..self }
    }

    /// The group: the letters before the number.
    #[must_use]
    pub fn group(&self) -> &'static str {
        self.id.split_once('-').map_or(self.id, |(group, _)| group)
    }

    /// The case's name as a test function: `el_09`.
    #[must_use]
    pub fn test_name(&self) -> String {
        self.id.to_lowercase().replace('-', "_")
    }
}
