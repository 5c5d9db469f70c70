//! COMMAND and ACL, which show the command table itself.

mod acl;
mod commands;

use crate::command::rows::Family;
pub(crate) use commands::{found_keys, key_flags};

/// This folder's rows.
pub(crate) const FAMILY: Family = Family {
    group: "server",
    commands: &[commands::COMMAND, acl::ACL],
};
