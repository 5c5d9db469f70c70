//! Vector sets, the type of the module that comes with Redis 8.
//!
//! The module itself counts its commands' words, so rows take any number and handlers check it. [`given`] reads vectors
//! from a command, [`similar`] answers VSIM with the help of [`filter`], and [`apply`] applies the stream's changes.

use std::ops::RangeInclusive;

use crate::command::rows::work::{random, words as words_work};
use crate::command::rows::{Arity, Command, Error, Family, Flags, Form, Keys, Outcome};
use crate::resp::{Args, Reply, parse_integer};
use crate::store::{Entry, Value, View};
use crate::value::vector::Element;
use crate::value::{Object, VectorSet};

mod apply;
mod filter;
mod given;
mod range;
mod similar;

/// The module's rows.
pub(crate) const FAMILY: Family = Family {
    group: "module",
    commands: &[
        read("vcard", Arity::exactly(2), vcard, Flags::FAST).about("8.0.0", "Returns the number of elements."),
        read("vdim", Arity::exactly(2), vdim, Flags::FAST).about("8.0.0", "Returns the number of components of the vectors."),
        read("vemb", Arity::at_least(3), vemb, Flags::FAST).about("8.0.0", "Returns an element's vector."),
        read("vgetattr", Arity::exactly(3), vgetattr, Flags::FAST).about("8.0.0", "Returns an element's attributes."),
        read("vinfo", Arity::exactly(2), vinfo, Flags::FAST)
            .about("8.0.0", "Describes a vector set.")
            .difference(
                "max-level is that of redtail's own graph: every server draws the layers of an element that the stream \
                 adds at random. vset-uid counts this process's vector sets.",
            ),
        read("vismember", Arity::exactly(3), vismember, Flags::NONE)
            .work(words_work)
            .about("8.0.0", "Says whether an element exists."),
        read("vlinks", Arity::at_least(3), vlinks, Flags::FAST)
            .about("8.0.0", "Returns an element's neighbours in the graph.")
            .difference(GRAPH),
        read("vrandmember", Arity::at_least(2), vrandmember, Flags::NONE).work(random).about("8.0.0", "Returns random elements."),
        read("vrange", Arity::at_least(4), range::vrange, Flags::NONE).about("8.4.0", "Returns elements in a range of names."),
        read("vsim", Arity::at_least(4), similar::vsim, Flags::NONE)
            .forms(&[Form::new("WITHATTRIBS", "8.2.0")])
            .about("8.0.0", "Finds the elements most similar to a vector.")
            .difference(GRAPH),
        row("vadd", Arity::at_least(5))
            .apply(apply::vadd)
            .outcome(Outcome::Exists)
            .flags(Flags::DENYOOM)
            .about("8.0.0", "Adds an element, or changes its vector."),
        row("vrem", Arity::exactly(3)).apply(apply::vrem).about("8.0.0", "Removes an element."),
        row("vsetattr", Arity::exactly(4))
            .apply(apply::vsetattr)
            .flags(Flags::FAST)
            .about("8.0.0", "Sets or removes an element's attributes."),
    ],
};

const GRAPH: &str = "A vector set from a snapshot keeps its graph, and answers as on a replica. Every server draws the layers of an element that the \
     stream adds at random, so each has its own graph from then on: neighbours, and what a search without TRUTH finds, \
     may differ from a given server's.";

/// Before Redis 8.6, the module itself counted the words.
const fn row(name: &'static str, arity: Arity) -> Command {
    Command::new(name, arity, Keys::first()).arity_before("8.6.0", Arity::at_least(1))
}

const fn read(
    name: &'static str,
    arity: Arity,
    handler: crate::command::rows::command::ReadFn,
    flags: Flags,
) -> Command {
    row(name, arity).read(handler).flags(flags)
}

/// Checks the number of words, including the command's name, which the module's error has in capitals.
fn words(args: Args<'_>, name: &str, allowed: RangeInclusive<usize>) -> Result<(), Error> {
    if allowed.contains(&args.len()) {
        Ok(())
    } else {
        Err(Error::Arity(name.to_owned()))
    }
}

/// Returns the vector set at a key.
fn set<'v>(view: &'v View<'_>, key: &[u8]) -> Result<Option<&'v VectorSet>, Error> {
    // Servers look up the key once.
    if let Some(Value::Object(object)) = view.glance(key).map(Entry::value) {
        check_readable(object)?;
    }
    Ok(view.collection(key)?)
}

/// DIFFERENCE: redtail refuses a vector set in a later version's layout, because it cannot read it.
fn check_readable(object: &Object) -> Result<(), Error> {
    match object {
        Object::Module(value) if value.id().name() == "vectorset" => Err(Error::Text(
            "ERR not supported: this version of redtail does not know this vector set's layout",
        )),
        _ => Ok(()),
    }
}

/// Returns the element that the second argument names.
fn element<'v>(view: &'v View<'_>, args: Args<'_>) -> Result<Option<Element<'v>>, Error> {
    let set = set(view, args.at(1))?;
    Ok(set.and_then(|set| set.get(args.at(2))))
}

/// Returns how similar two vectors are at a distance: 1 for the same direction, 0 for the opposite one.
fn similarity(distance: f32) -> f64 {
    1.0 - f64::from(distance) / 2.0
}

fn vcard(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    words(args, "VCARD", 2..=2)?;
    reply.count(set(view, args.at(1))?.map_or(0, VectorSet::len));
    Ok(())
}

fn vdim(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    words(args, "VDIM", 2..=2)?;
    let set = set(view, args.at(1))?.ok_or(Error::Text("ERR key does not exist"))?;
    reply.integer(set.shape().dim.into());
    Ok(())
}

fn vemb(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    words(args, "VEMB", 3..=usize::MAX)?;
    let is_raw = args.len() > 3;
    if (3..args.len()).any(|index| !args.is(index, "raw")) {
        return Err(Error::Text("ERR invalid option"));
    }
    match element(view, args)? {
        None => reply.null(),
        Some(element) if is_raw => raw_vector(set(view, args.at(1))?, element, reply),
        Some(element) => {
            let vector = element.vector();
            reply.array(vector.len());
            vector.iter().for_each(|part| reply.double((*part).into()));
        }
    }
    Ok(())
}

fn raw_vector(set: Option<&VectorSet>, element: Element<'_>, reply: &mut Reply) {
    let range = element.point().range();
    reply.array(3 + usize::from(range.is_some()));
    reply.simple(set.map_or("", |set| set.shape().kind.name()));
    reply.bulk(&element.point().to_bytes());
    reply.double(element.length().into());
    if let Some(range) = range {
        reply.double(range.into());
    }
}

fn vgetattr(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    words(args, "VGETATTR", 3..=3)?;
    let element = element(view, args)?;
    reply.bulk_or_null(element.and_then(|element| element.attributes()));
    Ok(())
}

fn vismember(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    words(args, "VISMEMBER", 3..=3)?;
    reply.boolean(element(view, args)?.is_some());
    Ok(())
}

fn vinfo(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    words(args, "VINFO", 2..=2)?;
    let Some(set) = set(view, args.at(1))? else {
        reply.null_array();
        return Ok(());
    };
    let shape = set.shape();
    let figures = [
        ("hnsw-m", u64::from(shape.neighbours)),
        ("vector-dim", shape.dim.into()),
        ("projection-input-dim", set.input_dim().unwrap_or(0).into()),
        ("size", set.len() as u64),
        ("max-level", set.level_max() as u64),
        ("attributes-count", set.with_attributes() as u64),
        ("vset-uid", set.uid()),
        ("hnsw-max-node-uid", set.last_id()),
    ];
    reply.map(1 + figures.len());
    reply.simple("quant-type");
    reply.simple(shape.kind.name());
    for (name, figure) in figures {
        reply.simple(name);
        reply.integer(figure.cast_signed());
    }
    Ok(())
}

fn vlinks(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    words(args, "VLINKS", 3..=4)?;
    let with_scores = args.len() == 4;
    if with_scores && !args.is(3, "withscores") {
        return Err(Error::Arity("VLINKS".to_owned()));
    }
    let Some(element) = element(view, args)? else {
        reply.null();
        return Ok(());
    };
    reply.array(element.layers());
    for layer in (0..element.layers()).rev() {
        let neighbours = element.neighbours(layer);
        if with_scores {
            reply.map(neighbours.len());
        } else {
            reply.array(neighbours.len());
        }
        for (neighbour, distance) in neighbours {
            reply.bulk(neighbour.name());
            if with_scores {
                reply.double(short(similarity(distance)));
            }
        }
    }
    Ok(())
}

/// Returns a number with the precision that the module keeps of it, in four bytes.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounded as the server rounds"
)]
fn short(number: f64) -> f64 {
    f64::from(number as f32)
}

/// Source: redis 8.0 modules/vector-sets/vset.c, `VRANDMEMBER_RedisCommand`.
fn vrandmember(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    words(args, "VRANDMEMBER", 2..=3)?;
    let not_a_count = Error::Text("ERR COUNT value is not an integer");
    let count = match args.get(2) {
        Some(count) => Some(parse_integer(count).ok_or(not_a_count)?),
        None => None,
    };
    if count == Some(0) {
        reply.array(0);
        return Ok(());
    }
    let set = set(view, args.at(1))?;
    match (set, count) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.array(0),
        (Some(set), None) => reply.bulk_or_null(set.random().map(|element| element.name())),
        (Some(set), Some(count)) => random_elements(set, count, reply),
    }
    Ok(())
}

fn random_elements(set: &VectorSet, count: i64, reply: &mut Reply) {
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count > 0 {
        let elements = set.sample(size);
        reply.array(elements.len());
        return elements
            .iter()
            .for_each(|element| reply.bulk(element.name()));
    }
    reply.array(size);
    let elements = std::iter::repeat_with(|| set.random()).take(size);
    for element in elements.flatten() {
        reply.bulk(element.name());
        // A large count is cheap to send, so stop looking up elements once the reply is too long.
        if reply.overflowed() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
