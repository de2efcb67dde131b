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
    /// The same of the stream of a snapshot.
    parts: Vec<(u64, Destination, EpochRange)>,
    /// When each member was last asked whether it has a snapshot.
    requests: Vec<(u64, Destination)>,
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
            match asked_lately(scene, &mut self.recent, asked) {
                Some((ago, whom)) => format!("was asked of {whom:?} {ago} ns ago"),
                None => {
                    self.recent.push((scene.now, to, asked));
                    return;
                }
            }
        };
        to_report.add("S19", format!("member {} asks for {range}, which {problem}", scene.member));
    }

    /// Asks for a part of a snapshot: not twice within the retry interval.
    fn ask_for_part(&mut self, scene: &Scene<'_>, to: Destination, asked: EpochRange) -> Found {
        let again = asked_lately(scene, &mut self.parts, asked);
        self.parts.push((scene.now, to, asked));
        let (ago, whom) = again?;
        Some(format!("{asked:?} of a snapshot, which was asked of {whom:?} {ago} ns ago"))
    }

    /// Asks whether there is a snapshot: not twice within a heartbeat interval.
    fn request(&mut self, scene: &Scene<'_>, to: Destination) -> Found {
        let retry = scene.rules.at_least(scene.rules.timing.heartbeat_interval);
        self.requests.retain(|(at, _)| scene.now.saturating_sub(*at) < retry);
        let again = self.requests.iter().any(|(_, whom)| *whom == to);
        self.requests.push((scene.now, to));
        again.then(|| format!("a snapshot of {to:?} twice within {retry} ns"))
    }

    fn hear(&mut self, position: Position) {
        self.heard = self.heard.max(position);
    }
}

type Found = Option<String>;

fn report(scene: &Scene<'_>, problem: Found, violations: &mut Violations) {
    if let Some(problem) = problem {
        violations.add("S19", format!("member {} asks for {problem}", scene.member));
    }
}

/// How long ago, and of whom, a part of `asked` was asked for within the retry interval.
fn asked_lately(
    scene: &Scene<'_>,
    recent: &mut Vec<(u64, Destination, EpochRange)>,
    asked: EpochRange,
) -> Option<(u64, Destination)> {
    let retry = scene.rules.at_least(scene.rules.timing.nak_retry);
    recent.retain(|(at, ..)| scene.now.saturating_sub(*at) < retry);
    let again = recent.iter().find(|(_, _, old)| {
        // Of whomever: what one was asked for may be on its way.
        old.epoch == asked.epoch && !PositionRange::intersection(old.range, asked.range).is_empty()
    });
    again.map(|(at, whom, _)| (scene.now - at, *whom))
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
            .and(Kinds::SNAPSHOTS)
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
                Message::Acknowledge { received, .. }
                | Message::Holding { received, .. }
                | Message::Impaired { received, .. }
                | Message::Application { received, .. } => {
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
            Observed::Acting(Action::Send {
                to,
                message: Message::Nak { stream: Stream::Snapshot, ranges },
            }) => {
                let again = |range: &EpochRange| asked.ask_for_part(scene, *to, *range);
                let problem = ranges.iter().find_map(again);
                report(scene, problem, violations);
            }
            Observed::Acting(Action::Send { to, message: Message::SnapshotRequest { .. } }) => {
                let problem = asked.request(scene, *to);
                report(scene, problem, violations);
            }
            // What comes of it may be that it begins anew.
            Observed::Acting(Action::CheckSnapshot { .. } | Action::DropSnapshot) => {
                asked.parts.clear();
            }
            _ => {}
        }
    }
}
