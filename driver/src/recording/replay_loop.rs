//! A recording through a member's loop with virtual ports: what the runtimes replay.

use core::cell::Cell;
use std::io::Read;

use quorate_codecs::decode;
use quorate_core::{Event, GroupTag, Instant};

use super::RecordingError;
use super::ports::{HashingLog, HashingPort, HashingService, HashingStorage};
use super::reader::{Record, RecordingReader};
use super::replay::Replayed;
use super::step::Input;
use super::tap::{SharedHash, Tap};
use crate::faults::FaultyPort;
use crate::host::ServiceHost;
use crate::member_loop::MemberLoop;
use crate::port::Clock;
use crate::storage::Completion;

type Looped = MemberLoop<HashingPort, HashingLog, HashingStorage, HashingService>;

/// The time of the step that is replayed.
#[derive(Debug, Default)]
struct Recorded(Cell<u64>);

impl Clock for Recorded {
    fn now(&self) -> Instant {
        Instant(self.0.get())
    }
}

/// Takes the steps of a recording through a [`MemberLoop`], each by the entrance that it took when
/// it was recorded.
#[derive(Debug)]
pub(super) struct ReplayLoop<R> {
    recording: RecordingReader<R>,
    tag: GroupTag,
    looped: Looped,
    clock: Recorded,
    hash: SharedHash,
    replayed: Replayed,
}

impl<R: Read> ReplayLoop<R> {
    pub(super) fn new(recording: RecordingReader<R>) -> Result<Self, RecordingError> {
        let member = recording.beginning().member()?;
        let hash = SharedHash::default();
        let port = HashingPort { hash: hash.clone(), incoming: None };
        let (log, storage) = (HashingLog(hash.clone()), HashingStorage(hash.clone()));
        let service = ServiceHost::new(HashingService(hash.clone()));
        let mut looped =
            MemberLoop::new(member, FaultyPort::new(port, None), log, storage, service);
        looped.listen(Tap::Replaying(hash.clone()));
        let (clock, replayed) = (Recorded::default(), Replayed::default());
        let tag = recording.tag();
        Ok(Self { recording, tag, looped, clock, hash, replayed })
    }

    /// Takes the next step; the result when there is none.
    pub(super) fn step(&mut self) -> Result<Option<Replayed>, RecordingError> {
        let recorded = match self.recording.next_record()? {
            Record::Step(step) => {
                self.replayed.before(&step, self.hash.lock().value());
                self.clock.0.set(step.now.0);
                if let Input::Datagram { bytes, .. } = step.input {
                    // A loop counts what it cannot decode and goes on; it was decoded then.
                    let undecodable =
                        |reason| RecordingError::Undecodable { step: step.number, reason };
                    decode(bytes, self.tag).map_err(undecodable)?;
                }
                take(&mut self.looped, &self.clock, step.input);
                return Ok(None);
            }
            Record::End(ending) => Some(ending),
            Record::Cut { .. } => None,
        };
        let state_hash = self.looped.member().state_hash();
        self.replayed.end(&self.hash.lock(), state_hash, recorded);
        Ok(Some(core::mem::take(&mut self.replayed)))
    }
}

/// Gives a loop what happened. That the member went inert shows in what it does, and is compared.
fn take(looped: &mut Looped, clock: &Recorded, input: Input<'_>) {
    let now = clock.now();
    let _inert = match input {
        Input::Datagram { source, bytes } => {
            looped.port_mut().incoming = Some((source, bytes.to_vec()));
            looped.receive(clock, 1).map(|_| ())
        }
        Input::Event(Event::Timer) => looped.timer(now),
        Input::Event(Event::Flush) => looped.flush(now),
        Input::Event(Event::Shutdown) => looped.shutdown(now),
        Input::Event(Event::Transfer { request, target }) => looped.transfer(now, request, target),
        Input::Event(Event::Durable { operation }) => {
            looped.complete(now, Completion::Durable { operation })
        }
        Input::Event(Event::LogRead { operation, bytes }) => {
            looped.complete(now, Completion::Read { operation, bytes: bytes.to_vec() })
        }
        Input::Event(Event::SnapshotRead { operation, manifest, bytes }) => {
            let bytes = bytes.to_vec();
            looped.complete(now, Completion::SnapshotRead { operation, manifest, bytes })
        }
        Input::Event(Event::SnapshotWhole { operation, core }) => {
            looped.complete(now, Completion::SnapshotWhole { operation, core: core.to_vec() })
        }
        // What followed from performing actions is in the recording, and follows from there.
        Input::Event(event) => {
            looped.replay(now, event);
            Ok(())
        }
    };
}
