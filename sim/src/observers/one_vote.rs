//! S2: a member grants at most one candidate its vote in a term, over all lives of a directory.

use std::collections::BTreeMap;

use quorate_core::{Action, Destination, Incarnation, MemberId, Message, Term};

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};
use crate::disk::Work;

#[derive(Default)]
pub(super) struct OneVote {
    granted: BTreeMap<(MemberId, Incarnation, Term), MemberId>,
}

impl OneVote {
    fn grants(&mut self, scene: &Scene<'_>, term: Term, to: MemberId, violations: &mut Violations) {
        let (voter, incarnation) = (scene.member, scene.disk.incarnation());
        let first = *self.granted.entry((voter, incarnation, term)).or_insert(to);
        if first != to {
            let text = format!("member {voter} voted for {first} and for {to} in term {term}");
            violations.add("S2", text);
        }
    }
}

impl Observer for OneVote {
    fn ids(&self) -> &'static [&'static str] {
        &["S2"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::SENDS_ELECTION.and(Kinds::DURABLE).and(Kinds::LIVES)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        match *observed {
            Observed::Acting(Action::Send {
                to: Destination::Member(candidate),
                message:
                    Message::Ballot { term, granted: true, .. }
                    | Message::LevelGrant { term, round: 0, .. },
            }) => self.grants(scene, *term, *candidate, violations),
            Observed::Durable(Work::Vote(vote)) => {
                if let Some(candidate) = vote.granted_to {
                    self.grants(scene, vote.term, candidate, violations);
                }
            }
            Observed::Crashed => {
                let vote = scene.disk.vote();
                if let Some(candidate) = vote.granted_to {
                    self.grants(scene, vote.term, candidate, violations);
                }
            }
            _ => {}
        }
    }
}
