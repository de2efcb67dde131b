//! Hosts a service: calls it for each committed frame and collects what it wants.

use core::any::Any;
use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use quorate_core::{Apply, Delivery, Outputs, Position, SessionId};

use crate::frozen::Frozen;
use crate::service::{Context, QueryError, Service, ServiceError};

/// Applies committed frames to a service, inline on the loop's thread. Errors and panics of the
/// service are caught; afterwards it is not called any more.
#[derive(Debug)]
pub struct ServiceHost<S> {
    service: S,
    outputs: Outputs,
    reply: Vec<u8>,
    through: Option<Position>,
    failed: bool,
}

impl<S: Service> ServiceHost<S> {
    /// Hosts `service`, in the state in which it is at the beginning of the log.
    #[must_use]
    pub const fn new(service: S) -> Self {
        Self { service, outputs: Outputs::new(), reply: Vec::new(), through: None, failed: false }
    }

    /// The service, to look at.
    #[must_use]
    pub const fn service(&self) -> &S {
        &self.service
    }

    /// The end of what was applied since the last [`ServiceHost::reported`], if anything was, and
    /// what the service wants.
    #[must_use]
    pub const fn unreported(&self) -> Option<(Position, &Outputs)> {
        match self.through {
            Some(through) => Some((through, &self.outputs)),
            None => None,
        }
    }

    /// What was applied has been reported to the core; begins a new batch.
    pub fn reported(&mut self) {
        self.through = None;
        self.outputs.clear();
    }

    /// Hands over one committed frame; `payload` is that of a message, else empty.
    ///
    /// # Errors
    /// The service's own error, or its panic as one. Nothing more is applied from then on.
    pub fn apply(&mut self, apply: &Apply, payload: &[u8]) -> Result<(), ServiceError> {
        if self.failed {
            return Err(ServiceError("the service has failed before".into()));
        }
        // The state may be half-changed after a panic; it is never used again.
        let called = catch_unwind(AssertUnwindSafe(|| self.call(apply, payload)));
        let result = called.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
        match &result {
            Ok(()) => self.through = Some(apply.end),
            Err(_) => self.failed = true,
        }
        result
    }

    /// The service's answer to a read.
    ///
    /// # Errors
    /// Why it has none. It was only looked at, and goes on.
    pub fn query(&self, request: &[u8]) -> Result<Vec<u8>, QueryError> {
        if self.failed {
            return Err(QueryError::Failed("the service has failed before".into()));
        }
        let mut reply = Vec::new();
        let called = catch_unwind(AssertUnwindSafe(|| self.service.query(request, &mut reply)));
        let failed = |panic: Box<dyn Any + Send>| {
            Err(QueryError::Failed(panicked(panic.as_ref()).to_string()))
        };
        called.unwrap_or_else(failed).map(|()| reply)
    }

    /// The service's state as it is now, to be written while the service goes on.
    ///
    /// # Errors
    /// The service panicked over it. It was only looked at, and goes on.
    pub fn snapshot(&self) -> Result<Frozen, ServiceError> {
        snapshot_of(&self.service)
    }

    /// Begins another life of the member: the service has the state of a snapshot, whatever it had
    /// before.
    ///
    /// # Errors
    /// The service's own error, or its panic as one. Nothing is applied from then on.
    pub(crate) fn restore(&mut self, state: &[u8]) -> Result<(), ServiceError> {
        self.reported();
        let called = catch_unwind(AssertUnwindSafe(|| self.service.restore(state)));
        let result = called.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
        self.failed = result.is_err();
        result
    }

    fn call(&mut self, apply: &Apply, payload: &[u8]) -> Result<(), ServiceError> {
        let session = match apply.delivery {
            Delivery::SessionOpened { session, .. }
            | Delivery::SessionClosed { session, .. }
            | Delivery::Message { session, .. } => session,
            Delivery::Timer { .. } => SessionId::NONE,
        };
        let sequence = match apply.delivery {
            Delivery::Message { sequence, .. } => sequence,
            _ => 0,
        };
        let Apply { position, time, .. } = *apply;
        let outputs = &mut self.outputs;
        let mut context = Context { position, time, session, sequence, outputs };
        match apply.delivery {
            Delivery::SessionOpened { client, .. } => {
                self.service.session_opened(&mut context, client)
            }
            Delivery::SessionClosed { reason, .. } => {
                self.service.session_closed(&mut context, reason)
            }
            Delivery::Message { sequence, .. } => {
                self.reply.clear();
                self.service.message(&mut context, payload, &mut self.reply)?;
                self.outputs.reply(session, sequence, &self.reply);
                Ok(())
            }
            Delivery::Timer { timer } => self.service.timer(&mut context, timer),
        }
    }
}

/// The state of `service`.
///
/// # Errors
/// It panicked over it. It was only looked at, and goes on.
pub(crate) fn snapshot_of(service: &impl Service) -> Result<Frozen, ServiceError> {
    let frozen = catch_unwind(AssertUnwindSafe(|| service.snapshot()));
    frozen.map_err(|panic| panicked(panic.as_ref()))
}

/// A panic of a service, as an error.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> ServiceError {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    let text = text.unwrap_or_else(|| "without a message".into());
    ServiceError(format!("the service panicked: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::{Duration, LogTime, PositionRange, Source};

    /// Keeps what it was sent; fails on `error`, panics on `panic`.
    #[derive(Default)]
    struct Keeper(Vec<u8>);

    impl Service for Keeper {
        fn message(
            &mut self,
            context: &mut Context<'_>,
            payload: &[u8],
            reply: &mut Vec<u8>,
        ) -> Result<(), ServiceError> {
            match payload {
                b"error" => return Err(ServiceError("a deliberate error".into())),
                b"panic" => panic!("a deliberate panic"),
                _ => self.0.extend_from_slice(payload),
            }
            reply.extend_from_slice(&context.position().0.to_le_bytes());
            context.schedule_timer(1, Duration(5));
            Ok(())
        }

        fn snapshot(&self) -> Frozen {
            Frozen::laid_out(self.0.clone())
        }

        fn restore(&mut self, bytes: &[u8]) -> Result<(), ServiceError> {
            self.0 = bytes.to_vec();
            Ok(())
        }
    }

    fn message(at: u64) -> Apply {
        let payload = PositionRange::default();
        Apply {
            position: Position(at),
            end: Position(at + 64),
            time: LogTime(100),
            delivery: Delivery::Message {
                session: SessionId(8),
                sequence: at / 64,
                payload,
                source: Source::Member,
            },
        }
    }

    #[test]
    fn a_batch_reaches_to_the_end_of_its_last_frame() {
        let mut host = ServiceHost::new(Keeper::default());
        assert!(host.unreported().is_none());
        host.apply(&message(64), b"one").unwrap();
        host.apply(&message(128), b"two").unwrap();
        let timer = Apply { delivery: Delivery::Timer { timer: 1 }, ..message(192) };
        host.apply(&timer, b"").unwrap();
        assert_eq!(host.unreported().unwrap().0, Position(256));
        assert_eq!(host.service().0, b"onetwo");
        host.reported();
        assert!(host.unreported().is_none());
    }

    #[test]
    fn an_error_ends_the_calls_and_is_not_reported_as_applied() {
        let mut host = ServiceHost::new(Keeper::default());
        host.apply(&message(64), b"one").unwrap();
        let error = host.apply(&message(128), b"error").unwrap_err();
        assert_eq!(error.to_string(), "a deliberate error");
        assert!(host.apply(&message(192), b"three").is_err());
        assert_eq!(host.unreported().unwrap().0, Position(128));
        assert_eq!(host.service().0, b"one");
    }

    #[test]
    fn a_panic_is_an_error() {
        let mut host = ServiceHost::new(Keeper::default());
        let error = host.apply(&message(64), b"panic").unwrap_err();
        assert_eq!(error.to_string(), "the service panicked: a deliberate panic");
    }

    #[test]
    fn the_digest_is_that_of_the_snapshot() {
        let (mut one, mut two) = (Keeper(b"state".to_vec()), Keeper::default());
        assert_ne!(one.digest(), two.digest());
        two.restore(b"state").unwrap();
        assert_eq!(one.digest(), two.digest());
        one.0.push(0);
        assert_ne!(one.digest(), two.digest());
    }
}
