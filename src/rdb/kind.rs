//! The numbers on the wire: value types and opcodes.

use super::version::{Magic, Version};

/// Declares each value type once: variant, number on the wire, and the name that Redis's own tools print.
macro_rules! value_types {
    ($($variant:ident = $number:literal $name:literal),* $(,)?) => {
        /// A value type: one per layout.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum ValueType {
            $(#[doc = concat!("`", $name, "`, type ", $number, ".")] $variant,)*
            /// Valkey's type 22.
            Hash2,
        }

        impl ValueType {
            /// Returns the type with this number in files of this version. From 22 on, a number's meaning depends on the magic.
            pub(super) fn new(number: u8, version: Version) -> Option<Self> {
                let known = match number {
                    HASH_2 if version.magic == Magic::Valkey => return Some(Self::Hash2),
                    $($number => Self::$variant,)*
                    _ => return None,
                };
                (number < 22 || version.magic == Magic::Redis).then_some(known)
            }

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> u8 {
                match self {
                    $(Self::$variant => $number,)*
                    Self::Hash2 => 22,
                }
            }
        }

        /// Returns the name that Redis's own tools print for a value type, or an empty string for an unknown type. Type 22 has
        /// its Valkey name: Redis wrote that number only in release candidates of 7.4.
        ///
        /// Source: redis 8.8 redis-check-rdb.c, `rdb_type_string`. The names of types 29 to 32 are redtail's own.
        #[must_use]
        pub fn type_name(number: u8) -> &'static str {
            if number == HASH_2 {
                return "hash-2";
            }
            match number {
                $($number => $name,)*
                _ => "",
            }
        }
    };
}

value_types! {
    String = 0 "string",
    List = 1 "list-linked",
    Set = 2 "set-hashtable",
    Zset = 3 "zset-v1",
    Hash = 4 "hash-hashtable",
    Zset2 = 5 "zset-v2",
    ModulePreGa = 6 "module-pre-release",
    Module2 = 7 "module-value",
    HashZipmap = 9 "hash-zipmap",
    ListZiplist = 10 "list-ziplist",
    SetIntset = 11 "set-intset",
    ZsetZiplist = 12 "zset-ziplist",
    HashZiplist = 13 "hash-ziplist",
    ListQuicklist = 14 "quicklist",
    StreamListpacks = 15 "stream",
    HashListpack = 16 "hash-listpack",
    ZsetListpack = 17 "zset-listpack",
    ListQuicklist2 = 18 "quicklist-v2",
    StreamListpacks2 = 19 "stream-v2",
    SetListpack = 20 "set-listpack",
    StreamListpacks3 = 21 "stream-v3",
    HashMetadataPreGa = 22 "hash-hashtable-md-pre-release",
    HashListpackExPreGa = 23 "hash-listpack-md-pre-release",
    HashMetadata = 24 "hash-hashtable-md",
    HashListpackEx = 25 "hash-listpack-md",
    StreamListpacks4 = 26 "stream-v4",
    StreamListpacks5 = 27 "stream-v5",
    Array = 28 "array",
    HashTemplateListpack = 29 "hash-template-listpack",
    HashTemplateListpackRef = 30 "hash-template-listpack-ref",
    HashTemplateArray = 31 "hash-template-array",
    HashTemplateArrayRef = 32 "hash-template-array-ref",
}

/// Valkey's number for hashes whose fields expire. Release candidates of Redis 7.4 used it, too.
const HASH_2: u8 = 22;

pub(super) const EOF: u8 = 255;
pub(super) const SELECTDB: u8 = 254;
pub(super) const EXPIRETIME: u8 = 253;
pub(super) const EXPIRETIME_MS: u8 = 252;
pub(super) const RESIZEDB: u8 = 251;
pub(super) const AUX: u8 = 250;
pub(super) const FREQ: u8 = 249;
pub(super) const IDLE: u8 = 248;
pub(super) const MODULE_AUX: u8 = 247;
/// Functions as release candidates of Redis 7.0 wrote them. No server reads them any more.
pub(super) const FUNCTION_PRE_GA: u8 = 246;
pub(super) const FUNCTION2: u8 = 245;
pub(super) const SLOT_INFO: u8 = 244;
/// A migration of cluster slots into the server that wrote the file (Valkey 9.0 and later).
pub(super) const SLOT_IMPORT: u8 = 243;
/// Data that modules attach to the next key (Redis 8.6 and later).
pub(super) const KEY_META: u8 = 243;
/// The field names that compact hashes share (Redis 8.10 and later).
pub(super) const HASH_TEMPLATE: u8 = 242;
/// A command that the server ran while it wrote the file (Valkey 9.2 and later).
pub(super) const UPDATE: u8 = 242;
/// The lowest opcode: opcodes have been assigned downwards from 255. After a lower number, a key's name would follow.
pub(super) const OPCODE_MIN: u8 = 240;
