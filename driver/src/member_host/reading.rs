//! Reads of those who have a handle to the member.

use std::collections::BTreeMap;

use oneshot::Sender as Answer;
use quorate_core::{ReadOutcome, ReadRefusal};

use super::MemberHost;
use crate::port::{Clock, DatagramPort, LogPort, StoragePort};
use crate::service::Service;

/// Who waits for what comes of a read. The core answers or refuses each within an election
/// time-out, unless its life ends.
#[derive(Debug, Default)]
pub(super) struct Reads {
    asked: u64,
    waiting: BTreeMap<u64, Answer<ReadOutcome>>,
}

impl Reads {
    /// The number of a read whose outcome goes to `answer`.
    pub(super) fn ask(&mut self, answer: Answer<ReadOutcome>) -> u64 {
        self.asked += 1;
        self.waiting.insert(self.asked, answer);
        self.asked
    }

    fn answer(&mut self, token: u64, outcome: ReadOutcome) {
        if let Some(answer) = self.waiting.remove(&token) {
            // Nobody waits when the call was cancelled.
            let _ = answer.send(outcome);
        }
    }

    /// The life that they were asked of has ended.
    pub(super) fn refuse_all(&mut self) {
        for (_, answer) in core::mem::take(&mut self.waiting) {
            let _ = answer.send(Err(ReadRefusal::Stopping));
        }
    }
}

impl<S, P, L, Q, C> MemberHost<S, P, L, Q, C>
where
    S: Service + 'static,
    P: DatagramPort,
    L: LogPort,
    Q: StoragePort<L::Cut>,
    C: Clock,
{
    /// Tells those who read what came of it.
    pub(super) fn answer_reads(&mut self) {
        while let Some((token, outcome)) = self.member.take_answered() {
            self.reads.answer(token, outcome);
        }
    }
}
