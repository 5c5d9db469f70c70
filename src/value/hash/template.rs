//! The compact form of a hash: values beside field names that it shares with other hashes (Redis 8.10's hash templates).
//!
//! The names are in their own order, so the fields of such a hash are, too. A new field or a removed one moves the hash to other
//! shared names; it stays compact until a field expires.
//!
//! DIFFERENCE: redtail makes no plain hash compact, like a replica with `hash-min-template-entries 0`, the default.
//! Source: redis 8.10 t_hash.c, from documents: no server of that version was asked.

use std::sync::Arc;

use crate::rdb::listpack::{Item, Listpack};
use crate::rdb::names::Names;
use crate::rdb::object::{TemplateValues, ValuesIter};
use crate::value::Thresholds;

/// A compact hash.
#[derive(Debug, Clone)]
pub(super) struct Template {
    names: Arc<Names>,
    /// As many values as names.
    values: TemplateValues,
}

impl Template {
    /// Takes names and as many values, packed if `thresholds` allow it.
    pub(super) fn new(names: Arc<Names>, values: TemplateValues, thresholds: &Thresholds) -> Self {
        let mut hash = Self { names, values };
        match &hash.values {
            TemplateValues::Packed(_) if hash.len() > thresholds.hash_max_listpack_entries => {
                hash.unpack();
            }
            TemplateValues::Array(values) if fit(values.iter(), thresholds) => {
                let packed = values.iter().map(|value| &**value).collect();
                hash.values = TemplateValues::Packed(packed);
            }
            _ => {}
        }
        hash
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The number of bytes on the heap, without the shared names.
    pub(super) fn heap_bytes(&self) -> usize {
        let held = match &self.values {
            TemplateValues::Packed(packed) => packed.capacity(),
            TemplateValues::Array(values) => {
                let texts: usize = values.iter().map(|value| value.len()).sum();
                values.capacity() * size_of::<Box<[u8]>>() + texts
            }
        };
        size_of::<Self>() + held
    }

    pub(super) const fn parts(&self) -> (&Arc<Names>, &TemplateValues) {
        (&self.names, &self.values)
    }

    pub(super) fn get(&self, field: &[u8]) -> Option<Item<'_>> {
        let index = self.names.find(field).ok()?;
        match &self.values {
            TemplateValues::Packed(packed) => packed.get(index),
            TemplateValues::Array(values) => values.get(index).map(|value| Item::Str(value)),
        }
    }

    /// Makes room for `words`, which alternate between fields and values.
    ///
    /// Source: redis 8.10 t_hash.c, `hashTypeTryConversion`.
    pub(super) fn prepare<'w>(
        &mut self,
        words: impl Iterator<Item = &'w [u8]>,
        thresholds: &Thresholds,
    ) {
        let TemplateValues::Packed(packed) = &self.values else {
            return;
        };
        let (mut bytes, mut is_long) = (0_usize, false);
        for value in words.skip(1).step_by(2) {
            bytes = bytes.saturating_add(value.len());
            is_long |= value.len() > thresholds.hash_max_listpack_value;
        }
        if is_long || !packed.can_grow(bytes) {
            self.unpack();
        }
    }

    /// Sets `field` to `value`. Returns whether the field is new.
    ///
    /// Source: redis 8.10 t_hash.c, `hashTypeSet`.
    pub(super) fn set(&mut self, field: &[u8], value: &[u8], thresholds: &Thresholds) -> bool {
        let found = self.names.find(field);
        self.prepare([field, value].into_iter(), thresholds);
        if found.is_err() && self.len() + 1 > thresholds.hash_max_listpack_entries {
            self.unpack();
        }
        match (found, &mut self.values) {
            (Ok(index), TemplateValues::Packed(packed)) => drop(packed.replace(index, value)),
            (Ok(index), TemplateValues::Array(values)) => {
                if let Some(old) = values.get_mut(index) {
                    *old = value.into();
                }
            }
            (Err(at), TemplateValues::Packed(packed)) => packed.insert(at, value),
            (Err(at), TemplateValues::Array(values)) => values.insert(at, value.into()),
        }
        if found.is_err() {
            self.names = self.names.with(field);
        }
        found.is_err()
    }

    /// Removes `field`. Returns false if it did not exist.
    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let Ok(index) = self.names.find(field) else {
            return false;
        };
        match &mut self.values {
            TemplateValues::Packed(packed) => drop(packed.remove(index, 1)),
            TemplateValues::Array(values) => drop(values.remove(index)),
        }
        self.names = self.names.without(index);
        true
    }

    /// Whether names and values together fit into a plain listpack.
    ///
    /// Source: redis 8.10 t_hash.c, `hashTypeCanConvertTmplToListpack`.
    pub(super) fn fits_listpack(&self, thresholds: &Thresholds) -> bool {
        let values_fit = match &self.values {
            TemplateValues::Packed(_) => true,
            TemplateValues::Array(values) => fit(values.iter(), thresholds),
        };
        values_fit && fit(self.names.iter(), thresholds)
    }

    fn unpack(&mut self) {
        if let TemplateValues::Packed(packed) = &self.values {
            let values = packed.iter().map(|value| value.to_boxed());
            self.values = TemplateValues::Array(values.collect());
        }
    }

    pub(super) fn iter(&self) -> Iter<'_> {
        Iter {
            names: &self.names,
            at: 0,
            values: self.values.iter(),
        }
    }
}

/// Whether these texts fit into a listpack.
pub(super) fn fit<'t, T: AsRef<[u8]> + 't>(
    texts: impl Iterator<Item = T>,
    thresholds: &Thresholds,
) -> bool {
    let (mut count, mut bytes) = (0_usize, 0_usize);
    for text in texts {
        let len = text.as_ref().len();
        if len > thresholds.hash_max_listpack_value {
            return false;
        }
        count += 1;
        bytes = bytes.saturating_add(len);
    }
    count <= thresholds.hash_max_listpack_entries && Listpack::new().can_grow(bytes)
}

/// Iterates over the fields and values in the order of the names.
#[derive(Debug, Clone)]
pub(super) struct Iter<'a> {
    names: &'a Names,
    at: usize,
    values: ValuesIter<'a>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Item<'a>, Item<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let name = self.names.get(self.at)?;
        self.at += 1;
        Some((Item::Str(name), self.values.next()?))
    }
}
