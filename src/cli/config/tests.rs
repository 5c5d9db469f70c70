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
    super::file::file(file.path())
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
        "--hash-max-listpack-entries: argument couldn't be parsed into an integer. Write a whole number, or for bytes one with a unit, such as 1kb"
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
    assert!(refusal.contains(":2:1: unknown key `primry`"), "{refusal}");
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
            refusal.contains(wants) && refusal.contains(":2:"),
            "{text}: {refusal}"
        );
        assert!(
            !refusal.contains("usize") && !refusal.contains("expected"),
            "{refusal}"
        );
    }
    let no_toml = refusal("primary = redis://h\n");
    assert!(
        no_toml.contains(":1:11: ") && no_toml.contains("in double quotes"),
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
            field_of(flag).is_some() && keys().any(|key| key == flag),
            "{flag}"
        );
    }
    assert!(field_of("hash_max_ziplist_entries").is_none());
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
        _ => panic!("no list"),
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

/// The settings of these flags and of a file, and where they come from.
fn loaded(words: &[&str], file: Option<&ConfigFile>) -> (Settings, Origins) {
    use clap::{CommandFactory as _, FromArgMatches as _};
    let words = std::iter::once("redtail").chain(words.iter().copied());
    let matches = Flags::command().try_get_matches_from(words).unwrap();
    let flags = Flags::from_arg_matches(&matches).unwrap().settings;
    let settings = match file {
        Some(file) => flags.or(file.settings().unwrap()),
        None => flags,
    };
    (settings, Origins::new(&matches, file))
}

fn config_file(text: &str) -> (tempfile::NamedTempFile, ConfigFile) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let read = ConfigFile::read(file.path()).unwrap();
    (file, read)
}

/// A value that the setting accepts.
fn sample(field: &Field) -> String {
    const SAMPLES: [&str; 14] = [
        "7",
        "yes",
        "local",
        "honest",
        "one-copy",
        "always",
        "compact",
        "redis-7.0",
        "5s",
        "127.0.0.1:7",
        "optional",
        "pubsub 1mb 512kb 60",
        "cluster",
        "0-5460",
    ];
    let accepts = |value: &&&str| {
        let flag = format!("{}={value}", field.flag());
        Flags::try_parse_from(["redtail", &flag]).is_ok()
    };
    let found = SAMPLES.iter().find(accepts);
    (*found.unwrap_or_else(|| panic!("no sample fits {}", field.name))).to_owned()
}

#[test]
fn every_setting_is_printed_as_it_is_read_again() {
    let (_, nothing) = loaded(&[], None);
    let defaults = in_file(&printed(&nothing, None)).unwrap();
    for field in FIELDS {
        let (flag, value) = (field.flag(), sample(field));
        let (given, origins) = loaded(&[&format!("{flag}={value}")], None);
        let text = printed(&origins, None);
        let line = text
            .lines()
            .find(|line| line.contains(&format!("# flag {flag}")));
        let line = line.unwrap_or_else(|| panic!("{flag} is not in {text}"));
        if field.is_secret {
            assert!(line.starts_with("# ") && !line.contains(&value), "{line}");
            continue;
        }
        assert!(line.starts_with(&format!("{} = ", field.key())), "{line}");
        assert_eq!(
            in_file(&text).unwrap(),
            given.clone().or(defaults.clone()),
            "{flag}"
        );
        // From a file it is printed with its place, and is read again alike.
        let (_file, file) = config_file(&format!("\n  {line}\n"));
        let (again, origins) = loaded(&[], Some(&file));
        assert_eq!(again, given, "{flag}");
        let text = printed(&origins, Some(&file));
        let place = format!("  # {}:2:3", file.path().display());
        assert!(
            text.lines().any(|line| line.ends_with(&place)),
            "{flag}: {text}"
        );
        assert_eq!(
            in_file(&text).unwrap(),
            given.or(defaults.clone()),
            "{flag}"
        );
    }
}

#[test]
fn the_defaults_that_are_printed_are_those_that_apply() {
    let (nothing, origins) = loaded(&[], None);
    let text = printed(&origins, None);
    assert!(
        text.lines()
            .filter(|line| line.ends_with("  # default"))
            .count()
            > 30,
        "{text}"
    );
    let primary = flags(&["--primary", "h"]);
    let (one, other) = (
        nothing.or(primary.clone()),
        in_file(&text).unwrap().or(primary),
    );
    let shown = |settings: &Settings| {
        let mut replica = settings.replica().unwrap();
        let dialects = [
            Dialect::redis(6, 0, 0),
            Dialect::redis(8, 0, 0),
            Dialect::valkey(9, 1, 0),
        ];
        let encodings =
            dialects.map(|dialect| format!("{:?}", replica.encodings.thresholds(dialect)));
        replica.encodings = Choices::default();
        let server = settings.server();
        let limits = (
            (
                &server.listen,
                server.protected,
                server.debug,
                server.databases,
                server.dialect,
            ),
            (
                server.clients_max,
                server.query_bytes_max,
                server.query_words_max,
                server.word_bytes_max,
            ),
            (
                server.reply_bytes_max,
                server.script_share,
                server.clients_memory,
            ),
            (server.stall_timeout, server.idle_timeout, server.keepalive),
        );
        format!(
            "{replica:?} {encodings:?} {limits:?} {:?} {}",
            server.shown,
            server.password.is_some()
        )
    };
    assert_eq!(shown(&one), shown(&other));
}

#[test]
fn lists_and_odd_texts_are_printed_as_they_are_read_again() {
    let words = [
        "--primary=h:1",
        "--primary=h:2",
        "--listen=127.0.0.1:1,unix:/x \"y\"\\",
        "--stream-ignore=a,b",
        "--primary-user=007",
        "--spool-memory=010",
        "--state-dir=a\nb",
    ];
    let (given, origins) = loaded(&words, None);
    let text = printed(&origins, None);
    let (_, nothing) = loaded(&[], None);
    let defaults = in_file(&printed(&nothing, None)).unwrap();
    let again = in_file(&text).unwrap();
    assert_eq!(
        again.primary,
        Some(vec!["h:1".to_owned(), "h:2".to_owned()])
    );
    assert_eq!(again.spool_memory, Some(Amount("10".to_owned())));
    let (given, again) = (
        Settings {
            spool_memory: None,
            ..given.or(defaults)
        },
        Settings {
            spool_memory: None,
            ..again
        },
    );
    assert_eq!(again, given);
}

#[test]
fn no_password_is_printed() {
    let words = [
        "--primary=redis://u:secret@h,rediss://:secret@h2",
        "--requirepass=secret",
    ];
    let (_file, file) = config_file("primary-password = \"secret\"\n");
    let (_, origins) = loaded(&words, Some(&file));
    let text = printed(&origins, Some(&file));
    assert!(!text.contains("secret"), "{text}");
    assert!(
        text.contains(
            "primary = \"redis://u@h,rediss://h2\"  # flag --primary; the password is not shown"
        ),
        "{text}"
    );
    assert!(
        text.contains("# requirepass is not shown  # flag --requirepass"),
        "{text}"
    );
    assert!(in_file(&text).is_ok(), "{text}");
}

#[test]
fn every_mistake_in_a_file_is_found_with_its_place() {
    let text = "maxclients = \"many\"\nprimry = \"h\"\n\n   ack = 'maybe' # no\nhash-max-ziplist-value = 1\nhash-max-listpack-value = 2\n[more]\nx = 1\n";
    let (_file, file) = config_file(text);
    let problems = file.problems();
    let places: Vec<&str> = problems
        .iter()
        .map(|problem| {
            problem
                .strip_prefix(&format!("{}:", file.path().display()))
                .unwrap()
        })
        .collect();
    let expected = [
        "1:14: the key `maxclients` must be a whole number",
        "2:1: unknown key `primry`. Did you mean `primary`?",
        "4:10: the key `ack` must be \"auto\"",
        "6:1: `hash-max-listpack-value` and `hash-max-ziplist-value` are the same setting: remove one of them",
        "7:2: unknown key `more`",
    ];
    assert_eq!(places.len(), expected.len(), "{places:?}");
    for (place, expected) in places.iter().zip(expected) {
        assert!(place.starts_with(expected), "{place}");
    }
    let (_file, twice) = config_file("databases = 1\ndatabases = 2\n");
    let said = twice.problems();
    assert!(
        said.iter()
            .any(|one| one.ends_with(":2:1: this key is given twice: remove one of them")),
        "{said:?}"
    );
}

#[test]
fn a_mistake_is_told_with_where_its_settings_were_given() {
    let (_file, file) = config_file("primary = \"h\"\nresync-guard = 5\n");
    let (settings, origins) = loaded(
        &["--resync-memory", "one-copy", "--tls-sni", "x"],
        Some(&file),
    );
    let problems: Vec<String> = settings
        .problems()
        .iter()
        .map(|one| origins.locate(one))
        .collect();
    let place = format!("{}:2:1", file.path().display());
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems
            .iter()
            .any(|one| one.starts_with("flag --tls-sni: the --tls-… settings")),
        "{problems:?}"
    );
    let both = format!("flag --resync-memory and {place}: --resync-guard keeps");
    assert!(
        problems.iter().any(|one| one.starts_with(&both)),
        "{problems:?}"
    );
}
