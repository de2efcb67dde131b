//! A client that a shim hosts, as the suite has it.

use std::sync::{Arc, Mutex};

use quorate_core::client::ClientConfig;
use quorate_core::{Endpoint, Instant};

use super::client_body::{ClientRequest, ClientResult, EndedBody, OpenBody, RefusedBody};
use super::frame::Frame;
use super::process::{Process, ShimError};
use super::raw::{Reader, datagram};
use super::subject::{FRAMES_PER_TURN_MAX, lock, malformed};
use super::{Began, TurnDone, opcode};
use crate::client_node::{ClientInput, ClientNode, ClientTold, ClientTurned};
use crate::subject::SpawnError;

/// A client behind the pipe, with what the suite knows of its messages.
pub(super) struct ShimClient {
    process: Arc<Mutex<Process>>,
    node: u16,
    /// Submits so far: each has a number.
    submits: u64,
    /// Messages that were taken, and that were answered.
    taken: u64,
    answered: u64,
    has_ended: bool,
}

impl ShimClient {
    /// Begins a client in the process.
    pub(super) fn open(
        process: Arc<Mutex<Process>>,
        config: &ClientConfig,
        now: Instant,
    ) -> Result<Self, SpawnError> {
        let node = lock(&process).new_node();
        let json = serde_json::to_vec(&OpenBody::new(now, config)).unwrap_or_default();
        let open = |process: &mut Process| {
            let body = ClientRequest::Open(&json).to_bytes();
            process.send(&Frame::new(opcode::CLIENT, node, body))?;
            process.expect_json::<Began>(opcode::DONE, node)
        };
        let began = open(&mut lock(&process)).map_err(super::subject::spawn_error)?;
        match began.refused {
            Some(refused) => Err(SpawnError::Refused(refused)),
            None => {
                let (submits, taken, answered, has_ended) = (0, 0, 0, false);
                Ok(Self { process, node, submits, taken, answered, has_ended })
            }
        }
    }

    fn take_turn(
        &mut self,
        process: &mut Process,
        now: Instant,
        input: Option<ClientInput<'_>>,
    ) -> Result<ClientTurned, ShimError> {
        let asked = self.submits;
        if let Some(input) = input {
            match self.frame_of(input) {
                Some(frame) => process.send(&frame)?,
                None => return Err(process.fail("a client of a shim is to wait for disks")),
            }
        }
        let now = now.0.to_le_bytes().to_vec();
        process.send(&Frame::new(opcode::TIME, self.node, now))?;
        let (mut told, mut owed) = (Vec::new(), self.submits > asked);
        for _ in 0..FRAMES_PER_TURN_MAX {
            let frame = process.receive(self.node)?;
            match frame.opcode {
                opcode::TIME_DONE => {
                    if owed {
                        return Err(process.fail("a client says nothing of a message"));
                    }
                    let TurnDone { wake, client, .. } = process.json(&frame)?;
                    let counters = client.unwrap_or_default().to();
                    let counters = counters.ok_or_else(|| malformed(process, &frame))?;
                    let wake = wake.map(Instant);
                    return Ok(ClientTurned { wake, told, counters, fault: None });
                }
                opcode::DATAGRAM => {
                    let mut fields = Reader::new(&frame.body);
                    let to: Option<Endpoint> = fields.endpoint();
                    let to = to.ok_or_else(|| malformed(process, &frame))?;
                    told.push(ClientTold::Sent { to, bytes: fields.rest().to_vec() });
                }
                opcode::CLIENT_DONE => {
                    let result = self.result(process, &frame, &mut owed)?;
                    told.push(result);
                }
                // For people; a story has a client's doings without it.
                opcode::EVENT => {}
                other => {
                    let text = format!("`{}` in a turn of a client", other as char);
                    return Err(process.fail(&text));
                }
            }
        }
        Err(process.fail(&format!("{FRAMES_PER_TURN_MAX} frames in one turn")))
    }

    /// What is sent for an input; the protocol of shims has no words for those that wait for disks.
    fn frame_of(&mut self, input: ClientInput<'_>) -> Option<Frame> {
        let (opcode, body) = match input {
            ClientInput::Datagram { source, bytes } => (opcode::DATAGRAM, datagram(source, bytes)),
            ClientInput::Submit { payload } => {
                self.submits += 1;
                (opcode::CLIENT, ClientRequest::Submit(self.submits, payload).to_bytes())
            }
            ClientInput::Close => (opcode::CLIENT, ClientRequest::Close.to_bytes()),
            ClientInput::SubmitSafe { .. } | ClientInput::Sync { .. } => return None,
        };
        Some(Frame::new(opcode, self.node, body))
    }

    /// What a `c` says, if the client may say it now.
    fn result(
        &mut self,
        process: &mut Process,
        frame: &Frame,
        owed: &mut bool,
    ) -> Result<ClientTold, ShimError> {
        let result = ClientResult::parse(&frame.body);
        let result = result.ok_or_else(|| malformed(process, frame))?;
        if self.has_ended && !matches!(result, ClientResult::Refused(..)) {
            return Err(process.fail("a client that has ended says more"));
        }
        let told = match result {
            ClientResult::Accepted(number, sequence)
                if *owed && number == self.submits && sequence == self.taken + 1 =>
            {
                (*owed, self.taken) = (false, sequence);
                Some(ClientTold::Accepted { sequence })
            }
            ClientResult::Refused(number, json) if *owed && number == self.submits => {
                *owed = false;
                let body = serde_json::from_slice::<RefusedBody>(json).ok();
                body.and_then(|body| body.to()).map(ClientTold::Rejected)
            }
            ClientResult::Replied(sequence, position, reply) if sequence <= self.taken => {
                // Whether it is the next is for an observer to say.
                self.answered = self.answered.max(sequence);
                Some(ClientTold::Replied { sequence, position, bytes: reply.to_vec() })
            }
            ClientResult::Served(session) => Some(ClientTold::Connected { session }),
            ClientResult::Unserved => Some(ClientTold::Disconnected),
            ClientResult::Ended(json) => self.ended(json).map(ClientTold::Ended),
            _ => None,
        };
        told.ok_or_else(|| {
            let kind = frame.body.first().copied().unwrap_or_default() as char;
            process.fail(&format!("a client says `{kind}`, which it cannot say now"))
        })
    }

    /// How it ended, if it says truly which messages have no outcome.
    fn ended(&mut self, json: &[u8]) -> Option<Result<(), quorate_core::client::ClientError>> {
        let body: EndedBody = serde_json::from_slice(json).ok()?;
        let first = self.answered + 1;
        let unknown = (first <= self.taken).then_some(first);
        self.has_ended = true;
        (body.indefinite_from == unknown).then(|| body.to(first)).flatten()
    }
}

impl ClientNode for ShimClient {
    fn turn(&mut self, now: Instant, input: Option<ClientInput<'_>>) -> ClientTurned {
        let process = Arc::clone(&self.process);
        let turned = self.take_turn(&mut lock(&process), now, input);
        turned.unwrap_or_else(|error| ClientTurned {
            fault: Some(error.to_string()),
            ..ClientTurned::default()
        })
    }
}

impl Drop for ShimClient {
    fn drop(&mut self) {
        let mut process = lock(&self.process);
        if process.failed().is_none() {
            // A process that fails at this is found out by the next life.
            let _ = process.send(&Frame::new(opcode::KILL, self.node, Vec::new()));
            let _ = process.expect_json::<Began>(opcode::DONE, self.node);
        }
    }
}
