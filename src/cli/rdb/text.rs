//! Strings of any bytes as JSON strings, from which the bytes can be restored.

use crate::dump::Item;
use serde::{Serialize, Serializer};
use std::fmt::{self, Write as _};

/// How bytes become the characters of a JSON string.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Binary {
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
    for chunk in bytes.utf8_chunks() {
        for part in chunk.valid().split_inclusive(is_special) {
            let last = part.chars().next_back().filter(|last| is_special(*last));
            let (plain, special) = part.split_at(part.len() - last.map_or(0, char::len_utf8));
            f.write_str(plain)?;
            match special {
                "\\" => f.write_str("\\\\")?,
                control => hex(f, control.as_bytes())?,
            }
        }
        hex(f, chunk.invalid())?;
    }
    Ok(())
}

fn is_special(char: char) -> bool {
    char == '\\' || char.is_control()
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
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
