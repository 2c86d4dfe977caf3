//! A message comes in: may it, and where does it go?
//!
//! The answer for a topic is a [`Ticket`]: the room, what is left of the topic, and who gets it. A connection keeps
//! its tickets, so that a repeated topic costs one look-up. The races it must win: a ticket carries the generations
//! of room and session that were read *before* the gate was asked, so a decision that a revocation overtook is never
//! used; and the list of subscribers is compared with the room for every message.
//!
//! A queue that is full makes its publishers wait, after the message that filled it: that one has been taken and is
//! acknowledged. Only a session without a connection is not waited for, because nobody knows for how long: one that
//! has no room for a message of QoS 1 or 2 ends (`overflow.rs`).

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures_util::future::{BoxFuture, join_all};
use kernel::{ChannelId, DomainId, Error, Kind, Result as KernelResult};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::Core;
use super::commit::{self, Batch, Order};
use super::fanout::{Fanout, Work};
use super::link::Close;
use super::nodes::Told;
use super::rate::{Meter, charge_all};
use super::retain::Retained;
use super::room::{Room, Targets};
use super::session::Session;
use crate::gate::{Action, Identity};
use crate::observer::{Event, PublishedMessage};
use crate::protocol::Protocol;
use crate::stats::count;
use crate::topic::{Address, ChannelAddress, Malformed};
use crate::wire::{Publish, QoS, ReasonCode};

/// Why a message or a subscription is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The topic is none.
    Malformed(Malformed),
    /// A route of the topic leads nowhere.
    Unknown,
    /// The right is missing.
    Denied,
    /// Nobody can say at the moment.
    Unavailable,
    /// A rate is used up; it may come again after this time.
    Limited(Duration),
}

/// Who a message comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) identity: &'a Identity,
    /// Its session; `None` for those who have none.
    pub(crate) session: Option<&'a Session>,
    pub(crate) protocol: Protocol,
}

/// A topic that somebody may publish to.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) room: Arc<Room>,
    pub(crate) subtopic: Box<str>,
    room_generation: u64,
    session_generation: u64,
    targets: Arc<Targets>,
    /// The rate of the domain.
    meter: Option<Arc<Meter>>,
}

impl Ticket {
    /// The rate of the domain, if it has one.
    pub(crate) fn meter(&self) -> Option<&Meter> {
        self.meter.as_deref()
    }

    /// Whether nothing has been revoked since it was given.
    pub(crate) fn is_valid(&self, session: &Session) -> bool {
        self.room_generation == self.room.generation() && self.session_generation == session.generation()
    }
}

impl Core {
    /// Asks the gate, but not for ever.
    pub(crate) async fn ask<T>(&self, question: BoxFuture<'_, KernelResult<T>>) -> Result<T, Refusal> {
        match timeout(self.shared.limits.gate, question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(match error.kind() {
                Kind::Denied | Kind::Unauthenticated | Kind::NotFound => Refusal::Denied,
                _ => {
                    tracing::warn!(error = %error, cause = %error.chain(), "the gate could not answer");
                    Refusal::Unavailable
                }
            }),
            Err(_) => {
                tracing::warn!("the gate did not answer in time");
                Err(Refusal::Unavailable)
            }
        }
    }

    /// The room that an address leads to, for somebody who means to do `action` there. One that nobody uses is
    /// opened for those who may; whether `identity` may, is to be asked again now that there is a generation to
    /// compare the answer with. So a topic with a wrong domain, or one that is denied, leaves no room behind.
    pub(crate) async fn room(
        &self,
        identity: &Identity,
        address: &ChannelAddress<'_>,
        action: Action,
    ) -> Result<Arc<Room>, Refusal> {
        let found = self.ask(self.gate.resolve(&address.domain, &address.channel)).await?;
        let (domain, channel) = found.ok_or(Refusal::Unknown)?;
        let room = match self.rooms.get(channel) {
            Some(room) if room.domain == domain => room,
            Some(_) => return Err(Refusal::Unknown),
            None => {
                self.authorize_in(identity, domain, channel, action).await?;
                self.rooms.open(domain, channel).ok_or(Refusal::Unknown)?
            }
        };
        self.load_retained(&room).await.map_err(|error| {
            tracing::warn!(cause = %error.chain(), "retained messages could not be read");
            Refusal::Unavailable
        })?;
        Ok(room)
    }

    /// Whether `identity` may do `action` in the room now.
    pub(crate) async fn authorize(
        &self,
        identity: &Identity,
        room: &Room,
        action: Action,
    ) -> Result<(), Refusal> {
        if self.holds_figures(room) {
            let allowed = action == Action::Subscribe && self.ask(self.gate.may_watch(identity)).await?;
            return if allowed { Ok(()) } else { Err(Refusal::Denied) };
        }
        self.authorize_in(identity, room.domain, room.channel, action).await
    }

    async fn authorize_in(
        &self,
        identity: &Identity,
        domain: DomainId,
        channel: ChannelId,
        action: Action,
    ) -> Result<(), Refusal> {
        let allowed = self.ask(self.gate.authorize(identity, domain, channel, action)).await?;
        if allowed { Ok(()) } else { Err(Refusal::Denied) }
    }

    /// The health topic of a domain is for the clients of that domain, and for users (reference 05 §3.2).
    pub(crate) async fn authorize_health(&self, identity: &Identity, domain: &str) -> Result<(), Refusal> {
        let asked: Option<DomainId> = self.ask(self.gate.resolve_domain(domain)).await?;
        let asked = asked.ok_or(Refusal::Unknown)?;
        match identity {
            Identity::Client { domain, .. } if *domain != asked => Err(Refusal::Denied),
            _ => Ok(()),
        }
    }

    /// Gives a ticket for a topic; `None` for the health topic, whose messages go nowhere.
    pub(crate) async fn admit(&self, origin: Origin<'_>, topic: &str) -> Result<Option<Ticket>, Refusal> {
        let Origin { identity, session, .. } = origin;
        loop {
            let map = self.topic_map();
            let address = match self.address(&map, identity, topic).map_err(Refusal::Malformed)? {
                Address::Health { domain } => {
                    return self.authorize_health(identity, domain).await.map(|()| None);
                }
                // Nobody but the engine publishes there.
                Address::Figures { .. } => return Err(Refusal::Malformed(Malformed::Topic)),
                Address::Channel(address) => address,
            };
            let session_generation = session.map_or(0, Session::generation);
            let room = self.room(identity, &address, Action::Publish).await?;
            let room_generation = room.generation();
            if !self.is_in_force(&map) {
                continue;
            }
            self.authorize(identity, &room, Action::Publish).await?;
            let targets = room.targets(&address.subtopic);
            let subtopic = address.subtopic.into();
            let meter = self.domains.of(room.domain, Instant::now());
            return Ok(Some(Ticket { room, subtopic, room_generation, session_generation, targets, meter }));
        }
    }

    /// Takes a message: keeps it if it is to be retained, and gives it to everybody who is to have it.
    pub(crate) fn accept(&self, ticket: &mut Ticket, origin: Origin<'_>, publish: &Publish, work: &mut Work) {
        let from = origin.session.map(|session| session.id);
        let mut fanout = Fanout::new(publish, &ticket.room, &ticket.subtopic, from, work.now);
        if publish.retain {
            let retained = Retained { message: Arc::clone(fanout.kept()), qos: publish.qos };
            let Core { shared, .. } = self;
            ticket.room.retain(&ticket.subtopic, retained, &shared.limits, &shared.stats);
            if let Some(committer) = &shared.committer {
                committer.retained(&ticket.room, &ticket.subtopic);
                if publish.qos > QoS::AtMostOnce {
                    work.batch.retain();
                }
            }
        }
        if !ticket.room.is_current(&ticket.targets) {
            ticket.targets = ticket.room.targets(&ticket.subtopic);
        }
        if publish.qos > QoS::AtMostOnce {
            self.end_overflowing(&ticket.targets);
        }
        if self.observes_messages {
            self.observe(|| {
                Event::Published(PublishedMessage {
                    publisher: origin.identity.key(),
                    client_id: origin.session.map_or("", |session| session.client_id.as_str()),
                    protocol: origin.protocol,
                    domain: ticket.room.domain,
                    channel: ticket.room.channel,
                    subtopic: &ticket.subtopic,
                    payload: &publish.payload,
                    qos: publish.qos,
                    retain: publish.retain,
                    created: self.clock.now(),
                })
            });
        }
        fanout.deliver(&ticket.targets, work);
        if let Some(nodes) = self.shared.nodes.as_ref().filter(|_| !ticket.targets.nodes.is_empty()) {
            let forwarded = nodes.publish(&ticket.targets, &ticket.room, &ticket.subtopic, publish, from);
            work.batch.send_to(forwarded.to);
            self.shared.stats.dropped_slow.fetch_add(forwarded.dropped, Relaxed);
        }
    }

    /// Publishes one message of somebody who has no session here and cannot be made to wait, within its rate.
    pub(crate) async fn publish_metered(&self, origin: Origin<'_>, publish: &Publish) -> Result<(), Refusal> {
        let meter = self.callers.of(origin.identity.key(), Instant::now());
        let own = meter.as_deref();
        // Also what is not allowed uses up the rate of who tries it.
        self.within_rates([own, None], publish, Duration::ZERO)?;
        let Some(mut ticket) = self.admit_counted(origin, publish).await? else { return Ok(()) };
        self.within_rates([None, ticket.meter()], publish, Duration::ZERO)?;
        self.publish_alone(&mut ticket, origin, publish).await
    }

    /// Charges a message; the moment before which its publisher should bring no other.
    pub(crate) fn within_rates(
        &self,
        meters: [Option<&Meter>; 2],
        publish: &Publish,
        patience: Duration,
    ) -> Result<Option<Instant>, Refusal> {
        if meters.iter().all(Option::is_none) {
            return Ok(None);
        }
        let stats = &self.shared.stats;
        match charge_all(meters, publish.topic.len() + publish.payload.len(), Instant::now(), patience) {
            // Who cannot be made to wait is not; the next one will find the bucket full.
            Ok(until) => Ok(until.filter(|_| !patience.is_zero())),
            Err(wait) => {
                count(if publish.qos == QoS::AtMostOnce { &stats.dropped_rate } else { &stats.refused_rate });
                Err(Refusal::Limited(wait))
            }
        }
    }

    /// Publishes a will.
    pub(crate) async fn publish_once(&self, origin: Origin<'_>, publish: &Publish) -> Result<(), Refusal> {
        let Some(mut ticket) = self.admit_counted(origin, publish).await? else { return Ok(()) };
        self.publish_alone(&mut ticket, origin, publish).await
    }

    /// Gives a ticket for a message, and counts that there is none.
    pub(crate) async fn admit_counted(
        &self,
        origin: Origin<'_>,
        publish: &Publish,
    ) -> Result<Option<Ticket>, Refusal> {
        self.admit(origin, publish.topic.as_str()).await.inspect_err(|refusal| {
            if *refusal == Refusal::Denied {
                count(&self.shared.stats.denied);
            }
        })
    }

    /// Takes one message, and returns when it is stored and its subscribers have room.
    pub(crate) async fn publish_alone(
        &self,
        ticket: &mut Ticket,
        origin: Origin<'_>,
        publish: &Publish,
    ) -> Result<(), Refusal> {
        let (mut full, batch) = {
            let mut work = Work::begin(origin.protocol);
            work.tally.receive(publish.qos, publish.payload.len());
            self.accept(ticket, origin, publish, &mut work);
            work.flush();
            work.settle(&self.shared.stats);
            (std::mem::take(&mut work.full), std::mem::take(&mut work.batch))
        };
        if let Some(stored) = self.store(batch) {
            full.extend(commit::answer(stored).await.map_err(|_| Refusal::Unavailable)?);
        }
        // The message is accepted: a subscriber that is merely slow does not hold its answer back for ever.
        let patience = self.shared.limits.slow_subscriber * 2;
        let _has_room = timeout(patience, self.wait_for_room(full)).await;
        Ok(())
    }

    /// Stores what a batch leaves to be stored, when other nodes have taken what they must; `None`: nothing.
    pub(crate) fn store(&self, mut batch: Batch) -> Option<oneshot::Receiver<commit::Stored>> {
        let committer = self.shared.committer.as_ref().filter(|_| !batch.is_empty())?;
        let nodes = batch.take_nodes();
        if nodes.is_empty() {
            return Some(committer.accept(batch));
        }
        let told: Vec<Told> = nodes.iter().map(|node| node.told()).collect();
        let committer = Arc::clone(committer);
        let (done, stored) = oneshot::channel();
        tokio::spawn(async move {
            join_all(told).await;
            if batch.is_empty() {
                // Who does not wait any more has gone away.
                let _gone = done.send(Ok(Vec::new()));
            } else {
                committer.push(Order::Accept { batch, done });
            }
        });
        Some(stored)
    }

    /// Waits until none of the sessions is over its bound. One that takes nothing for too long loses its connection.
    pub(crate) async fn wait_for_room(&self, sessions: Vec<Arc<Session>>) {
        join_all(sessions.iter().map(|session| self.wait_for(session))).await;
    }

    async fn wait_for(&self, session: &Session) {
        loop {
            let mut made = std::pin::pin!(session.room_made.notified());
            made.as_mut().enable();
            let Some(progress) = session.must_await() else { return };
            if timeout(self.shared.limits.slow_subscriber, made).await.is_err()
                && session.must_await() == Some(progress)
            {
                self.close_slow(session);
            }
        }
    }

    fn close_slow(&self, session: &Session) {
        if let Some(link) = session.link() {
            tracing::info!(identity = ?session.identity, "closed a subscriber that takes nothing");
            count(&self.shared.stats.slow_closed);
            link.close(Close::Told(ReasonCode::QUOTA_EXCEEDED));
        }
    }
}

impl Refusal {
    /// The reason code of MQTT 5. A channel that is not there and one that is closed look alike.
    pub(crate) const fn reason(self) -> ReasonCode {
        match self {
            Self::Malformed(_) => ReasonCode::TOPIC_NAME_INVALID,
            Self::Unknown | Self::Denied => ReasonCode::NOT_AUTHORIZED,
            Self::Limited(_) => ReasonCode::QUOTA_EXCEEDED,
            Self::Unavailable => ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed(malformed) => Self::invalid(format!("failed to publish : {malformed}")),
            Refusal::Unknown => Self::invalid("failed to publish : failed to resolve channel route"),
            Refusal::Denied => Self::denied(),
            Refusal::Limited(wait) => Self::limited("too many messages, send fewer in a second", wait),
            Refusal::Unavailable => Self::unavailable("the gate gave no answer"),
        }
    }
}
