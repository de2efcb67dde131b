//! Panels of the rungs in which members recover, lag behind, or take snapshots.

use serde_json::Value;

use super::panel::{Bars, Panel};
use super::{curves, number, point, text};

/// Bars of what `value` tells of lines, under the names that `name` gives them.
fn bars(
    title: &str,
    across: &str,
    lines: &[&Value],
    named: impl Fn(&Value) -> Option<(String, f64)>,
) -> Panel {
    let bars = lines.iter().filter_map(|line| named(line)).collect();
    Panel::Bars(Bars { title: title.to_owned(), across: across.to_owned(), bars })
}

pub(super) fn recovery_panels(lines: &[&Value]) -> Vec<Panel> {
    let panel = |payload: &Value| {
        let mut bars = Vec::new();
        for line in lines.iter().filter(|line| line["payload"] == *payload) {
            let (holds, cache) = (text(line, "holds"), text(line, "cache"));
            for (way, field) in [("open", "open_ms"), ("apply", "replay_ms")] {
                bars.extend(number(line, field).map(|ms| (format!("{holds}, {cache}: {way}"), ms)));
            }
            // The limits of the whole log; those of a part of it are shorter.
            if holds == "log" {
                let limits =
                    [("read", "limit_read_mib_per_s"), ("sum", "limit_checksum_mib_per_s")];
                for (way, field) in limits {
                    let ms = point(line, "log_mib", field).map(|(mib, rate)| mib * 1_000.0 / rate);
                    bars.extend(ms.map(|ms| (format!("limit, {cache}: {way}"), ms)));
                }
            }
        }
        let title = format!("messages of {payload} bytes: milliseconds");
        Panel::Bars(Bars { title, across: "ms".to_owned(), bars })
    };
    let mut payloads: Vec<&Value> = Vec::new();
    for line in lines {
        if !payloads.contains(&&line["payload"]) {
            payloads.push(&line["payload"]);
        }
    }
    payloads.into_iter().map(panel).collect()
}

pub(super) fn catch_up_panels(lines: &[&Value]) -> Vec<Panel> {
    let name = |line: &Value| {
        let load = match number(line, "window") {
            Some(_) => "loaded",
            None => "idle",
        };
        format!("{} of {}, {load}", text(line, "holds"), line["members"])
    };
    let rate = bars("MiB a second", "MiB/s", lines, |line| match number(line, "run") {
        None => Some((name(line), number(line, "mib_per_s")?)),
        Some(1.0) => Some(("limit, singly".to_owned(), number(line, "limit_mib_per_s")?)),
        Some(_) => Some(("limit, in runs".to_owned(), number(line, "limit_mib_per_s")?)),
    });
    let share = bars("sent by the leader, per cent", "%", lines, |line| {
        Some((name(line), line["leader_percent"].as_f64()?))
    });
    let load = bars("clients' rate meanwhile to before", "ratio", lines, |line| {
        Some((name(line), number(line, "meanwhile_to_before")?))
    });
    vec![rate, share, load]
}

pub(super) fn slow_member_panels(lines: &[&Value]) -> Vec<Panel> {
    let window = "messages in flight";
    let mut rate = curves("messages a second", window, "1/s");
    let mut median = curves("median latency", window, "µs");
    let mut tail = curves("99th percentile", window, "µs");
    for line in lines {
        for (panel, up) in [(&mut rate, "per_s"), (&mut median, "p50_us"), (&mut tail, "p99_us")] {
            if let Some(point) = point(line, "window", up) {
                panel.add(text(line, "trouble"), point);
            }
        }
    }
    [rate, median, tail].map(Panel::Curves).into()
}

/// What the panels of the snapshots show: title, unit, and names and fields of curves.
type Shown = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const OF_SNAPSHOTS: [Shown; 3] = [
    (
        "latency",
        "µs",
        &[
            ("p50", "p50_us"),
            ("p99", "p99_us"),
            ("longest", "longest_us"),
            ("p50, without a snapshot", "p50_us_without"),
            ("p99, without a snapshot", "p99_us_without"),
        ],
    ),
    (
        "messages a second",
        "1/s",
        &[("with a snapshot", "per_s"), ("without a snapshot", "per_s_without")],
    ),
    (
        "until all have stored it",
        "ms",
        &[
            ("a snapshot", "took_ms"),
            ("limit: write and sync", "limit_write_ms"),
            ("limit: copy", "limit_copy_ms"),
        ],
    ),
];

pub(super) fn snapshot_panels(lines: &[&Value]) -> Vec<Panel> {
    let panels = OF_SNAPSHOTS.iter().map(|(title, unit, shown)| {
        let mut panel = curves(title, "MiB of state", unit);
        for (name, field) in *shown {
            for line in lines {
                // Of each kind of storage a curve of its own.
                let name = format!("{name}, {}", text(line, "storage"));
                if let Some(point) = point(line, "state_mib", field) {
                    panel.add(&name, point);
                }
            }
        }
        Panel::Curves(panel)
    });
    panels.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_line_of_a_catch_up_is_a_bar() {
        let limit = json!({ "limit": "in runs", "run": 46, "limit_mib_per_s": 900.0 });
        let case = json!({ "holds": "log", "members": 5, "window": 0, "mib_per_s": 300.0,
            "leader_percent": 0.0 });
        let panels = catch_up_panels(&[&limit, &case]);
        let shown: Vec<Vec<(String, f64)>> = panels
            .into_iter()
            .map(|panel| match panel {
                Panel::Bars(bars) => bars.bars,
                Panel::Curves(_) => Vec::new(),
            })
            .collect();
        let (case, limit) = ("log of 5, idle".to_owned(), "limit, in runs".to_owned());
        let rates = vec![(limit, 900.0), (case.clone(), 300.0)];
        assert_eq!(shown, [rates, vec![(case, 0.0)], Vec::new()]);
    }
}
