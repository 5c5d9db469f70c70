//! Every limit on what a peer, a client or a file can make redtail do, each with its reason.

/// The longest string, key or field: the default of Redis's `proto-max-bulk-len`. Longer ones are refused.
pub const STRING_BYTES_MAX: usize = 512 << 20;

/// The largest packed blob (listpack, ziplist, intset) that is accepted: Redis refuses to grow one past 1 GiB.
pub const PACKED_BYTES_MAX: usize = 1 << 30;

/// The largest module value that is kept. A snapshot does not state its length, so this limit ends a walk over endless items.
/// The vector sets of the largest primaries are smaller.
pub const MODULE_BYTES_MAX: usize = 16 << 30;

/// Maximum number of function libraries. Each change searches them and copies their list; servers hold a handful.
pub const LIBRARIES_MAX: usize = 4096;

/// Maximum cells of the matrix with which a vector set reduces its vectors: 1 GiB. One short command can ask for it.
pub const PROJECTION_CELLS_MAX: u64 = 1 << 28;

/// Maximum output bytes per LZF input byte. LZF expands 3 input bytes to at most 264 output bytes, so a larger declared length
/// must be wrong.
pub const LZF_EXPANSION_MAX: usize = 88;

/// Maximum bytes that are allocated for data that has been declared but has not arrived.
pub const PREALLOCATED_BYTES_MAX: usize = 1 << 20;

/// Maximum elements for which room is reserved because of a declared count alone.
pub const PREALLOCATED_ELEMENTS_MAX: usize = 4096;

/// The size of one network or file read. It is large enough that a full sync needs few system calls, and small enough that
/// several chunks stay in L2 and that an allocator stores a chunk among others instead of in 4 MB of its own.
pub const READ_CHUNK_BYTES: usize = 64 << 10;

/// The longest reply line from a primary during the handshake. Real ones are below 200 bytes.
pub const HANDSHAKE_LINE_BYTES_MAX: usize = 16 << 10;

/// The longest bulk reply before a link streams. INFO is below 10 KB, except on primaries with thousands of replicas.
pub const BULK_BYTES_MAX: usize = 1 << 20;

/// The largest certificate file. The system's own, with all authorities, is below 300 KB.
pub const CERTIFICATES_BYTES_MAX: u64 = 16 << 20;

/// Maximum number of files that are read from a certificate directory. Systems have a few hundred.
pub const CERTIFICATE_FILES_MAX: usize = 4096;

/// The largest password file.
pub const SECRET_BYTES_MAX: usize = 64 << 10;

/// Maximum words in an array of a reply before a link streams, and maximum arrays in one reply. A sentinel replies with an array
/// of fields for each server.
pub const REPLY_WORDS_MAX: usize = 1024;

/// The longest reply of nested arrays before a link streams. A sentinel sends 1 KB about each server.
pub const REPLY_BYTES_MAX: usize = 4 << 20;

/// The longest message of a cluster that is handed on. Its servers keep up to 32 MB for a subscriber by default.
pub const PUSH_BYTES_MAX: usize = 64 << 20;

/// Maximum bytes of the names of channels that are subscribed to at a cluster: some hundred thousand.
pub const BUS_NAMES_BYTES_MAX: usize = 64 << 20;

/// Maximum bytes of a cluster's messages that wait to be handed out.
pub const BUS_BYTES_MAX: usize = 64 << 20;

/// Maximum number of a cluster's nodes that are known. Redis recommends at most 1000.
pub const CLUSTER_NODES_MAX: usize = 4096;

/// Maximum number of sentinels that are remembered. Three to seven are usual.
pub const SENTINELS_MAX: usize = 32;

/// Maximum addresses of one name that are tried. Each may take the full connection timeout.
pub const NAME_ADDRESSES_MAX: usize = 16;

/// How long a script may run that the upstream sent as its text, in seconds. Readers wait while it runs. It ran on the primary,
/// whose clients waited too, but a script that never ends must not stop the replica.
pub const REPLAY_SECONDS_MAX: u64 = 60;

/// The bytes that one connection's watched keys may take for free. More memory is taken from the clients' budget, in steps of
/// this size.
pub const WATCHED_BYTES_STEP: usize = 64 << 10;

/// The longest word in a command of the stream. A primary may be configured to accept more than [`STRING_BYTES_MAX`] from its
/// clients, and a RESTORE payload is longer than its value.
pub const STREAM_WORD_BYTES_MAX: usize = 4 << 30;

/// Maximum memory of one script. Servers set no limit, but here a client must not take the memory that the data needs. A reply
/// built from a whole collection of a million small members fits.
pub const SCRIPT_MEMORY_BYTES_MAX: usize = 256 << 20;

/// The memory that concurrent scripts share. Each gets a part when it starts: at least [`SCRIPT_MEMORY_BYTES_MIN`] and at most
/// [`SCRIPT_MEMORY_BYTES_MAX`].
pub const SCRIPTS_MEMORY_BYTES: usize = 1 << 30;

/// See [`SCRIPTS_MEMORY_BYTES`]. A script that reads a few keys needs only a small part of this.
pub const SCRIPT_MEMORY_BYTES_MIN: usize = 16 << 20;

/// How long a script may run, in milliseconds. It keeps the writer waiting all this time. This is the default of Redis's
/// `busy-reply-threshold`, after which a server answers other clients BUSY.
pub const SCRIPT_MILLISECONDS_MAX: u64 = 5_000;

/// How long a script may run among the other commands of its connection, in ticks. A tick is 200 instructions, one call of a
/// command, or as much work in a library. In total that is less than half a millisecond. A longer script starts again on a
/// thread for which no other client waits.
pub const SCRIPT_TICKS_SHORT: u32 = 100;

/// Maximum bytes that a script may write to the log before it ends.
pub const SCRIPT_LOG_BYTES_MAX: usize = 64 << 10;

/// Maximum number of script texts that are remembered. Servers limit those that were not loaded on purpose to 500.
pub const SCRIPTS_MAX: usize = 10_000;

/// Maximum bytes of the script texts that are remembered. See [`SCRIPTS_MAX`].
pub const SCRIPTS_BYTES_MAX: usize = 64 << 20;

/// Maximum bytes of script texts from the upstream. They are kept with its data, because the upstream may later call them by
/// digest. A server keeps all of them; a script is a few kilobytes long.
pub const UPSTREAM_SCRIPTS_BYTES_MAX: usize = 64 << 20;

/// Maximum bytes of a primary's transaction before its EXEC arrives, if no other limit is set. The default limit of one client's
/// request is the same.
pub const TRANSACTION_BYTES_MAX: usize = 1 << 30;

/// Bytes of changes that the feed keeps for listeners that have not taken them. A listener that is further behind loses its place.
/// A primary that writes 100,000 small keys a second fills this in about ten seconds.
pub const FEED_BYTES_MAX: usize = 64 << 20;

/// Maximum bytes of the keys that are remembered for clients that track. Clients choose their names, and their number alone
/// ([`tracking-table-max-keys`](crate::command::Tunables)) bounds no memory.
pub const TRACKED_BYTES_MAX: usize = 256 << 20;
