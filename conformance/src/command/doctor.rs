//! `doctor`: what this machine can do for cases with real processes.

use std::path::Path;
use std::process::{Command, Stdio};

use super::Exit;

/// One ability, and what it is for.
struct Ability {
    name: &'static str,
    purpose: &'static str,
    needed: bool,
    found: Result<(), String>,
}

pub(super) fn doctor() -> Exit {
    let abilities = abilities();
    for Ability { name, purpose, needed, found } in &abilities {
        match found {
            Ok(()) => tell!("yes  {name:<22} {purpose}"),
            Err(why) => {
                let need = if *needed { "; needed for any case with real processes" } else { "" };
                tell!("no   {name:<22} {purpose}: {why}{need}");
            }
        }
    }
    let missing = abilities.iter().any(|ability| ability.needed && ability.found.is_err());
    tell!(
        "{}",
        if missing {
            "cases with real processes cannot run here"
        } else {
            "real processes can run here"
        }
    );
    if missing { Exit::Failed } else { Exit::Good }
}

fn abilities() -> Vec<Ability> {
    let of = |name, purpose, needed, found| Ability { name, purpose, needed, found };
    let unshared = ["--net", "--mount", "--propagation", "private"];
    vec![
        of(
            "namespaces",
            "hosts of their own",
            true,
            try_command("unshare", &[&unshared[..], &["true"]].concat()),
        ),
        of("tunnel device", "the network between hosts", true, tunnel(&unshared)),
        of("nsenter", "processes on a host", true, try_command("nsenter", &["--version"])),
        of("ip", "loopback on a host", true, try_command("ip", &["-V"])),
        of(
            "strace",
            "system calls that fail or take long (AD-13, CD-16, DF-01, RB-11)",
            false,
            quorate_conformance::blackbox::can_inject(),
        ),
        of(
            "tmpfs",
            "a disk that is full (DF-07)",
            false,
            try_command(
                "unshare",
                &["--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"],
            ),
        ),
        of(
            "images",
            "a disk that freezes or turns read-only (CD-16, DF-15)",
            false,
            quorate_conformance::blackbox::can_mount_images(),
        ),
        of(
            "FUSE",
            "a disk that loses what was not synced, and fails as told (AD-04, AD-09, DF-17)",
            false,
            quorate_conformance::blackbox::can_lose_power(),
        ),
        of(
            "processor shares",
            "members that hardly get a processor (AD-27)",
            false,
            quorate_conformance::blackbox::can_starve(),
        ),
        of(
            "freezer",
            "members that stand still and get no signal (AD-27)",
            false,
            quorate_conformance::blackbox::can_halt(),
        ),
        of(
            "preload",
            "wall clocks that jump, monotonic ones that drift (AD-11)",
            false,
            quorate_conformance::blackbox::can_bend_clocks(),
        ),
    ]
}

fn tunnel(unshared: &[&str]) -> Result<(), String> {
    exists("/dev/net/tun")?;
    let make = "ip tuntap add dev probe0 mode tun";
    try_command("unshare", &[unshared, &["sh", "-c", make]].concat())
}

fn exists(path: &str) -> Result<(), String> {
    if Path::new(path).exists() { Ok(()) } else { Err(format!("there is no {path}")) }
}

fn try_command(program: &str, arguments: &[&str]) -> Result<(), String> {
    let tried = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    match tried {
        Err(error) => Err(format!("`{program}` cannot be started ({error}); install it")),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("`{program}` says: {}", said.lines().next().unwrap_or("nothing")))
        }
    }
}
