//! What records hold: vote, boot epoch, term history, the other members' lives, and marks.

use quorate_core::{
    BootEpoch, Chain, Incarnation, Life, LogTime, MemberId, PeerRecord, Position, RecoveryEpoch,
    SnapshotPoint, Term, TermHistory, TermLine, Vote,
};

use crate::record::Fields;

/// Decodes a payload of its own kind; `None` when the bytes are not one.
pub(crate) trait Payload: Sized {
    fn encode(&self) -> Vec<u8>;
    fn decode(bytes: &[u8]) -> Option<Self>;
}

impl Payload for BootEpoch {
    fn encode(&self) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Fields(bytes).u64().map(Self)
    }
}

impl Payload for Vote {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.term.0.to_le_bytes().to_vec();
        bytes.extend_from_slice(&u16::from(self.granted_to.is_some()).to_le_bytes());
        bytes.extend_from_slice(&self.granted_to.unwrap_or_default().0.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let term = Term(fields.u64()?);
        let granted = fields.u16()?;
        let member = MemberId(fields.u16()?);
        let granted_to = match granted {
            0 => None,
            1 => Some(member),
            _ => return None,
        };
        Some(Self { term, granted_to })
    }
}

/// The term history, with the cut that came with it: after a crash between both the log is cut at
/// recovery.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct HistoryAndCut {
    pub(crate) history: TermHistory,
    pub(crate) cut: Position,
}

impl Payload for HistoryAndCut {
    fn encode(&self) -> Vec<u8> {
        let lines = self.history.lines();
        let mut bytes = self.cut.0.to_le_bytes().to_vec();
        bytes.extend_from_slice(&(lines.len() as u64).to_le_bytes());
        for line in lines {
            bytes.extend_from_slice(&line.term.0.to_le_bytes());
            bytes.extend_from_slice(&line.base.0.to_le_bytes());
            bytes.extend_from_slice(&line.chain.0.to_le_bytes());
            bytes.extend_from_slice(&line.recovery_epoch.0.to_le_bytes());
            put_life(&mut bytes, line.leader);
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let cut = Position(fields.u64()?);
        let count = fields.u64()?;
        let mut lines = Vec::new();
        for _ in 0..count {
            lines.push(TermLine {
                term: Term(fields.u64()?),
                base: Position(fields.u64()?),
                chain: Chain(fields.u64()?),
                recovery_epoch: RecoveryEpoch(fields.u32()?),
                leader: take_life(&mut fields)?,
            });
        }
        Some(Self { history: TermHistory::new(lines).ok()?, cut })
    }
}

impl Payload for Vec<PeerRecord> {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = (self.len() as u64).to_le_bytes().to_vec();
        for peer in self {
            bytes.extend_from_slice(&peer.term.0.to_le_bytes());
            bytes.extend_from_slice(&peer.acknowledged.0.to_le_bytes());
            bytes.extend_from_slice(&peer.acknowledged_in.0.to_le_bytes());
            put_life(&mut bytes, peer.life);
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let count = fields.u64()?;
        let mut peers = Self::new();
        for _ in 0..count {
            let term = Term(fields.u64()?);
            let acknowledged = Position(fields.u64()?);
            let acknowledged_in = BootEpoch(fields.u64()?);
            let life = take_life(&mut fields)?;
            peers.push(PeerRecord { life, acknowledged_in, term, acknowledged });
        }
        Some(peers)
    }
}

/// Where the log begins, and eight zeros.
impl Payload for SnapshotPoint {
    fn encode(&self) -> Vec<u8> {
        let words = [self.position.0, self.term.0, self.chain.0, self.time.0, 0];
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let (position, term) = (Position(fields.u64()?), Term(fields.u64()?));
        let (chain, time) = (Chain(fields.u64()?), LogTime(fields.u64()?));
        let is_whole = fields.u64()? == 0 && position <= Position::MAX;
        is_whole.then_some(Self { position, term, chain, time })
    }
}

/// Up to where the log was durable, and under which generation of the term history.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct DurableMark {
    pub(crate) position: u64,
    pub(crate) history_generation: u64,
}

impl Payload for DurableMark {
    fn encode(&self) -> Vec<u8> {
        [self.position.to_le_bytes(), self.history_generation.to_le_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        Some(Self { position: fields.u64()?, history_generation: fields.u64()? })
    }
}

/// 20 bytes: incarnation, member, six zeros (which keep what follows aligned), boot epoch.
fn put_life(bytes: &mut Vec<u8>, life: Life) {
    bytes.extend_from_slice(&life.incarnation.0.to_le_bytes());
    bytes.extend_from_slice(&life.member.0.to_le_bytes());
    bytes.extend_from_slice(&[0; 6]);
    bytes.extend_from_slice(&life.boot_epoch.0.to_le_bytes());
}

fn take_life(fields: &mut Fields<'_>) -> Option<Life> {
    let incarnation = Incarnation(fields.u32()?);
    let member = MemberId(fields.u16()?);
    fields.take(6)?;
    Some(Life { member, incarnation, boot_epoch: BootEpoch(fields.u64()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<P: Payload + PartialEq + core::fmt::Debug>(payload: &P) {
        let bytes = payload.encode();
        assert_eq!(P::decode(&bytes).as_ref(), Some(payload));
        for length in 0..bytes.len() {
            // A shorter slice may only decode to something that needs no more bytes.
            if let Some(other) = P::decode(&bytes[..length]) {
                assert_eq!(&other, payload);
            }
        }
    }

    #[test]
    fn payloads_come_back_as_they_were() {
        let life = |member| Life {
            member: MemberId(member),
            incarnation: Incarnation(3),
            boot_epoch: BootEpoch(1 << 40),
        };
        let line = |term, base| TermLine {
            recovery_epoch: RecoveryEpoch(1),
            term: Term(term),
            base: Position(base),
            leader: life(2),
            chain: Chain(77),
        };
        round_trip(&BootEpoch(5));
        round_trip(&Vote { term: Term(9), granted_to: None });
        round_trip(&Vote { term: Term(9), granted_to: Some(MemberId(0)) });
        let history = TermHistory::new(vec![line(1, 0), line(4, 640)]).unwrap();
        round_trip(&HistoryAndCut { history, cut: Position(640) });
        let peer = PeerRecord {
            life: life(1),
            acknowledged_in: BootEpoch(3),
            term: Term(4),
            acknowledged: Position(8),
        };
        round_trip(&vec![peer, peer]);
        round_trip(&DurableMark { position: 8, history_generation: 2 });
    }

    #[test]
    fn a_claimed_count_allocates_nothing() {
        let mut bytes = 0_u64.to_le_bytes().to_vec();
        bytes.extend_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(HistoryAndCut::decode(&bytes), None);
        assert_eq!(Vec::<PeerRecord>::decode(&u64::MAX.to_le_bytes()), None);
    }
}
