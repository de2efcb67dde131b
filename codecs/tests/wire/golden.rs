//! Golden bytes: what is on the wire must not change unnoticed. `QUORATE_GOLDEN=update` writes the
//! file anew.

use core::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use quorate_codecs::decode;
use quorate_core::message::Live;
use quorate_core::{ClientKey, Incoming, Position, Stream};

use crate::samples::{client, member, samples};
use crate::{TAG, encoded, encoded_data};

fn golden() -> Vec<(String, String, Vec<u8>)> {
    let mut all = Vec::new();
    for (name, message) in samples() {
        let sender = if name.starts_with("Conn") { client() } else { member() };
        let debug = format!("{sender:?} {message:?}");
        all.push((name, debug, encoded(sender, &message)));
    }
    let live = Some(Live { newest: Position(0x2000), commit: Position(0x1800) });
    let key = ClientKey(0x5152_5354_5556_5758);
    let slices = [
        ("LogData live", Stream::Log, live),
        ("LogData repair", Stream::Log, None),
        ("SessionData ingress", Stream::Ingress(key), None),
        ("SessionData egress", Stream::Egress(key), None),
        ("SessionData snapshot", Stream::Snapshot, None),
    ];
    for (name, stream, live) in slices {
        let bytes = encoded_data(stream, 0x1000, live, (b"sixteen ", b"bytes..."));
        let (sender, content) = decode(&bytes, TAG).unwrap();
        let debug = format!("{sender:?} {content:?}");
        all.push((name.into(), debug, bytes));
    }
    all
}

fn text() -> String {
    let mut text = String::from(
        "Golden bytes of datagrams, 32 to a line. `QUORATE_GOLDEN=update cargo test -p \
         quorate-codecs` writes this anew.\n",
    );
    for (name, debug, bytes) in golden() {
        write!(text, "\n# {name}\n{debug}\n{}", hex(&bytes)).unwrap();
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    let mut hex = String::new();
    for line in bytes.chunks(32) {
        for byte in line {
            write!(hex, "{byte:02x}").unwrap();
        }
        hex.push('\n');
    }
    hex
}

fn in_package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn is_update() -> bool {
    std::env::var("QUORATE_GOLDEN").is_ok_and(|wish| wish == "update")
}

#[test]
fn every_message_has_its_golden_bytes() {
    let path = in_package("tests/wire/golden.txt");
    let fresh = text();
    if is_update() {
        fs::write(&path, &fresh).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap();
    for (fresh, stored) in fresh.split("\n# ").zip(stored.split("\n# ")) {
        assert_eq!(fresh, stored, "QUORATE_GOLDEN=update takes it over, if it is meant");
    }
    assert_eq!(fresh.len(), stored.len());
}

#[test]
fn golden_bytes_decode_to_what_they_were_made_from() {
    for (name, message) in samples() {
        for sender in [member(), client()] {
            let bytes = encoded(sender, &message);
            let decoded = decode(&bytes, TAG);
            assert_eq!(decoded, Ok((sender, Incoming::Control(message.clone()))), "{name}");
        }
    }
}

#[test]
fn the_protocol_shows_typical_bytes_of_every_kind() {
    let mut fresh = String::from("<!-- golden: begin -->\n");
    for (name, debug, bytes) in golden() {
        if !name.ends_with("minimal") && !name.ends_with("maximal") {
            write!(fresh, "\n`{debug}`\n\n```text\n{}```\n", hex(&bytes)).unwrap();
        }
    }
    fresh += "<!-- golden: end -->";
    let path = in_package("../PROTOCOL.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("<!-- golden: begin -->").unwrap();
    let (_, after) = rest.split_once("<!-- golden: end -->").unwrap();
    let wanted = format!("{before}{fresh}{after}");
    if is_update() && wanted != text {
        fs::write(&path, &wanted).unwrap();
    } else {
        assert!(wanted == text, "PROTOCOL.md is stale; QUORATE_GOLDEN=update writes it anew");
    }
}
