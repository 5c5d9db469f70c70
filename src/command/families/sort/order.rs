//! Sorts elements.

use std::cmp::Ordering;
use std::ops::Range;

use super::pattern::Keys;
use super::query::Query;
use crate::command::rows::Error;
use crate::command::rows::parse::{c_double, is_hexadecimal, is_out_of_range};
use crate::command::rows::partial_sort::partial_sort;
use crate::dialect::Dialect;
use crate::rdb::listpack::{IntText, Item};
use crate::store::{Value, WrongType};
use crate::value::{Collection, List, Object, Set, Zset};

/// An element and what it is compared by.
struct Row<'v> {
    element: Item<'v>,
    score: f64,
    /// The text to compare: with ALPHA the weight, else the element, which decides between equal scores.
    text: Option<Item<'v>>,
}

/// Sorted elements.
#[derive(Default)]
pub(super) struct Sorted<'v> {
    pub(super) elements: Vec<Item<'v>>,
    /// Whether other servers store another order, because the order in their hash tables decides.
    pub(super) by_chance: bool,
}

/// Returns the wanted elements of the collection at `key`, in the wanted order.
///
/// Source: redis 7.0 sort.c, `sortCommandGeneric`.
pub(super) fn sorted<'v>(
    keys: &impl Keys<'v>,
    key: &[u8],
    query: &Query<'_>,
    dialect: Dialect,
) -> Result<Sorted<'v>, Error> {
    let collection = match keys.value_of(key)? {
        None => return Ok(Sorted::default()),
        Some(Value::Object(object)) => object,
        Some(_) => return Err(WrongType.into()),
    };
    let elements = elements(collection, query)?;
    let range = query.range(elements.len());
    if query.unsorted {
        return Ok(Sorted {
            elements: elements.get(range).unwrap_or_default().to_vec(),
            by_chance: false,
        });
    }
    let mut rows = rows(keys, elements, query, dialect)?;
    let chance = query.store.is_some() && is_hashed(collection, dialect);
    sort(&mut rows, &range, query, chance);
    let by_chance = chance && has_equals(&rows, &range, query);
    let wanted = rows.get(range).unwrap_or_default();
    Ok(Sorted {
        elements: wanted.iter().map(|row| row.element).collect(),
        by_chance,
    })
}

/// Sorts the rows of `range`, or all rows.
fn sort(rows: &mut [Row<'_>], range: &Range<usize>, query: &Query<'_>, all: bool) {
    let compare = |one: &Row<'_>, other: &Row<'_>| {
        let order = compare(one, other, query);
        if query.descending {
            order.reverse()
        } else {
            order
        }
    };
    if all || query.by.is_none() || *range == (0..rows.len()) {
        // Like the C library's sort, this one keeps equal rows in their order.
        rows.sort_by(compare);
    } else if !range.is_empty() {
        partial_sort(rows, compare, range.start, range.end - 1);
    }
}

/// Whether servers keep the elements in a hash table, and so in another order, before they sort them.
fn is_hashed(object: &Object, dialect: Dialect) -> bool {
    let set = Set::of(object).is_some_and(|set| set.encoding(dialect) == "hashtable");
    set || Zset::of(object).is_some()
}

/// Whether rows of `range` compare equal to their neighbours.
fn has_equals(rows: &[Row<'_>], range: &Range<usize>, query: &Query<'_>) -> bool {
    let around = range.start.saturating_sub(1)..(range.end + 1).min(rows.len());
    let pairs = rows.get(around).unwrap_or_default().windows(2);
    !range.is_empty()
        && pairs.into_iter().any(|pair| match pair {
            [one, other] => compare(one, other, query) == Ordering::Equal,
            _ => false,
        })
}

/// Returns all elements in their own order, or in reverse if the collection has an order and DESC asks for it.
fn elements<'v>(object: &'v Object, query: &Query<'_>) -> Result<Vec<Item<'v>>, Error> {
    let (mut elements, ordered): (Vec<Item<'v>>, bool) = if let Some(list) = List::of(object) {
        (list.iter().collect(), true)
    } else if let Some(zset) = Zset::of(object) {
        (zset.iter().map(|(member, _)| member).collect(), true)
    } else if let Some(set) = Set::of(object) {
        (set.iter().collect(), false)
    } else {
        return Err(WrongType.into());
    };
    if ordered && query.unsorted && query.descending {
        elements.reverse();
    }
    Ok(elements)
}

fn rows<'v>(
    keys: &impl Keys<'v>,
    elements: Vec<Item<'v>>,
    query: &Query<'_>,
    dialect: Dialect,
) -> Result<Vec<Row<'v>>, Error> {
    let mut key = Vec::new();
    let mut unreadable = false;
    let mut row = |element| {
        let weight = match &query.by {
            Some(by) => by.find(keys, element, &mut key)?,
            None => Some(element),
        };
        let score = match weight {
            Some(weight) if !query.alpha => score(weight, dialect).unwrap_or_else(|| {
                unreadable = true;
                0.0
            }),
            _ => 0.0,
        };
        Ok(Row {
            element,
            score,
            text: if query.alpha { weight } else { Some(element) },
        })
    };
    let rows = elements
        .into_iter()
        .map(&mut row)
        .collect::<Result<_, Error>>()?;
    if unreadable {
        return Err(Error::Text(
            "ERR One or more scores can't be converted into double",
        ));
    }
    Ok(rows)
}

/// Source: redis 7.0 sort.c, `sortCompare`.
fn compare(one: &Row<'_>, other: &Row<'_>, query: &Query<'_>) -> Ordering {
    let by_score = one
        .score
        .partial_cmp(&other.score)
        .unwrap_or(Ordering::Equal);
    // Clients get the order of the C locale, where text ends at a zero byte. What is stored is compared whole.
    let ends_at_zero = query.alpha && query.store.is_none();
    by_score.then_with(|| match (one.text, other.text) {
        (Some(one), Some(other)) => compare_texts(one, other, ends_at_zero),
        (one, other) => one.is_some().cmp(&other.is_some()),
    })
}

fn compare_texts(one: Item<'_>, other: Item<'_>, ends_at_zero: bool) -> Ordering {
    let (mut left, mut right) = (IntText::new(), IntText::new());
    let (one, other) = (one.text(&mut left), other.text(&mut right));
    if ends_at_zero {
        c_text(one).cmp(c_text(other))
    } else {
        one.cmp(other)
    }
}

fn c_text(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Returns a weight as a number, or `None` if it is not a number.
fn score(weight: Item<'_>, dialect: Dialect) -> Option<f64> {
    match weight {
        #[expect(clippy::cast_precision_loss, reason = "as the server casts it")]
        Item::Int(number) => Some(number as f64),
        Item::Str(text) if dialect.reads_scores_strictly() => strict_score(c_text(text), dialect),
        Item::Str(text) => loose_score(c_text(text)),
    }
}

/// Parses like C's `strtod`: leading blanks, signs and hexadecimal numbers are fine, and an empty text is 0.
fn loose_score(text: &[u8]) -> Option<f64> {
    if text.is_empty() {
        return Some(0.0);
    }
    // C's blanks are Rust's plus the vertical tab.
    let blanks = text
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace() || **byte == 0x0b);
    let text = text.get(blanks.count()..).unwrap_or_default();
    let value = c_double(text)?;
    let fits = !is_out_of_range(text, value) && !value.is_subnormal();
    (fits && !value.is_nan()).then_some(value)
}

/// Parses like Redis 8.0 and Valkey 9.0, which accept only decimal numbers. Redis reads a number that is out of range as
/// infinite or zero, and an empty text as 0.
fn strict_score(text: &[u8], dialect: Dialect) -> Option<f64> {
    let lenient = !dialect.refuses_empty_weights();
    if text.is_empty() {
        return lenient.then_some(0.0);
    }
    if is_hexadecimal(text) {
        return None;
    }
    let value = c_double(text).filter(|value| !value.is_nan())?;
    (lenient || !is_out_of_range(text, value)).then_some(value)
}
