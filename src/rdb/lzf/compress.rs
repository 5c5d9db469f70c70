//! LZF compression that finds the same matches as Redis, so that the bytes are identical.
//!
//! Source: redis 7.0 lzf_c.c with `HLOG` 16 and `VERY_FAST`.

use crate::limits::PREALLOCATED_BYTES_MAX;

/// Compresses strings one after another with the same table and buffer.
///
/// DIFFERENCE: Redis does not clear its table, so it may find places of an earlier string in the same memory by chance. Here
/// each string starts with a clear table.
#[derive(Debug, Default)]
pub struct Compressor {
    /// The last place of each three-byte hash, plus `base`. A place that is not above `base` belongs to an earlier string.
    places: Vec<u32>,
    base: u32,
    out: Vec<u8>,
}

/// The output so far: runs of literals, each preceded by its control byte, and references.
struct Output<'o> {
    bytes: &'o mut Vec<u8>,
    /// Literals in the open run.
    literals: usize,
    limit: usize,
}

impl Output<'_> {
    fn open_run(&mut self) {
        self.literals = 0;
        self.bytes.push(0);
    }

    /// Writes the open run's control byte, or removes it if the run has no literal.
    fn close_run(&mut self) {
        let at = self.bytes.len() - self.literals - 1;
        match (u8::try_from(self.literals), self.bytes.get_mut(at)) {
            (Ok(count @ 1..), Some(control)) => *control = count - 1,
            _ => self.bytes.truncate(at),
        }
    }

    fn literal(&mut self, byte: u8) {
        self.bytes.push(byte);
        self.literals += 1;
        if self.literals == LITERALS_MAX {
            self.close_run();
            self.open_run();
        }
    }

    /// Returns `None` if there is no room for the reference.
    fn reference(&mut self, distance: usize, len: usize) -> Option<()> {
        let unused = usize::from(self.literals == 0);
        if self.bytes.len() - unused + 4 >= self.limit {
            return None;
        }
        self.close_run();
        let [low, high, ..] = distance.to_le_bytes();
        match (len - 2, u8::try_from(len.saturating_sub(9)).ok()?) {
            (short @ ..7, _) => self.bytes.push(high | (short.to_le_bytes()[0] << 5)),
            (_, more) => self.bytes.extend_from_slice(&[high | 7 << 5, more]),
        }
        self.bytes.push(low);
        self.open_run();
        Some(())
    }
}

impl Compressor {
    /// Returns the compressed form of `text`, valid until the next call, or `None` if it is longer than `limit` bytes.
    pub fn compress(&mut self, text: &[u8], limit: usize) -> Option<&[u8]> {
        self.start(text)?;
        self.out.clear();
        let mut bytes = std::mem::take(&mut self.out);
        let mut output = Output {
            bytes: &mut bytes,
            literals: 0,
            limit,
        };
        let done = self.run(text, &mut output);
        self.out = bytes;
        // This also applies to a text that does not fit: its places must not be mistaken for the next text's.
        self.base += u32::try_from(text.len()).ok()?;
        done.map(|()| &*self.out)
    }

    /// Frees the memory that a long string took.
    #[must_use]
    pub fn shrunk(mut self) -> Self {
        self.out.clear();
        self.out.shrink_to(PREALLOCATED_BYTES_MAX);
        self
    }

    /// Makes the table forget earlier strings. Returns `None` for a text that is too short, or whose places the table cannot
    /// hold.
    fn start(&mut self, text: &[u8]) -> Option<()> {
        let len = u32::try_from(text.len()).ok().filter(|len| *len > 2)?;
        if self.places.is_empty() || self.base.checked_add(len).is_none() {
            self.places = vec![0; TABLE_SLOTS];
            self.base = 0;
        }
        Some(())
    }

    fn run(&mut self, text: &[u8], output: &mut Output<'_>) -> Option<()> {
        let mut at = 0;
        output.open_run();
        while at + 2 < text.len() {
            let before = self.exchange(text, at)?;
            match before.and_then(|before| reference_len(text, before, at).map(|len| (before, len)))
            {
                Some((before, len)) => {
                    output.reference(at - before - 1, len)?;
                    at += len;
                    if at + 2 >= text.len() {
                        break;
                    }
                    self.exchange(text, at - 2)?;
                    self.exchange(text, at - 1)?;
                }
                None => {
                    if output.bytes.len() >= output.limit {
                        return None;
                    }
                    output.literal(*text.get(at)?);
                    at += 1;
                }
            }
        }
        // Room for the two bytes that may be left, and a control byte.
        if output.bytes.len() + 3 > output.limit {
            return None;
        }
        text.get(at..)?
            .iter()
            .for_each(|byte| output.literal(*byte));
        output.close_run();
        Some(())
    }

    /// Records the place of the three bytes at `at`. Returns the previous place of three bytes with the same hash, unless that
    /// is the very start. Returns `None` past the end.
    #[inline]
    fn exchange(&mut self, text: &[u8], at: usize) -> Option<Option<usize>> {
        let [one, two, three] = *text.get(at..)?.first_chunk()?;
        let bytes = u32::from_be_bytes([0, one, two, three]);
        let hash = (bytes >> 8).wrapping_sub(bytes.wrapping_mul(5)) & 0xffff;
        let slot = self.places.get_mut(usize::try_from(hash).ok()?)?;
        let place = self.base + u32::try_from(at).ok()?;
        let before = std::mem::replace(slot, place).checked_sub(self.base);
        Some(before.and_then(|before| usize::try_from(before).ok().filter(|before| *before > 0)))
    }
}

/// Returns how many bytes at `at` a reference to `before` can replace, or `None` if it is too far back or the first three bytes
/// differ. Long matches leave out the last two bytes of a text.
#[inline]
fn reference_len(text: &[u8], before: usize, at: usize) -> Option<usize> {
    let (earlier, here) = (text.get(before..)?, text.get(at..)?);
    if at.checked_sub(before)? > DISTANCE_MAX
        || earlier.first_chunk::<3>()? != here.first_chunk::<3>()?
    {
        return None;
    }
    let most = (here.len() - 2).min(REFERENCE_MAX);
    // In a long text, sixteen bytes are compared before any limit is checked, and one more is taken without a comparison.
    let (least, seen) = if most > 16 {
        (19, most.max(19))
    } else {
        (3, most)
    };
    let same = earlier
        .iter()
        .zip(here.iter().take(seen))
        .take_while(|(one, other)| one == other)
        .count();
    Some(if same < least {
        same.max(3)
    } else {
        same.min(most).max(least)
    })
}

const TABLE_SLOTS: usize = 1 << 16;
const LITERALS_MAX: usize = 32;
const DISTANCE_MAX: usize = 1 << 13;
const REFERENCE_MAX: usize = 264;

#[cfg(test)]
mod tests {
    use super::super::decompress;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decompresses_to_the_same_with_a_table_used_before(
            words in prop::collection::vec(prop::collection::vec(0..4_u8, 1..9), 1..400),
            runs in prop::collection::vec((any::<u8>(), 1..600_usize), 0..9),
        ) {
            let mut text = words.concat();
            runs.iter().for_each(|(byte, len)| text.extend(std::iter::repeat_n(*byte, *len)));
            let mut compressor = Compressor::default();
            let first = compressor.compress(&text, text.len()).map(<[u8]>::to_vec);
            let _other = compressor.compress(&words.concat(), 1 << 20);
            let _failed = compressor.compress(&words.concat(), 3);
            let second = compressor.compress(&text, text.len()).map(<[u8]>::to_vec);
            prop_assert_eq!(&first, &second);
            if let Some(packed) = first {
                prop_assert!(packed.len() <= text.len());
                let mut out = Vec::new();
                prop_assert!(decompress(&packed, text.len(), &mut out).is_some());
                prop_assert_eq!(out, text);
            }
        }

        #[test]
        fn never_gives_more_than_the_limit(text in prop::collection::vec(0..6_u8, 0..90), limit in 0..90_usize) {
            if let Some(packed) = Compressor::default().compress(&text, limit) {
                prop_assert!(packed.len() <= limit);
            }
        }
    }

    /// `DUMP` of these texts on Redis 7.0: the bytes between the lengths and the footer.
    #[test]
    fn finds_what_redis_finds() {
        let bytes: Vec<u8> = (0..40).chain(0..40).collect();
        let run = [&b"\x1f"[..], bytes.get(..32).unwrap_or_default()].concat();
        let rest = [&b"\x08"[..], bytes.get(32..41).unwrap_or_default()].concat();
        // Not one more byte would fit.
        let full = b"\x04bep b\xa0\x03\x02qzl`\x03\x04lxlqh".to_vec();
        let cases: [(&[u8], Vec<u8>); 5] = [
            (b"bep bep bep qzl qzl lxlqh", full),
            (&[b'a'; 21], b"\x01aa\xe0\x0a\0".to_vec()),
            (&[b'a'; 300], b"\x01aa\xe0\xff\0\xe0\x17\0\x01aa".to_vec()),
            (
                b"abcdefghabcdefghabcdefghabcdefghxyz",
                b"\x08abcdefgha\xe0\x0e\x07\x02xyz".to_vec(),
            ),
            (&bytes, [&run[..], &rest, b"\xe0\x1c\x27\x01&'"].concat()),
        ];
        let mut compressor = Compressor::default();
        for (text, packed) in cases {
            assert_eq!(compressor.compress(text, text.len() - 4), Some(&*packed));
        }
    }
}
