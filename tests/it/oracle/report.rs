//! What a person needs to understand a difference: lines for redis-cli, and the replies.

use super::grammar::Words;
use super::pair::Difference;
use super::trio::Step;
use crate::client::Reply;

/// Formats one difference, with the steps that lead to it.
pub fn report(
    title: &str,
    steps: Option<&[Step]>,
    difference: &Difference,
    primary: &Reply,
) -> String {
    let way = match steps {
        Some(steps) => steps.iter().map(lines).collect(),
        None => "(the same writes on an empty server do not reproduce it)\n".to_owned(),
    };
    let within = match difference.transaction.as_slice() {
        [] => String::new(),
        commands => {
            commands
                .iter()
                .map(|command| line(command) + "\n")
                .collect::<String>()
                + "-- where this command's reply differs\n"
        }
    };
    format!(
        "== {title}\n{way}-- sent to a replica, in RESP{} and database {}:\n{within}{}\n   replica {}\n   redtail {}\n   primary {}\n",
        difference.protocol,
        difference.database,
        line(&difference.read),
        short(&difference.expected),
        short(&difference.found),
        short(primary),
    )
}

fn lines(step: &Step) -> String {
    match step {
        Step::Attach => "(a full resync)\n".to_owned(),
        Step::Write(commands) => commands
            .iter()
            .map(|command| line(command) + "\n")
            .collect(),
    }
}

/// A command in redis-cli's syntax.
pub fn line(command: &Words) -> String {
    let words: Vec<_> = command.iter().map(|word| quoted(word)).collect();
    words.join(" ")
}

fn quoted(word: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"'\\".contains(byte);
    if !word.is_empty() && word.iter().all(is_plain) {
        return String::from_utf8_lossy(word).into_owned();
    }
    let characters = word.iter().map(|byte| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(*byte)),
        b' '..=b'~' => char::from(*byte).to_string(),
        byte => format!("\\x{byte:02x}"),
    });
    format!("\"{}\"", characters.collect::<String>())
}

fn short(reply: &Reply) -> String {
    let text = format!("{reply:?}");
    if text.len() < 600 {
        return text;
    }
    let start: String = text.chars().take(600).collect();
    format!("{start}… ({} bytes)", reply.0.len())
}
