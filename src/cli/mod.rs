//! The command line: argv to exit code.
//!
//! Exit codes (`status` has more): 0 after a normal end (a signal, `--help`, a sound dump); 1 after a failure while running (a listener could not
//! be opened, a dump is broken); 2 for a wrong argument, variable or configuration file. A primary that is unreachable or
//! refuses redtail does not end the program: redtail logs it and tries again.

pub mod completions;
mod conceal;
pub mod config;
pub mod config_check;
pub mod demo;
pub mod log;
pub mod login;
pub mod man;
mod mistake;
#[cfg(not(feature = "http"))]
mod no_http;
mod notify;
mod output;
pub mod progress;
pub mod rdb;
pub mod serve;
pub mod status;
pub mod tail;

use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

/// A read-only, in-memory replica of a Redis or Valkey server.
#[derive(Parser)]
#[command(name = "redtail", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Subcommand)]
enum Commands {
    /// Follows a primary and answers clients
    #[command(after_help = EXIT_CODES)]
    Serve(Box<serve::Serve>),
    /// Follows a small primary inside this process, to try redtail with nothing installed
    Demo(demo::Demo),
    /// Shows how a running redtail is
    #[command(after_help = status::EXIT_CODES)]
    Status(Box<status::Status>),
    /// Prints the changes of a primary as they happen, one line each
    #[command(after_help = tail::EXIT_CODES, after_long_help = tail::help())]
    Tail(Box<tail::Tail>),
    /// Checks settings
    #[command(subcommand)]
    Config(Config),
    /// Reads RDB files
    #[command(subcommand)]
    Rdb(Rdb),
    /// Prints the completions of redtail's commands and flags for a shell
    #[command(after_help = completions::WHERE)]
    Completions(completions::Completions),
    /// Prints the manual page of a command, or writes the pages of all commands
    #[command(after_help = man::READ)]
    Man(man::Man),
}

#[derive(Subcommand)]
enum Config {
    /// Checks flags, variables and the configuration file as serve would, and the files that they name; never connects
    #[command(after_help = config_check::EXIT_CODES)]
    Check(Box<config_check::Check>),
}

#[derive(Subcommand)]
enum Rdb {
    /// Decodes whole dumps and reports what they hold, or where they are broken
    #[command(after_help = rdb::CHECK_CODES)]
    Check(rdb::Check),
    /// Prints dumps as JSON, one line per key
    #[command(after_help = rdb::READS, after_long_help = rdb::json_help())]
    Json(rdb::Json),
    /// Counts keys, elements and bytes by type, encoding, database, expiry and size
    #[command(after_help = rdb::READS)]
    Stats(rdb::Stats),
    /// Prints the biggest keys
    #[command(after_help = rdb::READS)]
    Keys(rdb::Keys),
    /// Prints what the keys below each prefix take, as a tree
    #[command(after_help = rdb::READS)]
    Prefix(rdb::Prefix),
    /// Writes one HTML page that shows what dumps hold
    #[command(after_help = rdb::READS)]
    Report(rdb::Report),
    /// Prints one row for each key: what it takes in memory, here and in servers
    #[command(after_help = rdb::READS)]
    Memory(rdb::Memory),
    /// Prints the keys that differ between two dumps
    #[command(after_help = rdb::DIFF_CODES)]
    Diff(rdb::Diff),
    /// Writes a new dump with some of the keys
    #[command(after_help = rdb::READS)]
    Filter(rdb::Filter),
    /// Answers reads from dumps, with no server behind them
    #[command(after_help = rdb::SERVE_ENDS)]
    Serve(rdb::Serve),
    /// Takes a dump from a live primary, as a replica takes it
    #[command(after_help = rdb::PULL_ENDS)]
    Pull(Box<rdb::Pull>),
    /// Prints the commands that create the keys again, for redis-cli --pipe
    #[command(after_help = rdb::READS)]
    Resp(rdb::Resp),
}

const EXIT_CODES: &str = "Exit codes: 0 ended by SIGTERM or SIGINT; 1 failed while running (for example, a listener could not be opened); \
                          2 wrong argument, variable or configuration file.\n\
                          Each setting can be given as a flag, as the variable shown with it, or in the configuration file under the flag's \
                          name without its dashes. A flag overrides the variable, and the variable overrides the file.";

/// Why the program ends.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// An argument, a variable or the configuration file is wrong.
    #[error("{0}")]
    Usage(String),
    /// Something failed while the program ran.
    #[error("{0}")]
    Runtime(String),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Runtime(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
        }
    }
}

/// Returns the definition of all commands and flags. The help, the manual and the reference are made from it.
#[must_use]
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    if let Err(error) = conceal::conceal_passwords() {
        eprintln!(
            "redtail: other users can see the password in the process list (ps), because redtail could not restart itself: {error}"
        );
    }
    let (cli, matches) = match parse() {
        Ok(parsed) => parsed,
        Err(error) => return mistake::report(&error),
    };
    let matches = innermost(&matches);
    let result = match cli.command {
        Commands::Serve(args) => serve::serve(*args, matches),
        Commands::Status(args) => return status::status(*args),
        Commands::Tail(args) => return tail::tail(*args),
        Commands::Config(Config::Check(args)) => config_check::check(*args, matches),
        Commands::Demo(args) => demo::demo(args),
        Commands::Completions(args) => completions::completions(&args),
        Commands::Man(args) => man::man(&args),
        Commands::Rdb(Rdb::Check(args)) => return rdb::check(&args),
        Commands::Rdb(Rdb::Json(args)) => return rdb::json(&args),
        Commands::Rdb(Rdb::Stats(args)) => return rdb::stats(&args),
        Commands::Rdb(Rdb::Keys(args)) => return rdb::keys(&args),
        Commands::Rdb(Rdb::Prefix(args)) => return rdb::prefix(&args),
        Commands::Rdb(Rdb::Serve(args)) => rdb::serve(args),
        Commands::Rdb(Rdb::Pull(args)) => return rdb::pull(&args),
        Commands::Rdb(Rdb::Report(args)) => return rdb::report(&args),
        Commands::Rdb(Rdb::Memory(args)) => return rdb::memory(&args),
        Commands::Rdb(Rdb::Diff(args)) => return rdb::diff(&args),
        Commands::Rdb(Rdb::Filter(args)) => return rdb::filter(&args),
        Commands::Rdb(Rdb::Resp(args)) => return rdb::resp(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

/// Says why the program ends, and returns the exit code.
fn fail(failure: &Failure) -> ExitCode {
    eprintln!("redtail: {failure}");
    failure.exit_code()
}

/// Parses the arguments and the variables. Returns them also as clap has found them, which tells one from the other.
fn parse() -> Result<(Cli, ArgMatches), clap::Error> {
    let mut command = Cli::command();
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    Ok((cli, matches))
}

/// Returns the arguments of the command itself.
fn innermost(matches: &ArgMatches) -> &ArgMatches {
    let mut inner = matches;
    while let Some((_, matches)) = inner.subcommand() {
        inner = matches;
    }
    inner
}
