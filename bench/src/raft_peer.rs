//! The peer of the `core` rung: three nodes of the `raft` crate in one thread, logs in memory,
//! messages moved through queues, tuned for throughput.
//!
//! It has no sessions, frames, checksums or replies; what is timed is a proposal until it is
//! applied at the leader. All nodes apply all proposals, which is asserted.

use core::time::Duration;
use std::collections::VecDeque;
use std::time::Instant as Clock;

use raft::eraftpb::{ConfState, Entry, Message};
use raft::storage::MemStorage;
use raft::{Config, RawNode, StateRole};

use crate::measure::{Latencies, Submissions, Yield};

/// Its name in the lines.
pub(crate) const NAME: &str = "raft 0.7 (batch_append, pre-vote, check-quorum, 1 MiB messages)";

/// Nodes of the peer.
const NODES: u64 = 3;
/// The time between two ticks.
const TICK: Duration = Duration::from_millis(100);
/// Applied entries that are kept before a log is compacted.
const KEPT_ENTRIES: u64 = 4_096;

/// How the peer is loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RaftLoad {
    /// Proposals that are made before the leader is asked for what to do.
    pub(crate) batch: u64,
    /// Unanswered proposals, at most.
    pub(crate) window: u64,
    /// Bytes of each proposal.
    pub(crate) payload: usize,
}

struct Node {
    raft: RawNode<MemStorage>,
    inbox: VecDeque<Message>,
    applied: u64,
    compacted: u64,
}

/// Runs a closed loop until all nodes have applied `messages` proposals; a tenth as many go before,
/// to warm up.
///
/// # Errors
/// What the crate complains of.
pub(crate) fn run(load: RaftLoad, messages: u64) -> raft::Result<Yield> {
    let mut nodes = open()?;
    let mut latencies = Latencies::new();
    let warm_up = messages / 10 + 1;
    closed_loop(&mut nodes, load, warm_up, &mut latencies)?;
    latencies = Latencies::new();
    let elapsed = closed_loop(&mut nodes, load, messages, &mut latencies)?;
    // Followers learn with the next message what is committed.
    for _ in 0..10 {
        tick(&mut nodes);
        while turns(&mut nodes)? {}
    }
    for node in &nodes {
        assert_eq!(node.applied, warm_up + messages, "a node of the peer applied fewer");
    }
    Ok(Yield::new(messages, elapsed, &latencies))
}

fn open() -> raft::Result<Vec<Node>> {
    let logger = slog::Logger::root(slog::Discard, slog::o!());
    let ids: Vec<u64> = (1..=NODES).collect();
    let mut nodes = Vec::new();
    for &id in &ids {
        let config = Config {
            id,
            election_tick: 10,
            heartbeat_tick: 3,
            max_size_per_msg: 1 << 20,
            max_inflight_msgs: 256,
            check_quorum: true,
            pre_vote: true,
            batch_append: true,
            ..Config::default()
        };
        let storage = MemStorage::new_with_conf_state(ConfState::from((ids.clone(), vec![])));
        let raft = RawNode::new(&config, storage, &logger)?;
        nodes.push(Node { raft, inbox: VecDeque::new(), applied: 0, compacted: 0 });
    }
    nodes[0].raft.campaign()?;
    while turns(&mut nodes)? {}
    assert_eq!(nodes[0].raft.raft.state, StateRole::Leader, "the peer elected nobody");
    Ok(nodes)
}

fn closed_loop(
    nodes: &mut [Node],
    load: RaftLoad,
    messages: u64,
    latencies: &mut Latencies,
) -> raft::Result<Duration> {
    let begin = Clock::now();
    let mut submissions = Submissions::default();
    let mut tick_at = TICK;
    let before = nodes[0].applied;
    let (mut proposed, mut answered) = (0, 0);
    while answered < messages {
        let elapsed = begin.elapsed();
        if elapsed >= tick_at {
            tick_at = elapsed + TICK;
            tick(nodes);
        }
        let now = elapsed.as_nanos() as u64;
        let newly = nodes[0].applied - before - answered;
        submissions.settle(now, newly, latencies);
        answered += newly;
        while proposed < messages && proposed - answered < load.window {
            let room = load.window - (proposed - answered);
            let count = load.batch.min(room).min(messages - proposed);
            for _ in 0..count {
                nodes[0].raft.propose(Vec::new(), vec![0x5a; load.payload])?;
            }
            submissions.note(now, count);
            proposed += count;
            turn(nodes, 0)?;
        }
        turns(nodes)?;
    }
    Ok(begin.elapsed())
}

/// Each node takes in its whole inbox, and then does what is to be done; whether any had something.
fn turns(nodes: &mut [Node]) -> raft::Result<bool> {
    let mut busy = false;
    for index in 0..nodes.len() {
        while let Some(message) = nodes[index].inbox.pop_front() {
            nodes[index].raft.step(message)?;
            busy = true;
        }
        busy |= turn(nodes, index)?;
    }
    Ok(busy)
}

/// Does what a node wants done; whether there was anything.
fn turn(nodes: &mut [Node], index: usize) -> raft::Result<bool> {
    let mut busy = false;
    while nodes[index].raft.has_ready() {
        busy = true;
        let mut ready = nodes[index].raft.ready();
        send(nodes, ready.take_messages());
        let node = &mut nodes[index];
        node.apply(&ready.take_committed_entries());
        if !ready.entries().is_empty() {
            node.raft.store().wl().append(ready.entries())?;
        }
        if let Some(state) = ready.hs() {
            node.raft.store().wl().set_hardstate(state.clone());
        }
        send(nodes, ready.take_persisted_messages());
        let node = &mut nodes[index];
        let mut light = node.raft.advance(ready);
        if let Some(commit) = light.commit_index() {
            node.raft.store().wl().mut_hard_state().set_commit(commit);
        }
        node.apply(&light.take_committed_entries());
        node.raft.advance_apply();
        node.compact()?;
        send(nodes, light.take_messages());
    }
    Ok(busy)
}

fn tick(nodes: &mut [Node]) {
    for node in nodes {
        node.raft.tick();
    }
}

fn send(nodes: &mut [Node], messages: Vec<Message>) {
    for message in messages {
        nodes[message.to as usize - 1].inbox.push_back(message);
    }
}

impl Node {
    fn apply(&mut self, entries: &[Entry]) {
        // The opening entry of a term is empty.
        self.applied += entries.iter().filter(|entry| !entry.data.is_empty()).count() as u64;
    }

    fn compact(&mut self) -> raft::Result<()> {
        let applied = self.raft.raft.raft_log.applied;
        if applied >= self.compacted + 2 * KEPT_ENTRIES {
            self.compacted = applied - KEPT_ENTRIES;
            self.raft.store().wl().compact(self.compacted)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_nodes_apply_every_proposal() {
        for (batch, window) in [(1, 1), (64, 512)] {
            let yielded = run(RaftLoad { batch, window, payload: 64 }, 20_000).unwrap();
            assert!(yielded.per_s > 0.0);
        }
    }
}
