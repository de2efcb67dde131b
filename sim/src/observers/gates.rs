//! S36: no byte of a term goes to the log before the term's line is durable (rule 1). The other
//! gates are watched by S3 (votes), S8 (commits) and S12 (acknowledgements).

use quorate_core::{Action, Message};

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

pub(super) struct Gates;

impl Observer for Gates {
    fn ids(&self) -> &'static [&'static str] {
        &["S36"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::WRITTEN.and(Kinds::SENDS_ACKNOWLEDGEMENT)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        match *observed {
            Observed::Written { bad: Some(at), .. } => {
                let text = format!(
                    "member {} writes at {at} what is no frame under its durable history of {}",
                    scene.member,
                    scene.disk.history().last_term()
                );
                violations.add("S36", text);
            }
            Observed::Acting(Action::Send {
                message: Message::Acknowledge { term, .. } | Message::Holding { term, .. },
                ..
            }) if scene.disk.history().last_term() != *term => {
                let text = format!(
                    "member {} acknowledges in term {term}, and its durable history is of {}",
                    scene.member,
                    scene.disk.history().last_term()
                );
                violations.add("S36", text);
            }
            _ => {}
        }
    }
}
