//! A user as the rules describe it.

use super::password::Hash;
use super::rule::RuleError;
use super::selector::Selector;
use super::syntax::Syntax;

/// Whether RESTORE checks a user's payloads. redtail only shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Sanitize {
    /// No rule says.
    #[default]
    Unset,
    Yes,
    No,
}

/// A user's rules. A new user is off and may do nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Account {
    pub(crate) is_on: bool,
    /// Whether any password logs in.
    pub(crate) no_password: bool,
    pub(crate) sanitize: Sanitize,
    pub(crate) passwords: Vec<Hash>,
    /// The selector that rules outside of parentheses change.
    pub(crate) root: Selector,
    pub(crate) selectors: Vec<Selector>,
}

/// A rule that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A parenthesis is not closed, from this word on.
    Open(Vec<u8>),
    /// This rule is wrong.
    Rule(Vec<u8>, RuleError),
}

impl Account {
    /// Returns the default user: it needs no password and may do everything.
    pub(crate) fn open() -> Self {
        Self {
            is_on: true,
            no_password: true,
            root: Selector::everything(),
            ..Self::default()
        }
    }

    /// All its selectors.
    pub(super) fn all(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.selectors)
    }

    /// Sets the only password.
    pub(crate) fn set_password(&mut self, password: &[u8]) {
        self.no_password = false;
        self.passwords = vec![Hash::of(password)];
    }

    /// Whether a connection may use this user without logging in, if it is the default user.
    pub(crate) const fn is_open(&self) -> bool {
        self.is_on && self.no_password
    }

    /// Whether the password with that hash logs in.
    pub(crate) fn accepts(&self, given: &Hash) -> bool {
        if !self.is_on {
            return false;
        }
        if self.no_password {
            return true;
        }
        let known = self.passwords.iter();
        known.fold(false, |found, known| found | known.is(given))
    }

    /// Applies rules in order.
    ///
    /// # Errors
    /// The first rule that is not accepted. The account is then changed in part.
    pub(crate) fn apply_all(&mut self, words: &[&[u8]], syntax: Syntax<'_>) -> Result<(), Refused> {
        for rule in merge(words, syntax)? {
            self.apply(&rule, syntax)
                .map_err(|error| Refused::Rule(rule, error))?;
        }
        Ok(())
    }

    /// Applies one rule. Source: redis 7.0 acl.c, `ACLSetUser`.
    pub(super) fn apply(&mut self, rule: &[u8], syntax: Syntax<'_>) -> Result<(), RuleError> {
        let lower = rule.to_ascii_lowercase();
        match lower.as_slice() {
            [] => {}
            b"on" => self.is_on = true,
            b"off" => self.is_on = false,
            b"skip-sanitize-payload" if syntax.has_channels() => self.sanitize = Sanitize::No,
            b"sanitize-payload" if syntax.has_channels() => self.sanitize = Sanitize::Yes,
            b"nopass" => self.reset_passwords(true),
            b"resetpass" => self.reset_passwords(false),
            b"clearselectors" if syntax.has_selectors() => self.selectors.clear(),
            b"reset" => self.reset(syntax),
            [b'>' | b'#' | b'<' | b'!', ..] => return self.change_password(rule),
            [b'(', .., b')'] if syntax.has_selectors() => {
                let inner = rule.get(1..rule.len() - 1).unwrap_or_default();
                self.selectors.push(Selector::parse(inner, syntax)?);
            }
            _ => return self.root.apply(rule, syntax),
        }
        Ok(())
    }

    fn reset_passwords(&mut self, no_password: bool) {
        self.no_password = no_password;
        self.passwords.clear();
    }

    fn reset(&mut self, syntax: Syntax<'_>) {
        *self = Self::default();
        if syntax.has_channels() {
            self.sanitize = Sanitize::Yes;
        }
    }

    /// Adds (`>`, `#`) or removes (`<`, `!`) a password or its hash.
    fn change_password(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let (sign, text) = rule.split_first().ok_or(RuleError::Syntax)?;
        let hash = match sign {
            b'>' | b'<' => Hash::of(text),
            _ => Hash::parse(text)?,
        };
        let place = self.passwords.iter().position(|known| known.is(&hash));
        if matches!(sign, b'>' | b'#') {
            if place.is_none() {
                self.passwords.push(hash);
            }
            self.no_password = false;
            return Ok(());
        }
        self.passwords
            .remove(place.ok_or(RuleError::NoSuchPassword)?);
        Ok(())
    }
}

/// Joins the words of selectors, which may be written with blanks. Source: redis 8.0 acl.c, `ACLMergeSelectorArguments`.
fn merge(words: &[&[u8]], syntax: Syntax<'_>) -> Result<Vec<Vec<u8>>, Refused> {
    let mut rules = Vec::with_capacity(words.len());
    let mut open: Option<(&[u8], Vec<u8>)> = None;
    for word in words {
        let closes = word.ends_with(b")");
        match &mut open {
            None if word.starts_with(b"(") && !closes && syntax.has_selectors() => {
                open = Some((word, word.to_vec()));
            }
            None => rules.push(word.to_vec()),
            Some((_, rule)) => {
                rule.push(b' ');
                rule.extend_from_slice(word);
                if closes {
                    rules.push(std::mem::take(rule));
                    open = None;
                }
            }
        }
    }
    match open {
        Some((first, _)) => Err(Refused::Open(first.to_vec())),
        None => Ok(rules),
    }
}
