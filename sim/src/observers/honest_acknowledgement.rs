//! S12: an acknowledged position is durable on the acknowledger, as the leader of that term has it.

use quorate_core::{Action, Message, Position, Term, TermHistory};

use super::rising::Rising;
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

#[derive(Default)]
pub(super) struct HonestAcknowledgement {
    histories: Rising<Term, TermHistory>,
}

impl Observer for HonestAcknowledgement {
    fn ids(&self) -> &'static [&'static str] {
        &["S12"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::PERSISTS_HISTORY.and(Kinds::SENDS_ACKNOWLEDGEMENT)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        match *observed {
            // A winner's history is fixed when it asks for it to be made durable (rule 7).
            Observed::Acting(Action::PersistHistory { history, .. })
                if history.last().is_some_and(|line| line.leader.member == scene.member) =>
            {
                self.histories.get_or_insert_with(history.last_term(), || history.clone());
            }
            Observed::Acting(Action::Send {
                message: Message::Acknowledge { term, durable, .. },
                ..
            }) if *durable > Position::ZERO => {
                let problem = match self.histories.get(*term) {
                    None => "nobody led that term".to_owned(),
                    Some(history) => match ghost.chain_at(*durable, history) {
                        None => "the leader has no frame that ends there".to_owned(),
                        Some(chain) if scene.disk.holds_durably(*durable, chain) => return,
                        Some(_) => format!(
                            "its disk keeps {} and has {:?} there",
                            scene.disk.durable_end(),
                            scene.disk.frame_ending_at(*durable)
                        ),
                    },
                };
                let text = format!(
                    "member {} acknowledges {durable} in term {term}: {problem}",
                    scene.member
                );
                violations.add("S12", text);
            }
            _ => {}
        }
    }
}
