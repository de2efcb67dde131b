//! Single cells of the table of cases and mistakes: each mistake that no seed shows, with the case
//! that notices it, and a sample of all cells.

use core::time::Duration;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

use quorate_core::hash::mix;
use quorate_core::mutant::{ALL, Mutant};
use quorate_sim::{Dice, mutants};

use super::Exit;
use super::table::{ended, for_each};
use quorate_conformance::kills::{has_mistake, noticed};
use quorate_conformance::{Case, catalogue};

/// Of each mistake, so many cases that notice it are run again, and so many that do not.
const EACH: usize = 2;

/// Runs each mistake that no seed shows, or the one with number `only`, with its case.
pub(super) fn each_by_its_case(only: Option<u32>) -> Result<Exit, String> {
    if !mutants::are_compiled_in() {
        let status = mutants::cases_command(only).and_then(|mut command| command.status());
        let status = status.map_err(|error| format!("cannot build the mistakes: {error}"))?;
        return Ok(if status.success() { Exit::Good } else { Exit::Failed });
    }
    let (mut all, mut found) = (0, 0);
    for (number, id) in mutants::FOUND_BY_CASES {
        if only.is_some_and(|only| only != number) {
            continue;
        }
        let case = catalogue::find(id).ok_or_else(|| format!("there is no case {id}"))?;
        let mutant = ALL.iter().find(|mutant| mutant.number == number);
        let name = mutant.map_or("", |mutant| mutant.name);
        let without = one(case, 0)?;
        let with = one(case, number)?;
        let is_found = without == "pass" && with != "pass";
        let told = match is_found {
            true => format!("found by case {id} ({with})"),
            false => format!("SURVIVED case {id}: {without} without it, {with} with it"),
        };
        tell!("{number:>3} {name:<60} {told}");
        (all, found) = (all + 1, found + usize::from(is_found));
    }
    tell!("{found} of {all} mutants found that are for cases");
    Ok(if found == all { Exit::Good } else { Exit::Failed })
}

fn one(case: &'static Case, number: u32) -> Result<String, String> {
    Ok(ended(&[case], number)?.pop().unwrap_or_default())
}

/// Runs some cells again, of each mistake in an order drawn from `salt`, until the budget is used
/// up, and compares them with the table in the workspace.
pub(super) fn sample(
    cases: &[&'static Case],
    salt: &str,
    budget: Duration,
    processes: usize,
) -> Result<Exit, String> {
    let path = xtask::root().join(xtask::KILLS);
    let document = std::fs::read_to_string(&path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let drawn = draw(&document, cases, salt);
    let (begun, wanted) =
        (Instant::now(), drawn.iter().map(|(_, cells)| cells.len()).sum::<usize>());
    let told = Mutex::new((0, Vec::new()));
    for_each(drawn, processes, |(mutant, cells)| {
        if begun.elapsed() >= budget {
            return Ok(());
        }
        let cases: Vec<&'static Case> = cells.iter().map(|(case, _)| *case).collect();
        let ends = ended(&cases, mutant.number)?;
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        for ((case, notices), end) in cells.iter().zip(&ends) {
            told.0 += 1;
            if *notices != (end != "pass") {
                told.1.push(format!(
                    "{} with mistake {} ({}): {end}, and the table says that it {}",
                    case.id,
                    mutant.number,
                    mutant.name,
                    if *notices { "notices it" } else { "does not notice it" }
                ));
            }
        }
        Ok(())
    })?;
    let (compared, differing) = told.into_inner().unwrap_or_else(PoisonError::into_inner);
    differing.iter().for_each(|line| tell!("{line}"));
    tell!(
        "{compared} of {wanted} drawn cells were run in {} s; {} differ from {}",
        begun.elapsed().as_secs(),
        differing.len(),
        xtask::KILLS
    );
    if compared == 0 {
        return Err(format!("{} has no cells to run again", xtask::KILLS));
    }
    if differing.is_empty() {
        return Ok(Exit::Good);
    }
    tell!("{} is stale: `quorate-conformance table` fills it anew", xtask::KILLS);
    Ok(Exit::Failed)
}

/// A case, and whether the table says that it notices a mistake.
type Cell = (&'static Case, bool);

/// The mistakes in some order, each with some cells, of cases in their order.
fn draw(document: &str, cases: &[&'static Case], salt: &str) -> Vec<(Mutant, Vec<Cell>)> {
    let seed = salt.bytes().fold(1, |seed, byte| mix(seed, byte.into()));
    let mut dice = Dice::new(seed, "cells");
    let known = cases.iter().filter_map(|case| Some((*case, noticed(document, case.id)?)));
    let known: Vec<_> = known.collect();
    let mut drawn: Vec<(u64, Mutant, Vec<Cell>)> = Vec::new();
    for &mutant in ALL.iter().filter(|mutant| has_mistake(document, mutant.number)) {
        let cells = known.iter().map(|(case, numbers)| (*case, numbers.contains(&mutant.number)));
        let (mut noticing, mut others): (Vec<Cell>, Vec<Cell>) = cells.partition(|cell| cell.1);
        let mut chosen = Vec::new();
        for side in [&mut noticing, &mut others] {
            for _ in 0..EACH.min(side.len()) {
                chosen.push(side.swap_remove(dice.below(side.len() as u64) as usize));
            }
        }
        // A worker runs them in this order.
        chosen.sort_by_key(|(case, _)| cases.iter().position(|known| known.id == case.id));
        drawn.push((dice.bits(), mutant, chosen));
    }
    drawn.sort_by_key(|(place, ..)| *place);
    drawn.into_iter().map(|(_, mutant, cells)| (mutant, cells)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_conformance::Script;

    #[test]
    fn mistakes_that_are_for_cases_have_one_of_the_core() {
        for (number, id) in mutants::FOUND_BY_CASES {
            let script = catalogue::find(id).map(|case| case.script);
            let runs = matches!(script, Some(Script::Core(_) | Script::Cluster(_)));
            assert!(runs, "{id}, which is to notice {number}, does not run on the core");
        }
    }

    #[test]
    fn cells_are_drawn_on_both_sides_and_by_the_salt() {
        let document = "| 1 | a | 3 | EL-01 02 03 |\n| 3 | a | 3 | EL-01 02 03 |\n| 4 | a | 0 |  |\n\
                        \n## By case\n\n| EL-01 | a | 1–3 |\n| EL-02 | a | 1–3 |\n| EL-03 | a | \
                        1–3 |\n\n## Cases that notice none\n\n| EL-09 | a |\n";
        let cases = ["EL-01", "EL-02", "EL-03", "EL-09", "NK-16"];
        let cases = cases.map(|id| catalogue::find(id).expect(id));
        let drawn = draw(document, &cases, "a commit");
        let mut numbers: Vec<u32> = drawn.iter().map(|(mutant, _)| mutant.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 3, 4], "what is not in the table yet is not drawn");
        for (mutant, cells) in &drawn {
            let noticing = cells.iter().filter(|(_, notices)| *notices).count();
            let expected = if mutant.number <= 3 { (2, 1) } else { (0, 2) };
            assert_eq!((noticing, cells.len() - noticing), expected, "{}", mutant.number);
            assert!(cells.iter().all(|(case, _)| case.id != "NK-16"), "it is not in the table");
        }
        let same = |salt| format!("{drawn:?}") == format!("{:?}", draw(document, &cases, salt));
        assert!(same("a commit") && !same("another commit"));
    }
}
