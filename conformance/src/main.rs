//! `quorate-conformance`: proves run loops, and reports what it found.
#![forbid(unsafe_code)]

/// Writes a line to standard output. When whoever read it has gone the command ends at once, as one
/// that is ended by the signal for that.
macro_rules! tell {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        if writeln!(std::io::stdout(), $($line)*).is_err() {
            std::process::exit(141);
        }
    }};
}

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
