//! Which invariants of the catalogue are watched, and what the others wait for.

/// One invariant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its id.
    pub id: &'static str,
    /// Whether it is watched.
    pub state: State,
}

/// Whether an invariant is watched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// By observers of this module.
    Observed,
    /// By the world itself: in its calm phase, or over a sweep.
    World,
    /// It has to do with something that does not exist yet.
    Waits(&'static str),
}

const fn observed(id: &'static str) -> Entry {
    Entry { id, state: State::Observed }
}

const fn world(id: &'static str) -> Entry {
    Entry { id, state: State::World }
}

const fn waits(id: &'static str, for_what: &'static str) -> Entry {
    Entry { id, state: State::Waits(for_what) }
}

/// All invariants: S is safety, after every event; L is liveness, after calm.
pub const CATALOGUE: [Entry; 55] = [
    observed("S1"),
    observed("S2"),
    observed("S3"),
    observed("S4"),
    observed("S5"),
    observed("S6"),
    observed("S7"),
    observed("S8"),
    observed("S9"),
    observed("S10"),
    observed("S11"),
    observed("S12"),
    observed("S13"),
    observed("S14"),
    observed("S15"),
    observed("S16"),
    observed("S17"),
    observed("S18"),
    observed("S19"),
    observed("S20"),
    observed("S21"),
    observed("S22"),
    observed("S23"),
    observed("S24"),
    observed("S25"),
    waits("S26", "watches of a coordination store"),
    observed("S27"),
    observed("S28"),
    waits("S29", "a look at who holds one (S27 and H1 judge what is read by them)"),
    waits("S30", "deployments and locks"),
    waits("S31", "sealing"),
    waits("S32", "sealing"),
    observed("S33"),
    observed("S34"),
    observed("S35"),
    observed("S36"),
    observed("S37"),
    waits("S38", "a model"),
    observed("S39"),
    observed("S40"),
    world("L1"),
    world("L2"),
    world("L3"),
    observed("L4"),
    world("L5"),
    world("L6"),
    observed("L7"),
    observed("L8"),
    waits("L9", "deployments and locks"),
    observed("L10"),
    world("L11"),
    waits("L12", "reads (L2 has fresh messages answered)"),
    world("L13"),
    world("L14"),
    world("L15"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_invariant_is_watched_or_waits_for_something() {
        let ids: Vec<&str> = CATALOGUE.iter().map(|entry| entry.id).collect();
        let safety = (1..=40).map(|number| format!("S{number}"));
        let liveness = (1..=15).map(|number| format!("L{number}"));
        assert_eq!(ids, safety.chain(liveness).collect::<Vec<_>>());
        assert!(CATALOGUE.iter().all(|entry| entry.state != State::Waits("")));
    }

    #[test]
    fn what_is_said_to_be_observed_has_an_observer() {
        let watched: BTreeSet<&str> = super::super::Observers::default()
            .ids()
            .filter(|id| id.starts_with(['S', 'L']))
            .collect();
        let said = CATALOGUE.iter().filter(|entry| entry.state == State::Observed);
        assert_eq!(said.map(|entry| entry.id).collect::<BTreeSet<_>>(), watched);
    }
}
