//! A member whose log has rotted ends its life, is mended by the others, and begins anew.

use quorate_core::{
    ChangeOutcome, ChangeRefusal, ReadRefusal, SnapshotRefusal, TransferOutcome, TransferRefusal,
};

use super::{DATAGRAMS_PER_TURN, MemberHost, Phase, REQUESTS_MAX};
use crate::member_handle::{Request, RunError};
use crate::member_loop::Stopped;
use crate::mender::Mender;
use crate::port::{Clock, DatagramPort, LogPort, StoragePort};
use crate::service::Service;
use crate::turn::Turn;

impl<S, P, L, Q, C> MemberHost<S, P, L, Q, C>
where
    S: Service + 'static,
    P: DatagramPort,
    L: LogPort,
    Q: StoragePort<L::Cut>,
    C: Clock,
{
    /// The life ends as one does that is stopped: a leader gives up its leadership, and says so.
    pub(super) fn withdraw(&mut self) -> Result<Turn, Stopped> {
        if let (None, Some(damage)) = (&self.renewal, self.member.damage()) {
            let (at, path) = (damage.at, damage.path.display().to_string());
            self.report.outcome = Some(Err(RunError::Damaged { at, path }));
        }
        self.begin_drain(self.renewal.is_some())?;
        Ok(Turn::Again)
    }

    /// Others mend the log of which the archive was not opened.
    pub(super) fn begin_mending(&mut self, mender: Box<Mender>) {
        self.member.begin_mending(&mender);
        self.mender = Some(mender);
        self.phase = Phase::Mending;
    }

    pub(super) fn mend(&mut self) -> Turn {
        let is_to_stop = self.answer_unborn();
        let Some(mender) = self.mender.as_mut().filter(|_| !is_to_stop) else {
            return self.give_up_mending(Ok(()));
        };
        let taken = match self.member.mend(&self.clock, mender, DATAGRAMS_PER_TURN) {
            Ok(taken) => taken,
            Err(error) => return self.give_up_mending(Err(error.into())),
        };
        if mender.hole().is_none() {
            let mended_bytes = mender.mended_bytes();
            // It holds the directory.
            self.mender = None;
            self.member.end_mending(mended_bytes);
            return self.begin_anew();
        }
        let until = Some(mender.deadline());
        if taken >= DATAGRAMS_PER_TURN {
            return Turn::Again;
        }
        Turn::Wait { until, worked: taken > 0 }
    }

    fn give_up_mending(&mut self, outcome: Result<(), RunError>) -> Turn {
        self.mender = None;
        self.report.outcome = Some(outcome);
        self.close()
    }

    /// Answers requests while no life goes on; returns whether the member is to stop.
    fn answer_unborn(&self) -> bool {
        for _ in 0..REQUESTS_MAX {
            match self.requests.try_recv() {
                Ok(Request::Look(look)) => look(self.member.service(), self.member.status()),
                Ok(Request::Transfer { answer, .. }) => {
                    // Nobody waits when the call was cancelled.
                    let refusal = TransferRefusal::NotLeading { leader: None };
                    let _ = answer.send(TransferOutcome::Refused(refusal));
                }
                Ok(Request::ChangeMembership { answer, .. }) => {
                    let refusal = ChangeRefusal::NotLeader { leader: None };
                    let _ = answer.send(ChangeOutcome::Refused(refusal));
                }
                Ok(Request::TakeSnapshot(answer)) => {
                    let _ = answer.send(Err(SnapshotRefusal::NotLeader { leader: None }));
                }
                Ok(Request::Read { answer, .. }) => {
                    let _ = answer.send(Err(ReadRefusal::Unconfirmed));
                }
                Err(error) if error.is_empty() => return false,
                Ok(Request::Shutdown | Request::CutShort | Request::Abandon) | Err(_) => {
                    return true;
                }
            }
        }
        false
    }
}
