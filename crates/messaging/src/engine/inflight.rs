//! QoS 1 and 2 messages on their way to a client, in the order they were sent.
//!
//! The race it must win: a packet identifier is not used again before its message is finished, and a connection that
//! takes over sends again what the earlier one left unfinished, in order ([MQTT-4.4.0-1], [MQTT-4.6.0-1]), never
//! more at a time than the client's Receive Maximum. The messages are kept until the client has them, so their bytes
//! have a bound too.

use std::collections::VecDeque;

use kernel::ChannelId;

use super::message::{Parcel, Place};
use crate::wire::{PacketId, QoS};

/// One unfinished message.
#[derive(Debug)]
struct Unfinished {
    packet_id: PacketId,
    place: Place,
    stage: Stage,
}

/// What the client owes.
#[derive(Debug)]
enum Stage {
    /// PUBACK or PUBREC.
    Publish(Parcel),
    /// PUBACK or PUBREC of a message that it may not get any more: it was sent on this connection, so it counts
    /// until the client answers, but it is not sent again.
    Forgotten,
    /// PUBCOMP; the message itself is no longer needed.
    Release,
}

/// How many packet identifiers there are.
const IDENTIFIERS: u64 = u16::MAX as u64;

/// The packet identifier of a stored message: it follows from the message's place, so that it needs no storing before
/// the message is sent, and is the same after a restart.
pub(crate) fn identifier_of(seq: u64) -> PacketId {
    let number = seq.saturating_sub(1) % IDENTIFIERS + 1;
    u16::try_from(number).ok().and_then(PacketId::new).unwrap_or(PacketId::MIN)
}

/// What is to be sent again.
pub(crate) enum Again<'a> {
    /// The PUBLISH, with DUP.
    Publish(PacketId, &'a Parcel),
    /// The PUBREL.
    Release(PacketId),
}

/// What an acknowledgement was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// A message that was waiting for it.
    First,
    /// A PUBREC that had come before.
    Repeated,
    /// Nothing that is known.
    Unknown,
    /// A message that waits for another packet: a breach ([MQTT-4.3.2-3], [MQTT-4.3.3-3]).
    Misplaced,
}

/// The packets that finish a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// PUBACK: of QoS 1.
    PubAck,
    /// A PUBREC that refuses: of QoS 2.
    Refusal,
    /// PUBCOMP: of QoS 2, after its PUBREC.
    PubComp,
}

/// The send window of one session.
#[derive(Debug)]
pub(crate) struct Window {
    unfinished: VecDeque<Unfinished>,
    maximum: usize,
    /// Cost of the messages that are kept, and the bound at which no further one is sent.
    bytes: usize,
    maximum_bytes: usize,
    last_id: u16,
    /// How many of the last entries have not been sent again on this connection yet.
    unsent: usize,
}

impl Window {
    pub(crate) const fn new() -> Self {
        Self { unfinished: VecDeque::new(), maximum: 0, bytes: 0, maximum_bytes: 0, last_id: 0, unsent: 0 }
    }

    /// A new connection: everything must be sent again, at most `maximum` messages at a time; new ones follow while
    /// the kept ones are under `maximum_bytes`.
    pub(crate) fn restart(&mut self, maximum: u16, maximum_bytes: usize) {
        self.maximum = usize::from(maximum);
        self.maximum_bytes = maximum_bytes;
        self.unfinished.retain(|entry| !matches!(entry.stage, Stage::Forgotten));
        self.unsent = self.unfinished.len();
    }

    /// Forgets everything: it will be read again.
    pub(crate) fn clear(&mut self) {
        self.unfinished = VecDeque::new();
        self.bytes = 0;
        self.unsent = 0;
    }

    /// Messages that are not finished.
    pub(crate) fn len(&self) -> usize {
        self.unfinished.len()
    }

    /// Whether another message may be sent. Identifiers are given in turn, so the next one can only be in use by
    /// the oldest message, all the way round. `seq` is that of the next message, if it is stored.
    pub(crate) fn is_open(&self, seq: u64) -> bool {
        let is_free = |oldest: &Unfinished| match oldest.place.seq {
            0 => oldest.packet_id.get() != self.next_id().get(),
            first => seq.saturating_sub(first) < IDENTIFIERS,
        };
        self.unsent == 0
            && self.unfinished.len() < self.maximum
            && self.bytes < self.maximum_bytes
            && self.unfinished.front().is_none_or(is_free)
    }

    fn next_id(&self) -> PacketId {
        PacketId::new(self.last_id.wrapping_add(1)).unwrap_or(PacketId::MIN)
    }

    /// The identifier for the next message, which [`Window::sent`] must follow.
    pub(crate) fn take_id(&mut self) -> PacketId {
        let id = self.next_id();
        self.last_id = id.get();
        id
    }

    /// A message has been written.
    pub(crate) fn sent(&mut self, packet_id: PacketId, parcel: Parcel) {
        self.bytes += parcel.cost();
        let place = parcel.place;
        self.unfinished.push_back(Unfinished { packet_id, place, stage: Stage::Publish(parcel) });
    }

    /// A stored message whose release has been written again.
    pub(crate) fn released(&mut self, seq: u64) -> PacketId {
        let packet_id = identifier_of(seq);
        let place = Place { seq, shared: 0 };
        self.unfinished.push_back(Unfinished { packet_id, place, stage: Stage::Release });
        packet_id
    }

    /// The place of a message that is on its way or has been received.
    pub(crate) fn place_of(&self, packet_id: PacketId) -> Option<Place> {
        self.unfinished.iter().find(|entry| entry.packet_id == packet_id).map(|entry| entry.place)
    }

    /// Whether a message waits for no PUBREC.
    pub(crate) fn is_misplaced(&self, packet_id: PacketId) -> bool {
        let mut with_id = self.unfinished.iter().filter(|entry| entry.packet_id == packet_id);
        with_id.any(|entry| matches!(&entry.stage, Stage::Publish(parcel) if parcel.qos == QoS::AtLeastOnce))
    }

    /// The next entry to be sent again, while the window has room.
    pub(crate) fn next_again(&mut self) -> Option<Again<'_>> {
        let at = self.unfinished.len() - self.unsent;
        if self.unsent == 0 || at >= self.maximum {
            return None;
        }
        self.unsent -= 1;
        let entry = self.unfinished.get(at)?;
        Some(match &entry.stage {
            Stage::Publish(parcel) => Again::Publish(entry.packet_id, parcel),
            // One that is forgotten was sent on this connection, so it does not stand here.
            Stage::Release | Stage::Forgotten => Again::Release(entry.packet_id),
        })
    }

    /// The message is finished, if this is what it waits for.
    pub(crate) fn finish(&mut self, packet_id: PacketId, last: Last) -> Receipt {
        // Acknowledgements come in order from nearly every client: the first entry is the one.
        let sent = self.unfinished.len() - self.unsent;
        let found = self.unfinished.iter().take(sent).enumerate();
        let Some((at, entry)) = found.into_iter().find(|(_, entry)| entry.packet_id == packet_id) else {
            return Receipt::Unknown;
        };
        if !entry.stage.ends_with(last) {
            return Receipt::Misplaced;
        }
        if let Some(entry) = self.unfinished.remove(at) {
            self.bytes -= entry.stage.cost();
        }
        Receipt::First
    }

    /// PUBREC: the message has arrived and only its release is left.
    pub(crate) fn received(&mut self, packet_id: PacketId) -> Receipt {
        let Some(entry) = self.unfinished.iter_mut().find(|entry| entry.packet_id == packet_id) else {
            return Receipt::Unknown;
        };
        if matches!(&entry.stage, Stage::Publish(parcel) if parcel.qos == QoS::AtLeastOnce) {
            return Receipt::Misplaced;
        }
        match std::mem::replace(&mut entry.stage, Stage::Release) {
            Stage::Release => Receipt::Repeated,
            unreceived => {
                self.bytes -= unreceived.cost();
                Receipt::First
            }
        }
    }

    /// Forgets the messages of a channel, which may not be sent again.
    pub(crate) fn forget_channel(&mut self, channel: ChannelId) {
        let is_lost = |entry: &Unfinished| match &entry.stage {
            Stage::Publish(parcel) => parcel.message.channel == channel,
            Stage::Forgotten | Stage::Release => false,
        };
        let sent = self.unfinished.len() - self.unsent;
        for entry in self.unfinished.iter_mut().take(sent).filter(|entry| is_lost(entry)) {
            self.bytes -= std::mem::replace(&mut entry.stage, Stage::Forgotten).cost();
        }
        // What is still to be sent again on this connection, or on one to come, goes without a trace.
        for entry in self.unfinished.split_off(sent) {
            if is_lost(&entry) {
                self.bytes -= entry.stage.cost();
                self.unsent -= 1;
            } else {
                self.unfinished.push_back(entry);
            }
        }
    }
}

impl Stage {
    /// Whether this packet is the one that the message waits for. The QoS of a forgotten one is forgotten too.
    fn ends_with(&self, last: Last) -> bool {
        match (self, last) {
            (Self::Publish(parcel), Last::PubAck) => parcel.qos == QoS::AtLeastOnce,
            (Self::Publish(parcel), Last::Refusal) => parcel.qos == QoS::ExactlyOnce,
            (Self::Publish(_), Last::PubComp) | (Self::Release, Last::PubAck) => false,
            (Self::Release, Last::Refusal | Last::PubComp) | (Self::Forgotten, _) => true,
        }
    }

    /// What is kept, in bytes.
    fn cost(&self) -> usize {
        match self {
            Self::Publish(parcel) => parcel.cost(),
            Self::Forgotten | Self::Release => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kernel::ChannelId;

    use super::*;
    use crate::engine::message::Message;
    use crate::wire::{Publish, Text};

    fn parcel() -> Parcel {
        let channel = ChannelId::generate(&kernel::Rng::seeded(1));
        Parcel {
            message: Arc::clone(&Message::keep(&Publish::default(), channel, None, None)),
            topic: Text::from("m/d/c/ch"),
            qos: QoS::AtLeastOnce,
            retain: false,
            subscription_ids: smallvec::SmallVec::new(),
            place: Place::default(),
        }
    }

    fn send(window: &mut Window) -> PacketId {
        send_as(QoS::AtLeastOnce, window)
    }

    fn send_as(qos: QoS, window: &mut Window) -> PacketId {
        let id = window.take_id();
        window.sent(id, Parcel { qos, ..parcel() });
        id
    }

    fn again(window: &mut Window) -> Vec<(bool, u16)> {
        let mut sent = Vec::new();
        while let Some(again) = window.next_again() {
            sent.push(match again {
                Again::Publish(id, _) => (true, id.get()),
                Again::Release(id) => (false, id.get()),
            });
        }
        sent
    }

    #[test]
    fn the_window_closes_at_its_maximum_and_opens_with_an_acknowledgement() {
        let mut window = Window::new();
        window.restart(2, usize::MAX);
        let first = send(&mut window);
        send(&mut window);
        assert!(!window.is_open(0));
        assert_eq!(window.finish(first, Last::PubAck), Receipt::First);
        assert_eq!(window.finish(first, Last::PubAck), Receipt::Unknown);
        assert!(window.is_open(0));
    }

    #[test]
    fn an_identifier_is_not_used_again_before_its_message_is_finished() {
        let mut window = Window::new();
        window.restart(10, usize::MAX);
        let oldest = send(&mut window);
        for _ in 1..u16::MAX {
            let id = send(&mut window);
            assert_eq!(window.finish(id, Last::PubAck), Receipt::First);
        }
        assert!(!window.is_open(0), "the next identifier is the one of the oldest message");
        assert_eq!(window.finish(oldest, Last::PubAck), Receipt::First);
        assert!(window.is_open(0));
        assert_eq!(send(&mut window).get(), 1, "zero is not an identifier");
    }

    #[test]
    fn a_new_connection_gets_everything_again_in_order_and_within_its_window() {
        let mut window = Window::new();
        window.restart(4, usize::MAX);
        let ids: Vec<PacketId> = (0..4).map(|_| send_as(QoS::ExactlyOnce, &mut window)).collect();
        assert_eq!(window.received(ids[1]), Receipt::First);
        assert_eq!(window.received(ids[1]), Receipt::Repeated);

        window.restart(3, usize::MAX);
        assert_eq!(again(&mut window), [(true, 1), (false, 2), (true, 3)]);
        assert!(!window.is_open(0));
        assert_eq!(window.finish(ids[3], Last::PubAck), Receipt::Unknown, "not sent on this connection yet");
        assert_eq!(window.finish(ids[0], Last::Refusal), Receipt::First);
        assert_eq!(again(&mut window), [(true, 4)]);
        assert_eq!(window.finish(ids[1], Last::PubComp), Receipt::First);
        assert!(window.is_open(0));
    }

    #[test]
    fn the_identifier_of_a_stored_message_follows_from_its_place_and_is_not_in_use_twice() {
        assert_eq!([1, 2, 65_535, 65_536].map(|seq| identifier_of(seq).get()), [1, 2, 65_535, 1]);
        let mut window = Window::new();
        window.restart(10, usize::MAX);
        assert_eq!(window.released(7).get(), 7);
        assert!(window.is_open(65_541));
        assert!(!window.is_open(65_542), "its identifier is still in use");
        assert_eq!(window.place_of(identifier_of(7)), Some(Place { seq: 7, shared: 0 }));
        assert_eq!(window.finish(identifier_of(7), Last::PubComp), Receipt::First);
        assert!(window.is_open(65_542));
    }

    #[test]
    fn the_window_closes_at_its_bytes_and_counts_what_is_kept_alone() {
        let mut window = Window::new();
        window.restart(10, 2 * parcel().cost());
        let first = send(&mut window);
        let second = send_as(QoS::ExactlyOnce, &mut window);
        assert!(!window.is_open(0));
        assert_eq!(window.received(second), Receipt::First);
        assert!(window.is_open(0), "of a received message only the identifier is kept");
        let third = send(&mut window);
        assert!(!window.is_open(0));
        for (id, last) in [(first, Last::PubAck), (second, Last::PubComp), (third, Last::PubAck)] {
            assert_eq!(window.finish(id, last), Receipt::First);
        }
        assert_eq!(window.bytes, 0);
    }

    #[test]
    fn a_message_is_finished_by_its_own_acknowledgement_alone() {
        let mut window = Window::new();
        window.restart(2, usize::MAX);
        let once = send(&mut window);
        let exactly = send_as(QoS::ExactlyOnce, &mut window);
        assert_eq!(window.received(once), Receipt::Misplaced);
        assert_eq!(window.finish(once, Last::PubComp), Receipt::Misplaced);
        assert_eq!(window.finish(once, Last::Refusal), Receipt::Misplaced);
        assert_eq!(window.finish(exactly, Last::PubAck), Receipt::Misplaced);
        assert_eq!(window.finish(exactly, Last::PubComp), Receipt::Misplaced);
        assert!(!window.is_open(0));
        assert_eq!(window.received(exactly), Receipt::First);
        assert_eq!(window.finish(exactly, Last::PubAck), Receipt::Misplaced);
        assert_eq!(window.finish(exactly, Last::PubComp), Receipt::First);
        assert_eq!(window.finish(once, Last::PubAck), Receipt::First);
    }

    #[test]
    fn a_forgotten_message_counts_until_it_is_answered_and_is_not_sent_again() {
        let mut window = Window::new();
        window.restart(2, usize::MAX);
        let first = send(&mut window);
        let second = send(&mut window);
        let channel = parcel().message.channel;
        window.forget_channel(channel);
        window.forget_channel(channel);
        assert_eq!(window.bytes, 0);
        assert!(!window.is_open(0), "the client still has both to answer");
        assert_eq!(window.finish(first, Last::PubAck), Receipt::First);
        assert!(window.is_open(0));

        window.restart(2, usize::MAX);
        assert_eq!(again(&mut window), []);
        assert_eq!(window.finish(second, Last::PubAck), Receipt::Unknown);

        send(&mut window);
        window.restart(2, usize::MAX);
        window.forget_channel(channel);
        assert_eq!(again(&mut window), []);
        assert!(window.is_open(0));
    }
}
