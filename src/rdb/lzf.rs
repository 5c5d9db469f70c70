//! LZF: decompression into a buffer that the caller keeps, and compression as Redis does it.

mod compress;

pub use compress::Compressor;

/// Appends the decompressed form of `input` to the empty `out`; it must come to exactly `len` bytes.
///
/// Gives `None`, with anything in `out`, when a reference points before the start, the input ends inside a token, or
/// the output is not `len` bytes. Allocates `len` bytes at most, which the caller has checked against the input.
///
/// Source: redis 7.0 lzf_d.c.
pub fn decompress(input: &[u8], len: usize, out: &mut Vec<u8>) -> Option<()> {
    out.resize(len, 0);
    let mut rest = input;
    let mut at = 0;
    while let Some((&control, after)) = rest.split_first() {
        let control = usize::from(control);
        let (run, after) = if control < 32 {
            (
                literal(after, control + 1, out, at)?,
                after.get(control + 1..)?,
            )
        } else {
            let (run, low, after) = match (control >> 5, after) {
                (7, [more, low, after @ ..]) => (9 + usize::from(*more), low, after),
                (short @ 1..=6, [low, after @ ..]) => (short + 2, low, after),
                _ => return None,
            };
            let distance = ((control & 0x1f) << 8 | usize::from(*low)) + 1;
            (repeat(out, at, distance, run)?, after)
        };
        at += run;
        rest = after;
    }
    (at == len).then_some(())
}

/// Bytes that one move of the processor copies. Runs are short, mostly, and a move of a known size needs no call: where there is
/// room behind a run, more than the run is copied, and what follows writes over it.
const MOVE: usize = 16;

/// Copies the first `run` bytes of `input` to `out` from `at` on; gives `run`.
#[inline]
fn literal(input: &[u8], run: usize, out: &mut [u8], at: usize) -> Option<usize> {
    if run <= MOVE
        && let Some(whole) = input.first_chunk::<MOVE>()
        && let Some(place) = out
            .get_mut(at..)
            .and_then(|out| out.first_chunk_mut::<MOVE>())
    {
        *place = *whole;
    } else {
        out.get_mut(at..at + run)?
            .copy_from_slice(input.get(..run)?);
    }
    Some(run)
}

/// Copies `run` bytes from `distance` back. Where they overlap what is being written, the pattern repeats.
#[inline]
fn repeat(out: &mut [u8], at: usize, distance: usize, run: usize) -> Option<usize> {
    let start = at.checked_sub(distance)?;
    if run <= MOVE && distance >= MOVE && at + MOVE <= out.len() {
        out.copy_within(start..start + MOVE, at);
        return Some(run);
    }
    if at + run > out.len() {
        return None;
    }
    if distance == 1 {
        let byte = *out.get(start)?;
        out.get_mut(at..at + run)?.fill(byte);
        return Some(run);
    }
    let mut done = 0;
    while done < run {
        // What has been written is part of the pattern, so each step is twice the one before.
        let step = (run - done).min(distance + done);
        out.copy_within(start..start + step, at + done);
        done += step;
    }
    Some(run)
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
