//! What nodes say to each other, as bytes.
//!
//! A message of a link holds frames: four bytes of length, one that says which kind, and the rest. Numbers are in network
//! byte order; a text or a body has its length in front. All nodes of a cluster run the same version of the program.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kernel::{ChannelId, ClientId, DomainId, UserId};
use uuid::Uuid;

use crate::gate::IdentityKey;
use crate::wire::{QoS, Text};

/// One thing that is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// All that is to be known at the beginning has been said: who reads which channel.
    Hello,
    /// The other's Hello has been heard: from now on it is waited for, and knows all that was said before.
    Welcome,
    /// A node wants the messages of a channel, or does not any more.
    Interest { channel: ChannelId, wanted: bool },
    /// A message for those who read a channel.
    Message(Box<Message>),
    /// The rows of a session, or of its subscriptions, have changed.
    Changed { session: u64 },
    /// Messages have been stored for a session.
    Waits { session: u64 },
    /// The queue of a session is over its bound, or has room again.
    Full { session: u64, full: bool },
    /// A client has been let in. `anew`: it wants no session of before.
    Takeover { identity: IdentityKey, name: Text, anew: bool },
    /// The retained message of a topic has changed.
    Retained { channel: ChannelId, subtopic: Text },
    /// A session that is not stored has come into a group of a shared subscription, or left it.
    Member(Box<Member>),
}

/// A message on its way between nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) domain: DomainId,
    pub(super) channel: ChannelId,
    pub(super) subtopic: Text,
    /// The session that published it.
    pub(super) origin: Option<u64>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// Seconds that it is worth delivering.
    pub(super) expiry: Option<u32>,
    /// As in PUBLISH of MQTT 5.
    pub(super) properties: Bytes,
    pub(super) payload: Bytes,
    /// It is for one member of this group; `None`: for everybody else.
    pub(super) group: Option<Text>,
    /// Without a group the sessions that the origin stores it for, else the member.
    pub(super) sessions: Vec<u64>,
}

/// A member of a group that is known to its own node alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) session: u64,
    pub(super) domain: DomainId,
    pub(super) channel: ChannelId,
    pub(super) subtopic: Text,
    pub(super) spelling: Text,
    pub(super) group: Text,
    pub(super) qos: QoS,
    /// `false`: it has left.
    pub(super) comes: bool,
}

/// Bytes that no node of this version says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame that this version does not know")]
pub(super) struct Unknown;

const HELLO: u8 = 1;
const INTEREST: u8 = 2;
const MESSAGE: u8 = 3;
const CHANGED: u8 = 4;
const WAITS: u8 = 5;
const TAKEOVER: u8 = 6;
const RETAINED: u8 = 7;
const MEMBER: u8 = 8;
const FULL: u8 = 9;
const WELCOME: u8 = 10;

const CLIENT: u8 = 0;
const USER: u8 = 1;

impl Frame {
    /// Appends the frame.
    pub(super) fn append_to(&self, out: &mut BytesMut) {
        let start = out.len();
        out.put_u32(0);
        match self {
            Self::Hello => out.put_u8(HELLO),
            Self::Welcome => out.put_u8(WELCOME),
            Self::Interest { channel, wanted } => {
                out.put_u8(INTEREST);
                put_uuid(out, channel.uuid());
                out.put_u8(u8::from(*wanted));
            }
            Self::Message(message) => {
                out.put_u8(MESSAGE);
                message.append_to(out);
            }
            Self::Changed { session } => {
                out.put_u8(CHANGED);
                out.put_u64(*session);
            }
            Self::Waits { session } => {
                out.put_u8(WAITS);
                out.put_u64(*session);
            }
            Self::Full { session, full } => {
                out.put_u8(FULL);
                out.put_u64(*session);
                out.put_u8(u8::from(*full));
            }
            Self::Takeover { identity, name, anew } => {
                out.put_u8(TAKEOVER);
                let (kind, uuid) = match identity {
                    IdentityKey::Client(client) => (CLIENT, client.uuid()),
                    IdentityKey::User(user) => (USER, user.uuid()),
                };
                out.put_u8(kind);
                put_uuid(out, uuid);
                put_bytes(out, name.as_bytes());
                out.put_u8(u8::from(*anew));
            }
            Self::Retained { channel, subtopic } => {
                out.put_u8(RETAINED);
                put_uuid(out, channel.uuid());
                put_bytes(out, subtopic.as_bytes());
            }
            Self::Member(member) => {
                out.put_u8(MEMBER);
                member.append_to(out);
            }
        }
        let length = u32::try_from(out.len() - start - size_of::<u32>()).unwrap_or(u32::MAX);
        if let Some(place) = out.get_mut(start..start + size_of::<u32>()) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }

    /// The next frame; `None`: there is none any more.
    pub(super) fn take(bytes: &mut Bytes) -> Result<Option<Self>, Unknown> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let mut frame = take_bytes(bytes)?;
        let frame = &mut frame;
        let kind = frame.try_get_u8().map_err(|_| Unknown)?;
        let taken = match kind {
            HELLO => Self::Hello,
            WELCOME => Self::Welcome,
            INTEREST => {
                Self::Interest { channel: ChannelId::from_uuid(take_uuid(frame)?), wanted: take_bool(frame)? }
            }
            MESSAGE => Self::Message(Box::new(Message::take(frame)?)),
            CHANGED => Self::Changed { session: take_u64(frame)? },
            WAITS => Self::Waits { session: take_u64(frame)? },
            FULL => Self::Full { session: take_u64(frame)?, full: take_bool(frame)? },
            TAKEOVER => {
                let kind = frame.try_get_u8().map_err(|_| Unknown)?;
                let uuid = take_uuid(frame)?;
                let identity = match kind {
                    CLIENT => IdentityKey::Client(ClientId::from_uuid(uuid)),
                    USER => IdentityKey::User(UserId::from_uuid(uuid)),
                    _ => return Err(Unknown),
                };
                Self::Takeover { identity, name: take_text(frame)?, anew: take_bool(frame)? }
            }
            RETAINED => Self::Retained {
                channel: ChannelId::from_uuid(take_uuid(frame)?),
                subtopic: take_text(frame)?,
            },
            MEMBER => Self::Member(Box::new(Member::take(frame)?)),
            _ => return Err(Unknown),
        };
        if frame.is_empty() { Ok(Some(taken)) } else { Err(Unknown) }
    }
}

const RETAIN: u8 = 0b100;
const EXPIRES: u8 = 0b1000;
const IN_GROUP: u8 = 0b1_0000;
const COMES: u8 = 0b100;

impl Message {
    fn append_to(&self, out: &mut BytesMut) {
        put_uuid(out, self.domain.uuid());
        put_uuid(out, self.channel.uuid());
        put_bytes(out, self.subtopic.as_bytes());
        out.put_u64(self.origin.unwrap_or(0));
        let flag = |holds: bool, flag: u8| if holds { flag } else { 0 };
        out.put_u8(
            self.qos.bits()
                | flag(self.retain, RETAIN)
                | flag(self.expiry.is_some(), EXPIRES)
                | flag(self.group.is_some(), IN_GROUP),
        );
        out.put_u32(self.expiry.unwrap_or(0));
        put_bytes(out, self.group.as_ref().map_or(&[], Text::as_bytes));
        out.put_u32(u32::try_from(self.sessions.len()).unwrap_or(u32::MAX));
        self.sessions.iter().for_each(|session| out.put_u64(*session));
        put_bytes(out, &self.properties);
        put_bytes(out, &self.payload);
    }

    fn take(bytes: &mut Bytes) -> Result<Self, Unknown> {
        let domain = DomainId::from_uuid(take_uuid(bytes)?);
        let channel = ChannelId::from_uuid(take_uuid(bytes)?);
        let subtopic = take_text(bytes)?;
        let origin = Some(take_u64(bytes)?).filter(|&session| session > 0);
        let flags = bytes.try_get_u8().map_err(|_| Unknown)?;
        let expiry = bytes.try_get_u32().map_err(|_| Unknown)?;
        let group = take_text(bytes)?;
        let count = bytes.try_get_u32().map_err(|_| Unknown)?;
        let mut sessions = Vec::new();
        for _ in 0..count {
            sessions.push(take_u64(bytes)?);
        }
        Ok(Self {
            domain,
            channel,
            subtopic,
            origin,
            qos: QoS::from_bits(flags & 0b11).ok_or(Unknown)?,
            retain: flags & RETAIN != 0,
            expiry: (flags & EXPIRES != 0).then_some(expiry),
            group: (flags & IN_GROUP != 0).then_some(group),
            sessions,
            properties: take_bytes(bytes)?,
            payload: take_bytes(bytes)?,
        })
    }
}

impl Member {
    fn append_to(&self, out: &mut BytesMut) {
        out.put_u64(self.session);
        put_uuid(out, self.domain.uuid());
        put_uuid(out, self.channel.uuid());
        for text in [&self.subtopic, &self.spelling, &self.group] {
            put_bytes(out, text.as_bytes());
        }
        out.put_u8(self.qos.bits() | if self.comes { COMES } else { 0 });
    }

    fn take(bytes: &mut Bytes) -> Result<Self, Unknown> {
        let session = take_u64(bytes)?;
        let domain = DomainId::from_uuid(take_uuid(bytes)?);
        let channel = ChannelId::from_uuid(take_uuid(bytes)?);
        let (subtopic, spelling, group) = (take_text(bytes)?, take_text(bytes)?, take_text(bytes)?);
        let flags = bytes.try_get_u8().map_err(|_| Unknown)?;
        let qos = QoS::from_bits(flags & 0b11).ok_or(Unknown)?;
        Ok(Self { session, domain, channel, subtopic, spelling, group, qos, comes: flags & COMES != 0 })
    }
}

fn put_uuid(out: &mut BytesMut, uuid: Uuid) {
    out.put_slice(uuid.as_bytes());
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    // Packets of MQTT are shorter than 256 MiB.
    out.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.put_slice(bytes);
}

fn take_uuid(bytes: &mut Bytes) -> Result<Uuid, Unknown> {
    bytes.try_get_u128().map(Uuid::from_u128).map_err(|_| Unknown)
}

fn take_u64(bytes: &mut Bytes) -> Result<u64, Unknown> {
    bytes.try_get_u64().map_err(|_| Unknown)
}

fn take_bool(bytes: &mut Bytes) -> Result<bool, Unknown> {
    match bytes.try_get_u8() {
        Ok(0) => Ok(false),
        Ok(1) => Ok(true),
        _ => Err(Unknown),
    }
}

fn take_text(bytes: &mut Bytes) -> Result<Text, Unknown> {
    Text::from_utf8(take_bytes(bytes)?).ok_or(Unknown)
}

fn take_bytes(bytes: &mut Bytes) -> Result<Bytes, Unknown> {
    let length = bytes.try_get_u32().map_err(|_| Unknown)?;
    let length = usize::try_from(length).ok().filter(|&length| length <= bytes.len()).ok_or(Unknown)?;
    Ok(bytes.split_to(length))
}

#[cfg(test)]
mod tests {
    use kernel::Rng;
    use proptest::prelude::*;

    use super::*;

    fn all() -> Vec<Frame> {
        let rng = Rng::seeded(1);
        let (domain, channel) = (DomainId::generate(&rng), ChannelId::generate(&rng));
        let message = Message {
            domain,
            channel,
            subtopic: Text::from("room/temperature"),
            origin: None,
            qos: QoS::AtMostOnce,
            retain: false,
            expiry: None,
            properties: Bytes::new(),
            payload: Bytes::from_static(b"21.5"),
            group: None,
            sessions: Vec::new(),
        };
        let member = Message {
            origin: Some(7),
            qos: QoS::ExactlyOnce,
            retain: true,
            expiry: Some(0),
            properties: Bytes::from_static(&[1, 2, 3]),
            group: Some(Text::from("")),
            sessions: vec![1, u64::MAX],
            ..message.clone()
        };
        let text = Text::from("text");
        let of_client = IdentityKey::Client(ClientId::generate(&rng));
        let of_user = IdentityKey::User(UserId::generate(&rng));
        vec![
            Frame::Hello,
            Frame::Welcome,
            Frame::Interest { channel, wanted: true },
            Frame::Interest { channel, wanted: false },
            Frame::Message(Box::new(message)),
            Frame::Message(Box::new(member)),
            Frame::Changed { session: 9 },
            Frame::Waits { session: 9 },
            Frame::Full { session: 9, full: true },
            Frame::Takeover { identity: of_client, name: text.clone(), anew: false },
            Frame::Takeover { identity: of_user, name: text.clone(), anew: true },
            Frame::Retained { channel, subtopic: text.clone() },
            Frame::Member(Box::new(Member {
                session: 1,
                domain,
                channel,
                subtopic: text.clone(),
                spelling: text.clone(),
                group: text,
                qos: QoS::AtLeastOnce,
                comes: true,
            })),
        ]
    }

    #[test]
    fn what_is_said_is_understood() {
        let mut out = BytesMut::new();
        all().iter().for_each(|frame| frame.append_to(&mut out));
        let mut bytes = out.freeze();
        for frame in all() {
            assert_eq!(Frame::take(&mut bytes), Ok(Some(frame)));
        }
        assert_eq!(Frame::take(&mut bytes), Ok(None));
    }

    #[test]
    fn a_frame_that_is_cut_short_is_not_understood() {
        for frame in all() {
            let mut whole = BytesMut::new();
            frame.append_to(&mut whole);
            for length in 1..whole.len() {
                let mut cut = Bytes::copy_from_slice(&whole[..length]);
                assert_eq!(Frame::take(&mut cut), Err(Unknown), "{frame:?}");
                // As a frame of that length.
                let inner = u32::try_from(length).unwrap().saturating_sub(4);
                let mut shorter = inner.to_be_bytes().to_vec();
                shorter.extend_from_slice(&whole[4.min(length)..length]);
                assert!(Frame::take(&mut Bytes::from(shorter)).is_err(), "{frame:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = Bytes::from(bytes);
            while let Ok(Some(_)) = Frame::take(&mut bytes) {}
        }
    }
}
