//! S19: nobody asks for what it holds, nor for what nobody was heard to have, nor twice for the
//! same bytes within the retry interval.

use quorate_core::message::EpochRange;
use quorate_core::{Action, Destination, Message, Position, PositionRange, Stream};

use super::rising::ByMember;
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

#[derive(Default)]
pub(super) struct NakDiscipline {
    members: ByMember<Asked>,
}

#[derive(Default)]
struct Asked {
    /// The highest position that this life heard of.
    heard: Position,
    /// What was asked for lately: when, of whom, and what.
    recent: Vec<(u64, Destination, EpochRange)>,
}

impl Asked {
    fn ask(
        &mut self,
        scene: &Scene<'_>,
        to: Destination,
        asked: EpochRange,
        to_report: &mut Violations,
    ) {
        let (view, range) = (scene.view, asked.range);
        let problem = if range.is_empty() {
            "is empty".to_owned()
        } else if range.start < view.received {
            format!("is held up to {}", view.received)
        } else if range.end > self.heard.max(view.seen) {
            format!("is above {}, the highest that was heard of", self.heard.max(view.seen))
        } else {
            match self.asked_lately(scene, asked) {
                Some((ago, whom)) => format!("was asked of {whom:?} {ago} ns ago"),
                None => {
                    self.recent.push((scene.now, to, asked));
                    return;
                }
            }
        };
        to_report.add("S19", format!("member {} asks for {range}, which {problem}", scene.member));
    }

    fn asked_lately(&mut self, scene: &Scene<'_>, asked: EpochRange) -> Option<(u64, Destination)> {
        let retry = scene.rules.at_least(scene.rules.timing.nak_retry);
        self.recent.retain(|(at, ..)| scene.now.saturating_sub(*at) < retry);
        let again = self.recent.iter().find(|(_, _, old)| {
            // Of whomever: what one was asked for may be on its way.
            old.epoch == asked.epoch
                && !PositionRange::intersection(old.range, asked.range).is_empty()
        });
        again.map(|(at, whom, _)| (scene.now - at, *whom))
    }

    fn hear(&mut self, position: Position) {
        self.heard = self.heard.max(position);
    }
}

impl Observer for NakDiscipline {
    fn ids(&self) -> &'static [&'static str] {
        &["S19"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES
            .and(Kinds::HEARD)
            .and(Kinds::RECEIVED_ELECTION)
            .and(Kinds::RECEIVED_HEARTBEAT)
            .and(Kinds::RECEIVED_ACKNOWLEDGEMENT)
            .and(Kinds::LOG_FELL)
            .and(Kinds::PERSISTS_HISTORY)
            .and(Kinds::SENDS_OTHER)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let asked = self.members.entry(scene.member);
        match *observed {
            Observed::Started => *asked = Asked::default(),
            Observed::Heard(end) => asked.hear(end),
            Observed::Received { message, .. } => match message {
                Message::Canvass { key, .. }
                | Message::CanvassReply { key, .. }
                | Message::RequestSuccession { key, .. }
                | Message::RequestVote { key, .. } => asked.hear(key.position),
                Message::Heartbeat { newest, .. } => asked.hear(*newest),
                Message::Acknowledge { received, .. } | Message::Application { received, .. } => {
                    asked.hear(*received);
                }
                _ => {}
            },
            // A cut makes bytes missing that were asked for, and came.
            Observed::Stepped { .. } if scene.view.received < scene.before.received => {
                asked.recent.clear();
            }
            Observed::Acting(Action::PersistHistory { .. }) => asked.recent.clear(),
            Observed::Acting(Action::Send {
                to,
                message: Message::Nak { stream: Stream::Log, ranges },
            }) => {
                for range in ranges {
                    asked.ask(scene, *to, *range, violations);
                }
            }
            _ => {}
        }
    }
}
