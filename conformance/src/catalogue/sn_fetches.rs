//! Cases about snapshots of other members, with members of any subject: logs lose their beginning
//! soon, and one member was away for longer than that.

use quorate_core::{Limits, Position, SnapshotManifest};

use super::cu::small_windows;
use crate::case::{Failure, Verdict};
use crate::edges::Command;
use crate::stage::{ClientNumber, Effect, MILLI, Options, SECOND, Stage};
use crate::subject::Feature;
use crate::trial::Trial;

/// Bytes of the log between two markers.
const INTERVAL: u64 = 8_000;
/// Bytes of a fetched snapshot that are in memory: less than a snapshot here, so that it comes in
/// parts.
const RING: u64 = 2_048;

/// Members that let go of their logs, `keep` bytes behind the newest snapshot.
pub(super) fn purging(members: usize, keep: u64) -> Options {
    small_windows(members).limits(|limits| {
        *limits = Limits {
            snapshot_interval_bytes: INTERVAL,
            purge_keep_bytes: keep,
            repair_request_bytes_max: RING,
            ..limits.clone()
        };
    })
}

/// A group of which one member was cut off while the others purged what it lacks.
pub(super) struct Behind<'a> {
    pub(super) stage: Stage<'a>,
    pub(super) client: ClientNumber,
    pub(super) leader: u16,
    pub(super) behind: u16,
}

impl<'a> Behind<'a> {
    /// Of so many members; it is cut off still.
    pub(super) fn new(trial: &Trial<'a>, members: usize, seed: u64) -> Result<Self, Failure> {
        let mut far = Self::apart(trial, purging(members, INTERVAL), seed)?;
        // Each time as much as a window holds, so that no memory has what it lacks.
        for _ in 0..2 {
            far.stage.pour(&[far.client], 95, 1_500, 60 * SECOND)?;
        }
        far.stage.run(20 * MILLI)?;
        let is_purged = far.is_purged();
        far.stage.check(is_purged, || "the others should have purged what it lacks".into())?;
        Ok(far)
    }

    /// One member is cut off, and lacks nothing yet.
    pub(super) fn apart(trial: &Trial<'a>, options: Options, seed: u64) -> Result<Self, Failure> {
        trial.needs(Feature::Snapshots)?;
        trial.needs(Feature::Purging)?;
        trial.needs(Feature::VirtualDisk)?;
        let mut stage = trial.stage_of(options, seed);
        let leader = stage.settle()?;
        let client = stage.connected_clients(1)?[0];
        for timer in 0..4 {
            let delay = (1 + timer) * 400 * MILLI;
            stage.request(client, &Command::Schedule { timer, delay }.to_bytes())?;
        }
        stage.pour(&[client], 10, 300, 10 * SECOND)?;
        stage.even_out()?;
        let behind = stage.other_than(leader);
        stage.isolate(behind);
        Ok(Self { stage, client, leader, behind })
    }

    pub(super) fn is_purged(&self) -> bool {
        let next = self.stage.view(self.behind).received;
        let mut others = self.stage.numbers().filter(|member| *member != self.behind);
        others.all(|member| self.stage.view(member).origin > next)
    }

    /// Until it has begun a life behind a snapshot of another.
    pub(super) fn until_renewed(&mut self) -> Verdict {
        self.stage
            .until("it begins anew behind a snapshot", 10 * SECOND, |stage| stage.renewals() > 0)
    }

    /// Until all have the same state, to which it came by one snapshot.
    pub(super) fn until_level(&mut self) -> Verdict {
        self.until_renewed()?;
        self.stage.until_level(10 * SECOND)?;
        let renewals = self.stage.renewals();
        self.stage.check(renewals == 1, || format!("{renewals} snapshots were installed"))?;
        let answered = self.stage.is_answered(&[self.client]);
        self.stage.check(answered, || "a message was not answered once and in order".into())
    }

    /// The snapshot that is on its way to it, once a part of it is kept.
    fn until_it_comes(&mut self) -> Result<SnapshotManifest, Failure> {
        let behind = self.behind;
        let draft = |stage: &Stage<'_>| stage.disk(behind, |disk| disk.draft());
        self.stage.until("a part of a snapshot is kept", 10 * SECOND, |stage| {
            draft(stage).is_some_and(|(manifest, kept)| kept > 0 && kept < manifest.bytes())
        })?;
        draft(&self.stage)
            .map(|(manifest, _)| manifest)
            .ok_or_else(|| Failure::broken("nothing is kept any more"))
    }

    /// It installs the snapshot that was on its way, and no other.
    fn until_installed(&mut self, manifest: &SnapshotManifest) -> Verdict {
        self.until_renewed()?;
        let (origin, at) = (self.stage.view(self.behind).origin, manifest.point.position);
        self.stage.check(origin == at, || format!("its log begins at {origin}, and not at {at}"))
    }
}

fn seed_of(trial: &Trial<'_>, round: u64) -> u64 {
    trial.seed().wrapping_add(round)
}

pub(super) fn sn_04(trial: &mut Trial<'_>) -> Verdict {
    let mut far = Behind::new(trial, 3, trial.seed())?;
    far.stage.heal_all();
    far.until_level()?;
    let (leader, behind) = (far.leader, far.behind);
    // What it did not bring it could not go on with.
    far.stage.transfer(leader, Some(behind));
    let within = 8 * far.stage.election_timeout();
    far.stage.until("it leads", within, |stage| stage.view(behind).serving)?;
    far.stage.request(far.client, b"under the new leader")?;
    far.stage.run(2 * SECOND)?;
    far.stage.until_level(10 * SECOND)
}

pub(super) fn sn_07(trial: &mut Trial<'_>) -> Verdict {
    for round in 0..trial.times(3, 9, 90) {
        let mut far = Behind::new(trial, 3, seed_of(trial, round))?;
        let at = ["snapshot-part", "snapshot-check", "install"][round as usize % 3];
        far.stage.hold(far.behind, at);
        far.stage.heal_all();
        let behind = far.behind;
        far.stage.until("it comes to that", 10 * SECOND, move |stage| {
            !stage.held(behind, at).is_empty()
        })?;
        let applied = far.stage.view(behind).applied;
        far.stage.offer(&[far.client], 400, MILLI, 30 * MILLI)?;
        let now = far.stage.view(behind).applied;
        far.stage.check(now == applied, || format!("it applies {applied} to {now} meanwhile"))?;
        far.stage.release(behind, at);
        far.until_level()?;
    }
    Ok(())
}

pub(super) fn sn_08(trial: &mut Trial<'_>) -> Verdict {
    let hardships = [
        ("parts are lost", Effect::LoseSometimes(300_000)),
        ("parts come again", Effect::Repeat(2)),
        ("parts overtake one another", Effect::DelayUpTo(4 * MILLI)),
    ];
    for (round, (what, effect)) in (0..).zip(hardships) {
        let mut far = Behind::new(trial, 3, seed_of(trial, round))?;
        far.stage.heal_all();
        far.stage.rule(what, effect, |passing| passing.kind() == "snapshot");
        far.until_level()?;
    }
    // Whoever sends it is lost in the middle of it, and the others go on.
    let mut far = Behind::new(trial, 5, seed_of(trial, 9))?;
    far.stage.heal_all();
    let manifest = far.until_it_comes()?;
    let to = Stage::place_of(far.behind);
    let sent = far.stage.sightings().iter().rfind(|it| it.kind == "snapshot" && it.to == to);
    let source = sent.map(|sent| sent.from);
    let lost = far.stage.numbers().find(|member| Some(Stage::place_of(*member)) == source);
    let lost = lost.ok_or_else(|| Failure::broken("nobody has sent a part"))?;
    far.stage.power_off(lost);
    far.until_installed(&manifest)?;
    far.stage.until_level(10 * SECOND)?;
    far.stage.start(lost)?;
    far.stage.until_level(10 * SECOND)?;
    let parts = far.stage.sightings().iter().filter(|it| it.kind == "snapshot" && it.to == to);
    let bytes: u64 = parts.map(|part| part.bytes as u64).sum();
    // What was asked of who is gone is asked for again, and each datagram has a header.
    let most = 2 * manifest.bytes() + RING;
    far.stage.check(bytes <= most, || format!("{bytes} bytes for {}", manifest.bytes()))
}

pub(super) fn sn_09(trial: &mut Trial<'_>) -> Verdict {
    let mut far = Behind::new(trial, 3, trial.seed())?;
    let (behind, leader) = (far.behind, far.leader);
    far.stage.heal_all();
    let manifest = far.until_it_comes()?;
    far.stage.hold(behind, "snapshot-part");
    let newer = |stage: &Stage<'_>| stage.view(leader).snapshot;
    let before = newer(&far.stage);
    for _ in 0..4 {
        far.stage.pour(&[far.client], 20, 1_000, 10 * SECOND)?;
        far.stage.run(10 * MILLI)?;
    }
    let after = newer(&far.stage);
    let many = after.since(before) > 4 * INTERVAL;
    far.stage.check(many, || format!("snapshots at {before} and {after} only"))?;
    far.stage.release(behind, "snapshot-part");
    far.until_installed(&manifest)?;
    far.until_level()
}

pub(super) fn sn_10(trial: &mut Trial<'_>) -> Verdict {
    let mut far = Behind::new(trial, 5, trial.seed())?;
    let (behind, leader) = (far.behind, far.leader);
    far.stage.heal_all();
    let manifest = far.until_it_comes()?;
    far.stage.hold(behind, "snapshot-part");
    far.stage.kill(leader);
    let within = 16 * far.stage.election_timeout();
    far.stage.until("another leads", within, |stage| {
        stage.numbers().any(|member| stage.is_up(member) && stage.view(member).serving)
    })?;
    far.stage.pour(&[far.client], 20, 1_000, 10 * SECOND)?;
    far.stage.release(behind, "snapshot-part");
    far.until_installed(&manifest)?;
    far.stage.start(leader)?;
    far.until_level()
}

pub(super) fn cu_03(trial: &mut Trial<'_>) -> Verdict {
    let mut far = Behind::new(trial, 3, trial.seed())?;
    let begun = far.stage.now();
    far.stage.heal_all();
    far.until_level()?;
    let (stage, behind) = (&mut far.stage, far.behind);
    let since = |kind: &'static str, from: Option<u16>| {
        let from = from.map(Stage::place_of);
        let sent = stage.sightings().iter().filter(|it| it.at >= begun && it.kind == kind);
        sent.filter(|it| from.is_none_or(|from| it.from == from)).count()
    };
    let others: Vec<u16> = stage.numbers().filter(|member| *member != behind).collect();
    let refused: Vec<usize> =
        others.iter().map(|other| since("unavailable", Some(*other))).collect();
    let asked = since("snapshot_request", None);
    let each = refused.iter().all(|refused| (1..=32).contains(refused));
    stage.check(each, || format!("they refused {refused:?} requests"))?;
    stage.check((2..=8).contains(&asked), || format!("{asked} requests for a snapshot"))
}

pub(super) fn cu_13(trial: &mut Trial<'_>) -> Verdict {
    let keep = 160_000;
    let mut far = Behind::apart(trial, purging(3, keep), trial.seed())?;
    // More than a window holds, and less than is kept.
    far.stage.pour(&[far.client], 95, 1_500, 60 * SECOND)?;
    let is_there = !far.is_purged();
    far.stage.check(is_there, || "what it lacks should be there still".into())?;
    far.stage.heal_all();
    let begun = far.stage.now();
    let to = Stage::place_of(far.behind);
    far.stage.rule("no repair reaches it", Effect::Lose, move |passing| {
        passing.is_repair() && passing.to == to
    });
    far.stage.pour(&[far.client], 200, 1_500, 60 * SECOND)?;
    far.stage.run(20 * MILLI)?;
    // Or it has got a snapshot by now, which is as good.
    let is_purged = far.is_purged() || far.stage.renewals() > 0;
    let has = |member| (far.stage.view(member).origin, far.stage.view(member).received);
    let have: Vec<_> = far.stage.numbers().map(has).collect();
    far.stage.check(is_purged, || {
        format!("the others should have purged what it asks for: of logs there is {have:?}")
    })?;
    far.stage.heal_all();
    far.until_level()?;
    let refused = far.stage.sent_since(begun, "unavailable");
    far.stage.check(refused <= 64, || format!("{refused} refusals"))
}

/// A member that was away for good comes back, and gets a snapshot.
pub(super) fn returns(stage: &mut Stage<'_>, gone: u16) -> Verdict {
    stage.start(gone)?;
    let empty = stage.view(gone).origin == Position::ZERO;
    stage.check(empty, || "its log should begin where it did".into())?;
    stage.until_level(20 * SECOND)?;
    let renewals = stage.renewals();
    stage.check(renewals == 1, || format!("it began anew {renewals} times"))
}
