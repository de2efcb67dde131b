//! Readers and writers of different versions.

#[expect(dead_code, reason = "generated in full, used in part")]
#[path = "../../../../codecs/tests/wire/evolution/newer.rs"]
mod newer;
#[expect(dead_code, reason = "generated in full, used in part")]
#[path = "../../../../codecs/tests/wire/evolution/older.rs"]
mod older;

use quorate_codecs::decode;
use quorate_core::frame::{parse_body, verify};
use quorate_core::message::Incoming;

use super::frames::{FRAME_BYTES_MAX, SEED, bodies, framed, framed_at, reseal, seed_at};
use super::{by_newer, said};
use crate::case::{Failure, Verdict, check};
use crate::golden::{VECTOR_TAG, Vector, vectors};
use crate::trial::Trial;

/// An order as version 1 writes it: number, limit, items with an article.
fn by_version_1(limit: u32) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 64];
    let mut order = older::OrderEncoder::wrap(&mut bytes)?;
    order.set_number(7).set_limit(limit);
    let mut items = order.into_items(2)?;
    items.next_entry()?.set_article(1);
    items.next_entry()?.set_article(2);
    bytes.truncate(older::OrderEncoder::BLOCK_LENGTH + older::OrderItemsEncoder::bytes(2));
    Some(bytes)
}

/// An order as version 3 writes it: due and urgency too, counts in the items, and notes.
fn by_version_3(urgency: newer::Urgency) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 128];
    let mut order = newer::OrderEncoder::wrap(&mut bytes)?;
    order.set_number(7).set_due(9).set_urgency(urgency);
    let mut items = order.into_items(2)?;
    items.next_entry()?.set_article(1).set_count(5);
    items.next_entry()?.set_article(2).set_count(6);
    let mut notes = items.into_notes(1)?;
    notes.next_entry()?.set_note(11);
    let groups = newer::OrderItemsEncoder::bytes(2) + newer::OrderNotesEncoder::bytes(1);
    bytes.truncate(newer::OrderEncoder::BLOCK_LENGTH + groups);
    Some(bytes)
}

/// The same as version 2 writes it: the urgency and the notes are not there yet.
fn by_version_2() -> Option<Vec<u8>> {
    let bytes = by_version_3(newer::Urgency::Low)?;
    let items = newer::OrderEncoder::BLOCK_LENGTH;
    let end = items + newer::OrderItemsEncoder::bytes(2);
    Some([&bytes[..VERSION_2_BLOCK], &bytes[items..end]].concat())
}

const VERSION_2_BLOCK: usize = 20;

fn made(bytes: Option<Vec<u8>>) -> Result<Vec<u8>, Failure> {
    bytes.ok_or_else(|| Failure::broken("an order does not fit where there is room"))
}

pub(super) fn cv_12(_: &mut Trial<'_>) -> Verdict {
    for (limit, expected) in [(8, Some(8)), (u32::MAX - 1, Some(u32::MAX - 1)), (u32::MAX, None)] {
        let bytes = made(by_version_1(limit))?;
        let block = older::OrderEncoder::BLOCK_LENGTH as u16;
        let order = newer::OrderDecoder::wrap(&bytes, block, 1);
        let order = order.map_err(|error| Failure::broken(format!("version 1: {error:?}")))?;
        let fields = (order.number(), order.limit(), order.due(), order.urgency());
        check(fields == (7, expected, None, None), || format!("version 1 reads {fields:?}"))?;
        let items: Vec<_> = order.items().map(|item| (item.article(), item.count())).collect();
        check(items == [(1, None), (2, None)], || format!("version 1 reads {items:?}"))?;
        let notes = order.notes().count();
        check(notes == 0, || format!("version 1 has {notes} notes"))?;
        // A writer of a newer version has more: the same block is too short for it.
        for version in [2, 3, 9] {
            let found = newer::OrderDecoder::wrap(&bytes, block, version).err();
            check(found == Some(newer::Malformed::Block), || {
                format!("a short block of version {version}: {found:?}")
            })?;
        }
    }
    let bytes = made(by_version_2())?;
    let order = newer::OrderDecoder::wrap(&bytes, VERSION_2_BLOCK as u16, 2);
    let order = order.map_err(|error| Failure::broken(format!("version 2: {error:?}")))?;
    let fields = (order.number(), order.limit(), order.due(), order.urgency());
    check(fields == (7, None, Some(9), None), || format!("version 2 reads {fields:?}"))?;
    let items: Vec<_> = order.items().map(|item| (item.article(), item.count())).collect();
    check(items == [(1, Some(5)), (2, Some(6))], || format!("version 2 reads {items:?}"))?;
    check(order.notes().count() == 0, || "version 2 has notes")
}

/// A group of two entries of four bytes, then data of three.
pub(super) const TAIL: [u8; 17] = [4, 0, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 3, 0, 9, 9, 9];

pub(super) fn cv_13(trial: &mut Trial<'_>) -> Verdict {
    for Vector { name, bytes, .. } in vectors() {
        let before = said(name, &bytes)?;
        let is_data = matches!(before.1, Incoming::Data { .. });
        for (block, entry, tail) in [(8, 0, &[][..]), (0, 8, &[]), (0, 0, &TAIL), (24, 6, &TAIL)] {
            if is_data && !tail.is_empty() {
                // Behind a data message there is its slice, and nothing else.
                continue;
            }
            let newer = by_newer(&bytes, block, entry, tail);
            let found = decode(&newer, VECTOR_TAG);
            check(found == Ok(before.clone()), || {
                format!("{name} of a newer version ({block}, {entry}) reads {found:?}")
            })?;
            trial.count("newer_messages", 1);
        }
    }
    for urgency in [newer::Urgency::High, newer::Urgency::Unknown(99)] {
        let bytes = made(by_version_3(urgency))?;
        let block = newer::OrderEncoder::BLOCK_LENGTH as u16;
        let order = older::OrderDecoder::wrap(&bytes, block, 3);
        let order = order.map_err(|error| Failure::broken(format!("version 3: {error:?}")))?;
        let articles: Vec<u32> = order.items().map(|item| item.article()).collect();
        let fields = (order.number(), order.limit(), articles);
        check(fields == (7, None, vec![1, 2]), || format!("version 3 reads {fields:?}"))?;
        let order = newer::OrderDecoder::wrap(&bytes, block, 3);
        let found = order.ok().and_then(|order| order.urgency());
        check(found == Some(urgency), || format!("{urgency:?} reads {found:?}"))?;
    }
    frames_of_a_newer_version()
}

/// A longer block in a frame hides nothing of it, and nothing of the frame behind it.
fn frames_of_a_newer_version() -> Verdict {
    for (body, payload) in bodies() {
        if !payload.is_empty() {
            continue;
        }
        let mut longer = framed(&body, &[]);
        let block = u16::from_le_bytes([longer[8], longer[9]]) + 16;
        longer[8..10].copy_from_slice(&block.to_le_bytes());
        longer[14..16].copy_from_slice(&2_u16.to_le_bytes());
        longer.truncate(16 + usize::from(block) - 16);
        longer.extend([0xa5; 16]);
        reseal(SEED, &mut longer);
        longer.resize(longer.len().next_multiple_of(8), 0);
        let behind = seed_at(SEED.position.plus(longer.len() as u64));
        let bytes = [longer.clone(), framed_at(behind, &body, &[])].concat();
        let header = verify(SEED, &bytes, &[], FRAME_BYTES_MAX);
        let found = header.and_then(|header| parse_body(&header, &bytes));
        check(found == Ok(body), || format!("a longer {body:?} reads {found:?}"))?;
        let rest = &bytes[longer.len()..];
        let header = verify(behind, rest, &[], FRAME_BYTES_MAX);
        let found = header.and_then(|header| parse_body(&header, rest));
        check(found == Ok(body), || format!("behind a longer {body:?}: {found:?}"))?;
    }
    Ok(())
}
