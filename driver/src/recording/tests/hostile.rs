//! Recordings whose checks are right and whose content is not: files come from anywhere.

use quorate_core::random::Random;

use super::super::replay_loop::ReplayLoop;
use super::*;

/// The first records of the recording, some changed, repeated, moved or left out.
fn distorted(bodies: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut below = |bound: usize| (random.next_u64() % bound.max(1) as u64) as usize;
    let mut bodies = bodies[..2 + below(bodies.len() - 2)].to_vec();
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

fn looped(bytes: &[u8]) -> Result<Replayed, RecordingError> {
    let mut looped = ReplayLoop::new(RecordingReader::new(bytes)?)?;
    loop {
        if let Some(replayed) = looped.step()? {
            return Ok(replayed);
        }
    }
}

#[test]
fn recordings_that_were_tampered_with_are_replayed_or_refused_alike_on_both_ways() {
    let ends = boundaries(&EVENTFUL);
    let bodies = ends.windows(2).map(|ends| EVENTFUL[ends[0] + 8..ends[1] - 4].to_vec());
    let bodies: Vec<_> = bodies.collect();
    let mut refused = 0;
    // The last ones have limits that nobody can configure.
    for seed in (0..100).chain([1_426, 4_197, 14_554]) {
        let bytes = distorted(&bodies, seed);
        match (replayed(&bytes), looped(&bytes)) {
            (Ok(core), Ok(looped)) => assert_eq!(core, looped, "seed {seed}"),
            (Err(core), Err(looped)) => {
                assert_eq!(core.to_string(), looped.to_string(), "seed {seed}");
                refused += 1;
            }
            (core, looped) => panic!("seed {seed}: {core:?} and {looped:?}"),
        }
    }
    assert!((10..90).contains(&refused), "{refused} of 103 were refused");
}
