//! Subscriptions of a session are made and ended.
//!
//! The races it must win. A revocation while the gate is asked: generations are read before the question and again
//! after the subscription stands in its room; if they differ, the question is asked again. So either the revocation
//! finds the subscription, or the subscriber finds the revocation. An end of the session meanwhile: the subscription
//! is recorded in the session first and taken out of the room again if the session is found ended afterwards.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use kernel::ChannelId;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Core;
use super::commit::{self, Batch, NotStored, SubscriptionParts};
use super::figures;
use super::link::Link;
use super::message::{Parcel, Place};
use super::publish::Refusal;
use super::room::{Entry, Room, spelled};
use super::session::{Session, Taken};
use crate::gate::{Action, Identity};
use crate::observer::Event;
use crate::store::{Change, SubscriptionRecord};
use crate::topic::{Address, ChannelAddress};
use crate::wire::{QoS, ReasonCode, RetainHandling, Subscription, SubscriptionId, SubscriptionOptions, Text};

/// A subscription as its session remembers it.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    /// As it was written: what UNSUBSCRIBE names.
    filter: Text,
    pub(crate) room: Arc<Room>,
    subtopic: Box<str>,
    spelling: Text,
    group: Option<Box<str>>,
}

/// Retained messages that a new subscription is owed after its SUBACK.
#[derive(Debug)]
pub(crate) struct Owed {
    held: Held,
    options: SubscriptionOptions,
    id: Option<SubscriptionId>,
    /// The subtopic up to which they have been sent.
    after: Option<Box<str>>,
    finished: bool,
}

impl Owed {
    const fn new(held: Held, options: SubscriptionOptions, id: Option<SubscriptionId>) -> Self {
        Self { held, options, id, after: None, finished: false }
    }

    /// Whether both come from the same filter: what the later one is owed includes the earlier one's.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.held.is_same(&other.held)
    }

    /// Whether nothing is owed any more.
    pub(crate) const fn is_finished(&self) -> bool {
        self.finished
    }
}

/// How a filter of a SUBSCRIBE was answered.
pub(crate) struct Granted {
    pub(crate) reason: ReasonCode,
    pub(crate) owed: Option<Owed>,
    /// Told when the subscription is stored; `None`: it need not be.
    pub(crate) stored: Option<oneshot::Receiver<Result<(), NotStored>>>,
}

impl Granted {
    pub(crate) const fn only(reason: ReasonCode) -> Self {
        Self { reason, owed: None, stored: None }
    }
}

impl Core {
    /// Makes or renews one subscription.
    pub(crate) async fn subscribe(
        &self,
        session: &Arc<Session>,
        link: &Arc<Link>,
        identity: &Identity,
        subscription: &Subscription,
        id: Option<SubscriptionId>,
    ) -> Granted {
        let Ok(filter) = self.filter(identity, subscription.filter.as_str()) else {
            return Granted::only(ReasonCode::TOPIC_FILTER_INVALID);
        };
        let held = match filter.address {
            Address::Health { domain } => self.authorize_health(identity, domain).await.map(|()| None),
            Address::Channel(address) => {
                self.held(identity, &subscription.filter, filter.group, &address).await.map(Some)
            }
            Address::Figures { subtopic } => self.figures_room(identity).await.map(|room| {
                Some(Held {
                    filter: subscription.filter.detached(),
                    room,
                    subtopic: subtopic.as_ref().into(),
                    spelling: Text::from_static(figures::SPELLING),
                    group: filter.group.map(Into::into),
                })
            }),
        };
        let outcome = match held {
            Ok(Some(held)) => self.hold(session, link, identity, held, subscription, id).await.map(Some),
            Ok(None) => Ok(None),
            Err(refusal) => Err(refusal),
        };
        match outcome {
            Ok(Some(granted)) => granted,
            Ok(None) => Granted::only(subscription.options.qos.granted()),
            Err(refusal) => {
                // An earlier subscription to the same filter does not hold either.
                self.drop_filter(session, &subscription.filter);
                Granted::only(refusal.reason())
            }
        }
    }

    async fn held(
        &self,
        identity: &Identity,
        filter: &Text,
        group: Option<&str>,
        address: &ChannelAddress<'_>,
    ) -> Result<Held, Refusal> {
        Ok(Held {
            filter: filter.detached(),
            room: self.room(identity, address, Action::Subscribe).await?,
            subtopic: address.subtopic.as_ref().into(),
            spelling: Text::from(&*address.spelling),
            group: group.map(Into::into),
        })
    }

    async fn hold(
        &self,
        session: &Arc<Session>,
        link: &Arc<Link>,
        identity: &Identity,
        held: Held,
        subscription: &Subscription,
        id: Option<SubscriptionId>,
    ) -> Result<Granted, Refusal> {
        let options = subscription.options;
        let mut is_new = true;
        loop {
            let generations = (session.generation(), held.room.generation());
            self.authorize(identity, &held.room, Action::Subscribe).await?;
            match self.record(session, link, &held) {
                Recorded::New => {}
                Recorded::Known => is_new = false,
                Recorded::Refused(reason) => return Ok(Granted::only(reason)),
            }
            held.enter(session, options, id);
            if session.state.lock().ended {
                held.leave(session);
                return Ok(Granted::only(ReasonCode::UNSPECIFIED_ERROR));
            }
            if generations == (session.generation(), held.room.generation()) {
                break;
            }
        }
        self.observe(|| Event::Subscribed {
            identity: session.identity,
            client_id: session.client_id.as_str(),
            protocol: link.protocol,
            domain: held.room.domain,
            channel: held.room.channel,
            subtopic: &held.subtopic,
        });
        let wanted = match options.retain_handling {
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => is_new,
            RetainHandling::DoNotSend => false,
        };
        // Shared subscriptions are not sent retained messages (MQTT 5.0 §4.8.2).
        let stored = self.store_subscription(session, &held, options, id);
        let owed = (wanted && held.group.is_none()).then(|| Owed::new(held, options, id));
        Ok(Granted { reason: options.qos.granted(), owed, stored })
    }

    fn store_subscription(
        &self,
        session: &Session,
        held: &Held,
        options: SubscriptionOptions,
        id: Option<SubscriptionId>,
    ) -> Option<oneshot::Receiver<Result<(), NotStored>>> {
        let committer = self.shared.committer.as_ref().filter(|_| session.is_stored())?;
        if self.holds_figures(&held.room) {
            // They are read by those who watch the node now.
            return None;
        }
        let parts = SubscriptionParts {
            filter: &held.filter,
            domain: held.room.domain,
            channel: held.room.channel,
            subtopic: &held.subtopic,
            spelling: &held.spelling,
            group: held.group.as_deref(),
            options,
            id,
        };
        let record = commit::subscription_record(session.id, &parts);
        Some(committer.change(Change::Subscribe(record), false))
    }

    /// Waits until a subscription is stored; one that cannot be ends.
    pub(crate) async fn subscription_stored(&self, session: &Session, filter: &Text, granted: &mut Granted) {
        let Some(stored) = granted.stored.take() else { return };
        if commit::answer(stored).await.is_err() {
            self.drop_filter(session, filter);
            *granted = Granted::only(ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR);
        }
    }

    /// Waits until all nodes know what has been subscribed to so far.
    pub(crate) async fn subscribed_everywhere(&self) {
        if let Some(nodes) = &self.shared.nodes {
            nodes.settled().await;
        }
    }

    /// Writes the subscription into the session.
    fn record(&self, session: &Session, link: &Arc<Link>, held: &Held) -> Recorded {
        let mut state = session.state.lock();
        if !state.is_current(link) {
            return Recorded::Refused(ReasonCode::UNSPECIFIED_ERROR);
        }
        if let Some(known) = state.subscriptions.iter_mut().find(|known| known.filter == held.filter) {
            // A route may lead to another channel by now.
            let earlier = std::mem::replace(known, held.clone());
            let moved = !Arc::ptr_eq(&earlier.room, &held.room);
            drop(state);
            if moved {
                earlier.leave(session);
            }
            return Recorded::Known;
        }
        if state.subscriptions.len() >= self.shared.limits.subscriptions {
            return Recorded::Refused(ReasonCode::QUOTA_EXCEEDED);
        }
        state.subscriptions.push(held.clone());
        self.shared.stats.subscriptions.fetch_add(1, Relaxed);
        Recorded::New
    }

    /// Sends some of the retained messages that a subscription is owed. Those of QoS 1 and 2 for a stored session are
    /// stored first; they come through `batch`.
    pub(crate) fn send_retained(
        &self,
        session: &Arc<Session>,
        link: &Arc<Link>,
        owed: &mut Owed,
        batch: &mut Batch,
        now: Instant,
    ) -> Taken {
        let Owed { held, options, id, .. } = &*owed;
        let step = held.room.retained(&held.subtopic, owed.after.as_deref(), now);
        let parcels = step.found.into_iter().map(|(subtopic, retained)| Parcel {
            topic: spelled(&held.spelling, &subtopic),
            qos: retained.qos.min(options.qos),
            message: retained.message,
            retain: true,
            subscription_ids: id.iter().copied().collect(),
            place: Place::default(),
        });
        let (to_store, now_sent): (Vec<Parcel>, Vec<Parcel>) =
            parcels.partition(|parcel| session.is_stored() && parcel.qos > QoS::AtMostOnce);
        let taken = session.append(link, held, now_sent, now);
        if taken.is_some() {
            to_store.into_iter().for_each(|parcel| batch.deliver(session, parcel));
        }
        owed.finished = taken.is_none() || step.next.is_none();
        owed.after = step.next;
        taken.unwrap_or(Taken::Done)
    }

    /// Ends the subscription that was made with this filter.
    pub(crate) fn unsubscribe(&self, session: &Session, link: &Link, filter: &Text) -> ReasonCode {
        let Some(held) = self.drop_filter(session, filter) else {
            return ReasonCode::NO_SUBSCRIPTION_EXISTED;
        };
        self.announce_end(session, link, std::slice::from_ref(&held));
        ReasonCode::SUCCESS
    }

    /// Tells the observer that subscriptions were ended by their owner.
    pub(crate) fn announce_end(&self, session: &Session, link: &Link, ended: &[Held]) {
        for held in ended {
            self.observe(|| Event::Unsubscribed {
                identity: session.identity,
                client_id: session.client_id.as_str(),
                protocol: link.protocol,
                domain: held.room.domain,
                channel: held.room.channel,
                subtopic: &held.subtopic,
            });
        }
    }

    fn drop_filter(&self, session: &Session, filter: &Text) -> Option<Held> {
        let held = {
            let mut state = session.state.lock();
            let at = state.subscriptions.iter().position(|held| held.filter == *filter)?;
            state.subscriptions.swap_remove(at)
        };
        self.store_lost(session, std::slice::from_ref(&held));
        self.leave_rooms(session, vec![held.clone()]);
        Some(held)
    }

    /// Waits until the changes of a session that were made so far are stored, within the patience that the gate gets.
    pub(crate) async fn changes_stored(&self, session: &Session) {
        if session.is_stored()
            && let Some(committer) = &self.shared.committer
        {
            // A database that fails does not keep the client waiting; the change is made when it can be.
            let made = commit::answer(committer.accept(Batch::default()));
            let _in_time = tokio::time::timeout(self.shared.limits.gate, made).await;
        }
    }

    /// Stores that subscriptions have ended.
    fn store_lost(&self, session: &Session, lost: &[Held]) {
        let Some(committer) = self.shared.committer.as_ref().filter(|_| session.is_stored()) else { return };
        for held in lost {
            let filter = held.filter.as_str().to_owned();
            committer.note(Change::Unsubscribe { session: session.id, filter });
        }
    }

    /// Ends the subscriptions of a session to a channel that it has lost the right to, and forgets what waits.
    pub(crate) fn drop_channel(&self, session: &Session, channel: ChannelId) -> usize {
        let lost: Vec<Held> = {
            let mut state = session.state.lock();
            let lost = state.subscriptions.extract_if(.., |held| held.room.channel == channel).collect();
            session.forget_channel(&mut state, channel);
            lost
        };
        let count = lost.len();
        self.store_lost(session, &lost);
        self.leave_rooms(session, lost);
        count
    }

    /// Takes subscriptions that are no longer recorded out of their rooms.
    pub(crate) fn leave_rooms(&self, session: &Session, held: Vec<Held>) {
        self.shared.stats.subscriptions.fetch_sub(held.len() as u64, Relaxed);
        for held in held {
            held.leave(session);
        }
    }
}

enum Recorded {
    New,
    Known,
    Refused(ReasonCode),
}

impl Held {
    /// One that was found in the tables.
    pub(crate) fn found(record: &SubscriptionRecord, room: Arc<Room>) -> Self {
        Self {
            filter: Text::from(record.filter.as_str()),
            room,
            subtopic: record.subtopic.as_str().into(),
            spelling: Text::from(record.spelling.as_str()),
            group: record.share.as_deref().map(Into::into),
        }
    }

    /// One of a session of which only this is known.
    pub(crate) fn of_group(subtopic: &Text, spelling: &Text, group: &Text, room: Arc<Room>) -> Self {
        Self {
            filter: Text::default(),
            room,
            subtopic: subtopic.as_str().into(),
            spelling: spelling.clone(),
            group: Some(group.as_str().into()),
        }
    }

    /// Whether it is shared.
    pub(crate) const fn is_of_group(&self) -> bool {
        self.group.is_some()
    }

    /// Puts the subscription into its room.
    pub(crate) fn enter(
        &self,
        session: &Arc<Session>,
        options: SubscriptionOptions,
        id: Option<SubscriptionId>,
    ) {
        self.room.subscribe(&self.subtopic, self.entry(session, options, id));
    }

    /// Whether both stand in the room as one entry.
    pub(crate) fn means_the_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.room, &other.room)
            && self.subtopic == other.subtopic
            && self.spelling == other.spelling
            && self.group == other.group
    }

    /// Whether both stand for the same filter and the same channel.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.room, &other.room) && self.filter == other.filter
    }

    fn entry(
        &self,
        session: &Arc<Session>,
        options: SubscriptionOptions,
        id: Option<SubscriptionId>,
    ) -> Entry {
        Entry {
            session: Arc::clone(session),
            spelling: self.spelling.clone(),
            group: self.group.clone(),
            options,
            id,
            here: session.is_here(),
        }
    }

    /// Takes the subscription out of its room, unless another filter of the session means the same there: `a/b` and
    /// `a%2Fb` do.
    pub(crate) fn leave(&self, session: &Session) {
        if session.state.lock().subscriptions.iter().any(|other| self.means_the_same_as(other)) {
            return;
        }
        self.room.unsubscribe(&self.subtopic, session, &self.spelling, self.group.as_deref());
    }
}
