//! What a leader knows of how far the others are, for whoever looks at it.

use super::super::Member;
use crate::identity::MemberId;
use crate::position::Position;
use crate::time::Duration;

/// How far another member is, as its leader knows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Who.
    pub member: MemberId,
    /// The end of what it holds of the leader's log.
    pub held: Position,
    /// How long it was not heard.
    pub silent_for: Duration,
    /// Whether it lacks so little that it may become a voter.
    pub is_level: bool,
}

impl Member {
    /// What this member knows of the others while it leads, by rising number; nothing else.
    pub fn progress(&self) -> impl Iterator<Item = Progress> {
        let now = self.state.now;
        let leading = self.state.leading.as_ref();
        let followers = leading.into_iter().flat_map(|leading| leading.followers.iter());
        followers.map(move |(member, follower)| {
            let (held, silent_for) = (follower.held, now.since(follower.heard_at));
            Progress { member, held, silent_for, is_level: self.is_level(member) }
        })
    }
}
