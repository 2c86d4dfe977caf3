//! A NATS that others read: messages and events of the platform, as the reference's consumers expect them.
//!
//! - Every accepted message goes to `m.<domain>.c.<channel>[.<subtopic>]` as the reference's protobuf ([`Message`],
//!   reference 05 §10), kept by the stream `m`.
//! - Every event of the registry goes to `events.<prefix><operation>` as one flat JSON object, kept by the stream `events`
//!   (references 01 §9, 02 §10, 03 §8), and so does what clients do on the message plane (reference 05 §11).
//!
//! NATS is told, not asked: while it is away, the platform works as before. Events of the registry wait in the database
//! ([`events::Forwarder`]); messages and what clients do wait in a bounded queue in memory ([`Bridge`]), and what does not
//! fit is counted and lost for these readers. Subscribers of the platform itself are not concerned.
//!
//! Nodes of a cluster can speak to each other over the same connection ([`NodeTransport`]).
//!
//! Everything here works with nats-server 2.9.

mod bridge;
mod message;
mod settings;
mod sink;
mod stream;
mod subject;
mod transport;

pub use bridge::{Bridge, Feed};
pub use message::Message;
pub use settings::{NatsUrl, Settings};
pub use transport::NodeTransport;

use std::sync::Arc;

use async_nats::jetstream::{self, Context};
use kernel::{Error, Result};

/// A connection to NATS, which comes back by itself. A clone is the same connection.
#[derive(Debug, Clone)]
pub struct Nats(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: async_nats::Client,
    stream: Context,
    settings: Settings,
}

impl Nats {
    /// Begins to connect, and returns before it has: a NATS that is away must not keep a node from starting.
    ///
    /// # Errors
    ///
    /// `Invalid` for credentials that cannot be read.
    pub async fn open(settings: Settings) -> Result<Self> {
        let options = settings.options()?;
        let client = async_nats::connect_with_options(settings.urls(), options)
            .await
            .map_err(|error| Error::invalid(format!("cannot use NATS at {settings}: {error}")))?;
        let stream = jetstream::context::ContextBuilder::new()
            .timeout(settings.ack_timeout)
            .ack_timeout(settings.ack_timeout)
            .build(client.clone());
        Ok(Self(Arc::new(Inner { client, stream, settings })))
    }

    pub(crate) fn client(&self) -> async_nats::Client {
        self.0.client.clone()
    }

    /// Where the relay's events go.
    pub fn sink(&self) -> Arc<dyn events::Sink> {
        Arc::new(sink::EventSink::new(self.clone()))
    }

    /// Sends what is on its way and closes the connection.
    pub async fn close(&self) {
        // There is nobody left to tell.
        let _flushed = tokio::time::timeout(self.0.settings.ack_timeout, self.0.client.flush()).await;
    }
}
