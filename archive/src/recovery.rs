//! What an archive does when it is opened, before anything of it is believed.

use std::path::PathBuf;

use quorate_core::frame::Level;
use quorate_core::{
    Chain, LogTime, Membership, Position, PositionRange, Snapshot, SnapshotPoint, Term, mutant,
};

use crate::disk::Disk;
use crate::error::ArchiveError;
use crate::log::{CHUNK_BYTES, Log};
use crate::marks::{Marks, known_durable};
use crate::payload::{DurableMark, HistoryAndCut};
use crate::scan::Scan;
use crate::snapshots::{self, Found};

/// What had to be put in order when the archive was opened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Repairs {
    /// Bytes of a torn tail, or behind a cut, that were wiped. None of them was acknowledged.
    pub wiped: Option<PositionRange>,
    /// A cut of the log that an earlier life had made durable and not carried out.
    pub cut: Option<Position>,
    /// Files that are named as snapshots and were not used, newest first, and why. Those older than
    /// the one that is used were not looked into.
    pub snapshots: Vec<PassedOver>,
    /// Snapshots whose store an earlier life did not finish; they were removed.
    pub drafts: usize,
    /// Which records had a copy that was missing, torn, older or damaged, and was written anew.
    pub copies: Vec<&'static str>,
}

/// A snapshot that was passed over.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PassedOver {
    /// The file.
    pub path: PathBuf,
    /// Where its name says that it stands.
    pub position: Position,
    /// Why, in words.
    pub reason: String,
}

/// Snapshots that a start may begin with, oldest first.
#[derive(Debug)]
pub(crate) struct Candidates(pub(crate) Vec<Found>);

impl Candidates {
    /// Where they stand, as they say.
    pub(crate) fn points(&self) -> Vec<SnapshotPoint> {
        self.0.iter().filter_map(|found| Some(found.manifest.as_ref().ok()?.point)).collect()
    }

    /// The newest that is whole and stands in the log that was `recovered`; those that are passed
    /// over for it are reported.
    pub(crate) fn newest<D: Disk>(
        &mut self,
        disk: &D,
        recovered: &RecoveredLog,
        repairs: &mut Repairs,
    ) -> Option<(Snapshot, Vec<u8>)> {
        while let Some(Found { path, position, manifest }) = self.0.pop() {
            let read = manifest.and_then(|manifest| {
                if recovered.confirmed.contains(&manifest.point) {
                    return snapshots::read(disk, &path, &manifest);
                }
                let what = match manifest.point.position > recovered.end {
                    true => "stands behind the end of the log",
                    false => "is of another log than the one that is here",
                };
                Err(ArchiveError::Snapshot { path: path.clone(), what })
            });
            match read {
                Ok(whole) => return Some(whole),
                Err(error) => repairs.snapshots.push(PassedOver {
                    path,
                    position: Position(position),
                    reason: error.to_string(),
                }),
            }
        }
        None
    }
}

/// The log as it was found and put in order; all of it is durable.
#[derive(Clone, Debug)]
pub(crate) struct RecoveredLog {
    pub(crate) end: Position,
    pub(crate) chain: Chain,
    pub(crate) time: LogTime,
    pub(crate) opened: Option<(Term, Level)>,
    pub(crate) memberships: Vec<(Position, Membership)>,
    pub(crate) marks: Marks,
    /// Of the points that were asked for, those that the log confirms.
    pub(crate) confirmed: Vec<SnapshotPoint>,
}

/// Where a log begins, and what is asked of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning<'a> {
    pub(crate) origin: SnapshotPoint,
    /// Of these it is said which the log confirms.
    pub(crate) points: &'a [SnapshotPoint],
}

/// Up to where the log was promised to others: nothing below may be missing (rule 6).
pub(crate) fn promised(
    marks: &Marks,
    generation: u64,
    history: &HistoryAndCut,
    begin: Position,
) -> u64 {
    // Nothing committed is ever cut, and only that is purged.
    known_durable(marks.newest(), generation, history.cut).max(begin.0)
}

/// Finds the end of the log under `history`, tells a torn tail from damage (rule 6), and wipes what
/// lies behind the end.
pub(crate) fn recover<D: Disk>(
    log: &Log<D>,
    history: &HistoryAndCut,
    generation: u64,
    frame_bytes_max: u64,
    Beginning { origin, points }: Beginning<'_>,
    repairs: &mut Repairs,
) -> Result<RecoveredLog, ArchiveError> {
    let mut marks = Marks::find(log)?;
    let begin = origin.position;
    if begin > Position::ZERO && marks.is_empty() {
        // The one that was durable before the log's beginning was removed lies in what is left.
        return Err(ArchiveError::Unreadable { path: log.path(log.first()) });
    }
    let mark = marks.newest();
    let cut_pending = mark.history_generation < generation;
    let known = promised(&marks, generation, history, begin);
    let limit = if cut_pending { history.cut.0 } else { u64::MAX };
    let mut scan = Scan::new(log, origin, &history.history, frame_bytes_max, limit);
    let mut confirmed: Vec<_> =
        points.iter().filter(|point| scan.confirms(point)).copied().collect();
    while scan.next()?.is_some() {
        confirmed.extend(points.iter().filter(|point| scan.confirms(point)));
    }
    let (end, chain, time) = (scan.position(), scan.chain(), scan.time());
    let (opened, memberships) = (scan.opened(), scan.memberships().to_vec());
    if end.0 < known && !mutant::is(mutant::ROT_IS_CUT) {
        let path = log.path(log.segment_of(end.0));
        return Err(ArchiveError::Damaged { at: end, durable: Position(known), path });
    }
    // Behind the end there may be whole frames of the very term that goes on there; once new
    // frames closed the gap, they would count. So they are gone before anything is acknowledged.
    let wiped_end = log.wipe(end.0, u64::MAX)?;
    // A failed sync leaves pages that read well and never reached the disk (E43): what no mark
    // vouches for is written again.
    rewrite(log, known, end.0)?;
    let first = log.segment_of(known).min(marks.segment());
    log.sync(first, log.count())?;
    marks.synced();
    if wiped_end > end.0 {
        repairs.wiped = Some(PositionRange::new(end, Position(wiped_end)));
        repairs.cut = cut_pending.then_some(history.cut);
    }
    log.reserve_ahead(end.0)?;
    marks.write(log, DurableMark { position: end.0, history_generation: generation })?;
    log.sync(marks.segment(), marks.segment())?;
    marks.synced();
    Ok(RecoveredLog { end, chain, time, opened, memberships, marks, confirmed })
}

fn rewrite<D: Disk>(log: &Log<D>, start: u64, end: u64) -> Result<(), ArchiveError> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut at = start;
    while at < end {
        let length = (end - at).min(CHUNK_BYTES as u64) as usize;
        let count = log.read(at, &mut buffer[..length])?;
        log.write(at, &buffer[..count])?;
        at += count.max(1) as u64;
    }
    Ok(())
}
