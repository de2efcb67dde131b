//! Deliberate mistakes in the core: each must be found, or the observers prove nothing.

use std::path::PathBuf;
use std::process::Command;

use quorate_core::mutant::Mutant;

/// What became of one mutant.
#[derive(Clone, Debug)]
pub struct Fate {
    /// The mutant.
    pub mutant: Mutant,
    /// Seeds until it was found, and what was found; `None` when it survived.
    pub killed: Option<(u64, crate::Finding)>,
}

/// Whether this build has the mutants in it.
#[must_use]
pub const fn are_compiled_in() -> bool {
    cfg!(quorate_mutants)
}

/// Runs each mutant, or the one with number `only`, for up to `seeds` seeds.
#[cfg(quorate_mutants)]
pub fn hunt(only: Option<u32>, seeds: u64, steps: u64, mut report: impl FnMut(&Fate)) -> Vec<Fate> {
    let chosen = quorate_core::mutant::ALL
        .into_iter()
        .filter(|mutant| only.is_none_or(|only| only == mutant.number));
    let mut fates = Vec::new();
    for mutant in chosen {
        quorate_core::mutant::choose(mutant.number);
        let sweep = crate::sweep::Sweep { start: 1, seeds, steps, threads: 2, stop_at_first: true };
        let swept = sweep.run(|_| {});
        let first = swept.findings.into_iter().next();
        let fate = Fate { mutant, killed: first.map(|first| (first.seed, first)) };
        report(&fate);
        fates.push(fate);
    }
    quorate_core::mutant::choose(0);
    fates
}

/// Without the mutants compiled in there is nothing to hunt.
#[cfg(not(quorate_mutants))]
pub fn hunt(_: Option<u32>, _: u64, _: u64, _: impl FnMut(&Fate)) -> Vec<Fate> {
    Vec::new()
}

/// The command that builds this program with the mutants in it, beside the normal build, and runs
/// it with `arguments`.
///
/// # Errors
/// When the path of this program is not known.
pub fn build_and_run(arguments: &[String]) -> std::io::Result<Command> {
    let mut target = std::env::current_exe()?;
    // .../target/release/quorate-sim
    target.pop();
    target.pop();
    target.set_file_name("target-mutants");
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--release", "--quiet", "--manifest-path"]).arg(manifest);
    command.arg("--target-dir").arg(target).args(["--bin", "quorate-sim", "--", "mutants"]);
    command.args(arguments).env("RUSTFLAGS", "--cfg quorate_mutants");
    command.env_remove("CARGO_ENCODED_RUSTFLAGS");
    Ok(command)
}
