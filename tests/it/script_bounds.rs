//! Scripts at and beyond the limits of Lua and its libraries. redtail must have the same limits as a replica of that version.

use crate::servers::{ALL, Server};

fn text(script: &str, rest: &[Vec<u8>], keys: usize) -> Vec<Vec<u8>> {
    let head = [
        b"EVAL".to_vec(),
        script.as_bytes().to_vec(),
        keys.to_string().into_bytes(),
    ];
    head.into_iter().chain(rest.iter().cloned()).collect()
}

/// Depths and counts around each limit of the servers.
fn scripts() -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut add = |name: &str, number: usize, script: String| {
        all.push((format!("{name} {number}"), script));
    };
    let nested = |depth: usize| {
        format!("(function() local t = {{1}} for i = 1, {depth} do t = {{t}} end return t end)()")
    };
    for depth in [1, 50, 500, 7900, 20_000] {
        add("a reply nested", depth, format!("return {}", nested(depth)));
    }
    for depth in [100, 998, 999, 1000, 1001, 5000] {
        add(
            "cjson.encode",
            depth,
            format!("return #cjson.encode({})", nested(depth)),
        );
        add(
            "cjson.decode",
            depth,
            format!(
                "return type(cjson.decode(string.rep('[', {depth}) .. string.rep(']', {depth})))"
            ),
        );
    }
    for depth in [14, 15, 16, 17, 100] {
        add(
            "cmsgpack.pack",
            depth,
            format!("return #cmsgpack.pack({})", nested(depth)),
        );
        add(
            "cmsgpack.unpack",
            depth,
            format!(
                "return type(cmsgpack.unpack(string.rep(string.char(0x91), {depth}) .. string.char(1)))"
            ),
        );
    }
    for count in [7000, 7900, 8100, 1_000_000] {
        add(
            "unpack",
            count,
            format!("return select('#', unpack({{}}, 1, {count}))"),
        );
        add(
            "string.byte",
            count,
            format!("return select('#', string.byte(string.rep('x', {count}), 1, -1))"),
        );
    }
    for count in [7000, 8100] {
        add(
            "words of a call",
            count,
            format!(
                "local t = {{}} for i = 1, {count} do t[i] = 'k' end return redis.call('EXISTS', unpack(t))"
            ),
        );
    }
    for count in [100, 199, 200, 201, 250, 1000] {
        let [open, close] = ["(", ")"].map(|word| word.repeat(count));
        add("parentheses", count, format!("return {open}1{close}"));
        add(
            "concatenations",
            count,
            format!("return #({})", vec!["'a'"; count].join("..")),
        );
        let locals: String = (0..count).map(|at| format!("local a{at} = 1 ")).collect();
        add("locals", count, format!("{locals} return 1"));
        let [open, close] = ["(function() return ", " end)()"].map(|word| word.repeat(count));
        add("functions", count, format!("return {open}1{close}"));
        let [open, close] = ["{", "}"].map(|word| word.repeat(count));
        add("tables", count, format!("return type({open}{close})"));
        add(
            "words",
            count,
            format!("return select('#', {})", vec!["1"; count].join(",")),
        );
    }
    for depth in [10_000, 19_000, 25_000] {
        add(
            "calls",
            depth,
            format!(
                "local function f(n) if n == 0 then return 0 end return 1 + f(n - 1) end return f({depth})"
            ),
        );
    }
    for count in [1000, 100_000] {
        let constants: Vec<_> = (0..count).map(|at| format!("'k{at}'")).collect();
        add(
            "constants",
            count,
            format!("return #{{{}}}", constants.join(",")),
        );
    }
    for count in [32, 33] {
        let groups = "(a)".repeat(count);
        add(
            "captures",
            count,
            format!("return select('#', string.find(string.rep('a', 40), '{groups}'))"),
        );
    }
    for width in [99, 100] {
        add(
            "a width",
            width,
            format!("return #string.format('%{width}d', 1)"),
        );
    }
    for bytes in [1 << 20, 4 << 20] {
        add(
            "a comment",
            bytes,
            format!("--{}\nreturn 1", "x".repeat(bytes)),
        );
        add(
            "a status",
            bytes,
            format!("return #redis.status_reply(string.rep('x', {bytes})).ok"),
        );
    }
    all
}

/// Different numbers of keys and arguments.
fn calls() -> Vec<(String, Vec<Vec<u8>>)> {
    let many = |count: usize| vec![b"x".to_vec(); count];
    let given = |script, keys, count| text(script, &many(count), keys);
    vec![
        ("ARGV".to_owned(), given("return #ARGV", 0, 200_000)),
        ("KEYS".to_owned(), given("return #KEYS", 200_000, 200_000)),
        ("fewer keys".to_owned(), given("return #KEYS", 3, 2)),
        (
            "a number of keys".to_owned(),
            given("return #KEYS", usize::MAX >> 1, 0),
        ),
    ]
}

#[test]
fn scripts_end_where_the_version_ends_them() {
    for name in ALL {
        let Some(primary) = Server::start(name, &[]) else {
            continue;
        };
        let replica = Server::replica(name, &primary).expect("the server was there a moment ago");
        replica.wait_in_sync(&primary);
        let redtail = Server::redtail(&primary);
        let (mut theirs, mut ours) = (replica.client(), redtail.client());
        let scripts = scripts().into_iter();
        let scripts = scripts.map(|(name, script)| (name, text(&script, &[], 0)));
        for (what, words) in scripts.chain(calls()) {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let [ours, theirs] = [ours.words(&words), theirs.words(&words)];
            // One build of Redis 6.0 lacks these libraries.
            if theirs.text().contains("nonexistent global variable 'c") {
                continue;
            }
            assert_eq!(ours, theirs, "{name}: {what}");
        }
    }
}
