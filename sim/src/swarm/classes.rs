//! The classes of faults that a seed switches on, each with its number in the fault catalogue.

use core::fmt;

macro_rules! classes {
    ($($class:ident $sort:ident $id:literal $name:literal $text:literal,)*) => {
        /// A class of faults. Whether it is on is drawn for each seed.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum FaultClass {
            $(#[doc = $text] $class,)*
        }

        impl FaultClass {
            /// All classes.
            pub const ALL: &'static [Self] = &[$(Self::$class,)*];

            /// Its number in the catalogue.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$class => $id,)* }
            }

            /// Its name, as commands take it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$class => $name,)* }
            }

            /// What it does.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$class => $text,)* }
            }

            pub(crate) const fn sort(self) -> Sort {
                match self { $(Self::$class => Sort::$sort,)* }
            }
        }
    };
}

/// How a class comes about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sort {
    /// All the time, at some rate.
    Rate,
    /// Now and then, each time with a beginning.
    Event,
    /// As an event, but at half the odds: it hits all at once.
    Rare,
}

classes! {
    Loss Rate "FN01" "loss" "Datagrams are lost.",
    Burst Rate "FN02" "burst" "Datagrams are lost in runs (Gilbert-Elliott).",
    Filter Event "FN03" "filter" "Of one link, datagrams of one kind, or each nth, or of some positions, are lost.",
    Duplicate Rate "FN04" "duplicate" "Datagrams arrive two to five times.",
    Replay Rate "FN05" "replay" "Datagrams of any earlier time, of former terms and lives, arrive again.",
    Reorder Rate "FN06" "reorder" "Datagrams overtake each other.",
    Delay Rate "FN07" "delay" "Each link has a law of latency of its own: constant, uniform, exponential, two modes.",
    Clog Event "FN08" "clog" "A link keeps all datagrams and lets them go at once.",
    Corrupt Rate "FN09" "corrupt" "Bits are flipped, datagrams are cut short or grow; only of encoded ones.",
    Mtu Event "FN10" "mtu" "Datagrams above a size vanish on a link.",
    Overflow Rate "FN12" "overflow" "Hosts that stand still or are slow hold few datagrams, and lose the rest.",
    Bandwidth Event "FN13" "bandwidth" "A link carries few bytes a second, with a short queue that drops its tail.",
    Isolate Event "FP01" "isolate" "A member hears and reaches no other.",
    Split Event "FP02" "split" "Members and clients fall into two random halves.",
    OneWay Event "FP03" "one-way" "A member sends and hears nobody, or hears and reaches nobody, or one direction of a link is cut.",
    QuorumLoss Event "FP04" "quorum-loss" "All members are connected to one only, which is not the leader.",
    Constrained Event "FP05" "constrained" "The only member that reaches a quorum was cut off before, and lacks the newest bytes.",
    Chain Event "FP06" "chain" "The members are a chain: each reaches its neighbours only.",
    Ring Event "FP07" "ring" "Each member reaches another majority.",
    Bridge Event "FP08" "bridge" "Two halves that one member joins.",
    Flap Event "FP09" "flap" "A link goes down and up, faster than an election time-out.",
    Swizzle Event "FP10" "swizzle" "Members are cut off one by one and come back in another order.",
    Shatter Rare "FP11" "shatter" "Nobody reaches anybody.",
    ClientCut Event "FP12" "client-cut" "A client reaches nobody, or all but the leader, or only one follower.",
    PathCut Event "FP13" "path-cut" "Data passes a member's links and control does not, or the reverse.",
    Kill Event "FX01" "kill" "A process dies and starts again; what it wrote stays in the page cache.",
    Midway Event "FX02" "midway" "A member crashes between two of its actions.",
    Pause Event "FX03" "pause" "A process stands still.",
    SlowProcess Event "FX04" "slow-process" "Each event costs a process much time.",
    PowerLoss Rare "FX05" "power-loss" "All members lose power at once, or one after the other.",
    Wipe Rare "FX06" "wipe" "A member comes back with its name and without its data.",
    Swap Event "FX07" "swap" "Two members come back each with the other's disk.",
    ServiceFailure Event "FX13" "service-failure" "A service fails.",
    SlowService Rate "FX13" "slow-service" "A service answers late.",
    PowerCut Event "FD01" "power-cut" "A member loses power, and any legal part of what was not synced.",
    TornSector Rate "FD02" "torn-sector" "Media write whole sectors of 512 bytes; else whole pages of 4,096.",
    WriteError Event "FD04" "write-error" "A write fails, with a part of its bytes written.",
    SyncError Event "FD05" "sync-error" "A sync fails once, and the cache takes its pages for clean.",
    LatentError Event "FD06" "latent-error" "A sector cannot be read any more.",
    Rot Event "FD07" "rot" "A bit of a log, or a copy of the records, rots.",
    LostWrite Event "FD09" "lost-write" "A disk reports a write that it did not do, or did elsewhere.",
    DiskFull Rare "FD10" "disk-full" "A disk is full.",
    DiskStall Event "FD11" "disk-stall" "A disk stands still.",
    SlowDisk Event "FD12" "slow-disk" "A disk is 10 to 1,000 times slower.",
    ClockRate Rate "FC02" "clock-rate" "Clocks run at half to double speed.",
    ClockBack Rate "FC03" "clock-back" "A clock goes back, as it is shown to the member.",
    LateTimer Rate "FC04" "late-timer" "Wake-ups are late, and come together.",
    ClockFreeze Event "FC04" "clock-freeze" "A clock stands still and then jumps ahead.",
    ClockZero Rate "FC06" "clock-zero" "A clock begins at zero with each start.",
    Flood Event "FL01" "flood" "Clients submit as much as they can.",
    Deaf Event "FL02" "deaf" "A client reads no replies.",
    ClientCrash Event "FL03" "client-crash" "A client dies; another comes.",
    OddSizes Rate "FL05" "odd-sizes" "Messages are empty, or as large as may be.",
    EdgeValues Rate "FA01" "edge-values" "A stranger sends sound datagrams with values at the edge of what can be.",
    RandomBytes Rate "FA01" "random-bytes" "A stranger sends bytes.",
    Strangers Rate "FA03" "strangers" "Datagrams claim to be of former lives, other incarnations, and members that are none.",
    Depose Event "LH" "depose" "The leader is cut off with a tail of its own; its successor crashes as it comes back.",
    Laggard Event "LG" "laggard" "One member loses most of the log and has to catch up all the time.",
    Transfer Event "FO05" "transfer" "The operator demands that leadership be handed over, to a member that runs, is down, or is none.",
}

/// A set of classes.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct FaultClasses(u64);

impl FaultClasses {
    /// No class.
    pub const NONE: Self = Self(0);

    /// All classes.
    #[must_use]
    pub fn all() -> Self {
        FaultClass::ALL.iter().copied().collect()
    }

    /// Whether `class` is in the set.
    #[must_use]
    pub const fn has(self, class: FaultClass) -> bool {
        self.0 & 1 << class as u64 != 0
    }

    /// Adds `class`.
    pub const fn add(&mut self, class: FaultClass) {
        self.0 |= 1 << class as u64;
    }

    /// Takes `class` away.
    pub const fn remove(&mut self, class: FaultClass) {
        self.0 &= !(1 << class as u64);
    }

    /// The classes in the set.
    pub fn iter(self) -> impl Iterator<Item = FaultClass> {
        FaultClass::ALL.iter().copied().filter(move |class| self.has(*class))
    }
}

impl FromIterator<FaultClass> for FaultClasses {
    fn from_iter<I: IntoIterator<Item = FaultClass>>(classes: I) -> Self {
        let mut set = Self::NONE;
        classes.into_iter().for_each(|class| set.add(class));
        set
    }
}

impl fmt::Debug for FaultClasses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(FaultClass::name)).finish()
    }
}

const _: () = assert!(FaultClass::ALL.len() <= 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_added() {
        let mut set: FaultClasses = [FaultClass::Loss, FaultClass::Laggard].into_iter().collect();
        assert!(set.has(FaultClass::Laggard) && !set.has(FaultClass::Burst));
        set.remove(FaultClass::Loss);
        assert_eq!(set.iter().collect::<Vec<_>>(), [FaultClass::Laggard]);
        assert_eq!(FaultClasses::all().iter().count(), FaultClass::ALL.len());
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = FaultClass::ALL.iter().map(|class| class.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FaultClass::ALL.len());
    }
}
