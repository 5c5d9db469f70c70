//! INFO, in the shape of /status.json: what is unknown is null.

use serde_json::{Value, json};

use crate::command::Condition;

/// Returns the status that an INFO text tells.
pub(super) fn status(text: &str) -> Value {
    let info = Info(text);
    let word = info.text("redtail_health");
    let condition = Condition::ALL
        .into_iter()
        .find(|one| Some(one.word()) == word);
    json!({
        "redtail": {
            "version": info.text("redtail_version"),
            "dialect": info.server(),
            "uptime_seconds": info.number("uptime_in_seconds"),
            "process_id": info.number("process_id"),
            "run_id": info.text("run_id"),
        },
        "health": {
            "condition": word,
            "title": word.map(|word| word.replace('_', " ")),
            "for_seconds": info.number("redtail_health_since_seconds"),
            "why": info.text("redtail_health_why"),
            "advice": info.text("redtail_health_advice"),
            "warnings": info.warnings(),
            "answers_reads": condition.map(Condition::answers_reads),
        },
        "server": info.role(),
        "link": info.link(),
        "sync": info.sync(),
        "data": info.data(),
        "reads": info.reads(),
        "stream": {
            "commands": info.number("redtail_applied_commands"),
            "failed_writes": info.number("redtail_failed_writes"),
        },
        "memory": {
            "resident_bytes": info.number("used_memory_rss"),
            "peak_bytes": info.number("used_memory_peak"),
            "data_bytes": info.number("used_memory_dataset"),
            "clients_bytes": info.number("redtail_clients_memory"),
            "clients_max_bytes": info.number("redtail_clients_memory_max"),
        },
        "clients": {
            "connected": info.number("connected_clients"),
            "max": info.number("maxclients"),
            "rejected": info.number("rejected_connections"),
        },
        "state": info.state(),
        "cluster": info.cluster(),
    })
}

/// The text of INFO.
struct Info<'t>(&'t str);

impl<'t> Info<'t> {
    /// Returns the value of a field.
    fn text(&self, name: &str) -> Option<&'t str> {
        let value = |line: &'t str| line.strip_prefix(name)?.strip_prefix(':');
        self.0.lines().find_map(value).map(str::trim)
    }

    /// Returns a number; `None` if there is none, or -1 for one that is unknown.
    fn number(&self, name: &str) -> Option<f64> {
        let number: f64 = self.text(name)?.parse().ok()?;
        (number >= 0.0).then_some(number)
    }

    fn is_one(&self, name: &str) -> bool {
        self.text(name) == Some("1")
    }

    /// Returns a text that is not empty.
    fn filled(&self, name: &str) -> Option<&'t str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// Returns the server that is imitated, or that this is.
    fn server(&self) -> Option<String> {
        let valkey = self
            .text("valkey_version")
            .map(|version| format!("valkey {version}"));
        valkey.or_else(|| Some(format!("redis {}", self.text("redis_version")?)))
    }

    fn warnings(&self) -> Vec<&'t str> {
        (0..)
            .map_while(|index| self.text(&format!("redtail_health_warning{index}")))
            .collect()
    }

    /// Returns what a server that is not redtail says of its own replication.
    fn role(&self) -> Value {
        json!({
            "role": self.text("role").map(|role| if role == "slave" { "replica" } else { "primary" }),
            "offset": self.number("master_repl_offset"),
            "replicas": self.number("connected_slaves"),
        })
    }

    fn link(&self) -> Value {
        let host = self.filled("master_host");
        let upstream = host.map(|host| match self.text("master_port") {
            None | Some("0") => host.to_owned(),
            Some(port) => format!("{host}:{port}"),
        });
        let up = self.text("master_link_status").map(|status| status == "up");
        json!({
            "upstream": upstream,
            "state": self.text("redtail_link_state"),
            "up": up,
            "last_byte_seconds_ago": self.number("master_last_io_seconds_ago"),
            "down_seconds": self.number("master_link_down_since_seconds"),
            "silent_seconds": self.number("redtail_link_silent_seconds"),
            "last_error": self.filled("redtail_last_link_error"),
            "received_bytes": self.number("total_net_repl_input_bytes"),
            "replication_id": self.filled("master_replid"),
            "received_offset": self.number("redtail_received_offset"),
            "applied_offset": self.number("slave_repl_offset"),
            "lag_bytes": self.number("redtail_lag_bytes"),
            "lag_seconds": self.number("redtail_lag_seconds"),
            "spool_file_bytes": self.number("redtail_spool_file_bytes"),
        })
    }

    fn sync(&self) -> Value {
        let held = self.is_one("redtail_resync_held").then(|| {
            json!({
                "keys": self.number("redtail_resync_held_keys"),
                "for_seconds": self.number("redtail_resync_held_seconds"),
            })
        });
        json!({
            "full": self.number("redtail_full_syncs"),
            "partial": self.number("redtail_partial_syncs"),
            "partial_refused": self.number("redtail_partial_syncs_refused"),
            "loads_completed": self.number("redtail_loads_completed"),
            "loads_failed": self.number("redtail_loads_failed"),
            "loading": self.is_one("master_sync_in_progress").then(|| self.loading()),
            "held_back": held,
        })
    }

    fn loading(&self) -> Value {
        let expected = self
            .number("master_sync_total_bytes")
            .filter(|bytes| *bytes > 0.0);
        json!({
            "bytes": self.number("master_sync_read_bytes"),
            "bytes_expected": expected,
            "percent": expected.and_then(|_| self.number("master_sync_perc")),
        })
    }

    fn data(&self) -> Value {
        let databases: Vec<(u64, f64, f64)> = self.0.lines().filter_map(database).collect();
        let is_doubted = self.is_one("redtail_tainted_everything");
        json!({
            "keys": databases.iter().map(|(_, keys, _)| keys).sum::<f64>(),
            "expires": databases.iter().map(|(.., expires)| expires).sum::<f64>(),
            "bytes": null,
            "tainted_keys": self.number("redtail_tainted_keys").filter(|_| !is_doubted),
            "databases": databases
                .iter()
                .map(|(db, keys, expires)| json!({"db": db, "keys": keys, "expires": expires}))
                .collect::<Vec<_>>(),
        })
    }

    fn reads(&self) -> Value {
        json!({
            "per_second": self.number("instantaneous_ops_per_sec"),
            "total": self.number("total_commands_processed"),
            "hits": self.number("keyspace_hits"),
            "misses": self.number("keyspace_misses"),
            "p99_seconds": null,
            "busiest": self.busiest(),
        })
    }

    /// Returns the p99 of the command that is called most: INFO has no p99 over all commands.
    fn busiest(&self) -> Option<Value> {
        let called = self.0.lines().filter_map(calls);
        let (name, _) = called.max_by(|(_, one), (_, other)| one.total_cmp(other))?;
        let percentiles = self.text(&format!("latency_percentiles_usec_{name}"))?;
        let mut parts = percentiles.split(',');
        let micros: f64 = parts.find_map(|part| part.strip_prefix("p99=")?.parse().ok())?;
        Some(json!({"name": name, "p99_seconds": micros / 1e6}))
    }

    fn state(&self) -> Option<Value> {
        let keeps = match self.text("redtail_state")? {
            "off" => return None,
            kept => kept == "kept",
        };
        Some(json!({
            "keeps": keeps,
            "snapshot_bytes": self.number("redtail_state_snapshot_bytes"),
            "log_bytes": self.number("redtail_state_log_bytes"),
            "failures": self.number("redtail_state_failures"),
            "last_error": self.filled("redtail_state_last_error"),
        }))
    }

    fn cluster(&self) -> Option<Value> {
        self.number("redtail_shards")?;
        let shards = (0..).map_while(|index| self.text(&format!("redtail_shard{index}")));
        Some(json!({
            "face": self.text("redtail_cluster_face"),
            "slots_followed": self.number("redtail_slots_followed"),
            "slots_served": self.number("redtail_slots_served"),
            "settled": self.is_one("redtail_shards_settled"),
            "shards": shards.map(shard).collect::<Vec<_>>(),
        }))
    }
}

/// Returns a shard from its line: `name=…,primary=…,state=…`.
fn shard(line: &str) -> Value {
    let text = |name: &str| {
        let mut parts = line.split(',');
        let value = parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        value.filter(|value| !value.is_empty())
    };
    let number = |name: &str| {
        let number: Option<f64> = text(name)?.parse().ok();
        number.filter(|number| *number >= 0.0)
    };
    json!({
        "name": text("name"),
        "condition": text("health"),
        "title": text("health").map(|word| word.replace('_', " ")),
        "link": {
            "upstream": text("primary"),
            "state": text("state"),
            "up": text("link").map(|link| link == "up"),
            "replication_id": text("replid"),
            "received_offset": number("received"),
            "applied_offset": number("offset"),
            "lag_bytes": number("lag_bytes"),
            "lag_seconds": number("lag_seconds"),
        },
        "slots": number("slots"),
        "keys": number("keys"),
        "bytes": number("bytes"),
        "sync": {"full": number("full_syncs"), "partial": number("partial_syncs")},
    })
}

/// Returns the name and the calls of a command from its line: `cmdstat_get:calls=1,…`. Not of those that only look at redtail.
fn calls(line: &str) -> Option<(&str, f64)> {
    let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(':')?;
    let is_data =
        !matches!(name, "info" | "ping" | "hello" | "auth" | "select") && !name.contains('|');
    let calls = rest.strip_prefix("calls=")?.split(',').next()?;
    Some((name, calls.parse().ok()?)).filter(|_| is_data)
}

/// Returns the number, the keys and the expiring keys of a database from its line: `db0:keys=1,expires=0,…`.
fn database(line: &str) -> Option<(u64, f64, f64)> {
    let (db, rest) = line.strip_prefix("db")?.split_once(':')?;
    let field = |name: &str| {
        let mut parts = rest.split(',');
        parts.find_map(|part| {
            part.trim()
                .strip_prefix(name)?
                .strip_prefix('=')?
                .parse()
                .ok()
        })
    };
    Some((db.parse().ok()?, field("keys")?, field("expires")?))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "a test may panic")]
    use super::*;

    #[test]
    fn what_is_not_said_is_null_and_nothing_is_made_up() {
        let status = status("");
        for part in ["redtail", "link", "reads", "memory", "clients"] {
            let members = status[part].as_object().into_iter().flatten();
            for (name, value) in members {
                assert!(value.is_null(), "{part}.{name}: {value}");
            }
        }
        assert!(status["health"]["condition"].is_null() && status["state"].is_null());
        assert!(status["sync"]["loading"].is_null() && status["cluster"].is_null());
    }

    #[test]
    fn a_cluster_is_read_with_its_shards() {
        let text = "redtail_shards:2\r\nredtail_shards_settled:1\r\nredtail_slots_served:9\r\nredtail_shard0:name=ab,\
                    primary=::1:7,state=connected,slots=9,replid=,offset=5,health=primary_silent,link=up,lag_bytes=-1,\
                    lag_seconds=0.5\r\nredtail_shard1:name=cd\r\n";
        let cluster = &status(text)["cluster"];
        assert_eq!(cluster["slots_served"], 9.0);
        assert_eq!(cluster["shards"].as_array().map(Vec::len), Some(2));
        let first = &cluster["shards"][0];
        assert_eq!(first["title"], "primary silent");
        assert_eq!(first["link"]["upstream"], "::1:7");
        assert_eq!(first["link"]["lag_seconds"], 0.5);
        assert_eq!(first["link"]["up"], true);
        assert!(first["link"]["lag_bytes"].is_null() && first["keys"].is_null());
        assert_eq!(cluster["shards"][1]["name"], "cd");
    }

    #[test]
    fn the_p99_is_that_of_the_command_called_most() {
        let text = "cmdstat_info:calls=900,usec=1\r\ncmdstat_client|list:calls=800,usec=1\r\ncmdstat_get:calls=7,usec=1\r\n\
                    cmdstat_hget:calls=70,usec=1\r\nlatency_percentiles_usec_get:p50=1.003,p99=9.001,p99.9=9\r\n\
                    latency_percentiles_usec_hget:p50=1.003,p99=250.001,p99.9=300\r\n";
        let busiest = &status(text)["reads"]["busiest"];
        assert_eq!(busiest["name"], "hget");
        assert_eq!(busiest["p99_seconds"], 0.000_250_001);
    }

    #[test]
    fn fields_are_read_whole_and_unknown_numbers_are_null() {
        let text = "redtail_health:held_back\r\nredtail_health_why:a: b, c\r\nredtail_health_warning0:x\r\nredtail_health_warning1:y\r\n\
                    master_host:::1\r\nmaster_port:7\r\nmaster_last_io_seconds_ago:-1\r\ndb0:keys=3,expires=1,avg_ttl=0\r\n\
                    db11:keys=4,expires=0,avg_ttl=0\r\nredtail_state:not-kept\r\nredtail_tainted_everything:1\r\nredtail_tainted_keys:0\r\n";
        let status = status(text);
        assert_eq!(status["health"]["title"], "held back");
        assert_eq!(status["health"]["answers_reads"], true);
        assert_eq!(status["health"]["why"], "a: b, c");
        assert_eq!(status["health"]["warnings"], json!(["x", "y"]));
        assert_eq!(status["link"]["upstream"], "::1:7");
        assert!(status["link"]["last_byte_seconds_ago"].is_null());
        assert_eq!(status["data"]["keys"], 7.0);
        assert_eq!(status["data"]["databases"][1]["db"], 11);
        assert!(status["data"]["tainted_keys"].is_null());
        assert_eq!(status["state"]["keeps"], false);
    }
}
