//! The queue between a link and the writer: in memory up to a limit, then in a file.
//!
//! A diskless primary sends its snapshot to all replicas of a round at the pace of the slowest one. So redtail takes what
//! the primary sends at once, no matter how long the writer needs to decode it.
//!
//! The socket is left unread only when both are full. The files have no name, hold 64 MB each, and are freed as they are read.
//!
//! While the writer keeps up, it reads the socket itself, so that one thread is woken for a command and not two in turn
//! (`holder` says who may read when). The writer takes the socket when the spool is empty and the task only
//! waits. It gives the socket back when more has arrived than one read takes, while it writes a snapshot for the state
//! directory, and at the end of the connection. The task claims it back from a writer that has been busy for 50 ms; it checks for
//! that every 50 ms, or every 250 ms on an idle link. `redtail_direct_reads` in INFO counts the writer's own reads. Snapshots,
//! a stream that is held back and everything over TLS go through the spool.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::holder::Holder;
use super::line::Socket;
use super::marks::Marks;
use super::status::Status;
use crate::limits::READ_CHUNK_BYTES;

/// Limits for the bytes of a link that wait for the writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Maximum bytes that wait in memory.
    pub memory_bytes: usize,
    /// Maximum bytes that wait in files once memory is full; 0 for no file. When both are full, the primary has to wait.
    pub file_bytes: u64,
    /// The folder for the files, which have no name there and vanish with the process; `None` for the system's temporary
    /// folder.
    pub folder: Option<PathBuf>,
}

/// The bytes that wait in several spools, which share their limits: those of the shards of a cluster.
#[derive(Debug, Default)]
pub(super) struct Pool {
    memory: AtomicU64,
    files: AtomicU64,
}

impl Pool {
    fn memory(&self) -> usize {
        usize::try_from(self.memory.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    /// Counts `now` in place of `before`: bytes in memory and in files.
    fn count(&self, before: (u64, u64), now: (u64, u64)) {
        let counts = [
            (&self.memory, before.0, now.0),
            (&self.files, before.1, now.1),
        ];
        for (total, before, now) in counts {
            total.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
        }
    }
}

/// What each spool may keep in memory even if others have used up the limit: one that lags must not stop the others.
const OWN_BYTES: usize = 1 << 20;

impl Default for SpoolLimits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            file_bytes: 16 << 30,
            folder: None,
        }
    }
}

/// The other side is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone;

/// Maximum size of one file. The next one then starts, so that the space of consumed bytes is freed.
const SEGMENT_BYTES: u64 = 64 << 20;

/// How long to leave the disk alone after it refused a write: it is most likely full.
const FILE_REST: Duration = Duration::from_secs(5);

/// How long the writer may process what it has read from the socket before the link's task reads in its place.
const UNREAD_MAX: Duration = Duration::from_millis(50);

/// How often the link's task checks a writer that has read nothing since the last check. On an idle link, each check costs a
/// wake-up.
const IDLE_LOOK: Duration = Duration::from_millis(250);

/// How long the writer waits in the socket before it checks again whether the link has ended. The end of the link also wakes
/// it.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The bytes that wait in one file: those from `read` to `written`.
#[derive(Debug)]
struct Segment {
    file: Arc<File>,
    read: u64,
    written: u64,
    /// The sender is writing after `written`: the file must stay, even when it is read to its end.
    writing: bool,
}

impl Segment {
    const fn waiting(&self) -> u64 {
        self.written - self.read
    }
}

/// The bytes that wait, oldest first: all of `memory`, then all of `files`.
#[derive(Debug, Default)]
struct Waiting {
    memory: VecDeque<Bytes>,
    memory_bytes: usize,
    files: VecDeque<Segment>,
    /// When these bytes arrived.
    marks: Marks,
    /// When the disk last refused to create a file or to write bytes.
    file_failed: Option<Instant>,
    /// No more bytes will arrive.
    ended: bool,
    /// The receiver is gone.
    abandoned: bool,
    /// Which side reads the socket.
    holder: Holder,
    /// The writer waits for bytes, or for the socket.
    wants_socket: bool,
    /// The error of the writer's last read.
    broken: Option<io::Error>,
}

impl Waiting {
    fn push(&mut self, chunk: Bytes) {
        self.memory_bytes += chunk.len();
        self.memory.push_back(chunk);
    }

    fn pop(&mut self) -> Option<Bytes> {
        let chunk = self.memory.pop_front()?;
        self.memory_bytes -= chunk.len();
        Some(chunk)
    }

    /// Drops the files that are read to their end. After the last of them, memory is used again.
    fn settle(&mut self) {
        let done = |segment: &Segment| segment.waiting() == 0 && !segment.writing;
        while self.files.front().is_some_and(done) {
            self.files.pop_front();
        }
    }

    /// Whether `len` bytes may go to a file now.
    fn file_takes(&self, len: usize, limits: &SpoolLimits, pool: &Pool) -> bool {
        let rests = |failed: Instant| failed.elapsed() < FILE_REST;
        let in_files = pool.files.load(Ordering::Relaxed);
        !self.file_failed.is_some_and(rests) && in_files + len as u64 <= limits.file_bytes
    }

    /// Whether `len` bytes may go to memory now. A chunk larger than the whole limit goes in alone.
    fn memory_takes(&self, len: usize, limits: &SpoolLimits, pool: &Pool) -> bool {
        self.memory.is_empty()
            || self.memory_bytes + len <= OWN_BYTES.min(limits.memory_bytes)
            || pool.memory() + len <= limits.memory_bytes
    }

    fn file_bytes(&self) -> u64 {
        self.files.iter().map(Segment::waiting).sum()
    }
}

#[derive(Debug)]
struct Shared {
    limits: SpoolLimits,
    pool: Arc<Pool>,
    /// What the pool counts of this spool.
    counted: Mutex<(u64, u64)>,
    /// Counts the bytes that go through a file, and those that the writer reads itself.
    status: Arc<Status>,
    /// The socket that the writer may read itself once the spool is empty.
    socket: Option<Arc<Socket>>,
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    /// Notified when the receiver has taken something, and when it is gone.
    taken: Notify,
    /// Notified when the receiver is gone.
    gone: Notify,
    /// Notified when the writer returns the socket to the link's task.
    returned: Notify,
}

impl Shared {
    /// Shows what waits to the figures.
    fn show(&self, waiting: &Waiting) {
        let (in_memory, in_files, oldest) = match waiting.abandoned {
            true => (0, 0, None),
            false => (
                waiting.memory_bytes as u64,
                waiting.file_bytes(),
                waiting.marks.oldest(),
            ),
        };
        self.count((in_memory, in_files));
        let status = &self.status;
        status.waiting_in_memory.store(in_memory, Ordering::Relaxed);
        status.waiting_in_files.store(in_files, Ordering::Relaxed);
        status.waiting_since.set(oldest);
    }

    /// Makes the pool count these bytes of this spool.
    fn count(&self, now: (u64, u64)) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *counted, now);
        self.pool.count(before, now);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // A poisoned lock still holds a whole value: nothing between the assignments under it can panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.count((0, 0));
    }
}

/// The end where the link's task puts bytes in. Dropping it ends the spool.
#[derive(Debug)]
pub(super) struct Sender(Arc<Shared>);

/// The end where the writer takes bytes out. Dropping it tells the sender that the receiver is gone.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
    /// Holds bytes read from the socket.
    buffer: Vec<u8>,
}

/// Creates a spool with those limits, which it shares with all in `pool`, that counts in `status`. The writer may read `socket` itself.
pub(super) fn spool(
    limits: SpoolLimits,
    pool: Arc<Pool>,
    status: Arc<Status>,
    socket: Option<Arc<Socket>>,
) -> (Sender, Receiver) {
    status.arrivals.begin(socket.clone());
    let shared = Arc::new(Shared {
        limits,
        pool,
        counted: Mutex::default(),
        status,
        socket,
        waiting: Mutex::default(),
        arrived: Condvar::new(),
        taken: Notify::new(),
        gone: Notify::new(),
        returned: Notify::new(),
    });
    let receiver = Receiver {
        shared: Arc::clone(&shared),
        buffer: Vec::new(),
    };
    (Sender(shared), receiver)
}

/// Where the next chunk goes.
enum Room {
    Memory,
    File(Arc<File>, u64),
    /// A new file must be created first.
    NewFile,
    /// There is no room now.
    Nowhere,
}

impl Sender {
    /// Appends `chunk`, which arrived at `at`. Waits only when neither memory nor the file has room.
    ///
    /// # Errors
    /// Returns [`Gone`] when the receiver is gone.
    pub(super) async fn send(&self, chunk: Bytes, at: Instant) -> Result<(), Gone> {
        loop {
            let taken = self.0.taken.notified();
            match self.place(chunk.len())? {
                Room::Memory => {
                    let mut waiting = self.0.waiting();
                    waiting.marks.note(chunk.len(), at);
                    waiting.push(chunk);
                    self.0.show(&waiting);
                    drop(waiting);
                    self.0.arrived.notify_one();
                    return Ok(());
                }
                Room::NewFile => self.open().await,
                Room::File(file, offset) => {
                    if self.append(file, offset, chunk.clone(), at).await {
                        return Ok(());
                    }
                }
                Room::Nowhere => taken.await,
            }
        }
    }

    /// Waits until the receiver is gone.
    pub(super) async fn closed(&self) {
        let gone = self.0.gone.notified();
        if !self.0.waiting().abandoned {
            gone.await;
        }
    }

    /// Lets the writer read the socket: everything that this side has read is in the spool.
    pub(super) fn offer(&self) {
        let mut waiting = self.0.waiting();
        waiting.holder.offer();
        if waiting.wants_socket {
            self.0.arrived.notify_one();
        }
    }

    /// Asks for the socket in order to read it. Returns whether this side may read it.
    ///
    /// # Errors
    /// Returns the error of the writer's last read.
    pub(super) fn claim(&self) -> io::Result<bool> {
        let mut waiting = self.0.waiting();
        match waiting.broken.take() {
            Some(error) => Err(error),
            None => Ok(waiting.holder.claim()),
        }
    }

    /// Waits until this side must read the socket again: the writer has returned it, or has been busy for too long.
    pub(super) async fn turn(&self) {
        let mut reads = 0;
        loop {
            let returned = self.0.returned.notified();
            let now = Instant::now();
            if self.0.waiting().holder.claim_back(now, UNREAD_MAX) {
                return;
            }
            let before = reads;
            reads = self.0.status.direct_reads.load(Ordering::Relaxed);
            let look = if reads == before {
                IDLE_LOOK
            } else {
                UNREAD_MAX
            };
            tokio::select! {
                () = returned => {}
                () = sleep(look) => {}
            }
        }
    }

    fn place(&self, len: usize) -> Result<Room, Gone> {
        let limits = &self.0.limits;
        let mut waiting = self.0.waiting();
        if waiting.abandoned {
            return Err(Gone);
        }
        waiting.settle();
        if waiting.files.is_empty() && waiting.memory_takes(len, limits, &self.0.pool) {
            return Ok(Room::Memory);
        }
        if !waiting.file_takes(len, limits, &self.0.pool) {
            return Ok(Room::Nowhere);
        }
        Ok(match waiting.files.back_mut() {
            Some(last) if last.written < SEGMENT_BYTES => {
                last.writing = true;
                Room::File(Arc::clone(&last.file), last.written)
            }
            _ => Room::NewFile,
        })
    }

    async fn open(&self) {
        let folder = self.0.limits.folder.clone();
        let opened = blocking(move || match folder {
            Some(folder) => tempfile::tempfile_in(folder),
            None => tempfile::tempfile(),
        });
        match opened.await {
            Ok(file) => {
                tracing::debug!(
                    "the primary sends faster than redtail can process: further bytes wait in a file"
                );
                self.0.waiting().files.push_back(Segment {
                    file: Arc::new(file),
                    read: 0,
                    written: 0,
                    // The file is empty, but it must stay until the chunk for which it was created is in it.
                    writing: true,
                });
            }
            Err(error) => self.give_up_file(&error),
        }
    }

    /// Writes `chunk`, which arrived at `at`, at `offset`, after everything in the file. Returns whether it succeeded.
    async fn append(&self, file: Arc<File>, offset: u64, chunk: Bytes, at: Instant) -> bool {
        let bytes = chunk.len();
        let len = bytes as u64;
        let result = blocking(move || file.write_all_at(&chunk, offset)).await;
        let mut waiting = self.0.waiting();
        if let Some(last) = waiting.files.back_mut() {
            last.writing = false;
            if result.is_ok() {
                last.written = offset + len;
                self.0.status.spooled.fetch_add(len, Ordering::Relaxed);
                waiting.marks.note(bytes, at);
                self.0.show(&waiting);
            }
        }
        drop(waiting);
        self.0.arrived.notify_one();
        if let Err(error) = &result {
            self.give_up_file(error);
        }
        result.is_ok()
    }

    /// Leaves the disk alone for a while, and logs that once.
    fn give_up_file(&self, error: &io::Error) {
        tracing::warn!(%error, "cannot write the spool file (see --spool-dir): the primary has to wait");
        self.0.waiting().file_failed = Some(Instant::now());
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.waiting().ended = true;
        self.0.arrived.notify_one();
        // The primary must not count on a follower that no longer reads, and the writer may be waiting for more bytes.
        if let Some(socket) = &self.0.socket {
            socket.shut();
        }
    }
}

/// What the receiver takes next.
enum Next {
    /// A chunk, and when its first byte arrived.
    Chunk(Bytes, Instant),
    InFile(Arc<File>, u64, usize),
    /// The spool is empty, and the receiver may read the socket.
    Socket(Arc<Socket>),
    End,
}

/// Bytes of the stream, and when the first of them arrived.
#[derive(Debug)]
pub enum Piece<'a> {
    /// Bytes that came through the spool.
    Spooled(Bytes, Instant),
    /// Bytes that were just read from the socket.
    Direct(&'a [u8], Instant),
}

impl Piece<'_> {
    /// When the first of its bytes arrived.
    #[must_use]
    pub const fn arrived(&self) -> Instant {
        match self {
            Self::Spooled(_, at) | Self::Direct(_, at) => *at,
        }
    }
}

impl Deref for Piece<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Spooled(chunk, _) => chunk,
            Self::Direct(bytes, _) => bytes,
        }
    }
}

impl Receiver {
    /// Returns the next bytes. Blocks until there are some. Empty at the end.
    ///
    /// # Errors
    /// Returns an error when the spool file cannot be read.
    pub fn recv(&mut self) -> io::Result<Bytes> {
        loop {
            match self.next(false) {
                Next::Chunk(chunk, _) => return Ok(self.taken(chunk)),
                Next::InFile(file, at, len) => {
                    return self.read_file(&file, at, len).map(|(chunk, _)| chunk);
                }
                Next::End => return Ok(Bytes::new()),
                Next::Socket(_) => {}
            }
        }
    }

    /// Like [`recv`](Self::recv), but reads the socket itself once the spool is empty: the bytes themselves then wake the
    /// waiting thread, and not another thread.
    ///
    /// # Errors
    /// Returns an error when the spool file cannot be read.
    pub fn recv_stream(&mut self) -> io::Result<Piece<'_>> {
        let read = loop {
            match self.next(true) {
                Next::Chunk(chunk, arrived) => {
                    self.shared.status.arrivals.leave();
                    return Ok(Piece::Spooled(self.taken(chunk), arrived));
                }
                Next::InFile(file, at, len) => {
                    self.shared.status.arrivals.leave();
                    let (chunk, arrived) = self.read_file(&file, at, len)?;
                    return Ok(Piece::Spooled(chunk, arrived));
                }
                Next::End => return Ok(Piece::Spooled(Bytes::new(), Instant::now())),
                Next::Socket(socket) => {
                    if let Some(read) = self.read_socket(&socket) {
                        break read;
                    }
                }
            }
        };
        let (read, arrived) = read;
        let bytes = self.buffer.get(..read).unwrap_or_default();
        Ok(Piece::Direct(bytes, arrived))
    }

    /// Returns the socket to the link's task, which puts what arrives into the spool.
    pub fn give_back(&self) {
        self.shared.status.arrivals.leave();
        if self.shared.waiting().holder.give_back() {
            self.shared.returned.notify_waiters();
        }
    }

    fn taken(&self, chunk: Bytes) -> Bytes {
        self.shared.taken.notify_waiters();
        chunk
    }

    fn read_file(&self, file: &File, at: u64, len: usize) -> io::Result<(Bytes, Instant)> {
        let mut buffer = BytesMut::zeroed(len);
        file.read_exact_at(&mut buffer, at)?;
        let mut waiting = self.shared.waiting();
        if let Some(first) = waiting.files.front_mut() {
            first.read += len as u64;
        }
        let arrived = waiting.marks.take(len);
        self.shared.show(&waiting);
        drop(waiting);
        let arrived = arrived.unwrap_or_else(Instant::now);
        Ok((self.taken(buffer.freeze()), arrived))
    }

    /// Waits in the socket and reads it: how many bytes, and when. `None` when it read nothing. At the end of the connection, after a failure, and
    /// when a read fills the buffer, the socket goes back to the link's task.
    fn read_socket(&mut self, socket: &Socket) -> Option<(usize, Instant)> {
        self.buffer.resize(READ_CHUNK_BYTES, 0);
        let arrivals = &self.shared.status.arrivals;
        arrivals.rest();
        let read = socket.wait(WAIT_MAX).and_then(|ready| {
            if !ready {
                return Ok(None);
            }
            arrivals.work();
            socket.read(&mut self.buffer).map(Some)
        });
        match read {
            Ok(None) => None,
            Ok(Some(0)) => {
                self.give_back();
                None
            }
            Ok(Some(read)) => {
                let status = &self.shared.status;
                let now = status.received(read);
                status.direct_reads.fetch_add(1, Ordering::Relaxed);
                if read == self.buffer.len() {
                    self.give_back();
                } else {
                    self.shared.waiting().holder.leave(now);
                }
                Some((read, now))
            }
            Err(error) if is_passing(&error) => None,
            Err(error) => {
                self.shared.waiting().broken = Some(error);
                self.give_back();
                None
            }
        }
    }

    /// Returns what to take next. Blocks until there is something. Returns the socket only if `wants_socket`.
    fn next(&self, wants_socket: bool) -> Next {
        let mut waiting = self.shared.waiting();
        loop {
            if let Some(chunk) = waiting.pop() {
                let arrived = waiting.marks.take(chunk.len());
                self.shared.show(&waiting);
                return Next::Chunk(chunk, arrived.unwrap_or_else(Instant::now));
            }
            waiting.settle();
            if let Some(first) = waiting.files.front()
                && first.waiting() > 0
            {
                let len = usize::try_from(first.waiting()).unwrap_or(usize::MAX);
                let file = Arc::clone(&first.file);
                return Next::InFile(file, first.read, len.min(READ_CHUNK_BYTES));
            }
            if waiting.ended {
                return Next::End;
            }
            if let Some(socket) = &self.shared.socket
                && wants_socket
                && waiting.files.is_empty()
                && waiting.holder.take()
            {
                return Next::Socket(Arc::clone(socket));
            }
            waiting.wants_socket = wants_socket;
            waiting = self
                .shared
                .arrived
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
            waiting.wants_socket = false;
        }
    }

    /// Whether the link has ended. Bytes that it delivered may still wait.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.shared.waiting().ended
    }

    /// Returns the number of bytes that wait.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let waiting = self.shared.waiting();
        waiting.memory_bytes as u64 + waiting.file_bytes()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.status.arrivals.end();
        let mut waiting = self.shared.waiting();
        waiting.abandoned = true;
        self.shared.show(&waiting);
        drop(waiting);
        self.shared.taken.notify_waiters();
        self.shared.gone.notify_waiters();
    }
}

/// Whether a read that failed like this may be retried at once.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// Runs file work off the runtime's own threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::other("the runtime is shutting down")),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn limits(memory_bytes: usize, file_bytes: u64) -> SpoolLimits {
        SpoolLimits {
            memory_bytes,
            file_bytes,
            folder: None,
        }
    }

    fn chunk(number: u32, len: usize) -> Bytes {
        let bytes = (number.wrapping_mul(31)..).take(len);
        bytes.map(|word| word.to_le_bytes()[0]).collect()
    }

    fn drain(mut receiver: Receiver) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let chunk = receiver.recv().unwrap();
            if chunk.is_empty() {
                return all;
            }
            all.extend_from_slice(&chunk);
        }
    }

    #[tokio::test]
    async fn spools_share_their_limits_and_none_stops_another() {
        let pool = Arc::<Pool>::default();
        let small = || {
            spool(
                limits(3 << 20, 2 << 20),
                Arc::clone(&pool),
                Arc::default(),
                None,
            )
        };
        let ((one, mut taken), (other, kept)) = (small(), small());
        let put = async |sender: &Sender| {
            let sent = sender.send(chunk(1, 512 << 10), Instant::now());
            tokio::time::timeout(Duration::from_millis(300), sent)
                .await
                .is_ok()
        };
        let mut sent = 0;
        while put(&one).await {
            sent += 1;
        }
        assert_eq!(sent, 10, "memory and files are full");
        // Two chunks of its own, and no more.
        assert!(put(&other).await && put(&other).await && !put(&other).await);
        assert_eq!(pool.memory(), 4 << 20);
        let mut left = sent * (512 << 10);
        while left > 0 {
            left -= taken.recv().unwrap().len();
        }
        assert!(put(&other).await);
        drop((one, taken, other, kept));
        assert_eq!((pool.memory(), pool.files.load(Ordering::Relaxed)), (0, 0));
    }

    #[tokio::test]
    async fn a_sender_never_waits_while_the_file_has_room_and_nothing_is_reordered() {
        let status = Arc::new(Status::default());
        let (sender, receiver) = spool(
            limits(1000, 1 << 30),
            Arc::default(),
            Arc::clone(&status),
            None,
        );
        let mut sent = Vec::new();
        for number in 0..200 {
            let chunk = chunk(number, 1 + number as usize * 7);
            sent.extend_from_slice(&chunk);
            sender.send(chunk, Instant::now()).await.unwrap();
        }
        assert_eq!(receiver.waiting(), sent.len() as u64);
        let in_file = status.spooled.load(Ordering::Relaxed);
        assert!(in_file >= receiver.waiting() - 1000, "{in_file}");
        assert!(in_file < receiver.waiting(), "memory comes first");
        drop(sender);
        assert!(drain(receiver) == sent);
    }

    #[tokio::test]
    async fn memory_is_used_again_once_the_file_is_read_to_its_end() {
        let (sender, mut receiver) =
            spool(limits(10, 1 << 20), Arc::default(), Arc::default(), None);
        for round in 0..3 {
            sender.send(chunk(round, 10), Instant::now()).await.unwrap();
            sender.send(chunk(round, 20), Instant::now()).await.unwrap();
            assert_eq!(sender.0.waiting().files.len(), 1, "{round}");
            assert_eq!(receiver.recv().unwrap(), chunk(round, 10));
            assert_eq!(receiver.recv().unwrap(), chunk(round, 20));
            sender.send(chunk(round, 5), Instant::now()).await.unwrap();
            assert!(sender.0.waiting().files.is_empty(), "{round}");
            assert_eq!(receiver.recv().unwrap(), chunk(round, 5));
        }
    }

    #[tokio::test]
    async fn a_sender_waits_where_there_is_no_room_and_goes_on_when_there_is() {
        for file_bytes in [0, 30] {
            let (sender, mut receiver) =
                spool(limits(10, file_bytes), Arc::default(), Arc::default(), None);
            let reader = std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(50));
                assert!(receiver.waiting() <= 10 + file_bytes);
                let mut all = receiver.recv().unwrap().to_vec();
                all.extend(drain(receiver));
                all
            });
            let mut sent = Vec::new();
            for number in 0..50 {
                sent.extend_from_slice(&chunk(number, 10));
                sender
                    .send(chunk(number, 10), Instant::now())
                    .await
                    .unwrap();
            }
            drop(sender);
            assert!(reader.join().unwrap() == sent, "{file_bytes}");
        }
    }

    #[tokio::test]
    async fn without_a_folder_for_the_file_the_primary_waits_and_nothing_is_lost() {
        let nowhere = SpoolLimits {
            folder: Some("/nonexistent".into()),
            ..limits(10, 1 << 20)
        };
        let (sender, receiver) = spool(nowhere, Arc::default(), Arc::default(), None);
        let reader = std::thread::spawn(move || drain(receiver));
        let mut sent = Vec::new();
        for number in 0..20 {
            sent.extend_from_slice(&chunk(number, 10));
            sender
                .send(chunk(number, 10), Instant::now())
                .await
                .unwrap();
        }
        drop(sender);
        assert!(reader.join().unwrap() == sent);
    }

    #[tokio::test]
    async fn a_waiting_sender_hears_that_nobody_reads_any_more() {
        let (sender, receiver) = spool(limits(10, 0), Arc::default(), Arc::default(), None);
        sender.send(chunk(0, 10), Instant::now()).await.unwrap();
        let ends = async {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            drop(receiver);
        };
        let (sent, (), ()) = tokio::join!(
            sender.send(chunk(1, 10), Instant::now()),
            sender.closed(),
            ends
        );
        assert_eq!(sent, Err(Gone));
    }
}
