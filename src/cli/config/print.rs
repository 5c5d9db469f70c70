//! The settings as a configuration file, each with where it comes from.

use clap::Args as _;

use super::file::ConfigFile;
use super::origin::{Given, Origins};
use super::{FIELDS, Field, Settings};

/// Returns the settings that apply as a configuration file. Passwords are left out.
#[must_use]
pub fn printed(origins: &Origins, file: Option<&ConfigFile>) -> String {
    let mut text = format!(
        "# The settings of redtail serve {}, and where each comes from. Passwords are not shown.\n",
        env!("CARGO_PKG_VERSION")
    );
    if let Some(file) = file {
        text.push_str(&format!(
            "# The configuration file is {}.\n",
            file.path().display()
        ));
    }
    text.push('\n');
    let defaults = Defaults::read();
    for field in FIELDS {
        let line = match origins.of(field) {
            Some(given) => given_line(given),
            None => default_line(field, defaults.of(field.name)),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn given_line(given: &Given) -> String {
    let Given {
        field,
        origin,
        values,
    } = given;
    let key = field.key();
    if field.is_secret {
        return format!("# {key} is not shown  # {origin}");
    }
    let values = values.as_deref().unwrap_or_default();
    let shown: Vec<String> = values
        .iter()
        .map(|value| without_passwords(value))
        .collect();
    let is_concealed = shown != values;
    match assignment(&key, &shown) {
        Some(line) if is_concealed => format!("{line}  # {origin}; the password is not shown"),
        Some(line) => format!("{line}  # {origin}"),
        None => format!("# {key} is no text in UTF-8  # {origin}"),
    }
}

fn default_line(field: &Field, default: Option<&str>) -> String {
    let key = field.key();
    let words = default.unwrap_or("none");
    // What has no blank is a value; the rest says in words what happens without one.
    let value = words
        .split(" (")
        .next()
        .filter(|value| !value.contains(' ') && *value != "none");
    let line = value.and_then(|value| assignment(&key, &[value.to_owned()]));
    match line {
        Some(line) => format!("{line}  # default"),
        None => format!("# {key} is not set  # default: {words}"),
    }
}

/// Returns `key = value` in the form that the setting is read from; `None` if there is none.
fn assignment(key: &str, values: &[String]) -> Option<String> {
    let quoted = |value: &String| toml::Value::String(value.clone()).to_string();
    let list: Vec<String> = values.iter().map(quoted).collect();
    let forms = match values {
        [] => Vec::new(),
        [value] => {
            let number = value.parse::<i64>().ok().map(|number| number.to_string());
            number.into_iter().chain([quoted(value)]).collect()
        }
        _ => vec![format!("[{}]", list.join(", "))],
    };
    let lines = forms.into_iter().map(|form| format!("{key} = {form}"));
    let mut right = lines.filter(|line| toml::from_str::<Settings>(line).is_ok());
    right.next()
}

/// Returns a text in which addresses have no passwords.
fn without_passwords(text: &str) -> String {
    let parts: Vec<String> = text.split(',').map(without_password).collect();
    parts.join(",")
}

fn without_password(address: &str) -> String {
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), address),
    };
    let Some((login, host)) = rest.rsplit_once('@') else {
        return address.to_owned();
    };
    match login.split_once(':') {
        None => address.to_owned(),
        Some(("", _)) => format!("{scheme}{host}"),
        Some((user, _)) => format!("{scheme}{user}@{host}"),
    }
}

/// The defaults, as the help shows them.
struct Defaults(Vec<(String, String)>);

impl Defaults {
    fn read() -> Self {
        let command = Settings::augment_args(clap::Command::new("settings"));
        let default = |argument: &clap::Arg| {
            let help = argument
                .get_long_help()
                .or_else(|| argument.get_help())?
                .to_string();
            let first = help.lines().next()?;
            let (_, default) = first.split_once("[default: ")?;
            Some((
                argument.get_id().to_string(),
                default.strip_suffix(']')?.to_owned(),
            ))
        };
        Self(command.get_arguments().filter_map(default).collect())
    }

    fn of(&self, field: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| name == field);
        found.map(|(_, default)| default.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_left_in_an_address() {
        for (given, shown) in [
            ("redis://a:b@h:1", "redis://a@h:1"),
            ("redis://:b@h", "redis://h"),
            ("a:b@h", "a@h"),
            ("redis://a@h,rediss://:p%40@h2", "redis://a@h,rediss://h2"),
            (
                "sentinel://u:p@h,h2/name?prefer=replica",
                "sentinel://u@h,h2/name?prefer=replica",
            ),
            ("unix:/run/redis.sock", "unix:/run/redis.sock"),
            ("h:6379", "h:6379"),
        ] {
            assert_eq!(without_passwords(given), shown);
        }
    }
}
