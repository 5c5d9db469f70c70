#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use super::*;
use crate::rdb::array::ElementText;
use crate::rdb::source::MemorySource;

fn text(element: Element<'_>) -> Vec<u8> {
    element.text(&mut ElementText::default()).to_vec()
}

/// What a server, Redis 8.8 of June 2026, chose for each text: the form in its DUMP.
#[test]
fn texts_have_the_forms_that_a_server_chooses() {
    for (form, texts) in [
        ("int", "0 1 -1 42 2305843009213693951 -2305843009213693952"),
        (
            "double",
            "1.0 -1.0 0.0 -0.0 3.25 -2.5 1000000.0 0.0625 1234.5 2249.0",
        ),
        (
            "text",
            "-0 007 +1 1. .5 1.50 1e5 1.0e-10 0.1 abc 1.2.3 -. . 2305843009213693952 nan inf 00.5",
        ),
        (
            "text",
            "-2305843009213693953 9223372036854775808 1.0000000000000000000000001 12345678901234567890.5",
        ),
    ] {
        for word in texts.split(' ') {
            let element = Element::of(word.as_bytes());
            let found = match element {
                Element::Int(_) => "int",
                Element::Double(_) => "double",
                Element::Text(_) => "text",
            };
            assert_eq!(found, form, "{word}");
            assert_eq!(text(element), word.as_bytes(), "{word}");
        }
    }
    assert_eq!(text(Element::of(b"")), b"");
}

#[test]
fn every_text_comes_back_as_it_was() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..200_000 {
        let len = random.usize(..24);
        let word: Vec<u8> = (0..len)
            .map(|_| b"0123456789.-e+"[random.usize(..14)])
            .collect();
        assert_eq!(text(Element::of(&word)), word);
        let number = f64::from_bits(random.u64(..));
        let word = format!("{number}").into_bytes();
        assert_eq!(text(Element::of(&word)), word);
    }
}

#[test]
fn a_double_of_a_snapshot_has_a_servers_text() {
    for (number, word) in [
        (1e300, "1e+300"),
        (3.0, "3.0"),
        (-0.0, "-0.0"),
        (f64::INFINITY, "inf"),
        (f64::NAN, "nan"),
        (0.1, "0.09999999999999998"),
    ] {
        assert_eq!(text(Element::double(number)), word.as_bytes());
    }
}

fn read(bytes: &[u8]) -> Result<ArrayObject, String> {
    let mut reader = Reader::new(MemorySource(bytes.to_vec().into()));
    array(&mut reader).map_err(|error| error.to_string())
}

fn elements(array: &ArrayObject) -> Vec<(u64, Vec<u8>)> {
    let all = array.pages.iter().flat_map(Page::iter);
    all.map(|(index, element)| (index, text(element))).collect()
}

/// Every form of an element, a cursor, and the highest index.
const ALL_FORMS: &[u8] = b"\x07\x01\x05\
    \x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\
    \x01\x02\x00\x00\x00\x00\x00\x00\x0a\x40\
    \x03\x03\x03abc\
    \x04\x00\x08a longer\
    \x40\xff\x01\xff\xff\xff\xff\xff\xff\xff\x7f\
    \x80\x00\x01\x00\x00\x00\xc0\x07\
    \x81\xff\xff\xff\xff\xff\xff\xff\xfe\x03\x00";

#[test]
fn an_array_with_every_form_is_read() {
    let array = read(ALL_FORMS).unwrap();
    assert_eq!(array.cursor, Some(5));
    let expected: [(u64, &[u8]); 7] = [
        (0, b"-1"),
        (1, b"3.25"),
        (3, b"abc"),
        (4, b"a longer"),
        (255, b"9223372036854775807"),
        (65536, b"7"),
        (INDEX_MAX, b""),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(at, text)| (*at, text.to_vec()))
        .collect();
    assert_eq!(elements(&array), expected);
}

#[test]
fn elements_in_another_order_or_twice_are_kept_in_that_order() {
    let array = read(b"\x03\x00\x09\x03\x01a\x05\x03\x01b\x05\x03\x01c").unwrap();
    let expected = [(9, b"a".to_vec()), (5, b"b".to_vec()), (5, b"c".to_vec())];
    assert_eq!(elements(&array), expected);
    assert_eq!(array.cursor, None);
}

#[test]
fn what_is_no_array_is_refused_with_its_place() {
    for (bytes, reason) in [
        (
            &b"\x00\x00"[..],
            "byte 0, reading an array's size: corrupt: an array without elements",
        ),
        (b"\x01\x02", "neither with nor without an insertion index"),
        (
            b"\x01\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff",
            "past the end of all arrays",
        ),
        (
            b"\x01\x00\x81\xff\xff\xff\xff\xff\xff\xff\xff\x03\x00",
            "past the end of all arrays",
        ),
        (
            b"\x01\x00\x00\x04",
            "byte 3, reading an array's element: corrupt: an element of an unknown form",
        ),
        (
            b"\x01\x00\x00\x03\x08abcdefgh",
            "a short text that is too long",
        ),
        (
            b"\x01\x00\xc0\x07\x03\x00",
            "expected a length, found a string encoding",
        ),
        (
            b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x03\x01a",
            "unexpected end of input",
        ),
    ] {
        let error = read(bytes).unwrap_err();
        assert!(error.contains(reason), "{error} does not contain {reason}");
    }
    for len in 0..ALL_FORMS.len() {
        assert!(read(&ALL_FORMS[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn any_flipped_byte_is_an_array_or_an_error() {
    for at in 0..ALL_FORMS.len() {
        for byte in 0..=u8::MAX {
            let mut bytes = ALL_FORMS.to_vec();
            bytes[at] = byte;
            if let Ok(array) = read(&bytes) {
                assert!(
                    elements(&array)
                        .iter()
                        .all(|(index, _)| *index <= INDEX_MAX)
                );
            }
        }
    }
}

#[test]
fn a_page_is_full_at_a_bound_and_splits_into_halves() {
    let mut page = Page::new(10, Element::Text(b"first"));
    let mut next = 11;
    while page.has_room(Element::Int(next)) {
        page.push(next.unsigned_abs(), Element::Int(next));
        next += 1;
    }
    assert_eq!(page.len(), 128);
    page.set(5, Element::Text(&[b'x'; 9000]));
    assert!(page.is_over());
    let (low, high) = page.split();
    let (low, high) = (low.unwrap(), high.unwrap());
    assert_eq!((low.first(), high.last()), (5, page.last()));
    assert_eq!(low.len() + high.len(), page.len());
    let both = low.iter().chain(high.iter());
    assert!(both.eq(page.iter()));
}
