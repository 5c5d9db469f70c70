//! Walks over large values, and walks as streams.

use super::*;
use redtail::rdb::StreamId;
use redtail::{Pair, ScanStream, StreamEntry};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use tokio_stream::StreamExt as _;

const ELEMENTS: usize = 3000;

fn fill(primary: &Server) {
    let lines = (0..ELEMENTS).flat_map(|number| {
        [
            format!("HSET h f{number} v{number}"),
            format!("SADD s m{number}"),
            format!("ZADD z {number} m{number}"),
            format!("RPUSH l e{number}"),
            format!("XADD x {}-0 f {number}", number + 1),
        ]
    });
    let small = [
        "HSET hh a 1",
        "SADD ss a",
        "ZADD zz 1 a",
        "RPUSH ll a",
        "XADD xx 1-0 a 1",
    ];
    let lines: Vec<String> = lines.chain(small.map(str::to_owned)).collect();
    primary
        .client()
        .pipeline(&lines.iter().map(|line| words(line)).collect::<Vec<_>>());
}

fn sorted<T: Ord>(walk: impl Iterator<Item = Result<T, Error>>) -> Vec<T> {
    let mut all: Vec<T> = walk.collect::<Result<_, _>>().unwrap();
    all.sort();
    all.dedup();
    all
}

#[test]
fn walks_find_every_element_of_large_and_of_small_values() {
    let Some(primary) = Server::start("redis-8.2", &[]) else {
        return;
    };
    fill(&primary);
    let runtime = runtime();
    let replica = follow(&runtime, config(&primary));
    let db = replica.database(0);
    for name in ["h", "hh", "none"] {
        let mut all = replica.hgetall(name).unwrap();
        all.sort();
        assert_eq!(sorted(db.hscan(name)), all);
    }
    for name in ["s", "ss", "none"] {
        let mut all = replica.smembers(name).unwrap();
        all.sort();
        assert_eq!(sorted(db.sscan(name)), all);
    }
    for name in ["z", "zz", "none"] {
        let mut all: Vec<(Vec<u8>, f64)> = db.zscan(name).collect::<Result<_, _>>().unwrap();
        all.sort_by(|one, other| one.1.total_cmp(&other.1));
        all.dedup();
        assert_eq!(Ok(all), replica.zrange(name, 0, -1));
    }
    for name in ["l", "ll", "none"] {
        let all: Vec<Vec<u8>> = db.lscan(name).collect::<Result<_, _>>().unwrap();
        assert_eq!(Ok(all), replica.lrange(name, 0, -1));
    }
    for name in ["x", "xx", "none"] {
        let all: Vec<StreamEntry> = db.xscan(name).collect::<Result<_, _>>().unwrap();
        assert_eq!(Ok(all), replica.xrange(name, .., None));
    }
    let wrong = db.hscan("l").collect::<Vec<_>>();
    assert_eq!(wrong, [Err(Error::WrongType)]);
    let in_a_moment = replica.at_one_moment(|moment| db_of(moment).count_of("h"));
    assert_eq!(in_a_moment, Ok(ELEMENTS));
}

/// A function that reads in a moment as well as in a replica.
trait CountOf {
    fn count_of(&self, key: &str) -> Result<usize, Error>;
}

impl<P: redtail::Place> CountOf for Database<'_, P> {
    fn count_of(&self, key: &str) -> Result<usize, Error> {
        let fields: Vec<_> = self.hscan(key).collect::<Result<_, Error>>()?;
        Ok(fields.len())
    }
}

fn db_of<'m>(moment: &'m redtail::Moment<'_>) -> impl CountOf + 'm {
    moment.database(0)
}

#[test]
fn a_walk_returns_what_exists_throughout_while_a_writer_writes() {
    let Some(primary) = Server::start("valkey-9.1", &[]) else {
        return;
    };
    fill(&primary);
    let runtime = runtime();
    let replica = follow(&runtime, config(&primary));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (replica, done) = (&replica, &done);
        scope.spawn(move || {
            until(done, || {
                let fields = sorted(replica.database(0).hscan("h"));
                let own = fields.iter().filter(|(name, _)| name.starts_with(b"f"));
                assert_eq!(own.count(), ELEMENTS);
                let members = sorted(replica.database(0).sscan("s"));
                let own = members.iter().filter(|name| name.starts_with(b"m"));
                assert_eq!(own.count(), ELEMENTS);
                let entries: Vec<StreamEntry> = replica
                    .database(0)
                    .xscan("x")
                    .collect::<Result<_, _>>()
                    .unwrap();
                let ids = entries.iter().map(|entry| entry.id);
                let lasting: Vec<StreamId> = ids.filter(|id| id.ms <= ELEMENTS as u64).collect();
                let all = (1..=ELEMENTS as u64).map(|ms| StreamId::new(ms, 0));
                assert_eq!(lasting, all.collect::<Vec<_>>());
            })
        });
        let _done = Done(done);
        let mut client = primary.client();
        for round in 0..200 {
            let lines = (0..20).flat_map(|number| {
                [
                    format!("HSET h other{round}:{number} 1"),
                    format!("HDEL h other{}:{number}", round - 1),
                    format!("SADD s other{round}:{number}"),
                    format!("SREM s other{}:{number}", round - 1),
                    format!("XADD x * f {number}"),
                ]
            });
            client.pipeline(&lines.map(|line| words(&line)).collect::<Vec<_>>());
        }
        caught_up(replica, &primary);
    });
}

#[test]
fn a_walk_as_a_stream_lets_other_tasks_run_between_its_steps() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    fill(&primary);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let replica = Arc::new(Replica::start(config(&primary)).unwrap());
        replica.ready().await.unwrap();
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&turns);
        let other = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let walk: ScanStream<'_, Pair> = replica.database(0).hscan("h").stream();
        let fields: Vec<_> = walk.collect::<Result<_, _>>().await.unwrap();
        assert!(fields.len() >= ELEMENTS);
        let steps = ELEMENTS / 256;
        let turns = turns.load(Ordering::Relaxed);
        assert!(turns >= steps, "{turns} turns in {steps} steps");
        let mut none = replica.scan("nothing*").stream();
        assert_eq!(ScanStream::next(&mut none).await, None);
        let mut wrong = replica.database(0).zscan("l").stream();
        assert_eq!(
            ScanStream::next(&mut wrong).await,
            Some(Err(Error::WrongType))
        );
        assert_eq!(ScanStream::next(&mut wrong).await, None);
        other.abort();
        replica.stop().await;
    });
}
