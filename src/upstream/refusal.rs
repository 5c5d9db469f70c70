//! What a server's error reply means, and what to do about it.

use super::error::Error;

/// What redtail concludes from an error reply.
#[derive(Debug, Clone, Copy)]
enum Meaning {
    /// It passes without help, for this reason.
    Passes(&'static str),
    /// Someone must do this.
    Fix(&'static str),
}

use Meaning::{Fix, Passes};

const PASSWORD: &str = "Set its password with --primary-password, REDTAIL_PRIMARY_PASSWORD or the configuration file (for a sentinel: \
                        --sentinel-password)";
const LOGIN: &str = "Check the user and the password that redtail sends: --primary-user and --primary-password, or those in the address \
                     (for a sentinel: --sentinel-user and --sentinel-password)";
const NO_PASSWORD: &str = "The server has no password for this user: leave the password out, or also give the user (--primary-user)";
const PERMISSIONS: &str = "Give the user more permissions: ACL SETUSER <user> +ping +psync +replconf +info (on a sentinel: +sentinel +subscribe \
                           allchannels)";
const PROTECTED: &str = "The server is in protected mode: set a password there and give it to redtail, or turn protected mode off";
const CLUSTER: &str = "A cluster or a cluster proxy redirects redtail: give the address of one of the cluster's own servers. One redtail \
                       holds the slots of one server: run one for each primary";
const PROXY: &str = "This is not a Redis or Valkey server but most likely a proxy, which cannot pass on replication: give the address of the \
                     server behind it";
const COMMANDS: &str = "redtail can only follow a Redis (2.8 or later) or Valkey server on which AUTH, REPLCONF and PSYNC have their usual names: \
                        give the address of such a server, not of a proxy or another program";
const REDTAIL: &str = "It is itself a redtail, which feeds no replicas: give the address of the primary that it follows";
const NO_SENTINEL: &str = "This server is not a sentinel: give the port of a sentinel, usually 26379, or write redis://host:port to follow \
                           this server itself";

/// How replies start, in any case, and what they mean. The first match counts.
///
/// Sources: redis 7.0 replication.c, `syncCommand` and `slaveTryPartialResynchronization`; envoy's redis_proxy,
/// `command_splitter_impl.h`.
const MEANINGS: &[(&str, Meaning)] = &[
    ("NOAUTH", Fix(PASSWORD)),
    ("ERR operation not permitted", Fix(PASSWORD)),
    ("WRONGPASS", Fix(LOGIN)),
    ("ERR invalid password", Fix(LOGIN)),
    ("ERR invalid username-password pair", Fix(LOGIN)),
    (
        "ERR Client sent AUTH, but no password is set",
        Fix(NO_PASSWORD),
    ),
    (
        "ERR AUTH <password> called without any password",
        Fix(NO_PASSWORD),
    ),
    ("NOPERM", Fix(PERMISSIONS)),
    ("DENIED", Fix(PROTECTED)),
    ("MOVED", Fix(CLUSTER)),
    ("ASK ", Fix(CLUSTER)),
    ("CROSSSLOT", Fix(CLUSTER)),
    ("CLUSTERDOWN", Passes("its cluster is down")),
    ("ERR wrong number of arguments", Fix(PROXY)),
    ("ERR unsupported command", Fix(PROXY)),
    ("unsupported command", Fix(PROXY)),
    ("invalid request", Fix(PROXY)),
    ("ERR invalid request", Fix(PROXY)),
    (
        "no upstream host",
        Passes("it is a proxy with no server behind it: give the address of the server itself"),
    ),
    (
        "upstream failure",
        Passes(
            "it is a proxy that lost the server behind it: give the address of the server itself",
        ),
    ),
    ("ERR not supported: redtail", Fix(REDTAIL)),
    ("ERR unknown command", Fix(COMMANDS)),
    ("ERR command not supported", Fix(COMMANDS)),
    ("LOADING", Passes("it is loading its data")),
    (
        "NOMASTERLINK",
        Passes("it is a replica that has no link to its own primary"),
    ),
    (
        "MASTERDOWN",
        Passes("it is a replica that has no link to its own primary"),
    ),
    ("BUSY", Passes("it is running a script")),
    ("TRYAGAIN", Passes("it asks redtail to try again")),
    (
        "ERR max number of clients reached",
        Passes("it accepts no more connections: raise its maxclients, or close some"),
    ),
    (
        "ERR BGSAVE failed",
        Passes("it could not make a snapshot: its log says why"),
    ),
    (
        "MISCONF",
        Passes("it cannot save to its disk: its log says why"),
    ),
    ("OOM", Passes("it is out of memory")),
    ("UNKILLABLE", Passes("it is running a script")),
    (
        "ERR SYNC and PSYNC are invalid with pending output",
        Passes("it still has replies to send"),
    ),
];

/// Returns what `reply`, an error without its `-`, means as the answer to `asked`.
pub(super) fn meaning(reply: &str, asked: &'static str) -> Error {
    let starts = |start: &str| {
        reply
            .get(..start.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(start))
    };
    let words = reply.to_owned();
    if asked.contains("SENTINEL") && starts("ERR unknown command") {
        return refused(words, NO_SENTINEL);
    }
    match MEANINGS.iter().find(|(start, _)| starts(start)) {
        Some((_, Fix(fix))) => refused(words, fix),
        Some((_, Passes(why))) => Error::NotReady { reply: words, why },
        None => Error::Unexpected {
            asked,
            reply: words,
        },
    }
}

fn refused(reply: String, fix: &'static str) -> Error {
    Error::Refused { reply, fix }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_by_itself_needs_nobody_and_all_else_does() {
        for reply in [
            "NOAUTH Authentication required.",
            "NOPERM this user has no permissions to run the 'psync' command",
            "ERR unknown command `PSYNC`, with args beginning with: ",
            "WRONGPASS invalid username-password pair or user is disabled.",
            "DENIED Redis is running in protected mode",
            "MOVED 1234 10.0.0.1:6379",
            "ERR wrong number of arguments for 'psync' command",
            "ERR unsupported command 'psync'",
            "invalid request",
            "something that nobody knows",
        ] {
            assert!(meaning(reply, "PSYNC").needs_a_person(), "{reply}");
        }
        for reply in [
            "LOADING Redis is loading the dataset in memory",
            "NOMASTERLINK Can't SYNC while not connected with my master",
            "BUSY Redis is busy running a script.",
            "MASTERDOWN Link with MASTER is down",
            "ERR max number of clients reached",
            "CLUSTERDOWN The cluster is down",
            "no upstream host",
        ] {
            assert!(!meaning(reply, "PSYNC").needs_a_person(), "{reply}");
        }
    }

    #[test]
    fn says_what_to_do() {
        let says = |reply: &str, asked: &'static str, words: &str| {
            let text = meaning(reply, asked).to_string();
            assert!(text.contains(reply) && text.contains(words), "{text}");
        };
        says("MOVED 1234 10.0.0.1:6379", "PSYNC", "one for each primary");
        says(
            "ERR wrong number of arguments for 'psync' command",
            "PSYNC",
            "most likely a proxy",
        );
        says("ERR unknown command 'PSYNC'", "PSYNC", "not of a proxy");
        says(
            "ERR unknown command 'SENTINEL'",
            "answering SENTINEL",
            "write redis://",
        );
        says(
            "LOADING Redis is loading",
            "PSYNC",
            "it is loading its data",
        );
        says("ERR so what", "PSYNC", "does not know");
        says("noauth", "PING", "--primary-password");
    }
}
