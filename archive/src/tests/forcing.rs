//! Forced recoveries: what is planned, what is done, and what every crash of it leaves (rule 5 v).

use std::path::{Path, PathBuf};

use quorate_core::{
    BootEpoch, ForcedError, ForcedRecovery, Incarnation, Life, MemberId, PeerRecord, Position,
    RecoveryEpoch, Term, Vote,
};

use super::builder::{Builder, LOG_AT, OPTIONS, adopt, append, identity, segment};
use crate::memory::{Fate, MemoryDisk};
use crate::{
    Archive, ArchiveError, Identity, RecoveryError, RecoveryPlan, RecoveryRecord, describe_on,
    init_on, plan_recovery_on, recover_by_force_on, recoveries,
};

/// Messages in the logs of the three members.
const MESSAGES: [usize; 3] = [4, 9, 6];

fn directories() -> [PathBuf; 3] {
    ["/zero", "/one", "/two"].map(PathBuf::from)
}

/// The record by which a member says that it stated all before `at`.
fn mark(member: u16, at: u64) -> PeerRecord {
    PeerRecord {
        life: Life {
            member: MemberId(member),
            incarnation: Incarnation(1),
            boot_epoch: BootEpoch(1),
        },
        acknowledged_in: BootEpoch(0),
        term: Term(0),
        acknowledged: Position(at),
    }
}

/// Three members that were killed, with logs of different lengths; the first had stated more than
/// anybody has on its disk.
fn killed() -> MemoryDisk {
    let disk = MemoryDisk::default();
    for (member, (directory, messages)) in (0..).zip(directories().iter().zip(MESSAGES)) {
        let log = Builder::with_messages(messages, 400);
        init_on(&disk, directory, &Identity { member: MemberId(member), ..identity() }).unwrap();
        let (archive, _) = Archive::open_on(disk.clone(), directory, &OPTIONS).unwrap();
        let (mut writer, mut syncer, _) = archive.split();
        adopt(&mut writer, &mut syncer, &log.history, Position::ZERO).unwrap();
        syncer.persist_vote(&Vote { term: Term(1), granted_to: Some(MemberId(0)) }).unwrap();
        let stated = if member == 0 { 8_000 } else { 8 };
        syncer.persist_peers(&[mark(member, stated)]).unwrap();
        append(&mut writer, &log).unwrap();
        syncer.sync().unwrap();
    }
    disk
}

fn plan(disk: &MemoryDisk, directories: &[PathBuf]) -> Result<RecoveryPlan, RecoveryError> {
    plan_recovery_on(disk, directories, &OPTIONS)
}

fn epochs(disk: &MemoryDisk) -> [u32; 3] {
    directories().map(|at| describe_on(disk, &at, &OPTIONS).unwrap().identity.recovery_epoch.0)
}

/// The epochs of the recoveries that a directory knows of.
fn known(disk: &MemoryDisk, directory: &Path) -> Vec<u32> {
    let found = describe_on(disk, directory, &OPTIONS).unwrap();
    found.recoveries.iter().map(|record| record.forced.epoch.0).collect()
}

#[test]
fn cd10_a_recovery_is_planned_done_and_remembered_by_all_who_took_part() {
    let disk = killed();
    let found = plan(&disk, &directories()).unwrap();
    let end = Builder::with_messages(MESSAGES[1], 400).end();
    let expected = ForcedRecovery {
        epoch: RecoveryEpoch(1),
        term: Term(1),
        chosen: MemberId(1),
        kept: end,
        promised: Position(8_000),
    };
    assert_eq!(found.forced, expected);
    assert_eq!(found.token(), format!("1-{end}-1-of-0-1-2"));
    assert!(found.missing.is_empty() && found.members.iter().all(|member| member.is_marked));
    assert_eq!(epochs(&disk), [0; 3], "a plan changes nothing");

    recover_by_force_on(&disk, &found, 1_700_000_000, &OPTIONS).unwrap();
    assert_eq!(epochs(&disk), [1; 3]);
    // It is on the disk, whatever comes.
    let disk = disk.crashed(Fate::Lost);
    for (directory, messages) in directories().iter().zip(MESSAGES) {
        let (archive, recovered) = Archive::open_on(disk.clone(), directory, &OPTIONS).unwrap();
        assert_eq!(recovered.forced, Some(expected));
        assert_eq!(recovered.log_end, Builder::with_messages(messages, 400).end());
        assert_eq!(archive.identity().recovery_epoch, RecoveryEpoch(1));
    }
    let told = describe_on(&disk, &directories()[2], &OPTIONS).unwrap();
    let line = format!(
        "recovery    epoch 1 by force: kept before {end} by member 1, promised up to 8000 at least, \
         members 0 1 2, at 1700000000 s\n"
    );
    assert!(told.to_string().contains(&line), "{told}");
    let again = plan(&disk, &directories()).unwrap_err();
    let done = ForcedError::Done { epoch: RecoveryEpoch(1) };
    assert!(matches!(again, RecoveryError::Refused(error) if error == done), "{again}");
}

#[test]
fn tn08_every_crash_of_a_recovery_leaves_one_that_can_be_done_anew() {
    let whole = killed();
    let before = whole.world().operations;
    let planned = plan(&whole, &directories()).unwrap();
    recover_by_force_on(&whole, &planned, 7, &OPTIONS).unwrap();
    let operations = whole.world().operations - before;
    assert!(operations > 60, "{operations}");
    let mut halves = 0;
    for crash_at in 0..=operations {
        let disk = killed();
        let planned = plan(&disk, &directories()).unwrap();
        let begun = disk.world().operations;
        disk.world().crash_at = Some(begun + crash_at);
        let done = recover_by_force_on(&disk, &planned, 7, &OPTIONS);
        assert_eq!(done.is_ok(), crash_at == operations, "{crash_at} of {operations}");
        let mixed = (0..3).map(|seed| Fate::Mixed(crash_at * 64 + seed * 2 + 1));
        for fate in [Fate::Kept, Fate::Lost].into_iter().chain(mixed) {
            let after = disk.crashed(fate);
            let context = format!("crash at {crash_at} of {operations}, {fate:?}");
            let raised = epochs(&after);
            if raised.contains(&1) {
                // Whoever comes with any majority finds it.
                for directory in &directories() {
                    assert_eq!(known(&after, directory), [1], "{context}");
                }
            }
            halves += usize::from(raised.contains(&0) && raised.contains(&1));
            let again = match plan(&after, &directories()) {
                Err(RecoveryError::Refused(ForcedError::Done { .. })) => {
                    assert_eq!(raised, [1; 3], "{context}");
                    continue;
                }
                again => again.unwrap_or_else(|error| panic!("{context}: {error}")),
            };
            assert_eq!(again.forced.kept, planned.forced.kept, "{context}");
            let newest = directories().iter().flat_map(|at| known(&after, at)).max();
            assert_eq!(again.forced.epoch.0, 1 + newest.unwrap_or(0), "{context}");
            recover_by_force_on(&after, &again, 8, &OPTIONS).unwrap();
            assert_eq!(epochs(&after), [again.forced.epoch.0; 3], "{context}");
        }
    }
    assert!(halves > 0, "no crash came between the first directory and the last");
}

#[test]
fn tn08_a_first_record_that_was_torn_bars_no_directory_of_a_later_epoch() {
    let made = MemoryDisk::default();
    let identity = Identity { recovery_epoch: RecoveryEpoch(1), ..identity() };
    let [directory, ..] = directories();
    init_on(&made, &directory, &identity).unwrap();
    let forced = ForcedRecovery {
        epoch: RecoveryEpoch(2),
        term: Term(1),
        chosen: identity.member,
        kept: Position::ZERO,
        promised: Position::ZERO,
    };
    let record = RecoveryRecord { forced, members: vec![identity.member], at_seconds: 7 };
    let add = |disk: &MemoryDisk| recoveries::add(disk, &directory, &identity, &record);
    let whole = made.crashed(Fate::Kept);
    let before = whole.world().operations;
    add(&whole).unwrap();
    let operations = whole.world().operations - before;
    let mut torn = 0;
    for crash_at in 0..operations {
        let disk = made.crashed(Fate::Kept);
        let begun = disk.world().operations;
        disk.world().crash_at = Some(begun + crash_at);
        assert!(add(&disk).is_err(), "{crash_at}");
        for seed in 0..8 {
            let after = disk.crashed(Fate::Mixed(crash_at * 8 + seed));
            // It opens, and the recovery can be prepared again.
            Archive::open_on(after.clone(), &directory, &OPTIONS)
                .unwrap_or_else(|error| panic!("crash at {crash_at} of {operations}: {error}"));
            torn += usize::from(known(&after, &directory).is_empty());
            add(&after).unwrap();
            assert_eq!(known(&after, &directory).last(), Some(&2));
        }
    }
    assert!(torn > 0, "no crash came before the record was whole");
}

#[test]
fn cd10_a_recovery_that_would_be_another_now_is_not_done() {
    let disk = killed();
    let planned = plan(&disk, &directories()).unwrap();
    let [first, second, third] = directories();
    // Somebody works in one.
    let (archive, _) = Archive::open_on(disk.clone(), &third, &OPTIONS).unwrap();
    let busy = recover_by_force_on(&disk, &planned, 7, &OPTIONS).unwrap_err();
    assert!(matches!(busy, RecoveryError::Archive(ArchiveError::Locked { .. })), "{busy}");
    // And has put its house in order meanwhile.
    let (writer, mut syncer, _) = archive.split();
    syncer.persist_peers(&[]).unwrap();
    drop((writer, syncer));
    let other = recover_by_force_on(&disk, &planned, 7, &OPTIONS).unwrap_err();
    assert!(matches!(other, RecoveryError::Changed), "{other}");
    assert_eq!(epochs(&disk), [0; 3]);
    // A directory of another group, and one that has rotted, are none to go on with.
    let elsewhere = PathBuf::from("/elsewhere");
    let voters = vec![MemberId(0), MemberId(9)];
    let other = Identity { member: MemberId(9), voters, ..identity() };
    init_on(&disk, &elsewhere, &other).unwrap();
    let foreign = plan(&disk, &[first, elsewhere]).unwrap_err();
    assert!(matches!(foreign, RecoveryError::Foreign { .. }), "{foreign}");
    let disk = killed();
    disk.edit(&segment(&second, 0), |file| file[LOG_AT + 600] ^= 0x40);
    let planned = plan(&disk, &directories()).unwrap();
    let damaged = recover_by_force_on(&disk, &planned, 7, &OPTIONS).unwrap_err();
    assert!(matches!(damaged, RecoveryError::Archive(ArchiveError::Damaged { .. })), "{damaged}");
    assert_eq!(epochs(&disk), [0; 3]);
    assert!(directories().iter().all(|directory| known(&disk, directory).is_empty()));
    assert!(matches!(plan(&disk, &[]), Err(RecoveryError::Nothing)));
}
