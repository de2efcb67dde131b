//! What a member keeps: the log in one file, and everything else in another that is replaced whole.
//!
//! This is the least that is correct. An archive for production keeps the log in preallocated
//! segments, checks its other files by checksum, locks the folder, and tells damage from torn ends.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use quorate_core::frame::{self, Body, FrameSeed, chain_after, parse_body};
use quorate_core::membership::keep_newest;
use quorate_core::{
    BootEpoch, Chain, Incarnation, Life, Limits, LogTime, MemberId, PeerRecord, Position,
    PositionRange, Recovered, RecoveryEpoch, Term, TermHistory, TermLine, Vote,
};

use super::{Outcome, TAG};

pub(crate) struct Disk {
    folder: PathBuf,
    log: File,
    boot_epoch: BootEpoch,
    vote: Vote,
    history: TermHistory,
    peers: Vec<PeerRecord>,
}

impl Disk {
    /// Opens the folder of a member, or makes it, and begins a new life: its boot epoch is durable
    /// before the member can say anything.
    pub(crate) fn open(folder: &Path, member: MemberId) -> Outcome<(Self, Recovered)> {
        fs::create_dir_all(folder)?;
        let mut options = OpenOptions::new();
        let log = options.read(true).append(true).create(true).open(folder.join("log"))?;
        let mut disk = Self {
            folder: folder.to_owned(),
            log,
            boot_epoch: BootEpoch(0),
            vote: Vote::default(),
            history: TermHistory::default(),
            peers: Vec::new(),
        };
        if let Ok(state) = fs::read_to_string(folder.join("state")) {
            disk.parse(&state).ok_or("the file `state` is damaged")?;
        }
        disk.boot_epoch.0 += 1;
        disk.replace_state()?;
        let recovered = disk.recover(member)?;
        Ok((disk, recovered))
    }

    pub(crate) fn append(&mut self, at: Position, first: &[u8], second: &[u8]) -> Outcome {
        assert_eq!(at.0, self.log.seek(SeekFrom::End(0))?, "appends follow each other");
        self.log.write_all(first)?;
        Ok(self.log.write_all(second)?)
    }

    pub(crate) fn sync(&self) -> Outcome {
        Ok(self.log.sync_data()?)
    }

    pub(crate) fn keep_vote(&mut self, vote: Vote) -> Outcome {
        self.vote = vote;
        self.replace_state()
    }

    pub(crate) fn keep_peers(&mut self, peers: Vec<PeerRecord>) -> Outcome {
        self.peers = peers;
        self.replace_state()
    }

    /// First the history, then the cut: in between the log has more than it may, and a start under
    /// the new history finds no sound frame there.
    pub(crate) fn keep_history(&mut self, history: TermHistory, cut: Position) -> Outcome {
        self.history = history;
        self.replace_state()?;
        if self.log.metadata()?.len() > cut.0 {
            self.log.set_len(cut.0)?;
        }
        Ok(self.log.sync_all()?)
    }

    pub(crate) fn read(&mut self, range: PositionRange) -> Outcome<Vec<u8>> {
        let mut bytes = Vec::new();
        self.log.seek(SeekFrom::Start(range.start.0))?;
        Read::by_ref(&mut self.log).take(range.len()).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Walks the log under the history: what does not verify, and all behind it, was never durable.
    fn recover(&mut self, member: MemberId) -> Outcome<Recovered> {
        let (mut end, mut chain, mut log_time) = (Position::ZERO, Chain::default(), LogTime(0));
        let length = self.log.metadata()?.len();
        // In production: in pieces.
        let log = self.read(PositionRange::new(end, Position(length)))?;
        let frame_bytes_max = Limits::default().frame_bytes_max();
        let (mut opened, mut memberships) = (None, Vec::new());
        while let Some(line) = self.history.owner(end) {
            let (bytes, seed) = (&log[end.0 as usize..], FrameSeed::new(TAG, line.term, end));
            let Ok(header) = frame::verify(seed, bytes, &[], frame_bytes_max) else { break };
            let body = parse_body(&header, bytes)?;
            if let Body::TermOpen(open) = body {
                opened = Some((open.term, open.level));
            }
            log_time = body.time();
            chain = chain_after(chain, line.term, end, header.checksum);
            let payload = header.payload(end);
            end = end.plus(header.aligned_length());
            if let Body::Membership { .. } = body {
                let payload = &log[payload.start.0 as usize..payload.end.0 as usize];
                keep_newest(&mut memberships, end, payload)?;
            }
        }
        self.log.set_len(end.0)?;
        self.log.sync_all()?;
        let life = Life { member, incarnation: Incarnation(1), boot_epoch: self.boot_epoch };
        let (vote, history, peers) = (self.vote, self.history.clone(), self.peers.clone());
        let log_end = end;
        let recovered = Recovered::empty(life);
        Ok(Recovered {
            vote,
            history,
            log_end,
            chain,
            log_time,
            opened,
            memberships,
            peers,
            ..recovered
        })
    }

    /// Written beside, synced, renamed: there is always one whole file.
    fn replace_state(&self) -> Outcome {
        let beside = self.folder.join("state.new");
        let mut file = File::create(&beside)?;
        file.write_all(self.format().as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, self.folder.join("state"))?;
        Ok(File::open(&self.folder)?.sync_all()?)
    }

    fn format(&self) -> String {
        let Vote { term, granted_to } = self.vote;
        let granted_to =
            granted_to.map_or_else(|| String::from("nobody"), |member| member.to_string());
        let mut text = format!("boot {}\nvote {} {granted_to}\n", self.boot_epoch.0, term.0);
        for line in self.history.lines() {
            let TermLine { recovery_epoch, term, base, leader, chain } = line;
            let numbers = [u64::from(recovery_epoch.0), term.0, base.0, chain.0];
            text += &format!("line {numbers:?} {}\n", format_life(*leader));
        }
        for PeerRecord { life, acknowledged_in, term, acknowledged } in &self.peers {
            let numbers = [acknowledged_in.0, term.0, acknowledged.0];
            text += &format!("peer {numbers:?} {}\n", format_life(*life));
        }
        text
    }

    fn parse(&mut self, text: &str) -> Option<()> {
        let mut lines = Vec::new();
        for line in text.lines() {
            let (kind, rest) = line.split_once(' ')?;
            let words = rest.split(|letter: char| !letter.is_ascii_alphanumeric());
            let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
            let number = |at: usize| words.get(at)?.parse::<u64>().ok();
            match kind {
                "boot" => self.boot_epoch = BootEpoch(number(0)?),
                "vote" => {
                    let granted_to = number(1).map(|member| MemberId(member as u16));
                    self.vote = Vote { term: Term(number(0)?), granted_to };
                }
                "line" => lines.push(TermLine {
                    recovery_epoch: RecoveryEpoch(number(0)? as u32),
                    term: Term(number(1)?),
                    base: Position(number(2)?),
                    chain: Chain(number(3)?),
                    leader: life(number(4)?, number(5)?, number(6)?),
                }),
                "peer" => self.peers.push(PeerRecord {
                    acknowledged_in: BootEpoch(number(0)?),
                    term: Term(number(1)?),
                    acknowledged: Position(number(2)?),
                    life: life(number(3)?, number(4)?, number(5)?),
                }),
                _ => return None,
            }
        }
        self.history = TermHistory::new(lines).ok()?;
        Some(())
    }
}

fn format_life(Life { member, incarnation, boot_epoch }: Life) -> String {
    format!("{member}.{}.{}", incarnation.0, boot_epoch.0)
}

const fn life(member: u64, incarnation: u64, boot_epoch: u64) -> Life {
    Life {
        member: MemberId(member as u16),
        incarnation: Incarnation(incarnation as u32),
        boot_epoch: BootEpoch(boot_epoch),
    }
}
