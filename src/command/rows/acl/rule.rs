//! Why a rule is not accepted.

/// Why a rule is not accepted, in Redis's words. Source: redis 7.0 acl.c, `ACLSetUserStringError`; valkey 9.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RuleError {
    #[error("Unknown command or category name in ACL")]
    Unknown,
    #[error("Syntax error")]
    Syntax,
    #[error(
        "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to \
         start with an empty list of patterns"
    )]
    AllKeys,
    #[error(
        "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try \
         'resetchannels' to start with an empty list of channels"
    )]
    AllChannels,
    #[error("The password you are trying to remove from the user does not exist")]
    NoSuchPassword,
    #[error(
        "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
    )]
    Hash,
    #[error("Allowing first-arg of a subcommand is not supported")]
    FirstWordOfSubcommand,
    #[error(
        "Adding a subcommand of a command already fully added is not allowed. Remove the command to start. Example: -DEBUG \
         +DEBUG|DIGEST"
    )]
    AllowedAnyhow,
    #[error("The provided database ID is out of range")]
    Database,
}
