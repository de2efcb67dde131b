//! `quorate-shim`: the first shim process, which runs members of this project for the suite.
#![forbid(unsafe_code)]
#![expect(clippy::print_stderr, reason = "standard error is for people, standard output is not")]

use std::io::{BufReader, BufWriter};
use std::process::ExitCode;

use quorate_conformance::shim::{ShimExit, run_program};

fn main() -> ExitCode {
    if let Some(unknown) = std::env::args().nth(1) {
        eprintln!("quorate-shim: {unknown} is unknown; it takes no arguments");
        return ShimExit::Unimplemented.into();
    }
    let (input, output) = (BufReader::new(std::io::stdin()), BufWriter::new(std::io::stdout()));
    let exit = run_program(input, output);
    if let ShimExit::Failed(text) = &exit {
        eprintln!("quorate-shim: {text}");
    }
    exit.into()
}
