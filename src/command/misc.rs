//! Vector and later commands that write: known, not applied. They taint their keys when the stream brings them, where an
//! unknown name would taint everything.

use super::keys::Keys;
use super::table::{Arity, Command, Family, Flags, Outcome};

/// The vector set rows. DIFFERENCE: the module itself counts words, with its own errors.
pub(super) const VECTOR_SET: Family = Family {
    group: "module",
    commands: &[
        Command::new("vadd", Arity::at_least(1), Keys::first())
            .write()
            .outcome(Outcome::Exists)
            .flags(Flags::DENYOOM)
            .about("8.0.0", "Adds an element to a vector set."),
        Command::new("vrem", Arity::at_least(1), Keys::first())
            .write()
            .about("8.0.0", "Removes an element of a vector set."),
        Command::new("vsetattr", Arity::at_least(1), Keys::first())
            .write()
            .flags(Flags::FAST)
            .about("8.0.0", "Sets the attributes of a vector set's element."),
    ],
};
