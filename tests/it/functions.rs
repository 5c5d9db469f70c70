//! Function libraries must be the same as on a real replica.

use crate::client::Reply;
use crate::servers::{ALL, Server};

fn code(name: &str, number: usize) -> String {
    format!(
        "#!lua name={name}\nredis.register_function('f_{name}', function(keys, args) return {number} end)\n-- {}",
        "a comment that repeats itself; ".repeat(10)
    )
}

struct Trio {
    primary: Server,
    replica: Server,
    redtail: Server,
}

impl Trio {
    fn send(&self, words: &[&[u8]]) -> Reply {
        let reply = self.primary.client().try_command(words).unwrap();
        assert!(!reply.is_error(), "{reply:?}");
        reply
    }

    fn load(&self, name: &str, number: usize) {
        let code = code(name, number);
        self.send(&[b"FUNCTION", b"LOAD", b"REPLACE", code.as_bytes()]);
    }

    fn assert_same(&self, lines: &[&str]) {
        self.replica.wait_in_sync(&self.primary);
        self.redtail.wait_in_sync(&self.primary);
        for line in lines {
            let (expected, found) = (self.replica.command(line), self.redtail.command(line));
            assert_eq!(expected, found, "{line}");
        }
    }
}

const WITHOUT: &[&str] = &[
    "FUNCTION DUMP",
    "FUNCTION STATS",
    "FUNCTION LIST",
    "FUNCTION LIST WITHCODE",
    "FUNCTION LIST LIBRARYNAME x* WITHCODE",
    "FUNCTION LIST LIBRARYNAME",
    "FUNCTION LIST NONE",
    "FUNCTION LIST WITHCODE WITHCODE",
    "FUNCTION KILL",
    "FUNCTION DUMP x",
    "FUNCTION FLUSH",
    "FUNCTION NONE",
];

#[test]
fn libraries_are_dumped_as_a_replica_dumps_them() {
    for name in ALL.iter().filter(|name| **name != "redis-6.0") {
        let Some(primary) = Server::start(name, &[]) else {
            return;
        };
        let first = code("first", 1);
        let loaded = primary
            .client()
            .try_command(&[b"FUNCTION", b"LOAD", first.as_bytes()]);
        assert!(!loaded.unwrap().is_error());
        let trio = Trio {
            replica: Server::replica(name, &primary).expect("the server was there a moment ago"),
            redtail: Server::redtail(&primary),
            primary,
        };
        // A library from the snapshot, then replaced, then deleted.
        trio.assert_same(&["FUNCTION DUMP"]);
        trio.load("first", 2);
        trio.assert_same(&["FUNCTION DUMP"]);
        let payload = trio.primary.command("FUNCTION DUMP").bulk().unwrap();
        trio.send(&[b"FUNCTION", b"DELETE", b"first"]);
        trio.assert_same(WITHOUT);
        // Restored from a payload: in place of another library, and beside it.
        trio.load("second", 1);
        for policy in ["FLUSH", "REPLACE"] {
            trio.send(&[b"FUNCTION", b"RESTORE", &payload, policy.as_bytes()]);
            trio.assert_same(&["FUNCTION DUMP"]);
        }
        trio.send(&[b"FUNCTION", b"DELETE", b"first"]);
        trio.send(&[b"FUNCTION", b"RESTORE", &payload]);
        trio.assert_same(&["FUNCTION DUMP"]);
        // Inside a transaction.
        let mut client = trio.primary.client();
        client.command("MULTI");
        client.command("FUNCTION FLUSH");
        let third = code("third", 3);
        client
            .try_command(&[b"FUNCTION", b"LOAD", third.as_bytes()])
            .unwrap();
        assert!(!client.command("EXEC").is_error());
        trio.assert_same(&["FUNCTION DUMP"]);
        trio.send(&[b"FUNCTION", b"FLUSH", b"ASYNC"]);
        trio.assert_same(WITHOUT);
        // A real server restores a payload of several libraries, whatever their order.
        trio.load("second", 1);
        trio.load("first", 1);
        trio.redtail.wait_in_sync(&trio.primary);
        let payload = trio.redtail.command("FUNCTION DUMP").bulk().unwrap();
        trio.send(&[b"FUNCTION", b"RESTORE", &payload, b"FLUSH"]);
        let listed = trio.primary.command("FUNCTION LIST");
        assert_eq!(listed.elements().len(), 2, "{listed:?}");
    }
}
