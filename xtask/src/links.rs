//! `links`: what the documents point at must be there.

use std::path::Path;

use crate::source;
use crate::step::StepResult;

/// Checks the relative links of all Markdown files below `root`.
///
/// # Errors
/// Lists each link that leads nowhere.
pub(crate) fn run(root: &Path) -> StepResult {
    let mut problems = Vec::new();
    for document in source::files(root, ".md")? {
        let folder = root.join(&document.path);
        let folder = folder.parent().unwrap_or(root);
        for target in targets(&document.text) {
            if !folder.join(target).exists() {
                problems.push(format!("{}: nothing is at `{target}`", document.path));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// The relative targets of `[text](target)` in a document, without what follows `#`.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let ends = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = ends.filter_map(|target| target.split('#').next());
    files.filter(|target| !target.is_empty() && !target.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_links_are_found() {
        let text = "[a](b.md) [c](d/e.md#f) [g](#h) [i](https://example.com/) plain (j.md)";
        assert_eq!(targets(text).collect::<Vec<_>>(), ["b.md", "d/e.md"]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_named() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(root.path().join(name), text).unwrap();
        write("a.md", "[b](b.md)");
        assert_eq!(run(root.path()), Err("a.md: nothing is at `b.md`".into()));
        write("b.md", "");
        assert_eq!(run(root.path()), Ok(()));
    }
}
