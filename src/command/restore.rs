//! RESTORE: a key from the bytes that DUMP gives.

use super::Error;
use super::parse::integer;
use crate::rdb;
use crate::resp::Args;
use crate::store::{NewValue, Tx};

struct Options {
    replace: bool,
    absolute: bool,
}

fn options(args: Args<'_>) -> Result<Options, Error> {
    let mut options = Options {
        replace: false,
        absolute: false,
    };
    let mut index = 4;
    while index < args.len() {
        if args.is(index, "replace") {
            options.replace = true;
        } else if args.is(index, "absttl") {
            options.absolute = true;
        } else if (args.is(index, "idletime") || args.is(index, "freq")) && index + 1 < args.len() {
            index += 1;
        } else {
            return Err(Error::Syntax);
        }
        index += 1;
    }
    Ok(options)
}

/// `RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME s] [FREQ n]`. Primaries before 7.0 send a relative time.
pub(super) fn restore(tx: &mut Tx<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.at(1);
    let options = options(args)?;
    if !options.replace && tx.exists(key) {
        return Err(Error::Text("BUSYKEY Target key name already exists."));
    }
    let ttl = integer(args.at(2))?;
    let base = if options.absolute { 0 } else { tx.now_ms() };
    let expiry = (ttl != 0).then(|| ttl.saturating_add(base));
    let thresholds = tx.thresholds();
    let restored = rdb::dump::decode_payload(args.at(3), |object| {
        NewValue::from_rdb(object, &thresholds).map(|value| tx.set(key, expiry, value))
    });
    match restored {
        Ok(Ok(())) => Ok(()),
        Ok(Err(duplicate)) => Err(Error::Owned(format!("ERR Bad data format: {duplicate}"))),
        Err(error) => Err(Error::Owned(format!("ERR Bad data format: {error}"))),
    }
}
