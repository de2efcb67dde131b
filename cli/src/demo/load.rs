//! Sends the lines through a client, and checks every reply.

use core::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use hdrhistogram::Histogram;
use quorate_runtime_tokio::{ClientHandle, PendingReply};
use tokio::sync::{mpsc, watch};

use super::input::Input;
use crate::failure::Failure;
use crate::ledger::Ledger;

/// Lines on their way at a time.
pub(super) const WINDOW: usize = 128;
/// Latencies above this are counted as this.
const LATENCY_MAX_US: u64 = 60_000_000;

/// What passes between the load and those who watch it.
#[derive(Debug)]
pub(super) struct Gauge {
    /// How many replies came.
    pub(super) replies: watch::Sender<usize>,
    /// How many lines may be sent.
    pub(super) gate: watch::Receiver<usize>,
    /// When the leader was killed.
    pub(super) killed: watch::Receiver<Option<Instant>>,
}

/// What was measured.
#[derive(Debug)]
pub(super) struct Measured {
    /// From the first line sent to the last reply.
    pub(super) took: Duration,
    /// From a line handed over to its reply, in microseconds.
    pub(super) latency_us: Histogram<u64>,
    /// The longest time without a reply since the leader was killed.
    pub(super) outage: Option<Duration>,
}

/// Sends all lines, in order, with up to [`WINDOW`] on their way.
pub(super) async fn send_all(
    client: &ClientHandle,
    input: &Input,
    gauge: Gauge,
) -> Result<Measured, Failure> {
    let (on_the_way, replies) = mpsc::channel(WINDOW);
    let Gauge { replies: count, mut gate, killed } = gauge;
    let start = Instant::now();
    let send = async move {
        for number in 0..input.len() {
            // The other end lives as long as the demonstration.
            let _ = gate.wait_for(|open| number < *open).await;
            let line = Bytes::copy_from_slice(input.line(number));
            let sent = (Instant::now(), client.send(line).await.map_err(failed)?);
            if on_the_way.send(sent).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    let ((), (latency_us, outage, end)) =
        tokio::try_join!(send, receive_all(input, replies, &count, &killed))?;
    Ok(Measured { took: end - start, latency_us, outage })
}

async fn receive_all(
    input: &Input,
    mut replies: mpsc::Receiver<(Instant, PendingReply)>,
    count: &watch::Sender<usize>,
    killed: &watch::Receiver<Option<Instant>>,
) -> Result<(Histogram<u64>, Option<Duration>, Instant), Failure> {
    let mut latency_us = Histogram::new_with_bounds(1, LATENCY_MAX_US, 3)
        .map_err(|error| Failure::failed("no histogram", error))?;
    let mut expected = Ledger::default();
    let mut outage = None;
    let mut last = Instant::now();
    while let Some((sent, reply)) = replies.recv().await {
        let reply = reply.await.map_err(failed)?;
        let now = Instant::now();
        let number = expected.entries() as usize;
        expected.add(input.line(number));
        if reply.payload[..] != expected.receipt() {
            return Err(Failure::Failed(format!(
                "line {} was answered with another state of the ledger than its lines make: \
                 expected {expected:?}, found {:?}",
                number + 1,
                Ledger::read(&reply.payload)
            )));
        }
        latency_us.saturating_record((now - sent).as_micros() as u64);
        if let Some(killed) = *killed.borrow() {
            let silence = now.saturating_duration_since(last.max(killed));
            outage = outage.max(Some(silence));
        }
        last = now;
        count.send_replace(number + 1);
    }
    Ok((latency_us, outage, last))
}

fn failed(error: impl core::fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}
