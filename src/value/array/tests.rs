#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a test may panic, and its figures are small"
)]

use std::collections::BTreeMap;

use super::*;
use crate::rdb::array::ElementText;

/// The same operations in their plainest form.
#[derive(Debug, Clone, Default)]
struct Model {
    elements: BTreeMap<u64, Vec<u8>>,
    cursor: Option<u64>,
}

impl Model {
    fn span(&self) -> u64 {
        self.elements
            .last_key_value()
            .map_or(0, |(index, _)| index + 1)
    }

    fn remove_range(&mut self, low: u64, high: u64) -> usize {
        let before = self.elements.len();
        self.elements
            .retain(|index, _| *index < low || *index > high);
        before - self.elements.len()
    }

    /// Walks back position by position.
    fn ring(&mut self, size: u64, texts: &[Vec<u8>]) {
        let span = self.span();
        let wrapped = self.cursor.is_some_and(|index| index + 1 < span);
        let keep = match size {
            size if size < span => Some(size),
            size if size > span && wrapped => Some(span),
            _ => None,
        };
        if let Some(keep) = keep {
            let mut at = self.cursor.map_or(span - 1, |index| index % span);
            let mut newest_first = Vec::new();
            while (newest_first.len() as u64) < keep
                && let Some(text) = self.elements.get(&at)
            {
                newest_first.push(text.clone());
                at = at.checked_sub(1).unwrap_or(span - 1);
            }
            self.elements = (0..).zip(newest_first.into_iter().rev()).collect();
            self.cursor = (self.elements.len() as u64).checked_sub(1);
        }
        for text in texts {
            let at = self.cursor.map_or(0, |index| index + 1) % size;
            self.elements.insert(at, text.clone());
            self.cursor = Some(at);
        }
    }
}

fn some_index(random: &mut fastrand::Rng) -> u64 {
    match random.u8(..12) {
        0..6 => random.u64(..60),
        6..9 => random.u64(..1000),
        9 => 4090 + random.u64(..12),
        10 => (1 << 63) - 5 + random.u64(..10),
        _ => INDEX_MAX - random.u64(..5),
    }
}

fn some_text(random: &mut fastrand::Rng) -> Vec<u8> {
    match random.u8(..12) {
        0..3 => random.i64(-300..300).to_string().into_bytes(),
        3 => random.i64(..).to_string().into_bytes(),
        4 => (random.i64(i64::MIN >> 2..=i64::MAX >> 2) >> random.u8(..62))
            .to_string()
            .into_bytes(),
        5 => format!("{}.{}", random.u16(..), random.u8(..)).into_bytes(),
        6 => Vec::new(),
        7 => vec![b'x'; random.usize(..400)],
        8 if random.u8(..10) == 0 => vec![b'y'; 3000 + random.usize(..4000)],
        _ => (0..random.usize(..12)).map(|_| random.u8(..)).collect(),
    }
}

fn step(random: &mut fastrand::Rng, array: &mut Array, model: &mut Model) {
    let (one, other) = (some_index(random), some_index(random));
    let text = some_text(random);
    match random.u8(..20) {
        0..7 => {
            let is_new = model.elements.insert(one, text.clone()).is_none();
            assert_eq!(array.set(one, &text), is_new);
        }
        7..10 => assert_eq!(array.remove(one), model.elements.remove(&one).is_some()),
        10 => {
            let (low, high) = (one.min(other), one.max(other));
            assert_eq!(array.remove_range(low, high), model.remove_range(low, high));
        }
        11 => {
            let high = one.saturating_add(random.u64(..9)).min(INDEX_MAX);
            assert_eq!(array.remove_range(one, high), model.remove_range(one, high));
        }
        12 => {
            let cursor = one.checked_sub(1);
            array.set_cursor(cursor);
            model.cursor = cursor;
        }
        13..16 => {
            let texts = vec![text; random.usize(1..40)];
            let start = model.cursor.map_or(Some(0), |index| index.checked_add(1));
            let last = start.and_then(|start| start.checked_add(texts.len() as u64 - 1));
            let inserted = array.insert(texts.iter().map(Vec::as_slice));
            match (start, last) {
                (Some(start), Some(last)) if last <= INDEX_MAX => {
                    assert_eq!(inserted, Ok(()));
                    model.elements.extend((start..=last).zip(texts));
                    model.cursor = Some(last);
                }
                _ => assert_eq!(inserted, Err(PastTheEnd)),
            }
        }
        _ => {
            let size = [1, 2, 3, 7, 20, 64, 500][random.usize(..7)];
            let texts = vec![text; random.usize(1..5)];
            array.ring(size, texts.iter().map(Vec::as_slice));
            model.ring(size, &texts);
        }
    }
}

fn texts<'a>(elements: impl Iterator<Item = (u64, Element<'a>)>) -> Vec<(u64, Vec<u8>)> {
    let mut room = ElementText::default();
    elements
        .map(|(index, element)| (index, element.text(&mut room).to_vec()))
        .collect()
}

fn check(random: &mut fastrand::Rng, array: &Array, model: &Model) {
    let expected: Vec<_> = model.elements.clone().into_iter().collect();
    assert_eq!(texts(array.iter()), expected);
    assert_eq!(array.len(), expected.len());
    assert_eq!(array.span(), model.span());
    assert_eq!(array.cursor(), model.cursor);
    let (start, end) = (some_index(random), some_index(random));
    let (low, high) = (start.min(end), start.max(end));
    let mut inside = expected;
    inside.retain(|(index, _)| (low..=high).contains(index));
    assert_eq!(array.count(low, high), inside.len());
    if start > end {
        inside.reverse();
    }
    assert_eq!(texts(array.between(start, end)), inside);
    let found = array.get(start);
    let found = found.map(|element| element.text(&mut ElementText::default()).to_vec());
    assert_eq!(found.as_ref(), model.elements.get(&start));
}

#[test]
fn it_does_what_a_map_and_a_cursor_do() {
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut array, mut model) = (Array::default(), Model::default());
        for _ in 0..400 {
            step(&mut random, &mut array, &mut model);
            check(&mut random, &array, &model);
        }
    }
}

/// What is counted must be what the pages hold.
fn counted(array: &Array) -> usize {
    let pages: Vec<&Page> = array.pages.range(0, INDEX_MAX).collect();
    assert_eq!(
        pages.iter().map(|page| page.len()).sum::<usize>(),
        array.len
    );
    pages.iter().map(|page| page.heap_bytes()).sum()
}

#[test]
fn its_bytes_are_counted_through_all_changes() {
    let mut random = fastrand::Rng::with_seed(7);
    let (mut array, mut model) = (Array::default(), Model::default());
    for _ in 0..5000 {
        step(&mut random, &mut array, &mut model);
    }
    let pages = counted(&array);
    assert!(array.heap_bytes() >= pages && array.heap_bytes() < 2 * pages + 10_000);
    array.remove_range(0, INDEX_MAX);
    assert_eq!(
        (counted(&array), array.heap_bytes(), array.span()),
        (0, 0, 0)
    );
}

#[test]
fn an_element_costs_few_bytes_wherever_it_is() {
    let filled = |texts: &mut dyn Iterator<Item = (u64, String)>| {
        let mut array = Array::default();
        for (index, text) in texts {
            array.set(index, text.as_bytes());
        }
        array.heap_bytes() as f64 / array.len() as f64
    };
    let small = |index: u64| (index, (index % 1000).to_string());
    assert!(filled(&mut (0..100_000).map(small)) < 4.5, "dense integers");
    let text = |index: u64| (index, format!("a text of 20 bytes {}", index % 10));
    assert!(filled(&mut (0..100_000).map(text)) < 22.5, "dense texts");
    let far = |index: u64| (index * 1_000_003, "12345".to_owned());
    assert!(filled(&mut (0..100_000).map(far)) < 8.5, "sparse integers");
    let last = filled(&mut std::iter::once((INDEX_MAX, "x".to_owned())));
    assert!(last < 100.0, "one element at the highest index: {last}");
}

#[test]
fn what_is_removed_gives_its_memory_back() {
    let mut array = Array::default();
    for index in 0..100_000 {
        array.set(index, b"a text of 20 bytes..");
    }
    let full = array.heap_bytes();
    for index in 0..100_000 {
        if index % 50 != 0 {
            array.remove(index);
        }
    }
    assert_eq!(array.len(), 2000);
    assert!(
        array.heap_bytes() < full / 10,
        "{} of {full}",
        array.heap_bytes()
    );
}

#[test]
fn a_ring_keeps_the_latest_elements_when_its_size_changes() {
    let mut array = Array::default();
    let ring = |array: &mut Array, size: u64, text: &str| {
        array.ring(size, std::iter::once(text.as_bytes()));
    };
    (0..8).for_each(|n| ring(&mut array, 5, &format!("v{n}")));
    ring(&mut array, 8, "grown");
    let names = |array: &Array| -> Vec<String> {
        let texts = texts(array.iter()).into_iter();
        texts
            .map(|(_, text)| String::from_utf8(text).expect("ASCII"))
            .collect()
    };
    assert_eq!(names(&array), ["v3", "v4", "v5", "v6", "v7", "grown"]);
    ring(&mut array, 3, "shrunk");
    assert_eq!(names(&array), ["shrunk", "v7", "grown"]);
    // The run of elements that ends at the cursor goes on at the top, up to the hole.
    array.remove(1);
    ring(&mut array, 2, "next");
    assert_eq!(names(&array), ["next", "shrunk"]);
}
