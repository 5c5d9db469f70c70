//! `redtail status`: how a running redtail is, on one screen.
//!
//! Asks over the protocol of clients (INFO), so that it works with any redtail, or over HTTP (/status.json). Either way the facts
//! take the shape of /status.json (`facts`), and the words are redtail's own: this program only lays them out.

mod address;
mod facts;
mod format;
mod history;
mod http;
mod info;
mod screen;
mod source;
mod terminal;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use self::address::Target;
use self::facts::Facts;
use self::history::Rates;
use self::screen::Shown;
use self::source::{NoStatus, Source, Token};
use self::watch::Form;
use super::config::{Period, Switch};
use super::output::print;
use super::{Failure, fail};
use crate::secret::Secret;
use crate::upstream::{Password, Tls};

/// Shows how a running redtail is.
#[derive(Debug, Clone, clap::Args)]
pub struct Status {
    /// The redtail to ask [default: the first address in REDTAIL_LISTEN, or else 127.0.0.1:6380]
    ///
    /// host:port, redis://user:password@host:port, rediss://… over TLS, unix:/path, or http://host:port of its HTTP listener.
    #[arg(
        env = "REDTAIL_ADDRESS",
        hide_env_values = true,
        value_name = "ADDRESS"
    )]
    pub address: Option<String>,
    /// Shows the status again each second, with rates and small charts; q ends it
    #[arg(long)]
    pub watch: bool,
    /// Prints the status as JSON, in the shape of /status.json
    #[arg(long)]
    pub json: bool,
    /// Prints one line; for scripts and health checks
    ///
    /// --check=reads is content with a redtail that answers reads, in sync or not.
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "sync",
        conflicts_with_all = ["watch", "json"]
    )]
    pub check: Option<Check>,
    /// The user to authenticate as [default: the one in the address]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The password for clients [default: the one in the address]
    ///
    /// It is sent only if the server asks for it. Set it in REDTAIL_REQUIREPASS: other users can see an argument in `ps` for a
    /// moment.
    #[arg(
        long,
        env = "REDTAIL_REQUIREPASS",
        hide_env_values = true,
        value_name = "PASSWORD"
    )]
    pub password: Option<String>,
    /// A file that holds the password for clients [default: none]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// The token for HTTP [default: none]
    #[arg(
        long,
        env = "REDTAIL_HTTP_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub token: Option<String>,
    /// A file that holds the token for HTTP [default: none]
    #[arg(long, env = "REDTAIL_HTTP_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A PEM file of the authorities that may sign redtail's certificate [default: the system's]
    #[arg(long, value_name = "FILE")]
    pub tls_ca_cert_file: Option<PathBuf>,
    /// A PEM file of the client certificate to present [default: none]
    #[arg(long, value_name = "FILE")]
    pub tls_cert_file: Option<PathBuf>,
    /// A PEM file of the client certificate's private key [default: the certificate's own file]
    #[arg(long, value_name = "FILE")]
    pub tls_key_file: Option<PathBuf>,
    /// The name that redtail's certificate must have [default: the host in the address]
    #[arg(long, value_name = "NAME")]
    pub tls_sni: Option<String>,
    /// Whether to check the name in redtail's certificate: yes or no [default: yes]
    #[arg(long, value_name = "YES|NO")]
    pub tls_verify_name: Option<Switch>,
    /// How long to wait for each answer, with a unit: 5s or 500ms [default: 5s]
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<Period>,
}

/// What a check asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Check {
    /// In sync
    Sync,
    /// Reads are answered
    Reads,
}

/// What the exit codes mean, shown below the help.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  in sync; with --check=reads: reads are answered; with --watch: ended
  1  reads are answered, but it is not in sync
  2  wrong argument
  3  no redtail answered: nothing listens, a login is refused, or it is another server
  4  reads are refused: there is no data yet, or it is older than --max-staleness allows";

/// Runs `redtail status`.
#[must_use]
pub fn status(args: Status) -> ExitCode {
    match run(args) {
        Ok(code) => code,
        Err(failure) => fail(&failure),
    }
}

fn run(args: Status) -> Result<ExitCode, Failure> {
    let source = source(&args)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Runtime(format!("cannot start: {error}")))?;
    if args.watch {
        let form = match (args.json, terminal::is_capable()) {
            (true, _) => Form::Json,
            (false, true) => Form::Screen,
            (false, false) => Form::Lines,
        };
        runtime.block_on(watch::watch(source, form))?;
        return Ok(ExitCode::SUCCESS);
    }
    match runtime.block_on(source.ask()) {
        Ok(facts) => {
            print(shown(&args, &source, &facts))?;
            Ok(code(&facts, args.check))
        }
        Err(NoStatus(why)) => {
            eprintln!("redtail: no status of {}: {why}", source.target);
            Ok(ExitCode::from(NO_REDTAIL))
        }
    }
}

/// Returns what to print.
fn shown(args: &Status, source: &Source, facts: &Facts) -> String {
    if args.json {
        return format!("{}\n", facts.json());
    }
    if args.check.is_some() {
        let is_redtail = facts.is_redtail();
        return format!(
            "{}\n",
            if is_redtail {
                facts.sentence()
            } else {
                facts.stranger()
            }
        );
    }
    let address = source.target.to_string();
    let width = terminal::is_capable().then(|| terminal::size().0);
    let shown = Shown {
        address: &address,
        facts,
        rates: Rates::default(),
        history: None,
        width,
    };
    let in_colour = terminal::in_colour();
    let lines = shown.lines();
    lines
        .iter()
        .map(|line| line.painted(in_colour).trim_end().to_owned() + "\n")
        .collect()
}

/// The exit code if no redtail answered.
const NO_REDTAIL: u8 = 3;

fn code(facts: &Facts, check: Option<Check>) -> ExitCode {
    let is_in_sync = facts.text("/health/condition").as_deref() == Some("in_sync");
    let code = match (facts.flag("/health/answers_reads"), check) {
        _ if !facts.is_redtail() => NO_REDTAIL,
        (Some(true), Some(Check::Reads)) => 0,
        (Some(true), _) if is_in_sync => 0,
        (Some(true), _) => 1,
        _ => 4,
    };
    ExitCode::from(code)
}

fn source(args: &Status) -> Result<Source, Failure> {
    let target = Target::new(args.address.as_deref())?;
    let tls = tls(args, &target)?;
    let given = |text: &String| Password::Given(Secret::new(text.as_str()));
    let filled = |text: &&String| !text.is_empty();
    // A file that somebody names is meant more than a variable that is there.
    let file = args.password_file.clone().map(Password::File);
    let token_file = args.token_file.clone().map(Token::File);
    let token = args.token.as_ref().filter(filled);
    Ok(Source {
        target,
        user: args.user.clone(),
        password: file.or_else(|| args.password.as_ref().filter(filled).map(given)),
        token: token_file.or_else(|| token.map(|token| Token::Given(Secret::new(token.as_str())))),
        tls,
        patience: args.timeout.map_or(PATIENCE, |Period(time)| time),
    })
}

/// How long each step of a question may take.
const PATIENCE: Duration = Duration::from_secs(5);

fn tls(args: &Status, target: &Target) -> Result<Tls, Failure> {
    let tls = Tls {
        ca_cert_file: args.tls_ca_cert_file.clone(),
        ca_cert_dir: None,
        cert_file: args.tls_cert_file.clone(),
        key_file: args.tls_key_file.clone(),
        server_name: args.tls_sni.clone(),
        any_name: args.tls_verify_name == Some(Switch::No),
    };
    let uses_tls = matches!(target, Target::Clients(node) if node.tls);
    if tls != Tls::default() && !uses_tls {
        return Err(Failure::Usage(
            "the --tls-… settings need an address that uses TLS: write rediss://host:port, or leave these settings out".to_owned(),
        ));
    }
    Ok(tls)
}
