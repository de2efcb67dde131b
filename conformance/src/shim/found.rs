//! What a member finds besides its log, as it is written between the programs: what it remembers of
//! others, and what the newest opening frame says.

use quorate_core::frame::Level;
use quorate_core::{BootEpoch, PeerRecord, Position, Term};
use serde::{Deserialize, Serialize};

use super::body::LifeBody;

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
