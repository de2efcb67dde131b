//! S1: at most one life of one member ever leads a term.

use std::collections::BTreeMap;

use quorate_core::{Action, Life, Role, Term, TermLine};

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

#[derive(Default)]
pub(super) struct OneLeader {
    leaders: BTreeMap<Term, Life>,
    lines: BTreeMap<Term, TermLine>,
}

impl OneLeader {
    fn leads(&mut self, term: Term, life: Life, violations: &mut Violations) {
        let first = *self.leaders.entry(term).or_insert(life);
        if first != life {
            violations.add("S1", format!("{first:?} and {life:?} both lead term {term}"));
        }
    }
}

impl Observer for OneLeader {
    fn ids(&self) -> &'static [&'static str] {
        &["S1"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::TERM_CHANGED.and(Kinds::PERSISTS_HISTORY)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        match *observed {
            Observed::Stepped { .. }
                if scene.view.role == Role::Leader
                    && (scene.before.role != Role::Leader
                        || scene.before.term != scene.view.term) =>
            {
                self.leads(scene.view.term, scene.view.life, violations);
            }
            Observed::Acting(Action::PersistHistory { history, .. }) => {
                for line in history.lines() {
                    let first = *self.lines.entry(line.term).or_insert(*line);
                    if first != *line {
                        let text = format!("two lines of term {}: {first:?}, {line:?}", line.term);
                        violations.add("S1", text);
                    }
                    self.leads(line.term, line.leader, violations);
                }
            }
            _ => {}
        }
    }
}
