//! What sort of datagram bytes are, at a glance.

use crate::generated as wire;
use crate::{HEADER_BYTES, MAGIC};

/// What a datagram is about. For fault layers and counters: nothing about it was checked.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Class {
    /// Canvasses, votes, and their answers.
    Election,
    /// Heartbeats, abdications, histories, acknowledgements, and where reads see the log.
    Leadership,
    /// A slice of the log.
    LogData,
    /// Requests for missing bytes or for a snapshot, offers, and refusals.
    Repair,
    /// Opening, keeping and closing of sessions; and reads.
    Session,
    /// A slice of a session stream, or of a snapshot.
    SessionData,
}

/// The class of `datagram`, without a look at its checksum or content; `None` if it is none of ours
/// or of a kind that this version does not know.
#[must_use]
pub fn class(datagram: &[u8]) -> Option<Class> {
    let header = datagram.first_chunk::<HEADER_BYTES>()?;
    let u16_at = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    if u16_at(0) != MAGIC {
        return None;
    }
    Some(match u16_at(wire::DatagramHeader::BYTES + 2) {
        wire::LogDataEncoder::TEMPLATE_ID => Class::LogData,
        wire::SessionDataEncoder::TEMPLATE_ID => Class::SessionData,
        wire::CanvassEncoder::TEMPLATE_ID
        | wire::CanvassReplyEncoder::TEMPLATE_ID
        | wire::RequestVoteEncoder::TEMPLATE_ID
        | wire::RequestSuccessionEncoder::TEMPLATE_ID
        | wire::BallotEncoder::TEMPLATE_ID
        | wire::LevelGrantEncoder::TEMPLATE_ID => Class::Election,
        wire::HeartbeatEncoder::TEMPLATE_ID
        | wire::AbdicateEncoder::TEMPLATE_ID
        | wire::CampaignEncoder::TEMPLATE_ID
        | wire::HistoryRequestEncoder::TEMPLATE_ID
        | wire::HistoryEncoder::TEMPLATE_ID
        | wire::AcknowledgeEncoder::TEMPLATE_ID
        | wire::ApplicationEncoder::TEMPLATE_ID
        | wire::HoldingEncoder::TEMPLATE_ID
        | wire::ImpairedEncoder::TEMPLATE_ID
        | wire::RegisteredEncoder::TEMPLATE_ID
        | wire::RemovedEncoder::TEMPLATE_ID
        | wire::ReadIndexRequestEncoder::TEMPLATE_ID
        | wire::ReadIndexReplyEncoder::TEMPLATE_ID => Class::Leadership,
        wire::NakEncoder::TEMPLATE_ID
        | wire::UnavailableEncoder::TEMPLATE_ID
        | wire::SnapshotRequestEncoder::TEMPLATE_ID
        | wire::SnapshotOfferEncoder::TEMPLATE_ID => Class::Repair,
        wire::ConnectEncoder::TEMPLATE_ID
        | wire::ConnectReplyEncoder::TEMPLATE_ID
        | wire::StreamStatusEncoder::TEMPLATE_ID
        | wire::StreamNewestEncoder::TEMPLATE_ID
        | wire::SyncRequestEncoder::TEMPLATE_ID
        | wire::SyncReplyEncoder::TEMPLATE_ID
        | wire::ReadRequestEncoder::TEMPLATE_ID
        | wire::ReadReplyEncoder::TEMPLATE_ID
        | wire::CloseEncoder::TEMPLATE_ID
        | wire::ClosedEncoder::TEMPLATE_ID => Class::Session,
        _ => return None,
    })
}
