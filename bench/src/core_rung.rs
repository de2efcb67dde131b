//! The rung `core`: three members and a client in one thread, beside the `raft` crate.
//!
//! The peer has no clients: a proposal is a function call, and nobody is answered. So there are two
//! rates. `per_s` is that of everything, with the state machine of the client: framing and
//! checksums of what it submits, checking and taking in the replies. `members_per_s` leaves out the
//! turns of the client, by the clock, and is what `ratio` and `ratio_best` compare; the sessions
//! are in it as members keep them: admission, replies, and the bytes of both directions.

use core::error::Error;

use clap::Args;
use quorate_core::Limits;

use crate::line::Line;
use crate::measure::{Yield, clock_reading_ns, median};
use crate::raft_peer::{self, RaftLoad};
use crate::room::{PAGE_CACHE_BYTES, Room, RoomOptions, RoomYield, SESSION_WINDOW_BYTES};

/// Batch and window of the peer's cases: the same windows as ours, and what it does best with.
const PEER_LOADS: [(u64, u64); 6] =
    [(1, 1), (16, 16), (64, 64), (64, 512), (256, 256), (256, 2048)];

/// How this program was compiled, the peer in it, too.
const BUILD: &str = "release, fat lto, one codegen unit, panic = abort";

/// Batches of the peer from which its best rate is taken.
const PEER_BEST_BATCHES: [u64; 2] = [64, 256];

/// How the rung is run.
#[derive(Args, Clone, Debug)]
pub(crate) struct CoreOptions {
    /// Unanswered messages of the client.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    pub(crate) window: Vec<usize>,
    /// Messages of a run; small windows get a quarter.
    #[arg(long, default_value_t = 400_000)]
    pub(crate) messages: u64,
    /// Runs of each case; medians are shown.
    #[arg(long, default_value_t = 11)]
    pub(crate) repetitions: usize,
    /// Bytes of a message.
    #[arg(long, default_value_t = 64)]
    pub(crate) payload: usize,
    /// Stream bytes of one datagram [default: what members do by default].
    #[arg(long)]
    pub(crate) slice_bytes: Option<u64>,
    /// Stream bytes of one send, at most [default: what members do by default].
    #[arg(long)]
    pub(crate) run_bytes: Option<u64>,
    /// Bytes of the window of each member's log; more where the messages in flight need it. All
    /// windows are run with each.
    #[arg(long, value_delimiter = ',', default_values_t = [Limits::default().window_bytes])]
    pub(crate) log_window: Vec<u64>,
    /// Bytes of the rings of a session; more where its messages in flight need it.
    #[arg(long, default_value_t = SESSION_WINDOW_BYTES)]
    pub(crate) session_window: u64,
    /// Bytes of the buffer that each member's appends are copied into, as into a page cache.
    #[arg(long, default_value_t = PAGE_CACHE_BYTES)]
    pub(crate) page_cache: usize,
    /// Leave the peer out.
    #[arg(long)]
    pub(crate) no_peer: bool,
}

impl CoreOptions {
    fn messages(&self, window: usize) -> u64 {
        if window < 16 { self.messages / 4 } else { self.messages }
    }

    fn room(&self, log_window_bytes: u64, window: usize) -> RoomOptions {
        let mut options = RoomOptions::new(window, self.payload);
        options.slice_bytes = self.slice_bytes.unwrap_or(options.slice_bytes);
        options.log_window_bytes = log_window_bytes;
        options.session_window_bytes = self.session_window;
        options.page_cache_bytes = self.page_cache;
        options.run_bytes = self.run_bytes.unwrap_or(options.run_bytes).max(options.slice_bytes);
        options
    }
}

/// What the peer's runs of one load yielded.
struct PeerCase {
    load: RaftLoad,
    yields: Vec<Yield>,
}

/// Runs all cases in turn, as often as asked for, and prints their medians.
///
/// # Errors
/// What the peer or the output complains of.
pub(crate) fn run(options: &CoreOptions) -> Result<(), Box<dyn Error>> {
    let mut ours: Vec<(RoomOptions, Vec<RoomYield>)> = Vec::new();
    for &log_window in &options.log_window {
        let rooms = options.window.iter().map(|&window| options.room(log_window, window));
        ours.extend(rooms.map(|room| (room, Vec::new())));
    }
    let payload = options.payload;
    let mut peers: Vec<PeerCase> = PEER_LOADS
        .iter()
        .map(|&(batch, window)| RaftLoad { batch, window, payload })
        .map(|load| PeerCase { load, yields: Vec::new() })
        .collect();
    if options.no_peer {
        peers.clear();
    }
    for _ in 0..options.repetitions.max(1) {
        for (room, yields) in &mut ours {
            yields.push(Room::open(room).run(options.messages(room.window)));
        }
        for case in &mut peers {
            let messages = options.messages(case.load.window as usize);
            case.yields.push(raft_peer::run(case.load, messages)?);
        }
    }
    let peers: Vec<(RaftLoad, Yield)> =
        peers.iter().map(|case| (case.load, Yield::median(&case.yields))).collect();
    for (load, measured) in &peers {
        peer_line(*load, measured).print()?;
    }
    for (room, yields) in &ours {
        our_line(room, yields, &peers).print()?;
    }
    Ok(())
}

fn peer_line(load: RaftLoad, measured: &Yield) -> Line {
    let line = Line::of("core")
        .with("system", "peer")
        .with("peer", raft_peer::NAME)
        .with("members", 3)
        .with("payload", load.payload)
        .with("batch", load.batch)
        .with("window", load.window)
        .with("build", BUILD)
        .with("durable", false);
    measured.add_to(line)
}

fn our_line(room: &RoomOptions, yields: &[RoomYield], peers: &[(RaftLoad, Yield)]) -> Line {
    let middle = |number: fn(&RoomYield) -> f64| median(yields.iter().map(number).collect());
    let measured: Vec<Yield> = yields.iter().map(|each| each.measured).collect();
    let measured = Yield::median(&measured);
    let members_per_s = middle(|each| each.members_per_s);
    let line = room.add_to(Line::of("core").with("system", "quorate").with("build", BUILD));
    let line = measured
        .add_to(line)
        .with("members_per_s", members_per_s.round())
        .with_rounded("steps_per_message", middle(|each| each.steps_per_message))
        .with_rounded("readings_per_message", middle(|each| each.readings_per_message))
        .with_rounded("reading_ns", clock_reading_ns())
        .with("naks", yields.iter().map(|each| each.naks).sum::<u64>());
    let same = peers
        .iter()
        .find(|(load, _)| load.window == room.window as u64 && load.batch == load.window);
    let line = match same {
        Some((_, peer)) => line
            .with("peer", raft_peer::NAME)
            .with("peer_per_s", peer.per_s.round())
            .with_rounded("peer_p50_us", peer.p50_us)
            .with_rounded("ratio", members_per_s / peer.per_s)
            .with_rounded("ratio_with_client", measured.per_s / peer.per_s),
        None => line,
    };
    let best = peers.iter().filter(|(load, _)| PEER_BEST_BATCHES.contains(&load.batch));
    match best.map(|(_, peer)| peer.per_s).max_by(f64::total_cmp) {
        Some(best) => line
            .with("peer_best_per_s", best.round())
            .with_rounded("ratio_best", members_per_s / best)
            .with_rounded("ratio_best_with_client", measured.per_s / best),
        None => line,
    }
}
