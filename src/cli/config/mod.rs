//! Settings. One declaration of each makes its flag, its variable and its key in the configuration file.
//!
//! A flag overrides the environment, the environment the file, and the file the default.

mod credentials;
mod file;
mod http;
mod near;
mod origin;
mod print;
mod problems;
mod values;
mod variables;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use super::Failure;
use crate::command::acl::{Setup, Users};
use crate::command::{EventFlags, Face, ScriptShare, units_of};
use crate::dialect::Dialect;
use crate::replica::{ClusterPart, ResyncMemory, ResyncPolicy};
use crate::server::{self, TlsFiles};
use crate::slots::ClusterSlots;
use crate::state::{self, Fsync};
use crate::upstream::{
    AckPolicy, Login, Password, RdbCompression, Relief, Secret, SpoolLimits, Timing, Tls, Upstream,
};
use crate::value::Choices;
pub use file::ConfigFile;
pub(super) use near::nearest;
pub use origin::Origins;
pub use print::printed;
use values::Wanted;
pub use values::{
    Amount, DialectChoice, LogFormat, NoSlots, NoSuchDialect, NoTime, Period, SlotRange, Switch,
    TcpAddress,
};
pub use variables::unknown_variables;

/// Declares settings. Each row holds the documentation, which is also the help text, then the field, its type, its variable,
/// and what the help shows for its value.
macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $field:ident: [$($type:tt)+] = $variable:literal, $value:literal $(, $more:ident = $with:literal)* $(; or $old:literal)? $(; read by $reader:literal)?;)+) => {
        /// The settings as given. Each has a flag, a variable and a key in the configuration file.
        #[derive(Clone, Default, clap::Args, serde::Deserialize)]
        #[cfg_attr(test, derive(Debug, PartialEq))]
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
            /// Returns these settings, with those of `other` where one is missing.
            #[must_use]
            pub fn or(self, other: Self) -> Self {
                Self { $($field: self.$field.or(other.$field),)+ }
            }
        }

        /// All settings, in this order.
        const FIELDS: &[Field] = &[
            $(Field {
                name: stringify!($field),
                variable: $variable,
                old: &[$($old)?],
                wanted: <$($type)+ as Wanted>::WANTED,
                is_secret: <$($type)+ as Wanted>::IS_SECRET,
            },)+
        ];
    };
}

settings! {
    /// The server to follow, such as redis://host:port (required)
    ///
    /// Also redis://user:password@host:port, rediss://… over TLS, or unix:///path. Several addresses, separated by commas or
    /// given as several flags, are tried in turn. sentinel://host,host/name?prefer=replica follows the server that Sentinel
    /// names; sentinels://… does so over TLS. cluster://host,host names some nodes of a cluster, and follows all its shards;
    /// clusters://… does so over TLS. Other users can see an argument in `ps` for a moment: give an address with a
    /// password in REDTAIL_PRIMARY or in the configuration file.
    primary: [Vec<String>] = "REDTAIL_PRIMARY", "ADDRESS"; read by "one_or_more";
    /// How clients see a cluster: one (a single server that has all keys) or cluster (a replica of every shard) [default: one]
    ///
    /// With cluster, clients that know clusters read here and write to the primaries. See docs/cluster.md.
    cluster_face: [Face] = "REDTAIL_CLUSTER_FACE", "FACE";
    /// Which slots of a cluster to follow, such as 0-5460,10000 [default: all]
    slots: [Vec<SlotRange>] = "REDTAIL_SLOTS", "RANGE", value_delimiter = ','; read by "one_or_more";
    /// Which shards of a cluster to follow: nodes of these, by id or as host:port [default: all]
    ///
    /// Such a shard is followed through failovers, with whatever slots it has. With --slots, only these of its slots are served.
    shards: [Vec<String>] = "REDTAIL_SHARDS", "NODE", value_delimiter = ','; read by "one_or_more";
    /// The user to authenticate as at the primary [default: the one in the address]
    primary_user: [String] = "REDTAIL_PRIMARY_USER", "NAME";
    /// The password for the primary [default: the one in the address]
    ///
    /// Set it in REDTAIL_PRIMARY_PASSWORD or in the configuration file: other users can see an argument in `ps` for a moment.
    primary_password: [Secret] = "REDTAIL_PRIMARY_PASSWORD", "PASSWORD";
    /// A file that holds the password for the primary, read again for each connection [default: none]
    primary_password_file: [PathBuf] = "REDTAIL_PRIMARY_PASSWORD_FILE", "FILE";
    /// The user to authenticate as at sentinels [default: the one in the address]
    sentinel_user: [String] = "REDTAIL_SENTINEL_USER", "NAME";
    /// The password for sentinels [default: the one in the address]
    ///
    /// Set it in REDTAIL_SENTINEL_PASSWORD or in the configuration file: other users can see an argument in `ps` for a
    /// moment.
    sentinel_password: [Secret] = "REDTAIL_SENTINEL_PASSWORD", "PASSWORD";
    /// A file that holds the password for sentinels, read again for each connection [default: none]
    sentinel_password_file: [PathBuf] = "REDTAIL_SENTINEL_PASSWORD_FILE", "FILE";
    /// A PEM file of the authorities that may sign the certificate of a TLS upstream [default: the system's]
    tls_ca_cert_file: [PathBuf] = "REDTAIL_TLS_CA_CERT_FILE", "FILE";
    /// A directory of such PEM files [default: none]
    tls_ca_cert_dir: [PathBuf] = "REDTAIL_TLS_CA_CERT_DIR", "DIR";
    /// A PEM file of the client certificate to present to the server [default: none]
    ///
    /// redtail reads all TLS files again for each connection.
    tls_cert_file: [PathBuf] = "REDTAIL_TLS_CERT_FILE", "FILE";
    /// A PEM file of the client certificate's private key, unencrypted [default: the certificate's own file]
    tls_key_file: [PathBuf] = "REDTAIL_TLS_KEY_FILE", "FILE";
    /// The name that the server's certificate must have [default: the host in the address]
    ///
    /// redtail also sends this name to the server (SNI).
    tls_sni: [String] = "REDTAIL_TLS_SNI", "NAME";
    /// Whether to check the name in the server's certificate: yes or no [default: yes]
    ///
    /// Redis's own replicas do not check it.
    tls_verify_name: [Switch] = "REDTAIL_TLS_VERIFY_NAME", "YES|NO";
    /// Where to listen for clients: address:port, rediss://address:port or unix:/path [default: 127.0.0.1:6380]
    ///
    /// rediss:// speaks TLS: see --listen-cert-file. To listen on several, separate them with commas or repeat the flag.
    listen: [Vec<server::Listen>] = "REDTAIL_LISTEN", "ADDRESS", value_delimiter = ','; read by "one_or_more";
    /// A PEM file with the certificate of a TLS listener, and any certificates up to its authority [default: none]
    ///
    /// redtail reads all files of TLS listeners again when they change.
    listen_cert_file: [PathBuf] = "REDTAIL_LISTEN_CERT_FILE", "FILE";
    /// A PEM file with that certificate's private key, unencrypted [default: the certificate's own file]
    listen_key_file: [PathBuf] = "REDTAIL_LISTEN_KEY_FILE", "FILE";
    /// A PEM file of the authorities that may sign clients' certificates [default: none]
    listen_client_ca_file: [PathBuf] = "REDTAIL_LISTEN_CLIENT_CA_FILE", "FILE";
    /// Whether clients of a TLS listener need a certificate: no, optional or required [default: required with --listen-client-ca-file]
    listen_client_auth: [server::ClientAuth] = "REDTAIL_LISTEN_CLIENT_AUTH", "WHO";
    /// The password that clients must give [default: none]
    ///
    /// Set it in REDTAIL_REQUIREPASS or in the configuration file: other users can see an argument in `ps` for a moment.
    requirepass: [Secret] = "REDTAIL_REQUIREPASS", "PASSWORD";
    /// A file that holds that password, read when redtail starts [default: none]
    requirepass_file: [PathBuf] = "REDTAIL_REQUIREPASS_FILE", "FILE";
    /// A file of users and their permissions, in the syntax of Redis's ACL file [default: none]
    ///
    /// redtail reads it when it starts and for ACL LOAD. See docs/security.md.
    aclfile: [PathBuf] = "REDTAIL_ACLFILE", "FILE";
    /// Whether to refuse clients from other machines while no password is set: yes or no [default: yes]
    ///
    /// Set the password with --requirepass.
    protected_mode: [Switch] = "REDTAIL_PROTECTED_MODE", "YES|NO";
    /// The server version that replies imitate [default: auto]
    ///
    /// auto is the version that wrote the snapshot. To choose another one, name a server with its version, such as redis-7.0 or
    /// valkey-9.1.2.
    dialect: [DialectChoice] = "REDTAIL_DIALECT", "NAME";
    /// Who may use DEBUG: no (nobody), local (clients on this machine) or yes (everyone) [default: no]
    enable_debug_command: [server::Access] = "REDTAIL_ENABLE_DEBUG_COMMAND", "WHO";
    /// The number of databases [default: 16]
    ///
    /// If the primary uses more, redtail adds them, up to 1024.
    databases: [usize] = "REDTAIL_DATABASES", "COUNT";
    /// The port to announce to the primary [default: none]
    ///
    /// Without it, programs that discover replicas through the primary do not find this one.
    announce_port: [u16] = "REDTAIL_ANNOUNCE_PORT", "PORT";
    /// Which offset to report to the primary: auto, honest or observer [default: auto]
    ///
    /// honest reports the true offset, so WAIT, min-replicas and FAILOVER count redtail as a replica. observer always reports 0,
    /// so WAIT and FAILOVER do not count it, but SHUTDOWN of Redis 7 or later waits for it. auto is honest below a replica and
    /// observer below a primary.
    ack: [AckPolicy] = "REDTAIL_ACK", "POLICY";
    /// Whether the primary compresses its snapshots for redtail: auto, yes or no [default: auto]
    ///
    /// Redis 8.6 and later can leave it out, which saves them the work of compressing. auto asks for that over a Unix socket or
    /// the loopback interface. Other servers compress as their own rdbcompression says.
    rdb_compression: [RdbCompression] = "REDTAIL_RDB_COMPRESSION", "WHEN";
    /// Whether the primary computes a checksum of its snapshots for redtail: yes or no [default: yes]
    ///
    /// Redis 8.6 and later can leave it out. Without it, redtail notices damage on the way only where it makes no sense. Say no
    /// only over TLS, which checks every byte itself.
    rdb_checksum: [Switch] = "REDTAIL_RDB_CHECKSUM", "YES|NO";
    /// Seconds without a byte from the primary before the link counts as lost [default: 60]
    repl_timeout: [u64] = "REDTAIL_REPL_TIMEOUT", "SECONDS";
    /// Whether to show within two seconds that the primary hangs or is cut off: yes or no [default: yes]
    ///
    /// While the primary sends nothing, redtail asks it PING once a second, on a second connection. The link itself stays until
    /// --repl-timeout, and reads are answered as before.
    watch_primary: [Switch] = "REDTAIL_WATCH_PRIMARY", "YES|NO";
    /// Seconds to wait for a connection, and for each reply of the handshake [default: 5]
    repl_syncio_timeout: [u64] = "REDTAIL_REPL_SYNCIO_TIMEOUT", "SECONDS";
    /// Seconds of silence before TCP probes the primary or a client; 0 never probes [default: 300]
    tcp_keepalive: [u64] = "REDTAIL_TCP_KEEPALIVE", "SECONDS";
    /// Minimum seconds between the starts of two full syncs [default: 10]
    resync_floor: [u64] = "REDTAIL_RESYNC_FLOOR", "SECONDS";
    /// Maximum bytes from the primary that wait in memory until they are applied [default: 64mb]
    ///
    /// Bytes beyond that wait in a file: see --spool-file.
    spool_memory: [Amount] = "REDTAIL_SPOOL_MEMORY", "BYTES";
    /// Maximum bytes from the primary that wait in the spool file; 0 uses no file [default: 16gb]
    ///
    /// When the file is full too, the primary has to wait.
    spool_file: [Amount] = "REDTAIL_SPOOL_FILE", "BYTES";
    /// The directory for the spool file [default: the system's directory for temporary files]
    ///
    /// The file has no name and disappears with the process.
    spool_dir: [PathBuf] = "REDTAIL_SPOOL_DIR", "DIR";
    /// Maximum age of the data, with a unit: 5s, 500ms, 2m or 1h [default: any age]
    ///
    /// Reads of older data get MASTERDOWN. redtail asks the server for its offset four times in this period. The data is as fresh
    /// as the last of these questions whose offset redtail has reached.
    max_staleness: [Period] = "REDTAIL_MAX_STALENESS", "TIME";
    /// How much memory a full resync may take: two-copies or one-copy [default: two-copies]
    ///
    /// two-copies serves the old data until the new data is complete. one-copy discards the old data first, and clients get
    /// LOADING until the new data is complete.
    resync_memory: [ResyncMemory] = "REDTAIL_RESYNC_MEMORY", "COPIES";
    /// Hold back a full resync that brings less than this percentage of the keys; 0 holds back none [default: 0]
    ///
    /// This applies to resyncs of another history, such as one from a primary that came back empty. redtail keeps serving the old
    /// data until it receives SIGUSR1 or --resync-guard-timeout has passed.
    resync_guard: [u8] = "REDTAIL_RESYNC_GUARD", "PERCENT";
    /// Seconds before redtail accepts a full resync that --resync-guard holds back [default: 600]
    resync_guard_timeout: [u64] = "REDTAIL_RESYNC_GUARD_TIMEOUT", "SECONDS";
    /// Maximum bytes per second to apply from the primary, 64kb or more [default: no limit]
    ///
    /// This leaves the machine to other programs. Bytes that arrive faster wait as described at --spool-memory.
    writer_rate: [Amount] = "REDTAIL_WRITER_RATE", "BYTES";
    /// Names of commands from the primary that touch no data and that redtail skips [default: none]
    ///
    /// Separate several with commas. redtail already skips the commands that providers are known to send (OPINFO). Any other
    /// unknown command taints everything.
    stream_ignore: [Vec<String>] = "REDTAIL_STREAM_IGNORE", "NAME", value_delimiter = ','; read by "one_or_more";
    /// The directory to resume from after a restart [default: none, so each start needs a full sync]
    ///
    /// It holds a snapshot and the stream after it. That is all the data, so only redtail's user may access it.
    state_dir: [PathBuf] = "REDTAIL_STATE_DIR", "DIR";
    /// When to force the state to the disk: always, everysec or no [default: everysec]
    ///
    /// This matters only if the machine loses power.
    state_fsync: [Fsync] = "REDTAIL_STATE_FSYNC", "POLICY";
    /// Bytes of state log after which redtail writes a new snapshot [default: the size of the last one, at least 64mb]
    state_log_max: [Amount] = "REDTAIL_STATE_LOG_MAX", "BYTES";
    /// Seconds after a key expires before redtail frees its value's memory [default: 60]
    ///
    /// 0 keeps every value until the primary deletes its key.
    expired_grace: [u64] = "REDTAIL_EXPIRED_GRACE", "SECONDS";
    /// Whether to record when each key was last used, for OBJECT IDLETIME: yes or no [default: no]
    ///
    /// This costs a few bytes per key and a clock read per use.
    track_access: [Switch] = "REDTAIL_TRACK_ACCESS", "YES|NO";
    /// Which keyspace notifications to publish, such as KEA [default: none]
    ///
    /// K publishes on __keyspace@N__ channels of database N, E on __keyevent@N__ channels. The other letters select classes of events as
    /// in Redis: g $ l s h z x e t m d n o c a, or A for all but m, n, o and c. What the primary's version does not have is
    /// ignored. See docs/notifications.md.
    notify_keyspace_events: [EventFlags] = "REDTAIL_NOTIFY_KEYSPACE_EVENTS", "FLAGS";
    /// Maximum number of connected clients [default: 10000]
    maxclients: [usize] = "REDTAIL_MAXCLIENTS", "COUNT";
    /// Seconds before a silent client is disconnected; 0 for never [default: 0]
    timeout: [u64] = "REDTAIL_TIMEOUT", "SECONDS";
    /// The largest request, in bytes [default: 1073741824 (1 GiB)]
    query_bytes_max: [usize] = "REDTAIL_QUERY_BYTES_MAX", "BYTES";
    /// Maximum number of words in one command [default: the upstream's, 1048576 before Redis 7.0 and 2147483647 since]
    query_words_max: [usize] = "REDTAIL_QUERY_WORDS_MAX", "COUNT";
    /// The longest word of a command, in bytes [default: 536870912 (512 MiB)]
    word_bytes_max: [usize] = "REDTAIL_WORD_BYTES_MAX", "BYTES";
    /// Maximum bytes of replies that wait for one client [default: 1073741824 (1 GiB)]
    reply_bytes_max: [usize] = "REDTAIL_REPLY_BYTES_MAX", "BYTES";
    /// How much output may wait for clients of a class, such as "pubsub 32mb 8mb 60" [default: "pubsub 32mb 8mb 60"]
    ///
    /// The words are the class (normal, pubsub, or replica, which redtail does not have), the hard limit, the soft limit, and
    /// seconds. A client is disconnected with the hard limit waiting, or with more than the soft limit waiting for that long; 0 is
    /// no limit. Subscribers are of class pubsub. For others, --reply-bytes-max is the hard limit unless one is given here. Repeat
    /// the flag, or write four words for each, to limit several classes.
    client_output_buffer_limit: [Vec<server::OutputLimit>] = "REDTAIL_CLIENT_OUTPUT_BUFFER_LIMIT", "LIMIT", value_delimiter = ','; read by "one_or_more";
    /// Percentage of the time that clients' scripts may hold up the primary's stream, 1 to 100 [default: 25]
    ///
    /// While scripts exceed it, redtail refuses those that hold more than the keys they declare.
    script_share: [ScriptShare] = "REDTAIL_SCRIPT_SHARE", "PERCENT";
    /// Maximum bytes that the requests and replies of all clients take together [default: a quarter of the memory]
    ///
    /// The memory is the machine's, or the control group's limit if that is less. One client may hold as much as stays free: half
    /// of the total if it is alone, a third if there is another one.
    clients_memory: [usize] = "REDTAIL_CLIENTS_MEMORY", "BYTES";
    /// Seconds before a client that takes none of its replies is disconnected [default: 60]
    stall_timeout: [u64] = "REDTAIL_STALL_TIMEOUT", "SECONDS";
    /// Maximum fields of a packed hash [default: 512]
    hash_max_listpack_entries: [Amount] = "REDTAIL_HASH_MAX_LISTPACK_ENTRIES", "COUNT"; or "hash-max-ziplist-entries";
    /// Maximum bytes of a field or value in a packed hash [default: 64]
    hash_max_listpack_value: [Amount] = "REDTAIL_HASH_MAX_LISTPACK_VALUE", "BYTES"; or "hash-max-ziplist-value";
    /// Maximum bytes of a sparse HyperLogLog [default: 3000]
    hll_sparse_max_bytes: [Amount] = "REDTAIL_HLL_SPARSE_MAX_BYTES", "BYTES";
    /// Accepted so that configurations need no change; redtail compresses nothing [default: 0]
    list_compress_depth: [Amount] = "REDTAIL_LIST_COMPRESS_DEPTH", "COUNT";
    /// Maximum elements of a list node, or -1 to -5 for 4, 8, 16, 32, 64 KiB [default: -2]
    list_max_listpack_size: [Amount] = "REDTAIL_LIST_MAX_LISTPACK_SIZE", "COUNT", allow_hyphen_values = true; or "list-max-ziplist-size";
    /// Maximum members of a packed set of integers [default: 512]
    set_max_intset_entries: [Amount] = "REDTAIL_SET_MAX_INTSET_ENTRIES", "COUNT";
    /// Maximum members of a packed set of strings, where the upstream packs them [default: 128]
    set_max_listpack_entries: [Amount] = "REDTAIL_SET_MAX_LISTPACK_ENTRIES", "COUNT";
    /// Maximum bytes of a member in a packed set of strings [default: 64]
    set_max_listpack_value: [Amount] = "REDTAIL_SET_MAX_LISTPACK_VALUE", "BYTES";
    /// Maximum bytes of a stream node; 0 for no limit [default: 4096]
    stream_node_max_bytes: [Amount] = "REDTAIL_STREAM_NODE_MAX_BYTES", "BYTES";
    /// Maximum entries of a stream node; 0 for no limit [default: 100]
    stream_node_max_entries: [Amount] = "REDTAIL_STREAM_NODE_MAX_ENTRIES", "COUNT";
    /// Maximum members of a packed sorted set [default: 128]
    zset_max_listpack_entries: [Amount] = "REDTAIL_ZSET_MAX_LISTPACK_ENTRIES", "COUNT"; or "zset-max-ziplist-entries";
    /// Maximum bytes of a member in a packed sorted set [default: 64]
    zset_max_listpack_value: [Amount] = "REDTAIL_ZSET_MAX_LISTPACK_VALUE", "BYTES"; or "zset-max-ziplist-value";
    /// What to log: error, warn, info, debug, trace, or a filter such as redtail::upstream=debug [default: info]
    log_level: [String] = "REDTAIL_LOG_LEVEL", "FILTER";
    /// The format of log lines: full or compact [default: full]
    log_format: [LogFormat] = "REDTAIL_LOG_FORMAT", "FORMAT";
    /// Where to answer HTTP: health, metrics and a status page, such as 127.0.0.1:9121 [default: nowhere]
    ///
    /// The paths are /livez, /readyz, /metrics, /status.json, /keys.json and /. Without a token, other machines get only /livez and
    /// /readyz, unless --protected-mode is no.
    http: [TcpAddress] = "REDTAIL_HTTP", "ADDRESS";
    /// The token that HTTP requires for all but /livez and /readyz [default: none]
    ///
    /// Give it as a bearer token, or in a browser as the password of any user. Set it in REDTAIL_HTTP_TOKEN or in the
    /// configuration file: other users can see an argument in `ps` for a moment.
    http_token: [Secret] = "REDTAIL_HTTP_TOKEN", "TOKEN";
    /// A file that holds the token for HTTP, read again when it changes [default: none]
    http_token_file: [PathBuf] = "REDTAIL_HTTP_TOKEN_FILE", "FILE";
}

/// What is known about a setting.
pub(super) struct Field {
    /// The name of its field, with underscores.
    pub(super) name: &'static str,
    /// Its variable.
    pub(super) variable: &'static str,
    /// The other names of its key.
    old: &'static [&'static str],
    /// What its value must be, for the message about a wrong one.
    wanted: &'static str,
    /// Whether its value must never be shown.
    is_secret: bool,
}

impl Field {
    /// Returns its key in the configuration file: its flag without the dashes before it.
    pub(super) fn key(&self) -> String {
        self.name.replace('_', "-")
    }

    /// Returns its flag.
    pub(super) fn flag(&self) -> String {
        format!("--{}", self.key())
    }
}

/// Returns the settings whose values must never be shown.
pub(super) fn secret_fields() -> impl Iterator<Item = &'static Field> {
    FIELDS.iter().filter(|field| field.is_secret)
}

/// Returns all keys of the configuration file.
fn keys() -> impl Iterator<Item = &'static str> {
    /// The names with dashes, built once.
    static KEYS: OnceLock<Vec<String>> = OnceLock::new();
    let own = KEYS.get_or_init(|| FIELDS.iter().map(Field::key).collect());
    let old = FIELDS.iter().flat_map(|field| field.old);
    own.iter().map(String::as_str).chain(old.copied())
}

/// Returns the setting with that key; `None` if there is none.
fn field_of(key: &str) -> Option<&'static Field> {
    FIELDS
        .iter()
        .find(|field| field.key() == key || field.old.contains(&key))
}

/// Returns what the value of a key of the configuration file must be; `None` if there is no such key.
#[must_use]
pub fn wanted(key: &str) -> Option<&'static str> {
    field_of(key).map(|field| field.wanted)
}

/// The settings of a command, and where each comes from.
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Where they come from.
    pub origins: Origins,
    /// The configuration file, if there is one.
    pub file: Option<ConfigFile>,
}

/// Combines the settings of a command from flags, variables and configuration file. `matches` are those of the command.
///
/// # Errors
/// [`Failure::Usage`] if the file cannot be read or is wrong.
pub fn load(
    flags: Settings,
    path: Option<&PathBuf>,
    matches: &clap::ArgMatches,
) -> Result<Loaded, Failure> {
    let file = path.map(|path| ConfigFile::read(path)).transpose()?;
    let origins = Origins::new(matches, file.as_ref());
    let settings = match &file {
        Some(file) => flags.or(file.settings()?),
        None => flags,
    };
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let settings = settings
        .with_credentials(credentials.as_deref())
        .with_password()
        .map_err(|failure| origins.located(failure))?;
    Ok(Loaded {
        settings,
        origins,
        file,
    })
}

impl Settings {
    /// Returns the upstream to follow, with users and passwords.
    ///
    /// # Errors
    /// [`Failure::Usage`] if the address is missing or wrong. The message does not repeat the address.
    pub fn upstream(&self) -> Result<Upstream, Failure> {
        let Some(addresses) = &self.primary else {
            return Err(Failure::Usage(
                "no primary to follow: give it with --primary redis://host:port, the variable REDTAIL_PRIMARY, or the key `primary` in the configuration file"
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
                "the --sentinel-… settings need a Sentinel address: write --primary sentinel://host,…/name, or leave these settings out"
                    .to_owned(),
            ));
        }
        Ok(upstream.with_login(&login).with_sentinel_login(&sentinels))
    }

    /// Returns how to speak TLS. TLS settings for an address without TLS are an error: everything would be sent in the clear.
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
                "the --tls-… settings need an address that uses TLS: write rediss:// instead of redis://, or leave these settings out"
                    .to_owned(),
            ));
        }
        Ok(tls)
    }

    /// Returns the replica's configuration.
    ///
    /// # Errors
    /// [`Failure::Usage`] if a setting is missing or wrong.
    pub fn replica(&self) -> Result<crate::replica::Config, Failure> {
        Ok(crate::replica::Config {
            upstream: crate::upstream::Config {
                upstream: self.upstream()?,
                tls: self.tls()?,
                listening_port: self.announce_port,
                acks: self.ack.unwrap_or_default(),
                timing: self.timing(),
                spool: self.spool()?,
                relief: Relief {
                    compression: self.rdb_compression.unwrap_or_default(),
                    checksum: self.rdb_checksum != Some(Switch::No),
                },
                // The replica sets this from `max_staleness`.
                proof_every: None,
                watch: self.watch_primary != Some(Switch::No),
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
            changes_window: 0,
            stream_ignore: self.stream_ignore()?,
            expired_grace: self
                .expired_grace
                .map_or(crate::replica::EXPIRED_GRACE, Duration::from_secs),
        })
    }

    /// Returns how clients see a cluster, and what to follow of it; `None` if the upstream is none.
    ///
    /// # Errors
    /// [`Failure::Usage`] if a setting for clusters is given and the upstream is none, or the other way round.
    pub fn cluster(&self) -> Result<Option<(Face, ClusterPart)>, Failure> {
        let is_cluster = matches!(self.upstream()?, Upstream::Cluster(_));
        if !is_cluster {
            if self.cluster_face.is_some() || self.slots.is_some() || self.shards.is_some() {
                return Err(Failure::Usage(
                    "--cluster-face, --slots and --shards are for clusters: write --primary cluster://host:port, or leave them out"
                        .to_owned(),
                ));
            }
            return Ok(None);
        }
        let mut slots = ClusterSlots::default();
        for SlotRange(range) in self.slots.iter().flatten() {
            slots.add_all(range);
        }
        if slots.is_empty() {
            slots = ClusterSlots::all();
        }
        let part = ClusterPart {
            slots,
            shards: self.shards.clone().unwrap_or_default(),
        };
        Ok(Some((self.cluster_face.unwrap_or_default(), part)))
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
                "--resync-guard: write a percentage from 0 to 100".to_owned(),
            ));
        }
        if policy.guard_percent > 0 && policy.memory == ResyncMemory::OneCopy {
            return Err(Failure::Usage(
                "--resync-guard keeps the new data beside the old data, so it needs --resync-memory two-copies"
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

    /// Returns the commands to skip. redtail must not skip a command that it knows: the command's effect would be missing.
    fn stream_ignore(&self) -> Result<Vec<String>, Failure> {
        let names = self.stream_ignore.clone().unwrap_or_default();
        for name in &names {
            if name.is_empty() || crate::command::lookup(name.as_bytes()).is_some() {
                return Err(Failure::Usage(format!(
                    "--stream-ignore {name}: redtail can skip only commands that it does not know"
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

    /// Returns the thresholds at which small encodings end.
    ///
    /// # Errors
    /// [`Failure::Usage`] if a value is not valid for its setting.
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
                    .map_err(|error| Failure::Usage(format!("--{name}: {error}. {NUMBERS}")))?;
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

    /// Returns the users of the ACL file, if there is one.
    ///
    /// # Errors
    /// [`Failure::Usage`] if the file cannot be read or has a mistake.
    pub fn users(&self) -> Result<Option<Arc<Users>>, Failure> {
        let Some(file) = &self.aclfile else {
            return Ok(None);
        };
        let setup = Setup {
            file: Some(file.clone()),
            password: self.server().password,
        };
        let users = Users::open(setup, units_of);
        let users = users.map_err(|error| Failure::Usage(format!("--aclfile: {error}")))?;
        Ok(Some(Arc::new(users)))
    }

    /// Returns the server's configuration, without the users.
    #[must_use]
    pub fn server(&self) -> server::Config {
        let default = server::Config::default();
        server::Config {
            listen: match &self.listen {
                Some(addresses) => addresses.clone(),
                None => vec![server::Listen::Tcp(DEFAULT_LISTEN.into())],
            },
            password: self
                .requirepass
                .clone()
                .filter(|password| !password.expose().is_empty()),
            users: None,
            tls: self.listen_cert_file.clone().map(|cert_file| TlsFiles {
                cert_file,
                key_file: self.listen_key_file.clone(),
                client_ca_file: self.listen_client_ca_file.clone(),
                client_auth: self
                    .listen_client_auth
                    .unwrap_or(match self.listen_client_ca_file {
                        Some(_) => server::ClientAuth::Required,
                        None => server::ClientAuth::No,
                    }),
            }),
            protected: self.protected_mode != Some(Switch::No),
            debug: self.enable_debug_command.unwrap_or(default.debug),
            databases: self.databases.unwrap_or(default.databases).max(1),
            dialect: self.dialect(),
            clients_max: self.maxclients.unwrap_or(default.clients_max),
            query_bytes_max: self.query_bytes_max.unwrap_or(default.query_bytes_max),
            query_words_max: self.query_words_max,
            word_bytes_max: self.word_bytes_max.unwrap_or(default.word_bytes_max),
            reply_bytes_max: self.reply_bytes_max.unwrap_or(default.reply_bytes_max),
            output_limits: self.client_output_buffer_limit.clone().unwrap_or_default(),
            script_share: self.script_share.unwrap_or_default(),
            events: self.notify_keyspace_events.unwrap_or_default(),
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

    /// Returns the settings that CONFIG GET shows but the server itself does not need, under Redis's names.
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

/// Returns the password that is given directly or in a file.
fn password(
    whose: &str,
    given: Option<&Secret>,
    file: Option<&PathBuf>,
) -> Result<Option<Password>, Failure> {
    match (given, file) {
        (Some(_), Some(_)) => Err(Failure::Usage(format!(
            "--{whose}-password and --{whose}-password-file are both given: leave one out"
        ))),
        (Some(given), None) => Ok(Some(Password::Given(given.clone()))),
        (None, file) => Ok(file.cloned().map(Password::File)),
    }
}

/// Reads a key of the configuration file that holds one value or a list.
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

/// Returns the number of bytes that a setting gives; `None` if it is not set.
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

/// What to write for a limit of a small encoding.
const NUMBERS: &str = "Write a whole number, or for bytes one with a unit, such as 1kb";

/// The lowest rate of the writer, in bytes a second. One chunk from the primary may be this large, and then takes a few seconds.
const WRITER_RATE_MIN: u64 = 64 << 10;

const DEFAULT_LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 6380);

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
