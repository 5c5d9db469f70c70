//! The replica: its health, the link, syncs, the stream, the data, and the state directory.

use std::fmt::Error;

use super::sheet::{Buckets, Sheet, flag, label, number, seconds};
use crate::command::{Condition, KeptState, Replication, SyncNames};
use crate::http::facts::Facts;

/// The states of the link, in ROLE's words.
const LINK_STATES: [&str; 5] = ["connect", "connecting", "handshake", "sync", "connected"];

pub(super) fn write(sheet: &mut Sheet<'_>, facts: &Facts) -> Result<(), Error> {
    let replication = &facts.replication;
    health(sheet, facts)?;
    link(sheet, replication)?;
    lag(sheet, replication)?;
    syncs(sheet, replication)?;
    loads(sheet, replication)?;
    stream(sheet, replication)?;
    data(sheet, facts)?;
    state(sheet, replication.kept.as_ref())
}

fn health(sheet: &mut Sheet<'_>, facts: &Facts) -> Result<(), Error> {
    let seen = &facts.seen;
    let now = seen.health.condition;
    sheet.gauges(
        "redtail_health",
        "The state of the replica as a whole: 1 for the condition that holds, 0 for all others.",
        Condition::ALL
            .into_iter()
            .filter(|one| facts.cluster.is_some() || !one.is_of_clusters())
            .map(|one| (label("condition", one.word()), flag(one == now))),
    )?;
    sheet.gauge(
        "redtail_health_seconds",
        "How long the condition has held.",
        seen.for_how_long.as_secs_f64(),
    )?;
    sheet.gauge(
        "redtail_answers_reads",
        "1 while reads are answered, 0 while they are refused (LOADING, MASTERDOWN).",
        flag(now.answers_reads()),
    )?;
    sheet.gauge(
        "redtail_warnings",
        "What else is wrong, in number: /status.json and INFO have the sentences.",
        number(seen.health.warnings.len()),
    )
}

fn link(sheet: &mut Sheet<'_>, replication: &Replication) -> Result<(), Error> {
    sheet.gauge(
        "redtail_link_up",
        "1 while the stream of the primary arrives, 0 while the link is down or brings a snapshot.",
        flag(replication.down_for.is_none()),
    )?;
    sheet.gauges(
        "redtail_link_state",
        "The state of the link to the primary, in the words of ROLE: 1 for the one that it is in.",
        LINK_STATES.map(|state| (label("state", state), flag(state == replication.state))),
    )?;
    sheet.gauge(
        "redtail_link_state_seconds",
        "How long the link has been in its state.",
        replication.in_state_for.as_secs_f64(),
    )?;
    sheet.gauge(
        "redtail_link_down_seconds",
        "How long no stream has arrived; 0 while the link is up.",
        seconds(replication.down_for).unwrap_or(0.0),
    )?;
    sheet.gauge_if(
        "redtail_link_last_byte_age_seconds",
        "How long ago the last byte arrived from the primary. Primaries send something every ten seconds by default.",
        seconds(replication.last_io),
    )?;
    sheet.gauge(
        "redtail_link_silent_seconds",
        "How long the primary has given no sign of life although the link is up; 0 while it gives any. Always 0 with \
         --watch-primary no.",
        seconds(replication.silent_for).unwrap_or(0.0),
    )?;
    sheet.gauge(
        "redtail_link_needs_a_person",
        "1 if the link cannot come up until someone has fixed what the log and INFO name: a wrong password, for example.",
        flag(replication.needs_a_person),
    )?;
    sheet.counter(
        "redtail_received_bytes",
        "Bytes received from the primary, snapshots included.",
        number(replication.input_bytes),
    )
}

fn lag(sheet: &mut Sheet<'_>, replication: &Replication) -> Result<(), Error> {
    sheet.gauge(
        "redtail_applied_offset_bytes",
        "The replication offset up to which the stream is visible to readers.",
        number(replication.applied_offset),
    )?;
    sheet.gauge(
        "redtail_received_offset_bytes",
        "The replication offset up to which the stream has been received.",
        number(replication.received_offset),
    )?;
    sheet.gauge_if(
        "redtail_lag_bytes",
        "Bytes of the stream that have been received and are not visible yet. Absent before the first sync.",
        replication.lag.map(|_| number(replication.lag_bytes())),
    )?;
    sheet.gauge_if(
        "redtail_lag_seconds",
        "How far the served data is behind, at least: the age of the oldest received byte that is not visible, 0 if there is none. \
         While no stream arrives, the age of the data, as redtail_proof_age_seconds. Absent before the first sync.",
        seconds(replication.lag),
    )?;
    sheet.gauge_if(
        "redtail_proof_age_seconds",
        "How far the served data is behind, at most: everything that the primary had written this long ago is visible. With \
         --max-staleness redtail asks the primary for proof; without, the last byte that has become visible is all that is known. \
         Absent before the first sync.",
        seconds(replication.proven_ago),
    )?;
    sheet.gauge(
        "redtail_stale",
        "1 while reads are refused because the data may be older than --max-staleness allows.",
        flag(replication.stale),
    )?;
    sheet.histograms(
        "redtail_visible_after_seconds",
        "How long it took from the arrival of bytes of the stream until readers saw what they change.",
        [(Vec::new(), Buckets::of(&replication.visibility))],
    )
}

fn names(names: SyncNames) -> Vec<(&'static str, String)> {
    vec![
        ("kind", names.kind.to_owned()),
        ("cause", names.cause.to_owned()),
    ]
}

fn syncs(sheet: &mut Sheet<'_>, replication: &Replication) -> Result<(), Error> {
    let all = &replication.syncs_by_cause;
    sheet.histograms(
        "redtail_sync_duration_seconds",
        "How long the syncs took that succeeded, by kind (full: a snapshot; partial: what had been missed) and cause.",
        all.iter().map(|of| (names(of.names), Buckets::of(&of.took))),
    )?;
    sheet.counters(
        "redtail_sync_failures",
        "Syncs that broke off or whose snapshot could not be loaded, by kind and cause.",
        all.iter().map(|of| (names(of.names), number(of.failed))),
    )?;
    let running = replication.syncing;
    sheet.gauge(
        "redtail_sync_in_progress",
        "1 while a sync is under way.",
        flag(running.is_some()),
    )?;
    sheet.gauge(
        "redtail_sync_in_progress_seconds",
        "How long the sync under way has taken so far; 0 if there is none.",
        running.map_or(0.0, |(_, since)| since.as_secs_f64()),
    )?;
    let last_full = replication
        .syncs
        .iter()
        .rfind(|sync| sync.names.kind == "full" && !sync.failed);
    let at = last_full.map(|sync| sync.at_ms as f64 / 1000.0 + sync.took.as_secs_f64());
    let figures = [
        (
            "redtail_last_full_sync_timestamp_seconds",
            "When the last full sync was done, in Unix seconds.",
            at,
        ),
        (
            "redtail_last_full_sync_duration_seconds",
            "How long the last full sync took.",
            last_full.map(|sync| sync.took.as_secs_f64()),
        ),
        (
            "redtail_last_full_sync_bytes",
            "Bytes of the snapshot of the last full sync.",
            last_full.map(|sync| number(sync.bytes)),
        ),
        (
            "redtail_last_full_sync_keys",
            "Keys of the snapshot of the last full sync.",
            last_full.map(|sync| number(sync.keys)),
        ),
    ];
    for (name, help, value) in figures {
        sheet.gauge_if(name, help, value)?;
    }
    sheet.counter(
        "redtail_partial_syncs_refused",
        "Times that redtail asked to go on where it was, and the primary sent all its data.",
        number(replication.partial_syncs_refused),
    )
}

fn loads(sheet: &mut Sheet<'_>, replication: &Replication) -> Result<(), Error> {
    let loading = replication.loading;
    sheet.gauge(
        "redtail_loading",
        "1 while a snapshot is being loaded. Reads are answered from the old data meanwhile, if there is any.",
        flag(loading.is_some()),
    )?;
    let loading = loading.unwrap_or_default();
    sheet.gauge(
        "redtail_loading_bytes",
        "Bytes of the snapshot loaded so far; 0 if none is being loaded.",
        number(loading.bytes),
    )?;
    sheet.gauge(
        "redtail_loading_expected_bytes",
        "Bytes of the whole snapshot being loaded; 0 if the primary does not say, or if none is being loaded.",
        number(loading.bytes_expected),
    )?;
    sheet.gauge(
        "redtail_loading_keys",
        "Keys of the snapshot loaded so far; 0 if none is being loaded.",
        number(loading.keys),
    )?;
    sheet.counters(
        "redtail_loads",
        "Snapshots that were loaded, from the primary or the state directory, and those that could not be.",
        [
            (label("outcome", "completed"), number(replication.loads_completed)),
            (label("outcome", "failed"), number(replication.loads_failed)),
        ],
    )?;
    let held = replication.held;
    sheet.gauge(
        "redtail_resync_held",
        "1 while a snapshot is held back because it brings far fewer keys than are served (--resync-guard).",
        flag(held.is_some()),
    )?;
    sheet.gauge(
        "redtail_resync_held_keys",
        "Keys of the snapshot that is held back; 0 if none is.",
        held.map_or(0.0, |held| number(held.keys)),
    )?;
    sheet.gauge(
        "redtail_resync_held_seconds",
        "How long a snapshot has been held back; 0 if none is.",
        held.map_or(0.0, |held| held.since.as_secs_f64()),
    )
}

fn stream(sheet: &mut Sheet<'_>, replication: &Replication) -> Result<(), Error> {
    let counters = [
        (
            "redtail_stream_commands",
            "Commands of the primary's stream that were applied.",
            replication.applied_commands,
        ),
        (
            "redtail_stream_failed_writes",
            "Writes of the stream that could not be applied. Their keys answer TAINTED until the next full sync.",
            replication.failed_writes,
        ),
        (
            "redtail_stream_unknown_commands",
            "Commands of the stream that redtail does not know. Each taints all keys.",
            replication.unknown_commands,
        ),
        (
            "redtail_stream_scripts",
            "Scripts that arrived in the stream as their text, and were run.",
            replication.scripts,
        ),
        (
            "redtail_stream_published_messages",
            "Messages that clients of the primary published. redtail passes them over.",
            replication.published,
        ),
        (
            "redtail_stream_direct_reads",
            "Pieces of the stream that the writer read from the socket itself, because it keeps up.",
            replication.direct_reads,
        ),
        (
            "redtail_spooled_bytes",
            "Received bytes that waited for the writer in a file.",
            replication.spooled_bytes,
        ),
        (
            "redtail_waiting_reads",
            "Requests of clients that waited until what had arrived was visible.",
            replication.reads_that_waited,
        ),
        (
            "redtail_waiting_reads_in_vain",
            "Those among them that gave up after a millisecond, and were answered from what was visible.",
            replication.reads_that_waited_in_vain,
        ),
        (
            "redtail_discarded_values",
            "Values that were discarded long after their key expired (--expired-grace).",
            replication.swept_keys,
        ),
        (
            "redtail_discarded_bytes",
            "Bytes that this freed.",
            replication.swept_bytes,
        ),
    ];
    for (name, help, value) in counters {
        sheet.counter(name, help, number(value))?;
    }
    let passed = replication.passed.iter();
    sheet.counters(
        "redtail_stream_passed_over",
        "Commands of the stream that change no data, and were passed over.",
        passed.map(|(name, count)| (label("command", name.to_string()), number(*count))),
    )?;
    sheet.gauges(
        "redtail_spool_bytes",
        "Received bytes that wait for the writer now.",
        [
            (
                label("place", "memory"),
                number(replication.spool_memory_bytes),
            ),
            (label("place", "file"), number(replication.spool_file_bytes)),
        ],
    )
}

fn data(sheet: &mut Sheet<'_>, facts: &Facts) -> Result<(), Error> {
    let databases = &facts.databases;
    let each = |value: fn(&crate::store::Figures) -> usize| {
        let values = databases.iter();
        values.map(move |db| (label("db", db.db.to_string()), number(value(db))))
    };
    sheet.gauges(
        "redtail_db_keys",
        "Keys of a database, expired ones included.",
        each(|db| db.keys),
    )?;
    sheet.gauges(
        "redtail_db_expiring_keys",
        "Keys of a database that have an expiry.",
        each(|db| db.expires),
    )?;
    sheet.gauges(
        "redtail_db_bytes",
        "Bytes of a database: entries, values and tables.",
        each(|db| db.memory_bytes),
    )?;
    let kinds = |value: fn(&crate::store::KindFigures) -> usize| {
        let values = databases
            .iter()
            .flat_map(|db| db.kinds.iter().map(move |kind| (db.db, kind)));
        values.map(move |(db, kind)| {
            let labels = vec![("db", db.to_string()), ("type", kind.kind.to_owned())];
            (labels, number(value(kind)))
        })
    };
    sheet.gauges(
        "redtail_type_keys",
        "Keys of one type in a database, expired ones included. The type is discarded for keys that expired long ago and whose \
         values were freed: the primary has not deleted them yet.",
        kinds(|kind| kind.keys),
    )?;
    sheet.gauges(
        "redtail_type_bytes",
        "Bytes of the entries and values of one type in a database, without the tables.",
        kinds(|kind| kind.bytes),
    )?;
    expired_and_tainted(sheet, facts)
}

fn expired_and_tainted(sheet: &mut Sheet<'_>, facts: &Facts) -> Result<(), Error> {
    let expired = facts.replication.expired_keys;
    sheet.gauge_if(
        "redtail_expired_keys",
        "Expired keys that wait for the primary to delete them, as the last walk over all keys counted them. No reader sees them. \
         Absent before the first walk has ended, and without --expired-grace.",
        expired.map(|(keys, _)| number(keys)),
    )?;
    sheet.gauge_if(
        "redtail_expired_keys_age_seconds",
        "How long ago that walk ended.",
        expired.map(|(_, ago)| ago.as_secs_f64()),
    )?;
    let all = facts.keys();
    sheet.gauge(
        "redtail_tainted_keys",
        "Keys that answer TAINTED because a write to them could not be applied; all keys if it is not known which.",
        number(facts.tainted_keys.unwrap_or(all)),
    )?;
    sheet.gauge(
        "redtail_tainted_everything",
        "1 while all keys answer TAINTED, because a write could not be applied whose keys are not known.",
        flag(facts.tainted_keys.is_none()),
    )
}

fn state(sheet: &mut Sheet<'_>, kept: Option<&KeptState>) -> Result<(), Error> {
    sheet.gauge(
        "redtail_state_configured",
        "1 if a state directory is configured, from which a restart resumes (--state-dir).",
        flag(kept.is_some()),
    )?;
    let none = KeptState::default();
    let kept = kept.unwrap_or(&none);
    let gauges = [
        (
            "redtail_state_kept",
            "1 while the stream is logged to the state directory: a restart resumes there.",
            flag(kept.keeps),
        ),
        (
            "redtail_state_saving",
            "1 while a snapshot is being written to the state directory.",
            flag(kept.saves),
        ),
        (
            "redtail_state_snapshot_bytes",
            "Bytes of the newest snapshot in the state directory.",
            number(kept.snapshot_bytes),
        ),
        (
            "redtail_state_log_bytes",
            "Bytes of the logs in the state directory since that snapshot.",
            number(kept.log_bytes),
        ),
    ];
    for (name, help, value) in gauges {
        sheet.gauge(name, help, value)?;
    }
    let counters = [
        (
            "redtail_state_snapshots",
            "Snapshots that became durable in the state directory.",
            kept.snapshots,
        ),
        (
            "redtail_state_failures",
            "Times that something could not be written to the state directory.",
            kept.failures,
        ),
        (
            "redtail_state_set_aside",
            "Times that damaged files of the state directory were set aside.",
            kept.set_aside,
        ),
    ];
    for (name, help, value) in counters {
        sheet.counter(name, help, number(value))?;
    }
    Ok(())
}
