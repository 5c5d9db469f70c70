//! One element of an array, in the form that a server keeps it in.

use crate::rdb::packed::IntText;
use crate::resp::{double, parse_integer};

/// An element: a text, or the number whose text it is.
///
/// Readers see only the text. The form shows in DUMP, and in sums: a server adds a [`Double`](Self::Double) as the double that
/// it is, and any other text as a long double.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Element<'a> {
    /// Any text.
    Text(&'a [u8]),
    /// A decimal text, as a number of at most 62 bits.
    Int(i64),
    /// A text with a point, as a number whose lowest two bits are zero.
    Double(f64),
}

/// Room for the text of a number.
#[derive(Debug, Default)]
pub struct ElementText(Vec<u8>);

/// The longest text that a double can have: sign, 17 digits, point and exponent.
const DOUBLE_TEXT_BYTES_MAX: usize = 40;
/// Servers keep two of a word's bits for the form.
const INT_MAX: i64 = (1 << 61) - 1;
const INT_MIN: i64 = -(1 << 61);

impl<'a> Element<'a> {
    /// The length of the longest text that servers store in place of a pointer.
    pub const SHORT_BYTES_MAX: usize = 7;

    /// Returns the form in which a server keeps `text`: the number, if its own text is the same, to the byte.
    ///
    /// Source: redis 8.8 sparsearray.c, `arEncode`.
    #[must_use]
    pub fn of(text: &'a [u8]) -> Self {
        if let Some(number) = parse_integer(text)
            && (INT_MIN..=INT_MAX).contains(&number)
        {
            return Self::Int(number);
        }
        exact_double(text).map_or(Self::Text(text), Self::Double)
    }

    /// Returns an integer of an RDB. One that a server has no room for is kept as its text, in `room`.
    #[must_use]
    pub fn integer(number: i64, room: &'a mut IntText) -> Self {
        if (INT_MIN..=INT_MAX).contains(&number) {
            Self::Int(number)
        } else {
            Self::Text(room.format(number))
        }
    }

    /// Returns a double of an RDB, without the bits that a server has no room for.
    #[must_use]
    pub const fn double(number: f64) -> Self {
        Self::Double(without_form_bits(number))
    }

    /// Returns the text; that of a number is written to `room`.
    pub fn text<'b>(&self, room: &'b mut ElementText) -> &'b [u8]
    where
        'a: 'b,
    {
        match *self {
            Self::Text(text) => text,
            Self::Int(number) => {
                room.0.clear();
                let mut digits = IntText::new();
                room.0.extend_from_slice(digits.format(number));
                &room.0
            }
            Self::Double(number) => {
                room.0.clear();
                write_double(&mut room.0, number);
                &room.0
            }
        }
    }
}

/// Servers keep the form in the lowest two bits.
const fn without_form_bits(number: f64) -> f64 {
    f64::from_bits(number.to_bits() & !3)
}

/// Returns the double that has exactly this text.
fn exact_double(text: &[u8]) -> Option<f64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let (mut points, mut others) = (0, 0);
    for byte in digits {
        match byte {
            b'.' => points += 1,
            b'0'..=b'9' => {}
            _ => others += 1,
        }
    }
    if points != 1 || others > 0 || text.len() > DOUBLE_TEXT_BYTES_MAX {
        return None;
    }
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let number = without_form_bits(number);
    let mut own = Vec::new();
    write_double(&mut own, number);
    (number.is_finite() && own == text).then_some(number)
}

/// Appends a double's text, which shows that it is one: a whole number has `.0`.
///
/// Source: redis 8.8 sparsearray.c, `arFormatFloat`.
fn write_double(out: &mut Vec<u8>, number: f64) {
    double::write(out, number, true);
    let shows = out.iter().any(|byte| matches!(byte, b'.' | b'e'));
    if number.is_finite() && !shows {
        out.extend_from_slice(b".0");
    }
}
