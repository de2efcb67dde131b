//! A group whose members are of several versions.
//!
//! There is one version of the core, so the versions that follow are made on the wire, at the
//! sender: its datagrams have longer blocks and entries and more behind them, say that they are of
//! a newer schema, and come with messages of kinds that nobody knows yet. Every reader is of the
//! first version, which is before the second and the third. What this does not cover: frames that a
//! newer version writes into the log (CV-13 and CV-14 read those), files that another version left,
//! and a feature that a group agrees to switch on, of which there is none. What keeps a newer
//! layout of the log off until all can read it is the version in the header of each datagram.

use core::cell::RefCell;
use std::rc::Rc;

use quorate_codecs::{DATAGRAM_BYTES_MAX, HEADER_BYTES};
use quorate_core::hash::mix;
use quorate_core::{Duration, MemberId, Role};
use quorate_sim::{Dice, Place};

use super::by_newer;
use super::evolution::TAIL;
use crate::case::{Failure, Verdict};
use crate::golden::seal;
use crate::stage::{ClientNumber, MILLI, Options, Passing, SECOND, Stage};
use crate::trial::Trial;

/// Which version each member writes, the first first.
type Versions = Rc<RefCell<Vec<Version>>>;

/// What a member puts on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Version {
    /// This version.
    First,
    /// The next one: longer blocks, and one new kind of message.
    Second,
    /// The one after: longer entries, new groups and data, and two new kinds.
    Third,
    /// The next one, and it would write the log's next layout too.
    Premature,
}

/// Where the version of the log stands in a datagram, the template, and the schema's version.
const LOG_VERSION_AT: usize = 3;
const TEMPLATE_AT: usize = 42;
const SCHEMA_VERSION_AT: usize = 46;
/// Kinds of messages that no version has yet.
const UNKNOWN: [u16; 2] = [60, 61];
/// One datagram of so many comes with unknown ones.
const UNKNOWN_EVERY: u64 = 5;

impl Version {
    /// What goes on the wire instead of a datagram of the first version.
    fn writes(self, datagram: &[u8], number: u64) -> Vec<Vec<u8>> {
        let (block, entry, tail, kinds) = match self {
            Self::First => return vec![datagram.to_vec()],
            Self::Second | Self::Premature => (8, 0, &[][..], 1),
            Self::Third => (24, 6, &TAIL[..], 2),
        };
        let is_data = [16, 17].contains(&datagram[TEMPLATE_AT]);
        // Behind a data message there is its slice and nothing else.
        let mut newer = by_newer(datagram, block, entry, if is_data { &[] } else { tail });
        if newer.len() > DATAGRAM_BYTES_MAX {
            // A newer version would cut its slices shorter.
            newer = datagram.to_vec();
        }
        newer[SCHEMA_VERSION_AT] = if self == Self::Third { 3 } else { 2 };
        if self == Self::Premature {
            newer[LOG_VERSION_AT] += 1;
        }
        let mut written = vec![newer];
        if number.is_multiple_of(UNKNOWN_EVERY) {
            for kind in &UNKNOWN[..kinds] {
                let mut unknown = written[0][..HEADER_BYTES].to_vec();
                unknown[TEMPLATE_AT..TEMPLATE_AT + 2].copy_from_slice(&kind.to_le_bytes());
                unknown.extend([0x3c; 40]);
                written.push(unknown);
            }
        }
        for datagram in &mut written {
            seal(datagram);
        }
        written
    }
}

/// All members write the first version; returns what they write from now on.
fn versions(stage: &mut Stage<'_>) -> Versions {
    let versions = Rc::new(RefCell::new(vec![Version::First; stage.numbers().count()]));
    let known = Rc::clone(&versions);
    let mut number = 0;
    stage.translate("each member writes its version", move |passing: &Passing<'_>| {
        let Place::Member(MemberId(member)) = passing.from else {
            return vec![passing.bytes.to_vec()];
        };
        number += 1;
        let version = known.borrow()[usize::from(member) - 1];
        version.writes(passing.bytes, number)
    });
    versions
}

struct Play<'a> {
    stage: Stage<'a>,
    versions: Versions,
    clients: [ClientNumber; 2],
    dice: Dice,
}

pub(super) fn cv_22(trial: &mut Trial<'_>) -> Verdict {
    for round in 0..trial.times(1, 4, 20) {
        let mut options = Options::members(if round % 2 == 0 { 3 } else { 5 });
        options.client_timing.give_up_after = Duration::from_millis(600_000);
        let seed = mix(trial.seed(), round);
        let mut stage = trial.stage_of(options, seed);
        let versions = versions(&mut stage);
        stage.settle()?;
        let clients = [stage.client(), stage.client()];
        let mut play = Play { stage, versions, clients, dice: Dice::new(seed, "versions") };
        play.roll()?;
        play.too_early()?;
        trial.count("elections of mixed groups", play.stage.elections());
    }
    Ok(())
}

impl Play<'_> {
    /// Up to the third version and down again, member after member, under misfortunes.
    fn roll(&mut self) -> Verdict {
        let way = [Version::Second, Version::Third, Version::Second, Version::First];
        for version in way {
            // The next version comes to some members before all have this one.
            let members: Vec<u16> = self.stage.numbers().collect();
            let begin = self.dice.below(members.len() as u64) as usize;
            for step in 0..members.len() {
                let member = members[(begin + step) % members.len()];
                self.replace(member, version)?;
                self.under_misfortunes()?;
            }
            self.whole()?;
        }
        // Before, this and after in one group.
        let spread = [Version::First, Version::Second, Version::Third];
        for (member, version) in self.stage.numbers().zip(spread.into_iter().cycle()) {
            self.replace(member, version)?;
        }
        for _ in 0..4 {
            self.under_misfortunes()?;
        }
        self.whole()
    }

    /// The process of one member ends, and one of another version takes its place.
    fn replace(&mut self, member: u16, version: Version) -> Verdict {
        self.stage.say(format!("member {member} becomes {version:?}"));
        match self.dice.below(2) {
            0 => self.stage.kill(member),
            _ => self.stage.power_off(member),
        }
        self.load(20 * MILLI)?;
        self.versions.borrow_mut()[usize::from(member) - 1] = version;
        self.stage.start(member)
    }

    fn load(&mut self, duration: u64) -> Verdict {
        let client = self.dice.pick(&self.clients);
        self.stage.load(client, 2 * MILLI, duration)
    }

    fn under_misfortunes(&mut self) -> Verdict {
        for _ in 0..self.dice.below(4) {
            self.stage.misfortune(&mut self.dice)?;
            let for_a_while = self.dice.between(1, 300) * MILLI;
            self.load(for_a_while)?;
        }
        Ok(())
    }

    /// Without faults the group serves, and nothing was lost, whatever the versions are.
    fn whole(&mut self) -> Verdict {
        self.stage.mend()?;
        let clients = self.clients;
        self.stage.until("all messages are answered", 60 * SECOND, move |stage| {
            stage.is_answered(&clients)
        })?;
        self.stage.until_level(30 * SECOND)?;
        let leader = self.stage.leader().unwrap_or_default();
        self.stage.check_written_in_order(leader, &clients)
    }

    /// A leader that begins to write the log's next layout is heard by nobody, so it leads nobody
    /// and harms nothing; once it does not any more, it takes part again.
    fn too_early(&mut self) -> Verdict {
        let early = self.stage.settle()?;
        let index = usize::from(early) - 1;
        let before = core::mem::replace(&mut self.versions.borrow_mut()[index], Version::Premature);
        self.stage.say(format!("member {early} writes the log's next version"));
        let within = 12 * self.stage.election_timeout();
        self.stage.until("another leads", within, |stage| {
            stage.leader().is_some_and(|leader| leader != early && stage.view(leader).serving)
        })?;
        for _ in 0..4 {
            let submitted = self.stage.request(self.clients[0], b"meanwhile");
            submitted.map(|_| ()).map_err(|failure| told(failure, early))?;
            let leads = self.stage.view(early).role == Role::Leader;
            self.stage.check(!leads, || format!("member {early} leads, and nobody hears it"))?;
        }
        self.versions.borrow_mut()[index] = before;
        self.whole()
    }
}

fn told(failure: Failure, early: u16) -> Failure {
    match failure {
        Failure::Broken { what, observer } => {
            let what = format!("while nobody hears member {early}, {what}");
            Failure::Broken { what, observer }
        }
        other => other,
    }
}
