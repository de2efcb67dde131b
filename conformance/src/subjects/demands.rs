//! What the operator asked of a member through its handle, until it is answered.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::rc::Rc;

use quorate_core::{MemberId, MembershipChange, Position, Term};
use quorate_driver::{ChangeMembershipError, MemberHandle, TransferError};

use crate::subject::{Changed, HandedOver};

type Transferred = Result<(MemberId, Term), TransferError>;
type ChangedMembers = Result<Position, ChangeMembershipError>;

/// Transfers and changes that were asked for. They hold the handle, which tells its member to stop
/// only when they are dropped, too.
#[derive(Default)]
pub(crate) struct Demands {
    transfers: Vec<(u64, Pending<Transferred>)>,
    changes: Vec<(u64, Pending<ChangedMembers>)>,
}

/// An answer that is still to come.
type Pending<T> = Pin<Box<dyn Future<Output = T>>>;

impl Demands {
    /// Asks the member of `handle` to hand over, under this number.
    pub(crate) fn transfer<S: 'static>(
        &mut self,
        handle: &Rc<MemberHandle<S>>,
        request: u64,
        target: Option<MemberId>,
    ) -> Option<HandedOver> {
        let handle = Rc::clone(handle);
        let future = Box::pin(async move { handle.transfer_leadership(target).await });
        let outcome = begin(&mut self.transfers, request, future)?;
        Some(handed_over(request, outcome))
    }

    /// Asks the member of `handle` to change the members, under this number.
    pub(crate) fn change<S: 'static>(
        &mut self,
        handle: &Rc<MemberHandle<S>>,
        request: u64,
        change: MembershipChange,
    ) -> Option<Changed> {
        let handle = Rc::clone(handle);
        let future = Box::pin(async move { handle.change_membership(change).await });
        let outcome = begin(&mut self.changes, request, future)?;
        Some(changed(request, outcome))
    }

    /// Takes what was answered to transfers.
    pub(crate) fn answered(&mut self) -> Vec<HandedOver> {
        let answered = take_answered(&mut self.transfers).into_iter();
        answered.map(|(request, outcome)| handed_over(request, outcome)).collect()
    }

    /// Takes what was answered to changes.
    pub(crate) fn changed(&mut self) -> Vec<Changed> {
        let answered = take_answered(&mut self.changes).into_iter();
        answered.map(|(request, outcome)| changed(request, outcome)).collect()
    }
}

/// The first look at `future` lays the request down; the outcome, if it is known at once.
fn begin<T>(
    pending: &mut Vec<(u64, Pending<T>)>,
    request: u64,
    mut future: Pending<T>,
) -> Option<T> {
    let outcome = poll(&mut future);
    if outcome.is_none() {
        pending.push((request, future));
    }
    outcome
}

fn take_answered<T>(pending: &mut Vec<(u64, Pending<T>)>) -> Vec<(u64, T)> {
    let mut answered = Vec::new();
    pending.retain_mut(|(request, future)| match poll(future) {
        Some(outcome) => {
            answered.push((*request, outcome));
            false
        }
        None => true,
    });
    answered
}

fn poll<T>(future: &mut Pending<T>) -> Option<T> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

fn handed_over(request: u64, outcome: Transferred) -> HandedOver {
    match outcome {
        Ok((leader, _)) => HandedOver { request, leader: Some(leader.0), refused: None },
        Err(TransferError::Refused(refusal)) => HandedOver::refused(request, refusal.name()),
        Err(_) => HandedOver::refused(request, "gone"),
    }
}

fn changed(request: u64, outcome: ChangedMembers) -> Changed {
    let outcome = outcome.map_err(|error| match error {
        ChangeMembershipError::Refused(refusal) => refusal.name().to_owned(),
        ChangeMembershipError::Gone(_) => "gone".to_owned(),
    });
    Changed { request, outcome }
}
