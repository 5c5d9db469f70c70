//! Finds a field in attributes, which are JSON only if the client that set them wrote JSON.
//!
//! Source: redis 8.0 modules/vector-sets/fastjson.c. It skips what is not asked for without a close look, and so does
//! this: if a text is not JSON, what follows the field does not matter.

use std::borrow::Cow;
use std::rc::Rc;

use super::value::{NUMBER_BYTES_MAX, Value, is_space};

/// Returns the value of a field of the outermost object, or `None` if there is none, or if expressions cannot use it.
pub(super) fn field<'j>(json: &'j [u8], name: &[u8]) -> Option<Value<'j>> {
    let mut cursor = Cursor(json);
    cursor.skip_spaces();
    cursor.expect(b'{')?;
    loop {
        cursor.skip_spaces();
        let key = cursor.skip_string()?;
        cursor.skip_spaces();
        cursor.expect(b':')?;
        cursor.skip_spaces();
        // A dot alone names no field, not even one with an empty name.
        if key == name && !name.is_empty() {
            return cursor.value();
        }
        cursor.skip_value()?;
        cursor.skip_spaces();
        cursor.expect(b',')?;
    }
}

struct Cursor<'j>(&'j [u8]);

impl<'j> Cursor<'j> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn pass(&mut self, len: usize) -> Option<&'j [u8]> {
        let (passed, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(passed)
    }

    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> &'j [u8] {
        let len = self.0.iter().take_while(|byte| wanted(**byte)).count();
        self.pass(len).unwrap_or_default()
    }

    fn skip_spaces(&mut self) {
        self.take(is_space);
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    /// Skips a string. Returns the text between its quotes, with its escapes unchanged.
    fn skip_string(&mut self) -> Option<&'j [u8]> {
        self.expect(b'"')?;
        let mut len = 0;
        loop {
            match self.0.get(len)? {
                b'"' => break,
                b'\\' => len += 2,
                _ => len += 1,
            }
        }
        let text = self.pass(len)?;
        self.expect(b'"')?;
        Some(text)
    }

    fn skip_value(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.skip_string().map(drop),
            b'{' => self.skip_bracketed(b'{', b'}'),
            b'[' => self.skip_bracketed(b'[', b']'),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => (!self.take(is_of_number).is_empty()).then_some(()),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(word)?;
        Some(())
    }

    /// Skips to the bracket that closes this one. Brackets of other kinds do not count.
    fn skip_bracketed(&mut self, opening: u8, closing: u8) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            let byte = self.peek()?;
            if byte == b'"' {
                self.skip_string()?;
                continue;
            }
            self.pass(1)?;
            if byte == opening {
                depth += 1;
            } else if byte == closing {
                depth -= 1;
                if depth == 0 {
                    return Some(());
                }
            }
        }
    }

    fn value(&mut self) -> Option<Value<'j>> {
        match self.peek()? {
            b'[' => self.array(),
            _ => self.scalar(),
        }
    }

    fn scalar(&mut self) -> Option<Value<'j>> {
        match self.peek()? {
            b'"' => self.skip_string().map(|text| Value::Text(unescaped(text))),
            b't' => self.word(b"true", Value::Number(1.0)),
            b'f' => self.word(b"false", Value::Number(0.0)),
            b'n' => self.word(b"null", Value::Null),
            b'0'..=b'9' | b'-' | b'+' => self.number(),
            _ => None,
        }
    }

    fn word(&mut self, word: &[u8], value: Value<'j>) -> Option<Value<'j>> {
        self.literal(word)?;
        let ends = |byte| is_space(byte) || matches!(byte, b',' | b']' | b'}');
        self.peek().is_none_or(ends).then_some(value)
    }

    fn number(&mut self) -> Option<Value<'j>> {
        let len = self.0.iter().take(NUMBER_BYTES_MAX - 1);
        let len = len.take_while(|byte| is_of_number(**byte)).count();
        let digits = std::str::from_utf8(self.pass(len)?).ok()?;
        digits.parse().ok().map(Value::Number)
    }

    /// Parses an array. Arrays inside it are only walked, without recursion, because they may be nested to any depth.
    fn array(&mut self) -> Option<Value<'j>> {
        let mut values = Vec::new();
        let mut depth = 0_usize;
        loop {
            // A value must come here.
            self.skip_spaces();
            let value = if self.peek()? == b'[' {
                self.pass(1)?;
                self.skip_spaces();
                depth += 1;
                if self.peek()? != b']' {
                    continue;
                }
                self.pass(1)?;
                depth -= 1;
                Value::Tuple(Rc::default())
            } else {
                self.scalar()?
            };
            if depth == 0 {
                return Some(value);
            }
            if depth == 1 {
                values.push(value);
            }
            depth = self.after_value(depth, &mut values)?;
            if depth == 0 {
                return Some(Value::Tuple(values.into()));
            }
        }
    }

    /// Skips the brackets that close after a value, and the comma before the next one. Returns the depth after that.
    fn after_value(&mut self, mut depth: usize, values: &mut Vec<Value<'j>>) -> Option<usize> {
        loop {
            self.skip_spaces();
            match self.pass(1)? {
                b"," => return Some(depth),
                b"]" => depth -= 1,
                _ => return None,
            }
            match depth {
                0 => return Some(0),
                1 => values.push(Value::Tuple(Rc::default())),
                _ => {}
            }
        }
    }
}

const fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// Returns a string with its escapes resolved. Escapes that encode a character's number only lose their backslash.
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(other) => other,
                None => break,
            },
            byte => byte,
        });
    }
    Cow::Owned(plain)
}
