//! What a leader knows of those that are to be readmitted.

use core::ops::Range;

use super::Leading;
use crate::identity::{Life, MemberId};
use crate::position::Position;
use crate::time::{Duration, Instant};

impl Leading {
    /// Takes in where an applicant is, between the ends of `window`: it gets data as a follower
    /// does, and nothing that it holds counts. `None` if that is old; else whether it is to be
    /// readmitted in this life, which happens once.
    pub(in crate::member) fn note_applicant(
        &mut self,
        life: Life,
        sequence: u64,
        (received, limit): (Position, Position),
        window: Range<Position>,
    ) -> Option<bool> {
        let follower = self.followers.get_mut(life.member).filter(|_| self.is_open)?;
        let is_new_life = follower.life != life;
        if !is_new_life && sequence <= follower.sequence {
            return None;
        }
        if is_new_life || !follower.is_level {
            follower.is_level = true;
            follower.sent =
                if received < window.start { window.end } else { received.min(window.end) };
        }
        (follower.life, follower.sequence, follower.is_applicant) = (life, sequence, true);
        (follower.held, follower.durable) = (Position::ZERO, Position::ZERO);
        follower.limit = limit;
        Some(follower.readmitted != Some(life))
    }

    pub(in crate::member) fn note_readmission(&mut self, life: Life) {
        if let Some(follower) = self.followers.get_mut(life.member) {
            follower.readmitted = Some(life);
        }
    }

    /// Whether `member` applies for readmission, as far as this leader knows.
    pub(in crate::member) fn is_applicant(&self, member: MemberId) -> bool {
        self.followers.get(member).is_some_and(|follower| follower.is_applicant)
    }

    /// Whether `member` was heard to count within `span`.
    pub(in crate::member) fn is_heard_within(
        &self,
        member: MemberId,
        now: Instant,
        span: Duration,
    ) -> bool {
        self.followers.get(member).is_some_and(|it| now.since(it.heard_at) < span)
    }
}
