//! Checks the documents: what they say must be true of the program, and what they refer to must be there.

mod acl;
mod alerts;
mod configuration;
mod consistency;
mod links;
mod markdown;
mod readme;
mod source;
mod troubleshooting;
