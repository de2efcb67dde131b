//! `quorate tool members`, `add`, `promote`, `demote`, `remove` and `move`.

use core::fmt::Write;
use core::time::Duration;
use std::path::Path;
use std::time::Instant;

use serde_json::json;
use tokio::time::sleep;

use crate::arguments::members::{Add, Asked, Members, Move, Promote, Which};
use crate::change::{ChangeAnswer, ChangeRequest, MemberRow, MembersReport, Refused};
use crate::control::ask;
use crate::failure::{Failure, NOT_KNOWN, tell_line};

/// How often it is asked again for what cannot be done yet.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Does what an operator wants of the members.
pub(crate) async fn run(wanted: Members) -> Result<(), Failure> {
    match wanted {
        Members::List { directory, json } => tell(&directory, json).await,
        Members::Add(Add { asked, id, address, clients, voter, incarnation, machine, zone }) => {
            let request =
                ChangeRequest::Add { id, address, clients, voter, incarnation, machine, zone };
            let done = match voter {
                true => format!("member {id} is a voter"),
                false => {
                    format!("member {id} is an observer; start it, and promote it when it is level")
                }
            };
            change(&asked, request, &done).await
        }
        Members::Promote(Promote { which: Which { asked, id }, standby }) => {
            let role = if standby { "standby" } else { "voter" };
            let request = ChangeRequest::Promote { id, standby };
            change(&asked, request, &format!("member {id} is a {role}")).await
        }
        Members::Demote(Which { asked, id }) => {
            let request = ChangeRequest::Demote { id };
            change(&asked, request, &format!("member {id} is an observer")).await
        }
        Members::Remove(Which { asked, id }) => {
            let done = format!("member {id} is none any more; stop it, and destroy its directory");
            change(&asked, ChangeRequest::Remove { id }, &done).await
        }
        Members::Move(Move { which: Which { asked, id }, address, clients }) => {
            let request = ChangeRequest::Move { id, address, clients };
            change(&asked, request, &format!("member {id} is reached at {address}")).await
        }
    }
}

async fn change(asked: &Asked, request: ChangeRequest, done: &str) -> Result<(), Failure> {
    let line = serde_json::to_string(&request);
    let line = line.map_err(|error| Failure::failed("cannot write a request", error))?;
    let (line, begun) = (format!("change {line}"), Instant::now());
    let answer = loop {
        let answer = ask(&asked.directory, &line).await?;
        let may_come =
            matches!(&answer, ChangeAnswer::Refused(refused) if comes_by_waiting(&refused.refused));
        if !may_come || begun.elapsed() >= Duration::from_secs(asked.wait) {
            break answer;
        }
        sleep(RETRY_INTERVAL).await;
    };
    match answer {
        ChangeAnswer::Done(position) => {
            if asked.json {
                tell_line(json!({ "changed": position }));
            } else {
                tell_line(format_args!("{done}; committed at {position}"));
            }
            Ok(())
        }
        ChangeAnswer::Refused(refused) => Err(refusal(refused, asked.json)),
        ChangeAnswer::Unknown(reason) if asked.json => {
            tell_line(json!({ "unknown": reason }));
            Err(Failure::Answered { text: None, code: NOT_KNOWN })
        }
        ChangeAnswer::Unknown(reason) => {
            let text = Some(format!("what came of the change is not known: {reason}"));
            Err(Failure::Answered { text, code: NOT_KNOWN })
        }
    }
}

/// Whether the same may be done later by the same member.
fn comes_by_waiting(refused: &str) -> bool {
    matches!(refused, "not_yet_open" | "busy" | "not_level" | "no_room")
}

fn refusal(refused: Refused, json: bool) -> Failure {
    let is_elsewhere = refused.refused == "not_leader";
    let later = comes_by_waiting(&refused.refused) || is_elsewhere;
    refused.failure("the members were not changed", later, json)
}

async fn tell(directory: &Path, json: bool) -> Result<(), Failure> {
    let report: MembersReport = ask(directory, "members").await?;
    tell_line(if json { json!(report).to_string() } else { text(&report) });
    Ok(())
}

fn text(report: &MembersReport) -> String {
    let mut text = String::new();
    let leader = report.leader.map_or_else(|| "nobody".to_owned(), |id| format!("member {id}"));
    let said = match (report.position, report.committed) {
        (0, _) => "as the group was formed".to_owned(),
        (position, true) => format!("since {position}"),
        (position, false) => format!("since {position}, which is not known to be committed"),
    };
    // Writing to a string does not fail.
    let _ = writeln!(text, "members {said}, as member {} knows; {leader} leads", report.asked);
    if report.joint {
        let _ = writeln!(text, "voters are changing: a majority of both is needed");
    }
    if let Some(at) = report.removed_at {
        let _ = writeln!(text, "member {} is none any more, since {at}", report.asked);
    }
    let _ = writeln!(text, "{:>6}  {:<8}  {:<21}  {:>11}  ", "member", "role", "address", "lacks");
    for row in &report.members {
        let _ = writeln!(text, "{}", line(row).trim_end());
    }
    for (id, incarnation) in &report.removed {
        let _ = writeln!(text, "{id:>6}  removed   (incarnation {incarnation})");
    }
    text.truncate(text.trim_end().len());
    text
}

fn line(row: &MemberRow) -> String {
    let address = row.address.map_or_else(|| "-".to_owned(), |address| address.to_string());
    let lag = row.lag.map(|lag| format!("{lag} bytes")).unwrap_or_default();
    let mut more = match (row.level, row.silent_ms) {
        (Some(true), _) => "level".to_owned(),
        (Some(false), Some(silent)) => format!("not level, heard {silent} ms ago"),
        _ => String::new(),
    };
    if let Some(clients) = row.clients {
        let _ = write!(more, "  clients at {clients}");
    }
    for (name, number) in [("machine", row.machine), ("zone", row.zone)] {
        if number != 0 {
            let _ = write!(more, "  {name} {number}");
        }
    }
    format!("{:>6}  {:<8}  {address:<21}  {lag:>11}  {more}", row.id, row.role)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{NOT_NOW, REFUSED};

    #[test]
    fn members_are_told_one_a_line() {
        let member = |id: u16, role: &str, lag, level| MemberRow {
            id,
            role: role.into(),
            address: Some(([127, 0, 0, 1], 9_000 + id).into()),
            lag,
            level,
            silent_ms: lag.map(|_| 70),
            ..MemberRow::default()
        };
        let report = MembersReport {
            asked: 1,
            leader: Some(1),
            position: 512,
            joint: true,
            members: vec![
                member(1, "voter", None, None),
                member(2, "voter", Some(0), Some(true)),
                member(4, "observer", Some(99), Some(false)),
            ],
            removed: vec![(3, 1)],
            ..MembersReport::default()
        };
        let told = text(&report);
        let lines: Vec<String> = told
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                "members since 512, which is not known to be committed, as member 1 knows; member 1 \
                 leads",
                "voters are changing: a majority of both is needed",
                "member role address lacks",
                "1 voter 127.0.0.1:9001",
                "2 voter 127.0.0.1:9002 0 bytes level",
                "4 observer 127.0.0.1:9004 99 bytes not level, heard 70 ms ago",
                "3 removed (incarnation 1)",
            ]
        );
    }

    #[test]
    fn what_may_be_done_later_has_an_exit_code_of_its_own() {
        let code = |name: &str| match refusal(
            Refused { refused: name.into(), ..Refused::default() },
            false,
        ) {
            Failure::Answered { code, text: Some(_) } => code,
            other => panic!("{other:?}"),
        };
        for name in ["not_leader", "not_yet_open", "busy", "not_level", "no_room"] {
            assert_eq!(code(name), NOT_NOW, "{name}");
        }
        for name in ["unknown_member", "already_member", "former_incarnation", "too_few", "same"] {
            assert_eq!(code(name), REFUSED, "{name}");
        }
    }
}
