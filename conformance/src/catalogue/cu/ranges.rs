//! Cases about ranges that are held, missing and disowned.

use quorate_core::stream::Image;
use quorate_core::{Destination, Instant, MemberId, Position, PositionRange, Term};
use quorate_sim::Dice;

use crate::case::{Verdict, check};
use crate::desk::line;
use crate::scripted_log::{ScriptedLog, range, runs, small_desk};
use crate::trial::Trial;

pub(super) fn cu_04(_: &mut Trial<'_>) -> Verdict {
    let log = ScriptedLog::new(2, 2, 20, 200);
    let mut desk = log.holder(small_desk(3))?;
    desk.check(desk.view().commit == Position::ZERO, "nothing is to be committed")?;
    desk.receive(3, log.nak(&[range(512, 1_024)]));
    let sent = runs(&desk.actions);
    let asked = (Destination::Member(MemberId(3)), range(512, 1_024), false);
    desk.check(sent == [asked], &format!("sent {sent:?}"))?;
    // The same request in another term is one for other bytes.
    desk.receive(3, crate::scripted_log::nak(3, &[range(512, 1_024)]));
    desk.check(runs(&desk.actions).is_empty(), "it sends bytes of a term that does not own them")?;

    // Whoever took them cuts them when a later term owns the positions.
    let mut desk = log.follower(small_desk(3))?;
    for slice in log.slices(256) {
        log.feed(&mut desk, &slice);
    }
    desk.complete_all();
    desk.check(desk.view().verified == log.end(), "it did not take what was repaired")?;
    let kept = &log.frames[10];
    let later = line(3, 3, kept.end, kept.chain);
    desk.follow(3, 3, &[log.line, later]);
    let (view, written) = (desk.view(), desk.disk.written_end());
    let is_cut = view.verified == kept.end && written == kept.end && desk.stopped.is_none();
    desk.check(is_cut, &format!("cut at {}, on disk at {written}", view.verified))?;
    desk.check(desk.view().term == Term(3), "it does not follow the later term")
}

/// Checks an image beside a plain set of words of 8 bytes.
fn agrees(image: &Image, held: &[bool], ranges_max: usize) -> Verdict {
    let prefix = held.iter().position(|held| !held).unwrap_or(held.len());
    check(image.received() == Position(8 * prefix as u64), || {
        format!("held to {}, not {}", image.received(), 8 * prefix)
    })?;
    let ranges = image.beyond();
    check(ranges.len() <= ranges_max, || format!("{} ranges noted", ranges.len()))?;
    let is_noted = |word: usize| {
        let word = PositionRange::at(Position(8 * word as u64), 8);
        ranges.iter().any(|range| range.contains(word))
    };
    let wrong = (prefix..held.len()).find(|word| is_noted(*word) != held[*word]);
    check(wrong.is_none(), || format!("word {wrong:?} is held or missing, and noted otherwise"))
}

/// All orders of the numbers below `count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for number in 0..count {
        orders = orders
            .iter()
            .flat_map(|order: &Vec<usize>| {
                (0..=order.len()).map(move |at| {
                    let mut longer = order.clone();
                    longer.insert(at, number);
                    longer
                })
            })
            .collect();
    }
    orders
}

pub(super) fn cu_06(trial: &mut Trial<'_>) -> Verdict {
    // Ranges of words: some touch, some overlap, some lie apart.
    const RANGES: [(usize, usize); 7] =
        [(0, 2), (2, 5), (4, 7), (8, 9), (9, 12), (11, 15), (14, 16)];
    for order in orders(RANGES.len()) {
        let (mut image, mut held) = (Image::new(Position::ZERO, 16), [false; 16]);
        for index in order {
            let (start, end) = RANGES[index];
            image.insert(Instant(0), range(8 * start as u64, 8 * end as u64));
            held[start..end].fill(true);
            agrees(&image, &held, 16)?;
        }
    }
    let mut dice = Dice::new(trial.seed(), "cu_06");
    for _ in 0..trial.times(2, 10, 100) {
        // Of many pieces the farthest are forgotten, and what is noted was held.
        let ranges_max = 64;
        let (mut image, mut held) = (Image::new(Position::ZERO, ranges_max), vec![false; 8_192]);
        for _ in 0..1_000 {
            let start = dice.below(8_000) as usize;
            let end = start + dice.between(1, 8) as usize;
            image.insert(Instant(0), range(8 * start as u64, 8 * end as u64));
            held[start..end].fill(true);
            let ranges = image.beyond();
            check(ranges.len() <= ranges_max, || format!("{} ranges noted", ranges.len()))?;
            for range in ranges {
                let words = range.start.0 as usize / 8..range.end.0 as usize / 8;
                check(held[words].iter().all(|held| *held), || format!("{range} is not held"))?;
            }
        }
    }
    Ok(())
}
