//! Backups: a group that begins with what another one had, and is none of it.

use std::path::{Path, PathBuf};

use quorate_archive::memory::{Fate, MemoryDisk};
use quorate_archive::{
    Archive, BackupError, Identity, WholeBackup, back_up_on, init_on, plan_backup_on,
};
use quorate_codecs::{DecodeError, Header, decode, encode_control};
use quorate_core::frame::{Body, FrameSeed, SnapshotCause, verify};
use quorate_core::{
    Action, Chain, ClientKey, GroupId, GroupTag, Incarnation, Instant, Life, LogTime, Member,
    MemberConfig, MemberId, Message, Position, Recovered, RecoveryEpoch, Snapshot, Term,
    TermHistory, View,
};

use crate::case::{Failure, Verdict, check};
use crate::desk::{
    self, Desk, DeskOptions, LogPiece, heartbeat, life, line, member_sender, opening, piece,
};
use crate::files::{self, DIRECTORY, OPTIONS, sound};
use crate::stage::TAG;
use crate::trial::Trial;

const TERM: u64 = 4;
/// The new group, and its members: one has the number of one of the former group that lost its
/// directory once, and one is nobody's.
const NEW: GroupId = GroupId(0x6e65_7700);
const VOTERS: [MemberId; 3] = [MemberId(1), MemberId(3), MemberId(9)];
const FILE: &str = "/backup";
/// Where the recovery epoch of the only line stands in the core's part, and bytes of a chunk.
const EPOCH_AT: usize = 56 + 36;
const CHUNK: u64 = 64 << 10;

pub(super) fn sn_18(trial: &mut Trial<'_>) -> Verdict {
    let group = Former::new()?;
    let disk = group.backed_up()?;
    let views = group.begins_anew(&disk)?;
    trial.count("sessions", views.sessions as u64);
    group.is_heard_by_nobody()?;
    mixes_nothing(&disk)?;
    trial.count("damages", finds_every_damage(&disk)?);
    group.takes_what_stands_in_the_log(&disk)?;
    trial.count("crashes", group.crash_leaves_it_whole()?);
    Ok(())
}

/// A group that was recovered by force once, with a session, a member that was readmitted, and a
/// snapshot behind both.
struct Former {
    log: Vec<LogPiece>,
    history: TermHistory,
    snapshot: Snapshot,
    service: Vec<u8>,
    sessions: usize,
}

impl Former {
    fn new() -> Result<Self, Failure> {
        let mut desk = Desk::new(DeskOptions::small(3))?;
        let first = line(TERM, 2, Position::ZERO, Chain(0));
        desk.follow(2, TERM, &[first]);
        let time = LogTime(2);
        let returned = Life { incarnation: Incarnation(9), ..life(3) };
        let bodies = [
            Body::SessionOpen { time, client: ClientKey(7) },
            Body::Readmission { time, life: returned },
            Body::SnapshotMark { time, cause: SnapshotCause::Command },
        ];
        let mut log = vec![opening(&first, Term(0))];
        for body in &bodies {
            let next = log.last().map(|last| piece(TERM, last.end, last.chain, body, &[]));
            log.extend(next);
        }
        for one in &log {
            desk.receive_log(2, TERM, one, None);
        }
        desk.complete_all();
        let marked = log.last().map_or(Position::ZERO, |last| last.end);
        let told = match heartbeat(TERM, 2) {
            Message::Heartbeat { term, round, chain_at, chain, .. } => {
                Message::Heartbeat { term, round, newest: marked, commit: marked, chain_at, chain }
            }
            other => other,
        };
        let taken = desk.receive(2, told).iter().find_map(|action| match action {
            Action::TakeSnapshot { snapshot, .. } => Some((**snapshot).clone()),
            _ => None,
        });
        let mut snapshot =
            taken.ok_or_else(|| Failure::broken("no snapshot is asked for at the marker"))?;
        snapshot.core[EPOCH_AT] = 1;
        let history = TermHistory::new(vec![first]).unwrap_or_default();
        let service = (0..3 * CHUNK).map(|at| (at % 249) as u8).collect();
        Ok(Self { log, history, snapshot, service, sessions: desk.view().sessions })
    }

    /// The directory of a member of it, on a disk of its own.
    fn directory(&self) -> Result<MemoryDisk, Failure> {
        let disk = MemoryDisk::default();
        sound("init", init_on(&disk, Path::new(DIRECTORY), &files::identity()))?;
        let (archive, _) = sound("open", open(&disk, DIRECTORY))?;
        let mut snapshots = archive.snapshots();
        let (mut writer, mut syncer, _) = archive.split();
        let cut = writer.cut(Position::ZERO);
        sound("adopt", syncer.persist_history(&self.history, cut))?;
        for one in &self.log {
            sound("append", writer.append(one.start, &one.bytes, &[]))?;
        }
        sound("sync", syncer.sync())?;
        sound("snapshot", snapshots.store(&self.snapshot, &self.service, None))?;
        Ok(disk)
    }

    /// The same, behind a loss of power that came when a backup was taken.
    fn backed_up(&self) -> Result<MemoryDisk, Failure> {
        let disk = self.directory()?;
        sound("backup", back_up(&disk))?;
        Ok(disk.crashed(Fate::Lost))
    }

    /// Members of another group begin with its state, all with the same, and with nothing of what
    /// its members were to each other; what one of them is like.
    fn begins_anew(&self, disk: &MemoryDisk) -> Result<View, Failure> {
        let whole = sound("the backup is read", read(disk))?;
        let mut first: Option<(Recovered, View)> = None;
        for member in VOTERS {
            let directory = format!("/new/{member}");
            let made = whole.restore(Path::new(&directory), &identity(member), &mut |_| {});
            sound("restore", made)?;
            let disk = disk.crashed(Fate::Lost);
            let (mut archive, recovered) = sound("open", open(&disk, &directory))?;
            check(*archive.identity() == identity(member), || {
                format!("member {member} has another identity: {:?}", archive.identity())
            })?;
            let same = archive.take_service_state().as_ref() == Some(&self.service);
            check(same, || format!("member {member} begins with another state of its service"))?;
            let view = self.begin(member, &recovered)?;
            let (known, _) = first.get_or_insert_with(|| (recovered.clone(), view));
            let level = Recovered { life: known.life, ..recovered } == *known;
            check(level, || format!("member {member} is not level with the first"))?;
        }
        first.map(|(_, view)| view).ok_or_else(|| Failure::broken("nobody was restored"))
    }

    /// A life of a member of the new group.
    fn begin(&self, member: MemberId, recovered: &Recovered) -> Result<View, Failure> {
        let small = desk::config(&DeskOptions::small(3));
        let endpoint = small.voters.values().next().copied();
        let voters = VOTERS.iter().filter_map(|id| Some((*id, endpoint?))).collect();
        let config = MemberConfig { group: NEW, member, voters, ..small };
        let begun = Member::new(config, recovered.clone(), Instant(1));
        let view = sound("a restored member begins", begun)?.view();
        let at = self.snapshot.point.position;
        let level = [view.origin, view.applied, view.commit, view.durable] == [at; 4];
        let full = !view.applicant && !view.impaired && view.sessions == self.sessions;
        check(level && full && view.recovered_at.is_none(), || {
            format!("member {member} should be at {at}, and is {view:?}")
        })?;
        Ok(view)
    }

    /// Neither a datagram nor a frame of the former group is one of the new group, whatever of its
    /// recovery epochs it is of.
    fn is_heard_by_nobody(&self) -> Verdict {
        let tag = GroupTag::new(NEW, RecoveryEpoch(0));
        for epoch in [RecoveryEpoch(0), RecoveryEpoch(1)] {
            let header = Header {
                tag: GroupTag::new(files::identity().group, epoch),
                sender: member_sender(1, 1),
            };
            let mut bytes = vec![0; 2_048];
            let length = encode_control(&header, &heartbeat(TERM + 9, 1), &mut bytes);
            bytes.truncate(length.unwrap_or(0));
            let heard = decode(&bytes, tag);
            check(heard == Err(DecodeError::ForeignGroup), || format!("it hears {heard:?}"))?;
        }
        for one in &self.log {
            let frame =
                |tag| verify(FrameSeed::new(tag, Term(TERM), one.start), &one.bytes, &[], 1 << 20);
            check(frame(TAG).is_ok() && frame(tag).is_err(), || {
                format!("the frame at {} verifies in the new group", one.start)
            })?;
        }
        Ok(())
    }

    /// A snapshot that is named, and is of another log than the one that is there, is passed over.
    fn takes_what_stands_in_the_log(&self, disk: &MemoryDisk) -> Verdict {
        let (archive, _) = sound("open", open(disk, DIRECTORY))?;
        let mut foreign = self.snapshot.clone();
        // As a group has it that lost the end of its log, and went on without it.
        foreign.point.position = foreign.point.position.plus(4_096);
        foreign.core[8..16].copy_from_slice(&foreign.point.position.0.to_le_bytes());
        sound("snapshot", archive.snapshots().store(&foreign, b"of another log", None))?;
        drop(archive);
        let plan = plan_backup_on(disk, Path::new(DIRECTORY), None, &OPTIONS, &mut |_| {});
        let point = sound("plan", plan)?.point;
        check(point == self.snapshot.point, || format!("a backup of {point:?} would be taken"))
    }

    /// Wherever the power fails, the file with the name is whole; it is there when that was said.
    fn crash_leaves_it_whole(&self) -> Result<u64, Failure> {
        let mut crashes = 0;
        loop {
            let disk = self.directory()?;
            let begun = disk.world().operations;
            disk.world().crash_at = Some(begun + crashes);
            let is_done = back_up(&disk).is_ok();
            for fate in [Fate::Kept, Fate::Lost, Fate::Mixed(crashes)] {
                let after = disk.crashed(fate);
                let is_there = after.content(Path::new(FILE)).is_some();
                check(is_there || !is_done, || {
                    format!("call {crashes}, {fate:?}: it was durable, and is gone")
                })?;
                if is_there {
                    sound(&format!("call {crashes}, {fate:?}"), read(&after))?;
                }
            }
            if is_done {
                return Ok(crashes);
            }
            crashes += 1;
        }
    }
}

fn open(
    disk: &MemoryDisk,
    directory: &str,
) -> Result<(Archive<MemoryDisk>, Recovered), quorate_archive::ArchiveError> {
    Archive::open_on(disk.clone(), Path::new(directory), &OPTIONS)
}

fn back_up(disk: &MemoryDisk) -> Result<(), BackupError> {
    let plan = plan_backup_on(disk, Path::new(DIRECTORY), None, &OPTIONS, &mut |_| {})?;
    back_up_on(disk, &plan, Path::new(FILE), 1, &mut |_| {}).map(|_| ())
}

fn read(disk: &MemoryDisk) -> Result<WholeBackup<MemoryDisk>, BackupError> {
    WholeBackup::open_on(disk, Path::new(FILE), &mut |_| {})
}

fn identity(member: MemberId) -> Identity {
    Identity { group: NEW, member, voters: VOTERS.to_vec(), ..files::identity() }
}

/// What would let the new group be the former one, or take the place of anything, is refused
/// before anything is written.
fn mixes_nothing(disk: &MemoryDisk) -> Verdict {
    let whole = sound("the backup is read", read(disk))?;
    let new = identity(VOTERS[0]);
    let same = Identity { group: files::identity().group, ..new.clone() };
    let stranger = Identity { member: MemberId(2), ..new.clone() };
    let later = Identity { recovery_epoch: RecoveryEpoch(1), ..new.clone() };
    for (what, directory, identity) in [
        ("into the group that it is of", "/other", same),
        ("for a member that is no voter", "/other", stranger),
        ("into a later recovery epoch", "/other", later),
        ("where a member has its data", DIRECTORY, new),
    ] {
        let before: Vec<PathBuf> = disk.files();
        let restored = whole.restore(Path::new(directory), &identity, &mut |_| {});
        let refused = restored.is_err_and(|error| error.is_of_usage());
        check(refused && disk.files() == before, || format!("it is restored {what}"))?;
    }
    Ok(())
}

/// A bit that has turned over in any region of the file, and a file that was cut, are found before
/// anything is made of it; how many were tried.
fn finds_every_damage(disk: &MemoryDisk) -> Result<u64, Failure> {
    let length = disk.content(Path::new(FILE)).map_or(0, |bytes| bytes.len());
    let mut tried = 0;
    for at in (0..4_096).step_by(17).chain((4_096..length).step_by(997)).chain([length - 1]) {
        let after = disk.crashed(Fate::Kept);
        after.edit(Path::new(FILE), |bytes| bytes[at] ^= 4);
        check(read(&after).is_err(), || format!("byte {at} of it is another, and it is whole"))?;
        after.edit(Path::new(FILE), |bytes| {
            bytes[at] ^= 4;
            bytes.truncate(at);
        });
        check(read(&after).is_err(), || format!("it ends behind {at} bytes, and is whole"))?;
        tried += 2;
    }
    Ok(tried)
}
