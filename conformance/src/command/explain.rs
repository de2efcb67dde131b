//! `explain`: all about one case.

use std::collections::BTreeSet;

use super::Exit;
use super::arguments::ExplainArguments;
use super::list::{bindings, level, state};
use quorate_conformance::kills::noticed;
use quorate_conformance::{catalogue, laws, places};
use quorate_core::mutant as mistakes;

/// Which case notices which deliberate mistake.
const TABLE: &str = include_str!("../../MUTANTS.md");
/// So many mistakes are named; of more, only the numbers.
const NAMED_MAX: usize = 8;

pub(super) fn explain(arguments: &ExplainArguments) -> Result<Exit, String> {
    let case = catalogue::find(&arguments.id).ok_or_else(|| {
        format!("there is no case {:?}; `quorate-conformance list` names all", arguments.id)
    })?;
    tell!("{}  {}", case.id, case.title);
    tell!("");
    tell!("rule      {}", case.rule);
    tell!("level     {}", level(case.level));
    tell!(
        "profile   {}",
        if case.quick { "quick and all above" } else { "standard and all above" }
    );
    tell!("runs on   {}", in_words(&bindings(case)));
    for (whom, reason) in places::excuses(case) {
        tell!("not with  {whom}: {reason}");
    }
    if let Some(entry) = places::at_random(case.id) {
        let (faults, rules) = (entry.provoked_by(), entry.judged_by());
        let judged = if rules.is_empty() { "nowhere".into() } else { rules };
        let provoked = if faults.is_empty() { faults } else { format!(" ({faults})") };
        tell!("at random {judged}{provoked}: {}", entry.text);
    }
    let (document, section) = laws::law(case);
    tell!("law       {document}, section {section:?}");
    tell!("state     {}", state(case));
    if !case.edges.is_empty() {
        tell!("edges     {} (EDGE_CASES.md)", case.edges.join(", "));
    }
    if let Some(noticed) = noticed(TABLE, case.id).filter(|noticed| !noticed.is_empty()) {
        tell!("notices   {} deliberate mistakes (MUTANTS.md): {}", noticed.len(), named(&noticed));
    }
    tell!("try it    quorate-conformance run {}", case.id);
    Ok(Exit::Good)
}

/// Where a case can run, as `list` has it, in words.
fn in_words(bindings: &str) -> String {
    let words = bindings.split('+').map(|place| match place {
        "core" => "the core directly (--subject core)",
        "subject" => "members of any subject, in virtual time",
        "real" => "real processes (--profile real --subject blackbox:FILE)",
        _ => "nothing yet",
    });
    words.collect::<Vec<_>>().join("; ")
}

fn named(numbers: &BTreeSet<u32>) -> String {
    let name = |number: &u32| {
        let known = mistakes::ALL.iter().find(|mutant| mutant.number == *number);
        match known.filter(|_| numbers.len() <= NAMED_MAX) {
            Some(mutant) => format!("{number} ({})", mutant.name.replace('_', " ")),
            None => number.to_string(),
        }
    };
    numbers.iter().map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_has_words() {
        for case in catalogue::all().filter(|case| state(case).starts_with("written")) {
            let words = in_words(&bindings(case));
            assert!(!words.contains("nothing"), "{}: {words}", case.id);
        }
        assert_eq!(in_words("core+real").split(';').count(), 2);
        assert_eq!(in_words("-"), "nothing yet");
    }

    #[test]
    fn the_table_says_what_a_case_notices() {
        let all = catalogue::all();
        let is_useful = |id| noticed(TABLE, id).is_some_and(|noticed| !noticed.is_empty());
        let found = all.filter(|case| is_useful(case.id)).count();
        assert!(found > 100, "only {found} cases are in the table");
        assert!(
            named(&BTreeSet::from([1, 2])).starts_with("1 (vote leaves before it is durable), 2 (")
        );
    }
}
