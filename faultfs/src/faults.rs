//! Which calls fail, and how.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::collections::BTreeMap;

/// Faults that are waited for at a time.
pub const FAULTS_MAX: usize = 64;

/// The system's number of an input or output error.
pub(crate) const EIO: i32 = 5;
/// Names of errors, with Linux's numbers.
const ERRORS: [(&str, i32); 7] = [
    ("EINTR", 4),
    ("EIO", EIO),
    ("EAGAIN", 11),
    ("EMFILE", 24),
    ("ENOSPC", 28),
    ("EROFS", 30),
    ("EDQUOT", 122),
];

/// What a program asks of a file system.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Call {
    /// Opens a file or directory that is there.
    Open,
    /// Makes a file, directory or socket.
    Create,
    /// Reads from a file.
    Read,
    /// Writes to a file.
    Write,
    /// Syncs a file.
    Sync,
    /// Syncs a directory.
    SyncFolder,
    /// Renames.
    Rename,
    /// Removes a name.
    Remove,
    /// Sets the length of a file, or reserves room for it.
    Resize,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Open,
        Self::Create,
        Self::Read,
        Self::Write,
        Self::Sync,
        Self::SyncFolder,
        Self::Rename,
        Self::Remove,
        Self::Resize,
    ];

    /// Its name in commands and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Create => "create",
            Self::Read => "read",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::SyncFolder => "sync-folder",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::Resize => "resize",
        }
    }
}

impl FromStr for Call {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let call = Self::ALL.into_iter().find(|call| call.name() == text);
        call.ok_or_else(|| format!("there is no call {text:?}"))
    }
}

/// What is done to a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// It fails with this number, and does nothing.
    Error(i32),
    /// It takes longer.
    Delay(Duration),
    /// It succeeds, and does nothing: a write that is lost, a sync that syncs nothing.
    Lie,
    /// A sync that fails, behind which what it was to cover is taken for written back.
    Forget,
    /// A write lands so many bytes further on.
    Shift(u64),
    /// At most so many bytes are read or written.
    Short(u64),
    /// The power fails before this call: it and all behind it fail, until a crash is asked for.
    PowerOff,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(number) => match ERRORS.iter().find(|(_, known)| known == number) {
                Some((name, _)) => write!(f, "error {name}"),
                None => write!(f, "error {number}"),
            },
            Self::Delay(delay) => write!(f, "delay {}", delay.as_millis()),
            Self::Lie => f.write_str("lie"),
            Self::Forget => f.write_str("forget"),
            Self::Shift(bytes) => write!(f, "shift {bytes}"),
            Self::Short(bytes) => write!(f, "short {bytes}"),
            Self::PowerOff => f.write_str("power-off"),
        }
    }
}

impl FromStr for Effect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, argument) = text.split_once(' ').unwrap_or((text, ""));
        let number =
            || argument.parse().map_err(|_| format!("{name} needs a number, and not {argument:?}"));
        Ok(match name {
            "error" => {
                let known = ERRORS.iter().find(|(known, _)| *known == argument);
                let known = known.map(|(_, number)| *number).or_else(|| argument.parse().ok());
                Self::Error(known.ok_or_else(|| format!("there is no error {argument:?}"))?)
            }
            "delay" => Self::Delay(Duration::from_millis(number()?)),
            "lie" => Self::Lie,
            "forget" => Self::Forget,
            "shift" => Self::Shift(number()?),
            "short" => Self::Short(number()?),
            "power-off" => Self::PowerOff,
            _ => return Err(format!("there is no effect {name:?}")),
        })
    }
}

/// What is done to which calls.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// These calls.
    pub call: Call,
    /// Only files whose path has this in it; all if it is empty.
    pub path: String,
    /// So many of them pass before.
    pub skip: u64,
    /// So many are met then; all if it is none.
    pub times: Option<u64>,
    /// What is done to them.
    pub effect: Effect,
}

/// What has met a call.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Met {
    /// How long it takes.
    pub delay: Duration,
    /// What else is done to it.
    pub effect: Option<Effect>,
}

/// The faults that are waited for.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    waiting: BTreeMap<u64, (Fault, u64, u64)>,
    next: u64,
}

impl Faults {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self { waiting: BTreeMap::new(), next: 0 }
    }

    /// Adds a fault; its number, or none if there are [`FAULTS_MAX`].
    pub fn add(&mut self, fault: Fault) -> Option<u64> {
        if self.waiting.len() >= FAULTS_MAX {
            return None;
        }
        self.next += 1;
        self.waiting.insert(self.next, (fault, 0, 0));
        Some(self.next)
    }

    /// Takes all of them away.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// How many calls a fault has met; none if there is no such fault.
    #[must_use]
    pub fn hits(&self, number: u64) -> Option<u64> {
        self.waiting.get(&number).map(|(_, _, hits)| *hits)
    }

    /// What meets a call: all delays, and the first effect of another kind.
    pub fn meet(&mut self, call: Call, path: &str) -> Met {
        let mut met = Met::default();
        for (fault, seen, hits) in self.waiting.values_mut() {
            if fault.call != call || !path.contains(&fault.path) {
                continue;
            }
            *seen += 1;
            if *seen <= fault.skip || fault.times.is_some_and(|times| *hits >= times) {
                continue;
            }
            match fault.effect {
                Effect::Delay(delay) => met.delay += delay,
                effect if met.effect.is_none() => met.effect = Some(effect),
                _ => continue,
            }
            *hits += 1;
        }
        met
    }
}
