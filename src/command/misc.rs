//! HyperLogLog, vector and later commands that write: known, not applied. They taint their keys when the stream brings
//! them, where an unknown name would taint everything.

use super::keys::Keys;
use super::table::{Arity, Command, Family, Flags, Outcome};

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
