//! `quorate tool backup`.

use std::path::Path;
use std::time::SystemTime;

use indicatif::{ProgressBar, ProgressStyle};
use quorate_archive::{
    Backup, BackupError, BackupPlan, Options, Progress, Step, back_up, plan_backup,
};
use quorate_core::Position;
use serde_json::{Value, json};

use crate::failure::{Failure, tell_line};
use crate::recover::FRAME_BYTES_MAX;

/// Writes the newest snapshot of the member that owns `directory`, or the one `at` a position, into
/// the new file `to`.
pub(crate) fn run(
    directory: &Path,
    to: &Path,
    at: Option<u64>,
    dry_run: bool,
    json: bool,
) -> Result<(), Failure> {
    let options = Options::new(FRAME_BYTES_MAX);
    let failed = |error| failure("no backup was taken", error);
    let mut bar = Bar::new();
    let plan = plan_backup(directory, at.map(Position), &options, &mut |now| bar.show(now));
    let plan = plan.map_err(failed)?;
    if !dry_run {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let at_seconds = since.map_or(0, |since| since.as_secs());
        let taken = back_up(&plan, to, at_seconds, &mut |now| bar.show(now)).map_err(failed)?;
        drop(bar);
        if json {
            tell_line(object(&plan, to, Some(&taken)));
        } else {
            tell_line(format_args!(
                "{} holds member {} of group {:#018x} up to {} of term {}: {} bytes, digest \
                 {:016x}",
                to.display(),
                taken.owner.member,
                taken.owner.group.0,
                taken.point.position,
                taken.point.term,
                plan.bytes,
                taken.digest
            ));
            tell_behind(&plan);
        }
        return Ok(());
    }
    drop(bar);
    if to.exists() {
        return Err(failed(BackupError::Exists { path: to.to_owned() }));
    }
    if json {
        tell_line(object(&plan, to, None));
    } else {
        tell_line(format_args!(
            "the backup would hold member {} of group {:#018x} up to {} of term {}: {} bytes; \
             nothing was done",
            plan.owner.member, plan.owner.group.0, plan.point.position, plan.point.term, plan.bytes
        ));
        tell_behind(&plan);
    }
    Ok(())
}

fn tell_behind(plan: &BackupPlan) {
    let behind = plan.log_end.since(plan.point.position);
    if behind > 0 {
        tell_line(format_args!(
            "{behind} bytes of its log lie behind that, up to {}, and are not in it; a group that \
             runs is backed up to its end with --fresh",
            plan.log_end
        ));
    }
}

fn object(plan: &BackupPlan, to: &Path, taken: Option<&Backup>) -> Value {
    json!({
        "file": to,
        "group": format!("{:016x}", plan.owner.group.0),
        "member": plan.owner.member.0,
        "incarnation": plan.owner.incarnation.0,
        "recovery_epoch": plan.recovery_epoch.0,
        "position": plan.point.position.0,
        "term": plan.point.term.0,
        "log_end": plan.log_end.0,
        "bytes": plan.bytes,
        "older": plan.older,
        "taken_at": taken.map(|taken| taken.taken_at_seconds),
        "digest": taken.map(|taken| format!("{:016x}", taken.digest)),
        "done": taken.is_some(),
    })
}

/// What was wrong with what was asked for is a matter of usage.
pub(crate) fn failure(what: &str, error: BackupError) -> Failure {
    match error.is_of_usage() {
        true => Failure::Usage(format!("{what}: {error}")),
        false => Failure::failed(what, error),
    }
}

/// How far it has come, on a terminal.
#[derive(Debug)]
pub(crate) struct Bar {
    bar: Option<(Step, ProgressBar)>,
}

impl Bar {
    pub(crate) const fn new() -> Self {
        Self { bar: None }
    }

    pub(crate) fn show(&mut self, Progress { step, done, of, .. }: Progress) {
        let is_new = self.bar.as_ref().is_none_or(|(shown, _)| *shown != step);
        if is_new {
            self.clear();
            self.bar = Some((step, begin(step)));
        }
        if let Some((_, bar)) = &self.bar {
            bar.set_length(of);
            bar.set_position(done);
        }
    }

    fn clear(&mut self) {
        if let Some((_, bar)) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}

fn begin(step: Step) -> ProgressBar {
    let bar = ProgressBar::new(0);
    let template = "{bar:40} {bytes}/{total_bytes}  {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(match step {
        Step::Look => "reading the log",
        Step::Write => "writing the backup",
        Step::Verify => "verifying the backup",
        Step::Restore => "making a directory",
        _ => "",
    });
    bar
}
