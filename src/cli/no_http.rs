//! In a build without the feature `http`, `--http` fails with the reason.

use std::convert::Infallible;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::server::Server;

/// There is none: see [`config`](super::config).
#[derive(Debug)]
pub enum Config {}

/// Nothing is recorded.
#[derive(Debug, Default)]
pub struct Events;

/// There is none.
#[derive(Debug)]
pub(super) struct Listener(Infallible);

impl Listener {
    /// Cannot be called: there is no configuration.
    ///
    /// # Errors
    /// None.
    pub(super) async fn open(config: Config) -> Result<Self, Infallible> {
        match config {}
    }

    /// Cannot be called: there is no listener.
    pub(super) const fn address(&self) -> std::net::SocketAddr {
        match self.0 {}
    }

    /// Cannot be called: there is no listener.
    pub(super) async fn run(
        self,
        _server: Arc<Server>,
        _events: Arc<Events>,
        _writer_works: impl Fn() -> bool + Send + Sync + 'static,
        _stop: CancellationToken,
    ) {
        match self.0 {}
    }
}
