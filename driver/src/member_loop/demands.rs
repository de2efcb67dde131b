//! What a host asks of its member, and is answered later: who leads, and who is a member.

use std::collections::VecDeque;

use quorate_core::{
    ChangeOutcome, Event, Instant, Member, MemberId, MembershipChange, Notice, Position,
    TransferOutcome,
};

use super::{MemberLoop, Stopped};
use crate::metrics::{MemberProgress, MembersStatus};
use crate::port::{DatagramPort, LogPort, StoragePort};
use crate::service::Service;

/// What came of what was asked for, until the host takes it: one outcome for each.
#[derive(Debug, Default)]
pub(super) struct Demanded {
    transferred: VecDeque<(u64, TransferOutcome)>,
    changed: VecDeque<(u64, ChangeOutcome)>,
    /// Since when this member is known to be none any more.
    removed_at: Option<Position>,
}

impl Demanded {
    /// Takes in what `notice` says of it.
    pub(super) fn note(&mut self, notice: &Notice, member: &Member) {
        match *notice {
            Notice::Transfer { request, outcome } => {
                self.transferred.push_back((request, outcome));
            }
            Notice::ChangeMembership { request, outcome } => {
                self.changed.push_back((request, outcome));
            }
            Notice::Removed { position } => self.removed_at = Some(position),
            // It was taken in again, as far as its log goes.
            Notice::Membership { .. } if member.is_voter() => self.removed_at = None,
            _ => {}
        }
    }

    /// Who is a member as `member` sees it.
    pub(super) fn members_of(&self, member: &Member) -> MembersStatus {
        let progress = member.progress().map(|it| MemberProgress {
            member: it.member,
            held: it.held,
            silent_for: it.silent_for,
            is_level: it.is_level,
        });
        MembersStatus {
            position: member.membership_position(),
            membership: member.membership().clone(),
            progress: progress.collect(),
            removed_at: self.removed_at,
        }
    }
}

impl<P: DatagramPort, L: LogPort, Q: StoragePort<L::Cut>, S: Service> MemberLoop<P, L, Q, S> {
    /// Another member is to lead: `target`, or whoever is most complete. What came of it is to be
    /// taken by [`MemberLoop::take_transferred`], under the number `request`.
    ///
    /// # Errors
    /// The member went inert.
    pub fn transfer(
        &mut self,
        now: Instant,
        request: u64,
        target: Option<MemberId>,
    ) -> Result<(), Stopped> {
        self.step(now, Event::Transfer { request, target })
    }

    /// The next outcome of a transfer that was asked for, with its number.
    pub fn take_transferred(&mut self) -> Option<(u64, TransferOutcome)> {
        self.demanded.transferred.pop_front()
    }

    /// The members are to be others. What came of it is to be taken by
    /// [`MemberLoop::take_changed`], under the number `request`.
    ///
    /// # Errors
    /// The member went inert.
    pub fn change_membership(
        &mut self,
        now: Instant,
        request: u64,
        change: MembershipChange,
    ) -> Result<(), Stopped> {
        self.step(now, Event::ChangeMembership { request, change })
    }

    /// The next outcome of a change that was asked for, with its number.
    pub fn take_changed(&mut self) -> Option<(u64, ChangeOutcome)> {
        self.demanded.changed.pop_front()
    }
}
