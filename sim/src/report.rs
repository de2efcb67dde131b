//! What a run reports: marks (what happened how often) and findings.

use core::fmt;

macro_rules! marks {
    ($($mark:ident $name:literal,)*) => {
        /// Something that a sweep must have seen at least once; otherwise it proved nothing about
        /// it.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum Mark {
            $(#[doc = $name] $mark,)*
        }

        impl Mark {
            /// All marks.
            pub const ALL: &'static [Self] = &[$(Self::$mark,)*];

            /// The mark as reports print it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$mark => $name,)* }
            }
        }
    };
}

marks! {
    Lost "datagrams lost",
    LostInBurst "datagrams lost in a burst",
    Duplicated "datagrams duplicated",
    Replayed "old datagrams replayed",
    Reordered "datagrams overtaken",
    Cut "datagrams stopped by a cut link",
    Damaged "datagrams with a flipped bit",
    Encoded "datagrams through the codec",
    Partition "partitions",
    OneWay "one-way cuts",
    Isolation "members isolated",
    Deposed "leaders deposed with a tail",
    Flap "flapping links",
    Clog "clogged links",
    Crash "crashes",
    CrashBetweenActions "crashes between two actions",
    PowerLoss "crashes of all members",
    TornWrite "unsynced writes torn by a crash",
    LostWrite "unsynced writes lost by a crash",
    LostMetadata "metadata writes lost by a crash",
    StaleCompletion "completions of a former life",
    Restart "restarts",
    RestartWithLog "restarts with a log to replay",
    Pause "pauses",
    DiskStall "disk stalls",
    DiskFull "appends refused for want of space",
    SlowService "late answers of the service",
    ClientCrash "client crashes",
    ClientCut "clients cut off",
    Election "elections won",
    LeaderChange "leader changes",
    LogCut "logs cut",
    Nak "requests for missing bytes",
    Repair "repairs sent",
    ReadLog "reads of the log",
    ReadRepair "repairs from the archive",
    ReadApply "frames applied from the archive",
    DuplicateSuppressed "duplicate messages suppressed",
    ReplyResent "replies sent again",
    Reconnect "clients connected again",
    Redirect "clients redirected",
    BackPressure "submissions refused",
    SessionClosed "sessions closed",
    ServiceTimer "timers of the service",
    LargeMessage "messages of several slices",
    EmptyMessage "empty messages",
    Reply "replies",
}

/// How often each mark was seen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tally {
    counts: Vec<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { counts: vec![0; Mark::ALL.len()] }
    }
}

impl Tally {
    /// Counts `mark` once.
    pub fn saw(&mut self, mark: Mark) {
        self.add(mark, 1);
    }

    /// Counts `mark` `times` times.
    pub fn add(&mut self, mark: Mark, times: u64) {
        self.counts[mark as usize] += times;
    }

    /// How often `mark` was seen.
    #[must_use]
    pub fn count(&self, mark: Mark) -> u64 {
        self.counts[mark as usize]
    }

    /// Adds all that `other` saw.
    pub fn merge(&mut self, other: &Self) {
        for (own, others) in self.counts.iter_mut().zip(&other.counts) {
            *own += others;
        }
    }

    /// The marks that were never seen.
    #[must_use]
    pub fn missing(&self) -> Vec<Mark> {
        Mark::ALL.iter().copied().filter(|mark| self.count(*mark) == 0).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mark in Mark::ALL {
            writeln!(f, "  {:>12}  {}", self.count(*mark), mark.name())?;
        }
        Ok(())
    }
}

/// Something that must not happen, and did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The seed of the world.
    pub seed: u64,
    /// How many steps the machines had taken.
    pub step: u64,
    /// The virtual time, in nanoseconds.
    pub at: u64,
    /// Which invariant: an id of the catalogue, such as `S7`.
    pub id: &'static str,
    /// What happened.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (millis, micros) = (self.at / 1_000_000, self.at / 1_000 % 1_000);
        write!(f, "seed {} step {} at {millis}.{micros:03} ms: ", self.seed, self.step)?;
        write!(f, "{}: {}", self.id, self.message)
    }
}

/// What came of one seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Steps that members and clients took.
    pub steps: u64,
    /// Those of them after the first leader and before the calm phase.
    pub steps_under_faults: u64,
    /// Virtual time, in nanoseconds.
    pub elapsed: u64,
    /// A hash over all steps: equal for equal seeds.
    pub trace_hash: u64,
    /// What was seen.
    pub tally: Tally,
    /// The first finding, if there is one.
    pub finding: Option<Finding>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_names_what_is_missing() {
        let mut tally = Tally::default();
        assert_eq!(tally.missing().len(), Mark::ALL.len());
        tally.saw(Mark::Crash);
        let mut sum = Tally::default();
        sum.merge(&tally);
        assert_eq!(sum.count(Mark::Crash), 1);
        assert!(!sum.missing().contains(&Mark::Crash));
    }
}
