//! Between the words of the engine and those of the tables.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kernel::{ChannelId, ClientId, Clock, DomainId, Timestamp};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::engine::message::{Message, Parcel, Place};
use crate::engine::retain::Retained;
use crate::engine::stored::Loaded;
use crate::engine::will::Testament;
use crate::gate::Identity;
use crate::store::{
    Body, Contents, QueueRecord, RetainedRecord, SessionRecord, SubscriptionRecord, Waiting, WillRecord,
};
use crate::wire::{
    Decoder, MessageProperties, Packet, PacketId, Publish, QoS, SubscriptionId, SubscriptionOptions, Text,
    Version, encode,
};

/// One moment on both clocks: the one that the process counts by, and the one that goes on while it is down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    instant: Instant,
    wall: Timestamp,
}

impl Moment {
    pub(crate) fn now(clock: &Clock) -> Self {
        Self { instant: Instant::now(), wall: clock.now() }
    }

    pub(crate) const fn wall_now(&self) -> Timestamp {
        self.wall
    }

    pub(crate) fn wall(&self, at: Instant) -> Timestamp {
        match at.checked_duration_since(self.instant) {
            Some(later) => self.wall.after(later),
            None => {
                let earlier = i64::try_from((self.instant - at).as_micros()).unwrap_or(i64::MAX);
                Timestamp::from_micros(self.wall.micros().saturating_sub(earlier))
            }
        }
    }

    /// An instant that has passed is told as now.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        self.instant + Duration::from_micros(u64::try_from(at.micros() - self.wall.micros()).unwrap_or(0))
    }
}

/// A session of a client as it is stored when it has a connection; `None`: it is that of a user.
pub(crate) fn session_record(
    id: u64,
    identity: &Identity,
    name: &Text,
    expiry: u32,
    will: Option<&Testament>,
    owner: Option<u64>,
) -> Option<SessionRecord> {
    let Identity::Client { client, domain } = identity else { return None };
    let (client, domain): (ClientId, DomainId) = (*client, *domain);
    let name = name.as_str().to_owned();
    let will = will.and_then(will_record);
    Some(SessionRecord { id, client, domain, name, expiry, ends_at: None, sent: 0, will, owner })
}

/// A will as it is stored.
pub(crate) fn will_record(will: &Testament) -> Option<WillRecord> {
    let packet_id = (will.publish.qos > QoS::AtMostOnce).then_some(PacketId::MIN);
    let packet = Packet::Publish(Publish { packet_id, ..will.publish.clone() });
    let mut publish = Vec::new();
    encode(&packet, Version::V5, &mut publish).ok()?;
    Some(WillRecord { publish, delay: will.delay, due: None })
}

/// A stored will.
pub(super) fn testament(record: &WillRecord) -> Option<Box<Testament>> {
    let mut input = Bytes::copy_from_slice(&record.publish);
    match Decoder::of_server(Version::V5, usize::MAX).decode(&mut input) {
        Ok(Some(Packet::Publish(publish))) => {
            let publish = Publish { packet_id: None, ..publish };
            Some(Box::new(Testament { publish, delay: record.delay }))
        }
        _ => None,
    }
}

/// The parts of a subscription that are stored.
pub(crate) struct SubscriptionParts<'a> {
    pub(crate) filter: &'a Text,
    pub(crate) domain: DomainId,
    pub(crate) channel: ChannelId,
    pub(crate) subtopic: &'a str,
    pub(crate) spelling: &'a Text,
    pub(crate) group: Option<&'a str>,
    pub(crate) options: SubscriptionOptions,
    pub(crate) id: Option<SubscriptionId>,
}

const NO_LOCAL: u8 = 0b100;
const AS_PUBLISHED: u8 = 0b1000;

/// A subscription as it is stored.
pub(crate) fn subscription_record(session: u64, parts: &SubscriptionParts<'_>) -> SubscriptionRecord {
    let SubscriptionOptions { qos, no_local, retain_as_published, .. } = parts.options;
    SubscriptionRecord {
        session,
        filter: parts.filter.as_str().to_owned(),
        domain: parts.domain,
        channel: parts.channel,
        subtopic: parts.subtopic.to_owned(),
        spelling: parts.spelling.as_str().to_owned(),
        share: parts.group.map(str::to_owned),
        options: qos.bits()
            | if no_local { NO_LOCAL } else { 0 }
            | if retain_as_published { AS_PUBLISHED } else { 0 },
        identifier: parts.id.map(SubscriptionId::get),
    }
}

/// The options of a stored subscription. How retained messages are sent was a matter of its SUBSCRIBE alone.
pub(super) fn options(bits: u8) -> SubscriptionOptions {
    SubscriptionOptions {
        qos: QoS::from_bits(bits & 0b11).unwrap_or(QoS::AtMostOnce),
        no_local: bits & NO_LOCAL != 0,
        retain_as_published: bits & AS_PUBLISHED != 0,
        ..SubscriptionOptions::default()
    }
}

/// The contents of a message as they are stored.
pub(super) fn contents(message: &Message, moment: &Moment) -> Contents {
    Contents {
        payload: message.payload.clone(),
        properties: Bytes::copy_from_slice(message.properties.as_encoded()),
        expires_at: message.expires_at.map(|at| moment.wall(at)),
    }
}

/// A stored message.
fn message(channel: ChannelId, contents: Contents, moment: &Moment) -> Arc<Message> {
    Arc::new(Message {
        accepted: None,
        channel,
        payload: contents.payload,
        properties: MessageProperties::from_encoded(&contents.properties),
        expires_at: contents.expires_at.map(|at| moment.instant(at)),
    })
}

/// A message on its way to a session, as it is stored.
pub(super) fn queue_record(session: u64, seq: i64, parcel: &Parcel, moment: &Moment) -> QueueRecord {
    let body = match parcel.place.shared {
        0 => Body::Own(contents(&parcel.message, moment)),
        id => Body::Shared(id),
    };
    QueueRecord {
        session,
        seq,
        qos: parcel.qos.bits(),
        retain: parcel.retain,
        channel: parcel.message.channel,
        topic: parcel.topic.as_str().to_owned(),
        identifiers: parcel.subscription_ids.iter().map(|id| id.get()).collect(),
        bytes: parcel.cost() as u64,
        body,
    }
}

/// What was read from a queue.
pub(super) fn loaded(waiting: Waiting, moment: &Moment) -> Loaded {
    match waiting {
        Waiting::Released { seq } => Loaded::Released(seq),
        Waiting::Message { record, shared } => {
            let contents = match record.body {
                Body::Own(contents) => contents,
                Body::Shared(_) => Contents::default(),
            };
            let subscription_ids: SmallVec<[SubscriptionId; 1]> =
                record.identifiers.into_iter().filter_map(SubscriptionId::new).collect();
            Loaded::Message(Parcel {
                message: message(record.channel, contents, moment),
                topic: Text::from(record.topic),
                qos: QoS::from_bits(record.qos).unwrap_or(QoS::AtLeastOnce),
                retain: record.retain,
                subscription_ids,
                place: Place { seq: record.seq.unsigned_abs(), shared: shared.unwrap_or(0) },
            })
        }
    }
}

/// A retained message as it is stored.
pub(super) fn retained_record(
    channel: ChannelId,
    subtopic: &str,
    retained: &Retained,
    bytes: u64,
    moment: &Moment,
) -> RetainedRecord {
    RetainedRecord {
        channel,
        subtopic: subtopic.to_owned(),
        qos: retained.qos.bits(),
        bytes,
        contents: contents(&retained.message, moment),
    }
}

/// A stored retained message, with its subtopic.
pub(crate) fn retained(record: RetainedRecord, moment: &Moment) -> (Box<str>, Retained) {
    let qos = QoS::from_bits(record.qos).unwrap_or(QoS::AtMostOnce);
    let message = message(record.channel, record.contents, moment);
    (record.subtopic.into(), Retained { message, qos })
}
