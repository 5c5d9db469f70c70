//! The screen: lines of labels and facts, in the words of INFO, the log and the status page.

use super::facts::Facts;
use super::format::{bar, bytes, count, cut, percent, seconds, sparkline, wrap};
use super::history::{History, Rates};

/// The colour of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Dim,
    Good,
    Doubtful,
    Bad,
}

/// A line: pieces of text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Line(pub(super) Vec<(Tone, String)>);

impl Line {
    fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self(vec![(tone, text.into())])
    }

    /// Returns the text of the line without colours.
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// Returns the line as a terminal shows it.
    pub(super) fn painted(&self, in_colour: bool) -> String {
        if !in_colour {
            return self.text();
        }
        let paint = |(tone, text): &(Tone, String)| match tone {
            Tone::Plain => text.clone(),
            Tone::Dim => format!("\x1b[2m{text}\x1b[0m"),
            Tone::Good => format!("\x1b[1;32m{text}\x1b[0m"),
            Tone::Doubtful => format!("\x1b[1;33m{text}\x1b[0m"),
            Tone::Bad => format!("\x1b[1;31m{text}\x1b[0m"),
        };
        self.0.iter().map(paint).collect()
    }
}

/// What a screen shows.
pub(super) struct Shown<'a> {
    pub(super) address: &'a str,
    pub(super) facts: &'a Facts,
    pub(super) rates: Rates,
    pub(super) history: Option<&'a History>,
    /// The width of a line; without one, nothing is broken or cut.
    pub(super) width: Option<usize>,
}

/// The width of the labels.
const LABEL: usize = 9;

/// The width of the small charts.
const CHART: usize = 30;

impl Shown<'_> {
    /// Returns all lines, the most important first.
    pub(super) fn lines(&self) -> Vec<Line> {
        let mut lines = vec![self.head()];
        if self.facts.is_redtail() {
            lines.extend(self.health());
        } else {
            let said = format!("{}. What it says of itself:", self.facts.stranger());
            lines.extend(self.sentences("", Tone::Doubtful, &said));
        }
        lines.push(Line::default());
        lines.extend(self.shards());
        let rows = [
            ("Loading", self.loading(), None),
            ("Held back", self.held_back(), None),
            ("Primary", self.upstream(), None),
            ("Offset", self.offset(), None),
            ("Lag", self.lag(), self.chart(|history| &history.lag_bytes)),
            (
                "Stream",
                self.stream(),
                self.chart(|history| &history.stream_bytes),
            ),
            ("Reads", self.reads(), self.chart(|history| &history.reads)),
            ("p99", self.p99(), self.chart(|history| &history.p99)),
            ("Data", self.data(), None),
            ("Syncs", self.syncs(), None),
            ("Memory", self.memory(), None),
            ("Clients", self.clients(), None),
            ("State", self.state(), None),
        ];
        for (label, text, chart) in rows {
            if let Some(text) = text {
                lines.extend(self.row(label, &text, chart));
            }
        }
        lines.extend(self.slowest());
        lines
    }

    fn head(&self) -> Line {
        let facts = self.facts;
        let mut parts = match facts.text("/redtail/version") {
            Some(version) => vec![format!("redtail {version} at {}", self.address)],
            None => vec![self.address.to_owned()],
        };
        if facts.is_redtail() {
            let dialect = facts.text("/redtail/dialect");
            parts.extend(dialect.map(|dialect| format!("answers as {dialect}")));
        }
        let uptime = facts.number("/redtail/uptime_seconds");
        parts.extend(uptime.map(|uptime| format!("up {}", seconds(uptime))));
        let text = parts.join(", ");
        Line::toned(
            Tone::Dim,
            self.width.map_or(text.clone(), |width| cut(&text, width)),
        )
    }

    /// Returns the condition, its reason, what to do, and the warnings.
    fn health(&self) -> Vec<Line> {
        let facts = self.facts;
        let tone = tone(facts);
        let title = facts.text("/health/title").unwrap_or_default();
        let mut headline = Line::toned(tone, title);
        if let Some(time) = facts.number("/health/for_seconds") {
            headline
                .0
                .push((Tone::Plain, format!(" for {}", seconds(time))));
        }
        let mut lines = vec![headline];
        let why = facts.text("/health/why").unwrap_or_default();
        lines.extend(self.sentences("", Tone::Plain, &why));
        if let Some(advice) = facts.text("/health/advice") {
            lines.extend(self.sentences("", tone, &advice));
        }
        for warning in facts.texts("/health/warnings") {
            lines.extend(self.sentences("Warning: ", Tone::Doubtful, &warning));
        }
        lines
    }

    fn sentences(&self, label: &str, tone: Tone, text: &str) -> Vec<Line> {
        let text = format!("{label}{text}");
        let Some(width) = self.width else {
            return vec![Line::toned(tone, text)];
        };
        let lines = wrap(&text, width).into_iter();
        lines.map(|line| Line::toned(tone, line)).collect()
    }

    /// Returns a label with its text, and a chart if there is room for it.
    fn row(&self, label: &str, text: &str, chart: Option<String>) -> Vec<Line> {
        let label = format!("{label:LABEL$} ");
        let Some(width) = self.width else {
            return vec![Line(vec![
                (Tone::Dim, label),
                (Tone::Plain, text.to_owned()),
            ])];
        };
        let room = width.saturating_sub(LABEL + 1);
        let is_wide = text.chars().count() + 2 + CHART <= room;
        let mut lines = Vec::new();
        for (index, part) in wrap(text, room).into_iter().enumerate() {
            let before = if index == 0 {
                label.clone()
            } else {
                " ".repeat(LABEL + 1)
            };
            lines.push(Line(vec![(Tone::Dim, before), (Tone::Plain, part)]));
        }
        if let (Some(chart), true, Some(line)) = (chart, is_wide, lines.first_mut()) {
            let gap = room.saturating_sub(text.chars().count() + chart.chars().count());
            line.0.push((Tone::Plain, " ".repeat(gap)));
            line.0.push((Tone::Dim, chart));
        }
        lines
    }

    fn chart(&self, of: impl Fn(&History) -> &Vec<f64>) -> Option<String> {
        let numbers = of(self.history?);
        (numbers.len() > 1).then(|| sparkline(numbers, CHART))
    }

    /// Returns the slots of a cluster, and a line for each of its shards.
    fn shards(&self) -> Vec<Line> {
        let facts = self.facts;
        if !facts.has("/cluster") {
            return Vec::new();
        }
        let shards = facts.list("/cluster/shards");
        let slots = |name: &str| facts.number(name).map_or("?".to_owned(), count);
        let (served, followed) = (
            slots("/cluster/slots_served"),
            slots("/cluster/slots_followed"),
        );
        let moving = match facts.flag("/cluster/settled") {
            Some(false) => ", not settled",
            _ => "",
        };
        let head = format!(
            "{}, {served} of {followed} slots served{moving}",
            shards.len()
        );
        let mut lines = self.row("Shards", &head, None);
        for shard in &shards {
            lines.extend(self.row("", &shard_in_words(shard), None));
        }
        lines
    }

    fn loading(&self) -> Option<String> {
        let facts = self.facts;
        if !facts.has("/sync/loading") {
            return None;
        }
        let arrived = bytes(facts.number("/sync/loading/bytes").unwrap_or(0.0));
        let mut parts = match (
            facts.number("/sync/loading/percent"),
            facts.number("/sync/loading/bytes_expected"),
        ) {
            (Some(percent), Some(expected)) => vec![format!(
                "{} {percent:.1}%, {arrived} of {}",
                bar(percent, 10),
                bytes(expected)
            )],
            _ => vec![format!(
                "{arrived} of a size that the primary has not announced"
            )],
        };
        let keys = facts.number("/sync/loading/keys");
        parts.extend(keys.map(|keys| format!("{} keys", count(keys))));
        let left = facts.number("/sync/loading/seconds_left");
        parts.extend(left.map(|left| format!("{} left", seconds(left))));
        Some(parts.join(", "))
    }

    fn held_back(&self) -> Option<String> {
        let facts = self.facts;
        let keys = count(facts.number("/sync/held_back/keys")?);
        let time = facts.number("/sync/held_back/for_seconds").map(seconds);
        Some(format!(
            "a snapshot of {keys} keys, for {}",
            time.unwrap_or_default()
        ))
    }

    fn upstream(&self) -> Option<String> {
        let facts = self.facts;
        let upstream = facts.text("/link/upstream")?;
        let silent = facts.number("/link/silent_seconds");
        let link = match (facts.flag("/link/up")?, facts.number("/link/down_seconds")) {
            (true, _) if silent.is_some() => "silent".to_owned(),
            (true, _) => "link up".to_owned(),
            (false, Some(time)) => format!("link down for {}", seconds(time)),
            (false, None) => "link down".to_owned(),
        };
        let mut parts = vec![upstream, link];
        let ago = facts.number("/link/last_byte_seconds_ago");
        parts.extend(ago.map(|ago| format!("last byte {} ago", seconds(ago))));
        Some(parts.join(", "))
    }

    fn offset(&self) -> Option<String> {
        let facts = self.facts;
        let applied = facts.number("/link/applied_offset");
        let received = facts.number("/link/received_offset");
        match (applied, received) {
            (Some(applied), Some(received)) => {
                Some(format!("{applied:.0} applied, {received:.0} received"))
            }
            _ => {
                let offset = facts.number("/server/offset").or(applied)?;
                let replicas = facts
                    .number("/server/replicas")
                    .filter(|count| *count > 0.0);
                let fed = replicas.map_or(String::new(), |many| {
                    format!(", {many:.0} replicas connected")
                });
                Some(format!("{offset:.0}{fed}"))
            }
        }
    }

    fn lag(&self) -> Option<String> {
        let facts = self.facts;
        let behind = bytes(facts.number("/link/lag_bytes")?);
        let time = facts.number("/link/lag_seconds");
        let time = time.map_or(String::new(), |time| format!(", {}", seconds(time)));
        let spool = facts
            .number("/link/spool_file_bytes")
            .filter(|bytes| *bytes > 0.0);
        let spool = spool.map_or(String::new(), |spooled| {
            format!(", {} in the spool file", bytes(spooled))
        });
        Some(format!("{behind} behind{time}{spool}"))
    }

    fn stream(&self) -> Option<String> {
        let facts = self.facts;
        let rate = self
            .rates
            .stream_bytes
            .or_else(|| facts.number("/stream/bytes_per_second"));
        let commands = self
            .rates
            .stream_commands
            .or_else(|| facts.number("/stream/commands_per_second"));
        let mut parts = Vec::new();
        parts.extend(rate.map(|rate| format!("{}/s", bytes(rate))));
        parts.extend(commands.map(|rate| format!("{} commands/s", count(rate))));
        if parts.is_empty() {
            let total = facts.number("/stream/commands")?;
            parts.push(format!("{} commands applied", count(total)));
        }
        let failed = facts
            .number("/stream/failed_writes")
            .filter(|failed| *failed > 0.0);
        parts.extend(failed.map(|failed| format!("{} failed writes", count(failed))));
        Some(parts.join(", "))
    }

    fn reads(&self) -> Option<String> {
        let facts = self.facts;
        let rate = self
            .rates
            .reads
            .or_else(|| facts.number("/reads/per_second"))?;
        let mut parts = vec![format!("{}/s", count(rate))];
        if let (Some(hits), Some(misses)) =
            (facts.number("/reads/hits"), facts.number("/reads/misses"))
        {
            let looked = hits + misses;
            parts.extend((looked > 0.0).then(|| format!("{} hits", percent(hits, looked))));
        }
        let total = facts.number("/reads/total");
        parts.extend(total.map(|total| format!("{} in all", count(total))));
        Some(parts.join(", "))
    }

    fn p99(&self) -> Option<String> {
        let facts = self.facts;
        if let Some(p99) = facts.number("/reads/p99_seconds") {
            return Some(seconds(p99));
        }
        let p99 = seconds(facts.number("/reads/busiest/p99_seconds")?);
        Some(format!(
            "{p99} for {}, the command called most",
            facts.text("/reads/busiest/name")?
        ))
    }

    fn data(&self) -> Option<String> {
        let facts = self.facts;
        let mut parts = vec![format!("{} keys", count(facts.number("/data/keys")?))];
        let databases = facts.list("/data/databases").len();
        if databases > 1 {
            parts.push(format!("{databases} databases"));
        }
        let expires = facts.number("/data/expires").filter(|keys| *keys > 0.0);
        parts.extend(expires.map(|keys| format!("{} expire", count(keys))));
        let size = facts.number("/data/bytes");
        parts.extend(size.map(bytes));
        let doubted = facts
            .number("/data/tainted_keys")
            .filter(|keys| *keys > 0.0);
        parts.extend(doubted.map(|keys| format!("{} answer TAINTED", count(keys))));
        Some(parts.join(", "))
    }

    fn syncs(&self) -> Option<String> {
        let facts = self.facts;
        let full = count(facts.number("/sync/full")?);
        let partial = count(facts.number("/sync/partial").unwrap_or(0.0));
        let failed = facts
            .number("/sync/loads_failed")
            .filter(|failed| *failed > 0.0);
        let failed = failed.map_or(String::new(), |failed| {
            format!(", {} loads failed", count(failed))
        });
        Some(format!("{full} full, {partial} partial{failed}"))
    }

    fn memory(&self) -> Option<String> {
        let facts = self.facts;
        let mut parts = vec![format!(
            "{} resident",
            bytes(facts.number("/memory/resident_bytes")?)
        )];
        let peak = facts.number("/memory/peak_bytes");
        parts.extend(peak.map(|peak| format!("{} at the peak", bytes(peak))));
        let data = facts.number("/memory/data_bytes");
        parts.extend(data.map(|data| format!("{} of data", bytes(data))));
        Some(parts.join(", "))
    }

    fn clients(&self) -> Option<String> {
        let facts = self.facts;
        let connected = count(facts.number("/clients/connected")?);
        let max = facts.number("/clients/max");
        let max = max.map_or(String::new(), |max| format!(" of {}", count(max)));
        let rejected = facts
            .number("/clients/rejected")
            .filter(|count| *count > 0.0);
        let rejected = rejected.map_or(String::new(), |many| format!(", {} rejected", count(many)));
        Some(format!("{connected}{max}{rejected}"))
    }

    fn state(&self) -> Option<String> {
        let facts = self.facts;
        let keeps = facts.flag("/state/keeps")?;
        let size = |path: &str| bytes(facts.number(path).unwrap_or(0.0));
        Some(if keeps {
            format!(
                "kept: a snapshot of {}, {} of log",
                size("/state/snapshot_bytes"),
                size("/state/log_bytes")
            )
        } else {
            "not kept".to_owned()
        })
    }

    /// Returns the slowest commands, if they are known.
    fn slowest(&self) -> Vec<Line> {
        let slow = self.facts.list("/reads/slowest");
        let rows = slow
            .iter()
            .take(SLOWEST)
            .enumerate()
            .filter_map(|(index, one)| {
                let text = format!(
                    "{} {}",
                    seconds(one.number("/seconds")?),
                    one.text("/command")?
                );
                let text = self.width.map_or(text.clone(), |width| {
                    cut(&text, width.saturating_sub(LABEL + 1))
                });
                Some(self.row(if index == 0 { "Slowest" } else { "" }, &text, None))
            });
        rows.flatten().collect()
    }
}

/// Returns a shard in a line: its server, its state, how far it is behind, and what it has.
fn shard_in_words(shard: &Facts) -> String {
    let mut parts = Vec::new();
    parts.extend(shard.text("/link/upstream"));
    parts.extend(shard.text("/title"));
    // Without a link, nobody knows.
    let is_up = shard.flag("/link/up") == Some(true);
    let behind = shard.number("/link/lag_bytes").filter(|_| is_up);
    parts.extend(behind.map(|behind| format!("{} behind", bytes(behind))));
    let slots = shard.number("/slots");
    parts.extend(slots.map(|slots| format!("{} slots", count(slots))));
    let keys = shard.number("/keys");
    parts.extend(keys.map(|keys| format!("{} keys", count(keys))));
    parts.extend(shard.number("/bytes").map(bytes));
    let name: String = shard
        .text("/name")
        .unwrap_or_default()
        .chars()
        .take(8)
        .collect();
    format!("{name}  {}", parts.join(", "))
}

/// How many of the slowest commands are shown.
const SLOWEST: usize = 3;

/// Returns the colour of a condition.
fn tone(facts: &Facts) -> Tone {
    match (
        facts.text("/health/condition").as_deref(),
        facts.flag("/health/answers_reads"),
    ) {
        (Some("in_sync"), _) => Tone::Good,
        (_, Some(true)) => Tone::Doubtful,
        _ => Tone::Bad,
    }
}
