//! Reads the packed layouts of old dumps, ziplists and zipmaps, into texts and integers.
//!
//! Neither layout is kept: the elements go to listpacks, and ziplists are written anew for servers that know nothing newer.
//! Both readers check everything that Redis's deep sanitization checks.

use super::packed::{Item, PackedError, TERMINATOR, check_count, unframed};

mod write;

pub(super) use write::ziplist;

/// Size, offset of the last entry, count.
const HEADER_BYTES: usize = 10;

/// Passes each element of a ziplist to `take`. Only after the last one is the whole blob known to be valid.
///
/// # Errors
/// The first thing found wrong: sizes, the tail offset, an entry, a previous-length, the count, the terminator.
///
/// Source: redis 6.0 ziplist.c; redis 7.0 ziplist.c, ziplistValidateIntegrity.
pub(super) fn read_ziplist<'a>(
    blob: &'a [u8],
    mut take: impl FnMut(Item<'a>),
) -> Result<(), PackedError> {
    let actual = blob.len();
    let (header, body) = unframed::<HEADER_BYTES>(blob)?;
    let [_, _, _, _, t0, t1, t2, t3, ..] = header;
    let (mut rest, mut previous, mut count) = (body, 0, 0);
    while !rest.is_empty() {
        let wrong = |reason| PackedError::Entry {
            at: actual - 1 - rest.len(),
            reason,
        };
        let (stated, after) =
            previous_length(rest).ok_or_else(|| wrong("invalid or truncated ziplist entry"))?;
        if stated != previous {
            return Err(wrong(
                "the previous-length does not match the previous entry",
            ));
        }
        let (item, after) =
            ziplist_item(after).ok_or_else(|| wrong("invalid or truncated ziplist entry"))?;
        take(item);
        previous = rest.len() - after.len();
        count += 1;
        rest = after;
    }
    let tail = usize::try_from(u32::from_le_bytes([*t0, *t1, *t2, *t3]));
    if tail != Ok(actual - 1 - previous) {
        return Err(PackedError::Entry {
            at: 4,
            reason: "the tail offset does not point to the last entry",
        });
    }
    check_count(header, count)
}

/// Reads the previous entry's length at the front of an entry. Returns it and the rest.
fn previous_length(entry: &[u8]) -> Option<(usize, &[u8])> {
    match entry {
        [0xfe, wide @ ..] => {
            let (len, rest) = wide.split_first_chunk()?;
            Some((usize::try_from(u32::from_le_bytes(*len)).ok()?, rest))
        }
        [short @ 0..=0xfd, rest @ ..] => Some((usize::from(*short), rest)),
        _ => None,
    }
}

/// Reads the element at the front. Returns it and the rest.
fn ziplist_item(entry: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (&first, rest) = entry.split_first()?;
    match first {
        0..=0x3f => text(rest, usize::from(first)),
        0x40..=0x7f => {
            let (&low, rest) = rest.split_first()?;
            text(rest, usize::from(first & 0x3f) << 8 | usize::from(low))
        }
        0x80..=0xbf => {
            let (len, rest) = rest.split_first_chunk()?;
            text(rest, usize::try_from(u32::from_be_bytes(*len)).ok()?)
        }
        0xf1..=0xfd => Some((Item::Int(i64::from(first & 0x0f) - 1), rest)),
        _ => ziplist_int(first, rest),
    }
}

fn ziplist_int(kind: u8, rest: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (value, len) = match kind {
        0xc0 => (i64::from(i16::from_le_bytes(*rest.first_chunk()?)), 2),
        0xd0 => (i64::from(i32::from_le_bytes(*rest.first_chunk()?)), 4),
        0xe0 => (i64::from_le_bytes(*rest.first_chunk()?), 8),
        0xf0 => {
            let [a, b, c] = *rest.first_chunk()?;
            (i64::from(i32::from_le_bytes([0, a, b, c]) >> 8), 3)
        }
        0xfe => (i64::from(i8::from_le_bytes(*rest.first_chunk()?)), 1),
        _ => return None,
    };
    Some((Item::Int(value), rest.get(len..)?))
}

fn text(rest: &[u8], len: usize) -> Option<(Item<'_>, &[u8])> {
    let (text, rest) = rest.split_at_checked(len)?;
    Some((Item::Str(text), rest))
}

/// Passes the keys and values of a zipmap to `take`, alternating.
///
/// # Errors
/// The first thing found wrong: an entry, the count, the terminator, or an empty map, as in Redis.
///
/// Source: redis 7.0 zipmap.c, zipmapValidateIntegrity.
pub(super) fn read_zipmap<'a>(
    blob: &'a [u8],
    mut take: impl FnMut(&'a [u8]),
) -> Result<(), PackedError> {
    let actual = blob.len();
    let [stated, body @ .., TERMINATOR] = blob else {
        return Err(PackedError::Header { actual });
    };
    let (mut rest, mut count) = (body, 0);
    while !rest.is_empty() {
        let (key, value, after) = zipmap_pair(rest).ok_or(PackedError::Entry {
            at: actual - 1 - rest.len(),
            reason: "invalid or truncated zipmap entry",
        })?;
        take(key);
        take(value);
        rest = after;
        count += 1;
    }
    let stated = usize::from(*stated);
    if count == 0 {
        return Err(PackedError::Entry {
            at: 0,
            reason: "an empty zipmap",
        });
    }
    if stated < 254 && stated != count {
        return Err(PackedError::Count {
            at: 0,
            stated,
            actual: count,
        });
    }
    Ok(())
}

/// Reads the key and value at the front. Returns them and what follows the value's unused bytes.
fn zipmap_pair(entry: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (key_len, rest) = zipmap_length(entry)?;
    let (key, rest) = rest.split_at_checked(key_len)?;
    let (value_len, rest) = zipmap_length(rest)?;
    let (&free, rest) = rest.split_first()?;
    let (value, rest) = rest.split_at_checked(value_len)?;
    Some((key, value, rest.get(usize::from(free)..)?))
}

fn zipmap_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    // It has the same form as a ziplist's previous-length.
    previous_length(bytes)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests {
    use super::*;

    /// Every kind of entry, encoded by hand.
    fn ziplist() -> (Vec<u8>, Vec<Item<'static>>) {
        let entries: [(&[u8], Item<'static>); 11] = [
            (b"\x01a", Item::Str(b"a")),
            (&[0xfe, 0xfb], Item::Int(-5)),
            (&[0xf1], Item::Int(0)),
            (&[0xfd], Item::Int(12)),
            (&[0xc0, 0x00, 0x80], Item::Int(-32_768)),
            (&[0xf0, 0xff, 0xff, 0x7f], Item::Int(8_388_607)),
            (&[0xf0, 0x00, 0x00, 0x80], Item::Int(-8_388_608)),
            (&[0xd0, 0xff, 0xff, 0xff, 0x7f], Item::Int(2_147_483_647)),
            (&[0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80], Item::Int(i64::MIN)),
            (&[0x40, 3, b'x', b'y', b'z'], Item::Str(b"xyz")),
            (&[0x80, 0, 0, 0, 2, b'o', b'k'], Item::Str(b"ok")),
        ];
        let mut body = Vec::new();
        let mut previous = 0;
        for (encoded, _) in &entries {
            let start = body.len();
            body.push(u8::try_from(previous).unwrap());
            body.extend_from_slice(encoded);
            previous = body.len() - start;
        }
        (
            wrap(&body, previous, entries.len()),
            entries.map(|(_, item)| item).to_vec(),
        )
    }

    fn wrap(body: &[u8], last: usize, count: usize) -> Vec<u8> {
        let total = HEADER_BYTES + body.len() + 1;
        let mut blob = u32::try_from(total).unwrap().to_le_bytes().to_vec();
        blob.extend(u32::try_from(total - 1 - last).unwrap().to_le_bytes());
        blob.extend(u16::try_from(count).unwrap().to_le_bytes());
        blob.extend_from_slice(body);
        blob.push(TERMINATOR);
        blob
    }

    fn read(blob: &[u8]) -> Result<Vec<Item<'_>>, PackedError> {
        let mut items = Vec::new();
        read_ziplist(blob, |item| items.push(item)).map(|()| items)
    }

    #[test]
    fn reads_every_kind_of_ziplist_entry() {
        let (blob, items) = ziplist();
        assert_eq!(read(&blob), Ok(items));
        assert_eq!(read(&wrap(&[], 0, 0)), Ok(vec![]));
    }

    #[test]
    fn accepts_a_short_previous_length_in_the_long_form() {
        let body = [0, 1, b'a', 0xfe, 3, 0, 0, 0, 1, b'b'];
        assert_eq!(
            read(&wrap(&body, 7, 2)),
            Ok(vec![Item::Str(b"a"), Item::Str(b"b")])
        );
    }

    #[test]
    fn refuses_wrong_tails_counts_and_previous_lengths() {
        let body = [0, 1, b'a', 3, 1, b'b'];
        assert!(read(&wrap(&body, 3, 2)).is_ok() && read(&wrap(&body, 3, 65_535)).is_ok());
        assert!(read(&wrap(&body, 6, 2)).is_err(), "tail");
        assert!(read(&wrap(&body, 3, 3)).is_err(), "count");
        assert!(
            read(&wrap(&[0, 1, b'a', 4, 1, b'b'], 3, 2)).is_err(),
            "previous length"
        );
        assert!(
            read(&wrap(&[0, 1, b'a', 0xfe, 3, 0, 0], 4, 2)).is_err(),
            "long form at the edge"
        );
    }

    #[test]
    fn survives_truncations_and_corrupt_bytes() {
        let (blob, _) = ziplist();
        for len in 0..blob.len() {
            assert!(read(&blob[..len]).is_err());
        }
        for at in 0..blob.len() {
            for value in 0..=255 {
                let mut bad = blob.clone();
                bad[at] = value;
                let _outcome = read(&bad);
            }
        }
    }

    #[test]
    fn reads_zipmaps_with_free_bytes_and_long_lengths() {
        let blob = b"\x02\x01a\x02\x01xyZ\xfe\x01\x00\x00\x00b\x00\x00\xff";
        let mut texts = Vec::new();
        read_zipmap(blob, |text| texts.push(text.to_vec())).unwrap();
        assert_eq!(texts, [&b"a"[..], b"xy", b"b", b""]);
        for len in 0..blob.len() {
            assert!(read_zipmap(&blob[..len], |_| ()).is_err());
        }
        assert!(read_zipmap(b"\x00\xff", |_| ()).is_err(), "no entries");
        assert!(
            read_zipmap(b"\x03\x01a\x01\x00x\xff", |_| ()).is_err(),
            "count"
        );
        assert!(
            read_zipmap(b"\x01\x01a\x01\x09x\xff", |_| ()).is_err(),
            "free bytes past the end"
        );
    }
}
