//! Watches the health of the replica: since when it is as it is, and a log line for each change.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::command::{Condition, Health, Seen};

/// The health as it was last seen.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<Option<(Health, Instant)>>);

impl Watch {
    /// Notes the health as it is now, logs it if it has changed, and returns it with the time since its condition changed.
    pub(super) fn see(&self, health: Health) -> Seen {
        // A poisoned lock still holds a whole value.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.as_ref().map(|(before, _)| before);
        if before != Some(&health) {
            log(before, &health);
        }
        let since = match &*last {
            Some((before, since)) if before.condition == health.condition => *since,
            _ => Instant::now(),
        };
        *last = Some((health.clone(), since));
        Seen {
            health,
            for_how_long: since.elapsed(),
        }
    }
}

/// Logs what has changed.
fn log(before: Option<&Health>, now: &Health) {
    let is_new = before.is_none_or(|before| {
        (before.condition, &before.why, &before.advice) != (now.condition, &now.why, &now.advice)
    });
    if is_new {
        let was_behind = before.is_some_and(|before| before.condition == Condition::CatchingUp);
        match now.condition {
            // A burst of writes is no event.
            Condition::CatchingUp => tracing::debug!("{now}"),
            Condition::InSync if was_behind => tracing::debug!("{now}"),
            // Nobody needs to do anything.
            _ if now.advice.is_empty() => tracing::info!("{now}"),
            _ => tracing::warn!("{now}"),
        }
    }
    let known = before.map_or(&[][..], |before| &before.warnings);
    let fresh = now.warnings.iter().filter(|one| !known.contains(one));
    fresh.for_each(|warning| tracing::warn!("{warning}"));
}
