//! The rung `failover`: the leader of a cluster under load is killed again and again. How long
//! until clients are served again, and whether all that they were answered is there, once.

mod audit;
mod journal;
mod picture;

use core::error::Error;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use std::{env, fs, thread};

use clap::Args;
use quorate_core::{MemberId, Timing};

use self::audit::Audit;
use self::journal::{Journal, NAME_BYTES, Watch};
use crate::cluster::{Cluster, ClusterCase, Load, LoadClient, MEMORY_FOLDER, Runtime, Storage};
use crate::line::Line;
use crate::measure::Latencies;
use crate::progress::{Progress, SILENT};

/// How the rung is run.
#[derive(Args, Clone, Debug)]
pub(crate) struct FailoverOptions {
    /// How often the leader is killed.
    #[arg(long, default_value_t = 200)]
    kills: u64,
    /// Members.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(3..=7))]
    members: u16,
    /// Clients.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    clients: u16,
    /// Messages a second of all clients together, each of which sends when a message is due.
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
    /// Bytes of a message, at least 16.
    #[arg(long, default_value_t = 64)]
    payload: usize,
    /// What drives the members.
    #[arg(long, value_enum, default_value_t = Runtime::Tokio)]
    runtime: Runtime,
    /// Where the archives are.
    #[arg(long, value_enum, default_value_t = Storage::Disk)]
    storage: Storage,
    /// The folder that they are in [default: `/dev/shm`, or the one for temporary files].
    #[arg(long)]
    folder: Option<PathBuf>,
    /// A few kills, to see that everything works.
    #[arg(long)]
    quick: bool,
}

/// Kills of a quick run.
const QUICK_KILLS: u64 = 5;
/// How long members and clients are left alone between two kills, at least; then as long again at
/// most, so that kills come at any time between two heartbeats.
const CALM: Duration = Duration::from_millis(60);
/// Steps of the pause that follows.
const CALM_STEPS: u64 = 61;

/// What all kills have shown.
struct Seen {
    /// From a kill to the first answer of any client.
    first_back: Latencies,
    /// The same of the client that was the last.
    all_back: Latencies,
    /// Until another member serves.
    led: Latencies,
    /// The longest time without an answer of any client, for each kill.
    gaps: Latencies,
    /// From the start of the killed member until it has applied what the leader has committed.
    level: Latencies,
}

/// Kills the leader as often as asked for, prints what came of it, and audits the ledger.
///
/// # Errors
/// A cluster did not start or serve, or a message was lost, or applied twice.
pub(crate) fn run(options: &FailoverOptions) -> Result<(), Box<dyn Error>> {
    let kills = if options.quick { QUICK_KILLS.min(options.kills) } else { options.kills };
    let case = case(options);
    let load_before = load_average();
    let mut cluster = Cluster::start(&case)?;
    let leader = cluster.leader()?;
    let watch = Watch::new(usize::from(options.clients));
    let journals = (0..usize::from(options.clients)).map(|client| {
        let journal = Journal::new(client, Arc::clone(&watch));
        let key = u64::from(std::process::id()) << 16 | client as u64;
        LoadClient::connect_for(journal, &cluster, key)
    });
    let clients = journals.collect::<Result<Vec<_>, _>>()?;
    let load = Load::Open((options.rate / u64::from(options.clients)).max(1));
    let is_going = AtomicBool::new(true);
    let begin = Instant::now();
    let (seen, journals) = thread::scope(|scope| {
        let running = clients.into_iter().map(|client| {
            let going = || is_going.load(Ordering::Relaxed);
            scope.spawn(move || client.run_while(load, going).map_err(|error| error.to_string()))
        });
        let running: Vec<_> = running.collect();
        let seen = kill_again_and_again(&mut cluster, &watch, leader, kills);
        is_going.store(false, Ordering::Relaxed);
        let journals = running.into_iter().map(|client| {
            let ended = client.join().map_err(|_| "a client panicked")?;
            Ok(ended?)
        });
        let journals = journals.collect::<Result<Vec<Journal>, Box<dyn Error>>>();
        Ok::<_, Box<dyn Error>>((seen?, journals?))
    })?;
    let took = begin.elapsed();
    let members = until_equal(&mut cluster)?;
    cluster.stop()?;
    let audit = Audit::of(&journals, &vec![0x5a; case.payload], &members);
    let load = [load_before, load_average()];
    tell(options, kills, took, &seen, &audit, load)?;
    let sent: u64 = journals.iter().map(|journal| journal.sent).sum();
    if !audit.is_sound() || sent != audit.acknowledged {
        return Err(format!("of {sent} messages: {audit:?}").into());
    }
    Ok(())
}

fn case(options: &FailoverOptions) -> ClusterCase {
    let folder = options.folder.clone().unwrap_or_else(|| match options.storage {
        Storage::Memory => MEMORY_FOLDER.into(),
        Storage::Disk => env::temp_dir(),
    });
    let payload = options.payload.max(NAME_BYTES);
    let case = ClusterCase::new(options.members, options.storage, folder, payload);
    ClusterCase { runtime: options.runtime, keeps_ledger: true, ..case }
}

fn kill_again_and_again(
    cluster: &mut Cluster,
    watch: &Watch,
    mut leader: MemberId,
    kills: u64,
) -> Result<Seen, Box<dyn Error>> {
    let new = Latencies::new;
    let mut seen =
        Seen { first_back: new(), all_back: new(), led: new(), gaps: new(), level: new() };
    let progress = Progress::begin(kills as usize)?;
    for kill in 0..kills {
        progress.step(format!("killing member {leader}"));
        // A prime number of steps, so that the pauses are all different for long.
        let extra = CALM.mul_f64((kill * 17 % CALM_STEPS) as f64 / CALM_STEPS as f64);
        thread::sleep(CALM + extra);
        leader = kill_once(cluster, watch, leader, &mut seen)?;
        progress.done();
    }
    Ok(seen)
}

/// Kills the leader and starts it again when all clients are served; returns the new one when all
/// is as before.
fn kill_once(
    cluster: &mut Cluster,
    watch: &Watch,
    old: MemberId,
    seen: &mut Seen,
) -> Result<MemberId, Box<dyn Error>> {
    let killed = Instant::now();
    watch.begin(killed);
    cluster.kill(old);
    watch.gone(Instant::now());
    let mut leader = cluster.leader()?;
    seen.led.record(killed.elapsed().as_nanos() as u64, 1);
    cluster.wait_until("all clients are served", |_| Ok(watch.is_over().then_some(())))?;
    let started = Instant::now();
    cluster.start_member(old)?;
    leader = cluster.wait_until("the killed member is level", |cluster| {
        // Who led may have been replaced meanwhile.
        leader = cluster.leader()?;
        let commit = cluster.status(leader)?.view("commit");
        let is_level = leader == old || cluster.status(old)?.view("applied") >= commit;
        Ok(is_level.then_some(leader))
    })?;
    seen.level.record(started.elapsed().as_nanos() as u64, 1);
    let outage = watch.outage();
    let back: Vec<u64> = outage.back.iter().flatten().map(|back| back.as_nanos() as u64).collect();
    seen.first_back.record(back.iter().copied().min().unwrap_or_default(), 1);
    seen.all_back.record(back.iter().copied().max().unwrap_or_default(), 1);
    seen.gaps.record(outage.longest_gap.as_nanos() as u64, 1);
    Ok(leader)
}

/// A member, and its ledger: how many entries it has, and their digest.
type OfMember = (MemberId, [u64; 2]);

/// The ledgers of all members, once they have applied equally much, which is all that is committed.
fn until_equal(cluster: &mut Cluster) -> Result<Vec<OfMember>, Box<dyn Error>> {
    cluster.wait_until("all members are level", |cluster| {
        let statuses = cluster.statuses()?;
        let newest = statuses.values().map(|status| status.view("commit")).max();
        let is_level = statuses.values().all(|status| Some(status.view("applied")) == newest);
        let ledgers = statuses
            .iter()
            .map(|(&member, status)| (member, [status.view("entries"), status.view("digest")]));
        Ok(is_level.then(|| ledgers.collect()))
    })
}

/// How many processes wanted to run, on the average of the last minute, all of them.
fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split(' ').next().and_then(|number| number.parse().ok());
    first.unwrap_or_default()
}

fn tell(
    options: &FailoverOptions,
    kills: u64,
    took: Duration,
    seen: &Seen,
    audit: &Audit,
    load: [f64; 2],
) -> Result<(), Box<dyn Error>> {
    let timing = Timing::default();
    let (step_ms, rows) = picture::rows(&seen.first_back);
    let mut line = Line::of("failover")
        .with("kills", kills)
        .with("members", options.members)
        .with("clients", options.clients)
        .with("rate", options.rate)
        .with("payload", options.payload.max(NAME_BYTES))
        .with("runtime", options.runtime.to_string())
        .with("storage", options.storage.to_string())
        .with("election_timeout_min_ms", timing.election_timeout_min.0 / 1_000_000)
        .with("election_timeout_max_ms", timing.election_timeout_max.0 / 1_000_000)
        .with_rounded("load_before", load[0])
        .with_rounded("load_after", load[1])
        .with_rounded("seconds", took.as_secs_f64());
    let spans = [
        ("", &seen.first_back),
        ("all_", &seen.all_back),
        ("led_", &seen.led),
        ("gap_", &seen.gaps),
        ("level_", &seen.level),
    ];
    for (name, span) in spans {
        for (quantile, at) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)] {
            line = line.with_rounded(&format!("{name}{quantile}_ms"), span.micros_at(at) / 1e3);
        }
    }
    let counts: Vec<u64> = rows.iter().map(|(_, count)| *count).collect();
    line.with("from_ms", rows.first().map_or(0, |(begins, _)| *begins))
        .with("step_ms", step_ms)
        .with("counts", counts)
        .with("acknowledged", audit.acknowledged)
        .with("entries", audit.entries)
        .with("lost", audit.lost)
        .with("twice", audit.twice + audit.astray)
        .with("unequal", audit.unequal.len())
        .print()?;
    if env::var_os(SILENT).is_none() {
        show(kills, seen, audit, &picture::drawn(step_ms, &rows));
    }
    Ok(())
}

/// The same for who looks at a terminal; lines alone go to standard output.
fn show(kills: u64, seen: &Seen, audit: &Audit, picture: &str) {
    let of = |span: &Latencies| {
        let [p50, p90, p99, max] =
            [0.5, 0.9, 0.99, 1.0].map(|quantile| span.micros_at(quantile) / 1e3);
        format!("p50 {p50:.0} ms, p90 {p90:.0} ms, p99 {p99:.0} ms, max {max:.0} ms")
    };
    eprintln!("{kills} kills of the leader; from each to the first answer to what was sent since:");
    eprintln!("\n{picture}");
    for (what, span) in [
        ("service is back", &seen.first_back),
        ("for all clients", &seen.all_back),
        ("another leads", &seen.led),
        ("longest gap", &seen.gaps),
        ("started and level", &seen.level),
    ] {
        eprintln!("{what:<18} {}", of(span));
    }
    let Audit { acknowledged, entries, lost, twice, astray, unequal } = audit;
    eprintln!(
        "{acknowledged} answered, {entries} entries: {lost} lost, {twice} applied again, {astray} \
         receipts astray, {} members unequal",
        unequal.len()
    );
}
