//! Bytes that nobody should have sent or written.

use quorate_archive::memory::Fate;
use quorate_codecs::{DecodeError, HEADER_BYTES, Header, decode, encode_control};
use quorate_core::{Message, Term};
use quorate_sim::{Dice, Place};

use crate::allocations;
use crate::case::{Verdict, check};
use crate::desk::member_sender;
use crate::files::{Log, Open, filled};
use crate::golden::{VECTOR_TAG, seal, vectors};
use crate::stage::{MILLI, Options, TAG};
use crate::stage::{SECOND, Stage};
use crate::trial::Trial;

/// Random bytes, or a vector with some bytes changed, cut short or longer, sealed or not.
fn hostile(dice: &mut Dice, vectors: &[crate::golden::Vector]) -> Vec<u8> {
    let length = dice.below(1_500) as usize;
    if dice.below(3) == 0 {
        return (0..length).map(|_| dice.bits() as u8).collect();
    }
    let mut bytes = vectors[dice.below(vectors.len() as u64) as usize].bytes.clone();
    for _ in 0..dice.below(6) {
        let at = dice.below(bytes.len() as u64) as usize;
        let any = dice.bits() as u8;
        bytes[at] = dice.pick(&[0, 1, 0x7f, 0x80, 0xff, any]);
    }
    match dice.below(4) {
        0 => bytes.truncate(length),
        1 => bytes.resize(bytes.len() + length, 0x5a),
        _ => {}
    }
    if dice.below(2) == 0 {
        seal(&mut bytes);
    }
    bytes
}

pub(super) fn bi_01(trial: &mut Trial<'_>) -> Verdict {
    let vectors = vectors();
    let mut dice = Dice::new(trial.seed(), "bytes");
    let (mut taken, mut most) = (0, 0);
    for _ in 0..trial.times(4_000, 60_000, 3_000_000) {
        let bytes = hostile(&mut dice, &vectors);
        // Panics when what it takes is not sound.
        quorate_fuzz::decode(&bytes);
        let mut ok = false;
        let found = allocations::measure(|| ok = decode(&bytes, VECTOR_TAG).is_ok());
        taken += u64::from(ok);
        most = most.max(found.peak_bytes);
        check(found.peak_bytes <= 2 * bytes.len() as u64, || {
            format!("{} bytes make it allocate {}", bytes.len(), found.peak_bytes)
        })?;
    }
    trial.count("datagrams_taken", taken);
    trial.count("allocated_bytes_max", most);
    check(taken > 0, || "none of the changed vectors was ever taken: the search is blind")
}

/// A change of a header: what, where, the bytes, and the refusal if there is to be one.
type Change = (&'static str, usize, &'static [u8], Result<(), DecodeError>);

pub(super) fn bi_04(_: &mut Trial<'_>) -> Verdict {
    // Where the fields of the headers lie.
    let fields: [Change; 11] = [
        ("an unknown template", 42, &[99, 0], Err(DecodeError::Template)),
        ("the template of a frame", 42, &[4, 0], Err(DecodeError::Template)),
        ("template 0", 42, &[0, 0], Err(DecodeError::Template)),
        ("another schema", 44, &[1, 0], Err(DecodeError::Schema)),
        ("a newer version of the schema", 46, &[2, 0], Ok(())),
        ("the newest version of the schema", 46, &[255, 255], Ok(())),
        ("another wire version", 2, &[2], Err(DecodeError::WireVersion)),
        ("a newer version of the log", 3, &[2], Err(DecodeError::LogVersion)),
        ("another group", 8, &[0], Err(DecodeError::ForeignGroup)),
        ("an unknown kind of sender", 36, &[7], Err(DecodeError::Sender)),
        ("reserved bytes", 37, &[0xff, 0xff, 0xff], Ok(())),
    ];
    for vector in vectors() {
        let said = decode(&vector.bytes, VECTOR_TAG);
        for (what, at, change, expected) in &fields {
            let mut bytes = vector.bytes.clone();
            bytes[*at..at + change.len()].copy_from_slice(change);
            seal(&mut bytes);
            let found = decode(&bytes, VECTOR_TAG);
            let same = match expected {
                Ok(()) => found == said,
                Err(error) => found.as_ref().err() == Some(error),
            };
            check(same, || format!("{} with {what}: {found:?}", vector.name))?;
        }
    }
    let mut names: Vec<_> = DecodeError::ALL.map(DecodeError::name).to_vec();
    names.sort_unstable();
    names.dedup();
    check(names.len() == DecodeError::ALL.len(), || "two refusals share a counter")
}

/// A heartbeat of member 1 that no member of a settled group would be moved by.
fn heartbeat() -> Vec<u8> {
    let mut bytes = vec![0; 2_048];
    let header = Header { tag: TAG, sender: member_sender(1, 1) };
    let message = Message::Abdicate { term: Term(0) };
    let length = encode_control(&header, &message, &mut bytes).unwrap_or(0);
    bytes.truncate(length);
    bytes
}

pub(super) fn bi_05(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let leader = stage.settle()?;
    let (term, elections) = (stage.view(leader).term, stage.elections());
    let client = stage.client();
    stage.request(client, b"before")?;
    let mut dice = Dice::new(trial.seed(), "sizes");
    let mut sizes: Vec<Vec<u8>> = [0, 1, HEADER_BYTES - 1, HEADER_BYTES, 1_409, 9_001, 65_507]
        .map(|length| (0..length).map(|_| dice.bits() as u8).collect())
        .to_vec();
    sizes.push(vec![0; 65_507]);
    // A whole datagram with something behind it, and one that lacks its end.
    let whole = heartbeat();
    sizes.push([&whole[..], &[0; 9]].concat());
    sizes.push(whole[..whole.len() - 1].to_vec());
    sizes.push(whole[..HEADER_BYTES].to_vec());
    for round in 0..trial.times(2, 10, 50) {
        for bytes in &sizes {
            for member in stage.numbers() {
                let other = if member == leader { stage.other_than(leader) } else { leader };
                stage.inject(Stage::place_of(other), member, bytes.clone());
                stage.inject(Place::Client(99), member, bytes.clone());
                trial.count("injected", 2);
            }
        }
        stage.request(client, &round.to_le_bytes())?;
    }
    stage.run(2 * stage.election_timeout())?;
    stage.request(client, b"after")?;
    let members: Vec<u16> = stage.numbers().collect();
    stage.until("all are level", SECOND, |stage| stage.is_level(&members))?;
    let same = stage.elections() == elections && stage.view(leader).term == term;
    stage.check(same, || "they moved leader or term".to_owned())?;
    let stopped = members.iter().any(|member| stage.stopped(*member).is_some());
    stage.check(!stopped, || "a member stopped".to_owned())?;
    stage.run(MILLI)
}

pub(super) fn bi_09(trial: &mut Trial<'_>) -> Verdict {
    let log = Log::of(8, 400);
    let disk = filled(&log, &[log.ends[5]])?;
    let mut dice = Dice::new(trial.seed(), "files");
    let rounds = trial.times(1, 6, 60);
    for path in disk.files() {
        let whole = disk.content(&path).unwrap_or_default();
        let length = whole.len() as u64;
        let lengths = [0, 1, 7, 8, 63, 64, 511, length / 2, length.saturating_sub(1), length];
        for kept in lengths.into_iter().chain([length + 1, length + 4_096]) {
            for round in 0..rounds {
                let odd = disk.crashed(Fate::Kept);
                odd.edit(&path, |bytes| {
                    // Random as a whole, or behind a sound beginning.
                    let sound = if round % 2 == 0 { 0 } else { dice.below(kept + 1) as usize };
                    bytes.truncate(sound);
                    bytes.resize_with(kept as usize, || dice.bits() as u8);
                });
                let context = || format!("{} of {kept} bytes", path.display());
                match Open::on(&odd) {
                    Ok(open) => {
                        let (end, bytes) = (open.recovered.log_end.0 as usize, open.bytes());
                        let same =
                            bytes.is_ok_and(|bytes| Some(&bytes[..]) == log.bytes.get(..end));
                        check(same, || format!("{}: other bytes are read", context()))?;
                        trial.count("recovered", 1);
                    }
                    Err(error) => {
                        let text = error.to_string();
                        check(text.contains("/member") || text.contains("the log"), || {
                            format!("{}: the refusal names nothing: {text}", context())
                        })?;
                        trial.count("refused", 1);
                    }
                }
            }
        }
    }
    Ok(())
}
