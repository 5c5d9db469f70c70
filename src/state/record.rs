//! The bytes of a log: a header, then records. All numbers are little-endian, all checksums are the CRC-64 of `rdb`.

use crate::history::{Point, StreamPoint};
use crate::rdb::crc64;

/// Where a log begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begin {
    /// The generation that it belongs to.
    pub number: u64,
    /// Where in the history it begins.
    pub at: StreamPoint,
}

/// Why bytes are not a log's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotBegin {
    /// The file is not a log, or it is damaged.
    #[error("the header is damaged")]
    Damaged,
    /// Written by another version of redtail.
    #[error("log version {0} is not supported")]
    Version(u32),
}

/// Size of a log's header in bytes.
pub(super) const BEGIN_BYTES: usize = 80;

const MAGIC: &[u8; 8] = b"RTAILLOG";
const VERSION: u32 = 1;

impl Begin {
    pub(super) fn encode(&self) -> Vec<u8> {
        let StreamPoint { point, db } = self.at;
        // A database number fits: redtail makes room for no more.
        let db = u32::try_from(db).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(BEGIN_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&db.to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&point.offset.to_le_bytes());
        bytes.extend_from_slice(point.replid.to_string().as_bytes());
        bytes.extend_from_slice(&crc64::update(0, &bytes).to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; BEGIN_BYTES]) -> Result<Self, NotBegin> {
        let mut fields = Fields(bytes);
        let magic: [u8; 8] = fields.take();
        let version = u32::from_le_bytes(fields.take());
        if magic == *MAGIC && version != VERSION && is_summed(bytes) {
            return Err(NotBegin::Version(version));
        }
        if magic != *MAGIC || !is_summed(bytes) {
            return Err(NotBegin::Damaged);
        }
        let db = u32::from_le_bytes(fields.take());
        let number = u64::from_le_bytes(fields.take());
        let offset = u64::from_le_bytes(fields.take());
        let replid: [u8; 40] = fields.take();
        let replid = std::str::from_utf8(&replid).ok();
        let replid = replid.and_then(|text| text.parse().ok());
        Ok(Self {
            number,
            at: StreamPoint {
                point: Point {
                    replid: replid.ok_or(NotBegin::Damaged)?,
                    offset,
                },
                db: usize::try_from(db).unwrap_or(usize::MAX),
            },
        })
    }
}

/// What a record contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of the stream, as received.
    Stream,
    /// The history continues under another id: 40 characters.
    Renamed,
}

impl Kind {
    const fn number(self) -> u8 {
        match self {
            Self::Stream => 1,
            Self::Renamed => 2,
        }
    }

    const fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Stream),
            2 => Some(Self::Renamed),
            _ => None,
        }
    }
}

/// The head of a record, which precedes its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// What the payload is.
    pub kind: Kind,
    /// Bytes of payload.
    pub len: u32,
    /// Where in the history the payload begins. A record that begins before the end of the previous one replaces an
    /// unfinished command or MULTI: the connection was lost, and redtail requested those bytes again.
    pub offset: u64,
    /// When the record was written, in Unix milliseconds: the time that its commands used.
    pub at_ms: i64,
    pub(super) payload_sum: u64,
}

/// Size of a record's head in bytes.
pub(super) const HEAD_BYTES: usize = 40;

/// The first bytes of every head.
pub(super) const MARK: &[u8; 3] = b"\xf5RT";

/// Maximum payload in bytes. A payload is a chunk from the socket, or the part of an unfinished command that is kept before
/// a snapshot.
pub(super) const PAYLOAD_BYTES_MAX: u32 = 16 << 20;

impl Head {
    pub(crate) fn new(kind: Kind, offset: u64, at_ms: i64, payload: &[u8]) -> Self {
        Self {
            kind,
            len: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            offset,
            at_ms,
            payload_sum: crc64::update(0, payload),
        }
    }

    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.extend_from_slice(MARK);
        bytes.push(self.kind.number());
        bytes.extend_from_slice(&self.len.to_le_bytes());
        bytes.extend_from_slice(&self.offset.to_le_bytes());
        bytes.extend_from_slice(&self.at_ms.to_le_bytes());
        bytes.extend_from_slice(&self.payload_sum.to_le_bytes());
        let sum = crc64::update(0, bytes.get(start..).unwrap_or_default());
        bytes.extend_from_slice(&sum.to_le_bytes());
    }

    /// Returns `None` for bytes that are not a head.
    pub(super) fn decode(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let mark: [u8; 3] = fields.take();
        let [kind] = fields.take();
        let head = Self {
            kind: Kind::of(kind)?,
            len: u32::from_le_bytes(fields.take()),
            offset: u64::from_le_bytes(fields.take()),
            at_ms: i64::from_le_bytes(fields.take()),
            payload_sum: u64::from_le_bytes(fields.take()),
        };
        (mark == *MARK && head.len <= PAYLOAD_BYTES_MAX && is_summed(bytes)).then_some(head)
    }
}

/// Whether the last eight bytes are the checksum of those before them.
fn is_summed(bytes: &[u8]) -> bool {
    bytes
        .split_last_chunk::<8>()
        .is_some_and(|(summed, sum)| crc64::update(0, summed) == u64::from_le_bytes(*sum))
}

/// Reads fixed-size fields one after the other, of arrays that have room for all of them.
struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((field, rest)) = self.0.split_first_chunk::<N>() else {
            debug_assert!(false, "a field past the end of a record");
            return [0; N];
        };
        self.0 = rest;
        *field
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests {
    use super::*;

    fn begin() -> Begin {
        Begin {
            number: 7,
            at: StreamPoint {
                point: Point {
                    replid: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
                    offset: 1 << 40,
                },
                db: 3,
            },
        }
    }

    #[test]
    fn a_header_reads_back_and_no_flipped_bit_goes_unnoticed() {
        let bytes: [u8; BEGIN_BYTES] = begin().encode().try_into().unwrap();
        assert_eq!(Begin::decode(&bytes), Ok(begin()));
        for bit in 0..BEGIN_BYTES * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Begin::decode(&bad), Err(NotBegin::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn a_header_of_another_version_says_which() {
        let mut bytes = begin().encode();
        bytes.truncate(BEGIN_BYTES - 8);
        bytes[8] = 9;
        bytes.extend_from_slice(&crc64::update(0, &bytes).to_le_bytes());
        let bytes = bytes.try_into().unwrap();
        assert_eq!(Begin::decode(&bytes), Err(NotBegin::Version(9)));
    }

    #[test]
    fn a_head_reads_back_and_no_flipped_bit_goes_unnoticed() {
        let head = Head::new(Kind::Renamed, u64::MAX, -5, b"payload");
        let mut bytes = Vec::new();
        head.encode(&mut bytes);
        let bytes: [u8; HEAD_BYTES] = bytes.try_into().unwrap();
        assert_eq!(Head::decode(&bytes), Some(head));
        for bit in 0..HEAD_BYTES * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::decode(&bad), None, "bit {bit}");
        }
    }
}
