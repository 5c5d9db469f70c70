//! The connection commands.
//!
//! Source of the texts: redis 7.0 networking.c, acl.c, db.c and server.c.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{client, introspection};
use crate::command::rows::acl::{DEFAULT, Denial, Reason, WAIT_MAX};
use crate::command::rows::parse::integer;
use crate::command::rows::{
    ALWAYS, Arity, Command, Error, Family, Flags, Keys, Replies, SessionCx,
};
use crate::dialect::{Dialect, Family as ServerFamily};
use crate::resp::{Args, Protocol, parse_integer};

const BEFORE_AUTH: Flags = ALWAYS
    .and(Flags::FAST)
    .and(Flags::NO_AUTH)
    .and(Flags::ALLOW_BUSY);

/// This file's rows.
pub(crate) const FAMILY: Family = Family {
    group: "connection",
    commands: &[
        Command::new("ping", Arity::at_least(1), Keys::None)
            .session(ping)
            .flags(Flags::FAST)
            .about("1.0.0", "Replies PONG, or its argument."),
        Command::new("echo", Arity::exactly(2), Keys::None)
            .session(echo)
            .flags(Flags::FAST.and(Flags::LOADING).and(Flags::STALE))
            .about("1.0.0", "Returns its argument."),
        Command::new("hello", Arity::at_least(1), Keys::None)
            .session(hello)
            .flags(BEFORE_AUTH)
            .about(
                "6.0.0",
                "Chooses the protocol version and describes the server.",
            )
            .difference("Lists only the modules that every server of the upstream's version has.")
            .arity_before("6.2.0", Arity::at_least(2)),
        Command::new("auth", Arity::at_least(2), Keys::None)
            .session(auth)
            .flags(BEFORE_AUTH)
            .about("1.0.0", "Authenticates the connection."),
        Command::new("select", Arity::exactly(2), Keys::None)
            .session(select)
            .flags(Flags::FAST.and(Flags::LOADING).and(Flags::STALE))
            .about("1.0.0", "Selects a database."),
        Command::new("quit", Arity::at_least(1), Keys::None)
            .session(quit)
            .flags(BEFORE_AUTH)
            .about("1.0.0", "Closes the connection."),
        http("post"),
        http("host:"),
        Command::new("reset", Arity::exactly(1), Keys::None)
            .session(reset)
            .flags(BEFORE_AUTH)
            .about("6.2.0", "Resets the connection to its initial state."),
        Command::container("client", client::CLIENT)
            .about("2.4.0", "Inspects connections and changes this one."),
    ],
};

/// A word of HTTP: a browser was tricked into talking to redtail.
const fn http(name: &'static str) -> Command {
    Command::new(name, Arity::at_least(1), Keys::None)
        .session(hang_up)
        .flags(BEFORE_AUTH)
        .about(
            "2.8.0",
            "Closes the connection, because the client speaks HTTP.",
        )
}

/// Source: redis 6.0 networking.c, `securityWarningCommand`.
fn hang_up(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.session.closing = true;
    Ok(())
}

fn ping(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let is_subscriber = cx.session.is_subscriber() && !cx.reply.is_resp3();
    match (args.len(), args.get(1)) {
        (1 | 2, message) if is_subscriber => {
            cx.reply.array(2);
            cx.reply.bulk(b"pong");
            cx.reply.bulk(message.unwrap_or_default());
        }
        (1, _) => cx.reply.simple("PONG"),
        (2, Some(message)) => cx.reply.bulk(message),
        _ => return Err(Error::Arity("ping".to_owned())),
    }
    Ok(())
}

fn echo(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.reply.bulk(args.at(1));
    Ok(())
}

fn quit(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.reply.ok();
    cx.session.closing = true;
    Ok(())
}

fn select(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let number = database_number(args.at(1), cx.reply.dialect())?;
    cx.session.db = usize::try_from(number)
        .ok()
        .filter(|db| *db < cx.host.databases())
        .ok_or(Error::Text("ERR DB index is out of range"))?;
    cx.reply.ok();
    Ok(())
}

/// Source: redis 6.0 db.c and 7.0 object.c, `getIntFromObjectOrReply`.
fn database_number(text: &[u8], dialect: Dialect) -> Result<i64, Error> {
    let number = parse_integer(text);
    if !dialect.since_redis(6, 2) {
        let number = number.ok_or(Error::Text("ERR invalid DB index"))?;
        // These servers used only the low 32 bits.
        return Ok((number << 32) >> 32);
    }
    let number = number.ok_or(Error::NotInteger)?;
    if i32::try_from(number).is_err() {
        return Err(Error::Text(
            "ERR value is out of range, value must between -2147483648 and 2147483647",
        ));
    }
    Ok(number)
}

fn reset(cx: &mut SessionCx<'_>, _args: Args<'_>) -> Result<(), Error> {
    cx.session.subscriptions = None;
    cx.flush_inbox();
    let session = &mut *cx.session;
    session.inbox = None;
    session.db = 0;
    session.replies = Replies::On;
    session.transaction = None;
    session.watching = None;
    session.touches = true;
    session.read_after = None;
    session.reads_here = false;
    session.tracking = None;
    {
        let mut shown = session.client.shown();
        shown.monitors = false;
        shown.name.clear();
        shown.no_evict = false;
        shown.no_touch = false;
    }
    let users = cx.host.users();
    session.become_user(None, users, cx.reply.dialect());
    session.authenticated = users.is_open();
    cx.reply.set_protocol(Protocol::Resp2);
    cx.reply.simple("RESET");
    Ok(())
}

fn auth(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    match args.len() {
        2 if cx.host.users().default_has_no_password() => {
            return Err(Error::Text(
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?",
            ));
        }
        2 => log_in(cx, args, DEFAULT, args.at(1))?,
        3 => log_in(cx, args, args.at(1), args.at(2))?,
        _ => return Err(Error::Syntax),
    }
    if !cx.session.deferred {
        cx.reply.ok();
    }
    Ok(())
}

/// The reply to AUTH from an address that has failed too often. Its password was not checked.
const TOO_MANY_FAILURES: Error =
    Error::Text("ERR too many failed log-ins from this address: try again in a few seconds");

/// Whether AUTH must wait for its turn, and if so notes for how long: see [`Guesses`](crate::command::rows::acl::Guesses).
///
/// # Errors
/// If it has waited for too long, or cannot wait because it runs in a transaction.
fn waits_for_its_turn(cx: &mut SessionCx<'_>) -> Result<bool, Error> {
    let guesses = &cx.host.users().guesses;
    let session = &mut *cx.session;
    let Err(wait) = guesses.take(&session.client.address, Instant::now()) else {
        session.login_waited = Duration::ZERO;
        return Ok(false);
    };
    session.login_waited += wait;
    if session.clock.is_some() || session.login_waited > WAIT_MAX {
        session.login_waited = Duration::ZERO;
        guesses.refused.fetch_add(1, Ordering::Relaxed);
        return Err(TOO_MANY_FAILURES);
    }
    session.login_wait = Some(wait);
    session.deferred = true;
    Ok(true)
}

/// Logs in. `args` are the words of the request, for ACL LOG. If the request must wait, it is put off.
fn log_in(
    cx: &mut SessionCx<'_>,
    args: Args<'_>,
    user: &[u8],
    password: &[u8],
) -> Result<(), Error> {
    if waits_for_its_turn(cx)? {
        return Ok(());
    }
    let (users, dialect) = (cx.host.users(), cx.reply.dialect());
    if let Ok(login) = users.log_in(user, password) {
        users.guesses.give_back(&cx.session.client.address);
        cx.session.become_user(login, users, dialect);
        return Ok(());
    }
    let is_queued = cx.session.transaction.is_some();
    let denial = Denial {
        reason: Reason::Auth,
        context: if is_queued { "multi" } else { "toplevel" },
        object: args.at(0).to_vec(),
        user: user.to_vec(),
    };
    cx.publish();
    let length = cx.host.tunables().acl_log_max.load(Ordering::Relaxed);
    users
        .log
        .add(denial, length, || cx.session.client.line(dialect));
    Err(Error::Text(if dialect.has_modern_login_errors() {
        "WRONGPASS invalid username-password pair or user is disabled."
    } else {
        "WRONGPASS invalid username-password pair"
    }))
}

/// What HELLO's options request.
#[derive(Default)]
struct Greeting<'a> {
    login: Option<(&'a [u8], &'a [u8])>,
    name: Option<Vec<u8>>,
}

fn hello(cx: &mut SessionCx<'_>, args: Args<'_>) -> Result<(), Error> {
    let protocol = match args.get(1) {
        None => cx.reply.protocol(),
        Some(word) => protocol(word, cx.reply.dialect())?,
    };
    let greeting = greeting(cx, args)?;
    if let Some((user, password)) = greeting.login {
        log_in(cx, args, user, password)?;
    }
    if cx.session.deferred {
        return Ok(());
    }
    if !cx.session.authenticated {
        return Err(Error::Text(not_logged_in(cx.reply.dialect())));
    }
    if let Some(name) = greeting.name {
        cx.session.client.shown().name = name;
    }
    cx.switch(protocol);
    introduce(cx);
    Ok(())
}

const fn not_logged_in(dialect: Dialect) -> &'static str {
    if dialect.reads_hello_before_login() {
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> \
         option can be used to authenticate the client and select the RESP protocol version at the same time"
    } else {
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> \
         option can be used to authenticate the client and select the RESP protocol version at the same time"
    }
}

fn protocol(word: &[u8], dialect: Dialect) -> Result<Protocol, Error> {
    match integer(word) {
        Ok(2) => Ok(Protocol::Resp2),
        Ok(3) => Ok(Protocol::Resp3),
        Ok(_) => Err(Error::Text("NOPROTO unsupported protocol version")),
        Err(_) if !dialect.has_modern_login_errors() => {
            Err(Error::Text("NOPROTO unsupported protocol version"))
        }
        Err(_) => Err(Error::Text(
            "ERR Protocol version is not an integer or out of range",
        )),
    }
}

/// Reads the options. Older servers log the client in when they reach AUTH, so an error in a later option leaves it
/// authenticated.
fn greeting<'a>(cx: &mut SessionCx<'_>, args: Args<'a>) -> Result<Greeting<'a>, Error> {
    let dialect = cx.reply.dialect();
    let (mut at, mut greeting) = (2, Greeting::default());
    while at < args.len() {
        let more = args.len() - at - 1;
        if args.is(at, "auth") && more >= 2 {
            let (user, password) = (args.at(at + 1), args.at(at + 2));
            if !dialect.reads_hello_before_login() {
                log_in(cx, args, user, password)?;
                if cx.session.deferred {
                    return Ok(greeting);
                }
            }
            greeting.login = Some((user, password));
            at += 3;
        } else if args.is(at, "setname") && more >= 1 {
            let name = client::client_name(args.at(at + 1), dialect)?;
            greeting.name = Some(name);
            at += 2;
        } else {
            return Err(Error::quoting(
                "ERR Syntax error in HELLO option '{}'",
                &[args.at(at)],
            ));
        }
    }
    Ok(greeting)
}

fn introduce(cx: &mut SessionCx<'_>) {
    let dialect = cx.reply.dialect();
    let (major, minor, patch) = dialect.version;
    let server = match dialect.family {
        ServerFamily::Redis => "redis",
        ServerFamily::Valkey => "valkey",
    };
    let reply = &mut *cx.reply;
    reply.map(7);
    for (name, value) in [
        ("server", server),
        ("version", &format!("{major}.{minor}.{patch}")),
    ] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(if reply.is_resp3() { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(i64::try_from(cx.session.client.id).unwrap_or(i64::MAX));
    let mode = match cx.host.shows_cluster() {
        true => "cluster",
        false => "standalone",
    };
    for (name, value) in [("mode", mode), ("role", "replica")] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    introspection::modules(reply);
}
