//! The table of marks: each names a test that is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use quorate_core::mark::ALL;

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("the sources are there") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn every_mark_names_a_test_of_the_core_and_no_two_have_one_name() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto-core/src"), &mut files);
    let text: String = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let mut names = BTreeSet::new();
    for mark in ALL {
        assert!(names.insert(mark.name), "{} is there twice", mark.name);
        let test = format!("fn {}()", mark.test);
        assert!(text.contains(&test), "{} names no test: {}", mark.name, mark.test);
    }
}
