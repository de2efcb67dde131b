//! `quorate-conformance`: proves run loops, and reports what it found.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "this is a command, and its output is what it is for")]

mod command;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match command::Arguments::try_parse() {
        Ok(arguments) => command::perform(arguments).into(),
        Err(answer) => {
            // Help goes to standard output and is no error; nobody is left to tell if that fails.
            let _ = answer.print();
            if answer.use_stderr() { command::Exit::Harness.into() } else { ExitCode::SUCCESS }
        }
    }
}
