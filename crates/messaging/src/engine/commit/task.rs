//! The task that writes.
//!
//! One turn: take what waits, give places to messages, write everything in one transaction, do what had to wait for it,
//! then count and read for those whose clients have come back. Nothing else gives places in a session's order, so what is read after
//! the COMMIT and before the next turn is what the sessions are to know.

use std::{ops::Range, sync::Arc, time::Duration};

use hashbrown::HashMap;
use kernel::{Error, Kind, Result};
use tokio::time::{Instant, sleep};

use super::orders::{Batch, Order};
use super::placing::{RetainedTopic, hold};
use super::records::{self, Moment};
use super::{Committer, Inbox, NotStored};
use crate::engine::fanout::Work;
use crate::engine::link::Link;
use crate::engine::message::{Message, Place};
use crate::engine::session::Session;
use crate::engine::stored::{AT_A_TIME, Counted};
use crate::protocol::Protocol;
use crate::stats::{Stats, count};
use crate::store::{self, Change, MessageRecord};
use crate::wire::{Ack, Packet};

/// Orders of one transaction.
const AT_ONCE: usize = 1_024;
/// How long a change waits that nobody waits for.
const LATER: Duration = Duration::from_millis(100);
/// Pause after the database has failed.
const PAUSE: Duration = Duration::from_millis(200);

/// What could not be written yet and must be.
#[derive(Default)]
struct Owed {
    changes: Vec<Change>,
    orders: Vec<Order>,
    unplaced: HashMap<u64, Arc<Session>>,
    /// Retained messages that are among the changes.
    retained: Vec<RetainedTopic>,
}

impl Owed {
    fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.orders.is_empty() && self.unplaced.is_empty()
    }
}

/// What is written in one transaction.
struct Turn {
    changes: Vec<Change>,
    /// Those that belong to no order.
    own: Range<usize>,
    prepared: Vec<Prepared>,
    loads: Vec<(Arc<Session>, Arc<Link>)>,
    retained: Vec<RetainedTopic>,
}

/// An order with its changes.
pub(super) struct Prepared {
    pub(super) order: Order,
    changes: Range<usize>,
}

/// Runs until the engine is gone.
pub(crate) async fn run(committer: Arc<Committer>, shared: Arc<crate::engine::session::Shared>) {
    let mut owed = Owed::default();
    loop {
        if owed.is_empty() {
            committer.work_comes().await;
        } else {
            sleep(PAUSE).await;
        }
        if committer.inbox.lock().closed {
            return;
        }
        committer.turn(&mut owed, &shared.stats).await;
        let mut inbox = committer.inbox.lock();
        inbox.busy = !owed.is_empty();
        if inbox.is_empty() && !inbox.busy {
            committer.idle.notify_waiters();
        }
    }
}

impl Committer {
    async fn work_comes(&self) {
        {
            let inbox = self.inbox.lock();
            if !inbox.orders.is_empty() || !inbox.unplaced.is_empty() {
                return;
            }
        }
        tokio::select! {
            biased;
            () = self.wake.notified() => {}
            () = async { self.later.notified().await; sleep(LATER).await } => {}
        }
    }

    /// Takes what waits.
    fn take(&self) -> Inbox {
        let mut inbox = self.inbox.lock();
        inbox.busy = true;
        let most = inbox.orders.len().min(AT_ONCE);
        Inbox {
            orders: inbox.orders.drain(..most).collect(),
            finished: std::mem::take(&mut inbox.finished),
            retained: std::mem::take(&mut inbox.retained),
            unplaced: std::mem::take(&mut inbox.unplaced),
            ..Inbox::default()
        }
    }

    async fn turn(&self, owed: &mut Owed, stats: &Stats) {
        let moment = Moment::now(&self.clock);
        let mut inbox = self.take();
        owed.unplaced.extend(std::mem::take(&mut inbox.unplaced));
        self.settle_places(&mut owed.unplaced).await;
        let mut changes = std::mem::take(&mut owed.changes);
        let mut retained = std::mem::take(&mut owed.retained);
        finished(std::mem::take(&mut inbox.finished), &mut changes);
        let mut topics: Vec<_> = std::mem::take(&mut inbox.retained).into_iter().collect();
        // Nodes that write the same rows at once write them in the same order.
        topics.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for ((channel, subtopic), room) in topics {
            if self.nodes.is_some() {
                let changes = room.retained_changes(&subtopic);
                retained.push(RetainedTopic { room: Arc::clone(&room), subtopic: subtopic.clone(), changes });
            }
            changes.push(match room.retained_at(&subtopic) {
                Some((retained, bytes)) => {
                    let record = records::retained_record(channel, &subtopic, &retained, bytes, &moment);
                    Change::Retain(record)
                }
                None => Change::Unretain { channel, subtopic: subtopic.into() },
            });
        }
        let own = 0..changes.len();
        let mut orders = std::mem::take(&mut owed.orders);
        orders.append(&mut inbox.orders);
        let mut prepared = Vec::with_capacity(orders.len());
        let mut loads = Vec::new();
        for mut order in orders {
            let start = changes.len();
            match &mut order {
                Order::Load { session, link } => {
                    loads.push((Arc::clone(session), Arc::clone(link)));
                    continue;
                }
                Order::Accept { batch, .. } => {
                    if self.place(batch, &moment, &mut changes).await.is_err() {
                        changes.truncate(start);
                        refuse(order, stats);
                        continue;
                    }
                }
                other => change(other, &mut changes),
            }
            prepared.push(Prepared { order, changes: start..changes.len() });
        }
        self.write(Turn { changes, own, prepared, loads, retained }, owed, stats).await;
    }

    /// Gives the messages of a batch their places.
    async fn place(&self, batch: &mut Batch, moment: &Moment, changes: &mut Vec<Change>) -> Result<()> {
        if batch.sender.as_ref().is_some_and(|sender| !sender.is_here()) {
            // Its new node knows nothing of these messages. The client gets no answer here, and sends them again there.
            return Err(Error::unavailable("the session has gone to another node"));
        }
        for (session, _) in batch.deliveries.iter().filter(|(session, _)| session.is_here()) {
            self.learn_last(session).await?;
        }
        let mut shared: HashMap<*const Message, u64> = HashMap::new();
        if batch.deliveries.len() > 1 {
            self.share(batch, moment, changes, &mut shared);
        }
        for (session, parcel) in &mut batch.deliveries {
            let shared = shared.get(&Arc::as_ptr(&parcel.message)).copied().unwrap_or(0);
            let nodes = self.nodes.as_ref().filter(|_| !session.is_here());
            let seq = match nodes {
                None => match session.take_place() {
                    Some(seq) => {
                        parcel.place = Place { seq, shared };
                        seq.cast_signed()
                    }
                    None => continue,
                },
                Some(nodes) => {
                    parcel.place = Place { seq: 0, shared };
                    if !batch.elsewhere.iter().any(|known| Arc::ptr_eq(known, session)) {
                        batch.elsewhere.push(Arc::clone(session));
                    }
                    nodes.next_unplaced(moment.wall_now())
                }
            };
            changes.push(Change::Enqueue(records::queue_record(session.id, seq, parcel, moment)));
        }
        // A message whose sessions have ended meanwhile has no place, and one of another node's session has none yet.
        batch.deliveries.retain(|(_, parcel)| parcel.place.seq > 0);
        if let Some(sender) = &batch.sender {
            let session = sender.id;
            let hold = |id: &crate::wire::PacketId| Change::Hold { session, packet_id: id.get() };
            changes.extend(
                batch.received.iter().filter(|_| sender.is_stored() && !sender.has_ended()).map(hold),
            );
        }
        Ok(())
    }

    /// Finds the messages that more than one session gets: they are stored once.
    fn share(
        &self,
        batch: &Batch,
        moment: &Moment,
        changes: &mut Vec<Change>,
        shared: &mut HashMap<*const Message, u64>,
    ) {
        let mut seen: HashMap<*const Message, usize> = HashMap::new();
        for (_, parcel) in &batch.deliveries {
            let copies = seen.entry(Arc::as_ptr(&parcel.message)).or_default();
            *copies += 1;
            if *copies == 2 {
                let id = self.next_message();
                shared.insert(Arc::as_ptr(&parcel.message), id);
                let contents = records::contents(&parcel.message, moment);
                changes.push(Change::Message(MessageRecord { id, contents }));
            }
        }
    }

    /// Reads the last place of a session that was found in the tables.
    pub(super) async fn learn_last(&self, session: &Session) -> Result<()> {
        if session.knows_its_last_place() {
            return Ok(());
        }
        let id = session.id;
        let last = self.db.read(move |tx| Box::pin(store::last_seq(tx, id))).await?;
        session.continue_after(last);
        Ok(())
    }

    async fn write(&self, turn: Turn, owed: &mut Owed, stats: &Stats) {
        let Turn { changes, own, prepared, loads, retained } = turn;
        let changes = Arc::new(changes);
        let outcome = self.make(&changes, 0..changes.len()).await;
        match outcome {
            Ok(()) => {
                self.tell_retained(retained);
                self.done(prepared, loads, owed).await;
            }
            Err(error) if error.kind() == Kind::Unavailable => {
                tracing::warn!(cause = %error.chain(), "sessions and messages could not be stored");
                owed.changes.extend(changes.get(own).unwrap_or_default().iter().cloned());
                owed.retained = retained;
                for Prepared { order, .. } in prepared {
                    if order.is_needed() { owed.orders.push(order) } else { refuse(order, stats) }
                }
                owed.orders.extend(loads.into_iter().map(|(session, link)| Order::Load { session, link }));
            }
            Err(_) => {
                // One of them cannot be stored at all: it shall not take the others along.
                match self.make(&changes, own).await {
                    Ok(()) => self.tell_retained(retained),
                    Err(error) => {
                        tracing::error!(cause = %error.chain(), "a change of sessions could not be stored");
                    }
                }
                let mut made = Vec::new();
                for one in prepared {
                    match self.make(&changes, one.changes.clone()).await {
                        Ok(()) => made.push(one),
                        Err(error) => {
                            tracing::error!(cause = %error.chain(), "a change of sessions could not be stored");
                            refuse(one.order, stats);
                        }
                    }
                }
                self.done(made, loads, owed).await;
            }
        }
    }

    async fn make(&self, changes: &Arc<Vec<Change>>, range: Range<usize>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let changes = Arc::clone(changes);
        let me = self.me();
        self.db
            .write(move |tx| {
                Box::pin(async move {
                    hold(tx, me).await?;
                    store::apply(tx, changes.get(range).unwrap_or_default()).await
                })
            })
            .await
    }

    /// Does what had to wait until it was stored.
    async fn done(&self, prepared: Vec<Prepared>, loads: Vec<(Arc<Session>, Arc<Link>)>, owed: &mut Owed) {
        let mut work = Work::begin(Protocol::Mqtt);
        let mut uncounted: Vec<Arc<Session>> = Vec::new();
        self.tell_nodes(&prepared);
        for Prepared { order, .. } in prepared {
            match order {
                Order::Accept { batch, done } => {
                    let nodes = self.nodes.clone().filter(|_| batch.retains);
                    let stored = bring(batch, &mut work, &mut uncounted);
                    match nodes {
                        // Who does not wait any more has gone away.
                        None => drop(done.send(stored)),
                        // Whoever subscribes at another node from now on is to find the retained message.
                        Some(nodes) => drop(tokio::spawn(async move {
                            nodes.settled().await;
                            drop(done.send(stored));
                        })),
                    }
                }
                Order::Change { done: Some(done), .. } => {
                    let _gone = done.send(Ok(()));
                }
                Order::Give { done, .. } => {
                    let _gone = done.send(());
                }
                Order::Received { session, link, packet_id, .. } => {
                    session.end_handshake();
                    session.release_received(&link, packet_id, work.now);
                }
                Order::Released { session, link, packet_id, reason } => {
                    session.end_handshake();
                    let answer = Packet::PubComp(Ack::with_reason(packet_id, reason));
                    session.answer(&link, &answer, work.now);
                }
                Order::Change { done: None, .. } | Order::Forget { .. } | Order::Load { .. } => {}
            }
        }
        work.flush();
        drop(work);
        for session in uncounted {
            if let Err(error) = self.count(&session).await {
                tracing::warn!(cause = %error.chain(), "what waits for a session could not be counted");
            }
        }
        for (session, link) in loads {
            if let Err(error) = self.load(&session, &link).await {
                tracing::warn!(cause = %error.chain(), "what waits for a session could not be read");
                owed.orders.push(Order::Load { session, link });
            }
        }
    }

    pub(super) async fn count(&self, session: &Session) -> Result<()> {
        let Some(Counted::No(after)) = session.is_counted() else { return Ok(()) };
        let id = session.id;
        let (messages, bytes) = self.db.read(move |tx| Box::pin(store::count(tx, id, after))).await?;
        session.counted(
            after,
            usize::try_from(messages).unwrap_or(usize::MAX),
            usize::try_from(bytes).unwrap_or(usize::MAX),
        );
        Ok(())
    }

    async fn load(&self, session: &Session, link: &Arc<Link>) -> Result<()> {
        self.learn_last(session).await?;
        self.count(session).await?;
        let Some(after) = session.loads_after(link) else { return Ok(()) };
        let id = session.id;
        let found = self.db.read(move |tx| Box::pin(store::load(tx, id, after, AT_A_TIME))).await?;
        let moment = Moment::now(&self.clock);
        let found = found.into_iter().map(|waiting| records::loaded(waiting, &moment)).collect();
        session.loaded(link, found, Instant::now());
        Ok(())
    }
}

/// The rows that sessions do not need any more, in runs.
fn finished(mut places: Vec<(u64, Place)>, changes: &mut Vec<Change>) {
    places.sort_unstable_by_key(|(session, place)| (*session, place.seq));
    let shared: Vec<u64> =
        places.iter().map(|(_, place)| place.shared).filter(|&number| number > 0).collect();
    for (session, place) in places {
        match changes.last_mut() {
            // Those of an earlier turn, which may be later ones, can stand here while the database is away.
            Some(Change::Finished { session: same, first, last })
                if *same == session && place.seq >= *first && place.seq <= *last + 1 =>
            {
                *last = place.seq.max(*last);
            }
            _ => changes.push(Change::Finished { session, first: place.seq, last: place.seq }),
        }
    }
    if !shared.is_empty() {
        changes.push(Change::Unneeded { messages: shared });
    }
}

/// The changes of an order that brings no messages.
fn change(order: &Order, changes: &mut Vec<Change>) {
    match order {
        Order::Change { change, .. } => changes.push(change.clone()),
        Order::Received { session, seq, shared, .. } => {
            changes.push(Change::Received { session: session.id, seq: *seq });
            if *shared > 0 {
                changes.push(Change::Unneeded { messages: vec![*shared] });
            }
        }
        Order::Released { session, packet_id, .. } => {
            changes.push(Change::Release { session: session.id, packet_id: packet_id.get() });
        }
        Order::Give { session, to, .. } => {
            // From here on this node gives no places for it: what is in this transaction, and before it, is the last.
            session.be_at(*to, false);
            changes.push(Change::Give { session: session.id, owner: *to });
        }
        Order::Forget { session, channel } => {
            changes.push(Change::Forget { session: *session, channel: *channel });
        }
        Order::Accept { .. } | Order::Load { .. } => {}
    }
}

/// Tells whoever waits that it has not been stored.
fn refuse(order: Order, stats: &Stats) {
    count(&stats.store_failures);
    match order {
        Order::Accept { batch, done } => {
            if let Some(sender) = &batch.sender {
                sender.forget_received(&batch.received);
            }
            let _gone = done.send(Err(NotStored));
        }
        Order::Change { done: Some(done), .. } => {
            let _gone = done.send(Err(NotStored));
        }
        Order::Received { session, .. } | Order::Released { session, .. } => session.end_handshake(),
        Order::Change { .. } | Order::Give { .. } | Order::Forget { .. } | Order::Load { .. } => {}
    }
}

/// Gives stored messages to their sessions.
fn bring(batch: Batch, work: &mut Work, uncounted: &mut Vec<Arc<Session>>) -> super::Stored {
    let Batch { deliveries, sender, repeated, elsewhere, .. } = batch;
    for (session, parcel) in deliveries {
        let taken = session.bring(parcel, work.now);
        work.note(&session, taken);
        let is_known = || uncounted.iter().any(|known| Arc::ptr_eq(known, &session));
        if matches!(session.is_counted(), Some(Counted::No(_))) && !is_known() {
            uncounted.push(session);
        }
    }
    let mut full = std::mem::take(&mut work.full);
    full.extend(elsewhere.into_iter().filter(|session| !session.is_here() && session.is_full()));
    // One that came again and was not stored the first time is not taken.
    if sender.is_some_and(|sender| !sender.has_received(&repeated)) { Err(NotStored) } else { Ok(full) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_finished_places_leave_none_out_that_came_late() {
        let place = |seq| (1, Place { seq, shared: 0 });
        let mut changes = Vec::new();
        finished(vec![place(6), place(5), place(8)], &mut changes);
        // Those are still to be written when earlier ones come.
        finished(vec![place(7), place(2)], &mut changes);
        let runs: Vec<_> = changes
            .iter()
            .map(|change| match change {
                Change::Finished { first, last, .. } => (*first, *last),
                other => panic!("{other:?}"),
            })
            .collect();
        for seq in [2, 5, 6, 7, 8] {
            assert!(runs.iter().any(|(first, last)| (first..=last).contains(&&seq)), "{seq} in {runs:?}");
        }
        assert!(!runs.iter().any(|(first, last)| (first..=last).contains(&&3)), "{runs:?}");
    }
}
