//! Scripts and functions that read a few keys.

use crate::control::{Control, wait_applied};
use crate::measure::{Plan, StringsPrimary, reads};
use crate::process::Process;
use crate::report::Results;

const GET: &str = "return redis.call('GET',KEYS[1])";
const MGET: &str = "return redis.call('MGET',unpack(KEYS))";
const LIBRARY: &str = "#!lua name=bench\nredis.register_function{function_name='bench_get',\
    callback=function(keys) return redis.call('GET',keys[1]) end,flags={'no-writes'}}";

/// Pipelines, and the rows measured with each.
const ROWS: [(usize, [&str; 3]); 2] = [
    (1, ["evalsha-get-1", "evalsha-mget-1", "fcall-1"]),
    (16, ["evalsha-get-16", "evalsha-mget-16", "fcall-16"]),
];

/// Measures a replica of the primary with strings.
pub(crate) fn measure(
    plan: &Plan,
    name: &str,
    replica: &Process,
    primary: &StringsPrimary,
    results: &mut Results,
) {
    let mut control = Control::of(&primary.process);
    let loaded: String = control
        .ask(&["FUNCTION", "LOAD", "REPLACE", LIBRARY])
        .expect("the primary has functions");
    assert_eq!(loaded, "bench");
    wait_applied(replica, &primary.process);
    let mut control = Control::of(replica);
    let mut load = |text| -> String { control.ask(&["SCRIPT", "LOAD", text]).expect("a digest") };
    let (get, mget) = (load(GET), load(MGET));
    let strings = &primary.strings;
    for (pipeline, [get_row, mget_row, function_row]) in ROWS {
        for (row, words, keys) in [
            (get_row, ["EVALSHA", &get, "1"], 1),
            (mget_row, ["EVALSHA", &mget, "10"], 10),
            (function_row, ["FCALL_RO", "bench_get", "1"], 1),
        ] {
            let mut asks = strings.asks(&words, keys, keys > 1);
            let seen = reads(plan, replica, pipeline, &mut asks);
            results.record(row, name, seen.cpu_us);
        }
    }
}
