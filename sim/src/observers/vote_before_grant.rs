//! S3: when a grant leaves, the disk has that vote, or a newer term.

use quorate_core::{Action, Destination, Message};

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

pub(super) struct VoteBeforeGrant;

impl Observer for VoteBeforeGrant {
    fn ids(&self) -> &'static [&'static str] {
        &["S3"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::SENDS_ELECTION
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let Observed::Acting(Action::Send { to: Destination::Member(candidate), message }) =
            observed
        else {
            return;
        };
        let (Message::Ballot { term, granted: true, .. }
        | Message::LevelGrant { term, round: 0, .. }) = message
        else {
            return;
        };
        let vote = scene.disk.vote();
        if vote.term < *term || (vote.term == *term && vote.granted_to != Some(*candidate)) {
            let text = format!(
                "member {} grants {candidate} term {term}, and its disk has {vote:?}",
                scene.member
            );
            violations.add("S3", text);
        }
    }
}
