use super::*;
use crate::upstream::Node;
use clap::Parser;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
}

fn flags(words: &[&str]) -> Settings {
    let words = std::iter::once("redtail").chain(words.iter().copied());
    Flags::try_parse_from(words).unwrap().settings
}

fn in_file(text: &str) -> Result<Settings, Failure> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    super::file(file.path())
}

fn refusal(text: &str) -> String {
    in_file(text).err().unwrap().to_string()
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let file = in_file("maxclients = 5\ndatabases = 3\nlisten = [\"127.0.0.1:1\", \"unix:/x\"]\n");
    let settings = flags(&["--maxclients", "7"]).or(file.unwrap());
    let server = settings.server();
    assert_eq!((server.clients_max, server.databases), (7, 3));
    assert_eq!(server.query_words_max, None);
    let listen: Vec<String> = server.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["127.0.0.1:1", "unix:/x"]);
}

#[test]
fn encodings_are_set_under_both_spellings_by_flag_and_file() {
    let chosen = |settings: Settings| {
        let choices = settings.encodings().unwrap();
        let thresholds = choices.thresholds(crate::dialect::Dialect::redis(8, 0, 0));
        (
            thresholds.hash_max_listpack_entries,
            thresholds.zset_max_listpack_value,
            thresholds.list_max_listpack_size,
        )
    };
    assert_eq!(chosen(Settings::default()), (512, 64, -2));
    let words = [
        "--hash-max-ziplist-entries=5",
        "--zset-max-listpack-value",
        "1kb",
        "--list-max-listpack-size",
        "-5",
    ];
    assert_eq!(chosen(flags(&words)), (5, 1024, -5));
    let text = "hash-max-listpack-entries = 5\nzset-max-ziplist-value = \"1kb\"\nlist-max-ziplist-size = -5\n";
    assert_eq!(chosen(in_file(text).unwrap()), (5, 1024, -5));
    let wrong = flags(&["--hash-max-listpack-entries", "many"]).encodings();
    assert_eq!(
        wrong.err().unwrap().to_string(),
        "--hash-max-listpack-entries: argument couldn't be parsed into an integer"
    );
}

#[test]
fn listeners_may_be_repeated_or_joined_with_commas() {
    for words in [
        &["--listen", "127.0.0.1:1", "--listen", "[::1]:2"][..],
        &["--listen", "127.0.0.1:1,[::1]:2"],
    ] {
        assert_eq!(flags(words).server().listen.len(), 2);
    }
}

#[test]
fn an_unknown_key_is_refused_by_name_and_line() {
    let refusal = refusal("databases = 1\nprimry = \"redis://:secret@h\"\n");
    assert!(
        refusal.contains("line 2") && refusal.contains("`primry`"),
        "{refusal}"
    );
    assert!(!refusal.contains("secret"), "{refusal}");
}

#[test]
fn an_unknown_key_is_answered_with_the_one_that_was_meant() {
    for (text, near) in [
        ("primry = \"h\"\n", "Did you mean `primary`?"),
        ("max_staleness = \"5s\"\n", "Did you mean `max-staleness`?"),
        (
            "hash-max-ziplist-entry = 5\n",
            "Did you mean `hash-max-ziplist-entries`?",
        ),
    ] {
        let refusal = refusal(text);
        assert!(refusal.ends_with(near), "{refusal}");
        assert!(refusal.len() < 150, "it lists all keys: {refusal}");
    }
    let none = refusal("[redtail]\nquux = 1\n");
    assert!(none.contains("redtail serve --help"), "{none}");
}

#[test]
fn a_wrong_value_is_answered_with_its_key_and_what_it_wants() {
    for (text, wants) in [
        (
            "maxclients = \"many\"",
            "key `maxclients` must be a whole number",
        ),
        ("maxclients = -1", "key `maxclients` must be a whole number"),
        ("announce-port = 70000", "a whole number from 0 to 65535"),
        (
            "databases = [\n1,\n2]",
            "key `databases` must be a whole number",
        ),
        (
            "max-staleness = 5",
            "a time with a unit, in double quotes, such as \"5s\" or \"500ms\"",
        ),
        (
            "max-staleness = \"5\"",
            "key `max-staleness` must be a time with a unit",
        ),
        (
            "track-access = true",
            "key `track-access` must be \"yes\" or \"no\", in double quotes",
        ),
        ("listen = \"nowhere\"", "key `listen` must be an address"),
        ("listen = 6380", "key `listen` must be an address"),
        (
            "primary = 5",
            "key `primary` must be a string in double quotes",
        ),
        ("ack = \"maybe\"", "\"auto\", \"honest\" or \"observer\""),
        (
            "state-fsync = \"sometimes\"",
            "\"always\", \"everysec\" or \"no\"",
        ),
        ("spool-memory = true", "such as \"64mb\""),
        (
            "hash-max-ziplist-value = 1.5",
            "key `hash-max-ziplist-value` must be a whole number",
        ),
    ] {
        let refusal = refusal(&format!("# settings\n{text}\n"));
        assert!(
            refusal.contains(wants) && refusal.contains(", line "),
            "{text}: {refusal}"
        );
        assert!(
            !refusal.contains("usize") && !refusal.contains("expected"),
            "{refusal}"
        );
    }
    let no_toml = refusal("primary = redis://h\n");
    assert!(
        no_toml.contains("line 1") && no_toml.contains("in double quotes"),
        "{no_toml}"
    );
}

#[test]
fn every_setting_is_a_key_of_the_file_under_its_flags_name() {
    use clap::CommandFactory as _;
    let flags = Flags::command();
    let flags = flags.get_arguments().filter_map(clap::Arg::get_long);
    for flag in flags.filter(|flag| *flag != "help") {
        assert!(
            wanted(flag).is_some() && keys().any(|key| key == flag),
            "{flag}"
        );
    }
    assert_eq!(wanted("hash_max_ziplist_entries"), None);
}

#[test]
fn one_listener_needs_no_list() {
    let settings = in_file("listen = \"0.0.0.0:1\"\nprotected-mode = \"no\"").unwrap();
    assert_eq!(settings.server().listen.len(), 1);
    assert!(!settings.server().protected);
}

#[test]
fn a_time_without_its_unit_is_asked_for_it() {
    let wrong = |text: &str| text.parse::<Period>().err().unwrap().to_string();
    assert_eq!(
        wrong("5"),
        "the unit is missing: write 5s for seconds, 5ms for milliseconds, 5m for minutes"
    );
    for text in ["", "s", "0s", "5 s", "-5s", "1d", "99999999999999999999"] {
        assert!(wrong(text).contains("5s, 500ms, 2m or 1h"), "{text}");
    }
    assert_eq!("2m".parse(), Ok(Period(Duration::from_secs(120))));
}

#[test]
fn nothing_that_is_said_about_a_wrong_value_repeats_it() {
    for text in [
        "databases = \"secret\"\n",
        "primary = \"redis://:secret@h\n",
        "primary-password = secret\n",
        "primary = [\"secret\", 5]\n",
        "primary = { secret = \"secret\" }\n",
        "requirepass = [\"secret\"]\n",
    ] {
        assert!(!refusal(text).contains("secret"), "{}", refusal(text));
    }
    let settings = flags(&["--primary", "nonsense://u:secret@h"]);
    assert!(
        !settings
            .upstream()
            .err()
            .unwrap()
            .to_string()
            .contains("secret")
    );
}

#[test]
fn a_dialect_is_auto_or_a_server_with_its_version() {
    let chosen = |text| flags(&["--dialect", text]).dialect();
    assert_eq!(chosen("auto"), None);
    assert_eq!(chosen("redis-7.0"), Some(Dialect::redis(7, 0, 0)));
    assert_eq!(chosen("valkey-9.1.2"), Some(Dialect::valkey(9, 1, 2)));
    assert_eq!(
        in_file("dialect = \"redis-6.0.16\"").unwrap().dialect(),
        Some(Dialect::redis(6, 0, 16))
    );
    assert!(refusal("dialect = \"keydb-6\"").contains("key `dialect` must be \"auto\""));
}

fn members(settings: &Settings) -> Vec<Node> {
    match settings.upstream().unwrap() {
        Upstream::List(list) => list,
        Upstream::Sentinel(_) => panic!("no list"),
    }
}

fn given(text: &str) -> Option<Password> {
    Some(Password::Given(Secret::new(text)))
}

#[test]
fn a_password_given_apart_replaces_the_one_in_the_address() {
    let settings = flags(&["--primary", "redis://a:b@h,h2", "--primary-password", "c"]);
    let list = members(&settings);
    let users: Vec<_> = list.iter().map(|one| one.login.user.as_deref()).collect();
    assert_eq!(users, [Some("a"), None]);
    assert!(
        list.iter()
            .all(|member| member.login.password == given("c"))
    );
    let both = flags(&["--primary", "h", "--primary-password", "secret"]);
    let both = both.or(flags(&["--primary-password-file", "/x"]));
    let error = both.upstream().err().unwrap().to_string();
    assert!(
        error.contains("both given") && !error.contains("secret"),
        "{error}"
    );
}

#[test]
fn settings_of_tls_without_tls_are_refused() {
    let refused = |words: &[&str]| flags(words).replica().err().unwrap().to_string();
    let plain = refused(&["--primary", "redis://h,h2", "--tls-ca-cert-file", "/x"]);
    assert!(plain.contains("rediss://"), "{plain}");
    let keyed = refused(&["--primary", "rediss://h", "--tls-key-file", "/x"]);
    assert!(keyed.contains("--tls-cert-file"), "{keyed}");
    let mixed = flags(&["--primary", "h,rediss://h", "--tls-sni", "x"]);
    assert!(mixed.replica().is_ok());
}

#[test]
fn addresses_may_be_repeated_joined_or_listed_in_the_file() {
    for settings in [
        flags(&["--primary", "h:1", "--primary", "h:2"]),
        flags(&["--primary", "h:1,h:2"]),
        in_file("primary = \"h:1,h:2\"").unwrap(),
        in_file("primary = [\"h:1\", \"h:2\"]").unwrap(),
    ] {
        assert_eq!(members(&settings).len(), 2);
    }
}
