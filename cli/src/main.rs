//! The command of Quorate: a demonstration, members, clients and tools.
#![forbid(unsafe_code)]

mod arguments;
mod backup;
mod change;
mod client;
mod control;
mod demo;
mod describe;
mod failure;
mod ledger;
mod member;
mod members;
mod metrics;
mod operate;
mod purge;
mod recover;
mod replay;
mod report;
mod restore;
mod runtime;
mod signals;
mod verify;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::arguments::{Arguments, Command, Tool};
use crate::failure::Failure;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match start_log(arguments.default_log_level()).and_then(|()| run(arguments.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            failure.exit_code()
        }
    }
}

/// Logs to standard error what `QUORATE_LOG` asks for; `default` when it is not set.
fn start_log(default: &str) -> Result<(), Failure> {
    let asked = std::env::var_os("QUORATE_LOG").filter(|asked| !asked.is_empty());
    let filter = match asked {
        None => EnvFilter::new(default),
        Some(asked) => {
            let asked = asked.to_string_lossy();
            EnvFilter::builder().parse(&asked).map_err(|error| {
                Failure::Usage(format!(
                    "the environment's QUORATE_LOG = {asked:?} is no filter: {error}; write a \
                     level such as `info`, or `quorate_driver=debug`"
                ))
            })?
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    Ok(())
}

fn run(command: Command) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))?;
    match command {
        Command::Demo(demo) => runtime.block_on(demo::run(demo)),
        Command::Init(init) => member::init(&init),
        Command::Member(member) => runtime.block_on(member::run(member)),
        Command::Client(client) => runtime.block_on(client::run(client)),
        Command::Tool { tool: Tool::Describe { directory, json } } => {
            describe::run(&directory, json)
        }
        Command::Tool { tool: Tool::Verify { directory, json } } => verify::run(&directory, json),
        Command::Tool { tool: Tool::Purge { directory, at, yes, json } } => {
            purge::run(&directory, at, yes, json)
        }
        Command::Tool { tool: Tool::Snapshot { directory, seconds } } => {
            let patience = core::time::Duration::from_secs(seconds);
            runtime.block_on(operate::take_snapshot(&directory, patience))
        }
        Command::Tool { tool: Tool::Status { directories, json } } => {
            runtime.block_on(operate::status(&directories, json))
        }
        Command::Tool { tool: Tool::Members(wanted) } => runtime.block_on(members::run(wanted)),
        Command::Tool { tool: Tool::Transfer { directory, to, json } } => {
            runtime.block_on(operate::transfer(&directory, to, json))
        }
        Command::Tool { tool: Tool::Recover { directories, lossy: _, confirm, json } } => {
            recover::run(&directories, confirm.as_deref(), json)
        }
        Command::Tool { tool: Tool::Repair { config, incarnation } } => {
            member::repair(&config, incarnation)
        }
        Command::Tool {
            tool: Tool::Backup { directory, to, fresh, seconds, at, dry_run, json },
        } => {
            if fresh {
                let patience = core::time::Duration::from_secs(seconds);
                runtime.block_on(operate::stored_snapshot(&directory, patience))?;
            }
            backup::run(&directory, &to, at, dry_run, json)
        }
        Command::Tool { tool: Tool::Restore { backup, config, dry_run, json } } => {
            restore::run(&backup, &config, dry_run, json)
        }
        Command::Tool { tool: Tool::Replay { file, through, json } } => {
            runtime.block_on(replay::run(&file, through, json))
        }
    }
}
