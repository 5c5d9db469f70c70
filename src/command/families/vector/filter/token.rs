//! Splits expressions into words.

use std::borrow::Cow;

use super::operator::Operator;
use super::value::{NUMBER_BYTES_MAX, Value, is_space};

#[derive(Debug, PartialEq)]
pub(super) enum Token {
    Value(Value<'static>),
    /// The name of a field; empty for a dot at the end.
    Field(Vec<u8>),
    Operator(Operator),
    /// The word `null`.
    Null,
}

/// Returns all words of an expression, which ends at its first zero byte.
///
/// # Errors
/// The position after what is not a word.
pub(super) fn tokens(text: &[u8]) -> Result<Vec<Token>, usize> {
    let mut cursor = Cursor { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        cursor.skip_spaces();
        if cursor.peek().is_none() {
            return Ok(tokens);
        }
        // A minus belongs to a number if no value precedes it.
        let signed = match tokens.last() {
            None => true,
            Some(Token::Operator(operator)) => *operator != Operator::Close,
            Some(_) => false,
        };
        let token = cursor.token(signed);
        tokens.push(token.ok_or(cursor.at)?);
    }
}

struct Cursor<'e> {
    text: &'e [u8],
    at: usize,
}

impl<'e> Cursor<'e> {
    fn rest(&self) -> &'e [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    /// Takes the bytes that `wanted` accepts.
    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> &'e [u8] {
        let rest = self.rest();
        let len = rest.iter().take_while(|byte| wanted(**byte)).count();
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    fn skip_spaces(&mut self) {
        self.take(is_space);
    }

    fn token(&mut self, signed: bool) -> Option<Token> {
        match *self.rest() {
            [b'0'..=b'9', ..] => self.number().map(Token::Value),
            [b'-', b'0'..=b'9', ..] if signed => self.number().map(Token::Value),
            [b'"' | b'\'', ..] => self.text().map(Token::Value),
            [b'.'] => Some(self.field()),
            [b'.', next, ..] if is_of_field(next) => Some(self.field()),
            [b'[', ..] => self.tuple().map(Token::Value),
            _ => self.word(),
        }
    }

    fn field(&mut self) -> Token {
        self.at += 1;
        Token::Field(self.take(is_of_field).to_vec())
    }

    fn number(&mut self) -> Option<Value<'static>> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        self.take(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E'));
        let text = self.text.get(start..self.at)?;
        if text.len() >= NUMBER_BYTES_MAX {
            self.at = start + NUMBER_BYTES_MAX - 1;
            return None;
        }
        let number = std::str::from_utf8(text).ok()?.parse().ok()?;
        Some(Value::Number(number))
    }

    /// Reads a quoted text. A backslash keeps a quote from ending it, and stays in the text.
    fn text(&mut self) -> Option<Value<'static>> {
        let quote = self.peek()?;
        self.at += 1;
        let start = self.at;
        while let Some(byte) = self.peek() {
            if byte == quote {
                let text = self.text.get(start..self.at)?;
                self.at += 1;
                return Some(Value::Text(Cow::Owned(text.to_vec())));
            }
            let is_escape = byte == b'\\' && self.rest().len() > 1;
            self.at += 1 + usize::from(is_escape);
        }
        None
    }

    fn tuple(&mut self) -> Option<Value<'static>> {
        self.at += 1;
        let mut values = Vec::new();
        loop {
            self.skip_spaces();
            match self.peek() {
                Some(b']') => break,
                Some(b'0'..=b'9' | b'-') => values.push(self.number()?),
                Some(b'"' | b'\'') => values.push(self.text()?),
                _ => return None,
            }
            self.skip_spaces();
            match self.peek() {
                Some(b']') => break,
                Some(b',') => self.at += 1,
                _ => return None,
            }
        }
        self.at += 1;
        Some(Value::Tuple(values.into()))
    }

    /// Reads an operator or `null`. If there is none, skips the whole run of letters and signs.
    fn word(&mut self) -> Option<Token> {
        let start = self.at;
        let word = self.take(|byte| byte.is_ascii_alphabetic() || SIGNS.contains(&byte));
        if word == b"null" {
            return Some(Token::Null);
        }
        let (operator, len) = Operator::starting(word)?;
        self.at = start + len;
        Some(Token::Operator(operator))
    }
}

const fn is_of_field(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

const SIGNS: &[u8] = b"+-*%/!()<>=|&";
