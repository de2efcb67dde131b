//! S9: a new leader holds all that was chosen; and, so that it does, nobody votes for a candidate
//! whose log is behind its own (E04).

use quorate_core::{MemberId, Message, Role, Sender, Term, VoteKey};

use super::rising::{ByMember, Rising};
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

#[derive(Default)]
pub(super) struct Completeness {
    /// What each candidate of a term told each member in its life.
    asked: ByMember<Rising<(Term, MemberId), VoteKey>>,
}

impl Completeness {
    /// Judged in the step that decides, by what the voter had before: later it may learn more.
    fn votes(&self, scene: &Scene<'_>, term: Term, candidate: MemberId) -> Option<String> {
        // Of a loop at whose edges it is watched, nobody knows what it had when it decided.
        scene.core?;
        let asked = self.asked.get(scene.member)?.get((term, candidate))?;
        let (voter, own) = (scene.member, scene.before.key);
        // Both are compared as rule 7 says: the term first, then the position.
        ((asked.term, asked.position) < (own.term, own.position))
            .then(|| format!("member {voter} has {own:?} and votes for {candidate} with {asked:?}"))
    }

    fn leads(scene: &Scene<'_>, ghost: &Ghost) -> Option<String> {
        // A candidate may win a term that is over already: what later terms chose is not its duty.
        let chosen = ghost.last_chosen_before(scene.view.term)?;
        let ours = ghost.chain_at(chosen.end, scene.history);
        (scene.view.verified < chosen.end || ours != Some(chosen.chain)).then(|| {
            format!(
                "leader {} of term {} holds {} and {ours:?}, and {chosen:?} is chosen",
                scene.member, scene.view.term, scene.view.verified
            )
        })
    }
}

impl Observer for Completeness {
    fn ids(&self) -> &'static [&'static str] {
        &["S9"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES.and(Kinds::TERM_CHANGED).and(Kinds::RECEIVED_ELECTION).and(Kinds::VOTED)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let problem = match *observed {
            Observed::Started => {
                *self.asked.entry(scene.member) = Rising::default();
                None
            }
            Observed::Received {
                sender: Sender::Member { member: candidate, .. },
                message:
                    Message::RequestVote { term, key }
                    | Message::RequestSuccession { term, key, predecessor: _ },
            } => {
                self.asked.entry(scene.member).insert((*term, candidate), *key);
                None
            }
            Observed::Stepped { .. } => {
                let is_new = scene.view.role == Role::Leader && scene.before.role != Role::Leader;
                let vote = scene.view.vote;
                let other = vote.granted_to.filter(|candidate| *candidate != scene.member);
                let cast = other.filter(|_| vote != scene.before.vote);
                let problem = cast.and_then(|candidate| self.votes(scene, vote.term, candidate));
                problem.or_else(|| is_new.then(|| Self::leads(scene, ghost)).flatten())
            }
            _ => None,
        };
        problem.into_iter().for_each(|text| violations.add("S9", text));
    }
}
