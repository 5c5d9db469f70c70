//! Whole replicas with a scripted primary: payloads in writes of every size, cut, marked wrongly, damaged, or not payloads at
//! all; and streams that end at bad moments. In every case redtail must serve only whole data.

use std::time::{Duration, Instant};

use redtail::internal::replica::{Config, Replica};
use redtail::internal::upstream::AckPolicy;
use tokio::runtime::Runtime;

use crate::scripted::{
    Connection, ID, MARK, OTHER_ID, Scripted, dump, full_resync, stream, with_length, with_mark,
};
use crate::servers::PATIENCE;

/// A replica of a scripted primary.
struct Follower {
    // The first field, so that it stops while its runtime still runs.
    replica: Replica,
    _runtime: Runtime,
}

impl Follower {
    fn of(primary: &Scripted) -> Self {
        Self::with_floor(primary, Duration::ZERO)
    }

    /// A follower that starts full syncs at least `floor` apart.
    fn with_floor(primary: &Scripted, floor: Duration) -> Self {
        let mut config = Config::new(&primary.address()).unwrap();
        config.upstream.timing.retry_first = Duration::from_millis(1);
        config.upstream.timing.retry_max = Duration::from_millis(2);
        config.upstream.timing.retry_refused = Duration::from_millis(2);
        config.upstream.timing.ack = Duration::from_millis(10);
        config.upstream.timing.resync_floor = floor;
        config.upstream.acks = AckPolicy::Honest;
        config.upstream.watch = false;
        let runtime = Runtime::new().unwrap();
        let guard = runtime.enter();
        let replica = Replica::start(config).unwrap();
        drop(guard);
        Self {
            replica,
            _runtime: runtime,
        }
    }

    fn get(&self, key: &str) -> Option<String> {
        let value = self.replica.get(key).ok()?;
        value.map(|value| String::from_utf8(value).unwrap())
    }

    fn wait_for(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            let status = self.replica.status();
            assert!(
                Instant::now() < deadline,
                "timed out waiting for {what}: {status:?}"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn wait_for_value(&self, key: &str, value: &str) {
        self.wait_for(key, |follower| follower.get(key).as_deref() == Some(value));
    }

    fn fault(&self) -> String {
        let fault = self.replica.status().last_fault;
        fault.map_or(String::new(), |fault| fault.what)
    }
}

/// A follower that is online at offset 100, and holds `a` = `old`.
fn synced(primary: &Scripted) -> (Follower, Connection) {
    let follower = Follower::of(primary);
    let (mut connection, _) = primary.accept_psync();
    connection.send(full_resync(100));
    connection.send(with_length(&dump(&[("a", "old")])));
    connection.wait_for_command("REPLCONF ACK 100");
    (follower, connection)
}

/// Checks that a `synced` follower refuses `payload` as its next full resync: it keeps serving, says why, and asks again.
fn refuses(payload: &[u8], why: &str) {
    let primary = Scripted::start();
    let (follower, connection) = synced(&primary);
    drop(connection);
    let (mut connection, psync) = primary.accept_psync();
    assert_eq!(psync, format!("PSYNC {ID} 101"));
    connection.send(full_resync(500));
    connection.send(payload);
    drop(connection);
    let (mut connection, _) = primary.accept_psync();
    assert_eq!(follower.get("a").as_deref(), Some("old"));
    assert!(follower.fault().contains(why), "{}", follower.fault());
    assert_eq!(follower.replica.status().applied_offset, 100);
    connection.send(full_resync(600));
    connection.send(with_mark(&dump(&[("a", "new")])));
    follower.wait_for_value("a", "new");
}

#[test]
fn loads_and_follows_whatever_the_sizes_of_writes() {
    let commands = stream(&["SELECT 0", "SET b 2", "PING"]);
    let rdb = dump(&[("a", "1")]);
    for (header, bytewise) in [
        (with_length as fn(&[u8]) -> Vec<u8>, true),
        (with_mark, true),
    ]
    .into_iter()
    .chain([(with_length as _, false), (with_mark as _, false)])
    {
        let primary = Scripted::start();
        let follower = Follower::of(&primary);
        let (mut connection, _) = primary.accept_psync();
        let whole = [
            full_resync(7).as_bytes(),
            b"\n\n\n",
            &header(&rdb),
            &commands,
        ]
        .concat();
        if bytewise {
            connection.send_bytewise(&whole);
        } else {
            connection.send(&whole);
        }
        let offset = 7 + commands.len();
        connection.wait_for_command(&format!("REPLCONF ACK {offset}"));
        assert_eq!(follower.get("a").as_deref(), Some("1"));
        assert_eq!(follower.get("b").as_deref(), Some("2"));
    }
}

#[test]
fn newlines_before_the_payload_are_not_the_end_of_the_sync() {
    let primary = Scripted::start();
    let follower = Follower::of(&primary);
    let (mut connection, _) = primary.accept_psync();
    connection.send(format!("\n\n{}\n", full_resync(7)));
    for _ in 0..5 {
        connection.send("\n");
        assert_eq!(connection.line(), "", "an early acknowledgement");
    }
    assert!(follower.replica.get("a").is_err(), "still loading");
    connection.send(with_length(&dump(&[("a", "1")])));
    follower.wait_for_value("a", "1");
}

#[test]
fn a_mark_inside_a_value_is_not_the_end() {
    let primary = Scripted::start();
    let follower = Follower::of(&primary);
    let (mut connection, _) = primary.accept_psync();
    connection.send(full_resync(7));
    connection.send(with_mark(&dump(&[("a", MARK), ("b", "2")])));
    follower.wait_for_value("b", "2");
    assert_eq!(follower.get("a").as_deref(), Some(MARK));
}

#[test]
fn a_payload_that_is_cut_changes_nothing() {
    let whole = with_mark(&dump(&[("a", "new")]));
    for cut in [3, 30, 60, whole.len() - 45, whole.len() - 1] {
        refuses(&whole[..cut], "snapshot");
    }
}

#[test]
fn a_wrong_end_mark_changes_nothing() {
    let mut payload = with_mark(&dump(&[("a", "new")]));
    *payload.last_mut().unwrap() ^= 1;
    refuses(&payload, "end mark");
}

#[test]
fn a_wrong_checksum_changes_nothing() {
    let mut rdb = dump(&[("a", "new")]);
    *rdb.last_mut().unwrap() = 1;
    refuses(&with_length(&rdb), "checksum");
}

#[test]
fn a_wrong_length_changes_nothing() {
    let rdb = dump(&[("a", "new")]);
    let shorter = [format!("${}\r\n", rdb.len() - 1).as_bytes(), &rdb].concat();
    refuses(&shorter, "announced");
}

#[test]
fn a_type_that_is_not_known_stops_the_load_by_name_and_place() {
    let mut rdb = dump(&[("a", "new")]);
    let key = b"\x00\x01a";
    let at = rdb.windows(key.len()).position(|bytes| bytes == key);
    let at = at.expect("the key is there");
    rdb[at] = 99;
    let why = format!("byte {at}, reading a value of key \"a\" (type 99)");
    refuses(&with_length(&rdb), &why);
}

#[test]
fn garbage_in_place_of_a_payload_changes_nothing() {
    refuses(b"HTTP/1.1 400 Bad Request\r\n", "HTTP/1.1 400");
    refuses(b"$-7\r\n", "$-7");
    refuses(b"-ERR BGSAVE failed\r\n", "BGSAVE failed");
}

#[test]
fn garbage_in_the_stream_ends_in_a_full_resync_while_the_old_data_is_served() {
    let primary = Scripted::start();
    let (follower, mut connection) = synced(&primary);
    connection.send("rubbish\r\n");
    connection.wait_for_close();
    let (mut connection, psync) = primary.accept_psync();
    assert_eq!(psync, "PSYNC ? -1");
    assert_eq!(follower.get("a").as_deref(), Some("old"));
    connection.send(full_resync(0));
    connection.send(with_length(&dump(&[("a", "new")])));
    follower.wait_for_value("a", "new");
}

#[test]
fn a_stream_cut_anywhere_resumes_with_nothing_lost_or_doubled() {
    let commands = stream(&[
        "SELECT 3",
        "MULTI",
        "INCR n",
        "APPEND s x",
        "EXEC",
        "INCR n",
    ]);
    let primary = Scripted::start();
    let (follower, mut connection) = synced(&primary);
    let mut sent = 0;
    // Each cut is one byte later, so that every byte is the last one once.
    for cut in 0..=commands.len() {
        connection.send(&commands[sent..cut]);
        drop(connection);
        let (next, psync) = primary.accept_psync();
        connection = next;
        let asked = psync.strip_prefix(&format!("PSYNC {ID} ")).unwrap();
        sent = asked.parse::<usize>().unwrap() - 101;
        assert!(sent <= cut, "asks for bytes after the ones that were sent");
        connection.send("+CONTINUE\r\n");
    }
    let end = 100 + commands.len() as u64;
    follower.wait_for("the end", |follower| {
        follower.replica.status().applied_offset == end
    });
    let third = follower.replica.database(3);
    assert_eq!(third.get("n"), Ok(Some(b"2".to_vec())));
    assert_eq!(third.get("s"), Ok(Some(b"x".to_vec())));
    assert_eq!(follower.get("n"), None);
}

#[test]
fn the_stream_starts_in_the_database_that_the_snapshot_names() {
    let primary = Scripted::start();
    let follower = Follower::of(&primary);
    let (mut connection, _) = primary.accept_psync();
    let mut rdb = dump(&[]);
    rdb.splice(9..9, b"\xfa\x0erepl-stream-db\x013".iter().copied());
    let set = stream(&["SET k v"]);
    connection.send(full_resync(100));
    connection.send(with_length(&rdb));
    connection.send(&set);
    let end = 100 + set.len() as u64;
    follower.wait_for("the end", |follower| {
        follower.replica.status().applied_offset == end
    });
    let third = follower.replica.database(3);
    assert_eq!(third.get("k"), Ok(Some(b"v".to_vec())));
    assert_eq!(follower.get("k"), None);
}

#[test]
fn a_history_that_goes_on_under_another_id_is_resumed_under_that() {
    let primary = Scripted::start();
    let (follower, connection) = synced(&primary);
    drop(connection);
    let (mut connection, _) = primary.accept_psync();
    let more = stream(&["SELECT 0", "SET a new"]);
    connection.send(format!("+CONTINUE {OTHER_ID}\r\n"));
    connection.send(&more);
    follower.wait_for_value("a", "new");
    drop(connection);
    let (_connection, psync) = primary.accept_psync();
    assert_eq!(psync, format!("PSYNC {OTHER_ID} {}", 101 + more.len()));
}

#[test]
fn a_transaction_that_breaks_off_is_not_visible() {
    let primary = Scripted::start();
    let (follower, mut connection) = synced(&primary);
    connection.send(stream(&[
        "SELECT 0",
        "SET b 1",
        "MULTI",
        "SET a half",
        "PING",
    ]));
    follower.wait_for_value("b", "1");
    let at = follower.replica.status().applied_offset;
    drop(connection);
    let (_connection, psync) = primary.accept_psync();
    assert_eq!(psync, format!("PSYNC {ID} {}", at + 1));
    assert_eq!(follower.get("a").as_deref(), Some("old"));
}

#[test]
fn getack_is_answered() {
    let primary = Scripted::start();
    let (_follower, mut connection) = synced(&primary);
    let getack = stream(&["REPLCONF GETACK *"]);
    connection.send(&getack);
    connection.wait_for_command(&format!("REPLCONF ACK {}", 100 + getack.len()));
}

#[test]
fn a_full_resync_empties_what_the_new_snapshot_lacks() {
    let primary = Scripted::start();
    let (follower, connection) = synced(&primary);
    drop(connection);
    let (mut connection, _) = primary.accept_psync();
    connection.send(full_resync(3));
    connection.send(with_length(&dump(&[("b", "2")])));
    follower.wait_for_value("b", "2");
    assert_eq!(follower.get("a"), None);
}

/// Long enough for a follower that does not wait to reconnect many times.
const A_WHILE: Duration = Duration::from_millis(1500);

/// `+FULLRESYNC` with another replication id than [`ID`], at offset 100.
fn full_resync_of(digit: char) -> String {
    let id = digit.to_string().repeat(40);
    format!("+FULLRESYNC {id} 100\r\n")
}

/// A follower that serves `a` = `old` from a primary that is gone. Its floor does not pass during a test.
fn left_behind(primary: &Scripted) -> Follower {
    let follower = Follower::with_floor(primary, PATIENCE);
    let (mut connection, psync) = primary.accept_psync();
    assert_eq!(psync, "PSYNC ? -1");
    connection.send(full_resync(100));
    connection.send(with_length(&dump(&[("a", "old")])));
    connection.wait_for_command("REPLCONF ACK 100");
    follower
}

#[test]
fn a_new_history_that_is_cut_while_old_data_is_served_waits_for_the_floor() {
    let primary = Scripted::start();
    let follower = left_behind(&primary);
    let payload = with_length(&dump(&[("a", "new")]));
    // It tries at once whether the data can be resumed.
    let (mut connection, psync) = primary.accept_psync();
    assert_eq!(psync, format!("PSYNC {ID} 101"));
    connection.send(full_resync_of('a'));
    connection.send(&payload[..payload.len() - 9]);
    drop(connection);
    let again = primary.accept_within(A_WHILE);
    assert!(again.is_none(), "a third full sync within the floor");
    assert_eq!(follower.get("a").as_deref(), Some("old"));
}

#[test]
fn a_new_history_each_time_waits_for_the_floor() {
    let primary = Scripted::start();
    let follower = left_behind(&primary);
    let (mut connection, _) = primary.accept_psync();
    connection.send(full_resync_of('a'));
    connection.send(with_length(&dump(&[("a", "new")])));
    follower.wait_for_value("a", "new");
    connection.wait_for_command("REPLCONF ACK 100");
    drop(connection);
    let again = primary.accept_within(A_WHILE);
    assert!(again.is_none(), "a third full sync within the floor");
}

#[test]
fn a_resumed_link_is_taken_up_at_once_however_often_it_breaks() {
    let primary = Scripted::start();
    let _follower = left_behind(&primary);
    for _ in 0..20 {
        let (mut connection, psync) = primary.accept_psync();
        assert_eq!(psync, format!("PSYNC {ID} 101"));
        connection.send("+CONTINUE\r\n");
        connection.wait_for_command("REPLCONF ACK 100");
    }
}
