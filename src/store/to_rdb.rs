//! Converts what the store keeps into RDB bytes.

use std::io::{self, Write};

use super::entry::Value;
use crate::rdb::ValueType;
use crate::rdb::encode::{Layouts, Writer};

impl Value<'_> {
    /// The value type that [`encode`](Self::encode) writes in these layouts.
    #[must_use]
    pub fn value_type(&self, layouts: Layouts) -> ValueType {
        match self {
            Self::Text(_) | Self::Integer(_) => ValueType::String,
            Self::Object(object) => object.value_type(layouts),
        }
    }

    /// Writes the value, without its type.
    ///
    /// # Errors
    /// The errors of the output.
    pub fn encode<W: Write>(&self, writer: &mut Writer<W>) -> io::Result<()> {
        match self {
            Self::Text(text) => writer.string(text),
            Self::Integer(number) => writer.integer(*number),
            Self::Object(object) => object.encode(writer),
        }
    }
}
