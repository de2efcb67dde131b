//! `pages`: the suite's report, drawn by a browser from fixed runs: the elements that must be
//! there, and pictures of them for the documentation.

use std::path::Path;
use std::process::Command;

use crate::step::{StepResult, cargo};

/// A page of the report: its name, where it is, and what a reader must find on it.
struct Page {
    name: &'static str,
    address: &'static str,
    elements: &'static [&'static str],
}

const PAGES: &[Page] = &[
    Page {
        name: "matrix",
        address: "",
        elements: &[
            "id=\"matrix\"",
            "class=\"chip pass\"",
            "class=\"chip fail\"",
            "NK-16",
            "Snapshots",
            "Catching up",
        ],
    },
    Page {
        name: "passed",
        address: "#0/NK-16",
        elements: &[
            "id=\"rule\"",
            "id=\"story\"",
            "id=\"history\"",
            "id=\"space-time\"",
            "class=\"datagram live lost\"",
            "class=\"datagram nak",
            "class=\"datagram repair",
            "id=\"positions\"",
        ],
    },
    Page {
        name: "failed",
        address: "#1/CU-08",
        elements: &[
            "id=\"reason\"",
            "Seen by the observer of S",
            "id=\"repeat\"",
            "id=\"history\"",
            "class=\"first-broken\"",
            "class=\"drawing shows-break\"",
            "class=\"broken\"",
            "id=\"positions\"",
        ],
    },
    Page {
        name: "history",
        address: "#2/CL-25",
        elements: &["id=\"history\"", "class=\"illegal\" id=\"illegal\"", "class=\"first-broken\""],
    },
];

/// The runs that are drawn, in the order of their columns.
const RUNS: [&str; 3] = ["passing", "failing", "illegal"];

/// Names under which distributions install Chromium.
const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// How wide a page is drawn, in pixels.
const WIDTH: u32 = 1_240;
/// How high a page may be, in pixels: a picture has all of it.
const HEIGHT_MAX: u32 = 12_000;

/// Draws the pages of the fixtures and checks their elements; with `update`, leaves a picture of
/// each in docs/figures. Without a browser it says so and is content. `program` is the suite's
/// command, which is built if there is none.
///
/// # Errors
/// The report cannot be made, or an element is missing.
pub(crate) fn run(root: &Path, update: bool, program: Option<&Path>) -> StepResult {
    // There is none yet where cargo builds elsewhere.
    let folder = root.join("target");
    std::fs::create_dir_all(&folder)
        .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let page = folder.join("conformance.html");
    render(root, &page, program)?;
    let found = BROWSERS.iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    let Some(browser) = found else {
        eprintln!("pages: skipped, there is no Chromium here");
        return Ok(());
    };
    for one in PAGES {
        let address = format!("file://{}{}", page.display(), one.address);
        let size = format!("--window-size={WIDTH},{HEIGHT_MAX}");
        let drawn = open(browser, &[&size, "--dump-dom", &address])?;
        for element in one.elements {
            if !drawn.contains(element) {
                return Err(format!("the page `{}` has no `{element}`: {address}", one.name));
            }
        }
        eprintln!("pages: {} has all of its {} elements", one.name, one.elements.len());
        if update {
            let picture = root.join("docs/figures").join(format!("conformance-{}.png", one.name));
            let option = format!("--screenshot={}", picture.display());
            let size = format!("--window-size={WIDTH},{}", height(&drawn, one.name)?);
            open(browser, &[&size, &option, &address])?;
            eprintln!("pages: wrote {}", picture.display());
        }
    }
    Ok(())
}

/// How high a page is that was drawn, as it says itself.
fn height(drawn: &str, name: &str) -> Result<u32, String> {
    let said = drawn.split_once("data-height=\"").and_then(|(_, rest)| rest.split_once('"'));
    let height = said.and_then(|(height, _)| height.parse().ok()).unwrap_or(0);
    if (1..=HEIGHT_MAX).contains(&height) {
        return Ok(height);
    }
    Err(format!(
        "the page `{name}` is {height} pixels high, and no picture has more than {HEIGHT_MAX}"
    ))
}

fn render(root: &Path, page: &Path, program: Option<&Path>) -> StepResult {
    let mut command = match program {
        Some(program) => Command::new(root.join(program)),
        None => {
            let mut command = cargo(root);
            command.args(["run", "--quiet", "-p", "quorate-conformance", "--"]);
            command
        }
    };
    let made = command
        .arg("matrix")
        .args(RUNS.map(|run| format!("conformance/fixtures/{run}.json")))
        .arg("--html")
        .arg(page)
        .current_dir(root)
        .output()
        .map_err(|error| format!("cannot start {}: {error}", command.get_program().display()))?;
    // The command tells by its exit code that one of the runs had a failure: it has to have one.
    if made.status.code() == Some(1) {
        return Ok(());
    }
    Err(format!("no report: {}", String::from_utf8_lossy(&made.stderr)))
}

fn open(browser: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
        .args(arguments)
        .output()
        .map_err(|error| format!("cannot start {browser}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{browser}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
