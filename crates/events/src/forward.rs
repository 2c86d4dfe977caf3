//! From the relay to a bus outside of this process.
//!
//! What is outside may be away for hours, and nothing inside may wait for it: a right that was revoked ends within a
//! second, whether or not others can be told. So the [`Relay`](crate::Relay) delivers inside first and moves the events to
//! a table of their own, and the [`Forwarder`] empties that one: it hands the oldest to its [`Sink`], and deletes them when
//! the sink has confirmed. A crash in between hands them over once more.
//!
//! Order is kept within an entity: see [`relay`](crate::relay); several nodes may forward the same events at the same
//! time, each in order, and the sink is told an event's number by which it can know one that it has.

use std::sync::Arc;
use std::time::Duration;

use db::{BoxFuture, Db};
use kernel::{Clock, Result, Timestamp};
use tokio::{
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{Event, outbox};

/// Events per round.
const ROUND: usize = 256;
/// How often a node looks for events that another has left.
const POLL: Duration = Duration::from_secs(1);
/// How long the forwarder rests after a failure.
const REST: Duration = Duration::from_secs(1);
/// How long events wait for a sink that is away: as upstream's streams keep them, and some days more.
const KEEP_MICROS: i64 = 7 * 24 * 3_600 * 1_000_000;

/// Where events go outside.
pub trait Sink: Send + Sync + 'static {
    /// Takes events, oldest first, each with its number. Returns when all of them are safe, or with the reason why they
    /// may not be; then they come again.
    fn take<'a>(&'a self, events: &'a [(i64, Event)]) -> BoxFuture<'a, Result<()>>;
}

/// Tells the forwarder that there is something. Clones wake the same one.
#[derive(Debug, Clone, Default)]
pub struct Outward(Arc<Notify>);

impl Outward {
    pub(crate) fn wake(&self) {
        self.0.notify_one();
    }
}

/// A running forwarder. Dropping it stops it; what it was handing over comes again at the next start.
#[derive(Debug)]
pub struct Forwarder {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Forwarder {
    /// Starts to hand over what a relay that knows `outward` has left in `db`; first what earlier runs left.
    pub fn start(db: Db, outward: Outward, sink: Arc<dyn Sink>, clock: Clock) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut failing = false;
            loop {
                tokio::select! {
                    biased;
                    _ = &mut stopped => return,
                    () = step(&db, &outward, &*sink, &clock, &mut failing) => {}
                }
            }
        });
        Self { stop, task }
    }

    /// Stops the forwarder. What it had not finished waits for the next run.
    pub async fn stop(self) {
        drop(self.stop);
        // An error would be a panic of the task, which has been reported.
        let _ = self.task.await;
    }
}

/// One round, and the pause after it.
async fn step(db: &Db, outward: &Outward, sink: &dyn Sink, clock: &Clock, failing: &mut bool) {
    match round(db, sink, clock).await {
        Ok(0) => {
            // The end of the time is as good a reason as a wake.
            let _ = timeout(POLL, outward.0.notified()).await;
        }
        Ok(count) => {
            metrics::counter!("trunkline_events_forwarded_total").increment(count as u64);
            if std::mem::take(failing) {
                tracing::info!("events are forwarded again");
            }
        }
        Err(error) => {
            // Once, and not every second while the other side is away.
            if !std::mem::replace(failing, true) {
                tracing::warn!(%error, cause = error.chain(), "events cannot be forwarded; they wait");
            }
            sleep(REST).await;
        }
    }
}

async fn round(db: &Db, sink: &dyn Sink, clock: &Clock) -> Result<usize> {
    let events = db.read(|tx| Box::pin(outbox::outward(tx, ROUND))).await?;
    let Some((_, oldest)) = events.first() else { return Ok(0) };
    metrics::gauge!("trunkline_events_forward_lag_seconds").set(clock.now().since(oldest.at()).as_secs_f64());
    if let Err(error) = sink.take(&events).await {
        drop_old(db, clock.now()).await?;
        return Err(error);
    }
    let ids: Vec<i64> = events.iter().map(|(id, _)| *id).collect();
    db.write(move |tx| Box::pin(async move { outbox::delete_outward(tx, &ids).await })).await?;
    Ok(events.len())
}

/// A sink that stays away must not fill the disk.
async fn drop_old(db: &Db, now: Timestamp) -> Result<()> {
    let before = Timestamp::from_micros(now.micros() - KEEP_MICROS);
    let dropped = db.write(move |tx| Box::pin(outbox::drop_outward(tx, before))).await?;
    if dropped > 0 {
        metrics::counter!("trunkline_events_forward_dropped_total").increment(dropped);
        tracing::warn!(dropped, "events that waited for seven days were not forwarded");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
