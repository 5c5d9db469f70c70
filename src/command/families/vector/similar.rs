//! VSIM: the elements most similar to a vector.

use std::cmp::Ordering;

use super::filter::Expression;
use super::{given, set, similarity, words};
use crate::command::rows::Error;
use crate::command::rows::parse::float;
use crate::dialect::Dialect;
use crate::resp::{Args, Protocol, Reply, parse_integer};
use crate::store::View;
use crate::value::VectorSet;
use crate::value::vector::{Element, Query};

/// `VSIM key ELE element|FP32 blob|VALUES count number… [options]`.
///
/// Source: redis 8.0 modules/vector-sets/vset.c, `VSIM_RedisCommand`, `VSIM_execute`.
pub(super) fn vsim(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    words(args, "VSIM", 4..=usize::MAX)?;
    let Some(set) = set(view, args.at(1))? else {
        reply.array(0);
        return Ok(());
    };
    let dialect = reply.dialect();
    let (vector, words) = wanted(set, args, dialect)?;
    let options = Options::parse(args, 2 + words, dialect)?;
    let accepts = |attributes: Option<&[u8]>| match (&options.filter, attributes) {
        (Some(filter), Some(attributes)) => filter.accepts(attributes),
        (Some(_), None) => false,
        (None, _) => true,
    };
    let found = set.nearest(Query {
        vector,
        effort: options.effort.max(options.count),
        accepts: options.filter.is_some().then_some(&accepts),
        looks_max: options.looks_max(),
        is_exact: options.is_exact,
    });
    let found = found.iter().take(options.count);
    let near: Vec<_> = found
        .take_while(|(_, distance)| {
            distance.partial_cmp(&options.distance_max) != Some(Ordering::Greater)
        })
        .collect();
    write(&near, &options, reply);
    Ok(())
}

/// Writes each element, with its score and its attributes if they are wanted: flat in RESP2, as a map in RESP3.
fn write(near: &[&(Element<'_>, f32)], options: &Options, reply: &mut Reply) {
    let figures = usize::from(options.with_scores) + usize::from(options.with_attributes);
    let in_maps = reply.protocol() == Protocol::Resp3;
    if in_maps && figures > 0 {
        reply.map(near.len());
    } else {
        reply.array(near.len() * (1 + figures));
    }
    for (element, distance) in near {
        reply.bulk(element.name());
        if in_maps && figures == 2 {
            reply.array(2);
        }
        if options.with_scores {
            reply.double(similarity(*distance));
        }
        if options.with_attributes {
            reply.bulk_or_null(element.attributes());
        }
    }
}

/// Returns the vector to search for, and its number of words.
fn wanted(set: &VectorSet, args: Args<'_>, dialect: Dialect) -> Result<(Vec<f32>, usize), Error> {
    if args.is(2, "ele") {
        let element = set.get(args.at(3));
        let element = element.ok_or(Error::Text("ERR element not found in set"))?;
        return Ok((element.vector(), 2));
    }
    let given =
        given::plain(args, 2, dialect).ok_or(Error::Text("ERR invalid vector specification"))?;
    Ok((fitting(set, given.vector)?, given.words))
}

/// Projects a vector to the set's number of components, unless it already has that number.
fn fitting(set: &VectorSet, vector: Vec<f32>) -> Result<Vec<f32>, Error> {
    let (given, dim) = (vector.len(), set.shape().dim as usize);
    match set.input_dim() {
        _ if given == dim => Ok(vector),
        Some(input_dim) if given == input_dim as usize => Ok(set.project(vector)),
        Some(input_dim) => Err(Error::Owned(format!(
            "ERR Input dimension mismatch for projection - got {given} but projection expects {input_dim}"
        ))),
        None => Err(Error::Owned(format!(
            "ERR Vector dimension mismatch - got {given} but set has {dim}"
        ))),
    }
}

/// The options after the vector.
struct Options {
    with_scores: bool,
    with_attributes: bool,
    is_exact: bool,
    count: usize,
    distance_max: f32,
    effort: usize,
    filter: Option<Expression>,
    filter_effort: usize,
    dialect: Dialect,
}

impl Options {
    fn parse(args: Args<'_>, first: usize, dialect: Dialect) -> Result<Self, Error> {
        let mut options = Self {
            with_scores: false,
            with_attributes: false,
            is_exact: false,
            count: 10,
            distance_max: 2.0,
            effort: 100,
            filter: None,
            filter_effort: 0,
            dialect,
        };
        let mut index = first;
        while index < args.len() {
            index += options.read(args, index)?;
        }
        Ok(options)
    }

    /// Reads the option at `index`. Returns its number of words.
    fn read(&mut self, args: Args<'_>, index: usize) -> Result<usize, Error> {
        let value = args.get(index + 1);
        match value {
            _ if args.is(index, "withscores") => self.with_scores = true,
            _ if args.is(index, "withattribs") && self.dialect.has_attributes_of_similar() => {
                self.with_attributes = true;
            }
            _ if args.is(index, "truth") => self.is_exact = true,
            // redtail always answers at once.
            _ if args.is(index, "nothread") => {}
            Some(value) => return self.read_value(args, index, value),
            None => return Err(Error::Text("ERR syntax error in VSIM command")),
        }
        Ok(1)
    }

    fn read_value(&mut self, args: Args<'_>, index: usize, value: &[u8]) -> Result<usize, Error> {
        if args.is(index, "count") {
            self.count = number(value).ok_or(Error::Text("ERR invalid COUNT"))?;
        } else if args.is(index, "epsilon") {
            let epsilon = distance(value, self.dialect);
            let epsilon = epsilon.ok_or(Error::Text("ERR invalid EPSILON"))?;
            self.distance_max = match self.dialect.measures_epsilon_as_similarity() {
                true => 2.0 * epsilon,
                false => epsilon,
            };
        } else if args.is(index, "ef") {
            self.effort = number(value).ok_or(Error::Text("ERR invalid EF"))?;
        } else if args.is(index, "filter-ef") {
            self.filter_effort = number(value).ok_or(Error::Text("ERR invalid FILTER-EF"))?;
        } else if args.is(index, "filter") {
            self.filter = Some(expression(value, self.dialect)?);
        } else {
            return Err(Error::Text("ERR syntax error in VSIM command"));
        }
        Ok(2)
    }

    /// Returns the number that FILTER-EF gave, or one proportional to the count, cut to 32 bits as in the server.
    fn looks_max(&self) -> u32 {
        let looks = match self.filter_effort {
            0 => self.count.wrapping_mul(100),
            effort => effort,
        };
        #[expect(clippy::cast_possible_truncation, reason = "as the server cuts it")]
        let looks = looks as u32;
        looks
    }
}

/// Parses a number above zero.
fn number(text: &[u8]) -> Option<usize> {
    let number = parse_integer(text)?;
    usize::try_from(number).ok().filter(|number| *number > 0)
}

fn distance(text: &[u8], dialect: Dialect) -> Option<f32> {
    let distance = float(text, dialect)
        .ok()
        .filter(|distance| *distance > 0.0)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounded as the server rounds"
    )]
    let distance = distance as f32;
    Some(distance)
}

/// Parses an expression. The module stops reading at a zero byte.
fn expression(text: &[u8], dialect: Dialect) -> Result<Expression, Error> {
    let read = text.split(|byte| *byte == 0).next().unwrap_or_default();
    Expression::compile(read, dialect.has_wider_filters()).map_err(|at| {
        let rest = read.get(at..).filter(|_| at < text.len()).unwrap_or(read);
        let mut error = b"ERR syntax error in FILTER expression near: ".to_vec();
        error.extend_from_slice(rest);
        // Error replies leave off line ends at their end.
        while error.ends_with(b"\r") || error.ends_with(b"\n") {
            error.pop();
        }
        Error::Quoting(error)
    })
}
