//! Differences in keyspace notifications.

use super::{Dialect, Family, NEVER};

#[doc(hidden)]
impl Dialect {
    /// The letters of `notify-keyspace-events` in the order in which servers show them: the classes that `A` stands for, the
    /// other classes, and what comes after all classes.
    ///
    /// Source: notify.c and server.h of redis 6.0, 7.0 and 8.2 and valkey 8.1; for arrays, those of redis 8.8, from its text.
    #[must_use]
    pub const fn event_letters(self) -> [&'static str; 3] {
        match () {
            () if self.since((8, 8), NEVER) => ["g$lshzxetda", "noc", "KEm"],
            () if self.has_events_of_replaced_keys() => ["g$lshzxetd", "noc", "KEm"],
            () if self.since_redis(7, 0) => ["g$lshzxetd", "n", "KEm"],
            () => ["g$lshzxet", "", "KEm"],
        }
    }

    /// The error of CONFIG SET for an unknown letter of `notify-keyspace-events`.
    #[must_use]
    pub const fn unknown_event_letter(self) -> &'static str {
        if self.since((8, 8), NEVER) {
            "Invalid event class character. Use 'Ag$lshzxeKEtmdnocaSTIV'."
        } else {
            "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."
        }
    }

    /// Whether SORT and the commands on several sets, if they store their result, look up their sources like reads, which publish
    /// `keymiss` (since Redis 7.0).
    #[must_use]
    pub const fn misses_sources_to_store(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether MSETEX publishes `expire` before `set`. Valkey's publishes it after, as SET does.
    ///
    /// Source: redis 8.4 t_string.c, `msetexCommand`, from its text; valkey 9.1 was asked.
    #[must_use]
    pub const fn notes_expiry_before_several(self) -> bool {
        matches!(self.family, Family::Redis)
    }

    /// Whether servers publish that a consumer was created (since Redis 7.0).
    #[must_use]
    pub const fn notes_new_consumers(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether XGROUP DELCONSUMER publishes an event even if there was no such consumer (before Redis 7.0).
    #[must_use]
    pub const fn notes_deletion_of_no_consumer(self) -> bool {
        !self.since_redis(7, 0)
    }
}
