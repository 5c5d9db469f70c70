//! CLIENT TRACKING and its kin.
//!
//! Source: redis 7.0 networking.c, `clientCommand`, and the replies of seven servers.

use std::sync::Arc;

use crate::command::rows::tracking::{Options, Tracked};
use crate::command::rows::{Error, SessionCx};
use crate::resp::{Args, parse_integer};

const OTHER_MODE: &str = "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it \
     with a different mode.";
const OTHER_OPT: &str = "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it \
     with a different mode.";

/// What the words ask for.
struct Asked<'a> {
    options: Options,
    prefixes: Vec<&'a [u8]>,
}

fn parse<'a>(cx: &SessionCx<'_>, args: Args<'a>) -> Result<Asked<'a>, Error> {
    let (mut options, mut prefixes) = (Options::default(), Vec::new());
    let mut at = 3;
    while at < args.len() {
        let has_more = at + 1 < args.len();
        if args.is(at, "redirect") && has_more {
            at += 1;
            if options.redirect != 0 {
                return Err(Error::Text(
                    "ERR A client can only redirect to a single other client",
                ));
            }
            options.redirect = redirect(cx, args.at(at))?;
        } else if args.is(at, "bcast") {
            options.broadcasts = true;
        } else if args.is(at, "optin") {
            options.opt_in = true;
        } else if args.is(at, "optout") {
            options.opt_out = true;
        } else if args.is(at, "noloop") {
            options.no_loop = true;
        } else if args.is(at, "prefix") && has_more {
            at += 1;
            prefixes.push(args.at(at));
        } else {
            return Err(Error::Syntax);
        }
        at += 1;
    }
    Ok(Asked { options, prefixes })
}

fn redirect(cx: &SessionCx<'_>, word: &[u8]) -> Result<u64, Error> {
    let id = parse_integer(word).ok_or(Error::NotInteger)?;
    let id = u64::try_from(id).ok();
    id.filter(|id| cx.host.client(*id).is_some())
        .ok_or(Error::Text(
            "ERR The client ID you want redirect to does not exist",
        ))
}

pub(super) fn tracking(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let asked = parse(cx, args)?;
    if args.is(2, "off") {
        cx.session.tracking = None;
    } else if args.is(2, "on") {
        check(cx, &asked)?;
        begin(cx, &asked);
    } else {
        return Err(Error::Syntax);
    }
    cx.reply.ok();
    Ok(())
}

fn check(cx: &SessionCx<'_>, asked: &Asked<'_>) -> Result<(), Error> {
    let Asked { options, prefixes } = asked;
    let now = cx.session.tracking.as_ref();
    let now = now.map(|tracked| tracked.tracker().options());
    if !options.broadcasts && !prefixes.is_empty() {
        return Err(Error::Text(
            "ERR PREFIX option requires BCAST mode to be enabled",
        ));
    }
    if now.is_some_and(|now| now.broadcasts != options.broadcasts) {
        return Err(Error::Text(OTHER_MODE));
    }
    if options.broadcasts && (options.opt_in || options.opt_out) {
        return Err(Error::Text(
            "ERR OPTIN and OPTOUT are not compatible with BCAST",
        ));
    }
    if options.opt_in && options.opt_out {
        return Err(Error::Text(
            "ERR You can't specify both OPTIN mode and OPTOUT mode",
        ));
    }
    let switches = |now: Options| options.opt_in && now.opt_out || options.opt_out && now.opt_in;
    if now.is_some_and(switches) {
        return Err(Error::Text(OTHER_OPT));
    }
    match options.broadcasts && cx.reply.dialect().refuses_overlapping_prefixes() {
        true => check_overlaps(cx, prefixes),
        false => Ok(()),
    }
}

/// DIFFERENCE: before Valkey 9, servers both refuse and accept overlapping prefixes if the first prefix is not among them, and
/// reply twice.
fn check_overlaps(cx: &SessionCx<'_>, prefixes: &[&[u8]]) -> Result<(), Error> {
    let existing = cx.session.tracking.as_ref();
    let existing = existing
        .map(|tracked| tracked.prefixes())
        .unwrap_or_default();
    let overlaps = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
    for (at, prefix) in prefixes.iter().enumerate() {
        if let Some(other) = existing.iter().find(|other| overlaps(prefix, other)) {
            return Err(Error::quoting(
                "ERR Prefix '{}' overlaps with an existing prefix '{}'. Prefixes for a single client must not overlap.",
                &[prefix, other],
            ));
        }
        let mut rest = prefixes.iter().skip(at + 1);
        if let Some(other) = rest.find(|other| overlaps(prefix, other)) {
            return Err(Error::quoting(
                "ERR Prefix '{}' overlaps with another provided prefix '{}'. Prefixes for a single client must not overlap.",
                &[prefix, other],
            ));
        }
    }
    Ok(())
}

fn begin(cx: &mut SessionCx<'_>, asked: &Asked<'_>) {
    let inbox = cx.inbox();
    if let Some(tracked) = &cx.session.tracking {
        tracked.renew(asked.options);
    }
    let table = &cx.host.statistics().tracking;
    let new = || Tracked::begin(table, inbox, asked.options);
    let tracked = Arc::clone(cx.session.tracking.get_or_insert_with(new));
    if asked.options.broadcasts {
        let everything = [&b""[..]];
        let prefixes = match asked.prefixes.is_empty() {
            true => &everything[..],
            false => &asked.prefixes,
        };
        prefixes
            .iter()
            .for_each(|prefix| tracked.add_prefix(prefix));
    }
    if asked.options.redirect != 0
        && let Some(target) = cx.host.client(asked.options.redirect)
    {
        target.give_inbox(&cx.host.tunables().output_limits);
    }
    cx.host.hear();
}

pub(super) fn caching(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let tracked = cx.session.tracking.as_ref().ok_or(Error::Text(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
    ))?;
    let Options {
        opt_in, opt_out, ..
    } = tracked.tracker().options();
    match (args.is(2, "yes"), args.is(2, "no")) {
        (true, _) if !opt_in => Err(Error::Text(
            "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
        )),
        (_, true) if !opt_out => Err(Error::Text(
            "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
        )),
        (false, false) => Err(Error::Syntax),
        _ => {
            tracked.set_caching(true);
            cx.reply.ok();
            Ok(())
        }
    }
}

/// The client that gets the invalidations: 0 for this one, -1 if it does not track.
fn target(cx: &SessionCx<'_>) -> i64 {
    let tracked = cx.session.tracking.as_ref();
    tracked.map_or(-1, |tracked| {
        i64::try_from(tracked.tracker().options().redirect).unwrap_or(i64::MAX)
    })
}

pub(super) fn getredir(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.integer(target(cx));
    Ok(())
}

pub(super) fn trackinginfo(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    let tracked = cx.session.tracking.clone();
    let flags = tracked.as_deref().map_or(vec!["off"], flags);
    cx.reply.map(3);
    cx.reply.bulk(b"flags");
    cx.reply.set(flags.len());
    flags.iter().for_each(|flag| cx.reply.bulk(flag.as_bytes()));
    cx.reply.bulk(b"redirect");
    cx.reply.integer(target(cx));
    cx.reply.bulk(b"prefixes");
    let prefixes = tracked
        .map(|tracked| tracked.prefixes())
        .unwrap_or_default();
    cx.reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| cx.reply.bulk(prefix));
    Ok(())
}

fn flags(tracked: &Tracked) -> Vec<&'static str> {
    let tracker = tracked.tracker();
    let Options {
        broadcasts,
        opt_in,
        opt_out,
        no_loop,
        ..
    } = tracker.options();
    let caching = tracked.caching();
    let flags = [
        (true, "on"),
        (broadcasts, "bcast"),
        (opt_in, "optin"),
        (opt_in && caching, "caching-yes"),
        (opt_out, "optout"),
        (opt_out && caching, "caching-no"),
        (no_loop, "noloop"),
        (tracker.is_broken(), "broken_redirect"),
    ];
    flags
        .iter()
        .filter_map(|(is_set, flag)| is_set.then_some(*flag))
        .collect()
}
