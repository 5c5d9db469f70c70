//! What operators see of a followed cluster: metrics, status, probes, page and terminal say the same, also of a broken shard.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::faces::{KEYS, fill};
use super::nodes::{CALM, Cluster, Setup, wait};
use crate::browser::Browser;
use crate::http::{Http, has_its_shape, http_of};
use crate::metrics::{Samples, problems, samples};
use crate::servers::{PATIENCE, Server};

const SERVER: &str = "valkey-9.1.2";

/// Three primaries that nobody succeeds.
const ALONE: Setup = Setup {
    replicas: 0,
    ..CALM
};

/// A cluster, and a redtail with HTTP that follows it.
struct Watched {
    cluster: Cluster,
    redtail: Server,
    http: Http,
}

impl Watched {
    /// Returns `None` if the server is not installed.
    fn start(arguments: &[&str]) -> Option<Self> {
        let cluster = Cluster::start(SERVER, ALONE)?;
        fill(&cluster);
        let arguments = [&["--http", "127.0.0.1:0"], arguments].concat();
        let redtail = Server::redtail_of(&cluster.address(), &arguments);
        let http = http_of(&redtail);
        let watched = Self {
            cluster,
            redtail,
            http,
        };
        watched.wait_for("in_sync");
        Some(watched)
    }

    fn condition(&self) -> String {
        let status = self.http.status();
        let word = status["health"]["condition"].as_str();
        word.expect("a word").to_owned()
    }

    /// Waits until the condition is this, and no slot is on its way.
    fn wait_for(&self, condition: &str) {
        wait(condition, PATIENCE, || {
            let status = self.http.status();
            status["health"]["condition"] == condition && status["cluster"]["settled"] == true
        });
    }

    fn metrics(&self) -> Samples {
        samples(&self.http.get("/metrics").text())
    }

    /// The lines of the shards in INFO, as pairs of names and values.
    fn shards(&self) -> Vec<BTreeMap<String, String>> {
        let mut client = self.redtail.client();
        let lines =
            (0..).map_while(|index| client.info("redtail", &format!("redtail_shard{index}")));
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').expect("a value");
            (name.to_owned(), value.to_owned())
        };
        let shards = lines.map(|line| line.split(',').map(pair).collect());
        shards.collect()
    }

    fn info(&self, field: &str) -> String {
        let mut client = self.redtail.client();
        client.info("redtail", field).unwrap_or_default()
    }

    /// What `redtail status` prints.
    fn terminal(&self, address: &str) -> String {
        let program = env!("CARGO_BIN_EXE_redtail");
        let mut command = std::process::Command::new(program);
        let output = command.args(["status", address]).output();
        String::from_utf8_lossy(&output.expect("it runs").stdout).into_owned()
    }
}

/// The value of a sample as INFO writes it.
fn whole(samples: &Samples, name: &str, shard: &str) -> String {
    let sample = format!("{name}{{shard=\"{shard}\"}}");
    let value = samples.get(&sample);
    format!(
        "{:.0}",
        value.unwrap_or_else(|| panic!("{sample}: {samples:#?}"))
    )
}

#[test]
fn every_figure_of_a_shard_is_that_of_info_and_sums_are_sums() {
    let Some(watched) = Watched::start(&[]) else {
        return;
    };
    let status = watched.http.status();
    has_its_shape(&status);
    // Primaries send pings: what is compared may be of two moments, so take a moment in which nothing comes.
    let (shards, metrics) = loop {
        let before = watched.shards();
        let metrics = watched.metrics();
        let offsets = |shards: &[BTreeMap<String, String>]| -> Vec<String> {
            shards.iter().map(|one| one["received"].clone()).collect()
        };
        if offsets(&before) == offsets(&watched.shards()) {
            break (before, metrics);
        }
    };
    assert_eq!(shards.len(), 3);
    let pairs = [
        ("offset", "redtail_shard_applied_offset_bytes"),
        ("received", "redtail_shard_received_offset_bytes"),
        ("slots", "redtail_shard_slots_served"),
        ("keys", "redtail_shard_keys"),
        ("bytes", "redtail_shard_bytes"),
        ("lag_bytes", "redtail_shard_lag_bytes"),
    ];
    for shard in &shards {
        for (field, name) in pairs {
            assert_eq!(
                shard[field],
                whole(&metrics, name, &shard["name"]),
                "{name}"
            );
        }
        assert_eq!(
            whole(&metrics, "redtail_shard_link_up", &shard["name"]),
            "1"
        );
        let full = format!(
            "redtail_shard_syncs_total{{shard=\"{}\",kind=\"full\"}}",
            shard["name"]
        );
        assert_eq!(format!("{:.0}", metrics[&full]), shard["full_syncs"]);
    }
    let sum = |field: &str| -> f64 {
        shards
            .iter()
            .map(|one| one[field].parse::<f64>().expect("a number"))
            .sum()
    };
    assert_eq!(sum("keys"), KEYS as f64);
    assert_eq!(metrics["redtail_db_keys{db=\"0\"}"], KEYS as f64);
    assert_eq!(metrics["redis_db_keys{db=\"db0\"}"], KEYS as f64);
    assert_eq!(
        metrics["redtail_type_keys{db=\"0\",type=\"string\"}"],
        KEYS as f64
    );
    assert_eq!(metrics["redtail_db_bytes{db=\"0\"}"], sum("bytes"));
    assert_eq!(sum("slots"), 16384.0);
    for (name, value) in [
        ("redtail_cluster_shards", 3.0),
        ("redtail_cluster_nodes", 3.0),
        ("redtail_cluster_slots_followed", 16384.0),
        ("redtail_cluster_slots_served", 16384.0),
        ("redtail_cluster_slots_without_owner", 0.0),
        ("redtail_cluster_settled", 1.0),
        ("redtail_answers_reads", 1.0),
        ("redtail_link_up", 1.0),
    ] {
        assert_eq!(metrics[name], value, "{name}");
    }
    assert_eq!(status["data"]["keys"], KEYS);
    let own = status["cluster"]["shards"].as_array().expect("shards");
    for (shard, said) in own.iter().zip(&shards) {
        assert_eq!(shard["name"], said["name"]);
        assert_eq!(shard["link"]["upstream"], said["primary"]);
        assert_eq!(shard["keys"].to_string(), said["keys"]);
    }
    keys_of_all_shards_are_sampled(&watched);
    what_promtool_says(&watched);
    reads_are_counted(&watched);
}

/// The keys of a level are those of DBSIZE.
fn keys_of_all_shards_are_sampled(watched: &Watched) {
    let level: Json = serde_json::from_str(&watched.http.get("/keys.json").text()).expect("JSON");
    assert_eq!(level["exact"], true);
    assert_eq!(level["keys"], KEYS);
    assert_eq!(level["children"][0]["name"], "key");
}

fn what_promtool_says(watched: &Watched) {
    let text = watched.http.get("/metrics").text();
    if let Some(wrong) = problems(&text) {
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// Hits, most asked keys and the slow log work across shards.
fn reads_are_counted(watched: &Watched) {
    let mut client = watched.redtail.client();
    client.command("CONFIG SET slowlog-log-slower-than 0");
    for _ in 0..20 {
        for tag in 0..150 {
            client.command(&format!("GET key:{{{tag}}}:{tag}"));
        }
    }
    for _ in 0..4000 {
        client.command("GET key:{7}:7");
    }
    let status = watched.http.status();
    assert!(status["reads"]["hits"].as_u64() >= Some(7000), "{status}");
    assert_eq!(status["reads"]["most_asked"][0]["key"], "key:{7}:7");
    assert!(
        !status["reads"]["slowest"]
            .as_array()
            .expect("a list")
            .is_empty()
    );
}

#[test]
fn a_broken_shard_is_said_everywhere_in_the_same_words() {
    let Some(watched) = Watched::start(&[]) else {
        return;
    };
    let Some(browser) = Browser::start() else {
        return;
    };
    browser.open(&format!("http://{}/", watched.http.address()));
    shows(&browser, "title", "in sync");
    assert_eq!(text(&browser, "why"), watched.info("redtail_health_why"));
    assert_eq!(
        text(&browser, "why"),
        "follows 3 shards of a cluster; everything received is visible"
    );
    browser.wait_for("return document.querySelectorAll('#shard-rows tr').length === 3");
    let place = watched.cluster.primaries()[1];
    let port = watched.cluster.node(place).port;
    // How soon it is shown depends on this machine's load, too: one of three attempts must be in time.
    let mut times = Vec::new();
    while times.len() < 3 && !times.iter().any(|took| *took <= IN_TIME) {
        watched.cluster.freeze(place, true);
        let begin = Instant::now();
        shows(&browser, "title", "primary silent");
        times.push(begin.elapsed());
        is_said_everywhere(&watched, &browser, port);
        watched.cluster.freeze(place, false);
        shows(&browser, "title", "in sync");
    }
    assert!(times.iter().any(|took| *took <= IN_TIME), "{times:?}");
    fits_a_phone(&browser);
    assert_eq!(browser.console(), Vec::<String>::new());
}

/// How soon a silent primary is shown: it counts as silent after two seconds.
const IN_TIME: Duration = Duration::from_millis(2800);

fn is_said_everywhere(watched: &Watched, browser: &Browser, port: u16) {
    let why = watched.info("redtail_health_why");
    assert!(
        why.starts_with("1 of 3 shards: ") && why.contains(&format!("127.0.0.1:{port} ")),
        "{why}"
    );
    assert_eq!(text(browser, "why"), why);
    assert_eq!(
        text(browser, "advice"),
        watched.info("redtail_health_advice")
    );
    assert_eq!(browser.run("return document.body.dataset.severity"), "warn");
    let first = "return [...document.querySelector('#shard-rows tr').cells].map((cell) => cell.textContent)";
    let first = browser.run(first);
    assert_eq!(first[0], "primary silent");
    assert_eq!(first[1], format!("127.0.0.1:{port}"));
    assert_eq!(first[2], "unknown");
    // Reads are answered from the data as it was.
    let ready = watched.http.get("/readyz");
    assert_eq!(ready.status, 200);
    assert!(
        ready.text().starts_with(&format!("primary silent: {why}")),
        "{}",
        ready.text()
    );
    assert_eq!(watched.http.get("/livez").status, 200);
    assert!(watched.redtail.log().contains(&why));
    let metrics = watched.metrics();
    assert_eq!(metrics["redtail_health{condition=\"primary_silent\"}"], 1.0);
    let silent = watched
        .shards()
        .into_iter()
        .filter(|one| one["health"] == "primary_silent");
    let silent: Vec<_> = silent.collect();
    assert_eq!(silent.len(), 1);
    assert_eq!(silent[0]["primary"], format!("127.0.0.1:{port}"));
    let name = &silent[0]["name"];
    assert!(metrics[&format!("redtail_shard_link_silent_seconds{{shard=\"{name}\"}}")] > 0.0);
    let health = format!("redtail_shard_health{{shard=\"{name}\",condition=\"primary_silent\"}}");
    assert_eq!(metrics[&health], 1.0);
    for address in [
        format!("http://{}", watched.http.address()),
        format!("127.0.0.1:{}", watched.redtail.port),
    ] {
        let shown = watched.terminal(&address);
        assert!(shown.contains(&why), "{shown}");
        let line = format!("{}  127.0.0.1:{port}, primary silent, ", &name[..8]);
        assert!(shown.contains(&line), "{shown}");
        assert!(
            shown.contains("3, 16,384 of 16,384 slots served"),
            "{shown}"
        );
    }
}

/// The page is as wide as a phone's window, in both themes.
fn fits_a_phone(browser: &Browser) {
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        browser.resize(360, 740);
        let widths = browser.run("return [document.documentElement.scrollWidth, innerWidth]");
        assert_eq!(widths[0], widths[1], "the page scrolls sideways ({scheme})");
        keep_picture(browser, &format!("phone-{scheme}"));
        browser.resize(1440, 1010);
        keep_picture(browser, scheme);
    }
}

/// Writes a picture of the page to the directory that `REDTAIL_FIGURES` names.
fn keep_picture(browser: &Browser, name: &str) {
    if let Some(directory) = std::env::var_os("REDTAIL_FIGURES") {
        sleep(Duration::from_secs(1));
        let file = std::path::Path::new(&directory).join(format!("cluster-{name}.png"));
        std::fs::write(file, browser.picture()).expect("the directory is there");
    }
}

fn text(browser: &Browser, id: &str) -> String {
    browser.text(&format!(
        "return document.getElementById('{id}').textContent"
    ))
}

fn shows(browser: &Browser, id: &str, text: &str) {
    let text = Json::from(text);
    browser.wait_for(&format!(
        "return document.getElementById('{id}').textContent === {text}"
    ));
}

#[test]
fn a_shard_without_data_and_slots_without_an_owner_are_told_apart() {
    let Some(mut watched) = Watched::start(&[]) else {
        return;
    };
    // Nobody has this slot any more: no redtail could serve it, so this one stays ready.
    let place = watched.cluster.owner(7);
    wait("the warning", PATIENCE, || {
        // The nodes tell each other of it until all have forgotten it.
        for node in watched.cluster.running() {
            node.client().command("CLUSTER DELSLOTS 7");
        }
        watched.http.status()["cluster"]["slots_without_owner"] == 1
    });
    let ready = watched.http.get("/readyz");
    assert_eq!(ready.status, 200, "{}", ready.text());
    assert!(
        ready.text().contains("no node of the cluster has slot 7, "),
        "{}",
        ready.text()
    );
    let metrics = watched.metrics();
    assert_eq!(metrics["redtail_cluster_slots_without_owner"], 1.0);
    assert_eq!(metrics["redtail_cluster_slots_served"], 16383.0);
    // A redtail that starts while a shard is dead has no data of it, and is not ready.
    watched.cluster.kill(place);
    let redtail = Server::redtail_of(&watched.cluster.address(), &["--http", "127.0.0.1:0"]);
    let http = http_of(&redtail);
    wait("the shards that live", PATIENCE, || {
        let status = http.status();
        let shards = status["cluster"]["shards"].as_array().cloned();
        let synced = shards.iter().flatten().filter(|shard| shard["slots"] != 0);
        synced.count() == 2
    });
    wait("the reason", PATIENCE, || {
        let text = http.get("/readyz").text();
        text.starts_with(
            "connecting: 1 of 3 shards: there is no data yet, so reads of its keys are refused",
        )
    });
    assert_eq!(http.get("/readyz").status, 503);
    assert_eq!(http.get("/livez").status, 200);
    assert_eq!(http.get("/keys.json").status, 200);
    // The one that has its data serves on.
    wait("the break", PATIENCE, || {
        watched.condition() == "disconnected"
    });
    let ready = watched.http.get("/readyz");
    assert_eq!(ready.status, 200);
    assert!(
        ready.text().starts_with("disconnected: 1 of 3 shards: "),
        "{}",
        ready.text()
    );
}
