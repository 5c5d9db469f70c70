//! Commands of modules that redtail does not have: RedisJSON, RedisBloom, RedisTimeSeries and RediSearch.
//!
//! redtail keeps the values of modules as bytes, so it can run none of these commands. But it knows which keys their writes
//! name: a write in the stream taints these, and nothing else. Clients get an error.
//!
//! Source: COMMAND INFO of redis 7.4.1 with RedisJSON 2.8.3, RedisBloom 2.8.2, RedisTimeSeries 1.12.2 and RediSearch 2.10.5, and
//! what a primary with these modules writes to its append-only file.

use crate::command::rows::{Arity, Command, Keys, Outcome};
use crate::resp::Args;

/// The reply to clients.
pub(crate) const REFUSED: &str =
    "ERR not supported: redtail runs no commands of modules; ask the primary";

/// What a module's command in the stream changes.
#[derive(Debug, Clone, Copy)]
pub enum Change {
    /// No key. The name of the command.
    Nothing(&'static str),
    /// The keys that this row names.
    Keys(&'static Command),
}

/// Returns what the command changes; `None` if it is not known, or if it may change keys that it does not name.
#[must_use]
pub fn change(args: Args<'_>) -> Option<Change> {
    let is = |name: &str| args.at(0).eq_ignore_ascii_case(name.as_bytes());
    if let Some(row) = WRITES.iter().find(|row| is(row.name)) {
        return Some(Change::Keys(row));
    }
    let name = INDEXES.iter().chain(DROPS).copied().find(|name| is(name))?;
    let deletes_documents = DROPS.contains(&name) && may_delete_documents(args);
    (!deletes_documents).then_some(Change::Nothing(name))
}

/// Whether the name has the form of these modules' commands.
#[must_use]
pub(crate) fn is_name(name: &[u8]) -> bool {
    let mut parts = name.split(|byte| *byte == b'.');
    let family = parts.next().unwrap_or_default();
    let is_known = |known: &&str| family.eq_ignore_ascii_case(known.as_bytes());
    parts.next().is_some() && FAMILIES.iter().any(is_known)
}

/// Whether dropping an index may also delete the keys in it. A primary deletes them itself, and says so in its command.
fn may_delete_documents(args: Args<'_>) -> bool {
    let has = |word: &str| (2..args.len()).any(|at| args.is(at, word));
    let keeps_by_default = args.is(0, "ft.dropindex") || args.is(0, "ft._dropindexifx");
    let keeps = has("_forcekeepdocs") || has("keepdocs") || keeps_by_default && !has("dd");
    !keeps
}

const FAMILIES: &[&str] = &["json", "bf", "cf", "cms", "topk", "tdigest", "ts", "ft"];

/// Commands about indexes and dictionaries, which are no keys.
const INDEXES: &[&str] = &[
    "ft.create",
    "ft._createifnx",
    "ft.alter",
    "ft._alterifnx",
    "ft.aliasadd",
    "ft._aliasaddifnx",
    "ft.aliasdel",
    "ft._aliasdelifx",
    "ft.aliasupdate",
    "ft.config",
    "ft.dictadd",
    "ft.dictdel",
    "ft.synadd",
    "ft.synupdate",
];

/// Commands that drop an index, and may delete what is in it.
const DROPS: &[&str] = &["ft.drop", "ft._dropifx", "ft.dropindex", "ft._dropindexifx"];

/// The writes, with their keys.
const WRITES: &[Command] = &[
    changes("json.set", Keys::first()),
    changes("json.mset", TRIPLES),
    changes("json.merge", Keys::first()),
    changes("json.del", Keys::first()),
    changes("json.forget", Keys::first()),
    keeps("json.arrappend", Keys::first()),
    keeps("json.arrinsert", Keys::first()),
    keeps("json.arrpop", Keys::first()),
    keeps("json.arrtrim", Keys::first()),
    keeps("json.clear", Keys::first()),
    keeps("json.numincrby", Keys::first()),
    keeps("json.nummultby", Keys::first()),
    keeps("json.numpowby", Keys::first()),
    keeps("json.strappend", Keys::first()),
    keeps("json.toggle", Keys::first()),
    keeps("bf.add", Keys::first()),
    keeps("bf.madd", Keys::first()),
    keeps("bf.insert", Keys::first()),
    keeps("bf.reserve", Keys::first()),
    changes("bf.loadchunk", Keys::first()),
    keeps("cf.add", Keys::first()),
    keeps("cf.addnx", Keys::first()),
    keeps("cf.insert", Keys::first()),
    keeps("cf.insertnx", Keys::first()),
    keeps("cf.del", Keys::first()),
    keeps("cf.reserve", Keys::first()),
    keeps("cf.compact", Keys::first()),
    changes("cf.loadchunk", Keys::first()),
    keeps("cms.incrby", Keys::first()),
    keeps("cms.initbydim", Keys::first()),
    keeps("cms.initbyprob", Keys::first()),
    changes("cms.merge", Keys::first()),
    keeps("topk.add", Keys::first()),
    keeps("topk.incrby", Keys::first()),
    keeps("topk.reserve", Keys::first()),
    keeps("tdigest.add", Keys::first()),
    keeps("tdigest.create", Keys::first()),
    keeps("tdigest.reset", Keys::first()),
    changes("tdigest.merge", Keys::first()),
    keeps("ts.add", Keys::first()).may_make_others(),
    keeps("ts.create", Keys::first()).may_make_others(),
    keeps("ts.incrby", Keys::first()).may_make_others(),
    keeps("ts.decrby", Keys::first()).may_make_others(),
    keeps("ts.alter", Keys::first()),
    keeps("ts.del", Keys::first()),
    keeps("ts.madd", TRIPLES),
    keeps("ts.createrule", Keys::leading(2)),
    keeps("ts.deleterule", Keys::leading(2)),
    keeps("ft.sugadd", Keys::first()),
    changes("ft.sugdel", Keys::first()),
];

/// A key, a path or a time, and a value, again and again.
const TRIPLES: Keys = Keys::Range {
    first: 1,
    last: -1,
    step: 3,
};

/// A write that may delete its keys, or remove their time to live.
const fn changes(name: &'static str, keys: Keys) -> Command {
    Command::new(name, Arity::at_least(1), keys).write()
}

/// A write whose keys exist afterwards, with the same time to live if they existed before.
const fn keeps(name: &'static str, keys: Keys) -> Command {
    changes(name, keys).outcome(Outcome::Exists)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::resp::ArgsBuf;

    /// The keys that a command changes, or what else is known about it.
    fn keys(line: &str) -> String {
        let words = ArgsBuf::new(line.split(' '));
        let args = words.as_args();
        match change(args) {
            None => "unknown".to_owned(),
            Some(Change::Nothing(_)) => "none".to_owned(),
            Some(Change::Keys(row)) => {
                let mut keys = Vec::new();
                row.keys.visit(args, |at| {
                    keys.push(String::from_utf8_lossy(args.at(at)).into_owned());
                });
                keys.join(" ")
            }
        }
    }

    #[test]
    fn writes_change_the_keys_that_the_modules_name() {
        for (line, expected) in [
            ("JSON.SET k $ 1", "k"),
            ("json.mset a $ 1 b $ 2 c $ 3", "a b c"),
            ("TS.MADD a 1 2 b 3 4", "a b"),
            ("TS.CREATERULE from to AGGREGATION avg 10", "from to"),
            ("CMS.MERGE to 2 a b", "to"),
            ("FT.SUGADD k text 1", "k"),
            ("FT._CREATEIFNX idx ON HASH SCHEMA t TEXT", "none"),
            ("FT._DROPINDEXIFX idx _FORCEKEEPDOCS", "none"),
            ("FT.DROPINDEX idx", "none"),
            ("FT.DROPINDEX idx DD", "unknown"),
            ("FT._DROPINDEXIFX idx DD _FORCEKEEPDOCS", "none"),
            ("FT.DROP idx", "unknown"),
            ("FT.DROP idx KEEPDOCS", "none"),
            ("FT.ADD idx doc 1 FIELDS t x", "unknown"),
            ("BF.NOSUCH k", "unknown"),
            ("SET k v", "unknown"),
        ] {
            assert_eq!(keys(line), expected, "{line}");
        }
    }

    #[test]
    fn names_are_those_of_the_four_modules() {
        for name in ["JSON.GET", "bf.exists", "FT.SEARCH", "ts.", "TS.x.y"] {
            assert!(is_name(name.as_bytes()), "{name}");
        }
        for name in ["json", "JSONX.GET", "GET", "", ".", "graph.query"] {
            assert!(!is_name(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn no_command_of_redtail_has_such_a_name() {
        assert!(crate::command::all().all(|(_, row)| !is_name(row.name.as_bytes())));
        for row in WRITES {
            assert!(
                is_name(row.name.as_bytes()) && row.is_write(),
                "{}",
                row.name
            );
        }
    }
}
