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
    out.reserve_exact(len);
    let mut rest = input;
    while let Some((&control, after)) = rest.split_first() {
        let control = usize::from(control);
        rest = if control < 32 {
            let (literal, after) = after.split_at_checked(control + 1)?;
            fits(out, literal.len(), len)?;
            out.extend_from_slice(literal);
            after
        } else {
            let (run, low, after) = match (control >> 5, after) {
                (7, [more, low, after @ ..]) => (9 + usize::from(*more), low, after),
                (short @ 1..=6, [low, after @ ..]) => (short + 2, low, after),
                _ => return None,
            };
            fits(out, run, len)?;
            repeat(out, ((control & 0x1f) << 8 | usize::from(*low)) + 1, run)?;
            after
        };
    }
    (out.len() == len).then_some(())
}

#[inline]
fn fits(out: &[u8], more: usize, len: usize) -> Option<()> {
    (more <= len - out.len()).then_some(())
}

/// Appends `run` bytes from `distance` back. Where they overlap what is being written, the pattern repeats.
#[inline]
fn repeat(out: &mut Vec<u8>, distance: usize, run: usize) -> Option<()> {
    let start = out.len().checked_sub(distance)?;
    let mut left = run;
    while left > 0 {
        let step = left.min(out.len() - start);
        out.extend_from_within(start..start + step);
        left -= step;
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
