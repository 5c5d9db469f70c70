//! What is not compared: commands whose row in the command table declares a DIFFERENCE for the whole command.

use redtail::internal::command::lookup;

use super::grammar::Words;

/// Rows, or containers of rows, that followers are not asked for.
pub const EXEMPT: &[&str] = &["object idletime", "lolwut"];

/// Commands that servers list as read-only but that no form produces, with the reason.
pub const UNASKED: &[(&str, &str)] = &[
    (
        "host:",
        "closes the connection, because a browser may have sent it",
    ),
    (
        "post",
        "closes the connection, because a browser may have sent it",
    ),
];

/// The beginning of redtail's own refusals. The row says why.
pub const REFUSAL: &[u8] = b"-ERR not supported";

/// Whether the row of a read declares a DIFFERENCE.
pub fn differs(read: &Words) -> bool {
    let Some(row) = read.first().and_then(|name| lookup(name)) else {
        return false;
    };
    let is_asked = |name: &str| {
        let word = read.get(1);
        word.is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    };
    let mut subcommands = row.subcommands.iter();
    let inner = subcommands.find(|subcommand| is_asked(subcommand.name));
    !row.difference.is_empty() || inner.is_some_and(|inner| !inner.difference.is_empty())
}
