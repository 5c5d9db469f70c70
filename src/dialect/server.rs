//! Differences in connections, INFO, COMMAND, CLIENT and transactions.

use super::{Dialect, Family, NEVER};

#[doc(hidden)]
impl Dialect {
    /// Returns the names that INFO replication uses for the buffer of a full sync over a second connection, if the server has
    /// that.
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

    /// Whether INFO replication counts replicas whose main connection is waiting for their second one.
    ///
    /// Source: valkey 8.1 server.c, `genValkeyInfoString`.
    #[must_use]
    pub const fn counts_waiting_replicas(self) -> bool {
        matches!((self.family, self.version), (Family::Valkey, (8.., ..)))
    }

    /// Whether INFO counts calls that were refused before they ran, and calls that failed (since Redis 6.2).
    #[must_use]
    pub const fn counts_rejected_calls(self) -> bool {
        self.since_redis(6, 2)
    }

    /// Whether OBJECT of an absent key counts as a miss. Source: redis 6.0 db.c, `lookupKeyReadWithFlags`, which does not count with
    /// `LOOKUP_NONOTIFY`.
    #[must_use]
    pub const fn counts_misses_of_object(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether MONITOR shows a command once it has run, and with the database that is selected then (since Redis 7.0).
    #[must_use]
    pub const fn shows_commands_that_ran(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether LATENCY LATEST also returns the sum and the number of an event's latencies (since Valkey 8.1).
    #[must_use]
    pub const fn sums_latencies(self) -> bool {
        self.since(NEVER, (8, 1))
    }

    /// Whether messages and the replies to SUBSCRIBE reach a client that has turned replies off (since Redis 7.0).
    ///
    /// Source: redis 7.0 networking.c, `prepareClientToWrite` with `CLIENT_PUSHING`.
    #[must_use]
    pub const fn pushes_in_silence(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether a client that publishes to itself gets the reply before the message (since Redis 7.2).
    ///
    /// Source: redis 7.2 networking.c, `_addReplyToBufferOrList` with `pending_push_messages`.
    #[must_use]
    pub const fn replies_before_own_pushes(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Returns what a client that speaks RESP2 and has a subscription may do, in the error's words.
    ///
    /// Source: redis 6.0, 6.2 and 7.0 server.c, `processCommand`.
    #[must_use]
    pub const fn subscribers_commands(self) -> &'static str {
        match () {
            () if self.since_redis(7, 0) => {
                "(P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET"
            }
            () if self.since_redis(6, 2) => "(P)SUBSCRIBE / (P)UNSUBSCRIBE / PING / QUIT / RESET",
            () => "(P)SUBSCRIBE / (P)UNSUBSCRIBE / PING / QUIT",
        }
    }

    /// Whether CLIENT LIST shows this field.
    ///
    /// Source: networking.c, `catClientInfoString`, of Redis 6.0 to 8.2 and Valkey 8.1 and 9.1.
    #[must_use]
    pub fn shows_client_field(self, name: &str) -> bool {
        match name {
            "laddr" | "redir" => self.since_redis(6, 2),
            "ssub" | "multi-mem" | "rbs" | "rbp" | "resp" => self.since_redis(7, 0),
            "lib-name" | "lib-ver" => self.since_redis(7, 2),
            "watch" => self.since((7, 4), (8, 0)),
            "io-thread" => self.since((8, 0), NEVER),
            "capa" => self.since(NEVER, (8, 0)),
            "tot-net-in" | "tot-net-out" | "tot-cmds" => self.since((8, 2), (8, 1)),
            _ => true,
        }
    }

    /// Returns the module that ships with the server, if any: its name and its reported path.
    #[must_use]
    pub const fn own_module(self) -> Option<(&'static str, &'static str)> {
        match self.family {
            Family::Redis if self.since((8, 0), NEVER) => Some(("vectorset", "")),
            Family::Valkey if self.since(NEVER, (9, 1)) => Some(("lua", "lua")),
            _ => None,
        }
    }

    /// Whether MEMORY STATS shows this field. Source: object.c, `memoryCommand`, of Redis 6.0 to 8.2 and Valkey 8.1 and 9.1; Valkey
    /// 9.0 was asked.
    #[must_use]
    pub fn shows_memory_field(self, name: &str) -> bool {
        match name {
            "replica.fullsync.buffer" | "script.VMs" => self.since((8, 0), NEVER),
            "cluster.slot_import" | "cluster.slot_export" => self.since(NEVER, (9, 0)),
            "replicas.repl.buffer" => self.since(NEVER, (9, 1)),
            "cluster.links" | "functions.caches" => self.since_redis(7, 0),
            "overhead.db.hashtable.lut"
            | "overhead.db.hashtable.rehashing"
            | "db.dict.rehashing.count"
            | "allocator.muzzy" => self.since((7, 4), (8, 1)),
            "overhead.hashtable.slot-to-keys" => {
                self.since_redis(7, 0) && !self.since((7, 4), (8, 0))
            }
            _ => true,
        }
    }

    /// Returns the maximum number of words in one request: 2^20 before Redis 7.0, and the maximum of an `int` since.
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

    /// Whether COMMAND returns an empty set in RESP3 for a command without subcommands. Since Valkey 9.1 it returns an empty
    /// array.
    #[must_use]
    pub const fn gives_no_subcommands_as_set(self) -> bool {
        !self.since(NEVER, (9, 1))
    }

    /// Whether COMMAND GETKEYS names a destination before the sources (since Redis 7.0). Older servers name it after them.
    #[must_use]
    pub const fn names_destination_first(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether CLUSTER SLOTS has a list of metadata for each node.
    ///
    /// Source: redis 7.0 cluster.c, `addNodeToNodeReply`.
    #[must_use]
    pub fn has_slots_metadata(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether READONLY is accepted outside clusters (since Valkey 8.0).
    #[must_use]
    pub const fn accepts_readonly(self) -> bool {
        self.since(NEVER, (8, 0))
    }

    /// Whether READWRITE is accepted outside clusters (before Redis 7.0 and since Valkey 8.0).
    #[must_use]
    pub const fn accepts_readwrite(self) -> bool {
        self.since(NEVER, (8, 0)) || !self.since_redis(7, 0)
    }

    /// Whether errors and texts name Redis, as in Redis but not in Valkey.
    #[must_use]
    pub const fn says_redis(self) -> bool {
        matches!(self.family, Family::Redis)
    }

    /// Returns the name in LOLWUT's version line. Up to Valkey 8.1 it is Redis.
    #[must_use]
    pub const fn name_in_lolwut(self) -> &'static str {
        if self.since(NEVER, (9, 0)) {
            "Valkey"
        } else {
            "Redis"
        }
    }

    /// Whether a user's flag `sanitize-payload` is shown (since Redis 7.2, and no longer since Valkey 9.1).
    #[must_use]
    pub const fn shows_sanitize_payload(self) -> bool {
        self.since_redis(7, 2) && !self.since(NEVER, (9, 1))
    }

    /// Whether users have channel patterns (since Redis 6.2).
    #[must_use]
    pub const fn has_channel_patterns(self) -> bool {
        self.since_redis(6, 2)
    }

    /// Whether a new user may use all channels (Redis 6.2). Since 7.0 it may use none.
    #[must_use]
    pub const fn allows_channels_first(self) -> bool {
        self.has_channel_patterns() && !self.since_redis(7, 0)
    }

    /// Whether users have a flag for the payloads of RESTORE (since Redis 6.2, and no longer since Valkey 9.1).
    #[must_use]
    pub const fn has_sanitize_payload(self) -> bool {
        self.since_redis(6, 2) && !self.since(NEVER, (9, 1))
    }

    /// Whether users show the rules for commands that they were given (since Redis 7.2). Before, servers derive a list from what
    /// the user may run.
    #[must_use]
    pub const fn keeps_command_rules(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Whether NOPERM names the user, and ACL LOG numbers its entries (since Redis 7.2).
    #[must_use]
    pub const fn names_denied_user(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Whether ACL LOAD keeps the connections of users that still exist (since Redis 7.4 and Valkey 8.0). Before, it closes those
    /// of all users except the default one.
    #[must_use]
    pub const fn keeps_clients_of_loaded_users(self) -> bool {
        self.since((7, 4), (8, 0))
    }

    /// Whether subscribers that ACL SETUSER disconnects still count as receivers of messages in the same transaction (in Redis since
    /// 7.4).
    #[must_use]
    pub const fn frees_subscribers_later(self) -> bool {
        self.since((7, 4), NEVER)
    }

    /// Whether users have database permissions (since Valkey 9.1).
    #[must_use]
    pub const fn has_database_permissions(self) -> bool {
        self.since(NEVER, (9, 1))
    }

    /// Whether COMMAND lists this command. QUIT is listed since Redis 7.0. `POST` and `Host:`, the words of HTTP that close the
    /// connection, are listed only before that.
    #[must_use]
    pub fn lists(self, command: &str) -> bool {
        match command {
            "quit" => self.since_redis(7, 0),
            "post" | "host:" => !self.since_redis(7, 0),
            // redtail's own: COMMAND lists what the upstream has.
            own => !own.starts_with("redtail."),
        }
    }

    /// Whether WRONGPASS mentions disabled users, and HELLO has its own error for a version that is not a number (since Redis
    /// 6.2).
    #[must_use]
    pub const fn has_modern_login_errors(self) -> bool {
        self.since_redis(6, 2)
    }

    /// Whether a key that had already expired when it was watched leaves the transaction intact (since Redis 7.0).
    #[must_use]
    pub const fn ignores_expired_when_watched(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether the prefixes of a client that tracks must not overlap (since Redis 6.2).
    #[must_use]
    pub const fn refuses_overlapping_prefixes(self) -> bool {
        self.since_redis(6, 2)
    }

    /// Whether CLIENT LIST marks clients that track in broadcasting mode (since Redis 6.2).
    #[must_use]
    pub const fn marks_broadcasting(self) -> bool {
        self.since_redis(6, 2)
    }

    /// Whether CLIENT LIST accepts ID (since Redis 6.2).
    #[must_use]
    pub const fn lists_clients_by_id(self) -> bool {
        self.since_redis(6, 2)
    }

    /// Whether CLIENT LIST refuses the id 0, which no client has (since Valkey 8.1).
    #[must_use]
    pub const fn refuses_client_zero(self) -> bool {
        self.since(NEVER, (8, 1))
    }

    /// Whether CLIENT KILL refuses ids that no client can have, like 0 (since Redis 6.2).
    #[must_use]
    pub const fn refuses_to_kill_client_zero(self) -> bool {
        self.since_redis(6, 2)
    }

    /// Whether a command that cannot run inside MULTI, like SAVE, is refused when it is queued (since Redis 7.0). Older servers
    /// refuse it when it runs.
    #[must_use]
    pub const fn denies_within_transactions(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether HELLO reads all its options before it logs in, and its error also names the protocol version (since Redis 7.2).
    #[must_use]
    pub const fn reads_hello_before_login(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Whether even an unknown command gets the error to authenticate first, before AUTH (since Valkey 9.0).
    #[must_use]
    pub const fn asks_for_password_first(self) -> bool {
        self.since(NEVER, (9, 0))
    }

    /// Returns the errors of CLIENT KILL and CLIENT LIST for an invalid id.
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

    /// Whether a client's name is checked only up to its first zero byte, and may hold anything after it (since Redis 7.2).
    #[must_use]
    pub const fn has_names_behind_zero(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Whether PFCOUNT of one key also counts an expired key on a replica (before Redis 7.0, where it looks the key up as a
    /// write does).
    #[must_use]
    pub const fn counts_expired_sketches(self) -> bool {
        !self.since_redis(7, 0)
    }

    /// Whether MULTI and WATCH inside MULTI abort the transaction (since Valkey 8.1).
    #[must_use]
    pub const fn denies_nested_transactions(self) -> bool {
        self.since(NEVER, (8, 1))
    }

    /// Whether the error about a command that no transaction accepts names the command (since Valkey 9.0). CLIENT REPLY is then
    /// one of them.
    #[must_use]
    pub const fn names_what_transactions_deny(self) -> bool {
        self.since(NEVER, (9, 0))
    }

    /// Whether subcommands are commands of their own, with their own arity and errors (since Redis 7.0).
    #[must_use]
    pub const fn has_subcommand_rows(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether the error about an unknown command without arguments ends after its name: asked of Redis 8.6. Older servers go on with
    /// "with args beginning with".
    #[must_use]
    pub const fn ends_unknown_commands_early(self) -> bool {
        self.since((8, 6), NEVER)
    }

    /// Whether the error about an unknown command puts its words in straight quotes (since Redis 7.0). Older servers use
    /// backticks.
    #[must_use]
    pub const fn quotes_straight(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether keyspace events tell of keys that are overwritten, and of keys that change their type (since Redis 8.2, not in
    /// Valkey).
    #[must_use]
    pub const fn has_events_of_replaced_keys(self) -> bool {
        self.since((8, 2), NEVER)
    }

    /// Whether CONFIG SET has an error of its own for a negative value of an unsigned setting (since Redis 8.2, not in Valkey).
    #[must_use]
    pub const fn names_negative_settings(self) -> bool {
        self.since((8, 2), NEVER)
    }

    /// Whether CONFIG SET accepts several settings, and CONFIG GET several patterns (since Redis 7.0).
    #[must_use]
    pub const fn sets_several_settings(self) -> bool {
        self.since_redis(7, 0)
    }
}
