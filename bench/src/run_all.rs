//! All rungs and all figures in one go.

use core::error::Error;
use core::time::Duration;
use std::env;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::plot::{self, PlotOptions};

/// A rung, or a part of one, whose lines go into one file.
struct Part {
    file: &'static str,
    rung: &'static str,
    /// Always given.
    arguments: &'static str,
    /// Given, too, when it is to be quick.
    quick: &'static str,
}

const PARTS: [Part; 5] = [
    Part { file: "core", rung: "core", arguments: "", quick: "--messages 20000 --repetitions 1" },
    Part {
        file: "codec",
        rung: "codec",
        arguments: "",
        quick: "--iterations 20000 --repetitions 1 --no-instructions",
    },
    Part {
        file: "growth",
        rung: "growth",
        arguments: "",
        quick: "--messages 5000 --repetitions 1 --sessions 1,10,100 --payload 32,1024,16384",
    },
    Part {
        file: "loopback",
        rung: "loopback",
        arguments: "--runtime mio,tokio",
        quick: "--window 1,64 --rate 1000,5000 --seconds 0.3 --repetitions 1 --loss 0",
    },
    Part {
        file: "loopback-runtimes",
        rung: "loopback",
        arguments: "--runtime async-std --storage memory --loss 0",
        quick: "--window 1,64 --rate 1000,5000 --seconds 0.3 --repetitions 1",
    },
];

/// How often the progress is drawn.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Where the results go.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunAllOptions {
    /// Small numbers, to see that everything works: a minute instead of ten. The results go to a
    /// temporary folder unless one is named.
    #[arg(long)]
    quick: bool,
    /// The folder for the lines [default: `results` beside the sources].
    #[arg(long)]
    results: Option<PathBuf>,
    /// The folder for the figures [default: `docs/figures` of the repository].
    #[arg(long)]
    figures: Option<PathBuf>,
}

impl RunAllOptions {
    fn folders(&self) -> PlotOptions {
        let sources = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let (results, figures) = if self.quick {
            let folder = env::temp_dir().join("quorate-bench-quick");
            (folder.clone(), folder)
        } else {
            (sources.join("results"), sources.join("../docs/figures"))
        };
        PlotOptions {
            results: self.results.clone().unwrap_or(results),
            figures: self.figures.clone().unwrap_or(figures),
        }
    }
}

/// Runs all rungs, one after the other, each in a process of its own, and draws the figures.
///
/// # Errors
/// A rung failed, or files could not be written.
pub(crate) fn run(options: &RunAllOptions) -> Result<(), Box<dyn Error>> {
    let folders = options.folders();
    fs::create_dir_all(&folders.results)?;
    let bar = ProgressBar::new(PARTS.len() as u64 + 1);
    bar.set_style(ProgressStyle::with_template("{spinner} [{elapsed}] {pos}/{len} {msg}")?);
    bar.enable_steady_tick(PROGRESS_INTERVAL);
    for part in PARTS {
        bar.set_message(part.file);
        let path = folders.results.join(part.file).with_extension("jsonl");
        let mut command = Command::new(env::current_exe()?);
        command.arg(part.rung).args(part.arguments.split_whitespace());
        if options.quick {
            command.args(part.quick.split_whitespace());
        }
        let status = command.stdout(File::create(&path)?).status()?;
        if !status.success() {
            return Err(format!("`{}` ended with {status}", part.file).into());
        }
        bar.println(format!("{}: {}", part.file, path.display()));
        bar.inc(1);
    }
    bar.set_message("figures");
    for file in plot::run(&folders)? {
        bar.println(format!("figure: {}", file.display()));
    }
    bar.finish_and_clear();
    Ok(())
}
