//! What a member that runs is asked about the members of its group, and what it answers.

use core::net::SocketAddr;
use core::time::Duration;

use quorate_core::{
    ChangeRefusal, Incarnation, MemberId, MemberRecord, MembershipChange, NewMember,
};
use quorate_driver::{ChangeMembershipError, MemberHandle, MemberStatus, address_of, endpoint_of};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::failure::{Failure, NOT_NOW, REFUSED, tell_line};
use crate::ledger::Ledger;

/// How long a change is awaited: one whose voters are not there takes until they are, or until the
/// leadership ends, and meanwhile nobody else is answered.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// What an operator wants.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChangeRequest {
    /// One more member.
    Add {
        id: u16,
        address: SocketAddr,
        clients: Option<SocketAddr>,
        voter: bool,
        incarnation: u32,
        machine: u32,
        zone: u32,
    },
    /// An observer becomes a voter.
    Promote { id: u16, standby: bool },
    /// A voter becomes an observer.
    Demote { id: u16 },
    /// A member is none any more.
    Remove { id: u16 },
    /// A member is reached elsewhere.
    Move { id: u16, address: SocketAddr, clients: Option<SocketAddr> },
}

impl ChangeRequest {
    /// As the core knows it.
    fn change(&self) -> MembershipChange {
        match *self {
            Self::Add { id, address, clients, voter, incarnation, machine, zone } => {
                let new = NewMember {
                    member: MemberId(id),
                    incarnation: Incarnation(incarnation),
                    endpoint: endpoint_of(address),
                    clients: clients.map(endpoint_of),
                    machine,
                    zone,
                };
                match voter {
                    true => MembershipChange::AddVoter(new),
                    false => MembershipChange::AddObserver(new),
                }
            }
            Self::Promote { id, standby } => {
                MembershipChange::Promote { member: MemberId(id), standby }
            }
            Self::Demote { id } => MembershipChange::Demote { member: MemberId(id) },
            Self::Remove { id } => MembershipChange::Remove { member: MemberId(id) },
            Self::Move { id, address, clients } => MembershipChange::Relocate {
                member: MemberId(id),
                endpoint: endpoint_of(address),
                clients: clients.map(endpoint_of),
            },
        }
    }
}

/// What a member says to that.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChangeAnswer {
    /// It is committed, up to this position.
    Done(u64),
    /// It is not done.
    Refused(Refused),
    /// It was begun, and is not committed yet.
    Unknown(String),
}

/// Why a change is not done.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Refused {
    /// The core's name for it.
    pub(crate) refused: String,
    /// What to do.
    pub(crate) reason: String,
    /// Who leads, if that is why, and it is known.
    pub(crate) leader: Option<u16>,
    /// Where that one is.
    pub(crate) address: Option<SocketAddr>,
}

impl Refused {
    /// A refusal by the core's name for it, and what to do.
    pub(crate) fn new(refused: &str, reason: impl core::fmt::Display) -> Self {
        Self { refused: refused.into(), reason: reason.to_string(), ..Self::default() }
    }

    /// That of a member that does not lead: it names the one that does, if it knows.
    pub(crate) fn by_follower(self, leader: Option<MemberId>, status: &MemberStatus) -> Self {
        let Some(leader) = leader else { return self };
        let address = status.members.membership.endpoint_of(leader).map(address_of);
        let at = address.map(|address| format!(", at {address}")).unwrap_or_default();
        let reason =
            format!("this member does not lead, member {leader} does{at}: name its data directory");
        Self { reason, leader: Some(leader.0), address, ..self }
    }

    /// Fails with it: as a line of JSON, or saying `what` was not done. It may be done `later`, or
    /// by another member, or it is refused for good.
    pub(crate) fn failure(self, what: &str, later: bool, json: bool) -> Failure {
        let code = if later { NOT_NOW } else { REFUSED };
        if json {
            tell_line(serde_json::json!(self));
            return Failure::Answered { text: None, code };
        }
        let text = Some(format!("{what} ({}): {}", self.refused, self.reason));
        Failure::Answered { text, code }
    }
}

/// Has the member change the members; nothing when it has ended.
pub(crate) async fn perform(
    member: &MemberHandle<Ledger>,
    request: &ChangeRequest,
) -> Option<ChangeAnswer> {
    let changed = member.change_membership(request.change());
    let Ok(outcome) = timeout(CHANGE_TIMEOUT, changed).await else {
        return Some(ChangeAnswer::Unknown(format!(
            "it is not committed after {CHANGE_TIMEOUT:?}, and goes on: a majority of the voters \
             has to run, of those before the change and of those behind it"
        )));
    };
    match outcome {
        Ok(position) => Some(ChangeAnswer::Done(position.0)),
        Err(ChangeMembershipError::Gone(_)) => None,
        Err(ChangeMembershipError::Refused(ChangeRefusal::LeadershipLost)) => {
            Some(ChangeAnswer::Unknown(ChangeRefusal::LeadershipLost.to_string()))
        }
        Err(ChangeMembershipError::Refused(refusal)) => {
            let status = member.status().await.ok()?;
            Some(ChangeAnswer::Refused(refused(refusal, &status)))
        }
    }
}

fn refused(refusal: ChangeRefusal, status: &MemberStatus) -> Refused {
    let refused = Refused::new(refusal.name(), refusal);
    match refusal {
        ChangeRefusal::NotLeader { leader } => refused.by_follower(leader, status),
        _ => refused,
    }
}

/// Who is a member of the group, as one of them knows.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct MembersReport {
    /// Who was asked.
    pub(crate) asked: u16,
    /// Who leads, as far as that one knows.
    pub(crate) leader: Option<u16>,
    /// The end of the frame that says who is a member; zero for those that formed the group.
    pub(crate) position: u64,
    /// Voters are changing.
    pub(crate) joint: bool,
    /// That frame is committed, as far as that one knows.
    pub(crate) committed: bool,
    /// The one that was asked is none any more.
    pub(crate) removed_at: Option<u64>,
    pub(crate) members: Vec<MemberRow>,
    /// The last ones that were removed, and the newest incarnation that each had.
    pub(crate) removed: Vec<(u16, u32)>,
}

/// One member.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct MemberRow {
    pub(crate) id: u16,
    pub(crate) role: String,
    /// It is a voter, before the change that is under way or behind it.
    pub(crate) votes: bool,
    pub(crate) incarnation: u32,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) clients: Option<SocketAddr>,
    pub(crate) machine: u32,
    pub(crate) zone: u32,
    /// How many bytes of the leader's log it lacks; only the leader knows.
    pub(crate) lag: Option<u64>,
    /// For how many milliseconds the leader has not heard it.
    pub(crate) silent_ms: Option<u64>,
    /// Whether it lacks so little that it may become a voter.
    pub(crate) level: Option<bool>,
}

impl MembersReport {
    /// As member `asked` knows.
    pub(crate) fn new(asked: u16, status: &MemberStatus) -> Self {
        let members = &status.members;
        let removed = members.membership.removed().iter();
        Self {
            asked,
            leader: status.view.leader.map(|leader| leader.0),
            position: members.position.0,
            joint: members.membership.is_joint(),
            committed: members.position <= status.view.commit,
            removed_at: members.removed_at.map(|at| at.0),
            members: members.membership.records().iter().map(|it| row(it, status)).collect(),
            removed: removed.map(|(member, incarnation)| (member.0, incarnation.0)).collect(),
        }
    }
}

fn row(record: &MemberRecord, status: &MemberStatus) -> MemberRow {
    let members = &status.members;
    let progress = members.progress.iter().find(|it| it.member == record.member);
    MemberRow {
        id: record.member.0,
        role: record.role.name().into(),
        votes: members.membership.is_voter(record.member),
        incarnation: record.incarnation.0,
        address: members.membership.endpoint_of(record.member).map(address_of),
        clients: record.clients.map(address_of),
        machine: record.machine,
        zone: record.zone,
        lag: progress.map(|it| status.view.verified.since(it.held)),
        silent_ms: progress.map(|it| it.silent_for.0 / 1_000_000),
        level: progress.map(|it| it.is_level),
    }
}
