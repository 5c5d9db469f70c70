//! Who may use whom: the rooms of `src/` and the paths `crate::…` in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room, and what it may use besides itself. Anyone may use `limits`, `dialect` and `words`, which use nobody.
const ROOMS: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("dialect", &[]),
    ("words", &[]),
    ("resp", &[]),
    ("rdb", &["resp"]),
    ("value", &["rdb", "resp"]),
    ("store", &["value", "rdb", "resp"]),
    ("command", &["store", "value", "resp", "rdb"]),
    ("upstream", &["resp"]),
    ("state", &["upstream", "store", "rdb"]),
    (
        "replica",
        &[
            "upstream", "state", "rdb", "command", "store", "value", "resp",
        ],
    ),
    ("script", &["command", "store", "resp"]),
    ("server", &["script", "command", "store", "resp"]),
    (
        "cli",
        &[
            "server", "replica", "upstream", "state", "rdb", "command", "store", "resp", "value",
        ],
    ),
    // The bodies of the fuzz targets.
    ("fuzzing", &["replica", "rdb", "resp", "store", "value"]),
    // The crate's own file: the library handle.
    (
        "lib",
        &[
            "server", "replica", "upstream", "rdb", "command", "store", "resp", "value", "cli",
        ],
    ),
    ("main", &[]),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every source file, with the room it is in.
fn files() -> Vec<(String, PathBuf)> {
    let mut files = Vec::new();
    let mut directories = vec![source()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("the source is there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path
                    .strip_prefix(source())
                    .expect("it is inside")
                    .with_extension("");
                let room = inside
                    .components()
                    .next()
                    .expect("a name")
                    .as_os_str()
                    .to_string_lossy()
                    .into_owned();
                files.push((room, path));
            }
        }
    }
    files
}

/// The rooms that a file names as `crate::room` or in `use crate::{room::…, room::…}`, its test module aside.
fn used(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let code: String = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut rooms = BTreeSet::new();
    for path in code.split("crate::").skip(1) {
        match path.strip_prefix('{') {
            Some(group) => rooms.extend(heads(group)),
            None => rooms.extend(head(path)),
        }
    }
    rooms
}

fn head(path: &str) -> Option<String> {
    let name: String = path
        .trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    Some(name).filter(|name| !name.is_empty())
}

/// The first names of the members of a `{…}` group, behind its opening brace.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut member, mut heads_found) = (1_u32, String::new(), Vec::new());
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => heads_found.extend(head(&std::mem::take(&mut member))),
            _ if depth == 1 => member.push(character),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads_found.extend(head(&member));
    heads_found
}

#[test]
fn a_room_uses_only_the_rooms_below_it() {
    let names: BTreeSet<&str> = ROOMS.iter().map(|(name, _)| *name).collect();
    let mut wrong = Vec::new();
    for (room, path) in files() {
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("{} is in no known room", path.display()));
            continue;
        };
        let is_test = path
            .file_stem()
            .is_some_and(|stem| stem.to_string_lossy().ends_with("tests"));
        if is_test {
            continue;
        }
        for target in used(&fs::read_to_string(&path).expect("source is text")) {
            let common = target == room
                || target == "limits"
                || target == "dialect"
                || target == "words"
                || !names.contains(target.as_str());
            if !common && !allowed.contains(&target.as_str()) {
                wrong.push(format!("{} uses {target}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn groups_and_single_paths_are_both_seen() {
    let text = "use crate::{rdb::{a, b}, store, value::c};\nfn f() -> crate::resp::Reply {}\n// crate::cli\n";
    let expected = ["rdb", "resp", "store", "value"].map(str::to_owned);
    assert_eq!(used(text), BTreeSet::from(expected));
}

#[test]
fn unsafe_code_is_only_in_the_store_and_where_c_is_called() {
    // A socket option, the allocator's settings, and Lua.
    const PLACES: [&str; 3] = ["upstream/gather.rs", "src/main.rs", "script/bridge/mod.rs"];
    for (room, path) in files() {
        if PLACES.iter().any(|place| path.ends_with(place)) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("source is text");
        let allows = text.contains("allow(unsafe_code")
            || text.contains("expect(unsafe_code")
            || text.contains("unsafe_code,");
        assert!(
            !allows || room == "store",
            "{} allows unsafe code",
            path.display()
        );
    }
}
