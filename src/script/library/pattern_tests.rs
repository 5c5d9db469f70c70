#![allow(clippy::unwrap_used, reason = "a test may panic")]

use mlua::{Lua, MultiValue, Value};
use proptest::prelude::*;

use super::*;
use crate::dialect::Dialect;

/// Returns the result of `string.<function>`, or the text of its error without the place.
fn run(strings: &Table, function: &str, args: &[&str]) -> Result<Vec<String>, String> {
    let function: Function = strings.raw_get(function).unwrap();
    let args: MultiValue = args.iter().map(|arg| lua_text(strings, arg)).collect();
    match function.call::<MultiValue>(args) {
        Ok(results) => Ok(results.iter().map(shown).collect()),
        Err(error) => {
            let text = match crate::script::raise::caught_error(&lua_of(strings), &error) {
                Ok(crate::script::raise::Caught::Value(raised)) => raised.to_string(),
                other => format!("{other:?}"),
            };
            Err(text)
        }
    }
}

thread_local! {
    static LUA: (Lua, Table, Table) = both();
}

fn lua_of(_: &Table) -> Lua {
    LUA.with(|(lua, _, _)| lua.clone())
}

fn lua_text(_: &Table, text: &str) -> Value {
    LUA.with(|(lua, _, _)| Value::String(lua.create_string(text).unwrap()))
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{:?}", text.to_string_lossy()),
        Value::Integer(number) => number.to_string(),
        Value::Number(number) => number.to_string(),
        other => other.type_name().to_owned(),
    }
}

/// A Lua interpreter, its own `string` table, and ours.
fn both() -> (Lua, Table, Table) {
    let lua = Lua::new();
    let native: Table = lua.globals().raw_get("string").unwrap();
    let context = Context {
        state: Common::new(Dialect::default()),
        next: lua.globals().raw_get("next").unwrap(),
        pcall: lua.globals().raw_get("pcall").unwrap(),
        json: json::Shared::default(),
    };
    let ours = lua.create_table().unwrap();
    register(&lua, &ours, &context, strings::FUNCTIONS).unwrap();
    (lua, native, ours)
}

fn assert_same(function: &str, args: &[&str]) {
    let (native, ours) = LUA.with(|(_, native, ours)| (native.clone(), ours.clone()));
    assert_eq!(
        run(&native, function, args),
        run(&ours, function, args),
        "{function} {args:?}"
    );
}

#[test]
fn patterns_match_as_luas_own_do() {
    for (text, pattern) in [
        ("hello world", "o w"),
        ("hello", "l+"),
        ("hello", "(l)(l)"),
        ("hello", "()ll()"),
        ("key = value", "^(%w+)%s*=%s*(%w+)$"),
        ("aaa", "a-b"),
        ("aaab", "a-b"),
        ("f(a(b)c)d", "%b()"),
        ("THE (quick) fox", "%f[%a]%a+"),
        ("abab", "(ab)%1"),
        ("abc", "[^a-b]"),
        ("a]c", "[]]"),
        ("a-c", "[a%-]+"),
        ("abc", "["),
        ("abc", "%"),
        ("abc", "(a"),
        ("abc", "a)"),
        ("abc", "%1"),
        ("abc", "%b"),
        ("abc", "%f"),
        ("x", "x?x?x?x"),
        ("", ""),
        ("abc", "$"),
        ("a$c", "a$c"),
    ] {
        assert_same("find", &[text, pattern]);
        assert_same("match", &[text, pattern]);
        assert_same("gsub", &[text, pattern, "<%0>"]);
        assert_same("gsub", &[text, pattern, "%1"]);
    }
}

#[test]
fn a_search_that_would_never_end_is_ended() {
    let mut steps = 0;
    let text = vec![b'a'; 40];
    let pattern = [b"a*".repeat(20), b"b".to_vec()].concat();
    let spend = |more: usize| {
        steps += more;
        if steps > 1_000_000 { Err(()) } else { Ok(()) }
    };
    let mut matcher = pattern::Matcher::new(&text, &pattern, spend);
    assert_eq!(
        matcher.match_at(0, 0),
        Err(pattern::PatternError::Fatal(()))
    );
}

#[test]
fn a_long_pattern_takes_no_stack() {
    let text = vec![b'a'; 10];
    let pattern = b"a?".repeat(1_000_000);
    let mut matcher = pattern::Matcher::new(&text, &pattern, |_| Ok::<(), ()>(()));
    assert_eq!(matcher.match_at(0, 0), Ok(Some(10)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_short_pattern_matches_as_luas_own_does(
        text in "[ab%()\\[\\] 1-]{0,8}",
        pattern in "[ab%().*+?^$\\[\\]1\\-bfwsd]{0,7}",
    ) {
        assert_same("find", &[&text, &pattern]);
        assert_same("match", &[&text, &pattern]);
        assert_same("gsub", &[&text, &pattern, "[%0]"]);
    }
}
