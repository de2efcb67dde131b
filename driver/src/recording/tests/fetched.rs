//! What a recording says of snapshots that are fetched and served.

use quorate_core::{
    Action, Duration, Event, OperationId, Position, PositionRange, SnapshotManifest, SnapshotPoint,
    Term,
};

use super::super::action_hash::ActionHash;
use super::super::step::Input;
use super::super::{Record, Recording, RecordingReader};
use super::EVENTFUL;
use super::world::Bytes;
use crate::port::StorageRequest;

fn manifest() -> SnapshotManifest {
    let point =
        SnapshotPoint { position: Position(4_096), term: Term(3), ..SnapshotPoint::default() };
    SnapshotManifest { point, core_bytes: 64, service_bytes: 1 << 40, digest: 77 }
}

#[test]
fn events_of_snapshots_are_read_as_they_were_written() {
    let reader = RecordingReader::new(EVENTFUL.as_slice()).unwrap();
    let beginning = reader.beginning();
    let member = beginning.member().unwrap();
    let written = Bytes::default();
    let mut recording =
        Recording::begin(written.clone(), &beginning.config, &beginning.recovered, beginning.now)
            .unwrap();
    let operation = OperationId { sequence: 5, ..OperationId::default() };
    let events = [
        Event::SnapshotRead { operation, manifest: Some(manifest()), bytes: b"of its stream" },
        Event::SnapshotRead { operation, manifest: None, bytes: b"" },
        Event::SnapshotWhole { operation, core: b"the core's" },
    ];
    for (event, at) in events.iter().zip(1..) {
        recording.event(beginning.now + Duration::from_millis(at), event);
    }
    recording.end(&member);
    let bytes = written.all();
    let mut reader = RecordingReader::new(bytes.as_slice()).unwrap();
    for (event, name) in events.iter().zip(["snapshot_read", "snapshot_read", "snapshot_whole"]) {
        let Record::Step(step) = reader.next_record().unwrap() else { panic!("{name} is missing") };
        assert_eq!(step.input.name(), name);
        let Input::Event(read) = step.input else { panic!("{name} is no event") };
        assert_eq!(format!("{read:?}"), format!("{event:?}"));
    }
    assert!(matches!(reader.next_record().unwrap(), Record::End(_)));
}

#[test]
fn what_is_asked_of_a_snapshot_has_the_same_hash_on_both_ways() {
    let reader = RecordingReader::new(EVENTFUL.as_slice()).unwrap();
    let member = reader.beginning().member().unwrap();
    let (operation, manifest) = (OperationId::default(), manifest());
    let other = SnapshotManifest { digest: 78, ..manifest };
    let (position, start) = (Position(4_096), Position(8));
    let range = PositionRange::new(start, start);
    let bytes = Vec::new();
    let pairs: [(Action, StorageRequest<Position>); 6] = [
        (
            Action::ReadSnapshot { operation, position, range },
            StorageRequest::ReadSnapshot { operation, position, range },
        ),
        (
            Action::KeepSnapshotPart { operation, manifest, range },
            StorageRequest::KeepSnapshotPart { operation, manifest, start, bytes },
        ),
        (
            Action::CheckSnapshot { operation, manifest },
            StorageRequest::CheckSnapshot { operation, manifest },
        ),
        (
            Action::CheckSnapshot { operation, manifest: other },
            StorageRequest::CheckSnapshot { operation, manifest: other },
        ),
        (Action::DropSnapshot, StorageRequest::DropSnapshot),
        (
            Action::InstallSnapshot { operation, manifest },
            StorageRequest::InstallSnapshot { operation, manifest },
        ),
    ];
    let mut seen = vec![ActionHash::default().value()];
    for (action, request) in &pairs {
        let (mut one, mut two) = (ActionHash::default(), ActionHash::default());
        one.action(action, &member, None);
        two.beyond_ports(action);
        two.request(request);
        assert_eq!((one.value(), one.actions()), (two.value(), two.actions()), "{action:?}");
        assert!(!seen.contains(&one.value()), "{action:?}");
        seen.push(one.value());
    }
    let mut restart = ActionHash::default();
    restart.action(&Action::Restart, &member, None);
    assert!(!seen.contains(&restart.value()));
}
