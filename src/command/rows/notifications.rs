//! Keyspace notifications: which events are published, and where.

use std::fmt;
use std::str::FromStr;

use crate::dialect::Dialect;
use crate::feed::Class;

/// What `notify-keyspace-events` selects: classes of events, and the kinds of channels on which they are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "cli",
    derive(serde::Deserialize),
    serde(try_from = "String")
)]
pub struct EventFlags(Class);

/// A text that is no [`EventFlags`] in any version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} selects no keyspace events: combine the letters K and E (on which channels) with g $ l s h z x e t d m n o c a, or A for most of these"
)]
pub struct EventFlagsError(String);

/// An event to publish.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// The database.
    pub db: usize,
    /// What happened.
    pub name: &'a str,
    /// The key.
    pub key: &'a [u8],
}

/// The channels of one event, and what each is told.
#[derive(Debug, Default)]
pub struct Channels {
    channel: Vec<u8>,
}

impl EventFlags {
    /// Parses the letters that a server of this version knows; `None` if there is another.
    #[must_use]
    pub fn parse(text: &[u8], dialect: Dialect) -> Option<Self> {
        let known = dialect.event_letters();
        text.iter().try_fold(Self::default(), |flags, letter| {
            let is_known =
                *letter == b'A' || known.iter().any(|some| some.as_bytes().contains(letter));
            Some(Self(flags.0.with(class(*letter).filter(|_| is_known)?)))
        })
    }

    /// Returns the letters in the order in which a server of this version shows them.
    #[must_use]
    pub fn shown(self, dialect: Dialect) -> String {
        let [all, more, channels] = dialect.event_letters();
        let mut shown = String::new();
        if self.has_each(all) {
            shown.push('A');
        } else {
            shown.extend(
                all.chars()
                    .chain(more.chars())
                    .filter(|letter| self.has(*letter)),
            );
        }
        shown.extend(channels.chars().filter(|letter| self.has(*letter)));
        shown
    }

    fn has(self, letter: char) -> bool {
        u8::try_from(letter)
            .ok()
            .and_then(class)
            .is_some_and(|class| self.0.has(class))
    }

    fn has_each(self, letters: &str) -> bool {
        letters.chars().all(|letter| self.has(letter))
    }

    /// The flags that a server of this version knows.
    #[must_use]
    pub fn known_to(self, dialect: Dialect) -> Self {
        let letters = dialect.event_letters().into_iter().flat_map(str::bytes);
        let known = letters.filter_map(class).fold(Class::NONE, Class::with);
        Self(self.0.and(known))
    }

    /// Whether an event of any class is published.
    #[must_use]
    pub fn any(self) -> bool {
        let channels = Class::KEYSPACE.with(Class::KEYEVENT);
        self.0.meets(channels) && !ALL.and(self.0).is_empty()
    }

    /// Whether events of `class` are published.
    #[must_use]
    pub const fn publishes(self, class: Class) -> bool {
        self.0.meets(class)
    }

    /// The flags as bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0.bits()
    }

    /// The flags with these [`bits`](Self::bits).
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(Class::from_bits(bits))
    }
}

impl Channels {
    /// Passes each channel on which `event` is published to `publish`, with its message, in the order of servers.
    ///
    /// Source: redis 7.0 notify.c, `notifyKeyspaceEvent`.
    pub fn each(
        &mut self,
        flags: EventFlags,
        event: Event<'_>,
        mut publish: impl FnMut(&[u8], &[u8]),
    ) {
        let Event { db, name, key } = event;
        for (kind, start, end, message) in [
            (Class::KEYSPACE, "__keyspace@", key, name.as_bytes()),
            (Class::KEYEVENT, "__keyevent@", name.as_bytes(), key),
        ] {
            if flags.publishes(kind) {
                self.channel.clear();
                self.channel.extend_from_slice(start.as_bytes());
                self.channel
                    .extend_from_slice(itoa::Buffer::new().format(db).as_bytes());
                self.channel.extend_from_slice(b"__:");
                self.channel.extend_from_slice(end);
                publish(&self.channel, message);
            }
        }
    }
}

/// The classes of a letter; `None` if no version has it.
const fn class(letter: u8) -> Option<Class> {
    Some(match letter {
        b'K' => Class::KEYSPACE,
        b'E' => Class::KEYEVENT,
        b'g' => Class::GENERIC,
        b'$' => Class::STRING,
        b'l' => Class::LIST,
        b's' => Class::SET,
        b'h' => Class::HASH,
        b'z' => Class::ZSET,
        b'x' => Class::EXPIRED,
        b'e' => Class::EVICTED,
        b't' => Class::STREAM,
        b'd' => Class::MODULE,
        b'a' => Class::ARRAY,
        b'm' => Class::KEY_MISS,
        b'n' => Class::NEW,
        b'o' => Class::OVERWRITTEN,
        b'c' => Class::TYPE_CHANGED,
        b'A' => MOST,
        _ => return None,
    })
}

/// What `A` stands for in the newest version. Older ones ignore what they do not know.
const MOST: Class = Class::GENERIC
    .with(Class::STRING)
    .with(Class::LIST)
    .with(Class::SET)
    .with(Class::HASH)
    .with(Class::ZSET)
    .with(Class::EXPIRED)
    .with(Class::EVICTED)
    .with(Class::STREAM)
    .with(Class::MODULE)
    .with(Class::ARRAY);

/// All classes of events.
const ALL: Class = MOST
    .with(Class::KEY_MISS)
    .with(Class::NEW)
    .with(Class::OVERWRITTEN)
    .with(Class::TYPE_CHANGED);

/// Accepts the letters of all versions: which one the primary has is not known when the settings are read.
impl FromStr for EventFlags {
    type Err = EventFlagsError;

    fn from_str(text: &str) -> Result<Self, EventFlagsError> {
        let flags = text.bytes().try_fold(Class::NONE, |flags, letter| {
            Some(flags.with(class(letter)?))
        });
        flags
            .map(Self)
            .ok_or_else(|| EventFlagsError(text.to_owned()))
    }
}

impl TryFrom<String> for EventFlags {
    type Error = EventFlagsError;

    fn try_from(text: String) -> Result<Self, EventFlagsError> {
        text.parse()
    }
}

/// All letters, in the order of the newest version.
impl fmt::Display for EventFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown(Dialect::redis(u8::MAX, 0, 0)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn channels(flags: &str, class: Class) -> Vec<(String, String)> {
        let flags: EventFlags = flags.parse().unwrap();
        let event = Event {
            db: 12,
            name: "set",
            key: b"k:1",
        };
        let mut published = Vec::new();
        if flags.publishes(class) {
            Channels::default().each(flags, event, |channel, message| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                published.push((text(channel), text(message)));
            });
        }
        published
    }

    #[test]
    fn an_event_is_published_where_the_flags_say() {
        let space = ("__keyspace@12__:k:1".to_owned(), "set".to_owned());
        let event = ("__keyevent@12__:set".to_owned(), "k:1".to_owned());
        let both = [space.clone(), event.clone()];
        assert_eq!(channels("KEA", Class::STRING), both);
        assert_eq!(channels("E$", Class::STRING), [event]);
        assert_eq!(channels("K$", Class::STRING), [space]);
        for (flags, class) in [
            ("KEl", Class::STRING),
            ("A", Class::STRING),
            ("KEA", Class::NEW),
            ("KEA", Class::NONE),
        ] {
            assert!(channels(flags, class).is_empty(), "{flags}");
        }
    }

    #[test]
    fn flags_select_something_only_with_a_channel_and_a_class() {
        for (flags, any) in [
            ("", false),
            ("KE", false),
            ("A", false),
            ("Kg", true),
            ("Em", true),
            ("n", false),
        ] {
            assert_eq!(flags.parse::<EventFlags>().unwrap().any(), any, "{flags}");
        }
    }

    #[test]
    fn letters_are_those_of_the_version() {
        let (old, seven) = (Dialect::redis(6, 0, 16), Dialect::redis(7, 0, 15));
        let (eight, arrays) = (Dialect::redis(8, 2, 0), Dialect::redis(8, 8, 0));
        let valkey = Dialect::valkey(9, 1, 0);
        for (text, dialect, shown) in [
            ("mEKA", old, Some("AKEm")),
            ("n", old, None),
            ("d", old, None),
            ("gd", seven, Some("gd")),
            ("g$lshzxet", old, Some("A")),
            ("g$lshzxet", seven, Some("g$lshzxet")),
            ("nKEA", seven, Some("AKE")),
            ("nEx", valkey, Some("xnE")),
            ("o", valkey, None),
            ("con", eight, Some("noc")),
            ("a", eight, None),
            ("aE", arrays, Some("aE")),
            ("?", arrays, None),
            ("", seven, Some("")),
        ] {
            let flags = EventFlags::parse(text.as_bytes(), dialect);
            let found = flags.map(|flags| flags.shown(dialect));
            assert_eq!(found.as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn a_setting_may_have_the_letters_of_any_version() {
        let flags: EventFlags = "KEAnoc".parse().unwrap();
        assert_eq!(flags.shown(Dialect::redis(6, 0, 16)), "AKE");
        assert!(
            !flags
                .known_to(Dialect::redis(7, 0, 0))
                .publishes(Class::OVERWRITTEN)
        );
        assert!(
            flags
                .known_to(Dialect::redis(8, 2, 0))
                .publishes(Class::OVERWRITTEN)
        );
        let error = "KEy".parse::<EventFlags>().unwrap_err().to_string();
        assert!(
            error.starts_with("\"KEy\" selects no keyspace events"),
            "{error}"
        );
    }
}
