//! What a NATS outside is told: messages, what clients do, and the events of the registry.

use std::sync::Arc;
use std::time::Duration;

use db::Db;
use events::{Forwarder, Outward};
use kernel::Clock;
use messaging::Observer;
use nats::{Bridge, Feed, Nats};

use crate::config::Settings;

/// A NATS that is told.
pub(crate) struct Outside {
    nats: Nats,
    bridge: Bridge,
    feed: Feed,
    forwarder: Forwarder,
    outward: Outward,
}

impl Outside {
    /// Begins to tell, where the settings name a NATS. `instance` names this process, `run` this start of it.
    pub(crate) async fn open(
        settings: &Settings,
        db: &Db,
        clock: &Clock,
        run: &str,
    ) -> anyhow::Result<Option<Self>> {
        let given = &settings.nats;
        let Some(urls) = given.url.as_ref().filter(|urls| !urls.0.is_empty()) else { return Ok(None) };
        let instance = settings.node.instance_id.as_ref().map_or_else(|| run.to_owned(), |id| id.0.clone());
        let nats = Nats::open(nats::Settings {
            urls: urls.0.clone(),
            credentials: given.credentials.clone(),
            ca_certs: given.ca_certs.clone(),
            event_prefix: given.event_prefix.clone(),
            instance,
            queue_messages: given.queue_messages.0,
            queue_bytes: given.queue_bytes.0,
            ack_timeout: given.ack_timeout,
        })
        .await?;
        let (bridge, feed) = Bridge::start(nats.clone(), clock.clone(), run);
        let outward = Outward::default();
        let forwarder = Forwarder::start(db.clone(), outward.clone(), nats.sink(), clock.clone());
        Ok(Some(Self { nats, bridge, feed, forwarder, outward }))
    }

    /// What the message engine tells.
    pub(crate) fn observer(&self) -> Arc<dyn Observer> {
        Arc::new(self.feed.clone())
    }

    /// What the relay wakes.
    pub(crate) fn outward(&self) -> Outward {
        self.outward.clone()
    }

    /// Tells what is still waiting, for at most `patience`.
    pub(crate) async fn close(self, patience: Duration) {
        self.bridge.stop(&self.feed, patience).await;
        self.forwarder.stop().await;
        self.nats.close().await;
    }
}
