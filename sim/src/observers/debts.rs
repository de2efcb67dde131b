//! What members of a volatile group have said that they hold, over their lives: who comes back
//! without some of it must know that it may have (rule 5), and has it again before it counts.

use std::collections::BTreeMap;

use quorate_core::{Action, MemberId, Message, Notice, Position};

use super::{Ghost, Observed, Scene};

/// The end of what each member has stated and no history has cut since.
#[derive(Default)]
pub(super) struct Debts {
    stated: BTreeMap<MemberId, Position>,
}

impl Debts {
    /// What is wrong with what is `observed`, if something is.
    pub(super) fn look(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        observed: &Observed<'_>,
    ) -> Option<String> {
        if !scene.rules.is_volatile {
            return None;
        }
        let member = scene.member;
        let stated = self.stated.entry(member).or_default();
        match *observed {
            Observed::Acting(Action::Send { message: Message::Holding { held, .. }, .. }) => {
                *stated = (*stated).max(*held);
            }
            Observed::Acting(Action::PersistHistory { cut, .. }) => *stated = (*stated).min(*cut),
            Observed::Crashed => {
                let kept = scene.disk.written_end();
                if kept < *stated && !scene.disk.is_marked(member) {
                    let text = "and has no mark that says so";
                    return Some(format!("member {member} keeps {kept} of {stated}, {text}"));
                }
            }
            Observed::Started if scene.disk.is_marked(member) && !scene.view.impaired => {
                return Some(format!("member {member} has the mark, and counts in full"));
            }
            Observed::Acting(Action::Notify(Notice::Healed { .. })) => {
                let (has, owes) = (scene.view.verified, ghost.chosen_end().min(*stated));
                if has < owes {
                    let text = format!("member {member} is healed with {has}, and held {owes}");
                    return Some(text);
                }
            }
            _ => {}
        }
        None
    }
}
