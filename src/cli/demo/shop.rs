//! The stream of a small shop: writes of every kind, in the forms in which a primary sends them to replicas.

use std::collections::VecDeque;

use super::history::write_command;

/// How long a visitor's session lasts.
const SESSION_MS: i64 = 5_000;

/// Ticks between two PINGs: a primary sends one every ten seconds.
const TICKS_PER_PING: u64 = 100;

/// Maximum orders that the event stream keeps.
const ORDERS_KEPT: &str = "200";

const USERS: u32 = 15;
const PRODUCTS: [&str; 10] = [
    "globe", "keyboard", "lamp", "notebook", "mug", "backpack", "chair", "teapot", "umbrella",
    "scarf",
];

/// Writes the shop's commands, a few at each tick of its clock.
#[derive(Debug, Default)]
pub(super) struct Shop {
    ticks: u64,
    /// Sessions, ordered by the time at which they end. Replicas wait for the primary's DEL.
    sessions: VecDeque<(i64, String)>,
    last_order_ms: i64,
}

impl Shop {
    /// Returns the commands of one tick at Unix time `now_ms`. They start and end in database 0.
    pub(super) fn tick(&mut self, now_ms: i64) -> Vec<u8> {
        let mut stream = Vec::new();
        self.ticks += 1;
        if self.ticks.is_multiple_of(TICKS_PER_PING) {
            write_command(&mut stream, &["ping"]);
        }
        self.expire(now_ms, &mut stream);
        match fastrand::u32(..6) {
            0 => self.order(now_ms, &mut stream),
            1 => self.sign_in(now_ms, &mut stream),
            2 => search(&mut stream),
            3 => settings(&mut stream, now_ms),
            _ => visit(&mut stream),
        }
        stream
    }

    fn expire(&mut self, now_ms: i64, stream: &mut Vec<u8>) {
        let over = |(end_ms, _): &(i64, String)| *end_ms <= now_ms;
        while self.sessions.front().is_some_and(over) {
            if let Some((_, key)) = self.sessions.pop_front() {
                write_command(stream, &["DEL", &key]);
            }
        }
    }

    /// Writes a session that expires by itself.
    fn sign_in(&mut self, now_ms: i64, stream: &mut Vec<u8>) {
        let key = format!("session:live:{:08x}", fastrand::u32(..));
        let end_ms = now_ms + SESSION_MS;
        let words = ["SET", &key, &user(), "PXAT", &end_ms.to_string()];
        write_command(stream, &words);
        self.sessions.push_back((end_ms, key));
    }

    /// Writes an order as a transaction, so that all of it appears at one offset.
    fn order(&mut self, now_ms: i64, stream: &mut Vec<u8>) {
        self.last_order_ms = now_ms.max(self.last_order_ms + 1);
        let id = format!("{}-0", self.last_order_ms);
        let (number, name) = product();
        let (user, amount) = (user(), fastrand::u32(1..4).to_string());
        let key = format!("product:{number}");
        write_command(stream, &["MULTI"]);
        write_command(stream, &["HINCRBY", &key, "stock", &format!("-{amount}")]);
        let fields = ["user", &user, "product", name, "amount", &amount];
        let mut words = vec!["XADD", "events:orders", "MAXLEN", "=", ORDERS_KEPT, &id];
        words.extend(fields);
        write_command(stream, &words);
        write_command(stream, &["INCR", "counter:orders"]);
        write_command(stream, &["EXEC"]);
    }
}

/// Writes a user's visit to a product.
fn visit(stream: &mut Vec<u8>) {
    let (user, (number, _)) = (user(), product());
    write_command(stream, &["INCR", "counter:visits"]);
    write_command(
        stream,
        &["INCR", &format!("counter:views:product:{number}")],
    );
    write_command(stream, &["HINCRBY", &user, "visits", "1"]);
    write_command(stream, &["ZINCRBY", "leaderboard:week", "10", &user]);
    let online = if fastrand::bool() { "SADD" } else { "SREM" };
    write_command(stream, &[online, "online:users", &user]);
}

fn search(stream: &mut Vec<u8>) {
    let (_, name) = product();
    write_command(stream, &["LPUSH", "recent:searches", name]);
    write_command(stream, &["LTRIM", "recent:searches", "0", "9"]);
}

/// Writes to another database.
fn settings(stream: &mut Vec<u8>, now_ms: i64) {
    write_command(stream, &["SELECT", "1"]);
    write_command(stream, &["SET", "clock", &now_ms.to_string()]);
    write_command(stream, &["SELECT", "0"]);
}

fn user() -> String {
    format!("user:{}", fastrand::u32(1..=USERS))
}

/// Returns the number and name of a random product.
fn product() -> (usize, &'static str) {
    let number = fastrand::usize(1..=PRODUCTS.len());
    let name = PRODUCTS.get(number % PRODUCTS.len()).copied();
    (number, name.unwrap_or_default())
}
