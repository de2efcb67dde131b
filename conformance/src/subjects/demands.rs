//! What the operator asked of a member through its handle, until it is answered.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::rc::Rc;

use quorate_core::{MemberId, Term};
use quorate_driver::{MemberHandle, TransferError};

use crate::subject::HandedOver;

type Outcome = Result<(MemberId, Term), TransferError>;

/// Transfers that were asked for. They hold the handle, which tells its member to stop only when
/// they are dropped, too.
#[derive(Default)]
pub(crate) struct Demands(Vec<(u64, Pending)>);

/// An answer that is still to come.
type Pending = Pin<Box<dyn Future<Output = Outcome>>>;

impl Demands {
    /// Asks the member of `handle` to hand over, under this number.
    pub(crate) fn transfer<S: 'static>(
        &mut self,
        handle: &Rc<MemberHandle<S>>,
        request: u64,
        target: Option<MemberId>,
    ) -> Option<HandedOver> {
        let handle = Rc::clone(handle);
        let mut future: Pin<Box<dyn Future<Output = Outcome>>> =
            Box::pin(async move { handle.transfer_leadership(target).await });
        // The first look lays the request down.
        match poll(&mut future) {
            Some(outcome) => Some(handed_over(request, outcome)),
            None => {
                self.0.push((request, future));
                None
            }
        }
    }

    /// Takes what was answered.
    pub(crate) fn answered(&mut self) -> Vec<HandedOver> {
        let mut answered = Vec::new();
        self.0.retain_mut(|(request, future)| match poll(future) {
            Some(outcome) => {
                answered.push(handed_over(*request, outcome));
                false
            }
            None => true,
        });
        answered
    }
}

fn poll(future: &mut Pin<Box<dyn Future<Output = Outcome>>>) -> Option<Outcome> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

fn handed_over(request: u64, outcome: Outcome) -> HandedOver {
    match outcome {
        Ok((leader, _)) => HandedOver { request, leader: Some(leader.0), refused: None },
        Err(TransferError::Refused(refusal)) => HandedOver::refused(request, refusal.name()),
        Err(_) => HandedOver::refused(request, "gone"),
    }
}
