//! Strings of any bytes as JSON strings, from which the bytes can be restored.

use std::io::{self, Write};

use base64::{Engine as _, prelude::BASE64_STANDARD, write::EncoderWriter};
use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;

use super::escape;
use crate::dump::Item;

/// How bytes become the characters of a JSON string.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Binary {
    /// UTF-8 as it is; \xNN for control characters and for bytes that are not UTF-8; \\ for a backslash
    #[default]
    Escape,
    /// Base64 with padding, for every string
    Base64,
}

impl Binary {
    /// Returns bytes as text, for tables.
    pub(super) fn shown(self, bytes: &[u8]) -> String {
        match self {
            Self::Escape => {
                let mut text = Vec::with_capacity(bytes.len());
                // A vector takes everything.
                let _infallible = escape::PLAIN.write(&mut text, bytes);
                String::from_utf8(text).unwrap_or_default()
            }
            Self::Base64 => base64_of(bytes),
        }
    }
}

/// Returns bytes as Base64 with padding.
pub(in super::super) fn base64_of(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// Bytes that become a JSON string where a value is written by a [`Binary`]: see [`super::output::write_json`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a>(pub(super) Item<'a>);

impl<'a> Text<'a> {
    pub(super) const fn of(bytes: &'a [u8]) -> Self {
        Self(Item::Bytes(bytes))
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Item::Bytes(bytes) => to.serialize_bytes(bytes),
            Item::Integer(number) => {
                to.serialize_bytes(itoa::Buffer::new().format(number).as_bytes())
            }
        }
    }
}

/// Compact JSON with bytes as strings: what serde calls bytes is always a [`Text`].
impl Formatter for Binary {
    fn write_byte_array<W: ?Sized + Write>(&mut self, to: &mut W, bytes: &[u8]) -> io::Result<()> {
        to.write_all(b"\"")?;
        match self {
            Self::Escape => escape::JSON.write(to, bytes)?,
            Self::Base64 => {
                let mut encoder = EncoderWriter::new(&mut *to, &BASE64_STANDARD);
                encoder.write_all(bytes)?;
                encoder.finish()?;
            }
        }
        to.write_all(b"\"")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::super::output::json;
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let cases = [
            "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy",
        ];
        for (length, expected) in cases.iter().enumerate() {
            let bytes = b"foobar".split_at(length).0;
            assert_eq!(Binary::Base64.shown(bytes), *expected);
            let json = json(&Text::of(bytes), Binary::Base64);
            assert_eq!(json, format!("\"{expected}\"\n"));
        }
        assert_eq!(Binary::Base64.shown(b"\xfb\xff\xfe"), "+//+");
    }

    #[test]
    fn integers_are_their_digits() {
        let number = Text(Item::Integer(i64::MIN));
        assert_eq!(json(&number, Binary::Escape), "\"-9223372036854775808\"\n");
        assert_eq!(json(&Text(Item::Integer(7)), Binary::Base64), "\"Nw==\"\n");
    }
}
