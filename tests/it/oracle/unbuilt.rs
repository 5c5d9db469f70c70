//! What is not compared yet.

/// Rows that followers are not asked.
pub const UNBUILT: &[&str] = &[
    "publish",
    "spublish",
    "function list",
    "function stats",
    "function dump",
    "eval",
    "fcall",
    "eval_ro",
    "fcall_ro",
    "evalsha",
    "evalsha_ro",
    "cluster",
    "debug",
    "pubsub",
    "command",
    "client help",
    "object help",
    "object idletime",
    "object freq",
    "object refcount",
    "memory usage",
    "slowlog help",
    "latency help",
    "watch",
    "acl cat",
    "stralgo",
];

/// How errors begin that are not compared.
pub const UNBUILT_ERRORS: &[&str] = &["-ERR not supported"];
