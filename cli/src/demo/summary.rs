//! What the demonstration tells at its end.

use core::fmt::{self, Write};
use core::time::Duration;

use serde::Serialize;

use super::load::Measured;
use crate::report::MemberReport;

/// The result, as `--json` prints it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Summary {
    /// Whether every line was applied exactly once, in order, on every member.
    pub(super) ok: bool,
    /// What is wrong, if anything is.
    pub(super) problems: Vec<String>,
    pub(super) lines: usize,
    pub(super) runtime: &'static str,
    pub(super) digest: String,
    pub(super) members: Vec<MemberReport>,
    pub(super) per_s: f64,
    pub(super) latency_us: Latency,
    pub(super) elections: u64,
    pub(super) wiped: Option<u16>,
    pub(super) readmitted_ms: Option<f64>,
    pub(super) killed: Option<u16>,
    pub(super) outage_ms: Option<f64>,
    pub(super) lost_datagrams: u64,
    pub(super) naks: u64,
    pub(super) retransmits: u64,
}

/// Percentiles from a line handed over to its reply, in microseconds.
#[derive(Debug, Default, Serialize)]
pub(super) struct Latency {
    p50: u64,
    p99: u64,
    p999: u64,
    max: u64,
}

impl Summary {
    /// Takes in what was measured under load.
    pub(super) fn measured(&mut self, measured: &Measured) {
        let seconds = measured.took.as_secs_f64();
        self.per_s = if seconds > 0.0 { (self.lines as f64 / seconds).round() } else { 0.0 };
        let histogram = &measured.latency_us;
        self.latency_us = Latency {
            p50: histogram.value_at_quantile(0.5),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        };
        self.outage_ms = measured.outage.map(milliseconds);
    }

    /// A member whose data was wiped is level and readmitted.
    pub(super) fn readmitted(&mut self, id: u16, took: Duration) {
        (self.wiped, self.readmitted_ms) = (Some(id), Some(milliseconds(took)));
    }

    /// Judges the members' last reports.
    pub(super) fn judge(&mut self, members: Vec<MemberReport>) {
        self.members = members;
        for member in &self.members {
            let MemberReport { id, entries, .. } = member;
            if *entries != self.lines as u64 {
                self.problems
                    .push(format!("member {id} applied {entries} lines of {}", self.lines));
            } else if member.digest != self.digest {
                self.problems.push(format!(
                    "member {id} has digest {}, the lines make {}",
                    member.digest, self.digest
                ));
            }
        }
        self.ok = self.problems.is_empty();
    }
}

fn milliseconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 10_000.0).round() / 10.0
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = "------  ---------  ----  ----------  ----------  ----------  ----------------";
        writeln!(f, "member  role       term      commit     applied       lines  digest")?;
        writeln!(f, "{row}")?;
        for member in &self.members {
            let MemberReport { id, role, term, commit, applied, entries, digest, .. } = member;
            writeln!(
                f,
                "{id:>6}  {role:<9}  {term:>4}  {commit:>10}  {applied:>10}  {entries:>10}  {digest}"
            )?;
        }
        writeln!(f)?;
        let Latency { p50, p99, p999, max } = self.latency_us;
        let mut facts = vec![
            ("lines", self.lines.to_string()),
            ("runtime", self.runtime.to_owned()),
            ("lines per second", self.per_s.to_string()),
            ("reply latency", format!("p50 {p50} us, p99 {p99} us, p99.9 {p999} us, max {max} us")),
            ("elections", self.elections.to_string()),
        ];
        if let (Some(wiped), Some(millis)) = (self.wiped, self.readmitted_ms) {
            let fact = format!("member {wiped}, level and readmitted after {millis} ms");
            facts.push(("data wiped", fact));
        }
        if let Some(killed) = self.killed {
            let outage =
                self.outage_ms.map_or_else(|| "no".into(), |millis| format!("{millis} ms"));
            facts.push(("leader killed", format!("member {killed}, {outage} without service")));
        }
        let origins = self.members.iter().map(|member| member.origin.to_string());
        facts.push(("log purged up to", origins.collect::<Vec<_>>().join(", ")));
        facts.push(("datagrams dropped", self.lost_datagrams.to_string()));
        facts.push(("NAKs", self.naks.to_string()));
        facts.push(("retransmits", self.retransmits.to_string()));
        for (name, value) in facts {
            writeln!(f, "{name:<18} {value}")?;
        }
        f.write_char('\n')?;
        if self.ok {
            let members = self.members.len();
            write!(
                f,
                "ok: every line was applied once, in order, on {members} of {members} members"
            )
        } else {
            write!(f, "FAILED:")?;
            self.problems.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u16, entries: u64, digest: &str) -> MemberReport {
        MemberReport { id, entries, digest: digest.into(), ..MemberReport::default() }
    }

    fn judged(members: Vec<MemberReport>) -> Summary {
        let mut summary = Summary { lines: 5, digest: "d".into(), ..Summary::default() };
        summary.judge(members);
        summary
    }

    #[test]
    fn it_is_ok_only_if_every_member_has_every_line_once_in_order() {
        assert!(judged(vec![member(1, 5, "d"), member(2, 5, "d")]).ok);
        for wrong in [member(2, 4, "d"), member(2, 6, "d"), member(2, 5, "e")] {
            let summary = judged(vec![member(1, 5, "d"), wrong]);
            assert!(!summary.ok);
            assert!(summary.to_string().contains("FAILED:\n  - member 2"), "{summary}");
        }
    }

    #[test]
    fn the_object_has_the_promised_keys() {
        let object = serde_json::to_value(judged(vec![member(1, 5, "d")])).unwrap();
        for key in [
            "ok",
            "lines",
            "runtime",
            "members",
            "per_s",
            "latency_us",
            "elections",
            "outage_ms",
            "lost_datagrams",
            "naks",
            "retransmits",
        ] {
            assert!(object.get(key).is_some(), "{key}");
        }
        for key in ["id", "role", "term", "commit", "applied", "entries", "digest", "origin"] {
            assert!(object["members"][0].get(key).is_some(), "{key}");
        }
        for key in ["p50", "p99", "p999", "max"] {
            assert!(object["latency_us"].get(key).is_some(), "{key}");
        }
    }
}
