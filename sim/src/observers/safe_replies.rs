//! S14, of replies that wait: one that was asked to wait until its message is safe leaves only when
//! a quorum of disks has all up to that message, whatever leads and whatever was asked again; and
//! so it is with a position that a client waited for. What was called safe stays on a quorum of
//! disks, whoever crashes: then all members could lose their power, and it would be there.

use std::collections::BTreeSet;

use quorate_core::{Chain, ClientKey, Position};

use super::no_early_reply::Tail;
use super::rising::{ByMember, Rising};
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};
use crate::disk::SimDisk;

/// Follows the egress streams of each member frame by frame, in worlds where it matters.
#[derive(Default)]
pub(super) struct SafeReplies {
    asked: BTreeSet<(ClientKey, u64)>,
    streams: ByMember<Rising<(ClientKey, u64), Tail>>,
    /// The end of what was called safe, and the chain value there.
    promised: Option<(Position, Chain)>,
}

/// Whether what lies on a disk for certain reaches to `end`, with this chain value there. Frames
/// that a fetched snapshot stands for are not on it any more.
fn keeps(disk: &SimDisk, end: Position, chain: Chain) -> bool {
    let is_there = end <= disk.origin().position;
    end <= disk.durable_end()
        && disk.frame_ending_at(end).map_or(is_there, |frame| frame.chain == chain)
}

fn is_kept(scene: &Scene<'_>, end: Position, chain: Chain) -> bool {
    let copies = scene.disks.iter().filter(|disk| keeps(disk, end, chain)).count();
    copies * 2 > scene.disks.count()
}

impl SafeReplies {
    /// Somebody called the frame safe that begins at `position`; the problem, if it is not.
    fn promise(&mut self, scene: &Scene<'_>, ghost: &Ghost, position: Position) -> Option<String> {
        let chosen = ghost.chosen_after(position);
        let Some(chosen) = chosen else {
            return Some(format!("{position} is called safe, and nothing was chosen behind it"));
        };
        let (end, chain) = (chosen.end, chosen.chain);
        if self.promised.is_none_or(|(newest, _)| newest < end) {
            self.promised = Some((end, chain));
        }
        let text = || format!("{position} is called safe, and no quorum of disks has it to {end}");
        (!is_kept(scene, end, chain)).then(text)
    }
}

impl Observer for SafeReplies {
    fn ids(&self) -> &'static [&'static str] {
        &["S14"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES.and(Kinds::STREAMS).and(Kinds::CLIENTS)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        if !scene.rules.is_volatile {
            return;
        }
        match *observed {
            Observed::Started => *self.streams.entry(scene.member) = Rising::default(),
            Observed::AskedForSafe { key, sequence } => {
                self.asked.insert((key, sequence));
            }
            Observed::Egress { key, epoch, start, bytes } => {
                let mut early = Vec::new();
                let streams = self.streams.entry(scene.member);
                let tail = streams.get_or_insert_with((key, epoch), || Tail::from(start));
                let asked = &self.asked;
                tail.feed(start, bytes, |sequence, position| {
                    if asked.contains(&(key, sequence)) {
                        early.push(position);
                    }
                });
                for position in early {
                    if let Some(problem) = self.promise(scene, ghost, position) {
                        let text = format!("member {} replies: {problem}", scene.member);
                        violations.add("S14", text);
                    }
                }
            }
            Observed::Synced { position } => {
                if let Some(problem) = self.promise(scene, ghost, position) {
                    violations.add("S14", format!("a client is told: {problem}"));
                }
            }
            Observed::Crashed => {
                if let Some((end, chain)) = self.promised
                    && !is_kept(scene, end, chain)
                {
                    let text = format!(
                        "{end} was called safe, and no quorum of disks has it behind the crash of \
                         member {}",
                        scene.member
                    );
                    violations.add("S14", text);
                }
            }
            _ => {}
        }
    }
}
