//! Reads one section of a configuration file and notes everything that is wrong with it.

use quorate_core::Duration;
use toml::{Table, Value};

use super::{Integer, Problem};

/// A section that is being read: knows which keys it was asked for, so that the others are unknown.
pub(super) struct Section<'a> {
    prefix: String,
    table: &'a Table,
    known: Vec<&'static str>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Section<'a> {
    /// The file itself, outside all sections.
    pub(super) const fn root(table: &'a Table, problems: &'a mut Vec<Problem>) -> Self {
        Self { prefix: String::new(), table, known: Vec::new(), problems }
    }

    pub(super) fn problem(&mut self, key: &str, value: Option<&Value>, reason: &str, fix: &str) {
        self.problems.push(Problem {
            key: format!("{}{key}", self.prefix),
            value: value.map(ToString::to_string),
            reason: reason.into(),
            fix: fix.into(),
        });
    }

    pub(super) fn optional(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        self.table.get(key)
    }

    pub(super) fn required(&mut self, key: &'static str, example: &str) -> Option<&'a Value> {
        let value = self.optional(key);
        if value.is_none() {
            self.problem(key, None, "is missing", &format!("write {example}"));
        }
        value
    }

    /// The section below this one with the name `key`, if there is one.
    pub(super) fn section(&mut self, key: &'static str) -> Option<Section<'_>> {
        match self.optional(key)? {
            Value::Table(table) => Some(Section {
                prefix: format!("{key}."),
                table,
                known: Vec::new(),
                problems: self.problems,
            }),
            other => {
                self.problem(key, Some(other), "is not a section", &format!("write [{key}]"));
                None
            }
        }
    }

    /// A table inside the list `key`.
    pub(super) fn entry<'s>(&'s mut self, key: &str, table: &'s Table) -> Section<'s> {
        Section { prefix: format!("{key}."), table, known: Vec::new(), problems: self.problems }
    }

    pub(super) fn number(
        &mut self,
        key: &str,
        value: &Value,
        least: u64,
        most: u64,
    ) -> Option<u64> {
        let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let fix = format!("write a whole number in {least}..={most}");
            self.problem(key, Some(value), "is out of range or no number", &fix);
        }
        number
    }

    pub(super) fn text(&mut self, key: &str, value: &Value) -> Option<String> {
        let text = value.as_str().filter(|text| !text.is_empty());
        if text.is_none() {
            self.problem(key, Some(value), "is not a text", "write it in quotes");
        }
        text.map(Into::into)
    }

    pub(super) fn duration_into(&mut self, key: &'static str, into: &mut Duration) {
        let Some(value) = self.optional(key) else { return };
        match value.as_str().and_then(parse_duration) {
            Some(duration) => *into = duration,
            None => {
                let fix = format!("write it like {:?}, in ns, us, ms or s", duration_text(*into));
                self.problem(key, Some(value), "is not a span of time", &fix);
            }
        }
    }

    pub(super) fn integer_into(&mut self, into: Integer<'_>) {
        let key = into.key();
        let Some(value) = self.optional(key) else { return };
        let most = match into {
            Integer::U32(..) => u64::from(u32::MAX),
            _ => i64::MAX as u64,
        };
        let Some(number) = self.number(key, value, 0, most) else { return };
        match into {
            Integer::U64(_, into) => *into = number,
            Integer::U32(_, into) => *into = u32::try_from(number).unwrap_or(u32::MAX),
            Integer::Usize(_, into) => *into = usize::try_from(number).unwrap_or(usize::MAX),
        }
    }

    pub(super) fn percent_into(&mut self, key: &'static str, into: &mut f64) {
        let Some(value) = self.optional(key) else { return };
        let number = value.as_float().or_else(|| value.as_integer().map(|number| number as f64));
        match number.filter(|number| (0.0..=100.0).contains(number)) {
            Some(percent) => *into = percent,
            None => self.problem(key, Some(value), "is not a percentage", "write 0 to 100"),
        }
    }

    /// Notes the keys that nobody asked for.
    pub(super) fn finish(mut self) {
        let unknown: Vec<&String> =
            self.table.keys().filter(|key| !self.known.contains(&key.as_str())).collect();
        for key in unknown {
            let nearest = self.known.iter().min_by_key(|known| distance(known, key));
            let fix = match nearest.filter(|known| distance(known, key) <= 1 + key.len() / 4) {
                Some(near) => format!("did you mean `{}{near}`?", self.prefix),
                None => "remove it".into(),
            };
            self.problem(key, self.table.get(key), "is not a key that is known here", &fix);
        }
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let nanos: u64 = match text[digits..].trim() {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(nanos).map(Duration)
}

/// A span as the file writes it, in the largest unit that is exact.
pub(super) fn duration_text(duration: Duration) -> String {
    let nanos = duration.0;
    for (unit, name) in [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")] {
        if nanos >= unit && nanos.is_multiple_of(unit) {
            return format!("{}{name}", nanos / unit);
        }
    }
    format!("{nanos}ns")
}

/// How many letters must be inserted, removed or changed to make `to` of `from` (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, one) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in to.iter().enumerate() {
            let changed = diagonal + usize::from(one != *other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}
