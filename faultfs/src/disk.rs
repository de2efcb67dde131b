//! Files and directories, as programs see them and as a power loss leaves them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use crate::content::{Content, Fates, PAGE_BYTES};
use crate::draws::Draws;
use crate::names::{Change, Journal, Names, Place};

/// Pages of all files, in all views and versions, that a disk holds at most; it is full then.
pub const PAGES_MAX: usize = 128 << 10;
/// The longest file, in bytes; what was not written of it takes no memory.
const FILE_BYTES_MAX: u64 = 1 << 40;
/// The most bytes of one read.
const READ_BYTES_MAX: usize = 1 << 20;
/// How deep directories lie, at most, in what a log or a fault calls a path.
const DEPTH_MAX: usize = 16;
/// Of what was not synced, one power loss keeps nothing, others so many parts of a hundred.
const KEEP: [u64; 4] = [0, 25, 50, 75];

/// A file or directory, whatever its name.
pub type NodeId = u64;
/// The directory that is mounted.
pub const ROOT: NodeId = 1;

/// What a node is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Folder,
    /// The name of a socket.
    Socket,
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// There is no such name, or no such node any more.
    #[error("there is no such file")]
    NotFound,
    /// The name is taken.
    #[error("the name is taken")]
    Exists,
    /// The directory has names in it.
    #[error("the directory is not empty")]
    NotEmpty,
    /// It is a directory, and has to be none.
    #[error("it is a directory")]
    IsFolder,
    /// It is no directory, and has to be one.
    #[error("it is no directory")]
    NotFolder,
    /// All pages are in use.
    #[error("the disk is full")]
    Full,
    /// The file would be too long.
    #[error("the file would be too long")]
    TooLong,
    /// What a fault says, as the system's number of the error.
    #[error("error {0} of the system")]
    Fault(i32),
}

/// What is known of a node besides its content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Attributes {
    /// The node.
    pub node: NodeId,
    /// What it is.
    pub kind: Kind,
    /// Its permissions.
    pub mode: u16,
    /// Its length in bytes.
    pub length: u64,
}

#[derive(Clone, Debug)]
enum Inside {
    File(Content),
    Folder(Names),
    Socket,
}

#[derive(Clone, Debug)]
struct Node {
    inside: Inside,
    mode: u16,
    /// Its last name, for logs and faults.
    place: Place,
    open: u64,
}

/// The whole of a file system.
#[derive(Clone, Debug)]
pub struct Disk {
    nodes: BTreeMap<NodeId, Node>,
    journal: Journal,
    next: NodeId,
    pages_max: usize,
}

impl Disk {
    /// An empty one with room for so many pages.
    #[must_use]
    pub fn new(pages_max: usize) -> Self {
        let inside = Inside::Folder(Names::new());
        let root = Node { inside, mode: 0o755, place: (ROOT, OsString::new()), open: 0 };
        let nodes = BTreeMap::from([(ROOT, root)]);
        Self { nodes, journal: Journal::default(), next: ROOT + 1, pages_max }
    }

    fn node(&self, node: NodeId) -> Result<&Node, Refusal> {
        self.nodes.get(&node).ok_or(Refusal::NotFound)
    }

    fn node_mut(&mut self, node: NodeId) -> Result<&mut Node, Refusal> {
        self.nodes.get_mut(&node).ok_or(Refusal::NotFound)
    }

    fn names(&self, folder: NodeId) -> Result<&Names, Refusal> {
        match &self.node(folder)?.inside {
            Inside::Folder(names) => Ok(names),
            _ => Err(Refusal::NotFolder),
        }
    }

    fn names_mut(&mut self, folder: NodeId) -> Result<&mut Names, Refusal> {
        match &mut self.node_mut(folder)?.inside {
            Inside::Folder(names) => Ok(names),
            _ => Err(Refusal::NotFolder),
        }
    }

    fn content(&mut self, node: NodeId) -> Result<&mut Content, Refusal> {
        match &mut self.node_mut(node)?.inside {
            Inside::File(content) => Ok(content),
            Inside::Folder(_) => Err(Refusal::IsFolder),
            Inside::Socket => Err(Refusal::NotFound),
        }
    }

    /// The pages in use, and how many there can be.
    #[must_use]
    pub fn pages(&self) -> (usize, usize) {
        let used = self.nodes.values().map(|node| match &node.inside {
            Inside::File(content) => content.pages(),
            _ => 0,
        });
        (used.sum(), self.pages_max)
    }

    /// The last path of a node, from the mounted directory on.
    #[must_use]
    pub fn path(&self, node: NodeId) -> String {
        let (mut parts, mut at) = (Vec::new(), node);
        while at != ROOT && parts.len() < DEPTH_MAX {
            let Some(Node { place: (folder, name), .. }) = self.nodes.get(&at) else { break };
            parts.push(name.to_string_lossy());
            at = *folder;
        }
        parts.reverse();
        parts.join("/")
    }

    /// The regular files whose path has this in it.
    #[must_use]
    pub fn files(&self, part: &str) -> Vec<NodeId> {
        let files = self.nodes.iter().filter(|(_, node)| matches!(node.inside, Inside::File(_)));
        files.map(|(id, _)| *id).filter(|id| self.path(*id).contains(part)).collect()
    }
}

/// Calls about names.
impl Disk {
    /// The node with this name.
    ///
    /// # Errors
    /// There is none.
    pub fn lookup(&self, folder: NodeId, name: &OsStr) -> Result<NodeId, Refusal> {
        self.names(folder)?.get(name).copied().ok_or(Refusal::NotFound)
    }

    /// What is known of a node.
    ///
    /// # Errors
    /// There is no such node any more.
    pub fn attributes(&self, node: NodeId) -> Result<Attributes, Refusal> {
        let found = self.node(node)?;
        let (kind, length) = match &found.inside {
            Inside::File(content) => (Kind::File, content.length()),
            Inside::Folder(_) => (Kind::Folder, 0),
            Inside::Socket => (Kind::Socket, 0),
        };
        Ok(Attributes { node, kind, mode: found.mode, length })
    }

    /// Sets the permissions of a node.
    ///
    /// # Errors
    /// There is no such node any more.
    pub fn set_mode(&mut self, node: NodeId, mode: u16) -> Result<(), Refusal> {
        self.node_mut(node)?.mode = mode & 0o7777;
        Ok(())
    }

    /// Makes a file, a directory or a socket.
    ///
    /// # Errors
    /// The name is taken, or the directory is none.
    pub fn create(
        &mut self,
        folder: NodeId,
        name: &OsStr,
        kind: Kind,
        mode: u16,
    ) -> Result<NodeId, Refusal> {
        if self.names(folder)?.contains_key(name) {
            return Err(Refusal::Exists);
        }
        let inside = match kind {
            Kind::File => Inside::File(Content::default()),
            Kind::Folder => Inside::Folder(Names::new()),
            Kind::Socket => Inside::Socket,
        };
        let id = self.next;
        self.next += 1;
        let place = (folder, name.to_owned());
        let node = Node { inside, mode: mode & 0o7777, place: place.clone(), open: 0 };
        self.nodes.insert(id, node);
        self.names_mut(folder)?.insert(name.to_owned(), id);
        self.journal.note(Change::Put(place, id));
        Ok(id)
    }

    /// Removes a name; what it named stays for who has it open, and for a power loss.
    ///
    /// # Errors
    /// There is no such name, or it is not of that kind, or a directory that is not empty.
    pub fn remove(&mut self, folder: NodeId, name: &OsStr, kind: Kind) -> Result<(), Refusal> {
        let node = self.lookup(folder, name)?;
        match (&self.node(node)?.inside, kind) {
            (Inside::Folder(names), Kind::Folder) if !names.is_empty() => {
                return Err(Refusal::NotEmpty);
            }
            (Inside::Folder(_), Kind::File | Kind::Socket) => return Err(Refusal::IsFolder),
            (Inside::File(_) | Inside::Socket, Kind::Folder) => return Err(Refusal::NotFolder),
            _ => {}
        }
        self.names_mut(folder)?.remove(name);
        self.journal.note(Change::Remove((folder, name.to_owned())));
        self.sweep();
        Ok(())
    }

    /// Renames, replacing what has the new name.
    ///
    /// # Errors
    /// There is no such name, or what has the new one is a directory with names in it or of another
    /// kind.
    pub fn rename(
        &mut self,
        (from, old): (NodeId, &OsStr),
        (to, new): (NodeId, &OsStr),
    ) -> Result<(), Refusal> {
        let node = self.lookup(from, old)?;
        let is_folder = matches!(self.node(node)?.inside, Inside::Folder(_));
        if let Some(there) = self.names(to)?.get(new).copied() {
            match (&self.node(there)?.inside, is_folder) {
                _ if there == node => return Ok(()),
                (Inside::Folder(names), true) if !names.is_empty() => {
                    return Err(Refusal::NotEmpty);
                }
                (Inside::Folder(_), false) => return Err(Refusal::IsFolder),
                (Inside::File(_) | Inside::Socket, true) => return Err(Refusal::NotFolder),
                _ => {}
            }
        }
        self.names_mut(from)?.remove(old);
        self.names_mut(to)?.insert(new.to_owned(), node);
        let place = (to, new.to_owned());
        self.node_mut(node)?.place = place.clone();
        self.journal.note(Change::Move((from, old.to_owned()), place, node));
        self.sweep();
        Ok(())
    }

    /// The names in a directory, in order.
    ///
    /// # Errors
    /// It is none.
    pub fn list(&self, folder: NodeId) -> Result<Vec<(OsString, NodeId)>, Refusal> {
        Ok(self.names(folder)?.iter().map(|(name, node)| (name.clone(), *node)).collect())
    }

    /// Somebody has opened a node.
    ///
    /// # Errors
    /// There is no such node any more.
    pub fn open(&mut self, node: NodeId) -> Result<(), Refusal> {
        self.node_mut(node)?.open += 1;
        Ok(())
    }

    /// Who had opened a node has closed it.
    pub fn close(&mut self, node: NodeId) {
        if let Ok(node) = self.node_mut(node) {
            node.open = node.open.saturating_sub(1);
        }
        self.sweep();
    }

    /// Frees what nobody can come by any more.
    fn sweep(&mut self) {
        let mut reachable: BTreeSet<NodeId> = self.journal.nodes().collect();
        reachable.insert(ROOT);
        for (id, node) in &self.nodes {
            if node.open > 0 {
                reachable.insert(*id);
            }
            if let Inside::Folder(names) = &node.inside {
                reachable.extend(names.values());
            }
        }
        self.nodes.retain(|id, _| reachable.contains(id));
        let nodes = &self.nodes;
        self.journal.retain(|folder| nodes.contains_key(&folder));
    }
}

/// Calls about content.
impl Disk {
    /// Reads at most so many bytes from `offset` on.
    ///
    /// # Errors
    /// It is no file, or a page of it cannot be read.
    pub fn read(&mut self, node: NodeId, offset: u64, length: usize) -> Result<Vec<u8>, Refusal> {
        let length = length.min(READ_BYTES_MAX);
        self.content(node)?.read(offset, length).ok_or(Refusal::Fault(crate::faults::EIO))
    }

    /// Writes at `offset`.
    ///
    /// # Errors
    /// It is no file, it would be too long, or the disk is full.
    pub fn write(&mut self, node: NodeId, offset: u64, bytes: &[u8]) -> Result<(), Refusal> {
        let end = offset.checked_add(bytes.len() as u64).filter(|end| *end <= FILE_BYTES_MAX);
        end.ok_or(Refusal::TooLong)?;
        let (used, most) = self.pages();
        let content = self.content(node)?;
        // Each page is there as written, and as a version.
        if used + 2 * (bytes.len().div_ceil(PAGE_BYTES) + 1) > most {
            return Err(Refusal::Full);
        }
        content.write(offset, bytes);
        Ok(())
    }

    /// Cuts a file, or extends it by zeros.
    ///
    /// # Errors
    /// It is no file, or it would be too long.
    pub fn set_length(&mut self, node: NodeId, length: u64) -> Result<(), Refusal> {
        let content = self.content(node)?;
        if length > FILE_BYTES_MAX {
            return Err(Refusal::TooLong);
        }
        content.set_length(length);
        Ok(())
    }

    /// Extends a file to so many bytes, unless it is longer.
    ///
    /// # Errors
    /// As [`Disk::set_length`].
    pub fn allocate(&mut self, node: NodeId, length: u64) -> Result<(), Refusal> {
        let now = self.content(node)?.length();
        self.set_length(node, now.max(length))
    }

    /// Makes the content of a file durable, or the names in a directory.
    ///
    /// # Errors
    /// There is no such node any more.
    pub fn sync(&mut self, node: NodeId) -> Result<(), Refusal> {
        match &mut self.node_mut(node)?.inside {
            Inside::File(content) => content.sync(),
            Inside::Folder(_) => {
                self.journal.sync(node);
                self.sweep();
            }
            Inside::Socket => {}
        }
        Ok(())
    }

    /// What a file has that is not synced never will be: as after a sync that failed.
    ///
    /// # Errors
    /// It is no file.
    pub fn forget(&mut self, node: NodeId) -> Result<(), Refusal> {
        self.content(node)?.forget();
        Ok(())
    }

    /// The pages of a range of a file cannot be read until they are written again.
    ///
    /// # Errors
    /// It is no file.
    pub fn make_unreadable(
        &mut self,
        node: NodeId,
        offset: u64,
        length: usize,
    ) -> Result<(), Refusal> {
        self.content(node)?.make_unreadable(offset, length);
        Ok(())
    }

    /// All files can be read again.
    pub fn make_readable(&mut self) {
        for node in self.nodes.values_mut() {
            if let Inside::File(content) = &mut node.inside {
                content.make_readable();
            }
        }
    }

    /// Turns one bit of a file over.
    ///
    /// # Errors
    /// It is no file, or shorter.
    pub fn rot(&mut self, node: NodeId, offset: u64, bit: u8) -> Result<(), Refusal> {
        let content = self.content(node)?;
        if offset >= content.length() {
            return Err(Refusal::NotFound);
        }
        content.rot(offset, bit);
        Ok(())
    }

    /// The power fails: of what was not synced, the seed says what is there.
    pub fn crash(&mut self, seed: u64) -> Fates {
        let mut draws = Draws::new(seed);
        let mut fates = Fates::default();
        let keep = KEEP[draws.below(KEEP.len() as u64) as usize];
        let durable = self.journal.crash(&mut draws, keep, &mut fates);
        for (id, node) in &mut self.nodes {
            match &mut node.inside {
                Inside::File(content) => content.crash(&mut draws, keep, &mut fates),
                Inside::Folder(names) => *names = durable.get(id).cloned().unwrap_or_default(),
                Inside::Socket => {}
            }
        }
        for (folder, names) in durable {
            for (name, node) in names {
                if let Some(node) = self.nodes.get_mut(node) {
                    node.place = (*folder, name.clone());
                }
            }
        }
        self.sweep();
        fates
    }
}
