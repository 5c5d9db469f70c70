//! One key with its value: a single heap block behind a thin pointer.
//!
//! ```text
//! tag: u8 | key length: varint | expiry: i64, if HAS_EXPIRY | key | payload
//! payload: TEXT    length: varint, bytes
//!          INTEGER i64
//!          OBJECT  pointer to a boxed value::Object
//!          STUB    nothing: the sweeper has discarded the value
//! ```
//!
//! With HAS_CLOCK, four more bytes precede the tag, aligned: the time the entry was last used, in Unix seconds. Readers
//! write these bytes too, so they are accessed only as an atomic. All other parts are located from the tag, so they do
//! not move.
//!
//! A small string key thus costs one allocation and eight bytes of table slot, and a lookup touches the block once.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use super::kinds::Kind;
use crate::value::Object;

/// A string longer than this is kept outside its key's block, so that changing an expiry does not copy it.
pub const INLINE_TEXT_BYTES_MAX: usize = 4096;

const TEXT: u8 = 0;
const INTEGER: u8 = 1;
const OBJECT: u8 = 2;
const STUB: u8 = 3;
const KIND_MASK: u8 = 0b11;
const HAS_EXPIRY: u8 = 0b100;
/// The string has been changed in place since it was set: Redis reports such a string as `raw`, however short it is.
const RAW: u8 = 0b1000;
/// The value that the sweeper discarded was a hash that counts as one with expiring fields.
const TIMED_STUB: u8 = 0b1_0000;

/// The four bytes before the tag hold the time the entry was last used.
const HAS_CLOCK: u8 = 0b10_0000;
/// Bytes that a processor fetches from memory at once.
const CACHE_LINE_BYTES: usize = 64;
/// The size and the alignment of the time of last use.
const CLOCK_BYTES: usize = size_of::<AtomicU32>();

/// A value to store under a key.
#[derive(Debug)]
pub enum NewValue<'a> {
    /// Text; `raw` marks a string that an in-place change built.
    Text {
        /// Its bytes.
        bytes: &'a [u8],
        /// Whether OBJECT ENCODING must say `raw`.
        raw: bool,
    },
    /// A string that is an integer.
    Integer(i64),
    /// Anything else.
    Object(Box<Object>),
}

impl<'a> NewValue<'a> {
    /// A freshly set string.
    #[must_use]
    pub const fn text(bytes: &'a [u8]) -> Self {
        Self::Text { bytes, raw: false }
    }
}

/// A borrowed view of an entry's value.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// A string.
    Text(&'a [u8]),
    /// A string that is an integer.
    Integer(i64),
    /// A collection (never [`Object::Text`], which reads as [`Value::Text`]), or [`Object::Swept`].
    Object(&'a Object),
}

/// A key, its value and its expiry. Owns its block.
pub struct Entry(NonNull<u8>);

// SAFETY: an entry owns its block and the boxed object that the block points to, both of which are Send and Sync; nothing
// is shared.
unsafe impl Send for Entry {}
// SAFETY: as above; a `&Entry` hands out shared views only.
unsafe impl Sync for Entry {}

/// The tag of a block, and the offsets of its parts.
#[derive(Clone, Copy)]
struct Parts {
    tag: u8,
    expiry: usize,
    key: usize,
    payload: usize,
}

impl Entry {
    /// Builds an entry. Text longer than [`INLINE_TEXT_BYTES_MAX`] moves into an object of its own.
    #[must_use]
    pub fn new(key: &[u8], expire_at_ms: Option<i64>, value: NewValue<'_>) -> Self {
        match value {
            NewValue::Text { bytes, raw } if bytes.len() <= INLINE_TEXT_BYTES_MAX => {
                let (prefix, prefix_len) = varint(bytes.len());
                let tag = if raw { TEXT | RAW } else { TEXT };
                let prefix = prefix.get(..prefix_len).unwrap_or_default();
                Self::build(tag, key, expire_at_ms, [prefix, bytes])
            }
            NewValue::Text { bytes, .. } => {
                Self::boxed(key, expire_at_ms, Box::new(Object::Text(bytes.to_vec())))
            }
            NewValue::Integer(number) => {
                Self::build(INTEGER, key, expire_at_ms, [&number.to_ne_bytes(), &[]])
            }
            NewValue::Object(object) => Self::boxed(key, expire_at_ms, object),
        }
    }

    /// Appends to `out` the block of an entry with this text, which is at most [`INLINE_TEXT_BYTES_MAX`] bytes long.
    #[inline]
    pub(super) fn write_text(
        key: &[u8],
        expire_at_ms: Option<i64>,
        text: &[u8],
        out: &mut Vec<u8>,
    ) {
        let push_length = |len: usize, out: &mut Vec<u8>| match u8::try_from(len) {
            Ok(short @ ..0x80) => out.push(short),
            _ => {
                let (bytes, taken) = varint(len);
                out.extend_from_slice(bytes.get(..taken).unwrap_or_default());
            }
        };
        out.push(expire_at_ms.map_or(TEXT, |_| TEXT | HAS_EXPIRY));
        push_length(key.len(), out);
        if let Some(at) = expire_at_ms {
            out.extend_from_slice(&at.to_ne_bytes());
        }
        out.extend_from_slice(key);
        push_length(text.len(), out);
        out.extend_from_slice(text);
    }

    /// Builds an entry from a block that was written elsewhere.
    ///
    /// # Safety
    /// One call of [`write_text`](Self::write_text) wrote exactly these bytes.
    #[inline]
    pub(super) unsafe fn of_block(bytes: &[u8]) -> Self {
        let block = allocate(TEXT, bytes.len());
        // SAFETY: the new block is `bytes.len()` bytes long.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), block.as_ptr(), bytes.len()) };
        Self(block)
    }

    fn boxed(key: &[u8], expire_at_ms: Option<i64>, object: Box<Object>) -> Self {
        let pointer = Box::into_raw(object).expose_provenance().to_ne_bytes();
        Self::build(OBJECT, key, expire_at_ms, [&pointer, &[]])
    }

    fn build(kind: u8, key: &[u8], expire_at_ms: Option<i64>, payload: [&[u8]; 2]) -> Self {
        let expiry = expire_at_ms.map(i64::to_ne_bytes);
        let tag = [if expiry.is_some() {
            kind | HAS_EXPIRY
        } else {
            kind
        }];
        let (key_len, key_len_bytes) = varint(key.len());
        let key_len = key_len.get(..key_len_bytes).unwrap_or_default();
        let expiry = expiry.as_ref().map_or(&[][..], |bytes| &bytes[..]);
        let [head, tail] = payload;
        let parts = [&tag[..], key_len, expiry, key, head, tail];
        let block = allocate(kind, parts.iter().map(|part| part.len()).sum());
        let mut at = block.as_ptr();
        for part in parts {
            // SAFETY: the lengths of the parts add up to the block's size, so each part lies inside it; the block is new,
            // so nothing overlaps.
            unsafe {
                std::ptr::copy_nonoverlapping(part.as_ptr(), at, part.len());
                at = at.add(part.len());
            }
        }
        Self(block)
    }

    /// The `len` bytes at `offset`.
    ///
    /// # Safety
    /// `offset + len` lies inside the block.
    const unsafe fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        // SAFETY: inside the block by the caller's promise; the whole block is initialised when it is built; borrowed for
        // as long as `self`.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(offset), len) }
    }

    /// Reads eight bytes at `offset`.
    ///
    /// # Safety
    /// `offset + 8` lies inside the block.
    const unsafe fn word(&self, offset: usize) -> [u8; 8] {
        // SAFETY: inside the block by the caller's promise; read unaligned.
        unsafe {
            self.0
                .as_ptr()
                .add(offset)
                .cast::<[u8; 8]>()
                .read_unaligned()
        }
    }

    /// Reads the length at `offset`: its value and how many bytes it takes.
    ///
    /// # Safety
    /// A varint written by [`varint`] starts at `offset`.
    #[inline]
    unsafe fn length(&self, offset: usize) -> (usize, usize) {
        let mut value = 0usize;
        let mut taken = 0;
        loop {
            // SAFETY: a varint ends with a byte below 0x80, and this loop does not read past that byte.
            let byte = unsafe { *self.0.as_ptr().add(offset + taken) };
            value |= usize::from(byte & 0x7f) << (7 * taken);
            taken += 1;
            if byte < 0x80 {
                return (value, taken);
            }
        }
    }

    #[inline]
    fn parts(&self) -> Parts {
        // SAFETY: every block starts with a tag and a key length.
        let (tag, (key_len, key_len_bytes)) = unsafe { (*self.0.as_ptr(), self.length(1)) };
        let expiry = 1 + key_len_bytes;
        let key = if tag & HAS_EXPIRY == 0 {
            expiry
        } else {
            expiry + 8
        };
        Parts {
            tag,
            expiry,
            key,
            payload: key + key_len,
        }
    }

    fn object_pointer(&self, parts: Parts) -> Option<*mut Object> {
        let is_object = parts.tag & KIND_MASK == OBJECT;
        // SAFETY: the tag is OBJECT.
        is_object.then(|| unsafe { self.boxed_object(parts) })
    }

    /// The pointer to the object, which `boxed` got from `Box::into_raw`.
    ///
    /// # Safety
    /// The block's tag is OBJECT.
    unsafe fn boxed_object(&self, parts: Parts) -> *mut Object {
        // SAFETY: an OBJECT block's payload is eight bytes.
        let address = usize::from_ne_bytes(unsafe { self.word(parts.payload) });
        std::ptr::with_exposed_provenance_mut(address)
    }

    /// The key.
    #[must_use]
    #[inline]
    pub fn key(&self) -> &[u8] {
        let parts = self.parts();
        // SAFETY: the key lies between its start and the payload.
        unsafe { self.bytes(parts.key, parts.payload - parts.key) }
    }

    /// The addresses where the block begins and where most keys end: enough for a caller that reads only keys.
    pub(super) const fn key_lines(&self) -> [*const u8; 2] {
        let start = self.0.as_ptr();
        [start, start.wrapping_add(CACHE_LINE_BYTES / 2)]
    }

    /// The addresses where the block begins and where most blocks end: a small block spans two cache lines.
    pub(super) const fn block_lines(&self) -> [*const u8; 2] {
        let start = self.0.as_ptr();
        [start, start.wrapping_add(CACHE_LINE_BYTES)]
    }

    /// The expiry: Unix time in milliseconds.
    #[must_use]
    #[inline]
    pub fn expire_at_ms(&self) -> Option<i64> {
        let parts = self.parts();
        if parts.tag & HAS_EXPIRY == 0 {
            return None;
        }
        // SAFETY: a block with HAS_EXPIRY holds eight bytes there.
        Some(i64::from_ne_bytes(unsafe { self.word(parts.expiry) }))
    }

    /// Whether the entry is expired at `now_ms`. An expiry below zero is never reached: no server accepts one, but sums
    /// that overflow produce it. Source: redis 6.0 db.c, `keyIsExpired`.
    #[must_use]
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expire_at_ms()
            .is_some_and(|at| (0..now_ms).contains(&at))
    }

    /// The value.
    #[must_use]
    #[inline]
    pub fn value(&self) -> Value<'_> {
        let parts = self.parts();
        match parts.tag & KIND_MASK {
            TEXT => {
                // SAFETY: a TEXT block's payload is a length and that many bytes.
                let text = unsafe {
                    let (len, taken) = self.length(parts.payload);
                    self.bytes(parts.payload + taken, len)
                };
                Value::Text(text)
            }
            // SAFETY: an INTEGER block's payload is eight bytes.
            INTEGER => Value::Integer(i64::from_ne_bytes(unsafe { self.word(parts.payload) })),
            // SAFETY: the tag is OBJECT; the pointer came from `Box::into_raw` and is freed only when the entry is dropped.
            OBJECT => match unsafe { &*self.boxed_object(parts) } {
                Object::Text(text) => Value::Text(text),
                object => Value::Object(object),
            },
            _ => Value::Object(&Object::Swept),
        }
    }

    /// How much of the value there is to walk over or to copy: its elements, or one for every 64 bytes, whichever is
    /// more.
    #[must_use]
    pub fn size(&self) -> usize {
        const BYTES: usize = 64;
        match self.value() {
            Value::Text(text) => text.len() / BYTES,
            Value::Integer(_) => 1,
            Value::Object(object) => object.elements().max(object.heap_bytes() / BYTES),
        }
    }

    fn object(&self) -> Option<&Object> {
        // SAFETY: the pointer came from `Box::into_raw` and is freed only when the entry is dropped.
        self.object_pointer(self.parts())
            .map(|pointer| unsafe { &*pointer })
    }

    /// The boxed value, for changing; `None` if the block holds the value itself, or none.
    pub fn object_mut(&mut self) -> Option<&mut Object> {
        // SAFETY: as in `object`; `&mut self` makes it the only reference.
        self.object_pointer(self.parts())
            .map(|pointer| unsafe { &mut *pointer })
    }

    /// Whether the sweeper has discarded the value.
    #[must_use]
    #[inline]
    pub fn is_swept(&self) -> bool {
        self.tag() & KIND_MASK == STUB
    }

    /// Whether the entry has no expiry, still has its value and keeps no time of use: the common case, which one byte
    /// shows.
    #[must_use]
    #[inline]
    pub fn is_plain(&self) -> bool {
        let tag = self.tag();
        tag & (HAS_EXPIRY | HAS_CLOCK) == 0 && tag & KIND_MASK != STUB
    }

    /// The same entry, with its time of last use kept and set to `now_s`, in Unix seconds.
    #[must_use]
    pub fn clocked(self, now_s: u32) -> Self {
        let clocked = match self.tag() & HAS_CLOCK {
            0 => {
                let (key, expiry) = (self.key().to_vec(), self.expire_at_ms());
                self.retagged(HAS_CLOCK, &key, expiry)
            }
            _ => self,
        };
        clocked.touch(now_s);
        clocked
    }

    /// Records a use, if the entry keeps its time of last use.
    pub fn touch(&self, now_s: u32) {
        if let Some(clock) = self.clock()
            && clock.load(Ordering::Relaxed) != now_s
        {
            clock.store(now_s, Ordering::Relaxed);
        }
    }

    /// When the entry was last used, in Unix seconds; `None` if it does not keep that time.
    #[must_use]
    pub fn used_at_s(&self) -> Option<u32> {
        self.clock().map(|clock| clock.load(Ordering::Relaxed))
    }

    fn clock(&self) -> Option<&AtomicU32> {
        if self.tag() & HAS_CLOCK == 0 {
            return None;
        }
        // SAFETY: with HAS_CLOCK, the allocation begins `CLOCK_BYTES` before the tag and is aligned for the clock.
        // `allocate` initialised those bytes, they live as long as the block, and they are accessed only as an atomic.
        Some(unsafe { AtomicU32::from_ptr(self.0.as_ptr().sub(CLOCK_BYTES).cast()) })
    }

    #[inline]
    const fn tag(&self) -> u8 {
        // SAFETY: every block starts with a tag.
        unsafe { *self.0.as_ptr() }
    }

    /// The same key and expiry, without the value.
    #[must_use]
    pub(super) fn without_value(&self) -> Self {
        let tag = if self.weigh().1 {
            STUB | TIMED_STUB
        } else {
            STUB
        };
        let tag = tag | self.tag() & HAS_CLOCK;
        let stub = Self::build(tag, self.key(), self.expire_at_ms(), [&[], &[]]);
        self.used_at_s().into_iter().for_each(|at| stub.touch(at));
        stub
    }

    /// A key whose value was discarded after the key expired; `timed` if the value was a hash with expiring fields.
    #[must_use]
    pub fn swept(key: &[u8], expire_at_ms: Option<i64>, timed: bool) -> Self {
        let tag = if timed { STUB | TIMED_STUB } else { STUB };
        Self::build(tag, key, expire_at_ms, [&[], &[]])
    }

    /// Whether the entry holds, or held before it was swept, a hash with expiring fields.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        self.weigh().1
    }

    /// Bytes that the value uses.
    pub(super) fn value_bytes(&self) -> usize {
        let parts = self.parts();
        self.heap_bytes() - parts.payload - clock_bytes(parts.tag)
    }

    /// Whether the string has been changed in place since it was set, or for another reason is `raw` until it is set again.
    #[must_use]
    pub fn is_raw(&self) -> bool {
        self.tag() & RAW != 0
    }

    /// Marks a string so that OBJECT ENCODING says `raw`. Does nothing to other values.
    pub fn set_raw(&mut self) {
        let tag = self.tag();
        if tag & KIND_MASK == TEXT {
            // SAFETY: every block starts with its tag; `&mut self` makes the write exclusive. RAW says nothing about the
            // layout of the block.
            unsafe { *self.0.as_ptr() = tag | RAW };
        }
    }

    /// Moves the value into a new entry for `key` with `expire_at_ms`. Consumes this entry.
    #[must_use]
    pub fn rebuilt(self, key: &[u8], expire_at_ms: Option<i64>) -> Self {
        self.retagged(0, key, expire_at_ms)
    }

    /// Like [`rebuilt`](Self::rebuilt), but also sets `bits` in the tag.
    fn retagged(self, bits: u8, key: &[u8], expire_at_ms: Option<i64>) -> Self {
        let parts = self.parts();
        let payload = self.payload_bytes(parts);
        let tag = (parts.tag | bits) & !HAS_EXPIRY;
        let built = Self::build(tag, key, expire_at_ms, [payload, &[]]);
        self.used_at_s().into_iter().for_each(|at| built.touch(at));
        // The object, if any, now belongs to the new block: free only the old block.
        let (block, size) = (self.0, parts.payload + payload.len());
        std::mem::forget(self);
        // SAFETY: `build` allocated the block with this tag and size; `self` is forgotten, so the block is not freed
        // again.
        unsafe { free(block, parts.tag, size) };
        built
    }

    /// Copies the value into a new entry for `key` with `expire_at_ms`.
    #[must_use]
    pub fn copied(&self, key: &[u8], expire_at_ms: Option<i64>) -> Self {
        if let Some(object) = self.object() {
            return Self::boxed(key, expire_at_ms, Box::new(object.clone()));
        }
        let parts = self.parts();
        Self::build(
            parts.tag & !HAS_EXPIRY,
            key,
            expire_at_ms,
            [self.payload_bytes(parts), &[]],
        )
    }

    /// Sets, changes or removes the expiry.
    pub fn set_expiry(&mut self, expire_at_ms: Option<i64>) {
        let parts = self.parts();
        if let (true, Some(at)) = (parts.tag & HAS_EXPIRY != 0, expire_at_ms) {
            // SAFETY: a block with HAS_EXPIRY holds eight bytes there.
            unsafe { self.put_word(parts.expiry, at.to_ne_bytes()) };
        } else if parts.tag & HAS_EXPIRY != 0 || expire_at_ms.is_some() {
            // SAFETY: the key lies inside the block, which lives until `rebuilt` has copied it.
            let key = unsafe {
                std::slice::from_raw_parts(
                    self.0.as_ptr().add(parts.key),
                    parts.payload - parts.key,
                )
            };
            // SAFETY: `self` is overwritten at once without being dropped, so the value moved out of it has one owner.
            unsafe {
                let old = std::ptr::read(self);
                std::ptr::write(self, old.rebuilt(key, expire_at_ms));
            }
        }
    }

    /// Replaces the value and the expiry in place if the new ones take exactly the same room. Otherwise returns false and
    /// changes nothing.
    pub(super) fn overwrite(&mut self, expire_at_ms: Option<i64>, value: &NewValue<'_>) -> bool {
        let parts = self.parts();
        if expire_at_ms.is_some() != (parts.tag & HAS_EXPIRY != 0) {
            return false;
        }
        let is_taken = match (value, parts.tag & KIND_MASK) {
            (NewValue::Text { bytes, raw }, TEXT) => self.overwrite_text(parts, bytes, *raw),
            (NewValue::Integer(number), INTEGER) => {
                // SAFETY: an INTEGER block's payload is eight bytes.
                unsafe { self.put_word(parts.payload, number.to_ne_bytes()) };
                true
            }
            _ => false,
        };
        if let (true, Some(at)) = (is_taken, expire_at_ms) {
            // SAFETY: a block with HAS_EXPIRY holds eight bytes there.
            unsafe { self.put_word(parts.expiry, at.to_ne_bytes()) };
        }
        is_taken
    }

    fn overwrite_text(&mut self, parts: Parts, bytes: &[u8], raw: bool) -> bool {
        // SAFETY: a TEXT block's payload starts with its length.
        let (len, taken) = unsafe { self.length(parts.payload) };
        if len != bytes.len() {
            return false;
        }
        let tag = if raw {
            parts.tag | RAW
        } else {
            parts.tag & !RAW
        };
        let block = self.0.as_ptr();
        // SAFETY: a TEXT block's payload is a length and that many bytes; `&mut self` makes the writes exclusive, and no
        // caller passes bytes of the block itself.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), block.add(parts.payload + taken), len);
            *block = tag;
        }
        true
    }

    /// Writes eight bytes at `offset`.
    ///
    /// # Safety
    /// `offset + 8` lies inside the block.
    const unsafe fn put_word(&mut self, offset: usize, word: [u8; 8]) {
        // SAFETY: inside the block by the caller's promise; written unaligned; `&mut self` makes the write exclusive.
        unsafe {
            self.0
                .as_ptr()
                .add(offset)
                .cast::<[u8; 8]>()
                .write_unaligned(word);
        }
    }

    fn payload_len(&self, parts: Parts) -> usize {
        match parts.tag & KIND_MASK {
            TEXT => {
                // SAFETY: a TEXT block's payload starts with its length.
                let (len, taken) = unsafe { self.length(parts.payload) };
                len + taken
            }
            STUB => 0,
            _ => 8,
        }
    }

    fn payload_bytes(&self, parts: Parts) -> &[u8] {
        // SAFETY: the length is the payload's own, so the payload lies inside the block.
        unsafe { self.bytes(parts.payload, self.payload_len(parts)) }
    }

    /// Bytes that the entry uses: its block and the boxed object, without the table slot.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.weigh().0
    }

    /// Like [`heap_bytes`](Self::heap_bytes), but also returns whether the entry counts as a hash with expiring fields, and
    /// the kind of its value.
    #[must_use]
    pub(super) fn weigh(&self) -> (usize, bool, Kind) {
        let parts = self.parts();
        let block = parts.payload + self.payload_len(parts) + clock_bytes(parts.tag);
        match self.object() {
            None if parts.tag & KIND_MASK == STUB => {
                (block, parts.tag & TIMED_STUB != 0, Kind::Discarded)
            }
            None => (block, false, Kind::String),
            Some(object) => {
                let tracked = matches!(object, Object::Hash(hash) if hash.is_tracked());
                let bytes = block + size_of::<Object>() + object.heap_bytes();
                (bytes, tracked, Kind::of(object))
            }
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let parts = self.parts();
        let size = parts.payload + self.payload_len(parts);
        if let Some(pointer) = self.object_pointer(parts) {
            // SAFETY: from `Box::into_raw`, owned by this entry alone.
            drop(unsafe { Box::from_raw(pointer) });
        }
        // SAFETY: allocated by `build` with this tag and size, freed once.
        unsafe { free(self.0, parts.tag, size) };
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.key());
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &String::from_utf8_lossy(self.key()))
            .field("expire_at_ms", &self.expire_at_ms())
            .field("value", &self.value())
            .finish()
    }
}

/// Bytes before the tag.
const fn clock_bytes(tag: u8) -> usize {
    if tag & HAS_CLOCK == 0 { 0 } else { CLOCK_BYTES }
}

/// The layout of a block with `size` bytes from the tag onwards. Those bytes are read unaligned.
const fn block_layout(tag: u8, size: usize) -> Layout {
    let before = clock_bytes(tag);
    let align = if before == 0 { 1 } else { CLOCK_BYTES };
    // SAFETY: the alignment is a power of two, and blocks are far smaller than isize::MAX because they were built from
    // slices.
    unsafe { Layout::from_size_align_unchecked(before + size, align) }
}

/// Allocates a block with `size` bytes (at least one) from the tag onwards, preceded by a clock of 0 if the tag says so.
fn allocate(tag: u8, size: usize) -> NonNull<u8> {
    let layout = block_layout(tag, size);
    // SAFETY: the layout's size is at least one, by the caller's promise.
    let start = unsafe { alloc(layout) };
    if start.is_null() {
        handle_alloc_error(layout)
    }
    let before = clock_bytes(tag);
    if before > 0 {
        // SAFETY: the allocation begins with four bytes for the clock, aligned.
        unsafe { start.cast::<u32>().write(0) };
    }
    // SAFETY: the address is inside the allocation, which is not null.
    unsafe { NonNull::new_unchecked(start.add(before)) }
}

/// Frees a block.
///
/// # Safety
/// `block` came from [`allocate`] with this `size` and with a tag that has the same [`HAS_CLOCK`] bit, and it is not used
/// afterwards.
unsafe fn free(block: NonNull<u8>, tag: u8, size: usize) {
    // SAFETY: by the caller's promise, the allocation began here and had this layout.
    unsafe {
        let start = block.as_ptr().sub(clock_bytes(tag));
        dealloc(start, block_layout(tag, size));
    }
}

/// Encodes seven bits per byte, lowest first, with the high bit set on all bytes but the last. At most ten bytes.
#[expect(clippy::cast_possible_truncation, reason = "masked to seven bits")]
fn varint(mut value: usize) -> ([u8; 10], usize) {
    let mut bytes = [0; 10];
    let mut used = 0;
    for slot in &mut bytes {
        used += 1;
        *slot = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            break;
        }
        *slot |= 0x80;
    }
    (bytes, used)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(entry: &Entry) -> Vec<u8> {
        match entry.value() {
            Value::Text(text) => text.to_vec(),
            Value::Integer(number) => number.to_string().into_bytes(),
            Value::Object(_) => unreachable!("a string"),
        }
    }

    #[test]
    fn gives_back_what_was_put_in() {
        for key_len in [0, 1, 20, 127, 128, 300, 20_000] {
            for value_len in [0, 1, 32, 127, 128, 4096, 4097, 100_000] {
                for expiry in [None, Some(0), Some(-5), Some(i64::MAX)] {
                    let (key, value) = (vec![b'k'; key_len], vec![b'v'; value_len]);
                    let entry = Entry::new(&key, expiry, NewValue::text(&value));
                    assert_eq!(
                        (entry.key(), entry.expire_at_ms(), text_of(&entry)),
                        (&key[..], expiry, value)
                    );
                }
            }
        }
    }

    #[test]
    fn keeps_its_value_through_every_change_of_expiry_and_key() {
        let values = || {
            [
                Entry::new(b"k", None, NewValue::text(b"v")),
                Entry::new(b"k", None, NewValue::Integer(-5)),
                Entry::new(b"k", None, NewValue::text(&[7; 5000])),
            ]
        };
        for (mut entry, same) in values().into_iter().zip(values()) {
            for expiry in [Some(1), Some(2), None, None, Some(3)] {
                entry.set_expiry(expiry);
                assert_eq!(
                    (entry.expire_at_ms(), text_of(&entry)),
                    (expiry, text_of(&same))
                );
            }
            let copy = entry.copied(b"copy", None);
            let moved = entry.rebuilt(b"other", Some(9));
            assert_eq!(
                (moved.key(), moved.expire_at_ms(), text_of(&moved)),
                (&b"other"[..], Some(9), text_of(&same))
            );
            assert_eq!((copy.key(), text_of(&copy)), (&b"copy"[..], text_of(&same)));
        }
    }

    #[test]
    fn is_overwritten_only_by_what_takes_the_same_room() {
        let values = || {
            [
                NewValue::text(b"some"),
                NewValue::text(b"text"),
                NewValue::Text {
                    bytes: b"raw!",
                    raw: true,
                },
                NewValue::text(b"longer"),
                NewValue::Integer(-5),
                NewValue::Integer(6),
            ]
        };
        for (old_index, old) in values().into_iter().enumerate() {
            for (new_index, new) in values().into_iter().enumerate() {
                for (had, has) in [
                    (None, None),
                    (Some(1), Some(2)),
                    (None, Some(2)),
                    (Some(1), None),
                ] {
                    let [old, new] = [&old, &new].map(copy_of);
                    let mut entry = Entry::new(b"key", had, old).clocked(9);
                    let (before, weight) = (text_of(&entry), entry.weigh());
                    let fits = entry.overwrite(has, &new);
                    let group = |index: usize| index.clamp(2, 4);
                    let same_room =
                        group(old_index) == group(new_index) && had.is_some() == has.is_some();
                    assert_eq!(fits, same_room, "{old_index} {new_index}");
                    let expected = Entry::new(b"key", has, new);
                    if fits {
                        assert_eq!(
                            (text_of(&entry), entry.expire_at_ms()),
                            (text_of(&expected), has)
                        );
                        assert_eq!(entry.is_raw(), expected.is_raw());
                    } else {
                        assert_eq!((text_of(&entry), entry.expire_at_ms()), (before, had));
                    }
                    assert_eq!((entry.key(), entry.weigh()), (&b"key"[..], weight));
                    assert_eq!(entry.used_at_s(), Some(9));
                }
            }
        }
        let mut long = Entry::new(b"k", None, NewValue::text(&[7; 5000]));
        assert!(!long.overwrite(None, &NewValue::text(&[8; 5000])));
        assert!(!Entry::swept(b"k", None, false).overwrite(None, &NewValue::text(b"")));
    }

    fn copy_of<'a>(value: &NewValue<'a>) -> NewValue<'a> {
        match value {
            NewValue::Text { bytes, raw } => NewValue::Text { bytes, raw: *raw },
            NewValue::Integer(number) => NewValue::Integer(*number),
            NewValue::Object(_) => unreachable!("no objects here"),
        }
    }

    #[test]
    fn a_time_of_use_costs_four_bytes_and_stays_through_every_change() {
        for (value, len) in [(NewValue::text(b"v"), 4), (NewValue::Integer(-5), 10)] {
            let entry = Entry::new(b"k", Some(7), value).clocked(3);
            assert_eq!(entry.heap_bytes(), CLOCK_BYTES + 8 + len + 1);
            let text = text_of(&entry);
            entry.touch(u32::MAX);
            let mut entry = entry.rebuilt(b"a longer key", None);
            entry.set_expiry(Some(9));
            assert_eq!(
                (entry.used_at_s(), entry.expire_at_ms(), text_of(&entry)),
                (Some(u32::MAX), Some(9), text.clone())
            );
            let (stub, weight) = (entry.without_value(), entry.heap_bytes());
            assert_eq!(stub.heap_bytes() + entry.value_bytes(), weight);
            assert!(!entry.is_plain() && stub.is_swept());
            let copy = entry.copied(b"copy", None).clocked(8);
            assert_eq!((copy.used_at_s(), text_of(&copy)), (Some(8), text));
        }
        let long = Entry::new(b"k", None, NewValue::text(&[7; 5000])).clocked(1);
        assert_eq!((long.used_at_s(), text_of(&long)), (Some(1), vec![7; 5000]));
        let plain = Entry::new(b"k", None, NewValue::text(b"v"));
        plain.touch(1);
        assert_eq!((plain.used_at_s(), plain.is_plain()), (None, true));
    }

    #[test]
    fn a_small_string_costs_three_bytes_beside_its_text() {
        let entry = Entry::new(&[b'k'; 20], None, NewValue::text(&[b'v'; 32]));
        assert_eq!(entry.heap_bytes(), 1 + 1 + 20 + 1 + 32);
    }
}
