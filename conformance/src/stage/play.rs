//! What a script does to a stage.

use quorate_codecs::{Header, encode_control};
use quorate_core::{Life, MemberId, Message, OperationId, Position, Sender};
use quorate_sim::{Damage, Dice, Place, SimDisk, Tally};

use super::run::Happening;
use super::story::Told;
use super::{ClientNumber, Effect, MILLI, Passing, Stage, TAG, named};
use crate::case::{Failure, Verdict};
use crate::edges::{Input, ServiceFault};
use crate::subject::HandedOver;

/// How long [`Stage::settle`] waits for a leader that all know, in election time-outs.
const SETTLE_TIMEOUTS: u64 = 12;

/// Sectors of a log that [`Stage::spoil`] makes unreadable: some may be the same.
const SPOILT: usize = 256;

/// Time.
impl Stage<'_> {
    /// Nanoseconds of virtual time since the beginning.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// The longest election time-out, in nanoseconds: `Te` of the catalogue.
    #[must_use]
    pub const fn election_timeout(&self) -> u64 {
        self.options.timing.election_timeout_max.0
    }

    /// The heartbeat interval, in nanoseconds: `Th` of the catalogue.
    #[must_use]
    pub const fn heartbeat(&self) -> u64 {
        self.options.timing.heartbeat_interval.0
    }

    /// The longest round trip without faults, in nanoseconds.
    #[must_use]
    pub const fn round_trip(&self) -> u64 {
        2 * self.options.latency.1
    }

    /// Lets `duration` nanoseconds pass.
    ///
    /// # Errors
    /// An observer saw a rule broken.
    pub fn run(&mut self, duration: u64) -> Verdict {
        let end = self.now + duration;
        self.run_until(end, |_| false)?;
        self.now = end;
        Ok(())
    }

    /// Lets time pass until `holds`, for `within` nanoseconds at most.
    ///
    /// # Errors
    /// It did not come about, or an observer saw a rule broken.
    pub fn until(&mut self, what: &str, within: u64, holds: impl Fn(&Self) -> bool) -> Verdict {
        let begun = self.now;
        if self.run_until(begun + within, &holds)? {
            return Ok(());
        }
        self.now = begun + within;
        let state = self.describe();
        self.broken(format!("not within {} ms: {what}. {state}", within / MILLI))
    }

    /// Lets `duration` nanoseconds pass, in which `holds` has to hold after every event.
    ///
    /// # Errors
    /// It did not hold, or an observer saw a rule broken.
    pub fn always(&mut self, what: &str, duration: u64, holds: impl Fn(&Self) -> bool) -> Verdict {
        let end = self.now + duration;
        if self.run_until(end, |stage| !holds(stage))? || !holds(self) {
            let state = self.describe();
            return self.broken(format!("it does not stay so: {what}. {state}"));
        }
        self.now = end;
        Ok(())
    }

    /// Fails with a text unless `holds`.
    ///
    /// # Errors
    /// It does not hold.
    pub fn check(&mut self, holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
        if holds { Ok(()) } else { self.broken(otherwise()) }
    }

    pub(super) fn broken(&mut self, text: String) -> Verdict {
        let rule = "case".into();
        self.tell(Told::Broken { rule, text: text.clone(), member: None, call: None });
        Err(Failure::broken(text))
    }

    /// Fails by the message of a client that fits nowhere: the story has it where it was answered,
    /// or submitted if it never was.
    pub(crate) fn fits_nowhere(
        &mut self,
        client: ClientNumber,
        sequence: u64,
        text: String,
    ) -> Verdict {
        let submitted = self.submitted(client).get(sequence as usize - 1).map(|(at, _)| *at);
        let answered = self.replies(client).iter().find(|reply| reply.sequence == sequence);
        let at = answered.map(|reply| reply.at).or(submitted).unwrap_or(self.now);
        let (rule, call) = ("case".into(), Some((format!("c{}", client.0), sequence)));
        let told = Told::Broken { rule, text: text.clone(), member: None, call };
        self.story.tell_of(at, told);
        Err(Failure::broken(text))
    }

    /// Puts a sentence into the story.
    pub fn say(&mut self, text: impl Into<String>) {
        self.tell(Told::Script { text: text.into() });
    }
}

/// Members.
impl Stage<'_> {
    /// Starts all members and lets them elect a leader that all know, with its opening frame
    /// committed everywhere. Returns the leader's number.
    ///
    /// # Errors
    /// There is none within twelve election time-outs.
    pub fn settle(&mut self) -> Result<u16, Failure> {
        for member in 1..=self.options.members as u16 {
            self.start(member)?;
        }
        let within = SETTLE_TIMEOUTS * self.election_timeout();
        self.until("one leader that all know and follow", within, Self::is_settled)?;
        Ok(self.leader().unwrap_or_default())
    }

    /// Starts a member, unless it runs.
    ///
    /// # Errors
    /// An observer saw a rule broken.
    pub fn start(&mut self, member: u16) -> Verdict {
        let index = self.index(member);
        if self.machines[index].node.is_some() {
            return Ok(());
        }
        self.say(format!("starts member {member}"));
        self.begin_life(index);
        self.found()
    }

    /// Kills a member; what the system has of its writes stays.
    pub fn kill(&mut self, member: u16) {
        self.say(format!("kills member {member}"));
        let index = self.index(member);
        self.end_life(index, false);
    }

    /// Takes the power from a member: of what was not synced, any part may be lost.
    pub fn power_off(&mut self, member: u16) {
        self.say(format!("takes the power from member {member}"));
        let index = self.index(member);
        self.end_life(index, true);
    }

    /// Asks a member to stop gracefully: it finishes what it has begun, and is down then.
    pub fn shut_down(&mut self, member: u16) {
        self.say(format!("asks member {member} to stop"));
        let index = self.index(member);
        self.push_input(index, Input::Shutdown);
    }

    /// Asks a member to hand its leadership over: to `target`, or to whoever is most complete.
    /// Returns the number of the request.
    pub fn transfer(&mut self, member: u16, target: Option<u16>) -> u64 {
        self.demanded += 1;
        let request = self.demanded;
        self.say(format!("asks member {member} to hand over to {target:?}: request {request}"));
        let index = self.index(member);
        self.push_input(index, Input::Transfer { request, target: target.map(MemberId) });
        request
    }

    /// What came of a request to hand over, once it is known.
    #[must_use]
    pub fn handed_over(&self, request: u64) -> Option<&HandedOver> {
        self.handed_over.iter().find(|handed_over| handed_over.request == request)
    }

    /// Stops a member's process for a while: nothing is taken in before [`Stage::resume`].
    pub fn pause(&mut self, member: u16) {
        self.say(format!("pauses member {member}"));
        let index = self.index(member);
        let machine = &mut self.machines[index];
        if let Some(node) = machine.node.as_mut().filter(|_| !machine.paused) {
            node.pause();
        }
        machine.paused = true;
    }

    /// Lets a paused member go on.
    pub fn resume(&mut self, member: u16) {
        self.say(format!("lets member {member} go on"));
        let index = self.index(member);
        let machine = &mut self.machines[index];
        if let Some(node) = machine.node.as_mut().filter(|_| machine.paused) {
            node.resume();
        }
        machine.paused = false;
        machine.takes_many = machine.backlog.len() > 1;
        for input in core::mem::take(&mut machine.backlog) {
            machine.edges.push(input);
        }
        machine.wake_at = None;
        self.queue.push(self.now, Happening::Look { node: index, life: self.machines[index].life });
    }

    /// Makes a member's clock this much fast, in millionths; negative is slow. Its clock may jump
    /// back by that; the member has to clamp it.
    pub fn set_clock_error(&mut self, member: u16, millionths: i64) {
        self.say(format!("makes the clock of member {member} {millionths} ppm fast"));
        let index = self.index(member);
        self.machines[index].clock_error = millionths;
    }
}

/// The network.
impl Stage<'_> {
    /// Cuts the direction from one member to another.
    pub fn cut(&mut self, from: u16, to: u16) {
        self.cut_place(Place::Member(MemberId(from)), Place::Member(MemberId(to)));
    }

    /// Heals the direction from one member to another.
    pub fn heal(&mut self, from: u16, to: u16) {
        let (from, to) = (Place::Member(MemberId(from)), Place::Member(MemberId(to)));
        self.say(format!("heals {} to {}", named(from), named(to)));
        self.wire.heal(from, to);
    }

    /// Cuts one direction between any two places.
    pub fn cut_place(&mut self, from: Place, to: Place) {
        self.say(format!("cuts {} to {}", named(from), named(to)));
        self.wire.cut(from, to);
    }

    /// Cuts both directions between each member of one side and each of the other.
    pub fn part(&mut self, one: &[u16], other: &[u16]) {
        for from in one {
            for to in other {
                self.cut(*from, *to);
                self.cut(*to, *from);
            }
        }
    }

    /// Cuts a member from all other members; clients still reach it.
    pub fn isolate(&mut self, member: u16) {
        let others: Vec<u16> = self.numbers().filter(|other| *other != member).collect();
        self.part(&[member], &others);
    }

    /// Heals all links, and takes away all rules.
    pub fn heal_all(&mut self) {
        self.say("heals all links");
        self.wire.heal_all();
    }

    /// From now on, `effect` is done to each datagram that `filter` wants; earlier rules first.
    /// Returns the rule's number.
    pub fn rule(
        &mut self,
        what: &str,
        effect: Effect,
        filter: impl FnMut(&Passing<'_>) -> bool + 'static,
    ) -> u32 {
        let as_said = effect == Effect::Lose && what.contains("lost");
        let how = if as_said { String::new() } else { format!(" (each is {effect})") };
        self.say(format!("from now on: {what}{how}"));
        let number = self.wire.add(effect, Box::new(filter));
        self.rule_names.insert(number, what.to_owned());
        number
    }

    /// Ends a rule; returns how many datagrams it matched.
    pub fn remove_rule(&mut self, number: u32) -> u64 {
        let matched = self.wire.remove(number);
        let what = self.rule_names.remove(&number).unwrap_or_default();
        let so_many = match matched {
            0 => "no datagram was like that".to_owned(),
            1 => "1 datagram was like that".to_owned(),
            more => format!("{more} datagrams were like that"),
        };
        self.say(format!("no longer: {what} ({so_many})"));
        matched
    }

    /// Puts any bytes on the way to a member, as if `from` had sent them.
    pub fn inject(&mut self, from: Place, to: u16, bytes: Vec<u8>) {
        let to = Place::Member(MemberId(to));
        self.queue.push(self.now, Happening::Arrive { from, to, bytes });
    }

    /// Puts a message on the way from one member to another, as if its life that runs had said it.
    pub fn inject_message(&mut self, from: u16, to: u16, message: &Message) {
        let Life { member, incarnation, boot_epoch } = self.view(from).life;
        let sender = Sender::Member { member, incarnation, boot_epoch };
        let mut bytes = vec![0; quorate_codecs::DATAGRAM_BYTES_MAX];
        let length = encode_control(&Header { tag: TAG, sender }, message, &mut bytes);
        bytes.truncate(length.unwrap_or_default());
        self.inject(Self::place_of(from), to, bytes);
    }
}

/// Disks and services.
impl Stage<'_> {
    /// From now on operations of this kind (`sync`, `vote`, `history`, `peers`, `read`) do not
    /// complete on a member's disk.
    pub fn hold(&mut self, member: u16, kind: &'static str) {
        self.say(format!("holds each {kind} of member {member}"));
        let index = self.index(member);
        self.machines[index].holding.push(kind);
    }

    /// Lets the held operations of this kind complete, and later ones too.
    pub fn release(&mut self, member: u16, kind: &'static str) {
        self.say(format!("lets each {kind} of member {member} complete"));
        let index = self.index(member);
        let machine = &mut self.machines[index];
        machine.holding.retain(|held| *held != kind);
        let life = machine.life;
        for operation in machine.held.remove(kind).unwrap_or_default() {
            self.queue.push(self.now, Happening::DiskDone { node: index, life, operation });
        }
    }

    /// The operations of this kind that are held at a member.
    #[must_use]
    pub fn held(&self, member: u16, kind: &'static str) -> &[OperationId] {
        self.machines[self.index(member)].held.get(kind).map_or(&[], Vec::as_slice)
    }

    /// A member's disk takes no further appends for want of space, or takes them again.
    pub fn set_full(&mut self, member: u16, full: bool) {
        let state = if full { "full" } else { "free again" };
        self.say(format!("the disk of member {member} is {state}"));
        self.machines[self.index(member)].edges.set_full(full);
    }

    /// A member's storage fails for good, with this reason.
    pub fn break_storage(&mut self, member: u16, reason: &str) {
        self.say(format!("the storage of member {member} fails: {reason}"));
        let index = self.index(member);
        self.machines[index].edges.break_storage(reason);
        self.queue.push(self.now, Happening::Look { node: index, life: self.machines[index].life });
    }

    /// A member's service misbehaves at its next message.
    pub fn break_service(&mut self, member: u16, fault: ServiceFault) {
        self.say(format!("the service of member {member} is about to misbehave: {fault:?}"));
        self.machines[self.index(member)].edges.break_service(fault);
    }

    /// A member's service comes to a state that is not in the log.
    pub fn deviate(&mut self, member: u16) {
        self.say(format!("the service of member {member} comes to another state than the others'"));
        self.machines[self.index(member)].edges.deviate(u64::from(member));
    }

    /// Sectors of a member's log do not read any more: many of them, from `from` on.
    pub fn spoil(&mut self, member: u16, from: Position) {
        self.say(format!("sectors of the log of member {member} do not read any more"));
        let mut dice = Dice::new(self.seed, "sectors");
        self.machines[self.index(member)].edges.damage_disk(|disk| {
            for _ in 0..SPOILT {
                disk.damage(Damage::LatentError, from, &mut dice, &mut Tally::default());
            }
        });
    }

    /// Looks at a member's disk.
    pub fn disk<T>(&self, member: u16, look: impl FnOnce(&SimDisk) -> T) -> T {
        self.machines[self.index(member)].edges.with_disk(look)
    }

    /// Changes a member's disk behind its back.
    pub fn damage<T>(&mut self, member: u16, damage: impl FnOnce(&mut SimDisk) -> T) -> T {
        self.say(format!("changes the disk of member {member} behind its back"));
        self.machines[self.index(member)].edges.damage_disk(damage)
    }
}
