//! What modules write into dumps.

use crate::rdb::module::{Items, ModuleId, ModuleItem};
use std::fmt;

/// A module's value, or the data that a module keeps outside the keys: a sequence of items that only the module understands.
#[derive(Clone, Copy)]
pub struct Module<'a> {
    id: ModuleId,
    raw: &'a [u8],
}

impl<'a> Module<'a> {
    pub(super) const fn new(id: ModuleId, raw: &'a [u8]) -> Self {
        Self { id, raw }
    }

    pub(super) const fn id(&self) -> ModuleId {
        self.id
    }

    pub(super) const fn held_bytes(&self) -> usize {
        self.raw.len()
    }

    /// The name of the module's type, nine characters, such as `vectorset`.
    #[must_use]
    pub fn type_name(&self) -> String {
        self.id.name()
    }

    /// The version of the type's encoding, 0 to 1023.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.id.version()
    }

    /// The number of items. Counting them takes a walk.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are no items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Iterates over the items, in the order in which the module wrote them.
    pub fn iter(&self) -> impl Iterator<Item = ModuleItem> + use<'a> {
        Items::new(self.raw)
    }

    /// The items as they are written in the dump, including the end mark.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl fmt::Debug for Module<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.type_name(), self.version())?;
        f.debug_list().entries(self.iter()).finish()
    }
}
