//! S22 and S23: all lives of a group go by what it was formed with and by what its log says; who is
//! a member changes by one change at a time, in two phases where voters change, and by a leader
//! that has committed in its term; and who leads has the durable votes of a quorum.

use std::collections::{BTreeMap, BTreeSet};

use quorate_core::{Action, MemberId, Membership, Message, Notice, Position, Role, Term, Vote};

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};
use crate::disk::Work;

#[derive(Default)]
pub(super) struct VotersOnly {
    /// The voters of the first life of all.
    voters: Option<BTreeSet<MemberId>>,
    /// The newest membership that each member was told to be committed.
    committed: BTreeMap<MemberId, Position>,
    /// The membership that was in effect at each, and where.
    in_effect: BTreeMap<MemberId, (Position, Membership)>,
    /// Who was told that it is no member any more, in its present life.
    removed: BTreeSet<MemberId>,
    /// Whose vote went to whom in a term, durably.
    votes: BTreeMap<(Term, MemberId), BTreeSet<MemberId>>,
}

impl VotersOnly {
    fn started(&mut self, scene: &Scene<'_>, violations: &mut Violations) {
        let Some(members) = scene.members else { return };
        self.removed.remove(&scene.member);
        let position = members.position;
        self.in_effect.insert(scene.member, (position, members.membership.clone()));
        let committed = self.committed.get(&scene.member).copied().unwrap_or_default();
        // What was committed may not have been on this disk.
        if position < committed && committed <= scene.view.verified {
            let text = format!(
                "member {} goes by the members of {position}, and those of {committed} were committed",
                scene.member
            );
            violations.add("S22", text);
        }
        let Some(core) = scene.core.filter(|core| !core.config().joins) else { return };
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
        let none = BTreeSet::new();
        let votes = self.votes.get(&(term, leader)).unwrap_or(&none);
        let is_elected = match scene.members {
            Some(members) => members.membership.is_quorum(|voter| votes.contains(&voter)),
            None => 2 * votes.len() > scene.rules.members,
        };
        if !is_elected {
            let voters = scene.members.map(|members| members.membership);
            let text = format!(
                "member {leader} leads term {term} with durable votes of {votes:?}: {voters:?}"
            );
            violations.add("S23", text);
        }
    }
}

impl VotersOnly {
    /// Another membership is in effect at a member: by what it appended, verified, or cut.
    fn changed(&mut self, scene: &Scene<'_>, violations: &mut Violations) {
        let Some(members) = scene.members else { return };
        let (member, view) = (scene.member, scene.view);
        let (position, now) = (members.position, members.membership);
        let former = self.in_effect.insert(member, (position, now.clone()));
        if position > view.verified {
            let text = format!(
                "member {member} goes by the members of {position}, behind its log's end {}",
                view.verified
            );
            return violations.add("S22", text);
        }
        let Some((at, former)) = former.filter(|(at, _)| *at < position) else { return };
        if view.role != Role::Leader {
            return;
        }
        let own_term = scene.history.term_before(view.commit) == view.term;
        let is_former = |id: &MemberId| {
            let record = now.get(*id).map(|record| record.incarnation);
            record.is_some_and(|it| former.removed_incarnation(*id).is_some_and(|old| it <= old))
        };
        let problem = if at > view.commit {
            "before the last one is committed"
        } else if !own_term {
            "before it has committed in its term"
        } else if !former.admits(now) {
            "by no joint phase"
        } else if former.removed().iter().any(|(id, _)| is_former(id)) {
            "and takes back a former member as it was"
        } else {
            return;
        };
        let text = format!("leader {member} changes the members of {at} at {position} {problem}");
        violations.add("S22", text);
    }

    /// Who stands for election votes, and was not told that it is none any more.
    fn stands(&self, scene: &Scene<'_>, violations: &mut Violations) {
        let is_voter =
            scene.members.is_none_or(|members| members.membership.is_voter(scene.member));
        if !is_voter || self.removed.contains(&scene.member) {
            let text = format!("member {} is no voter, and stands for election", scene.member);
            violations.add("S23", text);
        }
    }
}

impl Observer for VotersOnly {
    fn ids(&self) -> &'static [&'static str] {
        &["S22", "S23"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES
            .and(Kinds::DURABLE)
            .and(Kinds::TERM_CHANGED)
            .and(Kinds::NOTICES)
            .and(Kinds::SENDS_ELECTION)
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
            Observed::Acting(Action::Notify(Notice::Membership { .. })) => {
                self.changed(scene, violations);
            }
            Observed::Acting(Action::Notify(Notice::MembershipCommitted { position, .. })) => {
                self.committed.insert(scene.member, *position);
            }
            Observed::Acting(Action::Notify(Notice::Removed { .. })) => {
                self.removed.insert(scene.member);
            }
            // In round zero nobody stands: who has no vote asks what others have.
            Observed::Acting(Action::Send {
                message: Message::Canvass { round: 1.., .. } | Message::RequestVote { .. },
                ..
            }) => {
                self.stands(scene, violations);
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
