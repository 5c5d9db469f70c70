//! The pictures in the documentation: `REDTAIL_PICTURES=docs/images cargo nextest run -E 'test(pictures)'` takes them again, which
//! takes some minutes. The page, redtail and the primary are real; the data is invented.

use std::path::Path;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use crate::browser::Browser;
use crate::client::Client;
use crate::faults::cut::End;
use crate::faults::proxy::Proxy;
use crate::servers::{Server, free_port};

/// How long the replica works before its picture is taken. The page shows ten minutes.
const WORK: Duration = Duration::from_secs(200);

#[test]
fn pictures_of_the_status_page() {
    let Some(directory) = std::env::var_os("REDTAIL_PICTURES") else {
        return;
    };
    let primary = Server::start("redis-7.0", &["--repl-diskless-sync", "no"]).expect("a server");
    fill(&mut primary.client());
    let http = format!("127.0.0.1:{}", free_port());
    let proxy = Proxy::start(primary.port);
    let upstream = format!("redis://127.0.0.1:{}", proxy.port);
    let redtail = Server::redtail_of(&upstream, &["--http", &http, "--state-dir", "state"]);
    let end = Instant::now() + WORK;
    scope(|workers| {
        workers.spawn(|| write(&primary, end));
        for number in 0..4 {
            let redtail = &redtail;
            workers.spawn(move || read(redtail, number, end));
        }
        workers.spawn(|| lose_the_link_once(&proxy));
        sleep(end - Instant::now() - Duration::from_secs(30));
        take(&format!("http://{http}/"), directory.as_ref());
    });
}

/// Takes the pictures.
fn take(address: &str, directory: &Path) {
    let browser = Browser::start().expect("a browser");
    for scheme in ["light", "dark"] {
        browser.resize(1440, 1010);
        browser.prefer(scheme);
        browser.open(address);
        browser.wait_for("return document.getElementById('title').textContent === 'in sync'");
        sleep(Duration::from_secs(3));
        let file = directory.join(format!("status-{scheme}.png"));
        std::fs::write(file, browser.picture()).expect("the directory is there");
    }
}

/// Sessions, users, carts and rankings, as a shop has them.
fn fill(primary: &mut Client) {
    let mut send = |commands: Vec<String>| {
        let commands: Vec<Vec<Vec<u8>>> = commands.iter().map(|line| words(line)).collect();
        primary.pipeline(&commands);
    };
    send(
        (0..60_000)
            .map(|n| format!("SET session:{n:08x} {} EX 86400", "s".repeat(200)))
            .collect(),
    );
    send(
        (0..20_000)
            .map(|n| format!("HSET user:{n} name user-{n} mail user-{n}@example.com city Porto"))
            .collect(),
    );
    send(
        (0..40_000)
            .map(|n| format!("RPUSH cart:{} item-{n} item-{}", n % 9_000, n * 7))
            .collect(),
    );
    send(
        (0..50_000)
            .map(|n| format!("ZADD ranking:{} {n} user:{}", n % 12, n % 20_000))
            .collect(),
    );
    send(
        (0..9_000)
            .map(|n| format!("SADD tag:{} user:{n}", n % 300))
            .collect(),
    );
}

fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

/// The time between two batches: a day's wave of traffic in minutes.
fn pause(begin: Instant) -> Duration {
    let minutes = begin.elapsed().as_secs_f64() / 60.0;
    let traffic = 0.7 + 0.2 * (minutes * 2.1).sin() + 0.1 * (minutes * 9.0).sin();
    Duration::from_secs_f64(0.015 / traffic)
}

/// Writes to the primary until `end`.
fn write(primary: &Server, end: Instant) {
    let (begin, mut client) = (Instant::now(), primary.client());
    for n in 0_usize.. {
        if Instant::now() > end {
            return;
        }
        let batch: Vec<_> = (0..30)
            .map(|one| {
                words(&format!(
                    "SET session:{:08x} {} EX 86400",
                    (n * 31 + one) % 60_000,
                    "s".repeat(200)
                ))
            })
            .collect();
        client.pipeline(&batch);
        sleep(pause(begin));
    }
}

/// Reads from the replica until `end`.
fn read(redtail: &Server, number: usize, end: Instant) {
    let (begin, mut client) = (Instant::now(), redtail.client());
    client.command(&format!("CLIENT SETNAME web-{number}"));
    for n in 0_usize.. {
        if Instant::now() > end {
            return;
        }
        let batch: Vec<_> = (0..40).map(|one| words(&question(n * 61 + one))).collect();
        client.pipeline(&batch);
        sleep(pause(begin));
    }
}

/// A read of the kinds that a shop asks.
fn question(n: usize) -> String {
    match n % 10 {
        0 => "GET config:flags".to_owned(),
        1..=5 => format!("GET session:{:08x}", n % 60_000),
        6 | 7 => format!("HGETALL user:{}", n % 20_000),
        8 => format!("LRANGE cart:{} 0 -1", n % 9_000),
        _ => format!("ZREVRANGE ranking:{} 0 9 WITHSCORES", n % 12),
    }
}

/// Breaks the link for some seconds, so that the pictures show a gap.
fn lose_the_link_once(proxy: &Proxy) {
    sleep(WORK / 2);
    proxy.close(true);
    proxy.cut_now(End::Fin);
    sleep(Duration::from_secs(12));
    proxy.close(false);
}
