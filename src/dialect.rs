//! Which server's words we speak: replies differ between versions, and a reply must be the upstream's.
//!
//! The upstream names itself in the snapshot's aux fields (`redis-ver`, `valkey-ver`). Each difference is one
//! method here; no other room compares versions.

/// The server family of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Redis.
    Redis,
    /// Valkey.
    Valkey,
}

/// A server family and its version (`major`, `minor`, `patch`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// Who wrote the snapshot.
    pub family: Family,
    /// Its version: major, minor, patch.
    pub version: (u8, u8, u8),
}

/// What a script is told of a command that it cannot run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScriptErrors {
    /// There is none of that name.
    pub unknown: &'static str,
    /// It takes other words.
    pub arity: &'static str,
    /// No script may.
    pub forbidden: &'static str,
    /// It writes.
    pub read_only: &'static str,
}

/// In which servers a command is: since which Redis, and since which Valkey.
///
/// Valkey forked from Redis 7.2: what Redis had then is in every Valkey, what either got later is in the other only if said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    redis: (u8, u8),
    valkey: (u8, u8),
    /// The first Redis without it.
    gone: (u8, u8),
}

/// Later than every version there is.
const NEVER: (u8, u8) = (u8::MAX, u8::MAX);

impl Presence {
    /// In every server.
    pub const ALWAYS: Self = Self {
        redis: (0, 0),
        valkey: (0, 0),
        gone: NEVER,
    };

    /// Since the Redis whose version is `text` (`6.2.0`), and since every Valkey unless that is later than the fork.
    #[must_use]
    pub const fn since(text: &str) -> Self {
        let redis = major_and_minor(text);
        let valkey = if at_least(redis, (7, 3)) {
            NEVER
        } else {
            (0, 0)
        };
        Self {
            redis,
            valkey,
            gone: NEVER,
        }
    }

    /// Also in Valkey, since that version.
    #[must_use]
    pub const fn and_valkey(mut self, text: &str) -> Self {
        self.valkey = major_and_minor(text);
        self
    }

    /// In no Redis.
    #[must_use]
    pub const fn without_redis(mut self) -> Self {
        self.redis = NEVER;
        self
    }

    /// Not in Redis from that version on, nor in Valkey.
    #[must_use]
    pub const fn until(mut self, text: &str) -> Self {
        self.gone = major_and_minor(text);
        self.valkey = NEVER;
        self
    }
}

/// The first two numbers of a version; evaluated while compiling, for the rows of the command table.
const fn major_and_minor(text: &str) -> (u8, u8) {
    let (mut rest, mut numbers, mut at) = (text.as_bytes(), [0u8; 2], 0);
    while let [byte, after @ ..] = rest {
        rest = after;
        match *byte {
            b'0'..=b'9' if at == 0 => numbers[0] = numbers[0] * 10 + (*byte - b'0'),
            b'0'..=b'9' if at == 1 => numbers[1] = numbers[1] * 10 + (*byte - b'0'),
            _ => at += 1,
        }
    }
    (numbers[0], numbers[1])
}

const fn at_least(version: (u8, u8), least: (u8, u8)) -> bool {
    version.0 > least.0 || (version.0 == least.0 && version.1 >= least.1)
}

impl Default for Dialect {
    /// What is assumed before an upstream has named itself.
    fn default() -> Self {
        Self::redis(7, 0, 0)
    }
}

impl Dialect {
    /// A Redis of that version.
    #[must_use]
    pub const fn redis(major: u8, minor: u8, patch: u8) -> Self {
        Self {
            family: Family::Redis,
            version: (major, minor, patch),
        }
    }

    /// A Valkey of that version.
    #[must_use]
    pub const fn valkey(major: u8, minor: u8, patch: u8) -> Self {
        Self {
            family: Family::Valkey,
            version: (major, minor, patch),
        }
    }

    /// Parses the text of an aux field `redis-ver` or `valkey-ver`: `7.0.15`, `8.0.6`, also `255.255.255` and `9.0.0-rc1`.
    /// Gives `None` for text that is not two or three dotted numbers.
    #[must_use]
    pub fn parse(family: Family, text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|part| {
            let digits = part.split('-').next().unwrap_or_default();
            digits.parse::<u8>().ok()
        });
        let major = numbers.next()??;
        let minor = numbers.next()??;
        let patch = numbers.next().flatten().unwrap_or(0);
        Some(Self {
            family,
            version: (major, minor, patch),
        })
    }

    /// The dialect known after a snapshot's aux field, when `known` was known before it. A Valkey names the Redis that it
    /// resembles too: its own name wins.
    #[must_use]
    pub fn after_aux(known: Option<Self>, name: &[u8], value: &[u8]) -> Option<Self> {
        let named = |family| Self::parse(family, std::str::from_utf8(value).ok()?);
        match name {
            b"redis-ver" => known.or_else(|| named(Family::Redis)),
            b"valkey-ver" => named(Family::Valkey).or(known),
            _ => known,
        }
    }

    /// Whether a string of `text` bytes is `embstr` under a key of `key` bytes: in one block of memory with its object, since
    /// Valkey 8.1 also with the key and the time to live.
    ///
    /// DIFFERENCE: a Valkey that took a key's time to live away goes on counting it until the key is written again.
    /// Source: redis 7.0 object.c, `OBJ_ENCODING_EMBSTR_SIZE_LIMIT`; valkey 9.1 object.c, `shouldEmbedStringObject`; the
    /// figures of Valkey 8.1 are what one answers.
    #[must_use]
    pub const fn embeds_text(self, key: usize, text: usize, expires: bool) -> bool {
        let expiry = if expires { 8 } else { 0 };
        // Lengths and ends beside the bytes of text and key; longer keys have a longer length.
        let beside = if key < 32 { 7 } else { 9 };
        match (self.family, self.version) {
            (Family::Valkey, (9.., 1.., _) | (10.., ..)) => 8 + expiry + key + text + beside <= 128,
            (Family::Valkey, (9.., ..)) => 8 + expiry + key + text + beside <= 64,
            (Family::Valkey, (8, 1.., _)) => expiry + key + text <= 41,
            _ => text <= 44,
        }
    }

    /// Parses what an operator writes: `redis-7.0`, `redis-7.2.4`, `valkey-9.1.2`. Gives `None` for anything else.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let (family, version) = text.split_once('-')?;
        let family = match family {
            "redis" => Family::Redis,
            "valkey" => Family::Valkey,
            _ => return None,
        };
        Self::parse(family, version)
    }

    /// Whether this server has what is present as said.
    #[must_use]
    #[inline]
    pub const fn has(self, what: Presence) -> bool {
        let version = (self.version.0, self.version.1);
        match self.family {
            Family::Redis => at_least(version, what.redis) && !at_least(version, what.gone),
            Family::Valkey => at_least(version, what.valkey),
        }
    }

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

    /// The letters of the servers in the catalogue of commands that speak for this one, the nearest first.
    #[must_use]
    pub const fn catalogue_columns(self) -> &'static str {
        match (self.family, self.version) {
            (Family::Redis, (..=6, ..)) => "678Vv9",
            (Family::Redis, (7, ..)) => "78vV96",
            (Family::Redis, (8, 0..=1, _)) => "87Vv96",
            (Family::Redis, _) => "98V7v6",
            (Family::Valkey, (..=8, ..)) => "vV7896",
            (Family::Valkey, _) => "Vv8796",
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

    /// Integers below 10,000 are objects that all keys share, up to every Redis and Valkey 8.0.
    #[must_use]
    pub const fn shares_small_integers(self) -> bool {
        !self.since(NEVER, (8, 1))
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

    /// Scripts share tables that they cannot change, and name errors by their codes, since Redis 7.0.
    #[must_use]
    pub const fn protects_globals(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Every script's random numbers are the same before Redis 7.0.
    #[must_use]
    pub const fn seeds_scripts(self) -> bool {
        !self.since_redis(7, 0)
    }

    /// Scripts have `os.clock` since Redis 7.4.
    #[must_use]
    pub const fn has_script_clock(self) -> bool {
        self.since((7, 4), (8, 0))
    }

    /// What scripts call the table of commands.
    #[must_use]
    pub const fn api_names(self) -> &'static [&'static str] {
        match self.family {
            Family::Redis => &["redis"],
            Family::Valkey => &["redis", "server"],
        }
    }

    /// What clients see of an error that a script returns: without line ends behind it, since Redis 7.0.
    #[must_use]
    pub fn script_error(self, mut text: &[u8]) -> &[u8] {
        while let (true, [start @ .., b'\r' | b'\n']) = (self.since_redis(7, 0), text) {
            text = start;
        }
        text
    }

    /// `redis.error_reply` takes line ends off a text without spaces; no longer since Valkey 9.1.
    #[must_use]
    pub const fn trims_words_as_errors(self) -> bool {
        !self.since(NEVER, (9, 1))
    }

    /// What a digest is answered that is not known; shorter since Valkey 8.0.
    #[must_use]
    pub const fn unknown_script(self) -> &'static str {
        if self.since(NEVER, (8, 0)) {
            "NOSCRIPT No matching script."
        } else {
            "NOSCRIPT No matching script. Please use EVAL."
        }
    }

    /// What a script is told that calls a command without words, or with words that are none.
    #[must_use]
    pub const fn script_word_errors(self) -> [&'static str; 2] {
        match self.family {
            Family::Valkey => [
                "Please specify at least one argument for this call",
                "Command arguments must be strings or integers",
            ],
            Family::Redis if self.since_redis(7, 0) => [
                "Please specify at least one argument for this redis lib call",
                "Lua redis lib command arguments must be strings or integers",
            ],
            Family::Redis => [
                "Please specify at least one argument for redis.call()",
                "Lua redis() command arguments must be strings or integers",
            ],
        }
    }

    /// What a script is told of a command that it cannot run.
    #[must_use]
    pub const fn script_call_errors(self) -> ScriptErrors {
        let modern = ScriptErrors {
            unknown: "Unknown Redis command called from script",
            arity: "Wrong number of args calling Redis command from script",
            forbidden: "This Redis command is not allowed from script",
            read_only: "-READONLY You can't write against a read only replica.",
        };
        match self.family {
            Family::Valkey => ScriptErrors {
                unknown: "Unknown command called from script",
                arity: "Wrong number of args calling command from script",
                forbidden: if self.names_subcommands_in_scripts() {
                    "This Valkey command is not allowed from script"
                } else {
                    modern.forbidden
                },
                ..modern
            },
            Family::Redis if self.since_redis(7, 0) => modern,
            Family::Redis => ScriptErrors {
                unknown: "Unknown Redis command called from Lua script",
                arity: "Wrong number of args calling Redis command From Lua script",
                forbidden: "This Redis command is not allowed from scripts",
                read_only: "-READONLY You can't write against a read only replica.\r\n",
            },
        }
    }

    /// What scripts see the function called that errors go through which nothing catches.
    #[must_use]
    pub const fn script_handler_names(self) -> &'static [&'static str] {
        match self.family {
            Family::Redis => &["__redis__err__handler"],
            Family::Valkey => &["__redis__err__handler", "__server__err__handler"],
        }
    }

    /// Whose `cmsgpack` is.
    #[must_use]
    pub const fn packer_owner(self) -> &'static str {
        match self.family {
            Family::Redis => "Salvatore Sanfilippo",
            Family::Valkey => "Redis Ltd.",
        }
    }

    /// Scripts are told which subcommand is unknown since Valkey 9.1, before that something is.
    #[must_use]
    pub const fn names_subcommands_in_scripts(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since(NEVER, (9, 1))
    }

    /// Errors of scripts name the script or function, but in Valkey 9.1, which leaves the name empty.
    #[must_use]
    pub const fn names_failed_scripts(self) -> bool {
        !self.names_subcommands_in_scripts()
    }

    /// Places of Lua's stack that are taken when a script's value is written.
    #[must_use]
    pub const fn script_stack_places(self) -> usize {
        if self.since_redis(7, 0) { 1 } else { 2 }
    }

    /// Whether this is `family`'s release `major.minor` or later. Valkey forked from Redis 7.2, so every Valkey counts as Redis 7.2.
    #[must_use]
    pub const fn since_redis(self, major: u8, minor: u8) -> bool {
        let (own_major, own_minor) = match self.family {
            Family::Redis => (self.version.0, self.version.1),
            Family::Valkey => (7, 2),
        };
        own_major > major || (own_major == major && own_minor >= minor)
    }

    /// The aux field by which its snapshots name their writer, and its value.
    #[must_use]
    pub fn aux(self) -> (&'static [u8], String) {
        let (major, minor, patch) = self.version;
        let name: &[u8] = match self.family {
            Family::Redis => b"redis-ver",
            Family::Valkey => b"valkey-ver",
        };
        (name, format!("{major}.{minor}.{patch}"))
    }

    /// The version of the snapshots and DUMP payloads that it writes.
    ///
    /// Source: rdb.h, `RDB_VERSION`, of Redis 2.6 to 8.0 and Valkey 8.1 and 9.1.
    #[must_use]
    pub const fn rdb_version(self) -> u16 {
        match (self.family, self.version) {
            (Family::Valkey, (9.., ..)) => 80,
            (Family::Valkey, _) => 11,
            (Family::Redis, (7, 4.., _) | (8.., ..)) => 12,
            (Family::Redis, (7, 2.., _)) => 11,
            (Family::Redis, (7, ..)) => 10,
            (Family::Redis, (5 | 6, ..)) => 9,
            (Family::Redis, (4, ..)) => 8,
            (Family::Redis, (3, 2.., _)) => 7,
            (Family::Redis, _) => 6,
        }
    }

    /// DEBUG OBJECT also tells a frequency of use in Valkey 8.
    #[must_use]
    pub const fn tells_frequency_in_debug_object(self) -> bool {
        matches!((self.family, self.version.0), (Family::Valkey, 8))
    }

    /// DEBUG DIGEST tells of a hash's field whether it expires, past its time or not, in Redis. Valkey's does not, and leaves
    /// out what is past its time.
    #[must_use]
    pub const fn digests_field_expiries(self) -> bool {
        matches!(self.family, Family::Redis)
    }

    /// DEBUG OBJECT takes FAST in Valkey.
    #[must_use]
    pub const fn has_fast_debug_object(self) -> bool {
        matches!(self.family, Family::Valkey)
    }

    /// Small hashes and sorted sets are listpacks since Redis 7.0, ziplists before.
    #[must_use]
    pub const fn has_listpacks(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Small sets of strings, and lists of one node, are listpacks since Redis 7.2.
    #[must_use]
    pub const fn has_small_listpack_lists_and_sets(self) -> bool {
        self.since_redis(7, 2)
    }

    /// HSCAN takes NOVALUES since Redis 7.4 and Valkey 8.0.
    #[must_use]
    pub const fn has_hscan_novalues(self) -> bool {
        matches!(self.family, Family::Valkey) || self.since_redis(7, 4)
    }

    /// ZSCAN takes NOSCORES in Valkey since 8.1.
    #[must_use]
    pub const fn has_zscan_noscores(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since((7, 2), (8, 1))
    }

    /// SCAN refuses the name of no type in Valkey since 8.1.
    #[must_use]
    pub const fn checks_type_names(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since((7, 2), (8, 1))
    }

    /// Redis packs small hashes whose fields expire; in Valkey they are hash tables.
    #[must_use]
    pub const fn packs_field_expiries(self) -> bool {
        matches!(self.family, Family::Redis)
    }

    /// What INFO calls the number of hashes with expiring fields, which it tells since Redis 7.4 and Valkey 9.0.
    #[must_use]
    pub const fn timed_hashes_name(self) -> Option<&'static str> {
        if !self.since((7, 4), (9, 0)) {
            return None;
        }
        Some(match self.family {
            Family::Redis => "subexpiry",
            Family::Valkey => "keys_with_volatile_items",
        })
    }

    /// HRANDFIELD does not give fields past their time: replicas of Valkey; those of Redis give them.
    #[must_use]
    pub const fn hides_expired_random_fields(self) -> bool {
        matches!(self.family, Family::Valkey)
    }

    /// Valkey's HTTL and its like read their arguments before they look at the key, and know only syntax errors.
    #[must_use]
    pub const fn checks_fields_before_type(self) -> bool {
        matches!(self.family, Family::Valkey)
    }

    /// SRANDMEMBER with a count gives an array in RESP3 since Redis 7.0, a set before.
    #[must_use]
    pub const fn has_random_members_as_array(self) -> bool {
        self.since_redis(7, 0)
    }

    /// The wording of LPOS's errors, as it is since Redis 7.0.
    #[must_use]
    pub const fn has_modern_lpos_errors(self) -> bool {
        self.since_redis(7, 0)
    }

    /// LPOS refuses a rank of `i64::MIN` since Redis 7.2.
    #[must_use]
    pub const fn checks_ranges_of_ranks(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Doubles are the shortest text that reads back the same since Redis 7.2, `%.17g` before.
    #[must_use]
    pub const fn has_shortest_doubles(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Whether this is Redis `redis` or later, or Valkey `valkey` or later: major and minor numbers.
    const fn since(self, redis: (u8, u8), valkey: (u8, u8)) -> bool {
        let (major, minor, _) = self.version;
        let (least_major, least_minor) = match self.family {
            Family::Redis => redis,
            Family::Valkey => valkey,
        };
        major > least_major || (major == least_major && minor >= least_minor)
    }

    /// Scores, weights and coordinates may be in hexadecimal, except in Valkey since 9.0.
    #[must_use]
    pub const fn takes_hexadecimal_doubles(self) -> bool {
        matches!(self.family, Family::Redis) || !self.since((0, 0), (9, 0))
    }

    /// Bounds of scores with blanks in front, or in hexadecimal, are refused since Redis 8.0 and Valkey 9.0.
    #[must_use]
    pub const fn reads_scores_strictly(self) -> bool {
        self.since((8, 0), (9, 0))
    }

    /// SORT takes an empty weight for 0, and one that is out of range, except in Valkey since 9.0.
    #[must_use]
    pub const fn refuses_empty_weights(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since((0, 0), (9, 0))
    }

    /// A negative LIMIT offset counts from the other end of the range in a large sorted set since Redis 7.4 and Valkey 8.0;
    /// before, and in a small one, it gives nothing.
    #[must_use]
    pub const fn has_negative_offsets(self) -> bool {
        self.since((7, 4), (8, 0))
    }

    /// ZRANGE takes the options of its relatives, and all read their options before their range, since Redis 6.2.
    #[must_use]
    pub const fn has_one_range_command(self) -> bool {
        self.since_redis(6, 2)
    }

    /// How many runs of stars a pattern may have before nothing matches it: the depth of `stringmatchlen`'s recursion has a bound
    /// since Redis 7.0, and in later releases of older lines.
    #[must_use]
    pub const fn stars_max(self) -> usize {
        if self.since_redis(7, 0) {
            1000
        } else {
            usize::MAX
        }
    }

    /// ZRANK takes WITHSCORE since Redis 7.2.
    #[must_use]
    pub const fn has_ranks_with_scores(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Places are searched for by shape, and any of them will do, since Redis 6.2.
    #[must_use]
    pub const fn has_geo_shapes(self) -> bool {
        self.since_redis(6, 2)
    }

    /// Distances along a meridian are worked out in a shorter way, written with fewer steps, and units are taken in any letter
    /// case, since Redis 7.0.
    #[must_use]
    pub const fn has_quick_geo_distances(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Valkey 9.0 searches in polygons, takes almost equal longitudes as equal, and names the member that is missing.
    #[must_use]
    pub const fn has_geo_polygons(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since((0, 0), (9, 0))
    }

    /// Longitudes and latitudes are written as other doubles since Redis 8.0, with seventeen digits behind the point before and
    /// in Valkey.
    #[must_use]
    pub const fn has_short_coordinates(self) -> bool {
        matches!(self.family, Family::Redis) && self.since_redis(8, 0)
    }

    /// XRANGE takes `(id`, and XPENDING takes IDLE, since Redis 6.2.
    #[must_use]
    pub const fn has_exclusive_ids(self) -> bool {
        self.since_redis(6, 2)
    }

    /// XREAD takes `+` for the last entry since Redis 7.4 and Valkey 8.1.
    #[must_use]
    pub const fn has_last_entry_id(self) -> bool {
        self.since((7, 4), (8, 1))
    }

    /// XREAD's `+` is the last entry that is not deleted in Redis; Valkey takes the last id given, and finds nothing when
    /// that entry is deleted.
    #[must_use]
    pub const fn skips_deleted_last_entry(self) -> bool {
        matches!(self.family, Family::Redis)
    }

    /// XREAD's `+` is an error for a stream that never had an entry in Valkey 8; others find nothing.
    #[must_use]
    pub const fn refuses_last_of_no_entries(self) -> bool {
        matches!(self.family, Family::Valkey) && !self.since(NEVER, (9, 0))
    }

    /// XREAD's error about unbalanced lists names `+` since Redis 7.4; Valkey's does not.
    #[must_use]
    pub const fn names_last_entry_id(self) -> bool {
        matches!(self.family, Family::Redis) && self.since_redis(7, 4)
    }

    /// A command that waited is run again when it is woken, and timeouts that end too late are refused, since Redis 7.2.
    #[must_use]
    pub const fn reads_again_when_woken(self) -> bool {
        self.since_redis(7, 2)
    }

    /// XREAD names itself in its error about unbalanced lists since Redis 7.2.
    #[must_use]
    pub const fn names_unbalanced_command(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Streams count the entries ever added, and XINFO words its errors in lower case, since Redis 7.0.
    #[must_use]
    pub const fn has_stream_counters(self) -> bool {
        self.since_redis(7, 0)
    }

    /// XCLAIM drops pending entries that the stream no longer has, since Redis 7.0; before, it claims them.
    #[must_use]
    pub const fn forgets_deleted_when_claimed(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Consumers have an active time since Redis 7.2.
    #[must_use]
    pub const fn has_active_times(self) -> bool {
        self.since_redis(7, 2)
    }

    /// Redis 8.0 works out a group's lag in more cases; Valkey does not.
    #[must_use]
    pub const fn has_better_lag(self) -> bool {
        matches!(self.family, Family::Redis) && self.since_redis(8, 0)
    }

    /// A group that stands before a deleted entry has no known lag, and one of 0 in an empty stream, since Redis 8.0 and Valkey 8.1.
    #[must_use]
    pub const fn doubts_lag_before_deleted(self) -> bool {
        self.since((8, 0), (8, 1))
    }

    /// CONFIG takes bytes past 63 bits as the most there can be before Redis 7.0.
    #[must_use]
    pub const fn clamps_bytes(self) -> bool {
        !self.since_redis(7, 0)
    }

    /// CONFIG reads bytes past 64 bits as no number of bytes, not as one out of range, since Valkey 9.0.
    #[must_use]
    pub const fn refuses_overflowing_bytes(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since((8, 0), (9, 0))
    }

    /// CONFIG SET takes several settings, CONFIG GET several patterns, since Redis 7.0.
    #[must_use]
    pub const fn sets_several_settings(self) -> bool {
        self.since_redis(7, 0)
    }

    /// LCS refuses a table that is larger than a string may be since Redis 7.0; STRALGO had no limit.
    #[must_use]
    pub const fn limits_lcs_tables(self) -> bool {
        self.since_redis(7, 0)
    }

    /// SCAN's cursors may be negative, or the empty string, before Redis 7.4 and Valkey 8.0.
    #[must_use]
    pub const fn reads_cursors_strictly(self) -> bool {
        self.since((7, 4), (8, 0))
    }

    /// BITCOUNT and BITPOS take BYTE and BIT since Redis 7.0.
    #[must_use]
    pub const fn has_bit_ranges(self) -> bool {
        self.since_redis(7, 0)
    }

    /// BITCOUNT and BITPOS read their ranges before they look at the key since Redis 7.2.
    #[must_use]
    pub const fn reads_bit_ranges_first(self) -> bool {
        self.since_redis(7, 2)
    }

    /// BITCOUNT takes a start without an end since Valkey 8.0.
    #[must_use]
    pub const fn has_open_bit_counts(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since((7, 2), (8, 0))
    }

    /// ZADD looks at the number of its members beforehand, as if all were new, since Redis 7.2.
    #[must_use]
    pub const fn counts_zadd_arguments(self) -> bool {
        self.since_redis(7, 2)
    }

    /// ZADD looks at the lengths of all its members beforehand since Valkey 8.1.
    #[must_use]
    pub const fn measures_zadd_arguments(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since((7, 2), (8, 1))
    }
}
