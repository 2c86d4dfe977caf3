//! Events of the registry on their way out.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use db::BoxFuture;
use events::Event;
use kernel::{Error, Result};

use crate::Nats;
use crate::stream::{Fate, Outgoing};
use crate::subject;

/// Publishes events until a stream has them.
pub(crate) struct EventSink {
    nats: Nats,
    /// The streams have been seen since something last went wrong.
    ready: AtomicBool,
}

impl EventSink {
    pub(crate) fn new(nats: Nats) -> Self {
        Self { nats, ready: AtomicBool::new(false) }
    }

    fn outgoing(&self, id: i64, event: &Event) -> Outgoing {
        let prefix = &self.nats.settings().event_prefix;
        let payload = serde_json::Value::from(event.payload().clone()).to_string();
        Outgoing {
            subject: subject::of_event(&event.stream(prefix)),
            // Of all nodes that share a database: the number is the outbox's.
            id: format!("event-{id}-{}", event.at().micros()),
            payload: Bytes::from(payload),
        }
    }
}

impl events::Sink for EventSink {
    fn take<'a>(&'a self, events: &'a [(i64, Event)]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if !self.ready.load(Relaxed) {
                self.nats.ensure_streams().await?;
                self.ready.store(true, Relaxed);
            }
            let outgoing: Vec<_> = events.iter().map(|(id, event)| self.outgoing(*id, event)).collect();
            let fates = self.nats.publish(&outgoing).await;
            if fates.contains(&Fate::Unknown) {
                self.ready.store(false, Relaxed);
                return Err(Error::unavailable("NATS has not confirmed events"));
            }
            Ok(())
        })
    }
}
