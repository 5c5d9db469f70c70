//! Where a connection is cut: after a number of bytes, or a number of bytes after a text from the primary.

/// The start of a diskless payload. The mark that ends the payload follows.
const MARKED: &[u8] = b"$EOF:";

/// The number of bytes of an end mark that identify it.
const MARK_BYTES: usize = 8;

/// A place in the bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// After this number of bytes from the primary.
    Down(u64),
    /// After this number of bytes to the primary.
    Up(u64),
    /// This number of bytes after the first occurrence of the text from the primary.
    Behind(&'static [u8], u64),
    /// This number of bytes after the first eight of a diskless payload's end mark.
    EndMark(u64),
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// An orderly close.
    Fin,
    /// A reset, which discards bytes in flight.
    Rst,
}

/// A pending cut. It counts the bytes that pass.
pub struct Cut {
    place: Place,
    pub end: End,
    search: Search,
    /// The last bytes, up to the length of the longest text to search for.
    tail: Vec<u8>,
    passed: u64,
}

/// What must pass before bytes count.
enum Search {
    /// This text.
    Text(Vec<u8>),
    /// The first bytes of a mark, and then the same bytes again.
    Mark(Vec<u8>),
    /// Nothing more.
    Done,
}

impl Cut {
    pub fn new(place: Place, end: End) -> Self {
        let search = match place {
            Place::Behind(text, _) => Search::Text(text.to_vec()),
            Place::EndMark(_) => Search::Text(MARKED.to_vec()),
            Place::Down(_) | Place::Up(_) => Search::Done,
        };
        Self {
            place,
            end,
            search,
            tail: Vec::new(),
            passed: 0,
        }
    }

    /// Returns how many of these bytes from the primary may pass before the cut; `None` if the cut comes later.
    pub fn down(&mut self, bytes: &[u8]) -> Option<usize> {
        match self.place {
            Place::Up(_) => None,
            Place::Down(after) => self.count(bytes.len(), after),
            Place::Behind(_, after) | Place::EndMark(after) => {
                let counted = bytes.iter().position(|byte| self.is_found(*byte))?;
                let passing = self.count(bytes.len() - counted, after)?;
                Some(counted + passing)
            }
        }
    }

    /// The same for bytes to the primary.
    pub fn up(&mut self, bytes: &[u8]) -> Option<usize> {
        match self.place {
            Place::Up(after) => self.count(bytes.len(), after),
            _ => None,
        }
    }

    fn count(&mut self, bytes: usize, after: u64) -> Option<usize> {
        let left = usize::try_from(after - self.passed).unwrap_or(usize::MAX);
        if bytes >= left {
            return Some(left);
        }
        self.passed += bytes as u64;
        None
    }

    /// Whether everything to search for has passed before this byte.
    fn is_found(&mut self, byte: u8) -> bool {
        let is_of_mark = matches!(self.place, Place::EndMark(_));
        match &mut self.search {
            Search::Done => return true,
            Search::Mark(mark) => {
                mark.push(byte);
                if mark.len() == MARK_BYTES {
                    self.search = Search::Text(std::mem::take(mark));
                }
            }
            Search::Text(text) => {
                self.tail.push(byte);
                self.tail
                    .drain(..self.tail.len().saturating_sub(TAIL_BYTES));
                if self.tail.ends_with(text) {
                    let is_start = is_of_mark && text == MARKED;
                    self.search = if is_start {
                        Search::Mark(Vec::new())
                    } else {
                        Search::Done
                    };
                }
            }
        }
        false
    }
}

/// At least the length of any text to search for.
const TAIL_BYTES: usize = 16;

/// Returns where a cut falls in bytes from the primary that arrive in pieces of that size.
#[cfg(test)]
fn passed(place: Place, bytes: &[u8], piece: usize) -> Option<usize> {
    let mut cut = Cut::new(place, End::Fin);
    let mut before = 0;
    for piece in bytes.chunks(piece) {
        if let Some(passing) = cut.down(piece) {
            return Some(before + passing);
        }
        before += piece.len();
    }
    None
}

#[test]
fn a_cut_comes_at_its_byte_whatever_the_sizes_of_reads() {
    let text = b"+FULLRESYNC x 1\r\n$EOF:0123456789abcdef\r\npayload0123456789abcdef";
    let of = |place| {
        let all: Vec<_> = (1..=text.len())
            .map(|piece| passed(place, text, piece))
            .collect();
        assert!(all.iter().all(|cut| *cut == all[0]), "{place:?}: {all:?}");
        all[0]
    };
    assert_eq!(of(Place::Down(0)), Some(0));
    assert_eq!(of(Place::Down(7)), Some(7));
    assert_eq!(of(Place::Down(1000)), None);
    assert_eq!(of(Place::Up(1)), None);
    assert_eq!(of(Place::Behind(b"RESYNC", 3)), Some(14));
    assert_eq!(of(Place::Behind(b"CONTINUE", 0)), None);
    assert_eq!(of(Place::EndMark(5)), Some(text.len() - 16 + 8 + 5));
}
