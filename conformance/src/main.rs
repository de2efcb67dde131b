//! `quorate-conformance`: proves run loops, and reports what it found.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "this is a command, and its output is what it is for")]

mod command;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    command::perform(command::Arguments::parse()).into()
}
