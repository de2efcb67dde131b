//! A member process: this program again, under a hidden subcommand. Its socket comes as standard
//! input, and what it is told, and tells, goes over standard output, which is a socket too. It
//! ends when it is told to, and when whoever started it is gone.

use core::error::Error;
use std::io::{self, Read, Write};
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use clap::Args;
use quorate_driver::{
    Configuration, Context, MemberOptions, MemberStatus, Service, ServiceError, StorageMode,
};
use serde_json::json;

use super::options::{Idle, Runtime, Storage};
use super::runtimes;

/// What a member process is started with.
#[derive(Args, Clone, Debug)]
pub(crate) struct MemberProcessOptions {
    /// Its configuration.
    #[arg(long)]
    config: PathBuf,
    /// What drives it.
    #[arg(long, value_enum)]
    runtime: Runtime,
    /// What it does when there is nothing to do.
    #[arg(long, value_enum)]
    idle: Idle,
    /// What its data directory is on.
    #[arg(long, value_enum)]
    storage: Storage,
}

/// Replies with the first eight bytes of each message.
#[derive(Debug, Default)]
pub(super) struct Echo(u64);

impl Service for Echo {
    fn message(
        &mut self,
        _context: &mut Context<'_>,
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) -> Result<(), ServiceError> {
        self.0 += 1;
        reply.extend_from_slice(&payload[..payload.len().min(8)]);
        Ok(())
    }

    fn snapshot(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.0.to_le_bytes());
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), ServiceError> {
        let bytes = bytes.try_into().map_err(|_| ServiceError("eight bytes expected".into()))?;
        self.0 = u64::from_le_bytes(bytes);
        Ok(())
    }
}

/// Runs a member until it is told to stop, or nobody could tell it any more.
///
/// # Errors
/// It did not start, or did not end well.
pub(crate) fn run(options: &MemberProcessOptions) -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut told = UnixStream::from(io::stdout().as_fd().try_clone_to_owned()?);
    let configuration = Configuration::load(&options.config)?;
    let mut member = MemberOptions::new(configuration);
    member.socket = Some(socket);
    member.storage = match options.storage {
        Storage::Memory => StorageMode::Inline,
        Storage::Disk => StorageMode::Threads,
    };
    let mut teller = told.try_clone()?;
    let wait = move || {
        // Whatever comes, or the end of it: stop.
        let _ = teller.read(&mut [0]);
    };
    let status = runtimes::run_member(options.runtime, options.idle, member, wait)?;
    // Nobody reads it when whoever started this is gone.
    let _ = told.write_all(report(&status).to_string().as_bytes());
    Ok(())
}

fn report(status: &MemberStatus) -> serde_json::Value {
    json!({
        "naks": status.counters.naks_sent,
        "unsent": status.datagrams.unsent,
        "sent": status.datagrams.sent,
        "syncs": status.storage.syncs,
        "terms": status.view.term.0,
    })
}
