use std::path::{Path, PathBuf};

use quorate_archive::{Archive, Options};
use quorate_core::frame::{
    Body, FrameFront, FrameSeed, LOG_VERSION, Level, TermOpen, aligned, chain_after,
};
use quorate_core::{
    BootEpoch, Chain, GroupTag, Incarnation, LogTime, RecoveryEpoch, SessionId, TermHistory,
    TermLine,
};

use super::*;
use crate::archive_ports::{init_archive, open_to_mend};

/// A log of one term: its history, its bytes, and where frames end.
struct Log {
    history: TermHistory,
    bytes: Vec<u8>,
    ends: Vec<u64>,
}

fn log(configuration: &Configuration) -> Log {
    let leader =
        Life { member: MemberId(1), incarnation: Incarnation(1), boot_epoch: BootEpoch(1) };
    let (term, chain, recovery_epoch) = (Term(1), Chain::default(), RecoveryEpoch(0));
    let line = TermLine { recovery_epoch, term, base: Position::ZERO, leader, chain };
    let history = TermHistory::new(vec![line]).unwrap();
    let open = TermOpen {
        term,
        previous_term: Term(0),
        chain,
        time: LogTime(1),
        leader,
        recovery_epoch,
        log_version: LOG_VERSION,
        level: Level::Durable,
    };
    let mut log = Log { history, bytes: Vec::new(), ends: Vec::new() };
    let tag = GroupTag::new(configuration.group, recovery_epoch);
    let mut chain = chain;
    let mut put = |body: &Body, payload: &[u8]| {
        let position = Position(log.bytes.len() as u64);
        let front = FrameFront::new(FrameSeed::new(tag, term, position), body, (payload, &[]));
        log.bytes.extend_from_slice(front.bytes());
        log.bytes.extend_from_slice(payload);
        log.bytes.resize(aligned(log.bytes.len() as u64) as usize, 0);
        log.ends.push(log.bytes.len() as u64);
        chain = chain_after(chain, term, position, front.checksum());
    };
    put(&Body::TermOpen(open), &[]);
    for sequence in 1..=40 {
        let time = LogTime(sequence + 1);
        // The last ones take more than one request.
        let length = if sequence > 38 { 300_000 } else { 1_000 + sequence as usize };
        put(&Body::Message { session: SessionId(8), sequence, time }, &vec![7; length]);
    }
    log
}

struct Member {
    configuration: Configuration,
    _directory: tempfile::TempDir,
}

/// Three members with the same durable log.
fn members() -> (Vec<Member>, Log) {
    members_up_to([41; 3])
}

/// Three members with so many durable frames of the same log.
fn members_up_to(frames: [usize; 3]) -> (Vec<Member>, Log) {
    let list: Vec<String> =
        (1..=3).map(|id| format!("{{ id = {id}, address = \"127.0.0.1:900{id}\" }}")).collect();
    let member = |id| {
        let text = format!(
            "group = \"0x5eed\"\nmember = {id}\ndata = \"x\"\nsecurity = \"checksum-only\"\n\
             members = [{}]\n",
            list.join(", ")
        );
        let directory = tempfile::tempdir().unwrap();
        let mut configuration = Configuration::parse(&text).unwrap();
        configuration.data = directory.path().join("data");
        init_archive(&configuration).unwrap();
        Member { configuration, _directory: directory }
    };
    let members: Vec<Member> = (1..=3).map(member).collect();
    let log = log(&members[0].configuration);
    for (member, frames) in members.iter().zip(frames) {
        let bytes = &log.bytes[..log.ends[frames - 1] as usize];
        let (archive, _) = Archive::open(&member.configuration.data, &Options::default()).unwrap();
        let (mut writer, mut syncer, _) = archive.split();
        let cut = writer.cut(Position::ZERO);
        syncer.persist_history(&log.history, cut).unwrap();
        writer.append(Position::ZERO, bytes, &[]).unwrap();
        syncer.sync().unwrap();
    }
    (members, log)
}

impl Member {
    fn segment(&self) -> PathBuf {
        self.configuration.data.join("log/0000000000000000.segment")
    }

    fn flip(&self, at: u64) {
        let mut bytes = std::fs::read(self.segment()).unwrap();
        bytes[(16 << 10) + at as usize] ^= 4;
        std::fs::write(self.segment(), bytes).unwrap();
    }

    fn mender(&self) -> Mender {
        let refused = open(&self.configuration.data).unwrap_err();
        let archive = open_to_mend(&self.configuration, &refused).unwrap().unwrap();
        Mender::new(archive, &self.configuration, AT)
    }
}

fn open(directory: &Path) -> Result<(), ArchiveError> {
    Archive::open(directory, &Options::default()).map(|_| ())
}

const AT: Instant = Instant(1);

/// Lets menders talk to each other; `passes` says which datagrams arrive. Ends when nobody mends
/// any more, or when one is lost.
fn talk(
    menders: &mut [Option<Mender>],
    mut passes: impl FnMut() -> bool,
) -> Result<Instant, MendError> {
    let mut now = AT;
    for _ in 0..100_000 {
        let mut sent = Vec::new();
        for (index, mender) in menders.iter_mut().enumerate() {
            let Some(mender) = mender else { continue };
            mender.timer(now);
            mender.check()?;
            while let Some(outgoing) = mender.take_outgoing() {
                sent.push((MemberId(index as u16 + 1), outgoing));
            }
        }
        for (from, outgoing) in sent {
            deliver(menders, now, from, outgoing, &mut passes)?;
        }
        if menders.iter().flatten().all(|mender| mender.hole().is_none()) {
            return Ok(now);
        }
        now.0 += 1_000_000;
    }
    panic!("nothing ends this");
}

fn deliver(
    menders: &mut [Option<Mender>],
    now: Instant,
    from: MemberId,
    outgoing: Outgoing,
    passes: &mut impl FnMut() -> bool,
) -> Result<(), MendError> {
    let (Outgoing::Control(to, _) | Outgoing::Data(to, ..)) = &outgoing;
    let Some(to) = &mut menders[usize::from(to.0) - 1] else { return Ok(()) };
    match outgoing {
        Outgoing::Control(_, message) if passes() => {
            to.received(now, from, &Incoming::Control(message))
        }
        Outgoing::Control(..) => Ok(()),
        Outgoing::Data(_, term, range, bytes) => {
            for (index, slice) in bytes.chunks(1_216).enumerate() {
                let position = range.start.plus(index as u64 * 1_216);
                let (stream, epoch, live) = (Stream::Log, term.0, None);
                if passes() {
                    let data = Incoming::Data { stream, epoch, position, live, slice };
                    to.received(now, from, &data)?;
                }
            }
            Ok(())
        }
    }
}

fn all(members: &[Member]) -> Vec<Option<Mender>> {
    members.iter().map(|member| Some(member.mender())).collect()
}

#[test]
fn e45_damage_of_different_places_on_all_members_heals_whatever_is_lost_on_the_way() {
    for loss in [0, 3, 10] {
        let (members, log) = members();
        for (member, frames) in members.iter().zip([[3, 38], [10, 39], [20, 21]]) {
            frames.iter().for_each(|frame| member.flip(log.ends[*frame] + 24));
        }
        let mut menders = all(&members);
        let mut dice = 0_u64;
        let passes = || {
            dice = quorate_core::hash::mix(dice, 7);
            dice % 100 >= loss * 3
        };
        talk(&mut menders, passes).unwrap();
        assert!(menders.iter().flatten().all(|mender| mender.mended_bytes() > 2_000));
        drop(menders);
        for member in &members {
            open(&member.configuration.data).unwrap();
            let file = std::fs::read(member.segment()).unwrap();
            assert_eq!(file[16 << 10..][..log.bytes.len()], log.bytes);
        }
    }
}

#[test]
fn e46_one_whole_copy_is_enough_and_without_any_nobody_guesses() {
    let (members, log) = members();
    let at = log.ends[5];
    members.iter().for_each(|member| member.flip(at + 24));
    let mut menders = all(&members);
    let error = talk(&mut menders, || true).unwrap_err();
    let MendError::Lost { at: lost, path, others } = error else { panic!("{error}") };
    assert_eq!((lost.0, others), (at, vec![2, 3]));
    assert_eq!(path, members[0].segment().display().to_string());
    drop(menders);
    members[2].flip(at + 24);
    // It has to be damaged elsewhere, or it is nobody to ask here.
    members[2].flip(log.ends[30] + 24);
    talk(&mut all(&members), || true).unwrap();
    members.iter().for_each(|member| open(&member.configuration.data).unwrap());
}

#[test]
fn e45_who_has_less_of_the_log_sends_what_it_has() {
    let (members, log) = members_up_to([41, 8, 9]);
    for (member, frame) in members.iter().zip([3, 2, 2]) {
        member.flip(log.ends[frame] + 24);
    }
    talk(&mut all(&members), || true).unwrap();
    members.iter().for_each(|member| open(&member.configuration.data).unwrap());
}

#[test]
fn who_is_silent_may_have_it_and_who_sends_false_bytes_is_not_believed() {
    let (members, log) = members();
    let at = log.ends[5];
    members[0].flip(at + 24);
    let mut mender = members[0].mender();
    // Member 2 is silent for ever, member 3 has not got it.
    let mut asked = [0; 4];
    for milliseconds in 0..20_000 {
        let now = Instant(AT.0 + milliseconds * 1_000_000);
        mender.timer(now);
        mender.check().unwrap();
        while let Some(outgoing) = mender.take_outgoing() {
            let Outgoing::Control(to, Message::Nak { ranges, .. }) = outgoing else {
                panic!("{outgoing:?}")
            };
            asked[usize::from(to.0)] += 1;
            let (stream, range) = (Stream::Log, ranges[0]);
            assert_eq!((range.epoch, range.range.start.0), (1, at));
            if to == MemberId(3) {
                let oldest = Position::ZERO;
                let refusal = Message::Unavailable { stream, range, oldest };
                mender.received(now, to, &Incoming::Control(refusal)).unwrap();
            }
        }
    }
    assert!(asked[2] > 5 && asked[3] > 5 && asked[1] == 0, "{asked:?}");

    // What comes unasked, of another term, or is not what was there, changes nothing.
    let frame = &log.bytes[at as usize..log.ends[6] as usize];
    let mut bad = frame.to_vec();
    bad[100] ^= 1;
    let before = std::fs::read(members[0].segment()).unwrap();
    let (stream, live, position) = (Stream::Log, None, Position(at));
    let mut now = Instant(AT.0 + 20_000_000_000);
    let mut next = |mender: &mut Mender| loop {
        now.0 += 1_000_000;
        mender.timer(now);
        if let Some(Outgoing::Control(to, _)) = mender.take_outgoing() {
            return (now, to);
        }
    };
    let (now, to) = next(&mut mender);
    let other = MemberId(5 - to.0);
    for (from, epoch, slice) in [(other, 1, frame), (to, 2, frame), (to, 1, &bad[..])] {
        let data = Incoming::Data { stream, epoch, position, live, slice };
        mender.received(now, from, &data).unwrap();
        assert_eq!(mender.hole().unwrap().at.0, at);
    }
    assert_eq!(std::fs::read(members[0].segment()).unwrap(), before);
    let (now, to) = next(&mut mender);
    assert_eq!(to, other, "who sent false bytes is passed over");
    let data = Incoming::Data { stream, epoch: 1, position, live, slice: frame };
    mender.received(now, to, &data).unwrap();
    assert!(mender.hole().is_none());
}
