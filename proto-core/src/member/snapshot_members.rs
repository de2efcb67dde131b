//! Who is a member, as a snapshot says: for tools, which know no limits of a configuration.

use crate::membership::Membership;
use crate::position::Position;
use crate::snapshot::{Fields, SnapshotError, read_line, read_point};

/// Bytes of a timer, and of a readmitted life.
const TIMER_BYTES: usize = 16;
const READMISSION_BYTES: usize = 24;

/// Who was a member where the snapshot stands whose core's part is `core`, and the end of the frame
/// that says so; `None` where the log had never said so: it is as the group was formed. All else is
/// passed over, and not checked.
///
/// # Errors
/// [`SnapshotError`]: the bytes are of no snapshot that this version knows.
pub fn members_of_snapshot(core: &[u8]) -> Result<Option<(Position, Membership)>, SnapshotError> {
    let mut fields = Fields(core);
    let (_, _, has_members) = read_point(&mut fields)?;
    if !has_members {
        return Ok(None);
    }
    let (lines, sessions) = (fields.u32()?, fields.u32()?);
    let (timers, readmissions) = (fields.u32()? as usize, fields.u32()? as usize);
    for _ in 0..lines {
        read_line(&mut fields)?;
    }
    for _ in 0..sessions {
        fields.take(24)?;
        for _ in 0..fields.u64()? {
            fields.take(8)?;
            let length = usize::try_from(fields.u64()?).unwrap_or(usize::MAX);
            fields.take(length)?;
        }
    }
    fields.take(timers.saturating_mul(TIMER_BYTES))?;
    fields.take(readmissions.saturating_mul(READMISSION_BYTES))?;
    let end = fields.position()?;
    let membership = Membership::take(&mut fields)?;
    if fields.0.is_empty() { Ok(Some((end, membership))) } else { Err(SnapshotError::Trailing) }
}
