//! The slot commands of a cluster's primary that change keys.

use crate::command::rows::parse::integer;
use crate::command::rows::{Arity, Command, Error, Keys, Touch};
use crate::resp::Args;
use crate::store::Tx;

/// The number of slots in a cluster.
const SLOTS: u16 = 16384;

/// `CLUSTER FLUSHSLOT slot [ASYNC | SYNC]`, CLUSTER's only write.
///
/// Source: valkey 9.1 cluster_legacy.c, delKeysInSlot.
pub(crate) const FLUSHSLOT: Command = Command::new("flushslot", Arity::at_least(3), Keys::None)
    .apply(flushslot)
    .touches(everything)
    .about("9.0.0", "Removes the keys of a slot.")
    .valkey_only();

fn everything<'a>(_args: Args<'a>, _db: usize, visit: &mut dyn FnMut(Touch<'a>)) {
    visit(Touch::Everything);
}

fn flushslot(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let slot = integer(args.at(2)).ok();
    let slot = slot
        .and_then(|slot| u16::try_from(slot).ok())
        .filter(|slot| *slot < SLOTS)
        .ok_or(Error::Text("ERR Invalid or out of range slot"))?;
    let own = tx.db_number();
    for db in 0..tx.databases() {
        tx.select(db)?;
        for key in tx.keys_where(|key| slot_of(key) == slot) {
            drop(tx.remove(&key));
        }
    }
    tx.select(own)?;
    Ok(())
}

/// Returns the slot of a key. It depends only on the text between the first `{` and the next `}`, if that is not empty.
/// Source: redis 7.0 cluster.c, keyHashSlot.
fn slot_of(key: &[u8]) -> u16 {
    let tagged = || {
        let open = key.iter().position(|byte| *byte == b'{')?;
        let rest = key.get(open + 1..)?;
        let close = rest.iter().position(|byte| *byte == b'}')?;
        rest.get(..close).filter(|tag| !tag.is_empty())
    };
    crc16(tagged().unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM: polynomial 0x1021, not reflected, initial value 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte) << 8, |sum: u16, _| {
            let carry = if sum & 0x8000 == 0 { 0 } else { 0x1021 };
            sum << 1 ^ carry
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `CLUSTER KEYSLOT` answers on Redis 7.0.
    #[test]
    fn keys_have_the_slots_that_servers_give_them() {
        let slots: &[(&str, u16)] = &[
            ("123456789", 12739),
            ("foo", 12182),
            ("{foo}bar", 12182),
            ("a{foo}{bar}", 12182),
            ("", 0),
        ];
        for (key, slot) in slots {
            assert_eq!(slot_of(key.as_bytes()), *slot, "{key}");
        }
        for key in ["{}foo", "{foo", "foo}"] {
            assert_eq!(slot_of(key.as_bytes()), crc16(key.as_bytes()) % SLOTS);
        }
    }
}
