//! `cargo xtask bare-metal`: builds core and codecs for a processor without an operating system.
//!
//! The toolchain of the workspace has no library for such a target. Debian's `rustc-web` packages
//! come with the library's source, from which `-Zbuild-std` makes one. Source and compiler must be
//! of one version, so the workspace's own compiler cannot be used with that source.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{StepResult, Steps, succeed};

const TARGET: &str = "thumbv7m-none-eabi";
const PACKAGES: [&str; 3] = ["rust-web-src", "rustc-web", "cargo-web"];
/// Beside the other builds, so that two compilers do not throw away each other's work.
const FOLDER: &str = "bare-metal";

/// Builds; installs Debian's packages before that only if it is asked to.
///
/// # Errors
/// The packages are not there, or the build fails.
pub(crate) fn run(root: &Path, install: bool) -> StepResult {
    let mut steps = Steps::default();
    if install && tools().is_none() {
        steps.run("install", "check the network, and run it as root", || {
            succeed(Command::new("apt-get").args(["update", "-qq"]))?;
            let words = ["install", "-y", "-qq", "--no-install-recommends"];
            succeed(Command::new("apt-get").args(words).args(PACKAGES))
        });
    }
    let Some((cargo, rustc)) = tools() else {
        return Err(format!(
            "no compiler with sources for {TARGET}: on Debian 12, `apt-get install {}` or `cargo \
             xtask bare-metal --install` as root",
            PACKAGES.join(" ")
        ));
    };
    for package in ["quorate-core", "quorate-codecs"] {
        let advice = "use core and alloc only, in the dependencies too";
        steps.run(&format!("{package} for {TARGET}"), advice, || {
            succeed(build(root, &cargo, &rustc).args(["-p", package]))
        });
    }
    steps.finish()
}

fn build(root: &Path, cargo: &Path, rustc: &Path) -> Command {
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["build", "--release", "--locked", "--no-default-features"]);
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let folder = Path::new(&target).join(FOLDER);
    command.args(["-Zbuild-std=core,alloc", "--target", TARGET, "--target-dir"]).arg(folder);
    // What the calling cargo sets for its own compiler is not for this one.
    for name in ["RUSTFLAGS", "RUSTDOC", "RUSTUP_TOOLCHAIN", "LD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
    // The release that Debian packages builds a library from source only with this.
    command.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
    command
}

/// Debian's cargo and rustc, if both are installed with the source.
fn tools() -> Option<(PathBuf, PathBuf)> {
    file_of("rust-web-src", "/library/core/src/lib.rs")?;
    Some((file_of("cargo-web", "/bin/cargo")?, file_of("rustc-web", "/bin/rustc")?))
}

/// The file of an installed package whose path ends like this.
fn file_of(package: &str, ending: &str) -> Option<PathBuf> {
    let output = Command::new("dpkg").args(["-L", package]).output().ok()?;
    let list = String::from_utf8(output.stdout).ok()?;
    let path = PathBuf::from(list.lines().find(|line| line.ends_with(ending))?);
    path.exists().then_some(path)
}
