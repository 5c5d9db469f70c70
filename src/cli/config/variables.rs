//! Environment variables that look like redtail's but are unknown. Most are typing mistakes, so redtail reports them.

use super::FIELDS;
use super::near::nearest;

/// The prefix of all variables.
const PREFIX: &str = "REDTAIL_";

/// Variables of commands that are not settings.
const MORE: &[&str] = &["REDTAIL_CONFIG", "REDTAIL_SECONDS", "REDTAIL_ADDRESS"];

/// Returns a message about each environment variable that redtail does not know. It never shows a value.
pub fn unknown_variables(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let unknown =
        |name: &String| name.starts_with(PREFIX) && !is_known(name) && !is_of_kubernetes(name);
    names
        .into_iter()
        .filter(unknown)
        .map(|name| explain(&name))
        .collect()
}

fn known() -> impl Iterator<Item = &'static str> {
    let settings = FIELDS.iter().map(|field| field.variable);
    settings.chain(MORE.iter().copied())
}

fn is_known(name: &str) -> bool {
    known().any(|known| known == name)
}

/// Whether Kubernetes sets this variable for a service named redtail. Source: kubernetes `pkg/kubelet/envvars/envvars.go`.
fn is_of_kubernetes(name: &str) -> bool {
    let rest = name.strip_prefix(PREFIX).unwrap_or_default();
    rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_")
}

fn explain(name: &str) -> String {
    let rest = name.strip_prefix(PREFIX).unwrap_or_default();
    let rests = known().filter_map(|known| known.strip_prefix(PREFIX));
    match nearest(rest, rests) {
        Some(near) => {
            format!("redtail ignores the unknown variable {name}. Did you mean {PREFIX}{near}?")
        }
        None => format!(
            "redtail ignores the unknown variable {name}: redtail serve --help lists the known variables"
        ),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "a test may panic")]

    use super::*;

    fn said(names: &[&str]) -> Vec<String> {
        unknown_variables(names.iter().map(ToString::to_string))
    }

    #[test]
    fn a_slip_is_answered_with_the_name_that_was_meant() {
        let said = said(&["REDTAIL_PRIMRAY", "REDTAIL_QUUX", "HOME"]);
        assert_eq!(said.len(), 2);
        assert!(
            said[0].contains("REDTAIL_PRIMRAY")
                && said[0].ends_with("Did you mean REDTAIL_PRIMARY?")
        );
        assert!(said[1].contains("redtail serve --help"));
    }

    #[test]
    fn nothing_is_said_about_what_is_known_or_set_by_others() {
        let names = [
            "REDTAIL_PRIMARY",
            "REDTAIL_CONFIG",
            "REDTAIL_SECONDS",
            "REDTAIL_PROTECTED_MODE",
            "REDTAIL_PORT",
            "REDTAIL_PORT_6380_TCP_ADDR",
            "REDTAIL_SERVICE_HOST",
            "PATH",
        ];
        assert_eq!(said(&names), [""; 0]);
    }
}
