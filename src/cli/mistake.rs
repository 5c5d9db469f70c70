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
    } else if let Some(words) = in_plain_words(error) {
        eprint!("{words}");
    } else {
        // If this fails, there is nowhere left to report it.
        let _ = error.print();
    }
    ExitCode::from(code)
}

/// Returns what to do with a flag of `serve` that is given where `serve` does not see it.
fn misplaced(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
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
