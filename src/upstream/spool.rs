//! The bytes of a link on their way to the writer: in memory up to a bound, then in a file.
//!
//! A primary that sends its snapshot without a disk sends it to all the replicas of that round at the pace of the slowest.
//! So what it sends is taken at once, however long the writer needs to decode it.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::holder::Holder;
use super::line::Socket;
use super::status::Status;
use crate::limits::READ_CHUNK_BYTES;

/// How much of a link's bytes may wait for the writer, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Bytes that wait in memory.
    pub memory_bytes: usize,
    /// Bytes that wait in the file behind it; 0 for no file. Beyond both the primary has to wait.
    pub file_bytes: u64,
    /// The folder of the file, which has no name there and goes with the process; `None` for the system's own.
    pub folder: Option<PathBuf>,
}

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

/// A file is followed by another one at this size, so that what has been taken gives its room back.
const SEGMENT_BYTES: u64 = 64 << 20;

/// A disk that refused is not asked again for so long: it is most likely full.
const FILE_REST: Duration = Duration::from_secs(5);

/// How long the writer may be busy with what it has read from the socket until the link's task reads on in its place.
const UNREAD_MAX: Duration = Duration::from_millis(50);

/// How often the link's task looks after a writer that has read nothing since the last look: each look costs an idle link a
/// wake-up.
const IDLE_LOOK: Duration = Duration::from_millis(250);

/// How long the writer waits in the socket until it looks again whether the link has ended. It is woken by that, too.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// What waits in one file: bytes from `read` to `written` of it.
#[derive(Debug)]
struct Segment {
    file: Arc<File>,
    read: u64,
    written: u64,
    /// The sender is writing behind `written`: the file must stay, even read to its end.
    writing: bool,
}

impl Segment {
    const fn waiting(&self) -> u64 {
        self.written - self.read
    }
}

/// What waits, oldest first: all of `memory`, then all of `files`.
#[derive(Debug, Default)]
struct Waiting {
    memory: VecDeque<Bytes>,
    memory_bytes: usize,
    files: VecDeque<Segment>,
    /// When the disk last refused a file or bytes.
    file_failed: Option<Instant>,
    /// No more will come.
    ended: bool,
    /// Nobody takes any more.
    abandoned: bool,
    /// Who reads the socket.
    holder: Holder,
    /// The writer waits for bytes, or for the socket.
    wants_socket: bool,
    /// What the writer's reading failed with.
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

    /// Files that are read to their end go; with the last of them memory is used again.
    fn settle(&mut self) {
        let done = |segment: &Segment| segment.waiting() == 0 && !segment.writing;
        while self.files.front().is_some_and(done) {
            self.files.pop_front();
        }
    }

    /// Whether `len` bytes may go to a file now.
    fn file_takes(&self, len: usize, limits: &SpoolLimits) -> bool {
        let rests = |failed: Instant| failed.elapsed() < FILE_REST;
        !self.file_failed.is_some_and(rests) && self.file_bytes() + len as u64 <= limits.file_bytes
    }

    fn file_bytes(&self) -> u64 {
        self.files.iter().map(Segment::waiting).sum()
    }
}

#[derive(Debug)]
struct Shared {
    limits: SpoolLimits,
    /// Counts the bytes that go through a file, and what the writer reads itself.
    status: Arc<Status>,
    /// What the writer may read itself, once the spool is empty.
    socket: Option<Arc<Socket>>,
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    /// Told when something was taken, and when nobody takes any more.
    taken: Notify,
    /// Told when nobody takes any more.
    gone: Notify,
    /// Told when the writer leaves the socket to the link's task.
    returned: Notify,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // A poisoned lock still holds a whole value: nothing between the assignments under it can panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the link's task puts bytes in. Dropping it ends the spool.
#[derive(Debug)]
pub(super) struct Sender(Arc<Shared>);

/// Where the writer takes bytes out. Dropping it tells the sender that nobody reads any more.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
    /// For what is read from the socket.
    buffer: Vec<u8>,
}

/// A spool with those limits, which counts in `status`. From `socket` the writer may read itself.
pub(super) fn spool(
    limits: SpoolLimits,
    status: Arc<Status>,
    socket: Option<Arc<Socket>>,
) -> (Sender, Receiver) {
    status.arrivals.begin(socket.clone());
    let shared = Arc::new(Shared {
        limits,
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
enum Place {
    Memory,
    File(Arc<File>, u64),
    /// A file must be made first.
    NewFile,
    /// There is no room now.
    Nowhere,
}

impl Sender {
    /// Puts `chunk` behind all others. Waits only where neither memory nor the file has room.
    ///
    /// # Errors
    /// [`Gone`] when nobody takes it.
    pub(super) async fn send(&self, chunk: Bytes) -> Result<(), Gone> {
        loop {
            let taken = self.0.taken.notified();
            match self.place(chunk.len())? {
                Place::Memory => {
                    self.0.waiting().push(chunk);
                    self.0.arrived.notify_one();
                    return Ok(());
                }
                Place::NewFile => self.open().await,
                Place::File(file, at) => {
                    if self.append(file, at, chunk.clone()).await {
                        return Ok(());
                    }
                }
                Place::Nowhere => taken.await,
            }
        }
    }

    /// Waits until nobody takes any more.
    pub(super) async fn closed(&self) {
        let gone = self.0.gone.notified();
        if !self.0.waiting().abandoned {
            gone.await;
        }
    }

    /// Lets the writer read the socket: everything that was read here has been sent.
    pub(super) fn offer(&self) {
        let mut waiting = self.0.waiting();
        waiting.holder.offer();
        if waiting.wants_socket {
            self.0.arrived.notify_one();
        }
    }

    /// Asks for the socket, to read it. Gives whether it may be read.
    ///
    /// # Errors
    /// What the writer's reading failed with.
    pub(super) fn claim(&self) -> io::Result<bool> {
        let mut waiting = self.0.waiting();
        match waiting.broken.take() {
            Some(error) => Err(error),
            None => Ok(waiting.holder.claim()),
        }
    }

    /// Waits until the socket must be read here again: the writer gives it back, or has been busy for long.
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

    fn place(&self, len: usize) -> Result<Place, Gone> {
        let limits = &self.0.limits;
        let mut waiting = self.0.waiting();
        if waiting.abandoned {
            return Err(Gone);
        }
        waiting.settle();
        // A chunk larger than all the room goes in alone.
        let fits = waiting.memory_bytes + len <= limits.memory_bytes || waiting.memory.is_empty();
        if waiting.files.is_empty() && fits {
            return Ok(Place::Memory);
        }
        if !waiting.file_takes(len, limits) {
            return Ok(Place::Nowhere);
        }
        Ok(match waiting.files.back_mut() {
            Some(last) if last.written < SEGMENT_BYTES => {
                last.writing = true;
                Place::File(Arc::clone(&last.file), last.written)
            }
            _ => Place::NewFile,
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
                    "the primary sends faster than its bytes can be taken in: more waits in a file"
                );
                self.0.waiting().files.push_back(Segment {
                    file: Arc::new(file),
                    read: 0,
                    written: 0,
                    // Empty as it is, it must stay until the chunk is in it that it was made for.
                    writing: true,
                });
            }
            Err(error) => self.give_up_file(&error),
        }
    }

    /// Writes `chunk` at `at`, behind all that is in the file.
    async fn append(&self, file: Arc<File>, at: u64, chunk: Bytes) -> bool {
        let len = chunk.len() as u64;
        let result = blocking(move || file.write_all_at(&chunk, at)).await;
        let mut waiting = self.0.waiting();
        if let Some(last) = waiting.files.back_mut() {
            last.writing = false;
            if result.is_ok() {
                last.written = at + len;
                self.0.status.spooled.fetch_add(len, Ordering::Relaxed);
            }
        }
        drop(waiting);
        self.0.arrived.notify_one();
        if let Err(error) = &result {
            self.give_up_file(error);
        }
        result.is_ok()
    }

    /// Leaves the disk alone for a while, and says so once in it.
    fn give_up_file(&self, error: &io::Error) {
        tracing::warn!(%error, "the spool file cannot be written (see --spool-dir): the primary has to wait");
        self.0.waiting().file_failed = Some(Instant::now());
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.waiting().ended = true;
        self.0.arrived.notify_one();
        // The primary must not count on a follower that reads no more, and the writer may wait for more of it.
        if let Some(socket) = &self.0.socket {
            socket.shut();
        }
    }
}

/// What a receiver finds.
enum Next {
    Chunk(Bytes),
    InFile(Arc<File>, u64, usize),
    /// Nothing, and the socket is his to read.
    Socket(Arc<Socket>),
    End,
}

/// Bytes of the stream.
#[derive(Debug)]
pub enum Piece<'a> {
    /// They came through the spool.
    Spooled(Bytes),
    /// They were read from the socket just now.
    Direct(&'a [u8]),
}

impl Deref for Piece<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Spooled(chunk) => chunk,
            Self::Direct(bytes) => bytes,
        }
    }
}

impl Receiver {
    /// The next bytes; blocks until there are some. Empty at the end.
    ///
    /// # Errors
    /// The spool file cannot be read.
    pub fn recv(&mut self) -> io::Result<Bytes> {
        loop {
            match self.next(false) {
                Next::Chunk(chunk) => return Ok(self.taken(chunk)),
                Next::InFile(file, at, len) => return self.read_file(&file, at, len),
                Next::End => return Ok(Bytes::new()),
                Next::Socket(_) => {}
            }
        }
    }

    /// As [`recv`](Self::recv), but reads the socket itself once the spool is empty: who waits there is woken by the bytes
    /// and not by another thread.
    ///
    /// # Errors
    /// The spool file cannot be read.
    pub fn recv_stream(&mut self) -> io::Result<Piece<'_>> {
        let read = loop {
            match self.next(true) {
                Next::Chunk(chunk) => {
                    self.shared.status.arrivals.leave();
                    return Ok(Piece::Spooled(self.taken(chunk)));
                }
                Next::InFile(file, at, len) => {
                    self.shared.status.arrivals.leave();
                    return self.read_file(&file, at, len).map(Piece::Spooled);
                }
                Next::End => return Ok(Piece::Spooled(Bytes::new())),
                Next::Socket(socket) => {
                    if let Some(read) = self.read_socket(&socket) {
                        break read;
                    }
                }
            }
        };
        Ok(Piece::Direct(self.buffer.get(..read).unwrap_or_default()))
    }

    /// Leaves the socket to the link's task, which takes what comes into the spool.
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

    fn read_file(&self, file: &File, at: u64, len: usize) -> io::Result<Bytes> {
        let mut buffer = BytesMut::zeroed(len);
        file.read_exact_at(&mut buffer, at)?;
        let mut waiting = self.shared.waiting();
        if let Some(first) = waiting.files.front_mut() {
            first.read += len as u64;
        }
        drop(waiting);
        Ok(self.taken(buffer.freeze()))
    }

    /// Waits in the socket and reads it; `None` when nothing came of it. At the end of the connection, after a failure, and when
    /// more has come than one read takes, the socket goes back to the link's task.
    fn read_socket(&mut self, socket: &Socket) -> Option<usize> {
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
                status.received(read);
                status.direct_reads.fetch_add(1, Ordering::Relaxed);
                if read == self.buffer.len() {
                    self.give_back();
                } else {
                    self.shared.waiting().holder.leave(Instant::now());
                }
                Some(read)
            }
            Err(error) if is_passing(&error) => None,
            Err(error) => {
                self.shared.waiting().broken = Some(error);
                self.give_back();
                None
            }
        }
    }

    /// What to take now; blocks until there is something. The socket only if it is wanted.
    fn next(&self, wants_socket: bool) -> Next {
        let mut waiting = self.shared.waiting();
        loop {
            if let Some(chunk) = waiting.pop() {
                return Next::Chunk(chunk);
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

    /// Whether the link has ended; what it brought may still wait.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.shared.waiting().ended
    }

    /// Bytes that wait.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let waiting = self.shared.waiting();
        waiting.memory_bytes as u64 + waiting.file_bytes()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.status.arrivals.end();
        self.shared.waiting().abandoned = true;
        self.shared.taken.notify_waiters();
        self.shared.gone.notify_waiters();
    }
}

/// Whether a read that failed so may be tried again at once.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// Runs file work off the sockets' threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::other("the runtime is stopping")),
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
    async fn a_sender_never_waits_while_the_file_has_room_and_nothing_is_reordered() {
        let status = Arc::new(Status::default());
        let (sender, receiver) = spool(limits(1000, 1 << 30), Arc::clone(&status), None);
        let mut sent = Vec::new();
        for number in 0..200 {
            let chunk = chunk(number, 1 + number as usize * 7);
            sent.extend_from_slice(&chunk);
            sender.send(chunk).await.unwrap();
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
        let (sender, mut receiver) = spool(limits(10, 1 << 20), Arc::default(), None);
        for round in 0..3 {
            sender.send(chunk(round, 10)).await.unwrap();
            sender.send(chunk(round, 20)).await.unwrap();
            assert_eq!(sender.0.waiting().files.len(), 1, "{round}");
            assert_eq!(receiver.recv().unwrap(), chunk(round, 10));
            assert_eq!(receiver.recv().unwrap(), chunk(round, 20));
            sender.send(chunk(round, 5)).await.unwrap();
            assert!(sender.0.waiting().files.is_empty(), "{round}");
            assert_eq!(receiver.recv().unwrap(), chunk(round, 5));
        }
    }

    #[tokio::test]
    async fn a_sender_waits_where_there_is_no_room_and_goes_on_when_there_is() {
        for file_bytes in [0, 30] {
            let (sender, mut receiver) = spool(limits(10, file_bytes), Arc::default(), None);
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
                sender.send(chunk(number, 10)).await.unwrap();
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
        let (sender, receiver) = spool(nowhere, Arc::default(), None);
        let reader = std::thread::spawn(move || drain(receiver));
        let mut sent = Vec::new();
        for number in 0..20 {
            sent.extend_from_slice(&chunk(number, 10));
            sender.send(chunk(number, 10)).await.unwrap();
        }
        drop(sender);
        assert!(reader.join().unwrap() == sent);
    }

    #[tokio::test]
    async fn a_waiting_sender_hears_that_nobody_reads_any_more() {
        let (sender, receiver) = spool(limits(10, 0), Arc::default(), None);
        sender.send(chunk(0, 10)).await.unwrap();
        let ends = async {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            drop(receiver);
        };
        let (sent, (), ()) = tokio::join!(sender.send(chunk(1, 10)), sender.closed(), ends);
        assert_eq!(sent, Err(Gone));
    }
}
