//! Disks of members that are not the machine's: small ones, and images of file systems.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::process::Host;

/// What kind of disk a member has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Disk {
    /// In memory, with so many mebibytes.
    Small(u64),
    /// A file with a file system in it.
    Image,
    /// A file with a file system in it that claims to be larger than what it lies on; with a
    /// journal, or without.
    Thin { journal: bool },
    /// In memory, losing what was not synced and failing as it is told.
    #[cfg(feature = "fault-disks")]
    Faulty,
}

/// How large the file of an image is; it takes only what is written.
const IMAGE_SIZE: &str = "512M";
/// How large a file system claims to be that lies on less; and how much that is, in mebibytes.
const THIN_SIZE: &str = "128M";
const THIN_BACKING: &str = "size=12m";
/// What it has once somebody has looked after it.
const THICK_BACKING: &str = "size=160m";
/// Seconds behind which a frozen disk goes on, whatever became of the suite: nothing kills a
/// process that waits for it.
const THAWED_BEHIND: &str = "30";

/// A member's disk, mounted where only its host sees it.
#[derive(Debug)]
pub(super) struct Mounted {
    at: PathBuf,
    image: Option<PathBuf>,
    /// Thaws the disk while it is frozen, if nobody else does.
    watchdog: Option<Child>,
    #[cfg(feature = "fault-disks")]
    faulty: Option<super::faulty::FaultyDisk>,
}

impl Mounted {
    /// Makes a disk and mounts it at a folder, which is made.
    pub(super) fn new(disk: Disk, host: &Host, at: &Path) -> Result<Self, String> {
        std::fs::create_dir(at).map_err(|error| format!("no {}: {error}", at.display()))?;
        let image = match disk {
            Disk::Small(mebibytes) => {
                let size = format!("size={mebibytes}m");
                host.does(&["mount", "-t", "tmpfs", "-o", &size, "none", &shown(at)])?;
                None
            }
            Disk::Image => {
                let image = at.with_extension("image");
                host.does(&["truncate", "-s", IMAGE_SIZE, &shown(&image)])?;
                host.does(&["mkfs.ext4", "-q", "-F", &shown(&image)])?;
                host.does(&["mount", "-o", "loop", &shown(&image), &shown(at)])?;
                // It is the file system's, and no file of a member.
                host.does(&["rmdir", &shown(&at.join("lost+found"))])?;
                Some(image)
            }
            Disk::Thin { journal } => Some(make_thin(host, at, journal)?),
            #[cfg(feature = "fault-disks")]
            Disk::Faulty => None,
        };
        Ok(Self {
            at: at.into(),
            image,
            watchdog: None,
            #[cfg(feature = "fault-disks")]
            faulty: match disk {
                Disk::Faulty => Some(super::faulty::FaultyDisk::mount(host, at)?),
                _ => None,
            },
        })
    }

    #[cfg(feature = "fault-disks")]
    pub(super) const fn faulty(&mut self) -> Option<&mut super::faulty::FaultyDisk> {
        self.faulty.as_mut()
    }

    pub(super) fn resize(&self, host: &Host, mebibytes: u64) -> Result<(), String> {
        let options = format!("remount,size={mebibytes}m");
        host.does(&["mount", "-t", "tmpfs", "-o", &options, "none", &shown(&self.at)])
    }

    pub(super) fn freeze(&mut self, host: &Host) -> Result<(), String> {
        let at = shown(&self.at);
        let thaw = format!("sleep {THAWED_BEHIND}; fsfreeze --unfreeze \"$0\"");
        let words = ["sh", "-c", &thaw, &at].map(ToOwned::to_owned);
        let mut watchdog = host.command(&words);
        watchdog.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let watchdog = watchdog.spawn().map_err(|error| format!("no watchdog: {error}"))?;
        self.watchdog = Some(watchdog);
        host.does(&["fsfreeze", "--freeze", &at])
    }

    pub(super) fn thaw(&mut self, host: &Host) {
        let Some(mut watchdog) = self.watchdog.take() else { return };
        // It may have been thawed already.
        let _ = host.does(&["fsfreeze", "--unfreeze", &shown(&self.at)]);
        let _ = watchdog.kill();
        let _ = watchdog.wait();
    }

    /// As when the file system had found that it cannot go on writing.
    pub(super) fn make_read_only(&self, host: &Host) -> Result<(), String> {
        host.does(&["mount", "-o", "remount,abort", &shown(&self.at)])
    }

    pub(super) fn mend(&self, host: &Host) -> Result<(), String> {
        let image = self.image.as_ref().ok_or("only an image can be mended")?;
        let backing = self.at.with_extension("backing");
        if backing.is_dir() {
            let options = format!("remount,{THICK_BACKING}");
            host.does(&["mount", "-t", "tmpfs", "-o", &options, "none", &shown(&backing)])?;
        }
        // What the system remembers of it goes with that: from now on it is what lies on the disk.
        host.does(&["umount", &shown(&self.at)])?;
        // It says with 1 that it has mended something.
        let check = "e2fsck -p \"$0\" >/dev/null || e2fsck -y \"$0\" >/dev/null; test $? -le 1";
        host.does(&["sh", "-c", check, &shown(image)])?;
        host.does(&["mount", "-o", "loop", &shown(image), &shown(&self.at)])
    }
}

/// Makes and mounts a file system on less than it claims to have.
fn make_thin(host: &Host, at: &Path, journal: bool) -> Result<PathBuf, String> {
    let backing = at.with_extension("backing");
    std::fs::create_dir(&backing).map_err(|error| format!("no {}: {error}", backing.display()))?;
    host.does(&["mount", "-t", "tmpfs", "-o", THIN_BACKING, "none", &shown(&backing)])?;
    let image = backing.join("image");
    host.does(&["truncate", "-s", THIN_SIZE, &shown(&image)])?;
    let journal: &[&str] = if journal { &["-J", "size=4"] } else { &["-O", "^has_journal"] };
    let lazy = ["-E", "lazy_itable_init=1,lazy_journal_init=1"];
    let (shown_image, shown_at) = (shown(&image), shown(at));
    let words = ["mkfs.ext4", "-q", "-F", "-b", "4096"].iter().chain(&lazy).chain(journal);
    let words: Vec<&str> = words.copied().chain([shown_image.as_str()]).collect();
    host.does(&words)?;
    host.does(&["mount", "-o", "loop", &shown_image, &shown_at])?;
    host.does(&["rmdir", &shown(&at.join("lost+found"))])?;
    Ok(image)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Whether disks can be made here that lose what was not synced.
///
/// # Errors
/// Why not.
pub fn can_lose_power() -> Result<(), String> {
    #[cfg(feature = "fault-disks")]
    return super::faulty::can_mount();
    #[cfg(not(feature = "fault-disks"))]
    return Err("built without the feature `fault-disks`".into());
}

/// Whether an image of a file system can be mounted here, and be frozen.
///
/// # Errors
/// Why not, as the first command that fails says it.
pub fn can_mount_images() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let steps = "cd \"$0\" && truncate -s 16M image && mkfs.ext4 -q -F image && mkdir disk \
                 && mount -o loop image disk && fsfreeze --freeze disk && fsfreeze --unfreeze disk";
    let tried = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", steps])
        .arg(folder.path())
        .stdin(Stdio::null())
        .output();
    match tried {
        Err(error) => Err(format!("`unshare` cannot be started ({error}); install it")),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let why = said.lines().next().unwrap_or("nothing");
            Err(format!("images of file systems cannot be mounted and frozen: {why}"))
        }
    }
}
