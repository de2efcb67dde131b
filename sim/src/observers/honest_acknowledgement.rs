//! S12: an acknowledged position is durable on the acknowledger, as the leader of that term has it;
//! and one that is said to be held is written, under a mark that is durable. Who may have lost
//! bytes acknowledges nothing, and knows it when it comes back.

use quorate_core::{Action, Message, Position, Term, TermHistory};

use super::debts::Debts;
use super::rising::Rising;
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

#[derive(Default)]
pub(super) struct HonestAcknowledgement {
    histories: Rising<Term, TermHistory>,
    debts: Debts,
}

impl Observer for HonestAcknowledgement {
    fn ids(&self) -> &'static [&'static str] {
        &["S12"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::PERSISTS_HISTORY
            .and(Kinds::SENDS_ACKNOWLEDGEMENT)
            .and(Kinds::LIVES)
            .and(Kinds::NOTICES)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let owed = self.debts.look(scene, ghost, observed);
        owed.into_iter().for_each(|text| violations.add("S12", text));
        match *observed {
            // A winner's history is fixed when it asks for it to be made durable (rule 7).
            Observed::Acting(Action::PersistHistory { history, .. })
                if history.last().is_some_and(|line| line.leader.member == scene.member) =>
            {
                self.histories.get_or_insert_with(history.last_term(), || history.clone());
            }
            Observed::Acting(Action::Send {
                message: Message::Holding { term, held, durable, .. },
                ..
            }) => {
                let problem = self.look_at_held(scene, ghost, *term, *held);
                problem.into_iter().for_each(|text| violations.add("S12", text));
                self.look_at_durable(scene, ghost, (*term, *durable), violations);
            }
            Observed::Acting(Action::Send {
                message: Message::Acknowledge { term, durable, .. },
                ..
            }) => self.look_at_durable(scene, ghost, (*term, *durable), violations),
            _ => {}
        }
    }
}

impl HonestAcknowledgement {
    /// Looks whether a member's disk keeps what it says that it does.
    fn look_at_durable(
        &self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        (term, durable): (Term, Position),
        violations: &mut Violations,
    ) {
        if durable == Position::ZERO {
            return;
        }
        let problem = match self.histories.get(term) {
            None => "nobody led that term".to_owned(),
            Some(history) => match ghost.chain_at(durable, history) {
                None => "the leader has no frame that ends there".to_owned(),
                Some(chain) if scene.disk.holds_durably(durable, chain) => return,
                Some(_) => format!(
                    "its disk keeps {} and has {:?} there",
                    scene.disk.durable_end(),
                    scene.disk.frame_ending_at(durable)
                ),
            },
        };
        let member = scene.member;
        let text = format!("member {member} acknowledges {durable} in term {term}: {problem}");
        violations.add("S12", text);
    }

    /// What is wrong with what a member says that it holds in memory.
    fn look_at_held(
        &self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        term: Term,
        held: Position,
    ) -> Option<String> {
        let member = scene.member;
        if scene.view.impaired {
            return Some(format!("member {member} is impaired, and says that it holds {held}"));
        }
        if held > scene.disk.durable_end() && !scene.disk.is_marked(member) {
            return Some(format!("member {member} holds {held} without a durable mark"));
        }
        let history = self.histories.get(term).filter(|_| held > Position::ZERO)?;
        let chain = ghost.chain_at(held, history);
        let own = scene.disk.frame_ending_at(held).map(|frame| frame.chain);
        (chain.is_none() || chain != own).then(|| {
            format!(
                "member {member} says that it holds {held} in term {term}: {own:?} of {chain:?}"
            )
        })
    }
}
