//! S23, of members that lost their directory (E47): such a one promises nothing before it has
//! written down that it was readmitted, and it writes that only once a readmission of its life is
//! chosen.

use quorate_core::{Action, MemberId, Message, Notice, Position};

use super::rising::ByMember;
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};
use crate::disk::Work;

#[derive(Default)]
pub(super) struct Readmissions {
    /// Where the log was said to readmit each member, in its present life.
    told: ByMember<Vec<Position>>,
    /// Whose directory is known to be that of a member that counts.
    counts: ByMember<bool>,
}

impl Readmissions {
    fn marked(&mut self, scene: &Scene<'_>, ghost: &Ghost, violations: &mut Violations) {
        let member = scene.member;
        let told = self.told.get(member).map_or(&[][..], Vec::as_slice);
        if !told.iter().any(|position| *position < ghost.chosen_end()) {
            let end = ghost.chosen_end();
            let text = format!("member {member} counts again, told {told:?}, chosen up to {end}");
            violations.add("S23", text);
        }
    }
}

/// What nobody may say whose promises do not cover those of former lives.
const fn is_promise(message: &Message) -> bool {
    match message {
        Message::Ballot { granted, .. } | Message::CanvassReply { granted, .. } => *granted,
        Message::RequestVote { .. }
        | Message::RequestSuccession { .. }
        | Message::Acknowledge { .. } => true,
        _ => false,
    }
}

impl Observer for Readmissions {
    fn ids(&self) -> &'static [&'static str] {
        &["S23"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES
            .and(Kinds::DURABLE)
            .and(Kinds::NOTICES)
            .and(Kinds::SENDS_ELECTION)
            .and(Kinds::SENDS_ACKNOWLEDGEMENT)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let member: MemberId = scene.member;
        match *observed {
            Observed::Started => {
                self.told.entry(member).clear();
                *self.counts.entry(member) = scene.disk.is_of_a_full_member();
            }
            Observed::Acting(&Action::Notify(Notice::Readmission { member, position })) => {
                self.told.entry(member).push(position);
            }
            Observed::Durable(Work::Peers(_)) => {
                let counts = scene.disk.is_of_a_full_member();
                let counted = core::mem::replace(self.counts.entry(member), counts);
                if counts && !counted {
                    self.marked(scene, ghost, violations);
                }
            }
            Observed::Acting(Action::Send { message, .. })
                if is_promise(message) && !scene.disk.is_of_a_full_member() =>
            {
                let text = format!("member {member} is not readmitted, and says {message:?}");
                violations.add("S23", text);
            }
            _ => {}
        }
    }
}
