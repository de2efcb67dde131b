//! Tells a member's notices to `tracing`.

use quorate_core::{ChangeOutcome, MemberId, Notice, TransferOutcome};

/// Emits `notice` as an event: changes of who leads at `INFO`, trouble at `WARN`, the rest at
/// `DEBUG`.
pub(crate) fn report(member: MemberId, notice: &Notice) {
    let member = member.0;
    match *notice {
        Notice::Role { role, term } => {
            tracing::info!(member, role = role.name(), term = term.0, "role changed");
        }
        Notice::Leader { leader, term } => {
            let leader = leader.map(|leader| leader.0);
            tracing::info!(member, leader, term = term.0, "leader changed");
        }
        Notice::Adopted { term, cut } => {
            tracing::info!(member, term = term.0, cut = cut.0, "term history adopted");
        }
        Notice::Abdicated { term, reason } => {
            tracing::warn!(member, term = term.0, ?reason, "leadership given up");
        }
        Notice::StorageFull => tracing::warn!(member, "no space left for the log"),
        Notice::StorageFreed => tracing::info!(member, "there is space for the log again"),
        Notice::Stalled { cause } => {
            let peer = cause.member().map(|peer| peer.0);
            tracing::warn!(member, cause = cause.name(), peer, "held back");
        }
        Notice::StallEnded { cause } => {
            let peer = cause.member().map(|peer| peer.0);
            tracing::info!(member, cause = cause.name(), peer, "not held back any more");
        }
        Notice::GapOpened { at } => tracing::debug!(member, at = at.0, "gap opened"),
        Notice::GapHealed { at } => tracing::debug!(member, at = at.0, "gap healed"),
        Notice::SessionOpened { session } => {
            tracing::debug!(member, session = session.0, "session opened");
        }
        Notice::SessionClosed { session } => {
            tracing::debug!(member, session = session.0, "session closed");
        }
        _ => report_doubt(member, notice),
    }
}

/// The same of members that may have lost something, or mean something else by committed.
fn report_doubt(member: u16, notice: &Notice) {
    match *notice {
        Notice::PeerRegressed { member: peer } => {
            tracing::warn!(
                member,
                peer = peer.0,
                "a member came back with less than it had acknowledged, and does not count"
            );
        }
        Notice::OtherLevel { member: peer } => {
            tracing::warn!(
                member,
                peer = peer.0,
                "a member has another durability level: neither elects the other; configure all \
                 members alike"
            );
        }
        Notice::Impaired { position } => {
            tracing::warn!(
                member,
                position = position.0,
                "not stopped in good order: bytes may be lost, and count again when they are back"
            );
        }
        Notice::Healed { position } => {
            tracing::info!(member, position = position.0, "healed: this member counts in full");
        }
        Notice::ClockJumped { passed, counted } => {
            tracing::warn!(
                member,
                passed_ms = passed.0 / 1_000_000,
                counted_ms = counted.0 / 1_000_000,
                "stopped while it led, or its clock jumped: log time does not follow"
            );
        }
        Notice::RecoveredByForce { epoch, kept } => {
            tracing::warn!(
                member,
                epoch = epoch.0,
                kept = kept.0,
                "recovered by force: what was promised from here on in earlier epochs is lost"
            );
        }
        _ => report_demanded(member, notice),
    }
}

/// The same of members that lost their directory, and of transfers of leadership.
fn report_demanded(member: u16, notice: &Notice) {
    match *notice {
        Notice::Readmission { life, position } => {
            tracing::info!(
                member,
                peer = life.member.0,
                position = position.0,
                "a member is readmitted"
            );
        }
        Notice::Readmitted { position } => {
            tracing::info!(member, position = position.0, "readmitted: this member counts again");
        }
        Notice::Transfer { request, outcome: TransferOutcome::Done { leader, term } } => {
            let (leader, term) = (leader.0, term.0);
            tracing::info!(member, request, leader, term, "leadership handed over");
        }
        Notice::Transfer { request, outcome: TransferOutcome::Refused(refusal) } => {
            tracing::warn!(member, request, %refusal, "leadership not handed over");
        }
        _ => report_members(member, notice),
    }
}

/// The same of who is a member.
fn report_members(member: u16, notice: &Notice) {
    match *notice {
        Notice::Membership { position, joint } => {
            tracing::info!(member, position = position.0, joint, "other members are in effect");
        }
        Notice::MembershipCommitted { position, joint } => {
            tracing::info!(member, position = position.0, joint, "the members are committed");
        }
        Notice::ChangeMembership { request, outcome: ChangeOutcome::Done { position } } => {
            tracing::info!(member, request, position = position.0, "the members were changed");
        }
        Notice::ChangeMembership { request, outcome: ChangeOutcome::Refused(refusal) } => {
            let cause = refusal.name();
            tracing::warn!(member, request, cause, %refusal, "the members were not changed");
        }
        Notice::Removed { position } => {
            tracing::warn!(
                member,
                position = position.0,
                "this member was removed: it stands for no election, and nobody counts it; stop it, \
                 or take it in again with a new directory of a later incarnation"
            );
        }
        _ => report_snapshots(member, notice),
    }
}

/// The same of snapshots, and of what is purged.
fn report_snapshots(member: u16, notice: &Notice) {
    match *notice {
        Notice::SnapshotMarked { position, cause } => {
            tracing::info!(member, position = position.0, ?cause, "snapshot marked");
        }
        Notice::SnapshotRefused { refusal } => {
            tracing::info!(member, %refusal, "no snapshot is taken");
        }
        Notice::SnapshotSkipped { position } => {
            tracing::warn!(member, position = position.0, "snapshot skipped: one is under way");
        }
        Notice::SnapshotStored { position } => {
            tracing::info!(member, position = position.0, "snapshot stored");
        }
        Notice::LogPurged { origin } => {
            tracing::info!(member, origin = origin.0, "the log before here is purged");
        }
        Notice::Purged { member: source, at, oldest } => {
            let (source, at, oldest) = (source.0, at.0, oldest.0);
            tracing::warn!(
                member,
                source,
                at,
                oldest,
                "what comes next here is purged there; where all have purged it, this member fetches \
                 a snapshot"
            );
        }
        Notice::SnapshotFailed { position } => {
            tracing::warn!(member, position = position.0, "snapshot failed");
        }
        _ => report_others_snapshots(member, notice),
    }
}

/// The same of snapshots of other members.
fn report_others_snapshots(member: u16, notice: &Notice) {
    match *notice {
        Notice::SnapshotFetchBegun { position, bytes, from } => {
            let (position, from) = (position.0, from.0);
            tracing::info!(
                member,
                position,
                bytes,
                from,
                "a snapshot of another member is fetched"
            );
        }
        Notice::SnapshotRejected { position, reason } => {
            let position = position.0;
            tracing::warn!(member, position, %reason, "a snapshot of another member is of no use");
        }
        Notice::SnapshotDiffers { member: peer, position } => {
            let (peer, position) = (peer.0, position.0);
            tracing::warn!(
                member,
                peer,
                position,
                "another member's state differs from the one here: look for what the service takes \
                 from clocks, random sources, hash order, the environment or another version of \
                 itself; whoever a majority contradicts stops"
            );
        }
        Notice::SnapshotInstalled { position, bytes } => {
            let position = position.0;
            tracing::info!(
                member,
                position,
                bytes,
                "a snapshot of another member is installed; the member begins anew"
            );
        }
        _ => tracing::debug!(member, ?notice, "notice"),
    }
}
