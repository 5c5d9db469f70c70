//! What is not compared: rows that the command table calls a DIFFERENCE as a whole.

use redtail::internal::command::lookup;

use super::grammar::Words;

/// Rows, or containers of rows, that followers are not asked.
pub const EXEMPT: &[&str] = &["object idletime", "lolwut"];

/// What servers list among their read-only commands and no form makes, with the reason.
pub const UNASKED: &[(&str, &str)] = &[
    ("host:", "closes the connection, as what a browser says"),
    ("post", "closes the connection, as what a browser says"),
];

/// How redtail's own refusals begin; the row says why.
pub const REFUSAL: &[u8] = b"-ERR not supported";

/// Whether the row of a read says how it differs.
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
