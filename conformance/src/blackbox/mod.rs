//! Whole products, as they are started: real processes in network namespaces of their own, in real
//! time, with a network in between that loses, delays and cuts as a script wants.
//!
//! ```text
//!   host 1 (namespace)            switch (this process)            host 9 (namespace)
//!   member ── tun ── agent ◄─ datagrams ─► cuts, rules ◄─ datagrams ─► agent ── tun ── client
//! ```
//!
//! Each host is a child process that holds a network and a mount namespace and relays IP packets
//! between its tunnel device and the switch. Addresses are the same seen from everywhere, nothing
//! leaves the switch, and all of it ends with the agents.

mod agent;
mod cases;
mod client;
mod clocks;
mod control;
mod crowds;
mod description;
mod disks;
mod ends;
#[cfg(feature = "fault-disks")]
mod faulty;
mod grounds;
mod images;
mod onlooker;
mod outside;
mod packet;
mod plan;
#[cfg(feature = "fault-disks")]
mod power;
mod process;
mod resources;
mod rot;
mod shapes;
mod standstill;
mod switch;
#[cfg(feature = "fault-disks")]
mod volatile;

pub use agent::relay;
pub use cases::{RealCase, find};
pub use client::RealClient;
pub use clocks::can_bend_clocks;
pub use control::{can_halt, can_starve};
pub use description::{ClientCommands, LogFile, MemberCommands, Product, Times, Volatile};
pub use disks::{can_lose_power, can_mount_images};
#[cfg(feature = "fault-disks")]
pub use faulty::hold_disk;
pub use grounds::{Grounds, can_inject};

use core::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::case::{Case, Failure, Verdict};
use crate::runner::{CaseReport, Remains, judge, report_of};
use crate::subject::Description;
use crate::trial::Profile;
use disks::Disk;
use plan::{Manner, Plan};
use standstill::{Record, Standstills};
use tempfile::TempDir;

/// How often a case is played whose bound in real time was missed while the machine stood still.
const ATTEMPTS_MAX: u64 = 3;

/// What a script of real processes works with.
#[derive(Debug)]
pub struct RealTrial<'a> {
    product: &'a Product,
    seed: u64,
    profile: Profile,
    standstills: Arc<Standstills>,
    /// Where everything of this attempt lies.
    folder: &'a Path,
    grounds_made: Cell<u32>,
}

impl RealTrial<'_> {
    /// Grounds with so many members, none of them running.
    ///
    /// # Errors
    /// The machine lacks something that is needed, which the error names.
    pub fn grounds(&self, members: u16) -> Result<Grounds, Failure> {
        self.grounds_with(members, BTreeMap::new())
    }

    /// [`RealTrial::grounds`], and the disk of member `small` has so many mebibytes.
    ///
    /// # Errors
    /// As there.
    pub fn grounds_with_small_disk(
        &self,
        members: u16,
        small: u16,
        mebibytes: u64,
    ) -> Result<Grounds, Failure> {
        self.grounds_with(members, BTreeMap::from([(small, Disk::Small(mebibytes))]))
    }

    /// [`RealTrial::grounds`], and the disk of member `imaged` is an image of a file system: it can
    /// be frozen, and be lost to its writers.
    ///
    /// # Errors
    /// As there; not applicable where the machine mounts no images.
    pub fn grounds_with_image(&self, members: u16, imaged: u16) -> Result<Grounds, Failure> {
        can_mount_images().map_err(Failure::NotApplicable)?;
        self.grounds_with(members, BTreeMap::from([(imaged, Disk::Image)]))
    }

    /// [`RealTrial::grounds`], and the disk of member `thin` is an image that claims to be larger
    /// than what it lies on: when that is full, one sync fails, and what it was to cover is lost.
    ///
    /// # Errors
    /// As for [`RealTrial::grounds_with_image`].
    pub fn grounds_with_thin_image(
        &self,
        members: u16,
        thin: u16,
        journal: bool,
    ) -> Result<Grounds, Failure> {
        can_mount_images().map_err(Failure::NotApplicable)?;
        self.grounds_with(members, BTreeMap::from([(thin, Disk::Thin { journal })]))
    }

    /// [`RealTrial::grounds`], and these members have disks that lose their power, and fail as they
    /// are told.
    ///
    /// # Errors
    /// As there; not applicable where the machine mounts no file systems of processes.
    #[cfg(feature = "fault-disks")]
    pub fn grounds_with_fault_disks(
        &self,
        members: u16,
        faulty: &[u16],
    ) -> Result<Grounds, Failure> {
        can_lose_power().map_err(Failure::NotApplicable)?;
        self.grounds_with(members, faulty.iter().map(|id| (*id, Disk::Faulty)).collect())
    }

    /// [`RealTrial::grounds`], and the members read again all the time what they have stored.
    ///
    /// # Errors
    /// As there; not applicable if the product cannot be told to.
    pub fn grounds_that_scrub(&self, members: u16) -> Result<Grounds, Failure> {
        self.prepare(members, BTreeMap::new(), Manner::Scrubbing)
    }

    /// [`RealTrial::grounds_with_fault_disks`] whose members do so.
    ///
    /// # Errors
    /// As there, and of [`RealTrial::grounds_that_scrub`].
    #[cfg(feature = "fault-disks")]
    pub fn grounds_that_scrub_on_fault_disks(
        &self,
        members: u16,
        faulty: &[u16],
    ) -> Result<Grounds, Failure> {
        can_lose_power().map_err(Failure::NotApplicable)?;
        let disks = faulty.iter().map(|id| (*id, Disk::Faulty)).collect();
        self.prepare(members, disks, Manner::Scrubbing)
    }

    /// [`RealTrial::grounds_with_fault_disks`] under all of so many members, whose replies do not
    /// wait for them.
    ///
    /// # Errors
    /// As there; not applicable if the product has no such members.
    #[cfg(feature = "fault-disks")]
    pub fn grounds_of_a_volatile_group(&self, members: u16) -> Result<Grounds, Failure> {
        can_lose_power().map_err(Failure::NotApplicable)?;
        let disks = (1..=members).map(|id| (id, Disk::Faulty)).collect();
        self.prepare(members, disks, Manner::Volatile)
    }

    fn grounds_with(&self, members: u16, disks: BTreeMap<u16, Disk>) -> Result<Grounds, Failure> {
        self.prepare(members, disks, Manner::Usual)
    }

    fn prepare(
        &self,
        members: u16,
        disks: BTreeMap<u16, Disk>,
        manner: Manner,
    ) -> Result<Grounds, Failure> {
        let member = &self.product.member;
        let lacks = match manner {
            Manner::Scrubbing if member.scrub.is_none() => "how a member is to `scrub`",
            Manner::Volatile if member.volatile.is_none() => "how members are `volatile`",
            _ => "",
        };
        if !lacks.is_empty() {
            let what = format!("the product's description does not say {lacks}");
            return Err(Failure::NotApplicable(what));
        }
        let standstills = Arc::clone(&self.standstills);
        let number = self.grounds_made.get() + 1;
        self.grounds_made.set(number);
        let folder = self.folder.join(format!("grounds-{number}"));
        let plan = Plan { members, seed: self.seed, folder, disks, manner };
        Grounds::new(self.product, &plan, standstills)
    }

    /// The seed of everything random in this trial.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// As many as the profile asks for.
    #[must_use]
    pub const fn times(&self, quick: u64, standard: u64, strict: u64) -> u64 {
        match self.profile {
            Profile::Quick => quick,
            Profile::Standard => standard,
            Profile::Strict => strict,
        }
    }
}

/// How the product is described in reports.
#[must_use]
pub fn describe(product: &Product) -> Description {
    Description {
        name: format!("blackbox:{}", product.name),
        version: product.version.clone(),
        about: product.about.clone(),
        features: Vec::new(),
        claims: Vec::new(),
    }
}

/// Runs one case against real processes. One that fails by a bound in real time, while the machine
/// stood still for longer than the bound bears, is played again; if that goes on, it is unknown.
/// With `keep`, the directories and logs of an attempt that did not pass stay, and the reason says
/// where.
#[must_use]
pub fn run_real(
    product: &Product,
    case: &Case,
    seed: u64,
    profile: Profile,
    keep: bool,
) -> CaseReport {
    let begun = Instant::now();
    let mut kept = None;
    let (verdict, counters) = match find(case.id) {
        None => {
            let why = "it has no script for real processes";
            (Err(Failure::NotApplicable(why.into())), BTreeMap::new())
        }
        Some(script) => attempts(|| {
            let (verdict, record, folder) = attempt(script, product, seed, profile);
            let failed = !matches!(verdict, Ok(()) | Err(Failure::NotApplicable(_)));
            if let Some(folder) = folder.filter(|_| keep && failed) {
                kept = Some(folder.keep());
            }
            (verdict, record)
        }),
    };
    let (mut judged, real_ms) = (judge(case, verdict), begun.elapsed().as_millis() as u64);
    if let (Some(reason), Some(kept)) = (&mut judged.1, kept) {
        reason.push_str(&format!("; its directories and logs are in {}", kept.display()));
    }
    let name = format!("blackbox:{}", product.path.display());
    let remains = Remains { counters, ..Remains::default() };
    report_of(case, &name, seed, profile, judged, remains, real_ms)
}

/// Plays until the verdict is not one of the machine; returns it with what the report counts.
fn attempts(mut play: impl FnMut() -> (Verdict, Record)) -> (Verdict, BTreeMap<String, u64>) {
    let mut counters = BTreeMap::new();
    for attempt in 1..=ATTEMPTS_MAX {
        let (verdict, record) = play();
        let longest = record.worst().map_or(0, |(_, seen)| seen.longest.as_millis() as u64);
        counters.insert("attempts".into(), attempt);
        let noted = counters.entry("longest standstill, ms".into()).or_default();
        *noted = longest.max(*noted);
        let (what, wait) = &record.waited;
        counters.insert(format!("longest wait, ms: {what}"), wait.as_millis() as u64);
        let Err(Failure::Late { what, longest, total }) = verdict else {
            return (verdict, counters);
        };
        let Some(excuse) = record.excuse(longest, total) else {
            return (Err(Failure::Late { what, longest, total }), counters);
        };
        if attempt == ATTEMPTS_MAX {
            let text = format!(
                "{what}; but {excuse}, more than this case can bear ({} ms), in the last of \
                 {ATTEMPTS_MAX} attempts as in those before",
                longest.as_millis()
            );
            return (Err(Failure::Unknown(text)), counters);
        }
    }
    unreachable!("the last attempt returns")
}

/// One attempt at a case, with what the machine did meanwhile and the folder of it all.
fn attempt(
    script: RealCase,
    product: &Product,
    seed: u64,
    profile: Profile,
) -> (Verdict, Record, Option<TempDir>) {
    let started = tempfile::tempdir().and_then(|folder| {
        let standstills = Arc::new(Standstills::start(folder.path())?);
        Ok((folder, standstills))
    });
    let (folder, standstills) = match started {
        Ok(started) => started,
        Err(error) => {
            let text = format!("cannot measure the machine: {error}");
            return (Err(Failure::Harness(text)), Record::default(), None);
        }
    };
    let trial = RealTrial {
        product,
        seed,
        profile,
        standstills: Arc::clone(&standstills),
        folder: folder.path(),
        grounds_made: Cell::new(0),
    };
    let verdict = perform(script, &trial);
    (verdict, standstills.record(), Some(folder))
}

fn perform(script: RealCase, trial: &RealTrial<'_>) -> Verdict {
    let ran = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| script(trial)));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        Err(Failure::Harness(format!("panic: {text}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use standstill::Spot;

    const BEARABLE: Duration = Duration::from_millis(75);

    fn late() -> Failure {
        Failure::Late { what: "an election".into(), longest: BEARABLE, total: Duration::ZERO }
    }

    fn record(milliseconds: u64) -> Record {
        let mut record = Record::default();
        record.note(Spot::Pulse, Duration::from_millis(milliseconds));
        record
    }

    #[test]
    fn a_disturbed_case_is_played_again_and_then_unknown() {
        let mut played = 0;
        let (verdict, counters) = attempts(|| {
            played += 1;
            (Err(late()), record(340 + played))
        });
        assert_eq!(played, ATTEMPTS_MAX);
        assert_eq!(counters["attempts"], ATTEMPTS_MAX);
        assert_eq!(counters["longest standstill, ms"], 343);
        let Err(Failure::Unknown(text)) = verdict else { panic!("{verdict:?}") };
        assert!(text.contains("stood still for 343 ms, more than this case can bear (75 ms)"));
    }

    #[test]
    fn a_disturbed_case_may_pass_the_next_time() {
        let mut verdicts = vec![Ok(()), Err(late())];
        let (verdict, counters) = attempts(|| (verdicts.pop().unwrap(), record(340)));
        assert_eq!((verdict, counters["attempts"]), (Ok(()), 2));
    }

    #[test]
    fn a_failure_without_a_disturbance_counts_at_once() {
        let mut played = 0;
        let (verdict, _) = attempts(|| {
            played += 1;
            (Err(late()), record(75))
        });
        assert_eq!((verdict, played), (Err(late()), 1));
    }

    #[test]
    fn what_is_wrong_whatever_the_time_counts_at_once() {
        let mut played = 0;
        let (verdict, _) = attempts(|| {
            played += 1;
            (Err(Failure::broken("two leaders (S1)")), record(5_000))
        });
        assert_eq!((verdict, played), (Err(Failure::broken("two leaders (S1)")), 1));
    }
}
