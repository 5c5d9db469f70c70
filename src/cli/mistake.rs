//! Messages about wrong arguments.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Cli;

/// Rust's messages about a text that is not a number, and their replacements.
const NUMBERS: &[(&str, &str)] = &[
    ("invalid digit found in string", "write a whole number"),
    (
        "cannot parse integer from empty string",
        "write a whole number",
    ),
    (
        "number too large to fit in target type",
        "the number is too large",
    ),
    (
        "number too small to fit in target type",
        "the number is too small",
    ),
    ("is not in 0..=65535", "is not between 0 and 65535"),
    ("is not in 0..=255", "is not between 0 and 100"),
];

/// Prints the error, or the requested help, and returns the exit code.
pub(super) fn report(error: &clap::Error) -> ExitCode {
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    if let Some(words) = misplaced(error) {
        eprintln!("redtail: {words}");
    } else if let Some(words) = with_variable(error).or_else(|| in_plain_words(error)) {
        eprint!("{words}");
    } else {
        // If this fails, there is nowhere left to report it.
        let _ = error.print();
    }
    ExitCode::from(code)
}

/// Returns what to do with an argument that is right, but not where it is given.
fn misplaced(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    if given.contains("://") {
        // Not repeated: it may hold a password.
        return Some(
            "no address is expected here. To follow a primary, write redtail serve --primary redis://host:port".to_owned(),
        );
    }
    if given.parse::<f64>().is_ok_and(|number| number < 0.0) {
        return Some(format!(
            "{given} is below zero, which this setting cannot be"
        ));
    }
    flag_of_serve(given)
}

/// Returns what to do with a flag of `serve` that is given where `serve` does not see it.
fn flag_of_serve(given: &str) -> Option<String> {
    let name = given.strip_prefix("--")?;
    let cli = Cli::command();
    let serve = cli.find_subcommand("serve")?;
    let is_of_serve = serve
        .get_arguments()
        .any(|argument| argument.get_long() == Some(name));
    is_of_serve.then(|| {
        format!("{given} is a setting of the command serve: write it after serve, as in redtail serve {given} …")
    })
}

/// Returns the error with Rust's message about a wrong number replaced.
fn in_plain_words(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::ValueValidation {
        return None;
    }
    let text = error.render().to_string();
    let (rust, plain) = NUMBERS.iter().find(|(rust, _)| text.contains(rust))?;
    Some(text.replace(rust, plain))
}

/// Returns the error with the variable that holds the wrong value: the error itself names the flag, which nobody has written.
fn with_variable(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let flag = given.split([' ', '=']).next()?;
    let is_written = |argument: String| {
        argument
            .strip_prefix(flag)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    let mut arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    if arguments.any(is_written) {
        return None;
    }
    let variable = variable_of(&Cli::command(), flag.strip_prefix("--")?)?;
    std::env::var_os(&variable)?;
    let text = in_plain_words(error).unwrap_or_else(|| error.render().to_string());
    let (first, rest) = text.split_once('\n')?;
    Some(format!(
        "{first}\n  This is the value of the variable {variable}.\n{rest}"
    ))
}

/// Returns the variable of a flag of any command.
fn variable_of(command: &clap::Command, flag: &str) -> Option<String> {
    let mut own = command.get_arguments();
    let found =
        own.find(|argument| argument.get_long() == Some(flag) && argument.get_env().is_some());
    match found.and_then(clap::Arg::get_env) {
        Some(variable) => Some(variable.to_string_lossy().into_owned()),
        None => command
            .get_subcommands()
            .find_map(|inner| variable_of(inner, flag)),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use clap::Parser as _;

    fn error(words: &[&str]) -> clap::Error {
        let words = ["redtail"].iter().chain(words);
        Cli::try_parse_from(words).err().unwrap()
    }

    #[test]
    fn a_setting_before_its_command_is_explained() {
        for words in [
            &["--primary", "redis://h", "serve"][..],
            &["--primary=redis://h", "serve"],
            &["--primary", "redis://h"],
            &["demo", "--primary", "redis://h"],
        ] {
            let said = misplaced(&error(words)).unwrap();
            assert!(said.contains("redtail serve --primary …"), "{said}");
        }
        assert_eq!(misplaced(&error(&["--nonsense", "serve"])), None);
        assert_eq!(misplaced(&error(&["serve", "--primry", "h"])), None);
    }

    #[test]
    fn an_address_without_its_flag_and_a_negative_number_are_explained() {
        let address = misplaced(&error(&["serve", "redis://:secret@h"])).unwrap();
        assert!(address.contains("--primary redis://host:port"), "{address}");
        assert!(!address.contains("secret"), "{address}");
        let below = misplaced(&error(&["serve", "--timeout", "-5"])).unwrap();
        assert_eq!(below, "-5 is below zero, which this setting cannot be");
        assert_eq!(misplaced(&error(&["serve", "-x"])), None);
    }

    #[test]
    fn what_is_no_number_is_said_in_plain_words() {
        let said = |words: &[&str]| in_plain_words(&error(words)).unwrap();
        let many = said(&["serve", "--maxclients", "many"]);
        assert!(
            many.contains("'many' for '--maxclients <COUNT>': write a whole number"),
            "{many}"
        );
        let port = said(&["serve", "--announce-port", "70000"]);
        assert!(port.contains("70000 is not between 0 and 65535"), "{port}");
        assert!(in_plain_words(&error(&["serve", "--ack", "x"])).is_none());
    }
}
