//! What connections, INFO, COMMAND, CLIENT and transactions answer differently.

use super::{Dialect, Family, NEVER};

impl Dialect {
    /// What INFO replication calls the buffer of a full sync over a second connection, where the server has that.
    ///
    /// Source: redis 8.0 and valkey 8.1 server.c, `genRedisInfoString` and `genValkeyInfoString`.
    #[must_use]
    pub const fn full_sync_buffer_names(self) -> &'static [&'static str] {
        match (self.family, self.version) {
            (Family::Valkey, (8.., ..)) => {
                &["replicas_repl_buffer_size", "replicas_repl_buffer_peak"]
            }
            (Family::Redis, (8.., ..)) => &[
                "replica_full_sync_buffer_size",
                "replica_full_sync_buffer_peak",
            ],
            _ => &[],
        }
    }

    /// Whether INFO replication counts replicas whose main connection waits for their second one.
    ///
    /// Source: valkey 8.1 server.c, `genValkeyInfoString`.
    #[must_use]
    pub const fn counts_waiting_replicas(self) -> bool {
        matches!((self.family, self.version), (Family::Valkey, (8.., ..)))
    }

    /// Whether CLIENT LIST has the field.
    ///
    /// Source: networking.c, `catClientInfoString`, of Redis 6.0 to 8.0 and Valkey 8.1 and 9.1.
    #[must_use]
    pub fn shows_client_field(self, name: &str) -> bool {
        match name {
            "laddr" | "redir" => self.since_redis(6, 2),
            "ssub" | "multi-mem" | "rbs" | "rbp" | "resp" => self.since_redis(7, 0),
            "lib-name" | "lib-ver" => self.since_redis(7, 2),
            "watch" => self.since((7, 4), (8, 0)),
            "io-thread" => self.since((8, 0), NEVER),
            "capa" => self.since(NEVER, (8, 0)),
            "tot-net-in" | "tot-net-out" | "tot-cmds" => self.since(NEVER, (8, 1)),
            _ => true,
        }
    }

    /// The module that the server brings with it, if it does: its name, and where it says that it lies.
    #[must_use]
    pub const fn own_module(self) -> Option<(&'static str, &'static str)> {
        match self.family {
            Family::Redis if self.since((8, 0), NEVER) => Some(("vectorset", "")),
            Family::Valkey if self.since(NEVER, (9, 1)) => Some(("lua", "lua")),
            _ => None,
        }
    }

    /// Whether MEMORY STATS has the field. Source: object.c, `memoryCommand`, of Redis 6.0 to 8.0 and Valkey 8.1 and 9.1.
    #[must_use]
    pub fn shows_memory_field(self, name: &str) -> bool {
        match name {
            "replica.fullsync.buffer" | "script.VMs" => self.since((8, 0), NEVER),
            "replicas.repl.buffer" | "cluster.slot_import" | "cluster.slot_export" => {
                self.since(NEVER, (9, 1))
            }
            "cluster.links" | "functions.caches" => self.since_redis(7, 0),
            "overhead.db.hashtable.lut"
            | "overhead.db.hashtable.rehashing"
            | "db.dict.rehashing.count"
            | "allocator.muzzy" => self.since((8, 0), (8, 1)),
            "overhead.hashtable.slot-to-keys" => {
                self.since_redis(7, 0) && !self.since((7, 4), (8, 0))
            }
            _ => true,
        }
    }

    /// Words of one request at most: a million before Redis 7.0, as many as an `int` counts since.
    ///
    /// Source: redis 6.0 and 7.0 networking.c, `processMultibulkBuffer`.
    #[must_use]
    pub const fn request_words_max(self) -> usize {
        if self.since_redis(7, 0) {
            i32::MAX as usize
        } else {
            1 << 20
        }
    }

    /// COMMAND gives the subcommands of what has none as an empty set in RESP3, as an empty array since Valkey 9.1.
    #[must_use]
    pub const fn gives_no_subcommands_as_set(self) -> bool {
        !self.since(NEVER, (9, 1))
    }

    /// COMMAND GETKEYS names a destination before the sources since Redis 7.0, and after them before.
    #[must_use]
    pub const fn names_destination_first(self) -> bool {
        self.since_redis(7, 0)
    }

    /// READONLY is accepted outside of clusters since Valkey 8.0.
    #[must_use]
    pub const fn accepts_readonly(self) -> bool {
        self.since(NEVER, (8, 0))
    }

    /// READWRITE is accepted outside of clusters before Redis 7.0 and since Valkey 8.0.
    #[must_use]
    pub const fn accepts_readwrite(self) -> bool {
        self.since(NEVER, (8, 0)) || !self.since_redis(7, 0)
    }

    /// Errors and texts name Redis; Valkey's do not.
    #[must_use]
    pub const fn says_redis(self) -> bool {
        matches!(self.family, Family::Redis)
    }

    /// LOLWUT's version line names Redis up to Valkey 8.1.
    #[must_use]
    pub const fn name_in_lolwut(self) -> &'static str {
        if self.since(NEVER, (9, 0)) {
            "Valkey"
        } else {
            "Redis"
        }
    }

    /// A user's flag `sanitize-payload` is shown since Redis 7.2, and no more since Valkey 9.0.
    #[must_use]
    pub const fn shows_sanitize_payload(self) -> bool {
        self.since_redis(7, 2) && !self.since(NEVER, (9, 0))
    }

    /// Users have patterns of channels since Redis 6.2.
    #[must_use]
    pub const fn has_channel_patterns(self) -> bool {
        self.since_redis(6, 2)
    }

    /// Users have databases since Valkey 9.1.
    #[must_use]
    pub const fn has_database_permissions(self) -> bool {
        self.since(NEVER, (9, 1))
    }

    /// Whether COMMAND lists what is known without it: QUIT since Redis 7.0; the words of HTTP, which close the connection,
    /// before.
    #[must_use]
    pub fn lists(self, command: &str) -> bool {
        match command {
            "quit" => self.since_redis(7, 0),
            "post" | "host:" => !self.since_redis(7, 0),
            _ => true,
        }
    }

    /// WRONGPASS speaks of disabled users since Redis 6.2, and HELLO has its own error for what is no number.
    #[must_use]
    pub const fn has_modern_login_errors(self) -> bool {
        self.since_redis(6, 2)
    }

    /// A key that was past its time when it was watched does not break the transaction, since Redis 7.0.
    #[must_use]
    pub const fn ignores_expired_when_watched(self) -> bool {
        self.since_redis(7, 0)
    }

    /// CLIENT LIST takes ID since Redis 6.2.
    #[must_use]
    pub const fn lists_clients_by_id(self) -> bool {
        self.since_redis(6, 2)
    }

    /// CLIENT LIST refuses the id 0, which nobody has, since Valkey 8.1.
    #[must_use]
    pub const fn refuses_client_zero(self) -> bool {
        self.since(NEVER, (8, 1))
    }

    /// CLIENT KILL refuses ids that nobody has since Redis 6.2.
    #[must_use]
    pub const fn refuses_to_kill_client_zero(self) -> bool {
        self.since_redis(6, 2)
    }

    /// What cannot run inside MULTI, like SAVE, is refused there since Redis 7.0, not when it runs.
    #[must_use]
    pub const fn denies_within_transactions(self) -> bool {
        self.since_redis(7, 0)
    }

    /// HELLO reads all its options before it logs in, and its error names the protocol version too, since Redis 7.2.
    #[must_use]
    pub const fn reads_hello_before_login(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Before AUTH even an unknown command is told to authenticate, since Valkey 9.1.
    #[must_use]
    pub const fn asks_for_password_first(self) -> bool {
        self.since(NEVER, (9, 1))
    }

    /// What CLIENT KILL and LIST say of an id that is none.
    #[must_use]
    pub const fn client_id_errors(self) -> [&'static str; 2] {
        const SYNTAX: &str = "ERR syntax error";
        match self.family {
            Family::Valkey if self.since(NEVER, (8, 1)) => [SYNTAX, SYNTAX],
            _ if self.since_redis(6, 2) => [
                "ERR client-id should be greater than 0",
                "ERR Invalid client ID",
            ],
            _ => ["ERR value is not an integer or out of range", SYNTAX],
        }
    }

    /// Since Redis 7.2 a client's name is checked up to its first zero byte only, and may hold anything behind it.
    #[must_use]
    pub const fn has_names_behind_zero(self) -> bool {
        self.since_redis(7, 2)
    }

    /// PFCOUNT of one key counts it past its time, too, on replicas before Redis 7.0: it looks it up as a write does.
    #[must_use]
    pub const fn counts_expired_sketches(self) -> bool {
        !self.since_redis(7, 0)
    }

    /// MULTI and WATCH inside MULTI end the transaction since Valkey 8.1.
    #[must_use]
    pub const fn denies_nested_transactions(self) -> bool {
        self.since(NEVER, (8, 1))
    }

    /// The error about what no transaction takes names the command since Valkey 9.1; CLIENT REPLY is among them then.
    #[must_use]
    pub const fn names_what_transactions_deny(self) -> bool {
        self.since(NEVER, (9, 1))
    }

    /// Subcommands are commands of their own, with their own arity and errors, since Redis 7.0.
    #[must_use]
    pub const fn has_subcommand_rows(self) -> bool {
        self.since_redis(7, 0)
    }

    /// The error about an unknown command puts its words in straight quotes since Redis 7.0, in backticks before.
    #[must_use]
    pub const fn quotes_straight(self) -> bool {
        self.since_redis(7, 0)
    }

    /// CONFIG SET takes several settings, CONFIG GET several patterns, since Redis 7.0.
    #[must_use]
    pub const fn sets_several_settings(self) -> bool {
        self.since_redis(7, 0)
    }
}
