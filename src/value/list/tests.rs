#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Edit {
    Push(End, Vec<Vec<u8>>),
    Pop(End),
    Drop(End, usize),
    Rotate(End, End),
    Trim(usize, usize),
    Set(usize, Vec<u8>),
    Insert(usize, bool, Vec<u8>),
    RemoveEqual(usize, End, usize),
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Head), Just(End::Tail)]
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (-20_i64..20).prop_map(|number| number.to_string().into_bytes()),
        8 => prop::collection::vec(b'a'..b'e', 0..4),
        2 => (100..3000_usize).prop_map(|len| vec![b'x'; len]),
        1 => (4000..9000_usize).prop_map(|len| vec![b'y'; len]),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        5 => (end(), prop::collection::vec(word(), 1..6)).prop_map(|(end, words)| Edit::Push(end, words)),
        1 => end().prop_map(Edit::Pop),
        1 => (end(), 0..4_usize).prop_map(|(end, count)| Edit::Drop(end, count)),
        1 => (end(), end()).prop_map(|(from, to)| Edit::Rotate(from, to)),
        1 => (0..3_usize, 0..3_usize).prop_map(|(front, back)| Edit::Trim(front, back)),
        2 => (any::<usize>(), word()).prop_map(|(index, word)| Edit::Set(index, word)),
        3 => (any::<usize>(), any::<bool>(), word())
            .prop_map(|(index, behind, word)| Edit::Insert(index, behind, word)),
        1 => (any::<usize>(), end(), 1..4_usize)
            .prop_map(|(index, end, limit)| Edit::RemoveEqual(index, end, limit)),
    ]
}

/// Applies the same edit to a list and to a vector.
fn run(list: &mut List, model: &mut Vec<Vec<u8>>, edit: &Edit, thresholds: &Thresholds) {
    let len = model.len();
    match edit {
        Edit::Push(end, words) => {
            list.push(*end, words.iter().map(Vec::as_slice), thresholds);
            words.iter().for_each(|word| put(model, *end, word.clone()));
        }
        Edit::Pop(end) => assert_eq!(list.pop(*end, thresholds), take(model, *end)),
        Edit::Drop(end, count) => {
            list.drop_from(*end, *count, thresholds);
            (0..*count).for_each(|_| drop(take(model, *end)));
        }
        Edit::Rotate(from, to) => {
            list.rotate(*from, *to, thresholds);
            if let Some(word) = take(model, *from) {
                put(model, *to, word);
            }
        }
        Edit::Trim(front, back) if front + back < len => {
            list.trim(Some(*front..=len - 1 - back), thresholds);
            model.truncate(len - back);
            model.drain(..*front);
        }
        Edit::Trim(..) => {
            list.trim(None, thresholds);
            model.clear();
        }
        Edit::Set(index, word) if len > 0 => {
            assert!(list.set(index % len, word, thresholds));
            model[index % len] = word.clone();
        }
        Edit::Insert(index, behind, word) if len > 0 => {
            let pivot = model[index % len].clone();
            assert!(list.insert(&pivot, *behind, word, thresholds));
            let place = model.iter().position(|other| *other == pivot).unwrap();
            model.insert(place + usize::from(*behind), word.clone());
        }
        Edit::RemoveEqual(index, end, limit) if len > 0 => {
            let word = model[index % len].clone();
            let removed = list.remove_equal(&word, *end, *limit, thresholds);
            assert_eq!(removed, remove_equal(model, &word, *end, *limit));
        }
        _ => {}
    }
}

fn put(model: &mut Vec<Vec<u8>>, end: End, word: Vec<u8>) {
    match end {
        End::Head => model.insert(0, word),
        End::Tail => model.push(word),
    }
}

fn take(model: &mut Vec<Vec<u8>>, end: End) -> Option<Vec<u8>> {
    match end {
        End::Head => (!model.is_empty()).then(|| model.remove(0)),
        End::Tail => model.pop(),
    }
}

fn remove_equal(model: &mut Vec<Vec<u8>>, word: &[u8], end: End, limit: usize) -> usize {
    let before = model.len();
    for _ in 0..limit {
        let place = match end {
            End::Head => model.iter().position(|other| other == word),
            End::Tail => model.iter().rposition(|other| other == word),
        };
        place.map(|place| model.remove(place));
    }
    before - model.len()
}

fn assert_same(list: &List, model: &[Vec<u8>], index: usize) {
    assert_eq!(list.len(), model.len());
    assert!(
        list.iter()
            .map(|item| item.to_vec())
            .eq(model.iter().cloned())
    );
    let backward = list.iter().rev().map(|item| item.to_vec());
    assert!(backward.eq(model.iter().rev().cloned()));
    let index = index % (model.len() + 2);
    let found = list.get(index).map(|item| item.to_vec());
    assert_eq!(found, model.get(index).cloned());
    let rest = list.iter_from(index).map(|item| item.to_vec());
    assert!(rest.eq(model.iter().skip(index).cloned()));
    if let Form::Nodes(nodes) = &list.0 {
        nodes.assert_counts();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn behaves_as_a_vector(
        edits in prop::collection::vec((edit(), any::<usize>()), 1..60),
        size in prop_oneof![Just(-1), Just(-2), Just(3), Just(0)],
    ) {
        let thresholds = Thresholds { list_max_listpack_size: size, ..Thresholds::default() };
        let (mut list, mut model) = (List::default(), Vec::new());
        for (edit, index) in &edits {
            run(&mut list, &mut model, edit, &thresholds);
            assert_same(&list, &model, *index);
        }
        assert_eq!(list.clone().iter().count(), model.len());
    }
}

#[test]
fn a_snapshot_keeps_its_nodes_and_one_that_fits_is_a_listpack() {
    let thresholds = Thresholds::default();
    let node = |words: &[&str]| ListNode::Packed(words.iter().collect());
    let list = List::from_nodes(
        vec![node(&["a"]), node(&[]), node(&["b", "c"])],
        &thresholds,
    );
    assert_eq!(
        (list.len(), list.encoding(Dialect::redis(8, 0, 0))),
        (3, "quicklist")
    );
    let list = List::from_nodes(vec![node(&["a", "b"])], &thresholds);
    assert_eq!(
        (list.len(), list.encoding(Dialect::redis(8, 0, 0))),
        (2, "listpack")
    );
    let large = ListNode::Plain(vec![b'x'; 9000].into());
    let list = List::from_nodes(vec![large], &thresholds);
    assert_eq!(
        (list.len(), list.encoding(Dialect::redis(8, 0, 0))),
        (1, "quicklist")
    );
}

#[test]
fn memory_follows_the_elements() {
    let thresholds = Thresholds::default();
    let mut list = List::default();
    let empty = list.heap_bytes();
    let word = [b'x'; 100];
    for _ in 0..1000 {
        list.push(End::Tail, std::iter::once(&word[..]), &thresholds);
    }
    assert!(
        (100_000..125_000).contains(&list.heap_bytes()),
        "{}",
        list.heap_bytes()
    );
    list.drop_from(End::Head, 1000, &thresholds);
    list.push(End::Tail, std::iter::once(&b"x"[..]), &thresholds);
    assert!(list.heap_bytes() < empty + 2000, "{}", list.heap_bytes());
}
