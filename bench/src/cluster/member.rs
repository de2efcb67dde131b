//! A member process: this program again, under a hidden subcommand. Its socket comes as standard
//! input, and what it is told, and tells, goes over standard output, which is a socket too: a line
//! for each question, and one for each answer. It ends when it is told to, and when whoever started
//! it is gone.

use core::error::Error;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::io::{self, BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use clap::Args;
use quorate_driver::{
    Configuration, Context, Frozen, MemberHandle, MemberOptions, MemberStatus, Pages, Service,
    ServiceError, StorageMode,
};
use serde_json::{Value, json};

use super::ledger::Ledger;
use super::options::{Idle, Runtime, Storage};
use super::runtimes;

/// What a member process is started with.
#[derive(Args, Clone, Debug)]
pub(crate) struct MemberProcessOptions {
    /// Its configuration.
    #[arg(long)]
    config: PathBuf,
    /// What drives it.
    #[arg(long, value_enum)]
    runtime: Runtime,
    /// What it does when there is nothing to do.
    #[arg(long, value_enum)]
    idle: Idle,
    /// What its data directory is on.
    #[arg(long, value_enum)]
    storage: Storage,
    /// Bytes that its service keeps, beside its count.
    #[arg(long, default_value_t = 0)]
    state_bytes: usize,
    /// Its service is a ledger, which keeps no such bytes.
    #[arg(long)]
    ledger: bool,
}

/// How much of its drag a service collects before it sleeps for it.
const DRAG_COLLECTED_NS: u64 = 1_000_000;
/// How far apart the bytes lie that messages change one after the other, so that no page of the
/// state stays as it was.
const STATE_STEP: usize = 4_096 + 64;
/// Bytes of the count, in front of all else.
const COUNT_BYTES: usize = 8;

/// Replies with the first eight bytes of each message, and writes them into its state, if it has
/// any.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    count: u64,
    /// The count, which stands there for snapshots only, and what messages change.
    state: Pages,
    /// Nanoseconds that each message is to take.
    drag: Arc<AtomicU64>,
    /// Those that it has not slept for yet.
    owed_ns: u64,
}

impl Echo {
    /// A service that keeps so many bytes, none of them zero.
    fn with_state(bytes: usize) -> Self {
        Self { state: Pages::from(vec![0x5a; COUNT_BYTES + bytes].as_slice()), ..Self::default() }
    }

    fn change(&mut self, word: &[u8]) {
        let bytes = self.state.len().saturating_sub(COUNT_BYTES);
        if let Some(last) = bytes.checked_sub(word.len().max(1)) {
            let at = (self.count as usize).wrapping_mul(STATE_STEP) % (last + 1);
            self.state.write(COUNT_BYTES + at, word);
        }
    }

    /// What is owed for one more message, once it is long enough to be slept for.
    fn due(&mut self) -> Option<Duration> {
        self.owed_ns += self.drag.load(Ordering::Relaxed);
        let due = (self.owed_ns >= DRAG_COLLECTED_NS).then(|| Duration::from_nanos(self.owed_ns));
        if due.is_some() {
            self.owed_ns = 0;
        }
        due
    }
}

impl Service for Echo {
    fn message(
        &mut self,
        _context: &mut Context<'_>,
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) -> Result<(), ServiceError> {
        let word = &payload[..payload.len().min(8)];
        self.count += 1;
        self.change(word);
        if let Some(due) = self.due() {
            thread::sleep(due);
        }
        reply.extend_from_slice(word);
        Ok(())
    }

    fn snapshot(&self) -> Frozen {
        let mut state = self.state.clone();
        if state.is_empty() {
            return Frozen::laid_out(self.count.to_le_bytes().to_vec());
        }
        state.write(0, &self.count.to_le_bytes());
        state.freeze()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), ServiceError> {
        let parts = bytes.split_first_chunk::<8>();
        let (count, _) =
            parts.ok_or_else(|| ServiceError("eight bytes expected, and the state".into()))?;
        self.count = u64::from_le_bytes(*count);
        self.state = Pages::from(bytes);
        Ok(())
    }

    /// The count: whoever asks for the status does not wait for all of the state.
    fn digest(&self) -> u64 {
        self.count
    }
}

/// A service that members of a cluster run.
trait Subject: Service + Sized {
    /// What it tells of its state: what it has taken in, and a digest of that.
    fn told(&self) -> [u64; 2];
}

impl Subject for Echo {
    fn told(&self) -> [u64; 2] {
        [self.count, self.digest()]
    }
}

impl Subject for Ledger {
    fn told(&self) -> [u64; 2] {
        [self.entries(), self.digest()]
    }
}

/// Runs a member until it is told to stop, or nobody could tell it any more.
///
/// # Errors
/// It did not start, or did not end well.
pub(crate) fn run(options: &MemberProcessOptions) -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::from(io::stdin().as_fd().try_clone_to_owned()?);
    let told = UnixStream::from(io::stdout().as_fd().try_clone_to_owned()?);
    let configuration = Configuration::load(&options.config)?;
    let mut member = MemberOptions::new(configuration);
    member.socket = Some(socket);
    member.storage = match options.storage {
        Storage::Memory => StorageMode::Inline,
        Storage::Disk => StorageMode::Threads,
    };
    if options.ledger {
        return serve(options, member, Ledger::default(), Desk { told, drag: Arc::default() });
    }
    let service = Echo::with_state(options.state_bytes);
    let drag = Arc::clone(&service.drag);
    serve(options, member, service, Desk { told, drag })
}

fn serve<S: Subject + Send + 'static>(
    options: &MemberProcessOptions,
    member: MemberOptions,
    service: S,
    desk: Desk,
) -> Result<(), Box<dyn Error>> {
    let mut told = desk.told.try_clone()?;
    let answer = move |member: &MemberHandle<S>| desk.answer(member);
    let status = runtimes::run_member(options.runtime, options.idle, member, service, answer)?;
    // Nobody reads it when whoever started this is gone.
    let _ = writeln!(told, "{}", report([0; 2], &status));
    Ok(())
}

/// Answers who started this process.
struct Desk {
    told: UnixStream,
    drag: Arc<AtomicU64>,
}

impl Desk {
    /// Returns when the member is to stop: it was said, or nobody says anything any more.
    fn answer<S: Subject + Send + 'static>(self, member: &MemberHandle<S>) {
        let Ok(mut told) = self.told.try_clone() else { return };
        for line in BufReader::new(self.told).lines() {
            let Ok(line) = line else { return };
            let answer = match line.split_once(' ').unwrap_or((&line, "")) {
                ("status", _) => {
                    member.blocking_inspect(|service, status| report(service.told(), &status))
                }
                ("snapshot", _) => Ok(match member.blocking_take_snapshot() {
                    Ok(position) => json!({ "view": { "marked": position.0 } }),
                    Err(error) => Value::from(error.to_string()),
                }),
                ("drag", nanos) => {
                    self.drag.store(nanos.parse().unwrap_or_default(), Ordering::Relaxed);
                    Ok(json!({}))
                }
                _ => return,
            };
            // A member that has ended says why when it is waited for.
            let Ok(answer) = answer else { return };
            if writeln!(told, "{answer}").is_err() {
                return;
            }
        }
    }
}

fn report([entries, digest]: [u64; 2], status: &MemberStatus) -> Value {
    let MemberStatus { view, counters, datagrams, storage, .. } = status;
    json!({
        "view": {
            "serving": u64::from(view.serving),
            "origin": view.origin.0,
            "received": view.received.0,
            "commit": view.commit.0,
            "applied": view.applied.0,
            "snapshot": view.snapshot.0,
            "entries": entries,
            "digest": digest,
        },
        "counts": {
            "naks": counters.naks_sent,
            "unsent": datagrams.unsent,
            "sent": datagrams.sent,
            "syncs": storage.syncs,
            "terms": view.term.0,
            "appended": counters.messages_appended,
            "repair_bytes": counters.repair_bytes_sent,
            "snapshot_bytes": counters.snapshot_bytes_sent,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_state_is_all_there_is() {
        let mut one = Echo::with_state(10_000);
        one.count = 7;
        one.change(b"changed!");
        let bytes = one.snapshot().into_bytes().unwrap();
        assert_eq!(bytes.len(), 10_008);
        let mut two = Echo::with_state(20_000);
        two.restore(&bytes).unwrap();
        assert_eq!((two.count, two.snapshot().into_bytes().unwrap()), (7, bytes.clone()));
        assert!(two_fails(&bytes[..7]), "a count cut short was taken");
    }

    fn two_fails(bytes: &[u8]) -> bool {
        Echo::default().restore(bytes).is_err()
    }

    #[test]
    fn each_page_of_the_state_is_changed() {
        let mut echo = Echo::with_state(64 << 10);
        for count in 0..64 {
            echo.count = count;
            echo.change(b"changed!");
        }
        let state = echo.snapshot().into_bytes().unwrap();
        let unchanged = state[8..].chunks(4_096).filter(|page| page.iter().all(|&b| b == 0x5a));
        assert_eq!(unchanged.count(), 0);
        // Without a state, or with one that is too small, nothing is written.
        for bytes in [0, 7] {
            let mut small = Echo::with_state(bytes);
            small.change(b"changed!");
            let state = small.snapshot().into_bytes().unwrap();
            assert!(state[8..].iter().all(|&b| b == 0x5a));
        }
    }

    #[test]
    fn drag_is_collected_until_it_can_be_slept_for() {
        let mut echo = Echo::default();
        echo.drag.store(DRAG_COLLECTED_NS / 2, Ordering::Relaxed);
        assert_eq!(echo.due(), None);
        assert_eq!(echo.due(), Some(Duration::from_nanos(DRAG_COLLECTED_NS)));
        assert_eq!(echo.due(), None, "what was slept for is not owed");
    }
}
