//! The size of the radix tree in which a server keeps a stream's nodes, for XINFO.

use super::Stream;

impl Stream {
    /// Returns how many nodes Redis's radix tree has for these keys of sixteen bytes: one leaf per key, one node per place
    /// where keys diverge, and one per run of bytes between those.
    ///
    /// Source: redis 7.0 rax.c, `raxGenericInsert`.
    #[must_use]
    pub fn tree_nodes(&self) -> usize {
        let keys: Vec<[u8; KEY_BYTES]> = self.nodes.keys().map(|id| id.to_be_bytes()).collect();
        if keys.is_empty() {
            1
        } else {
            tree_nodes(&keys, 0)
        }
    }
}

/// The number of bytes of an id as a key of the radix tree.
const KEY_BYTES: usize = 16;

/// Returns the number of radix tree nodes for ascending keys whose first `depth` bytes are equal. Recurses at most once per byte.
fn tree_nodes(keys: &[[u8; KEY_BYTES]], depth: usize) -> usize {
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else {
        return 0;
    };
    let shared = first
        .iter()
        .zip(last)
        .take_while(|(one, other)| one == other)
        .count();
    let run = usize::from(shared > depth);
    if keys.len() == 1 {
        return run + 1;
    }
    let branches = keys.chunk_by(|one, other| one.get(shared) == other.get(shared));
    run + 1
        + branches
            .map(|keys| tree_nodes(keys, shared + 1))
            .sum::<usize>()
}
