//! From what the RDB decoder gives to what the store keeps.

use super::entry::NewValue;
use crate::rdb::object::Object as Decoded;
use crate::resp::parse_integer;
use crate::value::{Object, Thresholds};

/// A field or member stands twice in one value of a snapshot or of a RESTORE: real servers refuse that too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a field or member stands twice")]
pub struct DuplicateElement;

/// The longest text that may be an integer: that of `i64::MIN`.
const INTEGER_TEXT_BYTES_MAX: usize = 20;

impl<'a> NewValue<'a> {
    /// A string in the encoding that Redis gives a whole new value: an integer where it is one.
    /// Source: redis 7.0 object.c, `tryObjectEncoding`.
    #[must_use]
    pub fn encoded(text: &'a [u8]) -> Self {
        let number = if text.len() <= INTEGER_TEXT_BYTES_MAX {
            parse_integer(text)
        } else {
            None
        };
        number.map_or(Self::text(text), Self::Integer)
    }

    /// A decoded value as the store keeps it, in the encoding that `thresholds` ask for.
    ///
    /// # Errors
    /// [`DuplicateElement`].
    pub fn from_rdb(
        decoded: Decoded<'a>,
        _thresholds: &Thresholds,
    ) -> Result<Self, DuplicateElement> {
        let object: Object = match decoded {
            Decoded::Str(text) => return Ok(Self::encoded(text)),
            Decoded::Int(number) => return Ok(Self::Integer(number)),
            _ => return Err(DuplicateElement),
        };
        Ok(Self::Object(Box::new(object)))
    }
}
