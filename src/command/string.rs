//! String commands.

use super::Error;
use super::keys::Keys;
use super::table::{Arity, Command, Family, Flags};
use crate::resp::{Args, Reply};
use crate::store::{Value, View, WrongType};

/// This file's rows.
pub(super) const FAMILY: Family = Family {
    group: "string",
    commands: &[Command::new("get", Arity::exactly(2), Keys::first())
        .read(get)
        .flags(Flags::FAST)
        .about("1.0.0", "Gives the string at a key.")],
};

fn get(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    match view.value(args.at(1)) {
        None => reply.null(),
        Some(Value::Text(text)) => reply.bulk(text),
        Some(Value::Integer(number)) => reply.bulk_integer(number),
        Some(Value::Object(_)) => return Err(WrongType.into()),
    }
    Ok(())
}
