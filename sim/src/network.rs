//! The network: what becomes of a datagram between two places.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use quorate_core::message::Live;
use quorate_core::{Endpoint, Incoming, MemberId, Message, Position, Sender, Stream};

use crate::dice::{ALWAYS, Dice};
use crate::report::{Mark, Tally};
use crate::swarm::{MICRO, MILLI, NetworkOptions};

/// Somewhere that datagrams go to and come from.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Place {
    /// A member's host.
    Member(MemberId),
    /// A client's host, by the client's number.
    Client(u32),
}

impl Place {
    /// The address of this place.
    #[must_use]
    pub fn endpoint(self) -> Endpoint {
        let mut bytes = [0; 18];
        bytes[10..12].copy_from_slice(&[0xff, 0xff]);
        let (port, number) = match self {
            Self::Member(member) => (1, u32::from(member.0)),
            Self::Client(number) => (2, number),
        };
        bytes[12..16].copy_from_slice(&number.to_be_bytes());
        bytes[16] = port;
        Endpoint(bytes)
    }

    /// The place with this address.
    #[must_use]
    pub fn at(endpoint: Endpoint) -> Option<Self> {
        let bytes = endpoint.0;
        let number = u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
        match bytes[16] {
            1 => Some(Self::Member(MemberId(number as u16))),
            2 => Some(Self::Client(number)),
            _ => None,
        }
    }
}

/// A datagram under way.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Who sent it, as its header says.
    pub sender: Sender,
    /// Where it came from.
    pub source: Endpoint,
    /// What it carries.
    pub content: Content,
}

/// What a datagram carries.
#[derive(Clone, Debug)]
pub enum Content {
    /// A control message.
    Control(Message),
    /// A slice of a stream.
    Data {
        /// The stream.
        stream: Stream,
        /// The epoch of the bytes.
        epoch: u64,
        /// The position of the first byte.
        position: Position,
        /// Present on live data.
        live: Option<Live>,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The bytes of the whole datagram, as the codec wrote them.
    Encoded(Vec<u8>),
}

impl Content {
    /// What a receiver sees of it; `None` for bytes, which are to be decoded first.
    #[must_use]
    pub fn incoming(&self) -> Option<Incoming<'_>> {
        match self {
            Self::Control(message) => Some(Incoming::Control(message.clone())),
            Self::Data { stream, epoch, position, live, bytes } => Some(Incoming::Data {
                stream: *stream,
                epoch: *epoch,
                position: *position,
                live: *live,
                slice: bytes,
            }),
            Self::Encoded(_) => None,
        }
    }
}

/// Old datagrams that are kept for replay, at most.
const KEPT_MAX: usize = 64;

/// The links between all places.
#[derive(Debug)]
pub struct Network {
    options: NetworkOptions,
    dice: Dice,
    cuts: BTreeMap<(Place, Place), u32>,
    clogs: BTreeMap<(Place, Place), u64>,
    bursts: BTreeSet<(Place, Place)>,
    newest_arrival: BTreeMap<(Place, Place), u64>,
    kept: Vec<(Place, Place, Rc<Datagram>)>,
    calm: bool,
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
    /// A network without cuts.
    #[must_use]
    pub fn new(seed: u64, options: NetworkOptions) -> Self {
        Self {
            options,
            dice: Dice::new(seed, "network"),
            cuts: BTreeMap::new(),
            clogs: BTreeMap::new(),
            bursts: BTreeSet::new(),
            newest_arrival: BTreeMap::new(),
            kept: Vec::new(),
            calm: false,
        }
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
        if self.is_cut(from, to) {
            return tally.saw(Mark::Cut);
        }
        if self.calm {
            let at = now + self.dice.between(50 * MICRO, 200 * MICRO);
            return arrivals.push(Arrival { at, to, datagram: Rc::new(datagram) });
        }
        if self.is_lost(from, to, tally) {
            return;
        }
        let datagram = Rc::new(self.flipped(datagram, tally));
        let copies = if self.dice.chance(self.options.duplicate) {
            tally.saw(Mark::Duplicated);
            2
        } else {
            1
        };
        for _ in 0..copies {
            let at = now + self.latency(now, from, to);
            let newest = self.newest_arrival.entry((from, to)).or_insert(at);
            if at < *newest {
                tally.saw(Mark::Reordered);
            }
            *newest = at.max(*newest);
            arrivals.push(Arrival { at, to, datagram: Rc::clone(&datagram) });
        }
        self.keep_and_replay(now, (from, to, datagram), tally, arrivals);
    }

    /// Cuts the direction from `from` to `to`, once more if it is cut already.
    pub fn cut(&mut self, from: Place, to: Place) {
        *self.cuts.entry((from, to)).or_insert(0) += 1;
    }

    /// Takes one cut of the direction from `from` to `to` back.
    pub fn heal(&mut self, from: Place, to: Place) {
        if let Some(depth) = self.cuts.get_mut(&(from, to)) {
            *depth -= 1;
            if *depth == 0 {
                self.cuts.remove(&(from, to));
            }
        }
    }

    /// Makes the direction slow until a time.
    pub fn clog(&mut self, from: Place, to: Place, until: u64) {
        self.clogs.insert((from, to), until);
    }

    /// Ends all faults: from now on every datagram arrives once and soon.
    pub fn calm(&mut self) {
        self.calm = true;
        self.cuts.clear();
        self.clogs.clear();
        self.kept.clear();
    }

    /// Whether the direction from `from` to `to` is cut.
    #[must_use]
    pub fn is_cut(&self, from: Place, to: Place) -> bool {
        !self.cuts.is_empty() && self.cuts.contains_key(&(from, to))
    }

    fn is_lost(&mut self, from: Place, to: Place, tally: &mut Tally) -> bool {
        if self.options.burst > 0 {
            if self.bursts.contains(&(from, to)) {
                if self.dice.chance(ALWAYS / 12) {
                    self.bursts.remove(&(from, to));
                } else {
                    tally.saw(Mark::LostInBurst);
                    return true;
                }
            } else if self.dice.chance(self.options.burst) {
                self.bursts.insert((from, to));
            }
        }
        let lost = self.dice.chance(self.options.loss);
        if lost {
            tally.saw(Mark::Lost);
        }
        lost
    }

    fn flipped(&mut self, mut datagram: Datagram, tally: &mut Tally) -> Datagram {
        if let Content::Encoded(bytes) = &mut datagram.content
            && !bytes.is_empty()
            && self.dice.chance(self.options.flip)
        {
            let bit = self.dice.below(bytes.len() as u64 * 8) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
            tally.saw(Mark::Damaged);
        }
        datagram
    }

    fn latency(&mut self, now: u64, from: Place, to: Place) -> u64 {
        let options = &self.options;
        let mut latency = self.dice.between(options.latency_min, options.latency_max);
        if self.dice.chance(options.tail) {
            latency += self.dice.exponential(options.tail_mean);
        }
        if !self.clogs.is_empty()
            && let Some(until) = self.clogs.get(&(from, to))
        {
            latency += until.saturating_sub(now);
        }
        latency
    }

    fn keep_and_replay(
        &mut self,
        now: u64,
        sent: (Place, Place, Rc<Datagram>),
        tally: &mut Tally,
        arrivals: &mut Vec<Arrival>,
    ) {
        if self.options.replay == 0 {
            return;
        }
        if self.kept.len() < KEPT_MAX {
            self.kept.push(sent);
        } else if self.dice.chance(ALWAYS / 16) {
            let slot = self.dice.below(KEPT_MAX as u64) as usize;
            self.kept[slot] = sent;
        }
        if self.dice.chance(self.options.replay) {
            let slot = self.dice.below(self.kept.len() as u64) as usize;
            let (_, to, datagram) = self.kept[slot].clone();
            let at = now + self.dice.exponential(20 * MILLI);
            arrivals.push(Arrival { at, to, datagram });
            tally.saw(Mark::Replayed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::Swarm;
    use quorate_core::{ClientKey, SessionId};

    const A: Place = Place::Member(MemberId(1));
    const B: Place = Place::Client(9);

    fn datagram() -> Datagram {
        let closed = Message::Closed { connection: 1, session: SessionId(2) };
        Datagram {
            sender: Sender::Client { key: ClientKey(1) },
            source: B.endpoint(),
            content: Content::Control(closed),
        }
    }

    fn arrivals(network: &mut Network, count: usize, tally: &mut Tally) -> usize {
        let mut arrivals = Vec::new();
        for now in 0..count as u64 {
            network.send(now, (A, B), datagram(), tally, &mut arrivals);
        }
        arrivals.len()
    }

    #[test]
    fn places_and_addresses_map_both_ways() {
        for place in [A, B, Place::Member(MemberId(7)), Place::Client(u32::MAX)] {
            assert_eq!(Place::at(place.endpoint()), Some(place));
        }
        assert_eq!(Place::at(Endpoint::default()), None);
    }

    #[test]
    fn each_fault_happens_and_is_counted() {
        let options = NetworkOptions {
            loss: 100_000,
            burst: 5_000,
            duplicate: 100_000,
            replay: 50_000,
            tail: 100_000,
            ..Swarm::draw(1).network
        };
        let mut tally = Tally::default();
        arrivals(&mut Network::new(3, options), 5_000, &mut tally);
        for mark in
            [Mark::Lost, Mark::LostInBurst, Mark::Duplicated, Mark::Replayed, Mark::Reordered]
        {
            assert!(tally.count(mark) > 0, "{}", mark.name());
        }
    }

    #[test]
    fn a_cut_is_one_way_and_counts_its_depth() {
        let mut network = Network::new(3, Swarm::draw(1).network);
        network.calm();
        let mut tally = Tally::default();
        network.cut(A, B);
        network.cut(A, B);
        network.heal(A, B);
        assert_eq!(arrivals(&mut network, 10, &mut tally), 0);
        assert!(!network.is_cut(B, A));
        network.heal(A, B);
        assert_eq!(arrivals(&mut network, 10, &mut tally), 10);
    }
}
