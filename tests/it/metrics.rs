//! `/metrics` beside the real `redis_exporter`, under the real `promtool`, and during resyncs; the dashboard and the alert rules.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cluster::nodes::{CALM, Cluster, Setup};
use crate::servers::{PATIENCE, Server, free_port};
use crate::tools;

/// Sends a GET request and returns the head and the body of the answer.
fn get(port: u16, path: &str, headers: &str) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let body = match head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked")
    {
        true => unchunked(body),
        false => body.to_owned(),
    };
    Some((head.to_owned(), body))
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).expect("a chunk's size");
        if size == 0 {
            break;
        }
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

/// The samples of a text in the format 0.0.4: each with its labels, and its value.
pub type Samples = BTreeMap<String, f64>;

pub fn samples(text: &str) -> Samples {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.rsplit_once(' '));
    let value = |text: &str| text.parse().expect("a number");
    pairs
        .map(|(name, number)| (name.to_owned(), value(number)))
        .collect()
}

fn name(sample: &str) -> &str {
    sample.split('{').next().unwrap_or(sample)
}

fn names(samples: &Samples) -> BTreeSet<&str> {
    samples.keys().map(|sample| name(sample)).collect()
}

/// A redtail with HTTP on a known port.
struct Watched {
    server: Server,
    http: u16,
}

impl Watched {
    fn start(address: &str, arguments: &[&str]) -> Self {
        let http = free_port();
        let listen = format!("127.0.0.1:{http}");
        let arguments = [&["--http", listen.as_str()], arguments].concat();
        let server = Server::redtail_of(address, &arguments);
        Self { server, http }
    }

    fn of(primary: &Server, arguments: &[&str]) -> Self {
        let watched = Self::start(&format!("redis://127.0.0.1:{}", primary.port), arguments);
        watched.server.wait_in_sync(primary);
        // A primary without writes is at the offset of one that has not synced.
        watched.wait_for("a sync", |samples| Self::condition(samples) == "in_sync");
        watched
    }

    /// The same, once a walk over all keys has ended: everything is known by then.
    fn walked(primary: &Server) -> Self {
        let watched = Self::of(primary, &["--expired-grace", "1"]);
        watched.wait_for("a walk over all keys", |samples| {
            samples.contains_key("redtail_expired_keys")
        });
        watched
    }

    fn text(&self) -> String {
        let (head, body) = get(self.http, "/metrics", "").expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains("text/plain; version=0.0.4"), "{head}");
        body
    }

    fn metrics(&self) -> Samples {
        samples(&self.text())
    }

    /// The condition that holds; exactly one does.
    fn condition(samples: &Samples) -> String {
        let holds = samples
            .iter()
            .filter(|(sample, value)| name(sample) == "redtail_health" && **value == 1.0);
        let words: Vec<_> = holds.map(|(sample, _)| sample.split('"').nth(1)).collect();
        assert_eq!(words.len(), 1, "{words:?}");
        words[0].expect("a word").to_owned()
    }

    /// Asks until `done` is true of the samples.
    fn wait_for(&self, what: &str, mut done: impl FnMut(&Samples) -> bool) -> Samples {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let samples = self.metrics();
            if done(&samples) {
                return samples;
            }
            assert!(Instant::now() < deadline, "{what}: {}", self.server.log());
            sleep(Duration::from_millis(20));
        }
    }
}

/// The exporter beside a server. Ends when it is dropped.
struct Exporter {
    child: Child,
    port: u16,
}

impl Exporter {
    fn beside(server: &Server) -> Option<Self> {
        let program = tools::path("exporter")?;
        let port = free_port();
        let child = Command::new(program)
            .args(["-redis.addr", &format!("redis://127.0.0.1:{}", server.port)])
            .args(["-web.listen-address", &format!("127.0.0.1:{port}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        Some(Self { child, port })
    }

    /// What it shows of the server, without what it shows of itself.
    fn samples(&self) -> Samples {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = get(self.port, "/metrics", "");
            if let Some((_, body)) = answer.filter(|(_, body)| body.contains("redis_up 1")) {
                let mut samples = samples(&body);
                samples.retain(|sample, _| sample.starts_with("redis_") && !is_of_exporter(sample));
                return samples;
            }
            assert!(Instant::now() < deadline, "the exporter does not answer");
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn is_of_exporter(sample: &str) -> bool {
    let own = [
        "redis_exporter_",
        "redis_target_scrape_request_errors_total",
        "redis_last_key_groups_scrape_duration_milliseconds",
    ];
    own.iter().any(|own| sample.starts_with(own))
}

/// Metrics of a real replica that the exporter does not find at redtail, each with the reason.
const ABSENT: &[(&str, &str)] = &[
    (
        "redis_cpu_sys_main_thread_seconds_total",
        "redtail has no main thread that runs commands",
    ),
    ("redis_cpu_user_main_thread_seconds_total", "the same"),
    (
        "redis_total_reads_processed",
        "reads of sockets are not counted",
    ),
    (
        "redis_total_writes_processed",
        "writes to sockets are not counted",
    ),
    (
        "redis_db0_distrib_hashes_items",
        "Redis 8.0 keeps histograms of sizes; redtail does not",
    ),
    ("redis_db0_distrib_lists_items", "the same"),
    ("redis_db0_distrib_sets_items", "the same"),
    ("redis_db0_distrib_zsets_items", "the same"),
    ("redis_db0_distrib_strings_sizes", "the same"),
];

/// Metrics that the exporter shows of redtail and redtail does not show itself.
const NOT_SHOWN: &[(&str, &str)] = &[(
    "redis_db_keys_cached",
    "the exporter takes the number of hashes with expiring fields for KeyDB's cached keys: that would not be true",
)];

/// Metrics that must have the value that they have of a real replica of the same primary.
const SAME: &[&str] = &[
    "redis_up",
    "redis_db_keys",
    "redis_db_keys_expiring",
    "redis_master_link_up",
    "redis_master_sync_in_progress",
    "redis_slave_repl_offset",
    "redis_master_repl_offset",
    "redis_second_repl_offset",
    "redis_slave_info",
    "redis_keyspace_hits_total",
    "redis_keyspace_misses_total",
    "redis_expired_keys_total",
    "redis_evicted_keys_total",
    "redis_rejected_connections_total",
    "redis_connected_slaves",
    "redis_blocked_clients",
    "redis_loading_dump_file",
    "redis_config_maxmemory",
    "redis_memory_max_bytes",
    "redis_aof_enabled",
    "redis_cluster_enabled",
    "redis_pubsub_channels",
];

/// What changes between two readings of one server, by the reading itself or with time.
const MOVES: &[&str] = &[
    "redis_uptime_in_seconds",
    "redis_start_time_seconds",
    "redis_cpu_",
    "redis_memory_used",
    "redis_allocator_",
    "redis_mem_",
    "redis_net_",
    "redis_commands_",
    "redis_connected_clients",
    "redis_connections_received_total",
    "redis_latency_percentiles_usec",
    "redis_master_last_io_seconds_ago",
    "redis_client_recent_max",
    "redis_slowlog_",
    "redis_last_slow_execution_duration_seconds",
    "redis_rdb_last_save_timestamp_seconds",
];

fn moves(sample: &str) -> bool {
    MOVES.iter().any(|start| sample.starts_with(start))
}

fn without<'n>(names: &BTreeSet<&'n str>, excused: &[(&str, &str)]) -> BTreeSet<&'n str> {
    let is_excused = |name: &&&str| excused.iter().any(|(other, _)| *other == **name);
    names
        .iter()
        .filter(|name| !is_excused(name))
        .copied()
        .collect()
}

/// Writes to the primary, and the same reads to both replicas.
fn use_them(primary: &Server, replicas: &[&Server]) {
    for line in [
        "SET a b",
        "SET t v EX 1000",
        "LPUSH l 1 2",
        "HSET h f v",
        "ZADD z 1 m",
        "SADD s 1 2 x",
    ] {
        primary.command(line);
    }
    for replica in replicas {
        replica.wait_in_sync(primary);
        for line in [
            "GET a",
            "GET none",
            "HGETALL h",
            "LRANGE l 0 -1",
            "SET not allowed",
            "GET a",
        ] {
            replica.command(line);
        }
    }
}

#[test]
fn the_exporter_shows_redtail_as_it_shows_a_replica_and_so_does_redtail_itself() {
    for name_of_server in ["redis-7.0", "redis-8.0", "valkey-9.1"] {
        let Some(primary) = Server::start(name_of_server, &["--repl-ping-replica-period", "3600"])
        else {
            return;
        };
        let real = Server::replica(name_of_server, &primary).unwrap();
        let redtail = Watched::of(&primary, &[]);
        use_them(&primary, &[&real, &redtail.server]);
        let (Some(beside_real), Some(beside_redtail)) =
            (Exporter::beside(&real), Exporter::beside(&redtail.server))
        else {
            return;
        };
        let (of_real, of_redtail) = (beside_real.samples(), beside_redtail.samples());
        let (real_names, redtail_names) = (names(&of_real), names(&of_redtail));
        assert_eq!(
            without(&real_names, ABSENT),
            redtail_names,
            "{name_of_server}"
        );
        for (sample, value) in &of_real {
            if SAME.contains(&name(sample)) {
                assert_eq!(
                    of_redtail.get(sample),
                    Some(value),
                    "{name_of_server}: {sample}"
                );
            }
        }
        // What redtail shows itself: the same names, the same labels, the same values.
        let own = redtail.metrics();
        let own: Samples = own
            .into_iter()
            .filter(|(sample, _)| sample.starts_with("redis_"))
            .collect();
        let expected = without(&redtail_names, NOT_SHOWN);
        assert_eq!(names(&own), expected, "{name_of_server}");
        for (sample, value) in &of_redtail {
            let excused = NOT_SHOWN.iter().any(|(other, _)| *other == name(sample));
            if !moves(sample) && !excused {
                assert_eq!(own.get(sample), Some(value), "{name_of_server}: {sample}");
            }
        }
        let keys = |samples: &Samples| samples["redis_db_keys{db=\"db0\"}"];
        assert_eq!((keys(&own), keys(&of_real)), (6.0, 6.0));
        let rejected = "redis_commands_rejected_calls_total{cmd=\"set\"}";
        assert_eq!(own.get(rejected), Some(&1.0), "READONLY is a rejection");
    }
}

/// Runs `promtool` and returns its output, or `None` if it is not there.
fn promtool(arguments: &[&str], folder: &Path, input: &str) -> Option<(bool, String)> {
    let mut child = Command::new(tools::path("promtool")?)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    Some((output.status.success(), text))
}

#[test]
fn promtool_finds_nothing_wrong_with_what_is_our_own() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let redtail = Watched::of(&primary, &[]);
    use_them(&primary, &[&redtail.server]);
    let text = redtail.text();
    if let Some(wrong) = problems(&text) {
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// What promtool finds wrong with names that are our own: the exporter's are given. `None` if it is not installed.
pub fn problems(text: &str) -> Option<Vec<String>> {
    let (_, found) = promtool(&["check", "metrics"], Path::new("."), text)?;
    let ours = found.lines().filter(|line| !line.starts_with("redis_"));
    Some(ours.map(str::to_owned).collect())
}

#[test]
fn every_metric_has_a_help_text_a_type_and_a_name_of_its_own() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let redtail = Watched::of(&primary, &[]);
    let text = redtail.text();
    let described = |kind: &str| -> Vec<(String, String)> {
        let start = format!("# {kind} ");
        let lines = text.lines().filter_map(|line| line.strip_prefix(&start));
        let pairs = lines.filter_map(|line| line.split_once(' '));
        pairs
            .map(|(name, rest)| (name.to_owned(), rest.to_owned()))
            .collect()
    };
    let (helps, types) = (described("HELP"), described("TYPE"));
    let unique: BTreeSet<_> = helps.iter().map(|(name, _)| name).collect();
    assert_eq!(unique.len(), helps.len(), "a name is described twice");
    assert_eq!(types.len(), helps.len());
    for (name, help) in &helps {
        let words = help.split(' ').count();
        assert!(words >= 2 && help.ends_with('.'), "{name}: {help}");
    }
    for sample in names(&redtail.metrics()) {
        let ends = ["", "_bucket", "_sum", "_count"];
        let is_described = ends.iter().any(|end| {
            let family = sample.strip_suffix(end);
            family.is_some_and(|family| unique.iter().any(|name| *name == family))
        });
        assert!(is_described, "{sample}");
    }
}

#[test]
fn a_scraper_gets_the_format_that_it_asks_for() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let redtail = Watched::walked(&primary);
    let prometheus = "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n";
    let (head, body) = get(redtail.http, "/metrics", prometheus).expect("an answer");
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    assert!(body.ends_with("# EOF\n"));
    assert!(body.contains("# TYPE redtail_stream_commands counter\n"));
    let old = redtail.text();
    assert!(
        !old.contains("# EOF") && old.contains("# TYPE redtail_stream_commands_total counter\n")
    );
    // The two formats write labels in different orders, and small numbers in different forms.
    let plain = |label: &str| match label.strip_prefix("le=\"") {
        Some(bound) => format!("le={:?}", bound.trim_end_matches('"').parse::<f64>()),
        None => label.to_owned(),
    };
    let sorted = |sample: &str| {
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        let labels = labels.trim_end_matches('}').split(',');
        let mut labels: Vec<String> = labels.map(plain).collect();
        labels.sort_unstable();
        format!("{name}{labels:?}")
    };
    let of = |text: &str| -> BTreeSet<String> {
        let samples = samples(text);
        samples.keys().map(|sample| sorted(sample)).collect()
    };
    let (new, old) = (of(&body), of(&old));
    let differing: Vec<_> = new.symmetric_difference(&old).collect();
    assert!(differing.is_empty(), "{differing:?}");
}

/// What may be absent, and until when.
const LATER: &[&str] = &[
    "redtail_lag_",
    "redtail_proof_age_seconds",
    "redtail_link_last_byte_age_seconds",
    "redtail_last_full_sync_",
    "redtail_expired_keys",
    "redtail_db_",
    "redtail_type_",
    "redis_db_avg_ttl_seconds",
];

/// Metrics whose labels come from what clients and the primary did.
fn is_of_use(sample: &str) -> bool {
    let starts = [
        "redis_commands_",
        "redis_errors_",
        "redis_latency_",
        "redtail_errors_",
        "redtail_stream_passed_over",
    ];
    starts.iter().any(|start| sample.starts_with(start))
}

#[test]
fn no_metric_goes_away_and_none_is_untrue_during_a_resync() {
    let Some(mut primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    for number in 0..30 {
        primary.command(&format!("SET key{number} value"));
    }
    let redtail = Watched::of(&primary, &[]);
    let before = redtail.wait_for("a sync", |samples| Watched::condition(samples) == "in_sync");
    assert_eq!(before["redtail_db_keys{db=\"0\"}"], 30.0);
    assert_eq!(before["redtail_type_keys{db=\"0\",type=\"string\"}"], 30.0);
    assert_eq!(before["redtail_last_full_sync_keys"], 30.0);
    assert_eq!(
        before["redtail_sync_duration_seconds_count{kind=\"full\",cause=\"first_start\"}"],
        1.0
    );
    let port = primary.port;
    primary.stop();
    let down = redtail.wait_for("the break", |samples| {
        Watched::condition(samples) == "disconnected"
    });
    assert_eq!(
        (
            down["redtail_link_up"],
            down["redis_master_link_up{master_host=\"127.0.0.1\",master_port=\"PORT\"}"
                .replace("PORT", &port.to_string())
                .as_str()]
        ),
        (0.0, 0.0)
    );
    assert_eq!(down["redtail_answers_reads"], 1.0);
    assert_eq!(down["redtail_db_keys{db=\"0\"}"], 30.0);
    // Another history, which arrives slowly.
    let primary = Server::start_on(
        "redis-7.0",
        Some(port),
        None,
        &["--rdb-key-save-delay", "50000"],
    )
    .unwrap();
    for number in 0..40 {
        primary.command(&format!("HSET other{number} f v"));
    }
    let mut seen = BTreeSet::new();
    let after = redtail.wait_for("the resync", |samples| {
        let missing = before
            .keys()
            .filter(|sample| !samples.contains_key(*sample) && !is_of_use(sample));
        let missing: Vec<_> = missing.collect();
        assert!(missing.is_empty(), "{missing:?}");
        let condition = Watched::condition(samples);
        let keys = samples["redtail_db_keys{db=\"0\"}"];
        let strings = samples["redtail_type_keys{db=\"0\",type=\"string\"}"];
        let hashes = samples["redtail_type_keys{db=\"0\",type=\"hash\"}"];
        // The old data or the new, never a mixture.
        let (old, new) = ((30.0, 30.0, 0.0), (40.0, 0.0, 40.0));
        assert!(
            [old, new].contains(&(keys, strings, hashes)),
            "{keys} {strings} {hashes}"
        );
        if condition == "resyncing" {
            assert_eq!(samples["redtail_link_up"], 0.0);
            assert_eq!((keys, samples["redtail_last_full_sync_keys"]), (30.0, 30.0));
            assert!(samples["redtail_lag_seconds"] > 0.0, "the data is old");
        }
        let is_done = condition == "in_sync" && keys == 40.0;
        seen.insert(condition);
        is_done
    });
    assert!(seen.contains("resyncing"), "{seen:?}");
    assert_eq!(after["redtail_last_full_sync_keys"], 40.0);
    assert_eq!(
        after["redtail_sync_duration_seconds_count{kind=\"full\",cause=\"other_history\"}"],
        1.0
    );
    assert_eq!(after["redtail_link_up"], 1.0);
}

#[test]
fn without_a_primary_everything_is_there_that_can_be_known() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let synced = Watched::of(&primary, &[]).metrics();
    let alone = Watched::start(&format!("redis://127.0.0.1:{}", free_port()), &[]);
    let alone = alone.metrics();
    assert_eq!(Watched::condition(&alone), "connecting");
    assert_eq!(
        (alone["redtail_answers_reads"], alone["redtail_link_up"]),
        (0.0, 0.0)
    );
    let (synced, alone) = (names(&synced), names(&alone));
    let missing = synced.difference(&alone).filter(|sample| {
        !is_of_use(sample) && !LATER.iter().any(|start| sample.starts_with(start))
    });
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&&str>::new());
}

fn deployed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/deploy")
        .join(path)
}

/// The names of metrics in expressions: words that begin like one of ours.
fn named(text: &str) -> BTreeSet<String> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = text.split(|character| !is_part(character));
    let ours = words.filter(|word| word.starts_with("redtail_") || word.starts_with("process_"));
    ours.map(str::to_owned).collect()
}

#[test]
fn promtool_accepts_the_alert_rules_and_their_tests_hold() {
    let folder = deployed("prometheus");
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ] {
        let Some((accepted, text)) = promtool(&arguments, &folder, "") else {
            return;
        };
        assert!(accepted, "{text}");
    }
}

#[test]
fn dashboard_and_alerts_name_only_metrics_that_there_are() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let Some(cluster) = text_of_a_cluster() else {
        return;
    };
    let text = Watched::walked(&primary).text() + &cluster;
    let described = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let described: Vec<(&str, &str)> = described.filter_map(|line| line.split_once(' ')).collect();
    let exists = |word: &str| {
        described.iter().any(|(name, kind)| {
            let ends: &[&str] = match *kind {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            ends.iter().any(|end| word.strip_suffix(end) == Some(name))
        })
    };
    let read = |path: &str| std::fs::read_to_string(deployed(path)).expect("it is there");
    let alerts = read("prometheus/alerts.yml");
    let rules = alerts
        .lines()
        .filter(|line| line.trim_start().starts_with("expr:"));
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("grafana/redtail.json")).expect("JSON");
    let mut expressions: Vec<String> = rules.map(str::to_owned).collect();
    collect(&dashboard, &mut expressions);
    let words: BTreeSet<String> = expressions.iter().flat_map(|text| named(text)).collect();
    assert!(words.len() > 50, "{words:?}");
    let missing: Vec<_> = words.iter().filter(|word| !exists(word)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// What a redtail shows that follows a cluster. `None` if the server is not installed.
fn text_of_a_cluster() -> Option<String> {
    let small = Setup {
        primaries: 1,
        replicas: 0,
        ..CALM
    };
    let cluster = Cluster::start("valkey-9.1.2", small)?;
    let redtail = Watched::start(&cluster.address(), &[]);
    redtail.wait_for("a sync", |samples| Watched::condition(samples) == "in_sync");
    Some(redtail.text())
}

/// The expressions and queries in a dashboard.
fn collect(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str() {
                    Some(text) if ["expr", "query", "definition"].contains(&key.as_str()) => {
                        found.push(text.to_owned());
                    }
                    _ => collect(value, found),
                }
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_is_one_that_grafana_can_show() {
    let text = std::fs::read_to_string(deployed("grafana/redtail.json")).expect("it is there");
    let dashboard: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert!(
        dashboard["schemaVersion"]
            .as_u64()
            .is_some_and(|version| version >= 36)
    );
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut ids = BTreeSet::new();
    for panel in panels {
        let title = &panel["title"];
        assert!(
            ids.insert(panel["id"].as_u64().expect("a number")),
            "{title}"
        );
        let place = |field: &str| panel["gridPos"][field].as_u64().expect("a place");
        assert!(place("x") + place("w") <= 24, "{title}");
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        assert!(
            panel["description"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{title}"
        );
        let targets = panel["targets"].as_array().expect("targets");
        let letters: BTreeSet<_> = targets
            .iter()
            .map(|target| target["refId"].as_str())
            .collect();
        assert!(
            !targets.is_empty() && letters.len() == targets.len(),
            "{title}"
        );
    }
    // No panel covers another.
    for (index, one) in panels.iter().enumerate() {
        for other in &panels[index + 1..] {
            let span = |panel: &serde_json::Value, at: &str, size: &str| {
                let start = panel["gridPos"][at].as_u64().expect("a place");
                start..start + panel["gridPos"][size].as_u64().expect("a size")
            };
            let meet = |at, size| {
                let (one, other) = (span(one, at, size), span(other, at, size));
                one.start < other.end && other.start < one.end
            };
            assert!(
                !(meet("x", "w") && meet("y", "h")),
                "{} {}",
                one["title"],
                other["title"]
            );
        }
    }
    let variables = dashboard["templating"]["list"]
        .as_array()
        .expect("variables");
    let kinds: Vec<_> = variables
        .iter()
        .map(|variable| variable["type"].as_str())
        .collect();
    assert_eq!(kinds, [Some("datasource"), Some("query")]);
}

#[test]
fn every_alert_has_a_summary_a_description_and_a_runbook() {
    let alerts = std::fs::read_to_string(deployed("prometheus/alerts.yml")).expect("it is there");
    let rules: Vec<_> = alerts.split("- alert: ").skip(1).collect();
    assert!(rules.len() > 10);
    for rule in rules {
        let name = rule.lines().next().unwrap_or_default();
        for field in ["summary: ", "description: ", "severity: "] {
            assert!(rule.contains(field), "{name}: {field}");
        }
        let anchor = format!("docs/operations.md#{}", name.to_ascii_lowercase());
        assert!(rule.contains(&anchor), "{name}");
    }
}

/// The start of the generated part of `docs/metrics.md`.
const REFERENCE: &str = "<!-- generated by REDTAIL_WRITE_DOCS=1 tests/run metrics -->\n";

/// The rows of the reference that a text is described by.
fn rows(text: &str) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    let mut help = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
            && !name.starts_with("redis_")
        {
            rows.push(format!(
                "| `{name}` | {kind} | {} |",
                help.replace('|', "\\|")
            ));
        }
    }
    rows
}

/// The rows of what exists only for a cluster.
fn rows_of_clusters(text: &str) -> Vec<String> {
    let starts = ["| `redtail_cluster_", "| `redtail_shard_"];
    let mut rows = rows(text);
    rows.retain(|row| starts.iter().any(|start| row.starts_with(start)));
    rows
}

#[test]
fn the_reference_lists_every_metric() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    let Some(cluster) = text_of_a_cluster() else {
        return;
    };
    let mut rows = rows(&Watched::walked(&primary).text());
    let of_clusters = rows_of_clusters(&cluster);
    assert!(of_clusters.len() > 20, "{of_clusters:?}");
    rows.extend(of_clusters);
    let table = format!(
        "{REFERENCE}\n| metric | type | what it says |\n|---|---|---|\n{}\n",
        rows.join("\n")
    );
    let page = deployed("../metrics.md");
    let written = std::fs::read_to_string(&page).expect("it is there");
    let (start, found) = written.split_once(REFERENCE).expect("it is marked");
    if std::env::var_os("REDTAIL_WRITE_DOCS").is_some() {
        return std::fs::write(&page, format!("{start}{table}")).expect("it is writable");
    }
    assert_eq!(
        format!("{REFERENCE}{found}"),
        table,
        "run REDTAIL_WRITE_DOCS=1 tests/run metrics"
    );
}
