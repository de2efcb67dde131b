//! Which case notices which deliberate mistake of the core, and the document that says so.

use core::fmt::Write as _;
use std::collections::{BTreeMap, BTreeSet};

use quorate_core::mutant::{ALL, Mutant};

use crate::case::Case;
use crate::catalogue;

/// A case, and the numbers of the mistakes that it notices.
pub type Row = (&'static Case, BTreeSet<u32>);

/// The table of cases and mistakes.
#[derive(Clone, Debug)]
pub struct Kills {
    mutants: Vec<Mutant>,
    /// In the order of the catalogue.
    cases: Vec<Row>,
}

impl Kills {
    /// A table of these cases and mistakes, in which no case has noticed any yet.
    pub fn new(
        cases: impl IntoIterator<Item = &'static Case>,
        mutants: impl IntoIterator<Item = Mutant>,
    ) -> Self {
        let cases = cases.into_iter().map(|case| (case, BTreeSet::new())).collect();
        Self { mutants: mutants.into_iter().collect(), cases }
    }

    /// Notes that the case with this id fails when the mistake with this number is made.
    pub fn note(&mut self, id: &str, mutant: u32) {
        if let Some((_, noticed)) = self.cases.iter_mut().find(|(case, _)| case.id == id) {
            noticed.insert(mutant);
        }
    }

    /// Takes over rows of another table of the same mistakes.
    pub fn take_over(&mut self, rows: Vec<Row>) {
        self.cases.extend(rows);
        let place = |id: &str| catalogue::all().position(|case| case.id == id);
        self.cases.sort_by_key(|(case, _)| place(case.id));
    }

    /// The ids of the cases that notice a mistake.
    pub fn noticing(&self, mutant: u32) -> impl Iterator<Item = &'static str> {
        let of = move |(case, noticed): &Row| noticed.contains(&mutant).then_some(case.id);
        self.cases.iter().filter_map(of)
    }

    /// The mistakes that no case notices.
    pub fn unnoticed(&self) -> impl Iterator<Item = &Mutant> {
        self.mutants.iter().filter(|mutant| self.noticing(mutant.number).next().is_none())
    }

    /// The cases that notice no mistake.
    pub fn idle(&self) -> impl Iterator<Item = &'static Case> {
        self.cases.iter().filter(|(_, noticed)| noticed.is_empty()).map(|(case, _)| *case)
    }

    /// The totals in one sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        let (mutants, cases) = (self.mutants.len(), self.cases.len());
        let (noticed, useful) = (mutants - self.unnoticed().count(), cases - self.idle().count());
        format!(
            "{noticed} of {mutants} mistakes are noticed by a case; {useful} of {cases} cases \
             notice a mistake."
        )
    }

    /// The document, made at `commit` of sources with these hashes.
    #[must_use]
    pub fn markdown(&self, made_of: &BTreeMap<String, u64>, commit: &str) -> String {
        let mut text = String::from(HEAD);
        let _ = writeln!(text, "\n{}", self.summary());
        self.tell_unnoticed(&mut text);
        text.push_str("\n## By mistake\n\n| | mistake | noticed by | cases |\n|---|---|---|---|\n");
        for mutant in &self.mutants {
            let ids: Vec<&str> = self.noticing(mutant.number).collect();
            let Mutant { number, name, .. } = mutant;
            let name = name.replace('_', " ");
            let _ = writeln!(text, "| {number} | {name} | {} | {} |", ids.len(), by_group(&ids));
        }
        text.push_str("\n## By case\n\n| case | | mistakes |\n|---|---|---|\n");
        for (case, noticed) in self.cases.iter().filter(|(_, noticed)| !noticed.is_empty()) {
            let _ = writeln!(text, "| {} | {} | {} |", case.id, case.title, spans(noticed));
        }
        text.push_str(IDLE);
        for case in self.idle() {
            let _ = writeln!(text, "| {} | {} |", case.id, case.title);
        }
        text.push_str(MADE_OF);
        let _ = writeln!(text, "{MADE_AT}{commit}.\n\n| | hash |\n|---|---|");
        for (name, hash) in made_of {
            let _ = writeln!(text, "{}", xtask::made_of_line(name, *hash));
        }
        text
    }

    fn tell_unnoticed(&self, text: &mut String) {
        let mut unnoticed = self.unnoticed().peekable();
        if unnoticed.peek().is_some() {
            text.push_str("\nNo case notices these; the simulator's seeds find them:\n\n");
        }
        for mutant in unnoticed {
            let _ = writeln!(text, "- {}: {}", mutant.number, mutant.name.replace('_', " "));
        }
    }
}

const HEAD: &str = "\
# Cases and deliberate mistakes

Each case of the suite that runs on the core, against each deliberate mistake of
[`proto-core/src/mutant.rs`](../proto-core/src/mutant.rs): quick profile, seed 1, subject `core`.
A case notices a mistake when it passes without it, and with it does not pass, hangs or crashes.
`quorate-conformance table` writes this file; `cargo xtask verify` says when it is stale.
";

const IDLE: &str = "
## Cases that notice none

They are about what no mistake of the core gets wrong: codecs, loops, disks, limits that are far.

| case | |
|---|---|
";

const MADE_OF: &str = "
## Made of

The scripts of each group and the lines of the mistakes that this was filled with; comments and
white space do not count. All else that a cell depends on is not hashed: `table --sample` runs some
of the cells again.

";

/// What the line begins with that says at which commit the table was filled.
pub const MADE_AT: &str = "Filled at commit ";

/// Whether the document has a mistake.
#[must_use]
pub fn has_mistake(document: &str, number: u32) -> bool {
    let (by_mistake, _) = document.split_once("\n## By case\n").unwrap_or((document, ""));
    by_mistake.lines().any(|line| line.starts_with(&format!("| {number} | ")))
}

/// The numbers of the mistakes that a case notices, as the document says; none if it does not have
/// the case.
#[must_use]
pub fn noticed(document: &str, id: &str) -> Option<BTreeSet<u32>> {
    let (by_case, behind) = document.split_once("\n## By case\n")?.1.split_once("\n## ")?;
    let starts = format!("| {id} | ");
    if behind.lines().any(|line| line.starts_with(&starts)) {
        return Some(BTreeSet::new());
    }
    let row = by_case.lines().find_map(|line| line.strip_prefix(&starts))?;
    let (_, spans) = row.strip_suffix(" |")?.rsplit_once(" | ")?;
    let mut numbers = BTreeSet::new();
    for span in spans.split(' ') {
        let (first, last) = span.split_once('–').unwrap_or((span, span));
        let last: u32 = last.parse().ok()?;
        // A document cannot have more mistakes than there are numbers.
        let most = ALL.last().map_or(0, |mutant| mutant.number) as usize;
        numbers.extend((first.parse().ok()?..=last).take(most));
    }
    Some(numbers)
}

/// Ids by their groups: `EL-01 04, NK-16`.
fn by_group(ids: &[&str]) -> String {
    let mut text = String::new();
    let mut before = "";
    for id in ids {
        let (group, number) = id.split_once('-').unwrap_or((id, ""));
        let _ = match (group == before, before.is_empty()) {
            (true, _) => write!(text, " {number}"),
            (false, true) => write!(text, "{id}"),
            (false, false) => write!(text, ", {id}"),
        };
        before = group;
    }
    text
}

/// Numbers with their runs drawn together: `1–3 7`.
fn spans(numbers: &BTreeSet<u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let told = |(first, last)| match last - first {
        0 => format!("{first}"),
        1 => format!("{first} {last}"),
        _ => format!("{first}–{last}"),
    };
    runs.into_iter().map(told).collect::<Vec<String>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_who_notices_what_and_who_does_not() {
        let cases = ["EL-01", "EL-09", "NK-16"].map(|id| catalogue::find(id).expect(id));
        let mut kills = Kills::new(cases, ALL[..4].iter().copied());
        for (id, mutant) in [("EL-01", 1), ("EL-01", 2), ("EL-09", 2), ("EL-01", 4)] {
            kills.note(id, mutant);
        }
        assert_eq!(kills.noticing(2).collect::<Vec<_>>(), ["EL-01", "EL-09"]);
        assert_eq!(kills.unnoticed().map(|mutant| mutant.number).collect::<Vec<_>>(), [3]);
        assert_eq!(kills.idle().map(|case| case.id).collect::<Vec<_>>(), ["NK-16"]);
        let text = kills.markdown(&BTreeMap::from([("EL".to_owned(), 0xab)]), "c0ffee");
        assert!(text.contains("\n3 of 4 mistakes are noticed by a case; 2 of 3 cases notice a"));
        assert!(text.contains("| 2 | EL-01 09 |\n"), "{text}");
        assert!(text.contains("\n- 3: leader counts itself before it is durable\n"), "{text}");
        assert!(text.contains("| EL-01 | single voter | 1 2 4 |\n"), "{text}");
        assert!(text.contains("\nFilled at commit c0ffee.\n"), "{text}");
        assert!(text.ends_with("| EL | 00000000000000ab |\n"), "{text}");
        let rows = |id| (catalogue::find(id).unwrap(), noticed(&text, id).unwrap());
        let mut again = Kills::new([catalogue::find("EL-09").unwrap()], ALL[..4].iter().copied());
        again.note("EL-09", 2);
        again.take_over(vec![rows("NK-16"), rows("EL-01")]);
        assert_eq!(again.markdown(&BTreeMap::from([("EL".to_owned(), 0xab)]), "c0ffee"), text);
        let read = |id| noticed(&text, id).map(Vec::from_iter);
        assert_eq!(read("EL-01"), Some(vec![1, 2, 4]));
        assert_eq!(read("NK-16"), Some(vec![]));
        assert_eq!(read("NK-17"), None);
    }

    #[test]
    fn lists_are_drawn_together() {
        assert_eq!(by_group(&["EL-01", "EL-04", "NK-16"]), "EL-01 04, NK-16");
        assert_eq!(spans(&BTreeSet::from([1, 2, 4, 5, 6, 9])), "1 2 4–6 9");
    }

    #[test]
    fn the_document_says_what_a_case_notices() {
        let document = "\n## By case\n\n| EL-01 | single voter | 1 3–5 |\n| EL-02 | a | b |\n\
                        \n## Cases that notice none\n\n| EL-03 | idle |\n\n## Made of\n";
        let read = |id| noticed(document, id).map(Vec::from_iter);
        assert_eq!(read("EL-01"), Some(vec![1, 3, 4, 5]));
        assert_eq!(read("EL-02"), None);
        assert_eq!(read("EL-03"), Some(vec![]));
        assert_eq!(read("EL-04"), None);
    }
}
