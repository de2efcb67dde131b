//! What a receiver has asked for, and how long it leaves a request alone.

use crate::identity::MemberId;
use crate::position::{Position, PositionRange};
use crate::time::{Duration, Instant};

/// So many parts that were asked for no earlier may come as a whole before one: then its source is
/// too slow beside the others, and it is asked of another. A source has a few parts at a time, so
/// that it may be several times slower than others.
const OVERTAKING_PARTS_MAX: u32 = 16;

/// So many retry intervals is the rest of a part left alone of which bytes came: it may be lost,
/// and may be behind what others send.
const REST_RETRIES: u64 = 4;

/// How the holes of a catch-up are shared among those who can have them.
#[derive(Clone, Copy, Debug)]
pub struct Sharing {
    /// Holes below it are asked for in parts, each of a source that the caller chooses.
    pub below: Position,
    /// Bytes of a part, at most: a multiple of 8.
    pub part_bytes: u64,
    /// How long a source may send nothing of all that it was asked for.
    pub patience: Duration,
    /// How long a part may take, however much of it comes.
    pub part_time: Duration,
}

/// When and how much a receiver asks for.
#[derive(Clone, Copy, Debug)]
pub struct NakTiming {
    /// How long a hole may be mere reordering.
    pub delay: Duration,
    /// How long an unanswered request is left alone.
    pub retry: Duration,
    /// Bytes asked for and not yet received, at most.
    pub bytes_max: u64,
    /// How a catch-up is shared; `None` when all is asked of one.
    pub sharing: Option<Sharing>,
}

impl NakTiming {
    /// What of a hole is to be one request, and whether it is one of a catch-up.
    pub(super) fn request(&self, hole: PositionRange) -> (PositionRange, bool) {
        match self.sharing {
            Some(sharing) if hole.start < sharing.below => {
                let most = sharing.part_bytes.min(sharing.below.since(hole.start));
                (PositionRange::at(hole.start, hole.len().min(most)), true)
            }
            _ => (hole, false),
        }
    }
}

/// What is known of a source since it was asked for a part.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// All of the part has come.
    Answered,
    /// It was too slow, or sent nothing.
    Failed,
}

/// A range that was asked for.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Asked {
    pub(super) range: PositionRange,
    /// When it was asked for.
    since: Instant,
    /// The same, or when the last byte came that answered it.
    at: Instant,
    /// Bytes of it that are not held.
    pub(super) missing: u64,
    /// Who was chosen to be asked, if it is a part of a catch-up.
    pub(super) of: Option<MemberId>,
    is_answered: bool,
    is_refused: bool,
    /// What came of it was told already.
    is_told: bool,
    /// Parts that were asked for no earlier and have come as a whole.
    overtaken: u32,
}

impl Asked {
    pub(super) const fn new(now: Instant, range: PositionRange) -> Self {
        Self {
            range,
            since: now,
            at: now,
            missing: range.len(),
            of: None,
            is_answered: false,
            is_refused: false,
            is_told: false,
            overtaken: 0,
        }
    }

    /// Notes that of the missing bytes `new` have come. Returns the source, and when it was asked
    /// if that was the last of them.
    pub(super) fn note_answer(
        &mut self,
        now: Instant,
        new: u64,
    ) -> Option<(MemberId, Option<Instant>)> {
        self.at = now;
        self.is_answered = true;
        self.missing -= new;
        let is_whole = new > 0 && self.missing == 0;
        Some((self.of?, is_whole.then_some(self.since)))
    }

    /// Notes that `source` sends something of what it was asked for, and that a part is whole that
    /// was asked for at the time, if one is.
    pub(super) fn note_other(&mut self, now: Instant, source: MemberId, whole: Option<Instant>) {
        if self.of == Some(source) && !self.is_answered {
            self.at = now;
        }
        let is_overtaken = whole.is_some_and(|since| self.since <= since);
        if is_overtaken && self.missing > 0 {
            self.overtaken = self.overtaken.saturating_add(1);
        }
    }

    /// Notes that `dropped` was held and is not any more, for want of ranges. What comes behind a
    /// part and has no room overtakes it, too: it may go on coming for as long as the part is left
    /// alone.
    pub(super) fn note_dropped(&mut self, dropped: PositionRange) {
        self.missing += self.range.intersection(dropped).len();
        if self.range.end <= dropped.start && self.missing > 0 {
            self.overtaken = self.overtaken.saturating_add(1);
        }
    }

    /// The source says that it lacks some of it.
    pub(super) const fn refuse(&mut self) {
        self.is_refused = true;
    }

    /// Asks for it once more, only as a deliberate mistake.
    pub(super) const fn begin_again(&mut self, now: Instant) {
        (self.since, self.at, self.overtaken, self.is_refused) = (now, now, 0, false);
    }

    /// When it is forgotten, and what is missing of it may be asked for again: never sooner than a
    /// retry interval after it was asked for (S19).
    pub(super) fn due(&self, timing: NakTiming) -> Instant {
        let sharing = timing.sharing.filter(|_| self.of.is_some() && self.missing > 0);
        let Some(sharing) = sharing else { return self.at + timing.retry };
        let soonest = self.since + timing.retry;
        if self.is_refused || self.overtaken >= OVERTAKING_PARTS_MAX {
            return soonest;
        }
        let rest = Duration(timing.retry.0.saturating_mul(REST_RETRIES));
        let patience = if self.is_answered { rest } else { sharing.patience };
        (self.at + patience).min(self.since + sharing.part_time).max(soonest)
    }

    /// What has come of the part by now, if that is known and was not told before.
    pub(super) fn outcome(
        &mut self,
        now: Instant,
        timing: NakTiming,
    ) -> Option<(MemberId, Outcome)> {
        let (source, sharing) = (self.of?, timing.sharing?);
        if self.is_told {
            return None;
        }
        let is_over = now >= self.due(timing) && !self.is_refused;
        let is_late = self.overtaken >= OVERTAKING_PARTS_MAX
            || now >= self.since + sharing.part_time
            || !self.is_answered;
        let outcome = match self.missing {
            0 => Outcome::Answered,
            _ if is_over && is_late => Outcome::Failed,
            _ => return None,
        };
        self.is_told = true;
        Some((source, outcome))
    }
}
