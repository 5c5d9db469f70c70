//! The threads that serve connections which only listen.
//!
//! Writing one message to ten thousand subscribers takes ten thousand system calls, and a read on the same thread waits for some of
//! them. So a connection that has subscribed changes to these threads, and changes back once it does something else. They have a
//! lower priority than the others, because a message may wait for a read.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime};

use super::session::Connection;

/// How much nicer the threads are than the others: beside one that is always busy, one of these gets a quarter of a processor.
#[cfg(target_os = "linux")]
const NICER_BY: i32 = 5;

/// The threads of connections that only listen, and those of all others.
#[derive(Debug, Default)]
pub(super) struct Audience {
    /// The threads of all other connections.
    home: OnceLock<Handle>,
    /// Started for the first connection that only listens.
    own: Mutex<Threads>,
}

#[derive(Debug, Default)]
enum Threads {
    #[default]
    NotYet,
    Running(Runtime),
    /// They could not be started, or are stopped.
    Never,
}

impl Audience {
    /// The current threads are those of the others.
    pub(super) fn open(&self) {
        // A second run of one server keeps the first one's.
        let _ = self.home.set(Handle::current());
    }

    /// Stops the threads.
    pub(super) fn close(&self) {
        if let Threads::Running(runtime) = std::mem::replace(&mut *self.own(), Threads::Never) {
            runtime.shutdown_background();
        }
    }

    fn own(&self) -> MutexGuard<'_, Threads> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The threads for a connection that only listens, or does not. `None` if there are none but the current ones.
    fn threads(&self, listens: bool) -> Option<Handle> {
        let home = self.home.get()?;
        if !listens {
            return Some(home.clone());
        }
        let mut own = self.own();
        if let Threads::NotYet = *own {
            *own = start(home.metrics().num_workers()).map_or(Threads::Never, Threads::Running);
        }
        match &*own {
            Threads::Running(runtime) => Some(runtime.handle().clone()),
            _ => None,
        }
    }
}

impl Drop for Audience {
    fn drop(&mut self) {
        // Dropping the runtime would wait for its threads, which a task must not do.
        self.close();
    }
}

/// Starts as many threads as the others have: they write to all subscribers.
fn start(threads: usize) -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads).thread_name("listeners");
    #[cfg(target_os = "linux")]
    builder.on_thread_start(|| {
        // On Linux this is the thread's alone. If it fails, reads are slower while there are many messages.
        let _ = rustix::process::nice(NICER_BY);
    });
    builder.enable_time().build()
}

impl Connection {
    /// The threads that this connection should change to.
    pub(super) fn belongs_elsewhere(&mut self) -> Option<Handle> {
        let listens = self
            .session
            .only_listens(self.reply.protocol(), self.listens);
        if listens == self.listens {
            return None;
        }
        self.listens = listens;
        self.server.audience.threads(listens)
    }
}

#[cfg(test)]
impl Audience {
    /// How many connections there are on its threads.
    pub(super) fn connections(&self) -> usize {
        match &*self.own() {
            Threads::Running(runtime) => runtime.metrics().num_alive_tasks(),
            _ => 0,
        }
    }
}
