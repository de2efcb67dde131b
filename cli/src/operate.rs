//! `quorate tool status`, `snapshot` and `transfer`: what an operator asks of a member that runs.

use core::fmt::Write;
use core::time::Duration;
use std::path::Path;

use tokio::time::{sleep, timeout};

use crate::control::{SnapshotAnswer, TransferAnswer, ask};
use crate::failure::{Failure, tell_line};
use crate::report::MemberReport;

/// How often it is looked whether a snapshot is stored.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Has all members take a snapshot, and waits until the one that works in `directory` has stored
/// its own.
pub(crate) async fn take_snapshot(directory: &Path, patience: Duration) -> Result<(), Failure> {
    let (member, position) = stored_snapshot(directory, patience).await?;
    tell_line(format_args!(
        "the snapshot at {position} is stored by member {member}; the others store theirs at the \
         same position",
    ));
    Ok(())
}

/// The same without a word: which member has stored its own, and where it stands.
pub(crate) async fn stored_snapshot(
    directory: &Path,
    patience: Duration,
) -> Result<(u16, u64), Failure> {
    let position = match ask(directory, "snapshot").await? {
        SnapshotAnswer::Marked(position) => position,
        SnapshotAnswer::Refused(reason) => {
            return Err(Failure::Failed(format!("no snapshot is taken: {reason}")));
        }
    };
    let stored = async {
        loop {
            let report: MemberReport = ask(directory, "status").await?;
            if report.snapshot >= position {
                return Ok::<_, Failure>(report.id);
            }
            sleep(LOOK_INTERVAL).await;
        }
    };
    let Ok(member) = timeout(patience, stored).await else {
        return Err(Failure::Failed(format!(
            "the snapshot at {position} is marked, and was not stored within {patience:?}; it goes \
             on: see the member's log, and `quorate tool describe`"
        )));
    };
    Ok((member?, position))
}

/// Has the leader that works in `directory` hand over to `target`, or to whoever is most complete.
pub(crate) async fn transfer(
    directory: &Path,
    target: Option<u16>,
    json: bool,
) -> Result<(), Failure> {
    let request = match target {
        None => "transfer".into(),
        Some(target) => format!("transfer {target}"),
    };
    match ask(directory, &request).await? {
        TransferAnswer::Done { leader, term } => {
            if json {
                tell_line(serde_json::json!({ "leader": leader, "term": term }));
            } else {
                tell_line(format_args!("member {leader} leads, in term {term}"));
            }
            Ok(())
        }
        TransferAnswer::Refused(refused) => {
            let later = !is_for_good(&refused.refused);
            Err(refused.failure("the leadership was not handed over", later, json))
        }
    }
}

/// Whether a transfer is refused whoever is asked, and whenever: all else passes, or another member
/// leads.
fn is_for_good(refused: &str) -> bool {
    matches!(refused, "target_is_leader" | "unknown_target")
}

/// Tells how the members are that work in `directories`. One that cannot be reached makes it fail,
/// after the others were told.
pub(crate) async fn status(directories: &[impl AsRef<Path>], json: bool) -> Result<(), Failure> {
    let mut reports: Vec<MemberReport> = Vec::new();
    let mut failed = None;
    for directory in directories {
        match ask(directory.as_ref(), "status").await {
            Ok(report) => reports.push(report),
            Err(failure) => failed = Some(failure),
        }
    }
    reports.sort_by_key(|report| report.id);
    if json {
        for report in &reports {
            let line = serde_json::to_string(report);
            tell_line(line.map_err(|error| Failure::failed("cannot write a status", error))?);
        }
    } else if !reports.is_empty() {
        tell_line(table(&reports));
    }
    failed.map_or(Ok(()), Err)
}

/// A column for each member.
fn table(reports: &[MemberReport]) -> String {
    let unknown = || or_nothing(None);
    type Row<'a> = (&'a str, fn(&MemberReport) -> String);
    let rows: [Row<'_>; 34] = [
        ("member", |report| report.id.to_string()),
        ("role", role),
        ("term", |report| report.term.to_string()),
        ("leader", |report| report.leader.map_or_else(|| "-".to_owned(), |id| id.to_string())),
        ("members", |report| report.members.to_string()),
        ("voters", voters),
        ("removed at", |report| or_nothing(report.removed_at)),
        ("level", |report| report.level.clone()),
        ("recovery epoch", |report| {
            report.recovered_at.map_or_else(|| "-".to_owned(), |(epoch, _)| epoch.to_string())
        }),
        ("recovered at", |report| {
            report.recovered_at.map_or_else(|| "-".to_owned(), |(_, at)| at.to_string())
        }),
        ("left behind by", |report| {
            report.left_behind_by.map_or_else(|| "-".to_owned(), |epoch| epoch.to_string())
        }),
        ("sessions", |report| report.sessions.to_string()),
        ("seen", |report| report.seen.to_string()),
        ("verified", |report| report.verified.to_string()),
        ("durable", |report| report.durable.to_string()),
        ("commit", |report| report.commit.to_string()),
        ("safe", |report| or_nothing(report.safe)),
        ("applied", |report| report.applied.to_string()),
        ("snapshot", |report| report.snapshot.to_string()),
        ("writes one for ms", |report| or_nothing(report.snapshot_writing_ms)),
        ("bytes of it left", |report| or_nothing(report.snapshot_unwritten)),
        ("log begins at", |report| report.origin.to_string()),
        ("entries", |report| report.entries.to_string()),
        ("digest", |report| report.digest.clone()),
        ("elections won", |report| report.elections_won.to_string()),
        ("NAKs sent", |report| report.naks_sent.to_string()),
        ("repairs sent", |report| report.retransmits.to_string()),
        ("syncs", |report| report.syncs.to_string()),
        ("datagrams dropped", |report| report.lost_datagrams.to_string()),
        ("receive overflows", |report| or_nothing(report.overflows)),
        ("damages found", |report| report.damages.to_string()),
        ("bytes mended", |report| report.mended_bytes.to_string()),
        ("is mended at", |report| or_nothing(report.mending_at)),
        ("stopped by", |report| report.fail_stop.clone().unwrap_or_else(|| "-".to_owned())),
    ];
    let mut text = String::new();
    for (name, value) in rows {
        let values: Vec<String> = reports.iter().map(value).collect();
        if values.iter().all(|value| *value == unknown()) {
            continue;
        }
        let _ = write!(text, "{name:<17}");
        for value in values {
            let _ = write!(text, "  {value:>16}");
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}

fn voters(report: &MemberReport) -> String {
    format!("{}{}", report.voters, if report.joint { ", changing" } else { "" })
}

fn or_nothing(number: Option<u64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

fn role(report: &MemberReport) -> String {
    match (report.serving, report.applicant) {
        _ if report.removed_at.is_some() => "removed".into(),
        (_, true) => "applicant".into(),
        _ if !report.votes && report.role == "follower" => "observer".into(),
        _ if report.impaired => format!("impaired {}", report.role),
        (false, _) if report.role == "leader" => "leader, not yet".into(),
        _ => report.role.clone(),
    }
}

#[cfg(test)]
mod tests {
    use quorate_core::{MemberId, TransferRefusal};

    use super::*;

    #[test]
    fn a_transfer_is_refused_for_good_when_its_target_is_wrong() {
        use TransferRefusal as Refusal;
        let passing = [
            Refusal::NotLeading { leader: None },
            Refusal::NotServing,
            Refusal::UnderWay,
            Refusal::NoTarget,
            Refusal::TargetBehind,
            Refusal::NotElected,
            Refusal::LeadershipLost,
            Refusal::AnotherLeads { leader: MemberId(2) },
        ];
        assert!(passing.iter().all(|refusal| !is_for_good(refusal.name())));
        let lasting = [Refusal::TargetIsLeader, Refusal::UnknownTarget];
        assert!(lasting.iter().all(|refusal| is_for_good(refusal.name())));
    }

    #[test]
    fn a_table_has_a_column_for_each_member_and_no_row_of_nothing() {
        let leader = MemberReport {
            id: 1,
            role: "leader".into(),
            votes: true,
            serving: true,
            leader: Some(1),
            commit: 4_096,
            ..MemberReport::default()
        };
        let applicant = MemberReport {
            id: 2,
            role: "follower".into(),
            applicant: true,
            leader: Some(1),
            ..MemberReport::default()
        };
        let observer = MemberReport { id: 3, applicant: false, ..applicant.clone() };
        let removed = MemberReport { id: 4, removed_at: Some(9), ..applicant.clone() };
        let table = table(&[leader, applicant, observer, removed]);
        let row = |name: &str| {
            let line = table.lines().find(|line| line.starts_with(name));
            line.map(|line| line[name.len()..].split_whitespace().collect::<Vec<_>>())
        };
        assert_eq!(
            row("role"),
            Some(vec!["leader", "applicant", "observer", "removed"]),
            "{table}"
        );
        assert_eq!(row("leader"), Some(vec!["1"; 4]), "{table}");
        assert_eq!(row("commit"), Some(vec!["4096", "0", "0", "0"]), "{table}");
        assert_eq!(row("stopped by"), None, "{table}");
        assert_eq!(row("receive overflows"), None, "{table}");
    }
}
