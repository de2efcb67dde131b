//! The TOML file that describes a product: how to start a member, and how to be its client.

use core::time::Duration;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A product, as its file describes it.
///
/// ```toml
/// name = "quorate"
/// about = "members as the command starts them"
/// version = "0.1.0"
/// port = 7100
///
/// [times]                             # its time-outs, in milliseconds
/// heartbeat = 20
/// election_min = 150
/// election_max = 300
///
/// [member]
/// config = "member.toml"              # a template beside this file
/// each = '{ id = {id}, address = "{address}" }'   # what {members} repeats for each member
/// init = ["quorate", "init", "--config", "{config}"]
/// start = ["quorate", "member", "--config", "{config}"]
/// ready = "running"                   # what its standard error says when it runs
/// status_signal = "USR1"              # on which it writes its status there; may be left out
/// overflows = '"overflows":'          # before the kernel's drops in that status; may be left out
/// log = { file = "0000.segment", begin = 16384 }  # where its log begins; may be left out
/// scrub = "[scrub]\ninterval = \"50ms\""   # {scrub} if it is to read all again; may be left out
///
/// [member.volatile]                   # may be left out: what it takes to lose something in order
/// config = 'durability = "volatile"'  # {durability} in the configuration of such members
/// applied = '"applied":'              # before the end of what is applied, in the status
/// entries = '"entries":'              # before the number of messages that were
/// safe = '"safe":'                    # before the end of what a quorum has on its disks
/// recover = ["quorate", "tool", "recover", "--lossy", "--json"]   # and all data directories
/// kept = '"kept":'                    # before the end of what is kept, in what that tells
/// promised = '"promised":'            # before up to where it knows that something is lost
/// word = '"confirm":"'                # before the word with which it is done
/// confirm = ["--confirm", "{word}"]   # what is added then
/// client = ["--recovery-epoch", "1"]  # what is added to a client's command from then on
///
/// [client]                            # a line in is a message, a line out a reply, in order
/// start = ["quorate", "client", "--config", "{config}"]
/// ```
///
/// Placeholders: `{here}` the folder of this file, `{target}` the folder of Cargo's builds
/// (`CARGO_TARGET_DIR`, or `target` in the nearest folder above with a `Cargo.lock`), `{id}`,
/// `{address}`, `{data}`, `{config}`, `{group}`, `{members}`, `{scrub}`, `{durability}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// A short name.
    pub name: String,
    /// What it is, in one sentence.
    pub about: String,
    /// Its version.
    pub version: String,
    /// The port of every member, each at an address of its own.
    pub port: u16,
    /// Its time-outs: the bounds of the cases are multiples of them.
    pub times: Times,
    /// How to run a member.
    pub member: MemberCommands,
    /// How to be a client.
    pub client: ClientCommands,
    /// Where the description is.
    #[serde(skip)]
    pub path: PathBuf,
}

/// The time-outs of a product, in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    heartbeat: u32,
    election_min: u32,
    election_max: u32,
}

impl Times {
    /// Between two heartbeats of a leader.
    #[must_use]
    pub fn heartbeat(self) -> Duration {
        Duration::from_millis(self.heartbeat.into())
    }

    /// The shortest silence of a leader behind which somebody campaigns.
    #[must_use]
    pub fn election_min(self) -> Duration {
        Duration::from_millis(self.election_min.into())
    }

    /// The longest one.
    #[must_use]
    pub fn election_max(self) -> Duration {
        Duration::from_millis(self.election_max.into())
    }
}

/// How to run a member.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberCommands {
    /// A template of its configuration, beside the description.
    pub config: PathBuf,
    /// What `{members}` repeats for each member, separated by commas.
    pub each: String,
    /// What prepares its data directory, once.
    pub init: Vec<String>,
    /// What runs it.
    pub start: Vec<String>,
    /// What its standard error says when it runs.
    pub ready: String,
    /// The signal on which it writes its status to its standard error, such as `USR1`, if there is
    /// one.
    pub status_signal: Option<String>,
    /// What stands in that status before the number of datagrams that the kernel dropped for want
    /// of room in the receive buffer.
    pub overflows: Option<String>,
    /// Where its log begins, for cases that damage it.
    pub log: Option<LogFile>,
    /// What `{scrub}` stands for in the configuration of members that read again, all the time and
    /// fast, what they have stored; it stands for nothing in that of others.
    pub scrub: Option<String>,
    /// How members lose what they held in memory, if they may, and who tells what that is.
    pub volatile: Option<Volatile>,
}

/// Members whose replies do not wait for their disks, and the tool by which their group goes on
/// when it has lost something.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volatile {
    /// What `{durability}` stands for in the configuration of such members; for nothing in that of
    /// others.
    pub config: String,
    /// What stands in a member's status before the end of what it has applied.
    pub applied: String,
    /// What stands there before the number of messages that it has applied.
    pub entries: String,
    /// What stands there, if it leads, before the end of what is on the disks of a quorum.
    pub safe: String,
    /// What tells, on its standard output, what is kept and what is lost; the members' data
    /// directories are added.
    pub recover: Vec<String>,
    /// What stands there before the end of what is kept.
    pub kept: String,
    /// What stands there before up to where it knows of something that is lost.
    pub promised: String,
    /// What stands there before the word, up to a quotation mark, with which it is done.
    pub word: String,
    /// What is added to the command to do it: `{word}` is that.
    pub confirm: Vec<String>,
    /// What is added to a client's command from then on.
    pub client: Vec<String>,
}

/// The first file of a member's log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogFile {
    /// What its path has in it, and that of no other file.
    pub file: String,
    /// The first byte of the first message in it, from the beginning of the file.
    pub begin: u64,
}

/// How to be a client.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCommands {
    /// What runs one: each line of its standard input is a message, each line of its standard
    /// output a reply, in order.
    pub start: Vec<String>,
}

impl Product {
    /// Reads a description.
    ///
    /// # Errors
    /// The file cannot be read, is no TOML of this shape, or names a template that is not there.
    pub fn load(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text =
            fs::read_to_string(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
        let mut product: Self =
            toml::from_str(&text).map_err(|error| format!("{shown}: {error}"))?;
        product.path = fs::canonicalize(path).map_err(|error| format!("{shown}: {error}"))?;
        let template = product.here().join(&product.member.config);
        if !template.is_file() {
            return Err(format!("{shown}: there is no template {}", template.display()));
        }
        Ok(product)
    }

    /// The folder of the description.
    #[must_use]
    pub fn here(&self) -> &Path {
        self.path.parent().unwrap_or_else(|| Path::new("."))
    }

    /// The folder of Cargo's builds: where the environment says, or in the workspace around the
    /// description.
    #[must_use]
    pub fn target(&self) -> PathBuf {
        let named = std::env::var_os("CARGO_TARGET_DIR").filter(|path| !path.is_empty());
        named.map_or_else(
            || {
                let mut folders = self.here().ancestors();
                let workspace = folders.find(|folder| folder.join("Cargo.lock").is_file());
                workspace.unwrap_or_else(|| self.here()).join("target")
            },
            |path| std::path::absolute(&path).unwrap_or_else(|_| path.into()),
        )
    }
}

/// Replaces each `{name}` by its value.
pub(super) fn fill(text: &str, values: &[(&str, String)]) -> String {
    let mut filled = text.to_owned();
    for (name, value) in values {
        filled = filled.replace(&format!("{{{name}}}"), value);
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled() {
        let values = [("id", "3".to_owned()), ("data", "/d".to_owned())];
        assert_eq!(fill("{data}/{id}-{id} {other}", &values), "/d/3-3 {other}");
    }

    #[test]
    fn a_missing_template_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("product.toml");
        let text = "name = \"x\"\nabout = \"y\"\nversion = \"1\"\nport = 1\n[times]\n\
                    heartbeat = 1\nelection_min = 1\nelection_max = 1\n[member]\n\
                    config = \"no.toml\"\neach = \"\"\ninit = []\nstart = []\nready = \"\"\n\
                    [client]\nstart = []\n";
        fs::write(&path, text).unwrap();
        assert!(Product::load(&path).unwrap_err().contains("no.toml"));
        fs::write(&path, "name = 1").unwrap();
        assert!(Product::load(&path).is_err());
    }
}
