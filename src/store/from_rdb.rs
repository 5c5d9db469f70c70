//! From what the RDB decoder gives to what the store keeps.

use super::entry::NewValue;
use crate::rdb::object::Object as Decoded;
use crate::resp::parse_integer;
use crate::value::{Hash, List, Object, Set, Thresholds};

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
        thresholds: &Thresholds,
    ) -> Result<Self, DuplicateElement> {
        let object: Object = match decoded {
            Decoded::Str(text) => return Ok(Self::encoded(text)),
            Decoded::Int(number) => return Ok(Self::Integer(number)),
            Decoded::List(nodes) => Object::List(List::from_nodes(nodes, thresholds)),
            Decoded::SetIntset(intset) => Object::Set(Set::from_intset(intset, thresholds)),
            Decoded::SetListpack(packed) => {
                Object::Set(Set::from_listpack(packed, thresholds).map_err(|_| DuplicateElement)?)
            }
            Decoded::Set(members) => {
                Object::Set(Set::from_members(members, thresholds).map_err(|_| DuplicateElement)?)
            }
            Decoded::HashListpack(packed) => {
                Object::Hash(Hash::from_listpack(packed, thresholds).map_err(|_| DuplicateElement)?)
            }
            Decoded::Hash(pairs) => {
                Object::Hash(Hash::from_pairs(pairs, thresholds).map_err(|_| DuplicateElement)?)
            }
            _ => return Err(DuplicateElement),
        };
        Ok(Self::Object(Box::new(object)))
    }
}
