//! What a receiver asks for, and when.

use super::*;
use crate::stream::Sharing;
use quickcheck::quickcheck;

const TIMING: NakTiming =
    NakTiming { delay: Duration(10), retry: Duration(100), bytes_max: 1 << 20, sharing: None };
const FAR: Position = Position::MAX;

fn range(start: u64, end: u64) -> PositionRange {
    PositionRange::new(Position(start), Position(end))
}

fn image() -> Image {
    Image::new(Position(0), 16)
}

#[test]
fn reordering_within_the_delay_asks_for_nothing() {
    let mut image = image();
    image.insert(Instant(0), range(8, 16));
    assert!(image.poll(Instant(0), TIMING, FAR).is_empty());
    image.insert(Instant(9), range(0, 8));
    assert!(image.poll(Instant(10), TIMING, FAR).is_empty());
    assert_eq!(image.received(), Position(16));
    assert_eq!(image.next_deadline(TIMING), None);
}

#[test]
fn a_hole_that_three_slices_have_overtaken_is_asked_for_at_once() {
    let mut image = image();
    for (at, start) in [(0, 8), (1, 24)] {
        image.insert(Instant(at), range(start, start + 8));
        assert!(image.poll(Instant(at), TIMING, FAR).is_empty());
    }
    image.insert(Instant(2), range(32, 40));
    assert_eq!(image.poll(Instant(2), TIMING, FAR).as_slice(), [range(0, 8)]);
    // The other hole has its delay.
    assert!(image.poll(Instant(9), TIMING, FAR).is_empty());
    assert_eq!(image.poll(Instant(12), TIMING, FAR).as_slice(), [range(16, 24)]);
    // What has overtaken the first does not count against another that becomes the first.
    image.insert(Instant(13), range(0, 8));
    image.insert(Instant(13), range(16, 24));
    image.insert(Instant(13), range(48, 56));
    assert!(image.poll(Instant(13), TIMING, FAR).is_empty());
    assert_eq!(image.next_deadline(TIMING), Some(Instant(23)));
}

#[test]
fn e86_a_lost_tail_is_asked_for_once_the_newest_position_is_heard() {
    let mut image = image();
    image.hear_newest(Position(64));
    assert!(image.poll(Instant(0), TIMING, FAR).is_empty());
    // The announcement may have overtaken the bytes.
    assert!(image.poll(Instant(29), TIMING, FAR).is_empty());
    assert_eq!(image.poll(Instant(30), TIMING, FAR).as_slice(), [range(0, 64)]);
}

#[test]
fn a_hole_that_was_announced_waits_no_longer_than_others_once_bytes_come_behind_it() {
    let mut image = image();
    image.hear_newest(Position(64));
    assert!(image.poll(Instant(0), TIMING, FAR).is_empty());
    image.insert(Instant(5), range(8, 64));
    assert!(image.poll(Instant(5), TIMING, FAR).is_empty());
    assert_eq!(image.next_deadline(TIMING), Some(Instant(15)));
    assert_eq!(image.poll(Instant(15), TIMING, FAR).as_slice(), [range(0, 8)]);
}

#[test]
fn e87_several_holes_go_into_one_request_and_are_not_repeated_early() {
    let mut image = image();
    for start in [8, 24] {
        image.insert(Instant(0), range(start, start + 8));
    }
    image.hear_newest(Position(40));
    image.poll(Instant(0), TIMING, FAR);
    let holes = [range(0, 8), range(16, 24), range(32, 40)];
    assert_eq!(image.poll(Instant(10), TIMING, FAR).as_slice(), holes);
    for now in 11..110 {
        assert!(image.poll(Instant(now), TIMING, FAR).is_empty(), "at {now}");
    }
    image.poll(Instant(110), TIMING, FAR);
    assert_eq!(image.poll(Instant(120), TIMING, FAR).as_slice(), holes);
    assert_eq!(image.unanswered(), 1);
}

#[test]
fn a_request_that_is_being_answered_is_left_alone() {
    let mut image = image();
    image.hear_newest(Position(64));
    image.poll(Instant(0), TIMING, FAR);
    image.poll(Instant(30), TIMING, FAR);
    image.insert(Instant(120), range(0, 8));
    assert!(image.poll(Instant(170), TIMING, FAR).is_empty());
    image.poll(Instant(220), TIMING, FAR);
    assert_eq!(image.poll(Instant(250), TIMING, FAR).as_slice(), [range(8, 64)]);
}

#[test]
fn outstanding_bytes_are_bounded() {
    let mut image = image();
    let timing = NakTiming { bytes_max: 16, ..TIMING };
    image.hear_newest(Position(1_000));
    image.poll(Instant(0), timing, FAR);
    assert_eq!(image.poll(Instant(30), timing, FAR).as_slice(), [range(0, 16)]);
    image.insert(Instant(31), range(0, 16));
    image.poll(Instant(31), timing, FAR);
    assert_eq!(image.poll(Instant(61), timing, FAR).as_slice(), [range(16, 32)]);
}

#[test]
fn nothing_at_or_above_the_limit_is_asked_for() {
    let mut image = image();
    image.hear_newest(Position(1_000));
    image.poll(Instant(0), TIMING, Position(64));
    assert_eq!(image.poll(Instant(30), TIMING, Position(64)).as_slice(), [range(0, 64)]);
}

#[test]
fn a_cut_forgets_what_lies_above() {
    let mut image = image();
    image.insert(Instant(0), range(0, 32));
    image.insert(Instant(0), range(48, 64));
    image.cut(Position(24));
    assert_eq!((image.received(), image.seen()), (Position(24), Position(24)));
    assert!(!image.has_gap());
}

#[test]
fn holes_that_were_asked_for_are_not_looked_at_again() {
    let most = |holes: u64| {
        let mut image = Image::new(Position(0), 1 << 16);
        let timing = NakTiming { bytes_max: u64::MAX, ..TIMING };
        image.hear_newest(Position(16 * holes));
        image.poll(Instant(0), timing, FAR);
        image.poll(Instant(30), timing, FAR);
        assert_eq!(image.requests(), 1);
        let (mut before, mut most) = (image.steps(), 0);
        for number in 0..holes {
            image.insert(Instant(31), range(16 * number + 8, 16 * number + 16));
            image.poll(Instant(31), timing, FAR);
            most = most.max(image.steps() - before);
            before = image.steps();
        }
        assert_eq!(image.beyond().len() as u64, holes);
        most
    };
    assert!(most(16) <= 40, "{}", most(16));
    assert!(most(16 << 10) <= 80, "{}", most(16 << 10));
}

#[test]
fn e124_what_is_left_of_the_room_asks_for_no_crumb() {
    let mut image = image();
    let timing = NakTiming { bytes_max: 256, ..TIMING };
    image.hear_newest(Position(8 * 240));
    image.insert(Instant(0), range(232, 8 * 240));
    assert_eq!(image.unasked(timing, FAR, 8).as_slice(), [range(0, 232)]);
    image.poll(Instant(0), timing, FAR);
    assert_eq!(image.poll(Instant(10), timing, FAR).as_slice(), [range(0, 232)]);
    // 24 bytes of room are too few for a part of what is more, and enough for what is whole.
    image.hear_newest(Position(8 * 260));
    assert!(image.unasked(timing, FAR, 8).is_empty());
    image.insert(Instant(10), range(8 * 243, 8 * 260));
    assert_eq!(image.unasked(timing, FAR, 8).as_slice(), [range(8 * 240, 8 * 243)]);
}

/// What `image` would ask for, found by looking at all that it holds and has asked for.
fn unasked_naively(image: &Image, timing: NakTiming, limit: Position) -> Vec<PositionRange> {
    let is_missing = |at: &u64| {
        let byte = range(*at, at + 1);
        !image.beyond.ranges().iter().any(|held| held.contains(byte))
    };
    let holes: Vec<u64> = (image.received.0..image.seen.min(limit).0).filter(is_missing).collect();
    let asked = |at: &u64| image.asked.iter().any(|it| it.range.contains(range(*at, at + 1)));
    let above = image.asked.iter().flat_map(|it| it.range.start.0..it.range.end.0);
    let outstanding = above.filter(|at| *at >= image.received.0 && is_missing(at)).count();
    let mut all: Vec<PositionRange> = Vec::new();
    for at in holes.into_iter().filter(|at| !asked(at)) {
        match all.last_mut() {
            Some(last) if last.end.0 == at => last.end = Position(at + 1),
            _ => all.push(range(at, at + 1)),
        }
    }
    let mut room = timing.bytes_max.saturating_sub(outstanding as u64);
    let mut found: Vec<PositionRange> = Vec::new();
    for hole in all {
        if room == 0 || hole.len() > room && room < timing.bytes_max / CRUMBS_PER_ROOM {
            break;
        }
        let clipped = PositionRange::at(hole.start, hole.len().min(room.next_multiple_of(8)));
        room = room.saturating_sub(clipped.len());
        found.push(clipped);
    }
    found.truncate(NAK_RANGES_MAX.min(REQUESTS_MAX - image.asked.len()));
    found
}

quickcheck! {
    fn what_is_asked_for_is_what_a_naive_search_finds(steps: Vec<(u8, u8, u8)>) -> bool {
        let mut image = Image::new(Position(0), 6);
        let timing = NakTiming { bytes_max: 256, ..TIMING };
        let (mut now, mut agrees) = (Instant(0), true);
        for (kind, start, length) in steps {
            let start = 8 * u64::from(start);
            let part = range(start, start + 8 * u64::from(length % 16));
            now += Duration(u64::from(length % 32));
            match kind % 8 {
                0 => image.hear_newest(Position(start)),
                1 => image.cut(Position(start)),
                _ => {
                    image.take_in(now, part, |_| {});
                }
            }
            image.poll(now, timing, FAR);
            let found = image.unasked(timing, FAR, NAK_RANGES_MAX);
            agrees &= found.as_slice() == unasked_naively(&image, timing, FAR);
        }
        agrees
    }
}

/// Parts of 16 bytes below 960, up to 64 bytes at a time.
const SHARED: NakTiming = NakTiming {
    bytes_max: 64,
    sharing: Some(Sharing {
        below: Position(960),
        part_bytes: 16,
        patience: Duration(1_000),
        part_time: Duration(5_000),
    }),
    ..TIMING
};

/// Asks for what may be asked for at `now`, all of it of `source`.
fn ask(image: &mut Image, now: u64, source: u16) -> Vec<PositionRange> {
    let parts = image.poll(Instant(now), SHARED, FAR).to_vec();
    parts.iter().for_each(|part| image.ask_of(part.start, MemberId(source)));
    parts
}

/// A catch-up, asked for in four parts of `source` at 30.
fn catching_up(source: u16) -> Image {
    let mut image = image();
    image.hear_newest(Position(1_000));
    ask(&mut image, 0, source);
    let parts = [range(0, 16), range(16, 32), range(32, 48), range(48, 64)];
    assert_eq!(ask(&mut image, 30, source), parts);
    assert_eq!(image.outstanding_of(MemberId(source)), 64);
    image
}

#[test]
fn a_catch_up_is_asked_for_in_parts_up_to_its_end() {
    let mut image = catching_up(2);
    image.insert(Instant(31), range(0, 944));
    ask(&mut image, 31, 2);
    // What is written behind the end of the catch-up is one hole.
    assert_eq!(ask(&mut image, 61, 3), [range(944, 960), range(960, 1_000)]);
}

#[test]
fn who_sends_nothing_has_failed_when_patience_is_over_and_who_sends_has_not() {
    let mut image = catching_up(2);
    assert!(ask(&mut image, 1_029, 2).is_empty() && image.take_outcomes().is_empty());
    ask(&mut image, 1_030, 2);
    let failed = (MemberId(2), Outcome::Failed);
    assert_eq!(image.take_outcomes(), [failed; 4]);
    assert_eq!(image.unanswered(), 0, "the leader is to be asked for what is new");

    // While it sends one part, the others of it may take their time.
    let mut image = catching_up(2);
    image.insert(Instant(900), range(0, 16));
    ask(&mut image, 1_030, 2);
    assert_eq!(image.take_outcomes(), [(MemberId(2), Outcome::Answered)]);
    // The rest of a part of which some came is lost rather than late: nobody has failed.
    image.insert(Instant(1_100), range(16, 24));
    assert!(ask(&mut image, 1_499, 3).iter().all(|part| part.start >= Position(64)));
    assert!(ask(&mut image, 1_500, 3).is_empty());
    assert_eq!(ask(&mut image, 1_530, 3)[0], range(24, 32));
    assert!(image.take_outcomes().is_empty());
}

#[test]
fn e88_a_part_that_was_refused_is_asked_for_again_after_the_retry_interval() {
    let mut image = catching_up(2);
    assert!(!image.refuse_parts(MemberId(3), range(16, 32)));
    assert!(image.refuse_parts(MemberId(2), range(16, 32)));
    assert!(ask(&mut image, 129, 3).is_empty());
    ask(&mut image, 130, 3);
    assert_eq!(ask(&mut image, 160, 3), [range(16, 32)]);
    assert!(image.take_outcomes().is_empty());
}

#[test]
fn a_part_that_many_later_ones_have_overtaken_is_asked_of_another() {
    let mut image = catching_up(2);
    image.insert(Instant(40), range(16, 64));
    let (mut now, mut whole) = (40, 1);
    while whole < 30 {
        now += 50;
        // The first part trickles: its source is alive, and slow.
        image.insert(Instant(now), range(0, 8));
        let parts = ask(&mut image, now, 3);
        if parts.first().is_some_and(|part| part.start == Position(8)) {
            break;
        }
        for part in parts {
            whole += 1;
            image.insert(Instant(now + 1), part);
        }
    }
    assert!((14..=20).contains(&whole), "after {whole} parts");
    assert!(image.take_outcomes().contains(&(MemberId(2), Outcome::Failed)));
}

#[test]
fn a_part_is_overtaken_by_what_has_no_room_behind_it() {
    let mut image = Image::new(Position(0), 1);
    image.hear_newest(Position(1_000));
    ask(&mut image, 0, 2);
    assert_eq!(ask(&mut image, 30, 2).len(), 4);
    // Others come in pieces, each of which drops the one before: none of them is ever whole.
    let (mut now, mut drops) = (30, 0);
    let asked = loop {
        now += 50;
        drops += 2;
        image.insert(Instant(now), range(40, 48));
        image.insert(Instant(now), range(20, 24));
        let parts = ask(&mut image, now, 3);
        if parts.first().is_some_and(|part| part.start == Position(0)) || drops > 60 {
            break parts;
        }
    };
    assert_eq!(asked.first().map(|part| part.start), Some(Position(0)));
    assert!(drops <= 40, "after {drops} pieces");
}

#[test]
fn a_part_has_its_time_however_much_of_it_comes() {
    let mut image = catching_up(2);
    for at in 0..=100 {
        // A byte now and then keeps it from being silent.
        image.insert(Instant(30 + 50 * at), range(0, 8));
        ask(&mut image, 30 + 50 * at, 2);
    }
    let outcomes = image.take_outcomes();
    assert!(outcomes.contains(&(MemberId(2), Outcome::Failed)), "{outcomes:?}");
}

#[test]
fn bytes_that_are_rejected_are_asked_for_no_sooner_than_others() {
    let mut image = catching_up(2);
    image.insert(Instant(100), range(0, 64));
    assert_eq!(image.source_of(Position(20)), Some(MemberId(2)));
    image.forget(Position(16));
    assert_eq!((image.received(), image.seen()), (Position(16), Position(1_000)));
    for now in [131, 161, 499] {
        assert!(ask(&mut image, now, 3).iter().all(|part| part.start >= Position(64)));
    }
    let asked = [ask(&mut image, 500, 3), ask(&mut image, 530, 3)].concat();
    assert_eq!(asked[0], range(16, 32));
}
