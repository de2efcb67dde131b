//! Recordings whose checks are right and whose content is not: files come from anywhere.

use quorate_core::random::Random;

use super::super::replay_loop::ReplayLoop;
use super::*;

/// The recording with a few records changed, repeated, moved or left out.
fn distorted(bodies: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut below = |bound: usize| (random.next_u64() % bound.max(1) as u64) as usize;
    // Not all of it, and not always from the beginning of the run on: most is alike.
    let length = 2 + below(bodies.len() - 2);
    let mut bodies = bodies[..length].to_vec();
    for _ in 0..=below(4) {
        let one = if below(4) == 0 { 0 } else { below(bodies.len()) };
        let other = 1 + below(bodies.len() - 1);
        match below(8) {
            0 => drop(bodies.remove(other)),
            1 => bodies.insert(other, bodies[other].clone()),
            2 if one > 0 => bodies.swap(one, other),
            _ => {
                let body = &mut bodies[one];
                let at = below(body.len());
                let end = (at + [1, 2, 4, 8][below(4)]).min(body.len());
                let value = [0, 1, 0x7f, 0x80, 0xff, below(256) as u8][below(6)];
                body[at..end].fill(value);
            }
        }
        if bodies.len() < 2 {
            break;
        }
    }
    let mut bytes = EVENTFUL[..12].to_vec();
    for (number, body) in (0..).zip(&bodies) {
        frames::write_record(number, body, &mut bytes);
    }
    bytes
}

/// Whatever is in them, it is replayed or refused, the same on both ways.
#[test]
fn recordings_that_were_tampered_with_are_replayed_or_refused() {
    let ends = boundaries(&EVENTFUL);
    let bodies = ends.windows(2).map(|ends| EVENTFUL[ends[0] + 8..ends[1] - 4].to_vec());
    let bodies: Vec<_> = bodies.collect();
    let count = std::env::var("HOSTILE").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    for seed in 0..count {
        let bytes = distorted(&bodies, seed);
        let result = std::panic::catch_unwind(|| {
        let core = replayed(&bytes);
        let looped = RecordingReader::new(bytes.as_slice()).and_then(|recording| {
            let mut looped = ReplayLoop::new(recording)?;
            loop {
                if let Some(replayed) = looped.step()? {
                    return Ok(replayed);
                }
            }
        });
        match (core, looped) {
            (Ok(core), Ok(looped)) => if core != looped { println!("seed {seed}: {core:?} {looped:?}") },
            (Err(_), Err(_)) => {}
            (Err(RecordingError::Undecodable { .. }), Ok(_)) => println!("seed {seed}: undecodable"),
            (core, looped) => println!("seed {seed}: {core:?}, {looped:?}"),
        }});
        if result.is_err() { println!("PANIC seed {seed}"); }
    }
}
