//! Function libraries, kept as the primary sent them. This module does not run them.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::limits::LIBRARIES_MAX;

/// A library: its name and its source text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// The name that its first line declares.
    pub name: Box<[u8]>,
    /// Its source, including the first line.
    pub code: Bytes,
}

/// Why a library was not added or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// The first line of the source is not `#!<engine> name=<library>`.
    #[error("ERR Missing library metadata")]
    Metadata,
    /// A library with that name exists.
    #[error("ERR Library already exists")]
    Exists,
    /// No library has that name.
    #[error("ERR Library not found")]
    NotFound,
    /// There are as many libraries as the limit allows.
    #[error("ERR more than {LIBRARIES_MAX} function libraries")]
    TooMany,
}

impl Library {
    /// Reads the name of a library from its source text. Source: redis 7.0 functions.c, functionExtractLibMetaData.
    ///
    /// # Errors
    /// [`LibraryError::Metadata`].
    pub fn new(code: Bytes) -> Result<Self, LibraryError> {
        let end = code.iter().position(|byte| *byte == b'\n');
        let first = end.and_then(|end| code.get(..end)).unwrap_or_default();
        let mut words = first
            .strip_prefix(b"#!")
            .ok_or(LibraryError::Metadata)?
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .skip(1);
        let named = |word: &&[u8]| {
            word.get(..5)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"name="))
        };
        let name = words.find(named).and_then(|word| word.get(5..));
        let name = name.filter(|name| is_name(name));
        let name = name.ok_or(LibraryError::Metadata)?.into();
        Ok(Self { name, code })
    }
}

/// Whether servers allow `text` as a name: letters, digits and underscores.
fn is_name(text: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    !text.is_empty() && text.iter().all(allowed)
}

/// The libraries of a generation, in the order in which they arrived. DIFFERENCE: a real server lists and dumps them in
/// its hash table's order, which differs from process to process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Libraries {
    all: Vec<Library>,
    doubted: bool,
}

impl Libraries {
    /// All libraries; `None` if it is not known which ones exist.
    #[must_use]
    pub fn all(&self) -> Option<&[Library]> {
        (!self.doubted).then_some(&self.all)
    }

    /// The names of the libraries that are not the same in all of `sets`, in order.
    #[must_use]
    pub fn differing(sets: &[Arc<Self>]) -> Vec<&[u8]> {
        let Some((first, others)) = sets.split_first() else {
            return Vec::new();
        };
        let names = sets
            .iter()
            .flat_map(|set| &set.all)
            .map(|library| &*library.name);
        let names: BTreeSet<&[u8]> = names.collect();
        let differs = |name: &&[u8]| {
            let first = first.code(name);
            others.iter().any(|other| other.code(name) != first)
        };
        names.into_iter().filter(differs).collect()
    }

    fn code(&self, name: &[u8]) -> Option<&Bytes> {
        let mut all = self.all.iter();
        let found = all.find(|library| &*library.name == name);
        found.map(|library| &library.code)
    }

    /// Adds a library. If `replace` is true, it takes the place of one with the same name.
    ///
    /// # Errors
    /// [`LibraryError`]; then nothing has changed.
    pub fn add(&mut self, code: Bytes, replace: bool) -> Result<(), LibraryError> {
        let library = Library::new(code)?;
        let is_full = self.all.len() >= LIBRARIES_MAX;
        let old = self.all.iter_mut().find(|old| old.name == library.name);
        match old {
            Some(old) if replace => *old = library,
            Some(_) => return Err(LibraryError::Exists),
            None if is_full => return Err(LibraryError::TooMany),
            None => self.all.push(library),
        }
        Ok(())
    }

    /// Removes the library called `name`.
    ///
    /// # Errors
    /// [`LibraryError::NotFound`].
    pub fn remove(&mut self, name: &[u8]) -> Result<(), LibraryError> {
        let place = self.all.iter().position(|library| *library.name == *name);
        self.all.remove(place.ok_or(LibraryError::NotFound)?);
        Ok(())
    }

    /// Removes all libraries. From now on it is known which ones exist: none.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Makes it unknown, from now on, which libraries exist.
    pub fn doubt(&mut self) {
        self.all.clear();
        self.doubted = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_called_what_its_first_line_says() {
        let name = |code: &'static str| Library::new(code.into()).map(|library| library.name);
        for code in [
            "#!lua name=one\n",
            "#!lua  NAME=one \r\nredis.x()",
            "#!js name=one\n\n",
        ] {
            assert_eq!(name(code), Ok(b"one"[..].into()), "{code:?}");
        }
        for code in [
            "",
            "#!lua name=one",
            "#!lua\n",
            "lua name=one\n",
            "#!lua name=\n",
            "#!lua name=a-b\n",
        ] {
            assert_eq!(name(code), Err(LibraryError::Metadata), "{code:?}");
        }
    }

    #[test]
    fn no_more_libraries_are_kept_than_can_be_looked_through() {
        let mut libraries = Libraries::default();
        let code = |number: usize| Bytes::from(format!("#!lua name=l{number}\n"));
        for number in 0..LIBRARIES_MAX {
            assert_eq!(libraries.add(code(number), false), Ok(()));
        }
        let one_more = libraries.add(code(LIBRARIES_MAX), false);
        assert_eq!(one_more, Err(LibraryError::TooMany));
        assert_eq!(libraries.add(code(7), true), Ok(()));
    }

    #[test]
    fn a_library_is_replaced_in_its_place_and_only_on_request() {
        let mut libraries = Libraries::default();
        for (code, replace, expected) in [
            ("#!lua name=a\n1", false, Ok(())),
            ("#!lua name=b\n1", true, Ok(())),
            ("#!lua name=a\n2", false, Err(LibraryError::Exists)),
            ("#!lua name=a\n3", true, Ok(())),
        ] {
            assert_eq!(libraries.add(code.into(), replace), expected);
        }
        let codes = |libraries: &Libraries| -> Vec<Bytes> {
            let all = libraries.all().unwrap_or_default();
            all.iter().map(|library| library.code.clone()).collect()
        };
        assert_eq!(codes(&libraries), ["#!lua name=a\n3", "#!lua name=b\n1"]);
        assert_eq!(libraries.remove(b"c"), Err(LibraryError::NotFound));
        assert_eq!(libraries.remove(b"a"), Ok(()));
        assert_eq!(codes(&libraries), ["#!lua name=b\n1"]);
        libraries.doubt();
        assert_eq!(libraries.all(), None);
        libraries.clear();
        assert_eq!(libraries.all(), Some(&[][..]));
    }
}
