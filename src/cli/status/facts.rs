//! The facts of a status, whichever way they came.

use serde_json::Value;

use super::format::printable;

/// A status in the shape of /status.json. What is unknown is missing or null. Texts come without control characters.
#[derive(Debug, Clone)]
pub(super) struct Facts(Value);

impl Facts {
    pub(super) const fn new(status: Value) -> Self {
        Self(status)
    }

    /// Returns the status itself.
    pub(super) const fn json(&self) -> &Value {
        &self.0
    }

    fn at(&self, path: &str) -> Option<&Value> {
        self.0.pointer(path).filter(|value| !value.is_null())
    }

    /// Returns a text that is not empty.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let text = self.at(path)?.as_str()?;
        (!text.is_empty()).then(|| printable(text))
    }

    pub(super) fn number(&self, path: &str) -> Option<f64> {
        self.at(path)?.as_f64()
    }

    pub(super) fn flag(&self, path: &str) -> Option<bool> {
        self.at(path)?.as_bool()
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.at(path).is_some()
    }

    /// Returns the members of a list.
    pub(super) fn list(&self, path: &str) -> Vec<Self> {
        let list = self.at(path).and_then(Value::as_array);
        list.into_iter().flatten().cloned().map(Self).collect()
    }

    /// Returns the texts of a list.
    pub(super) fn texts(&self, path: &str) -> Vec<String> {
        self.list(path)
            .iter()
            .filter_map(|one| one.text(""))
            .collect()
    }

    /// Whether a redtail answered.
    pub(super) fn is_redtail(&self) -> bool {
        self.has("/redtail/version") && self.has("/health/condition")
    }

    /// Returns the headline: the condition with its reason and what to do, as the log has it.
    pub(super) fn sentence(&self) -> String {
        let title = self.text("/health/title").unwrap_or_default();
        let why = self.text("/health/why").unwrap_or_default();
        match self.text("/health/advice") {
            // An error may end with a question.
            Some(advice) if why.ends_with('?') => format!("{title}: {why} {advice}"),
            Some(advice) => format!("{title}: {why}. {advice}"),
            None => format!("{title}: {why}"),
        }
    }

    /// Returns what a server that is no redtail is.
    pub(super) fn stranger(&self) -> String {
        let name = match self.text("/redtail/dialect") {
            Some(name) => name
                .replacen("redis", "Redis", 1)
                .replacen("valkey", "Valkey", 1),
            None => "an unknown server".to_owned(),
        };
        match self.text("/server/role").as_deref() {
            Some("replica") => format!("this is {name}, a replica, and no redtail"),
            Some(_) => format!("this is {name}, a primary, and no redtail"),
            None => format!("this is {name}, and no redtail"),
        }
    }
}
