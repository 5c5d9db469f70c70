//! Slots that a cluster migrates to or from the primary.
//!
//! The primary tells its replicas what it imports. The keys come as plain commands; they are hidden until the primary serves
//! their slots. Valkey names each import at its start and at its end, and deletes the keys of a failed one before that. Redis
//! sends the state of the task each time it changes, and TRIMSLOTS when the keys of slots that the primary does not serve go.
//!
//! Source: valkey 9.1 cluster_migrateslots.c; redis 8.4 cluster_asm.c, and a cluster of 8.6.

use super::{Follower, StreamError};
use crate::resp::Args;
use crate::state::Migration;
use crate::store::ClusterSlots;

/// Messages of an import that change nothing for replicas.
const PROGRESS: [&str; 5] = ["ack", "snapshot-eof", "paused", "failover-granted", "capa"];

impl Follower<'_> {
    /// Handles `CLUSTER SYNCSLOTS …`. If it is not clear what it says about an import, a new snapshot must come.
    pub(super) fn sync_slots(&self, args: Args<'_>) -> Result<(), StreamError> {
        let understood = if PROGRESS.iter().any(|word| args.is(2, word)) {
            return Ok(());
        } else if self.queue.is_some() {
            None
        } else if args.is(2, "establish") {
            self.establish(args)
        } else if args.is(2, "finish") {
            self.finish(args)
        } else if args.is(2, "conf") {
            self.configure(args)
        } else {
            self.pass("cluster syncslots");
            return Ok(());
        };
        understood.ok_or(StreamError::Migrated)
    }

    /// `ESTABLISH [SOURCE node] NAME job SLOTSRANGE first last …`, in any order.
    fn establish(&self, args: Args<'_>) -> Option<()> {
        let (mut job, mut slots) = (None, None);
        let mut at = 3;
        while at < args.len() {
            if args.is(at, "slotsrange") {
                let (given, next) = ranges(args, at + 1)?;
                (slots, at) = (Some(given), next);
            } else {
                if args.is(at, "name") {
                    job = Some(args.get(at + 1)?);
                } else if !args.is(at, "source") {
                    return None;
                }
                at += 2;
            }
        }
        self.hide(job?, &slots?);
        Some(())
    }

    /// `FINISH STATE SUCCESS|FAILED NAME job [MESSAGE text]`. Whatever the state, the keys that are left are shown.
    fn finish(&self, args: Args<'_>) -> Option<()> {
        let mut at = 3;
        while at < args.len() && !args.is(at, "name") {
            at += 2;
        }
        let job = args.get(at + 1)?;
        self.token
            .end_migration(&self.position.generation.spaces, job);
        tracing::info!(job = %super::shown(job), "a migration of slots has ended");
        Some(())
    }

    /// `CONF key value …`, of which `ASM-TASK id:source:target:operation:state:slots` is about an import.
    fn configure(&self, args: Args<'_>) -> Option<()> {
        for at in (3..args.len()).step_by(2) {
            if args.is(at, "asm-task") {
                let task = Task::parse(args.get(at + 1)?)?;
                self.follow(&task);
            }
        }
        Some(())
    }

    /// Hides what the primary does not serve yet, or no longer.
    fn follow(&self, task: &Task<'_>) {
        let spaces = &self.position.generation.spaces;
        match (task.imports, task.state) {
            (true, State::Completed) => self.token.show_slots(spaces, &task.slots),
            // What came of a failed import stays hidden until TRIMSLOTS.
            (true, State::Failed | State::Other) | (false, State::Completed) => {
                self.hide(task.id, &task.slots);
            }
            (false, _) => {}
        }
    }

    fn hide(&self, job: &[u8], slots: &ClusterSlots) {
        tracing::info!(job = %super::shown(job), %slots, "slots are being migrated: their keys answer TAINTED until that has ended");
        let spaces = &self.position.generation.spaces;
        self.token.begin_migration(spaces, job, slots);
    }
}

/// Returns what a task that a snapshot names is importing, if it is an import that goes on.
///
/// # Errors
/// The text is no task.
pub(in super::super) fn importing(text: &[u8]) -> Result<Option<Migration>, ()> {
    if text.is_empty() {
        return Ok(None);
    }
    let task = Task::parse(text).ok_or(())?;
    let goes_on = task.imports && !matches!(task.state, State::Completed);
    Ok(goes_on.then(|| Migration {
        job: task.id.into(),
        slots: task.slots,
    }))
}

/// Reads pairs of slots from word `at` on, as far as they are numbers. Returns the index of the next word, too.
fn ranges(args: Args<'_>, mut at: usize) -> Option<(ClusterSlots, usize)> {
    let mut slots = ClusterSlots::default();
    while args.get(at).and_then(crate::resp::parse_integer).is_some() {
        slots
            .add_text(args.at(at), args.get(at + 1)?)
            .then_some(())?;
        at += 2;
    }
    (!slots.is_empty()).then_some((slots, at))
}

/// A task of Redis's atomic slot migration.
struct Task<'a> {
    id: &'a [u8],
    /// Whether the primary takes the slots over, and does not hand them over.
    imports: bool,
    state: State,
    slots: ClusterSlots,
}

#[derive(Clone, Copy)]
enum State {
    Completed,
    Failed,
    Other,
}

impl<'a> Task<'a> {
    /// Returns `None` for a text that servers do not understand, and for an empty one: it says that a task has ended, but
    /// not how.
    fn parse(text: &'a [u8]) -> Option<Self> {
        let mut parts = text.split(|byte| *byte == b':');
        let id = parts.next().filter(|id| !id.is_empty())?;
        let (_source, _target) = (parts.next()?, parts.next()?);
        let imports = match parts.next()? {
            word if word.eq_ignore_ascii_case(b"import") => true,
            word if word.eq_ignore_ascii_case(b"migrate") => false,
            _ => return None,
        };
        let state = match parts.next()?.to_ascii_lowercase().as_slice() {
            b"completed" => State::Completed,
            b"failed" | b"canceled" => State::Failed,
            _ => State::Other,
        };
        let slots = ClusterSlots::from_text(parts.next()?)?;
        Some(Self {
            id,
            imports,
            state,
            slots,
        })
    }
}
