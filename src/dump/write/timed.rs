//! Hashes whose fields expire, from iterators. The layout of Redis begins with the earliest expiry, so the fields are walked over
//! twice.

use super::{
    ELEMENT_BYTES, HELD_BYTES_MAX, NewKey, WriteError,
    gathered::{Gathered as _, pair},
    require,
};
use crate::{
    rdb::{
        FIELD_EXPIRY_MS_MAX, ValueType,
        encode::{self, Layouts},
        packed::Item,
        records::{Record, Records, Shape},
    },
    value::{Hash, Object},
};
use std::io::Write;

impl<W: Write> NewKey<'_, W> {
    /// Writes the key with a hash whose fields may expire: each field, its value, and its expiry, Unix time in milliseconds. The
    /// iterator is cloned, so that it can be walked over twice: give one that borrows the fields. Primaries leave out fields that have
    /// expired when they load the dump.
    ///
    /// # Errors
    /// Like [`hash`](Self::hash); [`WriteError::Unsupported`] if a field expires and the version has no field expiries.
    pub fn hash_with_expiries<F: AsRef<[u8]>, V: AsRef<[u8]>>(
        self,
        fields: impl IntoIterator<Item = (F, V, Option<i64>), IntoIter: ExactSizeIterator + Clone>,
    ) -> Result<(), WriteError> {
        let fields = fields.into_iter();
        self.write(|key| {
            let out = &key.writer.out;
            let survey = Survey::of(fields.clone(), out.layouts())?;
            let Some(first_ms) = survey.first_ms else {
                let pairs = fields.map(|(name, value, _)| (name, value));
                return key.collection::<Hash, _>(pairs, pair);
            };
            require(out, out.layouts().has_field_expiries(), FIELD_EXPIRIES)?;
            match survey.held {
                Some(records) => {
                    let hash = Hash::from_timed_records(records, &key.thresholds());
                    key.object(&Object::Hash(hash.map_err(|_| WriteError::Twice)?))
                }
                None => key.timed_fields(fields, survey.fields, first_ms),
            }
        })
    }

    fn timed_fields<F: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        fields: impl Iterator<Item = (F, V, Option<i64>)>,
        announced: usize,
        first_ms: i64,
    ) -> Result<(), WriteError> {
        let layouts = self.writer.out.layouts();
        let out = self.begin(timed_type(layouts))?;
        if layouts.is_valkey() {
            out.count(announced)?;
        } else {
            out.hash_metadata_head(announced, first_ms)?;
        }
        let mut written = 0;
        for (name, value, expire_at_ms) in fields {
            let (name, value) = (name.as_ref(), value.as_ref());
            Hash::bytes((name, value))?;
            check(expire_at_ms, layouts)?;
            write_field(out, name, value, expire_at_ms, first_ms)?;
            written += 1;
        }
        if written == announced {
            Ok(())
        } else {
            Err(WriteError::Iterator)
        }
    }
}

/// The name of what some versions do not have.
pub(super) const FIELD_EXPIRIES: &str = "field expiries";

/// The layout of a hash whose fields expire, if it is not packed.
pub(super) const fn timed_type(layouts: Layouts) -> ValueType {
    if layouts.is_valkey() {
        ValueType::Hash2
    } else {
        ValueType::HashMetadata
    }
}

/// Refuses an expiry that servers of the version do not accept.
pub(super) fn check(expire_at_ms: Option<i64>, layouts: Layouts) -> Result<(), WriteError> {
    let Some(at) = expire_at_ms else {
        return Ok(());
    };
    let is_in_reach = |at: u64| layouts.is_valkey() || at <= FIELD_EXPIRY_MS_MAX;
    // 0 means that a field does not expire.
    match u64::try_from(at) {
        Ok(number @ 1..) if is_in_reach(number) => Ok(()),
        _ => Err(WriteError::Expiry(at)),
    }
}

fn write_field<W: Write>(
    out: &mut encode::Writer<W>,
    name: &[u8],
    value: &[u8],
    expire_at_ms: Option<i64>,
    first_ms: i64,
) -> Result<(), WriteError> {
    let (name, value) = (Item::Str(name), Item::Str(value));
    if out.layouts().is_valkey() {
        return Ok(out.pair_with_expiry(name, value, expire_at_ms)?);
    }
    let since_ms = match expire_at_ms {
        None => None,
        Some(at) if at < first_ms => return Err(WriteError::Iterator),
        Some(at) => Some(at.abs_diff(first_ms)),
    };
    Ok(out.pair_after_expiry(name, value, since_ms)?)
}

/// What the first walk over the fields finds.
struct Survey {
    fields: usize,
    /// The earliest expiry; `None` if no field expires.
    first_ms: Option<i64>,
    /// The fields, unless they are too large to be held.
    held: Option<Records>,
}

impl Survey {
    fn of<F: AsRef<[u8]>, V: AsRef<[u8]>>(
        fields: impl Iterator<Item = (F, V, Option<i64>)>,
        layouts: Layouts,
    ) -> Result<Self, WriteError> {
        let mut bytes = 0;
        let mut survey = Self {
            fields: 0,
            first_ms: None,
            held: Some(Records::new(Shape::TIMED_FIELD)),
        };
        for (name, value, expire_at_ms) in fields {
            let (name, value) = (name.as_ref(), value.as_ref());
            bytes += Hash::bytes((name, value))? + ELEMENT_BYTES;
            check(expire_at_ms, layouts)?;
            survey.fields += 1;
            survey.first_ms = [survey.first_ms, expire_at_ms].into_iter().flatten().min();
            survey.held = survey.held.filter(|_| bytes <= HELD_BYTES_MAX);
            if let Some(records) = &mut survey.held {
                records.push(Record::timed_field(name, value, expire_at_ms));
            }
        }
        Ok(survey)
    }
}
