//! `cargo xtask codegen`: flyweights and tables from the schema, checked in and kept fresh.

mod emit;
mod error;
mod model;
mod schema;
mod tables;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use self::emit::Style;
use self::error::SchemaError;
use self::model::{Message, Schema};

/// Why nothing was generated, or what is not fresh.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodegenError {
    #[error("{path}: {source}")]
    Schema { path: &'static str, source: SchemaError },
    #[error("{}: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("rustfmt refuses what was generated for {}: {reason}", .path.display())]
    Format { path: PathBuf, reason: String },
    #[error("PROTOCOL.md lacks the marker `{marker}`; put it back")]
    Marker { marker: String },
    #[error("not what the schema says: {}; run `cargo xtask codegen`", .paths.join(", "))]
    Stale { paths: Vec<String> },
}

const SCHEMA: &str = "schema/quorate.xml";
/// Two versions of one small schema, so that reading across versions is tested on real code.
const EVOLUTION: [(&str, &str); 2] = [
    ("codecs/tests/wire/evolution/older.xml", "codecs/tests/wire/evolution/older.rs"),
    ("codecs/tests/wire/evolution/newer.xml", "codecs/tests/wire/evolution/newer.rs"),
];
const FRAMES: &str = "proto-core/src/frame/generated.rs";
const DATAGRAMS: &str = "codecs/src/generated";
const PROTOCOL: &str = "PROTOCOL.md";

/// Writes everything that is generated below `root`, or only compares it.
///
/// # Errors
/// [`CodegenError::Stale`] when it was only compared and differs; others when it cannot be made.
pub(crate) fn run(root: &Path, check: bool) -> Result<(), CodegenError> {
    let files = generate(root)?;
    let mut stale = Vec::new();
    for (path, text) in &files {
        let full = root.join(path);
        let same = fs::read_to_string(&full).is_ok_and(|found| found == *text);
        if same {
            continue;
        }
        if check {
            stale.push(path.clone());
        } else {
            write(&full, text)?;
        }
    }
    for left in leftovers(root, &files)? {
        if check {
            stale.push(left);
        } else {
            let path = root.join(left);
            fs::remove_file(&path).map_err(|source| CodegenError::File { path, source })?;
        }
    }
    if stale.is_empty() { Ok(()) } else { Err(CodegenError::Stale { paths: stale }) }
}

/// Whether code can be generated from the schema `text`.
///
/// # Errors
/// The first thing that is wrong with it.
pub(crate) fn check(text: &str) -> Result<(), SchemaError> {
    schema::parse(text).and_then(reject_data).map(|_| ())
}

/// Every file that is generated, by its path from the root.
fn generate(root: &Path) -> Result<Vec<(String, String)>, CodegenError> {
    let schema = load(root, SCHEMA)?;
    let of = |semantic: &str| -> Vec<&Message> {
        schema.messages.iter().filter(|message| message.semantic_type == semantic).collect()
    };
    let (frames, datagrams) = (of("frame"), of("datagram"));
    let style = Style {
        visibility: "pub(super)",
        source: SCHEMA,
        title: "Flyweights of the bodies of log frames.",
    };
    let mut files = vec![(FRAMES.to_string(), emit::single(&schema, &frames, style))];
    let style = Style { visibility: "pub", source: SCHEMA, title: "Flyweights of datagrams." };
    for (name, text) in emit::folder(&schema, &datagrams, style) {
        files.push((format!("{DATAGRAMS}/{name}"), text));
    }
    for (source, path) in EVOLUTION {
        let schema = load(root, source)?;
        let messages: Vec<&Message> = schema.messages.iter().collect();
        let title = "Flyweights of a schema for tests.";
        let style = Style { visibility: "pub(super)", source, title };
        files.push((path.into(), emit::single(&schema, &messages, style)));
    }
    for (path, text) in &mut files {
        *text = format(root, path, text)?;
    }
    files.push((PROTOCOL.into(), protocol(root, &schema, &frames, &datagrams)?));
    Ok(files)
}

fn load(root: &Path, path: &'static str) -> Result<Schema, CodegenError> {
    let schema = schema::parse(&read(&root.join(path))?);
    schema.and_then(reject_data).map_err(|source| CodegenError::Schema { path, source })
}

/// Variable-length data is valid, but nothing here needs it: payloads are the rest of a frame or of
/// a datagram.
fn reject_data(schema: Schema) -> Result<Schema, SchemaError> {
    match schema.messages.iter().find(|message| !message.data.is_empty()) {
        Some(message) => Err(SchemaError::Unsupported {
            place: format!("message {}.{}", message.name, message.data[0]),
            what: "data".into(),
        }),
        None => Ok(schema),
    }
}

/// PROTOCOL.md with its tables written anew.
fn protocol(
    root: &Path,
    schema: &Schema,
    frames: &[&Message],
    datagrams: &[&Message],
) -> Result<String, CodegenError> {
    let mut text = read(&root.join(PROTOCOL))?;
    let sections = [
        ("frames", tables::messages(frames)),
        ("datagrams", tables::messages(datagrams)),
        ("types", tables::types(schema)),
    ];
    for (name, table) in sections {
        text = replace_section(&text, name, &table)?;
    }
    Ok(text)
}

fn replace_section(text: &str, name: &str, table: &str) -> Result<String, CodegenError> {
    let begin = format!("<!-- generated {name}: begin -->\n");
    let end = format!("<!-- generated {name}: end -->");
    let missing = |marker: &str| CodegenError::Marker { marker: marker.trim_end().into() };
    let (before, rest) = text.split_once(&begin).ok_or_else(|| missing(&begin))?;
    let (_, after) = rest.split_once(&end).ok_or_else(|| missing(&end))?;
    Ok(format!("{before}{begin}\n{table}{end}{after}"))
}

/// Files in the folder of datagrams that are not generated any more.
fn leftovers(root: &Path, files: &[(String, String)]) -> Result<Vec<String>, CodegenError> {
    let folder = root.join(DATAGRAMS);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let failed = |source| CodegenError::File { path: folder.clone(), source };
    let mut left = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let path = format!("{DATAGRAMS}/{}", name.to_string_lossy());
        if !files.iter().any(|(known, _)| *known == path) {
            left.push(path);
        }
    }
    left.sort();
    Ok(left)
}

fn read(path: &Path) -> Result<String, CodegenError> {
    fs::read_to_string(path).map_err(|source| CodegenError::File { path: path.into(), source })
}

fn write(path: &Path, text: &str) -> Result<(), CodegenError> {
    let failed = |source| CodegenError::File { path: path.into(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, text).map_err(failed)
}

/// `text` as `rustfmt` lays it out.
fn format(root: &Path, path: &str, text: &str) -> Result<String, CodegenError> {
    let failed = |source| CodegenError::File { path: "rustfmt".into(), source };
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--emit", "stdout", "--config-path"])
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    let refused = |reason: String| CodegenError::Format { path: path.into(), reason };
    if !output.status.success() {
        return Err(refused(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    String::from_utf8(output.stdout).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_checked_in_is_what_the_schema_says() {
        run(&crate::root(), true).unwrap();
    }

    #[test]
    fn a_check_names_what_was_changed_by_hand_and_what_is_left_over() {
        let copy = tempfile::tempdir().unwrap();
        for path in [SCHEMA, EVOLUTION[0].0, EVOLUTION[1].0, PROTOCOL, "rustfmt.toml"] {
            write(&copy.path().join(path), &read(&crate::root().join(path)).unwrap()).unwrap();
        }
        run(copy.path(), false).unwrap();
        let left = format!("{DATAGRAMS}/left_over.rs");
        write(&copy.path().join(FRAMES), "// changed by hand").unwrap();
        write(&copy.path().join(&left), "").unwrap();
        let stale = run(copy.path(), true).unwrap_err().to_string();
        assert!(stale.contains(FRAMES) && stale.contains(&left), "{stale}");
        assert!(stale.contains("run `cargo xtask codegen`"), "{stale}");
        assert!(!stale.contains("mod.rs"), "{stale}");
    }

    #[test]
    fn a_section_is_replaced_between_its_markers() {
        let text = "a\n<!-- generated x: begin -->\nold\n<!-- generated x: end -->\nb\n";
        let replaced = replace_section(text, "x", "new\n").unwrap();
        assert_eq!(
            replaced,
            "a\n<!-- generated x: begin -->\n\nnew\n<!-- generated x: end -->\nb\n"
        );
        assert_eq!(replace_section(&replaced, "x", "new\n").unwrap(), replaced);
        assert!(replace_section(text, "y", "").is_err());
    }
}
