//! Where a client is sent that is not served here.

use super::Member;
use super::connections::reply_connect;
use crate::action::Actions;
use crate::identity::{Endpoint, MemberId};
use crate::message::ConnectOutcome;

impl Member {
    /// Tells a client where to go.
    #[cold]
    #[inline(never)]
    pub(super) fn refer(&self, to: Endpoint, connection: u64, actions: &mut Actions) {
        let own = self.state.life.member;
        // One that was not heard for so long is most likely gone, and the client has come from
        // there.
        let leader = self.state.leader.filter(|leader| *leader != own && self.has_live_leader());
        let outcome = match leader.or_else(|| self.who_may_know(connection)) {
            Some(leader) => ConnectOutcome::Redirect {
                leader,
                term: self.state.term,
                endpoint: self.clients_of(leader),
            },
            // Not sooner than an election could be over.
            None if self.state.election.lacks_quorum => {
                ConnectOutcome::NoQuorum { nanos: self.config.timing.election_timeout_min.0 }
            }
            None => ConnectOutcome::RetryAfter { nanos: self.config.timing.heartbeat_interval.0 },
        };
        reply_connect(to, connection, outcome, actions);
    }

    /// A removed member never learns who leads. Clients that know nobody else are sent to those who
    /// voted when it last heard of them, to another one with each attempt: one of them knows.
    fn who_may_know(&self, connection: u64) -> Option<MemberId> {
        self.state.members.removed_at?;
        let own = self.state.life.member;
        let (records, membership) = (self.membership().records().iter(), self.membership());
        let mut others = records
            .map(|record| record.member)
            .filter(|id| *id != own && membership.is_voter(*id))
            .cycle();
        let count = membership.records().len() as u64;
        others.nth(connection.checked_rem(count)? as usize)
    }
}
