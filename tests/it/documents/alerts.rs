//! Every alert rule has a section in `docs/operations.md`, and every such section an alert.

use std::collections::BTreeSet;

use super::markdown::{anchors, home, prose, text};

const PAGE: &str = "docs/operations.md";
const RULES: &str = "docs/deploy/prometheus/alerts.yml";

/// The names of the alerts.
fn alerts() -> BTreeSet<String> {
    let rules = text(RULES);
    let named = |line: &str| {
        let line = line.trim_start().trim_start_matches("- ");
        let name = line.strip_prefix("alert:")?;
        Some(name.trim().trim_matches(['"', '\'']).to_owned())
    };
    rules.lines().filter_map(named).collect()
}

/// The headings between "What each alert means" and the next heading of that level.
fn explained() -> BTreeSet<String> {
    let page = text(PAGE);
    let mut is_inside = false;
    let mut found = BTreeSet::new();
    for (_, line) in prose(&page) {
        if let Some(title) = line.strip_prefix("## ") {
            is_inside = title == "What each alert means";
        } else if let Some(title) = line.strip_prefix("### ").filter(|_| is_inside) {
            found.insert(title.to_owned());
        }
    }
    found
}

#[test]
fn every_alert_is_explained() {
    if !home().join(RULES).exists() {
        return;
    }
    let (alerts, explained) = (alerts(), explained());
    assert!(!alerts.is_empty(), "{RULES} has no alerts");
    assert_eq!(
        alerts, explained,
        "the alerts of {RULES}, and the sections of {PAGE}"
    );
    let anchors = anchors(&text(PAGE));
    for alert in alerts {
        assert!(anchors.contains(&alert.to_lowercase()), "{alert}");
    }
}
