//! Questions to a server outside the measurements: whether it is in sync, and how far it has got.

use std::time::{Duration, Instant};

use redis::{Connection, FromRedisValue, Pipeline, RedisResult, cmd};

use crate::process::{PATIENCE, Process};

/// A connection for single commands.
pub(crate) struct Control(Connection);

impl Control {
    /// Connects to `process`, which must accept connections.
    pub(crate) fn of(process: &Process) -> Self {
        let client = redis::Client::open(("127.0.0.1", process.port)).expect("an address");
        let connection = client.get_connection();
        Self(connection.unwrap_or_else(|error| panic!("{error}: {}", process.log())))
    }

    /// Returns the reply to `words`. An error from the server is an `Err`.
    pub(crate) fn ask<T: FromRedisValue>(&mut self, words: &[&str]) -> RedisResult<T> {
        let (name, arguments) = words.split_first().expect("a command");
        cmd(name).arg(arguments).query(&mut self.0)
    }

    /// Sets a string.
    pub(crate) fn set(&mut self, key: &str, value: &[u8]) {
        let replied: RedisResult<()> = cmd("SET").arg(key).arg(value).query(&mut self.0);
        replied.expect("a write");
    }

    /// Reads a string.
    pub(crate) fn read(&mut self, key: &str) -> Vec<u8> {
        cmd("GET").arg(key).query(&mut self.0).expect("a string")
    }

    /// Runs a pipeline, each of whose commands must succeed.
    pub(crate) fn run(&mut self, pipeline: &Pipeline) {
        let replied: RedisResult<()> = pipeline.query(&mut self.0);
        replied.expect("a write");
    }

    /// The field `name` in a section of INFO.
    pub(crate) fn info(&mut self, section: &str, name: &str) -> Option<String> {
        let info: String = self.ask(&["INFO", section]).ok()?;
        info.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            (field == name).then(|| value.trim().to_owned())
        })
    }

    fn offset(&mut self, name: &str) -> Option<u64> {
        self.info("replication", name)?.parse().ok()
    }

    fn dbsize(&mut self) -> Option<u64> {
        self.ask(&["DBSIZE"]).ok()
    }
}

/// Whether this replica's link is up and it serves `keys` keys.
pub(crate) fn is_in_sync(control: &mut Control, keys: u64) -> bool {
    let link = control.info("replication", "master_link_status");
    link.as_deref() == Some("up") && control.dbsize() == Some(keys)
}

/// Waits until `replica` is in sync with `keys` keys.
pub(crate) fn wait_in_sync(replica: &Process, keys: u64) {
    let mut control = Control::of(replica);
    wait(replica, Duration::from_millis(5), || {
        is_in_sync(&mut control, keys)
    });
}

/// Waits until `replica` has applied everything that `primary` has written so far.
pub(crate) fn wait_applied(replica: &Process, primary: &Process) {
    let written = Control::of(primary).offset("master_repl_offset");
    let mut control = Control::of(replica);
    wait(replica, Duration::from_millis(1), || {
        control.offset("slave_repl_offset") >= written
    });
}

/// Asks `done` repeatedly, with pauses, until it returns true.
pub(crate) fn wait(process: &Process, pause: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "timed out: {}", process.log());
        std::thread::sleep(pause);
    }
}
