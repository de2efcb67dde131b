//! Where each case's law is written down: the document and the section in it.

use crate::case::Case;

const PROTOCOL: &str = "PROTOCOL.md";
const ARCHITECTURE: &str = "ARCHITECTURE.md";
const TESTING: &str = "TESTING.md";

/// A document at the root of the project, and the heading of a section in it.
type Section = (&'static str, &'static str);

const CHECKS: Section = (PROTOCOL, "2.2. What a receiver checks");
const EVOLUTION: Section = (PROTOCOL, "2.3. Evolution");
const FRAMES: Section = (PROTOCOL, "3. Frames");
const STREAMS: Section = (PROTOCOL, "4. Streams");
const TERMS: Section = (PROTOCOL, "5. Terms and leaders");
const SESSIONS: Section = (PROTOCOL, "6. Sessions");
const SNAPSHOTS: Section = (PROTOCOL, "6.2. Snapshots");
const DEFAULTS: Section = (PROTOCOL, "7. Defaults");
const CORE: Section = (ARCHITECTURE, "The law of the core");
const GATES: Section = (ARCHITECTURE, "Gates");
const ARCHIVE: Section = (ARCHITECTURE, "The archive");
const HOST: Section = (ARCHITECTURE, "Host side");
const COSTS: Section = (TESTING, "Allocations and instructions");

/// Cases whose law is not where that of their group is.
const ELSEWHERE: &[(&str, Section)] = &[
    ("EL-03", GATES),
    ("EL-04", GATES),
    ("LS-01", FRAMES),
    ("LS-02", FRAMES),
    ("LS-03", FRAMES),
    ("LS-06", STREAMS),
    ("LS-07", STREAMS),
    ("LS-09", (PROTOCOL, "3.3. Chain")),
    ("LS-11", HOST),
    ("LS-13", ARCHIVE),
    ("LS-16", SNAPSHOTS),
    ("LS-17", STREAMS),
    ("CD-01", TERMS),
    ("CD-02", TERMS),
    ("CD-03", TERMS),
    ("CD-14", TERMS),
    ("CD-18", ARCHIVE),
    ("NK-28", CHECKS),
    ("CU-01", TERMS),
    ("CU-11", TERMS),
    ("CV-01", (PROTOCOL, "8. Golden bytes")),
    ("CV-15", CHECKS),
    ("CV-20", CHECKS),
    ("CV-26", COSTS),
    ("BI-02", CORE),
    ("BI-08", DEFAULTS),
    ("BI-09", ARCHIVE),
    ("BI-10", DEFAULTS),
    ("BI-11", ARCHIVE),
    ("BI-12", GATES),
    ("RB-02", COSTS),
    ("RB-07", SNAPSHOTS),
    ("RB-08", COSTS),
    ("AD-01", CORE),
    ("AD-02", CORE),
    ("AD-03", GATES),
    ("AD-04", GATES),
    ("AD-06", CORE),
    ("AD-08", ARCHIVE),
    ("AD-09", ARCHIVE),
    ("AD-21", CORE),
    ("AD-23", CORE),
    ("AD-25", CORE),
    ("AD-32", ARCHIVE),
    ("DF-07", TERMS),
    ("DF-08", STREAMS),
    ("DF-10", TERMS),
    ("DF-11", TERMS),
    ("DF-14", TERMS),
    ("DF-17", GATES),
    ("DF-19", STREAMS),
];

/// The document, and the section in it, with the law that a case proves.
#[must_use]
pub fn law(case: &Case) -> Section {
    if let Some((_, section)) = ELSEWHERE.iter().find(|(id, _)| *id == case.id) {
        return *section;
    }
    match case.group() {
        "EL" | "LS" => TERMS,
        "CD" => GATES,
        "NK" | "FC" | "CU" => STREAMS,
        "SN" => SNAPSHOTS,
        "CL" => SESSIONS,
        "CV" => EVOLUTION,
        "BI" => CHECKS,
        "RB" => DEFAULTS,
        "DF" => ARCHIVE,
        _ => HOST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;
    use std::fs;
    use std::path::Path;

    #[test]
    fn each_law_stands_in_its_document() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for case in catalogue::all() {
            let (document, section) = law(case);
            let text = fs::read_to_string(root.join(document)).expect(document);
            let heading = |line: &str| line.starts_with('#') && line.ends_with(section);
            let found = text.lines().filter(|line| heading(line)).count();
            assert_eq!(found, 1, "{}: {section:?} in {document}", case.id);
        }
    }

    #[test]
    fn each_exception_is_a_case_and_one() {
        for (id, section) in ELSEWHERE {
            let case = catalogue::find(id).unwrap_or_else(|| panic!("there is no case {id}"));
            assert_eq!(law(case), *section);
        }
        let in_order = |(id, _): &(&str, Section)| catalogue::all().position(|it| it.id == *id);
        assert!(ELSEWHERE.is_sorted_by_key(in_order));
    }
}
