use super::*;

/// The reference model of a sorted set: a sorted vector.
#[derive(Default)]
struct Model(Vec<(f64, Vec<u8>)>);

impl Model {
    fn insert(&mut self, member: &[u8], score: f64) -> Change {
        let change = match self.0.iter().position(|(_, own)| own == member) {
            None => Change::Added,
            Some(at) if self.0[at].0 == score => return Change::Same,
            Some(at) => {
                self.0.remove(at);
                Change::Updated
            }
        };
        self.0.push((score, member.to_vec()));
        self.0
            .sort_by(|one, other| ascending((one.0, &one.1), (other.0, &other.1)));
        change
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        let before = self.0.len();
        self.0.retain(|(_, own)| own != member);
        self.0.len() < before
    }
}

fn contents(zset: &Zset) -> Vec<(f64, Vec<u8>)> {
    zset.iter()
        .map(|(member, score)| (score, member.to_vec()))
        .collect()
}

fn assert_same(zset: &Zset, model: &Model, random: &mut fastrand::Rng) {
    assert_eq!(zset.len(), model.0.len());
    assert_eq!(contents(zset), model.0);
    let (from, to) = (random.usize(..80), random.usize(..900));
    let range = from.min(model.0.len())..to.clamp(from.min(model.0.len()), model.0.len());
    let mut walked: Vec<_> = zset
        .range(from..to.max(from))
        .rev()
        .map(|(member, score)| (score, member.to_vec()))
        .collect();
    walked.reverse();
    assert_eq!(walked, model.0[range]);
    let bound = f64::from(random.i32(-50..50));
    assert_eq!(
        zset.count_leading(|_, score| score < bound),
        model.0.iter().filter(|(score, _)| *score < bound).count()
    );
    for (rank, (score, member)) in model.0.iter().enumerate().step_by(7) {
        assert_eq!(zset.rank(member), Some(rank));
        assert_eq!(zset.score(member), Some(*score));
    }
}

fn member_of(random: &mut fastrand::Rng, names: usize) -> Vec<u8> {
    let name = random.usize(..names);
    match name % 3 {
        0 => name.to_string().into_bytes(),
        1 => format!("-{name}").into_bytes(),
        // Many members, so long that they take more than one chunk.
        _ => format!("member:{name:0width$}", width = names / 20).into_bytes(),
    }
}

fn follow_model(seed: u64, names: usize, steps: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let thresholds = Thresholds::default();
    let (mut zset, mut model) = (Zset::default(), Model::default());
    for step in 0..steps {
        let member = member_of(&mut random, names);
        let score = f64::from(random.i32(-400..400)) / 8.0;
        match random.u8(..10) {
            0..7 => assert_eq!(
                zset.insert(&member, score, &thresholds),
                model.insert(&member, score)
            ),
            7..9 => assert_eq!(zset.remove(&member), model.remove(&member)),
            _ if step % 40 == 0 && !model.0.is_empty() => {
                let from = random.usize(..model.0.len());
                let to = (from + random.usize(..50)).min(model.0.len());
                model.0.drain(from..to);
                assert_eq!(zset.remove_range(from..to), to - from);
            }
            _ => {}
        }
        if step % 25 == 0 {
            assert_same(&zset, &model, &mut random);
        }
    }
    assert_same(&zset, &model, &mut random);
}

#[test]
fn a_small_one_is_what_the_model_says() {
    for seed in 0..8 {
        follow_model(seed, 60, 800);
    }
}

#[test]
fn a_large_one_is_what_the_model_says() {
    for seed in 0..3 {
        follow_model(seed, 1500, 6000);
    }
    follow_model(3, 3000, 8000);
}

#[test]
fn loads_members_in_whatever_order_they_come() {
    let thresholds = Thresholds::default();
    let mut random = fastrand::Rng::with_seed(5);
    for count in [300_u32, 6000] {
        let sorted: Vec<Scored> = (0..count)
            .map(|number| {
                let member = format!("member:{number:06}").into_bytes();
                (member.into(), f64::from(number / 3))
            })
            .collect();
        let mut members = sorted.clone();
        for shuffled in 0..3 {
            let mut zset = Zset::from_members(&members, &thresholds).unwrap();
            assert!(
                contents(&zset).iter().eq(sorted
                    .iter()
                    .map(|(member, score)| (*score, member.to_vec()))
                    .collect::<Vec<_>>()
                    .iter())
            );
            zset.remove_range(100..usize::MAX);
            assert_eq!(zset.rank(b"member:000099"), Some(99), "{shuffled}");
            members.reverse();
            if shuffled == 1 {
                random.shuffle(&mut members);
            }
        }
    }
}

#[test]
fn the_packed_bytes_are_those_that_a_load_accepts() {
    let thresholds = Thresholds::default();
    let mut zset = Zset::default();
    let mut random = fastrand::Rng::with_seed(4);
    for _ in 0..120 {
        zset.insert(
            &member_of(&mut random, 500),
            random.f64() * 1e6,
            &thresholds,
        );
    }
    let packed = zset.as_listpack().unwrap().as_bytes().to_vec();
    let packed = Listpack::validate(packed).unwrap();
    assert_eq!(packed::check(&packed), Ok(()));
    let loaded = Zset::from_listpack(packed, &thresholds).unwrap();
    assert_eq!(contents(&loaded), contents(&zset));
}

#[test]
fn grows_past_the_thresholds_and_stays_large() {
    let thresholds = Thresholds::default();
    let mut zset = Zset::default();
    for number in 0..128 {
        zset.insert(format!("{number}").as_bytes(), 1.0, &thresholds);
    }
    let dialect = Dialect::redis(7, 0, 15);
    assert_eq!(zset.encoding(dialect), "listpack");
    assert_eq!(zset.encoding(Dialect::redis(6, 0, 16)), "ziplist");
    zset.insert(b"5", 7.0, &thresholds);
    assert_eq!(zset.encoding(dialect), "listpack");
    zset.insert(b"one more", 1.0, &thresholds);
    assert_eq!(zset.encoding(dialect), "skiplist");
    zset.remove_range(0..128);
    assert_eq!((zset.len(), zset.encoding(dialect)), (1, "skiplist"));
    let mut long = Zset::default();
    long.insert(&[b'x'; 65], 1.0, &thresholds);
    assert_eq!(long.encoding(dialect), "skiplist");
}

#[test]
fn refuses_pieces_that_do_not_fit_together() {
    let thresholds = Thresholds::default();
    let load = |texts: &[&str]| packed::check(&texts.iter().collect::<Listpack>());
    assert_eq!(load(&["a", "1", "b", "1"]), Ok(()));
    assert_eq!(load(&["a", "1", "b"]), Err(Error::Odd));
    assert_eq!(load(&["a", "nan"]), Err(Error::Score));
    assert_eq!(load(&["a", "one"]), Err(Error::Score));
    assert_eq!(load(&["b", "1", "a", "1"]), Err(Error::Order));
    assert_eq!(load(&["a", "1", "b", "1", "a", "2"]), Err(Error::Duplicate));
    let twice = |count: usize| {
        let mut members: Vec<Scored> = (0..count)
            .map(|number| (number.to_string().into_bytes().into(), 1.0))
            .collect();
        members.push((b"0"[..].into(), 5.0));
        Zset::from_members(&members, &thresholds).map(|_| ())
    };
    assert_eq!(twice(3), Err(Error::MemberTwice));
    assert_eq!(twice(300), Err(Error::MemberTwice));
    let nan = vec![(b"a"[..].into(), f64::NAN)];
    assert!(Zset::from_members(&nan, &thresholds).is_err());
}

#[test]
fn a_walk_with_cursors_meets_every_member_while_others_come_and_go() {
    let thresholds = Thresholds::default();
    let mut zset = Zset::default();
    for number in 0..1000 {
        zset.insert(format!("stays:{number}").as_bytes(), 1.0, &thresholds);
    }
    let mut random = fastrand::Rng::with_seed(9);
    let mut seen = std::collections::HashSet::new();
    let mut cursor = 0;
    let mut step = 0_u32;
    loop {
        cursor = zset.scan(cursor, 10, |member, _| {
            seen.insert(member.to_vec());
        });
        if cursor == 0 {
            break;
        }
        if step < 2000 {
            zset.insert(format!("new:{step}").as_bytes(), 2.0, &thresholds);
            zset.remove(format!("new:{}", random.u32(..=step)).as_bytes());
        }
        step += 1;
    }
    let stayed = seen.iter().filter(|member| member.starts_with(b"stays"));
    assert_eq!(stayed.count(), 1000);
}

#[test]
fn counts_its_bytes_back_to_where_they_were() {
    let thresholds = Thresholds::default();
    let members = (0..2000_u32).map(|number| (format!("member {number}").into_bytes().into(), 1.0));
    let members: Vec<Scored> = members.collect();
    let mut table = Zset::from_members(&members, &thresholds).unwrap();
    let before = table.heap_bytes();
    for number in 0..200_u32 {
        table.remove(format!("member {number}").as_bytes());
    }
    for number in 0..200_u32 {
        table.insert(format!("member {number}").as_bytes(), 1.0, &thresholds);
    }
    // Bytes of the removed members that the chunk still holds, and spare room in the chunk and the blocks of the new ones.
    assert!(table.heap_bytes() <= before + before / 2);
    for number in 0..2000_u32 {
        table.remove(format!("member {number}").as_bytes());
    }
    assert!(table.heap_bytes() < before / 50, "{}", table.heap_bytes());
}

#[test]
fn a_negative_zero_is_not_another_score() {
    let mut zset = Zset::default();
    let thresholds = Thresholds::default();
    zset.insert(b"a", 0.0, &thresholds);
    assert_eq!(zset.insert(b"a", -0.0, &thresholds), Change::Same);
}

#[test]
fn a_packed_set_that_cannot_be_unpacked_is_refused_and_not_emptied() {
    let thresholds = Thresholds {
        zset_max_listpack_entries: 1,
        ..Thresholds::default()
    };
    let load = |words: &[&str]| {
        let packed: Listpack = words.iter().collect();
        Zset::from_listpack(packed, &thresholds).map(|zset| zset.len())
    };
    assert_eq!(load(&["a", "1", "b", "2"]), Ok(2));
    assert_eq!(load(&["a", "1", "a", "2"]), Err(Error::Duplicate));
    for scores in [["nan", "2"], ["1", "two"], ["1", "nan"]] {
        let [one, other] = scores;
        assert_eq!(
            load(&["a", one, "b", other]),
            Err(Error::Score),
            "{scores:?}"
        );
    }
    assert_eq!(load(&["a", "1", "b", "2", "c"]), Err(Error::Score));
}

#[test]
fn leaves_a_listpack_before_it_is_larger_than_servers_allow() {
    let thresholds = Thresholds {
        zset_max_listpack_value: usize::MAX,
        ..Thresholds::default()
    };
    let long = vec![b'x'; crate::rdb::listpack::SAFE_BYTES_MAX / 2];
    let mut zset = Zset::default();
    zset.insert(&long, 1.0, &thresholds);
    assert!(zset.as_listpack().is_some());
    zset.insert(&[&long[..], b"y"].concat(), 2.0, &thresholds);
    assert!(zset.as_listpack().is_none() && zset.len() == 2);
}
