//! Subscribers that do not speak MQTT: WebSocket, server-sent events, CoAP's Observe, and parts of the platform itself.
//!
//! A [`Reader`] is a connection inside the process. To the engine it is a client of MQTT 5 with a clean session that
//! ends with it: queues, bounds, retained messages, revocations and the end of the node hold for it as for every other.
//! Its bytes never reach a socket; the reader takes them out of the session's output and decodes them.
//!
//! One walk: [`Engine::epoch`], the gate's [`authenticate`](crate::Gate::authenticate), [`Engine::attach_reader`] (again
//! from the start while it says `None`), [`Reader::subscribe`], then [`Reader::next`] for each message. With QoS 0 what
//! a slow reader has no room for is dropped and counted. With QoS 1 publishers wait for it, so each message must be
//! [`acknowledged`](Reader::acknowledge) once it is out; what is not acknowledged when the reader is dropped is lost
//! with its session. A reader that takes nothing for [`Limits::slow_subscriber`](crate::Limits::slow_subscriber) while
//! publishers wait, or that loses the right to what it reads, is told so by [`Ended`], always within a second of the
//! loss.
//!
//! The race it must win: whoever writes into the output finds that only the reader can take from it, and wakes it;
//! a reader that looks while somebody writes finds nothing and is woken by him. So nothing is left lying.

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use kernel::{Error, Kind, Result};
use tokio::time::Instant;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::commit::Batch;
use super::connect::{Newcomer, NotAttached};
use super::disconnect::Departure;
use super::inflight::Last;
use super::link::{Close, Link};
use super::output::OwnerOnly;
use super::publish::{Origin, Ticket};
use super::rate::Meter;
use super::session::Session;
use super::subscribe::Owed;
use super::{Core, Engine};
use crate::gate::Identity;
use crate::protocol::Protocol;
use crate::stats::count;
use crate::wire::{
    ConnAck, Decoder, Packet, Publish, QoS, ReasonCode, RetainHandling, Subscription, SubscriptionOptions,
    Text, Version,
};

/// QoS 1 messages that a reader may have without having acknowledged them.
const WINDOW: u16 = 64;

/// A moment before credentials are looked at; see [`Engine::attach_reader`].
#[derive(Debug, Clone, Copy)]
pub struct Epoch(u64);

/// How a reader takes messages.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    /// 0: what it has no room for is dropped; 1: publishers wait for it. 2 counts as 1.
    pub qos: QoS,
    /// Do not send back what its own [`Publisher`]s have published.
    pub no_local: bool,
    /// Do not begin with the retained messages.
    pub no_retained: bool,
}

/// Why a reader gets no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// A right, the credentials or the channel is gone.
    #[error("the right to read here has ended")]
    Revoked,
    /// The token has come to its end.
    #[error("the token has expired")]
    Expired,
    /// Publishers waited and it took nothing.
    #[error("messages were not taken in time")]
    TooSlow,
    /// The node goes down.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// Nobody could say whether the right still holds.
    #[error("the server is busy, come again")]
    Unavailable,
}

/// A subscriber inside the process. Dropping it ends its subscriptions.
pub struct Reader {
    core: Arc<Core>,
    session: Arc<Session>,
    link: Arc<Link>,
    identity: Identity,
    decoder: Decoder,
    /// What was taken out of the session and is not decoded yet.
    batch: Bytes,
    /// Whether `batch` still counts against the bounds of the session.
    has_turn: bool,
    owed: VecDeque<Owed>,
    expires_at: Option<Instant>,
    /// The end of the node waits for it.
    _tracked: TaskTrackerToken,
}

impl Engine {
    /// To be had before the gate is asked who somebody is.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.0.revocations())
    }

    /// Gives `identity`, whom the gate has told since `epoch`, a reader without subscriptions, for a protocol other than
    /// MQTT. `None`: credentials were revoked meanwhile, perhaps these; ask the gate again.
    ///
    /// # Errors
    ///
    /// `Limited` when there are too many connections or sessions, `Unavailable` while the node goes down.
    pub fn attach_reader(
        &self,
        epoch: Epoch,
        identity: &Identity,
        protocol: Protocol,
    ) -> Result<Option<Reader>> {
        let core = &self.0;
        if core.closing.is_cancelled() {
            return Err(Error::unavailable("the node goes down"));
        }
        if core.connections.len() >= core.shared.limits.connections {
            count(&core.shared.stats.refused);
            return Err(Error::new(Kind::Limited, "too many connections, try again later"));
        }
        let newcomer = Newcomer {
            identity: identity.clone(),
            revocations: epoch.0,
            // Random, so that no client can name it and take it over.
            client_id: Text::from(format!("{}:{}", protocol.name(), core.rng.uuid().simple())),
            clean_start: true,
            expiry: 0,
            window: WINDOW,
            version: Version::V5,
            maximum_packet_size: usize::MAX,
            topic_alias_maximum: 0,
            will: None,
            connack: ConnAck::default(),
            protocol,
        };
        let tracked = core.connections.token();
        let (session, link) = match core.attach(newcomer, Box::new(OwnerOnly)) {
            Ok(attached) => attached,
            Err(NotAttached::Outdated) => return Ok(None),
            Err(NotAttached::Refused(_)) => {
                return Err(Error::new(Kind::Limited, "too many sessions, close some and try again"));
            }
        };
        let reader = Reader {
            core: Arc::clone(core),
            session,
            link,
            expires_at: core.expiry_of(identity),
            identity: identity.clone(),
            decoder: Decoder::of_server(Version::V5, usize::MAX),
            batch: Bytes::new(),
            has_turn: false,
            owed: VecDeque::new(),
            _tracked: tracked,
        };
        // Like a newcomer to a socket: it sees the end of the node, or is seen by it (`shutdown.rs`).
        if core.closing.is_cancelled() {
            reader.link.close(Close::Told(ReasonCode::SERVER_SHUTTING_DOWN));
        }
        Ok(Some(reader))
    }
}

impl Reader {
    /// Subscribes to a filter, wildcards and all.
    ///
    /// # Errors
    ///
    /// `Invalid` for a filter that is none, `Denied` without the right or where there is no such channel, `Limited`
    /// above the bound of subscriptions, `Unavailable` when the gate cannot answer.
    pub async fn subscribe(&mut self, filter: &str, reading: Reading) -> Result<()> {
        let options = SubscriptionOptions {
            qos: reading.qos.min(QoS::AtLeastOnce),
            no_local: reading.no_local,
            retain_as_published: false,
            retain_handling: if reading.no_retained {
                RetainHandling::DoNotSend
            } else {
                RetainHandling::Send
            },
        };
        let subscription = Subscription { filter: Text::from(filter), options };
        let granted =
            self.core.subscribe(&self.session, &self.link, &self.identity, &subscription, None).await;
        self.core.subscribed_everywhere().await;
        self.owed.extend(granted.owed);
        while self.take_owed() {}
        match granted.reason {
            ReasonCode::TOPIC_FILTER_INVALID => {
                Err(Error::invalid("failed to subscribe : malformed topic or subtopic"))
            }
            ReasonCode::NOT_AUTHORIZED => {
                count(&self.core.shared.stats.denied);
                Err(Error::denied())
            }
            ReasonCode::QUOTA_EXCEEDED => Err(Error::new(Kind::Limited, "too many subscriptions")),
            reason if reason.is_failure() => Err(Error::unavailable("the gate gave no answer")),
            _ => Ok(()),
        }
    }

    /// The next message, in the spelling of the filter. May be dropped while it waits.
    ///
    /// # Errors
    ///
    /// Why there will be none any more.
    pub async fn next(&mut self) -> Result<Publish, Ended> {
        loop {
            if let Some(close) = self.link.closing() {
                return Err(Ended::from(close));
            }
            if let Some(message) = self.decoded()? {
                return Ok(message);
            }
            if self.take_turn() || self.take_owed() {
                continue;
            }
            let expiry = self.expires_at.unwrap_or_else(|| Instant::now() + IDLE);
            if tokio::time::timeout_at(expiry, self.link.wake.notified()).await.is_err()
                && self.expires_at.is_some()
            {
                return Err(Ended::Expired);
            }
        }
    }

    /// The message is out: its QoS 1 promise is kept. Nothing for QoS 0.
    pub fn acknowledge(&self, message: &Publish) {
        if let Some(packet_id) = message.packet_id {
            self.session.acknowledged(&self.link, packet_id, Last::PubAck, Instant::now());
        }
    }

    /// Publishes in the reader's name and with its revocations, besides the reading.
    pub fn publisher(&self) -> Publisher {
        Publisher {
            core: Arc::clone(&self.core),
            session: Arc::clone(&self.session),
            identity: self.identity.clone(),
            protocol: self.link.protocol,
            meter: Meter::new(self.core.shared.limits.rate, Instant::now()),
            known: None,
        }
    }

    /// Who reads.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The next message of the batch.
    fn decoded(&mut self) -> Result<Option<Publish>, Ended> {
        loop {
            match self.decoder.decode(&mut self.batch) {
                Ok(Some(Packet::Publish(message))) => {
                    if self.batch.is_empty() {
                        // Room is made at once, not when somebody asks for the next message.
                        self.take_turn();
                    }
                    return Ok(Some(message));
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(violation) => {
                    tracing::error!(%violation, "a reader does not understand what the engine says");
                    return Err(Ended::Unavailable);
                }
            }
        }
    }

    /// Takes what has come since; the last batch counts no more. `false`: nothing has.
    fn take_turn(&mut self) -> bool {
        let turn = if std::mem::take(&mut self.has_turn) {
            self.session.end_turn(&self.link, Vec::new(), 0, Instant::now())
        } else {
            self.session.begin_turn(&self.link)
        };
        let Some((bytes, _)) = turn else { return false };
        self.has_turn = true;
        self.batch = Bytes::from(bytes);
        true
    }

    /// Fetches some retained messages that a subscription is owed. `false`: there are none, or no room for them now.
    fn take_owed(&mut self) -> bool {
        // Over its bound it takes first what is there, like every subscriber.
        let Some(owed) = self.owed.front_mut().filter(|_| !self.session.is_full()) else { return false };
        // A reader's session is not stored, so nothing comes into the batch.
        self.core.send_retained(&self.session, &self.link, owed, &mut Batch::default(), Instant::now());
        if owed.is_finished() {
            self.owed.pop_front();
        }
        true
    }
}

/// A day: how long a reader sleeps that nothing ends.
const IDLE: Duration = Duration::from_secs(24 * 3_600);

impl Drop for Reader {
    fn drop(&mut self) {
        self.core.detach(&self.session, &self.link, Departure::Goodbye { expiry: Some(0) });
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reader of {:?}", self.identity)
    }
}

/// Publishes for somebody with a [`Reader`], and remembers the decision about the last topic.
pub struct Publisher {
    core: Arc<Core>,
    session: Arc<Session>,
    identity: Identity,
    protocol: Protocol,
    meter: Option<Meter>,
    known: Option<(Text, Ticket)>,
}

impl Publisher {
    /// Publishes one message; returns like [`Engine::publish`]. Over a rate it waits, except with QoS 0.
    ///
    /// # Errors
    ///
    /// As [`Engine::publish`].
    pub async fn publish(&mut self, publish: &Publish) -> Result<()> {
        let origin =
            Origin { identity: &self.identity, session: Some(&self.session), protocol: self.protocol };
        let known =
            self.known.take_if(|(topic, ticket)| *topic != publish.topic || !ticket.is_valid(&self.session));
        drop(known);
        if self.known.is_none() {
            let Some(ticket) = self.core.admit_counted(origin, publish).await? else { return Ok(()) };
            self.known = Some((publish.topic.detached(), ticket));
        }
        let Some((_, ticket)) = &mut self.known else { return Ok(()) };
        let patience = if publish.qos == QoS::AtMostOnce { Duration::ZERO } else { Duration::MAX };
        let until = self.core.within_rates([self.meter.as_ref(), ticket.meter()], publish, patience)?;
        self.core.publish_alone(ticket, origin, publish).await?;
        if let Some(until) = until {
            count(&self.core.shared.stats.slowed);
            tokio::time::sleep_until(until).await;
        }
        Ok(())
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "publisher of {:?}", self.identity)
    }
}

impl From<Close> for Ended {
    fn from(close: Close) -> Self {
        match close {
            Close::Told(ReasonCode::QUOTA_EXCEEDED) => Self::TooSlow,
            Close::Told(ReasonCode::SERVER_SHUTTING_DOWN) => Self::ShuttingDown,
            Close::Told(ReasonCode::SERVER_BUSY) => Self::Unavailable,
            Close::Told(_) | Close::Broken | Close::TakenOver { .. } => Self::Revoked,
        }
    }
}
