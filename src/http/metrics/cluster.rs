//! A followed cluster: who serves its slots, and each shard under its name.

use std::fmt::Error;

use super::sheet::{Labels, Sheet, flag, label, number, seconds};
use crate::command::{ClusterState, Condition, ShardState};

pub(super) fn write(sheet: &mut Sheet<'_>, cluster: &ClusterState) -> Result<(), Error> {
    slots(sheet, cluster)?;
    names(sheet, cluster)?;
    links(sheet, cluster)?;
    positions(sheet, cluster)?;
    syncs(sheet, cluster)?;
    data(sheet, cluster)
}

fn slots(sheet: &mut Sheet<'_>, cluster: &ClusterState) -> Result<(), Error> {
    let gauges = [
        (
            "redtail_cluster_shards",
            "Shards of the cluster that are followed. All names that begin with redtail_cluster_ or redtail_shard_ exist only for a \
             cluster.",
            number(cluster.shards.len()),
        ),
        (
            "redtail_cluster_nodes",
            "Nodes of the cluster that are known, replicas included.",
            number(cluster.map.nodes.len()),
        ),
        (
            "redtail_cluster_slots_followed",
            "Slots that are followed (--slots): 16384 are all.",
            number(cluster.wanted.len()),
        ),
        (
            "redtail_cluster_slots_served",
            "Slots among them that are served. Reads of keys of the others wait, then fail.",
            number(cluster.slots_served()),
        ),
        (
            "redtail_cluster_slots_without_owner",
            "Slots among the followed ones that no node of the cluster has. Nobody can serve them.",
            number(cluster.slots_without_owner().len()),
        ),
        (
            "redtail_cluster_settled",
            "1 while every followed slot has a shard that is certain to have all its keys, 0 while slots are on their way.",
            flag(cluster.is_settled),
        ),
    ];
    for (name, help, value) in gauges {
        sheet.gauge(name, help, value)?;
    }
    sheet.counter(
        "redtail_cluster_slot_handovers",
        "Times that slots got another shard, or none, or their first.",
        number(cluster.changes),
    )
}

/// The label that names a shard.
fn named(shard: &ShardState) -> Labels<'static> {
    label("shard", &*shard.name)
}

/// A value of each shard.
fn each(
    cluster: &ClusterState,
    value: impl Fn(&ShardState) -> f64,
) -> impl Iterator<Item = (Labels<'static>, f64)> {
    let shards = cluster.shards.iter();
    shards.map(move |shard| (named(shard), value(shard)))
}

/// A value of each shard of which it is known.
fn each_known(
    cluster: &ClusterState,
    value: impl Fn(&ShardState) -> Option<f64>,
) -> impl Iterator<Item = (Labels<'static>, f64)> {
    let shards = cluster.shards.iter();
    shards.filter_map(move |shard| Some((named(shard), value(shard)?)))
}

fn names(sheet: &mut Sheet<'_>, cluster: &ClusterState) -> Result<(), Error> {
    sheet.gauges(
        "redtail_shard_info",
        "Always 1: the id of a shard's primary, and the server that is followed. The label shard, here and below, is the id of the \
         shard's first primary.",
        cluster.shards.iter().map(|shard| {
            let mut labels = named(shard);
            labels.push(("primary", shard.primary.to_string()));
            labels.push(("server", shard.replication.upstream()));
            (labels, 1.0)
        }),
    )?;
    let health = |shard: &ShardState| {
        let (shard_label, now) = (named(shard), shard.health().condition);
        let all = Condition::ALL
            .into_iter()
            .filter(|one| !one.is_of_clusters());
        all.map(move |one| {
            let mut labels = shard_label.clone();
            labels.push(("condition", one.word().to_owned()));
            (labels, flag(one == now))
        })
    };
    sheet.gauges(
        "redtail_shard_health",
        "The state of a shard: 1 for the condition that holds, 0 for all others.",
        cluster.shards.iter().flat_map(health),
    )
}

fn links(sheet: &mut Sheet<'_>, cluster: &ClusterState) -> Result<(), Error> {
    sheet.gauges(
        "redtail_shard_link_up",
        "1 while the stream of the shard arrives, 0 while its link is down or brings a snapshot.",
        each(cluster, |shard| flag(shard.replication.down_for.is_none())),
    )?;
    sheet.gauges(
        "redtail_shard_link_down_seconds",
        "How long no stream of the shard has arrived; 0 while its link is up.",
        each(cluster, |shard| {
            seconds(shard.replication.down_for).unwrap_or(0.0)
        }),
    )?;
    sheet.gauges(
        "redtail_shard_link_silent_seconds",
        "How long the shard's server has given no sign of life although the link is up; 0 while it gives any.",
        each(cluster, |shard| {
            seconds(shard.replication.silent_for).unwrap_or(0.0)
        }),
    )?;
    sheet.gauges(
        "redtail_shard_link_needs_a_person",
        "1 if the shard's link cannot come up until someone has fixed what the log names.",
        each(cluster, |shard| flag(shard.replication.needs_a_person)),
    )?;
    sheet.counters(
        "redtail_shard_received_bytes",
        "Bytes received from the shard, snapshots included.",
        each(cluster, |shard| number(shard.replication.input_bytes)),
    )?;
    sheet.gauges(
        "redtail_shard_spool_bytes",
        "Received bytes of the shard that wait for its writer now, in memory and in files.",
        each(cluster, |shard| {
            let state = &shard.replication;
            number(state.spool_memory_bytes + state.spool_file_bytes)
        }),
    )
}

fn positions(sheet: &mut Sheet<'_>, cluster: &ClusterState) -> Result<(), Error> {
    sheet.gauges(
        "redtail_shard_applied_offset_bytes",
        "The offset in the shard's history up to which its stream is visible to readers.",
        each(cluster, |shard| number(shard.replication.applied_offset)),
    )?;
    sheet.gauges(
        "redtail_shard_received_offset_bytes",
        "The offset in the shard's history up to which its stream has been received.",
        each(cluster, |shard| number(shard.replication.received_offset)),
    )?;
    sheet.gauges(
        "redtail_shard_lag_bytes",
        "Bytes of the shard's stream that have been received and are not visible yet. Absent before its first sync.",
        each_known(cluster, |shard| shard.lag_bytes().map(number)),
    )?;
    sheet.gauges(
        "redtail_shard_lag_seconds",
        "How far the served data of the shard is behind, at least, as redtail_lag_seconds. Absent before its first sync.",
        each_known(cluster, |shard| seconds(shard.replication.lag)),
    )?;
    sheet.gauges(
        "redtail_shard_proof_age_seconds",
        "How far the served data of the shard is behind, at most, as redtail_proof_age_seconds. Absent before its first sync.",
        each_known(cluster, |shard| seconds(shard.replication.proven_ago)),
    )?;
    sheet.gauges(
        "redtail_shard_stale",
        "1 while reads of the shard are refused because its data may be older than --max-staleness allows.",
        each(cluster, |shard| flag(shard.replication.stale)),
    )
}

fn syncs(sheet: &mut Sheet<'_>, cluster: &ClusterState) -> Result<(), Error> {
    sheet.counters(
        "redtail_shard_syncs",
        "Syncs of the shard, by kind (full: a snapshot; partial: what had been missed).",
        cluster.shards.iter().flat_map(|shard| {
            let state = &shard.replication;
            let counts = [("full", state.full_syncs), ("partial", state.partial_syncs)];
            counts.map(|(kind, count)| {
                let mut labels = named(shard);
                labels.push(("kind", kind.to_owned()));
                (labels, number(count))
            })
        }),
    )?;
    sheet.gauges(
        "redtail_shard_sync_in_progress",
        "1 while a sync of the shard is under way.",
        each(cluster, |shard| flag(shard.replication.syncing.is_some())),
    )?;
    let loading = |shard: &ShardState| shard.replication.loading.unwrap_or_default();
    sheet.gauges(
        "redtail_shard_loading_bytes",
        "Bytes of the shard's snapshot loaded so far; 0 if none is being loaded.",
        each(cluster, move |shard| number(loading(shard).bytes)),
    )?;
    sheet.gauges(
        "redtail_shard_loading_expected_bytes",
        "Bytes of the whole snapshot of the shard; 0 if its primary does not say, or if none is being loaded.",
        each(cluster, move |shard| number(loading(shard).bytes_expected)),
    )?;
    sheet.gauges(
        "redtail_shard_resync_held",
        "1 while a snapshot of the shard is held back (--resync-guard).",
        each(cluster, |shard| flag(shard.replication.held.is_some())),
    )
}

fn data(sheet: &mut Sheet<'_>, cluster: &ClusterState) -> Result<(), Error> {
    sheet.gauges(
        "redtail_shard_slots_served",
        "Slots that the shard serves here.",
        each(cluster, |shard| number(shard.slots)),
    )?;
    sheet.gauges(
        "redtail_shard_slots_settled",
        "Slots among them whose keys are certain to be all here.",
        each(cluster, |shard| number(shard.settled)),
    )?;
    sheet.gauges(
        "redtail_shard_keys",
        "Keys of these slots, expired ones included.",
        each(cluster, |shard| number(shard.keys())),
    )?;
    sheet.gauges(
        "redtail_shard_bytes",
        "Bytes of these keys, with what holds them.",
        each(cluster, |shard| number(shard.bytes())),
    )?;
    sheet.gauges(
        "redtail_shard_tainted_keys",
        "Keys of the shard that answer TAINTED; all of them if it is not known which.",
        each(cluster, |shard| {
            number(shard.tainted_keys().unwrap_or_else(|| shard.keys()))
        }),
    )
}
