//! Patterns that lead from an element to another key's value: `weight_*`, `object_*->field`, `#`.

use memchr::{memchr, memmem};

use crate::command::rows::Error;
use crate::rdb::listpack::{IntText, Item};
use crate::store::{Tainted, Tx, Value, View};
use crate::value::{Collection, Hash};

/// Where to find a value, given an element.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// Without a `*`: nowhere.
    Constant,
    /// The key with the element in its middle, or a field of it if it is a hash.
    Key {
        before: &'a [u8],
        after: &'a [u8],
        field: Option<&'a [u8]>,
    },
}

/// Where keys are looked up.
pub(super) trait Keys<'v> {
    /// Returns the value of a key.
    fn value_of(&self, key: &[u8]) -> Result<Option<Value<'v>>, Error>;

    /// The time in Unix milliseconds: hash fields that expired by then are not seen.
    fn time_ms(&self) -> i64;
}

impl<'v> Keys<'v> for &'v View<'_> {
    fn value_of(&self, key: &[u8]) -> Result<Option<Value<'v>>, Error> {
        if self.is_tainted(key) {
            return Err(Tainted.into());
        }
        Ok(self.value(key))
    }

    fn time_ms(&self) -> i64 {
        self.now_ms()
    }
}

impl<'v> Keys<'v> for &'v Tx<'_> {
    fn value_of(&self, key: &[u8]) -> Result<Option<Value<'v>>, Error> {
        if self.is_tainted(key) {
            return Err(Tainted.into());
        }
        if self.dialect().misses_sources_to_store() {
            self.event_of_miss(key);
        }
        Ok(self.value(key))
    }

    /// The primary's own commands see every field.
    fn time_ms(&self) -> i64 {
        i64::MIN
    }
}

impl<'a> Pattern<'a> {
    /// Parses a pattern. As in C, a star or an arrow after a zero byte does not count.
    ///
    /// Source: redis 7.0 sort.c, `lookupKeyByPattern`.
    pub(super) fn parse(text: &'a [u8]) -> Self {
        let visible = text.split(|byte| *byte == 0).next().unwrap_or_default();
        if visible == b"#" {
            return Self::Element;
        }
        let Some(star) = memchr(b'*', visible) else {
            return Self::Constant;
        };
        let (before, rest) = (
            text.get(..star).unwrap_or_default(),
            text.get(star + 1..).unwrap_or_default(),
        );
        let arrow = visible
            .get(star + 1..)
            .and_then(|rest| memmem::find(rest, b"->"))
            .filter(|arrow| rest.get(arrow + 2).is_some_and(|byte| *byte != 0));
        let (after, field) = match arrow {
            Some(arrow) => (rest.get(..arrow).unwrap_or_default(), rest.get(arrow + 2..)),
            None => (rest, None),
        };
        Self::Key {
            before,
            after,
            field,
        }
    }

    /// Whether it leads to keys at all.
    pub(super) const fn names_keys(&self) -> bool {
        matches!(self, Self::Key { .. })
    }

    /// Returns what it leads to from `element`: a string, or a field's value. `key` is a buffer.
    pub(super) fn find<'v>(
        &self,
        keys: &impl Keys<'v>,
        element: Item<'v>,
        key: &mut Vec<u8>,
    ) -> Result<Option<Item<'v>>, Error> {
        let (before, after, field) = match *self {
            Self::Element => return Ok(Some(element)),
            Self::Constant => return Ok(None),
            Self::Key {
                before,
                after,
                field,
            } => (before, after, field),
        };
        key.clear();
        key.extend_from_slice(before);
        key.extend_from_slice(element.text(&mut IntText::new()));
        key.extend_from_slice(after);
        Ok(match (keys.value_of(key)?, field) {
            (Some(Value::Text(text)), None) => Some(Item::Str(text)),
            (Some(Value::Integer(number)), None) => Some(Item::Int(number)),
            (Some(Value::Object(object)), Some(field)) => {
                Hash::of(object).and_then(|hash| hash.get_live(field, keys.time_ms()))
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text before the star, the text after it, and the field.
    type Parts<'a> = (&'a [u8], &'a [u8], Option<&'a [u8]>);

    fn parts(text: &str) -> Option<Parts<'_>> {
        match Pattern::parse(text.as_bytes()) {
            Pattern::Key {
                before,
                after,
                field,
            } => Some((before, after, field)),
            _ => None,
        }
    }

    #[test]
    fn an_arrow_needs_a_field_and_stands_behind_the_star() {
        assert_eq!(parts("a*b"), Some((&b"a"[..], &b"b"[..], None)));
        assert_eq!(
            parts("a*b->c"),
            Some((&b"a"[..], &b"b"[..], Some(&b"c"[..])))
        );
        assert_eq!(parts("a*->"), Some((&b"a"[..], &b"->"[..], None)));
        assert_eq!(parts("a->b*"), Some((&b"a->b"[..], &b""[..], None)));
        assert_eq!(
            parts("*->x->y"),
            Some((&b""[..], &b""[..], Some(&b"x->y"[..])))
        );
        assert_eq!(parts("nosort"), None);
        assert_eq!(parts("x\0*"), None);
        assert!(matches!(Pattern::parse(b"#"), Pattern::Element));
        assert!(matches!(Pattern::parse(b"#*"), Pattern::Key { .. }));
    }
}
