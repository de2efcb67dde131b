mod fetched;

use super::*;
use quorate_core::frame::{FrameFront, frame_bytes};
use quorate_core::{PositionRange, RecoveryEpoch, SessionId, TermLine};

const TAG: GroupTag = GroupTag(5);

fn operation(sequence: u64) -> OperationId {
    OperationId { boot_epoch: BootEpoch(1), sequence }
}

fn line(term: u64, base: u64) -> TermLine {
    TermLine {
        recovery_epoch: RecoveryEpoch(0),
        term: Term(term),
        base: Position(base),
        leader: Life::default(),
        chain: Chain(0),
    }
}

fn frame(term: u64, position: u64, payload: &[u8]) -> Vec<u8> {
    let seed = FrameSeed::new(TAG, Term(term), Position(position));
    let body = Body::Message { session: SessionId(8), sequence: 1, time: LogTime(3) };
    let mut bytes = FrameFront::new(seed, &body, (payload, &[])).bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes.resize(frame_bytes(&body, payload.len()) as usize, 0);
    bytes
}

fn complete(disk: &mut SimDisk, operation: OperationId) -> Option<Completion> {
    disk.complete(operation)
}

/// A disk with the line of term 1 and `frames` frames of it, all unsynced.
fn written(frames: u64) -> SimDisk {
    let mut disk = SimDisk::new(TAG, 4_096);
    let history = TermHistory::new(vec![line(1, 0)]).unwrap();
    disk.issue(operation(1), Work::History { history, cut: Position::ZERO });
    complete(&mut disk, operation(1)).unwrap();
    for _ in 0..frames {
        let bytes = frame(1, disk.written_end().0, &[7; 100]);
        let (marks, bad) = disk.append(&bytes, &[]);
        assert_eq!((marks.len(), bad), (1, None));
    }
    disk
}

#[test]
fn a_sync_covers_what_was_written_before_it() {
    let mut disk = written(2);
    disk.issue(operation(2), Work::Sync { covers: disk.written_end().0 });
    let covered = disk.written_end();
    let bytes = frame(1, covered.0, b"later");
    disk.append(&bytes, &[]);
    assert_eq!(disk.durable_end(), Position::ZERO);
    complete(&mut disk, operation(2)).unwrap();
    assert_eq!(disk.durable_end(), covered);
    assert!(disk.written_end() > covered);
}

#[test]
fn a_cut_lowers_a_sync_under_way() {
    let mut disk = written(4);
    disk.issue(operation(2), Work::Sync { covers: disk.written_end().0 });
    let cut = disk.frames()[1].end;
    let history = TermHistory::new(vec![line(1, 0), line(2, cut.0)]).unwrap();
    disk.issue(operation(3), Work::History { history, cut });
    complete(&mut disk, operation(3)).unwrap();
    let bytes = frame(2, cut.0, &[9; 300]);
    assert_eq!(disk.append(&bytes, &[]).1, None);
    complete(&mut disk, operation(2)).unwrap();
    assert_eq!(disk.durable_end(), cut);
}

#[test]
fn e51_bytes_of_another_term_are_no_frame() {
    let mut disk = written(1);
    let at = disk.written_end();
    let bytes = frame(2, at.0, b"foreign");
    assert_eq!(disk.append(&bytes, &[]).1, Some(at));
}

#[test]
fn a_crash_leaves_the_durable_part_and_whole_frames() {
    for seed in 0..200 {
        let mut disk = written(6);
        let before = disk.frames().to_vec();
        disk.issue(operation(2), Work::Sync { covers: before[2].end.0 });
        complete(&mut disk, operation(2)).unwrap();
        disk.crash(&mut Dice::new(seed, "disk"), &mut Tally::default());
        let recovered = disk.start(MemberId(1)).unwrap();
        assert!(recovered.log_end >= before[2].end, "seed {seed}");
        let last = before.iter().find(|frame| frame.end == recovered.log_end).unwrap();
        assert_eq!(recovered.chain, last.chain);
        assert_eq!(recovered.life.boot_epoch, BootEpoch(1));
    }
}

#[test]
fn metadata_is_old_or_new_after_a_crash() {
    let (mut old, mut new) = (0, 0);
    for seed in 0..100 {
        let mut disk = written(0);
        let vote = Vote { term: Term(4), granted_to: Some(MemberId(2)) };
        disk.issue(operation(2), Work::Vote(vote));
        disk.crash(&mut Dice::new(seed, "disk"), &mut Tally::default());
        match disk.start(MemberId(1)).unwrap().vote {
            found if found == vote => new += 1,
            found => {
                assert_eq!(found, Vote::default());
                old += 1;
            }
        }
    }
    assert!(old > 10 && new > 10);
}

#[test]
fn a_read_past_the_end_is_short() {
    let mut disk = written(1);
    let end = disk.written_end();
    let range = PositionRange::new(Position(end.0 - 16), end.plus(64));
    disk.issue(operation(2), Work::Read(range));
    let Some(Completion::Read(bytes)) = complete(&mut disk, operation(2)) else {
        panic!("not a read")
    };
    assert_eq!(bytes.len(), 16);
}

#[test]
fn what_a_disk_acknowledged_stays_counted_when_its_start_is_refused() {
    let mut refused = 0;
    for seed in 1..=20 {
        let mut disk = written(3);
        for sequence in [2, 3] {
            disk.issue(operation(sequence), Work::Sync { covers: disk.written_end().0 });
            complete(&mut disk, operation(sequence)).unwrap();
        }
        let last = *disk.frames().last().unwrap();
        let (mut dice, mut tally) = (Dice::new(seed, "rot"), Tally::default());
        assert!(disk.damage(Damage::Rot, Position::ZERO, &mut dice, &mut tally));
        if let Err(Refusal::Damaged { .. }) = disk.start(MemberId(1)) {
            refused += 1;
            assert!(disk.holds_durably(last.end, last.chain), "a commit may have counted it");
        }
    }
    assert!(refused > 0, "no damage was found");
}
