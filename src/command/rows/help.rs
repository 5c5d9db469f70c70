//! HELP of commands that have subcommands.

use super::command::Command;
use super::error::Error;
use super::session::SessionCx;

/// Lists a container's subcommands, taken from its rows.
///
/// DIFFERENCE: the sentences are redtail's own, not Redis's.
///
/// # Errors
/// None: the signature is that of a handler.
pub(crate) fn help(cx: &mut SessionCx<'_>, name: &str, rows: &[Command]) -> Result<(), Error> {
    cx.reply.array(1 + 2 * rows.len());
    cx.reply.simple(&format!(
        "{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    ));
    for row in rows {
        cx.reply.simple(&row.name.to_uppercase());
        cx.reply.simple(&format!("    {}", row.summary));
    }
    Ok(())
}
