//! Numbers from the bytes of the fuzzer: any there are, or some that meet the state of a member.

use arbitrary::Unstructured;
use quorate_core::stream::session_epoch;
use quorate_core::{
    BootEpoch, ClientKey, Incarnation, Life, MemberId, Position, SessionId, Term, View,
};

/// What numbers are drawn near to.
#[derive(Clone, Debug)]
pub(crate) struct Near {
    pub(crate) view: View,
    /// Bases of terms.
    pub(crate) bases: Vec<Position>,
    /// Connections that were opened: their number and session.
    pub(crate) connections: Vec<(u64, SessionId)>,
}

/// Draws numbers until the bytes are used up, and zeros from then on.
pub(crate) struct Draw<'a, 'b> {
    pub(crate) bytes: &'b mut Unstructured<'a>,
    /// Without it any number is drawn.
    pub(crate) near: Option<Near>,
}

impl<'a, 'b> Draw<'a, 'b> {
    pub(crate) fn any(bytes: &'b mut Unstructured<'a>) -> Self {
        Self { bytes, near: None }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.bytes.arbitrary().unwrap_or_default()
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    /// A number below `end`, which is at most 256.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// A number without a meaning that a member compares.
    pub(crate) fn number(&mut self) -> u64 {
        match self.near {
            Some(_) => u64::from(self.byte()),
            None => self.bytes.arbitrary().unwrap_or_default(),
        }
    }

    pub(crate) fn short(&mut self) -> u16 {
        self.bytes.arbitrary().unwrap_or_default()
    }

    /// Up to `most` bytes.
    pub(crate) fn slice(&mut self, most: usize) -> &'a [u8] {
        let length = usize::from(self.short()) % (most + 1);
        self.bytes.bytes(length.min(self.bytes.len())).unwrap_or_default()
    }

    pub(crate) fn term(&mut self) -> Term {
        let Some(near) = &self.near else { return Term(self.number()) };
        let term = near.view.term.0;
        Term(match self.byte() % 8 {
            0..=3 => term,
            4 => term + 1,
            5 => term + 2,
            6 => term.saturating_sub(1),
            _ => self.number(),
        })
    }

    pub(crate) fn position(&mut self) -> Position {
        let Some(near) = &self.near else { return Position(self.number() & Position::MAX.0) };
        let view = near.view;
        let base = near.bases.last().copied().unwrap_or_default();
        let pick = self.byte();
        let at = match pick % 9 {
            0 => view.verified,
            1 => view.commit,
            2 => view.received,
            3 => view.durable,
            4 => view.applied,
            5 => view.seen,
            6 => base,
            7 => Position(self.number() * 8),
            _ => return Position(self.word() & Position::MAX.0),
        };
        // A few steps of the alignment to either side.
        match pick / 9 % 4 {
            0 | 1 => at,
            2 => at.plus(u64::from(self.byte()) * 8),
            _ => Position(at.0.saturating_sub(u64::from(self.byte()) * 8)),
        }
    }

    pub(crate) fn member(&mut self) -> MemberId {
        MemberId(match self.near {
            Some(_) => u16::from(self.byte() % 5),
            None => self.short(),
        })
    }

    pub(crate) fn life(&mut self) -> Life {
        let (member, of, boot) = (self.member(), self.number(), self.number());
        if self.near.is_none() {
            let (incarnation, boot_epoch) = (Incarnation(of as u32), BootEpoch(boot));
            return Life { member, incarnation, boot_epoch };
        }
        // Mostly the life that runs.
        let (incarnation, boot_epoch) = (Incarnation((of % 8 == 7).into()), BootEpoch(boot % 4));
        Life { member, incarnation: Incarnation(1 + incarnation.0), boot_epoch }
    }

    pub(crate) fn client(&mut self) -> ClientKey {
        ClientKey(match self.near {
            Some(_) => 1 + u64::from(self.byte() % 4),
            None => self.number(),
        })
    }

    pub(crate) fn session(&mut self) -> SessionId {
        match self.connection_known() {
            Some((_, session)) => session,
            None => SessionId(self.position().0),
        }
    }

    pub(crate) fn connection(&mut self) -> u64 {
        match self.connection_known() {
            Some((connection, _)) => connection + u64::from(self.byte() % 3),
            None => self.number(),
        }
    }

    /// The epoch of a session stream.
    pub(crate) fn session_epoch(&mut self) -> u64 {
        match self.connection_known() {
            Some((connection, session)) => session_epoch(connection, session),
            None => self.number(),
        }
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.bytes.arbitrary().unwrap_or_default()
    }

    fn connection_known(&mut self) -> Option<(u64, SessionId)> {
        let known = self.near.as_ref()?.connections.len();
        let pick = self.below(8);
        if pick == 7 || known == 0 {
            return None;
        }
        self.near.as_ref()?.connections.get(pick % known).copied()
    }
}
