//! The options that SCAN, HSCAN, SSCAN and ZSCAN share.

use super::error::{Error, c_string};
use super::glob::Glob;
use super::parse::integer;
use crate::dialect::Dialect;
use crate::resp::{Args, parse_integer};
use crate::slots::CLUSTER_SLOTS;

/// The options of SCAN and its variants.
pub(crate) struct ScanOptions<'a> {
    /// Approximate number of elements to visit.
    pub(crate) count: usize,
    /// The names to return.
    pub(crate) pattern: Glob<'a>,
    /// SCAN's TYPE.
    pub(crate) type_name: Option<&'a [u8]>,
    /// ZSCAN's NOSCORES.
    pub(crate) no_scores: bool,
    /// HSCAN's NOVALUES.
    pub(crate) no_values: bool,
    /// CLUSTERSCAN's SLOT.
    pub(crate) slot: Option<u16>,
}

impl<'a> ScanOptions<'a> {
    /// Reads the options from word `first` on.
    ///
    /// # Errors
    /// The errors of Redis's `scanGenericCommand`.
    pub(crate) fn parse(args: Args<'a>, first: usize, dialect: Dialect) -> Result<Self, Error> {
        let mut options = Self {
            count: 10,
            pattern: Glob::Any,
            type_name: None,
            no_values: false,
            no_scores: false,
            slot: None,
        };
        let is_of_cluster = args.is(0, "clusterscan");
        let is_scan = args.is(0, "scan") || is_of_cluster;
        let mut index = first;
        while index < args.len() {
            let value = args.get(index + 1);
            if args.is(index, "count") && value.is_some() {
                options.count = usize::try_from(integer(args.at(index + 1))?)
                    .ok()
                    .filter(|count| *count > 0)
                    .ok_or(Error::Syntax)?;
            } else if let (true, Some(pattern)) = (args.is(index, "match"), value) {
                options.pattern = Glob::new(pattern, dialect);
            } else if args.is(index, "type") && is_scan && value.is_some() {
                options.type_name = value;
                check_type_name(args.at(index + 1), dialect)?;
            } else if let (true, true, Some(slot)) = (is_of_cluster, args.is(index, "slot"), value)
            {
                options.slot = Some(slot_number(slot)?);
            } else if args.is(index, "noscores") && dialect.has_zscan_noscores() {
                if !args.is(0, "zscan") {
                    return Err(Error::Text("ERR NOSCORES option can only be used in ZSCAN"));
                }
                options.no_scores = true;
                index -= 1;
            } else if args.is(index, "novalues") && args.is(0, "hscan") {
                options.no_values = true;
                index -= 1;
            } else {
                return Err(Error::Syntax);
            }
            index += 2;
        }
        Ok(options)
    }
}

/// Source: the replies of valkey 9.1.
fn slot_number(text: &[u8]) -> Result<u16, Error> {
    let slot = parse_integer(text).and_then(|slot| u16::try_from(slot).ok());
    slot.filter(|slot| *slot < CLUSTER_SLOTS)
        .ok_or(Error::Text("ERR Invalid or out of range slot"))
}

/// Reads a cursor argument: a text that C's `strtoul` consumes completely. Source: redis 7.0 and 8.0 db.c,
/// `parseScanCursorOrReply`.
///
/// # Errors
/// `ERR invalid cursor`.
pub(crate) fn scan_cursor(text: &[u8], dialect: Dialect) -> Result<u64, Error> {
    let invalid = Error::Text("ERR invalid cursor");
    let is_negative = parse_integer(text).is_some_and(|number| number < 0);
    match dialect.reads_cursors_strictly() {
        true if is_negative => return Err(invalid),
        false if text.is_empty() => return Ok(0),
        _ => {}
    }
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let blanks = text.iter().take_while(|byte| is_space(byte)).count();
    let text = match dialect.reads_cursors_strictly() {
        // The server reads anything but an integer with strtoull, which skips blanks.
        true => text.get(blanks..).unwrap_or_default(),
        false => text,
    };
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let number = std::str::from_utf8(digits)
        .ok()
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let number: u64 = number
        .and_then(|digits| digits.parse().ok())
        .ok_or(invalid)?;
    Ok(if negative {
        number.wrapping_neg()
    } else {
        number
    })
}

/// Some servers reject an unknown type name; on the others, no key matches it.
fn check_type_name(name: &[u8], dialect: Dialect) -> Result<(), Error> {
    const TYPES: [&str; 6] = ["string", "list", "set", "zset", "hash", "stream"];
    let is_type = |known: &&str| name.eq_ignore_ascii_case(known.as_bytes());
    if !dialect.checks_type_names() || TYPES.iter().any(is_type) {
        return Ok(());
    }
    let name = c_string(name, usize::MAX);
    let start: &[u8] = b"ERR unknown type name '";
    Err(Error::Quoting([start, name, b"'"].concat()))
}
