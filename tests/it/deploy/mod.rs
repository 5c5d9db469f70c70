//! The files in `docs/deploy`, and what redtail does for those who run it.

mod image;
mod manifests;
mod notify;
mod package;
mod settings;
mod systemd;

use std::path::{Path, PathBuf};

/// The path of a file in `docs/deploy`.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/deploy")
        .join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
