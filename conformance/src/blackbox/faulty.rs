//! A disk that loses what was not synced and fails as it is told: the process that holds it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command as Program, Stdio};

use quorate_faultfs::{Answer, Command};

use super::process::Host;

/// The command that holds such a disk.
const HOLD: &str = "fault-disk";

/// A disk of one member, in a process of its own on the member's host.
#[derive(Debug)]
pub(super) struct FaultyDisk {
    holder: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl FaultyDisk {
    /// Mounts an empty one where only its host sees it; what is asked of it is written beside.
    pub(super) fn mount(host: &Host, at: &Path) -> Result<Self, String> {
        let program = std::env::current_exe();
        let program = program.map_err(|error| format!("where is this program? {error}"))?;
        let log = at.with_extension("calls");
        let shown = |path: &Path| path.display().to_string();
        let words = [shown(&program), HOLD.into(), shown(at), "--log".into(), shown(&log)];
        let mut command = host.command(&words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut holder =
            command.spawn().map_err(|error| format!("cannot start {words:?}: {error}"))?;
        let pipes = holder.stdin.take().zip(holder.stdout.take());
        let (commands, answers) = pipes.ok_or("a disk without pipes")?;
        let mut disk = Self { holder, commands, answers: BufReader::new(answers) };
        disk.answer()?;
        Ok(disk)
    }

    /// Asks for something; the numbers that are told.
    pub(super) fn ask(&mut self, command: &Command) -> Result<BTreeMap<String, u64>, String> {
        let asked = writeln!(self.commands, "{command}").and_then(|()| self.commands.flush());
        asked.map_err(|error| format!("the disk does not take {command}: {error}"))?;
        self.answer().map_err(|why| format!("{command}: {why}"))
    }

    fn answer(&mut self) -> Result<BTreeMap<String, u64>, String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(0) => Err("the disk's process has ended".into()),
            Ok(_) => line.trim_end().parse::<Answer>()?.0,
            Err(error) => Err(format!("the disk does not answer: {error}")),
        }
    }
}

impl Drop for FaultyDisk {
    fn drop(&mut self) {
        // Its file system goes with it, and whoever still uses that is refused.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Holds a disk that is mounted at a directory, obeys standard input and answers on standard
/// output, until the input ends.
///
/// # Errors
/// It cannot be mounted, or nobody reads the answers; as text.
pub fn hold_disk(at: &Path, log: Option<&Path>) -> Result<(), String> {
    quorate_faultfs::serve(at, log, std::io::stdin().lock(), std::io::stdout().lock())
}

/// Whether such a disk can be mounted here: one is, and ends with its commands.
pub(super) fn can_mount() -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    let folder = tempfile::tempdir().map_err(failed)?;
    let program = std::env::current_exe().map_err(failed)?;
    let tried = Program::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(program)
        .arg(HOLD)
        .arg(folder.path())
        .stdin(Stdio::null())
        .output();
    match tried {
        Err(error) => Err(format!("`unshare` cannot be started ({error}); install it")),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let why = said.lines().next().unwrap_or("nothing");
            Err(format!("file systems of processes cannot be mounted: {why}"))
        }
    }
}
