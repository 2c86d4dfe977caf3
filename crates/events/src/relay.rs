//! From the outbox to the bus.
//!
//! A round takes the oldest events, publishes them, and then deletes their rows; a crash in between delivers them once
//! more after the restart. The relay runs rounds until the outbox is empty, then waits for the next commit.
//!
//! # Order
//!
//! SQLite has one writer, so ids follow the commits, and there is one relay, which goes by id. It reads through a
//! connection of its own: what shares a transaction with others in the writer is not seen before it is committed.
//!
//! On PostgreSQL the nodes' relays work side by side. Each claims *entities*, by locking the oldest row of each
//! (`FOR UPDATE SKIP LOCKED`), and delivers only their events, in the order of their ids; so one entity is never in
//! two hands. Transactions on the same entity wait for each other at the entity's own row, which they change before
//! they push the event; so within an entity ids follow the commits there, too.

use std::time::Duration;

use db::{Db, Engine, Word};
use kernel::{Clock, Result};
use tokio::{sync::oneshot, task::JoinHandle, time::sleep};

use crate::{
    Bus, Event, Outbox, Outward,
    outbox::{self, Waiting},
};

/// Events per round, and on PostgreSQL entities per claim.
const ROUND: usize = 256;
const ENTITIES: usize = 64;
/// How often a node looks for events of another that has crashed.
const POLL: Duration = Duration::from_secs(1);
/// How long a relay rests after a failure of the database.
const REST: Duration = Duration::from_secs(1);

/// A running relay. Dropping it stops it after the round that it is in.
#[derive(Debug)]
pub struct Relay {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Starts to move what `outbox` receives in `db` to `bus`; first what earlier runs of the program left.
    ///
    /// With `outward` it leaves what it has delivered for a [`Forwarder`](crate::Forwarder).
    pub fn start(db: Db, outbox: Outbox, bus: Bus, clock: Clock, outward: Option<Outward>) -> Self {
        let others = bus.clone();
        db.hear_late(outbox::TOPIC, move |word| match word {
            Word::This(line) => match Event::heard(line) {
                Some(event) => others.publish(event),
                None => others.missed(),
            },
            Word::Everything => others.missed(),
        });
        let (stop, mut stopped) = oneshot::channel();
        let mut rounds = Rounds { db, bus, clock, outward, published: 0 };
        let task = tokio::spawn(async move {
            loop {
                let pause = match rounds.run().await {
                    Ok(0) => Pause::UntilPushed,
                    Ok(_) => Pause::None,
                    Err(error) => {
                        tracing::warn!(%error, cause = error.chain(), "events could not be relayed");
                        Pause::Rest
                    }
                };
                tokio::select! {
                    biased;
                    _ = &mut stopped => return,
                    () = rounds.pause(&outbox, pause) => {}
                }
            }
        });
        Self { stop, task }
    }

    /// Stops the relay, and returns when its last round is over.
    pub async fn stop(self) {
        drop(self.stop);
        // An error would be a panic of the task, which has been reported.
        let _ = self.task.await;
    }
}

enum Pause {
    None,
    UntilPushed,
    Rest,
}

struct Rounds {
    db: Db,
    bus: Bus,
    clock: Clock,
    outward: Option<Outward>,
    /// SQLite: the last event that is on the bus, whether or not its row could be deleted.
    published: i64,
}

impl Rounds {
    /// Delivers some events; returns how many.
    async fn run(&mut self) -> Result<usize> {
        match self.db.kind() {
            Engine::Sqlite => self.run_in_order().await,
            Engine::Postgres => self.run_claimed().await,
        }
    }

    async fn run_in_order(&mut self) -> Result<usize> {
        let last = self.published;
        let events = self.db.read(move |tx| Box::pin(outbox::after(tx, last, ROUND))).await?;
        let Some(last) = events.last().map(|waiting| waiting.id) else { return Ok(0) };
        let count = events.len();
        publish(&self.bus, &self.clock, events);
        self.published = last;
        let outward = self.outward.clone();
        self.db
            .write(move |tx| {
                Box::pin(async move {
                    if let Some(outward) = outward {
                        outbox::leave_outward_to(tx, last).await?;
                        tx.on_commit(move || outward.wake());
                    }
                    outbox::delete_to(tx, last).await
                })
            })
            .await?;
        Ok(count)
    }

    async fn run_claimed(&self) -> Result<usize> {
        let (bus, clock, outward) = (self.bus.clone(), self.clock.clone(), self.outward.clone());
        self.db
            .write(move |tx| {
                Box::pin(async move {
                    let events = outbox::claim(tx, ENTITIES, ROUND).await?;
                    if events.is_empty() {
                        return Ok(0);
                    }
                    let count = events.len();
                    if let Some(outward) = outward {
                        outbox::leave_outward(tx, &events).await?;
                        tx.on_commit(move || outward.wake());
                    }
                    outbox::delete(tx, &events).await?;
                    // Before the COMMIT, so that a crash repeats events rather than loses them.
                    publish(&bus, &clock, events);
                    Ok(count)
                })
            })
            .await
    }

    async fn pause(&self, outbox: &Outbox, pause: Pause) {
        match (pause, self.db.kind()) {
            (Pause::None, _) => {}
            (Pause::Rest, _) => sleep(REST).await,
            (Pause::UntilPushed, Engine::Sqlite) => outbox.pushed().await,
            (Pause::UntilPushed, Engine::Postgres) => {
                // The end of the time is as good a reason as a push.
                let _ = tokio::time::timeout(POLL, outbox.pushed()).await;
            }
        }
    }
}

fn publish(bus: &Bus, clock: &Clock, events: Vec<Waiting>) {
    if let Some(oldest) = events.first() {
        let lag = clock.now().since(oldest.event.at());
        metrics::gauge!("trunkline_events_lag_seconds").set(lag.as_secs_f64());
    }
    metrics::counter!("trunkline_events_relayed_total")
        .increment(u64::try_from(events.len()).unwrap_or(u64::MAX));
    for waiting in events {
        bus.publish(waiting.event);
    }
}

#[cfg(test)]
mod tests;
