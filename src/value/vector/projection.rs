//! Reduces vectors to fewer components.

/// A matrix that incoming vectors are multiplied with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Projection {
    pub(super) input_dim: u32,
    /// Row after row, one row per output component.
    cells: Box<[f32]>,
}

impl Projection {
    /// Creates the same matrix as the server: plus and minus one, scaled.
    ///
    /// Source: redis 8.0 modules/vector-sets/vset.c, `createProjectionMatrix`.
    pub(super) fn new(input_dim: u32, output_dim: u32) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "rounded as the server rounds"
        )]
        let scale = (1.0 / f64::from(input_dim).sqrt()) as f32;
        let rows = 0..output_dim;
        let cells = rows.flat_map(|row| {
            (0..input_dim).map(move |column| {
                let is_even = (row & column).count_ones().is_multiple_of(2);
                if is_even { scale } else { -scale }
            })
        });
        Self {
            input_dim,
            cells: cells.collect(),
        }
    }

    /// Creates a matrix from the bytes of its cells. Returns `None` if their number is wrong.
    pub(super) fn from_bytes(input_dim: u32, output_dim: u32, bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<4>();
        let cells = u64::from(input_dim) * u64::from(output_dim);
        let fits = input_dim > 0 && rest.is_empty() && words.len() as u64 == cells;
        fits.then(|| Self {
            input_dim,
            cells: words.iter().map(|word| f32::from_le_bytes(*word)).collect(),
        })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.cells
            .iter()
            .flat_map(|cell| cell.to_le_bytes())
            .collect()
    }

    /// Source: vset.c, `applyProjection`.
    pub(super) fn apply(&self, vector: &[f32]) -> Vec<f32> {
        let rows = self.cells.chunks(self.input_dim.max(1) as usize);
        let product = |row: &[f32]| {
            let products = row.iter().zip(vector).map(|(cell, part)| cell * part);
            products.fold(0.0, |sum, product| sum + product)
        };
        rows.map(product).collect()
    }

    pub(super) const fn heap_bytes(&self) -> usize {
        size_of::<Self>() + 4 * self.cells.len()
    }
}
