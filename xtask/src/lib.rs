//! One entry for contributors: `cargo xtask --help`. What the conformance suite needs of it is a
//! function.

#![forbid(unsafe_code)]

mod bare_metal;
mod catalogue;
mod codegen;
mod kills;
mod links;
mod pages;
mod source;
mod step;
mod tidy;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use kills::{CATALOGUE, KILLS, MISTAKES, made_of, made_of_line, stale_parts};

/// Tasks of the workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Writes the flyweights and the tables of PROTOCOL.md from schema/quorate.xml.
    Codegen {
        /// Writes nothing; fails if a checked-in file differs from what would be written.
        #[arg(long)]
        check: bool,
    },
    /// Checks everything that has to hold before a change is merged; changes nothing.
    Verify {
        /// Leaves the tests out, for those who run them anyway.
        #[arg(long)]
        no_tests: bool,
    },
    /// Tests the core with the checksums of builds that are not this one.
    Checksums,
    /// Draws the conformance report of fixed runs in a browser, and checks what is on it.
    Pages {
        /// Leaves pictures in docs/figures.
        #[arg(long)]
        update: bool,
        /// The command quorate-conformance, where it is built already.
        #[arg(long, value_name = "FILE")]
        program: Option<PathBuf>,
    },
    /// Repairs what repairs itself: generated code, lints with a known remedy, format.
    Fix,
    /// Builds core and codecs for a processor without an operating system.
    BareMetal {
        /// Installs Debian's compiler with sources first, if it is missing.
        #[arg(long)]
        install: bool,
    },
}

/// Performs the task that the command line names.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.task {
        Task::Codegen { check } => codegen::run(&root(), check).map_err(|e| e.to_string()),
        Task::Verify { no_tests } => verify::verify(&root(), !no_tests),
        Task::Checksums => verify::test_checksums(&root()),
        Task::Pages { update, program } => pages::run(&root(), update, program.as_deref()),
        Task::Fix => verify::fix(&root()),
        Task::BareMetal { install } => bare_metal::run(&root(), install),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether code can be generated from a schema.
///
/// # Errors
/// The name of the first rule that it breaks, and what to do about it.
pub fn check_schema(text: &str) -> Result<(), (String, String)> {
    codegen::check(text).map_err(|error| {
        let name = format!("{error:?}");
        let name = name.split([' ', '(']).next().unwrap_or_default();
        (name.to_owned(), error.to_string())
    })
}

/// The root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).into()
}
