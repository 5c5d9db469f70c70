//! Memory of keys long past their expiry time is freed, unlike on a real replica.

use crate::client::words;
use crate::servers::{ALL, Server};

/// The number of expired keys of each type.
const KEYS: usize = 500;

fn figures(server: &Server) -> Vec<String> {
    let mut client = server.client();
    let dbsize = client.command("DBSIZE").text();
    let keyspace = client.info("keyspace", "db0").unwrap_or_default();
    // Leaves out the average time to live, which redtail does not compute.
    let counted = keyspace.split(',').take(2).collect::<Vec<_>>().join(",");
    vec![dbsize, counted]
}

#[test]
fn memory_goes_down_and_counts_stay_those_of_a_replica() {
    for name in ALL {
        let Some(primary) = Server::start(name, &[]) else {
            return;
        };
        primary.command("DEBUG SET-ACTIVE-EXPIRE 0");
        let replica = Server::replica(name, &primary).expect("the server was there a moment ago");
        let redtail = Server::redtail_with(&primary, &["--expired-grace", "1"]);
        let value = "v".repeat(2000);
        let mut lines = vec![words("SET live 1"), words("SET later 1 EX 1000")];
        for number in 0..KEYS {
            lines.push(words(&format!("SET text:{number} {value}")));
            lines.push(words(&format!("RPUSH list:{number} {value} {value}")));
            lines.push(words(&format!("SET small:{number} {number}")));
            for kind in ["text", "list", "small"] {
                lines.push(words(&format!("PEXPIRE {kind}:{number} 200")));
            }
        }
        primary.client().pipeline(&lines);
        redtail.wait_in_sync(&primary);
        let held = |client: &mut crate::client::Client| {
            let bytes = client.info("memory", "used_memory_dataset");
            bytes
                .and_then(|bytes| bytes.parse::<usize>().ok())
                .expect("a figure")
        };
        let before = held(&mut redtail.client());
        assert!(before > KEYS * 6000, "{before}");
        redtail.wait_for("the sweeper", |client| {
            let keys = client.info("redtail", "redtail_expired_swept_keys");
            keys == Some((2 * KEYS).to_string())
        });
        let after = held(&mut redtail.client());
        assert!(after + KEYS * 6000 < before, "{before} to {after}");
        replica.wait_in_sync(&primary);
        assert_eq!(figures(&replica), figures(&redtail), "{name}, swept");
        for line in [
            "EXISTS text:1 list:1 small:1 live",
            "TTL text:1",
            "TYPE list:2",
            "GET text:3",
            "LLEN list:3",
        ] {
            assert_eq!(
                replica.command(line),
                redtail.command(line),
                "{name}, {line}"
            );
        }
        // The primary deletes the keys that are read, and overwrites the others.
        for number in 0..KEYS {
            primary.client().pipeline(&[
                words(&format!("GET text:{number}")),
                words(&format!("SET list:{number} new")),
            ]);
        }
        replica.wait_in_sync(&primary);
        redtail.wait_in_sync(&primary);
        assert_eq!(figures(&replica), figures(&redtail), "{name}, deleted");
        assert_eq!(redtail.command("GET list:7").text(), "new");
        assert_eq!(
            redtail
                .client()
                .info("redtail", "redtail_tainted_keys")
                .as_deref(),
            Some("0")
        );
    }
}
