//! `quorate tool recover`.

use core::fmt::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use quorate_archive::{Options, RecoveryError, RecoveryPlan, plan_recovery, recover_by_force};
use quorate_core::ForcedError;
use serde_json::{Value, json};

use crate::failure::{Failure, tell_line};

/// The largest frame that a configuration allows is no larger: what a log holds is told before
/// anybody knows how its group is configured.
pub(crate) const FRAME_BYTES_MAX: u64 = 256 << 20;

/// Says what a forced recovery of the members that own `directories` keeps and loses, and does it
/// if that is what is `confirmed`.
pub(crate) fn run(
    directories: &[PathBuf],
    confirmed: Option<&str>,
    json: bool,
) -> Result<(), Failure> {
    let options = Options::new(FRAME_BYTES_MAX);
    let plan = plan_recovery(directories, &options).map_err(refused)?;
    if !json {
        tell_line(text(&plan));
    }
    let Some(confirmed) = confirmed else {
        if json {
            tell_line(object(&plan, false));
        } else {
            tell_line(format_args!("nothing was done; to do it give --confirm {}", plan.token()));
        }
        return Ok(());
    };
    if confirmed != plan.token() {
        return Err(Failure::Usage(format!(
            "--confirm {confirmed} is not what this plan ends with; nothing was done"
        )));
    }
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let at_seconds = since.map_or(0, |since| since.as_secs());
    recover_by_force(&plan, at_seconds, &options).map_err(interrupted)?;
    if json {
        tell_line(object(&plan, true));
    } else {
        tell_line(format_args!(
            "done: these members are in recovery epoch {}; start them all",
            plan.forced.epoch.0
        ));
    }
    Ok(())
}

fn refused(error: RecoveryError) -> Failure {
    match error {
        RecoveryError::Refused(
            ForcedError::TooFew { .. } | ForcedError::Twice { .. } | ForcedError::Stranger { .. },
        )
        | RecoveryError::Foreign { .. } => Failure::Usage(error.to_string()),
        other => Failure::failed("nothing is recovered", other),
    }
}

/// What went wrong while it was done: some of the members may be in the new epoch.
fn interrupted(error: RecoveryError) -> Failure {
    match error {
        RecoveryError::Archive(error) => Failure::failed(
            "the recovery was interrupted: start none of these members, mend what follows, and give \
             all of their directories again",
            error,
        ),
        other => refused(other),
    }
}

fn text(plan: &RecoveryPlan) -> String {
    let (forced, mut text) = (&plan.forced, String::new());
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "group {:#018x} goes on in recovery epoch {} with the log of member {}",
        plan.group.0, forced.epoch.0, forced.chosen
    );
    for member in &plan.members {
        let how = match member.is_marked {
            true => "was not stopped in good order",
            false => "has all that it promised",
        };
        let (at, term) = (member.key.position, member.key.term);
        let directory = member.directory.display();
        let _ = writeln!(
            text,
            "  member {} has all up to {at} of term {term}, and {how}: {directory}",
            member.member
        );
        for problem in &member.problems {
            let _ = writeln!(text, "    {problem}");
        }
    }
    for missing in &plan.missing {
        let _ = writeln!(
            text,
            "  member {missing} takes no part: it is heard by nobody any more, and rejoins with \
             `quorate init --rejoin --recovery-epoch {}`",
            forced.epoch.0
        );
    }
    let _ = writeln!(text, "KEPT is all before position {}", forced.kept);
    let _ =
        write!(text, "LOST is all that was promised at position {} or behind it: ", forced.kept);
    let _ = match forced.promised > forced.kept {
        true => writeln!(text, "up to {} something was, as the records tell;", forced.promised),
        false => writeln!(text, "of nothing there the records tell;"),
    };
    let _ = write!(
        text,
        "     what was promised since they were last written, about a second before each end, no \
         disk tells"
    );
    text
}

fn object(plan: &RecoveryPlan, done: bool) -> Value {
    let forced = &plan.forced;
    let members = plan.members.iter().map(|member| {
        json!({
            "directory": member.directory,
            "member": member.member.0,
            "recovery_epoch": member.epoch.0,
            "term": member.key.term.0,
            "log_end": member.key.position.0,
            "impaired": member.is_marked,
            "problems": member.problems,
        })
    });
    json!({
        "group": format!("{:016x}", plan.group.0),
        "recovery_epoch": forced.epoch.0,
        "chosen": forced.chosen.0,
        "kept": forced.kept.0,
        "promised": forced.promised.0,
        "members": members.collect::<Vec<_>>(),
        "left_out": plan.missing.iter().map(|member| member.0).collect::<Vec<_>>(),
        "confirm": plan.token(),
        "confirmed": done,
    })
}
