//! The files in `docs/deploy`, and what redtail does for those who run it.

mod notify;
mod package;
