//! Paths and their answers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
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
use super::metrics;
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
    making: Arc<Semaphore>,
    writer_has_ended: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Site {
    pub(super) fn new(
        server: Arc<Server>,
        config: Config,
        events: Arc<Events>,
        writer_has_ended: Box<dyn Fn() -> bool + Send + Sync>,
    ) -> Self {
        let uptime = server.statistics().started.elapsed();
        let uptime_ms = i64::try_from(uptime.as_millis()).unwrap_or(i64::MAX);
        let shared = Arc::new(Shared {
            frame: Frame {
                started_unix_ms: unix_ms().saturating_sub(uptime_ms),
                history: Arc::default(),
                events,
            },
            server,
            making: Arc::new(Semaphore::new(MAKING_MAX)),
            writer_has_ended,
        });
        Self {
            config,
            router: TowerToHyperService::new(router(Arc::clone(&shared))),
            shared,
        }
    }

    /// Takes a point of the history each second until `stop`.
    pub(super) fn sample(&self, stop: CancellationToken) -> impl Future<Output = ()> + use<> {
        let history: &Arc<History> = &self.shared.frame.history;
        Arc::clone(history).sample(Arc::clone(&self.shared.server), stop)
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
    if (shared.writer_has_ended)() {
        return words(
            StatusCode::SERVICE_UNAVAILABLE,
            "the writer has ended: nothing keeps the data fresh. Restart redtail\n",
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

async fn metrics(State(shared): Ours) -> Response {
    shared
        .make(metrics::MEDIA_TYPE, |shared| {
            metrics::text(&Arc::new(Facts::read(&shared.server))).into_bytes()
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
        .make(JSON, move |shared| {
            let facts = Facts::read(&shared.server);
            status::text(&facts, &shared.frame, since.unwrap_or(i64::MIN))
        })
        .await
}

const JSON: &str = "application/json";

impl Shared {
    /// Makes an answer of this media type where waiting for locks delays nobody.
    async fn make(
        self: Arc<Self>,
        media_type: &'static str,
        make: impl FnOnce(&Self) -> Vec<u8> + Send + 'static,
    ) -> Response {
        let permit = Arc::clone(&self.making).acquire_owned().await;
        let made = tokio::task::spawn_blocking(move || {
            let made = make(&self);
            drop(permit);
            made
        });
        match made.await {
            Ok(made) => ([(header::CONTENT_TYPE, media_type)], made).into_response(),
            Err(_) => words(
                StatusCode::INTERNAL_SERVER_ERROR,
                "redtail could not make this answer: see its log\n",
            ),
        }
    }
}
