//! The values in expressions.

use std::borrow::Cow;
use std::rc::Rc;

use crate::command::rows::parse::c_double;

/// A number, a text, several of those, or nothing.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Number(f64),
    Text(Cow<'a, [u8]>),
    /// A tuple inside another is empty, because nothing looks into it.
    Tuple(Rc<[Self]>),
    Null,
}

impl<'a> Value<'a> {
    /// Returns the same value without a copy.
    pub(super) fn borrowed<'b>(&'b self) -> Value<'b>
    where
        'a: 'b,
    {
        match self {
            Self::Number(number) => Value::Number(*number),
            Self::Text(text) => Value::Text(Cow::Borrowed(text)),
            Self::Tuple(values) => Value::Tuple(Rc::clone(values)),
            Self::Null => Value::Null,
        }
    }

    /// Returns its number, or 0 if it has none.
    pub(super) fn number(&self) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Text(text) => text_number(text).unwrap_or(0.0),
            Self::Tuple(_) | Self::Null => 0.0,
        }
    }

    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Number(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Tuple(_) => true,
            Self::Null => false,
        }
    }

    /// Source: redis 8.0 modules/vector-sets/expr.c, `exprTokensEqual`.
    pub(super) fn equals(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Self::Text(one), Value::Text(other)) => one == other,
            (Self::Null, Value::Null) => true,
            (Self::Null, _) | (_, Value::Null) => false,
            (one, other) => one.number() == other.number(),
        }
    }

    /// Whether both are texts, and `text` is part of this one.
    pub(super) fn contains(&self, text: &Value<'_>) -> bool {
        match (self, text) {
            (Self::Text(own), Value::Text(text)) => memchr::memmem::find(own, text).is_some(),
            _ => false,
        }
    }

    /// Whether it is a tuple that contains such a value.
    pub(super) fn has(&self, value: &Value<'_>) -> bool {
        match self {
            Self::Tuple(values) => values.iter().any(|other| value.equals(other)),
            _ => false,
        }
    }
}

/// Returns the number that C reads in a text, up to a zero byte, if nothing follows it.
fn text_number(text: &[u8]) -> Option<f64> {
    if text.len() >= NUMBER_BYTES_MAX {
        return None;
    }
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let digits = text.iter().position(|byte| !is_space(*byte));
    c_double(text.get(digits?..)?)
}

/// C's `isspace`.
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Texts of this length or longer are not numbers. Source: expr.c, `exprTokenToNum`.
pub(super) const NUMBER_BYTES_MAX: usize = 256;
