//! L13: whether the disks show that the core could not have come to rest.

use quorate_core::Position;

use crate::disk::SimDisk;

/// Why nobody can blame the members for what was found in calm, if so; from the true state of the
/// disks of the core, of `members` in all, and from nothing that a member believes. All before
/// `chosen` was committed at some time.
pub(super) fn excuse<'a>(
    core: impl Iterator<Item = &'a SimDisk>,
    members: usize,
    chosen: Position,
) -> Option<&'static str> {
    let quorum = members / 2 + 1;
    let sound: Vec<&SimDisk> = core.filter(|disk| disk.is_sound()).collect();
    if sound.len() < quorum {
        return Some("fewer than a quorum of sound disks");
    }
    if sound.iter().filter(|disk| disk.is_of_a_full_member()).count() < quorum {
        return Some("fewer than a quorum of members that count");
    }
    // Reading from a disk needs whole frames up to the end of what was committed.
    if !sound.iter().any(|disk| disk.verifies_to() >= chosen.0) {
        return Some("no copy of all that was committed");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::GroupTag;

    fn disks() -> [SimDisk; 3] {
        core::array::from_fn(|_| SimDisk::new(GroupTag(1), 4_096))
    }

    #[test]
    fn a_quorum_of_sound_disks_is_no_excuse() {
        let disks = disks();
        assert_eq!(excuse(disks.iter(), 3, Position::ZERO), None);
        assert_eq!(excuse(disks[1..].iter(), 3, Position::ZERO), None);
    }

    #[test]
    fn too_few_disks_and_lost_bytes_are() {
        let mut disks = disks();
        let lost = excuse(disks.iter(), 3, Position(64));
        assert_eq!(lost, Some("no copy of all that was committed"));
        disks[0].wipe();
        assert_eq!(excuse(disks.iter(), 3, Position::ZERO), None);
        disks[1].wipe();
        let few = excuse(disks.iter(), 3, Position::ZERO);
        assert_eq!(few, Some("fewer than a quorum of sound disks"));
    }

    #[test]
    fn disks_that_were_made_anew_do_not_count() {
        let mut disks = disks();
        for disk in &mut disks[..2] {
            disk.wipe();
            disk.make_anew();
        }
        let few = excuse(disks.iter(), 3, Position::ZERO);
        assert_eq!(few, Some("fewer than a quorum of members that count"));
    }
}
