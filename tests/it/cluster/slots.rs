//! Which of the 16,384 slots a key belongs to.

/// The number of slots of a cluster.
pub const SLOTS: u16 = 16_384;

/// The slot of a key: of what is between the first braces, if there is something, else of the whole key.
pub fn slot(key: &[u8]) -> u16 {
    crc16(tag(key)) % SLOTS
}

fn tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|byte| *byte == b'{') else {
        return key;
    };
    let inner = &key[open + 1..];
    match inner.iter().position(|byte| *byte == b'}') {
        None | Some(0) => key,
        Some(close) => &inner[..close],
    }
}

/// CRC-16/XMODEM, bit by bit.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            let polynomial = if crc & 0x8000 == 0 { 0 } else { 0x1021 };
            crc << 1 ^ polynomial
        })
    })
}

#[test]
fn slots_are_those_of_the_specification() {
    assert_eq!(crc16(b"123456789"), 0x31c3);
    assert_eq!(slot(b"foo"), 12_182);
    for (key, other) in [("{foo}bar", "foo"), ("a{foo}{bar}", "foo")] {
        assert_eq!(slot(key.as_bytes()), slot(other.as_bytes()), "{key}");
    }
    for whole in ["{}foo", "foo{}{bar}", "foo{bar"] {
        assert_eq!(slot(whole.as_bytes()), crc16(whole.as_bytes()) % SLOTS);
    }
}
