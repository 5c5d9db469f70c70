//! Settings: one declaration each, from which come the flag, the variable, the key of the file, and the default.
//!
//! A flag wins over the environment, the environment over the file, the file over the default.

mod values;

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Failure;
use crate::dialect::Dialect;
use crate::replica::{ResyncMemory, ResyncPolicy};
use crate::server;
use crate::state::{self, Fsync};
use crate::upstream::{AckPolicy, Login, Password, Secret, SpoolLimits, Timing, Tls, Upstream};
use crate::value::Choices;
pub use values::{Amount, DialectChoice, LogFormat, NoSuchDialect, NoTime, Period, Switch};

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
    };
}

settings! {
    /// The primary: redis://host:port, redis://user:password@host:port, rediss://… for TLS, or unix:///path; several flags, or several with commas
    /// between, are tried in turn. Or sentinel://host,host/name?prefer=replica, sentinels://… for TLS. A password in an argument can be seen in `ps` for a moment: give the address by
    /// REDTAIL_PRIMARY or in the file instead
    primary: [Vec<String>] = "REDTAIL_PRIMARY", "ADDRESS"; read by "one_or_more";
    /// The user to authenticate as at the primary [default: the one in the address]
    primary_user: [String] = "REDTAIL_PRIMARY_USER", "NAME";
    /// The password for the primary; better given by REDTAIL_PRIMARY_PASSWORD or in the file
    primary_password: [String] = "REDTAIL_PRIMARY_PASSWORD", "PASSWORD";
    /// A file with that password, read anew for each connection [default: none]
    primary_password_file: [PathBuf] = "REDTAIL_PRIMARY_PASSWORD_FILE", "FILE";
    /// The user to authenticate as at sentinels [default: the one in the address]
    sentinel_user: [String] = "REDTAIL_SENTINEL_USER", "NAME";
    /// The password for sentinels; better given by REDTAIL_SENTINEL_PASSWORD or in the file [default: the one in the address]
    sentinel_password: [String] = "REDTAIL_SENTINEL_PASSWORD", "PASSWORD";
    /// A file with that password, read anew for each connection [default: none]
    sentinel_password_file: [PathBuf] = "REDTAIL_SENTINEL_PASSWORD_FILE", "FILE";
    /// A file (PEM) with the authorities that may sign the certificate of a rediss:// server [default: the system's]
    tls_ca_cert_file: [PathBuf] = "REDTAIL_TLS_CA_CERT_FILE", "FILE";
    /// A folder of such files [default: none]
    tls_ca_cert_dir: [PathBuf] = "REDTAIL_TLS_CA_CERT_DIR", "FOLDER";
    /// A file (PEM) with the certificate to show to the server, read anew for each connection as all of these [default: none]
    tls_cert_file: [PathBuf] = "REDTAIL_TLS_CERT_FILE", "FILE";
    /// A file (PEM) with its private key, not encrypted [default: the certificate's own file]
    tls_key_file: [PathBuf] = "REDTAIL_TLS_KEY_FILE", "FILE";
    /// The name to ask for (SNI), which the server's certificate must have [default: the host of its address]
    tls_sni: [String] = "REDTAIL_TLS_SNI", "NAME";
    /// Whether the server's certificate must have that name; Redis's own replicas do not ask: yes or no [default: yes]
    tls_verify_name: [Switch] = "REDTAIL_TLS_VERIFY_NAME", "WHETHER";
    /// Where to listen: address:port or unix:/path; several flags, or several with commas between [default: 127.0.0.1:6380]
    listen: [Vec<server::Listen>] = "REDTAIL_LISTEN", "ADDRESS", value_delimiter = ',';
    /// The password that clients must give; better given by REDTAIL_REQUIREPASS or in the file [default: none]
    requirepass: [String] = "REDTAIL_REQUIREPASS", "PASSWORD";
    /// Whether clients of other machines are refused while there is no password (--requirepass): yes or no [default: yes]
    protected_mode: [Switch] = "REDTAIL_PROTECTED_MODE", "WHETHER";
    /// Whose words replies are in: auto for those of the server that wrote the snapshot, or redis-7.0, valkey-9.1.2 and the
    /// like [default: auto]
    dialect: [DialectChoice] = "REDTAIL_DIALECT", "NAME";
    /// Who may use DEBUG: no, local or yes [default: no]
    enable_debug_command: [server::Access] = "REDTAIL_ENABLE_DEBUG_COMMAND", "WHO";
    /// How many databases the primary has; more come to be as it uses them, up to 1024 [default: 16]
    databases: [usize] = "REDTAIL_DATABASES", "COUNT";
    /// The port to announce to the primary [default: none, so that nobody discovers this replica there]
    announce_port: [u16] = "REDTAIL_ANNOUNCE_PORT", "PORT";
    /// What the primary is told about how far we are. honest: the truth, so that WAIT, min-replicas and FAILOVER count us as a
    /// replica. observer: nothing, so that WAIT and FAILOVER do not, but a SHUTDOWN of Redis 7 or later waits for us. auto:
    /// honest below a replica, observer below a primary [default: auto]
    ack: [AckPolicy] = "REDTAIL_ACK", "POLICY";
    /// Seconds without a byte from the primary after which the link counts as lost [default: 60]
    repl_timeout: [u64] = "REDTAIL_REPL_TIMEOUT", "SECONDS";
    /// Seconds for the connection and for each reply of the handshake [default: 5]
    repl_syncio_timeout: [u64] = "REDTAIL_REPL_SYNCIO_TIMEOUT", "SECONDS";
    /// Seconds of silence after which the connection to the primary is probed, 0 for never [default: 300]
    tcp_keepalive: [u64] = "REDTAIL_TCP_KEEPALIVE", "SECONDS";
    /// Seconds from the begin of one full sync to that of the next at least [default: 10]
    resync_floor: [u64] = "REDTAIL_RESYNC_FLOOR", "SECONDS";
    /// Bytes from the primary that may wait in memory to be taken in; what comes beyond waits in a file [default: 64mb]
    spool_memory: [Amount] = "REDTAIL_SPOOL_MEMORY", "BYTES";
    /// Bytes from the primary that may wait in that file, 0 for none; beyond it the primary has to wait [default: 16gb]
    spool_file: [Amount] = "REDTAIL_SPOOL_FILE", "BYTES";
    /// The folder of that file, which has no name there and goes with the process [default: the system's for temporary files]
    spool_dir: [PathBuf] = "REDTAIL_SPOOL_DIR", "FOLDER";
    /// How old what is served may be, such as 5s or 500ms: reads are answered with MASTERDOWN once it is longer ago that the server
    /// was asked for its offset and all up to that was applied. It is asked four times in that time [default: any age]
    max_staleness: [Period] = "REDTAIL_MAX_STALENESS", "TIME";
    /// How much memory a full resync may take. two-copies: the old data is served until the new is whole. one-copy: it is given up
    /// first, and clients get LOADING meanwhile [default: two-copies]
    resync_memory: [ResyncMemory] = "REDTAIL_RESYNC_MEMORY", "COPIES";
    /// Percent of the keys that a full resync of another history must bring; one with fewer, as of a primary that came back
    /// empty, is held back until SIGUSR1 or the guard's timeout. 0 for none [default: 0]
    resync_guard: [u8] = "REDTAIL_RESYNC_GUARD", "PERCENT";
    /// Seconds for which such a resync is held back at most [default: 600]
    resync_guard_timeout: [u64] = "REDTAIL_RESYNC_GUARD_TIMEOUT", "SECONDS";
    /// Bytes from the primary that are worked off in a second at most, 64kb or more, to leave the machine to others; what comes
    /// faster waits as above [default: no limit]
    writer_rate: [Amount] = "REDTAIL_WRITER_RATE", "BYTES";
    /// Names of commands that the primary sends, that touch no data, and that are to be passed over; several with commas between.
    /// Those that providers are known to send (OPINFO) need not be named [default: none, so that any other unknown command taints
    /// everything]
    stream_ignore: [Vec<String>] = "REDTAIL_STREAM_IGNORE", "NAME", value_delimiter = ',';
    /// The directory from which a restart resumes: a snapshot and the stream behind it [default: none, so that each start is
    /// a full sync]
    state_dir: [PathBuf] = "REDTAIL_STATE_DIR", "FOLDER";
    /// When the state is forced to the disk: always, everysec or no. It matters for the loss of power alone [default: everysec]
    state_fsync: [Fsync] = "REDTAIL_STATE_FSYNC", "POLICY";
    /// Bytes of the state's log after which a new snapshot is written [default: the size of the last one, 64mb at least]
    state_log_max: [Amount] = "REDTAIL_STATE_LOG_MAX", "BYTES";
    /// Seconds after a key's time at which the memory of its value is given back; 0 keeps all values until the primary deletes
    /// their keys [default: 60]
    expired_grace: [u64] = "REDTAIL_EXPIRED_GRACE", "SECONDS";
    /// Whether to keep when each key was last used, for OBJECT IDLETIME: some bytes a key, and a look at the clock for each use:
    /// yes or no [default: no]
    track_access: [Switch] = "REDTAIL_TRACK_ACCESS", "WHETHER";
    /// Client connections at most [default: 10000]
    maxclients: [usize] = "REDTAIL_MAXCLIENTS", "COUNT";
    /// Seconds after which a silent client is disconnected, 0 for never [default: 0]
    timeout: [u64] = "REDTAIL_TIMEOUT", "SECONDS";
    /// Bytes of one request at most [default: 1 GiB]
    query_bytes_max: [usize] = "REDTAIL_QUERY_BYTES_MAX", "BYTES";
    /// Words of one command at most [default: 1048576]
    query_words_max: [usize] = "REDTAIL_QUERY_WORDS_MAX", "COUNT";
    /// Bytes of one word of a command at most [default: 512 MiB]
    word_bytes_max: [usize] = "REDTAIL_WORD_BYTES_MAX", "BYTES";
    /// Bytes of replies that may wait for one client [default: 1 GiB]
    reply_bytes_max: [usize] = "REDTAIL_REPLY_BYTES_MAX", "BYTES";
    /// Seconds after which a client that does not take its replies is disconnected [default: 60]
    stall_timeout: [u64] = "REDTAIL_STALL_TIMEOUT", "SECONDS";
    /// Fields up to which a hash is packed [default: 512]
    hash_max_listpack_entries: [Amount] = "REDTAIL_HASH_MAX_LISTPACK_ENTRIES", "COUNT"; or "hash-max-ziplist-entries";
    /// Bytes of a field or value up to which a hash is packed [default: 64]
    hash_max_listpack_value: [Amount] = "REDTAIL_HASH_MAX_LISTPACK_VALUE", "BYTES"; or "hash-max-ziplist-value";
    /// Bytes up to which a HyperLogLog is sparse [default: 3000]
    hll_sparse_max_bytes: [Amount] = "REDTAIL_HLL_SPARSE_MAX_BYTES", "BYTES";
    /// Accepted for the sake of configurations: nothing is compressed [default: 0]
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

/// Reads the settings in `file`.
///
/// # Errors
/// [`Failure::Usage`] when it cannot be read, or with the line and the reason; never with what stands there, which may be a
/// password.
pub fn file(file: &Path) -> Result<Settings, Failure> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::Usage(format!("cannot read {shown}: {error}")))?;
    toml::from_str(&text).map_err(|error| {
        let before = error
            .span()
            .and_then(|span| text.get(..span.start))
            .unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Failure::Usage(format!("{shown}, line {line}: {}", reason(error.message())))
    })
}

/// The first line of a reason: what follows may quote the file. Values are quoted in messages on wrong types, too.
fn reason(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    match line.split_once("invalid type: ") {
        Some((_, wrong)) => {
            let expected = wrong.rsplit_once("expected ").map_or("", |(_, rest)| rest);
            format!("a value of the wrong type; expected {expected}")
        }
        None => line.to_owned(),
    }
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
                "no primary: give --primary, REDTAIL_PRIMARY or a key `primary` in the file"
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
                "--sentinel-… settings without an address of sentinels: write sentinel://host,…/name"
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
                "--tls-key-file without --tls-cert-file".to_owned(),
            ));
        }
        if tls != Tls::default() && !self.upstream()?.uses_tls() {
            return Err(Failure::Usage(
                "--tls-… settings without an address that uses TLS: write rediss:// instead of redis://"
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
                "--resync-guard: a percentage, 0 to 100".to_owned(),
            ));
        }
        if policy.guard_percent > 0 && policy.memory == ResyncMemory::OneCopy {
            return Err(Failure::Usage(
                "--resync-guard keeps the old data while the new is held back: it needs --resync-memory two-copies".to_owned(),
            ));
        }
        Ok(policy)
    }

    fn writer_rate(&self) -> Result<Option<NonZeroU64>, Failure> {
        let rate = bytes("writer-rate", self.writer_rate.as_ref())?.and_then(NonZeroU64::new);
        match rate {
            Some(rate) if rate.get() < WRITER_RATE_MIN => Err(Failure::Usage(format!(
                "--writer-rate: {WRITER_RATE_MIN} or more, or 0 for no limit"
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
            query_words_max: self.query_words_max.unwrap_or(default.query_words_max),
            word_bytes_max: self.word_bytes_max.unwrap_or(default.word_bytes_max),
            reply_bytes_max: self.reply_bytes_max.unwrap_or(default.reply_bytes_max),
            stall_timeout: self
                .stall_timeout
                .map_or(default.stall_timeout, Duration::from_secs),
            idle_timeout: self
                .timeout
                .map_or(default.idle_timeout, Duration::from_secs),
        }
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
            "--{whose}-password and --{whose}-password-file are both given: leave one out"
        ))),
        (Some(given), None) => Ok(Some(Password::Given(Secret::new(given.as_str())))),
        (None, file) => Ok(file.cloned().map(Password::File)),
    }
}

/// A key of the file that holds one text or a list of them.
fn one_or_more<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged, expecting = "expected a string or a list of strings")]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(Some(match serde::Deserialize::deserialize(from)? {
        OneOrMore::One(text) => vec![text],
        OneOrMore::More(texts) => texts,
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
            "--{name}: write a number of bytes, such as 1048576 or 1mb"
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
