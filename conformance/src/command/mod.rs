//! The command `quorate-conformance`: one file for each task.

mod arguments;
mod doctor;
mod explain;
mod list;
mod reports;
mod run;
mod sample;
mod shrink;
mod simulate;
mod subject;
mod table;
mod template;
mod vectors;

use std::process::ExitCode;

pub(crate) use arguments::{Arguments, Task};

/// How a command ends. The numbers are stable.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Exit {
    /// All that was claimed holds.
    Good = 0,
    /// Something failed.
    Failed = 1,
    /// Something stayed undecided.
    Unknown = 2,
    /// The suite itself could not go on, or was asked for something that it does not know.
    Harness = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Does what the arguments ask for.
#[must_use]
pub(crate) fn perform(arguments: Arguments) -> Exit {
    let done = match arguments.task {
        Task::List(arguments) => list::list(&arguments),
        Task::Explain(arguments) => explain::explain(&arguments),
        Task::Run(arguments) => run::run(&arguments),
        Task::Sweep(arguments) => Ok(simulate::sweep(&arguments)),
        Task::Replay(arguments) => simulate::replay(&arguments),
        Task::Shrink(arguments) => shrink::shrink(&arguments),
        Task::Mutants(arguments) => simulate::mutants(&arguments),
        Task::Marks { seeds } => simulate::marks(seeds),
        Task::ServeShimTemplate { language } => Ok(template::print(language)),
        Task::Table(arguments) => table::table(&arguments),
        Task::Doctor => Ok(doctor::doctor()),
        Task::HostAgent { address } => {
            quorate_conformance::blackbox::relay(address).map(|()| Exit::Good)
        }
        #[cfg(feature = "fault-disks")]
        Task::FaultDisk { at, log } => {
            quorate_conformance::blackbox::hold_disk(&at, log.as_deref()).map(|()| Exit::Good)
        }
        Task::Vectors(arguments) => vectors::run(&arguments),
        Task::Matrix(arguments) | Task::Report(arguments) => reports::report(&arguments),
    };
    done.unwrap_or_else(|error| {
        eprint(&error);
        Exit::Harness
    })
}

#[expect(clippy::print_stderr, reason = "a command tells its errors there")]
fn eprint(error: &str) {
    eprintln!("quorate-conformance: {error}");
}
