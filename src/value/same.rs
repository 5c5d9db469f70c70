//! Whether two values are the same to every reader.

use std::io;

use super::{Hash, List, Object, Set, Zset};
use crate::rdb::Version;
use crate::rdb::encode::Writer;
use crate::rdb::packed::{IntText, Item};

impl Object {
    /// Whether both hold the same contents. Values that differ only in their inner layout may count as different: streams, arrays
    /// and vector sets are compared as they are written. A value that is no longer known is different from every other.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::List(one), Self::List(other)) => one.is_same(other),
            (Self::Set(one), Self::Set(other)) => one.is_same(other),
            (Self::Hash(one), Self::Hash(other)) => one.is_same(other),
            (Self::Zset(one), Self::Zset(other)) => one.is_same(other),
            (Self::Module(one), Self::Module(other)) => one == other,
            (Self::Stream(_), Self::Stream(_))
            | (Self::Array(_), Self::Array(_))
            | (Self::VectorSet(_), Self::VectorSet(_)) => {
                let texts = (self.written(), other.written());
                matches!(texts, (Ok(one), Ok(other)) if one == other)
            }
            _ => false,
        }
    }

    fn written(&self) -> io::Result<Vec<u8>> {
        let mut writer = Writer::new(Vec::new(), Version::NEWEST).uncompressed();
        self.encode(&mut writer)?;
        writer.checksum()
    }
}

fn is_same_text(one: Item<'_>, other: Item<'_>) -> bool {
    // The same text may be kept as a number in one of them alone.
    one == other || one.text(&mut IntText::new()) == other.text(&mut IntText::new())
}

impl List {
    fn is_same(&self, other: &Self) -> bool {
        let mut pairs = self.iter().zip(other.iter());
        self.len() == other.len() && pairs.all(|(one, other)| is_same_text(one, other))
    }
}

impl Set {
    fn is_same(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|member| other.has(member))
    }
}

impl Hash {
    fn is_same(&self, other: &Self) -> bool {
        let has = |name: &[u8], value, expiry| {
            other
                .get(name)
                .is_some_and(|found| is_same_text(found, value))
                && other.expiry(name).flatten() == expiry
        };
        let mut fields = self.fields();
        self.len() == other.len()
            && fields.all(|field| {
                let mut text = IntText::new();
                has(field.name.text(&mut text), field.value, field.expire_at_ms)
            })
    }
}

impl Zset {
    /// Both are in the order of scores and members.
    fn is_same(&self, other: &Self) -> bool {
        let mut pairs = self.iter().zip(other.iter());
        self.len() == other.len()
            && pairs.all(|((one, score), (other, other_score))| {
                score.to_bits() == other_score.to_bits() && is_same_text(one, other)
            })
    }
}
