//! Every bound on what a peer, a client or a file can make us do, each with its reason.

/// The longest string, key or field: Redis's own `proto-max-bulk-len` default. Larger ones are refused.
pub const STRING_BYTES_MAX: usize = 512 << 20;

/// The largest packed blob (listpack, ziplist, intset) accepted: Redis refuses to grow one past 1 GiB.
pub const PACKED_BYTES_MAX: usize = 1 << 30;

/// The largest module value kept. A snapshot does not tell how long one is, so something must end a walk over items without
/// end; the vector sets of the largest primaries are below this.
pub const MODULE_BYTES_MAX: usize = 16 << 30;

/// Function libraries: each change looks through them and copies their list. Servers hold a handful.
pub const LIBRARIES_MAX: usize = 4096;

/// The most cells of a matrix that a vector set brings its vectors down with: 1 GiB. One short command asks for it.
pub const PROJECTION_CELLS_MAX: u64 = 1 << 28;

/// LZF can expand 3 input bytes to at most 264 output bytes; anything declared beyond that cannot be true.
pub const LZF_EXPANSION_MAX: usize = 88;

/// How much is allocated ahead of bytes that have been declared but have not arrived.
pub const PREALLOCATED_BYTES_MAX: usize = 1 << 20;

/// How many elements' room is reserved on a declared count alone.
pub const PREALLOCATED_ELEMENTS_MAX: usize = 4096;

/// The size of one network or file read: large enough that a full sync costs few system calls, small enough that several stay
/// in L2, and that an allocator keeps it among others instead of in 4 MB of its own.
pub const READ_CHUNK_BYTES: usize = 64 << 10;

/// The longest reply line of a primary during the handshake. Real ones are below 200 bytes.
pub const HANDSHAKE_LINE_BYTES_MAX: usize = 16 << 10;

/// The longest bulk reply before a link streams. INFO is below 10 KB, but for primaries of thousands of replicas.
pub const BULK_BYTES_MAX: usize = 1 << 20;

/// The longest file of certificates: the system's own, with all authorities, is below 300 KB.
pub const CERTIFICATES_BYTES_MAX: u64 = 16 << 20;

/// The most files of a folder of certificates that are read: systems have some hundred.
pub const CERTIFICATE_FILES_MAX: usize = 4096;

/// The longest password in a file.
pub const SECRET_BYTES_MAX: u64 = 64 << 10;

/// The longest array of a reply before a link streams, and the most of its arrays in one: a sentinel's fields, and its servers.
pub const REPLY_WORDS_MAX: usize = 1024;

/// The longest reply of nested arrays before a link streams. A sentinel says 1 KB of each server.
pub const REPLY_BYTES_MAX: usize = 4 << 20;

/// How many sentinels are remembered: three to seven are usual.
pub const SENTINELS_MAX: usize = 32;

/// How many addresses of one name are tried. Each may take the whole time for a connection.
pub const NAME_ADDRESSES_MAX: usize = 16;

/// How long a script may run that the upstream sent as its text: readers wait meanwhile. It ran at the primary, whose clients
/// waited, too; one that runs on for ever must not stop the replica.
pub const REPLAY_SECONDS_MAX: u64 = 60;

/// What one connection's watched keys take without being asked of the memory of all clients, and in what steps more is asked for.
pub const WATCHED_BYTES_STEP: usize = 64 << 10;

/// The longest word in a command of the stream. A primary may be set to accept more than [`STRING_BYTES_MAX`] from its
/// clients, and RESTORE payloads are longer than the value.
pub const STREAM_WORD_BYTES_MAX: usize = 4 << 30;

/// The most memory that one script may hold. A server gives as much as there is; here a client must not take what the data
/// needs. Replies that scripts build from whole collections of a million small members fit.
pub const SCRIPT_MEMORY_BYTES_MAX: usize = 256 << 20;

/// The memory that scripts which run at once share: each gets a part when it begins, at most [`SCRIPT_MEMORY_BYTES_MAX`] and
/// at least [`SCRIPT_MEMORY_BYTES_MIN`].
pub const SCRIPTS_MEMORY_BYTES: usize = 1 << 30;

/// See [`SCRIPTS_MEMORY_BYTES`]: what a script that looks at a few keys does with, many times over.
pub const SCRIPT_MEMORY_BYTES_MIN: usize = 16 << 20;

/// How long a script may run: it holds the writer off all the while. A server's own `busy-reply-threshold`, after which it
/// answers nobody else.
pub const SCRIPT_MILLISECONDS_MAX: u64 = 5_000;

/// How long a script may run among the other commands of its connection, in ticks: of 200 instructions, of a call of a command,
/// or of as much work in a library. That is less than half a millisecond; past it the script begins again on a thread that
/// nobody else waits for.
pub const SCRIPT_TICKS_SHORT: u32 = 100;

/// What a script may say to the log before it has ended, in bytes.
pub const SCRIPT_LOG_BYTES_MAX: usize = 64 << 10;

/// How many texts of scripts are remembered, and how many bytes of them. A server's own limit of scripts that were not
/// loaded on purpose is 500.
pub const SCRIPTS_MAX: usize = 10_000;

/// See [`SCRIPTS_MAX`].
pub const SCRIPTS_BYTES_MAX: usize = 64 << 20;

/// Texts of scripts that the upstream has shown are kept with its data, so many bytes of them: it may call them by digest ever after.
/// A server keeps them all; a script is some kilobytes long.
pub const UPSTREAM_SCRIPTS_BYTES_MAX: usize = 64 << 20;

/// What a primary's transaction may take until its EXEC comes, where nothing else is set: as much as one request of a client.
pub const TRANSACTION_BYTES_MAX: usize = 1 << 30;
