//! Commands that lie one behind the other in a buffer.

use super::args::{Args, Span};

/// Commands that have been found in a buffer and wait, each with what else is known of it. Holds no bytes: whoever asks for the
/// words gives the buffer. Keeps its memory when it is cleared.
#[derive(Debug)]
pub struct Batch<T> {
    spans: Vec<Span>,
    commands: Vec<Found<T>>,
}

#[derive(Debug)]
struct Found<T> {
    /// Where its bytes begin and end in the buffer.
    bytes: [usize; 2],
    /// One past its last word among the spans.
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
    /// How many commands wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether none waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Adds the command whose first byte is at `bytes[0]` of the buffer, and the next one's at `bytes[1]`. Its words must lie in
    /// the buffer: those of the inline form do not.
    #[inline]
    pub fn push(&mut self, args: Args<'_>, bytes: [usize; 2], known: T) {
        self.spans.extend_from_slice(args.spans());
        self.commands.push(Found {
            bytes,
            words_end: self.spans.len(),
            known,
        });
    }

    /// What is known of each, in order.
    pub fn known(&self) -> impl Iterator<Item = T> + Clone {
        self.commands.iter().map(|found| found.known)
    }

    /// Each one's words in `buffer`, where it begins and ends there, and what else is known of it, in order.
    pub fn iter<'b>(&'b self, buffer: &'b [u8]) -> impl Iterator<Item = (Args<'b>, [usize; 2], T)> {
        let mut first = 0;
        self.commands.iter().map(move |found| {
            let bytes = buffer.get(found.bytes[0]..).unwrap_or_default();
            let spans = self.spans.get(first..found.words_end).unwrap_or_default();
            first = found.words_end;
            (Args::new(bytes, spans), found.bytes, found.known)
        })
    }

    /// Forgets all.
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
