//! What each packet of a client is answered with.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::consume_budget;

use super::connection::{Connection, Exit, Uncommitted};
use super::explain::{self, explained};
use crate::engine::commit::{self, Order};
use crate::engine::fanout::Work;
use crate::engine::inflight::{Last, Receipt};
use crate::engine::link::Link;
use crate::engine::message::Place;
use crate::engine::publish::{Origin, Refusal};
use crate::engine::session::Taken;
use crate::engine::subscribe::Granted;
use crate::protocol::Protocol;
use crate::stats::count;
use crate::wire::{
    Ack, Diagnostics, Disconnect, Packet, PacketId, Publish, QoS, ReasonCode, SubAck, Subscribe, Text,
    UnsubAck, Unsubscribe, encode,
};

impl Connection {
    /// Handles one packet.
    pub(super) async fn handle(&mut self, packet: Packet, work: &mut Work) -> Result<(), Exit> {
        match packet {
            Packet::Publish(publish) => return self.publish(publish, work).await,
            Packet::PubAck(ack) => self.finished(&ack, Last::PubAck, work)?,
            Packet::PubRec(ack) if ack.reason.is_failure() => self.finished(&ack, Last::Refusal, work)?,
            Packet::PubRec(ack) => self.received(&ack, work)?,
            Packet::PubRel(ack) => self.released(ack.packet_id)?,
            Packet::PubComp(ack) => self.finished(&ack, Last::PubComp, work)?,
            Packet::PingReq => self.answer(&Packet::PingResp),
            Packet::Subscribe(packet) => return self.subscribe(&packet, work).await,
            Packet::Unsubscribe(packet) => return self.unsubscribe(&packet).await,
            Packet::Disconnect(packet) => return Err(self.disconnect(packet)),
            // No method was agreed on in CONNECT ([MQTT-4.12.0-6]). The decoder lets nothing else come from a client.
            Packet::Auth(_)
            | Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp => return Err(Exit::Told(ReasonCode::PROTOCOL_ERROR)),
        }
        Ok(())
    }

    /// DISCONNECT. A session that was to end with its connection cannot be made to outlive it (MQTT 5.0
    /// §3.14.2.2.2).
    fn disconnect(&self, packet: Disconnect) -> Exit {
        let outlives = packet.session_expiry.is_some_and(|seconds| seconds > 0);
        if outlives && self.session.state.lock().expiry == 0 {
            return Exit::Told(ReasonCode::PROTOCOL_ERROR);
        }
        Exit::Disconnect(packet)
    }

    /// Adds a packet to the answers of this batch.
    fn answer(&mut self, packet: &Packet) {
        // Answers have short fields and exist in every version, so they can always be encoded.
        let _encoded = encode(packet, self.link.version, &mut self.answers);
    }

    /// The same with a reason string, for a client that wants it.
    fn answer_explained(&mut self, packet: Packet, text: Option<&'static str>) {
        let text = text.filter(|_| self.explains);
        let Link { version, maximum_packet_size, .. } = *self.link;
        self.answer(&explained(packet, text, version, maximum_packet_size));
    }

    /// PUBACK, PUBCOMP, or a PUBREC that refuses: the message is finished.
    fn finished(&self, ack: &Ack, last: Last, work: &Work) -> Result<(), Exit> {
        match self.session.acknowledged(&self.link, ack.packet_id, last, work.now) {
            Receipt::Misplaced => Err(Exit::Told(ReasonCode::PROTOCOL_ERROR)),
            Receipt::First | Receipt::Repeated | Receipt::Unknown => Ok(()),
        }
    }

    /// PUBREC: the message is released; in a stored session, when it is stored that the client has it.
    fn received(&mut self, ack: &Ack, work: &Work) -> Result<(), Exit> {
        let packet_id = ack.packet_id;
        if self.session.is_stored()
            && let Some(committer) = &self.core.shared.committer
            && let Some(Place { seq, shared }) = self.session.place_received(&self.link, packet_id)
        {
            let (session, link) = (Arc::clone(&self.session), Arc::clone(&self.link));
            self.begin_handshake()?;
            committer.push(Order::Received { session, link, packet_id, seq, shared });
            return Ok(());
        }
        let receipt = self.session.received(&self.link, packet_id, work.now);
        if receipt == Receipt::Misplaced {
            return Err(Exit::Told(ReasonCode::PROTOCOL_ERROR));
        }
        let reason = found(receipt != Receipt::Unknown);
        self.answer(&Packet::PubRel(Ack::with_reason(packet_id, reason)));
        Ok(())
    }

    /// PUBREL: the client will not send the message again. Its identifier is free for another one with the PUBCOMP, so
    /// that comes when the release is stored.
    fn released(&mut self, packet_id: PacketId) -> Result<(), Exit> {
        let reason = found(self.session.release(&self.link, packet_id));
        match self.core.shared.committer.as_ref().filter(|_| self.session.is_stored()) {
            Some(committer) => {
                self.begin_handshake()?;
                let (session, link) = (Arc::clone(&self.session), Arc::clone(&self.link));
                committer.push(Order::Released { session, link, packet_id, reason });
            }
            None => self.answer(&Packet::PubComp(Ack::with_reason(packet_id, reason))),
        }
        Ok(())
    }

    /// What is to be stored does not hold the connection up, so it has a bound of its own.
    fn begin_handshake(&self) -> Result<(), Exit> {
        if self.session.begin_handshake() {
            Ok(())
        } else {
            Err(Exit::Told(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED))
        }
    }

    async fn publish(&mut self, mut publish: Publish, work: &mut Work) -> Result<(), Exit> {
        self.resolve_alias(&mut publish)?;
        if let (QoS::ExactlyOnce, Some(packet_id)) = (publish.qos, publish.packet_id) {
            match self.session.receive_once(&self.link, packet_id) {
                Some(true) => {}
                // It may still be on its way into the tables.
                Some(false) if self.core.shared.committer.is_some() => {
                    work.batch.repeat(&self.session, packet_id);
                    let (qos, reason) = (publish.qos, ReasonCode::SUCCESS);
                    self.uncommitted.push(Uncommitted { packet_id, qos, reason });
                    return Ok(());
                }
                Some(false) => {
                    self.answer(&Packet::PubRec(Ack::new(packet_id)));
                    return Ok(());
                }
                None => return Err(Exit::Told(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED)),
            }
        }
        work.tally.receive(publish.qos, publish.payload.len());
        let outcome = match self.publish_known(&publish, work) {
            Some(outcome) => outcome,
            None => self.publish_new(&publish, work).await,
        };
        if let (QoS::ExactlyOnce, Some(packet_id), Ok(())) = (publish.qos, publish.packet_id, &outcome)
            && (self.session.is_stored() || !work.batch.is_empty())
        {
            work.batch.receive(&self.session, packet_id);
        }
        self.acknowledge(&publish, outcome, !work.batch.is_empty())
    }

    /// A topic that has been admitted before; `None`: it has not, or something was revoked since.
    fn publish_known(&mut self, publish: &Publish, work: &mut Work) -> Option<Result<(), Refusal>> {
        let patience = self.rate_patience(publish.qos);
        let ticket = self.topics.get_mut(&publish.topic)?;
        if !ticket.is_valid(&self.session) {
            return None;
        }
        let origin =
            Origin { identity: &self.identity, session: Some(&self.session), protocol: Protocol::Mqtt };
        match self.core.within_rates([self.meter.as_deref(), ticket.meter()], publish, patience) {
            Ok(until) => work.until = work.until.max(until),
            Err(refusal) => return Some(Err(refusal)),
        }
        self.core.accept(ticket, origin, publish, work);
        Some(Ok(()))
    }

    async fn publish_new(&mut self, publish: &Publish, work: &mut Work) -> Result<(), Refusal> {
        // Nobody waits for the gate's answer to this packet.
        self.send_answers();
        work.flush();
        self.session.flush(work.now);
        self.topics.remove(&publish.topic);
        let origin =
            Origin { identity: &self.identity, session: Some(&self.session), protocol: Protocol::Mqtt };
        let patience = self.rate_patience(publish.qos);
        // Also what is not allowed uses up the rate of who tries it.
        let own = self.core.within_rates([self.meter.as_deref(), None], publish, patience)?;
        work.until = work.until.max(own);
        let admitted = self.core.admit(origin, publish.topic.as_str()).await?;
        let Some(mut ticket) = admitted else { return Ok(()) };
        let of_domain = self.core.within_rates([None, ticket.meter()], publish, patience);
        if let Ok(until) = of_domain {
            work.until = work.until.max(until);
            self.core.accept(&mut ticket, origin, publish, work);
        }
        // A connection with more topics than are remembered asks for each of them now and then.
        if self.topics.len() >= self.core.shared.limits.topic_cache {
            self.topics.clear();
        }
        self.topics.insert(publish.topic.detached(), ticket);
        of_domain.map(|_| ())
    }

    /// How long a message may make its publisher wait for its rate. MQTT 3 has no words for a refusal.
    fn rate_patience(&self, qos: QoS) -> Duration {
        match qos {
            QoS::AtMostOnce => Duration::ZERO,
            _ if self.link.version.is_v5() => self.core.shared.limits.rate_patience,
            _ => Duration::MAX,
        }
    }

    /// Tells the publisher how it went (reference 05 §4.2). MQTT 3 has no words for a refusal: the connection closes,
    /// or the acknowledgement stays out where the client may try again.
    /// With `waits` it is told when the batch is stored.
    fn acknowledge(
        &mut self,
        publish: &Publish,
        outcome: Result<(), Refusal>,
        waits: bool,
    ) -> Result<(), Exit> {
        let reason = match outcome {
            Ok(()) => ReasonCode::SUCCESS,
            Err(refusal) => {
                if let (QoS::ExactlyOnce, Some(packet_id)) = (publish.qos, publish.packet_id) {
                    self.session.release(&self.link, packet_id);
                }
                if matches!(refusal, Refusal::Denied | Refusal::Unknown) {
                    count(&self.core.shared.stats.denied);
                }
                match refusal {
                    // It is dropped, and counted.
                    Refusal::Limited(_) if publish.qos == QoS::AtMostOnce => return Ok(()),
                    _ if !self.link.version.is_v5() => return Err(Exit::Told(refusal.reason())),
                    Refusal::Malformed(_) if publish.qos == QoS::AtMostOnce => {
                        return Err(Exit::Told(refusal.reason()));
                    }
                    _ => refusal.reason(),
                }
            }
        };
        let Some(packet_id) = publish.packet_id else { return Ok(()) };
        if waits {
            self.uncommitted.push(Uncommitted { packet_id, qos: publish.qos, reason });
        } else {
            self.acknowledge_with(packet_id, publish.qos, reason);
        }
        Ok(())
    }

    /// PUBACK or PUBREC.
    pub(super) fn acknowledge_with(&mut self, packet_id: PacketId, qos: QoS, reason: ReasonCode) {
        let ack = Ack::with_reason(packet_id, reason);
        let packet = if qos == QoS::ExactlyOnce { Packet::PubRec(ack) } else { Packet::PubAck(ack) };
        if reason.is_failure() {
            self.answer_explained(packet, explain::not_published(reason));
        } else {
            self.answer(&packet);
        }
    }

    /// Sets or uses a topic alias (MQTT 5.0 §3.3.2.3.4).
    fn resolve_alias(&mut self, publish: &mut Publish) -> Result<(), Exit> {
        let Some(alias) = publish.topic_alias else { return Ok(()) };
        let at = usize::from(alias.get()) - 1;
        if alias.get() > self.core.shared.limits.topic_aliases {
            return Err(Exit::Told(ReasonCode::TOPIC_ALIAS_INVALID));
        }
        if publish.topic.is_empty() {
            let known = self.aliases.get(at).filter(|topic| !topic.is_empty());
            publish.topic = known.ok_or(Exit::Told(ReasonCode::PROTOCOL_ERROR))?.clone();
            return Ok(());
        }
        if publish.topic.len() > self.core.shared.limits.topic_bytes {
            // The message will be refused for it.
            return Ok(());
        }
        if self.aliases.len() <= at {
            self.aliases.resize(at + 1, Text::default());
        }
        if let Some(slot) = self.aliases.get_mut(at) {
            *slot = publish.topic.detached();
        }
        Ok(())
    }

    async fn subscribe(&mut self, packet: &Subscribe, work: &mut Work) -> Result<(), Exit> {
        self.check_answer_fits(packet.filters.len())?;
        self.send_answers();
        work.flush();
        let mut answers = Vec::with_capacity(packet.filters.len());
        for (at, subscription) in packet.filters.iter().enumerate() {
            if at >= self.core.shared.limits.subscriptions {
                answers.push(Granted::only(ReasonCode::QUOTA_EXCEEDED));
                continue;
            }
            consume_budget().await;
            let granted = self
                .core
                .subscribe(&self.session, &self.link, &self.identity, subscription, packet.subscription_id)
                .await;
            answers.push(granted);
        }
        let mut reasons = Vec::with_capacity(answers.len());
        for (mut granted, subscription) in answers.into_iter().zip(&packet.filters) {
            self.core.subscription_stored(&self.session, &subscription.filter, &mut granted).await;
            reasons.push(granted.reason);
            if let Some(owed) = granted.owed {
                self.owed.retain(|earlier| !earlier.is_same(&owed));
                self.owed.push_back(owed);
            }
        }
        self.core.subscribed_everywhere().await;
        let packet_id = packet.packet_id;
        // There is one string for all filters: it is about the first that was refused.
        let text =
            reasons.iter().find(|reason| reason.is_failure()).copied().and_then(explain::not_subscribed);
        let suback = SubAck { packet_id, reasons, diagnostics: Diagnostics::default() };
        self.answer_explained(Packet::SubAck(suback), text);
        self.send_answers();
        self.send_owed(work).await;
        Ok(())
    }

    /// SUBACK and UNSUBACK have a byte per filter, and nothing of them can be left out. A client that asks for more
    /// answers than it accepts ([MQTT-3.1.2-24]) is told so before anything is changed.
    fn check_answer_fits(&self, filters: usize) -> Result<(), Exit> {
        // Packet identifier, an empty property section, and the reasons; type and length stand in front.
        let body = 2 + 1 + filters;
        let length = match body {
            ..=0x7f => 1,
            0x80..=0x3fff => 2,
            0x4000..=0x1f_ffff => 3,
            _ => 4,
        };
        if 1 + length + body > self.link.maximum_packet_size {
            return Err(Exit::Told(ReasonCode::PACKET_TOO_LARGE));
        }
        Ok(())
    }

    /// Sends the retained messages that new subscriptions are owed, step by step, until the session's own queue is
    /// full; then the rest has to wait like a publisher.
    pub(super) async fn send_owed(&mut self, work: &mut Work) {
        while let Some(owed) = self.owed.front_mut() {
            let taken = self.core.send_retained(&self.session, &self.link, owed, &mut work.batch, work.now);
            if owed.is_finished() {
                self.owed.pop_front();
            }
            if let Some(stored) = self.core.store(std::mem::take(&mut work.batch)) {
                // What is not stored is not sent; the client may subscribe again.
                let full = commit::answer(stored).await.unwrap_or_default();
                full.iter().for_each(|session| work.note(session, Taken::Full));
                if !full.is_empty() {
                    return;
                }
            }
            if taken == Taken::Full {
                work.note(&self.session, taken);
                return;
            }
            self.session.flush(work.now);
            tokio::task::yield_now().await;
        }
        self.owed = VecDeque::new();
    }

    async fn unsubscribe(&mut self, packet: &Unsubscribe) -> Result<(), Exit> {
        self.check_answer_fits(packet.filters.len())?;
        let mut reasons = Vec::with_capacity(packet.filters.len());
        for filter in &packet.filters {
            consume_budget().await;
            reasons.push(self.core.unsubscribe(&self.session, &self.link, filter));
        }
        self.core.changes_stored(&self.session).await;
        let packet_id = packet.packet_id;
        self.answer(&Packet::UnsubAck(UnsubAck { packet_id, reasons, diagnostics: Diagnostics::default() }));
        Ok(())
    }
}

const fn found(known: bool) -> ReasonCode {
    if known { ReasonCode::SUCCESS } else { ReasonCode::PACKET_IDENTIFIER_NOT_FOUND }
}
