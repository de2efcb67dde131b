//! Figures from the lines that the rungs printed: one SVG for each rung.

mod hardships;
mod panel;

use core::error::Error;
use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::Args;
use serde_json::Value;

use self::panel::{Bars, Curves, Panel};

/// Where the lines are, and where the figures go.
#[derive(Args, Clone, Debug)]
pub(crate) struct PlotOptions {
    /// The folder with the lines: `*.jsonl`.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    pub(crate) results: PathBuf,
    /// The folder for the figures.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/figures"))]
    pub(crate) figures: PathBuf,
}

/// Draws a figure for each rung that there are lines of; tells which files were written.
///
/// # Errors
/// Lines could not be read, or figures not be written.
pub(crate) fn run(options: &PlotOptions) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let lines = read_lines(&options.results)?;
    fs::create_dir_all(&options.figures)?;
    let mut files = Vec::new();
    let rungs: [(&str, &str, Panels); 9] = [
        ("core", "Three members in one thread, 64-byte messages", core_panels),
        ("codec", "Datagrams and frames", codec_panels),
        ("growth", "Three members in one thread, 256 messages in flight", growth_panels),
        ("loopback", "Three processes over UDP loopback", loopback_panels),
        ("loopback-levels", "The same on a disk, and not waiting for it", loopback_panels),
        ("recovery", "A member begins again from its directory", hardships::recovery_panels),
        ("catch-up", "A member without its directory, over loopback", hardships::catch_up_panels),
        ("slow-member", "A follower that is slow or away", hardships::slow_member_panels),
        ("snapshot", "Clients while snapshots are taken", hardships::snapshot_panels),
    ];
    for (rung, title, panels) in rungs {
        let of_rung: Vec<&Value> = lines.iter().filter(|line| text(line, "rung") == rung).collect();
        let panels: Vec<Panel> =
            panels(&of_rung).into_iter().filter(|panel| !is_empty(panel)).collect();
        if !panels.is_empty() {
            let file = options.figures.join(rung).with_extension("svg");
            panel::draw(&file, title, &panels)?;
            files.push(file);
        }
    }
    Ok(files)
}

/// What a figure shows of the lines of its rung.
type Panels = fn(&[&Value]) -> Vec<Panel>;

/// All lines of a folder, of its files by name.
///
/// # Errors
/// A file could not be read, or has a line that is no JSON.
pub(crate) fn read_lines(folder: &Path) -> Result<Vec<Value>, Box<dyn Error>> {
    let mut lines = Vec::new();
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            for (number, line) in fs::read_to_string(&path)?.lines().enumerate() {
                let parsed = serde_json::from_str(line);
                let place = || format!("{} line {}", path.display(), number + 1);
                lines.push(parsed.map_err(|error| format!("{}: {error}", place()))?);
            }
        }
    }
    Ok(lines)
}

fn text<'a>(line: &'a Value, name: &str) -> &'a str {
    line[name].as_str().unwrap_or_default()
}

fn number(line: &Value, name: &str) -> Option<f64> {
    line[name].as_f64().filter(|value| *value > 0.0)
}

fn point(line: &Value, across: &str, up: &str) -> Option<(f64, f64)> {
    number(line, across).zip(number(line, up))
}

fn is_empty(panel: &Panel) -> bool {
    match panel {
        Panel::Curves(curves) => curves.curves.is_empty(),
        Panel::Bars(bars) => bars.bars.is_empty(),
    }
}

fn curves(title: &str, across: &str, up: &str) -> Curves {
    let [title, across, up] = [title, across, up].map(str::to_owned);
    Curves { title, across, up, curves: Vec::new() }
}

/// Batches of the peer that have a curve of their own: they were run with more in flight, too.
const LARGE_BATCH: f64 = 64.0;

fn core_panels(lines: &[&Value]) -> Vec<Panel> {
    let window = "messages in flight";
    let mut rate = curves("messages a second", window, "1/s");
    let mut median = curves("median latency", window, "µs");
    for line in lines {
        let batch = number(line, "batch").unwrap_or_default();
        let mut names = Vec::new();
        if text(line, "system") == "quorate" {
            let name = "quorate".to_owned();
            if let Some(point) = point(line, "window", "members_per_s") {
                rate.add(&format!("{name}, without the client"), point);
            }
            names.push(name);
        } else if number(line, "window") == Some(batch) {
            names.push("raft, batch = in flight".to_owned());
        }
        if batch >= LARGE_BATCH {
            names.push(format!("raft, batch {batch}"));
        }
        for (panel, up) in [(&mut rate, "per_s"), (&mut median, "p50_us")] {
            for (name, point) in names.iter().zip(core::iter::repeat(point(line, "window", up))) {
                if let Some(point) = point {
                    panel.add(name, point);
                }
            }
        }
    }
    vec![Panel::Curves(rate), Panel::Curves(median)]
}

fn codec_panels(lines: &[&Value]) -> Vec<Panel> {
    let bars = |title: &str, unit: &str| {
        let bars = lines.iter().filter_map(|line| {
            let value = number(line, unit)?;
            Some((text(line, "case").to_owned(), value))
        });
        let (title, across) = (title.to_owned(), unit.to_owned());
        Panel::Bars(Bars { title, across, bars: bars.collect() })
    };
    vec![bars("nanoseconds", "ns"), bars("instructions", "instructions")]
}

fn growth_panels(lines: &[&Value]) -> Vec<Panel> {
    let panel = |grows: &str, title: &str, up: &str, unit: &str| {
        let mut panel = curves(title, grows, unit);
        for line in lines.iter().filter(|line| text(line, "grows") == grows) {
            if let Some(point) = point(line, grows, up) {
                panel.add("quorate", point);
            }
        }
        Panel::Curves(panel)
    };
    vec![
        panel("sessions", "messages a second by sessions", "per_s", "1/s"),
        panel("members", "messages a second by members", "per_s", "1/s"),
        panel("payload", "messages a second by bytes of a message", "per_s", "1/s"),
        panel("payload", "MiB a second by bytes of a message", "mib_per_s", "MiB/s"),
    ]
}

fn loopback_panels(lines: &[&Value]) -> Vec<Panel> {
    let window = "messages in flight";
    let mut rate = curves("closed loop: messages a second", window, "1/s");
    let mut median = curves("closed loop: median latency", window, "µs");
    let mut open_median = curves("open loop: median latency", "messages a second, asked for", "µs");
    let mut open_tail = curves("open loop: 99th percentile", "messages a second, asked for", "µs");
    for line in lines {
        let volatile = if text(line, "level") == "volatile" { ", volatile" } else { "" };
        let name = format!(
            "{}, {}, {}{volatile}, loss {} %",
            text(line, "runtime"),
            text(line, "idle"),
            text(line, "storage"),
            line["loss"].as_f64().unwrap_or_default()
        );
        for (panel, across, up) in [
            (&mut rate, "window", "per_s"),
            (&mut median, "window", "p50_us"),
            (&mut open_median, "rate", "p50_us"),
            (&mut open_tail, "rate", "p99_us"),
        ] {
            if let Some(point) = point(line, across, up) {
                panel.add(&name, point);
            }
        }
    }
    [rate, median, open_median, open_tail].map(Panel::Curves).into()
}
