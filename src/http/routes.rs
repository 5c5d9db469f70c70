//! Paths and their answers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::events::Events;
use super::facts::Facts;
use super::guard::{self, Ends, Refusal, TEXT};
use super::history::History;
use super::keys::{Levels, Question};
use super::metrics::{self, Format};
use super::names::unescape;
use super::pages;
use super::status::{self, Frame};
use crate::command::{Condition, Health, Host as _};
use crate::server::Server;
use crate::store::unix_ms;

/// How long an answer may take. What it waits for is mostly the writer, which may hold a shard for a large command.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// How many answers may be in the making at once, besides those of the probes.
const MAKING_MAX: usize = 4;

/// How long a caller with a wrong token waits for its refusal.
const WRONG_TOKEN_PAUSE: Duration = Duration::from_millis(100);

/// Everything that answers need.
pub(super) struct Site {
    config: Config,
    router: TowerToHyperService<Router>,
    shared: Arc<Shared>,
}

/// What the handlers share.
struct Shared {
    server: Arc<Server>,
    frame: Frame,
    levels: Levels,
    making: Arc<Semaphore>,
    /// One walk over the keys at a time; others wait, and mostly find its answer.
    walking: Semaphore,
    writer_works: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Site {
    pub(super) fn new(
        server: Arc<Server>,
        config: Config,
        events: Arc<Events>,
        writer_works: Box<dyn Fn() -> bool + Send + Sync>,
    ) -> Self {
        let shared = Arc::new(Shared::new(server, events, writer_works));
        Self {
            config,
            router: TowerToHyperService::new(router(Arc::clone(&shared))),
            shared,
        }
    }

    /// Takes a point of the history each second until `stop`.
    pub(super) fn sample(&self, stop: CancellationToken) -> impl Future<Output = ()> + use<> {
        let history: &Arc<History> = &self.shared.frame.history;
        let server = Arc::clone(&self.shared.server);
        let shared = Arc::clone(&self.shared);
        // It compares what it sees with what it saw a second ago.
        let see_writer = move || _ = (shared.writer_works)();
        Arc::clone(history).sample(server, see_writer, stop)
    }

    /// Answers a request.
    pub(super) async fn answer(&self, request: Request<Incoming>, ends: Ends) -> Response {
        let (head, body) = request.into_parts();
        let answer = match guard::check(&self.config, &head, ends) {
            Ok(()) => self.route(Request::from_parts(head, body)).await,
            Err(refusal) => {
                if refusal == (Refusal::Token { is_wrong: true }) {
                    tokio::time::sleep(WRONG_TOKEN_PAUSE).await;
                }
                refusal.answer()
            }
        };
        guard::dress(answer)
    }

    async fn route(&self, request: Request<Incoming>) -> Response {
        let answer = self.router.call(request.map(Body::new));
        match tokio::time::timeout(ANSWER_PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            // The router does not fail.
            Ok(Err(never)) => match never {},
            Err(_) => words(
                StatusCode::GATEWAY_TIMEOUT,
                "the answer took too long: redtail is busy\n",
            ),
        }
    }
}

fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/status.json", get(status))
        .route("/keys.json", get(keys))
        .fallback(async || words(StatusCode::NOT_FOUND, "there is nothing at this path\n"));
    for &(path, media_type, bytes) in pages::FILES {
        let file = get(async move || ([(header::CONTENT_TYPE, media_type)], bytes));
        router = router.route(path, file);
    }
    router.with_state(shared)
}

fn words(status: StatusCode, text: impl Into<Body>) -> Response {
    (status, [(header::CONTENT_TYPE, TEXT)], text.into()).into_response()
}

type Ours = State<Arc<Shared>>;

async fn livez(State(shared): Ours) -> Response {
    if !(shared.writer_works)() {
        return words(
            StatusCode::SERVICE_UNAVAILABLE,
            "the writer has ended or is stuck: nothing keeps the data fresh. Restart redtail\n",
        );
    }
    words(StatusCode::OK, "ok\n")
}

async fn readyz(State(shared): Ours) -> Response {
    let Health {
        condition,
        why,
        advice,
        warnings,
    } = shared.server.health().health;
    let mut lines = vec![format!("{condition}: {why}")];
    lines.extend(Some(advice).filter(|advice| !advice.is_empty()));
    lines.extend(warnings);
    lines.push(String::new());
    words(readiness(condition), lines.join("\n"))
}

const fn readiness(condition: Condition) -> StatusCode {
    if condition.answers_reads() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

async fn metrics(State(shared): Ours, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT);
    let format = Format::of(accept.and_then(|accept| accept.to_str().ok()));
    shared
        .make(move |shared| {
            let text = metrics::text(&Arc::new(Facts::read(&shared.server)), format);
            ([(header::CONTENT_TYPE, format.media_type())], text).into_response()
        })
        .await
}

/// What `/status.json` may be asked.
#[derive(Debug, serde::Deserialize)]
struct Since {
    /// Unix milliseconds: leave out what is older.
    since: Option<i64>,
}

async fn status(State(shared): Ours, Query(Since { since }): Query<Since>) -> Response {
    shared
        .make(move |shared| {
            let facts = Facts::read(&shared.server);
            json(status::text(
                &facts,
                &shared.frame,
                since.unwrap_or(i64::MIN),
            ))
        })
        .await
}

/// What `/keys.json` may be asked.
#[derive(Debug, serde::Deserialize)]
struct Below {
    /// The database [default: 0].
    #[serde(default)]
    db: usize,
    /// The beginning of the names, written as answers write names [default: none].
    #[serde(default)]
    prefix: String,
    /// The ASCII character that separates levels [default: `:`].
    #[serde(default = "colon")]
    separator: char,
}

const fn colon() -> char {
    ':'
}

async fn keys(State(shared): Ours, Query(below): Query<Below>) -> Response {
    let Ok(separator) = u8::try_from(below.separator) else {
        return words(StatusCode::BAD_REQUEST, NO_SEPARATOR);
    };
    if !separator.is_ascii() {
        return words(StatusCode::BAD_REQUEST, NO_SEPARATOR);
    }
    if below.db >= shared.server.databases() {
        return words(
            StatusCode::BAD_REQUEST,
            "there is no database of that number\n",
        );
    }
    let question = Question {
        db: below.db,
        prefix: unescape(&below.prefix),
        separator,
    };
    let walker = Arc::clone(&shared);
    let _turn = walker.walking.acquire().await;
    shared
        .make(
            move |shared| match shared.levels.answer(&question, || shared.server.data()) {
                Some(answer) => json(answer),
                None => words(StatusCode::SERVICE_UNAVAILABLE, "there is no data yet\n"),
            },
        )
        .await
}

const NO_SEPARATOR: &str = "the separator must be one ASCII character\n";

fn json(text: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

impl Shared {
    fn new(
        server: Arc<Server>,
        events: Arc<Events>,
        writer_works: Box<dyn Fn() -> bool + Send + Sync>,
    ) -> Self {
        let statistics = server.statistics();
        statistics.asked.switch_on();
        let uptime = statistics.started.elapsed();
        let uptime_ms = i64::try_from(uptime.as_millis()).unwrap_or(i64::MAX);
        Self {
            frame: Frame {
                started_unix_ms: unix_ms().saturating_sub(uptime_ms),
                history: Arc::default(),
                events,
            },
            server,
            levels: Levels::default(),
            making: Arc::new(Semaphore::new(MAKING_MAX)),
            walking: Semaphore::new(1),
            writer_works,
        }
    }

    /// Makes an answer where waiting for locks delays nobody.
    async fn make(
        self: Arc<Self>,
        make: impl FnOnce(&Self) -> Response + Send + 'static,
    ) -> Response {
        let permit = Arc::clone(&self.making).acquire_owned().await;
        let made = tokio::task::spawn_blocking(move || {
            let made = make(&self);
            drop(permit);
            made
        });
        made.await.unwrap_or_else(|_| {
            words(
                StatusCode::INTERNAL_SERVER_ERROR,
                "redtail could not make this answer: see its log\n",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::command::Replication;
    use crate::store::Served;

    #[tokio::test]
    async fn a_writer_that_works_no_more_is_no_life_and_a_lost_upstream_is() {
        let (served, _token) = Served::new(Arc::default());
        // Nothing was ever received.
        let server = Server::new(
            crate::server::Config::default(),
            Arc::new(served),
            Replication::default,
        );
        let works = Arc::new(AtomicBool::new(true));
        let seen = Arc::clone(&works);
        let writer_works = Box::new(move || seen.load(Ordering::Relaxed));
        let shared = Arc::new(Shared::new(server, Arc::default(), writer_works));
        let live = async || livez(State(Arc::clone(&shared))).await.status();
        assert_eq!(live().await, StatusCode::OK);
        let ready = readyz(State(Arc::clone(&shared))).await.status();
        assert_eq!(ready, StatusCode::SERVICE_UNAVAILABLE);
        works.store(false, Ordering::Relaxed);
        assert_eq!(live().await, StatusCode::SERVICE_UNAVAILABLE);
    }
}
