//! What a member counts of its own doings.

/// What a member has counted since it was constructed. None of it is part of its state.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Reads that were answered.
    pub reads_answered: u64,
    /// Reads that were refused.
    pub reads_refused: u64,
    /// Rounds of heartbeats that were sent for reads.
    pub read_rounds: u64,
    /// Elections that this member won.
    pub elections_won: u64,
    /// Canvasses that this member began.
    pub canvasses: u64,
    /// NAK datagrams that it sent for the log.
    pub naks_sent: u64,
    /// Ranges in them.
    pub nak_ranges_sent: u64,
    /// NAK datagrams that it received.
    pub naks_received: u64,
    /// Repair bytes that it sent.
    pub repair_bytes_sent: u64,
    /// Repair datagrams that it sent (retransmits).
    pub repairs_sent: u64,
    /// Ranges that it could not or would not send, for want of bytes or budget.
    pub repairs_refused: u64,
    /// Log bytes that it received twice.
    pub duplicate_bytes: u64,
    /// Log slices dropped: not of the adopted history, or outside the window.
    pub slices_dropped: u64,
    /// Frames whose checksum failed in the window; their bytes are asked for again.
    pub frames_rejected: u64,
    /// Times that the log was cut by an adopted history.
    pub cuts: u64,
    /// Datagrams of unknown senders, old lives, or without meaning in the current state.
    pub datagrams_ignored: u64,
    /// Completions of another life or of a voided operation.
    pub completions_ignored: u64,
    /// Duplicates of messages that were suppressed at admission or at apply.
    pub duplicates_suppressed: u64,
    /// Messages appended as leader.
    pub messages_appended: u64,
    /// Messages handed to the service.
    pub messages_applied: u64,
    /// Snapshots that were taken and stored.
    pub snapshots_stored: u64,
    /// Snapshots that the host could not store.
    pub snapshots_failed: u64,
    /// Markers that were met while a snapshot was under way.
    pub snapshots_skipped: u64,
    /// Times that the beginning of the log was purged.
    pub purges: u64,
    /// Transfers of snapshots of others that were begun.
    pub snapshot_fetches: u64,
    /// Bytes of them that were received, each counted once.
    pub snapshot_bytes_received: u64,
    /// Bytes of snapshots that were sent to others.
    pub snapshot_bytes_sent: u64,
    /// Snapshots of others that could not be used.
    pub snapshots_rejected: u64,
    /// Replies that were sent again from a reply window.
    pub replies_resent: u64,
    /// Times that admission stopped for want of room.
    pub back_pressure: u64,
}
