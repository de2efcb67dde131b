//! What a client of the ledger keeps: when its messages went out, what they were answered, and for
//! how long it heard nothing.

use core::error::Error;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::cluster::{Application, Ledger};

/// A message is told apart from all others by its first bytes: whose it is, and its number.
pub(super) const NAME_BYTES: usize = 16;

/// A client's messages, and the receipts for them in the same order.
pub(super) struct Journal {
    /// Which client.
    pub(super) client: usize,
    /// The state of the ledger behind each message that was answered.
    pub(super) receipts: Vec<Ledger>,
    /// Messages that were sent.
    pub(super) sent: u64,
    /// When those without an answer were, oldest first.
    unanswered: VecDeque<Instant>,
    last_answer: Instant,
    watch: Arc<Watch>,
}

impl Journal {
    pub(super) fn new(client: usize, watch: Arc<Watch>) -> Self {
        let (receipts, unanswered) = (Vec::new(), VecDeque::new());
        Self { client, receipts, sent: 0, unanswered, last_answer: Instant::now(), watch }
    }
}

/// Puts the name of a message in front of its bytes.
pub(super) fn name(client: usize, number: u64, payload: &mut [u8]) {
    payload[..8].copy_from_slice(&(client as u64).to_le_bytes());
    payload[8..NAME_BYTES].copy_from_slice(&number.to_le_bytes());
}

impl Application for Journal {
    fn write(&mut self, payload: &mut [u8]) {
        self.sent += 1;
        name(self.client, self.sent, payload);
        self.unanswered.push_back(Instant::now());
    }

    fn answered(&mut self, reply: &[u8]) -> Result<(), Box<dyn Error>> {
        let now = Instant::now();
        let receipt = Ledger::read(reply).ok_or("a reply is no receipt of a ledger")?;
        let sent = self.unanswered.pop_front().ok_or("a reply to no message")?;
        self.receipts.push(receipt);
        let silence = now - core::mem::replace(&mut self.last_answer, now);
        self.watch.answered(self.client, sent, now, silence);
        Ok(())
    }
}

/// What clients see of one outage after the other.
pub(super) struct Watch(Mutex<Outage>);

/// An outage, from the kill on.
#[derive(Clone, Debug)]
pub(super) struct Outage {
    killed: Option<Instant>,
    /// When the process was known to be gone: what was sent later cannot have been answered by it.
    gone: Option<Instant>,
    /// For each client, how long after the kill it had the first answer to a message that was sent
    /// when the process was gone.
    pub(super) back: Vec<Option<Duration>>,
    /// The longest time between two answers of one client.
    pub(super) longest_gap: Duration,
}

impl Outage {
    fn none(clients: usize) -> Self {
        let back = vec![None; clients];
        Self { killed: None, gone: None, back, longest_gap: Duration::ZERO }
    }
}

impl Watch {
    pub(super) fn new(clients: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Outage::none(clients))))
    }

    fn with<T>(&self, look: impl FnOnce(&mut Outage) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The leader is about to be killed.
    pub(super) fn begin(&self, now: Instant) {
        self.with(|outage| {
            *outage = Outage { killed: Some(now), ..Outage::none(outage.back.len()) };
        });
    }

    /// Its process is gone.
    pub(super) fn gone(&self, now: Instant) {
        self.with(|outage| outage.gone = Some(now));
    }

    fn answered(&self, client: usize, sent: Instant, now: Instant, silence: Duration) {
        self.with(|outage| {
            let Some(killed) = outage.killed else { return };
            outage.longest_gap = outage.longest_gap.max(silence);
            if outage.gone.is_some_and(|gone| sent > gone) {
                outage.back[client].get_or_insert_with(|| now.saturating_duration_since(killed));
            }
        });
    }

    /// Whether all clients have had an answer since.
    pub(super) fn is_over(&self) -> bool {
        self.with(|outage| outage.back.iter().all(Option::is_some))
    }

    /// What was seen up to now.
    pub(super) fn outage(&self) -> Outage {
        self.with(|outage| outage.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn service_is_back_with_the_first_answer_to_what_was_sent_when_the_leader_was_gone() {
        let (watch, start) = (Watch::new(2), Instant::now());
        let at = |millis: u32| start + millis * MILLI;
        watch.answered(0, at(0), at(1), 50 * MILLI);
        assert_eq!(watch.outage().longest_gap, Duration::ZERO, "before the kill all is well");
        watch.begin(at(10));
        watch.answered(0, at(9), at(11), 3 * MILLI);
        watch.gone(at(12));
        // Sent when the kill was under way: the old leader may have answered.
        watch.answered(0, at(11), at(200), 189 * MILLI);
        assert_eq!(watch.outage().back, [None, None]);
        watch.answered(0, at(13), at(210), 10 * MILLI);
        watch.answered(0, at(14), at(220), 10 * MILLI);
        assert!(!watch.is_over(), "the other client waits");
        watch.answered(1, at(15), at(300), 290 * MILLI);
        assert!(watch.is_over());
        let Outage { back, longest_gap, .. } = watch.outage();
        assert_eq!(back, [Some(200 * MILLI), Some(290 * MILLI)]);
        assert_eq!(longest_gap, 290 * MILLI);
    }

    #[test]
    fn each_answer_belongs_to_the_oldest_message_without_one() {
        let mut journal = Journal::new(3, Watch::new(4));
        let mut payload = [0; 24];
        journal.write(&mut payload);
        assert_eq!(
            payload[..NAME_BYTES],
            [[3, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]].concat()
        );
        let mut ledger = Ledger::default();
        ledger.add(&payload);
        assert!(journal.answered(&ledger.receipt()[..15]).is_err(), "half a receipt");
        journal.answered(&ledger.receipt()).unwrap();
        assert_eq!(journal.receipts, [ledger]);
        assert!(journal.answered(&ledger.receipt()).is_err(), "an answer to nothing");
    }
}
