//! `quorate tool purge`.

use std::path::Path;

use quorate_archive::{Options, PurgePlan, plan_purge, purge};
use quorate_core::Position;
use serde_json::json;

use crate::failure::{Failure, tell_line};

/// Says what a purge of the log in `directory` takes away, and does it if it is `wanted`.
pub(crate) fn run(
    directory: &Path,
    at: Option<u64>,
    wanted: bool,
    json: bool,
) -> Result<(), Failure> {
    let options = Options::default();
    let failed = |error| Failure::failed("the log is not purged", error);
    let plan = plan_purge(directory, at.map(Position), &options).map_err(failed)?;
    if json {
        tell_line(object(&plan, wanted));
    } else {
        tell(&plan);
    }
    if !wanted {
        if !json {
            tell_line("nothing was done; give --yes to do it");
        }
        return Ok(());
    }
    purge(directory, &plan, &options).map_err(failed)?;
    if !json {
        tell_line(format_args!("the log begins at {} now", plan.to.position));
    }
    Ok(())
}

fn tell(plan: &PurgePlan) {
    let (from, to, newer) = (plan.from, plan.to.position, plan.newer);
    tell_line(format_args!(
        "the log from {from} to {to} goes: {} files, {} bytes; the snapshots at {to} and {newer} \
         stand for it",
        plan.segments.len(),
        plan.bytes
    ));
    for segment in &plan.segments {
        tell_line(format_args!("  {}", segment.display()));
    }
    for (member, acknowledged) in &plan.behind {
        tell_line(format_args!(
            "member {member} had acknowledged no more than {acknowledged} when last noted; if \
             nobody else has what it lacks, it fetches a snapshot"
        ));
    }
}

fn object(plan: &PurgePlan, wanted: bool) -> serde_json::Value {
    let behind = plan.behind.iter().map(
        |(member, acknowledged)| json!({ "member": member.0, "acknowledged": acknowledged.0 }),
    );
    json!({
        "from": plan.from.0,
        "to": plan.to.position.0,
        "newer_snapshot": plan.newer.0,
        "segments": plan.segments,
        "bytes": plan.bytes,
        "behind": behind.collect::<Vec<_>>(),
        "done": wanted,
    })
}
