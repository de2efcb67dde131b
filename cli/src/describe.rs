//! `quorate tool describe`.

use core::fmt::Write;
use std::path::Path;

use quorate_archive::{
    Description, FrameCounts, Options, RecoveryRecord, SnapshotDescription, describe,
};
use quorate_core::{MemberRecord, Membership, Position, Vote};
use quorate_driver::address_of;
use serde_json::{Value, json};

use crate::failure::{Failure, tell_line};
use crate::report::level_text;

/// Reports what is in `directory`, which may be of a member that runs. Changes nothing. Problems in
/// the data make it fail, after they were told.
pub(crate) fn run(directory: &Path, json: bool) -> Result<(), Failure> {
    if directory.is_file() {
        return Err(Failure::Usage(format!(
            "{} is a file; name a member's data directory, which is `data` in its configuration",
            directory.display()
        )));
    }
    let description = describe(directory, &Options::default())
        .map_err(|error| Failure::Failed(error.to_string()))?;
    if json {
        tell_line(object(&description));
    } else {
        tell_line(text(&description));
    }
    if description.problems.is_empty() { Ok(()) } else { Err(Failure::Told) }
}

fn object(description: &Description) -> Value {
    let identity = &description.identity;
    let history = description.history.as_ref().map(|history| {
        let lines = history.lines().iter().map(|line| {
            json!({
                "recovery_epoch": line.recovery_epoch.0,
                "term": line.term.0,
                "base": line.base.0,
                "leader": line.leader.member.0,
                "chain": format!("{:016x}", line.chain.0),
            })
        });
        lines.collect::<Vec<_>>()
    });
    let frames = &description.frames;
    let segments = description.segments.iter().map(|segment| {
        json!({
            "path": segment.path,
            "base": segment.base.0,
            "used_bytes": segment.used_bytes,
        })
    });
    json!({
        "directory": description.directory,
        "locked_by": description.locked_by,
        "group": format!("{:016x}", identity.group.0),
        "recovery_epoch": identity.recovery_epoch.0,
        "member": identity.member.0,
        "incarnation": identity.incarnation.0,
        "voters": identity.voters.iter().map(|voter| voter.0).collect::<Vec<_>>(),
        "members": description.membership.as_ref().map(members),
        "boot_epoch": description.boot_epoch.map(|epoch| epoch.0),
        "vote": description.vote.map(vote),
        "history": history,
        "known_durable": description.known_durable.0,
        "log_end": description.log_end.0,
        "chain": format!("{:016x}", description.chain.0),
        "log_time": description.log_time.0,
        "level": description.opened.map(|(_, level)| level_text(level)),
        "impaired": description.is_marked,
        "recoveries": description.recoveries.iter().map(recovery).collect::<Vec<_>>(),
        "frames": {
            "term_opens": frames.term_opens,
            "session_opens": frames.session_opens,
            "session_closes": frames.session_closes,
            "messages": frames.messages,
            "timers": frames.timers,
            "snapshot_marks": frames.snapshot_marks,
            "readmissions": frames.readmissions,
            "memberships": frames.memberships,
            "others": frames.others,
        },
        "segments": segments.collect::<Vec<_>>(),
        "segment_file_bytes": description.segment_file_bytes,
        "snapshots": snapshots(description),
        "problems": description.problems,
    })
}

fn vote(vote: Vote) -> Value {
    json!({ "term": vote.term.0, "granted_to": vote.granted_to.map(|member| member.0) })
}

fn members((end, membership): &(Position, Membership)) -> Value {
    let member = |record: &MemberRecord| {
        json!({
            "id": record.member.0,
            "role": record.role.name(),
            "address": membership.endpoint_of(record.member).map(address_of),
        })
    };
    json!({
        "position": end.0,
        "joint": membership.is_joint(),
        "members": membership.records().iter().map(member).collect::<Vec<_>>(),
    })
}

fn recovery(record: &RecoveryRecord) -> Value {
    let forced = &record.forced;
    json!({
        "epoch": forced.epoch.0,
        "term": forced.term.0,
        "chosen": forced.chosen.0,
        "kept": forced.kept.0,
        "promised": forced.promised.0,
        "members": record.members.iter().map(|member| member.0).collect::<Vec<_>>(),
        "at_seconds": record.at_seconds,
    })
}

fn snapshots(description: &Description) -> Vec<Value> {
    let newest = description.newest_snapshot();
    let object = |snapshot: &SnapshotDescription| {
        json!({
            "path": snapshot.path,
            "position": snapshot.point.map(|point| point.position.0),
            "core_bytes": snapshot.core_bytes,
            "service_bytes": snapshot.service_bytes,
            "digest": format!("{:016x}", snapshot.digest),
            "problem": snapshot.problem,
            "is_begun_with": newest == Some(snapshot),
        })
    };
    description.snapshots.iter().map(object).collect()
}

fn text(description: &Description) -> String {
    let mut text = String::new();
    for (name, value) in rows(description) {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<14} {value}");
    }
    for record in &description.recoveries {
        let _ = writeln!(text, "{:<14} {}", "recovery", recovery_text(description, record));
    }
    for line in description.history.iter().flat_map(|history| history.lines()) {
        let _ = writeln!(
            text,
            "{:<14} from {}, led by {}",
            format!("term {}", line.term),
            line.base,
            line.leader.member
        );
    }
    for snapshot in &description.snapshots {
        let _ = writeln!(text, "{:<14} {}", "snapshot", snapshot_text(snapshot));
    }
    let _ = writeln!(text, "{:<14} {}", "a start takes", beginning(description));
    for problem in &description.problems {
        let _ = writeln!(text, "{:<14} {problem}", "PROBLEM");
    }
    text.truncate(text.trim_end().len());
    text
}

/// What there is one of.
fn rows(description: &Description) -> [(&'static str, String); 12] {
    let identity = &description.identity;
    let known = |value: Option<String>| value.unwrap_or_else(|| "unknown".into());
    let vote = description.vote.map(|vote| match vote.granted_to {
        Some(member) => format!("term {}, granted to member {member}", vote.term),
        None => format!("term {}, granted to nobody", vote.term),
    });
    let in_doubt = match description.is_marked {
        true => "yes: it was not stopped in good order, and comes up impaired",
        false => "no",
    };
    [
        ("directory", description.directory.display().to_string()),
        (
            "group",
            format!(
                "{:#018x}, members {}, recovery epoch {}",
                identity.group.0,
                members_text(description),
                identity.recovery_epoch.0
            ),
        ),
        ("member", format!("{}, incarnation {}", identity.member, identity.incarnation.0)),
        ("boot epoch", known(description.boot_epoch.map(|epoch| epoch.0.to_string()))),
        (
            "in use by",
            description.locked_by.map_or_else(|| "nobody".into(), |id| format!("process {id}")),
        ),
        ("vote", known(vote)),
        ("log end", format!("{}, chain {:016x}", description.log_end, description.chain.0)),
        ("known durable", description.known_durable.to_string()),
        ("level", known(description.opened.map(|(_, level)| level_text(level).into()))),
        ("in doubt", in_doubt.into()),
        ("frames", frames_text(&description.frames)),
        (
            "segments",
            format!("{}, {} bytes", description.segments.len(), description.segment_file_bytes),
        ),
    ]
}

/// Who is a member, as far as the directory says.
fn members_text(description: &Description) -> String {
    let texts: Vec<String> = match &description.membership {
        Some((_, membership)) => {
            let records = membership.records().iter();
            records.map(|record| format!("{} ({})", record.member, record.role.name())).collect()
        }
        None if description.identity.joins() => vec!["not known yet".into()],
        None => description.identity.voters.iter().map(ToString::to_string).collect(),
    };
    texts.join(", ")
}

fn recovery_text(description: &Description, record: &RecoveryRecord) -> String {
    let (forced, members) = (&record.forced, record.members.iter().map(ToString::to_string));
    let interrupted = match forced.epoch > description.identity.recovery_epoch {
        true => ", INTERRUPTED before it came here",
        false => "",
    };
    format!(
        "by force to epoch {}{interrupted}: kept is all before {} (of member {}), lost what was \
         promised from there on, to {} at least; members {}; {} s after 1970",
        forced.epoch.0,
        forced.kept,
        forced.chosen,
        forced.promised,
        members.collect::<Vec<_>>().join(", "),
        record.at_seconds
    )
}

fn frames_text(frames: &FrameCounts) -> String {
    format!(
        "{} messages, {} sessions opened, {} closed, {} terms, {} timers, {} snapshots, \
         {} readmissions, {} lists of members, {} others",
        frames.messages,
        frames.session_opens,
        frames.session_closes,
        frames.term_opens,
        frames.timers,
        frames.snapshot_marks,
        frames.readmissions,
        frames.memberships,
        frames.others
    )
}

/// What a start takes up.
fn beginning(description: &Description) -> String {
    let point = description.newest_snapshot().and_then(|newest| newest.point);
    point.map_or_else(
        || "the beginning of the log".into(),
        |point| {
            let tail = description.log_end.since(point.position);
            format!("the snapshot at {}, then {tail} bytes of log", point.position)
        },
    )
}

fn snapshot_text(snapshot: &SnapshotDescription) -> String {
    let path = snapshot.path.display();
    match (&snapshot.problem, snapshot.point) {
        (Some(problem), _) => problem.clone(),
        (None, Some(point)) => format!(
            "{path} at {} of term {}, {} + {} bytes of core and service, digest {:016x}",
            point.position,
            point.term,
            snapshot.core_bytes,
            snapshot.service_bytes,
            snapshot.digest
        ),
        (None, None) => path.to_string(),
    }
}
