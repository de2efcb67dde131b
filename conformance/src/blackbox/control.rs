//! Control groups of the system: a process that gets little of a processor, or none at all.

use core::sync::atomic::{AtomicU64, Ordering};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What a group of processes is made for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Control {
    /// It gets so many hundredths of one processor.
    Share(u64),
    /// It stands still, and no signal but the last one moves it.
    Halt,
}

/// A group with one process in it. Dropped, the process is as it was before.
#[derive(Debug)]
pub(super) struct Group {
    folder: PathBuf,
    process: u32,
}

/// How long a processor's time is shared out for, in microseconds.
const PERIOD: u64 = 100_000;

impl Group {
    /// Puts a process into a new group.
    pub(super) fn of(process: u32, control: Control) -> Result<Self, String> {
        let folder = make(control)?;
        let group = Self { folder, process };
        let write = |file: &str, text: String| {
            let path = group.folder.join(file);
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
        };
        match control {
            Control::Share(hundredths) => {
                let quota = hundredths * PERIOD / 100;
                match group.has("cpu.max") {
                    true => write("cpu.max", format!("{quota} {PERIOD}"))?,
                    false => write("cpu.cfs_quota_us", quota.to_string())?,
                }
                write("cgroup.procs", process.to_string())?;
            }
            Control::Halt => {
                write("cgroup.procs", process.to_string())?;
                write("cgroup.freeze", "1".into())?;
            }
        }
        Ok(group)
    }

    /// How often it was kept from a processor because its share was used up.
    pub(super) fn throttled(&self) -> u64 {
        let told = fs::read_to_string(self.folder.join("cpu.stat")).unwrap_or_default();
        let number = told.lines().find_map(|line| line.strip_prefix("nr_throttled "));
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// Whether it stands still.
    pub(super) fn stands_still(&self) -> bool {
        let told = fs::read_to_string(self.folder.join("cgroup.events")).unwrap_or_default();
        told.lines().any(|line| line == "frozen 1")
    }

    fn has(&self, file: &str) -> bool {
        self.folder.join(file).exists()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It may be dead already, and then there is nothing to set free.
        if self.has("cgroup.freeze") {
            let _ = fs::write(self.folder.join("cgroup.freeze"), "0");
        }
        let above = self.folder.parent().unwrap_or(&self.folder);
        let _ = fs::write(above.join("cgroup.procs"), self.process.to_string());
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Makes a group that can be controlled so: in the one hierarchy of all controllers, or, where that
/// has none for processors, in the older one of that controller.
fn make(control: Control) -> Result<PathBuf, String> {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let name = format!("quorate-{}-{number}", std::process::id());
    let mut why = "no control groups are mounted".to_owned();
    let wanted = match control {
        Control::Share(_) => "cpu.max",
        Control::Halt => "cgroup.freeze",
    };
    let mut places = Vec::new();
    places.extend(own_place("cgroup2", "").map(|above| (above, wanted)));
    if wanted == "cpu.max" {
        places.extend(own_place("cgroup", "cpu").map(|above| (above, "cpu.cfs_quota_us")));
    }
    for (above, file) in places {
        if file == "cpu.max" {
            // Who may not do that finds no such file.
            let _ = fs::write(above.join("cgroup.subtree_control"), "+cpu");
        }
        let folder = above.join(&name);
        if let Err(error) = fs::create_dir(&folder) {
            why = format!("{}: {error}", folder.display());
            continue;
        }
        if folder.join(file).exists() {
            return Ok(folder);
        }
        let _ = fs::remove_dir(&folder);
        why = format!("groups in {} have no {file}", above.display());
    }
    Err(why)
}

/// The folder of this process's own group in a hierarchy: of all controllers, or of this one.
fn own_place(kind: &str, controller: &str) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let is_ours = |names: &str| names.split(',').any(|name| name == controller);
    let mount = mounts.lines().find_map(|line| {
        let (before, behind) = line.split_once(" - ")?;
        let mut words = behind.split(' ');
        let is_wanted = words.next() == Some(kind)
            && words.nth(1).is_some_and(|options| controller.is_empty() || is_ours(options));
        before.split(' ').nth(4).filter(|_| is_wanted)
    })?;
    let own = groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (names, own) = rest.split_once(':')?;
        is_ours(names).then_some(own)
    })?;
    Some(Path::new(mount).join(own.trim_start_matches('/')))
}

/// Whether a process can be given little of a processor here, and be halted; each is tried.
///
/// # Errors
/// Why not.
pub fn can_starve() -> Result<(), String> {
    tried(Control::Share(5), |_| Ok(()))
}

/// Whether a process can be made to stand still here by its control group.
///
/// # Errors
/// Why not.
pub fn can_halt() -> Result<(), String> {
    tried(Control::Halt, |group| {
        let still = (0..100).any(|_| {
            std::thread::sleep(core::time::Duration::from_millis(2));
            group.stands_still()
        });
        if still { Ok(()) } else { Err("a process in a frozen group goes on".into()) }
    })
}

fn tried(control: Control, check: impl Fn(&Group) -> Result<(), String>) -> Result<(), String> {
    let sleeper = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn();
    let sleeper = Sleeper(sleeper.map_err(|error| format!("`sleep` cannot be started: {error}"))?);
    let group = Group::of(sleeper.0.id(), control)?;
    check(&group)
}

/// A process to try things on.
struct Sleeper(Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        // It is still there unless somebody else has ended it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What cannot be had on this machine is told as such by `doctor`; what can must bite.
    #[test]
    fn a_process_with_a_small_share_is_kept_from_the_processor_and_then_is_not() {
        let busy = Command::new("sh").args(["-c", "while :; do :; done"]).spawn();
        let busy = Sleeper(busy.expect("a shell"));
        let Ok(group) = Group::of(busy.0.id(), Control::Share(2)) else {
            assert!(can_starve().is_err(), "it can be had, and cannot");
            return;
        };
        let folder = group.folder.clone();
        let bitten = (0..1_000_000).any(|_| {
            std::thread::yield_now();
            group.throttled() > 0
        });
        assert!(bitten, "a busy process is never kept from the processor");
        drop(group);
        assert!(!folder.exists(), "the group is left behind");
    }

    #[test]
    fn a_halted_process_stands_still_until_its_group_is_dropped() {
        if can_halt().is_err() {
            return;
        }
        let sleeper = Command::new("sleep").arg("60").spawn().expect("sleep");
        let sleeper = Sleeper(sleeper);
        let group = Group::of(sleeper.0.id(), Control::Halt).expect("a group");
        let folder = group.folder.clone();
        drop(group);
        assert!(!folder.exists(), "the group is left behind");
    }
}
