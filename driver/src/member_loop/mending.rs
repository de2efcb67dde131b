//! What has rotted on the member's disk: noticed while it runs, and mended between two lives.

use std::time::SystemTime;

use quorate_archive::{Damage, Scrubbed};
use quorate_codecs::Header;
use quorate_core::{Destination, Sender as Origin, Stream};

use super::{MemberLoop, RECEIVE_ERRORS_MAX};
use crate::mender::{MendError, Mender, Outgoing};
use crate::port::{Clock, DatagramPort, LogPort, StoragePort};
use crate::sender::Run;
use crate::service::Service;

impl<P: DatagramPort, L: LogPort, Q: StoragePort<L::Cut>, S: Service> MemberLoop<P, L, Q, S> {
    /// The damage of the log that was found while this life went on. It must not go on: the member
    /// has promised others bytes that it has not got any more.
    #[must_use]
    pub const fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// A part of what is stored was read again.
    pub(super) fn scrubbed(&mut self, scrubbed: Scrubbed) {
        let Scrubbed { bytes, damage, pass_ended } = scrubbed;
        // What is committed is never cut, and what is durable is there: so far it may go on.
        let view = self.member.view();
        self.storage.set_settled(view.commit.min(view.durable));
        self.scrub.bytes += bytes;
        if pass_ended {
            self.scrub.passes += 1;
            self.scrub.last_pass = Some(SystemTime::now());
        }
        let Some(damage) = damage else { return };
        let (member, reason) = (self.member.config().member.0, &damage.reason);
        let (path, offset, at) = (damage.path.display(), damage.offset, damage.at.0);
        if damage.is_log {
            self.scrub.log_damages += 1;
            tracing::error!(
                member, %path, offset, at, reason,
                "the log has rotted; the member takes part in nothing until others have mended it"
            );
            self.damage.get_or_insert(damage);
        } else {
            self.scrub.snapshot_damages += 1;
            tracing::error!(
                member, %path, offset, at, reason,
                "a snapshot has rotted; a start passes it over: take another one"
            );
        }
    }

    /// No life counts from now on, and the log is mended: `mender` speaks to the others.
    pub(crate) fn begin_mending(&mut self, mender: &Mender) {
        let life = mender.life();
        let (tag, member) = (self.member.config().tag(), life.member);
        let (incarnation, boot_epoch) = (life.incarnation, life.boot_epoch);
        let sender = Origin::Member { member, incarnation, boot_epoch };
        self.sender.begin(Header { tag, sender });
        self.scrub.mending_at = mender.hole().map(|hole| hole.at);
        if let Some(hole) = mender.hole() {
            let (path, at) = (hole.path.display(), hole.at.0);
            tracing::warn!(member = member.0, %path, at, "the log is mended by the others");
        }
    }

    /// The log is whole again.
    pub(crate) fn end_mending(&mut self, mended_bytes: u64) {
        self.scrub.mending_at = None;
        self.scrub.mendings += 1;
        self.scrub.mended_bytes += mended_bytes;
        let member = self.member.config().member.0;
        tracing::info!(member, mended_bytes, "the log is whole again");
    }

    /// Lets `mender` do what it can, with up to `budget` datagrams; returns how many there were.
    ///
    /// # Errors
    /// It cannot go on.
    pub(crate) fn mend(
        &mut self,
        clock: &impl Clock,
        mender: &mut Mender,
        budget: usize,
    ) -> Result<usize, MendError> {
        let mut buffer = core::mem::take(&mut self.buffer);
        let (mut taken, mut errors) = (0, 0);
        let mut outcome = Ok(());
        while taken < budget && errors < RECEIVE_ERRORS_MAX && outcome.is_ok() {
            match self.datagrams.receive(&mut buffer) {
                Ok(Some(received)) => {
                    let mut datagrams = received.datagrams(&buffer);
                    taken += datagrams.len().max(1);
                    outcome =
                        datagrams.try_for_each(|datagram| self.mend_with(clock, mender, datagram));
                }
                Ok(None) => break,
                Err(_) => errors += 1,
            }
        }
        self.buffer = buffer;
        outcome?;
        mender.timer(clock.now());
        self.send_for(mender);
        self.scrub.mending_at = mender.hole().map(|hole| hole.at);
        mender.check().map(|()| taken)
    }

    fn mend_with(
        &mut self,
        clock: &impl Clock,
        mender: &mut Mender,
        datagram: &[u8],
    ) -> Result<(), MendError> {
        let config = self.member.config();
        let Some((Origin::Member { member, .. }, content)) =
            self.sender.counters.decoded(datagram, (config.group, config.recovery_epoch))
        else {
            return Ok(());
        };
        mender.received(clock.now(), member, &content)?;
        self.send_for(mender);
        Ok(())
    }

    /// Sends what `mender` has to say.
    fn send_for(&mut self, mender: &mut Mender) {
        while let Some(outgoing) = mender.take_outgoing() {
            match outgoing {
                Outgoing::Control(to, message) => {
                    let Some(to) = self.endpoint(Destination::Member(to)) else { continue };
                    self.sender.control(&mut self.datagrams, to, &message);
                }
                Outgoing::Data(to, term, range, bytes) => {
                    let Some(to) = self.endpoint(Destination::Member(to)) else { continue };
                    let (stream, epoch, live) = (Stream::Log, term.0, None);
                    let run = Run { to, stream, epoch, range, live };
                    self.sender.data(&mut self.datagrams, &run, (&bytes, &[]));
                }
            }
        }
    }
}
