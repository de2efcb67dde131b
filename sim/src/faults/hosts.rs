//! Faults of hosts: processes, their services, and their disks.

use quorate_core::Position;

use super::{Fault, Plan};
use crate::dice::{ALWAYS, Dice};
use crate::disk::{Damage, SimDisk};
use crate::report::Mark;
use crate::swarm::{FaultClass, MICRO, MILLI};
use crate::world::{Occurrence, World};

impl World {
    /// Begins something that happens to a process.
    pub(super) fn begin_process_fault(&mut self, plan: Plan, mut dice: Dice) {
        let Plan { victim, duration, .. } = plan;
        let until = self.now + duration;
        match plan.class {
            FaultClass::Kill if self.swarm.durability.is_volatile() && dice.chance(ALWAYS / 3) => {
                self.stop_in_order(victim);
            }
            FaultClass::Kill => self.kill(victim),
            FaultClass::Midway => {
                self.nodes[victim].crash_after = Some(dice.below(20) as u32);
            }
            FaultClass::PowerLoss => {
                self.tally.saw(Mark::PowerLoss);
                let rolls = dice.chance(ALWAYS / 3);
                for node in 0..self.nodes.len() {
                    let after = if rolls { node as u64 * dice.below(duration) } else { 0 };
                    let crash = Occurrence::Fault(Fault::Crash(node));
                    self.queue.push(self.now + after, crash);
                }
            }
            FaultClass::Pause => {
                self.tally.saw(Mark::Pause);
                self.nodes[victim].paused_until = until;
            }
            FaultClass::SlowProcess => {
                self.tally.saw(Mark::SlowProcess);
                let cost = dice.pick(&[50 * MICRO, 500 * MICRO, 5 * MILLI]);
                self.nodes[victim].slow = (until, cost);
            }
            FaultClass::ServiceFailure => self.nodes[victim].fails_service = true,
            FaultClass::Wipe => {
                self.move_doom(&mut dice);
                if let Some(doomed) = self.doomed_node(&mut dice) {
                    self.tally.saw(Mark::Wiped);
                    self.lose_power(doomed);
                    self.nodes[doomed].disk.wipe();
                    if dice.chance(ALWAYS / 2) {
                        self.tally.saw(Mark::MadeAnew);
                        self.nodes[doomed].disk.make_anew();
                        // A start on what was lost was refused, perhaps, before that.
                        self.nodes[doomed].refusal = None;
                        let after = self.restart_delay();
                        self.queue.push(self.now + after, Occurrence::Restart { node: doomed });
                    }
                }
            }
            FaultClass::Swap => self.swap_disks(victim, until),
            _ => {}
        }
    }

    /// Begins something that happens to a disk.
    pub(super) fn begin_disk_fault(&mut self, plan: Plan, mut dice: Dice) {
        let Plan { victim, duration, .. } = plan;
        let until = self.now + duration;
        match plan.class {
            FaultClass::PowerCut => self.lose_power(victim),
            FaultClass::WriteError => self.nodes[victim].fails_write = true,
            FaultClass::SyncError => self.nodes[victim].fails_sync = true,
            FaultClass::LatentError => self.damage(&[Damage::LatentError], &mut dice),
            FaultClass::Rot => {
                let kinds = [Damage::Rot, Damage::Rot, Damage::BothCopies, Damage::SnapshotRot];
                self.damage(&kinds, &mut dice);
                // One copy of two is no loss: it befalls anybody.
                let disk = &mut self.nodes[victim].disk;
                disk.damage(Damage::OneCopy, Position::ZERO, &mut dice, &mut self.tally);
            }
            FaultClass::LostWrite => {
                self.damage(&[Damage::LostWrite, Damage::MisdirectedWrite], &mut dice);
            }
            FaultClass::DiskFull => {
                self.nodes[victim].disk_full = true;
                self.queue.push(until, Occurrence::Fault(Fault::FreeDisk(victim)));
            }
            FaultClass::DiskStall => {
                self.tally.saw(Mark::DiskStall);
                self.nodes[victim].stalled_until = until;
            }
            FaultClass::SlowDisk => {
                self.tally.saw(Mark::SlowDisk);
                self.nodes[victim].slow_disk = (until, dice.pick(&[10, 100, 1_000]));
            }
            _ => {}
        }
    }

    /// Two members get each the other's disk, for a while.
    fn swap_disks(&mut self, one: usize, until: u64) {
        let other = (one + 1) % self.nodes.len();
        if self.swapped.is_some() || one == other {
            return;
        }
        self.tally.saw(Mark::Swapped);
        self.lose_power(one);
        self.lose_power(other);
        self.exchange(one, other);
        self.swapped = Some((one, other));
        self.queue.push(until, Occurrence::Fault(Fault::SwapBack(one, other)));
    }

    /// The disks are found to be in the wrong machines, and put back.
    pub(crate) fn swap_back(&mut self, one: usize, other: usize) {
        if self.swapped.take().is_none() {
            return;
        }
        self.exchange(one, other);
        for node in [one, other] {
            self.nodes[node].refusal = None;
            self.queue.push(self.now + MILLI, Occurrence::Restart { node });
        }
    }

    fn exchange(&mut self, one: usize, other: usize) {
        let (low, high) = (one.min(other), one.max(other));
        let (front, back) = self.nodes.split_at_mut(high);
        core::mem::swap(&mut front[low].disk, &mut back[0].disk);
    }

    /// Damages the disk of a member that may lose it for good.
    fn damage(&mut self, kinds: &[Damage], dice: &mut Dice) {
        let Some(node) = self.doomed_node(dice) else { return };
        let damage = dice.pick(kinds);
        // What is not applied yet will be read again, if the member is far behind.
        let applied = self.nodes[node].view.applied;
        let from = if dice.chance(ALWAYS / 2) { applied } else { Position::ZERO };
        if self.nodes[node].disk.damage(damage, from, dice, &mut self.tally) {
            self.note(|| format!("the disk of member {}: {damage:?}", node + 1));
        }
    }

    /// Once every disk is sound, of a member that counts, and holds all that was chosen, others may
    /// be taken: what was made anew has to be as good as what it replaced.
    fn move_doom(&mut self, dice: &mut Dice) {
        let (by, count) = (dice.below(self.nodes.len() as u64) as usize, self.nodes.len());
        let chosen = self.watch.chosen_end();
        let is_whole = |disk: &SimDisk| {
            let is_safe = disk.is_sound() && !disk.is_about_to_lie();
            is_safe && disk.is_of_a_full_member() && disk.durable_end() >= chosen
        };
        if self.swapped.is_none() && self.nodes.iter().all(|node| is_whole(&node.disk)) {
            self.doomed.iter_mut().for_each(|node| *node = (*node + by) % count);
        }
    }

    /// One of the members that this world may take the disk of (the fault budget), if its disk is
    /// its own at the moment.
    fn doomed_node(&self, dice: &mut Dice) -> Option<usize> {
        if self.doomed.is_empty() {
            return None;
        }
        let node = dice.pick(&self.doomed);
        let swapped = self.swapped.is_some_and(|(one, other)| node == one || node == other);
        (!swapped).then_some(node)
    }
}
