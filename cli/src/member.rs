//! `quorate init` and `quorate member`.

use core::time::Duration;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::path::Path;

use quorate_archive::Salvaged;
use quorate_core::{Incarnation, RecoveryEpoch};
use quorate_driver::{
    Configuration, MemberHandle, MemberOptions, RejoinError, RunError, StorageMode, init_archive,
    join_archive, next_incarnation, rejoin_archive_in, salvage_archive,
};
use quorate_runtime_mio::ThreadOptions;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::arguments::{self, Idle, Storage};
use crate::control::{self, Control};
use crate::failure::{Failure, tell_line};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::report::MemberReport;
use crate::runtime::Runtime;
use crate::signals::Signals;

/// Forms the group in the configured directory, or makes that anew for a member that lost its own.
pub(crate) fn init(arguments: &arguments::Init) -> Result<(), Failure> {
    let configuration = load(&arguments.config)?;
    let (id, group) = (configuration.member, configuration.group.0);
    let directory = configuration.data.display();
    if arguments.join {
        let incarnation = arguments.incarnation.map_or(Incarnation::FIRST, Incarnation);
        let epoch = RecoveryEpoch(arguments.recovery_epoch);
        join_archive(&configuration, incarnation, epoch).map_err(refused)?;
        let number = incarnation.0;
        tell_line(format_args!(
            "member {id} may come to group {group:#018x}, incarnation {number}, with an empty \
             directory in {directory}; start it, and have the leader take it in by `quorate tool \
             add`"
        ));
        return Ok(());
    }
    if !arguments.rejoin {
        init_archive(&configuration).map_err(|error| Failure::Failed(error.to_string()))?;
        tell_line(format_args!("member {id} of group {group:#018x} is ready in {directory}"));
        return Ok(());
    }
    let incarnation = arguments.incarnation.map_or_else(next_incarnation, Incarnation);
    let epoch = RecoveryEpoch(arguments.recovery_epoch);
    rejoin_archive_in(&configuration, incarnation, epoch).map_err(refused)?;
    tell_line(format_args!(
        "member {id} of group {group:#018x} has an empty directory, incarnation {}, in \
         {directory}; it counts again once the others have readmitted it",
        incarnation.0
    ));
    Ok(())
}

/// Replaces a damaged directory by one with all of it that verifies.
pub(crate) fn repair(config: &Path, incarnation: Option<u32>) -> Result<(), Failure> {
    let configuration = load(config)?;
    let directory = configuration.data.display();
    let incarnation = incarnation.map_or_else(next_incarnation, Incarnation);
    let Some((salvaged, damaged)) =
        salvage_archive(&configuration, incarnation).map_err(refused)?
    else {
        tell_line(format_args!(
            "a member can start from {directory}; there is nothing left to repair"
        ));
        return Ok(());
    };
    let Salvaged { log_start, log_end, snapshots, cause, .. } = salvaged;
    tell_line(format_args!(
        "{directory} has incarnation {} now, with the log from {log_start} to {log_end} and {} \
         snapshots; the damaged directory is {}",
        incarnation.0,
        snapshots.len(),
        damaged.display()
    ));
    if let Some(cause) = cause {
        tell_line(format_args!("the log was saved up to there because {cause}"));
    }
    tell_line("the member fetches the rest, and counts again once the others have readmitted it");
    Ok(())
}

fn refused(error: RejoinError) -> Failure {
    match error {
        RejoinError::TooFew { .. } | RejoinError::First { .. } | RejoinError::Nobody => {
            Failure::Usage(error.to_string())
        }
        other => Failure::Failed(other.to_string()),
    }
}

/// Reads a configuration; what is wrong with it is a matter of usage.
pub(crate) fn load(config: &Path) -> Result<Configuration, Failure> {
    Configuration::load(config).map_err(|error| Failure::Usage(error.to_string()))
}

/// With `--idle backoff`: how often a thread looks again at once, and then after others could run,
/// before it waits. A look that finds nothing takes half a microsecond and more: together some
/// hundreds of microseconds, a sync of a fast disk and several round trips on a fast network.
const BACKOFF: quorate_runtime_mio::Idle =
    quorate_runtime_mio::Idle::Backoff { spins: 500, yields: 50 };

/// How long a member that is to wait for its disk no longer has to end.
const CUT_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs a member until it is told to stop, or goes inert.
pub(crate) async fn run(arguments: arguments::Member) -> Result<(), Failure> {
    let thread = thread(&arguments)?;
    let configuration = load(&arguments.config)?;
    let id = configuration.member.0;
    let (faults, data) = (configuration.faults, configuration.data.clone());
    let metrics = Metrics::listen(arguments.metrics, &configuration).await?;
    let mut options = MemberOptions::new(configuration);
    options.bootstrap = arguments.bootstrap;
    options.record = arguments.record;
    options.storage = match arguments.storage {
        Storage::Threads => StorageMode::Threads,
        Storage::Inline => StorageMode::Inline,
    };
    if arguments.supervised {
        options.socket = Some(inherited_socket()?);
    }
    let runtime = arguments.runtime;
    let mut member = runtime
        .spawn_member(options, Ledger::default(), thread)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    tracing::info!(member = id, address = %member.address(), runtime = runtime.name(), "running");
    if let Some(faults) = faults {
        tracing::warn!(?faults, "deliberate faults are on");
    }
    let ended = if arguments.supervised {
        supervised(id, &mut member).await?
    } else {
        alone(id, &mut member, &Control::listen(&data), &metrics).await?
    };
    match ended {
        Ended::ByItself(result) => result,
        Ended::ByRequest(signals) => stop(&mut member, signals).await,
    }
}

/// Stops the member, and waits for its disk until that has what the member promised, or is not
/// waited for any longer; another signal, if any come here, ends that.
async fn stop(member: &mut MemberHandle<Ledger>, signals: Option<Signals>) -> Result<(), Failure> {
    // Whether it has ended already is told below. One whose disk hangs may not even take a request.
    let in_good_order = async |member: &mut MemberHandle<Ledger>| {
        let _ = member.begin_shutdown().await;
        member.finished().await
    };
    let Some(mut signals) = signals else { return in_good_order(member).await.map_err(failure_of) };
    tokio::select! {
        biased;
        ended = in_good_order(member) => return ended.map_err(failure_of),
        signal = signals.next() => {
            tracing::warn!(signal, "told to stop once more: the disk is awaited no longer");
        }
    }
    let cut = async {
        let _ = member.cut_short().await;
        member.finished().await
    };
    // A member without threads for its disk hears nothing before that is done; on a thread of its
    // own it is left behind then.
    timeout(CUT_TIMEOUT, cut).await.unwrap_or(Err(RunError::CutShort)).map_err(failure_of)
}

fn failure_of(error: RunError) -> Failure {
    let text = error.to_string();
    if matches!(error, RunError::CutShort) {
        Failure::CutShort(text)
    } else {
        Failure::Failed(text)
    }
}

/// How a member's own thread is; other runtimes have none.
fn thread(arguments: &arguments::Member) -> Result<ThreadOptions, Failure> {
    let (idle, cpu) = (arguments.idle, arguments.cpu);
    if arguments.runtime != Runtime::Mio && (idle.is_some() || cpu.is_some()) {
        return Err(Failure::Usage(
            "--idle and --cpu are about a thread of the member's own; give --runtime mio as well"
                .into(),
        ));
    }
    let idle = match idle {
        None | Some(Idle::Block) => quorate_runtime_mio::Idle::Block,
        Some(Idle::Spin) => quorate_runtime_mio::Idle::Spin,
        Some(Idle::Backoff) => BACKOFF,
    };
    Ok(ThreadOptions { idle, cpu, ..ThreadOptions::default() })
}

enum Ended {
    /// More signals may come.
    ByRequest(Option<Signals>),
    ByItself(Result<(), Failure>),
}

async fn finished(member: &mut MemberHandle<Ledger>) -> Ended {
    Ended::ByItself(member.finished().await.map_err(failure_of))
}

async fn alone(
    id: u16,
    member: &mut MemberHandle<Ledger>,
    control: &Control,
    metrics: &Metrics,
) -> Result<Ended, Failure> {
    let mut signals = Signals::listen()?;
    let mut asks = signal(SignalKind::user_defined1())
        .map_err(|error| Failure::failed("cannot await signals", error))?;
    loop {
        tokio::select! {
            biased;
            _ = signals.next() => return Ok(Ended::ByRequest(Some(signals))),
            ended = finished(member) => return Ok(ended),
            asking = control.next() => {
                // Whoever asks slowly delays no stop.
                tokio::select! {
                    biased;
                    _ = signals.next() => return Ok(Ended::ByRequest(Some(signals))),
                    () = control::answer(id, member, asking) => {}
                }
                continue;
            }
            asking = metrics.next() => {
                tokio::select! {
                    biased;
                    _ = signals.next() => return Ok(Ended::ByRequest(Some(signals))),
                    () = metrics.answer(member, asking) => {}
                }
                continue;
            }
            _ = asks.recv() => {}
        }
        let Some(report) = report_of(id, member).await else { return Ok(finished(member).await) };
        let report = serde_json::to_string(&report)
            .map_err(|error| Failure::failed("cannot write a status", error))?;
        tracing::info!("status {report}");
    }
}

/// How a member is now, unless it has ended.
async fn report_of(id: u16, member: &MemberHandle<Ledger>) -> Option<MemberReport> {
    let report = member.inspect(move |ledger, status| MemberReport::new(id, ledger, &status));
    report.await.ok()
}

/// Answers `status` with a line of JSON; any other line, or the stream's end, stops the member: it
/// does not outlive the one that started it.
async fn supervised(id: u16, member: &mut MemberHandle<Ledger>) -> Result<Ended, Failure> {
    let stream = inherited_stream()?;
    let (requests, mut answers) = stream.into_split();
    let mut requests = BufReader::new(requests).lines();
    loop {
        let request = tokio::select! {
            request = requests.next_line() => request,
            ended = finished(member) => return Ok(ended),
        };
        if !matches!(&request, Ok(Some(line)) if line == "status") {
            return Ok(Ended::ByRequest(None));
        }
        let Some(report) = report_of(id, member).await else { return Ok(finished(member).await) };
        let mut line = serde_json::to_vec(&report)
            .map_err(|error| Failure::failed("cannot write a status", error))?;
        line.push(b'\n');
        if answers.write_all(&line).await.is_err() {
            return Ok(Ended::ByRequest(None));
        }
    }
}

/// The socket that the starter bound, as standard input: inetd's convention.
fn inherited_socket() -> Result<UdpSocket, Failure> {
    let descriptor = std::io::stdin().as_fd().try_clone_to_owned();
    descriptor
        .map(UdpSocket::from)
        .map_err(|error| Failure::failed("standard input is no socket", error))
}

fn inherited_stream() -> Result<UnixStream, Failure> {
    let open = || {
        let stream = std::io::stdout().as_fd().try_clone_to_owned()?;
        let stream = std::os::unix::net::UnixStream::from(stream);
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream)
    };
    open().map_err(|error| Failure::failed("standard output is no stream socket", error))
}
