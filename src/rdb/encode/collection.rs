//! Lists, sets, hashes and sorted sets.

use super::super::list::{PACKED, PLAIN};
use super::super::template::{NAMES_PACKED, NAMES_PLAIN};
use super::super::ziplist::ziplist;
use super::Writer;
use crate::rdb::intset::Intset;
use crate::rdb::listpack::Listpack;
use crate::rdb::module::{self, ModuleId};
use crate::rdb::names::Names;
use crate::rdb::object::{NodeRef, TemplateValues};
use crate::rdb::packed::Item;
use std::io::{self, Write};

/// The defaults of `hash-max-listpack-entries` and `hash-max-listpack-value`.
const NAMES_PACKED_MAX: usize = 512;
const NAME_PACKED_BYTES_MAX: usize = 64;

impl<W: Write> Writer<W> {
    /// Writes a packed value in the version's layout for it: a listpack, or a ziplist before version 10.
    ///
    /// # Errors
    /// The output's error, as in everything here.
    pub fn packed(&mut self, packed: &Listpack) -> io::Result<()> {
        if self.layouts().has_listpacks() {
            self.string(packed.as_bytes())
        } else {
            self.string(&ziplist(packed.iter(), packed.byte_len()))
        }
    }

    /// Writes a value of a module type, type 7: its items as a dump has them, including the end mark.
    ///
    /// # Errors
    /// The output's error.
    pub fn module(&mut self, id: ModuleId, items: &[u8]) -> io::Result<()> {
        self.length(id.0)?;
        self.raw(items)
    }

    /// Writes a number as an item of a module's value.
    ///
    /// # Errors
    /// The output's error.
    pub fn module_number(&mut self, number: u64) -> io::Result<()> {
        self.length(module::UINT)?;
        self.length(number)
    }

    /// Writes a text as an item of a module's value.
    ///
    /// # Errors
    /// The output's error.
    pub fn module_text(&mut self, text: &[u8]) -> io::Result<()> {
        self.length(module::STRING)?;
        self.string(text)
    }

    /// Ends a module's value.
    ///
    /// # Errors
    /// The output's error.
    pub fn module_end(&mut self) -> io::Result<()> {
        self.length(module::END)
    }

    /// Writes a set of integers: type 11.
    ///
    /// # Errors
    /// The output's error.
    pub fn intset(&mut self, intset: &Intset) -> io::Result<()> {
        self.string(intset.as_bytes())
    }

    /// Writes a list by its nodes, head first: type 18, or type 14 before version 10.
    ///
    /// # Errors
    /// The output's error.
    pub fn list<'a>(
        &mut self,
        nodes: impl ExactSizeIterator<Item = NodeRef<'a>>,
    ) -> io::Result<()> {
        self.count(nodes.len())?;
        for node in nodes {
            self.list_node(node)?;
        }
        Ok(())
    }

    fn list_node(&mut self, node: NodeRef<'_>) -> io::Result<()> {
        let layouts = self.layouts();
        match node {
            NodeRef::Plain(text) if layouts.has_plain_nodes() => {
                self.length(PLAIN)?;
                self.string(text)
            }
            NodeRef::Plain(text) if layouts.has_listpacks() => {
                self.length(PACKED)?;
                self.packed(&[text].into_iter().collect())
            }
            NodeRef::Plain(text) => self.string(&ziplist([Item::Str(text)].into_iter(), 0)),
            NodeRef::Packed(packed) if layouts.has_listpacks() => {
                self.length(PACKED)?;
                self.packed(packed)
            }
            NodeRef::Packed(packed) => self.packed(packed),
        }
    }

    /// Writes a set by its members: type 2.
    ///
    /// # Errors
    /// The output's error.
    pub fn set<'a>(
        &mut self,
        count: usize,
        members: impl Iterator<Item = Item<'a>>,
    ) -> io::Result<()> {
        self.count(count)?;
        for member in members {
            self.item(member)?;
        }
        Ok(())
    }

    /// Writes a hash by its fields and values: type 4.
    ///
    /// # Errors
    /// The output's error.
    pub fn hash<'a>(
        &mut self,
        count: usize,
        pairs: impl Iterator<Item = (Item<'a>, Item<'a>)>,
    ) -> io::Result<()> {
        self.count(count)?;
        for (field, value) in pairs {
            self.pair(field, value)?;
        }
        Ok(())
    }

    /// Writes a field of a hash of type 4.
    ///
    /// # Errors
    /// The output's error.
    pub fn pair(&mut self, field: Item<'_>, value: Item<'_>) -> io::Result<()> {
        self.item(field)?;
        self.item(value)
    }

    /// Writes a hash by its fields, values and expiries, Unix time in milliseconds: Valkey's type 22.
    ///
    /// # Errors
    /// The output's error.
    pub fn hash_with_expiries<'a>(
        &mut self,
        count: usize,
        fields: impl Iterator<Item = (Item<'a>, Item<'a>, Option<i64>)>,
    ) -> io::Result<()> {
        self.count(count)?;
        for (field, value, expire_at_ms) in fields {
            self.pair_with_expiry(field, value, expire_at_ms)?;
        }
        Ok(())
    }

    /// Writes a field of a hash of Valkey's type 22.
    ///
    /// # Errors
    /// The output's error.
    pub fn pair_with_expiry(
        &mut self,
        field: Item<'_>,
        value: Item<'_>,
        expire_at_ms: Option<i64>,
    ) -> io::Result<()> {
        self.pair(field, value)?;
        self.raw(&expire_at_ms.unwrap_or(-1).to_le_bytes())
    }

    /// Writes a hash by its fields, values and expiries, of which `first_ms` is the earliest: Redis's type 24.
    ///
    /// # Errors
    /// The output's error.
    pub fn hash_metadata<'a>(
        &mut self,
        count: usize,
        first_ms: i64,
        fields: impl Iterator<Item = (Item<'a>, Item<'a>, Option<i64>)>,
    ) -> io::Result<()> {
        self.hash_metadata_head(count, first_ms)?;
        for (field, value, expire_at_ms) in fields {
            let since = expire_at_ms.map(|at| at.abs_diff(first_ms));
            self.pair_after_expiry(field, value, since)?;
        }
        Ok(())
    }

    /// Begins a hash of Redis's type 24: `count` fields, whose earliest expiry is `first_ms`.
    ///
    /// # Errors
    /// The output's error.
    pub fn hash_metadata_head(&mut self, count: usize, first_ms: i64) -> io::Result<()> {
        self.raw(&first_ms.to_le_bytes())?;
        self.count(count)
    }

    /// Writes a field of a hash of Redis's type 24, which expires `since_ms` after the first one.
    ///
    /// # Errors
    /// The output's error.
    pub fn pair_after_expiry(
        &mut self,
        field: Item<'_>,
        value: Item<'_>,
        since_ms: Option<u64>,
    ) -> io::Result<()> {
        // 0 means no expiry.
        self.length(since_ms.map_or(0, |since_ms| since_ms + 1))?;
        self.pair(field, value)
    }

    /// Writes a compact hash with its names, as in DUMP payloads: type 29, or type 31 if the values are not packed.
    ///
    /// DIFFERENCE: where servers write the number that the template has in their memory, this writes 0. Whether the names are
    /// packed follows from the default limits of listpacks, whatever the server's are.
    ///
    /// # Errors
    /// The output's error.
    pub fn template_hash(&mut self, names: &Names, values: &TemplateValues) -> io::Result<()> {
        self.names(names)?;
        match values {
            TemplateValues::Packed(values) => {
                let mut packed = Listpack::with_room(values.byte_len() + 2);
                packed.push_int(0);
                values.iter().for_each(|value| packed.push_item(value));
                self.packed(&packed)
            }
            TemplateValues::Array(values) => {
                let mut values = values.iter();
                values.try_for_each(|value| self.string(value))
            }
        }
    }

    fn names(&mut self, names: &Names) -> io::Result<()> {
        let are_short = names.iter().all(|name| name.len() <= NAME_PACKED_BYTES_MAX);
        if are_short && names.len() <= NAMES_PACKED_MAX {
            self.length(NAMES_PACKED)?;
            return self.packed(&names.iter().collect());
        }
        self.length(NAMES_PLAIN)?;
        self.count(names.len())?;
        names.iter().try_for_each(|name| self.string(name))
    }

    /// Writes a sorted set by its members and scores, which Redis writes highest first: type 5.
    ///
    /// # Errors
    /// The output's error.
    pub fn zset<'a>(
        &mut self,
        count: usize,
        members: impl Iterator<Item = (Item<'a>, f64)>,
    ) -> io::Result<()> {
        self.count(count)?;
        for (member, score) in members {
            self.scored(member, score)?;
        }
        Ok(())
    }

    /// Writes a member of a sorted set of type 5.
    ///
    /// # Errors
    /// The output's error.
    pub fn scored(&mut self, member: Item<'_>, score: f64) -> io::Result<()> {
        self.item(member)?;
        self.raw(&score.to_le_bytes())
    }
}
