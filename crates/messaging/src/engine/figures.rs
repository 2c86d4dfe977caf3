//! `$SYS/broker/…`: figures of the node, for whoever the gate lets watch it (reference 05 §4.2).
//!
//! To the engine they are retained messages in a room of its own, which no channel's name leads to. They are brought up to
//! date when somebody subscribes, and every [`Limits::figures`](crate::Limits::figures) while somebody does; nobody but the
//! engine publishes there. The right to read them ends like every other (`revoke.rs`).

use std::sync::{
    Arc, Weak,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Core;
use super::fanout::{Fanout, Work};
use super::message::Message;
use super::publish::Refusal;
use super::retain::Retained;
use super::room::Room;
use crate::gate::{Action, Identity};
use crate::protocol::Protocol;
use crate::stats::{Stats, Traffic};
use crate::wire::{Publish, QoS, Text};

/// The text up to the figures, as it stands in topics.
pub(crate) const SPELLING: &str = "$SYS";

impl Core {
    /// Whether a room is that of the figures.
    pub(crate) fn holds_figures(&self, room: &Room) -> bool {
        std::ptr::eq(room, &raw const *self.figures)
    }

    /// The room of the figures, up to date, for somebody who may read them.
    pub(crate) async fn figures_room(&self, identity: &Identity) -> Result<Arc<Room>, Refusal> {
        self.authorize(identity, &self.figures, Action::Subscribe).await?;
        for (subtopic, publish) in self.current_figures() {
            let message = Message::keep(&publish, self.figures.channel, None, None);
            let retained = Retained { message, qos: QoS::AtMostOnce };
            self.figures.retain(subtopic, retained, &self.shared.limits, &self.shared.stats);
        }
        Ok(Arc::clone(&self.figures))
    }

    fn tell_figures(&self) {
        if self.figures.subscribers().is_empty() {
            return;
        }
        let mut work = Work::begin(Protocol::Mqtt);
        for (subtopic, publish) in self.current_figures() {
            let targets = self.figures.targets(subtopic);
            Fanout::new(&publish, &self.figures, subtopic, None, work.now).deliver(&targets, &mut work);
        }
        work.flush();
        work.settle(&self.shared.stats);
    }

    fn current_figures(&self) -> Vec<(&'static str, Publish)> {
        let uptime = self.started.elapsed().as_secs();
        let figures = figures(&self.shared.stats, uptime);
        let publish = |(subtopic, figure): (&'static str, String)| {
            let topic = Text::from(format!("{SPELLING}/{subtopic}"));
            (subtopic, Publish { topic, payload: Bytes::from(figure), retain: true, ..Publish::default() })
        };
        figures.into_iter().map(publish).collect()
    }
}

/// Name and text of each figure.
fn figures(stats: &Stats, uptime: u64) -> Vec<(&'static str, String)> {
    let read = |figure: &AtomicU64| figure.load(Relaxed);
    let sum = |part: fn(&Traffic) -> &[AtomicU64]| -> u64 {
        Protocol::ALL.iter().flat_map(|protocol| part(stats.of(*protocol))).map(read).sum()
    };
    let one = std::slice::from_ref::<AtomicU64>;
    let connected = sum(|traffic| std::slice::from_ref(&traffic.connections));
    let sessions = read(&stats.sessions);
    let dropped = [
        &stats.dropped_slow,
        &stats.dropped_expired,
        &stats.dropped_large,
        &stats.dropped_rate,
        &stats.refused_rate,
    ];
    let dropped = dropped.into_iter().flat_map(one).map(read).sum();
    let (received, sent) = (sum(|traffic| &traffic.received), sum(|traffic| &traffic.delivered));
    let numbers = [
        ("broker/uptime", uptime),
        ("broker/clients/connected", connected),
        ("broker/clients/disconnected", sessions.saturating_sub(connected)),
        ("broker/clients/total", sessions),
        ("broker/messages/received", received),
        ("broker/messages/sent", sent),
        ("broker/messages/publish/received", received),
        ("broker/messages/publish/sent", sent),
        ("broker/messages/publish/dropped", dropped),
        ("broker/bytes/received", sum(|traffic| std::slice::from_ref(&traffic.received_bytes))),
        ("broker/bytes/sent", sum(|traffic| std::slice::from_ref(&traffic.delivered_bytes))),
        ("broker/subscriptions/count", read(&stats.subscriptions)),
        ("broker/retained/count", read(&stats.retained_messages)),
        ("broker/errors/protocol", read(&stats.violations)),
        ("broker/errors/auth", read(&stats.connect_failures)),
        ("broker/errors/authz", read(&stats.denied)),
    ];
    let version = ("broker/version", format!("trunkline {}", env!("CARGO_PKG_VERSION")));
    std::iter::once(version).chain(numbers.map(|(name, number)| (name, number.to_string()))).collect()
}

/// Tells the figures to whoever reads them, until the engine is gone.
pub(crate) async fn tell(core: Weak<Core>) {
    let Some(every) = core.upgrade().map(|core| core.shared.limits.figures) else { return };
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let _at: Instant = ticks.tick().await;
        let Some(core) = core.upgrade() else { return };
        core.tell_figures();
    }
}
