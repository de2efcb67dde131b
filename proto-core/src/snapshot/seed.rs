//! The core's part of a snapshot as another group begins with it.
//!
//! What the clients have stays: sessions with their numbers and kept replies, timers, positions and
//! cluster time, so that the service's state next to it means what it meant. What the members of
//! the old group were to each other goes: whom they had readmitted, and their recovery epochs. The
//! lines of the term history stay otherwise: two snapshots of logs that part are told from each
//! other by them, if somebody makes members of one group of both.

use alloc::vec::Vec;

use super::{Fields, Snapshot, SnapshotError, SnapshotPoint, read_line, read_point};
use super::{write_line, write_point};
use crate::identity::RecoveryEpoch;
use crate::membership::Membership;
use crate::mutant;
use crate::position::Position;
use crate::term::TermHistory;

/// Bytes of a readmitted life.
const LIFE_BYTES: usize = 24;
/// Bytes of a timer.
const TIMER_BYTES: usize = 16;

/// What the members of a new group begin with.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct GroupSeed {
    /// Where the log begins, and with it the snapshot: where that of the old group stood.
    pub snapshot: Snapshot,
    /// Who wrote the log before that.
    pub history: TermHistory,
    /// Sessions that were open.
    pub sessions: u32,
    /// Timers that were set.
    pub timers: u32,
}

impl Snapshot {
    /// This snapshot for members of a group that is to be formed with it, in recovery epoch 0.
    ///
    /// # Errors
    /// [`SnapshotError`] if the bytes are not the core's part of a snapshot. Limits are not looked
    /// at: a member does so when it begins.
    pub fn seed(&self) -> Result<GroupSeed, SnapshotError> {
        let mut fields = Fields(&self.core);
        let (point, level, has_members) = read_point(&mut fields)?;
        if point != self.point {
            return Err(SnapshotError::Contradiction { what: "where it stands" });
        }
        let (lines, sessions) = (fields.u32()?, fields.u32()?);
        let (timers, lives) = (fields.u32()?, fields.u32()?);
        let history = read_history(&mut fields, lines, &point)?;
        let state = fields.0;
        (0..sessions).try_for_each(|_| pass_session(&mut fields))?;
        (0..timers).try_for_each(|_| fields.take(TIMER_BYTES).map(|_| ()))?;
        let state_bytes = state.len() - fields.0.len();
        (0..lives).try_for_each(|_| fields.take(LIFE_BYTES).map(|_| ()))?;
        if has_members {
            // Those of the new group are the ones that it is formed with.
            fields.position()?;
            Membership::take(&mut fields)?;
        }
        if !fields.0.is_empty() {
            return Err(SnapshotError::Trailing);
        }
        let keeps = mutant::is(mutant::RESTORED_GROUP_KNOWS_FORMER_LIVES);
        let (kept, lives) = if keeps { (state, lives) } else { (&state[..state_bytes], 0) };
        let mut core = Vec::with_capacity(self.core.len());
        write_point(&point, level, false, &mut core);
        for count in [lines, sessions, timers, lives] {
            core.extend_from_slice(&count.to_le_bytes());
        }
        history.lines().iter().for_each(|line| write_line(line, &mut core));
        core.extend_from_slice(kept);
        Ok(GroupSeed { snapshot: Self { point, core }, history, sessions, timers })
    }
}

/// The lines that own the bytes before `point`, as of the epoch in which groups are formed.
fn read_history(
    fields: &mut Fields<'_>,
    count: u32,
    point: &SnapshotPoint,
) -> Result<TermHistory, SnapshotError> {
    let contradiction = SnapshotError::Contradiction { what: "the term history" };
    let mut lines = Vec::new();
    for _ in 0..count {
        let mut line = read_line(fields)?;
        if !mutant::is(mutant::RESTORED_GROUP_KEEPS_ITS_EPOCH) {
            line.recovery_epoch = RecoveryEpoch(0);
        }
        lines.push(line);
    }
    let history = TermHistory::new(lines).map_err(|_| contradiction)?;
    let position = point.position;
    let stands = position > Position::ZERO && position.aligned_down() == position;
    // Each owns bytes: up to where the next begins, the last one up to the position.
    let rises = history.lines().windows(2).all(|pair| pair[0].base < pair[1].base);
    let are_owners = rises && history.last().is_some_and(|last| last.base < position);
    let is_whole = stands && are_owners && history.term_before(position) == point.term;
    if is_whole { Ok(history) } else { Err(contradiction) }
}

/// Passes over a session; no more is believed than that its bytes are there.
fn pass_session(fields: &mut Fields<'_>) -> Result<(), SnapshotError> {
    fields.take(24)?;
    let replies = fields.u64()?;
    for _ in 0..replies {
        fields.take(8)?;
        let bytes = usize::try_from(fields.u64()?).map_err(|_| SnapshotError::Truncated)?;
        fields.take(bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Level;
    use crate::identity::{BootEpoch, Incarnation, Life, MemberId};
    use crate::term::{Chain, Term, TermLine};
    use crate::time::LogTime;

    fn line(term: u64, base: u64, epoch: u32) -> TermLine {
        let (member, incarnation) = (MemberId(2), Incarnation(3));
        let leader = Life { member, incarnation, boot_epoch: BootEpoch(term) };
        let (term, chain) = (Term(term), Chain(base));
        TermLine { recovery_epoch: RecoveryEpoch(epoch), term, base: Position(base), leader, chain }
    }

    /// With two sessions, one of which has a reply, a timer, and two lives.
    fn snapshot(lines: &[TermLine]) -> Snapshot {
        let (position, time) = (Position(640), LogTime(9));
        let point = SnapshotPoint { position, term: Term(4), chain: Chain(7), time };
        let mut core = Vec::new();
        write_point(&point, Level::Volatile, false, &mut core);
        for count in [lines.len() as u32, 2, 1, 2] {
            core.extend_from_slice(&count.to_le_bytes());
        }
        lines.iter().for_each(|line| write_line(line, &mut core));
        for word in [8_u64, 1, 5, 1, 80, 3] {
            core.extend_from_slice(&word.to_le_bytes());
        }
        core.extend_from_slice(b"yes");
        for word in [16_u64, 2, 0, 0, 77, 1_000] {
            core.extend_from_slice(&word.to_le_bytes());
        }
        core.resize(core.len() + 2 * LIFE_BYTES, 0xee);
        Snapshot { point, core }
    }

    #[test]
    fn what_the_members_were_to_each_other_goes_and_all_else_stays() {
        let old = snapshot(&[line(2, 0, 0), line(4, 320, 1)]);
        let seed = old.seed().unwrap();
        assert_eq!(seed.history.lines(), [line(2, 0, 0), line(4, 320, 0)]);
        assert_eq!((seed.sessions, seed.timers, seed.snapshot.point), (2, 1, old.point));
        let (new, old_bytes) = (&seed.snapshot.core, old.core.len());
        assert_eq!(new.len(), old_bytes - 2 * LIFE_BYTES);
        assert_eq!(new[..52], old.core[..52]);
        let state = 56 + 2 * 48;
        assert_eq!(new[state..], old.core[state..old_bytes - 2 * LIFE_BYTES]);
        // What came of it comes of it again.
        assert_eq!(seed.snapshot.seed().unwrap(), seed);
    }

    #[test]
    fn what_is_cut_short_or_contradicts_itself_is_refused() {
        let whole = snapshot(&[line(2, 0, 0), line(4, 320, 1)]);
        for length in 0..whole.core.len() {
            let core = whole.core[..length].to_vec();
            let refused = Snapshot { core, ..whole.clone() }.seed();
            assert_eq!(refused, Err(SnapshotError::Truncated), "{length} bytes");
        }
        let mut longer = whole.clone();
        longer.core.push(0);
        assert_eq!(longer.seed(), Err(SnapshotError::Trailing));
        let mut elsewhere = whole;
        elsewhere.point.position = Position(648);
        assert!(matches!(elsewhere.seed(), Err(SnapshotError::Contradiction { .. })));
        for lines in [
            &[][..],
            &[line(2, 0, 0)],
            &[line(4, 320, 0), line(2, 0, 0)],
            &[line(2, 320, 0), line(4, 320, 0)],
            &[line(4, 640, 0)],
        ] {
            let refused = snapshot(lines).seed();
            assert!(matches!(refused, Err(SnapshotError::Contradiction { .. })), "{lines:?}");
        }
        // Counts that no bytes are behind take no memory.
        let mut huge = snapshot(&[line(4, 0, 0)]);
        huge.core[44..48].copy_from_slice(&[0xff; 4]);
        assert_eq!(huge.seed(), Err(SnapshotError::Truncated));
    }
}
