//! The network: what becomes of a datagram between two places.

mod datagram;
mod link;

pub use datagram::{Content, Datagram, Kind, Place};
pub(crate) use link::CALM_LATENCY_MAX;
pub use link::{Filter, Trouble};

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use quorate_core::hash::mix;
use quorate_core::{GroupTag, MemberId, Position};

use crate::dice::{ALWAYS, Dice};
use crate::report::{Mark, Tally};
use crate::swarm::{FaultClass, FaultClasses, MILLI, NetworkOptions};
use link::Link;

/// Old datagrams that are kept for replay, at most.
const KEPT_MAX: usize = 96;
/// Those of them that are of the very beginning, and stay.
const ANCIENT: usize = 32;

/// Names one datagram: its link, and which of that link's.
pub type DatagramNumber = (LinkCode, u64);
/// Names a link: from, to.
pub type LinkCode = ((u8, u32), (u8, u32));

/// The links between all places.
#[derive(Debug)]
pub struct Network {
    options: NetworkOptions,
    classes: FaultClasses,
    tag: GroupTag,
    seed: u64,
    calm_dice: Dice,
    links: BTreeMap<LinkCode, Link>,
    kept: Vec<(Place, Rc<Datagram>)>,
    /// The members between which, and between which and clients, all is well.
    core: Option<Vec<MemberId>>,
    /// Datagrams that no fault befalls.
    spared: BTreeSet<DatagramNumber>,
    /// Datagrams that a fault befell, if somebody wants to know.
    touched: Option<Vec<DatagramNumber>>,
}

/// A datagram that will arrive.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// When, in nanoseconds.
    pub at: u64,
    /// Where.
    pub to: Place,
    /// What.
    pub datagram: Rc<Datagram>,
}

impl Network {
    /// A network without cuts, for datagrams of the group `tag`.
    #[must_use]
    pub fn new(seed: u64, tag: GroupTag, options: NetworkOptions, classes: FaultClasses) -> Self {
        Self {
            options,
            classes,
            tag,
            seed: Dice::new(seed, "network").bits(),
            calm_dice: Dice::new(seed, "calm network"),
            links: BTreeMap::new(),
            kept: Vec::new(),
            core: None,
            spared: BTreeSet::new(),
            touched: None,
        }
    }

    /// Lets no fault befall these datagrams.
    pub fn spare(&mut self, spared: BTreeSet<DatagramNumber>) {
        self.spared = spared;
    }

    /// Notes from now on which datagrams a fault befell.
    pub fn note_touched(&mut self) {
        self.touched = Some(Vec::new());
    }

    /// The datagrams that a fault befell, since they are noted.
    #[must_use]
    pub fn touched(&self) -> &[DatagramNumber] {
        self.touched.as_deref().unwrap_or_default()
    }

    /// Sends `datagram` and adds what will arrive of it to `arrivals`.
    pub fn send(
        &mut self,
        now: u64,
        (from, to): (Place, Place),
        datagram: Datagram,
        tally: &mut Tally,
        arrivals: &mut Vec<Arrival>,
    ) {
        if self.is_perfect(from, to) {
            let at = Link::calm_arrival(now, &mut self.calm_dice);
            return arrivals.push(Arrival { at, to, datagram: Rc::new(datagram) });
        }
        let code = (from.code(), to.code());
        let link = self
            .links
            .entry(code)
            .or_insert_with(|| Link::new(link_seed(self.seed, code), &self.options, self.classes));
        let (number, mut dice) = link.next();
        if link.cuts > 0 {
            return tally.saw(Mark::Cut);
        }
        let bytes = datagram.content.wire_bytes();
        let (content, tag) = (&datagram.content, self.tag);
        let spared = !self.spared.is_empty() && self.spared.contains(&(code, number));
        let stopped = link.stops(now, || describe(content, tag), bytes, &mut dice, tally);
        let mut fate = link.fate(&self.options, &mut dice);
        let replays = dice.chance(self.options.replay);
        let lost = stopped || fate.lost || link.is_in_burst();
        if spared {
            fate = link::Fate { copies: 1, ..link::Fate::default() };
        } else if let Some(touched) = &mut self.touched
            && (lost || fate.corrupted || fate.copies > 1 || replays)
        {
            touched.push((code, number));
        }
        if lost && !spared {
            if !stopped {
                tally.saw(if fate.lost { Mark::Lost } else { Mark::LostInBurst });
            }
            return;
        }
        let datagram = Rc::new(corrupted(datagram, &fate, tally));
        let reorders = self.classes.has(FaultClass::Reorder);
        for _ in 0..fate.copies {
            let at = link.arrival(now, bytes, reorders, &mut dice, tally);
            arrivals.push(Arrival { at, to, datagram: Rc::clone(&datagram) });
        }
        tally.add(Mark::Duplicated, fate.copies - 1);
        if self.options.replay > 0 {
            self.keep(&mut dice, to, datagram);
            if replays && !spared {
                self.replay(now, &mut dice, tally, arrivals);
            }
        }
    }

    /// Cuts the direction from `from` to `to`, once more if it is cut already.
    pub fn cut(&mut self, from: Place, to: Place) {
        self.link(from, to).cuts += 1;
    }

    /// Takes one cut of the direction from `from` to `to` back.
    pub fn heal(&mut self, from: Place, to: Place) {
        let link = self.link(from, to);
        link.cuts = link.cuts.saturating_sub(1);
    }

    /// Something is wrong with the direction from `from` to `to` until a time.
    pub fn trouble(&mut self, from: Place, to: Place, until: u64, trouble: Trouble) {
        self.link(from, to).trouble(until, trouble);
    }

    /// From now on every datagram between members of `core`, and between them and clients, arrives
    /// once and soon. What is wrong with the other links stays so for ever.
    pub fn calm(&mut self, core: Vec<MemberId>) {
        self.core = Some(core);
        self.kept.clear();
        self.options.replay = 0;
        self.links.values_mut().for_each(Link::freeze);
    }

    /// Whether the direction from `from` to `to` is cut.
    #[must_use]
    pub fn is_cut(&self, from: Place, to: Place) -> bool {
        let code = (from.code(), to.code());
        !self.is_perfect(from, to) && self.links.get(&code).is_some_and(|link| link.cuts > 0)
    }

    /// Whether anything is wrong with the direction from `from` to `to` at `now`, besides what is
    /// drawn for each datagram.
    pub(crate) fn is_troubled(&self, now: u64, from: Place, to: Place) -> bool {
        let link = self.links.get(&(from.code(), to.code()));
        !self.is_perfect(from, to) && link.is_some_and(|link| link.is_troubled(now))
    }

    fn is_perfect(&self, from: Place, to: Place) -> bool {
        let Some(core) = &self.core else { return false };
        let is_well = |place| match place {
            Place::Member(member) => core.contains(&member),
            Place::Client(_) => true,
        };
        is_well(from) && is_well(to)
    }

    fn link(&mut self, from: Place, to: Place) -> &mut Link {
        let code = (from.code(), to.code());
        let seed = link_seed(self.seed, code);
        self.links.entry(code).or_insert_with(|| Link::new(seed, &self.options, self.classes))
    }

    /// Keeps some datagrams of the whole past: the first ones for ever, and a sample of the rest.
    fn keep(&mut self, dice: &mut Dice, to: Place, datagram: Rc<Datagram>) {
        if self.kept.len() < KEPT_MAX {
            self.kept.push((to, datagram));
        } else if dice.chance(ALWAYS / 16) {
            let slot = dice.between(ANCIENT as u64, KEPT_MAX as u64 - 1) as usize;
            self.kept[slot] = (to, datagram);
        }
    }

    fn replay(&self, now: u64, dice: &mut Dice, tally: &mut Tally, arrivals: &mut Vec<Arrival>) {
        let slot = dice.below(self.kept.len() as u64) as usize;
        let (to, datagram) = self.kept[slot].clone();
        let at = now + dice.exponential(20 * MILLI);
        arrivals.push(Arrival { at, to, datagram });
        tally.saw(if slot < ANCIENT { Mark::ReplayedAncient } else { Mark::Replayed });
    }
}

const fn link_seed(seed: u64, (from, to): LinkCode) -> u64 {
    let from = (from.0 as u64) << 32 | from.1 as u64;
    let to = (to.0 as u64) << 32 | to.1 as u64;
    mix(mix(seed, from), to)
}

fn describe(content: &Content, tag: GroupTag) -> (Kind, Option<Position>) {
    let decoded = match content {
        Content::Encoded(bytes) => quorate_codecs::decode(bytes, tag).ok().map(|(_, it)| it),
        content => content.incoming(),
    };
    // What is damaged already is as good as any session message.
    let Some(incoming) = decoded else { return (Kind::Session, None) };
    let position = match &incoming {
        quorate_core::Incoming::Data { position, .. } => Some(*position),
        quorate_core::Incoming::Control(_) => None,
    };
    (Kind::of(&incoming), position)
}

/// Flips a bit, cuts the datagram short, makes it longer, or zeroes its end.
fn corrupted(mut datagram: Datagram, fate: &link::Fate, tally: &mut Tally) -> Datagram {
    if let Content::Encoded(bytes) = &mut datagram.content
        && fate.corrupted
        && !bytes.is_empty()
    {
        let mut dice = Dice::of_bits(fate.bits);
        let at = dice.below(bytes.len() as u64) as usize;
        match dice.below(6) {
            0 => {
                bytes.truncate(at);
                tally.saw(Mark::Truncated);
            }
            1 => {
                bytes.resize(bytes.len() + 1 + at, 0x5a);
                tally.saw(Mark::Lengthened);
            }
            2 => bytes[at..].fill(0),
            _ => bytes[at] ^= 1 << dice.below(8),
        }
        tally.saw(Mark::Damaged);
    }
    datagram
}

#[cfg(test)]
mod tests;
