//! Keeping passwords out of `ps`.
//!
//! A process's arguments can be read by every user of the machine for as long as it lives, its environment by its owner
//! only. A program that was started with a password among its arguments therefore starts itself anew, as the same process,
//! with those values moved to their variables. They are visible for the milliseconds until then.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Flags whose values may be or hold a password, and their variables.
const SECRETS: &[(&str, &str)] = &[
    ("--primary", "REDTAIL_PRIMARY"),
    ("--primary-password", "REDTAIL_PRIMARY_PASSWORD"),
    ("--requirepass", "REDTAIL_REQUIREPASS"),
];

/// Arguments without passwords, and the variables that now hold them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Concealed {
    arguments: Vec<OsString>,
    variables: Vec<(&'static str, OsString)>,
}

/// Starts the program anew if there is a password among its arguments; gives what kept it from doing so.
///
/// # Errors
/// The system's error. The program can go on, with its arguments as they are.
pub(super) fn conceal_passwords() -> std::io::Result<()> {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let concealed = concealed(arguments);
    if concealed.variables.is_empty() {
        return Ok(());
    }
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg0(name)
        .args(concealed.arguments)
        .envs(concealed.variables);
    Err(command.exec())
}

fn concealed(mut arguments: impl Iterator<Item = OsString>) -> Concealed {
    let mut concealed = Concealed::default();
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy().into_owned();
        let (flag, attached) = match text.split_once('=') {
            Some((flag, value)) => (flag, Some(OsString::from(value))),
            None => (text.as_str(), None),
        };
        let Some((_, variable)) = SECRETS.iter().find(|(secret, _)| *secret == flag) else {
            concealed.arguments.push(argument);
            continue;
        };
        let separate = attached.is_none();
        match attached.or_else(|| arguments.next()) {
            Some(value) if holds_password(flag, &value) => {
                concealed.variables.push((variable, value))
            }
            value => {
                concealed.arguments.push(argument);
                concealed.arguments.extend(value.filter(|_| separate));
            }
        }
    }
    concealed
}

/// An address holds one only if it names a user.
fn holds_password(flag: &str, value: &OsStr) -> bool {
    flag != "--primary" || value.to_string_lossy().contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conceal(arguments: &[&str]) -> (Vec<String>, Vec<(&'static str, String)>) {
        let found = concealed(arguments.iter().map(OsString::from));
        let text = |value: OsString| value.to_string_lossy().into_owned();
        let variables = found
            .variables
            .into_iter()
            .map(|(variable, value)| (variable, text(value)));
        (
            found.arguments.into_iter().map(text).collect(),
            variables.collect(),
        )
    }

    #[test]
    fn moves_passwords_and_nothing_else() {
        let (arguments, variables) = conceal(&[
            "serve",
            "--primary",
            "redis://a:b@h",
            "--listen",
            "127.0.0.1:1",
            "--requirepass=c=d",
            "--primary-password",
            "e",
        ]);
        assert_eq!(arguments, ["serve", "--listen", "127.0.0.1:1"]);
        let expected = [
            ("REDTAIL_PRIMARY", "redis://a:b@h"),
            ("REDTAIL_REQUIREPASS", "c=d"),
            ("REDTAIL_PRIMARY_PASSWORD", "e"),
        ];
        assert_eq!(
            variables,
            expected.map(|(variable, value)| (variable, value.to_owned()))
        );
    }

    #[test]
    fn leaves_arguments_without_a_password_alone() {
        for arguments in [
            &["serve", "--primary", "redis://h:1", "--listen", "x"][..],
            &["serve", "--primary=redis://h:1"],
            &["serve", "--primary"],
            &["rdb", "check", "--help"],
            &[],
        ] {
            assert_eq!(
                conceal(arguments),
                (
                    arguments.iter().map(ToString::to_string).collect(),
                    Vec::new()
                )
            );
        }
    }
}
