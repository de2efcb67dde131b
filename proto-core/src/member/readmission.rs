//! How a member comes back that lost its directory (rule 5, E47).
//!
//! ```text
//!  comes up under a new incarnation ─► applicant: follows, and says where it is
//!     leader appends a Readmission of this life ─► all who verify it hear no former life any more
//!        committed by the others alone, and durable here ─► own record written ─► counts again
//! ```
//!
//! What its former life voted for and acknowledged is forgotten with the directory. So an applicant
//! promises nothing: it grants nothing, acknowledges nothing, and does not stand. The quorum that
//! commits its readmission is one of others, who from then on hear no former life of it; and a log
//! that reaches to there holds all that the former lives may have helped to commit.
//!
//! A log never holds a readmission on disk of which the records do not know: after a restart, too,
//! the former lives are not heard (rule 14).

use super::table::Table;
use super::{Handled, Member, State};
use crate::action::{Action, Actions};
use crate::config::Recovered;
use crate::frame::{Body, frame_bytes};
use crate::identity::{Incarnation, Life, MemberId};
use crate::message::{Incoming, Message, Stream};
use crate::mutant;
use crate::notice::{FailStop, Notice};
use crate::position::{Position, PositionRange};

/// Whether a member's promises cover what its former lives promised.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Standing {
    /// They do: it votes, acknowledges and leads.
    Full,
    /// It lost them, and is not readmitted yet.
    Applicant {
        /// The end of the frame that readmits this life, once it is verified.
        readmitted_by: Option<Position>,
    },
}

impl Standing {
    /// The standing of a member that comes up: the first incarnation was there when the group was
    /// formed, and later ones remember that they were readmitted.
    pub(super) fn new(recovered: &Recovered) -> Self {
        let Life { member, incarnation, .. } = recovered.life;
        let is_own = |life: Life| life.member == member && life.incarnation == incarnation;
        let is_marked = recovered.peers.iter().any(|record| is_own(record.life));
        let trusts = mutant::is(mutant::WIPED_MEMBER_COUNTS);
        match incarnation <= Incarnation::FIRST || is_marked || trusts {
            true => Self::Full,
            false => Self::Applicant { readmitted_by: None },
        }
    }

    /// The log was cut: what lay at and above `end` readmits nobody.
    pub(super) fn cut(&mut self, end: Position) {
        if let Self::Applicant { readmitted_by } = self {
            *readmitted_by = readmitted_by.filter(|frame_end| *frame_end <= end);
        }
    }
}

/// Members whose readmissions are remembered, at most: as many as a group may have. A frame that
/// names one more is none of this protocol, and all members pass over it alike.
const READMISSIONS_MAX: usize = 64;

/// Who was readmitted by the frames that were applied: of each member the newest life, and the
/// position of the frame that first named it. Replicated state: a member that begins with a
/// snapshot of another has not read those frames.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Readmissions {
    lives: Table<MemberId, (Life, Position)>,
}

impl Readmissions {
    /// A frame at `position` that readmits `life` was applied.
    pub(super) fn note(&mut self, life: Life, position: Position) {
        let has_room = self.lives.len() < READMISSIONS_MAX;
        let is_new = match self.lives.get(life.member) {
            Some((newest, _)) => *newest < life,
            None => has_room,
        };
        if is_new {
            self.lives.insert(life.member, (life, position));
        }
    }

    /// Takes in one of a snapshot, behind all others; `false` when it is not behind them, or there
    /// are as many as may be.
    pub(super) fn restore(&mut self, life: Life, position: Position) -> bool {
        let is_behind = self.lives.keys().last().is_none_or(|last| last < life.member);
        let fits = is_behind && self.lives.len() < READMISSIONS_MAX;
        if fits {
            self.lives.insert(life.member, (life, position));
        }
        fits
    }

    /// Each with the position of its frame, by rising member.
    pub(super) fn all(&self) -> impl Iterator<Item = (Life, Position)> {
        self.lives.values().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.lives.len()
    }
}

impl Member {
    /// What a snapshot says of readmissions is taken in as if this member had verified their
    /// frames: former lives are not heard, and nothing is acknowledged before the records that are
    /// durable know of them.
    pub(super) fn recall_readmissions(&mut self) {
        let State { readmissions, peers, now, .. } = &mut self.state;
        for (life, position) in readmissions.all() {
            peers.readmit(life, position, *now);
        }
    }

    /// Whether the durable records lack a readmission that the log on the disk, or the snapshot
    /// that stands for it, has.
    pub(super) fn records_lag(&self) -> bool {
        self.state.peers.log_waits_at().is_some_and(|at| at < self.state.log.durable)
    }

    /// Whether this member lost its directory, and is not readmitted yet.
    pub(super) fn is_applicant(&self) -> bool {
        self.state.standing != Standing::Full
    }

    /// Whether a message is about promises, which an applicant does not give, need or count. Its
    /// term comes of leaders alone: a candidate's may never have one.
    pub(super) fn is_beyond_applicant(&self, message: &Message) -> bool {
        self.is_applicant()
            && match message {
                Message::Canvass { .. }
                | Message::CanvassReply { .. }
                | Message::RequestVote { .. }
                | Message::RequestSuccession { .. }
                | Message::Ballot { .. }
                | Message::LevelGrant { .. }
                | Message::Campaign { .. } => true,
                Message::History { term, .. } => *term > self.state.term,
                _ => false,
            }
    }

    /// What an applicant says instead of acknowledging.
    pub(super) fn apply_for_readmission(&mut self, actions: &mut Actions) {
        let Some(leader) = self.state.leader else { return };
        self.state.following.acknowledgements += 1;
        let message = Message::Application {
            term: self.state.term,
            sequence: self.state.following.acknowledgements,
            received: self.state.log.image.received(),
            limit: self.state.log.limit(),
        };
        self.send(leader, message, actions);
    }

    /// An applicant tells its leader where it is: it gets data as any follower, and is readmitted
    /// once in each of its lives. Nothing of it counts, not even that it is there.
    pub(super) fn handle_application(
        &mut self,
        life: Life,
        message: &Message,
        actions: &mut Actions,
    ) -> Handled {
        let &Message::Application { term, sequence, received, limit } = message else {
            return Ok(());
        };
        if term > self.state.term {
            self.raise_term(term, actions);
            return Ok(());
        }
        let window = self.state.log.low..self.state.log.verified;
        let room = (received.aligned_down(), limit.aligned_down());
        let leading = self.state.leading.as_mut().filter(|_| term == self.state.term);
        let noted = leading.and_then(|it| it.note_applicant(life, sequence, room, window));
        let Some(is_to_be_readmitted) = noted else {
            self.counters.datagrams_ignored += 1;
            return Ok(());
        };
        self.state.flush_wanted = true;
        if is_to_be_readmitted { self.readmit(life, actions) } else { Ok(()) }
    }

    /// Appends the readmission of `life`, unless the former life is there still, or the others are
    /// not enough to commit it: then nobody gains by it, and the group would lose a member that
    /// counts. What holds it back now may be over when it applies again.
    fn readmit(&mut self, life: Life, actions: &mut Actions) -> Handled {
        let span = self.config.timing.election_timeout_min;
        let Some(leading) = &self.state.leading else { return Ok(()) };
        let (now, own) = (self.state.now, self.state.life.member);
        let is_heard = |id: MemberId| leading.is_heard_within(id, now, span);
        let former = is_heard(life.member);
        let others = |id: MemberId| id != life.member && (id == own || is_heard(id));
        let is_committable = self.membership().is_quorum(others);
        let body = Body::Readmission { time: self.cluster_time(), life };
        let has_room = frame_bytes(&body, 0) <= self.append_room();
        if former || !is_committable || !has_room {
            return Ok(());
        }
        let frame = self.append_frame(&body, &[]);
        if let Some(leading) = &mut self.state.leading {
            leading.note_readmission(life);
        }
        self.meet_readmission(frame, life, actions)
    }

    /// A readmission was verified, or appended: from here on no former life of that member counts.
    pub(super) fn meet_readmission(
        &mut self,
        frame: PositionRange,
        life: Life,
        actions: &mut Actions,
    ) -> Handled {
        let own = self.state.life;
        if life.member == own.member {
            if life > own {
                // Somebody made another directory for this member, and it is that one's life now.
                return Err(FailStop::Twin);
            }
            if let Standing::Applicant { readmitted_by } = &mut self.state.standing
                && life == own
            {
                // The first may be committed already, and one behind it cut.
                readmitted_by.get_or_insert(frame.end);
            }
            return Ok(());
        }
        if self.state.peers.readmit(life, frame.start, self.state.now) {
            crate::mark::reached(crate::mark::READMISSION_MET);
            self.void_what_was_counted(life.member);
            let position = frame.start;
            actions.push(Action::Notify(Notice::Readmission { life, position }));
        }
        Ok(())
    }

    /// Once the readmission is committed, and all up to it is durable here, this member writes down
    /// that it is one again; when that is durable, too, it counts: see
    /// [`Member::note_records_durable`].
    #[inline]
    pub(super) fn settle_standing(&mut self) {
        if let Standing::Applicant { readmitted_by: Some(end) } = self.state.standing {
            let early = mutant::is(mutant::COUNTS_BEFORE_READMISSION_COMMITS);
            let is_committed = self.state.commit >= end || early;
            if is_committed && self.state.log.durable >= end {
                self.state.peers.mark_own(self.state.life, self.state.now);
            }
        }
    }

    /// What is remembered of the members is durable.
    pub(super) fn note_records_durable(&mut self, actions: &mut Actions) {
        let lagged = self.records_lag();
        self.state.peers.note_saved();
        if lagged {
            self.want_acknowledgement();
        }
        self.note_doubt_durable(actions);
        if self.is_applicant() && self.state.peers.own_is_saved() {
            crate::mark::reached(crate::mark::READMITTED);
            self.state.standing = Standing::Full;
            self.note_full_standing();
            self.schedule_election();
            self.want_acknowledgement();
            actions.push(Action::Notify(Notice::Readmitted { position: self.state.commit }));
        }
    }
}

/// What is heard of a life that no readmission is known of. A leader is one that counts, and who
/// leads by a log that this member lacks brings it; the rest promises nothing.
pub(super) fn is_heard_of_newcomers(content: &Incoming<'_>) -> bool {
    match content {
        Incoming::Data { stream, .. } => matches!(stream, Stream::Log | Stream::Snapshot),
        Incoming::Control(message) => matches!(
            message,
            Message::Heartbeat { .. }
                | Message::Abdicate { .. }
                | Message::History { .. }
                | Message::HistoryRequest { .. }
                | Message::Application { .. }
                | Message::Nak { .. }
                | Message::Unavailable { .. }
                | Message::SnapshotRequest { .. }
                | Message::SnapshotOffer { .. }
        ),
    }
}
