//! What goes wrong with what a disk once had: rot, sectors that do not read, writes that were lost
//! or went elsewhere, copies of records. Only where a start can tell: below the durable mark.

use quorate_core::{Incarnation, MemberId, Position};

use super::image::{Image, SECTOR_BYTES};
use super::{HISTORY, ORIGIN, PEERS, RECORD_KINDS, SimDisk};
use crate::dice::{ALWAYS, Dice};
use crate::report::{Mark, Tally};

/// Why a member does not start on a disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The log does not verify, below what a mark says is durable.
    Damaged {
        /// Where it stops to verify.
        at: Position,
        /// What the mark says.
        durable: Position,
    },
    /// A sector cannot be read.
    Unreadable,
    /// Both copies of a record are damaged.
    Records,
    /// The beginning of the log is purged, and no snapshot stands for it.
    NoSnapshot,
    /// There was a log, and nothing is left.
    Missing,
    /// The directory is another member's.
    Foreign {
        /// Whose it is.
        owner: MemberId,
    },
}

impl Refusal {
    /// The refusal in a word, as reports print it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Damaged { .. } => "damaged",
            Self::Unreadable => "unreadable",
            Self::Records => "records damaged",
            Self::NoSnapshot => "no snapshot",
            Self::Missing => "missing",
            Self::Foreign { .. } => "of another member",
        }
    }
}

/// A write that the disk reported, did not do, and will be found out about.
#[derive(Clone, Debug)]
pub(super) struct LostWrite {
    start: usize,
    old: Vec<u8>,
    new: Vec<u8>,
    elsewhere: Option<u64>,
}

/// Something that damages a disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Damage {
    /// A bit of the log flips.
    Rot,
    /// A sector cannot be read any more.
    LatentError,
    /// The next sync leaves out a unit, and reports success.
    LostWrite,
    /// The next sync writes a unit to another place.
    MisdirectedWrite,
    /// One copy of each record is damaged: the other heals it.
    OneCopy,
    /// Both copies of a record are damaged.
    BothCopies,
    /// A bit of the newest snapshot flips.
    SnapshotRot,
}

impl SimDisk {
    /// Damages the disk, its log not below `from` if there is any; `false` when there is nothing
    /// yet that could be damaged so.
    pub fn damage(
        &mut self,
        damage: Damage,
        from: Position,
        dice: &mut Dice,
        tally: &mut Tally,
    ) -> bool {
        let below = self.marked as usize;
        let begin = self.origin.position.0 as usize;
        let from = (from.0 as usize).max(begin);
        let from = if from < below { from } else { begin };
        match damage {
            Damage::Rot | Damage::LatentError if below <= begin => return false,
            Damage::Rot => {
                let at = from + dice.below((below - from) as u64) as usize;
                let byte = self.image.on_medium(at..at + 1).first().copied().unwrap_or(0);
                let flipped = byte ^ 1 << dice.below(8);
                self.image.corrupt(at, &[flipped], dice.chance(ALWAYS / 2));
                tally.saw(Mark::Rot);
            }
            Damage::LatentError => {
                self.image.spoil(from + dice.below((below - from) as u64) as usize);
                tally.saw(Mark::LatentError);
            }
            Damage::LostWrite => self.loses = Some((false, dice.bits())),
            Damage::MisdirectedWrite => self.loses = Some((true, dice.bits())),
            Damage::OneCopy => {
                let copy = 1 << dice.below(2);
                self.damaged_copies.iter_mut().for_each(|copies| *copies = copy);
                tally.saw(Mark::RecordHealed);
            }
            Damage::BothCopies => {
                self.damaged_copies[dice.below(RECORD_KINDS as u64) as usize] = 0b11;
                tally.saw(Mark::RecordLost);
            }
            Damage::SnapshotRot if !self.rot_snapshot(dice) => return false,
            Damage::SnapshotRot => tally.saw(Mark::SnapshotRotted),
        }
        true
    }

    /// All that was there is gone. What had been durable stays on record, for those who ask whether
    /// an acknowledgement was honest when it was given.
    pub fn wipe(&mut self) {
        self.image = Image::new(self.image.unit());
        self.is_wiped = true;
    }

    /// The operator makes the directory anew after it was lost, under the next incarnation.
    pub fn make_anew(&mut self) {
        let durable = self.frames.iter().filter(|frame| frame.end.0 <= self.durable_end);
        let lost = self.lost.iter().chain(durable).copied().collect();
        *self = Self {
            owner: self.owner,
            incarnation: Incarnation(self.incarnation.0 + 1),
            // It follows a clock.
            boot_epoch: self.boot_epoch,
            lost,
            lies: self.lies,
            ..Self::with_unit(self.tag, self.frame_bytes_max, self.image.unit())
        };
    }

    /// The operator saves what is whole of a damaged directory into one of the next incarnation;
    /// false, and nothing is done, if what is lost is needed to make sense of the rest.
    pub fn salvage(&mut self) -> bool {
        let is_lost = |kind: usize| self.damaged_copies[kind] == 0b11;
        if self.is_wiped || [HISTORY, PEERS, ORIGIN].into_iter().any(is_lost) {
            return false;
        }
        let mut old = self.clone();
        old.read_again();
        let begin = self.origin.position;
        let readable =
            |end: Position| old.image.read(begin.0 as usize..end.0 as usize).map(<[u8]>::to_vec);
        let ends = old.frames.iter().map(|frame| frame.end).filter(|end| *end > begin);
        let whole = ends.rev().find_map(|end| Some((end, readable(end)?)));
        let (end, bytes) = whole.unwrap_or((begin, Vec::new()));
        old.drop_rotten_snapshots();
        old.snapshots.retain(|stored| stored.snapshot.point.position <= end);
        if begin > Position::ZERO && old.newest_snapshot().is_none() {
            return false;
        }
        self.make_anew();
        self.image.append(&vec![0; begin.0 as usize]);
        self.image.append(&bytes);
        self.image.settle(0, end.0 as usize);
        (self.durable_end, self.marked, self.mark) = (end.0, end.0, end.0);
        self.frames = old.frames.into_iter().filter(|frame| frame.end <= end).collect();
        (self.history, self.origin, self.snapshots) = (old.history, old.origin, old.snapshots);
        self.peers = old.peers;
        self.peers.retain(|record| Some(record.life.member) != self.owner);
        true
    }

    /// From now on the disk does what it reports.
    pub fn mend(&mut self) {
        self.loses = None;
        self.losses.clear();
    }

    /// Whether it is going to report writes that it has not done, or has lost some that no mark
    /// vouches for yet.
    #[must_use]
    pub const fn is_about_to_lie(&self) -> bool {
        self.loses.is_some() || !self.losses.is_empty()
    }

    /// How many writes it reported and did not do, and how many of those went elsewhere.
    #[must_use]
    pub const fn lies(&self) -> [u64; 2] {
        self.lies
    }

    /// Whether what a mark says is durable can be read back for certain, now and after a failure
    /// of the power.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let begin = self.origin.position.0 as usize;
        !self.is_wiped
            && self.damaged_copies.iter().all(|copies| *copies != 0b11)
            && self.image.is_sound(begin..begin.max(self.marked as usize))
            && self.has_whole_snapshots()
            && (begin == 0 || self.newest_snapshot().is_some())
            && self.verifies_to() >= self.marked
            // What a crash happened to leave behind that is read at a start, too.
            && self.image.read(begin..self.verifies_to() as usize).is_some()
    }

    /// A sync is about to write up to `covers`: chooses what it will leave out, if it is to lose
    /// something. The loss shows once a mark vouches for the bytes.
    pub(super) fn choose_loss(&mut self, covers: u64) {
        let Some((misdirected, salt)) = self.loses else { return };
        let dice = &mut Dice::of_bits(salt);
        let (from, to) = (self.durable_end as usize, covers as usize);
        let length = self.image.unit().min(to.saturating_sub(from));
        if length < 8 {
            return;
        }
        self.loses = None;
        let start = from + dice.below((to - from - length) as u64 + 1) as usize;
        let mut old = self.image.on_medium(start..start + length).to_vec();
        old.resize(length, 0);
        let new = self.image.written()[start..start + length].to_vec();
        let elsewhere = misdirected.then(|| dice.bits());
        self.losses.push(LostWrite { start, old, new, elsewhere });
    }

    /// What was lost below the durable mark is lost for good.
    pub(super) fn carry_out_losses(&mut self) {
        let marked = self.marked as usize;
        let (done, waiting): (Vec<_>, Vec<_>) =
            self.losses.drain(..).partition(|loss| loss.start + loss.new.len() <= marked);
        self.losses = waiting;
        for loss in done {
            self.image.corrupt(loss.start, &loss.old, false);
            self.lies[0] += 1;
            if let Some(place) = loss.elsewhere {
                let sectors = (marked / SECTOR_BYTES) as u64;
                let at = (place % sectors.max(1)) as usize * SECTOR_BYTES;
                let length = loss.new.len().min(marked - at);
                self.image.corrupt(at, &loss.new[..length], false);
                self.lies[1] += 1;
            }
        }
    }
}
