//! How a vector is stored: quantised, and compared by its angle.
//!
//! Every floating-point operation has the same order and width as on the server, so that all digits of a distance agree.
//! Source: redis 8.0 modules/vector-sets/hnsw.c.

/// How the vectors of a set are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Four bytes per component.
    F32,
    /// One byte per component, plus the magnitude of the largest component.
    Q8,
    /// Only the signs of the components.
    Bin,
}

impl Kind {
    /// Returns the kind that snapshots write as `number`.
    #[must_use]
    pub const fn of_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::F32),
            1 => Some(Self::Q8),
            2 => Some(Self::Bin),
            _ => None,
        }
    }

    /// The number that snapshots write for it.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::F32 => 0,
            Self::Q8 => 1,
            Self::Bin => 2,
        }
    }

    /// The name in VINFO.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Q8 => "int8",
            Self::Bin => "bin",
        }
    }
}

/// A vector of length one, or close to it, as sets of one kind store it.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    parts: Parts,
    /// The magnitude of the largest component of a `Q8` vector. It has no meaning for other kinds but is kept, because a dump
    /// shows it.
    pub(super) range: f32,
}

#[derive(Debug, Clone, PartialEq)]
enum Parts {
    F32(Vec<f32>),
    Q8(Vec<i8>),
    /// One bit per component, lowest bit first. The bits past the last component are zero.
    Bin(Vec<u64>),
}

impl Point {
    /// No vector at all.
    pub(super) const EMPTY: Self = Self {
        parts: Parts::F32(Vec::new()),
        range: 0.0,
    };

    /// Normalises a vector to length one and stores it as sets of this kind do. Also returns its original length.
    #[must_use]
    pub fn of(kind: Kind, mut floats: Vec<f32>) -> (Self, f32) {
        let length = normalize(&mut floats);
        (Self::quantize(kind, floats), length)
    }

    fn quantize(kind: Kind, floats: Vec<f32>) -> Self {
        let (parts, range) = match kind {
            Kind::F32 => (Parts::F32(floats), 0.0),
            Kind::Q8 => {
                let (bytes, range) = bytes_of(&floats);
                (Parts::Q8(bytes), range)
            }
            Kind::Bin => (Parts::Bin(signs_of(&floats)), 0.0),
        };
        Self { parts, range }
    }

    /// Creates a point from the bytes that snapshots and VEMB RAW write. Returns `None` if they are not the bytes of `dim`
    /// components.
    #[must_use]
    pub fn from_bytes(kind: Kind, dim: usize, bytes: &[u8], range: f32) -> Option<Self> {
        let parts = match kind {
            Kind::F32 => Parts::F32(words(bytes)?.map(f32::from_le_bytes).collect()),
            Kind::Q8 => Parts::Q8(bytes.iter().map(|byte| byte.cast_signed()).collect()),
            Kind::Bin => Parts::Bin(words(bytes)?.map(u64::from_le_bytes).collect()),
        };
        let fits = match &parts {
            Parts::F32(floats) => floats.len() == dim,
            Parts::Q8(bytes) => bytes.len() == dim,
            Parts::Bin(signs) => signs.len() == dim.div_ceil(64),
        };
        fits.then_some(Self { parts, range })
    }

    /// Returns the bytes that [`from_bytes`](Self::from_bytes) takes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.parts {
            Parts::F32(floats) => floats.iter().flat_map(|part| part.to_le_bytes()).collect(),
            Parts::Q8(bytes) => bytes.iter().map(|byte| byte.cast_unsigned()).collect(),
            Parts::Bin(signs) => signs.iter().flat_map(|word| word.to_le_bytes()).collect(),
        }
    }

    /// Returns the magnitude of the largest component, which only `Q8` vectors have.
    #[must_use]
    pub const fn range(&self) -> Option<f32> {
        match self.parts {
            Parts::Q8(_) => Some(self.range),
            Parts::F32(_) | Parts::Bin(_) => None,
        }
    }

    /// Returns the components of a vector whose original length was `length`, as exactly as they can be restored.
    ///
    /// Source: hnsw.c, `hnsw_get_node_vector`.
    #[must_use]
    pub fn floats(&self, dim: usize, length: f32) -> Vec<f32> {
        match &self.parts {
            Parts::F32(floats) => floats.iter().map(|part| part * length).collect(),
            Parts::Q8(bytes) => {
                let part = |byte: &i8| (f32::from(*byte) * self.range) / 127.0;
                bytes.iter().map(|byte| part(byte) * length).collect()
            }
            Parts::Bin(signs) => {
                let bits = signs
                    .iter()
                    .flat_map(|word| (0..64).map(move |bit| word >> bit & 1));
                let sign = |bit| if bit == 1 { 1.0 } else { -1.0 };
                bits.take(dim).map(sign).collect()
            }
        }
    }

    /// Returns the distance between two points of the same kind: 0 for the same direction, 2 for the opposite one.
    #[must_use]
    pub fn distance(&self, other: &Self, dim: u32) -> f32 {
        match (&self.parts, &other.parts) {
            (Parts::F32(one), Parts::F32(two)) => float_distance(one, two),
            (Parts::Q8(one), Parts::Q8(two)) => byte_distance(one, two, self.range, other.range),
            (Parts::Bin(one), Parts::Bin(two)) => sign_distance(one, two, dim),
            _ => {
                debug_assert!(false, "points of different kinds in one set");
                2.0
            }
        }
    }

    /// The number of bytes on the heap.
    pub(super) const fn heap_bytes(&self) -> usize {
        match &self.parts {
            Parts::F32(floats) => 4 * floats.len(),
            Parts::Q8(bytes) => bytes.len(),
            Parts::Bin(signs) => 8 * signs.len(),
        }
    }
}

/// Splits `bytes` into words of `N` bytes. Returns `None` if there is a remainder.
fn words<const N: usize>(bytes: &[u8]) -> Option<impl Iterator<Item = [u8; N]>> {
    let (words, rest) = bytes.as_chunks::<N>();
    rest.is_empty().then(|| words.iter().copied())
}

/// Divides by the length and returns it. A vector of zeros stays as it is and counts as having length one.
///
/// Source: hnsw.c, `hnsw_normalize_vector`.
fn normalize(floats: &mut [f32]) -> f32 {
    let (fours, rest) = floats.as_chunks::<4>();
    let mut sum = 0.0;
    for [a, b, c, d] in fours {
        sum += a * a + b * b + c * c + d * d;
    }
    for part in rest {
        sum += part * part;
    }
    if sum == 0.0 {
        return 1.0;
    }
    let length = sum.sqrt();
    floats.iter_mut().for_each(|part| *part /= length);
    length
}

/// Source: hnsw.c, `quantize_to_q8`.
fn bytes_of(floats: &[f32]) -> (Vec<i8>, f32) {
    let mut range = 0.0;
    for part in floats {
        // The comparison is written this way so that NaN is ignored.
        if part.abs() > range {
            range = part.abs();
        }
    }
    if range == 0.0 {
        return (vec![0; floats.len()], 0.0);
    }
    let scale = 127.0 / range;
    let byte = |part: &f32| as_processor_casts((part * scale).round());
    (floats.iter().map(byte).collect(), range)
}

/// Converts a whole number to a byte like the server's processor, because C leaves it undefined: a number that does not fit
/// into 32 bits becomes zero.
fn as_processor_casts(whole: f32) -> i8 {
    const LIMIT: f32 = 2_147_483_648.0;
    if !(-LIMIT..LIMIT).contains(&whole) {
        return 0;
    }
    #[expect(clippy::cast_possible_truncation, reason = "within 32 bits")]
    let word = whole as i32;
    let [low, ..] = word.to_le_bytes();
    low.cast_signed()
}

/// Source: hnsw.c, `quantize_to_bin`.
fn signs_of(floats: &[f32]) -> Vec<u64> {
    let word = |parts: &[f32]| {
        let bits = parts.iter().enumerate();
        bits.fold(0, |word, (bit, part)| word | u64::from(*part > 0.0) << bit)
    };
    floats.chunks(64).map(word).collect()
}

/// Source: hnsw.c, `vectors_distance_float`.
fn float_distance(one: &[f32], two: &[f32]) -> f32 {
    let (mut low, mut high) = (0.0, 0.0);
    let (eights, rest) = one.as_chunks::<8>();
    let (other_eights, other_rest) = two.as_chunks::<8>();
    for (x, y) in eights.iter().zip(other_eights) {
        let [a, b, c, d, e, f, g, h] = std::array::from_fn(|index| product(x, y, index));
        low += a + b + c + d;
        high += e + f + g + h;
    }
    for (x, y) in rest.iter().zip(other_rest) {
        low += x * y;
    }
    1.0 - (low + high)
}

#[expect(clippy::indexing_slicing, reason = "of eight, an index below eight")]
fn product(one: &[f32; 8], two: &[f32; 8], index: usize) -> f32 {
    one[index] * two[index]
}

/// Source: hnsw.c, `vectors_distance_q8`.
fn byte_distance(one: &[i8], two: &[i8], range: f32, other_range: f32) -> f32 {
    if range == 0.0 || other_range == 0.0 {
        return 1.0;
    }
    let scale = (range / 127.0) * (other_range / 127.0);
    let products = one.iter().zip(two);
    let products = products.map(|(x, y)| i32::from(*x) * i32::from(*y));
    let sum = products.fold(0_i32, i32::wrapping_add);
    #[expect(clippy::cast_precision_loss, reason = "rounded as the server rounds")]
    let distance = 1.0 - sum as f32 * scale;
    // NaN stays NaN.
    distance.clamp(0.0, 2.0)
}

/// Source: hnsw.c, `vectors_distance_bin`.
#[expect(clippy::cast_precision_loss, reason = "rounded as the server rounds")]
fn sign_distance(one: &[u64], two: &[u64], dim: u32) -> f32 {
    let opposite = one.iter().zip(two).map(|(x, y)| (x ^ y).count_ones());
    let opposite: u32 = opposite.sum();
    opposite as f32 * 2.0 / dim as f32
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const KINDS: [Kind; 3] = [Kind::F32, Kind::Q8, Kind::Bin];

    #[test]
    fn bytes_come_back_whatever_the_kind() {
        let floats: Vec<f32> = (0..70_i16).map(|n| f32::from(n) - 30.5).collect();
        for kind in KINDS {
            let (point, _) = Point::of(kind, floats.clone());
            let bytes = point.to_bytes();
            let again = Point::from_bytes(kind, 70, &bytes, point.range).unwrap();
            assert_eq!(again, point);
            assert_eq!(Point::from_bytes(kind, 140, &bytes, 0.0), None);
            assert_eq!(Kind::of_number(kind.number()), Some(kind));
        }
    }

    #[test]
    fn a_vector_is_at_no_distance_from_itself_and_at_two_from_its_opposite() {
        let floats = [3.0, 0.0, -4.0, 1.0, 2.0, -2.0, 5.0, 9.0, 0.5];
        for kind in KINDS {
            let near = Point::of(kind, floats.to_vec()).0;
            let far = Point::of(kind, floats.iter().map(|part| -part).collect()).0;
            assert!(near.distance(&near, 9) < 0.01, "{kind:?}");
            assert!(near.distance(&far, 9) > 1.7, "{kind:?}");
        }
    }

    #[test]
    fn what_is_no_number_or_has_no_length_is_kept_as_the_server_keeps_it() {
        assert_eq!(bytes_of(&[f32::NAN, 2.0, -1.0]), (vec![0, 127, -64], 2.0));
        assert_eq!(bytes_of(&[f32::INFINITY, 2.0]), (vec![0, 0], f32::INFINITY));
        assert_eq!(bytes_of(&[1e-40, -1e-41]).0, [0, 0]);
        let (zero, length) = Point::of(Kind::Q8, vec![0.0; 3]);
        assert_eq!((zero.range(), length), (Some(0.0), 1.0));
        assert_eq!(zero.distance(&zero, 3), 1.0);
    }
}
