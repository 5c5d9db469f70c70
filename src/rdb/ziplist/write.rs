//! Writes ziplists as servers before Redis 7.0 do.

use super::{HEADER_BYTES, TERMINATOR};
use crate::rdb::packed::Item;

/// Returns a ziplist of `items`, as if they were appended one after another.
///
/// DIFFERENCE: a server that has shortened or removed an element of 254 bytes or more may keep a longer form of the next
/// element's previous-length than it needs. The same elements are shorter here.
///
/// Source: redis 6.0 ziplist.c, `__ziplistInsert`.
pub(crate) fn ziplist<'a>(items: impl Iterator<Item = Item<'a>>, room: usize) -> Vec<u8> {
    let mut blob = Vec::with_capacity(room.saturating_add(HEADER_BYTES + 1));
    blob.extend_from_slice(&[0; HEADER_BYTES]);
    let (mut count, mut previous) = (0_usize, 0);
    for item in items {
        let start = blob.len();
        push_previous_length(&mut blob, previous);
        push_item(&mut blob, item);
        previous = blob.len() - start;
        count += 1;
    }
    let tail = blob.len() - previous;
    blob.push(TERMINATOR);
    let (total, tail) = (field(blob.len()), field(tail));
    let count = u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes();
    let header = [&total[..], &tail[..], &count[..]].concat();
    if let Some(place) = blob.get_mut(..HEADER_BYTES) {
        place.copy_from_slice(&header);
    }
    blob
}

fn field(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}

fn push_previous_length(blob: &mut Vec<u8>, previous: usize) {
    match u8::try_from(previous) {
        Ok(short @ ..WIDE_PREVIOUS) => blob.push(short),
        _ => {
            blob.push(WIDE_PREVIOUS);
            blob.extend_from_slice(&field(previous));
        }
    }
}

fn push_item(blob: &mut Vec<u8>, item: Item<'_>) {
    match item {
        Item::Int(value) => push_int(blob, value),
        Item::Str(text) => push_text(blob, text),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "masked, or below a checked bound"
)]
fn push_text(blob: &mut Vec<u8>, text: &[u8]) {
    let len = text.len();
    match len {
        0..=0x3f => blob.push(len as u8),
        0x40..=0x3fff => blob.extend_from_slice(&[0x40 | (len >> 8) as u8, (len & 0xff) as u8]),
        _ => {
            blob.push(0x80);
            blob.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
    blob.extend_from_slice(text);
}

/// Source: redis 6.0 ziplist.c, `zipTryEncoding`, `zipSaveInteger`.
fn push_int(blob: &mut Vec<u8>, value: i64) {
    let bytes = value.to_le_bytes();
    let (kind, len) = match value {
        0..=12 => (bytes.first().map_or(0, |low| 0xf1 + low), 0),
        -128..=127 => (0xfe, 1),
        -0x8000..=0x7fff => (0xc0, 2),
        -0x80_0000..=0x7f_ffff => (0xf0, 3),
        -0x8000_0000..=0x7fff_ffff => (0xd0, 4),
        _ => (0xe0, 8),
    };
    blob.push(kind);
    blob.extend_from_slice(bytes.get(..len).unwrap_or_default());
}

/// A previous-length that starts with this byte has four more bytes.
const WIDE_PREVIOUS: u8 = 0xfe;

#[cfg(test)]
mod tests {
    use super::super::read_ziplist;
    use super::*;

    #[test]
    fn the_reader_gives_back_what_was_written() {
        let texts = [0, 1, 63, 64, 253, 254, 16_383, 16_384, 1].map(|len| vec![b'x'; len]);
        let numbers = [0, 12, 13, -1, 127, -128, 128, 32_767, 32_768, -32_769];
        let wide = [8_388_607, -8_388_609, 1 << 31, i64::MIN, i64::MAX];
        let items: Vec<Item<'_>> = texts
            .iter()
            .map(|text| Item::Str(text))
            .chain(numbers.into_iter().chain(wide).map(Item::Int))
            .collect();
        for most in 0..=items.len() {
            let some = items.iter().copied().take(most);
            let blob = ziplist(some.clone(), 0);
            let mut read = Vec::new();
            assert_eq!(read_ziplist(&blob, |item| read.push(item)), Ok(()));
            assert!(read.into_iter().eq(some));
        }
    }
}
