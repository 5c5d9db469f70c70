#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

const MOVIE: &str = r#" { "year" : 1984, "name": "a \"b\"\n", "tags":["x", 1, null, [2,[3]], true], "rate":"4.5",
    "on":true, "off":false, "none":null, "obj":{"year":{"a":"}"}}, "e":"", "esc\"aped":1, "neg":-1.5e1, "last":"z" }"#;

fn accepts(expression: &str) -> bool {
    Expression::compile(expression.as_bytes(), false)
        .unwrap_or_else(|at| panic!("{expression}: at {at}"))
        .accepts(MOVIE.as_bytes())
}

#[test]
fn expressions_hold_or_not() {
    for expression in [
        ".year == 1984",
        ".year >= 1980 and .year < 1990",
        "2 ** 3 ** 2 == 512",
        "1 + 2 * 3 == 7 and (1 + 2) * 3 == 9",
        "10 % 4 == 2 && 7 / 2 == 3.5",
        "not .off",
        "!(.off) or 1 == 2",
        ".rate > 4",
        "1984 in [1, 1984]",
        "\"x\" in .tags",
        "1 in .tags",
        "0 in .tags",
        ".on in .tags",
        ".last in ['z', \"y\"]",
        ".neg == -15",
        ".neg == 0-15",
        ".none == .none",
        "not .none",
        "not .e",
        "'0x10' == 16",
        "' 5' == 5",
        "'x' == 0",
        ".tags",
        "1 / 0 > 1",
    ] {
        assert!(accepts(expression), "{expression}");
    }
    for expression in [
        ".year == 1985",
        ".year-1984==0",
        ".missing or 1",
        "1 or .missing",
        ".obj",
        "1 or .obj",
        ".",
        "'x' in 'xyz'",
        ".none == 0",
        "5 in []",
        ".e",
        ".esc == 1",
        ".name == 'a \\\"b\\\"'",
    ] {
        assert!(!accepts(expression), "{expression}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_the_place_where_known() {
    for (expression, at) in [
        ("", 0),
        ("1 +", 0),
        ("(1", 0),
        ("1)", 0),
        ("1 2", 0),
        ("!!1", 0),
        (".x == null", 0),
        ("1 # 2", 2),
        ("1 == foo bar", 8),
        ("'abc", 4),
        ("[1,]x", 5),
        ("[1 2]", 3),
        ("[x]", 1),
        ("1.2.3", 5),
        ("5 - -", 0),
    ] {
        let compiled = Expression::compile(expression.as_bytes(), false).map(drop);
        assert_eq!(compiled, Err(at), "{expression}");
    }
    let long = "1".repeat(300);
    assert_eq!(
        Expression::compile(long.as_bytes(), false).map(drop),
        Err(255)
    );
}

#[test]
fn what_is_no_json_has_no_fields() {
    let expression = Expression::compile(b".a or 1", false).unwrap();
    for json in [
        "",
        "{",
        "[1]",
        "{a:1}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":tru}",
        "{\"a\":truex}",
        "{\"a\":1-2}",
        "{\"a\":[1,]}",
        "{\"a\":[1",
        "{\"a\":[1}",
        "{\"a\":\"x}",
        "{\"a\":\"x\\",
        "{\"b\":[,\"a\":1}",
        "{\"b\":1 \"a\":1}",
    ] {
        assert!(!expression.accepts(json.as_bytes()), "{json}");
    }
    for json in [
        "{\"a\":1",
        "{\"b\":{]},\"a\":1}",
        "{\"a\":[]}",
        "{\"a\":[[],[[1]]]}",
        "{\"a\":+1]",
    ] {
        assert!(expression.accepts(json.as_bytes()), "{json}");
    }
    let deep = format!("{{\"a\":{}", "[".repeat(1_000_000));
    assert!(!expression.accepts(deep.as_bytes()));
}

/// Answers of Redis 8.2.3.
#[test]
fn null_is_a_value_and_a_text_may_be_in_another_since_8_2() {
    let accepts = |expression: &str| {
        let compiled = Expression::compile(expression.as_bytes(), true);
        compiled.map(|compiled| compiled.accepts(MOVIE.as_bytes()))
    };
    for expression in [
        ".none == null",
        ".year != null",
        "not null",
        "null == null",
        "null in .tags",
        "null + 1",
        "null or 1",
        "2 ** null",
        "'y' in 'xyz'",
        "'' in .name",
        ".e in .last",
    ] {
        assert_eq!(accepts(expression), Ok(true), "{expression}");
    }
    for expression in [
        "null",
        ".year < null",
        "null in [1]",
        "'' == null",
        "0 == null",
        "1 in '12'",
    ] {
        assert_eq!(accepts(expression), Ok(false), "{expression}");
    }
    assert_eq!(accepts("(null)"), Err(6));
    assert_eq!(accepts("1 in [null]"), Err(6));
}
