//! One run of one case: what its script may ask the suite for.

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::case::{Failure, Verdict};
use crate::stage::story::Story;
use crate::stage::{Options, Stage};
use crate::subject::{Feature, Subject};

/// How thorough a run is.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Eq,
    Ord,
    PartialEq,
    PartialOrd,
    serde::Deserialize,
    serde::Serialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// The safety essentials, with few seeds.
    Quick,
    /// All that MUST hold.
    #[default]
    Standard,
    /// All that SHOULD hold too, with many seeds.
    Strict,
}

impl Profile {
    /// Its name, as `--profile` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Strict => "strict",
        }
    }
}

/// What stages leave behind for the report.
#[derive(Debug, Default)]
pub(crate) struct Remains {
    pub(crate) story: Option<Story>,
    pub(crate) virtual_ns: u64,
    pub(crate) counters: BTreeMap<String, u64>,
}

/// What a script works with.
pub struct Trial<'a> {
    subject: &'a dyn Subject,
    seed: u64,
    profile: Profile,
    remains: Rc<RefCell<Remains>>,
}

impl<'a> Trial<'a> {
    /// A trial of `subject`.
    #[must_use]
    pub fn new(subject: &'a dyn Subject, seed: u64, profile: Profile) -> Self {
        Self { subject, seed, profile, remains: Rc::default() }
    }

    /// The seed of everything random in this trial.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// How thorough the run is.
    #[must_use]
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// As many as the profile asks for.
    #[must_use]
    pub const fn times(&self, quick: u64, standard: u64, strict: u64) -> u64 {
        match self.profile {
            Profile::Quick => quick,
            Profile::Standard => standard,
            Profile::Strict => strict,
        }
    }

    /// A stage with the members down; all that is random on it comes from the trial's seed.
    #[must_use]
    pub fn stage(&self, options: Options) -> Stage<'a> {
        self.stage_of(options, self.seed)
    }

    /// A stage of another seed: for scripts that play the same with many.
    #[must_use]
    pub fn stage_of(&self, options: Options, seed: u64) -> Stage<'a> {
        Stage::new(self.subject, options, seed, Rc::clone(&self.remains))
    }

    /// Fails as not applicable unless the subject has this feature.
    ///
    /// # Errors
    /// [`Failure::NotApplicable`].
    pub fn needs(&self, feature: Feature) -> Verdict {
        let described = self.subject.describe();
        if described.features.contains(&feature) {
            return Ok(());
        }
        Err(Failure::NotApplicable(format!("{} does not offer {feature:?}", described.name)))
    }

    /// Adds to a counter of the report, such as how many cases a table had.
    pub fn count(&self, name: &str, times: u64) {
        *self.remains.borrow_mut().counters.entry(name.to_owned()).or_default() += times;
    }

    pub(crate) fn into_remains(self) -> Remains {
        self.remains.take()
    }
}
