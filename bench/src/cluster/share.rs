//! A process that gets a share of one processor only, by a control group of the system.

use std::fs;
use std::path::{Path, PathBuf};

/// How long a processor's time is shared out for, in microseconds: short, so that the process is
/// slow, rather than quick and then still for long.
const PERIOD_US: u64 = 10_000;
/// The files that take the share: in the one hierarchy of all controllers, and in the older one.
const QUOTA_FILES: [&str; 2] = ["cpu.max", "cpu.cfs_quota_us"];

/// A group with one process in it. Dropped, the process has all processors again.
#[derive(Debug)]
pub(crate) struct Share {
    folder: PathBuf,
    process: u32,
}

impl Share {
    /// Gives a process so many hundredths of one processor.
    ///
    /// # Errors
    /// Why that is not to be had on this machine.
    pub(crate) fn of(process: u32, hundredths: u64) -> Result<Self, String> {
        let (folder, file) = make()?;
        let share = Self { folder, process };
        let quota = hundredths * PERIOD_US / 100;
        if file == QUOTA_FILES[0] {
            share.write(file, &format!("{quota} {PERIOD_US}"))?;
        } else {
            share.write("cpu.cfs_period_us", &PERIOD_US.to_string())?;
            share.write(file, &quota.to_string())?;
        }
        share.write("cgroup.procs", &process.to_string())?;
        Ok(share)
    }

    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        let path = self.folder.join(file);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// How often it was kept from a processor because its share was used up.
    pub(crate) fn throttled(&self) -> u64 {
        let told = fs::read_to_string(self.folder.join("cpu.stat")).unwrap_or_default();
        let number = told.lines().find_map(|line| line.strip_prefix("nr_throttled "));
        number.and_then(|number| number.parse().ok()).unwrap_or_default()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let above = self.folder.parent().unwrap_or(&self.folder);
        // It may be dead already, and then there is nothing to set free.
        let _ = fs::write(above.join("cgroup.procs"), self.process.to_string());
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Makes a group that can have a share, and tells which file takes it.
fn make() -> Result<(PathBuf, &'static str), String> {
    let name = format!("quorate-bench-{}", std::process::id());
    let mut why = "no control groups are mounted".to_owned();
    let places = [own_place("cgroup2", ""), own_place("cgroup", "cpu")];
    for (above, file) in places.into_iter().zip(QUOTA_FILES) {
        let Some(above) = above else { continue };
        if file == QUOTA_FILES[0] {
            // Who may not do that finds no such file.
            let _ = fs::write(above.join("cgroup.subtree_control"), "+cpu");
        }
        let folder = above.join(&name);
        if let Err(error) = fs::create_dir(&folder) {
            why = format!("{}: {error}", folder.display());
            continue;
        }
        if folder.join(file).exists() {
            return Ok((folder, file));
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
        let (names, own) = line.split_once(':')?.1.split_once(':')?;
        is_ours(names).then_some(own)
    })?;
    Some(Path::new(mount).join(own.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::process::{Child, Command};
    use std::thread;
    use std::time::Instant;

    use super::*;

    /// A thousand periods: how long a busy machine may take to let the process run at all.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// Killed when the test ends, however it does.
    struct Busy(Child);

    impl Drop for Busy {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// Where there are no groups, the rung says so; where there are, a share bites.
    #[test]
    fn a_busy_process_with_a_share_is_kept_from_the_processor() {
        let busy = Command::new("sh").args(["-c", "while :; do :; done"]).spawn();
        let busy = Busy(busy.expect("a shell"));
        let share = match Share::of(busy.0.id(), 10) {
            Ok(share) => share,
            Err(why) => return assert!(!why.is_empty()),
        };
        let folder = share.folder.clone();
        let begin = Instant::now();
        while share.throttled() == 0 {
            assert!(begin.elapsed() < PATIENCE, "it is never kept from the processor");
            thread::yield_now();
        }
        drop(share);
        assert!(!folder.exists(), "the group is left behind");
    }
}
