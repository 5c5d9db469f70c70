//! The shebang line of a script, which may declare flags. Source: redis 7.0 eval.c, `evalExtractShebangFlags`.

use crate::dialect::Dialect;
use crate::resp::ArgsBuf;

/// The flags that a script or a library function declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ScriptFlags(u8);

/// The flags by name, in the order in which servers list them.
const FLAGS: [(&str, u8); 5] = [
    ("no-writes", 1),
    ("allow-oom", 1 << 1),
    ("allow-stale", 1 << 2),
    ("no-cluster", 1 << 3),
    ("allow-cross-slot-keys", 1 << 4),
];

impl ScriptFlags {
    /// Whether it declares that it writes nothing.
    pub(super) const fn reads_only(self) -> bool {
        self.0 & 1 != 0
    }

    /// Adds the flag called `name`. Returns `None` if there is no such flag.
    pub(super) fn with(self, name: &[u8], is_same: fn(&[u8], &[u8]) -> bool) -> Option<Self> {
        let mut known = FLAGS.iter();
        let found = known.find(|(flag, _)| is_same(flag.as_bytes(), name));
        found.map(|(_, bit)| Self(self.0 | bit))
    }

    /// Returns the names of the flags that are set.
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        let set = FLAGS.iter().filter(move |(_, bit)| self.0 & bit != 0);
        set.map(|(name, _)| *name)
    }
}

/// A parsed shebang line.
struct Line<'c> {
    words: ArgsBuf,
    flags: ScriptFlags,
    /// The line itself.
    text: &'c [u8],
}

/// Returns the flags of a script and the index where its code starts. The flags are `None` if there is no shebang line; such a
/// script may do what it likes. The newline stays part of the code, so that errors name the right line.
///
/// # Errors
/// The server's error message for a line that it does not understand.
pub(super) fn read(code: &[u8], dialect: Dialect) -> Result<(Option<ScriptFlags>, usize), Vec<u8>> {
    let Some(line) = line(code, dialect)? else {
        return Ok((None, 0));
    };
    let engine = line.words.as_args().at(0);
    if !engine.eq_ignore_ascii_case(ENGINE) {
        let name = engine.get(2..).unwrap_or_default();
        return Err([b"Could not find scripting engine '", name, b"'"].concat());
    }
    Ok((Some(line.flags), line.text.len()))
}

/// Returns the flags of a script if its shebang line can be parsed, whatever engine it asks for.
pub(super) fn flags(code: &[u8], dialect: Dialect) -> Option<ScriptFlags> {
    let line = line(code, dialect).ok().flatten();
    line.map(|line| line.flags)
}

/// The start of a shebang line for Lua.
const ENGINE: &[u8] = b"#!lua";

fn line(code: &[u8], dialect: Dialect) -> Result<Option<Line<'_>>, Vec<u8>> {
    if !code.starts_with(b"#!") || !dialect.protects_globals() {
        return Ok(None);
    }
    let end = memchr::memchr2(b'\n', 0, code).filter(|end| code.get(*end) == Some(&b'\n'));
    let text = end.and_then(|end| code.get(..end));
    let text = text.ok_or_else(|| b"Invalid script shebang".to_vec())?;
    let words = ArgsBuf::split(text).filter(|words| !words.as_args().is_empty());
    let words = words.ok_or_else(|| b"Invalid engine in script shebang".to_vec())?;
    let engine = words.as_args().at(0);
    if dialect.says_redis() && engine != ENGINE {
        return Err([b"Unexpected engine in script shebang: ", engine].concat());
    }
    let flags = {
        let mut options = words.as_args().from(1).iter();
        options.try_fold(ScriptFlags::default(), option)?
    };
    Ok(Some(Line { words, flags, text }))
}

fn option(flags: ScriptFlags, word: &[u8]) -> Result<ScriptFlags, Vec<u8>> {
    let Some(names) = word.strip_prefix(b"flags=") else {
        return Err([b"Unknown lua shebang option: ", word].concat());
    };
    if names.is_empty() {
        return Ok(flags);
    }
    names
        .split(|byte| *byte == b',')
        .try_fold(flags, |flags, name| {
            let known = flags.with(name, |one, other| one == other);
            known.ok_or_else(|| [b"Unexpected flag in script shebang: ", name].concat())
        })
}
