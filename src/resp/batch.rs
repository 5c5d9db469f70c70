//! Commands that lie one after another in a buffer.

use super::args::{Args, Span};

/// Commands found in a buffer and waiting to run, each with what else is known of it. Holds no bytes: to read the words, the
/// caller passes the buffer again. Clearing keeps the memory.
#[derive(Debug)]
pub struct Batch<T> {
    spans: Vec<Span>,
    commands: Vec<Found<T>>,
}

#[derive(Debug)]
struct Found<T> {
    /// Where its bytes start and end in the buffer.
    bytes: [usize; 2],
    /// Index of the span after its last word.
    words_end: usize,
    known: T,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self {
            spans: Vec::new(),
            commands: Vec::new(),
        }
    }
}

impl<T: Copy> Batch<T> {
    /// Number of waiting commands.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether no command is waiting.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Adds the command whose first byte is at `bytes[0]` of the buffer; the next command starts at `bytes[1]`. Its words must
    /// lie in the buffer: those of an inline request do not.
    #[inline]
    pub fn push(&mut self, args: Args<'_>, bytes: [usize; 2], known: T) {
        self.spans.extend_from_slice(args.spans());
        self.commands.push(Found {
            bytes,
            words_end: self.spans.len(),
            known,
        });
    }

    /// Iterates over what is known of each command, in order.
    pub fn known(&self) -> impl Iterator<Item = T> + Clone {
        self.commands.iter().map(|found| found.known)
    }

    /// Iterates over the commands in order: the words in `buffer`, where the command starts and ends there, and what else is
    /// known of it.
    pub fn iter<'b>(&'b self, buffer: &'b [u8]) -> impl Iterator<Item = (Args<'b>, [usize; 2], T)> {
        let mut first = 0;
        self.commands.iter().map(move |found| {
            let bytes = buffer.get(found.bytes[0]..).unwrap_or_default();
            let spans = self.spans.get(first..found.words_end).unwrap_or_default();
            first = found.words_end;
            (Args::new(bytes, spans), found.bytes, found.known)
        })
    }

    /// Removes all commands.
    pub fn clear(&mut self) {
        self.spans.clear();
        self.commands.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_the_words_where_they_lie() {
        let buffer = b"xxGETkSETkv";
        let span = |start, len| Span { start, len };
        let mut batch = Batch::default();
        batch.push(
            Args::new(&buffer[2..], &[span(0, 3), span(3, 1)]),
            [2, 6],
            'a',
        );
        let spans = [span(0, 3), span(3, 1), span(4, 1)];
        batch.push(Args::new(&buffer[6..], &spans), [6, 11], 'b');
        let words: Vec<_> = batch
            .iter(buffer)
            .map(|(args, bytes, known)| (args.iter().collect::<Vec<_>>(), bytes, known))
            .collect();
        let get = (vec![&b"GET"[..], b"k"], [2, 6], 'a');
        let set = (vec![&b"SET"[..], b"k", b"v"], [6, 11], 'b');
        assert_eq!(words, [get, set]);
        assert_eq!(batch.known().collect::<String>(), "ab");
        batch.clear();
        assert!(batch.is_empty() && batch.iter(buffer).next().is_none());
    }
}
