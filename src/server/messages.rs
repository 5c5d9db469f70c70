//! Hands out the messages of a cluster: see [`Bus`](crate::command::bus::Bus).

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::shared::Server;
use crate::command::bus::Heard;
use crate::command::{Host as _, Message, Woken};

/// How often names that nobody has subscribed to are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(5);

/// Messages after which other tasks get a turn.
const TURN_MESSAGES: usize = 64;

impl Server {
    /// Hands out the messages of a cluster until `stop` is cancelled.
    pub(super) async fn run_messages(self: Arc<Self>, stop: CancellationToken) {
        let hand_out = || Arc::clone(&self).hand_out_messages(stop.clone());
        self.keep_running(hand_out).await;
    }

    async fn hand_out_messages(self: Arc<Self>, stop: CancellationToken) {
        let Some(shards) = self.shards() else {
            return;
        };
        let mut forget = tokio::time::interval(FORGET_EVERY);
        loop {
            let heard = tokio::select! {
                () = stop.cancelled() => return,
                heard = shards.bus.next() => heard,
                _ = forget.tick() => {
                    shards.bus.forget(|kind, name| self.pubsub.has(kind, name));
                    continue;
                }
            };
            let mut woken = Woken::default();
            for (count, heard) in heard.into_iter().enumerate() {
                self.hand_on(&heard, &mut woken);
                if count % TURN_MESSAGES == TURN_MESSAGES - 1 {
                    woken = Woken::default();
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    fn hand_on(&self, heard: &Heard, woken: &mut Woken) {
        match heard {
            Heard::Message {
                kind,
                name,
                channel,
                payload,
            } if !is_notification(channel) => {
                let message = Message {
                    channel,
                    payload,
                    sharded: false,
                };
                self.pubsub.deliver_for(*kind, name, message, woken);
            }
            Heard::Message { .. } => {}
            Heard::Ended(kind, name) => {
                let clients = self.pubsub.disconnect(*kind, name);
                if clients > 0 {
                    let name = String::from_utf8_lossy(name);
                    tracing::warn!(
                        clients,
                        %name,
                        "a subscription at the cluster ended: disconnected its subscribers, because messages may be lost"
                    );
                }
            }
        }
    }
}

/// Whether a channel is one of keyspace notifications: those come from redtail itself, of all shards, and not from the one server that
/// redtail has subscribed at.
fn is_notification(channel: &[u8]) -> bool {
    channel.starts_with(b"__keyspace@") || channel.starts_with(b"__keyevent@")
}
