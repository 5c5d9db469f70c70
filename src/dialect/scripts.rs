//! Differences that scripts see.

use super::{Dialect, Family, NEVER};

/// The errors that a script gets for a command that it cannot run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScriptErrors {
    /// No command has this name.
    pub unknown: &'static str,
    /// The number of words is wrong.
    pub arity: &'static str,
    /// No script may run it.
    pub forbidden: &'static str,
    /// It writes.
    pub read_only: &'static str,
}

#[doc(hidden)]
impl Dialect {
    /// Whether scripts share tables that they cannot change, and name errors by their codes (since Redis 7.0).
    #[must_use]
    pub const fn protects_globals(self) -> bool {
        self.since_redis(7, 0)
    }

    /// Whether every script gets the same random numbers (before Redis 7.0).
    #[must_use]
    pub const fn seeds_scripts(self) -> bool {
        !self.since_redis(7, 0)
    }

    /// Whether scripts have `os.clock` (since Redis 7.4).
    #[must_use]
    pub const fn has_script_clock(self) -> bool {
        self.since((7, 4), (8, 0))
    }

    /// Returns the names under which scripts find the table of commands.
    #[must_use]
    pub const fn api_names(self) -> &'static [&'static str] {
        match self.family {
            Family::Redis => &["redis"],
            Family::Valkey => &["redis", "server"],
        }
    }

    /// Returns what clients see of an error that a script returns. Since Redis 7.0, that is without the line ends at its end.
    #[must_use]
    pub fn script_error(self, mut text: &[u8]) -> &[u8] {
        while let (true, [start @ .., b'\r' | b'\n']) = (self.since_redis(7, 0), text) {
            text = start;
        }
        text
    }

    /// Whether `redis.error_reply` removes line ends from a text without spaces (until Valkey 9.1).
    #[must_use]
    pub const fn trims_words_as_errors(self) -> bool {
        !self.since(NEVER, (9, 1))
    }

    /// Returns the error for an unknown script digest, which is shorter since Valkey 8.0.
    #[must_use]
    pub const fn unknown_script(self) -> &'static str {
        if self.since(NEVER, (8, 0)) {
            "NOSCRIPT No matching script."
        } else {
            "NOSCRIPT No matching script. Please use EVAL."
        }
    }

    /// Returns the errors for a script that calls a command without words, or with words of the wrong type.
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

    /// Returns the errors that a script gets for a command that it cannot run.
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
                forbidden: if self.since(NEVER, (9, 0)) {
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

    /// Returns the names under which scripts see the function that handles uncaught errors.
    #[must_use]
    pub const fn script_handler_names(self) -> &'static [&'static str] {
        match self.family {
            Family::Redis => &["__redis__err__handler"],
            Family::Valkey => &["__redis__err__handler", "__server__err__handler"],
        }
    }

    /// Returns the copyright holder that `cmsgpack` names.
    #[must_use]
    pub const fn packer_owner(self) -> &'static str {
        match self.family {
            Family::Redis => "Salvatore Sanfilippo",
            Family::Valkey => "Redis Ltd.",
        }
    }

    /// Whether the error for an unknown subcommand in a script names the subcommand (since Valkey 9.1). Other servers only say
    /// that something is unknown.
    #[must_use]
    pub const fn names_subcommands_in_scripts(self) -> bool {
        matches!(self.family, Family::Valkey) && self.since(NEVER, (9, 1))
    }

    /// Whether errors of scripts name the script or function. Valkey 9.1 leaves the name empty.
    #[must_use]
    pub const fn names_failed_scripts(self) -> bool {
        !self.names_subcommands_in_scripts()
    }

    /// Returns the number of slots on Lua's stack that are in use when a script's value is written.
    #[must_use]
    pub const fn script_stack_places(self) -> usize {
        if self.since_redis(7, 0) { 1 } else { 2 }
    }
}
