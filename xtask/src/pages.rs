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
        elements: &["id=\"matrix\"", "class=\"chip pass\"", "class=\"chip fail\"", "NK-14"],
    },
    Page {
        name: "passed",
        address: "#0/NK-14",
        elements: &[
            "id=\"rule\"",
            "id=\"story\"",
            "id=\"space-time\"",
            "class=\"datagram nak",
            "class=\"datagram repair",
            "class=\"datagram repair lost\"",
            "id=\"positions\"",
        ],
    },
    Page {
        name: "failed",
        address: "#1/NK-14",
        elements: &[
            "id=\"reason\"",
            "id=\"repeat\"",
            "class=\"first-broken\"",
            "class=\"drawing shows-break\"",
            "class=\"broken\"",
        ],
    },
];

/// Names under which distributions install Chromium.
const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

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
        let drawn = open(browser, &["--dump-dom", &address])?;
        for element in one.elements {
            if !drawn.contains(element) {
                return Err(format!("the page `{}` has no `{element}`: {address}", one.name));
            }
        }
        eprintln!("pages: {} has all of its {} elements", one.name, one.elements.len());
        if update {
            let picture = root.join("docs/figures").join(format!("conformance-{}.png", one.name));
            let option = format!("--screenshot={}", picture.display());
            open(browser, &["--window-size=1240,2400", &option, &address])?;
            eprintln!("pages: wrote {}", picture.display());
        }
    }
    Ok(())
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
        .args(["conformance/fixtures/passing.json", "conformance/fixtures/failing.json", "--html"])
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
