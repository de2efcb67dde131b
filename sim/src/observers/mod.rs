//! Observers: they watch what the machines do and what lies on the disks, and say what must not
//! happen. Pure: they keep records of their own and touch nothing of the world. Their ids are those
//! of the invariants in the conformance catalogue.

mod ghost;

mod agreement;
mod append_only;
mod at_rest;
mod backed_commit;
mod bounds;
mod catalogue;
mod client_history;
mod completeness;
mod contested_term;
mod counters;
mod deadlines;
mod debts;
mod exact_delivery;
mod exactly_once;
mod experiment;
mod fetches;
mod gates;
mod handovers;
mod honest_acknowledgement;
mod level;
mod log_matching;
mod nak_discipline;
mod no_early_reply;
mod no_rewrite;
mod observed;
mod one_leader;
mod one_vote;
mod own_copy;
mod position_order;
mod readmissions;
mod reads;
mod repair_discipline;
mod rising;
mod safe_replies;
mod same_state;
mod scene;
mod shadow;
mod snapshot_truth;
mod stopped;
mod terms_rise;
mod time_in_the_log;
mod told_once;
mod two_members;
mod unknown_is_not_absent;
mod vote_before_grant;
mod voters_only;
mod window;
mod worlds_apart;

#[cfg(test)]
mod tests;

pub use catalogue::{CATALOGUE, Entry, State};
pub use ghost::{Chosen, Ghost};
pub use observed::{Kinds, Observed, Phase};
pub(crate) use rising::find_from_end;
pub use scene::{Disks, Members, Rules, Scene};

/// A finding before it is stamped with seed, step and time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// The id of the invariant.
    pub id: &'static str,
    /// What happened.
    pub message: String,
}

/// Where observers put what they find.
#[derive(Debug, Default)]
pub struct Violations {
    found: Vec<Violation>,
}

impl Violations {
    /// Adds a violation of the invariant `id`.
    pub fn add(&mut self, id: &'static str, message: impl Into<String>) {
        self.found.push(Violation { id, message: message.into() });
    }

    /// Takes the first violation; the others follow from it more often than not.
    #[inline]
    pub fn first(&mut self) -> Option<Violation> {
        if self.found.is_empty() {
            return None;
        }
        let first = self.found.drain(..).next();
        self.found.clear();
        first
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

/// One invariant that is watched, or a few that belong together.
pub trait Observer {
    /// The ids of what it watches.
    fn ids(&self) -> &'static [&'static str];

    /// What it wants to be shown. It is shown nothing else, and of what is of several sorts
    /// everything once.
    fn kinds(&self) -> Kinds;

    /// Whether it needs to be shown nothing but lives and phases until the next of those. Asked
    /// behind each of them.
    fn rests(&self) -> bool {
        false
    }

    /// Takes note of what happened, and says what of it must not.
    fn observe(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    );
}

/// All observers, and the record that they share.
pub struct Observers {
    all: Vec<Box<dyn Observer>>,
    /// Who wants to be shown what, by the number of the sort: one bit for each observer.
    wanting: [u64; Kinds::COUNT],
    /// What anybody wants to be shown who does not rest; lives and phases are shown to all.
    wanted: Kinds,
    /// One bit for each observer that does not rest.
    awake: u64,
    ghost: Ghost,
}

/// What is shown to those that rest.
const WAKING: Kinds = Kinds::LIVES.and(Kinds::PHASE);

impl Default for Observers {
    fn default() -> Self {
        Self::new(every_observer())
    }
}

/// All observers. Of those that see the same mistake the one that names it best comes first.
fn every_observer() -> Vec<Box<dyn Observer>> {
    vec![
        Box::new(one_leader::OneLeader::default()),
        Box::new(contested_term::ContestedTerm::default()),
        Box::new(one_vote::OneVote::default()),
        Box::new(voters_only::VotersOnly::default()),
        Box::new(readmissions::Readmissions::default()),
        Box::new(vote_before_grant::VoteBeforeGrant),
        Box::new(terms_rise::TermsRise::default()),
        Box::new(gates::Gates),
        Box::new(log_matching::LogMatching),
        Box::new(append_only::AppendOnly),
        Box::new(agreement::Agreement),
        Box::new(own_copy::OwnCopy),
        Box::new(two_members::TwoMembers),
        Box::new(backed_commit::BackedCommit),
        Box::new(completeness::Completeness::default()),
        Box::new(position_order::PositionOrder),
        Box::new(no_rewrite::NoRewrite),
        Box::new(honest_acknowledgement::HonestAcknowledgement::default()),
        Box::new(no_early_reply::NoEarlyReply::default()),
        Box::new(safe_replies::SafeReplies::default()),
        Box::new(reads::Reads::default()),
        Box::new(exactly_once::ExactlyOnce::default()),
        Box::new(fetches::Fetches::default()),
        Box::new(snapshot_truth::SnapshotTruth::default()),
        Box::new(same_state::SameState::default()),
        Box::new(exact_delivery::ExactDelivery::default()),
        Box::new(bounds::Bounds::default()),
        Box::new(nak_discipline::NakDiscipline::default()),
        Box::new(repair_discipline::RepairDiscipline::default()),
        Box::new(window::Window::default()),
        Box::new(time_in_the_log::TimeInTheLog::default()),
        Box::new(worlds_apart::WorldsApart::default()),
        Box::new(stopped::Stopped::default()),
        Box::new(shadow::Shadow::default()),
        Box::new(unknown_is_not_absent::UnknownIsNotAbsent::default()),
        Box::new(counters::Counters::default()),
        Box::new(deadlines::Deadlines::default()),
        Box::new(client_history::ClientHistory::default()),
        Box::new(level::Level::default()),
        Box::new(handovers::Handovers::default()),
        Box::new(told_once::ToldOnce::default()),
        Box::new(at_rest::AtRest),
    ]
}

impl Observers {
    /// No observers: what a run costs without them.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Vec::new())
    }

    fn new(all: Vec<Box<dyn Observer>>) -> Self {
        assert!(all.len() <= u64::BITS as usize, "there is a bit for each observer");
        let wanting = core::array::from_fn(|sort| {
            let bits =
                all.iter().enumerate().map(|(at, one)| u64::from(one.kinds().has(sort)) << at);
            bits.fold(0, |wanting, bit| wanting | bit)
        });
        let mut observers =
            Self { all, wanting, wanted: Kinds::NONE, awake: 0, ghost: Ghost::default() };
        observers.note_rest();
        observers
    }

    /// The ids of all that is watched.
    pub fn ids(&self) -> impl Iterator<Item = &'static str> {
        self.all.iter().flat_map(|observer| observer.ids().iter().copied())
    }

    /// Shows the observers what happened, then puts it on record.
    pub fn observe(
        &mut self,
        scene: &Scene<'_>,
        observed: Observed<'_>,
        violations: &mut Violations,
    ) {
        let kinds = observed.kinds(scene);
        let wakes = kinds.meets(WAKING);
        let mut wanting =
            kinds.with(self.wanted).sorts().fold(0, |all, sort| all | self.wanting[sort]);
        if !wakes {
            wanting &= self.awake;
        }
        // By rising bits: in the order of the observers.
        while wanting != 0 {
            let at = wanting.trailing_zeros() as usize;
            wanting &= wanting - 1;
            self.all[at].observe(scene, &self.ghost, &observed, violations);
        }
        if kinds.meets(Kinds::WRITTEN.and(Kinds::STEPPED)) {
            self.ghost.record(scene, &observed);
        }
        if wakes {
            self.note_rest();
        }
    }

    fn note_rest(&mut self) {
        (self.wanted, self.awake) = (WAKING, 0);
        for (at, one) in self.all.iter().enumerate().filter(|(_, one)| !one.rests()) {
            self.wanted = self.wanted.and(one.kinds());
            self.awake |= 1 << at;
        }
    }

    /// What is on record.
    #[must_use]
    pub const fn ghost(&self) -> &Ghost {
        &self.ghost
    }
}
