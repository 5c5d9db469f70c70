//! DUMP and RESTORE: a value as bytes, and a key from those.

use super::Error;
use super::parse::integer;
use crate::rdb::{self, decode::Version, encode::Layouts};
use crate::resp::{Args, Reply};
use crate::store::{NewValue, Tx, View};

/// `DUMP key`, in the version that the upstream writes.
pub(super) fn dump(view: &View<'_>, args: Args<'_>, reply: &mut Reply) -> Result<(), Error> {
    let Some(value) = view.value(args.at(1)) else {
        reply.null();
        return Ok(());
    };
    let version = Version::of_payload(reply.dialect().rdb_version());
    let kind = value.value_type(Layouts::of(version));
    let payload = rdb::dump::encode_payload(version, kind, |writer| value.encode(writer))
        .map_err(|error| Error::Owned(format!("ERR {error}")))?;
    reply.bulk(&payload);
    Ok(())
}

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
