//! The replies were compared with a build of Redis's source of June 2026 (8.8).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use super::decimal;
use super::pattern::Pattern;
use super::wide::Number;
use crate::command::testing::Bench;
use crate::dialect::Dialect;
use crate::resp::ArgsBuf;

fn bench() -> Bench {
    Bench::new(Dialect::redis(8, 8, 0))
}

/// Applies and reads in turn: `>` marks a write, and each read has its reply after a tab.
fn run(bench: &Bench, script: &str) {
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        match line.strip_prefix("> ") {
            Some(write) => bench.apply(write),
            None => {
                let (read, reply) = line.split_once(" = ").expect("a read and its reply");
                assert_eq!(bench.read(read), reply, "{read}");
            }
        }
    }
}

#[test]
fn elements_are_set_read_and_removed() {
    run(
        &bench(),
        "
        ARGET a 0 = $-1
        ARGET a x = -ERR invalid array index
        > ARSET a 0 hello
        ARGET a 0 = $5 hello
        ARGET a 1 = $-1
        > ARSET a 0 world 12345 3.14159
        ARMGET a 0 1 2 3 = *4 $5 world $5 12345 $7 3.14159 $-1
        ARMGET none 0 1 = *2 $-1 $-1
        ARMGET a 0 18446744073709551615 = -ERR invalid array index
        ARLEN a = :3
        ARCOUNT a = :3
        > ARMSET a 5 b 100 c
        ARLEN a = :101
        ARCOUNT a = :5
        ARLEN none = :0
        ARCOUNT none = :0
        > ARDEL a 1 1 99
        ARCOUNT a = :4
        > ARDELRANGE a 6 2 0 0
        ARSCAN a 0 200 = *1 *2 :100 $1 c
        > ARDEL a 100
        EXISTS a = :0
        TYPE a = +none
        > ARSET a 0 x
        TYPE a = +array
        OBJECT ENCODING a = $12 sliced-array
        > COPY a b
        > ARSET a 0 y
        ARGET b 0 = $1 x
        ",
    );
}

#[test]
fn indexes_are_what_the_c_library_reads() {
    run(
        &bench(),
        "
        > ARMSET a 007 seven +5 five 18446744073709551614 last -18446744073709551614 two
        ARSCAN a 0 18446744073709551614 = *4 *2 :2 $3 two *2 :5 $4 five *2 :7 $5 seven *2 $20 18446744073709551614 $4 last
        ARLEN a = $20 18446744073709551615
        ARGET a -0 = $-1
        ARGET a 0005 = $4 five
        ARGET a -2 = -ERR invalid array index
        ARGET a 5x = -ERR invalid array index
        ARGET a 18446744073709551616 = -ERR invalid array index
        ARGET a  = -ERR invalid array index
        ARGET a + = -ERR invalid array index
        ",
    );
    let bench = bench();
    bench.apply("ARSET a 18446744073709551614 x");
    assert_eq!(bench.read3("ARLEN a"), "(18446744073709551615");
    assert_eq!(bench.read("ARCOUNT a"), ":1");
    let failed = bench.try_apply("ARSET a 18446744073709551614 x y");
    assert_eq!(failed.unwrap_err().to_string(), "ERR array index overflow");
}

#[test]
fn ranges_go_in_either_direction() {
    run(
        &bench(),
        "
        > ARMSET a 0 a 1 b 2 c 5 f
        ARGETRANGE a 1 3 = *3 $1 b $1 c $-1
        ARGETRANGE a 6 4 = *3 $-1 $1 f $-1
        ARGETRANGE a 2 2 = *1 $1 c
        ARGETRANGE none 0 2 = *3 $-1 $-1 $-1
        ARGETRANGE a 0 1000000 = -ERR range exceeds maximum of 1000000 items
        ARGETRANGE a 1000000 0 = -ERR range exceeds maximum of 1000000 items
        ARGETRANGE a 18446744073709551614 0 = -ERR range exceeds maximum of 1000000 items
        ARGETRANGE a 18446744073709551613 18446744073709551614 = *2 $-1 $-1
        ARSCAN a 5 1 = *3 *2 :5 $1 f *2 :2 $1 c *2 :1 $1 b
        ARSCAN a 0 9 LIMIT 2 = *2 *2 :0 $1 a *2 :1 $1 b
        ARSCAN a 3 4 = *0
        ARSCAN none 0 9 = *0
        ARSCAN a 0 9 LIMIT 0 = -ERR LIMIT must be positive
        ARSCAN a 0 9 LIMIT x = -ERR value is not an integer or out of range
        ARSCAN a 0 9 FOO 1 = -ERR syntax error
        ARSCAN a 0 9 LIMIT = -ERR wrong number of arguments for 'arscan' command
        ",
    );
    let bench = bench();
    bench.apply("ARSET a 99999 z");
    let all = bench.read("ARGETRANGE a 0 99999");
    assert!(all.starts_with("*100000 $-1 ") && all.ends_with(" $1 z"));
}

#[test]
fn insertions_follow_the_cursor() {
    run(
        &bench(),
        "
        ARNEXT a = :0
        > ARSEEK a 100
        EXISTS a = :0
        > ARINSERT a a b c
        ARNEXT a = :3
        > ARSEEK a 10
        > ARINSERT a d
        ARSCAN a 9 99 = *1 *2 :10 $1 d
        ARNEXT a = :11
        > ARSEEK a 0
        ARNEXT a = :0
        > ARSEEK a 18446744073709551615
        ARNEXT a = $-1
        ",
    );
    let bench = bench();
    bench.apply("ARINSERT a a\nARSEEK a 18446744073709551614\nCOPY a b\nARINSERT a b");
    assert_eq!(bench.read("ARNEXT a"), "$-1");
    for line in ["ARINSERT a c", "ARINSERT b b c"] {
        let failed = bench.try_apply(line).unwrap_err();
        assert_eq!(failed.to_string(), "ERR insert index overflow", "{line}");
    }
    for (line, error) in [
        ("ARSEEK a x", "ERR invalid array index"),
        ("ARRING a x v", "ERR invalid size"),
        ("ARRING a 0 v", "ERR size must be positive"),
        (
            "ARMSET a 0 a 1",
            "ERR wrong number of arguments for 'armset' command",
        ),
        ("ARMSET a 0 a x b", "ERR invalid array index"),
        (
            "ARDELRANGE a 0 1 2",
            "ERR wrong number of arguments for 'ardelrange' command",
        ),
    ] {
        // What fails taints its key.
        let bench = Bench::new(Dialect::redis(8, 8, 0));
        bench.apply("ARINSERT a a");
        let failed = bench.try_apply(line).unwrap_err();
        assert_eq!(failed.to_string(), error, "{line}");
    }
}

#[test]
fn rings_wrap_grow_and_shrink() {
    run(
        &bench(),
        "
        > ARRING r 5 0 1 2 3 4 5 6 7
        ARGETRANGE r 0 4 = *5 $1 5 $1 6 $1 7 $1 3 $1 4
        ARNEXT r = :3
        ARLASTITEMS r 3 = *3 $1 5 $1 6 $1 7
        ARLASTITEMS r 3 REV = *3 $1 7 $1 6 $1 5
        ARLASTITEMS r 10 = *5 $1 3 $1 4 $1 5 $1 6 $1 7
        > ARRING r 8 grown
        ARGETRANGE r 0 6 = *7 $1 3 $1 4 $1 5 $1 6 $1 7 $5 grown $-1
        > ARRING r 2 cut
        ARGETRANGE r 0 6 = *7 $3 cut $5 grown $-1 $-1 $-1 $-1 $-1
        > ARRING s 3 0 1 2 3 4
        > ARSEEK s 0
        > ARRING s 8 grown
        ARGETRANGE s 0 2 = *3 $5 grown $1 4 $1 2
        > ARSET s 100 outside
        > ARRING s 3 five
        ARSCAN s 0 1000 = *3 *2 :0 $7 outside *2 :1 $5 grown *2 :2 $4 five
        > ARSEEK s 10
        > ARRING s 2 x
        ARSCAN s 0 1000 = *2 *2 :0 $1 x *2 :1 $7 outside
        ",
    );
}

#[test]
fn holes_count_among_the_last_items_since_redis_8_12() {
    let script = "ARINSERT a a b c d e\nARDEL a 1\nARSET far 0 a\nARSET far 2000000 b\nARINSERT end a b c\nARDEL end 2\nARINSERT all a b";
    let asked = |major, minor, patch| {
        let bench = Bench::new(Dialect::redis(major, minor, patch));
        bench.apply(script);
        [
            "ARLASTITEMS a 10",
            "ARLASTITEMS a 10 REV",
            "ARLASTITEMS end 9",
            "ARLASTITEMS far 1000001",
            "ARLASTITEMS all 9",
        ]
        .map(|line| bench.read(line))
    };
    let all = "*2 $1 a $1 b";
    for (minor, patch) in [(8, 0), (8, 1), (10, 0), (10, 2)] {
        assert_eq!(
            asked(8, minor, patch),
            [
                "*4 $-1 $1 c $1 d $1 e",
                "*4 $1 e $1 d $1 c $-1",
                "*2 $1 b $-1",
                "*2 $-1 $1 b",
                all
            ]
        );
    }
    assert_eq!(
        asked(8, 12, 0),
        [
            "*5 $1 a $-1 $1 c $1 d $1 e",
            "*5 $1 e $1 d $1 c $-1 $1 a",
            "*2 $1 a $1 b",
            "-ERR count exceeds maximum of 1000000 items",
            all
        ]
    );
    for (minor, patch) in [(8, 2), (10, 3), (11, 0)] {
        let replies = asked(8, minor, patch);
        let unknown = "-ERR not supported: whether missing elements count in this version of Redis is not known";
        assert_eq!(replies, [unknown, unknown, unknown, unknown, all]);
    }
    run(
        &bench(),
        "
        > ARINSERT a 0 10 20 30 40
        ARLASTITEMS a 0 = *0
        ARLASTITEMS a -1 X = *0
        ARLASTITEMS a x = -ERR invalid COUNT
        ARLASTITEMS a 1 X = -ERR syntax error
        ARLASTITEMS a 1 REV x = -ERR wrong number of arguments for 'arlastitems' command
        ARLASTITEMS none 5 = *0
        > ARSEEK a 0
        ARLASTITEMS a 3 = *3 $2 20 $2 30 $2 40
        > ARSEEK a 2
        ARLASTITEMS a 3 = *3 $2 40 $1 0 $2 10
        > ARSEEK a 8
        ARLASTITEMS a 4 = *4 $2 40 $-1 $-1 $-1
        ",
    );
}

#[test]
fn results_over_a_range_are_computed() {
    run(
        &bench(),
        "
        > ARMSET a 0 10 1 20.5 2 text 3 30
        AROP a 0 9 SUM = $4 60.5
        AROP a 9 0 min = $2 10
        AROP a 0 9 MAX = $2 30
        AROP a 2 2 MAX = $-1
        AROP a 0 9 USED = :4
        AROP a 0 9 MATCH 20.5 = :1
        AROP a 0 9 MATCH zz = :0
        AROP a 0 9 AND = :0
        AROP a 0 9 OR = :30
        AROP a 0 9 XOR = :0
        AROP none 0 9 SUM = $-1
        AROP none 0 9 USED = :0
        AROP none 0 9 MATCH x = :0
        AROP a 0 9 MATCH = -ERR MATCH requires a value argument
        AROP a 0 9 SUM x = -ERR wrong number of arguments for 'arop' command
        AROP a 0 9 FOO = -ERR unknown operation
        AROP a x 9 FOO = -ERR invalid array index
        > ARMSET b 0 7.9 1 3.2 2 1.8 3 -0x10 4 nan 5 9223372036854775807.5
        AROP b 0 2 AND = :1
        AROP b 0 2 OR = :7
        AROP b 0 2 XOR = :5
        AROP b 3 5 XOR = :-16
        > ARMSET c 0 10.0 1 20.0 2 30.0
        AROP c 0 2 SUM = $2 60
        AROP c 0 2 MATCH 10.0 = :1
        > ARMSET d 0 0.1 1 0.2
        AROP d 0 1 SUM = $3 0.3
        > ARMSET e 0 1e4932 1 1e4932
        AROP e 0 1 SUM = $3 inf
        > ARMSET f 0 inf 1 -inf 2 1e5000
        AROP f 0 9 SUM = $3 nan
        AROP f 0 9 MIN = $4 -inf
        > ARMSET g 0 9223372036854775807 1 9223372036854775807
        AROP g 0 1 SUM = $22 1.8446744073709552e+19
        > ARMSET h 0 4611686018427387904.75
        AROP h 0 0 OR = -ERR not supported: this result depends on the processor of the primary, because its last digits do
        ",
    );
}

/// C's `%.17Lg` of what `strtold` makes of each text, on x86-64.
#[test]
fn long_doubles_have_the_digits_of_the_c_library() {
    for (text, x86) in [
        ("0", "0"),
        ("-0", "-0"),
        ("1", "1"),
        ("0.1", "0.1"),
        ("1e17", "1e+17"),
        ("12345678901234567", "12345678901234567"),
        ("123456789012345678", "1.2345678901234568e+17"),
        ("0.0001", "0.0001"),
        ("0.00001", "1.0000000000000001e-05"),
        ("-2.5e-10", "-2.5000000000000001e-10"),
        ("0x10", "16"),
        ("0x.8p1", "1"),
        ("0X1.8P-3", "0.1875"),
        ("1e4932", "1.0000000000000000e+4932"),
        ("3.6451995318824746025e-4951", "3.6451995318824746e-4951"),
        ("infinity", "inf"),
    ] {
        let number = decimal::parse(text.as_bytes()).expect(text);
        let (x86_number, _) = number.both();
        let expected = match text {
            // These print as they are, because a long double has more digits than a double.
            "0.00001" => "1e-05",
            "-2.5e-10" => "-2.5e-10",
            "1e4932" => "1e+4932",
            _ => x86,
        };
        assert_eq!(x86_number.text(), expected, "{text}");
    }
    for text in [
        "", "-", ".", "1e", "1e+", "0x", "0xg", "nan", "1 ", " 1", "1e5000", "1e-5000", "1.2.3",
        "e5", "--1", "1f",
    ] {
        assert_eq!(Number::parse(text.as_bytes()), None, "{text}");
    }
    let long = format!("0.{}1", "0".repeat(5200));
    assert_eq!(Number::parse(long.as_bytes()), None, "too long for servers");
}

/// A long double holds every double and every product of two integers of 32 bits, so these sums are exact.
#[test]
fn sums_that_are_exact_need_no_rounding() {
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..20_000 {
        let [one, two] = [
            random.i64(i64::MIN >> 1..i64::MAX >> 1),
            random.i64(i64::MIN >> 1..i64::MAX >> 1),
        ];
        let (x86, arm) = Number::of_integer(one).both();
        let (more_x86, more_arm) = Number::of_integer(two).both();
        let (sum_x86, sum_arm) = Number::of_integer(one + two).both();
        assert_eq!(x86.plus(more_x86), sum_x86, "{one} + {two}");
        assert_eq!(arm.plus(more_arm), sum_arm, "{one} + {two}");
        let number = f64::from_bits(random.u64(..));
        if number.is_finite() {
            let text = format!("{number:e}");
            let read = Number::parse(text.as_bytes()).map(Number::both);
            let exact = Number::of_double(number).map(Number::both);
            // A double's shortest text is nearer to it than to any other, but not to the last bit of a long double.
            let texts = [read, exact].map(|both| both.map(|(x86, _)| shortened(&x86.text())));
            assert_eq!(texts[0], texts[1], "{text}");
        }
    }
}

/// The first 14 digits.
fn shortened(text: &str) -> String {
    let number: f64 = text.parse().expect("a number");
    format!("{number:.13e}")
}

#[test]
fn searches_combine_texts_globs_and_expressions() {
    run(
        &bench(),
        "
        > ARMSET a 0 alpha 1 beta 2 alphabet 5 gamma
        ARGREP a - + MATCH alpha = *2 :0 :2
        ARGREP a 3 0 MATCH alpha WITHVALUES = *2 *2 :2 $8 alphabet *2 :0 $5 alpha
        ARGREP a - + EXACT ALPHA NOCASE = *1 :0
        ARGREP a - + EXACT ALPHA = *0
        ARGREP a - + GLOB *et* = *2 :1 :2
        ARGREP a - + GLOB * = *4 :0 :1 :2 :5
        ARGREP a - + MATCH alpha GLOB *BET AND NOCASE = *1 :2
        ARGREP a - + MATCH gam MATCH bet AND OR = *3 :1 :2 :5
        ARGREP a - + MATCH a LIMIT 2 = *2 :0 :1
        ARGREP a + - MATCH a LIMIT 1 = *1 :5
        ARGREP a 1 1 RE ^.*a$ = *1 :1
        ARGREP none - + MATCH x = *0
        ARGREP a - + LIMIT 1 = -ERR syntax error
        ARGREP a - + MATCH x FOO = -ERR syntax error
        ARGREP a - + MATCH x LIMIT 0 = -ERR LIMIT must be positive
        ARGREP a x + MATCH x = -ERR invalid array index
        ARGREP a - + MATCH = -ERR wrong number of arguments for 'argrep' command
        ARGREP a - + RE  = -ERR regular expression is empty
        ARGREP a - + RE (a)\\1 = -ERR regular expression backreferences are not supported
        ARGREP a - + RE (a)\\2 = -ERR invalid regular expression: Invalid back reference
        ARGREP a - + RE ( = -ERR invalid regular expression: Missing ')'
        ",
    );
    let many = |count| format!("ARGREP a - +{}", " MATCH alphabet".repeat(count));
    let bench = bench();
    bench.apply("ARINSERT a alphabet");
    assert_eq!(bench.read(&many(250)), "*1 :0");
    assert_eq!(
        bench.read(&many(251)),
        "-ERR too many predicates, maximum is 250"
    );
    let long = |len| format!("ARGREP a - + RE {}", "a".repeat(len));
    assert_eq!(bench.read(&long(2048)), "*0");
    assert_eq!(
        bench.read(&long(2049)),
        "-ERR regular expression is too long, maximum is 2048 bytes"
    );
}

/// Whether an expression matches, or the error.
fn matches(pattern: &str, any_case: bool, text: &str) -> Result<bool, String> {
    let pattern = Pattern::new(pattern.as_bytes(), any_case);
    let matched = pattern.and_then(|pattern| pattern.matches(text.as_bytes()));
    matched.map_err(|error| error.to_string())
}

#[test]
fn expressions_match_as_in_tre() {
    for (pattern, yes, no) in [
        ("^.*[0-9]{3}$", "foo123", "foo12"),
        ("foo|bar", "a bar", "a baz"),
        ("^(foo|bar)$", "bar", "bars"),
        ("(^|,)foo(,|$)", "x,foo", "xfoo"),
        ("a||b", "zzz", ""),
        ("*a", "a", "b"),
        ("a{,2}b", "b", "a"),
        ("a{2,}", "aa", "a"),
        ("x*?y+?", "y", "x"),
        ("[]a]", "]", "b"),
        ("[^]a]", "b", "]"),
        ("[a-]", "-", "b"),
        ("[[:digit:]_]", "_", "x"),
        ("[a\\]", "\\", "b"),
        ("\\.", ".", "a"),
        ("\\x41\\x{42}", "AB", "ab"),
        ("\\d\\w\\s\\D\\W\\S", "1_ a b", "1_ 1 b"),
        (")", ")", "("),
        ("\\<b", "a b", "ab"),
        ("b\\>", "b a", "ba"),
        ("\\bx", "x", "ax"),
        (".", "\n", ""),
        ("a{0}b", "b", "a"),
        ("._1.*1", "B_1a1", "B_1a_a"),
    ] {
        assert_eq!(
            matches(pattern, false, yes),
            Ok(true),
            "{pattern} in {yes:?}"
        );
        if !no.is_empty() {
            assert_eq!(
                matches(pattern, false, no),
                Ok(false),
                "{pattern} in {no:?}"
            );
        }
    }
    assert_eq!(matches("^FOO[x-z]", true, "fooY"), Ok(true));
    assert_eq!(matches("[^x-z]", true, "Y"), Ok(false));
    assert_eq!(matches("[[:upper:]]", true, "y"), Ok(true));
    assert_eq!(
        matches("\u{e9}", true, "\u{c9}"),
        Ok(false),
        "only ASCII has cases"
    );
}

#[test]
fn expressions_that_tre_refuses_are_refused_in_its_words() {
    for (pattern, words) in [
        ("[a", "Missing ']'"),
        ("[", "Missing ']'"),
        ("(a", "Missing ')'"),
        ("a{1", "Missing '}'"),
        ("\\x{1", "Missing '}'"),
        ("\\x{1g}", "Missing '}'"),
        ("a{}", "Invalid contents of {}"),
        ("a{x}", "Invalid contents of {}"),
        ("a{2,1}", "Invalid contents of {}"),
        ("a{256}", "Maximum repetition in {} larger than 255"),
        ("[b-a]", "Invalid character range"),
        ("[a-b-c]", "Invalid character range"),
        ("a**", "Invalid use of repetition operators"),
        ("a{1}+", "Invalid use of repetition operators"),
        ("\\", "Trailing backslash"),
        ("[[:word:]]", "Unknown character class name"),
        ("[[:blank:]]", "Unknown character class name"),
        ("[[.a.]]", "Unknown collating element"),
        ("[[=a=]]", "Unknown collating element"),
        ("(?x)", "Invalid regexp"),
    ] {
        let expected = Err(format!("ERR invalid regular expression: {words}"));
        assert_eq!(matches(pattern, false, ""), expected, "{pattern}");
    }
}

#[test]
fn expressions_without_a_certain_translation_are_errors() {
    for pattern in [
        "(?i)a",
        "\\Qa",
        "a\\Bb",
        "a{~1}",
        "(^|)a",
        "(^a|^)*",
        "^*",
        "(a|$)?b",
        "[^a-mb-z]",
        "\\x{100}",
        "[[:alpha:x]",
        "((a{255}){255}){255}",
    ] {
        let failed = matches(pattern, false, "a").expect_err(pattern);
        assert!(
            failed.starts_with("ERR not supported: a regular expression with "),
            "{failed}"
        );
    }
    let nested = ["(".repeat(200), ")".repeat(200)].concat();
    assert!(matches(&nested, false, "a").is_err());
    assert!(
        matches("\\q", true, "q").is_err(),
        "TRE's shortcut ignores the case"
    );
    assert_eq!(matches("\\q", false, "q"), Ok(true));
    assert!(matches("a$", false, "a\0").is_err());
    assert_eq!(matches("a", false, "\0a"), Ok(true));
}

#[test]
fn any_bytes_are_an_expression_or_an_error() {
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..30_000 {
        let len = random.usize(..30);
        let bytes: Vec<u8> = (0..len)
            .map(|_| match random.u8(..4) {
                0 => random.u8(..),
                _ => b"()[]{}|*+?\\^$.:-=,19abxQ"[random.usize(..24)],
            })
            .collect();
        if let Ok(pattern) = Pattern::new(&bytes, random.bool()) {
            let _ = pattern.matches(b"aab1\n x");
        }
    }
}

#[test]
fn the_layout_is_that_of_a_server_that_loaded_the_array() {
    let bench = bench();
    bench.apply("ARMSET a 0 a 1 b 100 c\nARSEEK a 7");
    let figures = |line: &str| bench.read(line).replace("$5 count ", "");
    assert_eq!(
        figures("ARINFO a"),
        "*14 :3 $3 len :101 $17 next-insert-index :7 $6 slices :1 $14 directory-size :1 $17 super-dir-entries :0 $10 \
         slice-size :4096"
    );
    bench.apply("ARSET a 4500 x\nARSET a 8388608 y\nARSEEK a 18446744073709551615");
    for index in 0..12 {
        bench.apply(&format!("ARSET a {} z", 12_000 + index * 20));
    }
    assert_eq!(
        figures("ARINFO a FULL"),
        "*24 :17 $3 len :8388609 $17 next-insert-index :0 $6 slices :4 $14 directory-size :4 $17 super-dir-entries :2 $10 \
         slice-size :4096 $12 dense-slices :1 $13 sparse-slices :3 $14 avg-dense-size $3 256 $14 avg-dense-fill $8 0.046875 \
         $15 avg-sparse-size $1 4"
    );
    assert!(
        bench
            .read3("ARINFO a FULL")
            .ends_with("$15 avg-sparse-size ,4")
    );
    assert_eq!(bench.read("ARINFO none"), "-ERR no such key");
    assert_eq!(bench.read("ARINFO a X"), "-ERR syntax error");
}

#[test]
fn other_types_are_refused() {
    let bench = bench();
    bench.apply("SET text x\nARINSERT a a");
    for line in [
        "ARGET text 0",
        "ARMGET text 0",
        "ARGETRANGE text 0 1",
        "ARSCAN text 0 1",
        "ARLEN text",
        "ARCOUNT text",
        "ARNEXT text",
        "ARLASTITEMS text 1",
        "AROP text 0 1 SUM",
        "ARGREP text - + MATCH x",
        "ARINFO text",
        "LLEN a",
        "GET a",
    ] {
        assert!(bench.read(line).starts_with("-WRONGTYPE"), "{line}");
    }
    assert_eq!(
        bench.read("ARGET text x"),
        "-WRONGTYPE Operation against a key holding the wrong kind of value"
    );
    assert_eq!(
        bench.read("ARGETRANGE text x 1"),
        "-ERR invalid array index"
    );
    for line in [
        "ARSET text 0 x",
        "ARMSET text 0 x",
        "ARDEL text 0",
        "ARDELRANGE text 0 1",
        "ARINSERT text x",
        "ARSEEK text 1",
        "ARRING text 3 x",
    ] {
        assert!(bench.try_apply(line).is_err(), "{line}");
    }
}

#[test]
fn a_dump_is_restored_and_is_the_servers() {
    let bench = bench();
    bench.apply("ARMSET a 0 -1 1 3.25 3 abc 65536 7");
    let words = ArgsBuf::new(["ARSET", "a", "18446744073709551614", ""]);
    bench.apply_words(words.as_args()).expect("it fits");
    bench.apply("ARSEEK a 6");
    let view = bench.spaces.view_each(0, |visit| visit(b"a"));
    let entry = view.entry(b"a").expect("it exists").value();
    let version = crate::rdb::version::Version::of_payload(12);
    let kind = entry.value_type(crate::rdb::encode::Layouts::of(version));
    let payload =
        crate::rdb::dump::encode_payload(version, b"", kind, |writer| entry.encode(writer));
    let payload = payload.expect("memory takes everything");
    drop(view);
    let expected = b"\x1c\x05\x01\x05\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x00\x00\x00\x00\x00\x00\x0a\x40\
        \x03\x03\x03abc\x80\x00\x01\x00\x00\x01\x07\x00\x00\x00\x00\x00\x00\x00\
        \x81\xff\xff\xff\xff\xff\xff\xff\xfe\x03\x00";
    assert_eq!(
        payload[..payload.len() - 10].escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
    let restore = ArgsBuf::new([b"RESTORE".as_slice(), b"b", b"0", &payload]);
    bench
        .apply_words(restore.as_args())
        .expect("its own payload");
    assert_eq!(
        bench.read("ARSCAN b 0 65536"),
        bench.read("ARSCAN a 0 65536")
    );
    assert_eq!(bench.read("ARNEXT b"), ":6");
}
