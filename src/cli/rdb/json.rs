//! `redtail rdb json`: prints a dump as JSON, one line per key.

use super::{
    input::{Input, READS},
    output::{WRITE_BYTES, finish, write_json},
    selection::{Selection, Selector},
    text::{Binary, Text},
    value::Printed,
};
use crate::dump::{BoxError, Key, Value, Visitor};
use serde::Serialize;
use std::{
    borrow::Cow,
    io::{self, BufWriter, Write},
    process::ExitCode,
};

/// Prints dumps as JSON, one line per key.
///
/// Keys appear in the order of the dumps, including expired keys. For a broken dump, the keys before the damage are printed, then
/// the error as `rdb check` prints it, with exit code 1.
#[derive(Debug, Clone, clap::Args)]
pub struct Json {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    selection: Selection,
    /// How to write the bytes of keys, values, members, fields and names
    #[arg(long, value_enum, default_value_t)]
    binary: Binary,
}

/// Returns what follows the long help.
pub fn help() -> String {
    format!("{FORMAT}\n\n{READS}")
}

/// The description of the output.
const FORMAT: &str = "\
Each line is an object:
  db        the database's number
  key       the key
  type      string, list, set, hash, zset, stream, array or the name of a module's type, as TYPE replies
  encoding  the form in which the value is written, as OBJECT ENCODING replies
  expiry    when the key expires, Unix time in milliseconds, or null
  idle      LRU idle time in seconds; only in dumps made under an LRU policy
  freq      LFU counter; only in dumps made under an LFU policy
  value     string: a string
            list, set: an array of strings
            hash: an array of [field, value], or [field, value, expiry] if the field expires
            zset: an array of [member, score]; the score is a string, such as \"1.5\", \"-0\" or \"inf\"
            stream: an object {length, last_id, max_deleted_id, entries_added, entries, groups}; in dumps of Redis 8.6 and
            later also idempotence
              entries   [[id, [[field, value], ...]], ...]
              groups    [{name, last_id, entries_read, pending, consumers}, ...]; also released if there are any: the ids
                        that XNACK has taken from their consumers, in this order
              pending   [{id, consumer, delivered_ms, deliveries}, ...]; the consumer of a released entry is null
              consumers [{name, seen_ms, active_ms}, ...]
              idempotence {duration_s, entries_max, added, duplicates, producers}
              producers [{name, ids: [[iid, id], ...]}, ...]
            array: an object {insert_index, elements}; elements are [[index, text], ...], insert_index is the index of \
the last insertion, or null
            module: an object {module, version, raw}: the type's name, its version, and the bytes of the items
            null for what the dump's version does not write and for what its server did not know

Strings may hold any bytes. With --binary escape, well-formed UTF-8 is written as is, except control characters \
(U+0000 to U+001F, U+007F to U+009F) and the backslash. A backslash is written as \\\\. Each byte of a control character, \
or of anything that is not UTF-8, is written as \\x and two lower-case hexadecimal digits. To restore the bytes, take the \
string that a JSON reader returns and replace each \\\\ with one backslash and each \\xNN with that byte, from left to right. \
(In the JSON text itself each of these backslashes is doubled again, as JSON requires.)";

/// Runs `redtail rdb json`. Prints the keys; returns 1 if a dump is broken.
#[must_use]
pub fn json(args: &Json) -> ExitCode {
    let selector = match args.selection.prepare() {
        Ok(selector) => selector,
        Err(error) => return super::misused(&error),
    };
    let mut lines = Lines {
        selector,
        out: BufWriter::with_capacity(WRITE_BYTES, io::stdout().lock()),
        failure: None,
        binary: args.binary,
    };
    let read = args.input.read(&mut lines);
    let flushed = lines.out.flush();
    finish(lines.failure.map_or(flushed, Err), read.is_ok())
}

/// Prints keys as they are decoded.
struct Lines<'s, W> {
    selector: Selector<'s>,
    out: W,
    /// The error that stopped the output.
    failure: Option<io::Error>,
    binary: Binary,
}

#[derive(Serialize)]
struct Line<'a> {
    db: u64,
    key: Text<'a>,
    r#type: Cow<'static, str>,
    encoding: &'static str,
    expiry: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    freq: Option<u8>,
    value: Printed<'a>,
}

impl<W: Write> Visitor for Lines<'_, W> {
    fn key(&mut self, key: Key<'_>) -> Result<(), BoxError> {
        if !self.selector.takes(&key) {
            return Ok(());
        }
        let line = Line {
            db: key.db,
            key: Text::of(key.name),
            r#type: type_name(&key.value),
            encoding: key.encoding(),
            expiry: key.expire_at_ms,
            idle: key.idle_s,
            freq: key.freq,
            value: Printed(key.value),
        };
        write_json(&mut self.out, &line, self.binary).map_err(|failure| {
            let kind = failure.kind();
            self.failure = Some(failure);
            io::Error::from(kind).into()
        })
    }
}

/// Returns what TYPE replies: for a module's value, the name of the module's type.
fn type_name(value: &Value<'_>) -> Cow<'static, str> {
    match value {
        Value::Module(value) => value.type_name().into(),
        other => other.kind().into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::dump;

    /// Returns the lines for a dump with these keys.
    fn lines(keys: &[u8], binary: Binary) -> String {
        let all = Selection::default();
        let mut lines = Lines {
            selector: all.prepare().unwrap(),
            out: Vec::new(),
            failure: None,
            binary,
        };
        let dump = [b"REDIS0012", keys, b"\xff\0\0\0\0\0\0\0\0"].concat();
        dump::read(dump.as_slice(), &mut lines).unwrap();
        String::from_utf8(lines.out).unwrap()
    }

    #[test]
    fn a_key_is_a_line_with_all_its_attributes() {
        let keys = b"\xfe\x03\xfc\x01\0\0\0\0\0\0\0\xf9\x05\0\x01\\\x02\xff\n\0\x01k\xc0\x07";
        assert_eq!(
            lines(keys, Binary::Escape),
            r#"{"db":3,"key":"\\\\","type":"string","encoding":"embstr","expiry":1,"freq":5,"value":"\\xff\\x0a"}
{"db":3,"key":"k","type":"string","encoding":"int","expiry":null,"value":"7"}
"#
        );
        let base64 = lines(keys, Binary::Base64);
        assert!(
            base64.contains(r#""key":"XA==""#) && base64.contains(r#""value":"Nw==""#),
            "{base64}"
        );
    }

    #[test]
    fn scores_are_exact() {
        let mut keys = b"\x05\x01z\x04".to_vec();
        for (member, score) in [
            (b'a', f64::INFINITY),
            (b'b', -0.0),
            (b'c', 0.1),
            (b'd', f64::NEG_INFINITY),
        ] {
            keys.extend([1, member]);
            keys.extend(score.to_le_bytes());
        }
        let value = r#""value":[["a","inf"],["b","-0"],["c","0.1"],["d","-inf"]]"#;
        assert!(lines(&keys, Binary::Escape).contains(value));
    }
}
