//! `quorate client`.

use std::io::BufRead;

use quorate_core::client::{ClientConfig, ClientLimits, ClientTiming};
use quorate_core::{ClientKey, GroupId, MemberId, RecoveryEpoch};
use quorate_driver::endpoint_of;
use quorate_runtime_tokio::{ClientHandle, ClientOptions, PendingReply};
use tokio::sync::mpsc;

use crate::arguments;
use crate::failure::{Failure, tell_line};
use crate::ledger::Ledger;
use crate::member::load;
use crate::report::digest_text;

/// Lines read ahead, and replies awaited, at most.
const WINDOW: usize = 128;

/// Sends each line of standard input and prints the replies, in order.
pub(crate) async fn run(arguments: arguments::Client) -> Result<(), Failure> {
    let options = ClientOptions { config: config(arguments)?, bind: None, faults: None };
    let client =
        ClientHandle::spawn(options).map_err(|error| Failure::Failed(error.to_string()))?;
    let (lines, mut input) = mpsc::channel(WINDOW);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().split(b'\n') {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    let (pending, mut replies) = mpsc::channel::<PendingReply>(WINDOW);
    let send = async {
        while let Some(line) = input.recv().await {
            let line =
                line.map_err(|error| Failure::failed("cannot read standard input", error))?;
            let reply = client.send(line).await;
            let reply = reply.map_err(|error| Failure::Failed(error.to_string()))?;
            if pending.send(reply).await.is_err() {
                break;
            }
        }
        drop(pending);
        Ok(())
    };
    let print = async {
        while let Some(reply) = replies.recv().await {
            let reply = reply.await.map_err(|error| Failure::Failed(error.to_string()))?;
            match Ledger::read(&reply.payload) {
                Some(ledger) => {
                    tell_line(format_args!("{} {}", ledger.entries(), digest_text(&ledger)));
                }
                None => tell_line(format_args!("{:?}", reply.payload)),
            }
        }
        Ok(())
    };
    // The reader of replies ends when the sender has dropped its end.
    tokio::try_join!(send, print)?;
    client.close().await.map_err(|error| Failure::Failed(error.to_string()))
}

fn config(arguments: arguments::Client) -> Result<ClientConfig, Failure> {
    let (group, members) = match &arguments.config {
        Some(path) => {
            let configuration = load(path)?;
            (configuration.group, configuration.members)
        }
        None => {
            let members = arguments.member.iter().map(|(id, address)| (MemberId(*id), *address));
            (GroupId(arguments.group.unwrap_or_default()), members.collect())
        }
    };
    Ok(ClientConfig {
        group,
        recovery_epoch: RecoveryEpoch(0),
        key: ClientKey(0),
        members: members.iter().map(|(id, address)| (*id, endpoint_of(*address))).collect(),
        seed: 0,
        timing: ClientTiming::default(),
        limits: ClientLimits::default(),
    })
}
