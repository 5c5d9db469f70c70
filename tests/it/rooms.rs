//! Who may use whom: the rooms of `src/` and the paths `crate::…` in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room, and what it may use besides itself. Anyone may use `limits`, `dialect`, `history`, `pem`, `secret`, `slots`,
/// `spread` and `words`, which use none but each other; `slots` reads numbers with `resp`.
const ROOMS: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("dialect", &[]),
    ("history", &[]),
    ("words", &[]),
    ("pem", &[]),
    ("secret", &[]),
    ("spread", &[]),
    ("slots", &["resp"]),
    ("resp", &[]),
    ("rdb", &["resp"]),
    ("value", &["rdb", "resp"]),
    ("dump", &["rdb", "value"]),
    ("feed", &[]),
    ("store", &["feed", "value", "rdb", "resp"]),
    ("command", &["feed", "store", "value", "resp", "rdb"]),
    ("upstream", &[]),
    ("state", &["store", "rdb"]),
    (
        "replica",
        &[
            "upstream", "state", "rdb", "command", "script", "store", "feed", "value", "resp",
        ],
    ),
    ("script", &["command", "store", "resp"]),
    ("server", &["script", "command", "store", "feed", "resp"]),
    ("http", &["server", "command", "store"]),
    (
        "cli",
        &[
            "http", "server", "replica", "upstream", "state", "dump", "command", "store", "feed",
            "resp", "value",
        ],
    ),
    // The bodies of the fuzz targets.
    (
        "fuzzing",
        &["dump", "replica", "rdb", "resp", "store", "value"],
    ),
    // The public face.
    (
        "lib",
        &["dump", "replica", "state", "store", "upstream", "value"],
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
                || target == "history"
                || target == "words"
                || target == "pem"
                || target == "secret"
                || target == "spread"
                || target == "slots"
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

/// The floors of `command/`, lowest first: each may use those before it.
const FLOORS: [&str; 3] = ["rows", "families", "dispatch"];

/// A file's code without its test module and its comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("source is text");
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| format!("{line}\n")).collect()
}

fn is_test(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem.ends_with("tests") || stem == "testing"
}

#[test]
fn a_floor_of_command_uses_only_the_floors_below_it() {
    let mut wrong = Vec::new();
    for (floor, name) in FLOORS.iter().enumerate() {
        let folder = source().join("command").join(name);
        let inside = files()
            .into_iter()
            .filter(|(_, path)| path.starts_with(&folder) && !is_test(path));
        for (_, path) in inside {
            let code = code(&path);
            // Not the room's own re-exports either, which are of all floors.
            let named = code.split("crate::command::").skip(1).filter_map(head);
            let depth = path
                .strip_prefix(&folder)
                .map_or(1, |path| path.iter().count());
            let leaves = code.contains(&"super::".repeat(depth + 1));
            let mut above = named.filter(|target| !FLOORS[..=floor].contains(&target.as_str()));
            if let Some(target) = above.next() {
                wrong.push(format!("{} uses {target}", path.display()));
            }
            if leaves {
                wrong.push(format!("{} leaves its floor by `super`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_arrow_between_rooms_is_used() {
    let mut unused: BTreeSet<(&str, &str)> = ROOMS
        .iter()
        .flat_map(|(room, targets)| targets.iter().map(move |target| (*room, *target)))
        .collect();
    for (room, path) in files() {
        if !is_test(&path) {
            let used = used(&fs::read_to_string(&path).expect("source is text"));
            unused.retain(|(from, to)| *from != room || !used.contains(*to));
        }
    }
    assert!(unused.is_empty(), "{unused:?}");
}

/// The files that hold unsafe code: the store's entries and tables, and calls of C.
const UNSAFE: [&str; 9] = [
    // The allocator's settings.
    "main.rs",
    // Lua's C interface.
    "script/bridge/mod.rs",
    "script/bridge/push.rs",
    // Entries in one block, tables walked by the place of their buckets, and hints to the processor.
    "store/db.rs",
    "store/entry.rs",
    "store/fetch.rs",
    "store/loader.rs",
    "store/walk.rs",
    // Socket options.
    "upstream/options.rs",
];

#[test]
fn unsafe_code_is_only_where_it_is_listed() {
    let holds = |path: &Path| {
        let code = code(path);
        let words = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
        words.iter().any(|word| code.contains(word))
    };
    let found: BTreeSet<String> = files()
        .into_iter()
        .filter(|(_, path)| holds(path))
        .map(|(_, path)| {
            let inside = path.strip_prefix(source()).expect("it is inside");
            inside.to_string_lossy().into_owned()
        })
        .collect();
    let listed: BTreeSet<String> = UNSAFE.iter().map(|path| (*path).to_owned()).collect();
    assert_eq!(found, listed);
}
