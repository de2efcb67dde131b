//! One self-contained page: the matrix of cases and subjects, and a page for each case with its
//! rule, its story, a space-time diagram and its positions over time.

use serde_json::json;

use crate::runner::RunReport;

const STYLE: &str = include_str!("page.css");
const PROGRAM: &str = include_str!("page.js");

/// The page for these runs. Nothing is loaded from elsewhere.
#[must_use]
pub fn html(runs: &[RunReport]) -> String {
    let data = json!({ "runs": runs.iter().map(run).collect::<Vec<_>>() }).to_string();
    // A closing tag in a string of the data would end the element.
    let data = data.replace("</", "<\\/");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Conformance</title>\n\
         <style>\n{STYLE}</style>\n<main id=\"page\"></main>\n\
         <script id=\"data\" type=\"application/json\">{data}</script>\n\
         <script>\n{PROGRAM}</script>\n</html>\n"
    )
}

fn run(run: &RunReport) -> serde_json::Value {
    let cases = run.cases.iter().map(|case| {
        let mut value = serde_json::to_value(case).unwrap_or_default();
        value["lines"] = json!(super::three_lines(case));
        value
    });
    json!({
        "subject": run.subject, "suite": run.suite, "profile": run.profile, "seed": run.seed,
        "host": run.host, "cases": cases.collect::<Vec<_>>(),
    })
}
