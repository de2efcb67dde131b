//! One step of a task: a name, a duration, and what to do when it fails.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// The steps of a task, run one after the other; a failure does not hide those behind it.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    failed: Vec<String>,
}

/// Why a step failed.
pub(crate) type StepResult = Result<(), String>;

impl Steps {
    /// Runs a step. If it fails, says why and `advice`.
    pub(crate) fn run(&mut self, name: &str, advice: &str, work: impl FnOnce() -> StepResult) {
        eprintln!("---- {name}");
        let start = Instant::now();
        let result = work();
        let seconds = start.elapsed().as_secs_f64();
        match result {
            Ok(()) => eprintln!("---- {name}: ok, {seconds:.1} s"),
            Err(reason) => {
                eprintln!("{reason}");
                eprintln!("---- {name}: FAILED, {seconds:.1} s; {advice}");
                self.failed.push(name.into());
            }
        }
    }

    /// All is well, or the names of what failed.
    ///
    /// # Errors
    /// At least one step failed.
    pub(crate) fn finish(self) -> StepResult {
        match self.failed.as_slice() {
            [] => Ok(()),
            failed => Err(format!("{} failed: {}", failed.len(), failed.join(", "))),
        }
    }
}

/// Cargo, as it was called, in `root`.
pub(crate) fn cargo(root: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root);
    command
}

/// Runs `command` to its end; what it prints goes to the terminal.
///
/// # Errors
/// It did not start, or did not succeed.
pub(crate) fn succeed(command: &mut Command) -> StepResult {
    let shown = show(command);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` ended with {status}")),
        Err(error) => Err(format!("`{shown}` did not start: {error}; is it installed?")),
    }
}

/// The command as one would type it.
fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or_else(|| command.get_program());
    let words = core::iter::once(name).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_reported_and_hides_nothing() {
        let (mut steps, mut ran) = (Steps::default(), 0);
        steps.run("first", "try again", || Err("broken".into()));
        steps.run("second", "try again", || {
            ran += 1;
            Ok(())
        });
        assert_eq!((ran, steps.finish()), (1, Err("1 failed: first".into())));
    }

    #[test]
    fn a_command_that_fails_is_named() {
        assert!(succeed(&mut Command::new("true")).is_ok());
        assert!(succeed(&mut Command::new("false")).unwrap_err().contains("`false` ended"));
        let missing = succeed(Command::new("no-such-program").arg("x")).unwrap_err();
        assert!(missing.contains("`no-such-program x` did not start"), "{missing}");
    }
}
