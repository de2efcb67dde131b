//! The way to a member that runs: a socket in its data directory, for whoever may write there.
//!
//! A request is a line, `status`, `snapshot`, `transfer`, `transfer ID`, `members`, or `change` and
//! a [`ChangeRequest`]; the answer is a line of JSON.

use core::time::Duration;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use quorate_core::{MemberId, TransferRefusal};
use quorate_driver::{MemberHandle, TakeSnapshotError, TransferError};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};

use crate::change::{self, ChangeRequest, MembersReport, Refused};
use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::report::MemberReport;

/// The socket's name in the data directory.
const NAME: &str = "control";
/// How long a request may take to come: a member does nothing else for whoever sends none.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an answer may take: a transfer ends by itself, after two election time-outs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest request, and the longest answer.
const LINE_BYTES_MAX: u64 = 16 << 10;
/// After how long a socket that could not be accepted from is tried again.
const ACCEPT_INTERVAL: Duration = Duration::from_millis(50);

/// What a member says to a request for a snapshot.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SnapshotAnswer {
    /// All members take one at this position.
    Marked(u64),
    /// None is taken, for this reason.
    Refused(String),
}

/// What a member says to a request to hand over its leadership.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TransferAnswer {
    /// Another leads.
    Done {
        /// Who.
        leader: u16,
        /// In which term.
        term: u64,
    },
    /// Nobody else leads, for this reason.
    Refused(Refused),
}

/// A member's end of the socket.
#[derive(Debug)]
pub(crate) struct Control {
    listener: Option<UnixListener>,
    path: PathBuf,
}

impl Control {
    /// Listens in `directory`, which this process has locked: what a former process left there is
    /// nobody's. A member runs without it as well.
    pub(crate) fn listen(directory: &Path) -> Self {
        let path = directory.join(NAME);
        let open = || {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = UnixListener::bind(&path)?;
            std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            Ok(listener)
        };
        let listener = open().inspect_err(|error| {
            let path = path.display();
            tracing::warn!(%path, %error, "no control socket: `quorate tool` cannot reach it");
        });
        Self { listener: listener.ok(), path }
    }

    /// The next one who wants something; never, without a socket.
    pub(crate) async fn next(&self) -> UnixStream {
        loop {
            match &self.listener {
                None => core::future::pending().await,
                Some(listener) => match listener.accept().await {
                    Ok((stream, _)) => return stream,
                    // Of one connection, or for want of descriptors: the next may do better.
                    Err(_) => sleep(ACCEPT_INTERVAL).await,
                },
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if self.listener.is_some() {
            // The next process removes what stays.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Answers one request; whoever sends none in time, or no known one, gets no answer.
pub(crate) async fn answer(id: u16, member: &MemberHandle<Ledger>, mut stream: UnixStream) {
    let (read, mut write) = stream.split();
    let mut request = String::new();
    let mut reader = BufReader::new(read.take(LINE_BYTES_MAX));
    let Ok(Ok(_)) = timeout(REQUEST_TIMEOUT, reader.read_line(&mut request)).await else { return };
    let Some(line) = perform(id, member, request.trim_end()).await else { return };
    // What becomes of it is the other's concern.
    let _ = timeout(REQUEST_TIMEOUT, write.write_all(format!("{line}\n").as_bytes())).await;
}

/// The answer to a request; none to an unknown one, or when the member has ended.
async fn perform(id: u16, member: &MemberHandle<Ledger>, request: &str) -> Option<String> {
    let answer = match request.split_once(' ').unwrap_or((request, "")) {
        ("status", "") => {
            let look = move |ledger: &Ledger, status| MemberReport::new(id, ledger, &status);
            serde_json::to_string(&member.inspect(look).await.ok()?)
        }
        ("snapshot", "") => serde_json::to_string(&match member.take_snapshot().await {
            Ok(position) => SnapshotAnswer::Marked(position.0),
            Err(TakeSnapshotError::Gone(_)) => return None,
            Err(refused) => SnapshotAnswer::Refused(refused.to_string()),
        }),
        ("members", "") => {
            let status = member.status().await.ok()?;
            serde_json::to_string(&MembersReport::new(id, &status))
        }
        ("change", wanted) => {
            let wanted: ChangeRequest = serde_json::from_str(wanted).ok()?;
            serde_json::to_string(&change::perform(member, &wanted).await?)
        }
        ("transfer", "") => serde_json::to_string(&transfer(member, None).await?),
        ("transfer", target) => {
            let target = MemberId(target.parse().ok()?);
            serde_json::to_string(&transfer(member, Some(target)).await?)
        }
        _ => return None,
    };
    answer.ok()
}

async fn transfer(
    member: &MemberHandle<Ledger>,
    target: Option<MemberId>,
) -> Option<TransferAnswer> {
    Some(match member.transfer_leadership(target).await {
        Ok((leader, term)) => TransferAnswer::Done { leader: leader.0, term: term.0 },
        Err(TransferError::Gone(_)) => return None,
        Err(TransferError::Refused(refusal)) => {
            let refused = Refused::new(refusal.name(), refusal);
            TransferAnswer::Refused(match refusal {
                TransferRefusal::NotLeading { leader } => {
                    refused.by_follower(leader, &member.status().await.ok()?)
                }
                _ => refused,
            })
        }
    })
}

/// Asks the member that works in `directory`.
pub(crate) async fn ask<T: for<'a> Deserialize<'a>>(
    directory: &Path,
    request: &str,
) -> Result<T, Failure> {
    let path = directory.join(NAME);
    let failed = |error: io::Error| {
        Failure::Failed(format!(
            "cannot reach a member through {}: {error}; name the data directory of a member that \
             runs on this machine, started by `quorate member`",
            path.display()
        ))
    };
    let mut stream = UnixStream::connect(&path).await.map_err(failed)?;
    stream.write_all(format!("{request}\n").as_bytes()).await.map_err(failed)?;
    let mut answer = String::new();
    let mut reader = BufReader::new(stream.take(LINE_BYTES_MAX));
    let read = timeout(ANSWER_TIMEOUT, reader.read_line(&mut answer)).await;
    read.unwrap_or_else(|late| Err(late.into())).map_err(failed)?;
    serde_json::from_str(&answer)
        .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))
}
