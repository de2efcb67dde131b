//! Run loops with one deliberate mistake each: what the suite has to find, and how it tells it.

use core::mem;

use quorate_codecs::{DATAGRAM_BYTES_MAX, decode};
use quorate_core::{BootEpoch, Endpoint, Incoming, Instant, Message, Sender};
use quorate_driver::Completion;

use super::Reference;
use crate::edges::{Deed, Edges, Input, ServiceMistake};
use crate::stage::TAG;
use crate::subject::{Description, Node, NodeSpec, NodeView, SpawnError, Subject, Turned};

macro_rules! mistakes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)*) => {
        /// What a broken loop gets wrong.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Mistake {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Mistake {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The subject that makes it, as `--subject` takes it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("broken:", $name),)*
                }
            }

            /// What it is, in one sentence.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),+),)*
                }
            }
        }
    };
}

mistakes! {
    /// It reports a sync as done when it has only asked for it.
    EarlyDurable = "early-durable",
    /// It drops each request for missing bytes.
    Deaf = "deaf",
    /// It performs the actions of a turn in reverse order.
    Reversed = "reversed",
    /// It performs the actions of a turn in the next one.
    HeldBack = "held-back",
    /// It reports each completion of its disk twice.
    Doubled = "doubled",
    /// It hands over other bytes than were read.
    Misread = "misread",
    /// It goes on when its storage has failed.
    Hopeful = "hopeful",
    /// It serves its deadlines five milliseconds late.
    Late = "late",
    /// It serves no deadline before it has heard nothing for five milliseconds.
    Starved = "starved",
    /// It goes by a clock that may go back.
    Backwards = "backwards",
    /// It hands over the beginnings of datagrams that are longer than any may be.
    Short = "short",
    /// It answers to where each client was first heard from.
    FirstAddress = "first-address",
    /// It is gone at once when it is asked to stop.
    Rude = "rude",
    /// It does not say that it went inert.
    Mute = "mute",
    /// It sends its last datagram again when it is inert.
    Undead = "undead",
    /// It begins each life with the boot epoch of the first.
    OldEpoch = "old-epoch",
    /// It takes a damaged datagram for the whole one that it is nearest to.
    Credulous = "credulous",
    /// Its service forgets an element of its set now and then, on all members alike.
    Forgetful = "forgetful",
    /// Its service loses money of its bank now and then, on all members alike.
    Embezzling = "embezzling",
}

/// The reference loop with a mistake.
#[derive(Clone, Copy, Debug)]
pub struct Broken(pub Mistake);

impl Subject for Broken {
    fn describe(&self) -> Description {
        let (name, about) = (self.0.name().into(), self.0.about().trim().into());
        Description { name, about, ..Reference.describe() }
    }

    fn spawn(&self, spec: &NodeSpec, edges: Edges) -> Result<Box<dyn Node>, SpawnError> {
        if self.0 == Mistake::OldEpoch {
            edges.change_recovered(|recovered| recovered.life.boot_epoch = BootEpoch(1));
        }
        match self.0 {
            Mistake::Forgetful => edges.mistake_service(ServiceMistake::ForgetsElements),
            Mistake::Embezzling => edges.mistake_service(ServiceMistake::LosesMoney),
            _ => {}
        }
        let node = Reference.spawn(spec, edges.clone())?;
        Ok(Box::new(BrokenNode {
            mistake: self.0,
            node,
            edges,
            kept: Vec::new(),
            heard: Vec::new(),
            stopped: false,
            quiet_at: Instant(0),
        }))
    }
}

struct BrokenNode {
    mistake: Mistake,
    node: Box<dyn Node>,
    edges: Edges,
    /// What it did, and will do.
    kept: Vec<Deed>,
    /// Where clients were first heard from.
    heard: Vec<(Sender, Endpoint)>,
    stopped: bool,
    /// From when on no datagram will have come for a while.
    quiet_at: Instant,
}

/// How far a wrong clock or alarm is off, in nanoseconds.
const OFF: u64 = 5_000_000;

impl Node for BrokenNode {
    fn turn(&mut self) -> Turned {
        let now = self.edges.now();
        let (asked_to_stop, datagrams) = self.spoil_inputs();
        if datagrams {
            self.quiet_at = Instant(now.0 + OFF);
        } else if self.mistake == Mistake::Starved && now < self.quiet_at {
            return Turned { wake: Some(self.quiet_at), ..Turned::default() };
        }
        if self.mistake == Mistake::EarlyDurable {
            self.node.turn();
            for operation in self.edges.asked_to_persist() {
                self.edges.push(Input::Storage(Completion::Durable { operation }));
            }
        }
        self.edges.set_now(self.wrong_time(now));
        let mut turned = self.node.turn();
        self.edges.set_now(now);
        self.spoil_deeds();
        match self.mistake {
            Mistake::Rude => turned.ended |= asked_to_stop,
            Mistake::Mute => turned.stopped = None,
            Mistake::Undead => self.rise_again(&turned),
            Mistake::Late => turned.wake = turned.wake.map(|due| Instant(due.0 + OFF)),
            Mistake::Starved if datagrams => turned.wake = Some(self.quiet_at),
            _ => {}
        }
        turned
    }

    fn view(&mut self) -> NodeView {
        self.node.view()
    }
}

impl BrokenNode {
    /// Spoils what lies at the edges; whether the member is asked to stop, and whether there are
    /// datagrams.
    fn spoil_inputs(&mut self) -> (bool, bool) {
        let (mistake, heard) = (self.mistake, &mut self.heard);
        let (mut asked_to_stop, mut datagrams) = (false, false);
        self.edges.change_inputs(|inputs| {
            asked_to_stop = inputs.contains(&Input::Shutdown);
            datagrams = inputs.iter().any(|input| matches!(input, Input::Datagram { .. }));
            match mistake {
                Mistake::Deaf => inputs.retain(|input| !is_nak(input)),
                Mistake::Hopeful => {
                    let failed =
                        |input: &Input| matches!(input, Input::Storage(Completion::Failed { .. }));
                    inputs.retain(|input| !failed(input));
                }
                Mistake::Doubled => {
                    let all = mem::take(inputs).into_iter();
                    let times = |input: &Input| 1 + usize::from(is_durable(input));
                    *inputs = all.flat_map(|it| vec![it.clone(); times(&it)]).collect();
                }
                Mistake::Rude => inputs.retain(|input| *input != Input::Shutdown),
                _ => inputs.iter_mut().for_each(|input| spoil(mistake, input, heard)),
            }
        });
        (asked_to_stop, datagrams)
    }

    fn spoil_deeds(&mut self) {
        let kept = &mut self.kept;
        match self.mistake {
            Mistake::Reversed => self.edges.change_deeds(|deeds| deeds.reverse()),
            Mistake::HeldBack => self.edges.change_deeds(|deeds| mem::swap(deeds, kept)),
            Mistake::Undead => self.edges.change_deeds(|deeds| {
                let sent = deeds.iter().rfind(|deed| matches!(deed, Deed::Sent { .. }));
                if let Some(sent) = sent {
                    *kept = vec![sent.clone()];
                }
            }),
            _ => {}
        }
    }

    /// It has stopped, and stirs once more.
    fn rise_again(&mut self, turned: &Turned) {
        if turned.stopped.is_none() || mem::replace(&mut self.stopped, true) {
            return;
        }
        let again = mem::take(&mut self.kept);
        self.edges.change_deeds(|deeds| deeds.extend(again));
    }

    /// The time that it goes by.
    const fn wrong_time(&self, now: Instant) -> Instant {
        match self.mistake {
            // A second goes back by a tenth when it is half over.
            Mistake::Backwards if now.0 % 1_000_000_000 > 500_000_000 => {
                Instant(now.0.saturating_sub(100_000_000))
            }
            _ => now,
        }
    }
}

/// Makes an input another.
fn spoil(mistake: Mistake, input: &mut Input, heard: &mut Vec<(Sender, Endpoint)>) {
    match (mistake, input) {
        (Mistake::Misread, Input::Storage(Completion::Read { bytes, .. })) => {
            bytes.iter_mut().for_each(|byte| *byte = byte.rotate_left(1));
        }
        (Mistake::Short, Input::Datagram { bytes, .. }) if bytes.len() > DATAGRAM_BYTES_MAX => {
            let is_whole = |length: &usize| decode(&bytes[..*length], TAG).is_ok();
            bytes.truncate((1..DATAGRAM_BYTES_MAX).find(is_whole).unwrap_or(0));
        }
        (Mistake::Credulous, Input::Datagram { bytes, .. }) if decode(bytes, TAG).is_err() => {
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                if decode(bytes, TAG).is_ok() {
                    break;
                }
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
        (Mistake::FirstAddress, Input::Datagram { source, bytes }) => {
            let Ok((sender, _)) = decode(bytes, TAG) else { return };
            match heard.iter().find(|(known, _)| *known == sender) {
                Some((_, first)) => *source = *first,
                None => heard.push((sender, *source)),
            }
        }
        _ => {}
    }
}

const fn is_durable(input: &Input) -> bool {
    matches!(input, Input::Storage(Completion::Durable { .. }))
}

fn is_nak(input: &Input) -> bool {
    let Input::Datagram { bytes, .. } = input else { return false };
    matches!(decode(bytes, TAG), Ok((_, Incoming::Control(Message::Nak { .. }))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Script;
    use crate::catalogue;
    use crate::runner::{Outcome, run_case};
    use crate::trial::Profile;

    /// Who catches whom: each mistake by the case that is about it, and each case of the contract
    /// of run loops by one mistake at least.
    const CAUGHT_BY: &[(Mistake, &[&str])] = &[
        (Mistake::EarlyDurable, &["AD-03", "AD-04", "CD-05"]),
        (Mistake::Deaf, &["AD-22"]),
        (Mistake::Reversed, &["AD-01", "AD-02", "AD-25", "AD-28"]),
        (Mistake::HeldBack, &["AD-12", "AD-16", "AD-22", "AD-27", "AD-31"]),
        (Mistake::Doubled, &["AD-05", "CD-06", "CD-07"]),
        (Mistake::Misread, &["AD-07", "AD-20"]),
        (Mistake::Hopeful, &["AD-06"]),
        (Mistake::Late, &["AD-10"]),
        (Mistake::Starved, &["AD-10"]),
        (Mistake::Backwards, &["AD-11", "AD-18"]),
        (Mistake::Short, &["AD-14"]),
        (Mistake::FirstAddress, &["AD-17"]),
        (Mistake::Rude, &["AD-19"]),
        (Mistake::Mute, &["AD-24"]),
        (Mistake::Undead, &["AD-21"]),
        (Mistake::OldEpoch, &["AD-08", "AD-09", "AD-32"]),
        (Mistake::Credulous, &["NK-28"]),
        (Mistake::Forgetful, &["CL-25"]),
        (Mistake::Embezzling, &["CL-25"]),
    ];
    /// They need a socket, which the reference loop has not, or are of the service.
    const OF_NO_LOOP: [&str; 3] = ["AD-13", "AD-15", "AD-33"];

    #[test]
    fn each_mistake_and_each_case_of_the_contract_has_its_counterpart() {
        let is_caught = |mistake: &Mistake| CAUGHT_BY.iter().any(|(caught, _)| caught == mistake);
        assert_eq!(Mistake::ALL.iter().find(|mistake| !is_caught(mistake)), None);
        let contract = catalogue::all().filter(|case| case.group() == "AD");
        let played = contract.filter(|case| matches!(case.script, Script::Cluster(_)));
        let catches = |id: &str| CAUGHT_BY.iter().any(|(_, cases)| cases.contains(&id));
        let idle = played.map(|case| case.id).filter(|id| !catches(id));
        assert_eq!(idle.collect::<Vec<_>>(), OF_NO_LOOP);
    }

    #[test]
    fn each_mistake_is_caught_by_the_case_about_it() {
        let mut wrong = Vec::new();
        for mistake in Mistake::ALL {
            let cases = CAUGHT_BY.iter().filter(|(caught, _)| caught == mistake);
            for id in cases.flat_map(|(_, cases)| *cases) {
                let case = catalogue::find(id).expect(id);
                let report = run_case(&Broken(*mistake), case, 1, Profile::Quick);
                if report.outcome != Outcome::Fail {
                    wrong.push(format!("{mistake:?}, {id}: {:?}", report.outcome));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
