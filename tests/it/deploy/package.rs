//! What is published contains what it is built from.

use std::path::Path;
use std::process::Command;

/// The files that macros of this file's text include: `include_str!` and `include_bytes!`, relative to `src`.
fn included(source: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(source).expect("the source is there");
    let calls = ["include_str!(\"", "include_bytes!(\""];
    let found = calls.iter().flat_map(|call| text.split(call).skip(1));
    found
        .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
        .collect()
}

fn sources(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in directory.read_dir().expect("the source is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn a_published_crate_has_every_file_that_the_program_includes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["package", "--list", "--allow-dirty", "--offline"])
        .current_dir(root);
    let output = command.output().expect("cargo starts");
    assert!(output.status.success(), "{output:?}");
    let packed = String::from_utf8_lossy(&output.stdout).into_owned();

    let mut all = Vec::new();
    sources(&root.join("src"), &mut all);
    let mut checked = 0;
    for source in all.iter().filter(|source| !source.ends_with("tests.rs")) {
        for name in included(source) {
            let path = source.parent().expect("a directory").join(&name);
            let path = path
                .canonicalize()
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let path = path
                .strip_prefix(root.canonicalize().expect("the root"))
                .expect("inside");
            let path = path.display().to_string();
            assert!(
                packed.lines().any(|line| line == path),
                "{path}, included by {}, is excluded",
                source.display()
            );
            checked += 1;
        }
    }
    assert!(checked >= 5, "{checked}");
}
