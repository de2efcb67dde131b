//! A disk with the faults before it: each call is noted, meets its fault, and is done.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;

use crate::command::{Answer, Command};
use crate::content::Fates;
use crate::disk::{Disk, NodeId, Refusal};
use crate::faults::{Call, EIO, Effect, Faults, Met};

/// The longest log of calls, in bytes; later ones are only counted.
pub const LOG_BYTES_MAX: u64 = 16 << 20;

/// A disk, its faults and its log.
#[derive(Debug)]
pub struct Station {
    disk: Disk,
    faults: Faults,
    calls: BTreeMap<Call, u64>,
    log: Option<File>,
    log_left: u64,
    is_off: bool,
    /// Power losses so far.
    crashes: u64,
}

impl Station {
    /// A disk without faults; each call is written to the log, if there is one.
    #[must_use]
    pub const fn new(disk: Disk, log: Option<File>) -> Self {
        Self {
            disk,
            faults: Faults::new(),
            calls: BTreeMap::new(),
            log,
            log_left: LOG_BYTES_MAX,
            is_off: false,
            crashes: 0,
        }
    }

    /// The disk, past all faults.
    pub const fn disk(&mut self) -> &mut Disk {
        &mut self.disk
    }

    /// Power losses so far: what was begun before one does not end behind it.
    #[must_use]
    pub const fn crashes(&self) -> u64 {
        self.crashes
    }

    /// A call comes; what meets it. `about` says more of it in the log.
    pub fn meet(&mut self, call: Call, node: NodeId, name: &str, about: &str) -> Met {
        let mut path = self.disk.path(node);
        if !name.is_empty() {
            path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        }
        *self.calls.entry(call).or_default() += 1;
        let mut met = Met::default();
        if !self.is_off {
            met = self.faults.meet(call, &path);
            self.is_off = met.effect == Some(Effect::PowerOff);
        }
        if self.is_off {
            met.effect = Some(Effect::Error(EIO));
        }
        let effect = met.effect.map_or_else(String::new, |effect| format!(" [{effect}]"));
        self.note(&format!("{} {path} {about}{effect}\n", call.name()));
        met
    }

    fn note(&mut self, line: &str) {
        let Some(log) = &mut self.log else { return };
        let Some(left) = self.log_left.checked_sub(line.len() as u64) else { return };
        self.log_left = left;
        // A log that cannot be written is missed by nobody but its reader.
        let _ = log.write_all(line.as_bytes());
    }

    /// Whether a call is not to be done, because of what it met or because the power was off
    /// meanwhile.
    ///
    /// # Errors
    /// The error to answer with.
    pub fn pass(&self, met: Met, crashes: u64) -> Result<(), Refusal> {
        match met.effect {
            Some(Effect::Error(number)) => Err(Refusal::Fault(number)),
            _ if self.is_off || crashes != self.crashes => Err(Refusal::Fault(EIO)),
            _ => Ok(()),
        }
    }

    /// Reads, as the effect wants.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn read(
        &mut self,
        met: Met,
        node: NodeId,
        offset: u64,
        length: usize,
    ) -> Result<Vec<u8>, Refusal> {
        let length = match met.effect {
            Some(Effect::Short(most)) => length.min(usize::try_from(most).unwrap_or(length)),
            _ => length,
        };
        self.disk.read(node, offset, length)
    }

    /// Writes, as the effect wants; how many bytes the program is told.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write(
        &mut self,
        met: Met,
        node: NodeId,
        offset: u64,
        bytes: &[u8],
    ) -> Result<usize, Refusal> {
        let (mut offset, mut bytes) = (offset, bytes);
        match met.effect {
            Some(Effect::Lie) => return Ok(bytes.len()),
            Some(Effect::Shift(by)) => offset = offset.saturating_add(by),
            Some(Effect::Short(most)) => {
                bytes = &bytes[..bytes.len().min(usize::try_from(most).unwrap_or(bytes.len()))];
            }
            _ => {}
        }
        self.disk.write(node, offset, bytes)?;
        Ok(bytes.len())
    }

    /// Syncs, as the effect wants.
    ///
    /// # Errors
    /// Those of the disk, and that of a sync that forgets.
    pub fn sync(&mut self, met: Met, node: NodeId) -> Result<(), Refusal> {
        match met.effect {
            Some(Effect::Lie) => Ok(()),
            Some(Effect::Forget) => {
                self.disk.forget(node)?;
                Err(Refusal::Fault(EIO))
            }
            _ => self.disk.sync(node),
        }
    }

    /// Does what a harness asks for.
    pub fn obey(&mut self, command: Command) -> Answer {
        let shown = command.to_string();
        let answer = match command {
            Command::Fault(fault) => match self.faults.add(fault) {
                Some(number) => Answer::done(&[("number", number)]),
                None => Answer(Err("there are too many faults; heal them first".into())),
            },
            Command::Heal => {
                self.faults.clear();
                self.disk.make_readable();
                Answer::done(&[])
            }
            Command::Hits(number) => match self.faults.hits(number) {
                Some(hits) => Answer::done(&[("hits", hits)]),
                None => Answer(Err(format!("there is no fault {number}"))),
            },
            Command::Crash(seed) => {
                self.is_off = false;
                self.crashes += 1;
                told(self.disk.crash(seed))
            }
            Command::Rot(path, offset, bit) => {
                self.on_files(&path, |disk, node| disk.rot(node, offset, bit))
            }
            Command::Unreadable(path, offset, length) => {
                self.on_files(&path, |disk, node| disk.make_unreadable(node, offset, length))
            }
            Command::Calls => {
                let calls = Call::ALL
                    .map(|call| (call.name(), self.calls.get(&call).copied().unwrap_or_default()));
                Answer::done(&calls)
            }
        };
        self.note(&format!("-- {shown}: {answer}\n"));
        answer
    }

    /// Does something to all files whose path has this in it, and tells to how many.
    fn on_files(
        &mut self,
        path: &str,
        mut work: impl FnMut(&mut Disk, NodeId) -> Result<(), Refusal>,
    ) -> Answer {
        let files = self.disk.files(path);
        let done = files.into_iter().filter(|node| work(&mut self.disk, *node).is_ok()).count();
        Answer::done(&[("files", done as u64)])
    }
}

fn told(fates: Fates) -> Answer {
    Answer::done(&[
        ("pages_kept", fates.pages_kept),
        ("pages_lost", fates.pages_lost),
        ("pages_torn", fates.pages_torn),
        ("lengths_lost", fates.lengths_lost),
        ("names_kept", fates.names_kept),
        ("names_lost", fates.names_lost),
    ])
}
