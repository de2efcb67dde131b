//! What the command understands.

use core::time::Duration;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use quorate_conformance::Profile;
use quorate_sim::{NamedSchedule, Replicated, SCHEDULES};

/// Proves a member's run loop: cases with one rule each, random runs, and reports of both.
#[derive(Debug, Parser)]
#[command(name = "quorate-conformance", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 all that was claimed holds; 1 something failed; 2 something \
                        stayed undecided; 3 the suite could not go on, or the arguments are wrong."
)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) task: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Lists the cases: group, level, bindings, state
    List(ListArguments),
    /// Tells all about a case: its rule, its edge cases, how it is bound
    Explain(ExplainArguments),
    /// Runs cases against a subject
    Run(RunArguments),
    /// Runs random seeds in the simulator, with all observers, up to the first finding
    Sweep(SweepArguments),
    /// Runs one seed of the simulator, or the story of a finding, again, exactly
    Replay(ReplayArguments),
    /// Makes a failure a small story: of a seed of the simulator, or of a case
    Shrink(ShrinkArguments),
    /// Hunts deliberate mistakes: each must be found, by seeds or by the case that it is for
    Mutants(MutantsArguments),
    /// Counts how often a sweep reaches each named place of the core; fails when it misses one
    Marks {
        /// How many seeds
        #[arg(long, default_value_t = 500)]
        seeds: u64,
    },
    /// Fills the table of cases and deliberate mistakes: which case notices which
    Table(TableArguments),
    /// Golden datagrams for codecs in any language: writes them, or proves a decoder on them
    Vectors(VectorsArguments),
    /// Says what this machine can do for cases with real processes
    Doctor,
    /// Holds a host of real processes; started by `run`
    #[command(hide = true)]
    HostAgent {
        /// The host's address
        address: core::net::Ipv4Addr,
    },
    /// Holds a disk of real processes that fails as its standard input says; started by `run`
    #[cfg(feature = "fault-disks")]
    #[command(hide = true)]
    FaultDisk {
        /// Where it is mounted
        at: PathBuf,
        /// Where each call is written to
        #[arg(long)]
        log: Option<PathBuf>,
    },
    /// Prints a starting point for a shim in this language
    ServeShimTemplate {
        /// The language
        #[arg(value_enum)]
        language: Language,
    },
    /// Puts several runs side by side: cases by subjects
    Matrix(ReportArguments),
    /// Makes reports of saved runs
    Report(ReportArguments),
}

/// Arguments of `list`.
#[derive(Args, Debug)]
pub(crate) struct ListArguments {
    /// Globs over ids and titles, or parts of titles: `NK-*`, `*torn*`, `tail loss`
    pub(crate) patterns: Vec<String>,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `explain`.
#[derive(Args, Debug)]
pub(crate) struct ExplainArguments {
    /// The case
    pub(crate) id: String,
}

/// Arguments of `run`.
#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// Globs over ids and titles, or parts of titles; all cases of the profile without any
    pub(crate) patterns: Vec<String>,
    /// What to prove: `core`, a runtime, `shim:COMMAND` or `shim-port:COMMAND`, a process that
    /// speaks the shim protocol, or `blackbox:FILE`, real processes that FILE describes
    #[arg(long, default_value = "core")]
    pub(crate) subject: String,
    /// How thorough to be
    #[arg(long, value_enum, default_value_t = ProfileName::Standard)]
    pub(crate) profile: ProfileName,
    /// The seed of everything random
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Skips and expected failures
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// How many cases run at a time; those with real processes run one by one
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: u16,
    /// What the subject does not implement yet is no failure
    #[arg(long)]
    pub(crate) allow_unimplemented: bool,
    /// Keeps directories and logs of cases with real processes that do not pass
    #[arg(long)]
    pub(crate) keep: bool,
    /// Adds each frame between suite and shim to this file, as a line of JSON
    #[arg(long)]
    pub(crate) mirror: Option<PathBuf>,
    /// Lets a shim say nothing for as long as it likes: for a debugger
    #[arg(long)]
    pub(crate) no_idle_limit: bool,
    /// Where to put report.json, report.html, junit.xml and summary.md
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Keeps the stories of these cases only in what is put there: globs over ids and titles, or
    /// parts of titles. All of them without it, which is much for many cases
    #[arg(long, value_name = "PATTERN", requires = "out")]
    pub(crate) stories: Vec<String>,
    /// Names what would run, and runs nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// One JSON object for each case instead of a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// A language with a template of a shim.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Language {
    /// Python, with its standard library alone
    Python,
}

/// How thorough to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ProfileName {
    /// The safety essentials
    Quick,
    /// All that MUST hold
    Standard,
    /// What SHOULD hold too, and more seeds
    Strict,
    /// The cases with a script for real processes (with --subject blackbox:FILE)
    Real,
}

impl ProfileName {
    /// Its name, as `--profile` takes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Strict => "strict",
            Self::Real => "real",
        }
    }
}

impl From<ProfileName> for Profile {
    fn from(name: ProfileName) -> Self {
        match name {
            ProfileName::Quick => Self::Quick,
            ProfileName::Standard | ProfileName::Real => Self::Standard,
            ProfileName::Strict => Self::Strict,
        }
    }
}

/// Arguments of `sweep`.
#[derive(Args, Debug)]
#[command(
    after_help = "Stops at the first finding, makes a small story of it, puts that into a file, and \
                  tells it in three lines: the rule, the story, the command that repeats it.\n\n\
                  Exit codes: 1 something was found, or the sweep met too little to prove anything."
)]
pub(crate) struct SweepArguments {
    /// How many seeds
    #[arg(long, default_value_t = 200)]
    pub(crate) seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    pub(crate) start: u64,
    /// Steps behind the first leader, with faults, of each seed
    #[arg(long, default_value_t = 2_000)]
    pub(crate) steps: u64,
    /// How long to go on at most, such as 90s, 150m or 2h: no seed begins behind that
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) budget: Option<Duration>,
    /// A selection of faults with a name, instead of drawing from all; a wrong name lists them
    #[arg(long, value_name = "NAME", value_parser = schedule)]
    pub(crate) schedule: Option<&'static NamedSchedule>,
    /// Goes on behind a finding, and makes a story of the first of each rule at the end
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// Where to put the stories of what is found
    #[arg(long, value_name = "DIR", default_value = "findings")]
    pub(crate) out: PathBuf,
    /// Seconds to make a story small
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// What the members replicate: `ledger`, or `mistaken-ledger` to see what a finding is like
    #[arg(long, value_name = "NAME", default_value = "ledger", value_parser = service)]
    pub(crate) service: Replicated,
}

/// A number of seconds, minutes or hours.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration; say for example 90s, 150m or 2h");
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

fn schedule(name: &str) -> Result<&'static NamedSchedule, String> {
    NamedSchedule::named(name).ok_or_else(|| {
        let known: Vec<&str> = SCHEDULES.iter().map(|schedule| schedule.name).collect();
        format!("there is no schedule {name}; say one of {}", known.join(", "))
    })
}

fn service(name: &str) -> Result<Replicated, String> {
    Replicated::named(name).ok_or_else(|| {
        let known = Replicated::ALL.map(Replicated::name);
        format!("there is no service {name}; say one of {}", known.join(", "))
    })
}

/// Arguments of `replay`.
#[derive(Args, Debug)]
pub(crate) struct ReplayArguments {
    /// A seed, or the file of a story that `sweep` kept
    pub(crate) what: String,
    /// A seed: steps behind the first leader, with faults
    #[arg(long, default_value_t = 2_000)]
    pub(crate) steps: u64,
    /// Prints each event and each action
    #[arg(long)]
    pub(crate) trace: bool,
    /// A seed: the schedule under which it was found
    #[arg(long, value_name = "NAME", value_parser = schedule)]
    pub(crate) schedule: Option<&'static NamedSchedule>,
}

/// Arguments of `shrink`.
#[derive(Args, Debug)]
#[command(
    after_help = "A seed is told again with fewer classes of faults, members, clients, faults and \
                        messages, as long as the same is found. A case is run with other seeds: \
                        of those that fail alike the one with the shortest story is told.\n\n\
                        Exit codes: 1 there is a story of a failure; 0 nothing fails."
)]
pub(crate) struct ShrinkArguments {
    /// A seed of `sweep`, the file of a story that it kept, or the id of a case
    pub(crate) what: String,
    /// A seed: steps behind the first leader, with faults
    #[arg(long, default_value_t = 2_000)]
    pub(crate) steps: u64,
    /// A seed: the schedule under which it was found
    #[arg(long, value_name = "NAME", value_parser = schedule)]
    pub(crate) schedule: Option<&'static NamedSchedule>,
    /// A case: the subject that fails it
    #[arg(long, default_value = "core")]
    pub(crate) subject: String,
    /// A case: the seed with which it fails
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// A case: how thorough to be, as in the run that failed
    #[arg(long, value_enum, default_value_t = ProfileName::Quick)]
    pub(crate) profile: ProfileName,
    /// A case: how many seeds behind that one to try
    #[arg(long, default_value_t = 50)]
    pub(crate) seeds: u64,
    /// Seconds to try
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
}

/// Arguments of `mutants`.
#[derive(Args, Debug)]
pub(crate) struct MutantsArguments {
    /// Seeds until a mutant counts as survivor
    #[arg(long, default_value_t = 500)]
    pub(crate) seeds: u64,
    /// Only the mutant with this number
    #[arg(long)]
    pub(crate) only: Option<u32>,
    /// Those that no seed shows, each with the case that notices it; the rest calls this
    #[arg(long, hide = true)]
    pub(crate) by_cases: bool,
}

/// Arguments of `table`.
#[derive(Args, Debug)]
pub(crate) struct TableArguments {
    /// Only these cases: globs over ids and titles, or parts of titles. Nothing is written then
    pub(crate) patterns: Vec<String>,
    /// Only the mistake with this number. Nothing is written then
    #[arg(long)]
    pub(crate) only: Option<u32>,
    /// Writes nothing; fails if the table in the workspace says something else
    #[arg(long)]
    pub(crate) check: bool,
    /// Runs only the groups whose scripts were changed since the table was filled, and takes the
    /// rest from there; all of them if what they share or a mistake was changed
    #[arg(long, conflicts_with_all = ["only", "check", "sample", "patterns"])]
    pub(crate) stale: bool,
    /// Runs some cells only, drawn from this text, such as a commit; fails if the table in the
    /// workspace says something else of one
    #[arg(long, value_name = "SALT", conflicts_with_all = ["only", "check"])]
    pub(crate) sample: Option<String>,
    /// For how long to begin with further cells
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "20s")]
    pub(crate) budget: Duration,
    /// Processes at once; as many as there are processors without it
    #[arg(long)]
    processes: Option<usize>,
    /// Runs the cases with this mistake, and tells how each ended; zero for none
    #[arg(long, hide = true)]
    pub(crate) worker: Option<u32>,
    /// The case that the worker begins with
    #[arg(long, hide = true, requires = "worker")]
    pub(crate) from: Option<String>,
}

impl TableArguments {
    /// How many processes run at once.
    pub(crate) fn processes(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.processes.unwrap_or_else(all).max(1)
    }
}

/// Arguments of `vectors`.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub(crate) struct VectorsArguments {
    /// Writes vectors.json into this folder
    #[arg(long)]
    pub(crate) emit: Option<PathBuf>,
    /// A command that decodes: a question a line on its standard input, an answer a line on its
    /// standard output
    #[arg(long)]
    pub(crate) check: Option<String>,
}

/// Arguments of `report` and `matrix`.
#[derive(Args, Debug)]
pub(crate) struct ReportArguments {
    /// What a subject does not implement yet is no failure
    #[arg(long)]
    pub(crate) allow_unimplemented: bool,
    /// Saved runs: `report.json` of `run --out`
    #[arg(required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// Writes one self-contained page here
    #[arg(long)]
    pub(crate) html: Option<PathBuf>,
    /// Writes JUnit XML here (of the first run)
    #[arg(long)]
    pub(crate) junit: Option<PathBuf>,
    /// Writes Markdown here; to standard output without any of the three
    #[arg(long)]
    pub(crate) markdown: Option<PathBuf>,
}
