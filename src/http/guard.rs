//! Who gets an answer, and the headers of every answer.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Version};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use super::config::Config;
use crate::command::long;

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
}

/// Why a request gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Method,
    Body,
    Host,
    Protected,
    Token { is_wrong: bool },
}

/// The paths that anyone may ask for: orchestrators probe them without a token, from other machines. They say no more than that
/// redtail runs and whether it answers reads.
const PROBES: [&str; 2] = ["/livez", "/readyz"];

/// Checks a request before it is answered.
pub(super) fn check(config: &Config, request: &Parts, ends: Ends) -> Result<(), Refusal> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(Refusal::Method);
    }
    if has_body(&request.headers) {
        return Err(Refusal::Body);
    }
    let is_probe = PROBES.contains(&request.uri.path());
    if !is_probe && config.denies(ends.peer.ip()) {
        return Err(Refusal::Protected);
    }
    // A page elsewhere whose name its owner lets resolve to this machine (DNS rebinding) would otherwise read everything. It
    // cannot know the token.
    let is_here = ends.local.ip().to_canonical().is_loopback();
    if is_here && config.token.is_none() && !names_this_machine(request) {
        return Err(Refusal::Host);
    }
    match &config.token {
        Some(token) if !is_probe => match given_token(&request.headers) {
            // The file of the token may be read.
            Some(given) if long(|| token.is(&given)) => Ok(()),
            given => Err(Refusal::Token {
                is_wrong: given.is_some(),
            }),
        },
        _ => Ok(()),
    }
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    headers.contains_key(header::TRANSFER_ENCODING)
        || length.is_some_and(|length| length.as_bytes() != b"0")
}

/// Whether every host that the request names is this machine: an IP address, or `localhost`. Only a client from before HTTP/1.1
/// may name none, and browsers are not.
fn names_this_machine(request: &Parts) -> bool {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let host = hosts.next();
    let is_named = match host {
        Some(host) => host.to_str().is_ok_and(is_this_machine),
        None => request.version < Version::HTTP_11,
    };
    let in_target = request.uri.authority();
    is_named
        && hosts.next().is_none()
        && in_target.is_none_or(|authority| is_this_machine(authority.as_str()))
}

/// Whether a host, with its port if it has one, is an IP address or `localhost`.
fn is_this_machine(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        // Not the colon inside `[::1]`.
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (host, "0"),
    };
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let is_address = match bare {
        Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
        None => matches!(name.parse(), Ok(IpAddr::V4(_))),
    };
    port.parse::<u16>().is_ok() && (is_address || name.eq_ignore_ascii_case("localhost"))
}

/// Returns the token that a request gives: as a bearer, or as the password of any user. Browsers can give only the latter.
fn given_token(headers: &HeaderMap) -> Option<Zeroizing<Vec<u8>>> {
    let given = headers.get(header::AUTHORIZATION)?.as_bytes();
    let space = given.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = given.split_at(space);
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(Zeroizing::new(rest.to_vec()));
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let decoded = Zeroizing::new(BASE64_STANDARD.decode(rest).ok()?);
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    decoded
        .get(colon + 1..)
        .map(|password| Zeroizing::new(password.to_vec()))
}

impl Refusal {
    /// Returns the answer.
    pub(super) fn answer(self) -> Response {
        let (status, text) = self.words();
        let mut answer = (status, [(header::CONTENT_TYPE, TEXT)], text).into_response();
        let headers = answer.headers_mut();
        match self {
            Self::Method => {
                headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            Self::Token { .. } => {
                for scheme in ["Basic realm=\"redtail\", charset=\"UTF-8\"", "Bearer"] {
                    headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
                }
            }
            _ => {}
        }
        if matches!(self, Self::Method | Self::Body) {
            // What follows the head is not read.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    const fn words(self) -> (StatusCode, &'static str) {
        match self {
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "redtail only answers GET and HEAD: it changes nothing over HTTP\n",
            ),
            Self::Body => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "redtail reads no request bodies\n",
            ),
            Self::Host => (
                StatusCode::MISDIRECTED_REQUEST,
                "ask for this machine by its address or as localhost, or set a token (--http-token): otherwise a page elsewhere could \
                 read this through your browser\n",
            ),
            Self::Protected => (
                StatusCode::FORBIDDEN,
                "protected mode: no HTTP token is set, so other machines get only /livez and /readyz. Start redtail with --http-token \
                 or --http-token-file, or with --protected-mode no to let everyone in\n",
            ),
            Self::Token { is_wrong: false } => (
                StatusCode::UNAUTHORIZED,
                "give the token of --http-token, as `Authorization: Bearer TOKEN` or as the password of any user\n",
            ),
            Self::Token { is_wrong: true } => (
                StatusCode::UNAUTHORIZED,
                "this is not the token of --http-token\n",
            ),
        }
    }
}

/// The media type of plain words.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// The headers of every answer. The page needs nothing but its own files and answers, and nobody may frame it, keep it, or learn
/// its address from a link.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Adds the headers of every answer.
pub(super) fn dress(mut answer: Response) -> Response {
    for (name, value) in HEADERS {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_this_machine() {
        for host in [
            "localhost",
            "LOCALHOST:9121",
            "127.0.0.1",
            "127.0.0.1:9121",
            "[::1]",
            "[::1]:9121",
            "10.1.2.3:80",
        ] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in [
            "",
            ":80",
            "evil.example",
            "evil.example:9121",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1:evil",
            "localhost:99999",
            "user@localhost",
            "::1",
            "[evil]",
            "[127.0.0.1]",
            "2130706433",
            "0x7f.1",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    fn token(value: &'static str) -> Option<Vec<u8>> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
        given_token(&headers).map(|token| token.to_vec())
    }

    #[test]
    fn a_token_comes_as_a_bearer_or_as_a_password() {
        assert_eq!(token("Bearer s:e c"), Some(b"s:e c".to_vec()));
        assert_eq!(token("bearer  x "), Some(b"x".to_vec()));
        // "any:s:c", ":s" and "user:".
        assert_eq!(token("Basic YW55OnM6Yw=="), Some(b"s:c".to_vec()));
        assert_eq!(token("BASIC OnM="), Some(b"s".to_vec()));
        assert_eq!(token("Basic dXNlcjo="), Some(Vec::new()));
        // No colon, no base64, another scheme, no scheme.
        for wrong in ["Basic eA==", "Basic %%%", "Digest x", "Bearer", ""] {
            assert_eq!(token(wrong), None, "{wrong}");
        }
    }
}
