//! Benchmarks of Quorate. Each rung prints one JSON object a line, with its conditions; rates and
//! percentiles are medians of repetitions, which are interleaved so that a slow moment of the
//! machine hits all cases alike.

#![forbid(unsafe_code)]

mod catch_up;
mod cluster;
mod codec_rung;
mod core_rung;
mod failover;
mod gate;
mod growth_rung;
mod instructions;
mod line;
mod loopback;
mod measure;
mod plot;
mod progress;
mod raft_peer;
mod recovery_rung;
mod room;
mod run_all;
mod slow_member_rung;
mod snapshot_rung;
mod tables;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Benchmarks of Quorate, beside their peers and the limits of the machine.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    rung: Rung,
}

#[derive(Debug, Subcommand)]
enum Rung {
    /// Three members in one thread, without sockets and disks, beside the `raft` crate.
    Core(core_rung::CoreOptions),
    /// Encoding and decoding datagrams and frames: nanoseconds and instructions.
    Codec(codec_rung::CodecOptions),
    /// More members, more sessions, larger messages.
    Growth(growth_rung::GrowthOptions),
    /// Three member processes and a client over UDP loopback.
    Loopback(loopback::LoopbackOptions),
    /// A member recovers from its directory: log and snapshots, cold and warm.
    Recovery(recovery_rung::RecoveryOptions),
    /// A member that lost its directory gets everything from the others.
    CatchUp(catch_up::CatchUpOptions),
    /// A cluster with a member that is slow, or away.
    SlowMember(slow_member_rung::SlowMemberOptions),
    /// The leader of a cluster under load is killed again and again.
    Failover(failover::FailoverOptions),
    /// A service with much state, while snapshots of it are taken.
    Snapshot(snapshot_rung::SnapshotOptions),
    /// Compares instructions per message with the checked-in counts; fails when there are more.
    Instructions(gate::GateOptions),
    /// Draws the figures from the lines of earlier runs.
    Plot(plot::PlotOptions),
    /// Writes the tables of BENCHMARKS.md from the lines of earlier runs.
    Tables(tables::TableOptions),
    /// Runs all rungs and draws all figures.
    RunAll(run_all::RunAllOptions),
    /// A member process of a cluster.
    #[command(hide = true)]
    Member(cluster::MemberProcessOptions),
    /// Runs one case so often, for the counting tool.
    #[command(hide = true)]
    Iterate(instructions::IterateOptions),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().rung {
        Rung::Core(options) => core_rung::run(&options),
        Rung::Codec(options) => codec_rung::run(&options),
        Rung::Growth(options) => growth_rung::run(&options),
        Rung::Loopback(options) => loopback::run(&options),
        Rung::Recovery(options) => recovery_rung::run(&options),
        Rung::CatchUp(options) => catch_up::run(&options),
        Rung::SlowMember(options) => slow_member_rung::run(&options),
        Rung::Failover(options) => failover::run(&options),
        Rung::Snapshot(options) => snapshot_rung::run(&options),
        Rung::RunAll(options) => run_all::run(&options),
        Rung::Member(options) => cluster::run_member(&options),
        Rung::Instructions(options) => gate::run(&options),
        Rung::Plot(options) => plot::run(&options).map(drop),
        Rung::Tables(options) => tables::run(&options),
        Rung::Iterate(options) => instructions::iterate(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quorate-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
