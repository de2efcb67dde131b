//! S20: nothing is repaired twice to one destination while it lingers, repairs keep to their
//! budget, and only held bytes of the term that was asked for are sent (E90). Who asks for what is
//! purged is told so at once (E77).

use std::collections::VecDeque;

use quorate_core::message::EpochRange;

use quorate_core::stream::REPAIRS_MAX;
use quorate_core::{
    Action, ClientKey, Destination, Endpoint, Message, PositionRange, Sender, Stream,
};

use super::rising::{ByMember, Rising};
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

#[derive(Default)]
pub(super) struct RepairDiscipline {
    members: ByMember<Repairer>,
}

#[derive(Default)]
struct Repairer {
    /// Who asked last, and before which of the member's steps.
    asker: Option<(Sender, u64)>,
    /// What was repaired lately, of the log, of snapshots and of each client's replies.
    recent: Rising<Repaired, VecDeque<Repair>>,
    /// What was asked for last and is purged, if nothing was said of it yet, and how many requests
    /// the member had heard before.
    refusal: Option<(PositionRange, u64)>,
}

/// What a repair is of.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Repaired {
    Log,
    Snapshot,
    Replies(ClientKey),
}

#[derive(Clone, Copy)]
struct Repair {
    at: u64,
    to: Sender,
    source: Option<Endpoint>,
    epoch: u64,
    range: PositionRange,
}

impl Repairer {
    /// A request comes in; returns what the one before is still to be told.
    fn asked(&mut self, scene: &Scene<'_>, ranges: &[EpochRange]) -> Option<PositionRange> {
        let naks = scene.core.map(|core| core.counters().naks_received)?;
        let unanswered = self.refusal.take().filter(|(_, before)| naks > *before);
        let window = scene.rules.limits.window_bytes;
        let is_purged = |range: &PositionRange| {
            !range.is_empty()
                && range.is_aligned()
                && range.end <= scene.view.origin
                // Else it may be in memory.
                && range.end.plus(window) <= scene.view.verified
        };
        let purged = ranges.iter().map(|asked| asked.range).find(is_purged);
        self.refusal = purged.map(|range| (range, naks));
        unanswered.map(|(range, _)| range)
    }

    /// Notes a repair; returns what is wrong with it.
    fn repair(&mut self, scene: &Scene<'_>, stream: Repaired, repair: Repair) -> Option<String> {
        let timing = &scene.rules.timing;
        let linger = scene.rules.at_least(timing.repair_linger);
        let interval = scene.rules.at_least(timing.heartbeat_interval);
        let recent = self.recent.entry(stream);
        let keeps = linger.max(INTERVALS * interval);
        recent.retain(|old| scene.now - old.at < keeps);
        // Only the newest are remembered: what was sent before may be sent again. Of a range that
        // lies in several parts some may find no read free; they take a place all the same.
        let again = recent.iter().rev().take(REPAIRS_MAX / 2).find(|old| {
            scene.now - old.at < linger
                && (old.to, old.source, old.epoch) == (repair.to, repair.source, repair.epoch)
                && !old.range.intersection(repair.range).is_empty()
        });
        let again = again.map(|old| {
            format!("{} ns after {} was repaired for it", scene.now - old.at, old.range)
        });
        recent.push_back(repair);
        again.or_else(|| over_budget(scene, recent, interval))
    }

    fn acts(&mut self, scene: &Scene<'_>, steps: u64, action: &Action) -> Option<String> {
        // Data is sent for a request in the very step that takes it in.
        let (to, _) = self.asker.filter(|(_, step)| step + 1 == steps)?;
        let at = scene.now;
        match action {
            Action::SendData { to: target, stream, epoch, range, .. } => {
                let source = match target {
                    Destination::Client(endpoint) => Some(*endpoint),
                    Destination::Member(_) => None,
                };
                let (stream, epoch, range) = (key_of(*stream), *epoch, *range);
                self.repair(scene, stream, Repair { at, to, source, epoch, range })
            }
            // Cold bytes are read first. What the service reads begins where it is, or goes on
            // behind what it was handed already: then it may be what was just read for others.
            Action::ReadLog { range, .. } if range.start != scene.view.applied => {
                let just_read = |old: &Repair| old.at == at && old.range.contains(*range);
                if self.recent.get_mut(Repaired::Log).is_some_and(|log| log.iter().any(just_read)) {
                    return None;
                }
                let epoch = scene.history.owner(range.start).map_or(0, |line| line.term.0);
                self.repair(
                    scene,
                    Repaired::Log,
                    Repair { at, to, source: None, epoch, range: *range },
                )
            }
            Action::ReadSnapshot { position, range, .. } if !range.is_empty() => {
                let repair = Repair { at, to, source: None, epoch: position.0, range: *range };
                self.repair(scene, Repaired::Snapshot, repair)
            }
            _ => None,
        }
    }
}

/// How many intervals in a row are looked at.
const INTERVALS: u64 = 4;

/// Whether more was repaired than the budgets of the intervals that it may lie in: so many in a row
/// touch one more, whose budget may be used up too.
fn over_budget(scene: &Scene<'_>, recent: &VecDeque<Repair>, interval: u64) -> Option<String> {
    (1..=INTERVALS).find_map(|count| {
        let lately = recent.iter().filter(|old| scene.now - old.at < count * interval);
        let spent: u64 = lately.map(|old| old.range.len()).sum();
        let budget = (count + 1) * scene.rules.limits.repair_budget_bytes;
        (spent > budget).then(|| format!("{spent} bytes in {count} intervals; {budget} may be"))
    })
}

const fn key_of(stream: Stream) -> Repaired {
    match stream {
        Stream::Log => Repaired::Log,
        Stream::Snapshot => Repaired::Snapshot,
        Stream::Ingress(key) | Stream::Egress(key) => Repaired::Replies(key),
    }
}

/// What is wrong with log bytes that leave, whether repaired or not.
fn foreign(scene: &Scene<'_>, action: &Action) -> Option<String> {
    let Action::SendData { stream: Stream::Log, epoch, range, .. } = action else { return None };
    let owner = scene.history.owner(range.start).map(|line| line.term.0);
    let end = scene.history.owner_end(range.start).unwrap_or(range.end);
    if range.end > scene.view.verified {
        return Some(format!("it holds {}", scene.view.verified));
    }
    (owner != Some(*epoch) || end < range.end)
        .then(|| format!("term {epoch} does not own it, but {owner:?} up to {end}"))
}

impl Observer for RepairDiscipline {
    fn ids(&self) -> &'static [&'static str] {
        &["S20"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES
            .and(Kinds::RECEIVED_NAK)
            .and(Kinds::SENDS_DATA)
            .and(Kinds::SENDS_OTHER)
            .and(Kinds::OPERATIONS)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let repairer = self.members.entry(scene.member);
        match *observed {
            Observed::Started => *repairer = Repairer::default(),
            Observed::Received { sender, message: Message::Nak { stream, ranges } } => {
                repairer.asker = Some((sender, ghost.steps_of(scene.member)));
                let ranges = if *stream == Stream::Log { &ranges[..] } else { &[] };
                if let Some(range) = repairer.asked(scene, ranges) {
                    let text = format!("member {} has purged {range}, and is silent", scene.member);
                    violations.add("S20", text);
                }
            }
            Observed::Acting(Action::Send {
                message: Message::Unavailable { range, .. }, ..
            }) => {
                let is_it = |(purged, _): &(PositionRange, u64)| range.range.contains(*purged);
                if repairer.refusal.as_ref().is_some_and(is_it) {
                    repairer.refusal = None;
                }
            }
            Observed::Acting(Action::PersistHistory { cut, .. }) => {
                if let Some(log) = repairer.recent.get_mut(Repaired::Log) {
                    log.retain(|old| old.range.end <= *cut);
                }
            }
            Observed::Acting(action) => {
                let steps = ghost.steps_of(scene.member);
                let problem =
                    foreign(scene, action).or_else(|| repairer.acts(scene, steps, action));
                if let Some(problem) = problem {
                    let text = format!("member {}: {action:?}: {problem}", scene.member);
                    violations.add("S20", text);
                }
            }
            _ => {}
        }
    }
}
