//! The first line of a script, which may say what it needs. Source: redis 7.0 eval.c, `evalExtractShebangFlags`.

use crate::dialect::Dialect;

/// What a script, or a function of a library, says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ScriptFlags(u8);

/// The flags by their names, in the order in which servers list them.
const FLAGS: [(&str, u8); 5] = [
    ("no-writes", 1),
    ("allow-oom", 1 << 1),
    ("allow-stale", 1 << 2),
    ("no-cluster", 1 << 3),
    ("allow-cross-slot-keys", 1 << 4),
];

impl ScriptFlags {
    /// Whether it writes nothing.
    pub(super) const fn reads_only(self) -> bool {
        self.0 & 1 != 0
    }

    /// Adds the flag called `name`; `None` when there is none.
    pub(super) fn with(self, name: &[u8], is_same: fn(&[u8], &[u8]) -> bool) -> Option<Self> {
        let mut known = FLAGS.iter();
        let found = known.find(|(flag, _)| is_same(flag.as_bytes(), name));
        found.map(|(_, bit)| Self(self.0 | bit))
    }

    /// The names of the flags that are set.
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        let set = FLAGS.iter().filter(move |(_, bit)| self.0 & bit != 0);
        set.map(|(name, _)| *name)
    }
}

/// The flags of a script, `None` for one without such a line, which may do what it likes; and where its code begins: the end
/// of the line stays, for errors to name the right one.
///
/// # Errors
/// What servers say of a line that they do not understand.
pub(super) fn read(code: &[u8], dialect: Dialect) -> Result<(Option<ScriptFlags>, usize), Vec<u8>> {
    if !code.starts_with(b"#!") || !dialect.protects_globals() {
        return Ok((None, 0));
    }
    let end = code.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or_else(|| b"Invalid script shebang".to_vec())?;
    let line = code.get(..end).unwrap_or_default();
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let engine = words.next().unwrap_or_default();
    let is_lua = if dialect.says_redis() {
        engine == b"#!lua"
    } else {
        engine.eq_ignore_ascii_case(b"#!lua")
    };
    if !is_lua {
        return Err(unknown_engine(engine, dialect));
    }
    let flags = words.try_fold(ScriptFlags::default(), option)?;
    Ok((Some(flags), end))
}

fn unknown_engine(engine: &[u8], dialect: Dialect) -> Vec<u8> {
    if dialect.says_redis() {
        return [b"Unexpected engine in script shebang: ", engine].concat();
    }
    let name = engine.get(2..).unwrap_or_default();
    [b"Could not find scripting engine '", name, b"'"].concat()
}

fn option(flags: ScriptFlags, word: &[u8]) -> Result<ScriptFlags, Vec<u8>> {
    let Some(names) = word.strip_prefix(b"flags=") else {
        return Err([b"Unknown lua shebang option: ", word].concat());
    };
    names
        .split(|byte| *byte == b',')
        .try_fold(flags, |flags, name| {
            let known = flags.with(name, |one, other| one == other);
            known.ok_or_else(|| [b"Unexpected flag in script shebang: ", name].concat())
        })
}
