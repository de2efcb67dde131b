//! The lines that a rung prints: one JSON object each.

use std::io::{self, Write};

use serde_json::{Map, Value};

/// One line: names and values in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line(Map<String, Value>);

impl Line {
    /// A line of `rung`.
    pub(crate) fn of(rung: &str) -> Self {
        Self::default().with("rung", rung)
    }

    /// Adds a field.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a field with a number that is shown with two digits behind the point.
    pub(crate) fn with_rounded(self, name: &str, value: f64) -> Self {
        self.with(name, (value * 100.0).round() / 100.0)
    }

    /// Prints the line.
    pub(crate) fn print(self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", Value::Object(self.0))?;
        out.flush()
    }
}
