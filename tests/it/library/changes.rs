//! The changes of a replica: in order, each once, and readable when they are told.

use super::*;
use redtail::changes::{Change, Changes, Lost, What};
use redtail::config::State;
use redtail::status::Point;
use tokio_stream::StreamExt as _;

/// The next change, in a test that expects one.
#[track_caller]
fn next(runtime: &Runtime, changes: &mut Changes) -> Result<Change, Lost> {
    let next = async { tokio::time::timeout(PATIENCE, changes.next()).await };
    let next = runtime.block_on(next).expect("a change in time");
    next.expect("the replica runs")
}

/// One change as a line.
fn line(change: &Change) -> String {
    let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
    let what = match &change.what {
        What::Key { key, event, kind } => format!("{event} {} {}", text(key), kind.unwrap_or("-")),
        What::Flushed => "flushed".to_owned(),
        What::Swapped { with } => format!("swapped {with}"),
        What::Replaced { differences_follow } => format!("replaced {differences_follow}"),
        What::Tainted { key } => format!("tainted {}", text(key)),
        What::AllTainted => "all tainted".to_owned(),
        other => format!("{other:?}"),
    };
    format!("{} {what}", change.db)
}

/// The next changes up to the event `end` of a key.
#[track_caller]
fn until(runtime: &Runtime, changes: &mut Changes, end: &str) -> Vec<Change> {
    let mut found = Vec::new();
    loop {
        let change = next(runtime, changes).expect("nothing is lost");
        let is_last = matches!(&change.what, What::Key { key, .. } if key == end.as_bytes());
        found.push(change);
        if is_last {
            return found;
        }
    }
}

fn lines(changes: &[Change]) -> Vec<String> {
    changes.iter().map(line).collect()
}

/// Cuts the links of all replicas; each resumes where it was.
fn cut(primary: &Server) {
    primary.command("CLIENT KILL TYPE replica");
}

#[test]
fn each_change_is_told_once_in_order_and_can_be_read_at_once() {
    let Some(primary) = Server::start("redis-8.2", &[]) else {
        return;
    };
    let runtime = runtime();
    let replica = follow(&runtime, config(&primary));
    let mut changes = replica.changes();
    let writer = {
        let port = primary.port;
        std::thread::spawn(move || {
            let mut client = Client::try_connect(port).unwrap();
            for number in 0..2000 {
                client.command(&format!("SET count {number}"));
                if number % 500 == 250 {
                    client.command("CLIENT KILL TYPE replica");
                }
            }
            client.command("SET end 1");
        })
    };
    let (mut told, mut last) = (0, None);
    loop {
        let change = next(&runtime, &mut changes).expect("nothing is lost");
        let What::Key { key, event, kind } = &change.what else {
            panic!("{change:?}");
        };
        assert_eq!((*event, *kind), ("set", Some("string")));
        assert!(
            last < Some(change.point.offset),
            "{change:?} after {last:?}"
        );
        last = Some(change.point.offset);
        if key == b"end" {
            break;
        }
        let read = replica.get("count").unwrap().unwrap();
        let read: usize = String::from_utf8(read).unwrap().parse().unwrap();
        assert!(read >= told, "read {read} after change {told}");
        told += 1;
    }
    assert_eq!(told, 2000);
    assert_eq!(changes.seen().unwrap().offset, last.unwrap());
    writer.join().unwrap();
    // A stream for everything that takes streams; it ends with the replica.
    runtime.block_on(async {
        replica.stop().await;
        assert!((&mut changes).collect::<Vec<_>>().await.is_empty());
        assert!(changes.next().await.is_none());
    });
}

#[test]
fn databases_that_are_emptied_swapped_and_replaced_are_told_and_so_are_taints() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let runtime = runtime();
    let replica = {
        let _inside = runtime.enter();
        Replica::start(config(&primary)).unwrap()
    };
    let mut changes = replica.changes();
    // The first sync is a change, unless it was faster than this test.
    runtime.block_on(replica.ready()).unwrap();
    let mut own = replica.database(3).watch_prefix("own:");
    let mut any = replica.watch_prefix("own:");
    let mut client = primary.client();
    for line in [
        "SET first 1",
        "SELECT 3",
        "RPUSH own:list a",
        "LPOP own:list",
        "SET other 1",
        "SELECT 4",
        "SET own:four 1",
        "SWAPDB 3 4",
        "FLUSHDB",
        "SELECT 3",
        "SET own:end 1",
    ] {
        assert!(!client.command(line).is_error(), "{line}");
    }
    let mut all = lines(&until(&runtime, &mut changes, "own:end"));
    all.retain(|line| !line.contains("replaced"));
    let expected = [
        "0 set first string",
        "3 rpush own:list list",
        "3 lpop own:list list",
        "3 set other string",
        "4 set own:four string",
        "3 swapped 4",
        "4 flushed",
        "3 set own:end string",
    ];
    // An event of an emptied key has its deletion, too, once the handlers name it.
    all.retain(|line| line != "3 del own:list list");
    assert_eq!(all, expected);
    let of = |lines: Vec<String>| -> Vec<String> {
        let is_of = |line: &String| !line.contains("del ") && !line.contains("replaced");
        lines.into_iter().filter(is_of).collect()
    };
    let all = of(lines(&until(&runtime, &mut any, "own:end")));
    let is_of_any =
        |line: &&&str| line.contains("own:") || line.contains("swap") || line.contains("flush");
    assert_eq!(
        all,
        expected
            .iter()
            .filter(is_of_any)
            .copied()
            .collect::<Vec<_>>()
    );
    let all = of(lines(&until(&runtime, &mut own, "own:end")));
    assert_eq!(all, [expected[1], expected[2], expected[5], expected[7]]);

    // A full resync: the backlog is gone, and so is a key.
    cut(&primary);
    let mut client = primary.client();
    client.command("DEBUG CHANGE-REPL-ID");
    client.command("SET during 1");
    cut(&primary);
    client.command("SET after 1");
    let resynced = until(&runtime, &mut changes, "during");
    let resynced = lines(&resynced);
    let told = resynced.iter().any(|line| line.starts_with("0 replaced "))
        || resynced == ["0 set during string"];
    assert!(told, "{resynced:?}");
}

#[test]
fn a_program_resumes_within_the_window_and_is_told_when_it_cannot() {
    let Some(primary) = Server::start("valkey-8.1", &[]) else {
        return;
    };
    let runtime = runtime();
    let folder = tempfile::tempdir().unwrap();
    let kept = Config {
        changes_window: 64 << 10,
        state: Some(State::new(folder.path())),
        ..config(&primary)
    };
    let replica = follow(&runtime, kept.clone());
    let mut changes = replica.changes();
    primary.command("SET one 1");
    primary.command("MSET two 2 three 3");
    primary.command("SET four 4");
    let told = until(&runtime, &mut changes, "two");
    // Its other half is to come: this point does not count yet.
    assert_eq!(changes.seen(), Some(told[0].point));
    let seen = changes.seen().unwrap();
    drop(changes);
    let again = |replica: &Replica, point| {
        let mut changes = replica.changes_from(point).unwrap();
        lines(&until(&runtime, &mut changes, "four"))
    };
    let expected = [
        "0 mset two string",
        "0 mset three string",
        "0 set four string",
    ];
    let plain = |lines: Vec<String>| -> Vec<String> {
        let rename = |line: String| line.replace("0 set t", "0 mset t");
        lines.into_iter().map(rename).collect()
    };
    caught_up(&replica, &primary);
    assert_eq!(plain(again(&replica, seen)), expected);
    let unknown = Point {
        replid: "0".repeat(40).parse().unwrap(),
        ..seen
    };
    assert!(replica.changes_from(unknown).is_err());
    let future = Point {
        offset: seen.offset + (1 << 30),
        ..seen
    };
    assert!(replica.changes_from(future).is_err());

    // After a restart, from the state directory.
    runtime.block_on(replica.stop());
    drop(replica);
    let replica = follow(&runtime, kept);
    assert_eq!(plain(again(&replica, seen)), expected);

    // Until newer changes need the room.
    let large = "k".repeat(8 << 10);
    let mut client = primary.client();
    for number in 0..20 {
        client.command(&format!("SET {large}{number} v"));
    }
    caught_up(&replica, &primary);
    wait_until("the end of the window", || {
        matches!(replica.changes_from(seen), Err(Lost))
    });
}

#[test]
fn a_program_that_is_too_slow_is_told_once_and_continues() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let runtime = runtime();
    let replica = follow(&runtime, config(&primary));
    let mut changes = replica.changes();
    let large = "k".repeat(2 << 20);
    let mut client = primary.client();
    for number in 0..40 {
        client.command(&format!("SET {large}{number} v"));
    }
    client.command("SET small v");
    caught_up(&replica, &primary);
    let first = next(&runtime, &mut changes);
    assert_eq!(first, Err(Lost));
    assert_eq!(changes.seen(), None);
    client.command("SET end v");
    assert_eq!(
        lines(&until(&runtime, &mut changes, "end")),
        ["0 set end string"]
    );
    assert!(changes.seen().is_some());
}
