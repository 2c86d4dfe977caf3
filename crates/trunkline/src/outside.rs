//! A NATS outside: what it is told (messages, what clients do, and the events of the registry), and the way over it to other
//! nodes.

use std::sync::Arc;
use std::time::Duration;

use db::Db;
use events::{Forwarder, Outward};
use kernel::{Clock, Secret};
use messaging::{Observer, Setup};
use nats::{Bridge, Feed, Nats};

use crate::config::Settings;

/// A NATS.
pub(crate) struct Outside {
    nats: Nats,
    /// `None`: it is told nothing.
    told: Option<Told>,
}

/// A NATS that is told.
struct Told {
    bridge: Bridge,
    feed: Feed,
    forwarder: Forwarder,
    outward: Outward,
}

impl Outside {
    /// Begins to connect and to tell, where the settings name a NATS. `instance` names this process, `run` this start of it.
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
        let told = given.publish.then(|| {
            let (bridge, feed) = Bridge::start(nats.clone(), clock.clone(), run);
            let outward = Outward::default();
            let forwarder = Forwarder::start(db.clone(), outward.clone(), nats.sink(), clock.clone());
            Told { bridge, feed, forwarder, outward }
        });
        Ok(Some(Self { nats, told }))
    }

    /// What the message engine tells.
    pub(crate) fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.told.as_ref().map(|told| Arc::new(told.feed.clone()) as Arc<dyn Observer>)
    }

    /// What the relay wakes.
    pub(crate) fn outward(&self) -> Option<Outward> {
        self.told.as_ref().map(|told| told.outward.clone())
    }

    /// How the engine takes part in a cluster, if this node is one of several.
    pub(crate) fn cluster(
        &self,
        settings: &Settings,
        key: Secret<[u8; 32]>,
    ) -> kernel::Result<Option<Setup>> {
        let cluster = &settings.cluster;
        if !cluster.enabled {
            return Ok(None);
        }
        let network = Arc::new(self.nats.node_transport(&cluster.name)?);
        Ok(Some(Setup { network, key, lease: cluster.lease }))
    }

    /// Tells what is still waiting, for at most `patience`.
    pub(crate) async fn close(self, patience: Duration) {
        if let Some(told) = self.told {
            told.bridge.stop(&told.feed, patience).await;
            told.forwarder.stop().await;
        }
        self.nats.close().await;
    }
}
