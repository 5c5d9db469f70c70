//! Memory figures: what INFO and MEMORY STATS report.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::command::rows::{Error, Host, SessionCx};
use crate::resp::{Args, Reply};
use crate::store::{Figures, Generation};

/// Bytes and keys, collected once.
pub(super) struct Memory {
    /// Bytes of all data, with what holds it.
    pub(super) held: u64,
    /// All keys.
    pub(super) keys: u64,
    /// Resident bytes of the process.
    pub(super) resident: u64,
    /// The peak of those bytes.
    pub(super) resident_peak: u64,
    /// Bytes of the requests and replies of all connections.
    pub(super) clients: u64,
}

impl Memory {
    pub(super) fn of(figures: &[Figures], clients: u64) -> Self {
        let (resident, resident_peak) = resident();
        Self {
            held: figures.iter().map(|db| db.memory_bytes as u64).sum(),
            keys: figures.iter().map(|db| db.keys as u64).sum(),
            resident,
            resident_peak,
            clients,
        }
    }

    /// Returns the most memory ever held: the process's peak.
    pub(super) fn peak(&self) -> u64 {
        self.resident_peak.max(self.held)
    }
}

/// Returns when this peak was first seen, in seconds since 1970. The system does not say when the process reached it.
pub(super) fn peak_time(peak: u64) -> u64 {
    static SEEN: Mutex<(u64, u64)> = Mutex::new((0, 0));
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if peak > seen.0 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        *seen = (peak, now.map_or(0, |since| since.as_secs()));
    }
    seen.1
}

/// Returns the figures of all databases of the data, those of a cluster's shards together.
pub(super) fn figures<'g>(data: impl IntoIterator<Item = &'g Generation>) -> Vec<Figures> {
    Figures::by_database(data.into_iter().flat_map(|one| one.spaces.figures()))
}

/// Returns the process's resident bytes, now and at the peak, or 0 if `/proc` does not say.
#[must_use]
pub fn resident() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        number.unwrap_or(0) * 1024
    };
    (kib("VmRSS:"), kib("VmHWM:"))
}

/// Returns the bytes of the requests and replies of all connections.
pub(super) fn of_clients(host: &dyn Host) -> u64 {
    let clients = host.clients();
    let bytes = clients.iter().map(|client| {
        let shown = client.shown();
        (shown.query_bytes + shown.reply_bytes) as u64
    });
    bytes.sum()
}

/// Returns `part / of`, or 0 if `of` is 0.
pub(super) fn ratio(part: u64, of: u64) -> f64 {
    if of == 0 {
        0.0
    } else {
        part as f64 / of as f64
    }
}

/// A figure of MEMORY STATS.
enum Figure {
    Count(u64),
    Ratio(f64),
    /// One map for each database.
    Databases,
}

/// Source: redis 6.0 to 8.0, valkey 8.1 and 9.1 object.c, `memoryCommand`.
pub(super) fn stats(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let figures = match cx.cluster {
        None => figures(cx.generation),
        Some(cluster) => figures(cluster.all()),
    };
    let memory = Memory::of(&figures, of_clients(cx.host));
    let dialect = cx.reply.dialect();
    let mut fields = fields(&memory);
    fields.retain(|(name, _)| dialect.shows_memory_field(name));
    let databases: Vec<Figures> = figures.into_iter().filter(|db| db.keys > 0).collect();
    cx.reply.map(fields.len() - 1 + databases.len());
    for (name, figure) in fields {
        match figure {
            Figure::Count(count) => {
                cx.reply.bulk(name.as_bytes());
                cx.reply.integer(count.cast_signed());
            }
            Figure::Ratio(ratio) => {
                cx.reply.bulk(name.as_bytes());
                cx.reply.double(ratio);
            }
            Figure::Databases => databases.iter().for_each(|db| database(cx.reply, db)),
        }
    }
    Ok(())
}

/// Writes a database's tables. Their bytes are counted with the data.
fn database(reply: &mut Reply, db: &Figures) {
    const TABLES: [&str; 3] = [
        "overhead.hashtable.main",
        "overhead.hashtable.expires",
        "overhead.hashtable.slot-to-keys",
    ];
    let dialect = reply.dialect();
    let shown = || {
        TABLES
            .iter()
            .filter(|name| dialect.shows_memory_field(name))
    };
    reply.bulk(format!("db.{}", db.db).as_bytes());
    reply.map(shown().count());
    for name in shown() {
        reply.bulk(name.as_bytes());
        reply.integer(0);
    }
}

/// Returns all fields of all versions, in their order.
fn fields(memory: &Memory) -> Vec<(&'static str, Figure)> {
    use Figure::{Count, Databases, Ratio};
    let (held, resident, peak) = (memory.held, memory.resident, memory.peak());
    let beyond = resident.saturating_sub(held);
    vec![
        ("peak.allocated", Count(peak)),
        ("total.allocated", Count(held)),
        ("startup.allocated", Count(0)),
        ("replication.backlog", Count(0)),
        ("replica.fullsync.buffer", Count(0)),
        ("replicas.repl.buffer", Count(0)),
        ("clients.slaves", Count(0)),
        ("clients.normal", Count(memory.clients)),
        ("cluster.links", Count(0)),
        ("cluster.slot_import", Count(0)),
        ("cluster.slot_export", Count(0)),
        ("aof.buffer", Count(0)),
        ("lua.caches", Count(0)),
        ("functions.caches", Count(0)),
        ("script.VMs", Count(0)),
        ("", Databases),
        ("overhead.db.hashtable.lut", Count(0)),
        ("overhead.db.hashtable.rehashing", Count(0)),
        ("overhead.total", Count(0)),
        ("db.dict.rehashing.count", Count(0)),
        ("keys.count", Count(memory.keys)),
        (
            "keys.bytes-per-key",
            Count(held.checked_div(memory.keys).unwrap_or(0)),
        ),
        ("dataset.bytes", Count(held)),
        ("dataset.percentage", Ratio(ratio(held, held) * 100.0)),
        ("peak.percentage", Ratio(ratio(held, peak) * 100.0)),
        ("allocator.allocated", Count(held)),
        ("allocator.active", Count(resident)),
        ("allocator.resident", Count(resident)),
        ("allocator.muzzy", Count(0)),
        (
            "allocator-fragmentation.ratio",
            Ratio(ratio(resident, held)),
        ),
        ("allocator-fragmentation.bytes", Count(beyond)),
        ("allocator-rss.ratio", Ratio(1.0)),
        ("allocator-rss.bytes", Count(0)),
        ("rss-overhead.ratio", Ratio(1.0)),
        ("rss-overhead.bytes", Count(0)),
        ("fragmentation", Ratio(ratio(resident, held))),
        ("fragmentation.bytes", Count(beyond)),
    ]
}
