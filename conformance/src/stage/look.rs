//! What a script sees of a stage.

use quorate_core::{Counters, Incoming, MemberId, Message, Role, Stream, View};
use quorate_sim::Place;

use super::story::{Fate, Story};
use super::{Passing, Stage};

/// A datagram that was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sighting {
    /// When, in nanoseconds.
    pub at: u64,
    /// Where it was sent.
    pub from: Place,
    /// Where it went.
    pub to: Place,
    /// The name of its kind, as [`Passing::kind`] gives it.
    pub kind: &'static str,
    /// Its length.
    pub bytes: usize,
    /// What became of it.
    pub fate: Fate,
}

impl Stage<'_> {
    /// The members' numbers.
    #[must_use]
    pub fn numbers(&self) -> core::ops::RangeInclusive<u16> {
        1..=self.machines.len() as u16
    }

    /// Whether a member runs.
    #[must_use]
    pub fn is_up(&self, member: u16) -> bool {
        let machine = &self.machines[self.index(member)];
        machine.node.is_some() && machine.stopped.is_none()
    }

    /// Why a member went inert, if it did.
    #[must_use]
    pub fn stopped(&self, member: u16) -> Option<&str> {
        self.machines[self.index(member)].stopped.as_deref()
    }

    /// Why a member did not start, if it did not.
    #[must_use]
    pub fn refused(&self, member: u16) -> Option<&str> {
        self.machines[self.index(member)].refused.as_deref()
    }

    /// A member's role, term and positions, as they were when it was last seen.
    #[must_use]
    pub fn view(&self, member: u16) -> &View {
        &self.machines[self.index(member)].seen.view
    }

    /// What a member has counted in its life.
    #[must_use]
    pub fn counters(&self, member: u16) -> &Counters {
        &self.machines[self.index(member)].seen.counters
    }

    /// The digest of a member's service.
    #[must_use]
    pub fn digest(&self, member: u16) -> u64 {
        self.machines[self.index(member)].edges.digest()
    }

    /// The hash of a member's replicated state.
    #[must_use]
    pub fn replicated(&self, member: u16) -> u64 {
        self.machines[self.index(member)].seen.replicated
    }

    /// The leader of the highest term among the members that run, paused ones included.
    #[must_use]
    pub fn leader(&self) -> Option<u16> {
        let leads = |member: &u16| self.is_up(*member) && self.view(*member).role == Role::Leader;
        self.numbers().filter(leads).max_by_key(|member| self.view(*member).term)
    }

    /// Another member than `member`, the first of those that run.
    #[must_use]
    pub fn other_than(&self, member: u16) -> u16 {
        let other = self.numbers().find(|other| *other != member && self.is_up(*other));
        other.unwrap_or(member)
    }

    /// Whether all members that run follow one leader of one term, which serves.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_settled_among(
            &self.numbers().filter(|member| self.is_up(*member)).collect::<Vec<_>>(),
        )
    }

    /// Whether these members follow one of them in one term, which serves, and its opening frame
    /// is committed at all of them.
    #[must_use]
    pub fn is_settled_among(&self, members: &[u16]) -> bool {
        let Some(leader) = members.iter().find(|member| self.view(**member).serving) else {
            return false;
        };
        let lead = self.view(*leader);
        members.iter().all(|member| {
            let view = self.view(*member);
            self.is_up(*member)
                && view.term == lead.term
                && view.leader == Some(MemberId(*leader))
                && (view.role == Role::Leader) == (member == leader)
                && view.commit == lead.commit
        })
    }

    /// Whether these members have committed and applied the same, all of what they hold, and are in
    /// the same state.
    #[must_use]
    pub fn is_level(&self, members: &[u16]) -> bool {
        let [first, others @ ..] = members else { return true };
        let one = self.view(*first);
        one.commit == one.verified
            && one.applied == one.commit
            && others.iter().all(|other| {
                let view = self.view(*other);
                let same = (view.verified, view.commit, view.applied)
                    == (one.verified, one.commit, one.applied);
                same && view.applied_chain == one.applied_chain
                    && self.digest(*other) == self.digest(*first)
                    && self.replicated(*other) == self.replicated(*first)
            })
    }

    /// How often any member became leader.
    #[must_use]
    pub const fn elections(&self) -> u64 {
        self.elections
    }

    /// How often any member began anew behind a snapshot of another.
    #[must_use]
    pub const fn renewals(&self) -> u64 {
        self.renewals
    }

    /// All datagrams that were sent, in order.
    #[must_use]
    pub fn sightings(&self) -> &[Sighting] {
        &self.sightings
    }

    /// How many datagrams of a kind were sent since a time.
    #[must_use]
    pub fn sent_since(&self, since: u64, kind: &str) -> usize {
        let begin = self.sightings.partition_point(|sighting| sighting.at < since);
        self.sightings[begin..].iter().filter(|sighting| sighting.kind == kind).count()
    }

    /// What happened so far.
    #[must_use]
    pub const fn story(&self) -> &Story {
        &self.story
    }

    /// All members in a few words, for messages of failures.
    #[must_use]
    pub fn describe(&self) -> String {
        let each = self.numbers().map(|member| {
            let view = self.view(member);
            let up = if self.is_up(member) { "" } else { "down, last " };
            format!(
                "member {member}: {up}{} of {}, verified {}, durable {}, commit {}, applied {}",
                view.role.name(),
                view.term,
                view.verified,
                view.durable,
                view.commit,
                view.applied
            )
        });
        each.collect::<Vec<_>>().join("; ")
    }
}

/// A datagram's content in a few words.
pub(super) fn detail(passing: &Passing<'_>) -> String {
    match &passing.content {
        None => format!("{} bytes", passing.bytes.len()),
        Some((_, Incoming::Data { stream, epoch, position, live, slice })) => {
            let stream = match stream {
                Stream::Log => "log",
                Stream::Snapshot => "snapshot",
                Stream::Ingress(_) => "ingress",
                Stream::Egress(_) => "egress",
            };
            let end = position.plus(slice.len() as u64);
            let commit = live.map_or_else(String::new, |live| format!(", commit {}", live.commit));
            format!("{stream} {position}..{end} of epoch {epoch}{commit}")
        }
        Some((_, Incoming::Control(message))) => control(message),
    }
}

fn control(message: &Message) -> String {
    match message {
        Message::Nak { ranges, .. } => {
            let each = ranges.iter().map(|range| range.range.to_string());
            each.collect::<Vec<_>>().join(" ")
        }
        Message::Heartbeat { term, newest, commit, .. } => {
            format!("term {term}, newest {newest}, commit {commit}")
        }
        Message::Acknowledge { term, durable, received, .. } => {
            format!("term {term}, durable {durable}, received {received}")
        }
        Message::Holding { term, held, durable, .. } => {
            format!("term {term}, held {held}, durable {durable}")
        }
        Message::Application { term, received, .. } | Message::Impaired { term, received, .. } => {
            format!("term {term}, received {received}")
        }
        Message::Ballot { term, candidate, granted, .. } => {
            format!("term {term}, {} {candidate}", if *granted { "for" } else { "not for" })
        }
        Message::CanvassReply { term, granted, .. } => {
            format!("term {term}, {}", if *granted { "yes" } else { "no" })
        }
        Message::Canvass { term, .. }
        | Message::RequestVote { term, .. }
        | Message::RequestSuccession { term, .. }
        | Message::Campaign { term, .. }
        | Message::Abdicate { term }
        | Message::HistoryRequest { term, .. }
        | Message::History { term, .. } => format!("term {term}"),
        other => format!("{other:?}"),
    }
}
