//! N1: a stall is told once, and not again before its end was told.

use quorate_core::{Action, Notice, Stall};

use super::rising::ByMember;
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

#[derive(Default)]
pub(super) struct ToldOnce {
    members: ByMember<Vec<Stall>>,
}

impl Observer for ToldOnce {
    fn ids(&self) -> &'static [&'static str] {
        &["N1"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES.and(Kinds::NOTICES)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let told = self.members.entry(scene.member);
        let problem = match *observed {
            Observed::Started => {
                told.clear();
                None
            }
            Observed::Acting(&Action::Notify(Notice::Stalled { cause })) => {
                // Of one member it is one stall, whatever holds it back.
                let same = |other: &Stall| match cause.member() {
                    Some(member) => other.member() == Some(member),
                    None => *other == cause,
                };
                let again = told.iter().any(same);
                told.push(cause);
                again.then(|| format!("tells again that {cause:?} holds it back"))
            }
            Observed::Acting(&Action::Notify(Notice::StallEnded { cause })) => {
                let at = told.iter().position(|other| *other == cause);
                at.map(|at| told.remove(at));
                at.is_none().then(|| format!("tells the end of {cause:?}, which never began"))
            }
            _ => None,
        };
        if let Some(text) = problem {
            violations.add("N1", format!("member {} {text}", scene.member));
        }
    }
}
