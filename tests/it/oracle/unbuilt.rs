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
    "command",
    "object idletime",
    "object freq",
    "object refcount",
    "memory usage",
    "latency help",
    "watch",
    "acl cat",
    "stralgo",
    "script",
];

/// Options that followers are not asked with.
pub const UNBUILT_OPTIONS: &[&str] = &["noscores", "none"];

/// Rows whose options newer than Redis 6.0 are not refused as it refuses them.
pub const UNBUILT_IN_6_0: &[&str] = &["zrange", "zrangebylex", "xpending", "xgroup", "xinfo"];

/// How errors begin that are not compared.
pub const UNBUILT_ERRORS: &[&str] = &["-ERR not supported"];
