//! S27: what a linearizable read is answered has all that was acknowledged to anybody, and all that
//! any such read had shown, before it was asked. S28: what a session read is answered has all that
//! its client has seen. Both by positions alone, as soon as a member says the answer, whoever hears
//! it; and two answers from one position are of one state. No stale read is answered beyond its
//! bound.

use std::collections::BTreeMap;

use quorate_core::frame::ALIGNMENT;
use quorate_core::{Action, ClientKey, Duration, Message, Position, ReadAnswer, ReadLevel};

use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};
use crate::ledger::read_query;

/// A read that was asked.
struct Asked {
    key: ClientKey,
    level: ReadLevel,
    /// What it has to see.
    least: Position,
}

#[derive(Default)]
pub(super) struct Reads {
    /// By number, which no two reads have alike.
    asked: BTreeMap<u64, Asked>,
    /// The end of what was acknowledged to any client, or shown to one by a linearizable read.
    acknowledged: Position,
    /// The end of what each client has seen.
    seen: BTreeMap<ClientKey, Position>,
    /// The state at positions that answers are of.
    states: BTreeMap<Position, u64>,
}

impl Reads {
    fn begin(&mut self, key: ClientKey, number: u64, level: ReadLevel) {
        let least = match level {
            ReadLevel::Linearizable | ReadLevel::Lease => self.acknowledged,
            ReadLevel::Session { least } => {
                least.max(self.seen.get(&key).copied().unwrap_or_default())
            }
            ReadLevel::Stale { .. } => Position::ZERO,
        };
        self.asked.insert(number, Asked { key, level, least });
    }

    /// A member says this answer; the problem with it, if there is one.
    fn judge(&mut self, number: u64, answer: &ReadAnswer) -> Option<(&'static str, String)> {
        let Asked { level, least, .. } = self.asked.get(&number)?;
        let applied = answer.applied;
        let id = if level.needs_leader() { "S27" } else { "S28" };
        if applied < *least {
            let text = format!("a read at {level:?} is answered from {applied}, and not {least}");
            return Some((id, text));
        }
        if let ReadLevel::Stale { bound } = level
            && answer.age > *bound
        {
            let Duration(age) = answer.age;
            return Some(("S28", format!("a stale read is {age} ns old, beyond {bound:?}")));
        }
        let (state, _) = read_query(&answer.payload)?;
        let known = *self.states.entry(applied).or_insert(state);
        let text = || format!("two answers from {applied} are of different states");
        (known != state).then(|| (id, text()))
    }

    fn shown(&mut self, number: u64, answer: &ReadAnswer) {
        let Some(Asked { key, level, .. }) = self.asked.remove(&number) else { return };
        let applied = answer.applied;
        if level.needs_leader() {
            self.acknowledged = self.acknowledged.max(applied);
        }
        let seen = self.seen.entry(key).or_default();
        *seen = applied.max(*seen);
    }
}

impl Observer for Reads {
    fn ids(&self) -> &'static [&'static str] {
        &["S27", "S28"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::CLIENTS.and(Kinds::SENDS_OTHER)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        match *observed {
            Observed::Replied { key, position, .. } => {
                let end = position.plus(ALIGNMENT);
                self.acknowledged = self.acknowledged.max(end);
                let seen = self.seen.entry(key).or_default();
                *seen = end.max(*seen);
            }
            Observed::ReadAsked { key, number, level, .. } => self.begin(key, number, level),
            Observed::Read { number, answer, .. } => self.shown(number, answer),
            Observed::Acting(&Action::Send {
                message: Message::ReadReply { number, outcome: Ok(ref answer) },
                ..
            }) => {
                if let Some((id, text)) = self.judge(number, answer) {
                    violations.add(id, format!("member {}: {text}", scene.member));
                }
            }
            _ => {}
        }
    }
}
