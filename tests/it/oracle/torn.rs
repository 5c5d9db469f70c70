//! Script errors that a server tears into several lines.
//!
//! Redis 7.4.1, Redis 8.2.3 and Valkey 9.0.0 copy the line ends in an error that a script raises and does not catch. That breaks the
//! protocol: a client that reads to the end of the line takes the rest for the next reply. Later builds, and redtail, write one
//! blank for each of these bytes. They stand in errors of scripts only, and not in errors that a script returns.
//!
//! An ECHO follows each script, and an error ends where that ECHO's reply starts. So the client cannot lose step, and the error
//! is compared byte for byte, with blanks for the line ends inside it. No other reply is changed.

use super::grammar::Words;
use crate::client::{Client, Reply, encode};

/// What follows each script. No word of the pools contains it.
const MARK: &[u8] = b"the script has answered";

/// Sends at most [`BATCH`](crate::client::BATCH) commands, which [`replies`] must read. None may queue the following ones.
pub fn send(client: &mut Client, commands: &[Words]) {
    let mut request = Vec::new();
    for words in commands {
        request.extend(encode(words));
        if is_script(words) {
            request.extend(encode(&[b"ECHO".as_slice(), MARK]));
        }
    }
    client.send(&request).expect("the server reads");
}

/// Reads the replies to commands that [`send`] sent.
pub fn replies(client: &mut Client, commands: &[Words]) -> Vec<Reply> {
    let echo = [format!("${}\r\n", MARK.len()).as_bytes(), MARK, b"\r\n"].concat();
    let reply = |words: &Words| {
        if is_script(words) {
            let reply = client.read_before(&echo);
            return reply.expect("one reply, and that to ECHO");
        }
        client.replies_to(std::slice::from_ref(words)).remove(0)
    };
    commands.iter().map(reply).collect()
}

/// Sends one command and reads its reply.
pub fn ask(client: &mut Client, command: &Words) -> Reply {
    let command = std::slice::from_ref(command);
    send(client, command);
    replies(client, command).remove(0)
}

/// Whether this is an error with line ends inside.
pub fn is_torn(reply: &Reply) -> bool {
    let text = reply.0.strip_suffix(b"\r\n").unwrap_or(&reply.0);
    text.starts_with(b"-") && text.iter().any(is_end)
}

/// Returns a torn error of a script as later builds write it, and any other reply unchanged.
pub fn mended(reply: Reply) -> Reply {
    if !is_torn(&reply) || !names_script(&reply.0) {
        return reply;
    }
    let mut bytes = reply.0;
    let inner = bytes.len() - 2;
    for byte in bytes.iter_mut().take(inner).filter(|byte| is_end(byte)) {
        *byte = b' ';
    }
    Reply(bytes)
}

/// Whether the command runs a script or a function.
pub fn is_script(words: &Words) -> bool {
    let scripts = [
        "EVAL",
        "EVAL_RO",
        "EVALSHA",
        "EVALSHA_RO",
        "FCALL",
        "FCALL_RO",
    ];
    let is_it = |name: &str| words[0].eq_ignore_ascii_case(name.as_bytes());
    scripts.into_iter().any(is_it)
}

/// Whether an error ends with the place in a script where it was raised: ` script: NAME, on @user_script:LINE.`
fn names_script(error: &[u8]) -> bool {
    let text = String::from_utf8_lossy(error);
    let place = text.rsplit_once(" script: ").map(|(_, place)| place);
    place.is_some_and(|place| place.contains("on @user_") && place.ends_with(".\r\n"))
}

fn is_end(byte: &u8) -> bool {
    b"\r\n".contains(byte)
}
