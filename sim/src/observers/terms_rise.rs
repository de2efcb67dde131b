//! S4: terms only rise, and no message is ahead of its sender.

use std::collections::BTreeMap;

use quorate_core::{Action, MemberId, Message, Term};

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

#[derive(Default)]
pub(super) struct TermsRise {
    durable: BTreeMap<MemberId, Term>,
}

impl Observer for TermsRise {
    fn ids(&self) -> &'static [&'static str] {
        &["S4"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES.and(Kinds::STEPPED).and(Kinds::DISK).and(Kinds::ACTING)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: Observed<'_>,
        violations: &mut Violations,
    ) {
        let durable = scene.disk.vote().term.max(scene.disk.history().last_term());
        match observed {
            Observed::Stepped { .. } | Observed::Started if scene.view.term < durable => {
                let text = format!(
                    "member {} is in term {}, and its disk in {durable}",
                    scene.member, scene.view.term
                );
                violations.add("S4", text);
            }
            Observed::Stepped { .. } if scene.view.term < scene.before.term => {
                let (from, to) = (scene.before.term, scene.view.term);
                violations.add("S4", format!("member {} fell from {from} to {to}", scene.member));
            }
            Observed::Started | Observed::Durable(_) | Observed::Crashed => {
                let known = self.durable.entry(scene.member).or_default();
                if durable < *known {
                    let text = format!("the durable term of {} fell to {durable}", scene.member);
                    violations.add("S4", text);
                }
                *known = durable;
            }
            Observed::Acting(Action::Send { message, .. }) => {
                let Some((term, promise)) = term_of(message) else { return };
                if term > scene.view.term || (promise && term > durable) {
                    let text = format!(
                        "member {} in term {}, durable {durable}, says {message:?}",
                        scene.member, scene.view.term
                    );
                    violations.add("S4", text);
                }
            }
            _ => {}
        }
    }
}

/// The term of a message between members, and whether it is a promise that must be durable.
const fn term_of(message: &Message) -> Option<(Term, bool)> {
    match message {
        Message::Ballot { term, granted, .. } => Some((*term, *granted)),
        Message::Acknowledge { term, .. } => Some((*term, true)),
        Message::Canvass { term, .. }
        | Message::CanvassReply { term, .. }
        | Message::RequestVote { term, .. }
        | Message::Heartbeat { term, .. }
        | Message::HistoryRequest { term, .. }
        | Message::History { term, .. } => Some((*term, false)),
        _ => None,
    }
}
