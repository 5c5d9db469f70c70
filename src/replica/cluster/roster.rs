//! Which shards are followed: those of the picture, each at its servers.

use std::path::Path;
use std::time::{Duration, Instant};

use super::followed::{self, Followed};
use super::supervisor::Supervisor;
use crate::slots::ClusterSlots;
use crate::upstream::cluster::Seen;

/// How long a shard without slots is still followed: it may get some again.
const EMPTY_PATIENCE: Duration = Duration::from_secs(10);

impl Supervisor {
    /// Follows the shards of the picture, each at its servers.
    pub(super) fn settle(&mut self) {
        self.adopt();
        self.want();
        let cluster = &self.cluster;
        for followed in &mut self.followed {
            followed.turn_to(&self.picture, cluster);
        }
    }

    /// Finds the shard of each primary that has slots, and begins to follow the new ones.
    fn adopt(&mut self) {
        let owners: Vec<String> = self
            .picture
            .values()
            .filter(|seen| seen.is_primary && self.part.slots.shares(&seen.slots))
            .map(|seen| seen.id.clone())
            .collect();
        for primary in owners {
            if self
                .followed
                .iter()
                .any(|one| *one.part.primary == *primary)
            {
                continue;
            }
            let has_slots = |id: &str| {
                self.picture
                    .get(id)
                    .is_some_and(|seen| seen.is_primary && !seen.slots.is_empty())
            };
            let promoted = self
                .followed
                .iter_mut()
                .find(|one| one.members.contains(&primary) && !has_slots(&one.part.primary));
            if let Some(shard) = promoted {
                tracing::info!(shard = %shard.part.name, before = %shard.part.primary, now = primary, "the shard has another primary");
                shard.part.primary = primary.as_str().into();
                shard.members.insert(primary);
                continue;
            }
            if self.is_chosen(&primary) {
                self.follow(&primary);
            }
        }
    }

    /// Whether the shard of a primary is one of those to follow.
    fn is_chosen(&mut self, primary: &str) -> bool {
        let of_shard =
            |seen: &&Seen| seen.id == primary || seen.primary.as_deref() == Some(primary);
        let mut chosen = self.part.shards.is_empty();
        for seen in self.picture.values().filter(of_shard) {
            let is_named = |name: &String| {
                seen.id == *name
                    || seen
                        .address
                        .as_ref()
                        .is_some_and(|at| at.to_string() == *name)
            };
            chosen |= self.part.shards.iter().any(is_named);
            self.unknown.retain(|name| !is_named(name));
        }
        chosen
    }

    /// Sets which slots to serve: those of the shards that are followed, if some are named, else all that are to be followed.
    fn want(&mut self) {
        let mut wanted = self.part.slots.clone();
        if !self.part.shards.is_empty() {
            let mut there = ClusterSlots::default();
            let seen = self
                .followed
                .iter()
                .filter_map(|one| self.picture.get(&*one.part.primary));
            seen.for_each(|seen| there.add_all(&seen.slots));
            wanted.keep_all(&there);
            if !self.picture.is_empty() {
                for name in self.unknown.drain(..) {
                    tracing::warn!(
                        name,
                        "the cluster has no node with this id or address: see --shards"
                    );
                }
            }
        }
        if wanted != self.wanted {
            self.shards.want(wanted.clone());
            self.wanted = wanted;
        }
    }

    fn follow(&mut self, primary: &str) {
        let taken: Vec<&str> = self.followed.iter().map(|one| &*one.part.name).collect();
        let state = self
            .config
            .state
            .as_ref()
            .map(|state| state.folder.as_path());
        let known = state.and_then(|folder| remembered(folder, primary, &taken));
        let name = known.unwrap_or_else(|| primary.to_owned());
        let servers = followed::servers(primary, &self.picture, &self.cluster);
        match Followed::start(
            &self.config,
            self.settings.tuning(),
            &name,
            primary,
            servers,
            self.common.clone(),
        ) {
            Ok(followed) => {
                tracing::info!(
                    shard = name,
                    primary,
                    "following another shard of the cluster"
                );
                self.followed.push(followed);
            }
            Err(error) => {
                tracing::error!(shard = name, %error, "cannot follow a shard of the cluster");
                self.set_fault(Some(error.to_string()));
            }
        }
    }

    /// Ends the replicas of shards that have had no slots for a while.
    pub(super) async fn drop_empty(&mut self) {
        let now = Instant::now();
        for followed in &mut self.followed {
            // A node that has left the cluster has none.
            let seen = self.picture.get(&*followed.part.primary);
            let has_slots = seen.is_some_and(|seen| self.part.slots.shares(&seen.slots));
            if has_slots {
                followed.empty_since = None;
            } else {
                followed.empty_since.get_or_insert(now);
            }
        }
        let is_over = |one: &mut Followed| {
            one.served.is_empty()
                && one
                    .empty_since
                    .is_some_and(|since| now.duration_since(since) > EMPTY_PATIENCE)
        };
        let gone: Vec<Followed> = self.followed.extract_if(.., is_over).collect();
        if gone.is_empty() {
            return;
        }
        self.publish(false);
        for one in gone {
            tracing::info!(shard = %one.part.name, "the shard has no slots any more: redtail does not follow it any longer");
            one.replica.stop().await;
        }
    }

    /// Notes which nodes belong to a shard's directory, so that a restart finds it.
    pub(super) fn remember(&self) {
        let Some(state) = &self.config.state else {
            return;
        };
        for one in &self.followed {
            let members: Vec<&str> = one.members.iter().map(String::as_str).collect();
            let path = state.folder.join(format!("{}{MEMBERS}", one.part.name));
            let fresh = state.folder.join(format!("{}{MEMBERS}.new", one.part.name));
            let written = std::fs::write(&fresh, members.join("\n"))
                .and_then(|()| std::fs::rename(&fresh, &path));
            if let Err(error) = written {
                tracing::warn!(path = %path.display(), %error, "cannot note which nodes belong to a shard: a restart may need a full sync");
            }
        }
    }
}

/// What follows a shard's name in the name of the file with its nodes.
const MEMBERS: &str = ".nodes";

/// The name of the shard whose directory the node `id` belongs to, unless it is taken.
fn remembered(folder: &Path, id: &str, taken: &[&str]) -> Option<String> {
    let files = std::fs::read_dir(folder).ok()?;
    files.flatten().find_map(|file| {
        let name = file.file_name().into_string().ok()?;
        let name = name.strip_suffix(MEMBERS)?;
        let members = std::fs::read_to_string(file.path()).ok()?;
        let is_its = members.lines().any(|member| member == id) && !taken.contains(&name);
        is_its.then(|| name.to_owned())
    })
}
