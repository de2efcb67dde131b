//! The list of test functions, and that of the cases that wait, are those of the catalogue.

use std::fs;
use std::path::Path;

use quorate_conformance::testing::{names_file, waiting_file};

#[test]
fn the_list_of_names_is_that_of_the_catalogue() {
    compare("src/names.rs", &names_file());
}

#[test]
fn the_list_of_cases_that_wait_is_that_of_the_catalogue() {
    compare("WAITING.md", &waiting_file());
}

fn compare(name: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var("QUORATE_GOLDEN").as_deref() == Ok("update") {
        fs::write(&path, wanted).expect("the list can be written");
        return;
    }
    let found = fs::read_to_string(&path).expect("the list can be read");
    let missing = wanted.lines().find(|line| !found.contains(line));
    assert!(
        found == wanted,
        "{name} is stale, first at {missing:?}: write it anew with \
         `QUORATE_GOLDEN=update cargo test -p quorate-conformance --test names`"
    );
}
