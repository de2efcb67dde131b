//! `quorate client`.

use core::cell::Cell;
use core::time::Duration;
use std::io::BufRead;

use quorate_core::client::{ClientConfig, ClientLimits, ClientTiming, Reject};
use quorate_core::{ClientKey, GroupId, MemberId, ReadLevel, RecoveryEpoch};
use quorate_driver::{
    ClientHandle, ClientOptions, PendingReply, SubmitError, endpoint_of, recovery_epoch_of,
};
use tokio::sync::mpsc;

use crate::arguments;
use crate::failure::{Failure, tell_line, tell_waiting};
use crate::ledger::Ledger;
use crate::member::load;
use crate::report::digest_text;

/// Lines read ahead, and replies awaited, at most.
const WINDOW: usize = 128;
/// How often the client is asked whether it is still there.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Sends each line of standard input and prints the replies, in order.
pub(crate) async fn run(arguments: arguments::Client) -> Result<(), Failure> {
    let (runtime, is_read) = (arguments.runtime, arguments.read);
    let options = ClientOptions { config: config(arguments)?, bind: None, faults: None };
    let client =
        runtime.spawn_client(options).map_err(|error| Failure::Failed(error.to_string()))?;
    if is_read {
        let read = client.read(ReadLevel::Linearizable, "").await;
        // What the read says comes first; the session ends by itself.
        let _ = client.close().await;
        let answer = read.map_err(|error| Failure::Failed(error.to_string()))?;
        print(&answer.payload);
        return Ok(());
    }
    let progress = Progress::default();
    let outcome = tokio::select! {
        biased;
        outcome = exchange(&client, read_lines(), &progress) => outcome,
        // Standard input may be silent for long: that nobody serves is told all the same.
        () = gone(&client) => Err(Failure::Failed("the client ended".into())),
    };
    match (client.close().await, outcome) {
        // Why the client ended is the cause of whatever else there is to tell.
        (Err(error), _) => Err(progress.ended(error)),
        (Ok(()), Err(failure)) => Err(failure),
        (Ok(()), Ok(())) => progress.all_answered(),
    }
}

/// How far the lines got.
#[derive(Debug, Default)]
struct Progress {
    sent: Cell<u64>,
    answered: Cell<u64>,
    refused: Cell<u64>,
}

impl Progress {
    /// The client ended before everything was answered.
    fn ended(&self, error: SubmitError) -> Failure {
        let cause = match error {
            SubmitError::Ended(cause) => cause.to_string(),
            other => other.to_string(),
        };
        let unknown = if self.sent > self.answered {
            let next = self.answered.get() + 1;
            format!("; whether lines from {next} on were applied is not known")
        } else {
            String::new()
        };
        Failure::Failed(format!("{cause}{unknown}"))
    }

    fn all_answered(&self) -> Result<(), Failure> {
        match self.refused.get() {
            0 => Ok(()),
            1 => Err(Failure::Failed("1 line was not sent; all others were applied".into())),
            many => {
                Err(Failure::Failed(format!("{many} lines were not sent; all others were applied")))
            }
        }
    }
}

/// Lines of standard input, from a thread of their own: a read cannot be cancelled.
fn read_lines() -> mpsc::Receiver<std::io::Result<Vec<u8>>> {
    let (lines, input) = mpsc::channel(WINDOW);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().split(b'\n') {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    input
}

/// Returns when the client has ended by itself; tells each time that the members say that there is
/// no quorum, for it may be long until the client gives up.
async fn gone(client: &ClientHandle) {
    let mut was_told = false;
    while let Ok(status) = client.status().await {
        if status.lacks_quorum && !was_told {
            tell_waiting("no quorum: too few members are up and connected");
        }
        was_told = status.lacks_quorum;
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Sends the lines and prints the replies. A line that is too long is told, and left out.
async fn exchange(
    client: &ClientHandle,
    mut input: mpsc::Receiver<std::io::Result<Vec<u8>>>,
    progress: &Progress,
) -> Result<(), Failure> {
    let (pending, mut replies) = mpsc::channel::<PendingReply>(WINDOW);
    let send = async move {
        while let Some(line) = input.recv().await {
            let line =
                line.map_err(|error| Failure::failed("cannot read standard input", error))?;
            let reply = client.send(line).await;
            let reply = reply.map_err(|error| Failure::Failed(error.to_string()))?;
            progress.sent.update(|sent| sent + 1);
            if pending.send(reply).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    let print = async {
        while let Some(reply) = replies.recv().await {
            let number = progress.answered.get() + 1;
            match reply.await {
                Ok(reply) => print(&reply.payload),
                Err(SubmitError::Rejected(reject @ Reject::TooLarge { .. })) => {
                    progress.refused.update(|refused| refused + 1);
                    Failure::Failed(format!("line {number} is not sent: {reject}; split it"))
                        .tell();
                }
                Err(error) => return Err(Failure::Failed(format!("line {number}: {error}"))),
            }
            progress.answered.set(number);
        }
        Ok(())
    };
    // The reader of replies ends when the sender has dropped its end.
    tokio::try_join!(send, print)?;
    Ok(())
}

fn print(payload: &[u8]) {
    match Ledger::read(payload) {
        Some(ledger) => tell_line(format_args!("{} {}", ledger.entries(), digest_text(&ledger))),
        None => tell_line(format_args!("{}", payload.escape_ascii())),
    }
}

fn config(arguments: arguments::Client) -> Result<ClientConfig, Failure> {
    let mut recovery_epoch = RecoveryEpoch(0);
    let (group, members) = match &arguments.config {
        Some(path) => {
            let configuration = load(path)?;
            recovery_epoch = recovery_epoch_of(&configuration);
            (configuration.group, configuration.members)
        }
        None => {
            let members = arguments.member.iter().map(|(id, address)| (MemberId(*id), *address));
            (GroupId(arguments.group.unwrap_or_default()), members.collect())
        }
    };
    Ok(ClientConfig {
        group,
        recovery_epoch: arguments.recovery_epoch.map_or(recovery_epoch, RecoveryEpoch),
        key: ClientKey(0),
        members: members.iter().map(|(id, address)| (*id, endpoint_of(*address))).collect(),
        seed: 0,
        timing: ClientTiming::default(),
        limits: ClientLimits::default(),
    })
}
