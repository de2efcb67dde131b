//! `quorate-shim`: the first shim process, which runs members of this project for the suite.
#![forbid(unsafe_code)]
#![expect(clippy::print_stderr, reason = "standard error is for people, standard output is not")]

use std::io::{BufReader, BufWriter, Write};
use std::net::TcpStream;
use std::process::ExitCode;

use quorate_conformance::shim::{ShimExit, run_program};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let exit = match arguments[..] {
        [] => {
            let output = BufWriter::new(std::io::stdout());
            run_program(BufReader::new(std::io::stdin()), output)
        }
        ["--connect", address, "--id", id] => connect(address, id).unwrap_or_else(|error| {
            ShimExit::Failed(format!("cannot reach the suite at {address}: {error}"))
        }),
        _ => {
            eprintln!("quorate-shim: {arguments:?} is unknown; it takes --connect ADDRESS --id N");
            ShimExit::Unimplemented
        }
    };
    if let ShimExit::Failed(text) = &exit {
        eprintln!("quorate-shim: {text}");
    }
    exit.into()
}

/// Runs members for a suite behind a loopback port.
fn connect(address: &str, id: &str) -> std::io::Result<ShimExit> {
    let id: u64 = id.parse().map_err(std::io::Error::other)?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(&id.to_le_bytes())?;
    Ok(run_program(BufReader::new(stream.try_clone()?), BufWriter::new(stream)))
}
