//! Settings: one declaration each, from which come the flag, the variable, the key of the file, and the default.
//!
//! A flag wins over the environment, the environment over the file, the file over the default.

mod file;
mod near;
mod values;
mod variables;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use super::Failure;
use crate::command::ScriptShare;
use crate::dialect::Dialect;
use crate::replica::{ResyncMemory, ResyncPolicy};
use crate::server;
use crate::state::{self, Fsync};
use crate::upstream::{AckPolicy, Login, Password, Secret, SpoolLimits, Timing, Tls, Upstream};
use crate::value::Choices;
pub use file::file;
use values::Wanted;
pub use values::{Amount, DialectChoice, LogFormat, NoSuchDialect, NoTime, Period, Switch};
pub use variables::unknown_variables;

/// Declares settings: per row the documentation, which is also the help text, the field, its type, its variable, and what
/// the help shows for its value.
macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $field:ident: [$($type:tt)+] = $variable:literal, $value:literal $(, $more:ident = $with:literal)* $(; or $old:literal)? $(; read by $reader:literal)?;)+) => {
        /// The settings as given, each with its flag, its variable and its key in the file.
        #[derive(Clone, Default, clap::Args, serde::Deserialize)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        pub struct Settings {
            $(
                $(#[doc = $doc])+
                #[arg(long, env = $variable, hide_env_values = true, value_name = $value $(, $more = $with)* $(, alias = $old)?)]
                $(#[serde(alias = $old)])?
                $(#[serde(deserialize_with = $reader)])?
                pub $field: Option<$($type)+>,
            )+
        }

        impl Settings {
            /// These settings, and where one is missing, `other`'s.
            #[must_use]
            pub fn or(self, other: Self) -> Self {
                Self { $($field: self.$field.or(other.$field),)+ }
            }
        }

        /// Each field, other names of its key, and what its value looks like.
        const FIELDS: &[(&str, &[&str], &str)] =
            &[$((stringify!($field), &[$($old)?], <$($type)+ as Wanted>::WANTED),)+];

        /// The variables of all settings.
        const VARIABLES: &[&str] = &[$($variable,)+];
    };
}

settings! {
    /// The server to follow: redis://host:port, redis://user:password@host:port, rediss://… over TLS, or unix:///path. Several, with
    /// commas between or as several flags, are tried in turn. Or what Sentinel names: sentinel://host,host/name?prefer=replica,
    /// sentinels://… over TLS. An argument can be seen in `ps` for a moment: give an address with a password by REDTAIL_PRIMARY or in
    /// the file
    primary: [Vec<String>] = "REDTAIL_PRIMARY", "ADDRESS"; read by "one_or_more";
    /// The user to sign in as at the primary [default: the one in the address]
    primary_user: [String] = "REDTAIL_PRIMARY_USER", "NAME";
    /// The password for the primary. Better given by REDTAIL_PRIMARY_PASSWORD or in the file [default: the one in the address]
    primary_password: [String] = "REDTAIL_PRIMARY_PASSWORD", "PASSWORD";
    /// A file with that password. It is read again for each connection [default: none]
    primary_password_file: [PathBuf] = "REDTAIL_PRIMARY_PASSWORD_FILE", "FILE";
    /// The user to sign in as at sentinels [default: the one in the address]
    sentinel_user: [String] = "REDTAIL_SENTINEL_USER", "NAME";
    /// The password for sentinels. Better given by REDTAIL_SENTINEL_PASSWORD or in the file [default: the one in the address]
    sentinel_password: [String] = "REDTAIL_SENTINEL_PASSWORD", "PASSWORD";
    /// A file with that password. It is read again for each connection [default: none]
    sentinel_password_file: [PathBuf] = "REDTAIL_SENTINEL_PASSWORD_FILE", "FILE";
    /// A PEM file with the authorities that may sign the certificate of a rediss:// server [default: the system's]
    tls_ca_cert_file: [PathBuf] = "REDTAIL_TLS_CA_CERT_FILE", "FILE";
    /// A folder of such files [default: none]
    tls_ca_cert_dir: [PathBuf] = "REDTAIL_TLS_CA_CERT_DIR", "FOLDER";
    /// A PEM file with the certificate to show to the server. Like all TLS files, it is read again for each connection [default: none]
    tls_cert_file: [PathBuf] = "REDTAIL_TLS_CERT_FILE", "FILE";
    /// A PEM file with the certificate's private key, not encrypted [default: the certificate's own file]
    tls_key_file: [PathBuf] = "REDTAIL_TLS_KEY_FILE", "FILE";
    /// The name that the server's certificate must have, and that redtail asks for (SNI) [default: the host in the address]
    tls_sni: [String] = "REDTAIL_TLS_SNI", "NAME";
    /// Whether the server's certificate must have that name: yes or no. Redis's own replicas do not check it [default: yes]
    tls_verify_name: [Switch] = "REDTAIL_TLS_VERIFY_NAME", "WHETHER";
    /// Where to listen for clients: address:port or unix:/path. Several with commas between, or as several flags [default: 127.0.0.1:6380]
    listen: [Vec<server::Listen>] = "REDTAIL_LISTEN", "ADDRESS", value_delimiter = ','; read by "one_or_more";
    /// The password that clients must give. Better given by REDTAIL_REQUIREPASS or in the file [default: none]
    requirepass: [String] = "REDTAIL_REQUIREPASS", "PASSWORD";
    /// Whether clients of other machines are refused while there is no password (--requirepass): yes or no [default: yes]
    protected_mode: [Switch] = "REDTAIL_PROTECTED_MODE", "WHETHER";
    /// Which server's words replies use: auto for the server that wrote the snapshot, or redis-7.0, valkey-9.1.2 and the like
    /// [default: auto]
    dialect: [DialectChoice] = "REDTAIL_DIALECT", "NAME";
    /// Who may use DEBUG: no for nobody, local for clients of this machine, yes for all [default: no]
    enable_debug_command: [server::Access] = "REDTAIL_ENABLE_DEBUG_COMMAND", "WHO";
    /// How many databases there are. If the primary uses more, redtail adds them, up to 1024 [default: 16]
    databases: [usize] = "REDTAIL_DATABASES", "COUNT";
    /// The port to announce to the primary [default: none, so that nobody finds this replica through the primary]
    announce_port: [u16] = "REDTAIL_ANNOUNCE_PORT", "PORT";
    /// What to report to the primary. honest: the true offset, so that WAIT, min-replicas and FAILOVER count redtail as a replica.
    /// observer: always 0, so that WAIT and FAILOVER do not count it; but SHUTDOWN of Redis 7 or later waits for it. auto: honest
    /// below a replica, observer below a primary [default: auto]
    ack: [AckPolicy] = "REDTAIL_ACK", "POLICY";
    /// Seconds without a byte from the primary after which the link counts as lost [default: 60]
    repl_timeout: [u64] = "REDTAIL_REPL_TIMEOUT", "SECONDS";
    /// Seconds to wait for a connection, and for each reply of the handshake [default: 5]
    repl_syncio_timeout: [u64] = "REDTAIL_REPL_SYNCIO_TIMEOUT", "SECONDS";
    /// Seconds of silence after which TCP checks that the primary, or a client, is still there, 0 for never [default: 300]
    tcp_keepalive: [u64] = "REDTAIL_TCP_KEEPALIVE", "SECONDS";
    /// Seconds between the starts of two full syncs, at least [default: 10]
    resync_floor: [u64] = "REDTAIL_RESYNC_FLOOR", "SECONDS";
    /// Bytes from the primary that may wait in memory until they are applied; more of them wait in a file [default: 64mb]
    spool_memory: [Amount] = "REDTAIL_SPOOL_MEMORY", "BYTES";
    /// Bytes from the primary that may wait in that file, 0 for none; beyond it the primary has to wait [default: 16gb]
    spool_file: [Amount] = "REDTAIL_SPOOL_FILE", "BYTES";
    /// The folder of that file, which has no name and goes with the process [default: the system's for temporary files]
    spool_dir: [PathBuf] = "REDTAIL_SPOOL_DIR", "FOLDER";
    /// How old the data may be, with a unit: 5s, 500ms, 2m or 1h. Older data is not served: reads get MASTERDOWN. redtail asks the
    /// server for its offset four times in that time, and knows its data to be as new as the last question whose offset it has
    /// reached [default: any age]
    max_staleness: [Period] = "REDTAIL_MAX_STALENESS", "TIME";
    /// How much memory a full resync may take. two-copies: the old data is served until the new is complete. one-copy: the old data
    /// goes first, and clients get LOADING meanwhile [default: two-copies]
    resync_memory: [ResyncMemory] = "REDTAIL_RESYNC_MEMORY", "COPIES";
    /// Percent of the keys that a full resync of another history must bring. One that brings fewer, as from a primary that came back
    /// empty, is held back until SIGUSR1 or the guard's timeout. 0 for none [default: 0]
    resync_guard: [u8] = "REDTAIL_RESYNC_GUARD", "PERCENT";
    /// Seconds after which such a resync is taken over anyway [default: 600]
    resync_guard_timeout: [u64] = "REDTAIL_RESYNC_GUARD_TIMEOUT", "SECONDS";
    /// Bytes from the primary to apply in a second, 64kb or more, to leave the machine to others; what comes faster waits as above
    /// [default: no limit]
    writer_rate: [Amount] = "REDTAIL_WRITER_RATE", "BYTES";
    /// Names of commands that the primary sends and that touch no data: redtail passes over them. Several with commas between. Those that
    /// providers are known to send (OPINFO) need no naming [default: none, so that any other unknown command taints everything]
    stream_ignore: [Vec<String>] = "REDTAIL_STREAM_IGNORE", "NAME", value_delimiter = ','; read by "one_or_more";
    /// The directory to resume from after a restart: a snapshot and the stream after it. For redtail's user alone: it holds all the
    /// data [default: none, so that each start needs a full sync]
    state_dir: [PathBuf] = "REDTAIL_STATE_DIR", "FOLDER";
    /// When the state is forced to the disk: always, everysec or no. This matters only if the machine loses power [default: everysec]
    state_fsync: [Fsync] = "REDTAIL_STATE_FSYNC", "POLICY";
    /// Bytes of the state's log after which a new snapshot is written [default: the size of the last one, 64mb at least]
    state_log_max: [Amount] = "REDTAIL_STATE_LOG_MAX", "BYTES";
    /// Seconds after a key has expired at which its value's memory is freed; 0 keeps all values until the primary deletes their
    /// keys [default: 60]
    expired_grace: [u64] = "REDTAIL_EXPIRED_GRACE", "SECONDS";
    /// Whether to note when each key was last used, for OBJECT IDLETIME: yes or no. Costs some bytes a key and a look at the clock
    /// for each use [default: no]
    track_access: [Switch] = "REDTAIL_TRACK_ACCESS", "WHETHER";
    /// How many clients may be connected [default: 10000]
    maxclients: [usize] = "REDTAIL_MAXCLIENTS", "COUNT";
    /// Seconds after which a silent client is disconnected, 0 for never [default: 0]
    timeout: [u64] = "REDTAIL_TIMEOUT", "SECONDS";
    /// The largest request, in bytes [default: 1 GiB]
    query_bytes_max: [usize] = "REDTAIL_QUERY_BYTES_MAX", "BYTES";
    /// Words of one command at most [default: as the upstream: 1048576 before Redis 7.0, 2147483647 since]
    query_words_max: [usize] = "REDTAIL_QUERY_WORDS_MAX", "COUNT";
    /// The longest word of a command, in bytes [default: 512 MiB]
    word_bytes_max: [usize] = "REDTAIL_WORD_BYTES_MAX", "BYTES";
    /// Bytes of replies that may wait for one client [default: 1 GiB]
    reply_bytes_max: [usize] = "REDTAIL_REPLY_BYTES_MAX", "BYTES";
    /// Percent of the time for which scripts of all clients may hold up what the primary sends, 1 to 100; past it, scripts that hold
    /// more than the keys they declare are refused until it is less [default: 25]
    script_share: [ScriptShare] = "REDTAIL_SCRIPT_SHARE", "PERCENT";
    /// Bytes that the requests and replies of all clients may take together. One client may hold as much as is free: half when it is
    /// alone, a third beside another [default: a quarter of the machine's memory, or of the control group's]
    clients_memory: [usize] = "REDTAIL_CLIENTS_MEMORY", "BYTES";
    /// Seconds after which a client that takes none of its replies is disconnected [default: 60]
    stall_timeout: [u64] = "REDTAIL_STALL_TIMEOUT", "SECONDS";
    /// Fields up to which a hash is packed [default: 512]
    hash_max_listpack_entries: [Amount] = "REDTAIL_HASH_MAX_LISTPACK_ENTRIES", "COUNT"; or "hash-max-ziplist-entries";
    /// Bytes of a field or value up to which a hash is packed [default: 64]
    hash_max_listpack_value: [Amount] = "REDTAIL_HASH_MAX_LISTPACK_VALUE", "BYTES"; or "hash-max-ziplist-value";
    /// Bytes up to which a HyperLogLog is sparse [default: 3000]
    hll_sparse_max_bytes: [Amount] = "REDTAIL_HLL_SPARSE_MAX_BYTES", "BYTES";
    /// Accepted so that configurations need no change; redtail compresses nothing [default: 0]
    list_compress_depth: [Amount] = "REDTAIL_LIST_COMPRESS_DEPTH", "COUNT";
    /// Elements of a list's node, or -1 to -5 for 4, 8, 16, 32, 64 KiB [default: -2]
    list_max_listpack_size: [Amount] = "REDTAIL_LIST_MAX_LISTPACK_SIZE", "COUNT", allow_hyphen_values = true; or "list-max-ziplist-size";
    /// Members up to which a set of integers is packed [default: 512]
    set_max_intset_entries: [Amount] = "REDTAIL_SET_MAX_INTSET_ENTRIES", "COUNT";
    /// Members up to which a set of strings is packed, where the upstream packs them [default: 128]
    set_max_listpack_entries: [Amount] = "REDTAIL_SET_MAX_LISTPACK_ENTRIES", "COUNT";
    /// Bytes of a member up to which a set of strings is packed [default: 64]
    set_max_listpack_value: [Amount] = "REDTAIL_SET_MAX_LISTPACK_VALUE", "BYTES";
    /// Bytes of a stream's node, 0 for no limit [default: 4096]
    stream_node_max_bytes: [Amount] = "REDTAIL_STREAM_NODE_MAX_BYTES", "BYTES";
    /// Entries of a stream's node, 0 for no limit [default: 100]
    stream_node_max_entries: [Amount] = "REDTAIL_STREAM_NODE_MAX_ENTRIES", "COUNT";
    /// Members up to which a sorted set is packed [default: 128]
    zset_max_listpack_entries: [Amount] = "REDTAIL_ZSET_MAX_LISTPACK_ENTRIES", "COUNT"; or "zset-max-ziplist-entries";
    /// Bytes of a member up to which a sorted set is packed [default: 64]
    zset_max_listpack_value: [Amount] = "REDTAIL_ZSET_MAX_LISTPACK_VALUE", "BYTES"; or "zset-max-ziplist-value";
    /// What to log: error, warn, info, debug, trace, or a filter such as redtail::upstream=debug [default: info]
    log_level: [String] = "REDTAIL_LOG_LEVEL", "FILTER";
    /// How log lines look: full or compact [default: full]
    log_format: [LogFormat] = "REDTAIL_LOG_FORMAT", "FORMAT";
}

/// All keys of the file.
fn keys() -> impl Iterator<Item = &'static str> {
    /// Their names with dashes, made once.
    static KEYS: OnceLock<Vec<String>> = OnceLock::new();
    let own = KEYS.get_or_init(|| {
        let names = FIELDS.iter().map(|(field, ..)| field.replace('_', "-"));
        names.collect()
    });
    let old = FIELDS.iter().flat_map(|(_, old, _)| *old);
    own.iter().map(String::as_str).chain(old.copied())
}

/// What the value of a key looks like; `None` where there is no such key.
fn wanted(key: &str) -> Option<&'static str> {
    let is_field = |(field, old, _): &&(&str, &[&str], &str)| {
        field.replace('_', "-") == key || old.contains(&key)
    };
    FIELDS.iter().find(is_field).map(|(.., wanted)| *wanted)
}

/// The settings of `redtail serve`, given by flags, environment and file, put together.
///
/// # Errors
/// [`Failure::Usage`].
pub fn load(flags: Settings, path: Option<&PathBuf>) -> Result<Settings, Failure> {
    Ok(match path {
        Some(path) => flags.or(file(path)?),
        None => flags,
    })
}

impl Settings {
    /// Whom to follow, with users and passwords.
    ///
    /// # Errors
    /// [`Failure::Usage`] when the address is missing or wrong; without repeating it.
    pub fn upstream(&self) -> Result<Upstream, Failure> {
        let Some(addresses) = &self.primary else {
            return Err(Failure::Usage(
                "no primary to follow: name it by --primary redis://host:port, by the variable REDTAIL_PRIMARY, or by the key `primary` of the file"
                    .to_owned(),
            ));
        };
        let upstream = Upstream::of(addresses.iter().map(String::as_str))
            .map_err(|error| Failure::Usage(format!("--primary: {error}")))?;
        let login = Login {
            user: self.primary_user.clone(),
            password: password(
                "primary",
                self.primary_password.as_ref(),
                self.primary_password_file.as_ref(),
            )?,
        };
        let sentinels = Login {
            user: self.sentinel_user.clone(),
            password: password(
                "sentinel",
                self.sentinel_password.as_ref(),
                self.sentinel_password_file.as_ref(),
            )?,
        };
        if sentinels != Login::default() && !matches!(upstream, Upstream::Sentinel(_)) {
            return Err(Failure::Usage(
                "the --sentinel-… settings are for addresses of sentinels only: write --primary sentinel://host,…/name, or leave them out"
                    .to_owned(),
            ));
        }
        Ok(upstream.with_login(&login).with_sentinel_login(&sentinels))
    }

    /// How to speak TLS. Settings of it without an address that uses it are a mistake that would send everything in the clear.
    fn tls(&self) -> Result<Tls, Failure> {
        let tls = Tls {
            ca_cert_file: self.tls_ca_cert_file.clone(),
            ca_cert_dir: self.tls_ca_cert_dir.clone(),
            cert_file: self.tls_cert_file.clone(),
            key_file: self.tls_key_file.clone(),
            server_name: self.tls_sni.clone(),
            any_name: self.tls_verify_name == Some(Switch::No),
        };
        if tls.key_file.is_some() && tls.cert_file.is_none() {
            return Err(Failure::Usage(
                "--tls-key-file needs --tls-cert-file, the certificate that belongs to the key"
                    .to_owned(),
            ));
        }
        if tls != Tls::default() && !self.upstream()?.uses_tls() {
            return Err(Failure::Usage(
                "the --tls-… settings are for addresses that use TLS only: write rediss:// instead of redis://, or leave them out"
                    .to_owned(),
            ));
        }
        Ok(tls)
    }

    /// What the replica is told.
    ///
    /// # Errors
    /// As [`Settings::upstream`].
    pub fn replica(&self) -> Result<crate::replica::Config, Failure> {
        Ok(crate::replica::Config {
            upstream: crate::upstream::Config {
                upstream: self.upstream()?,
                tls: self.tls()?,
                listening_port: self.announce_port,
                acks: self.ack.unwrap_or_default(),
                timing: self.timing(),
                spool: self.spool()?,
                // The replica asks for proofs as its limit on age needs them.
                proof_every: None,
            },
            databases: self.server().databases,
            dialect: self.dialect(),
            track_access: self.track_access == Some(Switch::Yes),
            resync: self.resync()?,
            writer_rate: self.writer_rate()?,
            transaction_bytes_max: self.server().clients_memory,
            state: self.state()?,
            max_staleness: self.max_staleness.map(|Period(time)| time),
            encodings: self.encodings()?,
            stream_ignore: self.stream_ignore()?,
            scripting: Some(crate::replica::Scripts(server::scripting())),
            expired_grace: self
                .expired_grace
                .map_or(crate::replica::EXPIRED_GRACE, Duration::from_secs),
        })
    }

    fn timing(&self) -> Timing {
        let default = Timing::default();
        let or = |given: Option<u64>, default| given.map_or(default, Duration::from_secs);
        let positive =
            |given: Option<u64>, default| or(given.map(|seconds| seconds.max(1)), default);
        Timing {
            silence: positive(self.repl_timeout, default.silence),
            handshake: positive(self.repl_syncio_timeout, default.handshake),
            keepalive: or(self.tcp_keepalive, default.keepalive),
            resync_floor: or(self.resync_floor, default.resync_floor),
            ..default
        }
    }

    fn resync(&self) -> Result<ResyncPolicy, Failure> {
        let default = ResyncPolicy::default();
        let policy = ResyncPolicy {
            memory: self.resync_memory.unwrap_or_default(),
            guard_percent: self.resync_guard.unwrap_or_default(),
            guard_patience: self
                .resync_guard_timeout
                .map_or(default.guard_patience, Duration::from_secs),
        };
        if policy.guard_percent > 100 {
            return Err(Failure::Usage(
                "--resync-guard: write a percentage, 0 to 100".to_owned(),
            ));
        }
        if policy.guard_percent > 0 && policy.memory == ResyncMemory::OneCopy {
            return Err(Failure::Usage(
                "--resync-guard keeps the new data beside the old: it needs --resync-memory two-copies"
                    .to_owned(),
            ));
        }
        Ok(policy)
    }

    fn writer_rate(&self) -> Result<Option<NonZeroU64>, Failure> {
        let rate = bytes("writer-rate", self.writer_rate.as_ref())?.and_then(NonZeroU64::new);
        match rate {
            Some(rate) if rate.get() < WRITER_RATE_MIN => Err(Failure::Usage(format!(
                "--writer-rate: write {WRITER_RATE_MIN} (64kb) or more, or 0 for no limit"
            ))),
            rate => Ok(rate),
        }
    }

    /// A command that is known here must not be passed over: what it does would be missing.
    fn stream_ignore(&self) -> Result<Vec<String>, Failure> {
        let names = self.stream_ignore.clone().unwrap_or_default();
        for name in &names {
            if name.is_empty() || crate::command::lookup(name.as_bytes()).is_some() {
                return Err(Failure::Usage(format!(
                    "--stream-ignore {name}: only commands that redtail does not know can be passed over"
                )));
            }
        }
        Ok(names)
    }

    fn state(&self) -> Result<Option<state::Config>, Failure> {
        let log_bytes_max = bytes("state-log-max", self.state_log_max.as_ref())?;
        Ok(self.state_dir.as_ref().map(|folder| state::Config {
            fsync: self.state_fsync.unwrap_or_default(),
            log_bytes_max,
            ..state::Config::new(folder)
        }))
    }

    fn spool(&self) -> Result<SpoolLimits, Failure> {
        let default = SpoolLimits::default();
        let memory = bytes("spool-memory", self.spool_memory.as_ref())?;
        let file = bytes("spool-file", self.spool_file.as_ref())?;
        Ok(SpoolLimits {
            memory_bytes: memory.map_or(default.memory_bytes, |bytes| {
                usize::try_from(bytes).unwrap_or(usize::MAX)
            }),
            file_bytes: file.unwrap_or(default.file_bytes),
            folder: self.spool_dir.clone(),
        })
    }

    /// Where small encodings end.
    ///
    /// # Errors
    /// [`Failure::Usage`] when a value is none of that setting.
    pub fn encodings(&self) -> Result<Choices, Failure> {
        let given = [
            ("hash-max-listpack-entries", &self.hash_max_listpack_entries),
            ("hash-max-listpack-value", &self.hash_max_listpack_value),
            ("hll-sparse-max-bytes", &self.hll_sparse_max_bytes),
            ("list-compress-depth", &self.list_compress_depth),
            ("list-max-listpack-size", &self.list_max_listpack_size),
            ("set-max-intset-entries", &self.set_max_intset_entries),
            ("set-max-listpack-entries", &self.set_max_listpack_entries),
            ("set-max-listpack-value", &self.set_max_listpack_value),
            ("stream-node-max-bytes", &self.stream_node_max_bytes),
            ("stream-node-max-entries", &self.stream_node_max_entries),
            ("zset-max-listpack-entries", &self.zset_max_listpack_entries),
            ("zset-max-listpack-value", &self.zset_max_listpack_value),
        ];
        let mut choices = Choices::default();
        for (name, amount) in given {
            if let Some(Amount(text)) = amount {
                choices
                    .set(name, text)
                    .map_err(|error| Failure::Usage(format!("--{name}: {error}")))?;
            }
        }
        Ok(choices)
    }

    fn dialect(&self) -> Option<Dialect> {
        match self.dialect.unwrap_or_default() {
            DialectChoice::Auto => None,
            DialectChoice::Fixed(dialect) => Some(dialect),
        }
    }

    /// What the server is told.
    #[must_use]
    pub fn server(&self) -> server::Config {
        let default = server::Config::default();
        server::Config {
            listen: match &self.listen {
                Some(addresses) => addresses.clone(),
                None => vec![server::Listen::Tcp(DEFAULT_LISTEN.into())],
            },
            password: self.requirepass.clone().filter(|word| !word.is_empty()),
            protected: self.protected_mode != Some(Switch::No),
            debug: self.enable_debug_command.unwrap_or(default.debug),
            databases: self.databases.unwrap_or(default.databases).max(1),
            dialect: self.dialect(),
            clients_max: self.maxclients.unwrap_or(default.clients_max),
            query_bytes_max: self.query_bytes_max.unwrap_or(default.query_bytes_max),
            query_words_max: self.query_words_max,
            word_bytes_max: self.word_bytes_max.unwrap_or(default.word_bytes_max),
            reply_bytes_max: self.reply_bytes_max.unwrap_or(default.reply_bytes_max),
            script_share: self.script_share.unwrap_or_default(),
            clients_memory: self.clients_memory.unwrap_or(default.clients_memory),
            stall_timeout: self
                .stall_timeout
                .map_or(default.stall_timeout, Duration::from_secs),
            idle_timeout: self
                .timeout
                .map_or(default.idle_timeout, Duration::from_secs),
            keepalive: self
                .tcp_keepalive
                .map_or(default.keepalive, Duration::from_secs),
            log_level: None,
            shown: self.shown(),
        }
    }

    /// What CONFIG GET shows of settings that the server itself does not need, under Redis's names.
    fn shown(&self) -> Vec<(&'static str, String)> {
        let mut shown = vec![
            (
                "loglevel",
                super::log::level_of(self.log_level.as_deref()).to_owned(),
            ),
            ("masteruser", self.primary_user.clone().unwrap_or_default()),
            ("repl-timeout", self.timing().silence.as_secs().to_string()),
            (
                "replica-announce-port",
                self.announce_port.unwrap_or_default().to_string(),
            ),
        ];
        if self
            .upstream()
            .is_ok_and(|upstream| !upstream.has_password())
        {
            shown.push(("masterauth", String::new()));
        }
        shown
    }
}

/// The password that is given as such or by a file.
fn password(
    whose: &str,
    given: Option<&String>,
    file: Option<&PathBuf>,
) -> Result<Option<Password>, Failure> {
    match (given, file) {
        (Some(_), Some(_)) => Err(Failure::Usage(format!(
            "--{whose}-password and --{whose}-password-file are both given: leave one of them out"
        ))),
        (Some(given), None) => Ok(Some(Password::Given(Secret::new(given.as_str())))),
        (None, file) => Ok(file.cloned().map(Password::File)),
    }
}

/// A key of the file that holds one value or a list of them.
fn one_or_more<'de, D, T>(from: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum OneOrMore<T> {
        One(T),
        More(Vec<T>),
    }
    Ok(Some(match serde::Deserialize::deserialize(from)? {
        OneOrMore::One(value) => vec![value],
        OneOrMore::More(values) => values,
    }))
}

/// The bytes that a setting names, if it is given.
fn bytes(name: &str, amount: Option<&Amount>) -> Result<Option<u64>, Failure> {
    let Some(Amount(text)) = amount else {
        return Ok(None);
    };
    let bytes = crate::value::memory(text.as_bytes()).and_then(|bytes| u64::try_from(bytes).ok());
    let wrong = || {
        Failure::Usage(format!(
            "--{name}: write a number of bytes, such as 1048576, or one with a unit, such as 1mb"
        ))
    };
    bytes.ok_or_else(wrong).map(Some)
}

/// The slowest writer: one chunk from the primary may be this large, and takes a few seconds then.
const WRITER_RATE_MIN: u64 = 64 << 10;

const DEFAULT_LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 6380);

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
