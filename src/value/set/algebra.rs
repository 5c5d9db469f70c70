//! Intersection, union and difference.

use super::{Form, Set};
use crate::rdb::intset::Intset;
use crate::rdb::listpack::{IntText, Item, Listpack};
use crate::resp::parse_integer;
use crate::value::Thresholds;

/// Returns the members that are in all of `sets`, in the order of the smallest set. Returns nothing if `sets` is empty.
#[must_use = "it does nothing by itself"]
pub fn intersection<'a>(mut sets: Vec<&'a Set>) -> impl Iterator<Item = Item<'a>> {
    sets.sort_by_key(|set| set.len());
    let mut sets = sets.into_iter();
    let smallest = sets.next().map(Set::iter);
    let others: Vec<&Set> = sets.collect();
    smallest
        .into_iter()
        .flatten()
        .filter(move |member| others.iter().all(|other| other.has(*member)))
}

/// Returns the intersection as SINTERSTORE stores it: an intset whenever possible, even if none of `sets` is one.
///
/// Source: redis 7.2 t_set.c, sinterGenericCommand.
#[must_use]
pub fn intersection_store(sets: Vec<&Set>, thresholds: &Thresholds) -> Set {
    let mut result = Set::default();
    if thresholds.has_listpack_sets {
        result.0 = Form::Packed(Listpack::new());
    }
    intersection(sets).for_each(|member| {
        result.add_item(member, thresholds);
    });
    result.narrow(thresholds);
    result.shrink_to_fit();
    result
}

/// Returns the members that are in any of `sets`, as SUNIONSTORE stores them: added one by one to an empty set.
#[must_use]
pub fn union<'a>(sets: impl IntoIterator<Item = &'a Set>, thresholds: &Thresholds) -> Set {
    let mut result = Set::default();
    for member in sets.into_iter().flat_map(Set::iter) {
        result.add_item(member, thresholds);
    }
    result.shrink_to_fit();
    result
}

/// Returns the members of `first` that are in none of `others`, as SDIFFSTORE stores them. The result's encoding shows which of
/// two algorithms the server used, so the choice between them must be the server's.
///
/// Source: redis 7.0 t_set.c, sunionDiffGenericCommand.
#[must_use]
pub fn difference(first: &Set, others: &[&Set], thresholds: &Thresholds) -> Set {
    let mut result = Set::default();
    if others.iter().any(|other| std::ptr::eq(*other, first)) {
        return result;
    }
    let by_lookup_work = first.len() * (others.len() + 1) / 2;
    let by_removal_work = first.len() + others.iter().map(|other| other.len()).sum::<usize>();
    let by_lookup = by_lookup_work <= by_removal_work;
    for member in first.iter() {
        if !by_lookup || !others.iter().any(|other| other.has(member)) {
            result.add_item(member, thresholds);
        }
    }
    if !by_lookup {
        let unwanted = others.iter().flat_map(|other| other.iter());
        unwanted.for_each(|member| {
            result.remove(member.text(&mut IntText::new()));
        });
    }
    result.shrink_to_fit();
    result
}

impl Set {
    fn add_item(&mut self, member: Item<'_>, thresholds: &Thresholds) -> bool {
        self.add(member.text(&mut IntText::new()), thresholds)
    }

    /// Converts to an intset if all members are integers and there are not too many.
    fn narrow(&mut self, thresholds: &Thresholds) {
        if matches!(self.0, Form::Intset(_)) || self.len() > thresholds.set_max_intset_entries {
            return;
        }
        let mut intset = Intset::new();
        for member in self.iter() {
            let number = match member {
                Item::Int(number) => Some(number),
                Item::Str(text) => parse_integer(text),
            };
            let Some(number) = number else { return };
            intset.insert(number);
        }
        self.0 = Form::Intset(intset);
    }
}
