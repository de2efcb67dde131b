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
mod description;
mod grounds;
mod packet;
mod process;
mod switch;

pub use agent::relay;
pub use cases::{RealCase, find};
pub use client::RealClient;
pub use description::{ClientCommands, MemberCommands, Product};
pub use grounds::Grounds;

use std::time::Instant;

use crate::case::{Case, Failure, Verdict};
use crate::runner::{CaseReport, Remains, judge, report_of};
use crate::subject::Description;
use crate::trial::Profile;

/// What a script of real processes works with.
#[derive(Debug)]
pub struct RealTrial<'a> {
    product: &'a Product,
    seed: u64,
    profile: Profile,
}

impl RealTrial<'_> {
    /// Grounds with so many members, none of them running.
    ///
    /// # Errors
    /// The machine lacks something that is needed, which the error names.
    pub fn grounds(&self, members: u16) -> Result<Grounds, Failure> {
        Grounds::new(self.product, members, self.seed)
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
    }
}

/// Runs one case against real processes.
#[must_use]
pub fn run_real(product: &Product, case: &Case, seed: u64, profile: Profile) -> CaseReport {
    let begun = Instant::now();
    let verdict = match find(case.id) {
        None => Err(Failure::NotApplicable("it has no script for real processes".into())),
        Some(script) => perform(script, &RealTrial { product, seed, profile }),
    };
    let (judged, real_ms) = (judge(case, verdict), begun.elapsed().as_millis() as u64);
    let name = format!("blackbox:{}", product.path.display());
    report_of(case, &name, seed, judged, Remains::default(), real_ms)
}

fn perform(script: RealCase, trial: &RealTrial<'_>) -> Verdict {
    let ran = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| script(trial)));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        Err(Failure::Harness(format!("panic: {text}")))
    })
}
