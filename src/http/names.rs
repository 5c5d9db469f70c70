//! Names of keys as text: UTF-8, with all other bytes, control characters and backslashes as `\xNN`, so that each text stands for
//! one name.

use std::fmt::Write as _;

/// Returns the text for a name.
pub(super) fn escape(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || character == '\\' {
                let mut bytes = [0; 4];
                write_bytes(&mut text, character.encode_utf8(&mut bytes).as_bytes());
            } else {
                text.push(character);
            }
        }
        write_bytes(&mut text, chunk.invalid());
    }
    text
}

fn write_bytes(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// Returns the name that a text stands for. A backslash that begins no `\xNN` stands for itself.
pub(super) fn unescape(text: &str) -> Vec<u8> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, after) = match escaped(rest) {
            Some((byte, after)) => (byte, after),
            None => (*first, after),
        };
        name.push(byte);
        rest = after;
    }
    name
}

fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, after) = text.strip_prefix(b"\\x")?.split_at_checked(2)?;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let [high, low] = digits else {
        return None;
    };
    let byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
    Some((byte, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_its_own_text_and_comes_back() {
        let names: &[(&[u8], &str)] = &[
            (b"user:1", "user:1"),
            ("grün 🌳".as_bytes(), "grün 🌳"),
            (b"\xff\x00a\n", "\\xff\\x00a\\x0a"),
            (b"\\xff", "\\x5cxff"),
            (b"a\\b", "a\\x5cb"),
            ("\u{85}".as_bytes(), "\\xc2\\x85"),
            (b"\xe2\x82", "\\xe2\\x82"),
            (b"", ""),
        ];
        for (name, text) in names {
            assert_eq!(escape(name), *text);
            assert_eq!(unescape(text), *name);
        }
        for (text, name) in [
            ("a\\b", &b"a\\b"[..]),
            ("\\x", b"\\x"),
            ("\\xg0", b"\\xg0"),
            ("\\xF0", b"\xf0"),
        ] {
            assert_eq!(unescape(text), name);
        }
    }
}
