//! The packets of MQTT, one set of types for all versions.
//!
//! The doc of a field says what its absence in MQTT 3 becomes. Times are seconds. Clause numbers are those of
//! MQTT 5.0 unless a version stands beside them.

use std::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;
use kernel::Secret;

use super::message_properties::MessageProperties;
use super::reason::ReasonCode;
use super::text::Text;

/// Protocol version of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// MQTT 3.1: protocol name `MQIsdp`, level 3.
    V31,
    /// MQTT 3.1.1: protocol name `MQTT`, level 4.
    V311,
    /// MQTT 5.0: protocol name `MQTT`, level 5.
    V5,
}

impl Version {
    /// Whether packets carry properties and reason codes.
    pub const fn is_v5(self) -> bool {
        matches!(self, Self::V5)
    }
}

/// Delivery guarantee.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum QoS {
    /// QoS 0: sent once, never acknowledged.
    #[default]
    AtMostOnce = 0,
    /// QoS 1: sent until acknowledged, may arrive twice.
    AtLeastOnce = 1,
    /// QoS 2: arrives once.
    ExactlyOnce = 2,
}

impl QoS {
    /// From its number; `None` above 2.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// Its number.
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// The SUBACK reason that grants it.
    pub const fn granted(self) -> ReasonCode {
        ReasonCode(self.bits())
    }
}

/// Packet identifier; zero does not exist ([MQTT-2.2.1-3], [MQTT-2.2.1-4]).
pub type PacketId = NonZeroU16;

/// Subscription identifier, 1 to 268,435,455 (§3.8.2.1.2).
pub type SubscriptionId = NonZeroU32;

/// Name and value of a user property.
pub type UserProperty = (Text, Text);

/// A control packet of either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Client to server: the first packet.
    Connect(Box<Connect>),
    /// Server to client: the answer to CONNECT.
    ConnAck(Box<ConnAck>),
    /// Both ways: a message.
    Publish(Publish),
    /// Both ways: a QoS 1 message has arrived.
    PubAck(Ack),
    /// Both ways: a QoS 2 message has arrived.
    PubRec(Ack),
    /// Both ways: a QoS 2 message may be released.
    PubRel(Ack),
    /// Both ways: a QoS 2 message is done.
    PubComp(Ack),
    /// Client to server.
    Subscribe(Subscribe),
    /// Server to client.
    SubAck(SubAck),
    /// Client to server.
    Unsubscribe(Unsubscribe),
    /// Server to client.
    UnsubAck(UnsubAck),
    /// Client to server: are you there.
    PingReq,
    /// Server to client: yes.
    PingResp,
    /// Client to server in all versions; server to client in MQTT 5 only.
    Disconnect(Disconnect),
    /// Both ways, MQTT 5 only: a step of an extended authentication.
    Auth(Auth),
}

/// CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// Version that the connection speaks from here on.
    pub version: Version,
    /// Begin without an earlier session. MQTT 3: clean session.
    pub clean_start: bool,
    /// Longest silence of the client, in seconds; 0 = no limit.
    pub keep_alive: u16,
    /// Client identifier; may be empty, and then the server chooses or refuses.
    pub client_id: Text,
    /// User name.
    pub user_name: Option<Text>,
    /// Password; in MQTT 3 never without a user name ([MQTT-3.1.2-22] of 3.1.1).
    pub password: Option<Secret<Vec<u8>>>,
    /// Message to publish when the connection breaks.
    pub will: Option<Will>,
    /// How long the session outlives the connection, in seconds; `u32::MAX` = for ever, 0 = not at all.
    /// MQTT 3: 0 with a clean session, `u32::MAX` otherwise (§3.1.2.11.2).
    pub session_expiry: u32,
    /// How many QoS 1 and 2 messages may be on their way to the client. MQTT 3: 65,535.
    pub receive_maximum: NonZeroU16,
    /// Largest packet that the client accepts, in bytes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// Highest topic alias that the client accepts from the server; 0 = none.
    pub topic_alias_maximum: u16,
    /// The client asks for response information in CONNACK.
    pub request_response_information: bool,
    /// The client accepts reason strings and user properties on every packet. MQTT 3: irrelevant, `true`.
    pub request_problem_information: bool,
    /// User properties.
    pub user_properties: Vec<UserProperty>,
    /// Method of an extended authentication.
    pub authentication_method: Option<Text>,
    /// Data of an extended authentication; only with a method.
    pub authentication_data: Option<Secret<Vec<u8>>>,
}

impl Connect {
    /// A CONNECT with a clean session, no keep alive, no credentials and no will.
    pub fn new(version: Version, client_id: impl Into<Text>) -> Self {
        Self {
            version,
            clean_start: true,
            keep_alive: 0,
            client_id: client_id.into(),
            user_name: None,
            password: None,
            will: None,
            session_expiry: 0,
            receive_maximum: NonZeroU16::MAX,
            maximum_packet_size: None,
            topic_alias_maximum: 0,
            request_response_information: false,
            request_problem_information: true,
            user_properties: Vec::new(),
            authentication_method: None,
            authentication_data: None,
        }
    }
}

/// The will of a client: what is published when its connection ends without a DISCONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// Topic, without wildcards.
    pub topic: Text,
    /// Payload.
    pub payload: Bytes,
    /// Delivery guarantee.
    pub qos: QoS,
    /// Keep it as the topic's retained message.
    pub retain: bool,
    /// Seconds between the end of the connection and the will. MQTT 3: 0.
    pub delay: u32,
    /// Seconds that the message is worth delivering, counted from its publication.
    pub message_expiry: Option<u32>,
    /// Properties that are forwarded with the message.
    pub properties: MessageProperties,
}

/// CONNACK. [`ConnAck::default`] accepts, promises everything and limits nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnAck {
    /// The server had a session for the client; never with a failure ([MQTT-3.2.2-6]).
    pub session_present: bool,
    /// Success or why not. For MQTT 3 see [`ReasonCode::to_v3_connack`].
    pub reason: ReasonCode,
    /// The expiry that the server uses instead of the one asked for, in seconds.
    pub session_expiry: Option<u32>,
    /// How many QoS 1 and 2 messages may be on their way to the server; 65,535 is not written.
    pub receive_maximum: NonZeroU16,
    /// Highest QoS that the server accepts.
    pub maximum_qos: QoS,
    /// Whether retained messages are kept.
    pub retain_available: bool,
    /// Largest packet that the server accepts, in bytes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// The client identifier that the server chose.
    pub assigned_client_id: Option<Text>,
    /// Highest topic alias that the server accepts; 0 = none.
    pub topic_alias_maximum: u16,
    /// Whether filters may have wildcards.
    pub wildcard_subscription_available: bool,
    /// Whether subscription identifiers are accepted.
    pub subscription_ids_available: bool,
    /// Whether `$share/…` filters are accepted.
    pub shared_subscription_available: bool,
    /// The keep alive to use instead of the one asked for, in seconds.
    pub server_keep_alive: Option<u16>,
    /// Where the client may expect answers.
    pub response_information: Option<Text>,
    /// Another server to use.
    pub server_reference: Option<Text>,
    /// Method of an extended authentication.
    pub authentication_method: Option<Text>,
    /// Data of an extended authentication.
    pub authentication_data: Option<Secret<Vec<u8>>>,
    /// Reason string and user properties.
    pub diagnostics: Diagnostics,
}

impl Default for ConnAck {
    fn default() -> Self {
        Self {
            session_present: false,
            reason: ReasonCode::SUCCESS,
            session_expiry: None,
            receive_maximum: NonZeroU16::MAX,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            maximum_packet_size: None,
            assigned_client_id: None,
            topic_alias_maximum: 0,
            wildcard_subscription_available: true,
            subscription_ids_available: true,
            shared_subscription_available: true,
            server_keep_alive: None,
            response_information: None,
            server_reference: None,
            authentication_method: None,
            authentication_data: None,
            diagnostics: Diagnostics::default(),
        }
    }
}

impl ConnAck {
    /// A refusal without an explanation.
    pub fn refused(reason: ReasonCode) -> Self {
        Self { reason, ..Self::default() }
    }
}

/// What an answer may say besides its reason code; MQTT 5 only, dropped in MQTT 3.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// A sentence for a person who reads a log.
    pub reason_string: Option<Text>,
    /// User properties.
    pub user_properties: Vec<UserProperty>,
}

impl Diagnostics {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.reason_string.is_none() && self.user_properties.is_empty()
    }
}

/// PUBLISH. Topic, payload and properties share the read buffer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Publish {
    /// A repetition of an earlier packet; never with QoS 0.
    pub dup: bool,
    /// Delivery guarantee.
    pub qos: QoS,
    /// Client to server: keep it. Server to client: this is a kept one.
    pub retain: bool,
    /// Present exactly when the QoS is above 0.
    pub packet_id: Option<PacketId>,
    /// Topic without wildcards; empty only with a topic alias.
    pub topic: Text,
    /// Payload.
    pub payload: Bytes,
    /// Topic alias to use or, together with a topic, to set.
    pub topic_alias: Option<NonZeroU16>,
    /// Seconds that the message is worth delivering; 0 is legal and means now or never.
    pub message_expiry: Option<u32>,
    /// Subscriptions that the message is sent for; server to client only.
    pub subscription_ids: Vec<SubscriptionId>,
    /// Properties that are forwarded unaltered.
    pub properties: MessageProperties,
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The packet that is acknowledged.
    pub packet_id: PacketId,
    /// How it went. MQTT 3: always success, and dropped when it is not.
    pub reason: ReasonCode,
    /// Reason string and user properties; boxed because hardly any acknowledgement has them.
    pub diagnostics: Option<Box<Diagnostics>>,
}

impl Ack {
    /// A successful acknowledgement.
    pub const fn new(packet_id: PacketId) -> Self {
        Self::with_reason(packet_id, ReasonCode::SUCCESS)
    }

    /// An acknowledgement that says how it went.
    pub const fn with_reason(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self { packet_id, reason, diagnostics: None }
    }
}

/// SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// For the SUBACK.
    pub packet_id: PacketId,
    /// Identifier to send with each message of these subscriptions.
    pub subscription_id: Option<SubscriptionId>,
    /// User properties.
    pub user_properties: Vec<UserProperty>,
    /// At least one.
    pub filters: Vec<Subscription>,
}

/// One filter of a SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// A topic filter whose wildcards stand where they may; `$share/<group>/<filter>` for a shared one.
    pub filter: Text,
    /// How to deliver.
    pub options: SubscriptionOptions,
}

/// Options of a subscription. MQTT 3 has the QoS only; the rest is as in [`SubscriptionOptions::default`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubscriptionOptions {
    /// Highest QoS of the messages sent.
    pub qos: QoS,
    /// Do not send back what this connection published.
    pub no_local: bool,
    /// Leave the retain flag of forwarded messages as it was published.
    pub retain_as_published: bool,
    /// Whether retained messages are sent.
    pub retain_handling: RetainHandling,
}

/// Whether retained messages are sent when a subscription is made (§3.8.3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum RetainHandling {
    /// At every SUBSCRIBE.
    #[default]
    Send = 0,
    /// Only when the subscription did not exist yet.
    SendIfNew = 1,
    /// Never.
    DoNotSend = 2,
}

/// SUBACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAck {
    /// The SUBSCRIBE that is answered.
    pub packet_id: PacketId,
    /// One per filter, in their order ([MQTT-3.8.4-6]).
    pub reasons: Vec<ReasonCode>,
    /// Reason string and user properties.
    pub diagnostics: Diagnostics,
}

/// UNSUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// For the UNSUBACK.
    pub packet_id: PacketId,
    /// User properties.
    pub user_properties: Vec<UserProperty>,
    /// At least one filter.
    pub filters: Vec<Text>,
}

/// UNSUBACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubAck {
    /// The UNSUBSCRIBE that is answered.
    pub packet_id: PacketId,
    /// One per filter, in their order ([MQTT-3.11.3-2]); not written in MQTT 3, and empty when read from it.
    pub reasons: Vec<ReasonCode>,
    /// Reason string and user properties.
    pub diagnostics: Diagnostics,
}

/// DISCONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    /// Why. MQTT 3: always a normal disconnection.
    pub reason: ReasonCode,
    /// A new session expiry, in seconds; client to server only.
    pub session_expiry: Option<u32>,
    /// Another server to use; server to client only.
    pub server_reference: Option<Text>,
    /// Reason string and user properties.
    pub diagnostics: Diagnostics,
}

impl Disconnect {
    /// A DISCONNECT that says nothing but why.
    pub fn new(reason: ReasonCode) -> Self {
        Self { reason, session_expiry: None, server_reference: None, diagnostics: Diagnostics::default() }
    }
}

/// AUTH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Success, continue or begin again.
    pub reason: ReasonCode,
    /// The method; a protocol error when it is absent and the reason is not success.
    pub method: Option<Text>,
    /// Data of the method.
    pub data: Option<Secret<Vec<u8>>>,
    /// Reason string and user properties.
    pub diagnostics: Diagnostics,
}
