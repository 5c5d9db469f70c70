#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use super::*;
use proptest::prelude::*;

fn texts(packed: &Listpack) -> Vec<Vec<u8>> {
    packed.iter().map(|item| item.to_vec()).collect()
}

fn assert_valid(packed: &Listpack) {
    assert_eq!(
        Listpack::validate(packed.as_bytes().to_vec()).as_ref(),
        Ok(packed)
    );
}

#[test]
fn lays_out_elements_as_redis_does() {
    let packed: Listpack = ["f", "127", "-5", "4096", "hello"].into_iter().collect();
    let expected = [
        &[0x1a, 0, 0, 0, 5, 0][..],
        &[0x81, b'f', 2],
        &[127, 1],
        &[0xdf, 0xfb, 2],
        &[0xf1, 0x00, 0x10, 3],
        &[0x85, b'h', b'e', b'l', b'l', b'o', 6],
        &[0xff],
    ];
    assert_eq!(packed.as_bytes(), expected.concat());
}

#[test]
fn an_empty_one_is_seven_bytes() {
    assert_eq!(Listpack::new().as_bytes(), [7, 0, 0, 0, 0, 0, 0xff]);
    assert!(Listpack::new().is_empty());
    assert_valid(&Listpack::new());
}

#[test]
fn reads_minus_five_as_minus_five() {
    let packed: Listpack = ["-5"].into_iter().collect();
    assert_eq!(packed.get(0), Some(Item::Int(-5)));
    assert!(packed.position(b"-5", 0).is_some() && packed.position(b"251", 0).is_none());
}

#[test]
fn keeps_every_integer_width() {
    let edges = [
        0, 127, 128, 4095, 4096, -4096, -4097, 32_767, 32_768, -32_768, -32_769, 8_388_607,
        8_388_608,
    ];
    let wide = [
        -8_388_608,
        -8_388_609,
        2_147_483_647,
        2_147_483_648,
        -2_147_483_649,
        i64::MAX,
        i64::MIN,
    ];
    let mut packed = Listpack::new();
    edges
        .iter()
        .chain(&wide)
        .for_each(|value| packed.push_int(*value));
    assert!(
        packed
            .iter()
            .eq(edges.iter().chain(&wide).map(|value| Item::Int(*value)))
    );
    assert!(
        packed.iter().rev().eq(edges
            .iter()
            .chain(&wide)
            .rev()
            .map(|value| Item::Int(*value)))
    );
    assert_valid(&packed);
}

#[test]
fn keeps_every_text_length_around_the_back_length_limits() {
    for len in [
        0, 1, 62, 63, 64, 125, 126, 127, 4095, 4096, 16_377, 16_378, 16_379, 2_097_145, 2_097_146,
    ] {
        let packed: Listpack = [vec![b'x'; len], b"end".to_vec()].into_iter().collect();
        assert_eq!(packed.iter().next_back(), Some(Item::Str(b"end")));
        assert_eq!(packed.iter().rev().nth(1).map(|item| item.len()), Some(len));
        assert_valid(&packed);
    }
}

#[test]
fn counts_by_walking_past_the_header_count() {
    let mut packed = Listpack::new();
    (0..65_534).for_each(|_| packed.push_int(1));
    assert_eq!((packed.len(), packed.count_field()), (65_534, 65_534));
    packed.push_int(2);
    packed.push_int(3);
    assert_eq!(
        (packed.len(), packed.count_field()),
        (65_536, COUNT_UNKNOWN)
    );
    assert_eq!(packed.get(65_535), Some(Item::Int(3)));
    assert_eq!(packed.remove(0, 65_535), 65_535);
    assert_eq!((packed.len(), packed.count_field()), (1, COUNT_UNKNOWN));
    assert_valid(&packed);
}

#[test]
fn finds_only_at_the_stride() {
    let packed: Listpack = ["a", "b", "b", "c", "1", "2"].into_iter().collect();
    assert_eq!(packed.position(b"b", 1), Some(2));
    assert_eq!(packed.position(b"b", 0), Some(1));
    assert_eq!(packed.position(b"2", 1), None);
    assert_eq!(packed.position(b"1", 1), Some(4));
}

#[test]
fn refuses_every_truncation_and_survives_every_corrupt_byte() {
    let packed: Listpack = ["f", "127", "-5", "4096", "hello", "70000", "3000000000", ""]
        .into_iter()
        .collect();
    let packed = [
        packed.iter().map(|i| i.to_vec()).collect(),
        vec![vec![b'y'; 200]],
    ]
    .concat();
    let good = packed.into_iter().collect::<Listpack>().as_bytes().to_vec();
    for len in 0..good.len() {
        assert!(
            Listpack::validate(good[..len].to_vec()).is_err(),
            "{len} bytes"
        );
    }
    for at in 0..good.len() {
        for value in 0..=255 {
            let mut bad = good.clone();
            bad[at] = value;
            if let Ok(packed) = Listpack::validate(bad) {
                let forward = texts(&packed);
                let mut backward: Vec<_> = packed.iter().rev().map(|item| item.to_vec()).collect();
                backward.reverse();
                assert_eq!((forward.len(), &forward), (packed.len(), &backward));
            }
        }
    }
}

#[test]
fn refuses_a_wrong_count_size_terminator_or_back_length() {
    let good = [10, 0, 0, 0, 1, 0, 0x81, b'f', 2, 0xff];
    assert!(Listpack::validate(good.to_vec()).is_ok());
    for (at, value) in [
        (0, 11),
        (4, 2),
        (6, 0x82),
        (6, 0xff),
        (6, 0xf5),
        (8, 3),
        (9, 0),
    ] {
        let mut bad = good;
        bad[at] = value;
        assert!(
            Listpack::validate(bad.to_vec()).is_err(),
            "byte {at} = {value}"
        );
    }
}

fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<i64>().prop_map(|value| value.to_string().into_bytes()),
        (-5000_i64..5000).prop_map(|value| value.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..150),
        (0..5000_usize).prop_map(|len| vec![b'z'; len]),
    ]
}

proptest! {
    #[test]
    fn edits_as_a_plain_list_does(edits in prop::collection::vec((0..4_u8, any::<prop::sample::Index>(), element()), 0..40)) {
        let (mut packed, mut model) = (Listpack::new(), Vec::<Vec<u8>>::new());
        for (kind, place, text) in edits {
            let index = place.index(model.len() + 1);
            match kind {
                0 => { packed.push(&text); model.push(text.clone()); }
                1 => { packed.insert(index, &text); model.insert(index, text.clone()); }
                2 => {
                    prop_assert_eq!(packed.replace(index, &text), index < model.len());
                    if let Some(old) = model.get_mut(index) { *old = text.clone(); }
                }
                _ => {
                    let end = model.len().min(index + text.len() % 4);
                    prop_assert_eq!(packed.remove(index, text.len() % 4), end - index);
                    model.drain(index..end);
                }
            }
            prop_assert_eq!(&texts(&packed), &model);
            prop_assert_eq!(packed.len(), model.len());
            prop_assert_eq!(packed.position(&text, 0), model.iter().position(|own| *own == text));
            prop_assert_eq!(packed.get(index).map(|item| item.to_vec()), model.get(index).cloned());
            assert_valid(&packed);
            // A listpack edited into shape equals one built from scratch.
            prop_assert_eq!(&packed, &model.iter().collect::<Listpack>());
        }
    }

    #[test]
    fn no_bytes_make_a_walk_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut blob = vec![0; 6];
        blob.extend(&bytes);
        blob.push(TERMINATOR);
        let size = u32::try_from(blob.len()).unwrap().to_le_bytes();
        blob[..4].copy_from_slice(&size);
        blob[4..6].copy_from_slice(&[0xff, 0xff]);
        if let Ok(packed) = Listpack::validate(blob) {
            prop_assert_eq!(packed.iter().count(), packed.iter().rev().count());
        }
    }
}
