//! The tables of the document with the figures, made of the lines that the rungs printed: what is
//! between the marks `<!-- table NAME -->` and `<!-- /table -->` is replaced.

mod cells;
mod layout;

use core::error::Error;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use self::layout::{Shape, TABLES, Table};
use crate::plot::read_lines;

const BEGIN: &str = "<!-- table ";
const BEGIN_END: &str = " -->";
const END: &str = "<!-- /table -->";

/// Where the lines are, and the document.
#[derive(Args, Clone, Debug)]
pub(crate) struct TableOptions {
    /// The folder with the lines: `*.jsonl`.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    results: PathBuf,
    /// The document whose tables are written anew.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../BENCHMARKS.md"))]
    document: PathBuf,
}

/// Writes all tables of the document anew.
///
/// # Errors
/// The lines or the document could not be read or written, or the document marks a table that there
/// is none of.
pub(crate) fn run(options: &TableOptions) -> Result<(), Box<dyn Error>> {
    let lines = read_lines(&options.results)?;
    let place = |error| format!("{}: {error}", options.document.display());
    let document = fs::read_to_string(&options.document).map_err(place)?;
    let renewed = renew(&document, &lines)
        .map_err(|error| format!("{}: {error}", options.document.display()))?;
    Ok(fs::write(&options.document, renewed).map_err(place)?)
}

/// The document with its tables made of these lines.
fn renew(document: &str, lines: &[Value]) -> Result<String, String> {
    let mut renewed = String::with_capacity(document.len());
    let mut rest = document;
    while let Some((before, behind)) = rest.split_once(BEGIN) {
        let (name, behind) = behind.split_once(BEGIN_END).ok_or("a mark without an end")?;
        let unended = || format!("the table {name} has no mark {END} behind it");
        let (_, behind) = behind.split_once(END).ok_or_else(unended)?;
        let table = TABLES.iter().find(|table| table.name == name);
        let table = table.ok_or_else(|| {
            let known: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
            format!("there is no table {name}, only {}", known.join(", "))
        })?;
        for part in [before, BEGIN, name, BEGIN_END, "\n\n", &table.of(lines), "\n", END] {
            renewed.push_str(part);
        }
        rest = behind;
    }
    renewed.push_str(rest);
    Ok(renewed)
}

impl Table {
    /// As Markdown, of these lines.
    fn of(&self, lines: &[Value]) -> String {
        let lines: Vec<&Value> = lines.iter().filter(|line| self.takes(line)).collect();
        match &self.shape {
            Shape::Rows(columns) => {
                let headings = columns.iter().map(|(heading, ..)| (*heading).to_owned()).collect();
                let row = |line: &&Value| {
                    columns.iter().map(|(_, field, cell)| cell(&line[*field])).collect()
                };
                markdown(headings, lines.iter().map(row).collect())
            }
            Shape::Grid { down, across, unit, values } => {
                let mut steps: Vec<f64> =
                    lines.iter().filter_map(|line| line[*across].as_f64()).collect();
                steps.sort_by(f64::total_cmp);
                steps.dedup();
                let mut headings: Vec<String> =
                    down.iter().map(|(heading, ..)| (*heading).to_owned()).collect();
                let headed = |step: &f64| format!("{}{unit}", cells::plain(&(*step).into()));
                headings.extend(steps.iter().map(headed));
                let mut rows: Vec<Vec<String>> = Vec::new();
                for line in lines {
                    let key: Vec<String> =
                        down.iter().map(|(_, field, cell)| cell(&line[*field])).collect();
                    let index = rows.iter().position(|row| row.starts_with(&key));
                    let index = index.unwrap_or_else(|| {
                        let mut row = key.clone();
                        row.resize(key.len() + steps.len(), cells::plain(&Value::Null));
                        rows.push(row);
                        rows.len() - 1
                    });
                    let step = line[*across].as_f64();
                    if let Some(at) = steps.iter().position(|known| Some(*known) == step) {
                        let shown = values.iter().map(|(field, cell)| cell(&line[*field]));
                        rows[index][key.len() + at] = shown.collect::<Vec<_>>().join(" / ");
                    }
                }
                markdown(headings, rows)
            }
        }
    }

    fn takes(&self, line: &Value) -> bool {
        let has = |(field, wanted): &(&str, &str)| {
            let value = &line[*field];
            !value.is_null() && (wanted.is_empty() || cells::plain(value) == *wanted)
        };
        line["rung"].as_str() == Some(self.rung) && self.having.iter().all(has)
    }
}

fn markdown(headings: Vec<String>, rows: Vec<Vec<String>>) -> String {
    let mut text = format!("| {} |\n|{}\n", headings.join(" | "), "---|".repeat(headings.len()));
    for row in rows {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn loopback(window: u64, loss: f64, per_s: f64) -> Value {
        json!({"rung": "loopback", "window": window, "loss": loss, "storage": "memory",
            "runtime": "mio", "idle": "block", "per_s": per_s})
    }

    #[test]
    fn what_is_between_marks_is_replaced_and_nothing_else() {
        let document = "a\n<!-- table codec -->\nold\n<!-- /table -->\nb\n";
        let lines = [json!({"rung": "codec", "case": "x", "bytes": 1_296, "ns": 32.5})];
        let renewed = renew(document, &lines).unwrap();
        let table = "| case | bytes | nanoseconds | instructions |\n|---|---|---|---|\n\
            | x | 1,296 | 32.5 | – |\n";
        assert_eq!(renewed, format!("a\n<!-- table codec -->\n\n{table}\n<!-- /table -->\nb\n"));
        assert_eq!(renew(&renewed, &lines).unwrap(), renewed);
    }

    #[test]
    fn a_grid_has_a_row_for_each_condition() {
        let lines = [loopback(1, 0.0, 10.0), loopback(256, 0.0, 20.0), loopback(256, 1.0, 15.0)];
        let table = TABLES.iter().find(|table| table.name == "loopback-rates").unwrap();
        assert_eq!(
            table.of(&lines),
            "| archive | loss | runtime | 1 in flight | 256 in flight |\n|---|---|---|---|---|\n\
             | memory | 0 % | mio | 10 | 20 |\n| memory | 1 % | mio | – | 15 |\n"
        );
    }

    #[test]
    fn marks_that_mean_nothing_are_told() {
        let unknown = renew("<!-- table none -->\n<!-- /table -->", &[]).unwrap_err();
        assert!(unknown.starts_with("there is no table none, only core-peer, "), "{unknown}");
        let open = renew("<!-- table codec -->\n", &[]).unwrap_err();
        assert_eq!(open, "the table codec has no mark <!-- /table --> behind it");
    }

    #[test]
    fn the_document_marks_every_table_once() {
        let document = include_str!("../../../BENCHMARKS.md");
        for table in &TABLES {
            let mark = format!("{BEGIN}{}{BEGIN_END}", table.name);
            assert_eq!(document.matches(&mark).count(), 1, "{}", table.name);
        }
    }
}
