//! What a member process tells the one that started it, as a line of JSON.

use quorate_core::Membership;
use quorate_core::frame::Level;
use quorate_driver::{MemberStatus, Service};
use serde::{Deserialize, Serialize};

use crate::ledger::Ledger;

/// A member at one moment.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct MemberReport {
    pub(crate) id: u16,
    pub(crate) role: String,
    pub(crate) term: u64,
    /// Whom it follows, itself if it leads.
    pub(crate) leader: Option<u16>,
    pub(crate) serving: bool,
    /// It lost its directory, and is not readmitted yet.
    pub(crate) applicant: bool,
    /// It votes, as far as its log says.
    pub(crate) votes: bool,
    /// How many members there are, as far as its log says, and how many of them vote.
    pub(crate) members: usize,
    pub(crate) voters: usize,
    /// Voters are changing.
    pub(crate) joint: bool,
    /// It was removed from the group, by what ends there.
    pub(crate) removed_at: Option<u64>,
    /// Its durability level.
    pub(crate) level: String,
    /// It may have lost bytes that it held, and has not healed yet.
    pub(crate) impaired: bool,
    /// The recovery epoch of its log, if the group was recovered by force, and from where on what
    /// was promised before is lost.
    pub(crate) recovered_at: Option<(u32, u64)>,
    /// A later recovery epoch that was heard of: it was left behind.
    pub(crate) left_behind_by: Option<u32>,
    /// Open sessions.
    pub(crate) sessions: usize,
    pub(crate) seen: u64,
    pub(crate) verified: u64,
    pub(crate) durable: u64,
    pub(crate) commit: u64,
    /// What is durable on a quorum; in a volatile group only its leader knows.
    pub(crate) safe: Option<u64>,
    pub(crate) applied: u64,
    pub(crate) snapshot: u64,
    /// For how long it has been writing one, in milliseconds, if it does.
    pub(crate) snapshot_writing_ms: Option<u64>,
    /// Bytes of that one that are still to be written.
    pub(crate) snapshot_unwritten: Option<u64>,
    /// Where its log begins; what was before is purged.
    pub(crate) origin: u64,
    pub(crate) entries: u64,
    pub(crate) digest: String,
    pub(crate) elections_won: u64,
    pub(crate) naks_sent: u64,
    pub(crate) retransmits: u64,
    pub(crate) lost_datagrams: u64,
    pub(crate) syncs: u64,
    /// Datagrams that the system dropped from a full receive buffer, if it says so.
    pub(crate) overflows: Option<u64>,
    /// Bytes of its directory that it has read again while it ran, to find what has rotted.
    pub(crate) scrubbed_bytes: u64,
    /// Times that it read everything so.
    pub(crate) scrub_passes: u64,
    /// Frames of the log, and snapshots, that it found damaged so.
    pub(crate) damages: u64,
    /// Bytes of its log that were written anew with those of others.
    pub(crate) mended_bytes: u64,
    /// The first frame that is missing, while it is mended so and takes part in nothing.
    pub(crate) mending_at: Option<u64>,
    /// Why it went inert, if it did.
    pub(crate) fail_stop: Option<String>,
}

impl MemberReport {
    /// The report of member `id`.
    pub(crate) fn new(id: u16, ledger: &Ledger, status: &MemberStatus) -> Self {
        let leads = status.view.leader == Some(status.view.life.member);
        let writing = status.snapshot_progress;
        let membership = &status.members.membership;
        let knows_safe = status.level == Level::Durable || leads;
        Self {
            id,
            role: status.view.role.name().into(),
            term: status.view.term.0,
            leader: status.view.leader.map(|leader| leader.0),
            serving: status.view.serving,
            applicant: status.view.applicant,
            votes: membership.is_voter(status.view.life.member),
            members: membership.records().len(),
            voters: voters(membership),
            joint: membership.is_joint(),
            removed_at: status.members.removed_at.map(|at| at.0),
            level: level_text(status.level).into(),
            impaired: status.view.impaired,
            recovered_at: status.view.recovered_at.map(|(epoch, at)| (epoch.0, at.0)),
            left_behind_by: status.datagrams.newer_epoch.map(|epoch| epoch.0),
            sessions: status.view.sessions,
            seen: status.view.seen.0,
            verified: status.view.verified.0,
            durable: status.view.durable.0,
            commit: status.view.commit.0,
            safe: knows_safe.then_some(status.view.safe.0),
            applied: status.view.applied.0,
            snapshot: status.view.snapshot.0,
            snapshot_writing_ms: writing.map(|one| one.begun.elapsed().as_millis() as u64),
            snapshot_unwritten: writing.map(|one| one.bytes.saturating_sub(one.written)),
            origin: status.view.origin.0,
            entries: ledger.entries(),
            digest: digest_text(ledger),
            elections_won: status.counters.elections_won,
            naks_sent: status.counters.naks_sent,
            retransmits: status.counters.repairs_sent,
            lost_datagrams: status.faults.dropped,
            syncs: status.storage.syncs,
            overflows: status.datagrams.overflows,
            scrubbed_bytes: status.scrub.bytes,
            scrub_passes: status.scrub.passes,
            damages: status.scrub.log_damages + status.scrub.snapshot_damages,
            mended_bytes: status.scrub.mended_bytes,
            mending_at: status.scrub.mending_at.map(|at| at.0),
            fail_stop: status.view.fail_stop.map(|reason| reason.to_string()),
        }
    }
}

/// How many members vote; during a change of them those before it and behind it.
pub(crate) fn voters(membership: &Membership) -> usize {
    let records = membership.records().iter();
    records.filter(|record| record.outgoing || record.incoming).count()
}

/// A level as reports write it.
pub(crate) const fn level_text(level: Level) -> &'static str {
    match level {
        Level::Durable => "durable",
        Level::Volatile => "volatile",
        Level::Unknown(_) => "unknown",
    }
}

/// A ledger's digest as reports write it.
pub(crate) fn digest_text(ledger: &Ledger) -> String {
    format!("{:016x}", ledger.digest())
}
