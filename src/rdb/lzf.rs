//! LZF: decompression into the caller's buffer, and compression as Redis does it.

mod compress;

pub use compress::Compressor;

/// Decompresses `input` into the empty `out`. The result must be exactly `len` bytes.
///
/// Returns `None`, and leaves anything in `out`, if a reference points before the start, the input ends inside a token, or the
/// output is not `len` bytes. Allocates at most `len` bytes, which the caller has checked against the input.
///
/// Source: redis 7.0 lzf_d.c.
pub fn decompress(input: &[u8], len: usize, out: &mut Vec<u8>) -> Option<()> {
    out.resize(len, 0);
    let mut rest = input;
    let mut at = 0;
    while let Some((&control, after)) = rest.split_first() {
        let control = usize::from(control);
        if control < LITERAL_MAX {
            rest = literal(out, at, after, control + 1)?;
            at += control + 1;
        } else {
            let (run, low, after) = match (control >> 5, after) {
                (7, [more, low, after @ ..]) => (9 + usize::from(*more), low, after),
                (short @ 1..=6, [low, after @ ..]) => (short + 2, low, after),
                _ => return None,
            };
            let distance = ((control & 0x1f) << 8 | usize::from(*low)) + 1;
            repeat(out, at, distance, run)?;
            at += run;
            rest = after;
        }
    }
    (at == len).then_some(())
}

/// The maximum length of a literal in bytes.
const LITERAL_MAX: usize = 32;

/// Copies a literal of `run` bytes from the start of `input`. Returns the input after it.
///
/// A move of a fixed size needs no call: if there is room after the literal, more bytes than the literal's are copied, and what
/// follows overwrites them.
#[inline]
fn literal<'a>(out: &mut [u8], at: usize, input: &'a [u8], run: usize) -> Option<&'a [u8]> {
    let (literal, after) = input.split_at_checked(run)?;
    let to = out.get_mut(at..)?;
    match (
        input.first_chunk::<LITERAL_MAX>(),
        to.first_chunk_mut::<LITERAL_MAX>(),
    ) {
        (Some(from), Some(to)) => *to = *from,
        _ => to.get_mut(..run)?.copy_from_slice(literal),
    }
    Some(after)
}

/// A run of at most this many bytes, as most are, is copied by one move of this size.
const MOVE: usize = 16;

/// Copies `run` bytes from `distance` bytes back. If source and destination overlap, the pattern repeats.
#[inline]
fn repeat(out: &mut [u8], at: usize, distance: usize, run: usize) -> Option<()> {
    let start = at.checked_sub(distance)?;
    let (before, to) = out.split_at_mut_checked(at)?;
    let from = before.get(start..)?;
    if run <= MOVE
        && let (Some(from), Some(to)) = (from.first_chunk::<MOVE>(), to.first_chunk_mut::<MOVE>())
    {
        *to = *from;
    } else if let (Some(from), Some(to)) = (from.get(..run), to.get_mut(..run)) {
        to.copy_from_slice(from);
    } else {
        repeat_pattern(out, start, at, run)?;
    }
    Some(())
}

/// Like [`repeat`], for a run that overlaps itself.
fn repeat_pattern(out: &mut [u8], start: usize, at: usize, run: usize) -> Option<()> {
    let place = out.get_mut(start..at + run)?;
    let distance = at - start;
    if distance == 1 {
        place.fill(*place.first()?);
        return Some(());
    }
    let mut done = distance;
    while done < place.len() {
        // The bytes written so far are part of the pattern, so each step is twice as long as the previous one.
        let step = done.min(place.len() - done);
        place.copy_within(..step, done);
        done += step;
    }
    Some(())
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ours(input: &[u8], len: usize) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decompress(input, len, &mut out).map(|()| out)
    }

    #[test]
    fn repeats_an_overlapping_pattern() {
        assert_eq!(
            ours(&[1, b'a', b'b', 0x60, 1], 7).as_deref(),
            Some(&b"abababa"[..])
        );
        assert_eq!(
            ours(&[0, b'x', 0xe0, 0, 0], 10).as_deref(),
            Some(&b"xxxxxxxxxx"[..])
        );
    }

    #[test]
    fn refuses_what_does_not_come_out_exactly() {
        assert_eq!(
            ours(&[0, b'a', 0x20, 1], 4),
            None,
            "a reference before the start"
        );
        assert_eq!(ours(&[0, b'a', 0x20, 0], 3), None, "too much output");
        assert_eq!(ours(&[0, b'a', 0x20, 0], 5), None, "too little output");
        assert_eq!(ours(&[1, b'a'], 2), None, "a literal past the end");
        assert_eq!(ours(&[0, b'a', 0xe0, 0], 10), None, "a token past the end");
        assert_eq!(ours(&[0x20], 3), None, "a token past the end");
        assert_eq!(ours(&[], 0).as_deref(), Some(&b""[..]));
    }

    proptest! {
        #[test]
        fn undoes_the_crates_compression(words in prop::collection::vec(prop::collection::vec(0..4_u8, 1..9), 1..400)) {
            let text = words.concat();
            if let Ok(packed) = lzf::compress(&text) {
                prop_assert_eq!(ours(&packed, text.len()), Some(text));
            }
        }

        #[test]
        fn agrees_with_the_crate_on_any_bytes(input in prop::collection::vec(any::<u8>(), 1..40), len in 1..300_usize) {
            let theirs = lzf::decompress(&input, len).ok().filter(|out| out.len() == len);
            prop_assert_eq!(ours(&input, len), theirs);
        }
    }
}
