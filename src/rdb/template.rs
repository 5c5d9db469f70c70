//! Compact hashes: values beside field names that they share (Redis 8.10's hash templates).
//!
//! A file has a record for each list of names (opcode 242) before the hashes that refer to it. A DUMP payload holds the names
//! itself. Source: redis 8.10 rdb.c, from documents: no server of that version was asked.

use std::collections::HashMap;
use std::sync::Arc;

use super::{
    error::{Cause, Error},
    flaws::{Flaws, corrupt},
    kind::ValueType,
    listpack::Listpack,
    names::{Collected, Names, NamesError},
    object::{Object, TemplateValues},
    packed::IntText,
    reader::Reader,
    source::Source,
    value,
};

/// The lists of names that a file has stated so far, by their number.
#[derive(Debug, Default)]
pub(super) struct Templates(HashMap<u64, Arc<Names>>);

impl Templates {
    /// Reads a record, after its opcode.
    pub(super) fn read<S: Source>(&mut self, reader: &mut Reader<S>) -> Result<(), Error> {
        reader.reading("a hash template");
        let at = reader.position();
        let id = reader.length()?;
        let names = plain_names(reader)?;
        match self.0.insert(id, names) {
            None => Ok(()),
            Some(_) => Err(reader.error_at(at, corrupt("two hash templates have the same number"))),
        }
    }

    fn get<S: Source>(&self, reader: &Reader<S>, at: u64, id: u64) -> Result<Arc<Names>, Error> {
        let names = self.0.get(&id).map(Arc::clone);
        names.ok_or_else(|| reader.error_at(at, Cause::NoTemplate(id)))
    }
}

/// Reads a compact hash of one of the four types.
pub(super) fn hash<S: Source>(
    reader: &mut Reader<S>,
    flaws: &mut Flaws,
    templates: &Templates,
    kind: ValueType,
) -> Result<Option<Object<'static>>, Error> {
    match kind {
        ValueType::HashTemplateListpack => {
            let names = own_names(reader)?;
            packed(reader, flaws, |_, _, _| Ok(names))
        }
        ValueType::HashTemplateListpackRef => packed(reader, flaws, |reader, at, id| {
            templates.get(reader, at, id)
        }),
        ValueType::HashTemplateArray => {
            let names = own_names(reader)?;
            array(reader, names).map(Some)
        }
        _ => {
            reader.reading("a hash template's number");
            let at = reader.position();
            let id = reader.length()?;
            let names = templates.get(reader, at, id)?;
            array(reader, names).map(Some)
        }
    }
}

/// Reads a listpack of a template's number and the values. `names` returns the names for the number. Returns `None` if the
/// listpack has a flaw that loses the value.
fn packed<S: Source>(
    reader: &mut Reader<S>,
    flaws: &mut Flaws,
    names: impl FnOnce(&Reader<S>, u64, u64) -> Result<Arc<Names>, Error>,
) -> Result<Option<Object<'static>>, Error> {
    let at = reader.position();
    let Some(mut values) = value::listpack(reader, flaws, 1)? else {
        return Ok(None);
    };
    let wrong = |reason| reader.error_at(at, corrupt(reason));
    let id = values.get(0).and_then(|id| id.as_int());
    let id = id.ok_or_else(|| wrong("the values of a compact hash do not start with a number"))?;
    let names = names(reader, at, id.cast_unsigned())?;
    if values.len() != names.len() + 1 {
        return Err(wrong(
            "a compact hash does not have as many values as its template has fields",
        ));
    }
    values.remove(0, 1);
    values.shrink_to_fit();
    let values = TemplateValues::Packed(values);
    Ok(Some(Object::HashTemplate(names, values)))
}

fn array<S: Source>(reader: &mut Reader<S>, names: Arc<Names>) -> Result<Object<'static>, Error> {
    reader.reading("a hash's value");
    let mut values = Vec::with_capacity(value::room(names.len() as u64));
    for _ in 0..names.len() {
        values.push(reader.boxed_string()?);
    }
    Ok(Object::HashTemplate(names, TemplateValues::Array(values)))
}

/// How a payload writes its names: a listpack.
pub(super) const NAMES_PACKED: u64 = 0;
/// A number of names, then each name.
pub(super) const NAMES_PLAIN: u64 = 1;

/// Reads the names in a DUMP payload.
fn own_names<S: Source>(reader: &mut Reader<S>) -> Result<Arc<Names>, Error> {
    reader.reading("the fields of a compact hash");
    let at = reader.position();
    match reader.length()? {
        NAMES_PACKED => packed_names(reader),
        NAMES_PLAIN => plain_names(reader),
        _ => Err(reader.error_at(at, corrupt("unknown form of the fields of a compact hash"))),
    }
}

fn packed_names<S: Source>(reader: &mut Reader<S>) -> Result<Arc<Names>, Error> {
    let at = reader.position();
    let (blob, place) = reader.blob()?;
    let packed = Listpack::validate(blob).map_err(|error| reader.packed_error(place, error))?;
    let mut names = Collected::default();
    for name in &packed {
        let added = names.push(name.text(&mut IntText::new()));
        added.map_err(|error| wrong_names(reader, at, error))?;
    }
    share(reader, at, names)
}

fn plain_names<S: Source>(reader: &mut Reader<S>) -> Result<Arc<Names>, Error> {
    let start = reader.position();
    let count = reader.length()?;
    let mut names = Collected::default();
    for _ in 0..count {
        let at = reader.position();
        let name = reader.string()?;
        let added = names.push(name.text(&mut IntText::new()));
        added.map_err(|error| wrong_names(reader, at, error))?;
    }
    share(reader, start, names)
}

fn share<S: Source>(reader: &Reader<S>, at: u64, names: Collected) -> Result<Arc<Names>, Error> {
    let names = names.share();
    if names.is_empty() {
        return Err(reader.error_at(at, corrupt("a hash template has no fields")));
    }
    Ok(names)
}

fn wrong_names<S: Source>(reader: &Reader<S>, at: u64, error: NamesError) -> Error {
    reader.error_at(at, corrupt(error.reason()))
}
