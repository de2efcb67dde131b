//! `table`: each case of the core against each deliberate mistake.
//!
//! A mistake is chosen for a whole process: this one starts a worker for each, which tells how each
//! case ended, one a line. A worker that hangs or crashes is ended and begun again behind the case.

use core::time::Duration;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};

use quorate_core::mutant::{ALL, Mutant};
use quorate_sim::mutants;

use super::Exit;
use super::arguments::TableArguments;
use super::list::choose;
use quorate_conformance::kills::{Kills, MADE_AT, Row, noticed};
use quorate_conformance::{Case, Profile, Script, run_case, subjects};

/// How long a case may take before it counts as hung, in real time. The slowest takes seconds.
const CASE_TIME_MAX: Duration = Duration::from_secs(60);
/// The seed of all cases.
const SEED: u64 = 1;

pub(super) fn table(arguments: &TableArguments) -> Result<Exit, String> {
    // What nobody knows is said before anything is built.
    let mut cases = choose(&arguments.patterns)?;
    if let Some(number) = arguments.only
        && !ALL.iter().any(|mutant| mutant.number == number)
    {
        return Err(format!("there is no mistake {number}; {} names all", xtask::KILLS));
    }
    if !mutants::are_compiled_in() {
        return in_another_build(arguments);
    }
    cases.retain(|case| matches!(case.script, Script::Core(_) | Script::Cluster(_)));
    if let Some(number) = arguments.worker {
        work(&cases, number, arguments.from.as_deref());
        return Ok(Exit::Good);
    }
    if let Some(salt) = &arguments.sample {
        let (budget, processes) = (arguments.budget, arguments.processes());
        return super::sample::sample(&cases, salt, budget, processes);
    }
    let kept = if arguments.stale { keep_what_is_fresh(&mut cases)? } else { Vec::new() };
    let wanted = |mutant: &&Mutant| arguments.only.is_none_or(|only| only == mutant.number);
    let chosen: Vec<Mutant> = ALL.iter().filter(wanted).copied().collect();
    // Cases that do not pass as it is prove nothing about mistakes.
    let sound = ended(&cases, 0)?;
    let mut passing = cases.iter().zip(&sound).filter(|(_, end)| *end == "pass");
    let passing: Vec<&'static Case> = passing.by_ref().map(|(case, _)| *case).collect();
    for (case, end) in cases.iter().zip(&sound).filter(|(_, end)| *end != "pass") {
        tell!("{:<6} is left out: {end} without a mistake", case.id);
    }
    let mut kills = fill(&passing, &chosen, arguments.processes())?;
    kills.take_over(kept);
    tell!("{}", kills.summary());
    if arguments.only.is_some() || !arguments.patterns.is_empty() {
        return Ok(Exit::Good);
    }
    finish(&kills, arguments.check)
}

/// Leaves in `cases` those whose scripts were changed since the table in the workspace was filled;
/// returns the others, with what it says of them.
fn keep_what_is_fresh(cases: &mut Vec<&'static Case>) -> Result<Vec<Row>, String> {
    let root = xtask::root();
    let path = root.join(xtask::KILLS);
    let there = std::fs::read_to_string(&path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let made_of = xtask::made_of(&root)?;
    let stale = xtask::stale_parts(&there, &made_of);
    tell!("stale: {}", if stale.is_empty() { "nothing".to_owned() } else { stale.join(", ") });
    if stale.contains(&xtask::MISTAKES) || stale.contains(&xtask::CATALOGUE) {
        return Ok(Vec::new());
    }
    let mut kept = Vec::new();
    cases.retain(|case| {
        let group = case.id.split_once('-').map_or(case.id, |(group, _)| group);
        let row = noticed(&there, case.id).filter(|_| !stale.contains(&group));
        let is_stale = row.is_none();
        kept.extend(row.map(|noticed| (*case, noticed)));
        is_stale
    });
    Ok(kept)
}

/// Writes the document, or compares it with the one that is there.
fn finish(kills: &Kills, only_compares: bool) -> Result<Exit, String> {
    let root = xtask::root();
    let path = root.join(xtask::KILLS);
    let text = kills.markdown(&xtask::made_of(&root)?, &commit(&root));
    if !only_compares {
        super::reports::write(&path, &text)?;
        return Ok(Exit::Good);
    }
    let there = std::fs::read_to_string(&path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let (before, now) = (lines(&there), lines(&text));
    if before == now {
        tell!("{} says the same", xtask::KILLS);
        return Ok(Exit::Good);
    }
    before.iter().filter(|line| !now.contains(line)).for_each(|line| tell!("- {line}"));
    now.iter().filter(|line| !before.contains(line)).for_each(|line| tell!("+ {line}"));
    tell!("{} is stale: run this without --check", xtask::KILLS);
    Ok(Exit::Failed)
}

/// The lines of the document but for that which says when it was filled: it may be older.
fn lines(document: &str) -> Vec<&str> {
    document.lines().filter(|line| !line.starts_with(MADE_AT)).collect()
}

/// The commit that is checked out below `root`, and whether something was changed since.
fn commit(root: &Path) -> String {
    let git = |arguments: &[&str]| {
        let said = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
        let said = said.status.success().then_some(said.stdout)?;
        Some(String::from_utf8_lossy(&said).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return "unknown".into() };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changed) if changed.is_empty() => format!("`{commit}`"),
        _ => format!("`{commit}`, with changes"),
    }
}

/// The mistakes are compiled into a build of their own, beside this one.
fn in_another_build(arguments: &TableArguments) -> Result<Exit, String> {
    let mut passed = vec!["table".to_owned(), format!("--processes={}", arguments.processes())];
    passed.extend(arguments.only.map(|only| format!("--only={only}")));
    passed.extend(arguments.check.then(|| "--check".to_owned()));
    passed.extend(arguments.stale.then(|| "--stale".to_owned()));
    if let Some(salt) = &arguments.sample {
        passed.push(format!("--sample={salt}"));
        passed.push(format!("--budget={}s", arguments.budget.as_secs()));
    }
    passed.extend(arguments.patterns.iter().cloned());
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let command = mutants::build_and_run_of(&manifest, &mutants::SUITE_OPTIONS, &passed);
    let status = command.and_then(|mut command| command.status());
    let status = status.map_err(|error| {
        format!("cannot build the mistakes with cargo: {error}; run this inside the workspace")
    })?;
    match status.code() {
        Some(0) => Ok(Exit::Good),
        Some(1) => Ok(Exit::Failed),
        _ => Err(format!("the build with mistakes ended with {status}")),
    }
}

/// Runs the cases with one mistake in this process, and tells how each ended.
fn work(cases: &[&'static Case], number: u32, from: Option<&str>) {
    std::panic::set_hook(Box::new(|_| {}));
    #[cfg(quorate_mutants)]
    quorate_core::mutant::choose(number);
    #[cfg(not(quorate_mutants))]
    let _ = number;
    let first = from.and_then(|from| cases.iter().position(|case| case.id == from)).unwrap_or(0);
    for case in &cases[first..] {
        let report = run_case(&subjects::Reference, case, SEED, Profile::Quick);
        tell!("{} {}", case.id, report.outcome.name());
    }
}

/// Fills the table, with so many processes at once.
fn fill(cases: &[&'static Case], chosen: &[Mutant], processes: usize) -> Result<Kills, String> {
    let kills = Mutex::new(Kills::new(cases.iter().copied(), chosen.iter().copied()));
    for_each(chosen.to_vec(), processes, |mutant| {
        let ends = ended(cases, mutant.number)?;
        let mut kills = kills.lock().unwrap_or_else(PoisonError::into_inner);
        for (case, end) in cases.iter().zip(&ends).filter(|(_, end)| *end != "pass") {
            kills.note(case.id, mutant.number);
            if matches!(end.as_str(), "hangs" | "crashes") {
                tell!("{:<6} {end} with {}", case.id, mutant.name);
            }
        }
        let noticing = kills.noticing(mutant.number).count();
        tell!("{:>3} {:<60} {noticing:>3} cases", mutant.number, mutant.name);
        Ok(())
    })?;
    Ok(kills.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Does `work` with each, so many at once.
pub(super) fn for_each<T: Send>(
    all: Vec<T>,
    at_once: usize,
    work: impl Fn(T) -> Result<(), String> + Sync,
) -> Result<(), String> {
    let left = Mutex::new(VecDeque::from(all));
    let one_after_another = || -> Result<(), String> {
        loop {
            let next = left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(next) = next else { return Ok(()) };
            work(next)?;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(one_after_another)).collect();
        let joined = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err("a thread of the table panicked".to_owned()))
        });
        joined.collect()
    })
}

/// How each of the cases ended with this mistake; with none, if it is zero.
pub(super) fn ended(cases: &[&'static Case], number: u32) -> Result<Vec<String>, String> {
    let mut ends: Vec<String> = Vec::new();
    while let Some(next) = cases.get(ends.len()) {
        let mut worker = Worker::start(cases, number, next.id)?;
        let end = loop {
            let Some(next) = cases.get(ends.len()) else { break "" };
            match worker.lines.recv_timeout(CASE_TIME_MAX) {
                Ok(line) => match line.split_once(' ') {
                    Some((id, end)) if id == next.id => ends.push(end.to_owned()),
                    _ => return Err(format!("{} was due, and a worker says {line:?}", next.id)),
                },
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => break "hangs",
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break "crashes",
            }
        };
        worker.end();
        if !end.is_empty() {
            ends.push(end.to_owned());
        }
    }
    Ok(ends)
}

/// A process with one mistake, and what it says.
struct Worker {
    child: Child,
    lines: Receiver<String>,
}

impl Worker {
    fn start(cases: &[&'static Case], number: u32, from: &str) -> Result<Self, String> {
        let failed = |error| format!("cannot start a worker: {error}");
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        command.args(["table", "--worker", &number.to_string(), "--from", from]);
        command.args(cases.iter().map(|case| case.id));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(failed)?;
        let (told, lines) = channel();
        if let Some(output) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if told.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { child, lines })
    }

    /// Ends it, if it has not ended yet.
    fn end(&mut self) {
        // It may be gone already; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
