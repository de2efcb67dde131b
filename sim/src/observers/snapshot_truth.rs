//! S24: a snapshot is what applying the log up to its position gives: members that stand at one
//! position, however they came there, lay out and store the same bytes (E79); and a member counts
//! on a snapshot only that its disk has. A log begins only where two that are usable stand for
//! what is purged: one may turn out to be broken.

use quorate_core::{Action, Position, Role, Snapshot, SnapshotPoint};

use super::rising::Rising;
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};
use crate::deviations;
use crate::disk::Work;

#[derive(Default)]
pub(super) struct SnapshotTruth {
    /// What whoever was at a position first laid out there.
    core: Rising<Position, Snapshot>,
    /// What whoever stored first had of its service.
    service: Rising<Position, Vec<u8>>,
}

impl SnapshotTruth {
    fn laid_out(&mut self, scene: &Scene<'_>, snapshot: &Snapshot, violations: &mut Violations) {
        let (at, member) = (snapshot.point.position, scene.member);
        let first = self.core.get_or_insert_with(at, || snapshot.clone());
        if first != snapshot {
            let text = format!(
                "the snapshot of member {member} at {at} has {} bytes at {:?}; another's has {} at \
                 {:?}, or other ones",
                snapshot.core.len(),
                snapshot.point,
                first.core.len(),
                first.point
            );
            violations.add("S24", text);
        }
    }

    fn stored(
        &mut self,
        scene: &Scene<'_>,
        service: &[u8],
        at: Position,
        violations: &mut Violations,
    ) {
        let first = self.service.get_or_insert_with(at, || service.to_vec());
        if first != service {
            let member = scene.member;
            let text = format!("the service of member {member} at {at} is another's not");
            violations.add("S24", text);
        }
    }
}

fn purged(scene: &Scene<'_>, origin: &SnapshotPoint, violations: &mut Violations) {
    let (member, position) = (scene.member, origin.position);
    let standing = scene.disk.usable_snapshots().filter(|at| *at >= position).count();
    if standing < 2 {
        let text =
            format!("member {member} purges up to {position}: {standing} snapshots are left");
        violations.add("S24", text);
    }
    let frame = scene.disk.frame_ending_at(position);
    if frame.is_none_or(|frame| (frame.term, frame.chain) != (origin.term, origin.chain)) {
        violations
            .add("S24", format!("member {member} begins at {origin:?}, not behind {frame:?}"));
    }
}

impl Observer for SnapshotTruth {
    fn ids(&self) -> &'static [&'static str] {
        &["S24"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::SNAPSHOTS.and(Kinds::DURABLE)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        match *observed {
            Observed::Acting(Action::TakeSnapshot { snapshot, .. }) => {
                self.laid_out(scene, snapshot, violations);
                let point = snapshot.point;
                if let Some(chosen) = ghost.chosen_ending_at(point.position)
                    && chosen.chain != point.chain
                {
                    let text = format!("a snapshot at {point:?}, where {chosen:?} was chosen");
                    violations.add("S24", text);
                }
            }
            Observed::Acting(Action::Purge { origin }) => purged(scene, origin, violations),
            // What deviates is to be found by the members (E113), and to spread to nobody.
            Observed::Durable(Work::Snapshot { stored, .. })
                if !deviations::deviates(&stored.service) =>
            {
                self.stored(scene, &stored.service, stored.snapshot.point.position, violations);
            }
            // It came from others, and is none the less what applying the log gives.
            Observed::Durable(Work::Install { manifest, .. }) => {
                let at = manifest.point.position;
                match scene.disk.snapshot_at(at).cloned() {
                    Some(installed) => {
                        self.laid_out(scene, &installed.snapshot, violations);
                        self.stored(scene, &installed.service, at, violations);
                    }
                    None => {
                        let text = format!("member {} has not installed {at}", scene.member);
                        violations.add("S24", text);
                    }
                }
            }
            // Who deviates has discarded it, and counts on nothing any more.
            Observed::Stepped { .. }
                if scene.view.role != Role::Stopped
                    && !scene.disk.has_snapshot(scene.view.snapshot) =>
            {
                let text = format!(
                    "member {} counts on a snapshot at {} that its disk has not",
                    scene.member, scene.view.snapshot
                );
                violations.add("S24", text);
            }
            _ => {}
        }
    }
}
