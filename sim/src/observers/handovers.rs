//! L7: what an operator demands is answered, once and in time. E16: who is told to campaign has all
//! bytes of the leader that says so.

use std::collections::BTreeMap;

use quorate_core::{
    Action, Destination, Event, Instant, MemberId, Message, Notice, Position, Sender, Term,
};

use super::rising::ByMember;
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

#[derive(Default)]
pub(super) struct Handovers {
    members: ByMember<Office>,
}

/// What a member was asked for and told in its life.
#[derive(Default)]
struct Office {
    /// Demands that are not answered, and when they were made, by its clock.
    demanded: BTreeMap<u64, Instant>,
    /// The newest time at which its timers were served. What it is told later may be earlier, and
    /// does not set it back: its deadlines are counted from no earlier time (E104).
    served: Instant,
    /// In which newest term, and how far, each other member has acknowledged to it.
    held: BTreeMap<MemberId, (Term, Position)>,
}

impl Office {
    fn answered(&mut self, request: u64) -> Option<String> {
        let known = self.demanded.remove(&request).is_some();
        (!known).then(|| format!("request {request} is answered, and was not asked or was before"))
    }

    /// A demand that is open although a timer was served at `local`. Before, it may be open for as
    /// long as the member stands still.
    fn overdue(&self, scene: &Scene<'_>, local: Instant) -> Option<String> {
        let within = scene.rules.timing.election_timeout_max.times(2);
        let overdue = self.demanded.iter().find(|(_, at)| local.since(**at) > within);
        overdue.map(|(request, at)| format!("request {request} of {at:?} is open at {local:?}"))
    }

    fn tells(&self, scene: &Scene<'_>, target: MemberId, term: Term) -> Option<String> {
        let held = self.held.get(&target).copied().unwrap_or_default();
        let verified = scene.view.verified;
        (held < (term, verified)).then(|| {
            format!("member {target} is told to campaign, holds {held:?}, and lacks {verified}")
        })
    }
}

impl Observer for Handovers {
    fn ids(&self) -> &'static [&'static str] {
        &["L7", "E16"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES
            .and(Kinds::DEMANDS)
            .and(Kinds::SERVED_TIMER)
            .and(Kinds::NOTICES)
            .and(Kinds::RECEIVED_ACKNOWLEDGEMENT)
            .and(Kinds::SENDS_OTHER)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        _ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let office = self.members.entry(scene.member);
        let mut say = |id, problem: Option<String>| {
            let text = problem.map(|text| format!("member {}: {text}", scene.member));
            text.into_iter().for_each(|text| violations.add(id, text));
        };
        match *observed {
            Observed::Started | Observed::Crashed => *office = Office::default(),
            Observed::Stepping { local, event: &Event::Transfer { request, .. } } => {
                office.demanded.insert(request, local.max(office.served));
            }
            Observed::ServedTimer { local } => {
                office.served = local.max(office.served);
                if !office.demanded.is_empty() {
                    say("L7", office.overdue(scene, local));
                }
            }
            Observed::Acting(&Action::Notify(Notice::Transfer { request, .. })) => {
                say("L7", office.answered(request));
            }
            Observed::Received {
                sender: Sender::Member { member, .. },
                message:
                    &(Message::Acknowledge { term, durable, .. }
                    | Message::Holding { term, held: durable, .. }),
            } => {
                let held = office.held.entry(member).or_default();
                *held = (term, durable).max(*held);
            }
            Observed::Acting(&Action::Send {
                to: Destination::Member(target),
                message: Message::Campaign { term, .. },
            }) => say("E16", office.tells(scene, target, term)),
            _ => {}
        }
    }
}
