//! Strings of any bytes as JSON strings, from which the bytes can be restored.

use crate::dump::Item;
use serde::{Serialize, Serializer};
use std::fmt::{self, Write as _};

/// How bytes become the characters of a JSON string.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Binary {
    /// UTF-8 as it is; \xNN for control characters and for bytes that are not UTF-8; \\ for a backslash
    #[default]
    Escape,
    /// Base64 with padding, for every string
    Base64,
}

/// Bytes, and how to write them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) item: Item<'a>,
    pub(super) binary: Binary,
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.binary, self.item) {
            (Binary::Escape, Item::Bytes(bytes)) => escape(f, bytes),
            // Digits need no escaping.
            (Binary::Escape, Item::Integer(number)) => {
                f.write_str(itoa::Buffer::new().format(number))
            }
            (Binary::Base64, item) => base64(f, &item.to_bytes()),
        }
    }
}

/// Returns bytes as Base64 with padding.
pub(in super::super) fn base64_of(bytes: &[u8]) -> String {
    let item = Item::Bytes(bytes);
    let binary = Binary::Base64;
    Text { item, binary }.to_string()
}

fn escape(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.iter().all(is_plain) => f.write_str(text),
        _ => escape_parts(f, bytes),
    }
}

/// Whether a byte is a readable character by itself: most text has no others.
const fn is_plain(byte: &u8) -> bool {
    matches!(byte, b' '..=b'~') && *byte != b'\\'
}

fn escape_parts(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let mut pieces = Pieces::new(f);
    for chunk in bytes.utf8_chunks() {
        for part in chunk.valid().split_inclusive(is_special) {
            let last = part.chars().next_back().filter(|last| is_special(*last));
            let (plain, special) = part.split_at(part.len() - last.map_or(0, char::len_utf8));
            pieces.text(plain)?;
            match special {
                "\\" => pieces.text("\\\\")?,
                control => pieces.hex(control.as_bytes())?,
            }
        }
        pieces.hex(chunk.invalid())?;
    }
    pieces.pass_on()
}

fn is_special(char: char) -> bool {
    char == '\\' || char.is_control()
}

/// Collects short pieces of text, because each call of a formatter takes as long as many of them.
struct Pieces<'f, 'a> {
    to: &'f mut fmt::Formatter<'a>,
    held: String,
}

/// Bytes that are passed on together.
const PIECE_BYTES: usize = 1024;

impl<'f, 'a> Pieces<'f, 'a> {
    fn new(to: &'f mut fmt::Formatter<'a>) -> Self {
        let held = String::with_capacity(PIECE_BYTES + 16);
        Self { to, held }
    }

    fn text(&mut self, text: &str) -> fmt::Result {
        if self.held.len() + text.len() > PIECE_BYTES {
            self.pass_on()?;
        }
        match text.len() > PIECE_BYTES {
            true => self.to.write_str(text)?,
            false => self.held.push_str(text),
        }
        Ok(())
    }

    fn hex(&mut self, bytes: &[u8]) -> fmt::Result {
        for byte in bytes {
            if self.held.len() > PIECE_BYTES {
                self.pass_on()?;
            }
            self.held.push_str("\\x");
            for digit in [byte >> 4, byte & 15] {
                let digit = char::from_digit(digit.into(), 16);
                self.held.push(digit.unwrap_or_default());
            }
        }
        Ok(())
    }

    fn pass_on(&mut self) -> fmt::Result {
        self.to.write_str(&self.held)?;
        self.held.clear();
        Ok(())
    }
}

/// Source: RFC 4648, section 4.
fn base64(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for group in bytes.chunks(3) {
        let sum = (0..3).fold(0, |sum, at| {
            (sum << 8) | usize::from(group.get(at).copied().unwrap_or(0))
        });
        for digit in 0..4 {
            let value = (sum >> (18 - 6 * digit)) & 63;
            let letter = ALPHABET.get(value).filter(|_| digit <= group.len());
            f.write_char(letter.map_or('=', |letter| char::from(*letter)))?;
        }
    }
    Ok(())
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(bytes: &[u8], binary: Binary) -> String {
        let item = Item::Bytes(bytes);
        Text { item, binary }.to_string()
    }

    /// Returns the bytes that an escaped text represents.
    fn unescape(text: &str) -> Vec<u8> {
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
            assert_eq!(text(bytes, Binary::Escape), expected);
        }
    }

    #[test]
    fn long_texts_are_escaped_as_short_ones_are() {
        for pattern in [&b"\xff\\ a"[..], b"\0", b"plain", "größe".as_bytes()] {
            for count in [200, 1023, 1025, 9000] {
                let whole = text(&pattern.repeat(count), Binary::Escape);
                let one = text(pattern, Binary::Escape);
                assert!(whole == one.repeat(count), "{pattern:?} {count}");
            }
        }
        let mixed = [&b"x".repeat(5000)[..], b"\n", &b"y".repeat(1024)].concat();
        assert_eq!(unescape(&text(&mixed, Binary::Escape)), mixed);
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        let cases = [
            "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy",
        ];
        for (length, expected) in cases.iter().enumerate() {
            assert_eq!(
                text(b"foobar".split_at(length).0, Binary::Base64),
                *expected
            );
        }
        assert_eq!(text(b"\xfb\xff\xfe", Binary::Base64), "+//+");
    }

    proptest! {
        #[test]
        fn escaped_bytes_come_back(bytes: Vec<u8>) {
            prop_assert_eq!(unescape(&text(&bytes, Binary::Escape)), bytes);
        }
    }
}
