//! A client that says exactly what a test wants said.

use std::{net::SocketAddr, num::NonZeroU16};

use bytes::{Bytes, BytesMut};
use messaging::wire::{
    Ack, ConnAck, Connect, Decoder, Disconnect, Packet, PacketId, Publish, QoS, ReasonCode, Subscribe,
    Subscription, SubscriptionId, SubscriptionOptions, Text, Unsubscribe, Version, encode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::soon;

/// A connection to the broker.
pub(crate) struct Client {
    stream: TcpStream,
    decoder: Decoder,
    input: Bytes,
    version: Version,
    last_id: u16,
}

impl Client {
    /// Connects and waits for the CONNACK.
    pub(crate) async fn connect(address: SocketAddr, connect: Connect) -> (Self, ConnAck) {
        let mut client = Self::open(address, connect.version).await;
        client.send(Packet::Connect(Box::new(connect))).await;
        match client.receive().await {
            Packet::ConnAck(connack) => (client, *connack),
            other => panic!("expected a CONNACK: {other:?}"),
        }
    }

    /// A connection on which nothing has been said.
    pub(crate) async fn open(address: SocketAddr, version: Version) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let decoder = Decoder::of_server(version, usize::MAX);
        Self { stream, decoder, input: Bytes::new(), version, last_id: 0 }
    }

    pub(crate) async fn send(&mut self, packet: Packet) {
        let mut bytes = Vec::new();
        encode(&packet, self.version, &mut bytes).unwrap();
        self.send_bytes(&bytes).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        soon("a write", self.stream.write_all(bytes)).await.unwrap();
    }

    /// The next packet; `None` when the server has closed.
    pub(crate) async fn next(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = self.decoder.decode(&mut self.input).unwrap() {
                return Some(packet);
            }
            let mut buffer = BytesMut::from(&*self.input);
            match soon("a read", self.stream.read_buf(&mut buffer)).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => self.input = buffer.freeze(),
            }
        }
    }

    pub(crate) async fn receive(&mut self) -> Packet {
        self.next().await.expect("the server has closed the connection")
    }

    /// The server closes the connection; the reason, if it gives one.
    pub(crate) async fn closed(&mut self) -> Option<ReasonCode> {
        let mut reason = None;
        while let Some(packet) = self.next().await {
            match packet {
                Packet::Disconnect(disconnect) => reason = Some(disconnect.reason),
                Packet::Publish(_) => {}
                other => panic!("expected the end of the connection: {other:?}"),
            }
        }
        reason
    }

    /// Nothing has been sent to this client that it has not received yet.
    pub(crate) async fn has_nothing(&mut self) {
        self.send(Packet::PingReq).await;
        assert_eq!(self.receive().await, Packet::PingResp);
    }

    pub(crate) async fn subscribe(&mut self, filter: &str, qos: QoS) -> ReasonCode {
        self.subscribe_with(filter, SubscriptionOptions { qos, ..SubscriptionOptions::default() }, None).await
    }

    pub(crate) async fn subscribe_with(
        &mut self,
        filter: &str,
        options: SubscriptionOptions,
        subscription_id: Option<u32>,
    ) -> ReasonCode {
        let packet_id = self.packet_id();
        self.send(Packet::Subscribe(Subscribe {
            packet_id,
            subscription_id: subscription_id.and_then(SubscriptionId::new),
            user_properties: Vec::new(),
            filters: vec![Subscription { filter: Text::from(filter), options }],
        }))
        .await;
        match self.receive().await {
            Packet::SubAck(suback) if suback.packet_id == packet_id => suback.reasons[0],
            other => panic!("expected a SUBACK: {other:?}"),
        }
    }

    pub(crate) async fn unsubscribe(&mut self, filter: &str) {
        let packet_id = self.packet_id();
        self.send(Packet::Unsubscribe(Unsubscribe {
            packet_id,
            user_properties: Vec::new(),
            filters: vec![Text::from(filter)],
        }))
        .await;
        assert!(matches!(self.receive().await, Packet::UnsubAck(_)));
    }

    /// A PUBLISH with a packet identifier of this client's own counting.
    pub(crate) fn message(&mut self, topic: &str, payload: &str, qos: QoS) -> Publish {
        Publish {
            qos,
            packet_id: (qos > QoS::AtMostOnce).then(|| self.packet_id()),
            topic: Text::from(topic),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            ..Publish::default()
        }
    }

    /// Publishes and goes through the acknowledgements; the reason of the first one.
    pub(crate) async fn publish(&mut self, topic: &str, payload: &str, qos: QoS) -> ReasonCode {
        let publish = self.message(topic, payload, qos);
        self.publish_message(publish).await
    }

    pub(crate) async fn publish_message(&mut self, publish: Publish) -> ReasonCode {
        let (qos, packet_id) = (publish.qos, publish.packet_id);
        self.send(Packet::Publish(publish)).await;
        match (qos, packet_id) {
            (QoS::AtLeastOnce, Some(packet_id)) => match self.receive().await {
                Packet::PubAck(ack) if ack.packet_id == packet_id => ack.reason,
                other => panic!("expected a PUBACK: {other:?}"),
            },
            (QoS::ExactlyOnce, Some(packet_id)) => {
                let reason = match self.receive().await {
                    Packet::PubRec(ack) if ack.packet_id == packet_id => ack.reason,
                    other => panic!("expected a PUBREC: {other:?}"),
                };
                if !reason.is_failure() {
                    self.send(Packet::PubRel(Ack::new(packet_id))).await;
                    assert_eq!(self.receive().await, Packet::PubComp(Ack::new(packet_id)));
                }
                reason
            }
            _ => ReasonCode::SUCCESS,
        }
    }

    /// The next message, not acknowledged.
    pub(crate) async fn delivery(&mut self) -> Publish {
        match self.receive().await {
            Packet::Publish(publish) => publish,
            other => panic!("expected a PUBLISH: {other:?}"),
        }
    }

    /// The next message, acknowledged all the way.
    pub(crate) async fn take(&mut self) -> Publish {
        let publish = self.delivery().await;
        match (publish.qos, publish.packet_id) {
            (QoS::AtLeastOnce, Some(packet_id)) => self.send(Packet::PubAck(Ack::new(packet_id))).await,
            (QoS::ExactlyOnce, Some(packet_id)) => {
                self.send(Packet::PubRec(Ack::new(packet_id))).await;
                assert_eq!(self.receive().await, Packet::PubRel(Ack::new(packet_id)));
                self.send(Packet::PubComp(Ack::new(packet_id))).await;
            }
            _ => {}
        }
        publish
    }

    pub(crate) async fn disconnect(mut self, reason: ReasonCode) {
        self.send(Packet::Disconnect(Disconnect::new(reason))).await;
        assert_eq!(self.closed().await, None);
    }

    /// The socket alone.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    pub(crate) fn packet_id(&mut self) -> PacketId {
        self.last_id = self.last_id % u16::MAX + 1;
        NonZeroU16::new(self.last_id).unwrap()
    }
}

/// The text of a payload.
pub(crate) fn text(publish: &Publish) -> &str {
    std::str::from_utf8(&publish.payload).unwrap()
}
