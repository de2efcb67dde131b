//! Any message that can be sent, of drawn numbers.

use quorate_core::frame::{Checksum, Level};
use quorate_core::message::{
    ConnectOutcome, EpochRange, HISTORY_LINES_MAX, HISTORY_PARTS_MAX, HistoryLines, Live,
    NAK_RANGES_MAX,
};
use quorate_core::{
    Chain, Duration, Endpoint, LogTime, Message, PositionRange, ReadAnswer, ReadLevel, ReadOutcome,
    ReadRefusal, RecoveryEpoch, Sender, SnapshotPoint, Stream, Term, TermLine, VoteKey,
};

use crate::draw::Draw;

impl Draw<'_, '_> {
    pub(crate) fn sender(&mut self) -> Sender {
        if self.flag() {
            let life = self.life();
            let (member, incarnation, boot_epoch) =
                (life.member, life.incarnation, life.boot_epoch);
            Sender::Member { member, incarnation, boot_epoch }
        } else {
            Sender::Client { key: self.client() }
        }
    }

    pub(crate) fn message(&mut self) -> Message {
        if self.flag() { self.consensus_message() } else { self.stream_message() }
    }

    /// What members say to each other.
    pub(crate) fn consensus_message(&mut self) -> Message {
        let kind = self.below(16);
        let term = self.term();
        match kind {
            0 => Message::Canvass { term, round: self.number(), key: self.vote_key() },
            1 => {
                let (round, granted) = (self.number(), self.flag());
                Message::CanvassReply { term, round, granted, key: self.vote_key() }
            }
            2 => Message::RequestVote { term, key: self.vote_key() },
            3 => {
                let (candidate, granted) = (self.member(), self.flag());
                Message::Ballot { term, candidate, granted, key: self.vote_key() }
            }
            4 => Message::Heartbeat {
                term,
                round: self.number(),
                newest: self.position(),
                commit: self.position(),
                chain_at: self.position(),
                chain: self.chain(),
            },
            5 => Message::HistoryRequest { term, commit: self.position() },
            6 => self.history(term),
            7 => Message::Abdicate { term },
            8 => {
                let predecessor = self.member();
                Message::RequestSuccession { term, key: self.vote_key(), predecessor }
            }
            9 => Message::Campaign { term, round: self.number() },
            10 => Message::Application {
                term,
                sequence: self.number(),
                received: self.position(),
                limit: self.position(),
            },
            11..=14 => self.level_message(kind, term),
            _ => Message::Acknowledge {
                term,
                sequence: self.number(),
                round: self.number(),
                durable: self.position(),
                received: self.position(),
                limit: self.position(),
                commit: self.position(),
            },
        }
    }

    /// What is said in volatile groups.
    fn level_message(&mut self, kind: usize, term: Term) -> Message {
        match kind {
            11 => Message::Holding {
                term,
                sequence: self.number(),
                round: self.number(),
                held: self.position(),
                durable: self.position(),
                received: self.position(),
                limit: self.position(),
                commit: self.position(),
            },
            12 => Message::Impaired {
                term,
                sequence: self.number(),
                round: self.number(),
                received: self.position(),
                limit: self.position(),
            },
            14 => {
                let (term, incarnation) = (self.term(), self.life().incarnation);
                Message::Removed { term, position: self.position(), incarnation }
            }
            13 => {
                let boot_epoch = self.life().boot_epoch;
                Message::Registered { term, boot_epoch, newest: self.position() }
            }
            _ => {
                let (round, candidate) = (self.number(), self.member());
                let (line, key) = (self.term(), self.vote_key());
                let level = match self.number() % 3 {
                    0 => Level::Durable,
                    1 => Level::Volatile,
                    _ => Level::Unknown(7),
                };
                let impaired = self.flag();
                Message::LevelGrant { term, round, candidate, line, key, level, impaired }
            }
        }
    }

    /// What belongs to streams, and to the sessions of clients.
    pub(crate) fn stream_message(&mut self) -> Message {
        match self.below(16) {
            0 => {
                let stream = self.stream();
                let count = self.below(NAK_RANGES_MAX + 1);
                Message::Nak { stream, ranges: (0..count).map(|_| self.range(stream)).collect() }
            }
            1 => {
                let stream = self.stream();
                let (range, oldest) = (self.range(stream), self.position());
                Message::Unavailable { stream, range, oldest }
            }
            2 => Message::Connect {
                connection: self.connection(),
                session: self.session(),
                ingress_start: self.position(),
                unanswered: self.number(),
            },
            3 => Message::ConnectReply { connection: self.connection(), outcome: self.outcome() },
            4 => Message::StreamStatus {
                stream: self.stream(),
                epoch: self.session_epoch(),
                consumed: self.position(),
                limit: self.position(),
            },
            5 => Message::StreamNewest {
                stream: self.stream(),
                epoch: self.session_epoch(),
                newest: self.position(),
            },
            6 => Message::SnapshotRequest { term: self.term(), above: self.position() },
            7 => self.offer(),
            8 => Message::Close { connection: self.connection(), session: self.session() },
            9 => Message::SyncRequest { epoch: self.session_epoch() },
            10 => Message::SyncReply { epoch: self.session_epoch(), safe: self.position() },
            12 => {
                let (number, level) = (self.number(), self.read_level());
                Message::ReadRequest { number, level, payload: self.slice(40).to_vec() }
            }
            13 => Message::ReadReply { number: self.number(), outcome: self.read_outcome() },
            14 => Message::ReadIndexRequest { number: self.number() },
            15 => Message::ReadIndexReply { number: self.number(), index: self.position() },
            _ => Message::Closed { connection: self.connection(), session: self.session() },
        }
    }

    fn read_level(&mut self) -> ReadLevel {
        match self.below(4) {
            0 => ReadLevel::Linearizable,
            1 => ReadLevel::Lease,
            2 => ReadLevel::Session { least: self.position() },
            _ => ReadLevel::Stale { bound: Duration(self.number()) },
        }
    }

    fn read_outcome(&mut self) -> ReadOutcome {
        Err(match self.below(12) {
            0 => ReadRefusal::Busy,
            1 => ReadRefusal::TooLong { limit: self.number() },
            2 => ReadRefusal::Unconfirmed,
            3 => ReadRefusal::Behind { applied: self.position() },
            4 => ReadRefusal::TooOld { age: Duration(self.number()) },
            5 => ReadRefusal::Unsupported,
            6 => ReadRefusal::Failed,
            7 => ReadRefusal::Stopping,
            _ => {
                let (applied, age) = (self.position(), Duration(self.number()));
                let payload = self.slice(40).to_vec();
                return Ok(ReadAnswer { applied, age, payload });
            }
        })
    }

    fn offer(&mut self) -> Message {
        Message::SnapshotOffer {
            term: self.term(),
            point: SnapshotPoint {
                position: self.position(),
                term: self.term(),
                chain: Chain(self.number()),
                time: LogTime(self.number()),
            },
            core_bytes: self.position().0 / 2,
            service_bytes: self.position().0 / 2,
            digest: self.number(),
        }
    }

    pub(crate) fn stream(&mut self) -> Stream {
        match self.below(4) {
            0 => Stream::Log,
            3 => Stream::Snapshot,
            1 => Stream::Ingress(self.client()),
            _ => Stream::Egress(self.client()),
        }
    }

    pub(crate) fn epoch(&mut self, stream: Stream) -> u64 {
        match stream {
            Stream::Log => self.term().0,
            Stream::Snapshot => self.position().0,
            Stream::Ingress(_) | Stream::Egress(_) => self.session_epoch(),
        }
    }

    pub(crate) fn live(&mut self) -> Option<Live> {
        self.flag().then(|| Live { newest: self.position(), commit: self.position() })
    }

    fn range(&mut self, stream: Stream) -> EpochRange {
        let (one, other) = (self.position(), self.position());
        let range = PositionRange::new(one.min(other), one.max(other));
        EpochRange { epoch: self.epoch(stream), range }
    }

    fn vote_key(&mut self) -> VoteKey {
        VoteKey { term: self.term(), position: self.position() }
    }

    fn chain(&mut self) -> Chain {
        let pick = self.number();
        match &self.near {
            Some(near) if pick.is_multiple_of(4) => near.view.applied_chain,
            Some(near) if pick % 4 == 1 => near.view.verified_chain,
            Some(_) | None => Chain(pick),
        }
    }

    fn history(&mut self, term: Term) -> Message {
        // A member forgets parts that do not fit each other: mostly there is but one.
        let mostly_one = self.near.is_some() && self.byte() < 200;
        let parts = if mostly_one { 1 } else { self.short() % HISTORY_PARTS_MAX + 1 };
        let count = self.below(HISTORY_LINES_MAX + 1);
        let lines: HistoryLines = (0..count).map(|_| self.line()).collect();
        let checksum = if self.near.is_some() && self.byte() < 240 {
            lines_checksum(&lines)
        } else {
            self.number() as u32
        };
        let part = self.short() % parts;
        Message::History { term, above: self.position(), part, parts, checksum, lines }
    }

    fn line(&mut self) -> TermLine {
        TermLine {
            recovery_epoch: RecoveryEpoch(self.number() as u32),
            term: self.term(),
            base: self.position(),
            leader: self.life(),
            chain: self.chain(),
        }
    }

    fn outcome(&mut self) -> ConnectOutcome {
        match self.below(6) {
            0 => {
                let (session, leader) = (self.session(), self.member());
                let (term, limit) = (self.term(), self.position());
                ConnectOutcome::Open { session, leader, term, limit }
            }
            1 => {
                let (leader, term) = (self.member(), self.term());
                let mut endpoint = Endpoint::default();
                endpoint.0[17] = self.byte();
                ConnectOutcome::Redirect { leader, term, endpoint }
            }
            2 => match self.number() {
                nanos if nanos.is_multiple_of(2) => ConnectOutcome::RetryAfter { nanos },
                nanos => ConnectOutcome::NoQuorum { nanos },
            },
            3 => ConnectOutcome::SessionsExhausted,
            4 => ConnectOutcome::MessageTooLarge { limit: self.number() },
            _ => ConnectOutcome::SessionLost { session: self.session() },
        }
    }
}

/// What a member of this version says about the lines of a history; without it no forged history
/// would ever be looked at.
fn lines_checksum(lines: &[TermLine]) -> u32 {
    let add = |sum: Checksum, line: &TermLine| {
        sum.add(&line.recovery_epoch.0.to_le_bytes())
            .add(&line.term.0.to_le_bytes())
            .add(&line.base.0.to_le_bytes())
            .add(&line.leader.member.0.to_le_bytes())
            .add(&line.leader.incarnation.0.to_le_bytes())
            .add(&line.leader.boot_epoch.0.to_le_bytes())
            .add(&line.chain.0.to_le_bytes())
    };
    lines.iter().fold(Checksum::default(), add).value()
}
