//! The status page in a real browser, for a real replica of a real primary.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value as Json;

use crate::browser::{Browser, ENTER, TAB};
use crate::faults::cut::End;
use crate::faults::proxy::{FREE, Pace, Plan, Proxy};
use crate::servers::{PATIENCE, Server, free_port};
use crate::silence::{signal, wait_until_watched};

const PRIMARY: &str = "redis-7.0";

/// A page, the replica that it is about, and the replica's primary.
struct Open {
    browser: Browser,
    redtail: Server,
    primary: Server,
    address: String,
}

impl Open {
    /// Opens the page of a replica in sync. Returns `None` if a program is missing. `link` returns the port that the replica
    /// connects to, given the primary's.
    fn with(config: &[&str], link: impl FnOnce(u16) -> u16, arguments: &[&str]) -> Option<Self> {
        let primary = Server::start(PRIMARY, config)?;
        let browser = Browser::start()?;
        let http = format!("127.0.0.1:{}", free_port());
        let upstream = format!("redis://127.0.0.1:{}", link(primary.port));
        let redtail = Server::redtail_of(&upstream, &[&["--http", &http], arguments].concat());
        redtail.wait_for("its first sync", |client| {
            client.command("DBSIZE").is_integer()
        });
        let address = format!("http://{http}/");
        browser.open(&address);
        let open = Self {
            browser,
            redtail,
            primary,
            address,
        };
        open.shows("title", "in sync");
        Some(open)
    }

    fn plain() -> Option<Self> {
        Self::with(&[], |port| port, &[])
    }

    /// Returns the text of the element with this id.
    fn text(&self, id: &str) -> String {
        let script = format!("return document.getElementById('{id}').textContent");
        self.browser.text(&script)
    }

    /// Waits until the element with this id has this text.
    fn shows(&self, id: &str, text: &str) {
        let text = Json::from(text);
        self.browser.wait_for(&format!(
            "return document.getElementById('{id}').textContent === {text}"
        ));
    }

    /// Waits until the fact `name` in the list `list` has this text.
    fn shows_fact(&self, list: &str, name: &str, text: &str) {
        self.browser.wait_for(&format!(
            "return {} === {}",
            fact(list, name),
            Json::from(text)
        ));
    }

    /// Returns what redtail says of itself now.
    fn status(&self) -> Json {
        self.browser
            .run("return fetch('status.json').then((answer) => answer.json())")
    }

    /// Returns the field of INFO, as a client sees it.
    fn info(&self, field: &str) -> String {
        self.redtail
            .client()
            .info("redtail", field)
            .unwrap_or_default()
    }

    /// Asserts that the page is as wide as the window, and that no script failed and nothing was blocked.
    fn is_sound(&self) {
        let widths = self
            .browser
            .run("return [document.documentElement.scrollWidth, innerWidth]");
        assert_eq!(widths[0], widths[1], "the page scrolls sideways");
        assert_eq!(self.browser.console(), Vec::<String>::new());
    }
}

/// A script's expression for the value of a fact.
fn fact(list: &str, name: &str) -> String {
    let name = Json::from(name);
    format!(
        "[...document.querySelectorAll('#{list} > div')].find((one) => one.firstElementChild.textContent === {name})?.querySelector('.value').textContent"
    )
}

#[test]
fn follows_a_replica_in_sync() {
    let Some(open) = Open::plain() else { return };
    assert_eq!(open.text("why"), open.info("redtail_health_why"));
    assert_eq!(
        open.browser.run("return document.body.dataset.severity"),
        "ok"
    );
    let upstream = format!("127.0.0.1:{}", open.primary.port);
    assert_eq!(
        open.browser.text("return document.title"),
        format!("in sync: redtail of {upstream}")
    );
    open.shows_fact("link-facts", "Upstream", &upstream);
    // Writes at the primary.
    let writes: Vec<_> = (0..500)
        .map(|number| {
            vec![
                b"SET".to_vec(),
                format!("user:{number}:name").into_bytes(),
                vec![b'x'; 100],
            ]
        })
        .collect();
    open.primary.client().pipeline(&writes);
    open.shows_fact("glance", "Keys", "500");
    open.primary.command("RPUSH list a b c");
    open.shows_fact("glance", "Keys", "501");
    open.redtail.wait_in_sync(&open.primary);
    let offset = open.redtail.client().offset("slave_repl_offset").unwrap();
    // The primary pings every ten seconds, so the offset may be past this one.
    let shown = fact("link-facts", "Applied offset");
    open.browser
        .wait_for(&format!("return Number({shown}) >= {offset}"));
    reads_are_shown(&open);
    lines_can_be_read(&open);
    open.is_sound();
}

/// Reads at the replica move the line of reads, and the client is listed.
fn reads_are_shown(open: &Open) {
    let mut client = open.redtail.client();
    client.command("CLIENT SETNAME the-reader");
    let reads = vec![vec![b"GET".to_vec(), b"user:1:name".to_vec()]; 1000];
    let rate = "return !['0/s', '–'].includes(document.querySelector('[data-line=Reads] .value').textContent)";
    let deadline = Instant::now() + PATIENCE;
    while open.browser.run(rate) != true {
        client.pipeline(&reads);
        assert!(Instant::now() < deadline, "the reads are not shown");
    }
    open.browser.wait_for(
        "return document.getElementById('client-rows').textContent.includes('the-reader')",
    );
}

/// Each line is drawn, and the keyboard reads its values.
fn lines_can_be_read(open: &Open) {
    open.browser
        .wait_for("return document.querySelectorAll('.plot').length === 6");
    open.browser.wait_for(
        "return ['Received, not yet visible', 'Received from upstream', 'Reads', 'Memory, resident'].every((line) => \
         document.querySelector(`[data-line=\"${line}\"] .line path`).getAttribute('d').includes('L'))",
    );
    open.browser
        .run("document.querySelector('[data-line=\"Memory, resident\"] .plot').focus()");
    open.browser.press(&['\u{e012}', '\u{e012}']);
    let spoken = open
        .browser
        .text("return document.activeElement.getAttribute('aria-valuetext')");
    let words: Vec<&str> = spoken.split(' ').collect();
    assert_eq!(
        (words.len(), words[0].len(), words[2]),
        (3, 9, "MiB"),
        "{spoken}"
    );
}

#[test]
fn a_broken_link_is_shown_in_the_words_of_info() {
    let Some(mut open) = Open::plain() else {
        return;
    };
    let port = open.primary.port;
    // How soon the page shows it depends on this machine's load, too: one of five attempts must be in time.
    let mut times = Vec::new();
    while times.len() < 5 && !times.iter().any(|took| *took <= IN_TIME) {
        open.primary.stop();
        times.push(time_until_shown(&open, "disconnected"));
        shows_the_break(&open);
        open.primary = Server::start_on(PRIMARY, Some(port), None, &[]).unwrap();
        open.shows("title", "in sync");
    }
    assert!(times.iter().any(|took| *took <= IN_TIME), "{times:?}");
    open.is_sound();
}

/// How soon a break is shown.
const IN_TIME: Duration = Duration::from_secs(2);

/// Waits until the title is this. Returns how long it took.
fn time_until_shown(open: &Open, title: &str) -> Duration {
    let begin = Instant::now();
    open.shows("title", title);
    begin.elapsed()
}

/// What the page says of a broken link is what INFO says.
fn shows_the_break(open: &Open) {
    // The reason changes from "closed" to "refused" at the next attempt to connect; then it stays.
    open.browser
        .wait_for("return document.getElementById('why').textContent.includes('refused')");
    assert_eq!(open.text("why"), open.info("redtail_health_why"));
    assert_eq!(open.text("advice"), open.info("redtail_health_advice"));
    assert_eq!(
        open.browser.run("return document.body.dataset.severity"),
        "warn"
    );
    assert!(
        open.browser
            .text("return document.title")
            .starts_with("disconnected: ")
    );
    open.shows_fact("glance", "Behind", "unknown");
    open.shows_fact("glance", "Reads", "answered");
    open.browser.wait_for(
        "return document.querySelector('[data-line=Behind] .value').textContent === 'link down'",
    );
    open.browser
        .wait_for("return document.querySelectorAll('[data-line=Behind] .bands rect').length > 0");
}

#[test]
fn a_primary_that_hangs_is_shown_in_the_words_of_info() {
    let Some(open) = Open::plain() else { return };
    wait_until_watched(&open.primary);
    // Of five attempts, one must be in time, as above.
    let mut times = Vec::new();
    while times.len() < 5 && !times.iter().any(|took| *took <= IN_TIME) {
        signal(&open.primary, Signal::SIGSTOP);
        times.push(time_until_shown(&open, "primary silent"));
        shows_the_silence(&open);
        signal(&open.primary, Signal::SIGCONT);
        open.shows("title", "in sync");
        open.shows_fact("glance", "Behind", "0 s");
    }
    assert!(times.iter().any(|took| *took <= IN_TIME), "{times:?}");
    open.is_sound();
}

fn shows_the_silence(open: &Open) {
    assert_eq!(open.text("why"), open.info("redtail_health_why"));
    assert_eq!(open.text("advice"), open.info("redtail_health_advice"));
    assert_eq!(
        open.browser.run("return document.body.dataset.severity"),
        "warn"
    );
    open.shows_fact("glance", "Behind", "unknown");
    open.shows_fact("glance", "Reads", "answered");
}

#[test]
fn data_that_is_too_old_is_shown_as_refused() {
    let Some(open) = Open::with(&[], |port| port, &["--max-staleness", "2s"]) else {
        return;
    };
    wait_until_watched(&open.primary);
    signal(&open.primary, Signal::SIGSTOP);
    open.shows("title", "stale");
    assert_eq!(open.text("why"), open.info("redtail_health_why"));
    assert_eq!(open.text("advice"), open.info("redtail_health_advice"));
    assert_eq!(
        open.browser.run("return document.body.dataset.severity"),
        "bad"
    );
    open.shows_fact("glance", "Behind", "unknown");
    open.shows_fact("glance", "Reads", "refused");
    assert!(
        open.redtail
            .command("GET a")
            .text()
            .starts_with("MASTERDOWN")
    );
    signal(&open.primary, Signal::SIGCONT);
    open.shows("title", "in sync");
    open.shows_fact("glance", "Reads", "answered");
    open.is_sound();
}

#[test]
fn a_snapshot_that_is_held_back_is_shown_with_both_sizes() {
    let guard = ["--resync-guard", "50", "--resync-floor", "0"];
    let Some(mut open) = Open::with(&[], |port| port, &guard) else {
        return;
    };
    for number in 0..100 {
        open.primary.command(&format!("SET key{number} old"));
    }
    open.redtail.wait_in_sync(&open.primary);
    let port = open.primary.port;
    open.primary.stop();
    open.primary = Server::start_on(PRIMARY, Some(port), None, &[]).unwrap();
    open.primary.command("SET key1 new");
    open.shows("title", "held back");
    assert_eq!(open.text("why"), open.info("redtail_health_why"));
    assert_eq!(open.text("advice"), open.info("redtail_health_advice"));
    assert_eq!(
        open.browser.run("return document.body.dataset.severity"),
        "warn"
    );
    open.shows("sync-title", "Snapshot held back");
    open.shows_fact("sync-facts", "It brings", "1 keys");
    open.shows_fact("sync-facts", "Served now", "100 keys");
    let served = open.text("sync-served");
    assert!(
        served.starts_with("Served meanwhile: the old data, 100 keys as of offset "),
        "{served}"
    );
    let sound = "return !document.getElementById('sync').hidden && document.getElementById('sync-bar').hidden";
    assert_eq!(open.browser.run(sound), true);
    open.shows_fact("glance", "Reads", "answered");
    signal(&open.redtail, Signal::SIGUSR1);
    open.shows("title", "in sync");
    open.shows_fact("glance", "Keys", "1");
    open.browser
        .wait_for("return document.getElementById('sync').hidden");
    open.is_sound();
}

#[test]
fn a_resync_is_shown_as_it_goes() {
    let mut proxy = None;
    let link = |port| proxy.insert(Proxy::start(port)).port;
    // A snapshot on the primary's disk has a size that the primary can tell.
    let config = ["--repl-diskless-sync", "no", "--rdbcompression", "no"];
    let Some(open) = Open::with(&config, link, &["--resync-floor", "0"]) else {
        return;
    };
    let proxy = proxy.unwrap();
    let writes: Vec<_> = (0..20_000)
        .map(|number| {
            vec![
                b"SET".to_vec(),
                format!("key:{number}").into_bytes(),
                vec![b'x'; 500],
            ]
        })
        .collect();
    open.primary.client().pipeline(&writes);
    open.shows_fact("glance", "Keys", "20,000");
    watch_answers(&open);
    proxy.plan_next(Plan {
        pace: Pace {
            piece: 16 << 10,
            pause: Duration::from_millis(10),
        },
        cut: None,
    });
    open.primary.command("DEBUG CHANGE-REPL-ID");
    proxy.cut_now(End::Fin);
    open.primary.command("SET only-here new");
    wait_for_status(&open, |status| {
        status["sync"]["loading"]["percent"]
            .as_f64()
            .is_some_and(|percent| percent > 10.0)
    });
    proxy.hold(true);
    shows_the_load(&open);
    shows_what_was_answered(&open);
    proxy.hold(false);
    proxy.plan(Plan {
        pace: FREE,
        cut: None,
    });
    let deadline = Instant::now() + PATIENCE;
    while open.text("title") != "in sync" {
        shows_what_was_answered(&open);
        assert!(Instant::now() < deadline, "the resync does not end");
    }
    open.shows_fact("glance", "Keys", "20,001");
    open.browser
        .wait_for("return document.getElementById('sync').hidden");
    shows_what_was_answered(&open);
    open.is_sound();
}

/// Waits until redtail says so of itself.
fn wait_for_status(open: &Open, done: impl Fn(&Json) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done(&open.status()) {
        assert!(Instant::now() < deadline, "{}", open.status());
    }
}

/// While nothing moves, the page says exactly what `/status.json` says.
fn shows_the_load(open: &Open) {
    open.shows("title", "resyncing");
    // What had passed the proxy may arrive until here.
    open.browser.wait_for(
        "return fetch('status.json').then((answer) => answer.json()).then(({ sync }) => \
         document.getElementById('sync-bar').getAttribute('aria-valuenow') === sync.loading.percent.toFixed(1))",
    );
    let status = open.status();
    assert_eq!(status["health"]["condition"], "resyncing");
    assert_eq!(status["health"]["why"], open.text("why"));
    assert_eq!(open.info("redtail_health_why"), open.text("why"));
    let percent = status["sync"]["loading"]["percent"].as_f64().unwrap();
    assert_eq!(open.text("sync-title"), format!("Snapshot: {percent:.1} %"));
    assert!((10.0..100.0).contains(&percent), "{percent}");
    let offset = &status["link"]["applied_offset"];
    assert_eq!(
        open.text("sync-served"),
        format!("Served meanwhile: the old data, 20,000 keys as of offset {offset}.")
    );
    open.shows_fact("glance", "Behind", "unknown");
    open.shows_fact("glance", "Reads", "answered");
    let sound = "const { width, height } = document.getElementById('sync-bar').getBoundingClientRect(); return width > 100 && height > 0";
    assert_eq!(open.browser.run(sound), true);
}

/// Keeps every answer that the page gets, so that its text can be compared with the very answer that it shows.
fn watch_answers(open: &Open) {
    open.browser.run(
        "const read = Response.prototype.json; \
         Response.prototype.json = async function () { \
             const answer = await read.call(this); \
             if (this.url.includes('status.json?since')) window.answered = answer; \
             return answer; \
         };",
    );
    open.browser
        .wait_for("return window.answered !== undefined");
}

/// The page's words and figures are those of the last answer: it mixes no two moments.
fn shows_what_was_answered(open: &Open) {
    let script = format!(
        "const {{ health, link, data, sync }} = window.answered; const text = (id) => document.getElementById(id).textContent; \
         return {{ said: [health.title, health.why, health.advice, data.keys.toLocaleString('en-US'), String(link.applied_offset), \
                           sync.loading === null, health.answers_reads ? 'answered' : 'refused', link.up], \
                   shown: [text('title'), text('why'), text('advice'), {}, {}, document.getElementById('sync-bar').hidden, {}, \
                           {} !== 'unknown'] }}",
        fact("glance", "Keys"),
        fact("link-facts", "Applied offset"),
        fact("glance", "Reads"),
        fact("glance", "Behind"),
    );
    let both = open.browser.run(&script);
    assert_eq!(both["said"], both["shown"]);
}

#[test]
fn says_that_redtail_is_gone_and_marks_old_figures() {
    let Some(mut open) = Open::plain() else {
        return;
    };
    open.primary.command("SET a b");
    open.shows_fact("glance", "Keys", "1");
    assert_eq!(marks(&open), 0);
    open.redtail.stop();
    open.shows("title", "no answer from redtail");
    let host = open
        .address
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned();
    open.shows("why", &format!("this page cannot reach redtail at {host}"));
    assert_eq!(
        open.browser.text("return document.title"),
        format!("no answer from redtail: {host}")
    );
    // Each section that shows figures says from when they are.
    let sections = open
        .browser
        .run("return document.querySelectorAll('main section').length");
    assert_eq!(Some(marks(&open)), sections.as_u64());
    assert!(
        open.text("since").starts_with("Since 2"),
        "{}",
        open.text("since")
    );
    // The browser itself notes each failed request; nothing else may be noted.
    let console = open.browser.console();
    assert!(
        console
            .iter()
            .all(|line| line.contains("ERR_CONNECTION_REFUSED")),
        "{console:?}"
    );
    let upstream = format!("redis://127.0.0.1:{}", open.primary.port);
    open.redtail = Server::redtail_of(&upstream, &["--http", &host]);
    open.shows("title", "in sync");
    assert_eq!(marks(&open), 0);
    open.shows_fact("glance", "Keys", "1");
}

/// The number of marks that say from when figures are.
fn marks(open: &Open) -> u64 {
    let script = "return [...document.querySelectorAll('.as-of')].filter((mark) => !mark.hidden && /^as of \\d/.test(mark.textContent)).length";
    open.browser.run(script).as_u64().unwrap()
}

#[test]
fn fits_a_phone_and_follows_light_and_dark() {
    let Some(open) = Open::plain() else { return };
    let long = "k".repeat(120);
    open.primary.command(&format!("SET {long}:{long} value"));
    open.primary.client().words(&[b"SET", b"two words", b"x"]);
    open.redtail.wait_in_sync(&open.primary);
    let mut client = open.redtail.client();
    client.command(&format!("CLIENT SETNAME {long}"));
    for width in [360, 768, 1024, 1440] {
        open.browser.resize(width, 760);
        open.browser
            .run("document.getElementById('map').scrollIntoView()");
        open.browser
            .wait_for("return document.querySelectorAll('#map a').length > 0");
        open.browser.wait_for(&format!(
            "return document.getElementById('client-rows').textContent.includes('{long}')"
        ));
        open.is_sound();
    }
    let lightness = "const shade = document.createElement('canvas').getContext('2d'); \
                     shade.fillStyle = getComputedStyle(document.body).backgroundColor; shade.fillRect(0, 0, 1, 1); \
                     return shade.getImageData(0, 0, 1, 1).data[0] > 128 ? 'light' : 'dark'";
    for scheme in ["dark", "light"] {
        open.browser.prefer(scheme);
        assert_eq!(open.browser.text(lightness), scheme);
    }
    // system, light, dark: the choice holds against the system's, and after the page is loaded again.
    open.browser.press(&['t', 't']);
    assert_eq!(open.browser.text(lightness), "dark");
    open.browser.open(&open.address);
    assert_eq!(open.browser.text(lightness), "dark");
    open.shows("theme", "Theme: dark");
    open.is_sound();
}

/// Names that would run a script if they were markup, or turn the words around them, or that are no text at all.
const HOSTILE: [&[u8]; 5] = [
    b"<img src=x onerror=\"window.owned=1\">",
    b"</td></table><script>window.owned=1</script>",
    "a\u{202e}gnp.exe".as_bytes(),
    b"line\nbreak\x00\x1b[31m",
    b"\xff\xfe:javascript:window.owned=1",
];

#[test]
fn the_keyboard_opens_the_map_and_hostile_names_stay_text() {
    let Some(open) = Open::plain() else { return };
    for number in 0..40 {
        open.primary
            .command(&format!("SET user:{number}:name {}", "x".repeat(400)));
    }
    for name in HOSTILE {
        open.primary.client().words(&[b"HSET", name, name, name]);
        open.primary
            .client()
            .words(&[b"SET", &[name, b":below"].concat(), name]);
    }
    open.redtail.wait_in_sync(&open.primary);
    let mut client = open.redtail.client();
    client.words(&[
        b"CLIENT",
        b"SETNAME",
        b"<b>bold</b><img/src=x/onerror=window.owned=1>",
    ]);
    open.browser.press(&['m']);
    open.browser
        .wait_for("return document.querySelectorAll('#map a').length > 5");
    open_by_keyboard(&open);
    walk_back(&open);
    open.browser.wait_for(
        "return document.getElementById('client-rows').textContent.includes('<b>bold</b>')",
    );
    let shown = open.text("key-rows");
    for name in [
        "<img src=x onerror=",
        "</td></table><script>",
        "a\\u{202e}gnp.exe",
        "\\xff\\xfe",
    ] {
        assert!(shown.contains(name), "{name} in {shown}");
    }
    let made = open
        .browser
        .run("return [window.owned ?? null, document.querySelectorAll('main img, main script, main b').length]");
    assert_eq!(made, serde_json::json!([null, 0]));
    open.is_sound();
}

/// Presses Tab until a tile has the focus, then Enter: the next level opens, and the focus stays in the section.
fn open_by_keyboard(open: &Open) {
    let wanted = "return document.activeElement.closest('#map') !== null && document.activeElement.textContent.startsWith('user:')";
    for _ in 0..40 {
        if open.browser.run(wanted) == true {
            break;
        }
        open.browser.press(&[TAB]);
    }
    assert_eq!(open.browser.run(wanted), true, "Tab does not reach the map");
    open.browser.press(&[ENTER]);
    open.browser
        .wait_for("return new URLSearchParams(location.hash.slice(6)).get('prefix') === 'user:'");
    open.browser
        .wait_for("return document.getElementById('key-rows').rows.length === 40");
    open.browser
        .wait_for("return document.activeElement.closest('#keys') !== null");
    open.shows("crumbs", "db0user:");
}

/// The back button and the key `u` close the level.
fn walk_back(open: &Open) {
    open.browser.run("history.back()");
    open.shows("crumbs", "db0");
    open.browser.run("history.forward()");
    open.shows("crumbs", "db0user:");
    open.browser.press(&['u']);
    open.shows("crumbs", "db0");
    open.browser
        .wait_for("return document.getElementById('key-rows').textContent.includes('user:')");
}

/// The words for figures, by the page's own functions in the browser that will call them.
#[test]
fn figures_are_said_in_units() {
    let Some(open) = Open::plain() else { return };
    let script = "return import('./words.js').then((words) => [
        [0, 1023, 1024, 1536, 1048575, 1048576, 3.3e12, null].map(words.bytes),
        [0, 0.000084, 0.0004, 0.0123, 0.5, 1.26, 59.4, 75, 3600 * 3 + 60, 86400 * 3 + 3600 * 4, null].map(words.seconds),
        [0, 59.9, 60, 86399].map(words.howLong),
        [0, 9.5, 999, 1000, 41234, 2.5e6].map(words.perSecond),
        [0, 1, 999, 4210335].map(words.count),
        [[1, 3], [0, 3], [1, 0], [1, 1e6]].map(([part, whole]) => words.share(part, whole)),
        ['plain', 'a\\u202eb', 'a\\nb\\u0000', 'x'.repeat(500)].map(words.foreign).map((text) => text.slice(-12)),
        [words.utc(1700000000000), words.UNKNOWN],
    ])";
    let expected = serde_json::json!([
        [
            "0 B", "1023 B", "1 KiB", "1.50 KiB", "1.00 MiB", "1 MiB", "3.00 TiB", "–"
        ],
        [
            "0 s",
            "84 µs",
            "400 µs",
            "12.3 ms",
            "500 ms",
            "1.3 s",
            "59 s",
            "1 min 15 s",
            "3 h 1 min",
            "3 d 4 h",
            "–"
        ],
        ["0 s", "59 s", "1 min 0 s", "23 h 59 min"],
        ["0/s", "9.50/s", "999/s", "1k/s", "41.2k/s", "2.50M/s"],
        ["0", "1", "999", "4,210,335"],
        ["33.3 %", "0.0 %", "–", "< 0.1 %"],
        ["plain", "a\\u{202e}b", "a\\u{a}b\\u{0}", "xxxxxxxxxxx…"],
        ["2023-11-14 22:13:20Z", "–"],
    ]);
    assert_eq!(open.browser.run(script), expected);
    the_map_fills_its_box(&open);
}

/// The tiles of the map fill its box, each with its part of the area, and none overlaps another.
fn the_map_fills_its_box(open: &Open) {
    let script = "return import('./keys.js').then(({ squares }) => {
        const sizes = [500, 300, 90, 40, 40, 20, 7, 2, 1];
        const boxes = squares(sizes, 800, 400);
        const apart = (a, b) => a.x + a.w <= b.x + 0.01 || b.x + b.w <= a.x + 0.01 || a.y + a.h <= b.y + 0.01 || b.y + b.h <= a.y + 0.01;
        return [
            boxes.every((box, at) => Math.abs(box.w * box.h - sizes[at] * 320) < 1),
            boxes.every((box) => box.x >= 0 && box.y >= 0 && box.x + box.w <= 800.01 && box.y + box.h <= 400.01),
            boxes.every((a, at) => boxes.slice(at + 1).every((b) => apart(a, b))),
            boxes.slice(0, 6).every((box) => Math.max(box.w / box.h, box.h / box.w) < 4),
        ];
    })";
    assert_eq!(
        open.browser.run(script),
        serde_json::json!([true, true, true, true])
    );
}
