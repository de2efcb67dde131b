//! All rungs and all figures in one go.

use core::error::Error;
use std::env;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use crate::plot::{self, PlotOptions};
use crate::progress::{Progress, SILENT};

/// A rung, or a part of one, whose lines go into one file.
struct Part {
    file: &'static str,
    rung: &'static str,
    /// Always given.
    arguments: &'static str,
    /// Given, too, when it is to be quick.
    quick: &'static str,
}

const PARTS: [Part; 11] = [
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
        arguments: "--runtime async-std",
        quick: "--storage memory --loss 0 --window 1,64 --rate 1000,5000 --seconds 0.3 --repetitions 1",
    },
    Part {
        file: "loopback-levels",
        rung: "loopback",
        arguments: "--level durable,volatile --storage disk --loss 0",
        quick: "--window 1,64 --rate 1000,5000 --seconds 0.3 --repetitions 1",
    },
    Part {
        file: "recovery",
        rung: "recovery",
        arguments: "",
        quick: "--log-mib 8 --payload 64 --repetitions 1",
    },
    Part {
        file: "catch-up",
        rung: "catch-up",
        arguments: "",
        quick: "--members 3 --log-mib 24 --state-mib 2 --seconds 0.2 --repetitions 1",
    },
    Part {
        file: "slow-member",
        rung: "slow-member",
        arguments: "",
        quick: "--window 64 --seconds 0.3 --repetitions 1",
    },
    Part { file: "failover", rung: "failover", arguments: "", quick: "--quick" },
    Part {
        file: "snapshot",
        rung: "snapshot",
        arguments: "",
        quick: "--state-mib 4 --seconds 0.3 --repetitions 1",
    },
];

/// Where the results go.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunAllOptions {
    /// Small numbers, to see that everything works: a minute instead of thirty. The results go to a
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
    let progress = Progress::begin(PARTS.len() + 1)?;
    for part in PARTS {
        progress.step(part.file);
        let path = folders.results.join(part.file).with_extension("jsonl");
        let mut command = Command::new(env::current_exe()?);
        command.arg(part.rung).args(part.arguments.split_whitespace());
        if options.quick {
            command.args(part.quick.split_whitespace());
        }
        let status = command.env(SILENT, "1").stdout(File::create(&path)?).status()?;
        if !status.success() {
            return Err(format!("`{}` ended with {status}", part.file).into());
        }
        progress.tell(format!("{}: {}", part.file, path.display()));
        progress.done();
    }
    progress.step("figures");
    for file in plot::run(&folders)? {
        progress.tell(format!("figure: {}", file.display()));
    }
    Ok(())
}
