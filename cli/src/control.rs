//! The way to a member that runs: a socket in its data directory, for whoever may write there.
//!
//! A request is a line, `status` or `snapshot`; the answer is a line of JSON.

use core::time::Duration;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use quorate_driver::{MemberHandle, TakeSnapshotError};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};

use crate::failure::{Failure, tell_line};
use crate::ledger::Ledger;
use crate::report::MemberReport;

/// The socket's name in the data directory.
const NAME: &str = "control";
/// How long one request may take: a member does nothing else for whoever sends none.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest request, and the longest answer.
const LINE_BYTES_MAX: u64 = 4 << 10;
/// How often `quorate tool snapshot` looks whether it is stored.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What a member says to a request for a snapshot.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    /// All members take one at this position.
    Marked(u64),
    /// None is taken, for this reason.
    Refused(String),
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
                    Err(_) => sleep(LOOK_INTERVAL).await,
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
pub(crate) async fn answer(id: u16, member: &MemberHandle<Ledger>, stream: UnixStream) {
    // What becomes of it is the other's concern.
    let _ = timeout(REQUEST_TIMEOUT, answer_in_time(id, member, stream)).await;
}

async fn answer_in_time(
    id: u16,
    member: &MemberHandle<Ledger>,
    mut stream: UnixStream,
) -> io::Result<()> {
    let mut request = String::new();
    let (read, mut write) = stream.split();
    BufReader::new(read.take(LINE_BYTES_MAX)).read_line(&mut request).await?;
    let mut line = match request.trim_end() {
        "status" => {
            let look = move |ledger: &Ledger, status| MemberReport::new(id, ledger, &status);
            let Ok(report) = member.inspect(look).await else { return Ok(()) };
            serde_json::to_vec(&report)?
        }
        "snapshot" => serde_json::to_vec(&match member.take_snapshot().await {
            Ok(position) => Answer::Marked(position.0),
            Err(TakeSnapshotError::Gone(_)) => return Ok(()),
            Err(refused) => Answer::Refused(refused.to_string()),
        })?,
        _ => return Ok(()),
    };
    line.push(b'\n');
    write.write_all(&line).await
}

/// `quorate tool snapshot`: has all members take a snapshot, and waits until the one that works in
/// `directory` has stored its own.
pub(crate) async fn take_snapshot(directory: &Path, patience: Duration) -> Result<(), Failure> {
    let position = match ask(directory, "snapshot").await? {
        Answer::Marked(position) => position,
        Answer::Refused(reason) => {
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
    tell_line(format_args!(
        "the snapshot at {position} is stored by member {}; the others store theirs at the same \
         position",
        member?
    ));
    Ok(())
}

/// Asks the member that works in `directory`.
async fn ask<T: for<'a> Deserialize<'a>>(directory: &Path, request: &str) -> Result<T, Failure> {
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
    let read = timeout(2 * REQUEST_TIMEOUT, reader.read_line(&mut answer)).await;
    read.unwrap_or_else(|late| Err(late.into())).map_err(failed)?;
    serde_json::from_str(&answer)
        .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))
}
