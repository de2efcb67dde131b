//! Writes down what happens to a member.

use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration as Span;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;

use quorate_core::{Action, Duration, Endpoint, Event, Instant, Member, MemberConfig, Recovered};

use super::action_hash::ActionHash;
use super::beginning::Beginning;
use super::fields::Writer;
use super::frames::{MAGIC, VERSION, write_record};
use super::step::{ENDING, write_datagram, write_event};

/// Bytes that are collected before the thread gets them.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait for the thread, at most, and their bytes. Beyond it the recording ends.
const PIECES_MAX: usize = 1_024;
const WAITING_BYTES_MAX: usize = 64 << 20;
/// How long bytes are collected: what a member that is killed leaves unwritten.
const PIECE_AGE_MAX: Duration = Duration::from_millis(20);
/// How long the end of a member waits for the rest to be written.
const CLOSE_TIMEOUT: Span = Span::from_secs(2);

/// A recording under way, of one life of a member. Give it to [`crate::MemberLoop::record`] before
/// the first event; the loop writes its end when it is dropped.
///
/// It never makes the member wait: a thread of its own writes. When that thread cannot, or falls
/// too far behind, the recording ends, which is logged once; the member goes on.
pub struct Recording {
    hash: ActionHash,
    steps: u64,
    /// Records written, the beginning included.
    records: u64,
    body: Writer,
    piece: Vec<u8>,
    piece_began: Instant,
    thread: Option<RecordingThread>,
}

struct RecordingThread {
    pieces: SyncSender<Vec<u8>>,
    /// Bytes of the pieces that wait: one with a read of the log in it is larger than most.
    waiting: Arc<AtomicUsize>,
    done: Receiver<()>,
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let under_way = self.thread.is_some();
        let steps = self.steps;
        f.debug_struct("Recording").field("steps", &steps).field("under_way", &under_way).finish()
    }
}

impl Recording {
    /// Begins a recording in a new file, of the member that [`Member::new`] makes of the same
    /// arguments.
    ///
    /// # Errors
    /// The file exists already or cannot be created, or there is no thread for it.
    pub fn create(
        file: &Path,
        config: &MemberConfig,
        recovered: &Recovered,
        now: Instant,
    ) -> io::Result<Self> {
        let output = OpenOptions::new().write(true).create_new(true).open(file)?;
        Self::begin(output, config, recovered, now)
    }

    /// Begins a recording into `output`.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn begin<W: Write + Send + 'static>(
        output: W,
        config: &MemberConfig,
        recovered: &Recovered,
        now: Instant,
    ) -> io::Result<Self> {
        let mut piece = MAGIC.to_vec();
        piece.extend_from_slice(&VERSION.to_le_bytes());
        let mut body = Writer::default();
        Beginning::write(config, recovered, now, &mut body);
        write_record(0, &body.0, &mut piece);
        let thread = Some(RecordingThread::start(output)?);
        let hash = ActionHash::default();
        Ok(Self { hash, steps: 0, records: 1, body, piece, piece_began: now, thread })
    }

    /// A datagram that the member is about to take in.
    pub(crate) fn datagram(&mut self, now: Instant, source: Endpoint, datagram: &[u8]) {
        if self.thread.is_some() {
            self.body.0.clear();
            write_datagram(self.hash.value(), now, source, datagram, &mut self.body);
            self.step(now);
        }
    }

    /// An event that the member is about to take in; of a received one the datagram was told.
    pub(crate) fn event(&mut self, now: Instant, event: &Event<'_>) {
        if self.thread.is_some() {
            self.body.0.clear();
            if write_event(self.hash.value(), now, event, &mut self.body) {
                self.step(now);
            }
        }
    }

    /// An action that is about to be performed.
    pub(crate) fn action(&mut self, action: &Action, member: &Member, read: Option<&[u8]>) {
        if self.thread.is_some() {
            self.hash.action(action, member, read);
        }
    }

    /// The member takes in no more: the recording is completed and closed.
    pub(crate) fn end(mut self, member: &Member) {
        let Some(thread) = &self.thread else { return };
        tracing::info!(steps = self.steps, hash = %Hexadecimal(self.hash.value()), "recorded");
        self.body.0.clear();
        self.body.u8(ENDING);
        for number in [self.hash.value(), self.hash.actions(), member.state_hash()] {
            self.body.u64(number);
        }
        write_record(self.records, &self.body.0, &mut self.piece);
        // A queue that is full now has no room for the end: the file is one that was cut.
        let _ = thread.put(core::mem::take(&mut self.piece));
        self.close();
    }

    fn step(&mut self, now: Instant) {
        self.steps += 1;
        if self.piece.is_empty() {
            self.piece_began = now;
        }
        write_record(self.records, &self.body.0, &mut self.piece);
        self.records += 1;
        if self.piece.len() >= PIECE_BYTES || now.since(self.piece_began) >= PIECE_AGE_MAX {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let Some(thread) = &self.thread else { return };
        match thread.put(core::mem::take(&mut self.piece)) {
            Ok(()) => return,
            Err(TrySendError::Full(_)) => tracing::error!(
                steps = self.steps,
                "the recording ends here: the disk takes it too slowly; the member goes on"
            ),
            // The thread has said why.
            Err(TrySendError::Disconnected(_)) => {}
        }
        self.thread = None;
    }

    /// Waits until all is written, for a bounded time.
    fn close(&mut self) {
        let Some(RecordingThread { pieces, done, .. }) = self.thread.take() else { return };
        drop(pieces);
        if done.recv_timeout(CLOSE_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("stopped without waiting longer for the recording; its end may be cut");
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.hand_over();
        self.close();
    }
}

impl RecordingThread {
    fn start<W: Write + Send + 'static>(output: W) -> io::Result<Self> {
        let (pieces, queue) = sync_channel(PIECES_MAX);
        let (ended, done) = sync_channel(1);
        let waiting = Arc::<AtomicUsize>::default();
        let written = Arc::clone(&waiting);
        thread::Builder::new().name("quorate-recording".into()).spawn(move || {
            write_all(output, &queue, &written);
            // Nobody waits when the member ended long ago.
            let _ = ended.try_send(());
        })?;
        Ok(Self { pieces, waiting, done })
    }

    fn put(&self, piece: Vec<u8>) -> Result<(), TrySendError<Vec<u8>>> {
        let bytes = piece.len();
        if self.waiting.load(Ordering::Relaxed) + bytes > WAITING_BYTES_MAX {
            return Err(TrySendError::Full(piece));
        }
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        self.pieces.try_send(piece)
    }
}

fn write_all(mut output: impl Write, queue: &Receiver<Vec<u8>>, waiting: &AtomicUsize) {
    for piece in queue {
        if let Err(error) = output.write_all(&piece).and_then(|()| output.flush()) {
            tracing::error!(%error, "the recording ends here: cannot write; the member goes on");
            return;
        }
        waiting.fetch_sub(piece.len(), Ordering::Relaxed);
    }
}

/// Shows a hash as all tools do.
pub(crate) struct Hexadecimal(pub(crate) u64);

impl fmt::Display for Hexadecimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}
