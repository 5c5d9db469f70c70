//! The public face of the library: every item that rustdoc shows is listed in `face.txt`, so that growth is seen in review.
//!
//! After a wanted change, write the list anew with `REDTAIL_WRITE_DOCS=1 tests/run face`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const LISTED: &str = include_str!("face.txt");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Documents the library, and returns the folder with its pages.
fn documented() -> PathBuf {
    let target = root().join("target/face");
    let status = Command::new(env!("CARGO"))
        .args(["doc", "--quiet", "--no-deps", "--lib", "--target-dir"])
        .arg(&target)
        .current_dir(root())
        .status();
    assert!(status.expect("cargo starts").success());
    target.join("doc/redtail")
}

/// The parts of `text` between `open` and `close`.
fn between<'t>(text: &'t str, open: &str, close: char) -> impl Iterator<Item = &'t str> {
    text.split(open)
        .skip(1)
        .filter_map(move |rest| rest.split(close).next())
}

/// The part of a page about the item itself, without traits.
fn own(page: &str) -> &str {
    let own = page.split("id=\"trait-implementations\"").next();
    let own = own.and_then(|own| own.split("id=\"synthetic-implementations\"").next());
    own.unwrap_or_default()
}

/// The items of a page: fields, variants and methods, without those of traits.
fn members(page: &str) -> BTreeSet<&str> {
    const KINDS: [&str; 5] = [
        "structfield.",
        "variant.",
        "method.",
        "tymethod.",
        "associatedconstant.",
    ];
    between(own(page), "id=\"", '"')
        .filter(|id| KINDS.iter().any(|kind| id.starts_with(kind)))
        .collect()
}

/// The item of a page: `config/struct.Tls.html` is `config::Tls`.
fn name(link: &str) -> String {
    let (path, file) = link.rsplit_once('/').unwrap_or(("", link));
    let item = file.split('.').nth(1).unwrap_or(file);
    match path {
        "" => item.to_owned(),
        path => format!("{}::{item}", path.replace('/', "::")),
    }
}

#[test]
fn every_public_item_is_listed() {
    let folder = documented();
    let all = fs::read_to_string(folder.join("all.html")).expect("rustdoc writes it");
    let mut pages: Vec<&str> = between(&all, "<a href=\"", '"')
        .filter(|link| link.ends_with(".html") && !link.contains("index.html"))
        .collect();
    pages.sort_by_key(|link| name(link));
    let mut found = String::new();
    for link in pages {
        let kind = link
            .rsplit('/')
            .next()
            .unwrap_or(link)
            .split('.')
            .next()
            .unwrap_or(link);
        writeln!(found, "{kind} {}", name(link)).expect("a string grows");
        let page = fs::read_to_string(folder.join(link)).expect("rustdoc writes it");
        // A link to something that is not part of the face stays as it was written.
        let dead = ["super::", "crate::"].map(|start| format!("href=\"{start}"));
        assert!(
            !dead.iter().any(|link| own(&page).contains(link)),
            "{link} has a dead link"
        );
        for member in members(&page) {
            writeln!(found, "    {member}").expect("a string grows");
        }
    }
    if std::env::var_os("REDTAIL_WRITE_DOCS").is_some() {
        return fs::write(root().join("tests/it/face.txt"), found).expect("the list is writable");
    }
    assert!(
        found == LISTED,
        "the public face has changed; if that is wanted, run REDTAIL_WRITE_DOCS=1 tests/run face\n{found}"
    );
}

#[test]
fn members_of_traits_are_left_out() {
    let page = r#"<section id="method.new"><span id="structfield.a"><h2 id="trait-implementations"><section id="method.clone">"#;
    assert_eq!(
        members(page),
        BTreeSet::from(["method.new", "structfield.a"])
    );
    assert_eq!(name("config/struct.Tls.html"), "config::Tls");
    assert_eq!(name("enum.Error.html"), "Error");
}
