//! CONFIG.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;

use super::effects::{Live, TRUE_HERE, refusal};
use super::settings::Known;
use super::{ADMIN, HELP, row, settings, special};
use crate::command::rows::glob::Glob;
use crate::command::rows::notifications::EventFlags;
use crate::command::rows::tunables::Tunables;
use crate::command::rows::{Arity, Command, Error, SessionCx, help};
use crate::dialect::Dialect;
use crate::resp::Args;
use crate::value::{Setting, Thresholds, setting};

/// The subcommands.
pub(super) const CONFIG: &[Command] = &[
    row("get", Arity::at_least(3), ADMIN, get)
        .about("2.0.0", "Returns the settings that match.")
        .difference(
            "Leaves out passwords; `track-access` is redtail's own. Values are those that hold for redtail; a setting that means nothing \
             to it has the server's default.",
        ),
    row("set", Arity::at_least(4), ADMIN, set)
        .about("2.0.0", "Changes settings.")
        .difference(
            "A setting without meaning for redtail is kept for CONFIG GET and logged once. \
             A setting that would promise what redtail does not do is refused with the reason: `save`, `appendonly`.",
        ),
    row("resetstat", Arity::exactly(2), ADMIN, resetstat).about("2.0.0", "Resets counters to zero."),
    row("rewrite", Arity::exactly(2), ADMIN, rewrite)
        .about("2.8.0", "Refused: the configuration file belongs to the operator."),
    row("help", Arity::exactly(2), HELP, |cx, _| help(cx, "CONFIG", CONFIG)).about("5.0.0", "Lists the subcommands."),
];

/// Hides passwords: `requirepass` and `masterauth` are shown only while they are empty.
fn get(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let dialect = cx.reply.dialect();
    if args.len() > 3 && !dialect.sets_several_settings() {
        return Err(wrong_arguments(args));
    }
    let all = Values::of(cx).all();
    let mut found: Vec<(Vec<u8>, &str)> = Vec::new();
    let mut names = HashSet::new();
    for pattern in args.from(2).iter() {
        for (name, value) in &all {
            if let Some(shown) = shown_name(pattern, name, dialect)
                && names.insert(name)
            {
                found.push((shown.to_vec(), value));
            }
        }
    }
    if !dialect.sets_several_settings() {
        retain_older(&mut found);
    }
    found.sort_unstable();
    cx.reply.map(found.len());
    for (name, value) in found {
        cx.reply.bulk(&name);
        cx.reply.bulk(value.as_bytes());
    }
    Ok(())
}

/// Redis before 7.0 shows only the older of the two names for the upstream setting.
fn retain_older(found: &mut Vec<(Vec<u8>, &str)>) {
    let has_older = found.iter().any(|(name, _)| is(name, "slaveof"));
    found.retain(|(name, _)| !(has_older && is(name, "replicaof")));
}

/// How a setting that matches `pattern` is shown. Since Redis 7.0, a name that is no pattern is repeated as the client
/// spelt it. A pattern ends at the first zero byte, like a C string. Source: `configGetCommand` in config.c of redis 6.0
/// and 7.0.
fn shown_name<'a>(pattern: &'a [u8], name: &'a str, dialect: Dialect) -> Option<&'a [u8]> {
    let text = pattern.split(|byte| *byte == 0).next().unwrap_or_default();
    let is_pattern = text.iter().any(|byte| b"[*?".contains(byte));
    if dialect.sets_several_settings() && !is_pattern {
        return is(pattern, name).then_some(pattern);
    }
    let glob = text.to_ascii_lowercase();
    let glob = Glob::new(&glob, dialect);
    glob.matches(name.as_bytes()).then_some(name.as_bytes())
}

fn is(given: &[u8], name: &str) -> bool {
    given.eq_ignore_ascii_case(name.as_bytes())
}

/// The sources of the settings' values.
struct Values {
    dialect: Dialect,
    host: Vec<(&'static str, String)>,
    kept: BTreeMap<&'static str, String>,
    thresholds: Thresholds,
}

impl Values {
    fn of(cx: &SessionCx<'_>) -> Self {
        let dialect = cx.reply.dialect();
        let replication = cx.host.replication();
        let mut host = cx.host.settings();
        host.push((
            "replicaof",
            format!("{} {}", replication.host, replication.port),
        ));
        let events = cx.host.tunables().event_flags().shown(dialect);
        host.push((EVENTS, events));
        Self {
            dialect,
            host,
            kept: cx.host.tunables().all_kept(),
            thresholds: cx.host.served().tuning().choices().thresholds(dialect),
        }
    }

    /// Returns all settings of the upstream's version that may be shown, and redtail's own.
    fn all(&self) -> Vec<(&'static str, String)> {
        let own = self.host.iter().filter(|(name, _)| OWN.contains(name));
        settings::all(self.dialect)
            .filter_map(|known| Some((known.name, self.value(known)?)))
            .chain(own.cloned())
            .collect()
    }

    /// Returns a setting's value, or `None` for a password.
    fn value(&self, known: &Known) -> Option<String> {
        if let Some(setting) = setting(known.name.as_bytes()) {
            return Some(setting.value(&self.thresholds).to_string());
        }
        let name = settings::own_name(known.name);
        if let Some(value) = self.kept.get(name) {
            return Some(value.clone());
        }
        if let Some((_, value)) = self.host.iter().find(|(own, _)| *own == name) {
            return Some(value.clone());
        }
        if SECRET.contains(&name) {
            return None;
        }
        let here = TRUE_HERE.iter().find(|(own, _)| *own == name);
        Some(here.map_or(known.default, |(_, value)| value).to_owned())
    }
}

/// The setting of keyspace notifications.
const EVENTS: &str = "notify-keyspace-events";

/// Settings that no server has.
const OWN: &[&str] = &["track-access"];

/// Settings that are shown only if the host says that they are empty.
const SECRET: &[&str] = &["masterauth", "requirepass"];

/// A checked change of one setting.
enum Change {
    Encoding(&'static Setting, i64),
    Live(&'static Live, String),
    Events(EventFlags),
    /// Only kept for CONFIG GET.
    Kept(&'static str, String),
}

/// Changes all settings or none. Some take effect, some are only kept for CONFIG GET, and some are refused: see
/// [`super::effects`].
fn set(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let dialect = cx.reply.dialect();
    if args.len() != 4 && !dialect.sets_several_settings() {
        return Err(wrong_arguments(args));
    }
    if !args.len().is_multiple_of(2) {
        return Err(Error::Syntax);
    }
    let mut named: Vec<(&'static Known, &[u8], &[u8])> = Vec::new();
    for at in (2..args.len()).step_by(2) {
        let (name, value) = (args.at(at), args.at(at + 1));
        let known = check_name(name, value, dialect)?;
        if named.iter().any(|(other, ..)| other.name == known.name) {
            return Err(refused(name, value, "duplicate parameter", dialect));
        }
        named.push((known, name, value));
    }
    let values = Values::of(cx);
    let tunables = cx.host.tunables();
    let mut changes = Vec::new();
    for (known, name, value) in named {
        let change = plan(&values, tunables, known, value);
        changes.extend(change.map_err(|why| refused(name, value, &why, dialect))?);
    }
    make(cx, changes);
    cx.reply.ok();
    Ok(())
}

/// Returns the setting of that name, if a running server can change it. Source: config.c of redis 6.0 and 7.0,
/// `configSetCommand`.
fn check_name(name: &[u8], value: &[u8], dialect: Dialect) -> Result<&'static Known, Error> {
    let known = settings::find(name, dialect);
    let known = known.ok_or_else(|| unknown(name, dialect))?;
    match known.fixed() {
        None => Ok(known),
        Some(why) if dialect.sets_several_settings() => Err(refused(name, value, why, dialect)),
        Some(_) => Err(unknown(name, dialect)),
    }
}

/// Returns what setting `known` to `text` would change: nothing if it already has that value.
fn plan(
    values: &Values,
    tunables: &Tunables,
    known: &'static Known,
    text: &[u8],
) -> Result<Option<Change>, String> {
    let dialect = values.dialect;
    if let Some(setting) = setting(known.name.as_bytes()) {
        let parsed = setting.parse(text, dialect);
        return parsed
            .map(|value| Some(Change::Encoding(setting, value)))
            .map_err(|error| error.to_string());
    }
    if known.name == EVENTS {
        // CONFIG GET does not show all letters, so the text decides nothing.
        let flags = EventFlags::parse(text, dialect).ok_or_else(|| {
            match dialect.sets_several_settings() {
                true => dialect.unknown_event_letter(),
                false => "",
            }
        })?;
        return Ok(Some(Change::Events(flags)));
    }
    let name = settings::own_name(known.name);
    let now = values.value(known);
    let value = match special::read(name, text, now.as_deref().unwrap_or("")) {
        Some(read) if dialect.sets_several_settings() => read?,
        // Redis 6.0 does not give the reason for these.
        Some(read) => read.map_err(|_| String::new())?,
        None => known.read(text, dialect)?,
    };
    if now.as_ref() == Some(&value) {
        return Ok(None);
    }
    if let Some(why) = refusal(name, &value, now.as_deref().unwrap_or("")) {
        return Err(why.to_owned());
    }
    let Some(live) = Live::find(name) else {
        return Ok(Some(Change::Kept(name, value)));
    };
    if name == "loglevel" && tunables.log_level.is_none() {
        return Err("the log belongs to the program that embeds redtail".to_owned());
    }
    Ok(Some(Change::Live(live, value)))
}

/// Publishes other events from now on.
fn publish(cx: &SessionCx<'_>, flags: EventFlags) {
    let before = cx
        .host
        .tunables()
        .events
        .swap(flags.bits(), Ordering::Relaxed);
    if before != flags.bits() {
        cx.host.hear();
        tracing::info!(setting = EVENTS, value = %flags, "changed by CONFIG SET");
    }
}

/// Applies checked changes.
fn make(cx: &SessionCx<'_>, changes: Vec<Change>) {
    let tunables = cx.host.tunables();
    let mut encodings = Vec::new();
    for change in changes {
        match change {
            Change::Encoding(setting, value) => encodings.push((setting, value)),
            Change::Live(live, value) => live.apply(cx.host, &value),
            Change::Events(flags) => publish(cx, flags),
            Change::Kept(name, value) => {
                if tunables.keep(name, value.clone()) {
                    tracing::info!(
                        setting = name,
                        value,
                        "CONFIG SET keeps the value for CONFIG GET: it has no effect in redtail"
                    );
                }
            }
        }
    }
    cx.host.served().tuning().change(|choices| {
        for (setting, value) in encodings {
            choices.choose(setting, value);
        }
    });
}

/// Source: redis 6.0 networking.c, `addReplySubcommandSyntaxError`.
fn wrong_arguments(args: Args<'_>) -> Error {
    Error::quoting(
        "ERR Unknown subcommand or wrong number of arguments for '{}'. Try CONFIG HELP.",
        &[args.at(1)],
    )
}

/// Source: config.c of redis 6.0 and 7.0, `configSetCommand`.
fn unknown(name: &[u8], dialect: Dialect) -> Error {
    let text = if dialect.sets_several_settings() {
        "ERR Unknown option or number of arguments for CONFIG SET - '{}'"
    } else {
        "ERR Unsupported CONFIG parameter: {}"
    };
    Error::quoting(text, &[name])
}

/// Like [`unknown`], but for a value that cannot be set.
fn refused(name: &[u8], value: &[u8], why: &str, dialect: Dialect) -> Error {
    if dialect.sets_several_settings() {
        Error::quoting(
            "ERR CONFIG SET failed (possibly related to argument '{}') - {}",
            &[name, why.as_bytes()],
        )
    } else if why.is_empty() {
        Error::quoting(
            "ERR Invalid argument '{}' for CONFIG SET '{}'",
            &[value, name],
        )
    } else {
        Error::quoting(
            "ERR Invalid argument '{}' for CONFIG SET '{}' - {}",
            &[value, name, why.as_bytes()],
        )
    }
}

fn rewrite(_cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    Err(Error::Text(
        "ERR The server is running without a config file",
    ))
}

fn resetstat(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let counted = cx.host.statistics();
    for counter in [
        &counted.connections,
        &counted.rejected,
        &counted.reply_limit_closes,
        &counted.query_limit_closes,
        &cx.host.tunables().output_limits.disconnections,
        &counted.errors,
    ] {
        counter.store(0, Ordering::Relaxed);
    }
    counted.traffic.reset();
    counted.calls.reset();
    counted.error_codes.reset();
    cx.reply.ok();
    Ok(())
}
