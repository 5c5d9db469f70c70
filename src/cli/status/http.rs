//! GET /status.json.
//!
//! As HTTP/1.0: the server then sends the body in one piece and closes the connection.

use std::io;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::source::{NoStatus, Token};
use crate::upstream::Password;
use crate::words::Plain;

/// The largest answer that is read. Real ones stay below 200 KB.
const ANSWER_BYTES_MAX: u64 = 8 << 20;

/// Asks the server at `host` (with a port) for its status.
///
/// # Errors
/// [`NoStatus`] if it cannot be reached, refuses, or is no redtail.
pub(super) async fn get(host: &str, token: Option<&Token>) -> Result<Value, NoStatus> {
    let request = request(host, token)?;
    let answer = exchange(host, &request).await.map_err(|error| {
        NoStatus(format!(
            "cannot ask http://{host}: {}. Check that redtail runs, and its --http",
            Plain(&error)
        ))
    })?;
    let (code, body) = parts(&answer).ok_or_else(|| no_redtail(host))?;
    match code {
        "200" => serde_json::from_slice(body).map_err(|_| no_redtail(host)),
        "401" | "403" => {
            let said = String::from_utf8_lossy(body);
            let said = said.lines().next().unwrap_or_default().trim().to_owned();
            Err(NoStatus(format!(
                "the server requires its token ({code} {said}). Give it in the variable REDTAIL_HTTP_TOKEN or with --token-file"
            )))
        }
        "404" => Err(no_redtail(host)),
        code => Err(NoStatus(format!(
            "http://{host} answered with the code {code}. redtail's log may say more"
        ))),
    }
}

/// Returns what to say if the server did not answer in time.
pub(super) fn silence(host: &str) -> NoStatus {
    NoStatus(format!(
        "http://{host} did not answer in time. Check the address, and that redtail has processor time; --timeout allows more"
    ))
}

fn no_redtail(host: &str) -> NoStatus {
    NoStatus(format!(
        "what answers at http://{host} is no redtail. Give the address in its --http, or one of its --listen without http://"
    ))
}

fn request(host: &str, token: Option<&Token>) -> Result<String, NoStatus> {
    let secret = match token {
        None => None,
        Some(Token::Given(secret)) => Some(secret.clone()),
        Some(Token::File(path)) => Some(Password::File(path.clone()).read().map_err(|error| {
            NoStatus(format!(
                "cannot use --token-file {}: {}",
                path.display(),
                Plain(&error)
            ))
        })?),
    };
    let login = match secret.as_ref().map(crate::secret::Secret::expose) {
        Some(token) if token.chars().any(char::is_control) => {
            return Err(NoStatus(
                "the token contains a control character, which HTTP cannot carry".to_owned(),
            ));
        }
        Some(token) => format!("Authorization: Bearer {token}\r\n"),
        None => String::new(),
    };
    Ok(format!(
        "GET /status.json HTTP/1.0\r\nHost: {host}\r\n{login}Accept: application/json\r\n\r\n"
    ))
}

async fn exchange(host: &str, request: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut answer)
        .await?;
    Ok(answer)
}

/// Returns the code and the body of an answer; `None` if it is not HTTP.
fn parts(answer: &[u8]) -> Option<(&str, &[u8])> {
    let end = memchr::memmem::find(answer, b"\r\n\r\n")?;
    let (head, body) = answer.split_at(end);
    let head = std::str::from_utf8(head).ok()?;
    let line = head.lines().next()?.strip_prefix("HTTP/1.")?;
    let code = line.split(' ').nth(1)?;
    Some((code, body.get(4..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_an_answer_are_found_and_nothing_else_is_one() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(parts(answer), Some(("200", &b"{}"[..])));
        for other in [
            &b""[..],
            b"\r\n\r\n",
            b"+OK\r\n\r\n",
            b"HTTP/1.1\r\n\r\n",
            b"\xff\r\n\r\n",
        ] {
            assert!(parts(other).is_none(), "{other:?}");
        }
        for cut in 0..answer.len() - 2 {
            assert!(
                parts(answer.get(..cut).unwrap_or_default()).is_none(),
                "{cut}"
            );
        }
    }
}
