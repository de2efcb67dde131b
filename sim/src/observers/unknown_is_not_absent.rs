//! S37, as far as it goes without healing: nobody denies what it holds, nobody claims to have less
//! than it has acknowledged unless an adopted history took it away, and who came back with less
//! counts for nothing (E47; that one as an experiment, for disks of this world keep what is
//! durable).

use quorate_core::{
    Action, BootEpoch, Endpoint, Event, Incarnation, Incoming, Instant, MemberId, Message, Notice,
    Position, Role, Sender, Stream, Term, VoteKey,
};

use super::experiment::{feed, is_due, notes, steps_for};
use super::rising::ByMember;
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};
use crate::disk::Work;

pub(super) struct UnknownIsNotAbsent {
    /// What each member acknowledged and no durable history has taken away since.
    acknowledged: ByMember<Position>,
    /// What the life of a leader has heard of a follower.
    heard: ByMember<ByMember<Heard>>,
    /// What the leader hears next, and of whom: it has not taken it in yet.
    arriving: Option<(MemberId, MemberId, Heard)>,
    /// Once in so many steps of leaders.
    one_in: u64,
}

/// The newest acknowledgement of a follower's newest life.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    term: Term,
    incarnation: Incarnation,
    boot_epoch: u64,
    sequence: u64,
    durable: Position,
}

impl Default for UnknownIsNotAbsent {
    fn default() -> Self {
        Self {
            acknowledged: ByMember::default(),
            heard: ByMember::default(),
            arriving: None,
            one_in: 2_048,
        }
    }
}

impl UnknownIsNotAbsent {
    #[cfg(test)]
    pub(super) fn eager() -> Self {
        Self { one_in: 1, ..Self::default() }
    }

    fn hear(&mut self, scene: &Scene<'_>, sender: Sender, message: &Message) {
        let Sender::Member { member, incarnation, boot_epoch } = sender else { return };
        let (Message::Acknowledge { term, sequence, durable, .. }
        | Message::Holding { term, sequence, durable, .. }) = *message
        else {
            return;
        };
        let is_stranger = usize::from(member.0.wrapping_sub(1)) >= scene.rules.members;
        // What a leader did not count, it need not remember.
        let counts = scene.view.role == Role::Leader && scene.view.serving;
        if is_stranger || incarnation != scene.incarnation_of(member) || !counts {
            return;
        }
        let leader = scene.member;
        self.arrive();
        let heard = self.heard.entry(leader).entry(member);
        if (boot_epoch.0, sequence) > (heard.boot_epoch, heard.sequence) {
            let heard = Heard { term, incarnation, boot_epoch: boot_epoch.0, sequence, durable };
            self.arriving = Some((leader, member, heard));
        }
    }

    /// The leader has taken in what it heard before.
    fn arrive(&mut self) {
        if let Some((leader, member, heard)) = self.arriving.take() {
            *self.heard.entry(leader).entry(member) = heard;
        }
    }

    /// A follower comes back without a byte: the leader has to say that it does not count.
    fn examine(&self, scene: &Scene<'_>, local: Instant) -> Option<String> {
        let core = scene.core?;
        let fits = |heard: &Heard| {
            let lost = Position::ZERO < heard.durable && heard.durable <= scene.view.commit;
            heard.term == scene.view.term && lost
        };
        // A life of which the leader knows already would be a former one.
        let newest = |follower: MemberId| {
            let disk = scene.disks.iter().nth(usize::from(follower.0.wrapping_sub(1)));
            disk.map_or(0, crate::disk::SimDisk::boot_epoch)
        };
        let mut known = self.heard.get(scene.member)?.iter();
        // In a newer directory it would have to be readmitted first.
        let is_member = |id| core.membership().get(id).is_some();
        let is_same = |id: MemberId, heard: &Heard| {
            heard.incarnation == scene.incarnation_of(id) && is_member(id)
        };
        let (follower, heard) = known.find(|(id, heard)| fits(heard) && is_same(*id, heard))?;
        let sender = Sender::Member {
            member: follower,
            incarnation: scene.incarnation_of(follower),
            boot_epoch: BootEpoch(newest(follower).max(heard.boot_epoch) + 1),
        };
        let message = Message::Acknowledge {
            term: scene.view.term,
            sequence: 1,
            round: 0,
            durable: Position::ZERO,
            received: Position::ZERO,
            limit: Position::ZERO,
            commit: Position::ZERO,
        };
        // It says so with its position, or with its key.
        let canvass = Message::Canvass { term: Term(0), round: 1, key: VoteKey::default() };
        [message, canvass].into_iter().find_map(|message| {
            let content = Incoming::Control(message);
            let event = Event::Received { sender, source: Endpoint::default(), content };
            let mut member = core.clone();
            let actions = feed(&mut member, local, &event);
            let is_noticed = notes(&actions, Notice::PeerRegressed { member: follower });
            (!is_noticed).then(|| {
                let leader = scene.member;
                format!("leader {leader} counts {follower}, which lost {heard:?}: {actions:?}")
            })
        })
    }

    /// What is wrong with what a member says of its log.
    fn claims(&self, scene: &Scene<'_>, message: &Message) -> Option<String> {
        match message {
            Message::Unavailable { stream: Stream::Log, range: asked, .. } => {
                let owner = scene.history.owner(asked.range.start).map(|line| line.term.0);
                // A host that takes in many events in one turn is seen between turns only.
                let verified = scene.view.verified.min(scene.before.verified);
                let is_purged = asked.range.end <= scene.view.origin;
                let held = asked.range.start < verified && owner == Some(asked.epoch) && !is_purged;
                let end = scene.history.owner_end(asked.range.start);
                let ends = end.is_none_or(|end| asked.range.end.min(verified) <= end);
                (held && ends && !asked.range.is_empty())
                    .then(|| format!("denies {asked:?} and holds {verified}"))
            }
            Message::Canvass { key, .. }
            | Message::CanvassReply { key, .. }
            | Message::RequestSuccession { key, .. }
            | Message::RequestVote { key, .. } => {
                let known = self.acknowledged.get(scene.member).copied();
                let known = known.filter(|known| key.position < *known)?;
                Some(format!("claims {key:?} and has acknowledged {known}"))
            }
            _ => None,
        }
    }
}

impl Observer for UnknownIsNotAbsent {
    fn ids(&self) -> &'static [&'static str] {
        &["S37"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES
            .and(steps_for(self.one_in))
            .and(Kinds::RECEIVED_ACKNOWLEDGEMENT)
            .and(Kinds::SENDS_ELECTION)
            .and(Kinds::SENDS_ACKNOWLEDGEMENT)
            .and(Kinds::SENDS_OTHER)
            .and(Kinds::PERSISTS_HISTORY)
            .and(Kinds::DURABLE)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let member = scene.member;
        match *observed {
            Observed::Started => {
                self.arrive();
                *self.heard.entry(member) = ByMember::default();
                // What the disk does not give back is the disk's doing, and is told by others; that
                // it was there when it was acknowledged is for S12.
                let known = self.acknowledged.entry(member);
                *known = scene.view.verified.min(*known);
            }
            Observed::Received { sender, message } => self.hear(scene, sender, message),
            Observed::Acting(Action::Send {
                message: Message::Acknowledge { durable, .. } | Message::Holding { durable, .. },
                ..
            }) => {
                let known = self.acknowledged.entry(member);
                *known = (*durable).max(*known);
            }
            // A history that is on its way to the disk has cut the log in memory.
            Observed::Acting(Action::PersistHistory { cut, .. })
            | Observed::Durable(Work::History { cut, .. }) => {
                let known = self.acknowledged.entry(member);
                *known = (*cut).min(*known);
            }
            Observed::Acting(Action::Send { message, .. }) => {
                if let Some(problem) = self.claims(scene, message) {
                    violations.add("S37", format!("member {member} {problem}"));
                }
            }
            Observed::Stepping { local, .. }
                if scene.view.role == Role::Leader && is_due(scene, 37, self.one_in) =>
            {
                let problem = self.examine(scene, local);
                problem.into_iter().for_each(|text| violations.add("S37", text));
            }
            _ => {}
        }
    }
}
