//! What a member finds besides its log, as it is written between the programs: what it remembers of
//! others, and what the newest opening frame says.

use quorate_core::frame::Level;
use quorate_core::{
    BootEpoch, ForcedRecovery, MemberId, Membership, PeerRecord, Position, RecoveryEpoch, Term,
};
use serde::{Deserialize, Serialize};

use super::body::{LifeBody, bytes, digits};

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct PeerBody {
    life: LifeBody,
    acknowledged_in: u64,
    term: u64,
    acknowledged: u64,
}

impl PeerBody {
    pub(super) fn from(peer: &PeerRecord) -> Self {
        let PeerRecord { life, acknowledged_in, term, acknowledged } = peer;
        Self {
            life: LifeBody::from(life),
            acknowledged_in: acknowledged_in.0,
            term: term.0,
            acknowledged: acknowledged.0,
        }
    }

    pub(super) fn to(&self) -> Option<PeerRecord> {
        let (term, acknowledged) = (Term(self.term), Position(self.acknowledged));
        let acknowledged_in = BootEpoch(self.acknowledged_in);
        Some(PeerRecord { life: self.life.to()?, acknowledged_in, term, acknowledged })
    }
}

/// As in the log.
pub(super) const fn code(level: Level) -> u8 {
    match level {
        Level::Durable => 0,
        Level::Volatile => 1,
        Level::Unknown(code) => code,
    }
}

pub(super) const fn of((term, code): (u64, u8)) -> (Term, Level) {
    let level = match code {
        0 => Level::Durable,
        1 => Level::Volatile,
        code => Level::Unknown(code),
    };
    (Term(term), level)
}

/// A list of members, and the end of its frame.
pub(super) fn members_body((end, membership): &(Position, Membership)) -> (u64, String) {
    let mut list = Vec::new();
    membership.write(&mut list);
    (end.0, digits(&list))
}

/// What [`members_body`] made of them; `None` if one is no list.
pub(super) fn members(bodies: &[(u64, String)]) -> Option<Vec<(Position, Membership)>> {
    let read =
        |(end, text): &(u64, String)| Some((Position(*end), Membership::read(&bytes(text)?).ok()?));
    bodies.iter().map(read).collect()
}

/// The forced recovery that began the epoch of a directory.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) struct ForcedBody {
    epoch: u32,
    term: u64,
    chosen: u16,
    kept: u64,
    promised: u64,
}

pub(super) const fn forced_body(forced: ForcedRecovery) -> ForcedBody {
    let ForcedRecovery { epoch, term, chosen, kept, promised } = forced;
    let (term, kept, promised) = (term.0, kept.0, promised.0);
    ForcedBody { epoch: epoch.0, term, chosen: chosen.0, kept, promised }
}

pub(super) const fn forced(body: ForcedBody) -> ForcedRecovery {
    ForcedRecovery {
        epoch: RecoveryEpoch(body.epoch),
        term: Term(body.term),
        chosen: MemberId(body.chosen),
        kept: Position(body.kept),
        promised: Position(body.promised),
    }
}
