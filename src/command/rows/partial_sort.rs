//! The sort that servers use when only part of the result is wanted.
//!
//! The order of equal elements is visible in a reply, so this takes the same steps as the servers.

use std::cmp::Ordering;
use std::cmp::Ordering::{Equal, Greater, Less};

/// Up to this length, insertion sort.
const INSERTION_MAX: usize = 6;
/// Above this length, the pivot is the median of three medians of three.
const MIDDLE_OF_THREE_MAX: usize = 40;

/// Sorts so that the elements from `first` to `last` (both included) end up where a full sort would put them. Equal
/// elements end up in the order in which Redis's `pqsort` leaves them. The order of the rest is unspecified.
///
/// This is Bentley and McIlroy's quicksort ("Engineering a Sort Function"), except that parts outside the range are
/// left alone. On elements crafted for it, it takes quadratic time, as it does in Redis.
///
/// Source: redis 7.0 pqsort.c, `_pqsort`.
pub(crate) fn partial_sort<T>(
    items: &mut [T],
    compare: impl Fn(&T, &T) -> Ordering,
    first: usize,
    last: usize,
) {
    let mut parts = vec![(0, items.len())];
    while let Some((start, len)) = parts.pop() {
        let Some(part) = items.get_mut(start..start + len) else {
            continue;
        };
        if len <= INSERTION_MAX {
            insertion_sort(part, &compare);
            continue;
        }
        let (low, high) = split(part, &compare);
        let touches = |from: usize, len: usize| len > 1 && from <= last && from + len > first;
        // The lower part is sorted first, but the order of the parts does not affect the result.
        if touches(start + len - high, high) {
            parts.push((start + len - high, high));
        }
        if touches(start, low) {
            parts.push((start, low));
        }
    }
}

fn insertion_sort<T>(items: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) {
    for end in 1..items.len() {
        let mut at = end;
        while at > 0 && order(items, compare, at - 1, at) == Greater {
            items.swap(at, at - 1);
            at -= 1;
        }
    }
}

fn order<T>(
    items: &[T],
    compare: &impl Fn(&T, &T) -> Ordering,
    one: usize,
    other: usize,
) -> Ordering {
    match (items.get(one), items.get(other)) {
        (Some(one), Some(other)) => compare(one, other),
        _ => Equal,
    }
}

/// Splits around a pivot. Returns how many elements at the start are less, and how many at the end are greater.
fn split<T>(items: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) -> (usize, usize) {
    let len = items.len();
    let pivot = pivot(items, compare);
    items.swap(0, pivot);
    // Elements equal to the pivot collect at both ends: [0, equal_low) and (equal_high, len).
    let (mut equal_low, mut low) = (1, 1);
    let (mut equal_high, mut high) = (len - 1, len - 1);
    loop {
        while low <= high {
            match order(items, compare, low, 0) {
                Greater => break,
                Equal => {
                    items.swap(equal_low, low);
                    equal_low += 1;
                }
                Less => {}
            }
            low += 1;
        }
        while low <= high {
            match order(items, compare, high, 0) {
                Less => break,
                Equal => {
                    items.swap(high, equal_high);
                    equal_high -= 1;
                }
                Greater => {}
            }
            high -= 1;
        }
        if low > high {
            break;
        }
        items.swap(low, high);
        low += 1;
        high -= 1;
    }
    let (less, greater) = (low - equal_low, equal_high - high);
    swap_ranges(items, 0, low, equal_low.min(less));
    let behind = len - 1 - equal_high;
    swap_ranges(items, low, len, greater.min(behind));
    (less, greater)
}

/// Swaps the first `count` elements from `start` with the last `count` before `end`.
fn swap_ranges<T>(items: &mut [T], start: usize, end: usize, count: usize) {
    (0..count).for_each(|offset| items.swap(start + offset, end - count + offset));
}

/// Returns the index of a good pivot.
fn pivot<T>(items: &[T], compare: &impl Fn(&T, &T) -> Ordering) -> usize {
    let len = items.len();
    let middle = len / 2;
    if len == INSERTION_MAX + 1 {
        return middle;
    }
    let (mut low, mut centre, mut high) = (0, middle, len - 1);
    if len > MIDDLE_OF_THREE_MAX {
        let step = len / 8;
        low = middle_of(items, compare, [low, low + step, low + 2 * step]);
        centre = middle_of(items, compare, [centre - step, centre, centre + step]);
        high = middle_of(items, compare, [high - 2 * step, high - step, high]);
    }
    middle_of(items, compare, [low, centre, high])
}

/// Returns the index of the median of three elements.
fn middle_of<T>(
    items: &[T],
    compare: &impl Fn(&T, &T) -> Ordering,
    [one, two, three]: [usize; 3],
) -> usize {
    let order = |left, right| order(items, compare, left, right);
    if order(one, two) == Less {
        match () {
            () if order(two, three) == Less => two,
            () if order(one, three) == Less => three,
            () => one,
        }
    } else {
        match () {
            () if order(two, three) == Greater => two,
            () if order(one, three) == Less => one,
            () => three,
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_wanted_part_is_as_sorting_all_would_leave_it() {
        let mut random = fastrand::Rng::with_seed(3);
        for round in 0..2000 {
            let len = random.usize(1..200);
            let values = if round % 2 == 0 { 1000 } else { 5 };
            let mut items: Vec<u32> = (0..len).map(|_| random.u32(..values)).collect();
            let mut sorted = items.clone();
            sorted.sort_unstable();
            let first = random.usize(..len);
            let last = random.usize(first..len);
            partial_sort(&mut items, u32::cmp, first, last);
            assert_eq!(
                items[first..=last],
                sorted[first..=last],
                "{len} {first} {last}"
            );
            items.sort_unstable();
            assert_eq!(items, sorted, "nothing is lost");
        }
    }

    /// The orders are those of a GEOSEARCH with COUNT on members at the same place. Source: a redis-server 7.0.
    #[test]
    fn equal_elements_move_as_they_do_in_redis() {
        for (len, wanted, expected) in [(50, 3, [49, 1, 2]), (10, 9, [9, 1, 2])] {
            let mut items: Vec<usize> = (0..len).collect();
            partial_sort(&mut items, |_, _| Equal, 0, wanted - 1);
            assert_eq!(items[..3], expected);
        }
    }

    #[test]
    fn takes_nothing_at_all_and_ranges_past_the_end() {
        partial_sort(&mut [0_u8; 0], u8::cmp, 0, 0);
        let mut items = [3, 1, 2, 9, 8, 7, 6, 5, 4];
        partial_sort(&mut items, u8::cmp, 7, usize::MAX);
        assert_eq!(items[7..], [8, 9]);
    }
}
