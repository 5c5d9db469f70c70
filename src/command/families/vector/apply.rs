//! Applies the stream's changes to vector sets.
//!
//! A primary replicates VADD only if it adds an element. One that changes a vector stays on the primary, and its replicas
//! never see it. redtail, like a replica, applies such a VADD if one arrives.

use super::given::{self, Given};
use super::{check_readable, words};
use crate::command::rows::Error;
use crate::command::rows::parse::integer;
use crate::feed::Class;
use crate::limits::PROJECTION_CELLS_MAX;
use crate::resp::Args;
use crate::store::{NewValue, Tx, Value};
use crate::value::vector::{Kind, Shape};
use crate::value::{Object, VectorSet};

/// The options after the element.
struct Options<'a> {
    kind: Kind,
    neighbours: u32,
    effort: usize,
    attributes: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>) -> Result<Self, Error> {
        let mut options = Self {
            kind: Kind::Q8,
            neighbours: 16,
            effort: 200,
            attributes: None,
        };
        let mut index = 0;
        while index < args.len() {
            index += options.read(args, index)?;
        }
        Ok(options)
    }

    /// Reads the option at `index`. Returns its number of words.
    fn read(&mut self, args: Args<'a>, index: usize) -> Result<usize, Error> {
        let value = args.get(index + 1);
        match value {
            Some(value) if args.is(index, "ef") => {
                self.effort = number(value, 1, 1_000_000).ok_or(Error::Text("ERR invalid EF"))?;
            }
            Some(value) if args.is(index, "m") => {
                let number = number(value, 4, 4096).ok_or(Error::Text("ERR invalid M"))?;
                self.neighbours = u32::try_from(number).unwrap_or(u32::MAX);
            }
            Some(value) if args.is(index, "setattr") => self.attributes = Some(value),
            _ => return self.read_word(args, index),
        }
        Ok(2)
    }

    fn read_word(&mut self, args: Args<'a>, index: usize) -> Result<usize, Error> {
        // CAS matters only to the primary: the stream is already in order.
        if args.is(index, "noquant") {
            self.kind = Kind::F32;
        } else if args.is(index, "bin") {
            self.kind = Kind::Bin;
        } else if args.is(index, "q8") {
            self.kind = Kind::Q8;
        } else if !args.is(index, "cas") {
            return Err(Error::Text("ERR invalid option after element"));
        }
        Ok(1)
    }
}

fn number(text: &[u8], least: i64, most: i64) -> Option<usize> {
    let number = integer(text).ok()?;
    let is_within = (least..=most).contains(&number);
    is_within.then(|| usize::try_from(number).unwrap_or(0))
}

/// Returns the vector set at a key, which is about to change.
fn set<'t>(tx: &'t Tx<'_>, key: &[u8]) -> Result<Option<&'t VectorSet>, Error> {
    if let Some(Value::Object(object)) = tx.value(key) {
        check_readable(object)?;
    }
    Ok(tx.collection(key)?)
}

/// `VADD key [REDUCE dim] FP32|VALUES vector element [CAS] [NOQUANT|Q8|BIN] [EF n] [SETATTR json] [M n]`.
///
/// Source: redis 8.0 modules/vector-sets/vset.c, `VADD_RedisCommand`.
pub(super) fn vadd(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    words(args, "VADD", 5..=usize::MAX)?;
    let given = given::reducible(args, 2, tx.dialect());
    let given = given.ok_or(Error::Text("ERR invalid vector specification"))?;
    let element = args
        .get(2 + given.words)
        .ok_or_else(|| Error::Arity("VADD".to_owned()))?;
    let options = Options::parse(args.from(3 + given.words))?;
    match set(tx, args.at(1))? {
        Some(set) => check_fits(set, &given, &options)?,
        None => {
            let set = new_set(&given, &options)?.as_on(&tx.thresholds());
            let set = Box::new(Object::VectorSet(set.into()));
            tx.set(args.at(1), None, NewValue::Object(set));
        }
    }
    tx.update(args.at(1), |set: &mut VectorSet| {
        let vector = set.project(given.vector);
        set.add(element, vector, options.attributes, options.effort);
    })?;
    // Servers publish none, except that the key is new.
    tx.event(Class::NONE, "vadd", args.at(1));
    Ok(())
}

/// DIFFERENCE: redtail refuses a projection with more cells than a limit.
fn new_set(given: &Given, options: &Options<'_>) -> Result<VectorSet, Error> {
    let too_large = Error::Text("ERR not supported: a projection with this many components");
    let Ok(given_dim) = u32::try_from(given.vector.len()) else {
        return Err(too_large);
    };
    let set = VectorSet::new(Shape {
        dim: given.reduce.unwrap_or(given_dim),
        kind: options.kind,
        neighbours: options.neighbours,
    });
    match given.reduce {
        Some(dim) if u64::from(dim) * u64::from(given_dim) > PROJECTION_CELLS_MAX => Err(too_large),
        Some(_) => Ok(set.projecting(given_dim)),
        None => Ok(set),
    }
}

/// Checks that a set accepts such a vector.
fn check_fits(set: &VectorSet, given: &Given, options: &Options<'_>) -> Result<(), Error> {
    let shape = set.shape();
    let dims = (given.vector.len(), given.reduce.map(|dim| dim as usize));
    let expected = match set.input_dim() {
        Some(input_dim) => (input_dim as usize, Some(shape.dim as usize)),
        None => (shape.dim as usize, None),
    };
    if shape.kind != options.kind {
        Err(Error::Text(
            "ERR asked quantization mismatch with existing vector set",
        ))
    } else if shape.neighbours != options.neighbours {
        Err(Error::Text(
            "ERR asked M value mismatch with existing vector set",
        ))
    } else if dims != expected {
        Err(Error::Text("ERR Vector dimension mismatch"))
    } else {
        Ok(())
    }
}

pub(super) fn vrem(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    words(args, "VREM", 3..=3)?;
    set(tx, args.at(1))?;
    tx.update(args.at(1), |set: &mut VectorSet| set.remove(args.at(2)))?;
    Ok(())
}

pub(super) fn vsetattr(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    words(args, "VSETATTR", 4..=4)?;
    set(tx, args.at(1))?;
    tx.update(args.at(1), |set: &mut VectorSet| {
        set.set_attributes(args.at(2), args.at(3))
    })?;
    Ok(())
}
