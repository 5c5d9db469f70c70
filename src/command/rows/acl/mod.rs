//! Users and what they may do: Redis's ACL, as rules and checks. Pure but for [`Users`], which all connections share.
//!
//! An `Account` holds a user's rules as the operator wrote them: whether it is on, its passwords, and one or
//! more selectors. Which commands a category contains, and which commands have subcommands, depends on the server that redtail
//! imitates. So an account is compiled for a dialect into [`Rights`], whose check costs one bit per command and one match per
//! key pattern. [`Units`] is that dialect's list of commands; `dispatch` makes it from the catalogue.
//!
//! A user who may do everything has no [`Rights`] at all: a connection without restrictions pays one branch per command.
//! Whoever changes users raises the epoch of [`Users`]; connections compare it once per batch and look their user up again.
//!
//! The file may use the newest syntax, whatever the upstream's version. A rule for a command that the upstream does not have has
//! no effect. ACL SETUSER accepts what the upstream's version accepts.
//!
//! Source: redis 6.0, 7.0 and 8.0 and valkey 8.1 acl.c, and the answers of valkey 9.1.

pub(crate) mod account;
mod bits;
mod describe;
mod file;
mod guesses;
mod log;
mod password;
mod rights;
mod rule;
pub(crate) mod selector;
mod syntax;
mod units;
mod users;

pub use file::FileError;
pub(crate) use file::save;
pub use guesses::Guesses;
pub(crate) use guesses::WAIT_MAX;
pub(crate) use log::now_ms;
pub use log::{Denial, Log, Logged, Reason};
pub use rights::{Databases, Demand, Denied, Need, Rights};
pub(crate) use selector::has_blanks;
pub use syntax::Syntax;
pub use units::{CATEGORIES, Unit, Units, category};
pub(crate) use users::{DEFAULT, Narrowed};
pub use users::{Login, Setup, Users};
