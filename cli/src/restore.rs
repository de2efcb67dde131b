//! `quorate tool restore`.

use std::path::{Path, PathBuf};

use quorate_archive::{Backup, WholeBackup};
use quorate_driver::{Configuration, first_identity};
use serde_json::{Value, json};

use crate::backup::{Bar, failure};
use crate::failure::{Failure, tell_line};
use crate::member::load;

/// Makes a directory out of the backup in `file` for each member that is configured in `configs`.
pub(crate) fn run(
    file: &Path,
    configs: &[PathBuf],
    dry_run: bool,
    json: bool,
) -> Result<(), Failure> {
    let members = configs.iter().map(|config| load(config)).collect::<Result<Vec<_>, _>>()?;
    check_group(configs, &members)?;
    let failed = |error| failure("nothing was restored", error);
    let mut bar = Bar::new();
    let whole = WholeBackup::open(file, &mut |now| bar.show(now)).map_err(failed)?;
    // Before anything is written, for all of them.
    for member in &members {
        whole.check(&member.data, &first_identity(member)).map_err(failed)?;
    }
    let mut done: Vec<String> = Vec::new();
    for member in members.iter().filter(|_| !dry_run) {
        let made = whole.restore(&member.data, &first_identity(member), &mut |now| bar.show(now));
        made.map_err(|error| {
            let what = format!(
                "{} is no directory of a member yet: mend what follows, empty it, and restore it \
                 again ({})",
                member.data.display(),
                match done.is_empty() {
                    true => "no other was made".to_owned(),
                    false => format!("made were {}", done.join(", ")),
                }
            );
            failure(&what, error)
        })?;
        done.push(member.data.display().to_string());
    }
    drop(bar);
    if json {
        tell_line(object(&whole, &members, !dry_run));
    } else {
        tell(&whole, &members, dry_run);
    }
    Ok(())
}

/// Whether the configurations are those of different members of one group.
fn check_group(configs: &[PathBuf], members: &[Configuration]) -> Result<(), Failure> {
    let Some((first, rest)) = members.split_first() else { return Ok(()) };
    for (index, (member, config)) in rest.iter().zip(&configs[1..]).enumerate() {
        let is_one_group = member.group == first.group && member.members == first.members;
        let before = &members[..=index];
        let is_twice =
            before.iter().any(|other| other.member == member.member || other.data == member.data);
        if !is_one_group || is_twice {
            return Err(Failure::Usage(format!(
                "{} is {}, see {}; nothing was restored",
                config.display(),
                match is_one_group {
                    true => "of a member, or with a directory, that was named before",
                    false => "of another group, or lists other members",
                },
                configs[0].display()
            )));
        }
    }
    Ok(())
}

fn tell(whole: &WholeBackup, members: &[Configuration], dry_run: bool) {
    let Backup { owner, recovery_epoch, taken_at_seconds, point, digest, .. } = whole.backup();
    tell_line(format_args!(
        "the backup is whole: group {:#018x} in recovery epoch {} up to {} of term {}, taken from \
         member {} at {taken_at_seconds} s since 1970, digest {digest:016x}; {} sessions, {} \
         timers",
        owner.group.0,
        recovery_epoch.0,
        point.position,
        point.term,
        owner.member,
        whole.seed().sessions,
        whole.seed().timers
    ));
    for member in members {
        tell_line(format_args!(
            "member {} of group {:#018x} {} in {}",
            member.member,
            member.group.0,
            if dry_run { "would be" } else { "is" },
            member.data.display()
        ));
    }
    let ids = members.first().map(|member| &member.members);
    let missing = ids.into_iter().flat_map(|ids| ids.keys());
    let missing = missing.filter(|id| members.iter().all(|member| member.member != **id));
    for id in missing {
        tell_line(format_args!("member {id} is restored from the same backup, where it is to run"));
    }
    if dry_run {
        tell_line("nothing was done");
    }
}

fn object(whole: &WholeBackup, members: &[Configuration], done: bool) -> Value {
    let Backup { owner, recovery_epoch, taken_at_seconds, point, log_end, digest, .. } =
        whole.backup();
    let made = members.iter().map(|member| {
        json!({
            "group": format!("{:016x}", member.group.0),
            "member": member.member.0,
            "directory": member.data,
        })
    });
    json!({
        "backup": {
            "group": format!("{:016x}", owner.group.0),
            "member": owner.member.0,
            "recovery_epoch": recovery_epoch.0,
            "position": point.position.0,
            "term": point.term.0,
            "log_end": log_end.0,
            "taken_at": taken_at_seconds,
            "digest": format!("{digest:016x}"),
            "sessions": whole.seed().sessions,
            "timers": whole.seed().timers,
        },
        "members": made.collect::<Vec<_>>(),
        "done": done,
    })
}
