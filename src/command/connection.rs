//! The connection commands.

use super::table::Family;

/// This file's rows.
pub(super) const FAMILY: Family = Family {
    group: "connection",
    commands: &[],
};
