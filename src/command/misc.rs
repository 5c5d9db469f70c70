//! HyperLogLog, geo, vector and later commands that write: known, not applied. They taint their keys when the stream brings
//! them, where an unknown name would taint everything.

use super::keys::Keys;
use super::table::{Arity, Command, Family, Flags, Outcome};
use crate::resp::Args;

/// The HyperLogLog rows.
pub(super) const HYPERLOGLOG: Family = Family {
    group: "hyperloglog",
    commands: &[
        Command::new("pfadd", Arity::at_least(2), Keys::first())
            .write()
            .outcome(Outcome::Exists)
            .flags(Flags::FAST.and(Flags::DENYOOM))
            .about("2.8.9", "Adds elements to a HyperLogLog."),
        Command::new("pfmerge", Arity::at_least(2), Keys::all())
            .write()
            .flags(Flags::DENYOOM)
            .about("2.8.9", "Merges HyperLogLogs into the first."),
        Command::new("pfdebug", Arity::exactly(3), SECOND)
            .write()
            .flags(Flags::ADMIN.and(Flags::DENYOOM))
            .about("2.8.9", "Looks into a HyperLogLog, which may convert it."),
    ],
};

/// The geo rows.
pub(super) const GEO: Family = Family {
    group: "geo",
    commands: &[
        Command::new("geoadd", Arity::at_least(5), Keys::first())
            .write()
            .flags(Flags::DENYOOM)
            .about("3.2.0", "Adds places."),
        Command::new("georadius", Arity::at_least(6), SOURCE_AND_STORE)
            .write()
            .flags(Flags::DENYOOM)
            .about("3.2.0", "Finds places around a point, and may store them."),
        Command::new("georadiusbymember", Arity::at_least(5), SOURCE_AND_STORE)
            .write()
            .flags(Flags::DENYOOM)
            .about("3.2.0", "Finds places around another, and may store them."),
        Command::new("geosearchstore", Arity::at_least(8), Keys::leading(2))
            .write()
            .flags(Flags::DENYOOM)
            .about("6.2.0", "Finds places and stores them."),
    ],
};

/// The vector set rows. DIFFERENCE: the module itself counts words, with its own errors.
pub(super) const VECTOR_SET: Family = Family {
    group: "module",
    commands: &[
        Command::new("vadd", Arity::at_least(2), Keys::first())
            .write()
            .flags(Flags::DENYOOM)
            .about("8.0.0", "Adds an element to a vector set."),
        Command::new("vrem", Arity::at_least(2), Keys::first())
            .write()
            .about("8.0.0", "Removes an element of a vector set."),
        Command::new("vsetattr", Arity::at_least(2), Keys::first())
            .write()
            .flags(Flags::FAST)
            .about("8.0.0", "Sets the attributes of a vector set's element."),
    ],
};

/// PFCOUNT as the stream brings it: when it refreshed the cardinality that is cached inside the value. Not in the table, for
/// clients cannot ask for it.
pub static PFCOUNT_REFRESHED: Command = Command::new("pfcount", Arity::at_least(2), Keys::all())
    .write()
    .outcome(Outcome::Exists);

const SECOND: Keys = Keys::Range {
    first: 2,
    last: 2,
    step: 1,
};

/// The first argument, and what follows the last STORE or STOREDIST.
const SOURCE_AND_STORE: Keys = Keys::Found {
    first: 1,
    find: |args, visit| {
        visit(1);
        if let Some(index) = store_at(args) {
            visit(index);
        }
    },
};

/// Source: redis 7.0 db.c, `georadiusGetKeys`.
fn store_at(args: Args<'_>) -> Option<usize> {
    (5..args.len().saturating_sub(1))
        .rfind(|index| args.is(*index, "store") || args.is(*index, "storedist"))
        .map(|index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::ArgsBuf;

    #[test]
    fn a_stored_search_names_both_keys() {
        let keys = |line: &str| {
            let words = ArgsBuf::new(line.split(' '));
            let mut found = Vec::new();
            SOURCE_AND_STORE.visit(words.as_args(), |index| found.push(index));
            found
        };
        assert_eq!(keys("georadius k 1 2 3 km"), [1]);
        assert_eq!(keys("georadius k 1 2 3 km STOREDIST d"), [1, 7]);
        assert_eq!(
            keys("georadius k 1 2 3 km store a withdist store b"),
            [1, 10]
        );
        assert_eq!(keys("georadius k 1 2 3 km store"), [1]);
    }
}
