//! S4: terms only rise, and no message is ahead of its sender.

use quorate_core::{Action, Incarnation, Message, Term};

use super::rising::ByMember;
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

#[derive(Default)]
pub(super) struct TermsRise {
    /// The newest of the member's directory.
    durable: ByMember<(Incarnation, Term)>,
}

impl TermsRise {
    fn rises(&mut self, scene: &Scene<'_>, violations: &mut Violations) {
        let (incarnation, durable) = (scene.disk.incarnation(), durable_term(scene));
        let known = self.durable.entry(scene.member);
        if (incarnation, durable) < *known {
            let text = format!("the durable term of {} fell to {durable}", scene.member);
            violations.add("S4", text);
        }
        *known = (incarnation, durable);
    }
}

fn durable_term(scene: &Scene<'_>) -> Term {
    scene.disk.vote().term.max(scene.disk.history().last_term())
}

/// A term becomes durable only after the member is in it: looked at whenever one of both changes.
fn ahead_of_memory(scene: &Scene<'_>, violations: &mut Violations) {
    let (view, durable) = (scene.view.term, durable_term(scene));
    if view < durable {
        let text = format!("member {} is in term {view}, and its disk in {durable}", scene.member);
        violations.add("S4", text);
    }
}

impl Observer for TermsRise {
    fn ids(&self) -> &'static [&'static str] {
        &["S4"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES.and(Kinds::TERM_CHANGED).and(Kinds::DURABLE).and(Kinds::SENDS)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        match *observed {
            Observed::Stepped { .. } => {
                ahead_of_memory(scene, violations);
                let (from, to) = (scene.before.term, scene.view.term);
                if to < from {
                    let text = format!("member {} fell from {from} to {to}", scene.member);
                    violations.add("S4", text);
                }
            }
            Observed::Started | Observed::Durable(_) => {
                ahead_of_memory(scene, violations);
                self.rises(scene, violations);
            }
            Observed::Crashed => self.rises(scene, violations),
            Observed::Acting(Action::Send { message, .. }) => {
                let Some((term, promise)) = term_of(message) else { return };
                if term > scene.view.term || (promise && term > durable_term(scene)) {
                    let text = format!(
                        "member {} in term {}, durable {}, says {message:?}",
                        scene.member,
                        scene.view.term,
                        durable_term(scene)
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
        Message::LevelGrant { term, round, .. } => Some((*term, *round == 0)),
        Message::Acknowledge { term, .. }
        | Message::Holding { term, .. }
        | Message::Impaired { term, .. }
        | Message::Registered { term, .. }
        | Message::Application { term, .. } => Some((*term, true)),
        Message::Canvass { term, .. }
        | Message::Removed { term, .. }
        | Message::CanvassReply { term, .. }
        | Message::RequestVote { term, .. }
        | Message::RequestSuccession { term, .. }
        | Message::Campaign { term, .. }
        | Message::Heartbeat { term, .. }
        | Message::HistoryRequest { term, .. }
        | Message::History { term, .. } => Some((*term, false)),
        _ => None,
    }
}
