//! Asks one node, again and again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::nodes::Account;
use crate::upstream::address::{Address, Node};
use crate::upstream::config::Config;
use crate::upstream::connect::connect;
use crate::upstream::error::Error;
use crate::upstream::wire::Wire;

/// The shortest time between an answer and the next question, however urgent it is.
const PAUSE: Duration = Duration::from_millis(5);

/// What came of asking a node.
#[derive(Debug)]
pub struct Asked {
    /// Where it was asked.
    pub address: Address,
    /// What it said, or why it did not.
    pub said: Result<Account, String>,
}

/// Asks `node` every `pace()` and when `wake` is notified, until `stop` is cancelled. Sends what it says to `listener`.
pub async fn ask_again(
    node: Node,
    config: Config,
    pace: impl Fn() -> Duration + Send,
    wake: Arc<Notify>,
    listener: mpsc::Sender<Asked>,
    stop: CancellationToken,
) {
    let mut wire = None;
    loop {
        let said = tokio::select! {
            said = ask(&node, &config, &mut wire) => said,
            () = stop.cancelled() => return,
        };
        if said.is_err() {
            wire = None;
        }
        let asked = Asked {
            address: node.address.clone(),
            said: said.map_err(|error| error.to_string()),
        };
        if listener.send(asked).await.is_err() {
            return;
        }
        let pause = async {
            sleep(PAUSE).await;
            tokio::select! {
                () = sleep(pace()) => {}
                () = wake.notified() => {}
            }
        };
        tokio::select! {
            () = pause => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Asks all three questions at once, over the connection that is there or a new one.
async fn ask(node: &Node, config: &Config, wire: &mut Option<Wire>) -> Result<Account, Error> {
    let patience = config.timing.handshake;
    let asking = async {
        let mut open = match wire.take() {
            Some(open) => open,
            None => {
                let stream = connect(&node.address, node.tls, config).await?;
                let mut open = Wire::new(stream, patience);
                open.auth(&node.login).await?;
                open
            }
        };
        let asked = Instant::now();
        open.send_all(&[
            &["INFO", "replication"],
            &["CLUSTER", "INFO"],
            &["CLUSTER", "NODES"],
        ])
        .await?;
        let replication = text(&mut open, "answering INFO").await?;
        let state = text(&mut open, "answering CLUSTER INFO").await?;
        let nodes = text(&mut open, "answering CLUSTER NODES").await?;
        let (host, _) = node.address.host_and_port();
        let account = Account::read(asked, &host, &replication, &state, &nodes);
        let account = account.ok_or_else(|| {
            Error::NoServer(format!(
                "{} describes no cluster that it is a part of",
                node.address
            ))
        })?;
        *wire = Some(open);
        Ok(account)
    };
    let silence = |_| Error::Silence(patience, "answering CLUSTER NODES");
    timeout(patience * 2, asking).await.map_err(silence)?
}

async fn text(wire: &mut Wire, doing: &'static str) -> Result<String, Error> {
    let header = wire.line(doing).await?;
    match wire.bulk(&header, doing).await? {
        Some(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        None => Err(wire.error_of(&header, doing)),
    }
}
