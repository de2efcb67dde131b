//! `explain`: all about one case.

use super::Exit;
use super::arguments::ExplainArguments;
use super::list::{bindings, level, state};
use quorate_conformance::catalogue;

pub(super) fn explain(arguments: &ExplainArguments) -> Result<Exit, String> {
    let case = catalogue::find(&arguments.id).ok_or_else(|| {
        format!("there is no case {:?}; `quorate-conformance list` names all", arguments.id)
    })?;
    println!("{}  {}", case.id, case.title);
    println!();
    println!("rule      {}", case.rule);
    println!("level     {}", level(case.level));
    println!(
        "profile   {}",
        if case.quick { "quick and all above" } else { "standard and all above" }
    );
    println!(
        "runs on   {}",
        match bindings(case).as_str() {
            "core" => "the core directly (--subject core)",
            "subject" => "any subject, in virtual time",
            "core+real" => "the core directly (--subject core), and real processes",
            "subject+real" => "any subject, in virtual time, and real processes",
            "real" => "real processes (--profile real --subject blackbox:FILE)",
            _ => "nothing yet",
        }
    );
    println!("state     {}", state(case));
    if !case.edges.is_empty() {
        println!("edges     {} (EDGE_CASES.md)", case.edges.join(", "));
    }
    println!("try it    quorate-conformance run {}", case.id);
    Ok(Exit::Good)
}
