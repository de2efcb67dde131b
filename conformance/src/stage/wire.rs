//! The network of a stage: cuts, and the rules of a script.

use std::collections::{BTreeMap, BTreeSet};

use quorate_codecs::decode;
use quorate_core::{GroupTag, Incoming, Message, Sender, Stream};
use quorate_sim::{ALWAYS, Dice, Place};

/// A datagram as a rule sees it.
#[derive(Clone, Debug)]
pub struct Passing<'a> {
    /// Where it was sent.
    pub from: Place,
    /// Where it goes.
    pub to: Place,
    /// All of its bytes.
    pub bytes: &'a [u8],
    /// Its sender and content, if it is a whole datagram of the group.
    pub content: Option<(Sender, Incoming<'a>)>,
    /// When it was sent, in nanoseconds.
    pub at: u64,
}

impl<'a> Passing<'a> {
    pub(crate) fn new(at: u64, (from, to): (Place, Place), tag: GroupTag, bytes: &'a [u8]) -> Self {
        Self { from, to, bytes, content: decode(bytes, tag).ok(), at }
    }

    /// The control message, if it is one.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        match &self.content {
            Some((_, Incoming::Control(message))) => Some(message),
            _ => None,
        }
    }

    /// Whether it carries bytes of the log.
    #[must_use]
    pub const fn is_log_data(&self) -> bool {
        matches!(&self.content, Some((_, Incoming::Data { stream: Stream::Log, .. })))
    }

    /// Whether it carries new bytes of the log, as the leader sends them first.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(
            &self.content,
            Some((_, Incoming::Data { stream: Stream::Log, live: Some(_), .. }))
        )
    }

    /// Whether it carries bytes of the log that were asked for.
    #[must_use]
    pub const fn is_repair(&self) -> bool {
        matches!(&self.content, Some((_, Incoming::Data { stream: Stream::Log, live: None, .. })))
    }

    /// Whether it goes from one member to another.
    #[must_use]
    pub const fn is_between_members(&self) -> bool {
        matches!((self.from, self.to), (Place::Member(_), Place::Member(_)))
    }

    /// The name of its kind, in snake case.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match &self.content {
            None => "unreadable",
            Some((_, Incoming::Control(message))) => kind_of(message),
            Some((_, Incoming::Data { stream: Stream::Log, live: Some(_), .. })) => "live",
            Some((_, Incoming::Data { stream: Stream::Log, .. })) => "repair",
            Some((_, Incoming::Data { stream: Stream::Snapshot, .. })) => "snapshot",
            Some((_, Incoming::Data { stream: Stream::Ingress(_), .. })) => "ingress",
            Some((_, Incoming::Data { stream: Stream::Egress(_), .. })) => "egress",
        }
    }
}

/// The name of a control message's kind, in snake case.
#[must_use]
pub const fn kind_of(message: &Message) -> &'static str {
    match message {
        Message::Canvass { .. } => "canvass",
        Message::CanvassReply { .. } => "canvass_reply",
        Message::RequestVote { .. } => "request_vote",
        Message::RequestSuccession { .. } => "request_succession",
        Message::Ballot { .. } => "ballot",
        Message::Heartbeat { .. } => "heartbeat",
        Message::Abdicate { .. } => "abdicate",
        Message::Campaign { .. } => "campaign",
        Message::HistoryRequest { .. } => "history_request",
        Message::History { .. } => "history",
        Message::Acknowledge { .. } => "acknowledge",
        Message::Application { .. } => "application",
        Message::Holding { .. } => "holding",
        Message::Impaired { .. } => "impaired",
        Message::Registered { .. } => "registered",
        Message::Removed { .. } => "removed",
        Message::LevelGrant { .. } => "level_grant",
        Message::Nak { .. } => "nak",
        Message::Unavailable { .. } => "unavailable",
        Message::SnapshotRequest { .. } => "snapshot_request",
        Message::SnapshotOffer { .. } => "snapshot_offer",
        Message::Connect { .. } => "connect",
        Message::ConnectReply { .. } => "connect_reply",
        Message::StreamStatus { .. } => "stream_status",
        Message::StreamNewest { .. } => "stream_newest",
        Message::SyncRequest { .. } => "sync_request",
        Message::SyncReply { .. } => "sync_reply",
        Message::ReadRequest { .. } => "read_request",
        Message::ReadReply { .. } => "read_reply",
        Message::ReadIndexRequest { .. } => "read_index_request",
        Message::ReadIndexReply { .. } => "read_index_reply",
        Message::Close { .. } => "close",
        Message::Closed { .. } => "closed",
    }
}

/// What a rule does to a datagram that it matches. The first rule that matches decides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// It is lost.
    Lose,
    /// It is lost as often as this, in millionths.
    LoseSometimes(u32),
    /// It arrives once more, so many times.
    Repeat(u32),
    /// It takes so many nanoseconds more.
    Delay(u64),
    /// It takes up to so many nanoseconds more, at random: datagrams overtake one another.
    DelayUpTo(u64),
    /// One bit of it is flipped, at random.
    Flip,
    /// It passes, whatever later rules say.
    Pass,
}

impl core::fmt::Display for Effect {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let milliseconds = |nanos: &u64| *nanos as f64 / 1e6;
        match self {
            Self::Lose => f.write_str("lost"),
            Self::LoseSometimes(parts) => {
                write!(f, "lost {} times in a hundred", f64::from(*parts) / 1e4)
            }
            Self::Repeat(1) => f.write_str("delivered twice"),
            Self::Repeat(times) => write!(f, "delivered {times} times more"),
            Self::Delay(by) => write!(f, "{} ms late", milliseconds(by)),
            Self::DelayUpTo(by) => write!(f, "up to {} ms late", milliseconds(by)),
            Self::Flip => f.write_str("delivered with one bit flipped"),
            Self::Pass => f.write_str("left alone"),
        }
    }
}

/// What a rule of a stage wants.
pub(super) type Filter = Box<dyn FnMut(&Passing<'_>) -> bool>;

struct Rule<F> {
    number: u32,
    effect: Effect,
    filter: F,
    /// How often it has matched.
    matched: u64,
}

/// What becomes of one datagram: when its copies arrive, and with which bytes.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    pub(crate) arrivals: Vec<u64>,
    pub(crate) bytes: Option<Vec<u8>>,
    pub(crate) cut: bool,
}

/// The links between all places.
pub(crate) struct Wire<F> {
    latency: (u64, u64),
    cuts: BTreeSet<(Place, Place)>,
    rules: Vec<Rule<F>>,
    rules_made: u32,
    dice: Dice,
    uplinks: Option<Uplinks>,
}

/// What each member can send.
struct Uplinks {
    bytes_per_second: u64,
    /// When all that a member has sent so far has left it.
    free_at: BTreeMap<Place, u64>,
}

impl Uplinks {
    /// When a datagram that is sent `at` has left its sender: behind all that it sent before.
    fn leaves(&mut self, from: Place, at: u64, bytes: usize) -> u64 {
        if !matches!(from, Place::Member(_)) {
            return at;
        }
        let takes = bytes as u64 * 1_000_000_000 / self.bytes_per_second.max(1);
        let free_at = self.free_at.entry(from).or_default();
        *free_at = at.max(*free_at) + takes;
        *free_at
    }
}

impl<F: FnMut(&Passing<'_>) -> bool> Wire<F> {
    pub(crate) fn new(seed: u64, latency: (u64, u64)) -> Self {
        let dice = Dice::new(seed, "wire");
        Self {
            latency,
            cuts: BTreeSet::new(),
            rules: Vec::new(),
            rules_made: 0,
            dice,
            uplinks: None,
        }
    }

    pub(crate) fn cut(&mut self, from: Place, to: Place) {
        self.cuts.insert((from, to));
    }

    pub(crate) fn heal(&mut self, from: Place, to: Place) {
        self.cuts.remove(&(from, to));
    }

    pub(crate) fn limit_uplinks(&mut self, bytes_per_second: u64) {
        self.uplinks = Some(Uplinks { bytes_per_second, free_at: BTreeMap::new() });
    }

    pub(crate) fn heal_all(&mut self) {
        self.cuts.clear();
        self.rules.clear();
    }

    pub(crate) fn add(&mut self, effect: Effect, filter: F) -> u32 {
        self.rules_made += 1;
        self.rules.push(Rule { number: self.rules_made, effect, filter, matched: 0 });
        self.rules_made
    }

    /// Takes a rule away; returns how often it matched.
    pub(crate) fn remove(&mut self, number: u32) -> u64 {
        let Some(index) = self.rules.iter().position(|rule| rule.number == number) else {
            return 0;
        };
        self.rules.remove(index).matched
    }

    pub(crate) fn pass(&mut self, passing: &Passing<'_>) -> Passed {
        let (from, bytes) = (passing.from, passing.bytes.len());
        let sent = self.uplinks.as_mut().map(|uplinks| uplinks.leaves(from, passing.at, bytes));
        if self.cuts.contains(&(passing.from, passing.to)) {
            return Passed { cut: true, ..Passed::default() };
        }
        let mut effect = Effect::Pass;
        for rule in &mut self.rules {
            if (rule.filter)(passing) {
                rule.matched += 1;
                effect = rule.effect;
                break;
            }
        }
        let at = sent.unwrap_or(passing.at) + self.dice.between(self.latency.0, self.latency.1);
        let arrivals = match effect {
            Effect::Lose => Vec::new(),
            Effect::LoseSometimes(parts) if self.dice.chance(parts) => Vec::new(),
            Effect::Repeat(times) => {
                (0..=times).map(|copy| at + u64::from(copy) * self.latency.1).collect()
            }
            Effect::Delay(by) => vec![at + by],
            Effect::DelayUpTo(by) => vec![at + self.dice.between(0, by)],
            Effect::LoseSometimes(_) | Effect::Flip | Effect::Pass => vec![at],
        };
        let bytes = (effect == Effect::Flip).then(|| self.flipped(passing.bytes));
        Passed { arrivals, bytes, cut: false }
    }

    fn flipped(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let bit = self.dice.below(bytes.len().max(1) as u64 * 8) as usize;
        if let Some(byte) = bytes.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        bytes
    }
}

/// How often a thing happens that always happens, for [`Effect::LoseSometimes`].
pub const MILLION: u32 = ALWAYS;
