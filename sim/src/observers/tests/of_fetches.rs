//! Snapshots of other members: what the observers say of members that get it wrong.

use super::*;
use quorate_core::message::EpochRange;
use quorate_core::{
    Event, LogTime, PositionRange, Snapshot, SnapshotManifest, SnapshotPoint, Stream,
};

fn manifest(position: u64) -> SnapshotManifest {
    let position = Position(position);
    let point = SnapshotPoint { position, term: Term(1), chain: Chain(7), time: LogTime(0) };
    SnapshotManifest { point, core_bytes: 60, service_bytes: 40, digest: 5 }
}

fn operation(sequence: u64) -> OperationId {
    OperationId { sequence, ..OperationId::default() }
}

fn stage() -> Stage {
    let mut stage = Stage::with(fetches::Fetches::default());
    stage.view.role = Role::Follower;
    stage
}

impl Stage {
    fn acts(&mut self, action: &Action) -> Vec<&'static str> {
        self.show(0, Observed::Acting(action))
    }

    fn keeps(&mut self, manifest: SnapshotManifest, start: u64, end: u64) -> Vec<&'static str> {
        let range = PositionRange::new(Position(start), Position(end));
        self.acts(&Action::KeepSnapshotPart { operation: operation(1), manifest, range })
    }

    fn checks(&mut self, manifest: SnapshotManifest) -> Vec<&'static str> {
        self.acts(&Action::CheckSnapshot { operation: operation(2), manifest })
    }

    fn hears(&mut self, event: &Event<'_>) {
        let local = quorate_core::Instant(0);
        assert!(self.show(0, Observed::Stepping { local, event }).is_empty());
    }

    fn installs(&mut self, manifest: SnapshotManifest) -> Vec<&'static str> {
        self.acts(&Action::InstallSnapshot { operation: operation(3), manifest })
    }
}

/// All that comes before an install, and was chosen.
fn fetched() -> Stage {
    let mut stage = stage();
    let chosen = FrameMark { chain: Chain(7), ..mark(1, 7) };
    stage.show(0, Observed::Written { frames: &[chosen], bad: None });
    let line = quorate_core::TermLine {
        recovery_epoch: quorate_core::RecoveryEpoch(0),
        term: Term(1),
        base: Position(0),
        leader: quorate_core::Life::default(),
        chain: Chain(0),
    };
    stage.history = TermHistory::new(vec![line]).unwrap();
    // Somebody has committed it; this member has not even that.
    stage.view.commit = Position(64);
    stage.stepped();
    stage.view.commit = Position(0);
    assert!(stage.keeps(manifest(64), 0, 56).is_empty());
    assert!(stage.keeps(manifest(64), 56, 104).is_empty());
    assert!(stage.checks(manifest(64)).is_empty());
    stage.hears(&Event::SnapshotWhole { operation: operation(2), core: &[] });
    stage
}

#[test]
fn e71_a_snapshot_behind_the_own_log() {
    let mut stage = stage();
    stage.view.verified = Position(64);
    assert_eq!(stage.keeps(manifest(64), 0, 56), ["E71"]);
    assert!(stage.keeps(manifest(128), 0, 56).is_empty());
    let request = |above| Message::SnapshotRequest { term: Term(0), above: Position(above) };
    assert!(stage.sends(0, request(64)).is_empty());
    assert_eq!(stage.sends(0, request(8)), ["E71"]);
}

#[test]
fn e74_parts_out_of_order_and_what_was_not_checked() {
    let mut stage = stage();
    assert_eq!(stage.keeps(manifest(64), 8, 56), ["E74"]);
    assert!(stage.keeps(manifest(64), 0, 56).is_empty());
    assert_eq!(stage.keeps(manifest(128), 56, 104), ["E74"]);
    assert!(stage.keeps(manifest(64), 0, 56).is_empty());
    assert_eq!(stage.checks(manifest(64)), ["E74"], "a part is missing");
    assert_eq!(stage.installs(manifest(128)), ["E74"], "nobody asked for a check of that");
    let mut stage = fetched();
    assert!(stage.installs(manifest(64)).is_empty());
}

#[test]
fn e73_a_member_that_goes_on_while_it_installs() {
    let mut stage = fetched();
    assert_eq!(stage.acts(&Action::Restart), ["E73"], "nothing is installed");
    assert!(stage.installs(manifest(64)).is_empty());
    let vote = Action::PersistVote { operation: operation(4), vote: Vote::default() };
    assert_eq!(stage.acts(&vote), ["E73"]);
    assert!(stage.acts(&Action::Restart).is_empty());
    stage.show(0, Observed::Crashed);
    assert!(stage.acts(&vote).is_empty(), "that was another life");
    let mut stage = fetched();
    stage.disk.issue(operation(9), Work::Sync { covers: 0 });
    assert_eq!(stage.installs(manifest(64)), ["E73"]);
    let mut stage = fetched();
    stage.view.role = Role::Leader;
    assert_eq!(stage.installs(manifest(64)), ["E73"]);
}

#[test]
fn s24_an_install_of_what_was_not_chosen_and_an_offer_of_what_is_not_there() {
    let mut stage = fetched();
    let other = |chain| SnapshotPoint { chain: Chain(chain), ..manifest(64).point };
    let foreign = SnapshotManifest { point: other(8), ..manifest(64) };
    assert!(stage.keeps(foreign, 0, 104).is_empty());
    assert!(stage.checks(foreign).is_empty());
    stage.hears(&Event::SnapshotWhole { operation: operation(2), core: &[] });
    assert_eq!(stage.installs(foreign), ["S24"]);

    let point = other(7);
    let stored = crate::disk::Stored::new(Snapshot { point, core: vec![1; 60] }, vec![2; 40]);
    let digest = stored.manifest().digest;
    stage.disk.issue(operation(8), Work::Snapshot { stored: Box::new(stored), pinned: None });
    stage.disk.complete(operation(8));
    let (core_bytes, service_bytes, term) = (60, 40, Term(1));
    let offer = |digest| Message::SnapshotOffer { term, point, core_bytes, service_bytes, digest };
    assert_eq!(stage.sends(0, offer(digest)), ["S24"], "it does not count yet");
    stage.view.snapshot = Position(64);
    assert!(stage.sends(0, offer(digest)).is_empty());
    assert_eq!(stage.sends(0, offer(digest ^ 1)), ["S24"]);
}

#[test]
fn e75_a_snapshot_that_is_served_and_not_pinned() {
    let mut stage = stage();
    let point = manifest(64).point;
    let snapshot = Snapshot { point, core: vec![1; 60] };
    let stored = Box::new(crate::disk::Stored::new(snapshot.clone(), Vec::new()));
    stage.disk.issue(operation(8), Work::Snapshot { stored, pinned: None });
    stage.disk.complete(operation(8));
    let takes = |pinned: Option<u64>| Action::TakeSnapshot {
        operation: operation(9),
        snapshot: Box::new(snapshot.clone()),
        pinned: pinned.map(Position),
    };
    assert!(stage.acts(&takes(None)).is_empty());
    let range = PositionRange::new(Position(0), Position(56));
    stage.acts(&Action::ReadSnapshot { operation: operation(1), position: Position(64), range });
    assert_eq!(stage.acts(&takes(None)), ["E75"]);
    assert!(stage.acts(&takes(Some(64))).is_empty());
    let later = stage.rules.timing.heartbeat_interval.0 * 21;
    assert!(stage.show(later, Observed::Acting(&takes(None))).is_empty());
}

#[test]
fn s19_asking_for_a_snapshot_twice_too_soon() {
    let mut stage = Stage::with(nak_discipline::NakDiscipline::default());
    let nak = |start, end| {
        let range = PositionRange::new(Position(start), Position(end));
        let ranges = [EpochRange { epoch: 64, range }].into_iter().collect();
        Message::Nak { stream: Stream::Snapshot, ranges }
    };
    assert!(stage.sends(0, nak(0, 64)).is_empty());
    assert!(stage.sends(0, nak(64, 128)).is_empty());
    assert_eq!(stage.sends(500, nak(8, 16)), ["S19"]);
    assert!(stage.sends(2_000, nak(8, 16)).is_empty());
    let request = Message::SnapshotRequest { term: Term(0), above: Position(0) };
    assert!(stage.sends(2_000, request.clone()).is_empty());
    assert_eq!(stage.sends(11_000, request.clone()), ["S19"]);
    assert!(stage.sends(21_500, request).is_empty());
}
