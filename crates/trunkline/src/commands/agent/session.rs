//! The life of one connection: measurements go out, commands come in, until one of the two sides ends it.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use kernel::Clock;
use messaging::wire::{Ack, Connect, Disconnect, Packet, PacketId, Publish, QoS, ReasonCode, Text, Version};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::configuration::Configuration;
use super::senml::{self, Act};
use super::transport::Way;
use crate::commands::agent::say;
use crate::device::Device;

/// The longest silence that is promised to the platform, in seconds.
const KEEP_ALIVE: u16 = 60;
/// How often the platform is asked whether it is there.
const PING: Duration = Duration::from_secs(20);

/// What is to be done, over all connections.
pub(super) struct Work {
    interval: Duration,
    /// Measurements after whose acknowledgement it is done.
    count: Option<u64>,
    sent: u64,
    acknowledged: u64,
}

impl Work {
    pub(super) const fn new(interval: Duration, count: Option<u64>) -> Self {
        Self { interval, count, sent: 0, acknowledged: 0 }
    }

    fn is_done(&self) -> bool {
        self.count.is_some_and(|count| self.acknowledged >= count)
    }
}

/// How a connection ended.
pub(super) enum End {
    /// All is done.
    Done,
    /// The platform does not want this device.
    Refused(String),
    /// Something that may pass.
    Lost(String),
    /// The device was told to connect anew.
    Reset,
}

/// Connects and lives.
pub(super) async fn run(way: Way, known: &Configuration, work: &mut Work) -> anyhow::Result<End> {
    let Way { wire, endpoint, tls } = way;
    let mut connect = Connect::new(Version::V5, known.client.as_str());
    connect.keep_alive = KEEP_ALIVE;
    // With a certificate the handshake has said who it is.
    let with_certificate = tls && known.certificate.is_some();
    if let Some(secret) = known.secret.as_ref().filter(|_| !with_certificate) {
        connect.user_name = Some(Text::from(known.client.as_str()));
        connect.password = Some(kernel::Secret::new(secret.expose().clone().into_bytes()));
    }
    let mut device = match Device::over(wire, connect).await? {
        Ok(device) => device,
        // Too much to do, or going down: that passes.
        Err(reason @ (ReasonCode::SERVER_UNAVAILABLE | ReasonCode::SERVER_BUSY)) => {
            return Ok(End::Lost(reason.to_string()));
        }
        Err(reason) => return Ok(End::Refused(reason.to_string())),
    };
    let how = match (with_certificate, tls) {
        (true, _) => "over TLS with its certificate",
        (false, true) => "over TLS with its secret",
        (false, false) => "with its secret",
    };
    say(&format!("connected to {endpoint} as {} {how}", known.client))?;
    if let Err(reason) = device.subscribe(&known.requests).await? {
        return Ok(End::Refused(format!("{reason} (subscribing to `{}`)", known.requests)));
    }
    let mut pings = interval(PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What was not acknowledged is measured again.
    work.sent = work.acknowledged;
    let readings = every(work.interval);
    Session {
        device,
        known,
        work,
        readings,
        pings,
        next: PacketId::MIN,
        waiting: HashSet::new(),
        heard: true,
    }
    .live()
    .await
}

fn every(pause: Duration) -> Interval {
    let mut interval = interval(pause);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    interval
}

struct Session<'a> {
    device: Device,
    known: &'a Configuration,
    work: &'a mut Work,
    readings: Interval,
    pings: Interval,
    next: PacketId,
    /// Measurements that are not acknowledged yet.
    waiting: HashSet<PacketId>,
    /// Whether the platform has said anything since it was last asked.
    heard: bool,
}

impl Session<'_> {
    async fn live(mut self) -> anyhow::Result<End> {
        loop {
            let more = self.work.count.is_none_or(|count| self.work.sent < count);
            let end = tokio::select! {
                packet = self.device.next() => match packet? {
                    Some(packet) => self.heard(packet).await?,
                    None => Some(End::Lost("the platform has closed the connection".to_owned())),
                },
                _ = self.readings.tick(), if more => self.measure().await?,
                _ = self.pings.tick() => self.ping().await?,
                stop = tokio::signal::ctrl_c() => {
                    stop?;
                    Some(End::Done)
                }
            };
            let end = if self.work.is_done() { Some(End::Done) } else { end };
            if let Some(end) = end {
                if matches!(end, End::Done | End::Reset) {
                    self.device.send(&Packet::Disconnect(Disconnect::new(ReasonCode::SUCCESS))).await?;
                }
                return Ok(end);
            }
        }
    }

    async fn heard(&mut self, packet: Packet) -> anyhow::Result<Option<End>> {
        self.heard = true;
        match packet {
            Packet::Publish(message) => self.obey(message).await,
            Packet::PubAck(ack) if ack.reason.is_failure() => {
                Ok(Some(End::Refused(format!("{} (publishing)", ack.reason))))
            }
            Packet::PubAck(ack) => {
                if self.waiting.remove(&ack.packet_id) {
                    self.work.acknowledged += 1;
                    say(&format!("measurement {} is with the platform", self.work.acknowledged))?;
                }
                Ok(None)
            }
            Packet::Disconnect(end) => Ok(Some(End::Lost(format!("the platform says: {}", end.reason)))),
            _ => Ok(None),
        }
    }

    async fn obey(&mut self, message: Publish) -> anyhow::Result<Option<End>> {
        if let Some(id) = message.packet_id {
            self.device.send(&Packet::PubAck(Ack::new(id))).await?;
        }
        let Some((name, answer, act)) =
            senml::obey(&message.payload, self.work.interval, Clock::system().now())
        else {
            say("what came is no command in SenML, and is passed over")?;
            return Ok(None);
        };
        say(&format!("command `{name}`"))?;
        self.publish(&self.known.answers, answer).await?;
        Ok(match act {
            Act::Answer => None,
            Act::Reset => Some(End::Reset),
            Act::Interval(new) => {
                self.work.interval = new;
                self.readings = every(new);
                None
            }
        })
    }

    async fn measure(&mut self) -> anyhow::Result<Option<End>> {
        let senml = senml::measurement(&self.known.client, Clock::system().now(), self.work.sent);
        let id = self.publish(&self.known.telemetry, senml).await?;
        self.waiting.insert(id);
        self.work.sent += 1;
        Ok(None)
    }

    async fn ping(&mut self) -> anyhow::Result<Option<End>> {
        if !std::mem::take(&mut self.heard) {
            return Ok(Some(End::Lost("the platform says nothing any more".to_owned())));
        }
        self.device.send(&Packet::PingReq).await?;
        Ok(None)
    }

    async fn publish(&mut self, topic: &str, payload: String) -> anyhow::Result<PacketId> {
        let id = self.next;
        self.next = id.checked_add(1).unwrap_or(PacketId::MIN);
        let publish = Publish {
            qos: QoS::AtLeastOnce,
            packet_id: Some(id),
            topic: Text::from(topic),
            payload: Bytes::from(payload),
            ..Publish::default()
        };
        self.device.send(&Packet::Publish(publish)).await?;
        Ok(id)
    }
}
