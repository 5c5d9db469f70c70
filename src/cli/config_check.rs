//! `redtail config check`: says what is wrong with the settings, without starting anything.

use std::path::PathBuf;

use clap::ArgMatches;

use super::Failure;
use super::config::{self, ConfigFile, Loaded, Origins, Settings};
use super::output::print;
use super::serve::DENIED;

/// Checks flags, variables and the configuration file as serve would, and the files that they name. Never connects.
#[derive(Clone, clap::Args)]
pub struct Check {
    /// The configuration file to check
    #[arg(long, env = "REDTAIL_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The settings.
    #[command(flatten)]
    pub settings: Settings,
}

/// What the exit codes mean, shown below the help.
pub const EXIT_CODES: &str = "Exit codes: 0 redtail serve would start with these settings; 2 it would not, or a file that they name cannot be used.\n\
                              Each line that is printed says where, what is wrong, and what to do.";

/// Runs `redtail config check`. `matches` are those of the command.
///
/// # Errors
/// [`Failure::Usage`] with every mistake, a line each.
pub fn check(args: Check, matches: &ArgMatches) -> Result<(), Failure> {
    let path = args.config.as_deref();
    let file = path.map(ConfigFile::read).transpose()?;
    let origins = Origins::new(matches, file.as_ref());
    let mut problems = file.as_ref().map(ConfigFile::problems).unwrap_or_default();
    // What a broken file would have set is unknown, so only a file that is right is combined with the flags.
    if problems.is_empty() {
        let loaded = config::load(args.settings, args.config.as_ref(), matches)?;
        problems = loaded.settings.problems();
        problems
            .iter_mut()
            .for_each(|problem| *problem = origins.locate(problem));
        if problems.is_empty() {
            return print(report(&loaded));
        }
    }
    let count = match problems.len() {
        1 => "1 mistake in the settings".to_owned(),
        count => format!("{count} mistakes in the settings"),
    };
    Err(Failure::Usage(format!("{count}\n{}", problems.join("\n"))))
}

impl Loaded {
    /// Returns what to do if every user of the machine can read a password in the configuration file.
    fn shown_to_all(&self) -> Option<String> {
        let file = self.file.as_ref().filter(|file| file.is_open_to_all())?;
        let secret = self.origins.secret_in_file()?;
        let path = file.path().display();
        Some(format!(
            "{secret}: every user of this machine can read this password. Restrict the file to its owner: chmod 600 {path}"
        ))
    }
}

/// Returns what to print if nothing is wrong.
fn report(loaded: &Loaded) -> String {
    let mut lines: Vec<String> = Vec::new();
    let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    lines.extend(config::unknown_variables(names));
    let warnings = loaded.settings.warnings();
    lines.extend(
        warnings
            .iter()
            .map(|warning| loaded.origins.locate(warning)),
    );
    let server = loaded.settings.server();
    let denied = server.denied_listeners().into_iter();
    lines.extend(denied.map(|listen| format!("{listen}: {DENIED}")));
    lines.extend(loaded.shown_to_all());
    for line in &mut lines {
        line.insert_str(0, "warning: ");
    }
    lines.push("The settings are right.\n".to_owned());
    lines.join("\n")
}
