//! What a script does to one machine's socket and disk, call by call.

use std::io::ErrorKind;

use quorate_core::{OperationId, Recovered};
use quorate_driver::Completion;

use super::run::Happening;
use super::{Passing, Stage};
use crate::case::Verdict;
use crate::edges::Input;

impl Stage<'_> {
    /// A member's socket takes no datagrams, as one whose buffer is full, or takes them again.
    pub fn set_unwilling(&mut self, member: u16, unwilling: bool) {
        let state = if unwilling { "takes nothing" } else { "takes datagrams again" };
        self.say(format!("the socket of member {member} {state}"));
        self.machines[self.index(member)].edges.set_unwilling(unwilling);
    }

    /// The next calls of a member's socket fail like this, each once. Only a member that uses the
    /// suite's socket notices: see [`Feature::Sockets`](crate::Feature::Sockets).
    pub fn fail_socket(&mut self, member: u16, errors: &[ErrorKind]) {
        self.say(format!("the socket of member {member} is about to fail: {errors:?}"));
        self.machines[self.index(member)].edges.fail_socket(errors);
    }

    /// From now on a member's socket hands over datagrams of one source and size together.
    pub fn coalesce(&mut self, member: u16) {
        self.say(format!("the socket of member {member} coalesces datagrams"));
        self.machines[self.index(member)].edges.coalesce();
    }

    /// As [`Stage::release`], but what was asked for last completes first.
    pub fn release_backwards(&mut self, member: u16, kind: &'static str) {
        self.say(format!("lets each {kind} of member {member} complete, the last first"));
        let index = self.index(member);
        let machine = &mut self.machines[index];
        machine.holding.retain(|held| *held != kind);
        let life = machine.life;
        for operation in machine.held.remove(kind).unwrap_or_default().into_iter().rev() {
            self.queue.push(self.now, Happening::DiskDone { node: index, life, operation });
        }
    }

    /// The snapshots that are held at a member cannot be stored, for this reason; later ones can.
    /// How many they were.
    pub fn refuse_snapshots(&mut self, member: u16, reason: &str) -> usize {
        self.say(format!("the disk of member {member} stores no snapshot: {reason}"));
        let index = self.index(member);
        let machine = &mut self.machines[index];
        machine.holding.retain(|held| *held != "snapshot");
        let held = machine.held.remove("snapshot").unwrap_or_default();
        let refused =
            held.iter().filter(|operation| machine.edges.refuse_snapshot(**operation, reason));
        let refused = refused.count();
        self.queue.push(self.now, Happening::Look { node: index, life: self.machines[index].life });
        refused
    }

    /// A member's disk reports that this operation is complete, whether it was asked for or not.
    ///
    /// # Errors
    /// An observer saw a rule broken.
    pub fn complete_falsely(&mut self, member: u16, operation: OperationId) -> Verdict {
        let OperationId { boot_epoch, sequence } = operation;
        let number = format!("{sequence} of life {}", boot_epoch.0);
        self.say(format!("the disk of member {member} reports operation {number} as done"));
        let index = self.index(member);
        self.push_input(index, Input::Storage(Completion::Durable { operation }));
        self.found()
    }

    /// Starts a member; `change` meddles with what its archive has found.
    ///
    /// # Errors
    /// An observer saw a rule broken.
    pub fn start_with(
        &mut self,
        member: u16,
        what: &str,
        change: impl FnOnce(&mut Recovered),
    ) -> Verdict {
        self.say(format!("starts member {member}, with {what}"));
        let index = self.index(member);
        self.begin_life_with(index, change);
        self.found()
    }

    /// What a member asked of its disk so far, over all its lives, in that order.
    #[must_use]
    pub fn asked(&self, member: u16) -> &[(OperationId, &'static str)] {
        &self.machines[self.index(member)].asked
    }

    /// Shows each datagram that is sent from now on to `listen`, in that order, until
    /// [`Stage::heal_all`]; those on links that are cut excepted.
    pub fn listen(&mut self, mut listen: impl FnMut(&Passing<'_>) + 'static) {
        let only_listen = move |passing: &Passing<'_>| {
            listen(passing);
            false
        };
        self.wire.add(super::Effect::Pass, Box::new(only_listen));
    }

    /// From now on a member sends so many bytes a second, one datagram behind the other; what waits
    /// is never dropped. [`Stage::heal_all`] does not change that.
    pub fn limit_uplinks(&mut self, bytes_per_second: u64) {
        self.say(format!("each member sends {bytes_per_second} bytes a second"));
        self.wire.limit_uplinks(bytes_per_second);
    }

    /// From now on senders put on the wire what `translate` makes of each datagram, before anything
    /// happens to it there: as a writer of another version would, or with others beside it. No rule
    /// and no [`Stage::heal_all`] changes that.
    pub fn translate(
        &mut self,
        what: &str,
        translate: impl FnMut(&Passing<'_>) -> Vec<Vec<u8>> + 'static,
    ) {
        self.say(format!("from now on: {what}"));
        self.translation = Some(Box::new(translate));
    }
}
