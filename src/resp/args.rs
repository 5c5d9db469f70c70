//! The arguments of one command, borrowed from the buffer in which they arrived.

/// Where one argument is in its buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Index of the first byte.
    pub start: usize,
    /// Length in bytes.
    pub len: usize,
}

/// The words of one command: its name first, then its arguments. Cheap to copy; never allocates.
#[derive(Debug, Clone, Copy)]
pub struct Args<'a> {
    buffer: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// Wraps the arguments at `spans` in `buffer`. A span outside the buffer reads as an empty argument.
    #[must_use]
    pub const fn new(buffer: &'a [u8], spans: &'a [Span]) -> Self {
        Self { buffer, spans }
    }

    /// Returns where the words are in their buffer.
    #[must_use]
    pub const fn spans(&self) -> &'a [Span] {
        self.spans
    }

    /// Number of words, including the command's name.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are no words at all (an empty request line).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Returns the word at `index` (0 is the name), or `None` past the end.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        let span = self.spans.get(index)?;
        self.buffer
            .get(span.start..span.start.checked_add(span.len)?)
    }

    /// Returns the word at `index`, or an empty one past the end. For handlers whose arity has been checked.
    #[must_use]
    pub fn at(&self, index: usize) -> &'a [u8] {
        self.get(index).unwrap_or_default()
    }

    /// Returns the words from `index` on, as arguments of their own. Index 0 is then no longer the name.
    #[must_use]
    pub fn from(&self, index: usize) -> Args<'a> {
        Args {
            buffer: self.buffer,
            spans: self.spans.get(index..).unwrap_or_default(),
        }
    }

    /// Iterates over all words in order, the name first.
    pub fn iter(
        &self,
    ) -> impl ExactSizeIterator<Item = &'a [u8]> + DoubleEndedIterator + Clone + use<'a> {
        let buffer = self.buffer;
        self.spans.iter().map(move |span| {
            buffer
                .get(span.start..span.start.saturating_add(span.len))
                .unwrap_or_default()
        })
    }

    /// Returns how many bytes the words took as a request of RESP. An inline request took fewer.
    #[must_use]
    pub fn request_bytes(&self) -> usize {
        let (Some(first), Some(last)) = (self.spans.first(), self.spans.last()) else {
            return 0;
        };
        let digits = |number: usize| number.checked_ilog10().map_or(1, |log| log as usize + 1);
        // `*2\r\n$3\r\n` before the first word, and `\r\n` after the last.
        let around = digits(self.len()) + digits(first.len) + 8;
        last.start
            .saturating_add(last.len)
            .saturating_sub(first.start)
            + around
    }

    /// Whether the word at `index` is `word`, ignoring case.
    #[must_use]
    pub fn is(&self, index: usize, word: &str) -> bool {
        self.get(index)
            .is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    }
}

/// An owned copy of a command's words, for building commands outside a network buffer.
#[derive(Debug, Clone, Default)]
pub struct ArgsBuf {
    buffer: Vec<u8>,
    spans: Vec<Span>,
}

impl ArgsBuf {
    /// Copies `args`, using no more memory than needed.
    #[must_use]
    pub fn copy_of(args: Args<'_>) -> Self {
        let mut built = Self {
            buffer: Vec::with_capacity(args.iter().map(<[u8]>::len).sum()),
            spans: Vec::with_capacity(args.len()),
        };
        args.iter().for_each(|word| built.push(word));
        built
    }

    /// Copies `words`.
    pub fn new<W: AsRef<[u8]>>(words: impl IntoIterator<Item = W>) -> Self {
        let mut built = Self::default();
        for word in words {
            built.push(word.as_ref());
        }
        built
    }

    /// Wraps the words at `spans` in `buffer`.
    pub(super) const fn from_parts(buffer: Vec<u8>, spans: Vec<Span>) -> Self {
        Self { buffer, spans }
    }

    /// Appends one word.
    pub fn push(&mut self, word: &[u8]) {
        self.spans.push(Span {
            start: self.buffer.len(),
            len: word.len(),
        });
        self.buffer.extend_from_slice(word);
    }

    /// Removes all words but keeps the memory.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.spans.clear();
    }

    /// Like [`clear`](Self::clear), but frees memory beyond `keep` bytes.
    pub fn clear_to(&mut self, keep: usize) {
        self.clear();
        self.buffer.shrink_to(keep);
        self.spans.shrink_to(keep / size_of::<Span>());
    }

    /// Borrows the words.
    #[must_use]
    pub fn as_args(&self) -> Args<'_> {
        Args::new(&self.buffer, &self.spans)
    }
}
