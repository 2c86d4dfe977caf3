//! QoS 1 and 2 messages on their way to a client, in the order they were sent.
//!
//! The race it must win: a packet identifier is not used again before its message is finished, and a connection that
//! takes over sends again what the earlier one left unfinished, in order ([MQTT-4.4.0-1], [MQTT-4.6.0-1]), never
//! more at a time than the client's Receive Maximum.

use std::collections::VecDeque;

use super::message::Parcel;
use crate::wire::PacketId;

/// One unfinished message.
#[derive(Debug)]
struct Unfinished {
    packet_id: PacketId,
    stage: Stage,
}

/// What the client owes.
#[derive(Debug)]
enum Stage {
    /// PUBACK or PUBREC.
    Publish(Parcel),
    /// PUBCOMP; the message itself is no longer needed.
    Release,
}

/// What is to be sent again.
pub(crate) enum Again<'a> {
    /// The PUBLISH, with DUP.
    Publish(PacketId, &'a Parcel),
    /// The PUBREL.
    Release(PacketId),
}

/// The send window of one session.
#[derive(Debug)]
pub(crate) struct Window {
    unfinished: VecDeque<Unfinished>,
    maximum: usize,
    last_id: u16,
    /// How many of the last entries have not been sent again on this connection yet.
    unsent: usize,
}

impl Window {
    pub(crate) const fn new() -> Self {
        Self { unfinished: VecDeque::new(), maximum: 0, last_id: 0, unsent: 0 }
    }

    /// A new connection: everything must be sent again, at most `maximum` at a time.
    pub(crate) fn restart(&mut self, maximum: u16) {
        self.maximum = usize::from(maximum);
        self.unsent = self.unfinished.len();
    }

    /// Whether another message may be sent. Identifiers are given in turn, so the next one can only be in use by
    /// the oldest message, all the way round.
    pub(crate) fn is_open(&self) -> bool {
        self.unsent == 0
            && self.unfinished.len() < self.maximum
            && self.unfinished.front().is_none_or(|oldest| oldest.packet_id.get() != self.next_id().get())
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
        self.unfinished.push_back(Unfinished { packet_id, stage: Stage::Publish(parcel) });
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
            Stage::Release => Again::Release(entry.packet_id),
        })
    }

    /// PUBACK, PUBCOMP, or a PUBREC that refuses: the message is finished. Whether it was known.
    pub(crate) fn finish(&mut self, packet_id: PacketId) -> bool {
        // Acknowledgements come in order from nearly every client: the first entry is the one.
        let at = self.unfinished.iter().position(|entry| entry.packet_id == packet_id);
        let Some(at) = at.filter(|&at| at < self.unfinished.len() - self.unsent) else { return false };
        self.unfinished.remove(at);
        true
    }

    /// PUBREC: the message has arrived and only its release is left. Whether it was known.
    pub(crate) fn received(&mut self, packet_id: PacketId) -> bool {
        let entry = self.unfinished.iter_mut().find(|entry| entry.packet_id == packet_id);
        match entry {
            Some(entry) => {
                entry.stage = Stage::Release;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kernel::ChannelId;

    use super::*;
    use crate::engine::message::Message;
    use crate::wire::{Publish, QoS, Text};

    fn parcel() -> Parcel {
        let channel = ChannelId::generate(&kernel::Rng::seeded(1));
        Parcel {
            message: Arc::clone(&Message::keep(&Publish::default(), channel, None)),
            topic: Text::from("m/d/c/ch"),
            qos: QoS::AtLeastOnce,
            retain: false,
            subscription_ids: smallvec::SmallVec::new(),
        }
    }

    fn send(window: &mut Window) -> PacketId {
        let id = window.take_id();
        window.sent(id, parcel());
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
        window.restart(2);
        let first = send(&mut window);
        send(&mut window);
        assert!(!window.is_open());
        assert!(window.finish(first));
        assert!(!window.finish(first));
        assert!(window.is_open());
    }

    #[test]
    fn an_identifier_is_not_used_again_before_its_message_is_finished() {
        let mut window = Window::new();
        window.restart(10);
        let oldest = send(&mut window);
        for _ in 1..u16::MAX {
            let id = send(&mut window);
            assert!(window.finish(id));
        }
        assert!(!window.is_open(), "the next identifier is the one of the oldest message");
        assert!(window.finish(oldest));
        assert!(window.is_open());
        assert_eq!(send(&mut window).get(), 1, "zero is not an identifier");
    }

    #[test]
    fn a_new_connection_gets_everything_again_in_order_and_within_its_window() {
        let mut window = Window::new();
        window.restart(4);
        let ids: Vec<PacketId> = (0..4).map(|_| send(&mut window)).collect();
        assert!(window.received(ids[1]));

        window.restart(3);
        assert_eq!(again(&mut window), [(true, 1), (false, 2), (true, 3)]);
        assert!(!window.is_open());
        assert!(!window.finish(ids[3]), "not sent on this connection yet");
        assert!(window.finish(ids[0]));
        assert_eq!(again(&mut window), [(true, 4)]);
        assert!(window.finish(ids[1]) && window.is_open());
    }
}
