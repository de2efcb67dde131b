//! What is seen of a member, as a body.

use std::collections::BTreeMap;

use quorate_core::{Chain, FailStop, LogTime, MemberId, Position, Role, Term, View};
use serde::{Deserialize, Serialize};

use super::body::{CountersBody, KeyBody, LifeBody, LineBody, Number, VoteBody, history, lines};
use crate::subject::NodeView;

/// Body of `v`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct ViewBody {
    life: LifeBody,
    role: String,
    term: u64,
    leader: Option<u16>,
    vote: VoteBody,
    key: KeyBody,
    #[serde(default)]
    origin: u64,
    seen: u64,
    received: u64,
    verified: u64,
    written: u64,
    durable: u64,
    commit: u64,
    applied: u64,
    #[serde(default)]
    snapshot: u64,
    applied_chain: u64,
    applying: bool,
    verified_chain: u64,
    log_time: u64,
    serving: bool,
    #[serde(default)]
    applicant: bool,
    #[serde(default)]
    impaired: bool,
    #[serde(default)]
    safe: u64,
    #[serde(default)]
    fetching: Option<(u64, u64)>,
    sessions: u64,
    fail_stop: Option<String>,
    history: Vec<LineBody>,
    #[serde(default)]
    counters: CountersBody,
    replicated: u64,
}

impl ViewBody {
    /// Replaces the names of role and reason that a shim has of its own.
    pub(super) fn translate(&mut self, names: &BTreeMap<String, String>) {
        let own = [Some(&mut self.role), self.fail_stop.as_mut()];
        for name in own.into_iter().flatten() {
            if let Some(canonical) = names.get(name) {
                name.clone_from(canonical);
            }
        }
    }

    pub(super) fn from(node: &NodeView) -> Self {
        let view = &node.view;
        Self {
            life: LifeBody::from(&view.life),
            role: view.role.name().to_owned(),
            term: view.term.0,
            leader: view.leader.map(|member| member.0),
            vote: VoteBody::from(&view.vote),
            key: KeyBody::from(&view.key),
            origin: view.origin.0,
            seen: view.seen.0,
            received: view.received.0,
            verified: view.verified.0,
            written: view.written.0,
            durable: view.durable.0,
            commit: view.commit.0,
            applied: view.applied.0,
            snapshot: view.snapshot.0,
            applied_chain: view.applied_chain.0,
            applying: view.applying,
            verified_chain: view.verified_chain.0,
            log_time: view.log_time.0,
            serving: view.serving,
            applicant: view.applicant,
            impaired: view.impaired,
            safe: view.safe.0,
            sessions: view.sessions as u64,
            fetching: view.fetching.map(|(position, bytes)| (position.0, bytes)),
            fail_stop: view.fail_stop.map(|reason| reason.name().to_owned()),
            history: lines(&node.history),
            counters: CountersBody::from(&node.counters),
            replicated: node.replicated,
        }
    }

    pub(super) fn to(&self) -> Option<NodeView> {
        let fail_stop = match &self.fail_stop {
            Some(name) => Some(fail_stop(name)?),
            None => None,
        };
        let view = View {
            life: self.life.to()?,
            role: role(&self.role)?,
            term: Term(self.term),
            leader: self.leader.map(MemberId),
            vote: self.vote.to(),
            key: self.key.to()?,
            origin: Position(self.origin),
            seen: Position(self.seen),
            received: Position(self.received),
            verified: Position(self.verified),
            written: Position(self.written),
            durable: Position(self.durable),
            commit: Position(self.commit),
            applied: Position(self.applied),
            snapshot: Position(self.snapshot),
            applied_chain: Chain(self.applied_chain),
            applying: self.applying,
            verified_chain: Chain(self.verified_chain),
            log_time: LogTime(self.log_time),
            serving: self.serving,
            applicant: self.applicant,
            impaired: self.impaired,
            safe: Position(self.safe),
            sessions: usize::of(self.sessions)?,
            fetching: self.fetching.map(|(position, bytes)| (Position(position), bytes)),
            recovered_at: history(&self.history)?.recovered_at(),
            fail_stop,
        };
        let (history, counters) = (history(&self.history)?, self.counters.to()?);
        // A frame of the protocol says nothing of members.
        Some(NodeView { view, history, counters, replicated: self.replicated, members: None })
    }
}

fn role(name: &str) -> Option<Role> {
    let roles = [
        Role::Follower,
        Role::Canvasser,
        Role::Nominee,
        Role::Candidate,
        Role::Leader,
        Role::Stopped,
    ];
    roles.into_iter().find(|role| role.name() == name)
}

/// The reason of this name; where it happened is not said in a view.
fn fail_stop(name: &str) -> Option<FailStop> {
    let at = Position::ZERO;
    let reasons = [
        FailStop::StorageFailed,
        FailStop::ServiceFailed,
        FailStop::CutBelowCommit { cut: at, commit: at },
        FailStop::TwoLeaders { term: Term(0) },
        FailStop::ChainMismatch { at },
        FailStop::TermOpening { at },
        FailStop::NewerLog { at },
        FailStop::Unreadable { at },
        FailStop::Exhausted,
        FailStop::TooManyTimers,
        FailStop::ReplyTooLong,
        FailStop::OtherLevel { term: Term(0) },
        FailStop::Twin,
        FailStop::Diverged { position: at },
    ];
    reasons.into_iter().find(|reason| reason.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::{Desk, DeskOptions};

    #[test]
    fn a_view_comes_back_as_it_was() {
        let mut desk = Desk::new(DeskOptions::member_of(3)).unwrap();
        desk.lead().unwrap();
        let node = NodeView { view: desk.view(), replicated: u64::MAX, ..NodeView::default() };
        let json = serde_json::to_vec(&ViewBody::from(&node)).unwrap();
        let back: ViewBody = serde_json::from_slice(&json).unwrap();
        assert_eq!(format!("{:?}", back.to().unwrap()), format!("{node:?}"));
    }

    #[test]
    fn a_role_that_no_member_has_is_refused() {
        let mut view = ViewBody { role: "emperor".into(), ..ViewBody::default() };
        assert!(view.to().is_none());
        view.translate(&BTreeMap::from([("emperor".into(), "leader".into())]));
        assert!(view.to().is_some_and(|node| node.view.role == Role::Leader));
    }
}
