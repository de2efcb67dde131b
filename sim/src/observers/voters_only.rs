//! S22 and S23, as far as they go while the members never change: all lives run with the same
//! voters, and who leads has the durable votes of a quorum of them.

use std::collections::{BTreeMap, BTreeSet};

use quorate_core::{MemberId, Role, Term, Vote};

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};
use crate::disk::Work;

#[derive(Default)]
pub(super) struct VotersOnly {
    /// The voters of the first life of all.
    voters: Option<BTreeSet<MemberId>>,
    /// Whose vote went to whom in a term, durably.
    votes: BTreeMap<(Term, MemberId), BTreeSet<MemberId>>,
}

impl VotersOnly {
    fn started(&mut self, scene: &Scene<'_>, violations: &mut Violations) {
        let Some(core) = scene.core else { return };
        let voters: BTreeSet<MemberId> = core.config().voters.keys().copied().collect();
        let known = self.voters.get_or_insert_with(|| voters.clone());
        if *known != voters {
            let text = format!("member {} counts {voters:?}, others {known:?}", scene.member);
            violations.add("S22", text);
        }
    }

    /// A vote is on a disk: it was made durable, or a crash happened to leave it there.
    fn voted(&mut self, voter: MemberId, vote: Vote) {
        if let Some(candidate) = vote.granted_to {
            self.votes.entry((vote.term, candidate)).or_default().insert(voter);
        }
    }

    fn leads(&self, scene: &Scene<'_>, violations: &mut Violations) {
        let (term, leader) = (scene.view.term, scene.member);
        let votes = self.votes.get(&(term, leader)).map_or(0, BTreeSet::len);
        if 2 * votes <= scene.rules.members {
            let text = format!(
                "member {leader} leads term {term} with {votes} durable votes of {}",
                scene.rules.members
            );
            violations.add("S23", text);
        }
    }
}

impl Observer for VotersOnly {
    fn ids(&self) -> &'static [&'static str] {
        &["S22", "S23"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES.and(Kinds::DURABLE).and(Kinds::TERM_CHANGED)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let (before, view) = (scene.before, scene.view);
        match *observed {
            Observed::Started => {
                self.voted(scene.member, scene.disk.vote());
                self.started(scene, violations);
            }
            Observed::Durable(Work::Vote(vote)) => self.voted(scene.member, *vote),
            Observed::Stepped { .. }
                if view.role == Role::Leader
                    && (before.role != Role::Leader || before.term != view.term) =>
            {
                self.leads(scene, violations);
            }
            _ => {}
        }
    }
}
