//! Messages and what clients do, on their way out.
//!
//! The engine calls [`Feed`] between messages, so it only encodes and queues. A task of its own empties the queue in
//! batches: it publishes a batch, waits for the confirmations, and sends again what was not confirmed before it takes the
//! next. The queue has a bound in messages and in bytes; what comes when it is full is counted and dropped.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
};
use std::time::Duration;

use bytes::Bytes;
use kernel::Clock;
use messaging::{Event, Observer, Protocol, PublishedMessage};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::message::{Message, id};
use crate::stream::{Fate, Outgoing};
use crate::{Nats, subject};

/// What is published at a time.
const BATCH: usize = 512;
/// Before something is sent again.
const REST: Duration = Duration::from_millis(250);

/// What the message engine tells. A clone fills the same queue.
#[derive(Debug, Clone)]
pub struct Feed(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: mpsc::Sender<Outgoing>,
    waiting_bytes: AtomicUsize,
    most_bytes: usize,
    /// Tells the messages of this run from those of others.
    run: String,
    last: AtomicU64,
    /// Nothing waits.
    idle: Notify,
    dropping: AtomicBool,
    event_prefix: String,
    instance: String,
    clock: Clock,
}

/// The task that empties the queue.
#[derive(Debug)]
pub struct Bridge {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Bridge {
    /// Starts to publish what the feed is told.
    pub fn start(nats: Nats, clock: Clock, run: &str) -> (Self, Feed) {
        let settings = nats.settings();
        let (queue, mut waiting) = mpsc::channel(settings.queue_messages.max(1));
        let shared = Arc::new(Shared {
            queue,
            waiting_bytes: AtomicUsize::new(0),
            most_bytes: settings.queue_bytes,
            run: run.to_owned(),
            last: AtomicU64::new(0),
            idle: Notify::new(),
            dropping: AtomicBool::new(false),
            event_prefix: settings.event_prefix.clone(),
            instance: settings.instance.clone(),
            clock,
        });
        let (stop, mut stopped) = oneshot::channel();
        let feed = Feed(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH);
            loop {
                tokio::select! {
                    biased;
                    count = waiting.recv_many(&mut batch, BATCH) => if count == 0 { return },
                    _ = &mut stopped => return,
                }
                let bytes: usize = batch.iter().map(cost).sum();
                tokio::select! {
                    () = deliver(&nats, &mut batch) => {}
                    _ = &mut stopped => return,
                }
                let before = shared.waiting_bytes.fetch_sub(bytes, Relaxed);
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a gauge is a float, and 2^53 of anything suffices"
                )]
                metrics::gauge!("trunkline_nats_queued_bytes").set((before - bytes) as f64);
                if before == bytes {
                    shared.idle.notify_waiters();
                }
            }
        });
        (Self { stop, task }, feed)
    }

    /// Publishes what waits, for at most `patience`; the rest is lost for readers of NATS.
    pub async fn stop(self, feed: &Feed, patience: Duration) {
        let emptied = async {
            loop {
                let idle = feed.0.idle.notified();
                if feed.0.waiting_bytes.load(Relaxed) == 0 {
                    return;
                }
                idle.await;
            }
        };
        let _in_time = tokio::time::timeout(patience, emptied).await;
        drop(self.stop);
        // An error would be a panic of the task, which has been reported.
        let _ended = self.task.await;
    }
}

/// Publishes until all are kept or refused.
async fn deliver(nats: &Nats, batch: &mut Vec<Outgoing>) {
    loop {
        let fates = nats.publish(batch).await;
        let mut fate = fates.iter();
        let before = batch.len();
        batch.retain(|_| fate.next() == Some(&Fate::Unknown));
        count("published", before - batch.len());
        if batch.is_empty() {
            return;
        }
        // A stream may be missing, or the connection; both come back.
        if let Err(error) = nats.ensure_streams().await {
            tracing::debug!(cause = error.chain(), "messages wait for NATS");
        }
        sleep(REST).await;
    }
}

impl Feed {
    fn queue(&self, subject: String, payload: Bytes) {
        let shared = &self.0;
        let number = shared.last.fetch_add(1, Relaxed);
        let outgoing = Outgoing { subject, id: format!("{}-{number}", shared.run), payload };
        let bytes = cost(&outgoing);
        let queued = shared.waiting_bytes.fetch_add(bytes, Relaxed) + bytes <= shared.most_bytes
            && shared.queue.try_send(outgoing).is_ok();
        if queued {
            shared.dropping.store(false, Relaxed);
            return;
        }
        shared.waiting_bytes.fetch_sub(bytes, Relaxed);
        count("dropped", 1);
        // Once for each time that it begins, and not for each message.
        if !shared.dropping.swap(true, Relaxed) {
            tracing::warn!("NATS is too slow or away: its readers miss messages from now on");
        }
    }

    fn message(&self, published: &PublishedMessage<'_>) {
        let payload = Message::of(published).encode_to_vec();
        self.queue(subject::of_message(published), Bytes::from(payload));
        let event = json!({
            "operation": "messaging.client_publish",
            "domain_id": published.domain.to_string(),
            "channel_id": published.channel.to_string(),
            "client_id": id(published.publisher),
            "subtopic": published.subtopic.replace('/', "."),
        });
        self.event("publish", event);
    }

    /// Tells that a subscription was made or ended, in the words that upstream has for all protocols.
    fn subscription(&self, name: &str, client: &str, subscriber: &str, topic: &str) {
        let event = json!({
            "operation": format!("messaging.client_{name}"),
            "client_id": client,
            "subscriber_id": subscriber,
            "topic": topic,
        });
        self.event(name, event);
    }

    /// Publishes an event of the message plane to `<prefix><name>` (reference 05 §11).
    fn event(&self, name: &str, mut event: Value) {
        if let Some(members) = event.as_object_mut() {
            let at = self.0.clock.now().micros().saturating_mul(1_000);
            members.insert("occurred_at".to_owned(), at.into());
        }
        let stream = format!("{}{name}", self.0.event_prefix);
        self.queue(subject::of_event(&stream), Bytes::from(event.to_string()));
    }
}

impl Observer for Feed {
    fn wants_messages(&self) -> bool {
        true
    }

    fn observe(&self, event: Event<'_>) {
        let instance = &self.0.instance;
        match event {
            Event::Published(published) => self.message(&published),
            Event::Connected { identity, client_id } | Event::Disconnected { identity, client_id } => {
                let name = match event {
                    Event::Connected { .. } => "mqtt.client_connect",
                    _ => "mqtt.client_disconnect",
                };
                let (client, subscriber) = (id(identity), client_id);
                self.event(
                    name,
                    json!({"operation": name, "client_id": client, "subscriber_id": subscriber, "instance": instance}),
                );
            }
            Event::Subscribed {
                identity,
                client_id,
                protocol: Protocol::Mqtt,
                domain,
                channel,
                subtopic,
            } => self.event(
                "mqtt.client_subscribe",
                // `domainID` is upstream's spelling.
                json!({
                    "operation": "mqtt.client_subscribe",
                    "client_id": id(identity),
                    "subscriber_id": client_id,
                    "domainID": domain.to_string(),
                    "channel_id": channel.to_string(),
                    "subtopic": subtopic.replace('/', "."),
                }),
            ),
            Event::Subscribed { identity, client_id, domain, channel, subtopic, .. } => {
                self.subscription(
                    "subscribe",
                    &id(identity),
                    client_id,
                    &subject::of_filter(domain, channel, subtopic),
                );
            }
            Event::Unsubscribed { identity, client_id, domain, channel, subtopic, .. } => {
                self.subscription(
                    "unsubscribe",
                    &id(identity),
                    client_id,
                    &subject::of_filter(domain, channel, subtopic),
                );
            }
        }
    }
}

/// Bytes that something counts while it waits: its own, and the records around it.
fn cost(outgoing: &Outgoing) -> usize {
    const RECORDS: usize = 128;
    outgoing.subject.len() + outgoing.id.len() + outgoing.payload.len() + RECORDS
}

fn count(outcome: &'static str, number: usize) {
    metrics::counter!("trunkline_nats_messages_total", "outcome" => outcome).increment(number as u64);
}
