//! The streams that keep what is published, and publishing until it is kept.

use std::error::Error as _;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::{self, ErrorCode, stream};
use bytes::Bytes;
use futures_util::future;
use kernel::{Error, Result};

use crate::Nats;

/// How long a stream keeps what it has (reference 05 §10.2).
const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);
const MAX_PER_SUBJECT: i64 = 1_000_000;
const MAX_MESSAGE: i32 = 1 << 20;
/// Within which NATS knows what it has been sent before.
const DUPLICATES: Duration = Duration::from_secs(120);

/// Something to publish.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) subject: String,
    /// By which a repetition is known.
    pub(crate) id: String,
    pub(crate) payload: Bytes,
}

/// What became of one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// A stream has it.
    Kept,
    /// NATS will never take it.
    Refused,
    /// It may not have arrived, and must be sent again.
    Unknown,
}

impl Nats {
    /// Publishes in order and waits for all confirmations; one fate for each.
    pub(crate) async fn publish(&self, outgoing: &[Outgoing]) -> Vec<Fate> {
        let mut sent = Vec::with_capacity(outgoing.len());
        for one in outgoing {
            match self.send(one).await {
                Ok(ack) => sent.push(future::Either::Left(async move { fate(one, ack.await.map(drop)) })),
                Err(error) => {
                    let fate = fate(one, Err(error));
                    sent.push(future::Either::Right(future::ready(fate)));
                    // Without a connection the others would each wait in vain, and those behind would come first.
                    if fate == Fate::Unknown {
                        break;
                    }
                }
            }
        }
        // Together: each has its time limit from now on, not after the one before it.
        let mut fates = future::join_all(sent).await;
        fates.resize(outgoing.len(), Fate::Unknown);
        fates
    }

    async fn send(&self, one: &Outgoing) -> std::result::Result<PublishAckFuture, PublishError> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", one.id.as_str());
        let subject = one.subject.clone();
        let publishing = self.0.stream.publish_with_headers(subject, headers, one.payload.clone());
        // While NATS is away, what is to be sent fills a buffer first, and then waits.
        match tokio::time::timeout(self.0.settings.ack_timeout, publishing).await {
            Ok(sent) => sent,
            Err(_) => Err(PublishError::new(PublishErrorKind::TimedOut)),
        }
    }

    /// Makes the streams where there are none; those that are there stay as their operator wants them.
    ///
    /// # Errors
    ///
    /// `Unavailable` while NATS is away or has no JetStream.
    pub(crate) async fn ensure_streams(&self) -> Result<()> {
        for (name, subjects) in [("m", "m.>"), ("events", "events.>")] {
            let wanted = stream::Config {
                name: name.to_owned(),
                subjects: vec![subjects.to_owned()],
                max_age: MAX_AGE,
                max_messages_per_subject: MAX_PER_SUBJECT,
                max_message_size: MAX_MESSAGE,
                discard: stream::DiscardPolicy::Old,
                retention: stream::RetentionPolicy::Limits,
                storage: stream::StorageType::File,
                duplicate_window: DUPLICATES,
                num_replicas: 1,
                ..stream::Config::default()
            };
            self.make(wanted).await?;
        }
        Ok(())
    }

    async fn make(&self, wanted: stream::Config) -> Result<()> {
        let name = wanted.name.clone();
        let made = self.0.stream.get_or_create_stream(wanted).await;
        made.map(drop).map_err(|error| Error::unavailable(format!("NATS has no stream `{name}`: {error}")))
    }

    /// What was given.
    pub(crate) fn settings(&self) -> &crate::Settings {
        &self.0.settings
    }
}

fn fate(one: &Outgoing, outcome: std::result::Result<(), PublishError>) -> Fate {
    match outcome {
        Ok(()) => Fate::Kept,
        Err(error) if is_final(&error) => {
            tracing::warn!(subject = %one.subject, bytes = one.payload.len(), %error, "NATS does not take a message");
            Fate::Refused
        }
        // Also what NATS answers while it is full or a part of its cluster is away.
        Err(_) => Fate::Unknown,
    }
}

/// Whether a message will never be taken, whatever happens to NATS: it is larger than the server or the stream allows.
fn is_final(error: &PublishError) -> bool {
    let refused = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
    error.kind() == PublishErrorKind::MaxPayloadExceeded
        || refused.is_some_and(|refused| refused.error_code() == ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM)
}
