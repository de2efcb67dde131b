//! What a loop does with its service.

use quorate_core::{
    Apply, Delivery, Event, FailStop, Instant, Query, ReadLevel, ReadOutcome, ReadRefusal, Stream,
};

use super::{MemberLoop, Stopped, bytes_of};
use crate::port::{DatagramPort, LogPort, StoragePort};
use crate::service::{QueryError, Service};

impl<P: DatagramPort, L: LogPort, Q: StoragePort<L::Cut>, S: Service> MemberLoop<P, L, Q, S> {
    /// The host reads. What comes of it is to be taken by [`MemberLoop::take_answered`], under the
    /// number `token`.
    ///
    /// # Errors
    /// The member went inert: nothing comes of it.
    pub fn read(
        &mut self,
        now: Instant,
        token: u64,
        level: ReadLevel,
        payload: &[u8],
    ) -> Result<(), Stopped> {
        self.step(now, Event::Read { token, level, payload })
    }

    /// The next outcome of a read of the host, with its number.
    pub fn take_answered(&mut self) -> Option<(u64, ReadOutcome)> {
        self.answered.pop_front()
    }

    /// The service answers now, before anything more is applied; the member is told next.
    pub(super) fn serve_read(&mut self, query: &Query) {
        let answer = self.host.query(&query.payload).map_err(|error| match error {
            QueryError::Unsupported => ReadRefusal::Unsupported,
            QueryError::Failed(reason) => {
                let member = self.member.config().member.0;
                tracing::warn!(member, reason, "the service failed over a read");
                ReadRefusal::Failed
            }
        });
        self.served.push_back((query.number, answer));
    }

    pub(super) fn apply(&mut self, apply: &Apply, read: Option<&[u8]>) {
        if self.broken.is_some() {
            // The service stops where it broke: nothing is applied behind a gap.
            return;
        }
        let mut payload: &[u8] = &[];
        if let Delivery::Message { payload: range, source, .. } = apply.delivery {
            let (first, second) = bytes_of(&self.member, Stream::Log, range, source, read);
            payload = first;
            if !second.is_empty() {
                self.payload.clear();
                self.payload.extend_from_slice(first);
                self.payload.extend_from_slice(second);
                payload = &self.payload;
            }
            if payload.len() as u64 != range.len() {
                let (found, wanted, position) = (payload.len(), range.len(), apply.position);
                let detail =
                    format!("the log has {found} of {wanted} bytes to apply at {position}");
                self.broken = Some((FailStop::StorageFailed, detail));
                return;
            }
        }
        if let Err(error) = self.host.apply(apply, payload) {
            let detail = format!("at position {}: {error}", apply.position);
            self.broken.get_or_insert((FailStop::ServiceFailed, detail));
        }
    }
}
