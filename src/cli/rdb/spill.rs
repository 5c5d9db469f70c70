//! Records that need not fit into memory: they are spread over parts by a hash, so that equal names meet in one part, and each
//! part is read back by itself.

use std::io::{self, BufWriter, Read, Seek as _, SeekFrom, Write as _};

use tempfile::SpooledTempFile;

/// The number of parts. With a hundred million keys, a part has 400,000.
const PARTS: usize = 256;

/// Bytes of a part that stay in memory.
const PART_MEMORY_BYTES: usize = 256 << 10;

/// The room for what is written to a part.
const WRITE_BYTES: usize = 8 << 10;

/// Records, each a name and a content.
pub(super) struct Spill(Vec<BufWriter<SpooledTempFile>>);

impl Spill {
    /// No records yet. Large parts move into files without names in the system's directory for temporary files.
    pub(super) fn new() -> Self {
        let part =
            || BufWriter::with_capacity(WRITE_BYTES, tempfile::spooled_tempfile(PART_MEMORY_BYTES));
        Self((0..PARTS).map(|_| part()).collect())
    }

    /// Adds a record. Records with the same name come back in one part.
    pub(super) fn add(&mut self, name: &[u8], content: &[u8]) -> io::Result<()> {
        let hash = xxhash_rust::xxh3::xxh3_64(name);
        let index = usize::try_from(hash % PARTS as u64).unwrap_or(0);
        let Some(part) = self.0.get_mut(index) else {
            return Ok(());
        };
        for text in [name, content] {
            part.write_all(&(text.len() as u64).to_le_bytes())?;
            part.write_all(text)?;
        }
        Ok(())
    }

    /// Passes the records of each part to `each`, in the order in which they were added, and calls `end` after each part.
    pub(super) fn read<T: Default>(
        self,
        mut each: impl FnMut(&mut T, Vec<u8>, Vec<u8>),
        mut end: impl FnMut(T) -> io::Result<()>,
    ) -> io::Result<()> {
        for part in self.0 {
            let mut file = part.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.seek(SeekFrom::Start(0))?;
            let mut from = io::BufReader::new(file);
            let mut gathered = T::default();
            while let Some(name) = text(&mut from)? {
                let content = text(&mut from)?.unwrap_or_default();
                each(&mut gathered, name, content);
            }
            end(gathered)?;
        }
        Ok(())
    }
}

/// The next text; `None` at the end.
fn text(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut len = [0; 8];
    match from.read_exact(&mut len) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut text = Vec::new();
    from.take(u64::from_le_bytes(len)).read_to_end(&mut text)?;
    Ok(Some(text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn equal_names_meet_in_one_part_in_their_order() {
        let mut spill = Spill::new();
        let large = vec![b'x'; PART_MEMORY_BYTES];
        for round in 0..3_u8 {
            for name in 0..1000_u16 {
                spill.add(&name.to_le_bytes(), &[round]).unwrap();
            }
            spill.add(b"large", &large).unwrap();
        }
        let mut seen: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
        let gather = |part: &mut HashMap<Vec<u8>, Vec<Vec<u8>>>, name, content| {
            part.entry(name).or_default().push(content);
        };
        spill
            .read(gather, |part| {
                for (name, contents) in part {
                    assert!(seen.insert(name, contents).is_none());
                }
                Ok(())
            })
            .unwrap();
        assert_eq!(seen.len(), 1001);
        assert_eq!(seen.remove(&b"large"[..]).unwrap(), vec![large; 3]);
        assert!(
            seen.into_values()
                .all(|contents| contents == [[0], [1], [2]])
        );
    }
}
