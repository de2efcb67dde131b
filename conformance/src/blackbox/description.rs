//! The TOML file that describes a product: how to start a member, and how to be its client.

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
/// [member]
/// config = "member.toml"              # a template beside this file
/// each = '{ id = {id}, address = "{address}" }'   # what {members} repeats for each member
/// init = ["quorate", "init", "--config", "{config}"]
/// start = ["quorate", "member", "--config", "{config}"]
/// ready = "running"                   # what its standard error says when it runs
///
/// [client]                            # a line in is a message, a line out a reply, in order
/// start = ["quorate", "client", "--config", "{config}"]
/// ```
///
/// Placeholders: `{here}` the folder of this file, `{id}`, `{address}`, `{data}`, `{config}`,
/// `{group}`, `{members}`.
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
    /// How to run a member.
    pub member: MemberCommands,
    /// How to be a client.
    pub client: ClientCommands,
    /// Where the description is.
    #[serde(skip)]
    pub path: PathBuf,
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
        let text = "name = \"x\"\nabout = \"y\"\nversion = \"1\"\nport = 1\n[member]\n\
                    config = \"no.toml\"\neach = \"\"\ninit = []\nstart = []\nready = \"\"\n\
                    [client]\nstart = []\n";
        fs::write(&path, text).unwrap();
        assert!(Product::load(&path).unwrap_err().contains("no.toml"));
        fs::write(&path, "name = 1").unwrap();
        assert!(Product::load(&path).is_err());
    }
}
