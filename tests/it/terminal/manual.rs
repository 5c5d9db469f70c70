//! Completions and manual pages.

use std::fs;
use std::process::Command;

use super::{complaint, is_there, printed, redtail};

/// What bash offers at the end of `line`.
fn completed(line: &str) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a directory");
    let script = directory.path().join("completions");
    fs::write(&script, printed(&["completions", "bash"])).expect("a file");
    // As bash itself calls the function: with the words, the place of the last one, and three arguments.
    let asked = r#"
        source "$1"
        line=$2
        read -ra COMP_WORDS <<< "$line"
        [[ $line == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$line COMP_POINT=${#line}
        function=$(complete -p redtail) && function=${function##*-F } && function=${function%% *}
        "$function" redtail "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let output = Command::new("bash")
        .args(["--norc", "--noprofile", "-c", asked, "bash"])
        .arg(&script)
        .arg(line)
        .output()
        .expect("bash is there");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let primary = completed("redtail serve --pri");
    assert!(primary.len() >= 4, "{primary:?}");
    for flag in ["--primary", "--primary-password-file"] {
        assert!(primary.iter().any(|one| one == flag), "{primary:?}");
    }
    assert!(primary.iter().all(|one| one.starts_with("--pri")));
    let values = completed("redtail serve --ack ");
    assert_eq!(values, ["auto", "honest", "observer"]);
    let commands = completed("redtail ");
    for command in ["serve", "demo", "rdb", "completions", "man"] {
        assert!(commands.iter().any(|one| one == command), "{commands:?}");
    }
    assert_eq!(completed("redtail rdb j"), ["json"]);
}

#[test]
fn every_shell_gets_completions_for_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell]);
        for word in ["redtail", "serve", "primary-password-file", "completions"] {
            assert!(script.contains(word), "{shell} has no {word}");
        }
    }
    for shell in ["bash", "zsh", "fish"] {
        if is_there(shell) {
            let directory = tempfile::tempdir().expect("a directory");
            let script = directory.path().join("script");
            fs::write(&script, printed(&["completions", shell])).expect("a file");
            let output = Command::new(shell).arg("-n").arg(&script).output();
            let output = output.expect("it was there a moment ago");
            assert!(output.status.success(), "{shell}: {output:?}");
        }
    }
    let wrong = complaint(2, &["completions", "bsh"]);
    assert!(wrong.contains("a similar value exists: 'bash'"), "{wrong}");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let line = r#"set -o pipefail; "$0" completions zsh | head -n 1; "$0" man serve | head -n 1"#;
    let output = Command::new("bash")
        .args(["-c", line, env!("CARGO_BIN_EXE_redtail")])
        .output()
        .expect("bash is there");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

/// The pages of all commands, with their names.
fn pages() -> Vec<(String, String)> {
    let directory = tempfile::tempdir().expect("a directory");
    let inside = directory.path().join("share/man/man1");
    let output = redtail(&["man", "--dir"]).arg(&inside).output();
    assert!(output.expect("it runs").status.success());
    let mut pages = Vec::new();
    for entry in inside.read_dir().expect("it was made") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        let text = fs::read_to_string(&path).expect("a page is text");
        pages.push((name.into_owned(), text));
    }
    pages.sort();
    pages
}

/// The flags that the help of a command lists.
fn flags(help: &str) -> Vec<String> {
    let words = help.lines().map(str::trim_start);
    let lines = words.filter(|line| line.starts_with("--") || line.starts_with('-'));
    let flags = lines.flat_map(|line| line.split([' ', ',', '[', '=']));
    let flags = flags.filter(|word| word.starts_with("--") && word.len() > 2);
    flags.map(str::to_owned).collect()
}

#[test]
fn every_command_has_a_page_that_documents_every_flag() {
    let pages = pages();
    assert!(pages.len() >= 8, "{}", pages.len());
    for (name, page) in &pages {
        let command = name.trim_end_matches(".1").replace('-', " ");
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        let help = printed(&[&words[..], &["--help"]].concat());
        let flags = flags(&help);
        assert!(flags.contains(&"--help".to_owned()), "{name}: {flags:?}");
        let plain = page.replace("\\-", "-");
        for flag in flags {
            assert!(plain.contains(&flag), "{name} lacks {flag}");
        }
        assert!(page.is_ascii(), "{name}");
        assert_eq!(page, &printed(&[&["man"], &words[..]].concat()), "{name}");
    }
    let serve = &pages.iter().find(|(name, _)| name == "redtail-serve.1");
    let (_, serve) = serve.expect("serve has a page");
    for variable in ["REDTAIL_PRIMARY", "REDTAIL_CONFIG", "REDTAIL_MAX_STALENESS"] {
        assert!(serve.contains(variable), "{variable}");
    }
}

#[test]
fn pages_are_set_without_a_warning() {
    if !is_there("groff") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    for (name, page) in pages() {
        let path = directory.path().join(&name);
        fs::write(&path, page).expect("a file");
        let output = Command::new("groff")
            .args(["-ww", "-man", "-Tutf8"])
            .arg(&path)
            .output()
            .expect("groff was there a moment ago");
        assert!(output.status.success(), "{name}: {output:?}");
        let warnings = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(warnings, "", "{name}");
        assert!(output.stdout.len() > 500, "{name}");
    }
}

#[test]
fn a_page_that_is_not_there_is_answered_with_what_was_meant() {
    let said = complaint(2, &["man", "srve"]);
    assert_eq!(
        said,
        "redtail: redtail has no command \"srve\". Did you mean serve?\n"
    );
    let said = complaint(2, &["man", "rdb", "jso"]);
    assert!(
        said.contains("redtail rdb has no command \"jso\". Did you mean json?"),
        "{said}"
    );
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().join("inside").display().to_string();
    let said = complaint(1, &["man", "--dir", &path]);
    assert!(
        said.contains(&path) && said.contains("Not a directory"),
        "{said}"
    );
}
