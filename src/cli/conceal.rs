//! Keeps passwords out of `ps`.
//!
//! While a process lives, every user of the machine can read its arguments, but only its owner can read its environment. If
//! redtail is started with a password in its arguments, it therefore executes itself again as the same process, with those
//! values moved to their variables. The password is visible only for the milliseconds before that.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::config::secret_fields;

/// Returns the flags whose values may contain a password, and their variables.
fn secrets() -> Vec<(String, &'static str)> {
    let settings = secret_fields().map(|field| (field.flag(), field.variable));
    let others = OTHERS
        .iter()
        .map(|(flag, variable)| ((*flag).to_owned(), *variable));
    settings.chain(others).collect()
}

/// Those that are no secret settings.
const OTHERS: &[(&str, &str)] = &[
    (ADDRESS, "REDTAIL_PRIMARY"),
    ("--password", "REDTAIL_REQUIREPASS"),
    ("--token", "REDTAIL_HTTP_TOKEN"),
];

/// Commands whose only argument that is no flag is an address, with its variable.
const ADDRESSED: &[(&[&str], &str)] = &[
    (&["status"], "REDTAIL_ADDRESS"),
    (&["tail"], "REDTAIL_PRIMARY"),
    (&["rdb", "pull"], "REDTAIL_PRIMARY"),
];

/// Flags of these commands whose values may look like an address with a password.
const NO_ADDRESSES: &[&str] = &[
    "--user",
    "--tls-sni",
    "--match",
    "--primary-user",
    "--sentinel-user",
    "--state-dir",
    "--config",
    "--output",
    "-o",
    "--regex",
    "--except",
    "--type",
];

/// Arguments without passwords, and the variables that now hold them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Concealed {
    arguments: Vec<OsString>,
    variables: Vec<(&'static str, OsString)>,
}

/// Restarts the program if its arguments contain a password. If that succeeds, this function does not return.
///
/// # Errors
/// The system's error if the restart fails. The program can continue with its arguments unchanged.
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
    let mut addresses = Addresses::default();
    let secrets = secrets();
    let mut before = String::new();
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy().into_owned();
        let mut addressed = ADDRESSED.iter();
        let asked = addressed.find(|(command, _)| is_command(&concealed.arguments, command));
        let flag_before = std::mem::replace(&mut before, text.clone());
        if let Some((_, variable)) = asked
            && is_address(&text)
            && !NO_ADDRESSES.contains(&flag_before.as_str())
        {
            concealed.variables.push((*variable, argument));
            continue;
        }
        let (flag, attached) = match text.split_once('=') {
            Some((flag, value)) => (flag, Some(OsString::from(value))),
            None => (text.as_str(), None),
        };
        let Some((flag, variable)) = secrets.iter().find(|(secret, _)| secret == flag) else {
            concealed.arguments.push(argument);
            continue;
        };
        match attached.or_else(|| arguments.next()) {
            Some(value) if flag == ADDRESS => addresses.given.push(value),
            Some(value) => concealed.variables.push((variable, value)),
            None => concealed.arguments.push(argument),
        }
    }
    addresses.pass_on(&mut concealed);
    concealed
}

/// Whether the arguments begin with the words of a command.
fn is_command(arguments: &[OsString], command: &[&str]) -> bool {
    let begin = arguments.get(..command.len());
    begin.is_some_and(|begin| begin.iter().zip(command).all(|(one, word)| one == word))
}

/// Whether the text is an address with a login.
fn is_address(text: &str) -> bool {
    !text.starts_with('-') && text.contains('@')
}

/// The flag that may be repeated.
const ADDRESS: &str = "--primary";

/// The addresses given. If one holds a password, all of them go into the variable, because flags replace the variable.
#[derive(Default)]
struct Addresses {
    given: Vec<OsString>,
}

impl Addresses {
    fn pass_on(self, concealed: &mut Concealed) {
        let texts: Option<Vec<&str>> = self.given.iter().map(|value| value.to_str()).collect();
        match texts {
            // One holds a password only if it names a user.
            Some(texts) if texts.iter().any(|text| text.contains('@')) => {
                let all: Vec<String> = texts.into_iter().map(with_scheme).collect();
                let variable = ("REDTAIL_PRIMARY", OsString::from(all.join(",")));
                concealed.variables.push(variable);
            }
            _ => {
                for value in self.given {
                    concealed.arguments.extend([OsString::from(ADDRESS), value]);
                }
            }
        }
    }
}

/// Returns an address in the form that a list needs.
fn with_scheme(address: &str) -> String {
    if address.contains('@') && !address.contains("://") {
        format!("redis://{address}")
    } else {
        address.to_owned()
    }
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
            ("REDTAIL_REQUIREPASS", "c=d"),
            ("REDTAIL_PRIMARY_PASSWORD", "e"),
            ("REDTAIL_PRIMARY", "redis://a:b@h"),
        ];
        assert_eq!(
            variables,
            expected.map(|(variable, value)| (variable, value.to_owned()))
        );
    }

    #[test]
    fn moves_all_addresses_when_one_of_them_holds_a_password() {
        let (arguments, variables) = conceal(&[
            "--primary",
            "h:1",
            "--primary=a:b@h",
            "--primary",
            "unix:/s",
        ]);
        assert_eq!(arguments, [""; 0]);
        let joined = "h:1,redis://a:b@h,unix:/s".to_owned();
        assert_eq!(variables, [("REDTAIL_PRIMARY", joined)]);
    }

    #[test]
    fn moves_the_password_of_an_asked_address() {
        let (arguments, variables) = conceal(&[
            "status",
            "--watch",
            "redis://u:p@h",
            "--user",
            "a@b",
            "--token=t",
            "--password",
            "p",
        ]);
        assert_eq!(arguments, ["status", "--watch", "--user", "a@b"]);
        let expected = [
            ("REDTAIL_ADDRESS", "redis://u:p@h"),
            ("REDTAIL_HTTP_TOKEN", "t"),
            ("REDTAIL_REQUIREPASS", "p"),
        ];
        assert_eq!(
            variables,
            expected.map(|(name, value)| (name, value.to_owned()))
        );
        let (arguments, variables) = conceal(&["tail", "--match", "a@b", "rediss://u:p@h"]);
        assert_eq!(arguments, ["tail", "--match", "a@b"]);
        assert_eq!(
            variables,
            [("REDTAIL_PRIMARY", "rediss://u:p@h".to_owned())]
        );
        let pull = [
            "rdb",
            "pull",
            "-o",
            "a@b.rdb",
            "redis://u:p@h",
            "--except",
            "c@*",
        ];
        let (arguments, variables) = conceal(&pull);
        assert_eq!(
            arguments,
            ["rdb", "pull", "-o", "a@b.rdb", "--except", "c@*"]
        );
        assert_eq!(variables, [("REDTAIL_PRIMARY", "redis://u:p@h".to_owned())]);
        let (arguments, variables) = conceal(&["status", "127.0.0.1:7"]);
        assert_eq!((arguments.len(), variables.len()), (2, 0));
    }

    #[test]
    fn leaves_arguments_without_a_password_alone() {
        for arguments in [
            &["serve", "--listen", "x", "--primary", "redis://h:1"][..],
            &["serve", "--primary"],
            &["rdb", "check", "a@b.rdb"],
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
