//! The command of Quorate: a demonstration, members, clients and tools.
#![forbid(unsafe_code)]

mod arguments;
mod client;
mod demo;
mod describe;
mod failure;
mod ledger;
mod member;
mod report;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::arguments::{Arguments, Command, Tool};
use crate::failure::Failure;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_env("QUORATE_LOG");
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| EnvFilter::new(arguments.default_log_level())))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            failure.exit_code()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))?;
    match command {
        Command::Demo(demo) => runtime.block_on(demo::run(demo)),
        Command::Init(init) => member::init(&init.config),
        Command::Member(member) => runtime.block_on(member::run(member)),
        Command::Client(client) => runtime.block_on(client::run(client)),
        Command::Tool { tool: Tool::Describe { directory, json } } => {
            describe::run(&directory, json)
        }
    }
}
