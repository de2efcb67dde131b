//! What a run reports: marks (what happened how often) and findings.

use core::fmt;

use crate::swarm::FaultClasses;

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
    Filtered "datagrams taken out by a filter",
    TooLarge "datagrams larger than a link carries",
    TailDrop "datagrams dropped by a full queue",
    Squeezed "datagrams through a slow link",
    LostByLaggard "datagrams to and from a laggard lost",
    Duplicated "datagrams duplicated",
    Replayed "old datagrams replayed",
    ReplayedAncient "datagrams of the very beginning replayed",
    Reordered "datagrams overtaken",
    Clogged "datagrams held back by a clog",
    Cut "datagrams stopped by a cut link",
    Damaged "datagrams damaged",
    Truncated "datagrams cut short",
    Lengthened "datagrams made longer",
    Overflow "datagrams lost at a host that stood still",
    Encoded "datagrams through the codec",
    StrangeBytes "bytes of a stranger",
    EdgeValue "edge values of a stranger",
    Stranger "datagrams of strangers and of other groups",
    Partition "random halves",
    OneWay "one-way cuts",
    Isolation "members isolated",
    QuorumLoss "stars around a follower",
    Constrained "constrained elections",
    Chained "chains",
    Ring "rings",
    Bridge "bridges",
    Swizzle "swizzles",
    Shattered "groups shattered",
    PathCut "data paths or control paths cut",
    Deposed "leaders deposed with a tail",
    Flap "flapping links",
    Kill "processes killed",
    StoppedInOrder "members stopped in good order",
    StoppedInDoubt "members stopped before their disks had all",
    PowerCut "members without power",
    CrashBetweenActions "crashes between two actions",
    PowerLoss "crashes of all members",
    TornWrite "pages torn by a crash",
    LostWrite "unsynced units lost by a crash",
    UnsyncedKept "unsynced units kept by a crash",
    LostMetadata "metadata writes lost by a crash",
    WriteError "writes that failed",
    SyncError "syncs that failed",
    Rot "bits rotted",
    LatentError "sectors that do not read",
    WriteNotDone "writes reported and not done",
    Misdirected "writes that went elsewhere",
    RecordHealed "records with one damaged copy",
    RecordLost "records with two damaged copies",
    Wiped "disks wiped",
    MadeAnew "directories made anew after that",
    Salvaged "damaged directories replaced by what was whole",
    Swapped "disks swapped",
    RefusedDamaged "starts refused: damaged log",
    RefusedUnreadable "starts refused: unreadable",
    RefusedRecords "starts refused: records",
    RefusedMissing "starts refused: nothing there",
    RefusedForeign "starts refused: another member's disk",
    StorageFailed "members stopped by their storage",
    ServiceFailed "members stopped by their service",
    StoppedByDamage "members stopped by damage",
    GivenUp "members given up in calm",
    Silence "groups at rest",
    AvailabilityJudged "two seconds in which a quorum was well",
    StaleCompletion "completions of a former life",
    Restart "restarts",
    RestartWithLog "restarts with a log to replay",
    RestartWithSnapshot "restarts from a snapshot",
    SnapshotStored "snapshots stored",
    SnapshotSkipped "markers met while a snapshot was under way",
    Purged "beginnings of logs purged",
    SnapshotFailed "snapshots that could not be stored",
    SnapshotBroken "snapshots broken",
    SnapshotRotted "snapshots that rotted",
    SnapshotRead "parts of snapshots read for others",
    SnapshotUnread "parts of snapshots that were gone or did not verify",
    SnapshotPinned "snapshots pinned for others",
    FetchBegun "snapshots of others fetched",
    SnapshotPart "parts of snapshots of others kept",
    FetchSpoilt "fetched snapshots with a bit flipped",
    FetchRejected "fetched snapshots rejected",
    FetchInstalled "fetched snapshots installed",
    Deviated "services that began to deviate",
    StoppedByDeviation "members stopped because they deviate",
    SnapshotsDiscarded "members that discarded snapshots because they deviate",
    InstallUndone "installs undone by a crash",
    InstallKept "installs done in spite of a crash",
    RestartInPlace "lives begun where the one before ended",
    Pause "pauses",
    SlowProcess "slow processes",
    ClockBack "clocks set back",
    ClockFrozen "clocks frozen",
    DiskStall "disk stalls",
    SlowDisk "slow disks",
    DiskFull "appends refused for want of space",
    SlowService "late answers of the service",
    ClientCrash "client crashes",
    Flood "floods",
    Deaf "clients that read no replies",
    ClientCut "clients cut off",
    Election "elections won",
    LeaderChange "leader changes",
    TransferDemanded "transfers of leadership demanded",
    TransferDone "transfers of leadership done",
    MembersChanged "changes of members done",
    ChangeRefused "changes of members refused",
    TransferRefused "transfers of leadership refused",
    Stalled "stalls told",
    LogCut "logs cut",
    Nak "requests for missing bytes",
    Repair "repairs sent",
    ReadLog "reads of the log",
    ReadLinearizable "linearizable reads",
    ReadByLease "linearizable reads by leases, where there are any",
    ReadOfSession "session reads",
    ReadStale "stale reads",
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

    /// Those of `marks` that were never seen.
    #[must_use]
    pub fn missing_of(&self, marks: &[Mark]) -> Vec<Mark> {
        marks.iter().copied().filter(|mark| self.count(*mark) == 0).collect()
    }

    /// The marks that were never seen, of those that so many seeds have to see.
    #[must_use]
    pub fn missing(&self, seeds: u64) -> Vec<Mark> {
        let expected = |mark: &Mark| seeds >= mark.seeds_min();
        let missing = |mark: &Mark| expected(mark) && self.count(*mark) == 0;
        Mark::ALL.iter().copied().filter(missing).collect()
    }
}

impl Mark {
    /// How many seeds have to see it: it is no proof of anything that fewer do not.
    #[must_use]
    pub const fn seeds_min(self) -> u64 {
        match self {
            // In volatile worlds only, which seeds are not drawn for: a sweep of those has to see
            // them.
            Self::StoppedInOrder | Self::StoppedInDoubt => u64::MAX,
            Self::MembersChanged | Self::ChangeRefused => u64::MAX,
            // As are those in which services deviate.
            Self::Deviated | Self::StoppedByDeviation | Self::SnapshotsDiscarded => u64::MAX,
            // In 1 of 400 seeds: most find the damage at their start, or begin behind it.
            Self::StoppedByDamage => 2_000,
            // In 1 of 32 seeds a quorum is spared.
            Self::AvailabilityJudged => 200,
            // Few of the snapshots that are fetched meet these.
            Self::SnapshotUnread
            | Self::SnapshotRotted
            | Self::FetchSpoilt
            | Self::FetchRejected
            | Self::InstallUndone
            | Self::InstallKept => 1_000,
            Self::FetchBegun
            | Self::SnapshotPart
            | Self::SnapshotRead
            | Self::SnapshotPinned
            | Self::FetchInstalled
            | Self::RestartInPlace => 300,
            _ => 1,
        }
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
    /// The classes of faults that were on.
    pub classes: FaultClasses,
    /// The first finding, if there is one.
    pub finding: Option<Finding>,
    /// Why what was found in calm is nobody's fault, if so (L13).
    pub excused: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_names_what_is_missing() {
        let mut tally = Tally::default();
        assert_eq!(tally.missing(u64::MAX).len(), Mark::ALL.len());
        // A stop by damage is rare, those on request are of volatile worlds, and members change, as
        // services deviate, in worlds of their own.
        assert_eq!(tally.missing(1_000).len(), Mark::ALL.len() - 8);
        tally.saw(Mark::Kill);
        let mut sum = Tally::default();
        sum.merge(&tally);
        assert_eq!(sum.count(Mark::Kill), 1);
        assert!(!sum.missing(u64::MAX).contains(&Mark::Kill));
        assert_eq!(sum.missing_of(&[Mark::Kill, Mark::StoppedInOrder]), [Mark::StoppedInOrder]);
    }
}
