//! E47, of members that lost their directory: such a one promises nothing before it has
//! written down that it was readmitted, and it writes that only once a readmission of its life is
//! chosen.

use quorate_core::{Action, Life, MemberId, Message, Notice, Position};

use super::rising::ByMember;
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};
use crate::disk::Work;

#[derive(Default)]
pub(super) struct Readmissions {
    /// Where the log was said to readmit each member, and in which life.
    told: ByMember<Vec<(Life, Position)>>,
    /// Whose directory is known to be that of a member that counts.
    counts: ByMember<bool>,
}

impl Readmissions {
    fn marked(&self, scene: &Scene<'_>, ghost: &Ghost, violations: &mut Violations) {
        let member = scene.member;
        let told = self.told.get(member).map_or(&[][..], Vec::as_slice);
        let is_chosen = |&(life, position): &(Life, Position)| {
            life == scene.view.life && position < ghost.chosen_end()
        };
        if !told.iter().any(is_chosen) {
            let end = ghost.chosen_end();
            let text = format!("member {member} counts again, told {told:?}, chosen up to {end}");
            violations.add("E47", text);
        }
    }
}

/// What nobody may say whose promises do not cover those of former lives.
const fn is_promise(message: &Message) -> bool {
    match message {
        Message::Ballot { granted, .. } | Message::CanvassReply { granted, .. } => *granted,
        Message::RequestVote { .. }
        | Message::RequestSuccession { .. }
        | Message::Acknowledge { .. }
        | Message::Holding { .. }
        | Message::Impaired { .. }
        | Message::LevelGrant { .. } => true,
        _ => false,
    }
}

impl Observer for Readmissions {
    fn ids(&self) -> &'static [&'static str] {
        &["E47"]
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
                *self.counts.entry(member) = scene.disk.is_of_a_full_member();
            }
            Observed::Acting(&Action::Notify(Notice::Readmission { life, position })) => {
                self.told.entry(life.member).push((life, position));
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
                violations.add("E47", text);
            }
            _ => {}
        }
    }
}
