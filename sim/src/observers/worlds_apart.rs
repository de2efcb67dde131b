//! S33: what a stranger, another incarnation, or a former life says has no effect (E93). An
//! experiment: a datagram that was received in earnest comes from such a sender instead, and must
//! do no more than an event that says nothing. (Datagrams of another group or recovery epoch never
//! reach the core: their tag is not ours.)

use quorate_core::{
    BootEpoch, Event, Incarnation, Incoming, Instant, Member, MemberId, Message, Sender,
};

use super::experiment::{feed, is_due, is_small, nothing};
use super::rising::ByMember;
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

pub(super) struct WorldsApart {
    /// The newest life of each member that a member has heard of in its own life.
    heard: ByMember<ByMember<u64>>,
    /// Once in so many datagrams of members.
    one_in: u64,
}

/// A member that no group has.
const STRANGER: MemberId = MemberId(60_000);

/// Whether a member that says this promises something.
const fn promises(content: &Incoming<'_>) -> bool {
    matches!(
        content,
        Incoming::Control(
            Message::Canvass { .. }
                | Message::CanvassReply { .. }
                | Message::RequestVote { .. }
                | Message::Ballot { .. }
                | Message::LevelGrant { .. }
                | Message::Acknowledge { .. }
                | Message::Holding { .. }
                | Message::Impaired { .. }
        )
    )
}

impl Default for WorldsApart {
    fn default() -> Self {
        Self { heard: ByMember::default(), one_in: 4_096 }
    }
}

impl WorldsApart {
    #[cfg(test)]
    pub(super) fn eager() -> Self {
        Self { heard: ByMember::default(), one_in: 1 }
    }

    fn examine(
        &self,
        scene: &Scene<'_>,
        local: Instant,
        event: &Event<'_>,
    ) -> Option<(Sender, String)> {
        let (core, Event::Received { sender, source, content }) = (scene.core?, event) else {
            return None;
        };
        let &Sender::Member { member, incarnation, boot_epoch } = sender else { return None };
        if incarnation != Incarnation::FIRST {
            // Which lives of a newer directory are known, only the log says.
            return None;
        }
        if core.membership().removed_incarnation(member).is_some() {
            // It is told that it was removed, in whichever of its lives.
            return None;
        }
        let known = self.heard.get(scene.member)?.get(member).copied()?;
        // A newer directory is heard where it promises nothing.
        let other = match promises(content) {
            true => Incarnation(incarnation.0 + 1),
            false => Incarnation(0),
        };
        let former = BootEpoch(known.checked_sub(1)?);
        let senders = [
            Sender::Member { member: STRANGER, incarnation, boot_epoch },
            Sender::Member { member, incarnation: other, boot_epoch: BootEpoch(known + 1) },
            Sender::Member { member, incarnation, boot_epoch: former },
        ];
        let mut member = core.clone();
        // What is due by now is done, and then nothing more.
        feed(&mut member, local, &nothing());
        let quiet = (feed(&mut member, local, &nothing()).len(), member.view());
        let state = |member: &Member| if is_small(scene) { member.state_hash() } else { 0 };
        let before = state(&member);
        for sender in senders {
            let content = content.clone();
            let event = Event::Received { sender, source: *source, content };
            let actions = feed(&mut member, local, &event);
            if (actions.len(), member.view()) != quiet {
                return Some((sender, format!("{event:?} leads to {actions:?}")));
            }
        }
        // What one of them changed no other undoes.
        if state(&member) != before {
            let text = format!("{content:?} of one of {senders:?} changes its state");
            return Some((senders[0], text));
        }
        None
    }
}

impl Observer for WorldsApart {
    fn ids(&self) -> &'static [&'static str] {
        &["S33"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES.and(Kinds::HEARING_MEMBER)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        match *observed {
            Observed::Started => *self.heard.entry(scene.member) = ByMember::default(),
            Observed::Stepping { local, event } => {
                let Event::Received { sender: Sender::Member { member, boot_epoch, .. }, .. } =
                    event
                else {
                    return;
                };
                if is_due(scene, 33, self.one_in)
                    && let Some((sender, event)) = self.examine(scene, local, event)
                {
                    let text = format!("{sender:?} has an effect on {}: {event}", scene.member);
                    violations.add("S33", text);
                }
                let heard = self.heard.entry(scene.member).entry(*member);
                *heard = boot_epoch.0.max(*heard);
            }
            _ => {}
        }
    }
}
