//! JUnit XML: one suite for each group.

use std::io::Write;

use quick_xml::Writer;
use quick_xml::events::BytesText;

use crate::runner::{CaseReport, Outcome, RunReport};

/// The run as JUnit XML.
///
/// # Errors
/// The writer's; writing to memory has none of its own.
pub fn junit(run: &RunReport) -> std::io::Result<String> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.create_element("testsuites").write_inner_content(|writer| {
        let mut rest = run.cases.as_slice();
        while let Some(first) = rest.first() {
            let count = rest.iter().take_while(|case| case.group == first.group).count();
            let (group, others) = rest.split_at(count);
            suite(writer, &run.subject.name, group)?;
            rest = others;
        }
        if !run.unused.is_empty() {
            unused(writer, &run.subject.name, &run.unused)?;
        }
        Ok(())
    })?;
    let bytes = writer.into_inner();
    Ok(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", String::from_utf8_lossy(&bytes)))
}

/// What JUnit calls skipped: neither passed nor failed.
const SKIPPED: &[Outcome] =
    &[Outcome::Skipped, Outcome::NotApplicable, Outcome::Unimplemented, Outcome::ExpectedFail];

fn suite<W: Write>(
    writer: &mut Writer<W>,
    subject: &str,
    cases: &[CaseReport],
) -> std::io::Result<()> {
    let name = format!("{}.{subject}", cases.first().map_or("", |case| &case.group));
    let count = |wanted: &[Outcome]| {
        cases.iter().filter(|case| wanted.contains(&case.outcome)).count().to_string()
    };
    let failures = count(&[Outcome::Fail]);
    let errors = count(&[Outcome::Error, Outcome::Unknown]);
    let skipped = count(SKIPPED);
    writer
        .create_element("testsuite")
        .with_attribute(("name", name.as_str()))
        .with_attribute(("tests", cases.len().to_string().as_str()))
        .with_attribute(("failures", failures.as_str()))
        .with_attribute(("errors", errors.as_str()))
        .with_attribute(("skipped", skipped.as_str()))
        .write_inner_content(|writer| cases.iter().try_for_each(|case| one(writer, &name, case)))?;
    Ok(())
}

/// Skips and expected failures that nothing came of: a suite of their own.
fn unused<W: Write>(
    writer: &mut Writer<W>,
    subject: &str,
    entries: &[String],
) -> std::io::Result<()> {
    let (name, count) = (format!("lists.{subject}"), entries.len().to_string());
    let suite = writer
        .create_element("testsuite")
        .with_attribute(("name", name.as_str()))
        .with_attribute(("tests", count.as_str()))
        .with_attribute(("failures", count.as_str()));
    suite.write_inner_content(|writer| {
        entries.iter().try_for_each(|entry| {
            let case =
                writer.create_element("testcase").with_attribute(("classname", name.as_str()));
            let case = case.with_attribute(("name", entry.as_str()));
            case.write_inner_content(|writer| {
                writer
                    .create_element("failure")
                    .with_attribute(("message", entry.as_str()))
                    .write_empty()?;
                Ok(())
            })?;
            Ok(())
        })
    })?;
    Ok(())
}

fn one<W: Write>(writer: &mut Writer<W>, suite: &str, case: &CaseReport) -> std::io::Result<()> {
    let (name, time) = (format!("{} {}", case.id, case.title), case.real_ms as f64 / 1_000.0);
    let element = writer
        .create_element("testcase")
        .with_attribute(("classname", suite))
        .with_attribute(("name", name.as_str()))
        .with_attribute(("time", format!("{time:.3}").as_str()));
    let reason = case.reason.as_deref().unwrap_or_default();
    let tag = match case.outcome {
        Outcome::Pass | Outcome::NonStrict => {
            element.write_empty()?;
            return Ok(());
        }
        Outcome::Fail => "failure",
        Outcome::Error | Outcome::Unknown => "error",
        Outcome::ExpectedFail
        | Outcome::Skipped
        | Outcome::NotApplicable
        | Outcome::Unimplemented => "skipped",
    };
    let lines = super::three_lines(case).join("\n");
    element.write_inner_content(|writer| {
        let inner = writer.create_element(tag).with_attribute(("message", reason));
        if tag == "skipped" {
            inner.write_empty()?;
        } else {
            inner.write_text_content(BytesText::new(&lines))?;
        }
        Ok(())
    })?;
    Ok(())
}
