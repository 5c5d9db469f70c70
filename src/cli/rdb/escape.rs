//! Bytes of any kind as readable text, from which they can be restored.
//!
//! Well-formed UTF-8 stays as it is, except control characters and the backslash. A backslash becomes two. Each byte of a control
//! character, or of anything that is not UTF-8, becomes `\xNN`.

use std::io::{self, Write};
use std::sync::LazyLock;

/// In plain text.
pub(super) static PLAIN: LazyLock<Escapes> = LazyLock::new(|| Escapes::new(b"\"", b"\\\\", b"\\x"));

/// In a JSON string: the same text, with its quotes and backslashes as JSON wants them.
pub(super) static JSON: LazyLock<Escapes> =
    LazyLock::new(|| Escapes::new(b"\\\"", b"\\\\\\\\", b"\\\\x"));

/// What stands for each byte that is not part of a longer character.
pub(super) struct Escapes([Escape; 256]);

/// Some characters, of which the first `len` count: all escapes have one size, so writing one is one store.
#[derive(Clone, Copy, Default)]
struct Escape {
    text: [u8; ESCAPE_BYTES],
    len: u8,
}

const ESCAPE_BYTES: usize = 7;

/// Bytes looked at together: enough for vector instructions, and few enough for a name.
const LOOK_BYTES: usize = 32;

/// Room on the stack for what is written together.
const PIECE_BYTES: usize = 256;

impl Escapes {
    fn new(quote: &[u8], backslash: &[u8], hex: &[u8]) -> Self {
        Self(std::array::from_fn(|byte| {
            let byte = u8::try_from(byte).unwrap_or_default();
            match byte {
                b'"' => Escape::of(quote),
                b'\\' => Escape::of(backslash),
                b' '..=b'~' => Escape::of(&[byte]),
                _ => Escape::of(&[hex, &digits(byte)].concat()),
            }
        }))
    }

    /// Writes `bytes` escaped.
    ///
    /// # Errors
    /// Those of `out`.
    pub(super) fn write(&self, out: &mut (impl Write + ?Sized), bytes: &[u8]) -> io::Result<()> {
        let (plain, mut rest) = bytes.split_at(readable(bytes));
        out.write_all(plain)?;
        let mut piece = [0; PIECE_BYTES];
        while !rest.is_empty() {
            let (used, filled) = self.fill(&mut piece, rest);
            out.write_all(piece.get(..filled).unwrap_or_default())?;
            rest = rest.get(used..).unwrap_or_default();
            let (plain, after) = rest.split_at(readable(rest));
            out.write_all(plain)?;
            rest = after;
        }
        Ok(())
    }

    /// Fills `piece` with the beginning of `bytes`. Returns how many of these bytes are in it, and what they take there.
    fn fill(&self, piece: &mut [u8; PIECE_BYTES], bytes: &[u8]) -> (usize, usize) {
        let (mut used, mut filled) = (0, 0);
        while let (Some(room), Some((byte, after))) = (
            piece.get_mut(filled..).and_then(<[u8]>::first_chunk_mut),
            bytes.get(used..).and_then(<[u8]>::split_first),
        ) {
            let longer = character(*byte, after);
            let escape = match longer {
                Some(character) => character,
                None => self.0.get(usize::from(*byte)).copied().unwrap_or_default(),
            };
            *room = escape.text;
            filled += usize::from(escape.len);
            used += longer.map_or(1, |character| usize::from(character.len));
        }
        (used, filled)
    }
}

impl Escape {
    /// The first bytes of `text`; none has more than an escape takes.
    fn of(text: &[u8]) -> Self {
        let mut escape = Self::default();
        for (to, from) in escape.text.iter_mut().zip(text) {
            *to = *from;
            escape.len += 1;
        }
        escape
    }
}

/// A byte as two lower-case hexadecimal digits.
fn digits(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|digit| match digit {
        0..=9 => b'0' + digit,
        _ => b'a' - 10 + digit,
    })
}

/// How many bytes at the beginning are readable by themselves, in whole groups unless all are: most text has no others.
fn readable(bytes: &[u8]) -> usize {
    let is_plain = |group: &[u8]| {
        let plain = |byte: &u8| matches!(byte, b' '..=b'~') & (*byte != b'\\') & (*byte != b'"');
        group.iter().fold(true, |all, byte| all & plain(byte))
    };
    let groups = bytes.chunks(LOOK_BYTES);
    groups
        .take_while(|group| is_plain(group))
        .map(<[u8]>::len)
        .sum()
}

/// The character of several bytes that begins with `first`, if that is well-formed and no control character.
/// Source: the Unicode Standard, table 3-7.
#[inline]
fn character(first: u8, after: &[u8]) -> Option<Escape> {
    if !matches!(first, 0xC2..=0xF4) {
        return None;
    }
    let len = match (first, after) {
        // U+0080 to U+009F are control characters.
        (0xC2, [0xA0..=0xBF, ..]) | (0xC3..=0xDF, [0x80..=0xBF, ..]) => 2,
        (0xE0, [0xA0..=0xBF, 0x80..=0xBF, ..])
        | (0xE1..=0xEC | 0xEE | 0xEF, [0x80..=0xBF, 0x80..=0xBF, ..])
        | (0xED, [0x80..=0x9F, 0x80..=0xBF, ..]) => 3,
        (0xF0, [0x90..=0xBF, 0x80..=0xBF, 0x80..=0xBF, ..])
        | (0xF1..=0xF3, [0x80..=0xBF, 0x80..=0xBF, 0x80..=0xBF, ..])
        | (0xF4, [0x80..=0x8F, 0x80..=0xBF, 0x80..=0xBF, ..]) => 4,
        _ => return None,
    };
    let mut text = [first, 0, 0, 0, 0, 0, 0];
    for (to, from) in text.iter_mut().skip(1).zip(after.iter().take(3)) {
        *to = *from;
    }
    Some(Escape { text, len })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(escapes: &Escapes, bytes: &[u8]) -> String {
        let mut out = Vec::new();
        escapes.write(&mut out, bytes).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// The same with the standard library's notion of UTF-8.
    fn expected(bytes: &[u8]) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        let mut text = String::new();
        for chunk in bytes.utf8_chunks() {
            for char in chunk.valid().chars() {
                text += &match char {
                    '\\' => "\\\\".to_owned(),
                    _ if char.is_control() => hex(char.to_string().as_bytes()),
                    _ => char.to_string(),
                };
            }
            text += &hex(chunk.invalid());
        }
        text
    }

    /// Returns the bytes that an escaped text represents.
    fn restored(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            match (byte, rest.clone().next()) {
                (b'\\', Some(b'\\')) => bytes.extend(rest.next()),
                (b'\\', Some(_)) => {
                    let digits: String = rest.by_ref().skip(1).take(2).map(char::from).collect();
                    bytes.extend(u8::from_str_radix(&digits, 16));
                }
                _ => bytes.push(byte),
            }
        }
        bytes
    }

    /// Compares both kinds of text with the standard library's, and the JSON with a JSON reader's.
    fn check(bytes: &[u8]) {
        let plain = escaped(&PLAIN, bytes);
        assert_eq!(plain, expected(bytes));
        assert_eq!(restored(&plain), bytes);
        let json = format!("\"{}\"", escaped(&JSON, bytes));
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), plain);
    }

    #[test]
    fn readable_text_stays_and_all_else_is_escaped() {
        let cases: [(&[u8], &str); 6] = [
            ("größe ☂ \"".as_bytes(), "größe ☂ \""),
            (b"a\\x00", "a\\\\x00"),
            (b"\0\x1f\n\x7f", "\\x00\\x1f\\x0a\\x7f"),
            ("\u{85}".as_bytes(), "\\xc2\\x85"),
            (b"\xff\xc3(\xe2\x98", "\\xff\\xc3(\\xe2\\x98"),
            (b"", ""),
        ];
        for (bytes, expected) in cases {
            assert_eq!(escaped(&PLAIN, bytes), expected);
            check(bytes);
        }
    }

    #[test]
    fn every_character_and_every_beginning_of_one_is_as_the_standard_library_sees_it() {
        for char in ('\0'..=char::MAX).filter(|char| {
            let edges = [
                0x7F, 0x7FF, 0xFFF, 0xD7FF, 0xFFFF, 0x3_FFFF, 0xF_FFFF, 0x10_FFFF,
            ];
            let near = |edge: &u32| u32::from(*char).abs_diff(*edge) < 0x60;
            edges.iter().any(near)
        }) {
            let mut bytes = [0; 4];
            let bytes = char.encode_utf8(&mut bytes).as_bytes();
            (1..=bytes.len()).for_each(|len| check(bytes.split_at(len).0));
        }
        for first in 0x80..=0xFF {
            for second in [0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0] {
                check(&[first, second, 0x80, 0xBF]);
                check(&[first, second, 0xBF, b'x']);
            }
        }
    }

    #[test]
    fn long_texts_are_escaped_as_short_ones_are() {
        for pattern in [&b"\xff\\ a"[..], b"\0", b"plain", "größe".as_bytes()] {
            for count in [31, 33, 200, 1025, 9000] {
                check(&pattern.repeat(count));
            }
        }
        check(&[&b"x".repeat(5000)[..], b"\n", &b"y".repeat(1024)].concat());
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes: Vec<u8>) {
            check(&bytes);
        }
    }
}
