//! What is not compared yet.

/// Rows that are not asked.
pub const UNBUILT: &[&str] = &[
    "sort",
    "delex",
    "delifeq",
    "xackdel",
    "xdelex",
    "publish",
    "spublish",
    "function load",
    "function delete",
    "function flush",
    "function",
    "eval",
    "fcall",
    "eval_ro",
    "fcall_ro",
    "script",
    "evalsha",
    "evalsha_ro",
    "cluster",
    "debug",
    "latency help",
    "watch",
];

/// How errors begin that are not compared.
pub const UNBUILT_ERRORS: &[&str] = &[
    "-ERR not supported",
    "-ERR BLOCK is not supported",
    "-ERR unknown",
    "-ERR Unknown",
    "-ERR wrong number",
    "-ERR invalid cursor",
    "-ERR syntax error",
    "-ERR value is not an integer",
    "-ERR min or max not valid",
];
