//! Reason strings: what a reason code means here, and what to do about it, for whoever reads a client's log.
//!
//! They are left out where the client does not want them ([MQTT-3.1.2-29]) and where the packet would become larger than
//! the client accepts ([MQTT-3.4.2-2] and its like).

use crate::wire::{Diagnostics, Packet, ReasonCode, Text, Version, encode};

const NO_CHANNEL: &str =
    "the topic leads to no channel, use m/<domain>/c/<channel>/<subtopic> without wildcards";
const NOBODY_KNOWS: &str =
    "rights cannot be checked, or nothing can be stored, at the moment, try again later";

/// Why a client was not let in.
pub(super) const fn refused(reason: ReasonCode) -> Option<&'static str> {
    Some(match reason {
        ReasonCode::BAD_USER_NAME_OR_PASSWORD => "there is no client or user with these credentials",
        ReasonCode::NOT_AUTHORIZED => "the client is disabled, or may not publish where its will goes",
        ReasonCode::TOPIC_NAME_INVALID => NO_CHANNEL,
        ReasonCode::QUOTA_EXCEEDED => "there are too many sessions, use one that is there or end some",
        ReasonCode::CONNECTION_RATE_EXCEEDED => "too many attempts have failed, wait before you try again",
        ReasonCode::SERVER_UNAVAILABLE => {
            "credentials cannot be checked, or the session not stored, at the moment, try again later"
        }
        ReasonCode::BAD_AUTHENTICATION_METHOD => {
            "no authentication method is supported, use user name and password"
        }
        _ => return None,
    })
}

/// Why a message was not accepted.
pub(super) const fn not_published(reason: ReasonCode) -> Option<&'static str> {
    Some(match reason {
        ReasonCode::NOT_AUTHORIZED => "there is no such channel, or no right to publish to it",
        ReasonCode::TOPIC_NAME_INVALID => NO_CHANNEL,
        ReasonCode::QUOTA_EXCEEDED => "too many messages, send fewer in a second",
        ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR => NOBODY_KNOWS,
        _ => return None,
    })
}

/// Why a filter was not accepted.
pub(super) const fn not_subscribed(reason: ReasonCode) -> Option<&'static str> {
    Some(match reason {
        ReasonCode::NOT_AUTHORIZED => "there is no such channel, or no right to subscribe to it",
        ReasonCode::TOPIC_FILTER_INVALID => {
            "a filter begins with a channel, m/<domain>/c/<channel>/, and has its wildcards below that"
        }
        ReasonCode::QUOTA_EXCEEDED => "there are too many subscriptions, end some",
        ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR => NOBODY_KNOWS,
        _ => return None,
    })
}

/// Why the server closes a connection.
pub(super) const fn closed(reason: ReasonCode) -> Option<&'static str> {
    Some(match reason {
        ReasonCode::NOT_AUTHORIZED => {
            "the credentials of this connection, or the right to what it reads, have ended"
        }
        ReasonCode::SERVER_SHUTTING_DOWN => "the server is shutting down, connect again",
        ReasonCode::KEEP_ALIVE_TIMEOUT => "nothing came for one and a half times the keep alive",
        ReasonCode::SESSION_TAKEN_OVER => "another connection uses the same client identifier",
        ReasonCode::TOPIC_NAME_INVALID => NO_CHANNEL,
        ReasonCode::RECEIVE_MAXIMUM_EXCEEDED => {
            "more messages of QoS 2 are unreleased than the Receive Maximum of the server allows"
        }
        ReasonCode::TOPIC_ALIAS_INVALID => "the topic alias is above the Topic Alias Maximum of the server",
        ReasonCode::PACKET_TOO_LARGE => {
            "the answer would be larger than the client accepts, ask for less at a time"
        }
        ReasonCode::QUOTA_EXCEEDED => "messages were not taken in time while their publishers waited",
        ReasonCode::PROTOCOL_ERROR => "the packet does not fit what went before it",
        _ => return None,
    })
}

/// The packet with a reason string, where there is a place for it and the client accepts it.
pub(super) fn explained(
    packet: Packet,
    text: Option<&'static str>,
    version: Version,
    maximum_packet_size: usize,
) -> Packet {
    let Some(text) = text.filter(|_| version.is_v5()) else { return packet };
    let diagnostics =
        Diagnostics { reason_string: Some(Text::from_static(text)), user_properties: Vec::new() };
    let mut explained = packet.clone();
    match &mut explained {
        Packet::PubAck(ack) | Packet::PubRec(ack) => ack.diagnostics = Some(Box::new(diagnostics)),
        Packet::ConnAck(connack) => connack.diagnostics = diagnostics,
        Packet::SubAck(suback) => suback.diagnostics = diagnostics,
        Packet::Disconnect(disconnect) => disconnect.diagnostics = diagnostics,
        _ => return packet,
    }
    let mut bytes = Vec::new();
    let fits = encode(&explained, version, &mut bytes).is_ok() && bytes.len() <= maximum_packet_size;
    if fits { explained } else { packet }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Ack, PacketId};

    #[test]
    fn a_reason_string_is_left_out_where_it_does_not_fit() {
        let packet = || Packet::PubAck(Ack::with_reason(PacketId::MIN, ReasonCode::NOT_AUTHORIZED));
        let text = not_published(ReasonCode::NOT_AUTHORIZED);
        // Type, length, identifier, reason, length of the properties, the property and its length.
        let size = 1 + 1 + 2 + 1 + 1 + 3 + text.unwrap().len();
        assert_ne!(explained(packet(), text, Version::V5, size), packet());
        assert_eq!(explained(packet(), text, Version::V5, size - 1), packet());
        assert_eq!(explained(packet(), text, Version::V311, usize::MAX), packet());
        assert_eq!(explained(packet(), None, Version::V5, usize::MAX), packet());
        assert_eq!(explained(Packet::PingResp, text, Version::V5, usize::MAX), Packet::PingResp);
    }
}
