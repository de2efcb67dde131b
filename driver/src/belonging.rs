//! Whose a directory is, and to which group it belongs: one that it was there to form, or one that
//! it came to later.

use quorate_archive::{Identity, describe};
use quorate_core::{Incarnation, MemberConfig, MemberId, RecoveryEpoch};

use crate::archive_ports::{OpenError, RejoinError, init_as, options_of};
use crate::configuration::Configuration;

/// Makes a directory for the configured member, which comes to a group that others have formed: it
/// only receives until the group makes it a member (E65). A number that was a member's before needs
/// a higher `incarnation` than that one had, and `epoch` is the recovery epoch that the others are
/// in; [`Incarnation::FIRST`] and 0 if neither was ever the case.
///
/// # Errors
/// [`RejoinError::Nobody`] or [`RejoinError::Archive`].
pub fn join_archive(
    configuration: &Configuration,
    incarnation: Incarnation,
    epoch: RecoveryEpoch,
) -> Result<(), RejoinError> {
    if configuration.members.len() < 2 {
        return Err(RejoinError::Nobody);
    }
    Ok(init_as(configuration, Vec::new(), incarnation, epoch)?)
}

/// All members of the configuration.
pub(crate) fn listed(configuration: &Configuration) -> Vec<MemberId> {
    configuration.members.keys().copied().collect()
}

/// Whose the directory is has to be as configured; and who formed the group as well, as long as
/// nothing in the directory says that its members have changed since.
pub(crate) fn check(identity: &Identity, configuration: &Configuration) -> Result<(), OpenError> {
    check_owner(identity, configuration)?;
    let is_as_formed = identity.voters.iter().eq(configuration.members.keys());
    if is_as_formed || identity.joins() || has_changed(configuration) {
        return Ok(());
    }
    Err(OpenError::OtherMembers {
        directory: configuration.data.display().to_string(),
        formed: identity.voters.iter().map(|id| id.0).collect(),
        configured: configuration.members.keys().map(|id| id.0).collect(),
    })
}

/// Whether the log, or a snapshot, says who is a member: that takes reading all of it.
#[cold]
fn has_changed(configuration: &Configuration) -> bool {
    let found = describe(&configuration.data, &options_of(configuration));
    found.is_ok_and(|found| found.membership.is_some())
}

pub(crate) fn check_owner(
    identity: &Identity,
    configuration: &Configuration,
) -> Result<(), OpenError> {
    let directory = configuration.data.display().to_string();
    if (identity.group, identity.member) != (configuration.group, configuration.member) {
        return Err(OpenError::Foreign {
            directory,
            member: identity.member,
            group: identity.group,
            expected_member: configuration.member,
            expected_group: configuration.group,
        });
    }
    Ok(())
}

/// What the core is told of the member that owns a directory, with a seed for this life. Who formed
/// the group is what the directory says: where the file lists others by now, who is a member is
/// said by the log, and a cut of that must not bring back what never was.
pub(crate) fn member_config(
    identity: &Identity,
    configuration: &Configuration,
    seed: u64,
) -> MemberConfig {
    let mut config = configuration.member_config(seed);
    config.recovery_epoch = identity.recovery_epoch;
    config.joins = identity.joins();
    if !config.joins {
        let known = |id: &MemberId| config.voters.get(id).copied().unwrap_or_default();
        config.voters = identity.voters.iter().map(|id| (*id, known(id))).collect();
    }
    config
}
