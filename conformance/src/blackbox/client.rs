//! A client process: a line in is a message, a line out a reply, in order.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

/// A client of the product.
#[derive(Debug)]
pub struct RealClient {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<(Instant, String)>,
    /// When each line was sent.
    sent: Vec<Instant>,
    /// When each reply came, and what it says.
    replies: Vec<(Instant, String)>,
}

impl RealClient {
    pub(super) fn start(mut command: Command) -> Result<Self, String> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = child.spawn().map_err(|error| format!("cannot start a client: {error}"))?;
        let output = child.stdout.take().ok_or("a client without standard output")?;
        let (tell, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if tell.send((Instant::now(), line)).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take();
        Ok(Self { child, input, answers, sent: Vec::new(), replies: Vec::new() })
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The client has ended.
    pub fn send(&mut self, line: &str) -> Result<(), String> {
        let input = self.input.as_mut().ok_or("the client was closed")?;
        writeln!(input, "{line}").and_then(|()| input.flush()).map_err(|error| {
            format!("the client takes no more messages after {}: {error}", self.sent.len())
        })?;
        self.sent.push(Instant::now());
        Ok(())
    }

    /// No more messages come: the client ends when all are answered.
    pub fn close(&mut self) {
        self.input = None;
    }

    /// When each reply came, and what it says.
    pub fn replies(&mut self) -> &[(Instant, String)] {
        self.replies.extend(self.answers.try_iter());
        &self.replies
    }

    /// Messages that were sent.
    #[must_use]
    pub const fn sent(&self) -> usize {
        self.sent.len()
    }

    /// The longest time between a message and its reply, in nanoseconds, of those answered.
    pub fn slowest(&mut self) -> u64 {
        self.replies();
        let waits = self.sent.iter().zip(&self.replies);
        let waits = waits.map(|(sent, (came, _))| came.saturating_duration_since(*sent));
        waits.max().map_or(0, |wait| wait.as_nanos() as u64)
    }
}

impl Drop for RealClient {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
