//! Observers: they watch what the machines do and what lies on the disks, and say what must not
//! happen. Pure: they keep records of their own and touch nothing of the world. Their ids are those
//! of the invariants in the conformance catalogue.

mod ghost;

mod agreement;
mod append_only;
mod backed_commit;
mod bounds;
mod completeness;
mod exact_delivery;
mod exactly_once;
mod gates;
mod honest_acknowledgement;
mod log_matching;
mod nak_discipline;
mod no_early_reply;
mod no_rewrite;
mod one_leader;
mod one_vote;
mod position_order;
mod same_state;
mod terms_rise;
mod vote_before_grant;

#[cfg(test)]
mod tests;

pub use ghost::{Chosen, Ghost};

use quorate_core::{
    Action, Apply, ClientKey, Endpoint, MemberId, Message, Position, SessionId, TermHistory, View,
};

use crate::disk::{FrameMark, SimDisk, Work};
use crate::swarm::Swarm;

/// What an observer may look at: one member as it is now, and the disks of all.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The virtual time, in nanoseconds.
    pub now: u64,
    /// Whom it concerns.
    pub member: MemberId,
    /// How the member was before the event.
    pub before: &'a View,
    /// How it is now.
    pub view: &'a View,
    /// Its adopted history.
    pub history: &'a TermHistory,
    /// Its disk.
    pub disk: &'a SimDisk,
    /// The disks of all members.
    pub disks: &'a [&'a SimDisk],
    /// What the rules of this world are.
    pub rules: &'a Rules,
}

/// What observers need to know of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How long a request for a hole is left alone, in nanoseconds of a member's clock.
    pub nak_retry: u64,
    /// How much a member's clock may err, in millionths.
    pub clock_error: u64,
    /// The most actions of one event.
    pub actions_max: usize,
}

impl Rules {
    /// The rules of a world with the options `swarm`.
    pub(crate) fn of(swarm: &Swarm) -> Self {
        let limits = &swarm.limits;
        Self {
            nak_retry: swarm.timing.nak_retry.0,
            clock_error: swarm.clock_error,
            // Each session may be sent a run and a status; each member all runs of a window,
            // repairs and control messages; each frame is applied once.
            actions_max: 256
                + limits.apply_batch_max
                + limits.sessions_max
                    * (4 + limits.session_window_bytes.div_ceil(limits.run_bytes_max) as usize)
                + swarm.members
                    * (16 + 2 * limits.window_bytes.div_ceil(limits.run_bytes_max) as usize),
        }
    }
}

/// Something that happened.
#[derive(Clone, Copy)]
pub enum Observed<'a> {
    /// A member came up.
    Started,
    /// A member took a step that asks for this many actions; nothing of them was done yet.
    Stepped {
        /// The actions.
        actions: usize,
    },
    /// A member received a control message.
    Received(&'a Message),
    /// A member received log data up to here.
    Heard(Position),
    /// A member's action is about to be performed.
    Acting(&'a Action),
    /// Session data leaves a member.
    Egress {
        /// To whom.
        key: ClientKey,
        /// The connection number.
        epoch: u64,
        /// The position of the first byte.
        start: Position,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Bytes were written to a log.
    Written {
        /// The frames that became whole.
        frames: &'a [FrameMark],
        /// Where the bytes are no frame under the durable history, if so.
        bad: Option<Position>,
    },
    /// An operation became durable.
    Durable(&'a Work),
    /// A member crashed; the disk is what is left.
    Crashed,
    /// A member's service took in a frame.
    Applied {
        /// The frame.
        apply: &'a Apply,
        /// A hash of the message's payload.
        payload: u64,
        /// What the service replied.
        reply: &'a [u8],
    },
    /// A member has reported frames applied, and is at rest.
    State {
        /// The digest of its service.
        service: u64,
        /// The hash of its replicated state.
        replicated: u64,
    },
    /// A client's message was accepted.
    Accepted {
        /// Whose.
        key: ClientKey,
        /// Its number.
        sequence: u64,
        /// A hash of its payload.
        payload: u64,
    },
    /// A client was handed a reply.
    Replied {
        /// Whose.
        key: ClientKey,
        /// The number of the message.
        sequence: u64,
        /// Where the message lies.
        position: Position,
        /// The reply.
        reply: &'a [u8],
    },
    /// A client was told that its session is lost.
    SessionLost {
        /// The session.
        session: SessionId,
    },
    /// A client is at this address.
    ClientAt(ClientKey, Endpoint),
}

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
    pub fn first(&mut self) -> Option<Violation> {
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

/// One invariant that is watched.
pub trait Observer {
    /// Takes note of what happened, and says what of it must not.
    fn observe(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        observed: Observed<'_>,
        violations: &mut Violations,
    );
}

/// All observers, and the record that they share.
pub struct Observers {
    all: Vec<Box<dyn Observer>>,
    ghost: Ghost,
}

impl Default for Observers {
    fn default() -> Self {
        Self {
            all: vec![
                Box::new(one_leader::OneLeader::default()),
                Box::new(one_vote::OneVote::default()),
                Box::new(vote_before_grant::VoteBeforeGrant),
                Box::new(terms_rise::TermsRise::default()),
                Box::new(log_matching::LogMatching),
                Box::new(append_only::AppendOnly),
                Box::new(agreement::Agreement),
                Box::new(backed_commit::BackedCommit),
                Box::new(completeness::Completeness),
                Box::new(position_order::PositionOrder),
                Box::new(no_rewrite::NoRewrite),
                Box::new(honest_acknowledgement::HonestAcknowledgement::default()),
                Box::new(no_early_reply::NoEarlyReply::default()),
                Box::new(exactly_once::ExactlyOnce::default()),
                Box::new(same_state::SameState::default()),
                Box::new(exact_delivery::ExactDelivery::default()),
                Box::new(bounds::Bounds),
                Box::new(nak_discipline::NakDiscipline::default()),
                Box::new(gates::Gates),
            ],
            ghost: Ghost::default(),
        }
    }
}

impl Observers {
    /// Shows all observers what happened, then puts it on record.
    pub fn observe(
        &mut self,
        scene: &Scene<'_>,
        observed: Observed<'_>,
        violations: &mut Violations,
    ) {
        for observer in &mut self.all {
            observer.observe(scene, &self.ghost, observed, violations);
        }
        self.ghost.record(scene, observed);
    }

    /// What is on record.
    #[must_use]
    pub const fn ghost(&self) -> &Ghost {
        &self.ghost
    }
}
