//! `serve-shim-template`: a starting point for a shim.

use super::Exit;
use super::arguments::Language;

/// Says hello, and of everything else that it is unimplemented.
const PYTHON: &str = include_str!("../../shims/shim.py");

pub(super) fn print(language: Language) -> Exit {
    match language {
        Language::Python => tell!("{}", PYTHON.trim_end()),
    }
    Exit::Good
}
