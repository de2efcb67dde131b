//! A report of what is in a directory. Reads only: changes nothing and takes no lock.

use core::fmt;
use std::path::{Path, PathBuf};

use quorate_core::frame::{Body, Level};
use quorate_core::{
    BootEpoch, Chain, LogTime, Membership, PeerRecord, Position, Snapshot, SnapshotPoint, Term,
    TermHistory, Vote, members_of_snapshot,
};

use crate::archive::{BOOT, HISTORY, ORIGIN, Options, PEERS, VOTE, find_identity};
use crate::copies::{Copies, CopyState};
use crate::disk::{Access, Disk, RealDisk};
use crate::error::ArchiveError;
use crate::identity::Identity;
use crate::lock;
use crate::log::Log;
use crate::marks::{Marks, known_durable};
use crate::payload::{HistoryAndCut, Payload};
use crate::record::Kind;
use crate::recoveries::{self, RecoveryRecord};
use crate::scan::Scan;
use crate::snapshots::{self, Found, snapshot_directory};

/// What a directory holds. Of a member that runs, it is what was there at some moment of reading.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Description {
    /// The directory.
    pub directory: PathBuf,
    /// The process that works in it, if one does.
    pub locked_by: Option<u32>,
    /// Whose it is.
    pub identity: Identity,
    /// The boot epoch of the last life.
    pub boot_epoch: Option<BootEpoch>,
    /// The vote.
    pub vote: Option<Vote>,
    /// The term history.
    pub history: Option<TermHistory>,
    /// What is remembered of the other members.
    pub peers: Option<Vec<PeerRecord>>,
    /// Where the log begins; what was before is purged.
    pub origin: SnapshotPoint,
    /// Up to where the log is known to have been durable.
    pub known_durable: Position,
    /// The end of the last whole frame that verifies.
    pub log_end: Position,
    /// The chain value there.
    pub chain: Chain,
    /// The time stamped on that frame.
    pub log_time: LogTime,
    /// The newest term whose opening frame is in the log, and what its leader takes for committed.
    pub opened: Option<(Term, Level)>,
    /// Who is a member, and the end of the frame that says so: the newest that is in the log or in
    /// a snapshot. `None` where nothing says so: it is as the group was formed.
    pub membership: Option<(Position, Membership)>,
    /// Whether what the member promised may exceed this disk: it comes up impaired.
    pub is_marked: bool,
    /// The forced recoveries that the member took part in, oldest first; of a later epoch than that
    /// of the identity it is one that was interrupted.
    pub recoveries: Vec<RecoveryRecord>,
    /// How many frames there are of each kind.
    pub frames: FrameCounts,
    /// The files of the log, oldest first.
    pub segments: Vec<SegmentDescription>,
    /// Bytes that the segments take on the disk.
    pub segment_file_bytes: u64,
    /// The snapshots, oldest first.
    pub snapshots: Vec<SnapshotDescription>,
    /// What is wrong, in words; a member would refuse to start for most of it.
    pub problems: Vec<String>,
}

/// A file of the log.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SegmentDescription {
    /// The file.
    pub path: PathBuf,
    /// The position of its first byte of the log.
    pub base: Position,
    /// How many bytes of whole frames it holds.
    pub used_bytes: u64,
}

/// A file that is named as a snapshot.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SnapshotDescription {
    /// The file.
    pub path: PathBuf,
    /// Where it stands, if its manifest can be read.
    pub point: Option<SnapshotPoint>,
    /// Bytes of the core's state.
    pub core_bytes: u64,
    /// Bytes of the service's state.
    pub service_bytes: u64,
    /// Over all of it: the same on all members at one position.
    pub digest: u64,
    /// Why a start would pass it over; nothing when it could begin with it.
    pub problem: Option<String>,
}

/// How many frames there are of each kind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct FrameCounts {
    /// Terms opened.
    pub term_opens: u64,
    /// Sessions opened.
    pub session_opens: u64,
    /// Sessions closed.
    pub session_closes: u64,
    /// Messages of clients.
    pub messages: u64,
    /// Timers that were due.
    pub timers: u64,
    /// Markers of snapshots.
    pub snapshot_marks: u64,
    /// Members that lost their directory, and were admitted again.
    pub readmissions: u64,
    /// Changes of who is a member, each phase of one counted.
    pub memberships: u64,
    /// Kinds that do not belong in a log, or that this version does not know.
    pub others: u64,
}

/// Describes the archive in `directory`.
///
/// # Errors
/// Only when there is no identity that can be read; everything else is among the problems.
pub fn describe(directory: &Path, options: &Options) -> Result<Description, ArchiveError> {
    describe_on(&RealDisk, directory, options)
}

/// As [`describe`], on a file system of the caller's.
///
/// # Errors
/// As [`describe`].
pub fn describe_on<D: Disk>(
    disk: &D,
    directory: &Path,
    options: &Options,
) -> Result<Description, ArchiveError> {
    let identity = find_identity(disk, directory)?;
    let mut problems = Vec::new();
    let source = (disk, directory, &identity);
    let boot = copies::<D, BootEpoch>(source, BOOT, Kind::Boot, &mut problems);
    let vote = copies::<D, Vote>(source, VOTE, Kind::Vote, &mut problems);
    let history = copies::<D, HistoryAndCut>(source, HISTORY, Kind::History, &mut problems);
    let peers = copies::<D, Vec<PeerRecord>>(source, PEERS, Kind::Peers, &mut problems);
    let origin = copies::<D, SnapshotPoint>(source, ORIGIN, Kind::Origin, &mut problems);
    let recoveries = recoveries::find(disk, directory, &identity).unwrap_or_else(|error| {
        problems.push(error.to_string());
        Vec::new()
    });
    let own = identity.member;
    let is_marked = peers.iter().flat_map(|found| &found.1).any(|peer| {
        peer.life.member == own && peer.acknowledged_in.0 == 0 && peer.acknowledged > Position::ZERO
    });
    let mut description = Description {
        directory: directory.to_owned(),
        locked_by: lock::holder(disk, directory),
        identity,
        boot_epoch: boot.map(|found| found.1),
        vote: vote.map(|found| found.1),
        history: history.as_ref().map(|found| found.1.history.clone()),
        peers: peers.map(|found| found.1),
        origin: origin.map(|found| found.1).unwrap_or_default(),
        known_durable: Position::ZERO,
        log_end: Position::ZERO,
        chain: Chain::default(),
        log_time: LogTime::default(),
        opened: None,
        membership: None,
        is_marked,
        recoveries,
        frames: FrameCounts::default(),
        segments: Vec::new(),
        segment_file_bytes: 0,
        snapshots: Vec::new(),
        problems,
    };
    let named = snapshot_directory(directory);
    let found = snapshots::find(disk, &named, description.identity.owner());
    let points = found.as_deref().map(points_of).unwrap_or_default();
    let mut confirmed = Vec::new();
    let log = Log::new(disk.clone(), directory, &description.identity, Access::Read);
    let known = (points.as_slice(), &mut confirmed);
    if let Err(error) = description.add_log(&log, history, options.frame_bytes_max, known) {
        description.problems.push(error.to_string());
    }
    match found {
        Ok(found) => description.add_snapshots(disk, found, &confirmed),
        Err(error) => description.problems.push(error.to_string()),
    }
    Ok(description)
}

impl Description {
    fn add_log<D: Disk>(
        &mut self,
        log: &Log<D>,
        history: Option<(u64, HistoryAndCut)>,
        frame_bytes_max: u64,
        (points, confirmed): (&[SnapshotPoint], &mut Vec<SnapshotPoint>),
    ) -> Result<(), ArchiveError> {
        let origin = self.origin;
        log.find(origin.position)?;
        let (generation, history) = history.unwrap_or_default();
        let mark = Marks::find(log)?.newest();
        let pending = mark.history_generation < generation;
        let known = known_durable(mark, generation, history.cut);
        self.known_durable = Position(known).max(origin.position);
        let limit = if pending { history.cut.0 } else { u64::MAX };
        let mut scan = Scan::new(log, origin, &history.history, frame_bytes_max, limit);
        confirmed.extend(points.iter().filter(|point| scan.confirms(point)));
        let result = loop {
            match scan.next() {
                Ok(Some(frame)) => {
                    self.frames.add(frame.body.as_ref());
                    confirmed.extend(points.iter().filter(|point| scan.confirms(point)));
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        (self.log_end, self.chain, self.log_time) = (scan.position(), scan.chain(), scan.time());
        self.opened = scan.opened();
        self.membership = scan.memberships().last().cloned();
        let segment_bytes = self.identity.segment_bytes;
        for index in log.first()..log.count() {
            let base = Position(index * segment_bytes);
            let used_bytes = self.log_end.since(base).min(segment_bytes);
            let used_bytes = used_bytes.saturating_sub(origin.position.since(base));
            self.segments.push(SegmentDescription { path: log.path(index), base, used_bytes });
        }
        self.segment_file_bytes = (log.count() - log.first()) * log.file_bytes();
        result?;
        if self.log_end < self.known_durable {
            let path = log.path(log.segment_of(self.log_end.0));
            return Err(ArchiveError::Damaged {
                at: self.log_end,
                durable: self.known_durable,
                path,
            });
        }
        Ok(())
    }
}

impl Description {
    fn add_snapshots<D: Disk>(&mut self, disk: &D, found: Vec<Found>, confirmed: &[SnapshotPoint]) {
        for Found { path, manifest, .. } in found {
            let known = manifest.as_ref().ok().copied();
            let what = "does not stand in the log that is here";
            let is_of_log = known.is_none_or(|manifest| confirmed.contains(&manifest.point));
            let read = manifest.and_then(|manifest| match is_of_log {
                true => snapshots::read(disk, &path, &manifest).map(|(snapshot, _)| {
                    self.note_members(&snapshot);
                }),
                false => Err(ArchiveError::Snapshot { path: path.clone(), what }),
            });
            self.snapshots.push(SnapshotDescription {
                path,
                point: known.map(|manifest| manifest.point),
                core_bytes: known.map_or(0, |manifest| manifest.core_bytes),
                service_bytes: known.map_or(0, |manifest| manifest.service_bytes),
                digest: known.map_or(0, |manifest| manifest.digest),
                problem: read.err().map(|error| error.to_string()),
            });
        }
    }

    /// Where the log before a snapshot is purged, that one alone says who is a member.
    fn note_members(&mut self, snapshot: &Snapshot) {
        let told = members_of_snapshot(&snapshot.core).ok().flatten();
        let is_newer =
            |told: &(Position, Membership)| self.membership.as_ref().is_none_or(|it| it.0 < told.0);
        if let Some(told) = told.filter(is_newer) {
            self.membership = Some(told);
        }
    }

    /// The snapshot that a start would begin with.
    #[must_use]
    pub fn newest_snapshot(&self) -> Option<&SnapshotDescription> {
        self.snapshots.iter().rfind(|snapshot| snapshot.problem.is_none())
    }
}

fn points_of(found: &[Found]) -> Vec<SnapshotPoint> {
    found.iter().filter_map(|found| Some(found.manifest.as_ref().ok()?.point)).collect()
}

impl FrameCounts {
    const fn add(&mut self, body: Option<&Body>) {
        let count = match body {
            Some(Body::TermOpen(_)) => &mut self.term_opens,
            Some(Body::SessionOpen { .. }) => &mut self.session_opens,
            Some(Body::SessionClose { .. }) => &mut self.session_closes,
            Some(Body::Message { .. } | Body::SafeMessage { .. }) => &mut self.messages,
            Some(Body::Timer { .. }) => &mut self.timers,
            Some(Body::SnapshotMark { .. }) => &mut self.snapshot_marks,
            Some(Body::Readmission { .. }) => &mut self.readmissions,
            Some(Body::Membership { .. }) => &mut self.memberships,
            Some(Body::Reply { .. }) | None => &mut self.others,
        };
        *count += 1;
    }

    /// All frames.
    #[must_use]
    pub const fn total(&self) -> u64 {
        let sessions = self.session_opens + self.session_closes;
        let marks = self.snapshot_marks + self.readmissions + self.memberships;
        self.term_opens + sessions + self.messages + self.timers + marks + self.others
    }
}

impl Description {
    fn write_snapshot(
        &self,
        snapshot: &SnapshotDescription,
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        let SnapshotDescription { path, core_bytes, service_bytes, digest, .. } = snapshot;
        if let Some(point) = &snapshot.point {
            let (position, term) = (point.position, point.term);
            let tail = self.log_end.since(position);
            let begins = match self.newest_snapshot() == Some(snapshot) {
                true => format!("; a start begins here, with {tail} bytes of log to apply"),
                false => String::new(),
            };
            writeln!(
                f,
                "snapshot    {} at {position} of term {term}, {core_bytes} + {service_bytes} bytes \
                 of core and service, digest {digest:016x}{begins}",
                path.display()
            )?;
        }
        match &snapshot.problem {
            Some(problem) => writeln!(f, "problem     {problem}"),
            None => Ok(()),
        }
    }
}

fn copies<D: Disk, P: Payload>(
    (disk, directory, identity): (&D, &Path, &Identity),
    name: &str,
    kind: Kind,
    problems: &mut Vec<String>,
) -> Option<(u64, P)> {
    let found = match Copies::<P>::find(disk, directory, name, kind, identity.owner()) {
        Ok(found) => found,
        Err(error) => {
            problems.push(error.to_string());
            return None;
        }
    };
    for (path, state) in Copies::<P>::paths(directory, name).iter().zip(found.states) {
        let what = match state {
            CopyState::Absent => "is missing",
            CopyState::Damaged => "is damaged, or is being written",
            CopyState::Whole { .. } => continue,
        };
        problems.push(format!("{} {what}", path.display()));
    }
    found.newest
}

impl Description {
    /// From where to where the log goes, and what that is worth.
    fn write_log(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin.position > Position::ZERO {
            let (position, chain) = (self.origin.position, self.origin.chain.0);
            writeln!(f, "origin      {position}, chain {chain:016x}: what was before is purged")?;
        }
        writeln!(f, "log         ends at {}, chain {:016x}", self.log_end, self.chain.0)?;
        if let Some((term, Level::Volatile)) = self.opened {
            writeln!(f, "level       volatile, as term {term} says")?;
        }
        if self.is_marked {
            writeln!(f, "mark        it was not stopped in good order: it comes up impaired")?;
        }
        writeln!(f, "durable     at least up to {}", self.known_durable)
    }

    fn write_recovery(&self, record: &RecoveryRecord, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RecoveryRecord { forced, members, at_seconds } = record;
        let members = members.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let what = match forced.epoch > self.identity.recovery_epoch {
            true => "prepared, and not done here",
            false => "by force",
        };
        writeln!(
            f,
            "recovery    epoch {} {what}: kept before {} by member {}, promised up to {} at least, \
             members {members}, at {at_seconds} s",
            forced.epoch.0, forced.kept, forced.chosen, forced.promised
        )
    }
}

impl Description {
    /// Whose it is, and who is a member besides.
    fn write_members(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity { member, incarnation, voters, .. } = &self.identity;
        write!(f, "member      {member}, incarnation {}, ", incarnation.0)?;
        let voters = voters.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        match self.identity.joins() {
            true => writeln!(f, "which came later")?,
            false => writeln!(f, "voters {voters}")?,
        }
        if let Some((end, membership)) = &self.membership {
            for record in membership.records() {
                let (member, role) = (record.member, record.role.name());
                writeln!(f, "members     {member} is {role} since {end}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity { group, recovery_epoch, .. } = &self.identity;
        let recovery_epoch = *recovery_epoch;
        writeln!(f, "directory   {}", self.directory.display())?;
        match self.locked_by {
            Some(pid) => writeln!(f, "in use by   process {pid}")?,
            None => writeln!(f, "in use by   nobody")?,
        }
        writeln!(f, "group       {:016x}, recovery epoch {}", group.0, recovery_epoch.0)?;
        self.write_members(f)?;
        if let Some(boot) = self.boot_epoch {
            writeln!(f, "boot epoch  {}", boot.0)?;
        }
        if let Some(Vote { term, granted_to }) = self.vote {
            let granted =
                granted_to.map_or_else(|| "nobody".to_owned(), |to| format!("member {to}"));
            writeln!(f, "vote        term {term}, granted to {granted}")?;
        }
        for line in self.history.iter().flat_map(|history| history.lines()) {
            let (term, base, leader) = (line.term, line.base, line.leader.member);
            writeln!(f, "term        {term} from {base} by member {leader}")?;
        }
        for peer in self.peers.iter().flatten() {
            let (life, term, position) = (peer.life, peer.term, peer.acknowledged);
            let (member, boot) = (life.member, life.boot_epoch.0);
            writeln!(f, "peer        {member}, boot epoch {boot}, {position} in term {term}")?;
        }
        for record in &self.recoveries {
            self.write_recovery(record, f)?;
        }
        self.write_log(f)?;
        let counts = &self.frames;
        writeln!(
            f,
            "frames      {}: {} terms, {} + {} sessions opened and closed, {} messages, {} timers, \
             {} snapshots, {} readmissions, {} lists of members, {} others",
            counts.total(),
            counts.term_opens,
            counts.session_opens,
            counts.session_closes,
            counts.messages,
            counts.timers,
            counts.snapshot_marks,
            counts.readmissions,
            counts.memberships,
            counts.others
        )?;
        for segment in &self.segments {
            let (base, used) = (segment.base, segment.used_bytes);
            writeln!(f, "segment     {} from {base}, {used} bytes used", segment.path.display())?;
        }
        for snapshot in &self.snapshots {
            self.write_snapshot(snapshot, f)?;
        }
        for problem in &self.problems {
            writeln!(f, "problem     {problem}")?;
        }
        Ok(())
    }
}
