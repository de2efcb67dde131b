//! A stranger on the network: bytes of any kind, sound datagrams with values at the edge of what
//! can be, and datagrams of members that are none and of other groups. It forges no datagram of a
//! member or client of this group: without seals nobody could tell (see `not yet` in the README).

use quorate_codecs::{DATAGRAM_BYTES_MAX, Header, encode_control, encode_data};
use quorate_core::message::{ConnectOutcome, EpochRange};
use quorate_core::{
    BootEpoch, Chain, ClientKey, GroupTag, Incarnation, LogTime, MemberId, Message, Position,
    PositionRange, Sender, SessionId, SnapshotPoint, Stream, Term, VoteKey,
};

use crate::dice::{ALWAYS, Dice};
use crate::network::{Arrival, Content, Datagram, Place};
use crate::report::Mark;
use crate::swarm::{FaultClass, MILLI};
use crate::wire::TAG;
use crate::world::{Occurrence, World};

/// Keys of clients that a stranger pretends to have. Few, so that it takes few sessions.
const KEYS: u64 = 3;

impl World {
    /// Whenever somebody sends, a stranger may.
    pub(crate) fn stranger_sends(&mut self) {
        if self.calm || !self.dice.stranger.chance(self.swarm.network.strange) {
            return;
        }
        let classes = self.swarm.faults.classes;
        let all = [FaultClass::EdgeValues, FaultClass::RandomBytes, FaultClass::Strangers];
        let on: Vec<FaultClass> = all.into_iter().filter(|class| classes.has(*class)).collect();
        let class = self.dice.stranger.pick(&on);
        let bytes = match class {
            FaultClass::RandomBytes => self.random_bytes(),
            FaultClass::EdgeValues => self.edge_values(TAG),
            _ => {
                let other = TAG.0 ^ 1 << self.dice.stranger.below(64);
                self.edge_values(GroupTag(other))
            }
        };
        self.tally.saw(match class {
            FaultClass::RandomBytes => Mark::StrangeBytes,
            FaultClass::EdgeValues => Mark::EdgeValue,
            _ => Mark::Stranger,
        });
        let dice = &mut self.dice.stranger;
        let to = if dice.chance(ALWAYS / 4) {
            let client = dice.below(self.clients.len() as u64) as usize;
            Place::Client(self.clients[client].number)
        } else {
            Place::Member(self.nodes[dice.below(self.nodes.len() as u64) as usize].id)
        };
        let at = self.now + dice.exponential(MILLI);
        let source = Place::STRANGER.endpoint();
        let sender = Sender::Client { key: ClientKey(0) };
        let content = Content::Encoded(bytes);
        let arrival = Arrival { at, to, datagram: Datagram { sender, source, content }.into() };
        self.queue.push(arrival.at, Occurrence::Arrive(arrival.to, arrival.datagram));
    }

    fn random_bytes(&mut self) -> Vec<u8> {
        let dice = &mut self.dice.stranger;
        let length = dice.pick(&[0, 1, 39, 40, 48, 100, 1_408, 9_000]);
        let mut bytes: Vec<u8> = (0..length).map(|_| dice.bits() as u8).collect();
        // Half of them begin as ours do.
        if dice.chance(ALWAYS / 2) && bytes.len() >= 4 {
            bytes[..2].copy_from_slice(&quorate_codecs::MAGIC.to_le_bytes());
            bytes[2..4].fill(1);
        }
        bytes
    }

    /// A sound datagram of somebody who is nobody here.
    fn edge_values(&mut self, tag: GroupTag) -> Vec<u8> {
        let voters = self.nodes.len() as u16;
        let dice = &mut self.dice.stranger;
        let key = ClientKey(u64::MAX - dice.below(KEYS));
        let sender = if dice.chance(ALWAYS / 2) {
            Sender::Client { key }
        } else {
            let incarnation = Incarnation(dice.pick(&[0, 1, 2, u32::MAX]));
            let boot_epoch = BootEpoch(edge(dice));
            let member = MemberId(dice.pick(&[0, voters + 1, voters + 2, u16::MAX]));
            Sender::Member { member, incarnation, boot_epoch }
        };
        let header = Header { tag, sender };
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        let length = if dice.chance(ALWAYS / 5) {
            let stream = stream(dice, key);
            let bytes = vec![0xa5; dice.pick(&[0, 8, 64, 1_024])];
            let position = Position(edge(dice));
            encode_data(&header, stream, edge(dice), position, None, (&bytes, &[]), &mut buffer)
        } else {
            encode_control(&header, &message(dice, key), &mut buffer)
        };
        // What the codec refuses to write, nobody of sound mind sends.
        buffer.truncate(length.unwrap_or(0));
        buffer
    }
}

fn edge(dice: &mut Dice) -> u64 {
    dice.pick(&[0, 1, 7, 8, 64, 1 << 20, 1 << 32, 1 << 63, u64::MAX - 7, u64::MAX - 1, u64::MAX])
}

fn stream(dice: &mut Dice, key: ClientKey) -> Stream {
    dice.pick(&[Stream::Log, Stream::Snapshot, Stream::Ingress(key), Stream::Egress(key)])
}

fn range(dice: &mut Dice) -> EpochRange {
    let (one, other) = (edge(dice), edge(dice));
    let range = PositionRange::new(Position(one.min(other)), Position(one.max(other)));
    EpochRange { epoch: edge(dice), range }
}

fn offer(dice: &mut Dice, term: Term) -> Message {
    Message::SnapshotOffer {
        term,
        point: SnapshotPoint {
            position: Position(edge(dice)),
            term: Term(edge(dice)),
            chain: Chain(dice.bits()),
            time: LogTime(edge(dice)),
        },
        core_bytes: edge(dice),
        service_bytes: edge(dice),
        digest: dice.bits(),
    }
}

fn message(dice: &mut Dice, key: ClientKey) -> Message {
    let term = Term(edge(dice));
    let at = |dice: &mut Dice| Position(edge(dice));
    let vote_key = VoteKey { term: Term(edge(dice)), position: at(dice) };
    match dice.below(18) {
        0 => Message::Canvass { term, round: edge(dice), key: vote_key },
        1 => Message::CanvassReply { term, round: edge(dice), granted: true, key: vote_key },
        2 => Message::RequestVote { term, key: vote_key },
        3 => Message::Ballot { term, candidate: MemberId(1), granted: true, key: vote_key },
        4 => Message::Heartbeat {
            term,
            round: edge(dice),
            newest: at(dice),
            commit: at(dice),
            chain_at: at(dice),
            chain: Chain(dice.bits()),
        },
        5 => Message::Abdicate { term },
        6 => Message::HistoryRequest { term, commit: at(dice) },
        7 => Message::Acknowledge {
            term,
            sequence: edge(dice),
            round: edge(dice),
            durable: at(dice),
            received: at(dice),
            limit: at(dice),
            commit: at(dice),
        },
        8 => {
            Message::Nak { stream: stream(dice, key), ranges: [range(dice)].into_iter().collect() }
        }
        9 => {
            Message::Unavailable { stream: stream(dice, key), range: range(dice), oldest: at(dice) }
        }
        10 => Message::Connect {
            connection: edge(dice),
            session: SessionId(edge(dice)),
            ingress_start: at(dice),
            unanswered: edge(dice),
        },
        11 => Message::ConnectReply {
            connection: edge(dice),
            outcome: ConnectOutcome::RetryAfter { nanos: edge(dice) },
        },
        12 => Message::StreamStatus {
            stream: stream(dice, key),
            epoch: edge(dice),
            consumed: at(dice),
            limit: at(dice),
        },
        13 => {
            Message::StreamNewest { stream: stream(dice, key), epoch: edge(dice), newest: at(dice) }
        }
        14 => Message::SnapshotRequest { term, above: at(dice) },
        15 => offer(dice, term),
        16 => Message::Close { connection: edge(dice), session: SessionId(edge(dice)) },
        _ => Message::Closed { connection: edge(dice), session: SessionId(edge(dice)) },
    }
}
