//! One message to all its subscribers.
//!
//! A message is encoded once for all who see it alike (same spelling, version, QoS and retain flag) and copied into
//! the output of each under a short lock. Nobody is written to before the batch is over: [`Work`] remembers whom to
//! flush, once, however many messages the batch brought. The race it must win: a session that was promised a flush
//! gets it, even if the task that promised is dropped in between.

use std::{cell::RefCell, sync::Arc, time::Duration};

use smallvec::SmallVec;
use tokio::time::Instant;

use super::commit::Batch;
use super::link::Link;
use super::message::{Message, Parcel, Place};
use super::room::{Room, Target, Targets};
use super::session::{Session, Taken};
use super::shared::ShareGroup;
use crate::protocol::Protocol;
use crate::stats::{Stats, Tally};
use crate::wire::{Delivery, Frame, Publish, QoS, SubscriptionId};

thread_local! {
    /// The lists of a finished batch, for the next one.
    static SPARE: RefCell<Vec<Vec<Arc<Session>>>> = const { RefCell::new(Vec::new()) };
}

/// What a batch of packets leaves to be done at its end.
#[derive(Debug)]
pub(crate) struct Work {
    /// One instant for the whole batch.
    pub(crate) now: Instant,
    pub(crate) tally: Tally,
    unflushed: Vec<Arc<Session>>,
    /// Sessions whose queue is over its bound: the publisher must wait for them.
    pub(crate) full: Vec<Arc<Session>>,
    /// The publisher is over its rate: it must wait so long.
    pub(crate) until: Option<Instant>,
    /// What must be stored before anybody is told that the batch has been taken.
    pub(crate) batch: Batch,
}

impl Work {
    /// For packets that come over this protocol.
    pub(crate) fn begin(from: Protocol) -> Self {
        Self {
            now: Instant::now(),
            tally: Tally::from(from),
            unflushed: SPARE.with_borrow_mut(Vec::pop).unwrap_or_default(),
            full: Vec::new(),
            until: None,
            batch: Batch::default(),
        }
    }

    /// Writes to everybody who got something.
    pub(crate) fn flush(&mut self) {
        for session in self.unflushed.drain(..) {
            session.flush(self.now);
        }
    }

    /// Adds the counts of the batch to the shared ones.
    pub(crate) fn settle(&mut self, stats: &Stats) {
        self.tally.settle(stats);
    }

    /// Remembers what the batch owes to a session.
    pub(crate) fn note(&mut self, session: &Arc<Session>, taken: Taken) {
        match taken {
            Taken::Unflushed => self.unflushed.push(Arc::clone(session)),
            Taken::Full if !self.full.iter().any(|full| Arc::ptr_eq(full, session)) => {
                self.full.push(Arc::clone(session));
            }
            Taken::Full | Taken::Done => {}
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.flush();
        let list = std::mem::take(&mut self.unflushed);
        SPARE.with_borrow_mut(|spare| {
            if list.capacity() > 0 && spare.len() < 4 {
                spare.push(list);
            }
        });
    }
}

/// A message that is being fanned out.
pub(crate) struct Fanout<'a> {
    pub(crate) publish: &'a Publish,
    pub(crate) room: &'a Room,
    subtopic: &'a str,
    /// The session that published it, for subscriptions that do not want their own messages.
    pub(crate) origin: Option<u64>,
    pub(crate) expires_at: Option<Instant>,
    accepted: Instant,
    kept: Option<Arc<Message>>,
    frames: SmallVec<[(FrameKey, Frame); 2]>,
    is_shared: bool,
}

/// What subscribers must have in common to see the same bytes. The topic is told by where it stands: all who use a
/// spelling share one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FrameKey {
    topic: *const u8,
    topic_len: usize,
    is_v5: bool,
    qos: QoS,
    retain: bool,
}

impl<'a> Fanout<'a> {
    pub(crate) fn new(
        publish: &'a Publish,
        room: &'a Room,
        subtopic: &'a str,
        origin: Option<u64>,
        accepted: Instant,
    ) -> Self {
        let frames = SmallVec::new();
        let expires_at = publish.message_expiry.map(|seconds| accepted + Duration::from_secs(seconds.into()));
        Self { publish, room, subtopic, origin, expires_at, accepted, kept: None, frames, is_shared: false }
    }

    /// The message in memory of its own, made when the first one needs it.
    pub(crate) fn kept(&mut self) -> &Arc<Message> {
        self.kept.get_or_insert_with(|| {
            Message::keep(self.publish, self.room.channel, self.expires_at, Some(self.accepted))
        })
    }

    /// Gives the message to everybody who is to have it.
    pub(crate) fn deliver(mut self, targets: &Targets, work: &mut Work) {
        self.is_shared = targets.each.len() > 1;
        for target in &targets.each {
            self.deliver_to(target, work);
        }
        for group in &targets.groups {
            self.deliver_to_group(group, work);
        }
    }

    /// A message that another node has taken, to those who are here. That node stores it for the sessions in `stored`.
    pub(crate) fn deliver_here(mut self, targets: &Targets, stored: &[u64], work: &mut Work) {
        self.is_shared = targets.each.len() > 1;
        for target in targets.each.iter().filter(|target| target.session.is_here()) {
            let is_kept = self.publish.qos.min(target.qos) > QoS::AtMostOnce;
            if !(is_kept && stored.contains(&target.session.id)) {
                self.deliver_to(target, work);
            }
        }
    }

    /// A message that another node gives to one member of a group that is here: if it has gone, to another one.
    pub(crate) fn deliver_to_member(
        mut self,
        targets: &Targets,
        group: &str,
        member: &[u64],
        work: &mut Work,
    ) {
        let Some(group) = targets.groups.iter().find(|known| *known.name == *group) else { return };
        let chosen = group.members.iter().find(|target| {
            let session = &target.session;
            session.is_here() && session.is_connected() && member.contains(&session.id)
        });
        match chosen {
            Some(target) => self.deliver_to(target, work),
            None => self.deliver_to_group(group, work),
        }
    }

    fn deliver_to_group(&mut self, group: &ShareGroup, work: &mut Work) {
        let Some(target) = group.next() else { return };
        let qos = self.publish.qos.min(target.qos);
        // For a stored session it is stored, wherever that is.
        let by_link = !(target.session.is_stored() && qos > QoS::AtMostOnce);
        match self.room.nodes().filter(|_| by_link && !target.session.is_here()) {
            None => self.deliver_to(target, work),
            Some(nodes) => {
                let (publish, origin) = (self.publish, self.origin);
                let node =
                    nodes.publish_to_member(target, &group.name, self.room, self.subtopic, publish, origin);
                if qos > QoS::AtMostOnce {
                    work.batch.send_to(node.into_iter().collect());
                }
            }
        }
    }

    fn deliver_to(&mut self, target: &Target, work: &mut Work) {
        let Some(target) = target.for_message_of(self.origin) else { return };
        let session = &target.session;
        let qos = self.publish.qos.min(target.qos);
        let retain = self.publish.retain && target.retain_as_published;
        let taken = if qos == QoS::AtMostOnce {
            let payload = self.publish.payload.len();
            session.offer_now(payload, work.now, &mut work.tally, |link, output| {
                self.append(target, retain, link, output)
            })
        } else {
            let parcel = Parcel {
                message: Arc::clone(self.kept()),
                topic: target.topic.clone(),
                qos,
                retain,
                subscription_ids: target.subscription_ids.clone(),
                place: Place::default(),
            };
            if session.is_stored() {
                work.batch.deliver(session, parcel);
                return;
            }
            session.offer(parcel, work.now, &mut work.tally, |link| self.frame(target, qos, retain, link))
        };
        work.note(session, taken);
    }

    /// Appends the QoS 0 packet; `false`: it is larger than the client accepts.
    fn append(
        &mut self,
        target: &Target,
        retain: bool,
        link: &Link,
        output: &mut super::output::Output,
    ) -> bool {
        if output.has_aliases() {
            let topic = [target.topic.as_bytes()];
            let delivery = self.delivery(&topic, &target.subscription_ids, QoS::AtMostOnce, retain, link);
            return output.append(&delivery, &target.topic, None, link.maximum_packet_size);
        }
        let out = output.buffer();
        if self.is_shared && target.subscription_ids.is_empty() {
            let Some(frame) = self.frame(target, QoS::AtMostOnce, retain, link) else { return false };
            let fits = frame.len() <= link.maximum_packet_size;
            if fits {
                frame.append_to(None, out);
            }
            return fits;
        }
        let topic = [target.topic.as_bytes()];
        let delivery = self.delivery(&topic, &target.subscription_ids, QoS::AtMostOnce, retain, link);
        let fits = link.maximum_packet_size == usize::MAX
            || delivery.encoded_len().is_ok_and(|len| len <= link.maximum_packet_size);
        fits && delivery.append_to(None, out).is_ok()
    }

    /// The packet for everybody who sees it like this target.
    fn frame(&mut self, target: &Target, qos: QoS, retain: bool, link: &Link) -> Option<Frame> {
        let topic = [target.topic.as_bytes()];
        if !target.subscription_ids.is_empty() {
            return self.delivery(&topic, &target.subscription_ids, qos, retain, link).to_frame().ok();
        }
        let key = FrameKey {
            topic: target.topic.as_bytes().as_ptr(),
            topic_len: target.topic.len(),
            is_v5: link.version.is_v5(),
            qos,
            retain,
        };
        if let Some((_, frame)) = self.frames.iter().find(|(known, _)| *known == key) {
            return Some(frame.clone());
        }
        let frame = self.delivery(&topic, &[], qos, retain, link).to_frame().ok()?;
        self.frames.push((key, frame.clone()));
        Some(frame)
    }

    fn delivery<'b>(
        &'b self,
        topic: &'b [&'b [u8]],
        subscription_ids: &'b [SubscriptionId],
        qos: QoS,
        retain: bool,
        link: &Link,
    ) -> Delivery<'b> {
        Delivery {
            version: link.version,
            dup: false,
            qos,
            retain,
            topic,
            payload: &self.publish.payload,
            topic_alias: None,
            message_expiry: self.publish.message_expiry,
            subscription_ids,
            properties: &self.publish.properties,
        }
    }
}
