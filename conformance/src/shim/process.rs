//! A shim process, as the suite has it.

use core::time::Duration;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::frame::{Frame, FrameError};
use super::subject::ShimOptions;
use super::transport::{self, Transport};
use super::{EXIT_SKIPPED, EXIT_UNIMPLEMENTED, Hello, PROTOCOL, opcode};
use crate::subject::Description;

/// How long a shim that has closed its output may take to end.
const END_LIMIT: Duration = Duration::from_secs(5);
/// Frames that a shim may be ahead of the suite.
const FRAMES_AHEAD_MAX: usize = 65_536;

/// Why a shim is of no use any more.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum ShimError {
    /// It cannot do what it was asked for, and has said so by its exit status.
    #[error("{0}")]
    Unimplemented(String),
    /// Its own configuration leaves this out, as its exit status says.
    #[error("{0}")]
    LeftOut(String),
    /// It broke the protocol, hung, or ended.
    #[error("{0}")]
    Broken(String),
}

fn broken(text: impl Into<String>) -> ShimError {
    ShimError::Broken(text.into())
}

pub(super) struct Process {
    child: Child,
    input: BufWriter<Box<dyn Write + Send>>,
    frames: Receiver<Result<Frame, String>>,
    nodes: u16,
    idle_limit: Duration,
    mirror: Option<BufWriter<File>>,
    failed: Option<ShimError>,
}

impl Process {
    /// Starts a shim and asks who it is.
    pub(super) fn start(options: &ShimOptions) -> Result<(Self, Description), ShimError> {
        let Transport { child, to, from } = transport::start(options).map_err(broken)?;
        let (sender, frames) = sync_channel(FRAMES_AHEAD_MAX);
        let reading = thread::Builder::new().name("shim-output".into());
        reading
            .spawn(move || read_all(from, &sender))
            .map_err(|error| broken(format!("cannot start a thread: {error}")))?;
        let idle_limit = options.idle_limit.unwrap_or(Duration::MAX);
        let mirror = options.mirror.as_ref().map(|path| {
            let opened = File::options().create(true).append(true).open(path);
            let refused = |error| broken(format!("cannot write {}: {error}", path.display()));
            opened.map(BufWriter::new).map_err(refused)
        });
        let (input, mirror) = (BufWriter::new(to), mirror.transpose()?);
        let mut process = Self { child, input, frames, nodes: 0, idle_limit, mirror, failed: None };
        let suite = env!("CARGO_PKG_VERSION").to_owned();
        process.send_json(opcode::HELLO, 0, &Hello { protocol: PROTOCOL, suite })?;
        let description = process.expect_json(opcode::HELLO_OK, 0)?;
        Ok((process, description))
    }

    /// Why it is of no use any more, if so.
    pub(super) const fn failed(&self) -> Option<&ShimError> {
        self.failed.as_ref()
    }

    /// A number for a node that no other has that lives.
    pub(super) fn new_node(&mut self) -> u16 {
        // Lives follow one another; 65,535 of them at once are none of this suite's.
        self.nodes = self.nodes.wrapping_add(1).max(1);
        self.nodes
    }

    /// Puts a frame into the pipe; it leaves with the next that is awaited.
    pub(super) fn send(&mut self, frame: &Frame) -> Result<(), ShimError> {
        self.usable()?;
        self.reflect("shim", frame);
        frame.write(&mut self.input).map_err(|error| self.ended(&error.to_string()))
    }

    pub(super) fn send_json(
        &mut self,
        opcode: u8,
        node: u16,
        body: &impl Serialize,
    ) -> Result<(), ShimError> {
        let body = serde_json::to_vec(body).map_err(|error| broken(error.to_string()))?;
        self.send(&Frame::new(opcode, node, body))
    }

    /// The next frame, which has to be about `node`.
    pub(super) fn receive(&mut self, node: u16) -> Result<Frame, ShimError> {
        self.usable()?;
        if let Err(error) = self.input.flush() {
            return Err(self.ended(&format!("the pipe broke: {error}")));
        }
        let frame = match self.frames.recv_timeout(self.idle_limit) {
            Ok(Ok(frame)) => frame,
            Ok(Err(text)) => return Err(self.fail(&text)),
            Err(RecvTimeoutError::Timeout) => {
                return Err(self.fail(&format!("it says nothing for {:?}", self.idle_limit)));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(self.ended("it closed its output")),
        };
        self.reflect("suite", &frame);
        if frame.opcode == opcode::ERROR {
            let text = String::from_utf8_lossy(&frame.body).into_owned();
            return Err(self.fail(&format!("it says: {text}")));
        }
        if frame.node != node {
            let (found, kind) = (frame.node, frame.opcode as char);
            return Err(self.fail(&format!("`{kind}` of node {found} in a turn of node {node}")));
        }
        Ok(frame)
    }

    pub(super) fn expect_json<T: DeserializeOwned>(
        &mut self,
        opcode: u8,
        node: u16,
    ) -> Result<T, ShimError> {
        let frame = self.receive(node)?;
        if frame.opcode != opcode {
            let (found, wanted) = (frame.opcode as char, opcode as char);
            return Err(self.fail(&format!("`{found}` where `{wanted}` is due")));
        }
        self.json(&frame)
    }

    pub(super) fn json<T: DeserializeOwned>(&mut self, frame: &Frame) -> Result<T, ShimError> {
        serde_json::from_slice(&frame.body).map_err(|error| {
            self.fail(&format!(
                "the body of `{}` is not as it should be: {error}",
                frame.opcode as char
            ))
        })
    }

    /// Writes a frame into the mirror, if there is one: a line of JSON.
    fn reflect(&mut self, to: &str, frame: &Frame) {
        let Some(mirror) = &mut self.mirror else { return };
        let line = serde_json::json!({
            "to": to,
            "opcode": (frame.opcode as char).to_string(),
            "node": frame.node,
            "body": body_for_people(&frame.body),
        });
        // A mirror that cannot be written is no reason to end a case.
        let _ = writeln!(mirror, "{line}");
    }

    fn usable(&self) -> Result<(), ShimError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Gives the shim up; why.
    pub(super) fn fail(&mut self, what: &str) -> ShimError {
        self.give_up(what, Duration::ZERO)
    }

    /// Gives up a shim that has closed a pipe: it is about to end, and its status says why.
    fn ended(&mut self, what: &str) -> ShimError {
        self.give_up(what, END_LIMIT)
    }

    fn give_up(&mut self, what: &str, within: Duration) -> ShimError {
        let error = match self.status(within) {
            Some(status) if status.code() == Some(i32::from(EXIT_UNIMPLEMENTED)) => {
                ShimError::Unimplemented("the shim says that it is unimplemented".into())
            }
            Some(status) if status.code() == Some(i32::from(EXIT_SKIPPED)) => {
                ShimError::LeftOut("the shim's configuration leaves it out".into())
            }
            Some(status) => broken(format!("the shim ended with {status}: {what}")),
            None => broken(format!("the shim was given up: {what}")),
        };
        self.failed = Some(error.clone());
        error
    }

    /// How it ended, if it does within that time; if not it is killed.
    fn status(&mut self, within: Duration) -> Option<ExitStatus> {
        let begun = Instant::now();
        while let Ok(None) = self.child.try_wait() {
            if begun.elapsed() >= within {
                // It lives, and nobody listens to it any more.
                let _ = self.child.kill();
                let _ = self.child.wait();
                return None;
            }
            thread::park_timeout(Duration::from_millis(1));
        }
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A shim ends when its input does; one that is used to more is killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A body as JSON, if it is that, else as hexadecimal digits.
fn body_for_people(body: &[u8]) -> serde_json::Value {
    serde_json::from_slice(body).unwrap_or_else(|_| {
        body.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
    })
}

fn read_all(output: impl Read, frames: &SyncSender<Result<Frame, String>>) {
    let mut output = BufReader::new(output);
    loop {
        let frame = match Frame::read(&mut output) {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => return,
            Err(error) => Err(text(&error)),
        };
        let last = frame.is_err();
        // What is too far ahead is a flood: the pipe is closed, and the suite told by that.
        if frames.try_send(frame).is_err() || last {
            return;
        }
    }
}

fn text(error: &FrameError) -> String {
    format!("its output is no frame: {error}")
}
