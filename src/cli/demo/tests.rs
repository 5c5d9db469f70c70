#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::primary::DemoPrimary;
use super::{invitation, shop::Shop};
use crate::replica::{Config, Replica};

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a demo primary and a replica of it, and waits for the first sync.
async fn demo(stop: &CancellationToken) -> (DemoPrimary, Replica) {
    let primary = DemoPrimary::start(stop.clone()).await.unwrap();
    let address = format!("redis://{}", primary.address());
    let replica = Replica::start(Config::new(&address).unwrap()).unwrap();
    let ready = timeout(PATIENCE, replica.ready()).await;
    assert_eq!(ready, Ok(Ok(())), "{:?}", replica.status());
    (primary, replica)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replica_holds_the_snapshot_and_follows_every_write() {
    let stop = CancellationToken::new();
    let (primary, replica) = demo(&stop).await;
    let greeting = replica.get("greeting").unwrap().unwrap();
    assert_eq!(greeting, b"hello from redtail");
    let start = replica.status().applied_offset;
    // After a few seconds of the shop, every kind of tick has occurred.
    let growth = async {
        while replica.status().applied_offset < start + 5_000 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, growth).await.unwrap();
    let status = replica.status();
    assert_eq!((status.failed_writes, status.tainted_keys), (0, Some(0)));
    assert_eq!(status.loads, 1);
    assert!(primary.offset() >= status.applied_offset);
    stop.cancel();
}

#[test]
fn sessions_end_and_are_deleted() {
    let mut shop = Shop::default();
    let text = |stream: Vec<u8>| String::from_utf8(stream).unwrap();
    let early: String = (0..100).map(|now_ms| text(shop.tick(now_ms))).collect();
    let late = text(shop.tick(1_000_000));
    let sessions = early.matches("PXAT").count();
    assert!(sessions > 0);
    assert_eq!(late.matches("DEL").count(), sessions);
}

#[test]
fn the_invitation_names_the_address_that_listens() {
    for (listen, cli) in [
        ("127.0.0.1:7000", "redis-cli -p 7000 GET greeting\n"),
        (
            "unix:/run/r.sock",
            "redis-cli -s /run/r.sock GET greeting\n",
        ),
    ] {
        let text = invitation(&[listen.parse().unwrap()], None);
        assert!(
            text.contains(cli) && text.contains("no status page"),
            "{text}"
        );
        let page = "0.0.0.0:9121".parse().unwrap();
        let text = invitation(&[listen.parse().unwrap()], Some(page));
        assert!(
            text.contains("status page is at http://127.0.0.1:9121/\n"),
            "{text}"
        );
    }
}
