//! Changes as lines of JSON.

use std::io::Write as _;

use crate::cli::rdb::base64_of;
use crate::feed::{Change, Fact};
use crate::history::Point;
use crate::replica::TYPES_UNKNOWN;
use crate::resp::Args;

/// The description of the output, shown below the help.
pub(super) const FORMAT: &str = "\
With --format json, each line is an object:
  replid  the replication id of the primary's history
  offset  the replication offset at which the change is visible
  index   the number of the line among those with this offset: (replid, offset, index) is unique
  db      the database; null if it is not known, which only happens with --from
  event   what happened: the event of the server's keyspace notification, such as set, del, expire or rpush, or the name of
          the command if servers publish none
  key     the key; key_base64 instead if it is not UTF-8
  type    the type of the value after the change, or of the one that is gone, as TYPE replies; null if it is not known
  command with --commands: the write, an array of strings; {\"base64\": …} in place of a string that is not UTF-8

Events of other lines:
  flush     the database was emptied
  swap      the database and the one named in \"with\" changed places
  replaced  a full resync replaced the data; if differences_follow is true, the lines that follow with the same offset (restore
            and del) say what it changed; if not, anything may have changed
  tainted   redtail could not apply a write, and does not know the key's value; without a key, any value
  lost      changes between the last line and this offset are missing
  null      with --commands: a write that changed no key";

/// A line's place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number {
    pub(super) point: Point,
    pub(super) index: u64,
}

/// The number that the feed has for a database that is not known.
pub(super) const UNKNOWN_DB: usize = u32::MAX as usize;

fn head(out: &mut Vec<u8>, number: Number, event: Option<&str>) {
    let Number { point, index } = number;
    let _ = write!(
        out,
        r#"{{"replid":"{}","offset":{},"index":{index},"#,
        point.replid, point.offset
    );
    out.extend_from_slice(b"\"event\":");
    match event {
        Some(event) => json(out, event),
        None => out.extend_from_slice(b"null"),
    }
}

fn json(out: &mut Vec<u8>, text: &str) {
    // A vector takes everything.
    let _ = serde_json::to_writer(out, text);
}

fn database(out: &mut Vec<u8>, name: &str, db: usize) {
    let _ = match db {
        UNKNOWN_DB => write!(out, r#","{name}":null"#),
        db => write!(out, r#","{name}":{db}"#),
    };
}

fn key(out: &mut Vec<u8>, key: &[u8]) {
    match std::str::from_utf8(key) {
        Ok(key) => {
            out.extend_from_slice(b",\"key\":");
            json(out, key);
        }
        Err(_) => {
            let _ = write!(out, r#","key_base64":"{}""#, base64_of(key));
        }
    }
}

fn words(out: &mut Vec<u8>, words: Args<'_>) {
    out.extend_from_slice(b",\"command\":[");
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match std::str::from_utf8(word) {
            Ok(word) => json(out, word),
            Err(_) => {
                let _ = write!(out, r#"{{"base64":"{}"}}"#, base64_of(word));
            }
        }
    }
    out.push(b']');
}

fn end(out: &mut Vec<u8>, command: Option<Args<'_>>) {
    if let Some(command) = command {
        words(out, command);
    }
    out.extend_from_slice(b"}\n");
}

/// Writes the line of a change.
pub(super) fn change(
    out: &mut Vec<u8>,
    number: Number,
    change: &Change<'_>,
    command: Option<Args<'_>>,
) {
    match change.fact {
        Fact::Event {
            event,
            kind,
            key: name,
            ..
        } => {
            head(out, number, Some(event));
            database(out, "db", change.db);
            key(out, name);
            let _ = match kind {
                kind if TYPES_UNKNOWN.contains(&kind) => write!(out, r#","type":null"#),
                kind => write!(out, r#","type":"{kind}""#),
            };
        }
        Fact::Doubt { key: name } => {
            head(out, number, Some("tainted"));
            database(out, "db", change.db);
            key(out, name);
        }
        Fact::DoubtOfEverything => head(out, number, Some("tainted")),
        Fact::Flushed => {
            head(out, number, Some("flush"));
            database(out, "db", change.db);
        }
        Fact::Swapped { other } => {
            head(out, number, Some("swap"));
            database(out, "db", change.db);
            database(out, "with", other);
        }
        Fact::Replaced { told } => {
            head(out, number, Some("replaced"));
            let _ = write!(out, r#","differences_follow":{told}"#);
        }
        Fact::Command { .. } => {
            head(out, number, None);
            database(out, "db", change.db);
        }
        Fact::Touch { .. } | Fact::Message { .. } => return,
    }
    end(out, command);
}

/// Writes the line that says that the changes before it are missing.
pub(super) fn lost(out: &mut Vec<u8>, number: Number) {
    head(out, number, Some("lost"));
    end(out, None);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::feed::Class;
    use crate::resp::ArgsBuf;

    fn line(db: usize, fact: Fact<'_>, command: Option<&[&[u8]]>) -> String {
        let number = Number {
            point: Point {
                replid: "a".repeat(40).parse().unwrap(),
                offset: 9,
            },
            index: 1,
        };
        let words = command.map(ArgsBuf::new);
        let words = words.as_ref().map(ArgsBuf::as_args);
        let mut out = Vec::new();
        let told = Change {
            offset: 9,
            db,
            fact,
        };
        change(&mut out, number, &told, words);
        let text = String::from_utf8(out).unwrap();
        let _: serde_json::Value = serde_json::from_str(&text).unwrap();
        let start = format!(r#"{{"replid":"{}","offset":9,"index":1,"#, "a".repeat(40));
        let rest = text.strip_prefix(&start).unwrap();
        rest.strip_suffix("}\n").unwrap().to_owned()
    }

    fn event<'k>(key: &'k [u8], kind: &'static str) -> Fact<'k> {
        let (class, event) = (Class::STRING, "set");
        Fact::Event {
            class,
            event,
            kind,
            key,
        }
    }

    #[test]
    fn any_bytes_become_json() {
        let cases = [
            (
                line(0, event(b"k\"\n\x01", "string"), None),
                r#""event":"set","db":0,"key":"k\"\n\u0001","type":"string""#,
            ),
            (
                line(
                    UNKNOWN_DB,
                    event(b"\xff\0", ""),
                    Some(&[b"SET", b"\xff\0", b"v"]),
                ),
                r#""event":"set","db":null,"key_base64":"/wA=","type":null,"command":["SET",{"base64":"/wA="},"v"]"#,
            ),
            (line(2, Fact::Flushed, None), r#""event":"flush","db":2"#),
            (
                line(2, Fact::Swapped { other: 5 }, None),
                r#""event":"swap","db":2,"with":5"#,
            ),
            (
                line(0, Fact::Replaced { told: true }, None),
                r#""event":"replaced","differences_follow":true"#,
            ),
            (
                line(1, Fact::Doubt { key: b"k" }, None),
                r#""event":"tainted","db":1,"key":"k""#,
            ),
            (
                line(0, Fact::DoubtOfEverything, None),
                r#""event":"tainted""#,
            ),
            (
                line(
                    1,
                    Fact::Command { resp: b"" },
                    Some(&[b"FUNCTION", b"FLUSH"]),
                ),
                r#""event":null,"db":1,"command":["FUNCTION","FLUSH"]"#,
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(line, expected);
        }
    }
}
