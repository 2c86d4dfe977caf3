//! A device: MQTT 5 over TCP or TLS with the platform's own codec, one packet at a time. The tour has one, and the device
//! simulator ([`agent`](crate::commands)) is one.

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use kernel::Secret;
use messaging::wire::{
    Connect, Decoder, Packet, PacketId, Publish, QoS, ReasonCode, Subscribe, Subscription,
    SubscriptionOptions, Text, Version, encode,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the platform may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest packet that a device has to do with, generously.
const LARGEST_PACKET: usize = 1 << 20;

/// Where MQTT is spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// A name or an address; an IPv6 address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Endpoint {
    /// From `host:port`, or a host alone.
    pub(crate) fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (text, default_port),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What MQTT is spoken over.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// An open connection of a client.
pub(crate) struct Device {
    stream: Box<dyn Wire>,
    decoder: Decoder,
    received: Bytes,
}

/// How the platform answered: with success, or with the protocol's code for a refusal.
pub(crate) type Reply<T> = Result<T, ReasonCode>;

impl Device {
    /// Connects with a client's id and secret.
    pub(crate) async fn connect(
        at: &Endpoint,
        id: &str,
        secret: &Secret<String>,
    ) -> anyhow::Result<Reply<Self>> {
        let stream = TcpStream::connect((at.host.as_str(), at.port)).await.with_context(|| {
            format!(
                "no answer from MQTT at `{at}`; give the address that `trunkline serve` prints with --mqtt"
            )
        })?;
        let mut connect = Connect::new(Version::V5, id);
        connect.user_name = Some(Text::from(id));
        connect.password = Some(Secret::new(secret.expose().clone().into_bytes()));
        Self::over(Box::new(stream), connect).await
    }

    /// Connects over what is open already.
    pub(crate) async fn over(stream: Box<dyn Wire>, connect: Connect) -> anyhow::Result<Reply<Self>> {
        let mut device =
            Self { stream, decoder: Decoder::of_server(Version::V5, LARGEST_PACKET), received: Bytes::new() };
        let sent = device.send(&Packet::Connect(Box::new(connect))).await;
        // Over TLS 1.3 a certificate is refused after the handshake: what has come says more than that nothing can be sent.
        let answer = device.answer().await;
        if answer.is_ok() {
            sent?;
        }
        match answer? {
            Packet::ConnAck(answer) if answer.reason.is_failure() => Ok(Err(answer.reason)),
            Packet::ConnAck(_) => Ok(Ok(device)),
            other => Err(unexpected("CONNACK", &other)),
        }
    }

    /// Subscribes to one filter with QoS 1.
    pub(crate) async fn subscribe(&mut self, filter: &str) -> anyhow::Result<Reply<()>> {
        let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
        let subscribe = Subscribe {
            packet_id: PacketId::MIN,
            subscription_id: None,
            user_properties: Vec::new(),
            filters: vec![Subscription { filter: Text::from(filter), options }],
        };
        self.send(&Packet::Subscribe(subscribe)).await?;
        match self.answer().await? {
            Packet::SubAck(answer) => {
                Ok(answer.reasons.into_iter().find(|reason| reason.is_failure()).map_or(Ok(()), Err))
            }
            other => Err(unexpected("SUBACK", &other)),
        }
    }

    /// Publishes with QoS 1 and waits for the acknowledgement.
    pub(crate) async fn publish(&mut self, topic: &str, payload: &str) -> anyhow::Result<Reply<()>> {
        let publish = Publish {
            qos: QoS::AtLeastOnce,
            packet_id: Some(PacketId::MIN),
            topic: Text::from(topic),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            ..Publish::default()
        };
        self.send(&Packet::Publish(publish)).await?;
        match self.answer().await? {
            Packet::PubAck(answer) if answer.reason.is_failure() => Ok(Err(answer.reason)),
            Packet::PubAck(_) => Ok(Ok(())),
            Packet::Disconnect(end) => Ok(Err(end.reason)),
            other => Err(unexpected("PUBACK", &other)),
        }
    }

    /// The next message: its topic and payload.
    pub(crate) async fn message(&mut self) -> anyhow::Result<(String, String)> {
        match self.answer().await.context("no message came")? {
            Packet::Publish(message) => {
                Ok((message.topic.to_string(), String::from_utf8_lossy(&message.payload).into()))
            }
            other => Err(unexpected("a message", &other)),
        }
    }

    /// Waits until the platform ends the connection.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<()> {
        timeout(PATIENCE, async {
            while !matches!(self.next().await, Ok(Some(Packet::Disconnect(_))) | Ok(None) | Err(_)) {}
        })
        .await
        .context("the platform leaves the connection open")
    }

    /// Sends a packet.
    pub(crate) async fn send(&mut self, packet: &Packet) -> anyhow::Result<()> {
        let mut bytes = BytesMut::new();
        encode(packet, Version::V5, &mut bytes)?;
        Ok(self.stream.write_all(&bytes).await?)
    }

    async fn answer(&mut self) -> anyhow::Result<Packet> {
        let next = timeout(PATIENCE, self.next()).await.context("MQTT does not answer in time")??;
        next.context("MQTT has closed the connection without an answer")
    }

    /// The next packet; none at the end of the connection. Whoever stops waiting loses nothing.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Packet>> {
        loop {
            if let Some(packet) =
                self.decoder.decode(&mut self.received).context("this is not an MQTT server")?
            {
                return Ok(Some(packet));
            }
            let mut grown = BytesMut::from(self.received.as_ref());
            if self.stream.read_buf(&mut grown).await? == 0 {
                return Ok(None);
            }
            self.received = grown.freeze();
        }
    }
}

fn unexpected(wanted: &str, packet: &Packet) -> anyhow::Error {
    anyhow::anyhow!("MQTT answers with {packet:?} instead of {wanted}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_mqtt_may_lack_its_port() {
        let parsed = |text: &str| Endpoint::parse(text, 1883).map(|endpoint| (endpoint.host, endpoint.port));
        assert_eq!(parsed("localhost:1884"), Some(("localhost".to_owned(), 1884)));
        assert_eq!(parsed("localhost"), Some(("localhost".to_owned(), 1883)));
        assert_eq!(parsed("[::1]:1884"), Some(("::1".to_owned(), 1884)));
        assert_eq!(parsed("[::1]"), Some(("::1".to_owned(), 1883)));
        assert_eq!(parsed("localhost:x"), None);
        assert_eq!(parsed(":1883"), None);
    }
}
